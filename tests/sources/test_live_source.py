"""Live sources: cameras and streams that come, go, and come back."""

import csv
import itertools
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from live_fakes import SIZE, Clock, FakeCapture, faked_source, length_of, live_settings, previewing

from vidsal.errors import UsageError, VidsalError
from vidsal.live import session
from vidsal.live.preview import Button
from vidsal.live.session import live
from vidsal.live.statistics import LiveStats
from vidsal.settings import LiveOptions, Warmup
from vidsal.sources import open_source
from vidsal.sources.capture import (
    CameraCapture,
    StreamCapture,
    camera_fault,
    capture_of,
    check_address,
    display_name,
)
from vidsal.sources.live import LiveSource
from vidsal.types import SourceInfo


def test_times_run_from_the_first_frame() -> None:
    clock = Clock()
    with faked_source([FakeCapture(5, clock=clock)], clock) as source:
        assert source.info == SourceInfo("camera 7", *SIZE, Fraction(20), is_live=True)
        frames = list(source.frames())
    assert [frame.time_s for frame in frames] == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])
    assert [int(frame.rgb[0, 0, 0]) for frame in frames] == [0, 2, 4, 6, 8]


def test_a_duration_ends_it_and_every_thins_it_out() -> None:
    clock = Clock()
    with faked_source([FakeCapture(99, clock=clock)], clock, duration=0.5, every=3) as source:
        assert source.info.fps == Fraction(20, 3)
        assert [frame.index for frame in source.frames()] == [0, 3, 6, 9]


@pytest.mark.parametrize(("step_s", "stale_s"), [(0.05, 1.0), (2.0, 6.0)])
def test_what_is_silent_for_longer_than_usual_is_lost_until_a_picture_comes(
    step_s: float, stale_s: float
) -> None:
    clock = Clock()
    with faked_source([FakeCapture(4, clock=clock, step_s=step_s)], clock) as source:
        frames = source.frames()
        assert not source.is_lost
        for _ in range(2):
            next(frames)
        for waited_s, is_lost in ((0.0, False), (stale_s - 0.1, False), (0.2, True), (5.0, True)):
            clock.now_s += waited_s
            assert source.is_lost == is_lost
        next(frames)
        assert not source.is_lost


def test_a_lost_source_is_sought_with_growing_pauses_and_times_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    away = [FakeCapture(0, fault="away") for _ in range(6)]
    captures = [FakeCapture(3, clock=clock), *away, FakeCapture(2, clock=clock)]
    with faked_source(captures, clock, keeps_trying=True) as source:
        frames = []
        for frame in source.frames():
            frames.append(frame)
            if len(frames) == 5:
                source.stop()
    # 0.5 + 1 + 2 + 4 + 8 + 10 + 10 seconds; the clock goes on through all of them.
    assert sum(clock.slept) == pytest.approx(35.5)
    times = [frame.time_s for frame in frames]
    assert times == pytest.approx([0, 0.05, 0.1, 35.65, 35.7])
    assert [one.is_closed for one in captures] == [True] * 8
    said = [record.getMessage() for record in caplog.records]
    assert said[0] == "camera 7 is lost; trying again in 0.5 s"
    assert [text.split()[-2] for text in said[:-1]] == ["0.5", "1", "2", "4", "8", "10", "10"]
    assert said[-1] == "camera 7 is back after 35.5 s"


def test_without_wish_to_try_again_a_lost_source_is_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    with faked_source([FakeCapture(3, clock=clock)], clock) as source:
        assert len(list(source.frames())) == 3
    assert "camera 7 stopped delivering after 0.1 s" in caplog.text


def test_stop_while_it_is_sought_ends_at_once() -> None:
    clock = Clock()
    captures = [FakeCapture(1, clock=clock), *(FakeCapture(0, fault="away") for _ in range(9))]
    source = faked_source(captures, clock, keeps_trying=True)
    slept = clock.sleep

    def sleep(seconds: float) -> None:
        slept(seconds)
        if sum(clock.slept) > 3:
            source.stop()

    source._sleep = sleep
    with source:
        assert len(list(source.frames())) == 1
    assert sum(clock.slept) == pytest.approx(3.05)


def test_a_size_that_changes_is_brought_to_the_first_one() -> None:
    clock = Clock()
    captures = [FakeCapture(1, clock=clock), FakeCapture(1, clock=clock, size=(200, 100), fps=5)]
    with faked_source(captures, clock, keeps_trying=True) as source:
        shapes = [frame.rgb.shape for frame in itertools.islice(source.frames(), 2)]
        source.stop()
    assert shapes == [(*SIZE, 3)] * 2


@pytest.mark.parametrize("claimed", [0.0, -1.0, 1e6, 90_000.0, float("nan"), float("inf")])
def test_an_absurd_rate_is_taken_for_a_usual_one(claimed: float) -> None:
    clock = Clock()
    with faked_source([FakeCapture(1, clock=clock, fps=claimed)], clock) as source:
        assert source.info.fps == 30


def test_a_clock_that_goes_back_stands_still_and_goes_on() -> None:
    clock = Clock()

    def back() -> None:
        clock.now_s -= 3600

    with faked_source([FakeCapture(4, clock=clock, at={2: back})], clock) as source:
        times = [frame.time_s for frame in source.frames()]
    assert times == pytest.approx([0, 0.05, 0.05, 0.1])


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


def test_words_that_mean_something_live(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(capture_of("rtsp://camera/1"), StreamCapture)
    assert isinstance(capture_of("/dev/video3"), CameraCapture)
    assert display_name("/dev/video3") == "camera 3"
    assert display_name("/dev/v4l/by-id/usb-cam") == "camera usb-cam"
    assert display_name("rtsp://me:secret@door.local:554/h264") == "stream door.local-554"
    assert display_name("udp://me:s@cret@[::1]:abc") == "stream --1-abc"
    opened: list[str] = []
    monkeypatch.setattr(
        "vidsal.sources.LiveSource", lambda address, settings: opened.append(address)
    )
    for word in ("UDP://127.0.0.1:5000", "http://a/b.m3u8", "tcp://a:1", "/dev/video3"):
        open_source(word, live_settings())
    assert opened == ["UDP://127.0.0.1:5000", "http://a/b.m3u8", "tcp://a:1", "/dev/video3"]
    with pytest.raises(UsageError, match="²: not a camera or a stream"):
        check_address("²")
    with pytest.raises(UsageError, match="--start cannot be used: stream a begins now"):
        open_source("rtsp://a", live_settings(start=3.0))


# A stream of ffmpeg's on loopback.


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


def test_a_stream_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(VidsalError, match=r"^stream 127.0.0.1-9 cannot be read: .*refused"):
        LiveSource("http://me:secret@127.0.0.1:9/x", live_settings())
    monkeypatch.setattr("vidsal.sources.capture._SILENCE_S", 0.5)
    with pytest.raises(VidsalError, match=r"nothing came in 0.5 s: is the sender on\?$"):
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
    assert "is lost; trying again" in caplog.text
    assert "is back after" in caplog.text
    count, seconds = length_of(out)
    assert seconds == pytest.approx(6.0, abs=0.1)
    times = [float(row["time_s"]) for row in csv.DictReader(table.open())]
    gaps = np.diff(times)
    assert 1.0 < gaps.max() < 4.0
    assert sorted(gaps)[-2] < gaps.max()
    assert summary.seen < count
