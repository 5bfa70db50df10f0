"""Live sources: cameras and streams that come, go, and come back."""

import itertools
import math
from fractions import Fraction

import pytest
from camera_help import FakeVideoCapture, camera_source
from live_fakes import SIZE, Clock, FakeCapture, faked_source

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
def test_a_silent_source_is_lost_until_a_picture_comes(step_s: float, stale_s: float) -> None:
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


def test_a_lost_source_is_reconnected_with_backoff_and_time_goes_on(
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
    assert said[0] == "camera 7 is lost; reconnecting in 0.5 s"
    assert [text.split()[-2] for text in said[:-1]] == ["0.5", "1", "2", "4", "8", "10", "10"]
    assert said[-1] == "camera 7 is back after 35.5 s"


def test_a_lost_source_is_the_end_unless_it_keeps_trying(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    with faked_source([FakeCapture(3, clock=clock)], clock) as source:
        assert len(list(source.frames())) == 3
    assert "camera 7 stopped delivering after 0.1 s" in caplog.text


def test_stop_during_a_reconnect_ends_at_once() -> None:
    clock = Clock()
    captures = [FakeCapture(1, clock=clock), *(FakeCapture(0, fault="away") for _ in range(9))]
    slept = clock.sleep

    def sleep(seconds: float) -> None:
        slept(seconds)
        if sum(clock.slept) > 3:
            source.stop()

    clock.sleep = sleep  # type: ignore[method-assign]
    source = faked_source(captures, clock, keeps_trying=True)
    with source:
        assert len(list(source.frames())) == 1
    assert sum(clock.slept) == pytest.approx(3.05)


def test_pictures_of_another_size_are_scaled_to_the_first() -> None:
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


def test_time_stands_still_if_the_clock_goes_back() -> None:
    clock = Clock()

    def back() -> None:
        clock.now_s -= 3600

    with faked_source([FakeCapture(4, clock=clock, at={2: back})], clock) as source:
        times = [frame.time_s for frame in source.frames()]
    assert times == pytest.approx([0, 0.05, 0.05, 0.1])


def test_camera_frames_carry_the_time_of_their_arrival() -> None:
    times_s = iter([50.0, 50.04, 50.11, 50.2])
    with camera_source(FakeVideoCapture(5), times_s=times_s) as source:
        frames = source.frames()
        got = [next(frames).time_s for _ in range(4)]
    assert got == pytest.approx([0.0, 0.04, 0.11, 0.2])


def test_camera_duration_and_every() -> None:
    capture = FakeVideoCapture(1000)
    with camera_source(capture, duration=1.0, every=3) as source:
        assert source.info.fps == Fraction(20, 3)
        assert source.info.frame_count_hint == 7
        numbers = [frame.index for frame in source.frames()]
    # A frame each 0.05 s: 20 in a second.
    assert numbers == [0, 3, 6, 9, 12, 15, 18]
    assert capture.released


@pytest.mark.parametrize("claimed", [0.0, -1.0, math.nan, 1e6])
def test_camera_without_a_usable_rate_has_the_usual_one(claimed: float) -> None:
    with camera_source(FakeVideoCapture(2, fps=claimed)) as source:
        assert source.info.fps == 30


def test_camera_stop_and_a_pulled_cable_end_the_recording(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with camera_source(FakeVideoCapture(1000)) as source:
        frames = source.frames()
        next(frames)
        source.stop()
        assert list(frames) == []
    assert not caplog.messages
    with camera_source(FakeVideoCapture(4)) as source:
        assert len(list(source.frames())) == 3
    assert "camera 0 stopped delivering" in caplog.text
