"""Live: sources that come and go, recordings in real time, and the whole programme with fakes."""

import csv
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import pytest
from conftest import BrightnessStage

import vidsal.live
from vidsal.adaptive import Adaptive
from vidsal.errors import UsageError, VidsalError
from vidsal.figures import Counting, Figures, Latencies, Rate, Summary
from vidsal.frames import Frame, Map, Request, Rgb, Saliency, SourceInfo, Target
from vidsal.live import LiveOptions, live
from vidsal.preview import Button
from vidsal.recording import Recording, free_name
from vidsal.settings import Settings
from vidsal.sizing import Size, Sizing, sizes
from vidsal.sources import open_source
from vidsal.sources.capture import (
    CameraCapture,
    StreamCapture,
    camera_fault,
    capture_of,
    spoken,
)
from vidsal.sources.live import LiveSource
from vidsal.stream import analyse_frames

SIZE = (96, 128)


class Clock:
    """Seconds that pass only where something takes time."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds


class FakeCapture:
    """Delivers grey pictures of level 2 n, one each `step_s` on a clock; None for a lost one."""

    def __init__(
        self,
        count: float,
        *,
        clock: Clock | None = None,
        step_s: float = 0.05,
        size: tuple[int, int] = SIZE,
        fps: float = 20.0,
        fault: str = "",
        at: dict[int, Callable[[], None]] | None = None,
    ) -> None:
        self._count, self._clock, self._step_s, self._size = count, clock, step_s, size
        self._fps, self._fault, self._at = fps, fault, at or {}
        self.reads = 0
        self.is_stopped = self.is_closed = False

    def open(self) -> tuple[int, int, float]:
        if self._fault:
            raise VidsalError(self._fault)
        return *self._size, self._fps

    def read(self) -> Rgb | None:
        number, self.reads = self.reads, self.reads + 1
        if number in self._at:
            self._at[number]()
        if number >= self._count or self.is_stopped:
            return None
        if self._clock:
            self._clock.now_s += self._step_s
        else:
            time.sleep(self._step_s)
        return np.full((*self._size, 3), 2 * number % 200, np.uint8)

    def stop(self) -> None:
        self.is_stopped = True

    def close(self) -> None:
        self.is_closed = True


def _settings(**options: Any) -> Settings:
    known: dict[str, Any] = {"model": "none", "working_width": 64, "flow": "dis", "batch": 1}
    return Settings(**known | options)


def _source(
    captures: Sequence[FakeCapture], clock: Clock, *, keeps_trying: bool = False, **options: Any
) -> LiveSource:
    """A source that is found again in one capture after the other."""
    following = iter(captures)
    return LiveSource(
        "7", _settings(**options), keeps_trying=keeps_trying,
        open_capture=lambda address: next(following), clock=clock, sleep=clock.sleep,
    )  # fmt: skip


# Sources.


def test_times_run_from_the_first_frame() -> None:
    clock = Clock()
    with _source([FakeCapture(5, clock=clock)], clock) as source:
        assert source.info == SourceInfo("camera 7", *SIZE, Fraction(20), is_live=True)
        frames = list(source.frames())
    assert [frame.time_s for frame in frames] == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])
    assert [int(frame.rgb[0, 0, 0]) for frame in frames] == [0, 2, 4, 6, 8]


def test_a_duration_ends_it_and_every_thins_it_out() -> None:
    clock = Clock()
    with _source([FakeCapture(99, clock=clock)], clock, duration=0.5, every=3) as source:
        assert source.info.fps == Fraction(20, 3)
        assert [frame.index for frame in source.frames()] == [0, 3, 6, 9]


def test_a_lost_source_is_sought_with_growing_pauses_and_times_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    away = [FakeCapture(0, fault="away") for _ in range(6)]
    captures = [FakeCapture(3, clock=clock), *away, FakeCapture(2, clock=clock)]
    with _source(captures, clock, keeps_trying=True) as source:
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
    with _source([FakeCapture(3, clock=clock)], clock) as source:
        assert len(list(source.frames())) == 3
    assert "camera 7 stopped delivering after 0.1 s" in caplog.text


def test_stop_while_it_is_sought_ends_at_once() -> None:
    clock = Clock()
    captures = [FakeCapture(1, clock=clock), *(FakeCapture(0, fault="away") for _ in range(9))]
    source = _source(captures, clock, keeps_trying=True)
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
    with _source(captures, clock, keeps_trying=True) as source:
        shapes = [frame.rgb.shape for frame in itertools.islice(source.frames(), 2)]
        source.stop()
    assert shapes == [(*SIZE, 3)] * 2


@pytest.mark.parametrize("claimed", [0.0, -1.0, 1e6, 90_000.0, float("nan"), float("inf")])
def test_an_absurd_rate_is_taken_for_a_usual_one(claimed: float) -> None:
    clock = Clock()
    with _source([FakeCapture(1, clock=clock, fps=claimed)], clock) as source:
        assert source.info.fps == 30


def test_a_clock_that_goes_back_stands_still_and_goes_on() -> None:
    clock = Clock()

    def back() -> None:
        clock.now_s -= 3600

    with _source([FakeCapture(4, clock=clock, at={2: back})], clock) as source:
        times = [frame.time_s for frame in source.frames()]
    assert times == pytest.approx([0, 0.05, 0.05, 0.1])


def test_what_is_wrong_with_a_camera_is_said(tmp_path: Path) -> None:
    (tmp_path / "video2").write_bytes(b"")
    if sys.platform != "linux":
        return
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
    assert spoken("/dev/video3") == "camera 3"
    assert spoken("/dev/v4l/by-id/usb-cam") == "camera usb-cam"
    assert spoken("rtsp://me:secret@door.local:554/h264") == "stream door.local-554"
    assert spoken("udp://me:s@cret@[::1]:abc") == "stream --1-abc"
    opened: list[str] = []
    monkeypatch.setattr(
        "vidsal.sources.LiveSource", lambda address, settings: opened.append(address)
    )
    for word in ("UDP://127.0.0.1:5000", "http://a/b.m3u8", "tcp://a:1", "/dev/video3"):
        open_source(word, _settings())
    assert opened == ["UDP://127.0.0.1:5000", "http://a/b.m3u8", "tcp://a:1", "/dev/video3"]
    with pytest.raises(UsageError, match="--start is not for this source"):
        open_source("rtsp://a", _settings(start=3.0))


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
        LiveSource(f"udp://127.0.0.1:{port}", _settings(duration=1.0)) as source,
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
        LiveSource("http://me:secret@127.0.0.1:9/x", _settings())
    monkeypatch.setattr("vidsal.sources.capture._SILENCE_S", 0.5)
    with pytest.raises(VidsalError, match=r"nothing came in 0.5 s: is the sender on\?$"):
        LiveSource(f"udp://127.0.0.1:{_free_port()}", _settings())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("0.0.0.0", 0))
        with pytest.raises(VidsalError, match=r"already in use$"):
            LiveSource(f"udp://127.0.0.1:{taken.getsockname()[1]}", _settings())


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

    def act(_: Figures | None) -> list[Button]:
        began.append(time.monotonic())
        for due_s in [one for one in acts if one < began[-1] - began[0]]:
            acts.pop(due_s)()
        return []

    monkeypatch.setattr(vidsal.live, "open_preview", _previewing(act))
    try:
        summary = live(
            f"udp://127.0.0.1:{port}",
            _settings(output=out, table=table, duration=6.0, annotate=False),
            LiveOptions(preview="none", warmup_frames=0),
        )
    finally:
        senders[1].__exit__(None, None, None)
    assert "is lost; trying again" in caplog.text
    assert "is back after" in caplog.text
    count, seconds = _length(out)
    assert seconds == pytest.approx(6.0, abs=0.1)
    times = [float(row["time_s"]) for row in csv.DictReader(table.open())]
    gaps = np.diff(times)
    assert 1.0 < gaps.max() < 4.0
    assert sorted(gaps)[-2] < gaps.max()
    assert summary.seen < count


# Recordings.


def _length(path: Path) -> tuple[int, float]:
    count, seconds = imageio_ffmpeg.count_frames_and_secs(str(path))
    return int(count), float(seconds)


def _saliencies(times: Sequence[float], size: tuple[int, int] = SIZE) -> Iterator[Saliency]:
    clock = Clock()
    with _source([FakeCapture(len(times), clock=clock, size=size)], clock) as source:
        frames = list(source.frames())
    for one, time_s in zip(
        analyse_frames(frames, None, _settings(), batch=1, ahead=False), times, strict=True
    ):
        object.__setattr__(one.frame, "time_s", time_s)
        yield one


INFO = SourceInfo("camera 7", *SIZE, Fraction(20), is_live=True)


@pytest.mark.parametrize(
    "times", [[5.0], [5.0, 12.4, 31.0, 64.9], [5.0 + n / 7 for n in range(99)]]
)
def test_a_recording_lasts_as_long_as_it_took(times: list[float], tmp_path: Path) -> None:
    out, table = tmp_path / "o.mp4", tmp_path / "t.csv"
    settings = _settings(output=out, table=table)
    with Recording(INFO, settings, None) as recording:
        for one in _saliencies(times):
            recording.write(one, one.frame.rgb)
        recording.end(65.0)
    count, seconds = _length(out)
    assert seconds == pytest.approx(60.0, abs=0.1)
    assert count == pytest.approx(1200, abs=2)
    rows = [float(row["time_s"]) for row in csv.DictReader(table.open())]
    assert rows == pytest.approx([time_s - 5.0 for time_s in times], abs=1e-6)


def test_what_is_held_shows_the_last_picture_and_is_no_row(tmp_path: Path) -> None:
    out, table = tmp_path / "o.mp4", tmp_path / "t.csv"
    first, second = _saliencies([0.0, 10.0])
    with Recording(INFO, _settings(output=out, table=table), None) as recording:
        recording.write(first, first.frame.rgb)
        for n in range(100):
            recording.hold(n / 10)
        recording.write(second, second.frame.rgb)
        recording.end(12.0)
    assert _length(out)[0] == pytest.approx(240, abs=2)
    assert [row["time_s"] for row in csv.DictReader(table.open())] == ["0.000000", "10.000000"]


def test_segments_follow_one_another_without_a_gap(tmp_path: Path) -> None:
    out, table = tmp_path / "o.mp4", tmp_path / "t.csv"
    (tmp_path / "o_002.mp4").write_bytes(b"mine")
    settings = _settings(output=out, table=table)
    with Recording(INFO, settings, None, segment_s=4.0) as recording:
        for one in _saliencies([n / 2 for n in range(21)]):
            recording.write(one, one.frame.rgb)
        recording.end(10.0)
    videos = [path for path in recording.files if path.suffix == ".mp4"]
    # What is there is never replaced: the second file has another number.
    assert [path.name for path in videos] == ["o.mp4", "o_003.mp4", "o_004.mp4"]
    assert (tmp_path / "o_002.mp4").read_bytes() == b"mine"
    assert sum(_length(path)[1] for path in videos) == pytest.approx(10.0, abs=0.1)
    assert [_length(path)[1] for path in videos] == pytest.approx([4, 4, 2], abs=0.1)
    tables = sorted(tmp_path.glob("t*.csv"))
    assert [len(list(csv.DictReader(path.open()))) for path in tables] == [8, 8, 5]


def test_a_recording_begun_while_nothing_comes_lasts_from_then_on(tmp_path: Path) -> None:
    out, table = tmp_path / "o.mp4", tmp_path / "t.csv"
    with Recording(INFO, _settings(output=out, table=table), None) as recording:
        for one in _saliencies([5.0, 6.0]):
            recording.write(one, one.frame.rgb, since_s=2.0)
        recording.end(8.0)
    assert _length(out)[1] == pytest.approx(6.0, abs=0.06)
    rows = [float(row["time_s"]) for row in csv.DictReader(table.open())]
    assert rows == pytest.approx([3.0, 4.0], abs=1e-6)


def test_a_disk_that_fills_up_ends_the_recording_while_it_can_be_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = [10**12] * 4 + [10**6]
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(
        "vidsal.recording.shutil.disk_usage", lambda _: usage(0, 0, free.pop(0) if free else 0)
    )
    settings = _settings(output=tmp_path / "o.mp4", table=tmp_path / "t.csv")
    saliencies = _saliencies([n / 10 for n in range(100)])
    written = 0
    with (
        pytest.raises(VidsalError, match=r"nearly full, so the recording ends here; .*o\.mp4"),
        Recording(INFO, settings, None) as recording,
    ):
        for one in saliencies:
            recording.write(one, one.frame.rgb)
            written += 1
    # It is looked at once a second, one of which the claim of the name took.
    assert 20 <= written <= 50
    assert recording.files == [tmp_path / "o.mp4", tmp_path / "t.csv"]
    assert _length(tmp_path / "o.mp4")[1] == pytest.approx(written / 10, abs=0.15)
    rows = list(csv.DictReader((tmp_path / "t.csv").open()))
    assert len(rows) == written + 1


def test_a_segment_that_is_over_while_nothing_comes_ends_in_time(tmp_path: Path) -> None:
    first, second = _saliencies([0.0, 9.0])
    settings = _settings(output=tmp_path / "o.mp4", table=tmp_path / "t.csv")
    with Recording(INFO, settings, None, segment_s=4.0) as recording:
        recording.write(first, first.frame.rgb)
        for n in range(90):
            recording.hold(n / 10)
        recording.write(second, second.frame.rgb)
        recording.end(10.0)
    videos = [path for path in recording.files if path.suffix == ".mp4"]
    assert [_length(path)[1] for path in videos] == pytest.approx([4, 4, 2], abs=0.11)
    tables = [path for path in recording.files if path.suffix == ".csv"]
    rows = [[float(row["time_s"]) for row in csv.DictReader(path.open())] for path in tables]
    assert rows == [[0.0], [], [pytest.approx(1.0, abs=0.06)]]


def test_a_picture_of_another_size_begins_a_new_file(tmp_path: Path) -> None:
    first, second = _saliencies([0.0, 1.0])
    with Recording(INFO, _settings(output=tmp_path / "o.mp4"), None) as recording:
        recording.write(first, first.frame.rgb)
        recording.write(second, np.hstack([second.frame.rgb] * 2))
        recording.end(3.0)
    assert [_length(path)[1] for path in recording.files] == pytest.approx([1.0, 2.0], abs=0.1)


def test_a_recording_that_an_error_ends_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "o.mp4"
    with (
        pytest.raises(RuntimeError),
        Recording(INFO, _settings(output=out), None) as recording,
    ):
        for one in _saliencies([0.0, 1.0]):
            recording.write(one, one.frame.rgb)
        raise RuntimeError
    assert _length(out)[1] == pytest.approx(1.05, abs=0.06)


def test_a_name_in_use_is_said_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "o.mp4").write_bytes(b"mine")
    with pytest.raises(VidsalError, match="exists"):
        Recording(INFO, _settings(output=tmp_path / "o.mp4"), None)
    assert free_name(tmp_path / "o.mp4") == tmp_path / "o_002.mp4"


# Figures and sizes.


def test_rates_are_of_the_last_two_seconds() -> None:
    rate = Rate()
    assert rate.at(0.0, 0) == 0
    assert rate.at(1.0, 30) == 30
    for n in range(1, 50):
        now = rate.at(1.0 + n / 10, 30 + n)
    assert now == pytest.approx(10)


def test_percentiles_of_latency_are_those_of_numpy() -> None:
    rng = np.random.default_rng(0)
    ages = rng.gamma(3, 0.03, 5000)
    latencies = Latencies()
    assert latencies.percentile(0.5) is None
    for age in ages:
        latencies.add(float(age))
    for share in (0.05, 0.5, 0.95):
        assert latencies.percentile(share) == pytest.approx(
            1000 * np.quantile(ages, share), abs=1.0
        )


def test_the_summary_leaves_the_start_out() -> None:
    counting = Counting()
    counting.after(1.0, 100, 90, 5.0)
    counting.begin(2.0, 130, 100)
    for n in range(1, 21):
        counting.after(2.0 + n / 10, 130 + 3 * n, 100 + 2 * n, 0.08)
    summary = counting.summary()
    assert (summary.seen, summary.analysed, summary.dropped) == (60, 20, 40)
    assert summary.seconds == pytest.approx(2.0)
    assert summary.latency_ms == pytest.approx(80, abs=1)
    assert counting.rates == pytest.approx((30, 10, 20), rel=0.06)
    assert counting.dropped_share == pytest.approx(2 / 3, abs=0.02)
    assert summary.line().startswith("2.0 s: 60 frames seen, 20 analysed (10.0 a second), 40 dr")


def test_sizes_are_steps_down_from_what_was_asked_for() -> None:
    assert sizes(320, 256) == [Size(320, 256), Size(256, 192), Size(192, 160), Size(144, 128)]
    assert sizes(32, 32) == [Size(32, 32)]


def _sized(sizing: Sizing, seconds: float, begin_s: float = 0.0, **how: float) -> list[Size]:
    known = {"fps_in": 30.0, "fps_out": 30.0, "latency_ms": 50.0, "busy": 0.9} | how
    return [sizing.after(begin_s + n / 4, **known) for n in range(int(seconds * 4))]


def test_a_size_that_holds_the_rate_stays() -> None:
    sizing = Sizing(sizes(320, 256))
    assert set(_sized(sizing, 60, fps_out=28.0)) == {Size(320, 256)}


def test_a_rate_that_is_not_held_makes_it_smaller_step_by_step() -> None:
    sizing = Sizing(sizes(320, 256))
    found = _sized(sizing, 60, fps_out=20.0)
    assert list(dict.fromkeys(found)) == sizes(320, 256)
    assert found.index(Size(256, 192)) == 16  # After four seconds behind.
    assert _sized(Sizing(sizes(320, 256)), 9, fps_out=5.0).index(Size(256, 192)) == 8


def test_room_to_spare_makes_it_larger_with_growing_patience() -> None:
    sizing = Sizing(sizes(320, 256))
    _sized(sizing, 5, fps_out=20.0)
    assert sizing.now == Size(256, 192)
    found = _sized(sizing, 80, 5, busy=0.2)
    assert found.index(Size(320, 256)) == 40 * 4
    assert Size(320, 256) not in _sized(Sizing(sizes(320, 256)[1:]), 80, busy=0.2)


def test_after_a_pause_it_is_waited_anew() -> None:
    sizing = Sizing(sizes(320, 256))
    _sized(sizing, 1)
    sizing.resume()
    # Two seconds from here on, not from the beginning.
    assert set(_sized(sizing, 1.9, 60, fps_out=5.0)) == {Size(320, 256)}
    assert _sized(sizing, 1, 62, fps_out=5.0)[0] == Size(256, 192)


def test_a_latency_target_is_held_instead_of_the_rate() -> None:
    assert _sized(Sizing(sizes(320, 256), 100), 20, fps_out=5)[-1] == Size(320, 256)
    assert _sized(Sizing(sizes(320, 256), 100), 20, latency_ms=150)[-1] == Size(144, 128)


# The whole programme.


class FakePreview:
    """Remembers what it was shown; asks what is pressed."""

    def __init__(self, pressed: Callable[[Figures | None], list[Button]]) -> None:
        self.shown: list[tuple[Rgb, Figures]] = []
        self._pressed = pressed

    def show(self, picture: Rgb, figures: Figures) -> None:
        self.shown.append((picture, figures))

    def pressed(self) -> list[Button]:
        return self._pressed(self.shown[-1][1] if self.shown else None)


def _previewing(
    pressed: Callable[[Figures | None], list[Button]], kept: list[FakePreview] | None = None
) -> Callable[..., Any]:
    @contextmanager
    def opened(*_: Any, **__: Any) -> Iterator[FakePreview]:
        preview = FakePreview(pressed)
        if kept is not None:
            kept.append(preview)
        yield preview

    return opened


class SlowStage(BrightnessStage):
    """Takes its time over each map."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def maps(self, rgb: Rgb, requests: Sequence[Request]) -> Map:
        time.sleep(self._seconds)
        return super().maps(rgb, requests)


def _live(
    capture: FakeCapture,
    stage: BrightnessStage | None = None,
    options: LiveOptions | None = None,
    **settings: Any,
) -> Any:
    def open_fake(address: str, settings: Settings) -> LiveSource:
        return LiveSource(address, settings, open_capture=lambda _: capture)

    return live(
        "7", _settings(**settings), options or LiveOptions(preview="none", warmup_frames=0),
        open_source=open_fake, static=lambda: stage,
    )  # fmt: skip


def test_latency_does_not_grow_when_analysis_is_slow(tmp_path: Path) -> None:
    """Forty frames a second, six of which can be analysed: what is shown is never older than two
    rounds, and the recording keeps real time."""
    out = tmp_path / "o.mp4"
    summary = _live(
        FakeCapture(9999, step_s=0.025, fps=40), SlowStage(0.15), output=out, duration=3.0
    )
    assert summary.seen == pytest.approx(115, abs=15)
    assert 8 <= summary.analysed <= 20
    assert summary.dropped == pytest.approx(summary.seen - summary.analysed, abs=3)
    assert 150 <= summary.latency_ms <= summary.latency_p95_ms <= 450
    assert _length(out)[1] == pytest.approx(3.0, abs=0.1)


def test_frames_are_all_analysed_where_that_is_fast_enough() -> None:
    summary = _live(FakeCapture(40, step_s=0.05), BrightnessStage())
    assert (summary.seen, summary.dropped) == (39, 0)
    assert summary.analysed == 39
    assert summary.latency_ms < 60


def test_a_smooth_stream_is_adapted_to_and_shows_its_figures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept: list[FakePreview] = []
    adapted: list[float] = []
    lines: list[str] = []
    monkeypatch.setattr(vidsal.live, "open_preview", _previewing(lambda _: [], kept))
    monkeypatch.setattr(Adaptive, "adapt", lambda _, now_s, counting: adapted.append(now_s))
    real = Figures.line

    def line(figures: Figures) -> str:
        lines.append(real(figures))
        return lines[-1]

    monkeypatch.setattr(Figures, "line", line)
    _live(FakeCapture(40, step_s=0.05), BrightnessStage())
    # Four times a second, at the next frame each time.
    assert 6 <= len(adapted) <= 9
    assert np.diff(adapted).max() < 0.4
    # All but the first that counts, and the one before it.
    assert len(lines) == len(kept[0].shown) - 2
    assert lines[-1].startswith("in 20/s  out 20/s  ")
    assert kept[0].shown[-1][1].fps_out == pytest.approx(20, abs=2)


def test_the_figures_stand_on_a_dark_strip(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[FakePreview] = []
    monkeypatch.setattr(vidsal.live, "open_preview", _previewing(lambda _: [], kept))
    white = FakeCapture(12, step_s=0.02)
    monkeypatch.setattr(white, "read", _always(white, np.full((240, 320, 3), 240, np.uint8)))
    white._size = (240, 320)
    _live(white, layout="side-by-side", colormap="viridis")
    # At the right edge, where there are no words: before there are figures, and with them.
    before, after = (kept[0].shown[n][0][:, -2:].mean(axis=(1, 2)) for n in (0, -1))
    rows = np.flatnonzero(after < 0.6 * before)
    assert 10 <= rows.size <= 30
    assert np.diff(rows).max() == 1
    assert rows[0] >= 5
    assert rows[-1] < 80


def _always(capture: FakeCapture, picture: Rgb) -> Callable[[], Rgb | None]:
    """Let a capture deliver the same picture all the time."""
    real = capture.read
    return lambda: None if real() is None else picture.copy()


class BrokenStage(BrightnessStage):
    """Fails at its fifth map."""

    def __init__(self) -> None:
        super().__init__()
        self._left = 5

    def maps(self, rgb: Rgb, requests: Sequence[Request]) -> Map:
        self._left -= 1
        if self._left < 0:
            raise RuntimeError("out of memory")
        return super().maps(rgb, requests)


def test_an_error_of_the_analysis_comes_out_however_slow_the_preview_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def slow(_: Figures | None) -> list[Button]:
        time.sleep(0.2)
        return []

    monkeypatch.setattr(vidsal.live, "open_preview", _previewing(slow))
    with pytest.raises(RuntimeError, match="out of memory"):
        _live(FakeCapture(9999), BrokenStage(), static_every=1)


def test_ctrl_c_ends_it_and_keeps_the_recording(tmp_path: Path) -> None:
    out = tmp_path / "o.mp4"
    before = signal.getsignal(signal.SIGINT)
    capture = FakeCapture(9999, at={30: lambda: os.kill(os.getpid(), signal.SIGINT)})
    began_s = time.monotonic()
    summary = _live(capture, output=out)
    assert time.monotonic() - began_s < 6
    assert _length(out)[1] == pytest.approx(summary.seconds, abs=0.15)
    assert signal.getsignal(signal.SIGINT) is before
    assert capture.is_closed


@pytest.mark.skipif(sys.platform == "win32", reason="signals that Windows does not send")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_told_to_end_it_keeps_the_recording(name: str, tmp_path: Path) -> None:
    out, number = tmp_path / "o.mp4", getattr(signal, name)
    before = signal.getsignal(number)
    # Twice in a row is once.
    kill = {n: lambda: os.kill(os.getpid(), number) for n in (30, 31)}
    summary = _live(FakeCapture(9999, at=kill), output=out)
    assert 1.0 < _length(out)[1] == pytest.approx(summary.seconds, abs=0.15)
    assert signal.getsignal(number) is before
    assert [path.name for path in tmp_path.iterdir()] == ["o.mp4"]


@pytest.mark.skipif(sys.platform == "win32", reason="os.kill ends the process there")
def test_while_the_network_loads_ctrl_c_interrupts(tmp_path: Path) -> None:
    def loading() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)

    capture = FakeCapture(9999)
    began_s = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        live(
            "7", _settings(output=tmp_path / "o.mp4"), LiveOptions(preview="none"),
            open_source=lambda address, settings: LiveSource(
                address, settings, open_capture=lambda _: capture
            ),
            static=loading,
        )  # fmt: skip
    assert time.monotonic() - began_s < 2
    assert capture.is_closed
    assert list(tmp_path.iterdir()) == []


def test_nothing_recorded_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    options = LiveOptions(preview="none", warmup_s=9)
    summary = _live(FakeCapture(5), options=options, output=tmp_path / "o.mp4")
    assert summary.files == ()
    assert "nothing was recorded" in caplog.text


def test_a_button_that_fails_does_not_end_the_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    presses: list[Button] = ["record", "snapshot"]
    kept: list[FakePreview] = []

    def pressed(_: Figures | None) -> list[Button]:
        return [presses.pop()] if presses and len(kept[0].shown) > 3 else []

    def refused(*_: Any) -> Any:
        raise VidsalError("no room left")

    monkeypatch.setattr(vidsal.live, "open_preview", _previewing(pressed, kept))
    monkeypatch.setattr("vidsal.recording.open_sinks", refused)
    monkeypatch.setattr(vidsal.live, "image_sink", refused)
    summary = _live(FakeCapture(20))
    assert len(kept[0].shown) >= 19
    assert summary.files == ()
    assert [one.getMessage() for one in caplog.records].count("no room left") == 2
    # What was asked for at the start is another matter.
    with pytest.raises(VidsalError, match="no room left"):
        _live(FakeCapture(20), output=tmp_path / "o.mp4")


def test_a_pause_is_no_reason_for_smaller_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[FakePreview] = []
    rates: list[tuple[float, ...]] = []
    due: list[tuple[float, Button]] = [(1.0, "pause"), (2.5, "pause")]
    began_s = time.monotonic()

    def pressed(_: Figures | None) -> list[Button]:
        is_due = due and time.monotonic() - began_s > due[0][0]
        return [due.pop(0)[1]] if is_due else []

    def adapt(_: Adaptive, now_s: float, counting: Counting) -> None:
        if not due:
            rates.append(counting.rates)

    monkeypatch.setattr(vidsal.live, "open_preview", _previewing(pressed, kept))
    monkeypatch.setattr(Adaptive, "adapt", adapt)
    _live(FakeCapture(80, step_s=0.05), BrightnessStage())
    assert any(figures.is_paused and figures.fps_out == 0 for _, figures in kept[0].shown)
    assert len(rates) >= 4
    assert all(came * 0.85 <= out for came, out, _ in rates[1:])


def test_warming_up_is_neither_counted_nor_recorded(tmp_path: Path) -> None:
    out = tmp_path / "o.mp4"
    options = LiveOptions(preview="none", warmup_s=1.0, warmup_frames=0)
    summary = _live(FakeCapture(9999), options=options, output=out, duration=1.0)
    assert summary.seconds == pytest.approx(1.0, abs=0.1)
    assert summary.seen == pytest.approx(20, abs=3)
    assert _length(out)[1] == pytest.approx(1.0, abs=0.1)


def test_buttons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    presses: list[tuple[int, Button]] = [
        (5, "record"), (15, "record"), (16, "layout"), (20, "snapshot"), (25, "pause"),
    ]  # fmt: skip
    kept: list[FakePreview] = []

    def pressed(_: Figures | None) -> list[Button]:
        if presses and len(kept[0].shown) >= presses[0][0]:
            return [presses.pop(0)[1]]
        is_paused = kept[0].shown and kept[0].shown[-1][1].is_paused
        return ["quit"] if is_paused and len(kept[0].shown) > 27 else []

    monkeypatch.setattr(vidsal.live, "open_preview", _previewing(pressed, kept))
    summary = _live(FakeCapture(9999), annotate=False)
    shown = kept[0].shown
    assert shown[10][1].is_recording or shown[14][1].is_recording
    assert [Path(name).name for name in summary.files] == ["camera7_saliency.mp4"]
    assert _length(Path(summary.files[0]))[1] == pytest.approx(0.5, abs=0.2)
    assert shown[0][0].shape == (*SIZE, 3)
    assert shown[22][0].shape == (SIZE[0], 2 * SIZE[1], 3)
    assert (tmp_path / "snapshot.png").exists()
    # A pause shows the last picture again and again.
    assert shown[-1][1].is_paused
    assert (shown[-1][0] == shown[-2][0]).all()


def test_a_pause_is_marked_and_takes_a_new_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    presses: list[tuple[int, Button]] = [(12, "pause"), (14, "layout"), (16, "quit")]
    kept: list[FakePreview] = []
    lines: list[str] = []

    def pressed(_: Figures | None) -> list[Button]:
        if presses and len(kept[0].shown) >= presses[0][0]:
            return [presses.pop(0)[1]]
        return []

    monkeypatch.setattr(vidsal.live, "open_preview", _previewing(pressed, kept))
    real = Figures.line

    def line(figures: Figures) -> str:
        lines.append(real(figures))
        return lines[-1]

    monkeypatch.setattr(Figures, "line", line)
    _live(FakeCapture(9999))
    shown = kept[0].shown
    height, width = SIZE
    assert [picture.shape for picture, _ in shown[12:14]] == [(height, width, 3)] * 2
    assert shown[-1][0].shape == (height, 2 * width, 3)
    assert lines[-1].startswith("PAUSED  in ")
    assert not any("PAUSED" in line for line in lines[:5])


def test_what_is_no_camera_and_no_stream_is_said() -> None:
    for address, said in {
        "a.mp4": r"^a.mp4: not a camera or a stream \(a file: vidsal run a.mp4\)$",
        "ftp://me:secret@a/b": "^ftp:// is not a stream that can be read",
    }.items():
        with pytest.raises(UsageError, match=said):
            live(address, _settings(), LiveOptions(preview="none"))
    with pytest.raises(UsageError, match="--table goes with a recording: give -o as well"):
        live("7", _settings(table=Path("t.csv")), LiveOptions(preview="none"))


def test_options_that_cannot_be() -> None:
    for words in ({"port": 70000}, {"latency_target_ms": 0.0}, {"segment_minutes": -1.0},
                  {"warmup_s": -1.0}):  # fmt: skip
        with pytest.raises(UsageError):
            LiveOptions(**words)


# The analysis that may change while it runs.


def test_no_frame_waits_for_the_next_one() -> None:
    pulled = 0

    def frames() -> Iterator[Frame]:
        nonlocal pulled
        for n in range(4):
            pulled += 1
            yield Frame(np.full((*SIZE, 3), 40 * n, np.uint8), n, n / 20)

    results = analyse_frames(frames(), None, _settings(), batch=1, ahead=False)
    for n, one in enumerate(results, start=1):
        assert (one.frame.index, pulled) == (n - 1, n)


def test_a_result_does_not_depend_on_looking_ahead_where_nothing_flashes() -> None:
    rng = np.random.default_rng(0)
    ground = rng.integers(0, 255, (SIZE[0] + 20, SIZE[1] + 20, 3), np.uint8)
    frames = [
        Frame(np.ascontiguousarray(ground[n : n + SIZE[0], n : n + SIZE[1]]), n, n / 20)
        for n in range(6)
    ]
    both = [
        list(analyse_frames(frames, BrightnessStage(), _settings(), batch=1, ahead=ahead))
        for ahead in (True, False)
    ]
    for one, other in zip(*both, strict=True):
        np.testing.assert_array_equal(one.fused, other.fused)


class AimedStage(BrightnessStage):
    """Can be aimed elsewhere."""

    def aimed(self, target: Target) -> "AimedStage":
        return AimedStage(target=target)


def test_targets_come_in_turn_and_begin_the_analysis_anew() -> None:
    analysis = Adaptive(AimedStage(target=Target(top=5)), _settings(), INFO)
    frames = (Frame(np.zeros((*SIZE, 3), np.uint8), n, n / 20) for n in range(99))
    results = analysis.results(frames)
    targets, cuts = [], []
    for _ in range(5):
        one = next(results)
        assert one.prediction is not None
        targets.append(one.prediction.target_name)
        cuts.append(one.frame.index)
        analysis.aim_next(one.prediction)
    assert targets == ["top 5", "bright", "bright", "bright", "top 5"]
    # With each change one frame is left out.
    assert cuts == [0, 2, 4, 6, 8]


def test_a_smaller_size_is_used_from_the_next_frame_on() -> None:
    analysis = Adaptive(None, _settings(working_width=128), INFO)
    frames = (Frame(np.zeros((*SIZE, 3), np.uint8), n, n / 20) for n in range(99))
    results = analysis.results(frames)
    assert next(results).fused.shape == (96, 128)
    counting = Counting()
    counting.begin(0.0, 0, 0)
    for n in range(1, 31):
        counting.after(n / 5, 6 * n, 5 * n, 0.1)
        analysis.adapt(n / 5, counting)
    assert analysis.size.working_width < 128
    assert next(results).fused.shape[1] == analysis.size.working_width


# The command line.


def _vidsal(*words: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "vidsal", *words], cwd=folder, capture_output=True, text=True,
        timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_what_cannot_be_is_one_line_and_an_exit_code(tmp_path: Path) -> None:
    wrong = {
        ("live", "--port", "99999"): "--port must be 0 to 65535",
        ("live", "--warmup", "long"): "--warmup is seconds, or frames such as 30f",
        ("live", "--static-every", "0"): "--static-every must be auto or",
        ("live", "--start", "3"): "--start",
    }
    for words, said in wrong.items():
        result = _vidsal(*words, folder=tmp_path)
        assert result.returncode == 2
        assert said in result.stderr
        assert "Try `vidsal live --help`" in result.stderr
    result = _vidsal("live", "987", "--model", "none", "--preview", "none", folder=tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith("vidsal: camera 987 cannot be used: ")
    assert len(result.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_defaults_of_live_are_told_and_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from vidsal import cli

    text = " ".join(_vidsal("live", "--help", folder=tmp_path).stdout.replace("│", " ").split())
    for default in ("[default: auto]", "[default: dis]", "[default: 8]", "[default: 8300]"):
        assert default in text
    known: list[tuple[str, Settings, LiveOptions]] = []

    def run(source: str, settings: Settings, options: LiveOptions, **_: Any) -> Summary:
        known.append((source, settings, options))
        return Summary(9, 6, 3, 2.0, 40.0, 80.0, ("a.mp4",))

    monkeypatch.setattr(vidsal.live, "live", run)
    cli.app(["live", "--warmup", "2", "--samples", "4"])
    source, settings, options = known[0]
    assert source == "0"
    assert (settings.static_every, settings.flow, settings.samples) == ("auto", "dis", 4)
    assert settings.batch == 1
    assert (options.warmup_s, options.warmup_frames, options.host) == (2.0, 0, "127.0.0.1")
    said = capsys.readouterr()
    assert said.out == "a.mp4\n"
    assert said.err == (
        "vidsal: 2.0 s: 9 frames seen, 6 analysed (3.0 a second), 3 dropped; latency 40 ms, "
        "95 % below 80 ms\n"
    )
