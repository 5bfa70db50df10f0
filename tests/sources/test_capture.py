"""Cameras through OpenCV, streams through ffmpeg."""

import csv
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from camera_help import FakeVideoCapture, camera_source
from live_fakes import hide_coded_size, length_of, live_settings, previewing

from vidsal.errors import VidsalError
from vidsal.live import session
from vidsal.live.preview import Button
from vidsal.live.session import live
from vidsal.live.statistics import LiveStats
from vidsal.media import ffmpeg
from vidsal.settings import LiveOptions
from vidsal.settings.values import Warmup
from vidsal.sources.capture import (
    CameraCapture,
    StreamCapture,
    camera_fault,
    capture_of,
    stream_arguments,
)
from vidsal.sources.live import LiveSource
from vidsal.sources.resolve import parse_live


def test_a_camera_is_read_by_opencv_and_a_stream_by_ffmpeg() -> None:
    with_opencv = capture_of(parse_live("/dev/video3"))
    assert isinstance(with_opencv, CameraCapture)
    stream = capture_of(parse_live("rtsp://camera/1"))
    assert isinstance(stream, StreamCapture)
    stream.close()


def _after(arguments: list[str], name: str) -> str:
    return arguments[arguments.index(name) + 1]


def test_each_protocol_has_its_own_timeout() -> None:
    rtsp = stream_arguments("rtsp://a/1")
    assert (_after(rtsp, "-rtsp_transport"), _after(rtsp, "-timeout")) == ("tcp", "5000000")
    tcp = stream_arguments("tcp://a:1")
    assert (_after(tcp, "-rw_timeout"), _after(tcp, "-i")) == ("5000000", "tcp://a:1")
    buffered = "overrun_nonfatal=1&fifo_size=100000&timeout=5000000"
    assert _after(stream_arguments("UDP://a:1"), "-i") == f"UDP://a:1?{buffered}"
    assert _after(stream_arguments("udp://a:1?ttl=2"), "-i") == f"udp://a:1?ttl=2&{buffered}"


@pytest.mark.parametrize("name", ["camera 0 that is not there", "camera 0 that gives nothing"])
def test_camera_that_cannot_be_used_is_one_line(name: str) -> None:
    capture = FakeVideoCapture(0)
    if name.endswith("nothing"):
        capture.isOpened = lambda: True  # type: ignore[method-assign]
    with pytest.raises(VidsalError) as caught:
        camera_source(capture)
    assert str(caught.value) == f"camera 0 cannot be used: {camera_fault('0')}"
    assert "\n" not in str(caught.value)
    assert capture.released


def test_what_is_wrong_with_a_camera_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "video2").write_bytes(b"")
    for system, way_out in {"darwin": "System Settings, Privacy", "win32": "desktop apps"}.items():
        monkeypatch.setattr(sys, "platform", system)
        assert way_out in camera_fault("0", devices=tmp_path)
        assert camera_fault("0").endswith("; `vidsal doctor` lists the cameras that answer")
    monkeypatch.setattr(sys, "platform", "linux")
    assert camera_fault("0", devices=tmp_path) == (
        f"there is no {tmp_path / 'video0'}, but {tmp_path / 'video2'}"
    )
    assert "another program may have it" in camera_fault("2", devices=tmp_path)
    if os.geteuid() != 0:
        (tmp_path / "video2").chmod(0)
        assert "usermod -aG video" in camera_fault("2", devices=tmp_path)


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def _sent(port: int, picture: str = "color=red", size: str = "160x120") -> Iterator[None]:
    """Send a picture over UDP in real time."""
    process = subprocess.Popen(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "quiet", "-re", "-f", "lavfi", "-i",
         f"{picture}:size={size}:rate=25", "-t", "30", "-c:v", "libx264", "-preset", "ultrafast",
         "-tune", "zerolatency", "-g", "10", "-f", "mpegts",
         f"udp://127.0.0.1:{port}?pkt_size=1316"],
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        process.kill()
        process.wait()


def test_a_stream_is_read_in_its_size_rate_and_colours() -> None:
    port = _free_port()
    with (
        _sent(port),
        LiveSource(f"udp://127.0.0.1:{port}", live_settings(duration=1.0)) as source,
    ):
        info = source.info
        assert (info.height_px, info.width_px) == (120, 160)
        assert info.fps == 25
        frames = list(source.frames())
    assert 15 <= len(frames) <= 40
    assert frames[-1].time_s < 1.0
    assert frames[5].rgb.mean(axis=(0, 1)) == pytest.approx([254, 0, 0], abs=3)


@pytest.mark.parametrize("is_described", [True, False])
def test_headers_state_a_rate_that_was_not_measured(
    is_described: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy machine receives too few pictures at first, or no key frame among them."""
    monkeypatch.setattr("vidsal.sources.capture._claimed_fps", lambda _: 0.0)
    if not is_described:
        hide_coded_size(monkeypatch)
    port = _free_port()
    capture = StreamCapture(parse_live(f"udp://127.0.0.1:{port}"))
    with _sent(port), closing(capture):
        assert capture.open() == (120, 160, 25.0)
        assert len(capture._processes) == (1 if is_described else 2)


def test_a_stream_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(VidsalError, match=r"^stream 127.0.0.1-9 cannot be read: .*refused"):
        LiveSource("http://me:secret@127.0.0.1:9/x", live_settings())
    monkeypatch.setattr("vidsal.sources.capture._SILENCE_S", 0.5)
    with pytest.raises(VidsalError, match=r"nothing arrived within 0.5 s: is the sender on\?$"):
        LiveSource(f"udp://127.0.0.1:{_free_port()}", live_settings())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("0.0.0.0", 0))
        with pytest.raises(VidsalError, match=r"already in use$"):
            LiveSource(f"udp://127.0.0.1:{taken.getsockname()[1]}", live_settings())


def test_a_stream_that_was_killed_and_comes_back_is_one_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("vidsal.sources.capture._SILENCE_S", 0.4)
    port, out, table = _free_port(), tmp_path / "o.mp4", tmp_path / "t.csv"
    senders = [_sent(port), _sent(port, "color=blue")]
    senders[0].__enter__()
    began: list[float] = []
    acts: dict[float, Callable[[], object]] = {
        1.5: lambda: senders[0].__exit__(None, None, None),
        3.0: senders[1].__enter__,
    }

    def act(_: LiveStats | None) -> list[Button]:
        began.append(time.monotonic())
        for due_s in [one for one in acts if one < began[-1] - began[0]]:
            acts.pop(due_s)()
        return []

    monkeypatch.setattr(session, "open_preview", previewing(act))
    try:
        summary = live(
            f"udp://127.0.0.1:{port}",
            live_settings(output=out, table=table, duration=6.0, annotate=False),
            LiveOptions(preview="none", warmup=Warmup()),
        )
    finally:
        senders[1].__exit__(None, None, None)
    assert "is lost; reconnecting" in caplog.text
    assert "is back after" in caplog.text
    count, seconds = length_of(out)
    assert seconds == pytest.approx(6.0, abs=0.1)
    times = [float(row["time_s"]) for row in csv.DictReader(table.open())]
    gaps = np.diff(times)
    assert 1.0 < gaps.max() < 4.0
    assert sorted(gaps)[-2] < gaps.max()
    assert summary.seen < count


_PROGRAM = """
import json, sys, time
if "-version" in sys.argv:
    sys.exit(print("ffmpeg version {version} Copyright (c) the FFmpeg developers"))
sys.stderr.write(
    "[info] Input #0, mpegts, from 'a':\\n"
    "[info]   Stream #0:0: Video: h264, yuv420p(tv, top first), 4x2, {rates}, 90k tbn\\n"
    "[info] Input #1, lavfi\\n"
)
sys.stderr.flush()
with open({log!r}, "w") as log:
    json.dump([sys.argv, sys.stdin.read()], log)
picture = lambda n: b"P6\\n4 2\\n255\\n" + bytes([n]) * 24
sys.stdout.buffer.write(b"".join(map(picture, range(10))))
sys.stdout.flush()
for n in (10, 11):
    time.sleep(0.1)
    sys.stdout.buffer.write(picture(n))
    sys.stdout.flush()
"""


@pytest.mark.parametrize(
    ("version", "rates", "option", "fps"),
    [
        ("n9.0.2-17", "24.9 fps, 25 tbr", "-/filter:v", 25.0),
        ("7.0.2-static", "25 fps, 50 tbr", "-/filter:v", 25.0),
        ("6.1.1-3ubuntu5", "25 tbr", "-filter_script:v", 25.0),
        ("N-110000-gabc", "29.97 fps", "-/filter:v", 29.97),
        ("n9.0.2-17", "25 fps, 90k tbr", "-/filter:v", 25.0),
        ("n9.0.2-17", "90k tbr", "-/filter:v", 0.0),
        ("n9.0.2-17", "1k fps, 1k tbr", "-/filter:v", 0.0),
    ],
)
def test_the_filters_follow_the_description_and_the_backlog_is_skipped(
    version: str,
    rates: str,
    option: str,
    fps: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program, log = tmp_path / "ffmpeg", tmp_path / "log"
    script = _PROGRAM.format(version=version, rates=rates, log=str(log))
    program.write_text(f"#!{sys.executable}\n{script}")
    program.chmod(0o755)
    monkeypatch.setattr(ffmpeg, "executable", lambda: str(program))
    with closing(StreamCapture(parse_live("udp://a:1"))) as capture:
        assert capture.open() == (2, 4, fps)
        pictures = [capture.read() for _ in range(3)]
    arguments, filters = json.loads(log.read_text())
    assert _after(arguments, option) == "pipe:0"
    assert ("-/bsf:v" in arguments) == (option == "-/filter:v")
    assert filters.startswith("bwdif=send_frame:auto:interlaced,scale=")
    # The first ten were sent before the stream was described.
    assert [rgb[0, 0, 0] if rgb is not None else None for rgb in pictures] == [10, 11, None]
