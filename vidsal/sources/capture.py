"""Live pictures: from a camera through OpenCV, from a stream through ffmpeg.

OpenCV's stream reader cannot be interrupted, and its buffering cannot be set per stream. An ffmpeg
process can be ended at any time.
"""

import logging
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np

from vidsal.errors import VidsalError
from vidsal.media import banner, ffmpeg
from vidsal.media.frame_rate import FASTEST_FPS
from vidsal.media.headers import DisplayOrientation, coded_fps, late_orientation
from vidsal.runtime.opencv import cv2
from vidsal.sources.filters import (
    DEINTERLACE,
    INTERLACED_CODECS,
    PictureTraits,
    picture_filters,
    rotation_options,
)
from vidsal.sources.live_ffmpeg import LiveFfmpeg
from vidsal.sources.resolve import SourceName
from vidsal.types import Rgb

log = logging.getLogger(__name__)

# A stream that sends nothing for this long is lost.
_SILENCE_S = 5.0
# ffmpeg measures the rate of a stream for this long; 0 would mean five seconds.
_ANALYSIS_S = 0.5
# The base rate counts if the measured one differs by at most this share.
_BASE_TOLERANCE = 0.1
# ffmpeg's last error if it decoded no picture.
_NOTHING_DECODED = "received no packets."
# For a stream that does not claim its rate, in frames per second.
_USUAL_FPS = 25.0
# Codecs whose pictures have headers that can say how to turn them, and so many pictures that ffmpeg
# may deliver before the one that has such a header: those of a usual reordering.
_ORIENTED_CODECS, _UNORIENTED_PICTURES = ("h264", "hevc"), 8

# Log all that describes the streams, and the level of each line.
_LOGGED = ("-hide_banner", "-loglevel", "level+info", "-nostats", "-nostdin")
# The first video stream that is no cover, each picture as soon as it is decoded.
_VIDEO = ("-map", "0:V:0", "-fps_mode", "passthrough")
# Pictures with a header each: the size, then 8-bit RGB. If the size changes later, ffmpeg scales
# the pictures to the first size.
_PPM_TO_STDOUT = (
    "-pix_fmt", "rgb24", "-c:v", "ppm", "-f", "image2pipe", "-flush_packets", "1", "pipe:1",
)  # fmt: skip
# Pictures as they were decoded, for another ffmpeg.
_RAW_TO_STDOUT = ("-c:v", "rawvideo", "-f", "nut", "-flush_packets", "1", "pipe:1")
_RAW_FROM_STDIN = (
    "-probesize", "32", "-analyzeduration", "0", "-fflags", "nobuffer", "-f", "nut", "-i", "pipe:0",
)  # fmt: skip
# A second input that is never read: its description follows the complete one of the first.
_SECOND_INPUT = ("-f", "lavfi", "-i", "color=size=16x16")
# Name of the file with the first packets.
_COPY = "first.ts"
_INPUT_DESCRIBED = re.compile(r"^Input #1", re.MULTILINE)
_OUTPUT_DESCRIBED = re.compile(
    r"^Output #0.*\n(?:.*\n)*?  (Stream #0:0.*: Video: .*)\n", re.MULTILINE
)


class Capture(Protocol):
    """Pictures as they arrive, until no more come."""

    def open(self) -> tuple[int, int, float]:
        """Connect; return height and width in pixels, and the claimed rate in frames per second.

        Raises
        ------
        VidsalError
            If the camera or stream delivers nothing; the line says why.
        """

    def read(self) -> Rgb | None:
        """Wait for the next picture, (H, W, 3) uint8 RGB; None if no more come."""

    def stop(self) -> None:
        """Make `open` and `read` return soon; another thread may call this."""

    def close(self) -> None:
        """Release the camera or the process."""


def capture_of(name: SourceName, *, newest_only: bool = False) -> Capture:
    """Return the capture of a camera or a stream, not yet connected.

    Parameters
    ----------
    name : SourceName
        Of kind ``camera`` or ``stream``.
    newest_only : bool
        Ask the driver of a camera to buffer one picture only.
    """
    if name.kind == "stream":
        # Its import of the standard library's web client delays all other sources.
        from vidsal.sources.snapshot import WebCapture, is_web

        if is_web(name.address):
            return WebCapture(name, StreamCapture)
    if name.kind == "stream":
        return StreamCapture(name)
    return CameraCapture(name.address, newest_only=newest_only)


class CameraCapture:
    """A camera, read with OpenCV's ``VideoCapture``.

    Parameters
    ----------
    address : str
        Number or path of the camera.
    newest_only : bool
        Ask the driver to buffer one picture only.
    open_capture : callable
        Makes the ``VideoCapture``.
    """

    def __init__(
        self,
        address: str,
        *,
        newest_only: bool = False,
        open_capture: Callable[..., Any] = cv2.VideoCapture,
    ) -> None:
        self._address, self._newest_only = address, newest_only
        self._open_capture = open_capture
        self._capture: Any = None
        self._stopped = False

    def open(self) -> tuple[int, int, float]:
        """Connect; see `Capture.open`."""
        if self._address.isdecimal():
            self._capture = self._open_capture(int(self._address))
        else:
            self._capture = self._open_capture(self._address, cv2.CAP_V4L2)
        if self._newest_only:
            # Buffered pictures are old; some drivers ignore this.
            self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        first = self.read() if self._capture.isOpened() else None
        if first is None:
            raise VidsalError(
                f"camera {self._address} cannot be used: {camera_fault(self._address)}"
            )
        return first.shape[0], first.shape[1], float(self._capture.get(cv2.CAP_PROP_FPS))

    def read(self) -> Rgb | None:
        """Wait for the next picture; see `Capture.read`."""
        ok, bgr = (False, None) if self._stopped else self._capture.read()
        if not ok or bgr is None:
            return None
        return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)

    def stop(self) -> None:
        """Make `read` return None from now on."""
        self._stopped = True

    def close(self) -> None:
        """Release the camera."""
        if self._capture is not None:
            self._capture.release()


def camera_fault(address: str, *, devices: Path = Path("/dev")) -> str:
    """Return why a camera cannot be used, as far as the system tells, and what to do.

    Parameters
    ----------
    address : str
        Number or path of the camera.
    devices : Path
        Folder of the device files.
    """
    if sys.platform != "linux":
        return (
            f"none is connected, another program has it, or {permission_hint()}; `vidsal doctor` "
            "lists the cameras that answer"
        )
    device = devices / f"video{address}" if address.isdecimal() else Path(address)
    if not device.exists():
        existing = sorted(str(path) for path in devices.glob("video*"))
        others = f", but {', '.join(existing)}" if existing else ": no camera is connected"
        return f"there is no {device}{others}"
    try:
        with device.open("rb"):
            pass
    except PermissionError:
        return permission_hint()
    except OSError as error:
        return f"{device}: {error.strerror} (`fuser {device}` shows which program has it)"
    return f"{device} delivers nothing; another program may have it (`fuser {device}` shows which)"


def permission_hint() -> str:
    """Return which permission for cameras may be missing on this system, and how to get it."""
    if sys.platform == "darwin":
        return "the terminal lacks the camera permission (System Settings, Privacy)"
    if sys.platform == "win32":
        return "desktop apps lack the camera permission (Settings, Privacy)"
    return "you are not in the group that may use it (sudo usermod -aG video $USER)"


class StreamCapture:
    """A stream, decoded by an ffmpeg process that buffers nothing.

    ffmpeg describes the stream, then reads the filters that suit this description from its stdin.
    So one connection serves for both. A stream that is joined long before its next key frame has
    no description yet. Then one ffmpeg decodes and describes the first picture, and another one
    applies the filters.

    Headers of pictures may say how to turn them. If the first picture has no such header, but a
    later one has, the stream is opened again and turned from the first picture on.

    Parameters
    ----------
    name : SourceName
        Of kind ``stream``.
    """

    def __init__(self, name: SourceName) -> None:
        self._name = name
        self._processes: list[LiveFfmpeg] = []
        # The picture that `read` returns next, if it has arrived.
        self._next: Rgb | None = None
        self._lacks_key_frame = False
        self._is_undescribed = False
        self._codec = ""
        # Whether ffmpeg logs or copies the headers of the first pictures.
        self._has_trace = False
        # (height, width) of the decoded pictures.
        self._coded_px: tuple[int, int] | None = None
        self._orientation: DisplayOrientation | None = None
        self._stopped = False

    def open(self) -> tuple[int, int, float]:
        """Connect; see `Capture.open`."""
        fps, headers = self._decode()
        # On a busy machine ffmpeg sees too few pictures to measure a rate.
        fps = fps or float(coded_fps(headers) or 0)
        self._orientation = late_orientation(headers)
        if self._orientation is not None and not self._stopped:
            log.debug("%s is turned: %s", self._name.display_name, self._orientation)
            self._end_processes()
            # The second description may lack the rate.
            fps = self._decode()[0] or fps
        if self._next is None:
            raise VidsalError(f"{self._name.display_name} cannot be read: {self._failure()}")
        return self._next.shape[0], self._next.shape[1], fps

    def read(self) -> Rgb | None:
        """Wait for the next picture; see `Capture.read`."""
        rgb, self._next = self._next, None
        if rgb is None:
            rgb = self._read_picture()
        for process in self._processes:
            self._report_size(banner.changed_size(process.new_log()))
        return rgb

    def _report_size(self, coded_px: tuple[int, int] | None) -> None:
        """Log that the pictures have another size than before."""
        if coded_px is None or coded_px == self._coded_px:
            return
        self._coded_px = coded_px
        log.warning(
            "%s: its pictures are %dx%d from here on, and are scaled to the size of the first one",
            self._name.display_name, coded_px[1], coded_px[0],
        )  # fmt: skip

    def stop(self) -> None:
        """End the processes; see `Capture.stop`."""
        self._stopped = True
        for process in list(self._processes):
            process.kill()

    def close(self) -> None:
        """End the processes and close their pipes."""
        self.stop()
        self._end_processes()

    def _end_processes(self) -> None:
        for process in self._processes:
            process.close()
        self._processes.clear()

    def _decode(self) -> tuple[float, str]:
        """Connect and read the first picture; return the claimed rate and a log of the headers."""
        # ffmpeg keeps the copy open; Windows does not remove open files.
        with tempfile.TemporaryDirectory(prefix="vidsal-", ignore_cleanup_errors=True) as folder:
            fps = self._start_decoder(Path(folder))
            self._next = self._first_live_picture(fps)
            # The headers of the first key frame and what follows it.
            copy = Path(folder) / _COPY
            return fps, ffmpeg.trace_headers(copy) if copy.exists() else self._processes[0].log()

    def _start_decoder(self, folder: Path) -> float:
        """Connect, and set the filters once ffmpeg has described the stream; return its rate."""
        if self._is_undescribed:
            # It is opened again, and need not be described in vain again.
            self._decode_undescribed(folder / _COPY)
            return 0.0
        program = ffmpeg.executable()
        trace = folder / "bitstream_filter"
        headers = []
        if ffmpeg.reads_options(program):
            headers = ffmpeg.header_trace(str(trace), option="-/bsf:v")
        decoder = self._start(
            [*self._input(), *_SECOND_INPUT, *_VIDEO, *ffmpeg.filters_from_stdin(program),
             *_PPM_TO_STDOUT, *headers],
        )  # fmt: skip
        decoder.wait_for(_INPUT_DESCRIBED)
        line, _ = banner.video_stream(decoder.log())
        self._codec = banner.codec(line)
        self._has_trace = bool(headers) and self._codec in _ORIENTED_CODECS
        self._coded_px = banner.coded_size(line)
        if line and self._coded_px is None:
            self._end_processes()
            self._is_undescribed = True
            self._decode_undescribed(folder / _COPY)
        else:
            # ffmpeg reads this file after the filters.
            trace.write_text("trace_headers" if self._codec in _ORIENTED_CODECS else "null")
            decoder.write_stdin(",".join(picture_filters(self._traits(line))))
        return _claimed_fps(line)

    def _input(self) -> list[str]:
        """Return ffmpeg's arguments for the input."""
        return stream_arguments(self._name.address, rotation_options(self._orientation))

    def _start(
        self, arguments: list[str], *, stdin: IO[bytes] | int = subprocess.PIPE
    ) -> LiveFfmpeg:
        """Start another ffmpeg."""
        process = LiveFfmpeg(arguments, stdin=stdin)
        self._processes.append(process)
        if self._stopped:
            process.kill()
        return process

    def _decode_undescribed(self, copy: Path) -> None:
        """Connect again; describe the stream by its first decoded picture.

        Headers that ffmpeg logs would stand between the words of this description. So the first
        packets are copied to a file.
        """
        deinterlacing = ["-vf", DEINTERLACE] if self._codec in INTERLACED_CODECS else []
        # Once it is known how to turn the pictures, their headers are not needed again.
        self._has_trace = self._codec in _ORIENTED_CODECS and self._orientation is None
        copied = ffmpeg.first_packets(str(copy)) if self._has_trace else []
        decoder = self._start([*self._input(), *_VIDEO, *deinterlacing, *_RAW_TO_STDOUT, *copied])
        decoder.wait_for(_OUTPUT_DESCRIBED)
        described = _OUTPUT_DESCRIBED.search(decoder.log())
        if described is None:
            self._lacks_key_frame = not self._stopped
            return
        line = described.group(1)
        self._coded_px = banner.coded_size(line)
        filters = picture_filters(replace(self._traits(line), may_be_interlaced=False))
        if tags := banner.color_tags(line):
            # Raw pictures do not keep their tags.
            filters.insert(0, "setparams=" + ":".join(f"{key}={tags[key]}" for key in tags))
        arguments = [*_LOGGED, *_RAW_FROM_STDIN, *_VIDEO, "-vf", ",".join(filters)]
        self._start([*arguments, *_PPM_TO_STDOUT], stdin=decoder.stdout)
        # Only the other ffmpeg reads from it, so that the first one ends with the other.
        decoder.stdout.close()

    def _traits(self, line: str) -> PictureTraits:
        """Return the traits of the stream that a line of ffmpeg's banner describes."""
        return PictureTraits.of_live(line, self._codec, self._orientation)

    def _first_live_picture(self, fps: float) -> Rgb | None:
        """Return the first picture that was not sent before ffmpeg had described the stream.

        Earlier ones arrive all at once. Later ones depend on them, so that ffmpeg decodes them.
        """
        fps = fps or _USUAL_FPS
        rgb = self._read_picture()
        needed = _UNORIENTED_PICTURES if self._has_trace else 0
        enough_s = time.monotonic() + _ANALYSIS_S
        for n in range(max(needed, round(_ANALYSIS_S * fps))):
            began_s = time.monotonic()
            following = self._read_picture()
            if following is None:
                break
            rgb = following
            # A slow stream is not held up for all pictures that may be needed.
            is_enough = n >= needed or began_s > enough_s
            if is_enough and time.monotonic() - began_s > 0.5 / fps:
                break
        return rgb

    def _read_picture(self) -> Rgb | None:
        """Wait for a picture; None if no more come."""
        pipe = self._processes[-1].stdout
        # A broken stream ends within a picture.
        if pipe.closed or pipe.readline() != b"P6\n":
            return None
        sides, depth = pipe.readline().split(), pipe.readline()
        if not depth:
            return None
        rgb = np.empty((int(sides[1]), int(sides[0]), 3), np.uint8)
        return rgb if pipe.readinto(rgb.data.cast("B")) == rgb.size else None  # type: ignore[attr-defined]

    def _failure(self) -> str:
        """Return why ffmpeg ended."""
        for process in self._processes:
            cause = process.failure()
            if self._lacks_key_frame and cause.endswith(_NOTHING_DECODED):
                return "it ended before a key frame arrived"
            if cause:
                return cause
        return f"nothing arrived within {_SILENCE_S:g} s: is the sender on?"


def _claimed_fps(line: str) -> float:
    """Return the rate of a stream line in frames per second; 0 if it has none."""
    # Too few pictures to measure a rate leave the time base: "90k tbr", "1k tbr".
    measured, base = (
        rate if rate and rate < FASTEST_FPS else None
        for rate in (banner.claimed_fps(line), banner.base_fps(line))
    )
    # Half a second of pictures does not give an exact rate. The base may be that of fields.
    if measured and base and abs(measured / base - 1) > _BASE_TOLERANCE:
        return float(measured)
    return float(base or measured or 0)


def stream_arguments(address: str, options: Iterable[str] = ()) -> list[str]:
    """Return ffmpeg's arguments to read a stream without delay.

    Parameters
    ----------
    address : str
        Address of the stream.
    options : iterable of str
        Further options of the input.
    """
    scheme = address.partition("://")[0].lower()
    silence_us = str(round(_SILENCE_S * 1e6))
    timeout = ["-rw_timeout", silence_us]
    if scheme in ("rtsp", "rtsps"):
        # Over UDP a lost packet would be a corrupt picture.
        timeout = ["-rtsp_transport", "tcp", "-timeout", silence_us]
    if scheme == "udp":
        # For UDP ffmpeg reads these from the address only. Without them a buffer that is full
        # after a slow start would end the stream.
        separator = "&" if "?" in address else "?"
        address += f"{separator}overrun_nonfatal=1&fifo_size=100000&timeout={silence_us}"
    return [
        *_LOGGED,
        # One thread: each further thread delays the output by one picture.
        "-flags", "low_delay", "-threads", "1",
        "-analyzeduration", f"{_ANALYSIS_S * 1e6:.0f}", *timeout, *options, "-i", address,
    ]  # fmt: skip
