"""Wrong timestamps are replaced, so that time always rises."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidsal.sources.timestamps import TOLERANCE_S, FrameClock, repair_timestamp

RATE = Fraction(25)
LISTED_S = np.arange(10) / 25


def _repaired(pts_s: list[float], listed_s: np.ndarray = LISTED_S) -> list[float]:
    clock = FrameClock(listed_s, RATE)
    return [clock.advance(one) for one in pts_s]


def test_right_timestamps_stay_as_they_are() -> None:
    uneven = [0.0, 0.05, 0.07, 0.3]
    assert _repaired(uneven) == uneven


def test_a_first_frame_may_come_after_the_first_listed_one() -> None:
    assert _repaired([0.12, 0.16]) == [0.12, 0.16]


def test_missing_timestamps_follow_at_the_rate() -> None:
    assert _repaired([math.nan] * 3) == pytest.approx([0, 0.04, 0.08])
    assert _repaired([0.1, math.nan, 0.2]) == pytest.approx([0.1, 0.14, 0.2])


@pytest.mark.parametrize("wrong_s", [-5.0, 900.0])
def test_a_timestamp_outside_the_file_is_replaced(wrong_s: float) -> None:
    assert _repaired([0.0, 0.04, wrong_s, 0.12]) == pytest.approx([0, 0.04, 0.08, 0.12])
    assert _repaired([wrong_s, 0.04]) == pytest.approx([0, 0.04])


def test_a_late_timestamp_of_the_last_frame_stays() -> None:
    times_s = _repaired([*LISTED_S[:-1], 5.0])
    assert times_s[-1] == 5.0


def test_a_timestamp_that_runs_backwards_is_replaced() -> None:
    # Two frames are due at 0.04 s, and three were decoded: a whole interval follows.
    assert _repaired([0.0, 0.04, 0.04, 0.12]) == pytest.approx([0, 0.04, 0.08, 0.12])


def test_two_frames_that_the_file_lists_at_one_time_delay_nothing() -> None:
    listed_s = np.array([0.0, 0.04, 0.04, 0.08, 0.12])
    assert _repaired(list(listed_s), listed_s) == pytest.approx(
        [0, 0.04, 0.04 + TOLERANCE_S, 0.08, 0.12]
    )


@given(st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), min_size=1, max_size=30))
def test_repaired_times_always_rise(pts_s: list[float]) -> None:
    times_s = _repaired(pts_s)
    assert all(math.isfinite(one) for one in times_s)
    assert (np.diff(times_s) > 0).all()


def test_repair_depends_on_its_arguments_only() -> None:
    listed_s = LISTED_S.copy()
    results = {
        repair_timestamp(math.nan, previous_s=0.2, index=3, listed_s=listed_s, rate=RATE)
        for _ in range(2)
    }
    assert results == {0.2 + 0.04}
    assert (listed_s == LISTED_S).all()


def test_a_clock_follows_jumps() -> None:
    clock = FrameClock(LISTED_S, RATE)
    assert (clock.index, clock.time_s) == (-1, -math.inf)
    clock.skip(4)
    assert (clock.index, clock.time_s) == (3, LISTED_S[3])
    clock.advance(0.16)
    assert (clock.index, clock.time_s) == (4, 0.16)
    clock.locate(0.25)
    assert (clock.index, clock.time_s) == (6, 0.25)
    clock.restart()
    assert (clock.index, clock.time_s) == (-1, -math.inf)


# The places in the file of frames with two B-frames between others, in the order of display.
STORED = [0, 2, 3, 1, 5, 6, 4, 8, 9, 7, *range(10, 60)]
LONG_S = np.arange(60) / 25


def test_counted_frames_come_at_the_listed_times() -> None:
    clock = FrameClock(LONG_S, RATE, counts=True)
    times_s = [clock.advance(place / 25) for place in STORED]
    assert times_s == pytest.approx(LONG_S)


def test_more_frames_than_listed_come_at_the_rate() -> None:
    clock = FrameClock(LISTED_S, RATE, counts=True)
    times_s = [clock.advance(math.nan) for _ in range(14)]
    assert times_s == pytest.approx(np.arange(14) / 25)


def test_lost_frames_are_found_in_counted_times() -> None:
    clock = FrameClock(LONG_S, RATE, counts=True)
    places = [place for place in STORED if place not in (12, 13, 14)]
    times_s = [clock.advance(place / 25) for place in places]
    assert (np.diff(times_s) > 0).all()
    assert times_s[:12] == pytest.approx(LONG_S[:12])
    # The loss is certain after as many frames as can be reordered.
    assert times_s[30:] == pytest.approx(LONG_S[33:])


def test_a_lead_of_the_timestamps_is_no_loss() -> None:
    clock = FrameClock(LONG_S, RATE, counts=True)
    times_s = [clock.advance((n + 3) / 25, lead=16) for n in range(50)]
    assert times_s == pytest.approx(LONG_S[:50])


def test_counting_begins_where_timestamps_run_backwards() -> None:
    clock = FrameClock(LONG_S, RATE, may_count=True)
    times_s = [clock.advance(place / 25) for place in STORED]
    assert (np.diff(times_s) > 0).all()
    assert times_s[4:] == pytest.approx(LONG_S[4:])
    clock.restart()
    assert (clock.index, clock.time_s) == (-1, -math.inf)
