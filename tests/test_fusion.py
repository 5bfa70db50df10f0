"""Fusion in closed form, and the points that are read off its result."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from vidsal.frames import Map
from vidsal.fusion import centroid, fuse, peak

UNIT = npst.arrays(np.float32, (4, 5), elements=st.floats(0, 1, width=32))


def _map(*rows: list[float]) -> Map:
    return np.array(rows, np.float32)


def test_motion_amplifies_what_the_network_saw() -> None:
    static = _map([0.0, 0.25, 0.5, 0.5], [0.5, 0.9, 1.0, 0.1])
    motion = _map([1.0, 1.0, 0.0, 0.5], [1.0, 1.0, 1.0, 1.0])
    expected = _map([0.0, 0.5, 0.5, 0.75], [1.0, 1.0, 1.0, 0.2])
    assert fuse(static, motion, gain=1.0) == pytest.approx(expected, abs=1e-7)
    expected = _map([0.0, 0.75, 0.5, 1.0], [1.0, 1.0, 1.0, 0.3])
    assert fuse(static, motion, gain=2.0) == pytest.approx(expected, abs=1e-6)


@given(static=UNIT, gain=st.floats(0, 100))
@settings(deadline=None)
def test_no_motion_is_the_identity(static: Map, gain: float) -> None:
    assert np.array_equal(fuse(static, np.zeros_like(static), gain=gain), static)


@given(static=UNIT, motion=UNIT)
@settings(deadline=None)
def test_no_gain_is_the_identity(static: Map, motion: Map) -> None:
    assert np.array_equal(fuse(static, motion, gain=0.0), static)


@given(static=UNIT, motion=UNIT, gain=st.floats(0, 100))
@settings(deadline=None)
def test_bounds(static: Map, motion: Map, gain: float) -> None:
    kept = static.copy(), motion.copy()
    fused = fuse(static, motion, gain=gain)
    assert fused.dtype == np.float32
    assert (fused >= static).all() and (fused <= 1).all()
    exact = np.minimum(1, static.astype(np.float64) * (1 + gain * motion.astype(np.float64)))
    assert fused == pytest.approx(exact, abs=1e-5)
    assert np.array_equal(static, kept[0]) and np.array_equal(motion, kept[1])


def test_without_a_network_motion_is_all_there_is() -> None:
    motion = _map([0.0, 0.3], [0.7, 1.0])
    fused = fuse(None, motion, gain=5.0)
    assert np.array_equal(fused, motion)
    fused[0, 0] = 9
    assert motion[0, 0] == 0


def test_maps_of_two_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"static is \(2, 3\) but motion is \(1, 3\)"):
        fuse(np.zeros((2, 3), np.float32), np.zeros((1, 3), np.float32), gain=1.0)


@given(row=st.integers(0, 8), column=st.integers(0, 12))
@settings(deadline=None)
def test_peak_and_centroid_of_one_pixel_are_its_middle(row: int, column: int) -> None:
    one = np.zeros((9, 13), np.float32)
    one[row, column] = 0.3
    middle = (row + 0.5) / 9, (column + 0.5) / 13
    assert peak(one) == pytest.approx(middle)
    assert centroid(one) == pytest.approx(middle)


def test_peak_is_the_highest_not_the_heaviest() -> None:
    values = np.zeros((10, 20), np.float32)
    values[0:4, 0:8] = 0.5
    values[8, 15] = 0.6
    assert peak(values) == pytest.approx((8.5 / 10, 15.5 / 20))
    assert centroid(values) == pytest.approx(
        ((32 * 2 * 0.5 + 8.5 * 0.6) / 16.6 / 10, (32 * 4 * 0.5 + 15.5 * 0.6) / 16.6 / 20)
    )


@pytest.mark.parametrize("size", [(3, 3), (4, 6), (4, 5), (1, 8), (7, 2)])
def test_peak_of_a_plateau_is_in_its_middle(size: tuple[int, int]) -> None:
    # Clipping makes plateaus, so this is every other frame and not a corner case.
    values = np.zeros((20, 30), np.float32)
    top, left = 9, 17
    values[top : top + size[0], left : left + size[1]] = 1
    point = peak(values)
    assert point is not None
    # As near as a pixel's middle can be to that of an even side.
    assert abs(point[0] * 20 - (top + size[0] / 2)) <= 0.5
    assert abs(point[1] * 30 - (left + size[1] / 2)) <= 0.5


def test_peak_of_two_plateaus_is_on_one_of_them() -> None:
    values = np.zeros((11, 31), np.float32)
    values[4:7, 2:5] = values[4:7, 26:29] = 1
    point = peak(values)
    assert point is not None
    assert values[int(point[0] * 11), int(point[1] * 31)] == 1


@pytest.mark.parametrize("level", [0.0, 0.4, 1.0])
def test_a_flat_map_has_no_peak(level: float) -> None:
    assert peak(np.full((6, 8), level, np.float32)) is None


def test_centroid_of_a_flat_map_is_the_middle_and_of_nothing_none() -> None:
    assert centroid(np.full((6, 8), 0.4, np.float32)) == pytest.approx((0.5, 0.5))
    assert centroid(np.zeros((6, 8), np.float32)) is None


def test_mirroring_mirrors_the_points() -> None:
    values = np.random.default_rng(0).random((12, 17)).astype(np.float32)
    for point in (peak, centroid):
        here, there = point(values), point(values[::-1, ::-1])
        assert here is not None and there is not None
        assert there == pytest.approx((1 - here[0], 1 - here[1]))
