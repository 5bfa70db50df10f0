"""Web addresses that send one picture per request, as many network cameras have."""

import time
from collections.abc import Callable
from http.client import HTTPException
from typing import Protocol
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import (
    HTTPBasicAuthHandler,
    HTTPDigestAuthHandler,
    HTTPPasswordMgrWithDefaultRealm,
    OpenerDirector,
    build_opener,
)

import numpy as np

from vidsal.errors import VidsalError
from vidsal.runtime.opencv import cv2
from vidsal.sources.resolve import SourceName
from vidsal.types import Rgb

# Pictures are requested at this rate: often enough for motion, rare enough for a small camera.
FPS = 5.0
# The same picture again is no new one, as cameras update theirs more rarely; after this time it is.
_REPEATED_S = 1.0
# A camera that sends nothing for this long is lost.
_SILENCE_S = 5.0
# `stop` ends a wait within this time.
_WAIT_S = 0.05
# The messages of ffmpeg for servers that cannot be reached.
_UNREACHABLE = ("refused", "unreachable", "No route to host", "not known", "No address")
# A larger file is not the picture of a camera.
_LARGEST_BYTES = 64_000_000


def is_web(address: str) -> bool:
    """Return whether an address is one that a web server answers, with a valid host.

    Parameters
    ----------
    address : str
        Address of a stream.
    """
    try:
        return urlsplit(address).scheme in ("http", "https")
    except ValueError:
        # An invalid IPv6 host: ffmpeg reports it.
        return False


class _Stream(Protocol):
    """What `WebCapture` uses of `vidsal.sources.capture.Capture`, which imports this module."""

    def open(self) -> tuple[int, int, float]: ...

    def read(self) -> Rgb | None: ...

    def stop(self) -> None: ...

    def close(self) -> None: ...


class WebCapture:
    """A web address: a stream, or one that sends one picture per request and is polled.

    An address that is named as a picture is requested once to tell the two apart. Any other address
    is opened as a stream; one that ends after its first picture is then requested in the same way.

    Parameters
    ----------
    name : SourceName
        Of kind ``stream``, with an http or https address.
    stream : callable
        Makes the capture of a stream.
    clock : callable
        Returns seconds.
    sleep : callable
        Waits for some seconds.
    """

    def __init__(
        self,
        name: SourceName,
        stream: Callable[[SourceName], _Stream],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._name = name
        self._snapshots = _Snapshots(name.address, clock, sleep)
        self._stream = stream(name)
        self._is_polled = False
        self._count = 0

    def open(self) -> tuple[int, int, float]:
        """Connect; see `vidsal.sources.capture.Capture.open`."""
        path = urlsplit(self._name.address).path.lower()
        if path.endswith((".jpg", ".jpeg", ".png", ".bmp", ".webp")):
            self._is_polled = self._snapshots.is_picture()
        if not self._is_polled:
            try:
                return self._stream.open()
            except VidsalError as error:
                # A server that cannot be reached gets no second request: some answer only one.
                if any(cause in str(error) for cause in _UNREACHABLE):
                    raise
                # ffmpeg cannot read some formats of pictures from the web.
                self._is_polled = self._snapshots.is_picture()
                if not self._is_polled:
                    raise
        first = self._snapshots.first
        if first is None:
            raise VidsalError(f"{self._name.display_name} sends a picture that cannot be decoded")
        return first.shape[0], first.shape[1], FPS

    def read(self) -> Rgb | None:
        """Wait for the next picture; see `vidsal.sources.capture.Capture.read`."""
        if not self._is_polled:
            rgb = self._stream.read()
            if rgb is not None:
                self._count += 1
                return rgb
            self._is_polled = self._count <= 1 and self._snapshots.is_picture()
        return self._snapshots.read() if self._is_polled else None

    def stop(self) -> None:
        """Make `open` and `read` return soon; another thread may call this."""
        self._snapshots.is_stopped = True
        self._stream.stop()

    def close(self) -> None:
        """Release the connection."""
        self._snapshots.is_stopped = True
        self._stream.close()


class _Snapshots:
    """Requests pictures from a web address.

    Attributes
    ----------
    first : (H, W, 3) uint8 array or None
        The picture that `is_picture` got.
    is_stopped : bool
        Ends all waits; another thread may set it.
    """

    def __init__(
        self, address: str, clock: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        self._url, self._opener = _opener(address)
        self._clock, self._sleep = clock, sleep
        self.first: Rgb | None = None
        self.is_stopped = False
        self._last = b""
        self._requested_s = self._delivered_s = clock()

    def is_picture(self) -> bool:
        """Return whether the address sends one picture; False if it cannot be read."""
        data = None if self.is_stopped else self._request()
        if data is None:
            return False
        self.first, self._last, self._delivered_s = _decoded(data), data, self._clock()
        return True

    def read(self) -> Rgb | None:
        """Wait for the next picture that differs; None after a silence."""
        first, self.first = self.first, None
        if first is not None:
            return first
        while not self.is_stopped and self._clock() - self._delivered_s <= _SILENCE_S:
            wait_s = self._requested_s + 1 / FPS - self._clock()
            if wait_s > 0:
                self._sleep(min(wait_s, _WAIT_S))
                continue
            data = self._request()
            is_repeated = data == self._last and self._clock() - self._delivered_s < _REPEATED_S
            rgb = None if data is None or is_repeated else _decoded(data)
            if rgb is not None and data is not None:
                self._last, self._delivered_s = data, self._clock()
                return rgb
        return None

    def _request(self) -> bytes | None:
        """Return the picture that the address sends; None if it sends something else."""
        self._requested_s = self._clock()
        try:
            with self._opener.open(self._url, timeout=_SILENCE_S) as answer:
                if answer.headers.get_content_maintype() != "image":
                    return None
                return bytes(answer.read(_LARGEST_BYTES))
        except (OSError, HTTPException, ValueError):
            return None


def _decoded(data: bytes) -> Rgb | None:
    """Return a picture as RGB; None if it is not complete."""
    if not data:
        return None
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return None if bgr is None else np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def _opener(address: str) -> tuple[str, OpenerDirector]:
    """Return the address without user and password, and what sends them on request."""
    parts = urlsplit(address)
    login, _, host = parts.netloc.rpartition("@")
    url = urlunsplit(parts._replace(netloc=host))
    passwords = HTTPPasswordMgrWithDefaultRealm()
    if login:
        user, _, password = login.partition(":")
        passwords.add_password(None, url, unquote(user), unquote(password))
    return url, build_opener(HTTPBasicAuthHandler(passwords), HTTPDigestAuthHandler(passwords))
