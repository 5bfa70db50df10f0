"""A preview as a page in a browser: the picture as MJPEG, the figures, buttons that work by POST.

Standard library only. Served on loopback, unless another address is asked for; then only to whoever
has the token in the printed address.
"""

import errno
import hmac
import ipaddress
import json
import secrets
import socket
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs, urlsplit

from vidsal.errors import VidsalError
from vidsal.live.preview import BUTTONS, Button
from vidsal.live.statistics import LiveStats
from vidsal.runtime.latest import Latest, background_thread
from vidsal.runtime.opencv import cv2
from vidsal.types import Rgb

_BOUNDARY = "vidsal-picture"
_QUALITY = 80
# A reader that waits is looked after so often: whether there is an end.
_POLL_S = 0.5
# Nothing that comes from outside may be loaded, and nobody may frame the page.
_POLICY = (
    "default-src 'none'; img-src 'self' data:; connect-src 'self'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


def is_loopback(host: str) -> bool:
    """Say whether an address is reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class WebPreview:
    """The newest picture and figures for any number of pages, and what was pressed on them.

    Attributes
    ----------
    address : str
        Of the page, with the token if one is needed.
    """

    def __init__(self, host: str, port: int) -> None:
        # In an address the colons of IPv6 stand in brackets.
        host = host.strip("[]")
        self.token = None if is_loopback(host) else secrets.token_urlsafe(16)
        self._pictures = Latest(_jpeg)
        self._figures: dict[str, Any] = {}
        self._pressed: deque[Button] = deque(maxlen=32)
        self.is_over = False
        place = f"[{host}]" if ":" in host else host
        try:
            self.server = _Server(host, port)
        except OSError as error:
            other = "port" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "host"
            raise VidsalError(
                f"the page cannot be served at {place}:{port}: {error.strerror}; give another "
                f"--{other}"
            ) from error
        self.server.preview = self
        port = int(self.server.server_address[1])
        names = {"127.0.0.1", "localhost", "[::1]", place.lower()}
        self.names = {f"{name}:{port}" for name in names}
        if port == 80:
            # A browser leaves out the port that goes without saying.
            self.names |= names
        query = f"?token={self.token}" if self.token else ""
        self.address = f"http://{place}:{port}/{query}"

    def show(self, picture: Rgb, figures: LiveStats) -> None:
        self._figures = asdict(figures)
        self._pictures.put(picture)

    def pressed(self) -> list[Button]:
        found = []
        while self._pressed:
            found.append(self._pressed.popleft())
        return found

    def press(self, button: Button) -> None:
        """Take a button in, from the thread of a page."""
        self._pressed.append(button)

    def figures(self) -> bytes:
        """Return the figures as JSON."""
        return json.dumps(self._figures).encode()

    def jpegs(self) -> Iterator[bytes]:
        """Yield the newest picture each time there is one, until the end."""
        number = 0
        while not self.is_over:
            now, jpeg = self._pictures.after(number, _POLL_S)
            if jpeg is not None and now != number:
                number = now
                yield jpeg


def _jpeg(picture: Rgb) -> bytes:
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return data.tobytes()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A page that stands still must not hold up the end.
    block_on_close = False
    preview: WebPreview

    def __init__(self, host: str, port: int) -> None:
        self.address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        super().__init__((host, port), _Page)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a page that was closed in the middle of a picture is no fault."""


@cache
def _html() -> bytes:
    return (files("vidsal.live.previews") / "page.html").read_bytes()


def _place(origin: str) -> str | None:
    """Return the host and port of an origin; None where it is none."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


class _Page(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    # A connection on which nothing is asked is closed after this long.
    timeout = 30

    def do_GET(self) -> None:
        preview = self.server.preview
        answers: dict[str, tuple[str, Callable[[], bytes]]] = {
            "/": ("text/html; charset=utf-8", _html),
            "/figures": ("application/json", preview.figures),
        }
        path = urlsplit(self.path).path
        if not self._may_look():
            return
        if path == "/pictures":
            # A picture needs no leave to be shown on another site's page, which would measure it.
            if self.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
                self._answer(HTTPStatus.FORBIDDEN)
                return
            self._send_pictures()
        elif path in answers:
            kind, content = answers[path]
            self._answer(HTTPStatus.OK, content(), kind)
        else:
            self._answer(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        if not self._may_look():
            return
        path = urlsplit(self.path).path
        button = next((one for one in BUTTONS if path == f"/press/{one}"), None)
        if button is None:
            self._answer(HTTPStatus.NOT_FOUND)
        else:
            self.server.preview.press(button)
            self._answer(HTTPStatus.NO_CONTENT)

    def _may_look(self) -> bool:
        """Check who asks; answer those who may not."""
        preview = self.server.preview
        host, origin = self.headers.get("Host", "").lower(), self.headers.get("Origin")
        # Another site that the same browser is looking at must neither press nor read.
        is_own = origin is None or _place(origin) == host
        if preview.token is None:
            may = is_own and host in preview.names
        else:
            given = parse_qs(urlsplit(self.path).query).get("token", [""])[0]
            may = is_own and hmac.compare_digest(given.encode(), preview.token.encode())
        if not may:
            self._answer(HTTPStatus.FORBIDDEN)
        return may

    def _answer(self, status: HTTPStatus, content: bytes = b"", kind: str = "text/plain") -> None:
        self.send_response(status)
        self._send_common(kind)
        if status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(content)))
        # Nobody has read what came with the request.
        self.send_header("Connection", "close")
        self.close_connection = True
        self.end_headers()
        self.wfile.write(content)

    def _send_pictures(self) -> None:
        self.close_connection = True
        self.send_response(HTTPStatus.OK)
        self._send_common(f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
        self.end_headers()
        with suppress(OSError):
            for data in self.server.preview.jpegs():
                head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}"
                self.wfile.write(f"{head}\r\n\r\n".encode() + data + b"\r\n")

    def _send_common(self, kind: str) -> None:
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", _POLICY)
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")

    def log_message(self, format: str, *args: Any) -> None:
        """Keep requests off the terminal."""


@contextmanager
def open_page(host: str, port: int) -> Iterator[WebPreview]:
    """Serve the page while the block runs.

    Parameters
    ----------
    host : str
        Address to listen at.
    port : int
        0 for any that is free.

    Raises
    ------
    VidsalError
        If the port is taken, or the address is not of this machine.
    """
    preview = WebPreview(host, port)
    with (
        preview.server,
        background_thread(lambda: preview.server.serve_forever(poll_interval=0.05)),
    ):
        try:
            yield preview
        finally:
            preview.is_over = True
            preview.server.shutdown()
