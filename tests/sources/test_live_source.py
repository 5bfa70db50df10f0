"""Live sources: cameras and streams that connect, fail, and reconnect."""

import itertools
import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from camera_help import FakeVideoCapture, camera_source
from live_fakes import SIZE, Clock, FakeCapture, faked_source

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


def _after(clock: Clock, seconds: float) -> Callable[[], None]:
    """Return a function that advances the clock before a picture."""

    def wait() -> None:
        clock.now_s += seconds

    return wait


def _levels(source: LiveSource) -> list[int]:
    return [int(frame.rgb[0, 0, 0]) // 2 for frame in source.frames()]


@pytest.mark.parametrize(
    ("step_s", "gap_s", "left_out"),
    [
        # One to three pictures buffered by the decoder, and those that arrive within 0.2 s.
        (0.05, 5.7, [5, 6, 7, 8]), (0.05, 1.2, [5, 6, 7, 8]), (0.4, 3.0, [5, 6, 7]),
        # No silence; and a slow source, which delivers nothing for 2 s at most.
        (0.05, 0.9, []), (0.4, 0.7, []), (1.5, 9.0, [5, 6]),
    ],
)  # fmt: skip
def test_pictures_that_may_be_older_than_a_silence_are_left_out_and_counted(
    step_s: float, gap_s: float, left_out: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    capture = FakeCapture(20, clock=clock, step_s=step_s, at={5: _after(clock, gap_s)})
    with faked_source([capture], clock, name="udp://a:1") as source:
        levels = _levels(source)
        assert source.late == len(left_out)
    assert levels == [n for n in range(20) if n not in left_out]
    said = f"sent nothing for {gap_s + step_s:.1f} s; pictures that came next"
    assert (f"{said} and may be older, left out: {len(left_out)}" in caplog.text) == bool(left_out)


def test_a_backlog_that_comes_at_once_is_left_out() -> None:
    clock = Clock()
    capture = FakeCapture(60, clock=clock, at={5: _after(clock, 2.0)})
    # Thirty pictures arrive within 0.3 s, then they are on time again.
    capture._at |= {n: _after(clock, -0.04) for n in range(6, 36)}
    with faked_source([capture], clock, name="rtsp://a/1") as source:
        frames = list(source.frames())
    assert [int(frame.rgb[0, 0, 0]) // 2 for frame in frames] == [*range(5), *range(36, 60)]
    assert np.diff([frame.time_s for frame in frames[5:]]) == pytest.approx(0.05)


def test_what_a_decoder_held_has_no_late_time_when_the_source_is_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    # The sender stops after five pictures; 5 s later ffmpeg ends and delivers two more.
    first = FakeCapture(7, clock=clock, at={5: _after(clock, 5.0), 6: _after(clock, -0.05)})
    captures = [first, FakeCapture(20, clock=clock)]
    with faked_source(captures, clock, keeps_trying=True, name="udp://a:1") as source:
        frames = list(itertools.islice(source.frames(), 10))
    times_s = [frame.time_s for frame in frames]
    assert times_s[:5] == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])
    # Back 5.05 + 0.5 s later, with its first picture.
    assert times_s[5:] == pytest.approx([times_s[5] + 0.05 * n for n in range(5)])
    assert times_s[5] > 5.7
    assert "sent nothing for 5.0 s; pictures that came next and may be older, left out: 2" in (
        caplog.text
    )
    assert "stream a-1 is back after 5.6 s" in caplog.text


def test_cameras_lose_nothing_after_a_silence() -> None:
    clock = Clock()
    capture = FakeCapture(12, clock=clock, at={5: _after(clock, 5.0)})
    with faked_source([capture], clock) as source:
        assert _levels(source) == list(range(12))


def test_back_is_said_with_the_first_picture(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    # Connections that deliver nothing, as to a server whose camera is off.
    captures = [FakeCapture(2, clock=clock), *(FakeCapture(0) for _ in range(3))]
    captures.append(FakeCapture(1, clock=clock, at={0: _after(clock, 2.0)}))
    with faked_source(captures, clock, keeps_trying=True) as source:
        frames = source.frames()
        for _ in range(3):
            next(frames)
        assert not source.is_lost
        source.stop()
    said = [record.getMessage().removeprefix("camera 7 is ") for record in caplog.records]
    # The pauses go on growing; 0.5 + 1 + 2 + 4 s, and 2.05 s for the picture.
    assert said == [*(f"lost; reconnecting in {s} s" for s in (0.5, 1, 2, 4)), "back after 9.5 s"]


def test_a_duration_ends_the_search_for_a_lost_source() -> None:
    clock = Clock()
    captures = [FakeCapture(3, clock=clock), *(FakeCapture(0, fault="away") for _ in range(9))]
    with faked_source(captures, clock, keeps_trying=True, duration=3.0) as source:
        assert len(list(source.frames())) == 3
    assert source.now_s() == pytest.approx(3.0, abs=0.051)


def test_a_source_that_never_delivers_is_lost() -> None:
    clock = Clock()
    with faked_source([FakeCapture(1, clock=clock)], clock) as source:
        assert not source.is_lost
        clock.now_s += 1.1
        states = [source.is_lost, source.now_s()]
    assert states == [True, 0]
