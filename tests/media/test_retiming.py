"""Output frame n is the frame that is on screen at n/fps."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidsal.media.retiming import Timeline, is_shown, step_at

NTSC = Fraction(30000, 1001)


def _shown(times_s: list[float], fps: Fraction | int, duration_s: float | None = None) -> list[int]:
    """Return the numbers of the frames that the output shows."""
    timeline: Timeline[int] = Timeline(Fraction(fps))
    pairs = [pair for n, time_s in enumerate(times_s) for pair in timeline.add(time_s, n)]
    pairs += timeline.end(duration_s)
    shown = [n for n, times in pairs for _ in range(times)]
    assert timeline.count == len(shown)
    assert timeline.received == len(times_s)
    return shown


@pytest.mark.parametrize(
    ("fps", "tick_s"),
    [
        (NTSC, 0.001), (Fraction(24000, 1001), 0.001), (Fraction(25), 0.001),
        (Fraction(60000, 1001), 0.001), (Fraction(120), 0.001), (Fraction(240), 0.001),
        # A GIF at 30 frames per second: 3, 4, 3, 3, 4 hundredths.
        (Fraction(30), 0.01), (Fraction(24), Fraction(1, 600)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("begin_s", [0.0, 12.345, 7200.0])
def test_a_constant_rate_is_kept_for_an_hour(fps: Fraction, tick_s: float, begin_s: float) -> None:
    frames = int(3600 * fps)
    timeline: Timeline[int] = Timeline(fps)
    wrong = 0
    for number in range(frames):
        time_s = round((begin_s + float(number / fps)) / tick_s) * tick_s
        wrong += timeline.add(time_s, number) != ([(number - 1, 1)] if number else [])
    assert wrong == 0
    end_s = round(frames / fps / tick_s) * tick_s
    assert timeline.end(float(end_s)) == [(frames - 1, 1)]
    assert timeline.count == frames


@pytest.mark.parametrize(
    ("times_s", "fps", "shown"),
    [
        # 30 to 10 or 15 frames per second: the frames at exactly these times.
        ([n / 30 for n in range(8)], 10, [0, 3, 6]),
        ([n / 30 for n in range(7)], 15, [0, 2, 4, 6]),
        # 10 to 30 frames per second.
        ([0.0, 0.1, 0.2], 30, [0, 0, 0, 1, 1, 1, 2]),
        # A phone whose camera slows down in the dark.
        ([0.0, 0.04, 0.08, 0.2, 0.24], 25, [0, 1, 2, 2, 2, 3, 4]),
        # Many frames within one step: the nearest is shown, and the last one is repeated.
        ([0.0, 0.97, 1.02, 1.2, 1.45, 3.0], 1, [0, 2, 4, 5]),
        # A time that runs backwards counts as equal.
        ([0.0, 1.0, 0.5, 2.0], 1, [0, 1, 3]),
        ([5.0], 25, [0]),
        ([], 25, []),
    ],
)
def test_uneven_times(times_s: list[float], fps: int, shown: list[int]) -> None:
    assert _shown(times_s, fps) == shown
    assert _shown([time_s + 3.25 for time_s in times_s], fps) == shown


@pytest.mark.parametrize(
    ("duration_s", "last"), [(None, 1), (0.0, 1), (0.3, 1), (0.34, 1), (0.4, 2), (2.2, 20)]
)
def test_the_last_frame_is_repeated(duration_s: float | None, last: int) -> None:
    assert _shown([0.0, 0.1, 0.2], 10, duration_s) == [0, 1] + [2] * last


@pytest.mark.parametrize(
    ("source", "fps"), [(30, 10), (30, 15), (30, 20), (60, 24), (25, 30), (24, 60), (50, 49)]
)
@pytest.mark.parametrize("frames", [1, 7, 8, 9, 10, 60])
def test_another_rate_keeps_the_duration(source: int, fps: int, frames: int) -> None:
    shown = _shown([n / source for n in range(frames)], fps, frames / source)
    assert abs(len(shown) - frames / source * fps) < 1


def test_a_last_frame_without_duration_is_shown() -> None:
    times_s = [round(float(n / NTSC), 3) for n in range(100)]
    assert _shown(times_s, NTSC, times_s[-1] + 1e-4) == list(range(100))


@given(st.lists(st.floats(0.001, 0.5), max_size=40), st.integers(1, 60))
def test_nothing_is_further_than_half_a_step_from_its_time(steps_s: list[float], fps: int) -> None:
    times_s = [0.0]
    for step_s in steps_s:
        times_s.append(times_s[-1] + step_s)
    shown = _shown(times_s, fps)
    assert shown == sorted(shown)
    assert abs(len(shown) / fps - (times_s[-1] + 1 / fps)) <= (0.5 + 1.1e-3) / fps
    for step, number in enumerate(shown):
        begin = times_s[number] * fps
        end = times_s[number + 1] * fps if number + 1 < len(times_s) else float("inf")
        assert begin <= step + 0.5 + 1.1e-3
        assert step - 0.5 <= end + 1.1e-3


def _kept(places: list[float]) -> list[int]:
    """Return the numbers of the frames that `is_shown` keeps, given when they begin."""
    kept, before = [], -1
    for n, (place, after) in enumerate(zip(places, [*places[1:], places[-1] + 1], strict=True)):
        if is_shown(before, place, after):
            kept.append(n)
            before = step_at(place, 1)
    return kept


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        # At half the rate every other frame, and not the one that ends when its step begins.
        ([n / 2 for n in range(7)], [0, 2, 4, 6]),
        # 25 to 10 frames per second: those nearest to 0, 100, 200 and 300 ms.
        ([n / 2.5 for n in range(9)], [0, 2, 5, 7]),
        # Frame 4 is not the nearest, but lasts into a later step.
        ([0.0, 0.97, 1.02, 1.2, 1.45, 3.0], [0, 2, 4, 5]),
        # The first of two at the same distance.
        ([0.0, 0.75, 1.25, 2.0], [0, 1, 3]),
        ([0.0, 1.0, 2.0], [0, 1, 2]),
    ],
)
def test_the_nearest_frame_of_a_step_is_shown(places: list[float], expected: list[int]) -> None:
    assert _kept(places) == expected


@given(st.lists(st.floats(0.01, 2.5), min_size=1, max_size=30))
def test_dropped_frames_are_never_shown(gaps: list[float]) -> None:
    places = [0.0]
    for gap in gaps:
        places.append(places[-1] + gap)
    kept = _kept(places)
    complete = _shown(places, 1)
    assert [kept[n] for n in _shown([places[n] for n in kept], 1)] == complete
