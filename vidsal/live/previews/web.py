"""A preview as a web page: an MJPEG stream, statistics, and buttons that send POST requests.

Standard library only. The page is served on the loopback interface by default. At any other address
it requires the token of the printed URL.
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

from vidsal.errors import VidsalError, option
from vidsal.live.preview import BUTTONS, Button
from vidsal.live.statistics import LiveStats
from vidsal.runtime.latest import Latest, background_thread
from vidsal.runtime.opencv import cv2
from vidsal.types import Rgb

_BOUNDARY = "vidsal-picture"
_JPEG_QUALITY = 80
# A thread that waits for a picture checks this often whether the preview is closed.
_POLL_S = 0.5
# The page may load nothing from other hosts and must not be framed.
_POLICY = (
    "default-src 'none'; img-src 'self' data:; connect-src 'self'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


def is_loopback(host: str) -> bool:
    """Return whether an address is reachable from this machine only.

    Parameters
    ----------
    host : str
        IP address, or ``localhost``; any other name gives False.
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class WebPreview:
    """Serves the newest picture and the statistics to any number of browsers.

    Parameters
    ----------
    host : str
        Address to listen at.
    port : int
        0 for any free port.

    Attributes
    ----------
    address : str
        URL of the page, with the token if one is required.
    token : str or None
        Secret that requests must have; ``None`` on the loopback interface.
    names : set of str
        Values of the ``Host`` header that are accepted without a token.
    is_over : bool
        Whether the preview is closed.

    Raises
    ------
    VidsalError
        If the port is in use, or the address does not belong to this machine.
    """

    # The page has them beside the picture.
    draws_stats = False

    def __init__(self, host: str, port: int) -> None:
        # URLs have IPv6 addresses in brackets.
        host = host.strip("[]")
        self.token = None if is_loopback(host) else secrets.token_urlsafe(16)
        self._pictures: Latest[tuple[Rgb, bytes], tuple[bytes, bytes]] = Latest(_encoded)
        self._stats = b"{}"
        self._pressed: deque[Button] = deque(maxlen=32)
        self.is_over = False
        authority = f"[{host}]" if ":" in host else host
        try:
            self.server = _Server(host, port)
        except OSError as error:
            name = "port" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "host"
            raise VidsalError(
                f"the page cannot be served at {authority}:{port}: {error.strerror}; give another "
                f"{option(name)}"
            ) from error
        self.server.preview = self
        port = int(self.server.server_address[1])
        names = {"127.0.0.1", "localhost", "[::1]", authority.lower()}
        self.names = {f"{name}:{port}" for name in names}
        if port == 80:
            # Browsers omit the default port.
            self.names |= names
        query = f"?token={self.token}" if self.token else ""
        self.address = f"http://{authority}:{port}/{query}"

    def show(self, picture: Rgb, stats: LiveStats) -> None:
        """Serve a picture and the statistics from now on.

        Parameters
        ----------
        picture : (H, W, 3) uint8 array
            RGB.
        stats : LiveStats
        """
        self._stats = json.dumps(asdict(stats)).encode()
        self._pictures.put((picture, self._stats))

    def pressed(self) -> list[Button]:
        """Return the buttons pressed since the last call."""
        buttons = []
        while self._pressed:
            buttons.append(self._pressed.popleft())
        return buttons

    def press(self, button: Button) -> None:
        """Add a pressed button; called by the threads of the server.

        Parameters
        ----------
        button : Button
            Name of the button, such as ``pause``.
        """
        self._pressed.append(button)

    def stats(self) -> bytes:
        """Return the statistics as JSON."""
        return self._stats

    def pictures(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield each new picture, or the newest of several, until the preview is closed.

        Yields
        ------
        jpeg : bytes
        stats : bytes
            The statistics that belong to it, as JSON.
        """
        number = 0
        while not self.is_over:
            newest, encoded = self._pictures.after(number, _POLL_S)
            if encoded is not None and newest != number:
                number = newest
                yield encoded


def _encoded(moment: tuple[Rgb, bytes]) -> tuple[bytes, bytes]:
    """Return a picture as JPEG, with its statistics."""
    picture, stats = moment
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return data.tobytes(), stats


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A stalled browser must not delay the end.
    block_on_close = False
    preview: WebPreview

    def __init__(self, host: str, port: int) -> None:
        self.address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        super().__init__((host, port), _Page)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore errors: browsers close connections in the middle of a picture."""


@cache
def _html() -> bytes:
    return (files("vidsal.live.previews") / "page.html").read_bytes()


def _authority(origin: str) -> str | None:
    """Return host and port of an Origin header; None if it is not a valid origin."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


class _Page(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    # Seconds after which an idle connection is closed.
    timeout = 30

    def do_GET(self) -> None:
        """Serve the page, the statistics or the stream of pictures."""
        preview = self.server.preview
        answers: dict[str, tuple[str, Callable[[], bytes]]] = {
            "/": ("text/html; charset=utf-8", _html),
            "/stats": ("application/json", preview.stats),
        }
        path = urlsplit(self.path).path
        if not self._is_allowed():
            return
        if path == "/pictures":
            # Pages of other sites can embed a picture without permission, and measure it.
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
        """Press a button."""
        if not self._is_allowed():
            return
        path = urlsplit(self.path).path
        button = next((one for one in BUTTONS if path == f"/press/{one}"), None)
        if button is None:
            self._answer(HTTPStatus.NOT_FOUND)
        else:
            self.server.preview.press(button)
            self._answer(HTTPStatus.NO_CONTENT)

    def _is_allowed(self) -> bool:
        """Return whether a request is allowed; answer it if it is not."""
        preview = self.server.preview
        host, origin = self.headers.get("Host", "").lower(), self.headers.get("Origin")
        # Pages of other sites in the same browser must neither press nor read.
        is_same_origin = origin is None or _authority(origin) == host
        if preview.token is None:
            is_allowed = is_same_origin and host in preview.names
        else:
            given = parse_qs(urlsplit(self.path).query).get("token", [""])[0]
            is_allowed = is_same_origin and hmac.compare_digest(
                given.encode(), preview.token.encode()
            )
        if not is_allowed:
            self._answer(HTTPStatus.FORBIDDEN)
        return is_allowed

    def _answer(self, status: HTTPStatus, content: bytes = b"", kind: str = "text/plain") -> None:
        self.send_response(status)
        self._send_common(kind)
        if status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(content)))
        # The body of the request is not read.
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
            for jpeg, stats in self.server.preview.pictures():
                head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\n".encode()
                # The page shows a picture and its statistics at once. JSON is ASCII in one line.
                head += b"Vidsal-Stats: " + stats + b"\r\n"
                head += f"Content-Length: {len(jpeg)}\r\n\r\n".encode()
                self.wfile.write(head + jpeg + b"\r\n")

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
    """Serve the page while the block runs, and lend its preview.

    Parameters
    ----------
    host : str
        Address to listen at.
    port : int
        0 for any free port.

    Yields
    ------
    WebPreview

    Raises
    ------
    VidsalError
        If the port is in use, or the address does not belong to this machine.
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
