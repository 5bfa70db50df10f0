"""What delivers live pictures: a camera through OpenCV, a stream through ffmpeg.

OpenCV's own stream reader can neither be interrupted nor told per stream to keep nothing back, so
streams are read by an ffmpeg process, which can be ended at any time.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np

from vidsal.errors import UsageError, VidsalError
from vidsal.media import banner, ffmpeg
from vidsal.runtime.opencv import cv2
from vidsal.types import Rgb

_STREAM = re.compile(r"(rtsps?|https?|udp|tcp|rtmp|srt)://", re.IGNORECASE)
# A stream that sends nothing for so long is lost.
_SILENCE_S = 5.0
# Room of the pipe between ffmpeg and us: fewer turns between the two for a frame.
_PIPE_BYTES = 1 << 20


def is_stream(what: object) -> bool:
    """Say whether a word is the address of a stream."""
    return _STREAM.match(str(what)) is not None


def is_device(what: object) -> bool:
    """Say whether a word is the path of a camera."""
    return re.fullmatch(r"/dev/video\d+", str(what)) is not None


def display_name(address: str) -> str:
    """Return a source as a person would say it, fit for a file, without a stream's secrets."""
    if not is_stream(address):
        return f"camera {address.removeprefix('/dev/video').rpartition('/')[2]}"
    # Not by `urlsplit`, which raises where an address is none.
    place = re.split(r"[/?#]", address.partition("://")[2])[0].rpartition("@")[2]
    place = place.replace("[", "").replace("]", "")
    return "stream " + place.replace(":", "-")


def check_address(address: str) -> None:
    """Refuse what is neither a camera nor a stream.

    Raises
    ------
    UsageError
    """
    if address.isdecimal() or address.startswith("/dev/") or is_stream(address):
        return
    scheme, colons, _ = address.partition("://")
    if colons:
        raise UsageError(
            f"{scheme}:// is not a stream that can be read: rtsp, http, udp, tcp, rtmp, srt can"
        )
    raise UsageError(f"{address}: not a camera or a stream (a file: vidsal run {address})")


class Capture(Protocol):
    """Pictures as they come, until nothing more does."""

    def open(self) -> tuple[int, int, float]:
        """Connect; return height and width in pixels, and the rate that is claimed.

        Raises
        ------
        VidsalError
            If there is nothing to see, in a line that says why.
        """

    def read(self) -> Rgb | None:
        """Wait for the next picture, (H, W, 3) uint8 RGB; None where no more comes."""

    def stop(self) -> None:
        """Let `open` and `read` return soon; may be called by another thread."""

    def close(self) -> None:
        """Let everything go."""


def capture_of(address: str, *, newest_only: bool = False) -> Capture:
    """Return what reads a camera's number or path, or a stream's address; not yet connected.

    With `newest_only` a camera's driver is asked to keep nothing back.
    """
    if is_stream(address):
        return StreamCapture(address)
    return CameraCapture(address, newest_only=newest_only)


class CameraCapture:
    """A camera by its number or path, through what OpenCV calls ``VideoCapture``."""

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
        if self._address.isdecimal():
            self._capture = self._open_capture(int(self._address))
        else:
            self._capture = self._open_capture(self._address, cv2.CAP_V4L2)
        if self._newest_only:
            # What waits in the driver is old; not every driver listens.
            self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        first = self.read() if self._capture.isOpened() else None
        if first is None:
            raise VidsalError(
                f"camera {self._address} cannot be used: {camera_fault(self._address)}"
            )
        return first.shape[0], first.shape[1], float(self._capture.get(cv2.CAP_PROP_FPS))

    def read(self) -> Rgb | None:
        ok, bgr = (False, None) if self._stopped else self._capture.read()
        if not ok or bgr is None:
            return None
        return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)

    def stop(self) -> None:
        self._stopped = True

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()


def camera_fault(address: str, *, devices: Path = Path("/dev")) -> str:
    """Return why a camera cannot be used, as far as this system tells, and what to do."""
    if sys.platform != "linux":
        return (
            f"none is connected, another program has it, or {permission_hint()}; `vidsal doctor` "
            "lists the cameras that answer"
        )
    device = devices / f"video{address}" if address.isdecimal() else Path(address)
    if not device.exists():
        there = sorted(str(path) for path in devices.glob("video*"))
        others = f", but {', '.join(there)}" if there else ": no camera is connected"
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
    """Return what keeps a program from a camera on this system, and the way out."""
    if sys.platform == "darwin":
        return "the terminal lacks the camera permission (System Settings, Privacy)"
    if sys.platform == "win32":
        return "desktop apps lack the camera permission (Settings, Privacy)"
    return "you are not in the group that may use it (sudo usermod -aG video $USER)"


class StreamCapture:
    """A stream by its address, decoded by an ffmpeg that keeps nothing back."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._process: subprocess.Popen[bytes] | None = None
        self._words: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._size = (0, 0)
        self._stopped = False

    def open(self) -> tuple[int, int, float]:
        self._process = subprocess.Popen(
            [ffmpeg.executable(), *reading(self._address)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._words,
            pipesize=_PIPE_BYTES, **ffmpeg.OWN_SESSION,
        )  # fmt: skip
        if self._stopped:
            self.stop()
        assert self._process.stdout is not None
        header = self._process.stdout.readline().decode(errors="replace")
        words = {word[0]: word[1:] for word in header.split()[1:]}
        if not header.startswith("YUV4MPEG2") or "W" not in words:
            raise VidsalError(f"{display_name(self._address)} cannot be read: {self._why()}")
        self._size = int(words["H"]), int(words["W"])
        rate = words.get("F", "0:1").split(":")
        return *self._size, float(Fraction(int(rate[0]), max(1, int(rate[1]))))

    def read(self) -> Rgb | None:
        assert self._process is not None and self._process.stdout is not None
        height, width = self._size
        planes = np.empty((height * 3 // 2, width), np.uint8)
        pipe = self._process.stdout
        # A broken stream ends in the middle of a picture.
        if not pipe.readline().startswith(b"FRAME"):
            return None
        if pipe.readinto(planes.data.cast("B")) != planes.size:  # type: ignore[attr-defined]
            return None
        return np.asarray(cv2.cvtColor(planes, cv2.COLOR_YUV2RGB_I420), np.uint8)

    def stop(self) -> None:
        self._stopped = True
        if self._process is not None and self._process.poll() is None:
            self._process.kill()

    def close(self) -> None:
        self.stop()
        if self._process is not None:
            if self._process.stdout is not None:
                self._process.stdout.close()
            self._process.wait()
        with suppress(OSError):
            self._words.close()

    def _why(self) -> str:
        """Return what ffmpeg said of its end."""
        assert self._process is not None
        self._process.wait()
        self._words.seek(0)
        cause = banner.connection_error(self._words.read().decode(errors="replace"))
        return cause or f"nothing came in {_SILENCE_S:g} s: is the sender on?"


def reading(address: str) -> list[str]:
    """Return ffmpeg's arguments that turn a stream into raw pictures without delay.

    The pictures come as yuv4mpeg, which tells their size and rate; a size that changes on the way
    is brought to the first one by ffmpeg itself.
    """
    scheme = address.partition("://")[0].lower()
    silence_us = str(round(_SILENCE_S * 1e6))
    wait = ["-rw_timeout", silence_us]
    if scheme in ("rtsp", "rtsps"):
        # Over UDP a lost packet is a damaged picture.
        wait = ["-rtsp_transport", "tcp", "-timeout", silence_us]
    if scheme == "udp":
        # Only in the address is the time heeded, and only there can a slow start be survived.
        joint = "&" if "?" in address else "?"
        address += f"{joint}overrun_nonfatal=1&fifo_size=100000&timeout={silence_us}"
    return [
        "-hide_banner", "-loglevel", "error", "-nostdin",
        # One thread: each further one holds a picture back.
        "-fflags", "nobuffer", "-flags", "low_delay", "-threads", "1",
        # Half a second to learn the rate; 0 would stand for five seconds.
        "-analyzeduration", "500000", *wait, "-i", address,
        "-map", "0:v:0", "-fps_mode", "passthrough",
        "-vf", "crop=trunc(iw/2)*2:trunc(ih/2)*2,"
        "scale=out_color_matrix=bt601:out_range=tv,format=yuv420p",
        "-strict", "-1", "-f", "yuv4mpegpipe", "-flush_packets", "1", "pipe:1",
    ]  # fmt: skip
