"""How far two maps agree: closed forms, and what is not defined."""

import math

import numpy as np
import pytest
from render_help import random_map, spot

from vidsal.evaluation.agreement import COLUMNS, Agreement, Figures, distance, figures

SIZE = (90, 160)


def test_a_map_agrees_with_itself_and_with_a_multiple() -> None:
    one, peaks = random_map((9, 16), 0), ((0.5, 0.5), (0.5, 0.5))
    assert figures(one, one, peaks, SIZE) == pytest.approx((1, 1, 0))
    assert figures(one, 3 * one, peaks, SIZE) == pytest.approx((1, 1, 0))
    # 1 - x is as far from x as can be.
    assert figures(one, 1 - one, peaks, SIZE).cc == pytest.approx(-1)


def test_maps_that_do_not_overlap() -> None:
    one, two = np.zeros((2, 9, 16), np.float32)
    one[2, 2], two[6, 12] = 1, 1
    found = figures(one, two, ((2.5 / 9, 2.5 / 16), (6.5 / 9, 12.5 / 16)), SIZE)
    assert found.sim == 0
    # Two pixels of n: the correlation is -1 / (n - 1).
    assert found.cc == pytest.approx(-1 / (9 * 16 - 1))
    assert found.peak_distance == pytest.approx(math.hypot(40, 100) / math.hypot(90, 160))


@pytest.mark.parametrize("size", [(90, 160), (160, 90), (100, 100)])
def test_the_longest_distance_is_1(size: tuple[int, int]) -> None:
    assert distance((0, 0), (1, 1), size) == pytest.approx(1)
    assert distance((0.25, 0), (0.75, 0), size) == pytest.approx(0.5 * size[0] / math.hypot(*size))


def test_a_flat_map_has_no_figures() -> None:
    one, flat = spot((9, 16), 4, 8), np.zeros((9, 16), np.float32)
    middle = (0.5, 0.5)
    for first, second, peaks in (
        (one, flat, (middle, None)), (flat, one, (None, middle)), (one, flat + 1, (middle, middle)),
    ):  # fmt: skip
        assert all(math.isnan(value) for value in figures(first, second, peaks, SIZE))


def agreement(*cc: float) -> Agreement:
    found = [Figures(value, value / 2, 1 - value) for value in cc]
    return Agreement.of("a", "b", np.arange(5, 5 + len(cc)), np.arange(len(cc)) / 4, found)


def test_means_leave_out_what_is_not_defined() -> None:
    one = agreement(math.nan, 0.5, 0.25, 0.75)
    assert one.mean == pytest.approx((0.5, 0.25, 0.5))
    assert one.undefined == 1 and one.lowest == 2
    assert repr(one) == (
        "Agreement('a', 'b', 4 frames, mean cc 0.500, sim 0.250, peak_distance 0.500)"
    )
    nothing = agreement(math.nan, math.nan)
    assert nothing.lowest is None and math.isnan(nothing.mean.cc)


def test_rows_are_those_of_the_table() -> None:
    rows = agreement(math.nan, 0.5).rows()
    assert tuple(rows[0]) == COLUMNS
    assert tuple(rows[0].values()) == (5, 0.0, "a", "b", None, None, None)
    assert tuple(rows[1].values()) == (6, 0.25, "a", "b", 0.5, 0.25, 0.5)
