"""How often gradients are drawn: closed forms for constant costs."""

import math

import pytest

from vidsal.saliency.schedule import GradientSchedule


def _settled(
    schedule: GradientSchedule, *, drawing_s: float, other_s: float, groups: int = 40
) -> int:
    """Return the step after many groups of 16 frames with constant cost."""
    for _ in range(groups):
        drawn = math.ceil(16 / schedule.every)
        schedule.add(16, drawn, drawn * drawing_s, drawn * drawing_s + 16 * other_s)
    return schedule.every


def test_a_fixed_step_does_not_change() -> None:
    schedule = GradientSchedule(3, 25.0)
    assert schedule.every == 3
    assert _settled(schedule, drawing_s=9, other_s=9) == 3


@pytest.mark.parametrize(
    ("drawing_s", "other_s", "step"),
    [
        (0.010, 0.010, 1),  # 20 ms of the 40 ms of a frame
        (0.050, 0.015, 2),  # 50 ms, of which each frame has 25 ms to spare
        (0.200, 0.020, 10),
        (0.200, 0.050, 25),  # No time to spare: once per second, the longest step.
        (9.000, 0.001, 25),
    ],
)
def test_auto_draws_as_often_as_there_is_time(drawing_s: float, other_s: float, step: int) -> None:
    settled = _settled(GradientSchedule("auto", 25.0), drawing_s=drawing_s * 0.999, other_s=other_s)
    assert settled == step


def test_the_first_group_does_not_count() -> None:
    schedule = GradientSchedule("auto", 25.0)
    schedule.add(16, 16, 60.0, 61.0)
    assert schedule.every == 1
    assert _settled(schedule, drawing_s=0.01, other_s=0.01, groups=1) == 1


def test_the_first_group_of_another_target_does_not_count() -> None:
    schedule = GradientSchedule("auto", 25.0)
    _settled(schedule, drawing_s=0.02, other_s=0.005)
    schedule.restart()
    schedule.add(1, 1, 2.0, 2.1)
    assert schedule.every == 1


def test_one_slow_group_does_not_decide() -> None:
    schedule = GradientSchedule("auto", 25.0)
    _settled(schedule, drawing_s=0.02, other_s=0.005)
    schedule.add(16, 16, 16 * 0.05, 16 * 0.055)
    assert schedule.every == 1


def test_without_a_rate_every_frame_draws() -> None:
    assert _settled(GradientSchedule("auto"), drawing_s=9, other_s=9) == 1


@pytest.mark.parametrize("group", [1, 16])
@pytest.mark.parametrize(
    ("fps", "drawing_s", "other_s", "step"),
    [(25, 0.1, 0.01, 4), (25, 0.029, 0.01, 1), (25, 0.031, 0.01, 2), (30, 0.2, 0.013, 10)],
)
def test_the_second_group_is_enough(
    fps: int, drawing_s: float, other_s: float, step: int, group: int
) -> None:
    assert step == math.ceil(drawing_s / (1 / fps - other_s))
    schedule = GradientSchedule("auto", fps)
    for _ in range(2):
        schedule.add(group, 1, drawing_s, drawing_s + group * other_s)
    assert schedule.every == step
    # Groups without gradients do not count.
    schedule.add(group, 0, 0.0, 500.0)
    assert schedule.every == step


@pytest.mark.parametrize("before_s", [2.0, 0.3, 0.01])
def test_a_change_is_followed_within_a_few_groups(before_s: float) -> None:
    schedule = GradientSchedule("auto", 25.0)
    _settled(schedule, drawing_s=before_s, other_s=0.01)
    # 1.9 s too much decay to 1.9 s x 0.7^20 = 1.5 ms.
    assert _settled(schedule, drawing_s=0.11, other_s=0.01, groups=20) == 4


@pytest.mark.parametrize(("fps", "longest"), [(25.0, 25), (30000 / 1001, 30), (12.5, 12), (0.4, 1)])
@pytest.mark.parametrize("other_s", [0.0, 0.0399, 1.0, 100.0])
def test_a_map_gets_new_gradients_at_least_once_per_second(
    fps: float, longest: int, other_s: float
) -> None:
    assert (
        _settled(GradientSchedule("auto", fps), drawing_s=1000.0, other_s=other_s, groups=3)
        == longest
    )
