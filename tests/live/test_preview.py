"""Previews: the page over HTTP on the loopback interface, its access rules, and windows."""

import http.client
import json
import re
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

from vidsal.errors import VidsalError
from vidsal.live.preview import BUTTONS, KEYS
from vidsal.live.previews import open_preview, window
from vidsal.live.previews.web import WebPreview, is_loopback, open_page
from vidsal.live.statistics import LiveStats

STATS = LiveStats(
    time_s=61.5, fps_in=30.0, fps_out=24.6, latency_ms=87.4, dropped_share=0.18, every=5,
    size="256/192", model="lite0", target="top 5", top_class="tabby 61%", layout="overlay",
    is_recording=True,
)  # fmt: skip


@pytest.fixture
def page() -> Iterator[WebPreview]:
    """A page on loopback, at a free port."""
    with open_page("127.0.0.1", 0) as page:
        yield page


def _ask(
    page: WebPreview, path: str, method: str = "GET", **headers: str
) -> tuple[int, bytes, dict[str, str]]:
    """Ask the page for something; return status, content and headers."""
    port = urlsplit(page.address).port
    connection = http.client.HTTPConnection("127.0.0.1", port or 0, timeout=5)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content, dict(answer.getheaders())


def test_the_page_needs_nothing_from_elsewhere(page: WebPreview) -> None:
    status, content, headers = _ask(page, "/")
    text = content.decode()
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert not re.search(r"(https?:)?//[a-z]", text)
    # An element for each button and for each value of the statistics.
    assert set(re.findall(r'data-press="(\w+)"', text)) == set(BUTTONS)
    shown = {"fps_in", "fps_out", "latency_ms", "top_class", "target", "model", "layout", "size"}
    assert shown <= set(re.findall(r'id="(\w+)"', text))
    assert set(KEYS.values()) == set(BUTTONS)


def test_stats_follow_what_is_shown(page: WebPreview) -> None:
    assert json.loads(_ask(page, "/stats")[1]) == {}
    page.show(np.zeros((96, 128, 3), np.uint8), STATS)
    stats = json.loads(_ask(page, "/stats")[1])
    assert stats["fps_out"] == 24.6
    assert stats["top_class"] == "tabby 61%"
    assert stats["is_recording"] is True
    assert STATS.line() == "REC  in 30/s  out 25/s  87 ms  dropped 18%  K 5"


def test_pictures_come_as_they_are_shown_and_the_newest_wins(page: WebPreview) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(page.address).port or 0)
    page.show(np.full((96, 128, 3), (200, 30, 30), np.uint8), STATS)
    connection.request("GET", "/pictures")
    answer = connection.getresponse()
    assert answer.getheader("Content-Type", "").startswith("multipart/x-mixed-replace")
    assert _next_picture(answer).mean(axis=(0, 1)) == pytest.approx([200, 30, 30], abs=4)
    for level in (10, 60, 110):
        page.show(np.full((96, 128, 3), level, np.uint8), STATS)
    while (level := _next_picture(answer).mean()) < 100:
        assert level < 70
    assert level == pytest.approx(110, abs=3)
    connection.close()


def _next_picture(answer: http.client.HTTPResponse) -> np.ndarray:
    """Return the next picture of a stream as RGB."""
    while line := answer.fp.readline():
        if found := re.match(rb"Content-Length: (\d+)", line):
            answer.fp.readline()
            data = np.frombuffer(answer.fp.read(int(found.group(1))), np.uint8)
            bgr = cv2.imdecode(data, cv2.IMREAD_COLOR)
            assert bgr is not None
            return np.asarray(bgr)[..., ::-1]
    raise AssertionError("the stream ended")


def test_buttons_work_by_post_only(page: WebPreview) -> None:
    for button in BUTTONS:
        assert _ask(page, f"/press/{button}", "POST")[0] == 204
        assert _ask(page, f"/press/{button}")[0] == 404
    assert page.pressed() == list(BUTTONS)
    assert page.pressed() == []
    assert _ask(page, "/press/explode", "POST")[0] == 404
    assert _ask(page, "/../../etc/passwd")[0] == 404
    assert page.pressed() == []


def test_other_sites_in_the_same_browser_can_neither_press_nor_read(page: WebPreview) -> None:
    own = f"http://127.0.0.1:{urlsplit(page.address).port}"
    assert _ask(page, "/press/quit", "POST", Origin="http://evil.example")[0] == 403
    assert _ask(page, "/stats", Host="evil.example")[0] == 403
    assert page.pressed() == []
    assert _ask(page, "/press/pause", "POST", Origin=own)[0] == 204
    assert page.pressed() == ["pause"]


def test_pictures_are_not_for_the_pages_of_other_sites(page: WebPreview) -> None:
    for site in ("cross-site", "same-site"):
        assert _ask(page, "/pictures", **{"Sec-Fetch-Site": site})[0] == 403
    port = urlsplit(page.address).port or 0
    page.show(np.zeros((96, 128, 3), np.uint8), STATS)
    for headers in ({}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/pictures?n=7", headers=headers)
        answer = connection.getresponse()
        assert answer.status == 200
        assert answer.getheader("Cross-Origin-Resource-Policy") == "same-origin"
        connection.close()


def test_names_of_the_page_are_taken_as_browsers_write_them(page: WebPreview) -> None:
    port = urlsplit(page.address).port
    assert _ask(page, "/", Host=f"LocalHost:{port}")[0] == 200
    assert _ask(page, "/", Host="localhost")[0] == 403
    for origin in ("http://[", "null", "", "http://127.0.0.1"):
        assert _ask(page, "/press/quit", "POST", Origin=origin)[0] == 403
    for path in ("/quit", "quit", "/press/press/quit", "/PRESS/quit"):
        assert _ask(page, path, "POST")[0] in (400, 404)
    assert page.pressed() == []


def test_on_port_80_the_port_goes_without_saying(monkeypatch: pytest.MonkeyPatch) -> None:
    class Served:
        server_address = ("127.0.0.1", 80)

    monkeypatch.setattr("vidsal.live.previews.web._Server", lambda *_: Served())
    assert {"localhost", "localhost:80", "127.0.0.1"} <= WebPreview("127.0.0.1", 80).names


def test_on_loopback_only_unless_asked(page: WebPreview) -> None:
    assert page.server.server_address[0] == "127.0.0.1"
    assert page.token is None
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost")] == [True] * 3
    assert [is_loopback(host) for host in ("0.0.0.0", "192.168.1.5", "my.host")] == [False] * 3


def test_beyond_loopback_the_token_is_needed() -> None:
    with open_page("0.0.0.0", 0) as page:
        token = urlsplit(page.address).query.removeprefix("token=")
        assert len(token) >= 20
        assert page.token == token
        for path in ("/", "/stats", "/pictures", "/press/quit"):
            for query in ("", "?token=", f"?token={token[:-1]}", f"?token={token}x", "?token=ä"):
                method = "POST" if path.startswith("/press") else "GET"
                asked = (path + query).encode("utf-8").decode("latin-1").replace("ä", "%E4")
                asked = asked.encode("ascii", "replace").decode()
                assert _ask(page, asked, method)[0] == 403
        assert page.pressed() == []
        assert _ask(page, f"/?token={token}")[0] == 200
        assert _ask(page, f"/press/quit?token={token}", "POST")[0] == 204
        assert page.pressed() == ["quit"]
    with open_page("0.0.0.0", 0) as page:
        assert page.token != token


def test_tokens_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return a == b

    monkeypatch.setattr("vidsal.live.previews.web.hmac.compare_digest", compare)
    with open_page("0.0.0.0", 0) as page:
        assert _ask(page, "/?token=guess")[0] == 403
        assert page.token is not None
        assert compared == [(b"guess", page.token.encode())]


def test_a_page_that_is_open_does_not_hold_up_the_end() -> None:
    with open_page("127.0.0.1", 0) as page:
        page.show(np.zeros((96, 128, 3), np.uint8), STATS)
        connection = http.client.HTTPConnection("127.0.0.1", urlsplit(page.address).port or 0)
        connection.request("GET", "/pictures")
        _next_picture(connection.getresponse())
        began_s = time.monotonic()
    assert time.monotonic() - began_s < 1
    connection.close()


def test_a_port_in_use_is_one_line(page: WebPreview) -> None:
    port = urlsplit(page.address).port or 0
    with pytest.raises(VidsalError, match="give another port="), open_page("127.0.0.1", port):
        pass


def test_a_name_that_is_none_is_one_line() -> None:
    with (
        pytest.raises(VidsalError, match=r"at no\.such\.host\.invalid:0: .+; give another host="),
        open_page("no.such.host.invalid", 0),
    ):
        pass


def test_an_address_of_another_machine_is_one_line() -> None:
    with pytest.raises(VidsalError, match="give another host="), open_page("203.0.113.5", 0):
        pass


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_a_page_at_an_address_of_ipv6(host: str) -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    with open_page(host, 0) as page:
        assert page.address.startswith("http://[::1]:") and page.token is None
        port = urlsplit(page.address).port or 0
        connection = http.client.HTTPConnection("::1", port)
        connection.request("GET", "/stats")
        assert connection.getresponse().status == 200
        connection.close()


def test_two_who_look_get_the_same_picture(page: WebPreview) -> None:
    page.show(np.full((96, 128, 3), 90, np.uint8), STATS)
    one, other = (next(page.pictures()) for _ in range(2))
    assert one is other
    page.show(np.full((96, 128, 3), 190, np.uint8), STATS)
    later, _ = next(page.pictures())
    grey = cv2.imdecode(np.frombuffer(later, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert grey is not None and abs(float(grey.mean()) - 190) < 2


def test_without_a_display_there_is_a_page(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(
        "vidsal.live.previews.window.subprocess.run", lambda *_, **__: pytest.fail("looked for one")
    )
    said: list[str] = []
    with open_preview("auto", host="127.0.0.1", port=0, say=said.append) as preview:
        assert isinstance(preview, WebPreview)
        assert said == [f"preview at {preview.address}"]
    with (
        pytest.raises(VidsalError, match="preview='web' shows a web page instead"),
        open_preview("window", host="127.0.0.1", port=0, say=said.append),
    ):
        pass
    with open_preview("none", host="127.0.0.1", port=0, say=said.append) as nothing:
        nothing.show(np.zeros((8, 8, 3), np.uint8), STATS)
        assert nothing.pressed() == []
    assert len(said) == 1


def test_a_closed_window_is_quit_and_keys_are_buttons(monkeypatch: pytest.MonkeyPatch) -> None:
    """With OpenCV's window functions replaced: Qt raises once its last window is closed."""
    keys = iter([ord("R"), -1, 0x100000 | ord("t"), 27, ord("x"), -1])
    visible = iter([1.0] * 5)

    def shown(*_: object) -> float:
        try:
            return next(visible)
        except StopIteration:
            raise cv2.error("NULL guiReceiver") from None

    fakes = {"namedWindow": None, "resizeWindow": None, "imshow": None, "destroyAllWindows": None}
    for name in fakes:
        monkeypatch.setattr(cv2, name, lambda *_: None)
    monkeypatch.setattr(cv2, "waitKey", lambda _: next(keys))
    monkeypatch.setattr(cv2, "getWindowProperty", shown)
    with window.open_window() as opened:
        assert opened.pressed() == []
        opened.show(np.zeros((8, 8, 3), np.uint8), STATS)
        pressed = [opened.pressed() for _ in range(6)]
    assert pressed == [["record"], [], ["target"], ["quit"], [], ["quit"]]


@pytest.mark.skipif(sys.platform != "linux", reason="a display that is not there, in X11's words")
def test_a_display_that_does_not_answer_aborts_another_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DISPLAY", ":987")
    monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
    assert not window.has_window()


def test_each_picture_comes_with_its_own_statistics(page: WebPreview) -> None:
    for level in (60, 180):
        page.show(np.full((96, 128, 3), level, np.uint8), replace(STATS, latency_ms=float(level)))
        jpeg, stats = next(page.pictures())
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert picture is not None
        assert picture.mean() == pytest.approx(json.loads(stats)["latency_ms"], abs=2)
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(page.address).port or 0)
    connection.request("GET", "/pictures")
    answer = connection.getresponse()
    head = [answer.fp.readline() for _ in range(5)]
    connection.close()
    (sent,) = (line for line in head if line.startswith(b"Vidsal-Stats: "))
    assert json.loads(sent.partition(b" ")[2])["latency_ms"] == 180


def test_text_is_on_the_page_once(page: WebPreview) -> None:
    # Statistics are beside the picture, and classes in its caption, if it has one.
    assert not page.draws_stats
    text = _ask(page, "/")[1].decode()
    assert 'class="class" id="top_class"' in text and "stats.is_captioned" in text
