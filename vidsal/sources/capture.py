"""Live pictures: from a camera through OpenCV, from a stream through ffmpeg.

OpenCV's stream reader cannot be interrupted, and its buffering cannot be set per stream. An ffmpeg
process can be ended at any time.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np

from vidsal.errors import VidsalError
from vidsal.media import banner, ffmpeg
from vidsal.runtime.opencv import cv2
from vidsal.sources.resolve import SourceName
from vidsal.sources.snapshot import WebCapture, is_web
from vidsal.types import Rgb

# A stream that sends nothing for this long is lost.
_SILENCE_S = 5.0
# Size of the pipe from ffmpeg: a large one needs fewer context switches per frame.
_PIPE_BYTES = 1 << 20


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
    if name.kind == "stream" and is_web(name.address):
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

    Parameters
    ----------
    name : SourceName
        Of kind ``stream``.
    """

    def __init__(self, name: SourceName) -> None:
        self._name = name
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._size = (0, 0)
        self._stopped = False

    def open(self) -> tuple[int, int, float]:
        """Connect; see `Capture.open`."""
        self._process = subprocess.Popen(
            [ffmpeg.executable(), *stream_arguments(self._name.address)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._stderr,
            pipesize=_PIPE_BYTES, **ffmpeg.OWN_SESSION,
        )  # fmt: skip
        if self._stopped:
            self.stop()
        assert self._process.stdout is not None
        header = self._process.stdout.readline().decode(errors="replace")
        fields = {field[0]: field[1:] for field in header.split()[1:]}
        if not header.startswith("YUV4MPEG2") or "W" not in fields:
            raise VidsalError(f"{self._name.display_name} cannot be read: {self._failure()}")
        self._size = int(fields["H"]), int(fields["W"])
        rate = fields.get("F", "0:1").split(":")
        return *self._size, float(Fraction(int(rate[0]), max(1, int(rate[1]))))

    def read(self) -> Rgb | None:
        """Wait for the next picture; see `Capture.read`."""
        assert self._process is not None and self._process.stdout is not None
        height, width = self._size
        planes = np.empty((height * 3 // 2, width), np.uint8)
        pipe = self._process.stdout
        # A broken stream ends within a picture.
        if not pipe.readline().startswith(b"FRAME"):
            return None
        if pipe.readinto(planes.data.cast("B")) != planes.size:  # type: ignore[attr-defined]
            return None
        return np.asarray(cv2.cvtColor(planes, cv2.COLOR_YUV2RGB_I420), np.uint8)

    def stop(self) -> None:
        """End the process; see `Capture.stop`."""
        self._stopped = True
        if self._process is not None and self._process.poll() is None:
            self._process.kill()

    def close(self) -> None:
        """End the process and close its pipes."""
        self.stop()
        if self._process is not None:
            if self._process.stdout is not None:
                self._process.stdout.close()
            self._process.wait()
        with suppress(OSError):
            self._stderr.close()

    def _failure(self) -> str:
        """Return why ffmpeg ended."""
        assert self._process is not None
        self._process.wait()
        self._stderr.seek(0)
        cause = banner.connection_error(self._stderr.read().decode(errors="replace"))
        return cause or f"nothing arrived within {_SILENCE_S:g} s: is the sender on?"


def stream_arguments(address: str) -> list[str]:
    """Return ffmpeg's arguments to decode a stream to yuv4mpeg on stdout without delay.

    The header of yuv4mpeg has the size and the rate. If the size changes later, ffmpeg scales the
    pictures to the first size.

    Parameters
    ----------
    address : str
        Address of the stream.
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
        "-hide_banner", "-loglevel", "error", "-nostdin",
        # One thread: each further thread delays the output by one picture.
        "-fflags", "nobuffer", "-flags", "low_delay", "-threads", "1",
        # Half a second to measure the rate; 0 would mean five seconds.
        "-analyzeduration", "500000", *timeout, "-i", address,
        "-map", "0:v:0", "-fps_mode", "passthrough",
        "-vf", "crop=trunc(iw/2)*2:trunc(ih/2)*2,"
        "scale=out_color_matrix=bt601:out_range=tv,format=yuv420p",
        "-strict", "-1", "-f", "yuv4mpegpipe", "-flush_packets", "1", "pipe:1",
    ]  # fmt: skip
