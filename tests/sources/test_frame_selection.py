"""Which frames are used, and why the others are left out."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from vidsal.sources.frame_selection import (
    FrameSelection,
    LeftOut,
    OutputSteps,
    inside,
    select,
)

# 25 frames of one second.
TIMES_S = np.arange(25) / 25


def _with_steps(
    times_s: np.ndarray, fps: Fraction, duration_s: float, **options: Any
) -> FrameSelection:
    """Return a selection of which the first frame was found."""
    selection = FrameSelection(**options)
    options.pop("start_s", None)
    first_s = float(times_s[0])
    selection.steps = OutputSteps(
        first_s=first_s, fps=fps, duration_s=duration_s, listed_s=times_s, **options
    )
    return selection


def test_all_frames_are_used_by_default() -> None:
    selection = FrameSelection()
    assert select(TIMES_S.tolist(), selection) == list(range(25))
    assert not selection.left_out


def test_a_part_and_every_nth_frame_are_counted_by_reason() -> None:
    selection = FrameSelection(start_s=0.2, end_s=0.6, every=4)
    assert select(TIMES_S.tolist(), selection) == [5, 9, 13]
    assert selection.left_out == {
        LeftOut.BEFORE_START: 5, LeftOut.AFTER_END: 10, LeftOut.NOT_NTH: 7,
    }  # fmt: skip


def test_rounded_times_at_the_ends_of_a_part() -> None:
    selection = FrameSelection(start_s=0.2, end_s=0.6)
    rounding = 5e-7
    assert select([0.2 - rounding, 0.4, 0.6 - rounding], selection) == [0, 1]


def test_nth_frames_are_counted_from_the_first_one_that_can_be_decoded() -> None:
    selection = FrameSelection(every=2)
    # The first frame is to be used, but is not taken: it could not be decoded.
    assert selection.leave_out(0.0) is None
    assert selection.leave_out(0.04) is None
    selection.take(0.04)
    assert selection.leave_out(0.08) is LeftOut.NOT_NTH
    assert selection.leave_out(0.12) is None


@pytest.mark.parametrize(("fps", "used"), [(5, [0, 5, 10, 15, 20]), (25, list(range(25)))])
def test_one_frame_per_step_is_shown(fps: int, used: list[int]) -> None:
    selection = _with_steps(TIMES_S, Fraction(fps), 1.0)
    assert selection.steps is not None and selection.steps.expected() == len(used)
    assert select(TIMES_S.tolist(), selection) == used
    assert selection.left_out[LeftOut.NOT_SHOWN] == 25 - len(used)


def test_the_frame_nearest_to_its_step_is_shown() -> None:
    times_s = np.array([0.0, 0.08, 0.11, 0.2])
    assert select(times_s.tolist(), _with_steps(times_s, Fraction(10), 0.3)) == [0, 2, 3]


def test_a_frame_that_lasts_into_a_later_step_is_shown() -> None:
    # Frame 1 shares a step with frame 0, but stays for a second.
    times_s = np.array([0.0, 0.01, 1.0])
    selection = _with_steps(times_s, Fraction(10), 1.1)
    assert select(times_s.tolist(), selection) == [0, 1, 2]


def test_no_frame_is_shown_after_the_last_step() -> None:
    times_s = np.array([0.0, 0.1, 0.2, 0.204])
    selection = _with_steps(times_s, Fraction(10), 0.205)
    assert selection.steps is not None and selection.steps.count == 2
    assert select(times_s.tolist(), selection) == [0, 1]


def test_expected_frames_are_those_that_are_selected() -> None:
    rng = np.random.default_rng(5)
    for _ in range(50):
        times_s = np.cumsum(rng.exponential(0.04, 60))
        times_s -= times_s[0]
        every, fps = int(rng.integers(1, 4)), Fraction(int(rng.integers(5, 40)))
        selection = _with_steps(times_s, fps, float(times_s[-1]) + 0.04, every=every)
        assert selection.steps is not None
        expected = selection.steps.expected()
        assert len(select(times_s.tolist(), selection)) == expected


def test_inside_has_its_start_and_not_its_end() -> None:
    times_s = np.array([0.0, 0.2, 0.4, 0.6])
    assert inside(times_s, 0.2 + 5e-7, 0.6).tolist() == [False, True, True, False]
    assert inside(times_s, 0.0, math.inf).all()
