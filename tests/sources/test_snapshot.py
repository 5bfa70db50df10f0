"""Web addresses that send one picture per request."""

import http.server
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from live_fakes import Clock, FakeCapture, live_settings

from vidsal.runtime.latest import background_thread
from vidsal.sources.capture import capture_of
from vidsal.sources.live import LiveSource
from vidsal.sources.resolve import parse_live
from vidsal.sources.snapshot import FPS, WebCapture


class Camera(http.server.BaseHTTPRequestHandler):
    """Answers each request with one picture; its level rises with every second request."""

    requests: list[str]
    kind: str
    end: int

    def do_GET(self) -> None:
        number = len(self.requests)
        self.requests.append(self.headers.get("Authorization", ""))
        is_locked = "locked" in self.path and not self.headers.get("Authorization")
        self.send_response(401 if is_locked else 404 if number >= self.end else 200)
        if is_locked:
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
        self.send_header("Content-Type", self.kind)
        self.end_headers()
        picture = np.full((36, 48, 3), 40 + 20 * (number // 2), np.uint8)
        if not is_locked:
            self.wfile.write(cv2.imencode(".png", picture)[1].tobytes())

    def log_message(self, format: str, *args: object) -> None:
        """Keep requests off the terminal."""


@pytest.fixture
def camera() -> Iterator[tuple[str, type[Camera]]]:
    """A camera at a free port: its address and its class."""
    kind = type("One", (Camera,), {"requests": [], "kind": "image/png", "end": 99})
    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind) as server,
        background_thread(server.serve_forever, stop=server.shutdown),
    ):
        yield f"127.0.0.1:{server.server_address[1]}", kind


def _source(address: str, clock: Clock, stream: FakeCapture, **options: float) -> LiveSource:
    return LiveSource(
        address, live_settings(**options), clock=clock, sleep=clock.sleep,
        open_capture=lambda name: WebCapture(
            name, lambda _: stream, clock=clock, sleep=clock.sleep
        ),
    )  # fmt: skip


def test_an_address_named_as_a_picture_is_polled(camera: tuple[str, type[Camera]]) -> None:
    clock, (host, kind) = Clock(), camera
    stream = FakeCapture(0, fault="not a stream")
    with _source(f"http://{host}/x.jpg?size=2", clock, stream, duration=3.0) as source:
        assert (source.info.height_px, source.info.width_px) == (36, 48)
        assert source.info.fps is not None and float(source.info.fps) == FPS
        frames = list(source.frames())
    # Five requests a second. The camera has a new picture at every second one.
    assert len(kind.requests) == pytest.approx(3 * FPS, abs=2)
    assert [int(frame.rgb[0, 0, 0]) for frame in frames] == [40 + 20 * n for n in range(8)]
    assert [frame.time_s for frame in frames] == pytest.approx(
        [0.4 * n for n in range(8)], abs=0.021
    )
    assert stream.reads == 0


@pytest.mark.parametrize("delivered", [0, 1])
def test_a_stream_that_ends_after_one_picture_is_polled(
    delivered: int, camera: tuple[str, type[Camera]]
) -> None:
    clock, (host, _) = Clock(), camera
    stream = FakeCapture(delivered, size=(36, 48), step_s=0.0)
    with _source(f"http://{host}/cgi-bin/now", clock, stream, duration=2.0) as source:
        levels = [int(frame.rgb[0, 0, 0]) for frame in source.frames()]
    assert levels[delivered:] == [40 + 20 * n for n in range(len(levels) - delivered)]
    assert len(levels) >= 5


def test_a_stream_is_not_polled_and_ends(camera: tuple[str, type[Camera]]) -> None:
    clock, (host, kind) = Clock(), camera
    kind.kind = "multipart/x-mixed-replace"
    for name, count in (("video", 9), ("video.jpg", 9), ("video", 1)):
        stream = FakeCapture(count, size=(36, 48), clock=clock)
        with _source(f"http://{host}/{name}", clock, stream) as source:
            assert len(list(source.frames())) == count


def test_a_camera_that_stops_answering_is_lost_after_a_silence(
    camera: tuple[str, type[Camera]], caplog: pytest.LogCaptureFixture
) -> None:
    clock, (host, kind) = Clock(), camera
    kind.end = 5
    began_s = clock.now_s
    stream = FakeCapture(0, fault="not a stream")
    with _source(f"http://{host}/x.png", clock, stream) as source:
        assert len(list(source.frames())) == 3
    assert clock.now_s - began_s == pytest.approx(0.8 + 5, abs=0.3)
    assert "stopped delivering after 0.8 s" in caplog.text


def test_a_password_in_the_address_is_sent_on_request_only(
    camera: tuple[str, type[Camera]],
) -> None:
    clock, (host, kind) = Clock(), camera
    stream = FakeCapture(0, fault="not a stream")
    with _source(f"http://me:se%21cret@{host}/locked.jpg", clock, stream) as source:
        next(source.frames())
    # Base64 of me:se!cret.
    assert kind.requests[:2] == ["", "Basic bWU6c2UhY3JldA=="]


def test_only_web_addresses_may_be_polled() -> None:
    for address, is_web in (
        ("http://a/x.jpg", True), ("HTTPS://a/1", True), ("rtsp://a/x.jpg", False),
        ("http://[::1/x", False),
    ):  # fmt: skip
        capture = capture_of(parse_live(address))
        assert isinstance(capture, WebCapture) == is_web
        capture.close()
