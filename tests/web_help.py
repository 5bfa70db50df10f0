"""A web server on loopback, for tests of downloads."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Server:
    """A web server that always answers in one way and counts its requests.

    Parameters
    ----------
    answer : str
        ``whole``, ``other`` (bytes than the published ones), ``half``, ``stall`` in the middle,
        ``silence``, ``endless`` (no Content-Length), or the code of an error.
    content : bytes
    place : str
        End of the URL.
    headers : mapping
        Sent beside the length.
    """

    def __init__(
        self, answer: str, content: bytes, place: str, headers: Mapping[str, str] | None = None
    ) -> None:
        self.asked: list[str] = []
        self._over = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                if answer.isdecimal():
                    self.send_error(int(answer))
                    return
                if answer == "silence":
                    server._over.wait(30)
                    return
                self.send_response(200)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                if answer != "endless":
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if answer in ("whole", "endless"):
                    self.wfile.write(content)
                elif answer == "other":
                    self.wfile.write(content[::-1])
                else:
                    self.wfile.write(content[: len(content) // 2])
                    if answer == "stall":
                        server._over.wait(30)

            def log_message(self, *_: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}/{place}"

    def close(self) -> None:
        self._over.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@contextmanager
def serving(
    answer: str, content: bytes, place: str, headers: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Lend a server that ends with the block."""
    server = Server(answer, content, place, headers)
    try:
        yield server
    finally:
        server.close()
