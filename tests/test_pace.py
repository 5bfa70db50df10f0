"""How often gradients are drawn: closed forms for constant costs."""

import math

import pytest

from vidsal.pace import Pace


def _settled(pace: Pace, *, drawing_s: float, other_s: float, groups: int = 40) -> int:
    """The step after many groups of 16 frames, each of which cost the same."""
    for _ in range(groups):
        drawn = math.ceil(16 / pace.every)
        pace.took(16, drawn, drawn * drawing_s, drawn * drawing_s + 16 * other_s)
    return pace.every


def test_a_fixed_step_stays() -> None:
    pace = Pace(3, 25.0)
    assert pace.every == 3
    assert _settled(pace, drawing_s=9, other_s=9) == 3


@pytest.mark.parametrize(
    ("drawing_s", "other_s", "step"),
    [
        (0.010, 0.010, 1),  # 20 ms of the 40 that a frame may take
        (0.050, 0.015, 2),  # 50 ms in 25 spare ones a frame
        (0.200, 0.020, 10),
        (0.200, 0.050, 25),  # Nothing to spare: once a second, which is as old as a map may be.
        (9.000, 0.001, 25),
    ],
)
def test_auto_draws_as_often_as_there_is_time(drawing_s: float, other_s: float, step: int) -> None:
    settled = _settled(Pace("auto", 25.0), drawing_s=drawing_s * 0.999, other_s=other_s)
    assert settled == step


def test_the_first_group_does_not_count() -> None:
    pace = Pace("auto", 25.0)
    pace.took(16, 16, 60.0, 61.0)
    assert pace.every == 1
    assert _settled(pace, drawing_s=0.01, other_s=0.01, groups=1) == 1


def test_one_slow_group_does_not_decide() -> None:
    pace = Pace("auto", 25.0)
    _settled(pace, drawing_s=0.02, other_s=0.005)
    pace.took(16, 16, 16 * 0.05, 16 * 0.055)
    assert pace.every == 1


def test_without_a_rate_every_frame_draws() -> None:
    assert _settled(Pace("auto"), drawing_s=9, other_s=9) == 1
