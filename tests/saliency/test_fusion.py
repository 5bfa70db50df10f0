"""Fusion in closed form, and the points that are read off its result."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from vidsal.saliency.fusion import centre_prior, fuse, motion_share
from vidsal.saliency.regions import Box, boxes, centroid, peak, stabilized_peak
from vidsal.settings import Fusion
from vidsal.types import Map

UNIT = npst.arrays(np.float32, (4, 5), elements=st.floats(0, 1, width=32))
# Static maps come unclipped.
OPEN = npst.arrays(np.float32, (4, 5), elements=st.floats(0, 8, width=32))


def _map(*rows: list[float]) -> Map:
    return np.array(rows, np.float32)


def test_motion_amplifies_what_the_network_saw() -> None:
    static = _map([0.0, 0.25, 0.5, 0.5], [0.5, 0.9, 1.0, 0.1])
    motion = _map([1.0, 1.0, 0.0, 0.5], [1.0, 1.0, 1.0, 1.0])
    # Not clipped: motion is to choose from the peaks.
    expected = _map([0.0, 0.5, 0.5, 0.75], [1.0, 1.8, 2.0, 0.2])
    assert fuse(static, motion, gain=1.0) == pytest.approx(expected, abs=1e-6)
    assert np.array_equal(fuse(static, motion), fuse(static, motion, method="gain", gain=1.0))
    expected = _map([0.0, 0.75, 0.5, 1.0], [1.5, 2.7, 3.0, 0.3])
    assert fuse(static, motion, gain=2.0) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("gain", [0.0, 0.25 * 1.5, 0.5, 2 * 3.0]),
        ("sum", [2.0, 0.25 + 0.5, 0.5, 2 + 2.0]),
        ("max", [2.0, 0.5, 0.5, 2.0]),
        ("static", [0.0, 0.25, 0.5, 2.0]),
        ("motion", [1.0, 0.25, 0.0, 1.0]),
    ],
)
def test_each_way_to_fuse_in_closed_form(method: Fusion, expected: list[float]) -> None:
    assert method in get_args(Fusion)
    static, motion = _map([0.0, 0.25, 0.5, 2.0]), _map([1.0, 0.25, 0.0, 1.0])
    kept = static.copy(), motion.copy()
    fused = fuse(static, motion, method=method, gain=2.0)
    assert fused.dtype == np.float32
    assert fused == pytest.approx(_map(expected), abs=1e-6)
    fused[:] = 9
    assert np.array_equal(static, kept[0]) and np.array_equal(motion, kept[1])


def test_motion_may_amplify_another_map() -> None:
    static, motion = _map([0.5, 0.5, 0.0, 2.0]), _map([1.0, 0.5, 1.0, 0.0])
    sharp = _map([0.0, 1.0, 0.25, 9.0])
    fused = fuse(static, motion, gain=2.0, amplified=sharp)
    assert fused == pytest.approx(_map([0.5, 1.5, 0.5, 2.0]), abs=1e-6)
    # Where both halves stand side by side, nothing is amplified.
    for method in get_args(Fusion):
        if method != "gain":
            alone = fuse(static, motion, method=method, gain=2.0)
            assert np.array_equal(
                fuse(static, motion, method=method, gain=2.0, amplified=sharp), alone
            )
    with pytest.raises(ValueError, match=r"amplified \(1, 2\)"):
        fuse(static, motion, amplified=sharp[:, :2])


@pytest.mark.parametrize("method", ["gain", "sum", "max", "static"])
@given(static=OPEN, gain=st.floats(0, 100))
@settings(deadline=None)
def test_no_motion_is_the_identity(method: Fusion, static: Map, gain: float) -> None:
    assert np.array_equal(fuse(static, np.zeros_like(static), method=method, gain=gain), static)


@pytest.mark.parametrize("method", ["gain", "sum", "max", "static"])
@given(static=OPEN, motion=UNIT)
@settings(deadline=None)
def test_no_gain_is_the_identity(method: Fusion, static: Map, motion: Map) -> None:
    assert np.array_equal(fuse(static, motion, method=method, gain=0.0), static)


@given(static=OPEN, motion=UNIT, gain=st.floats(0, 100))
@settings(deadline=None)
def test_bounds(static: Map, motion: Map, gain: float) -> None:
    kept = static.copy(), motion.copy()
    fused = fuse(static, motion, gain=gain)
    assert fused.dtype == np.float32
    assert (fused >= static).all() and (fused <= static * np.float32(1.001 + gain)).all()
    exact = static.astype(np.float64) * (1 + gain * motion.astype(np.float64))
    assert fused == pytest.approx(exact, rel=1e-5, abs=1e-5)
    assert np.array_equal(static, kept[0]) and np.array_equal(motion, kept[1])


@pytest.mark.parametrize("method", get_args(Fusion))
def test_maps_of_two_sizes_are_refused(method: Fusion) -> None:
    with pytest.raises(ValueError, match=r"got static \(2, 3\), motion \(1, 3\)"):
        fuse(np.zeros((2, 3), np.float32), np.zeros((1, 3), np.float32), method=method)


def test_share_of_motion_in_closed_form() -> None:
    static, motion = _map([1.0, 1.0, 0.5, 0.0]), _map([1.0, 0.0, 0.5, 1.0])
    # 3 + 1 + 1 of which 2 + 0 + 0.5 came with the gain.
    assert motion_share(static, fuse(static, motion, gain=2.0)) == pytest.approx(2.5 / 5)
    assert motion_share(static, fuse(static, motion, method="sum")) == pytest.approx(2.5 / 5)
    assert motion_share(static, fuse(static, motion, method="max")) == pytest.approx(1 / 3.5)
    # Of (1, 0, 0.5, 1), only the last was not in the static map.
    assert motion_share(static, fuse(static, motion, method="motion")) == pytest.approx(1 / 2.5)
    assert motion_share(static, static) == 0
    assert motion_share(0 * static, motion) == 1
    assert motion_share(0 * static, 0 * motion) == 0


@given(static=OPEN, motion=UNIT, gain=st.floats(0, 100))
@settings(deadline=None)
def test_share_of_motion_is_a_share(static: Map, motion: Map, gain: float) -> None:
    for method in get_args(Fusion):
        assert 0 <= motion_share(static, fuse(static, motion, method=method, gain=gain)) <= 1


def test_a_gain_over_even_motion_has_the_share_that_theory_gives() -> None:
    static = np.random.default_rng(0).random((30, 40), dtype=np.float32)
    even = np.full_like(static, 0.5)
    share = motion_share(static, fuse(static, even, gain=3.0))
    assert share == pytest.approx(1.5 / 2.5, rel=1e-6)


@pytest.mark.parametrize("size", [(91, 161), (45, 45), (161, 31)])
def test_centre_prior_is_a_gaussian_of_a_fifth_of_each_side(size: tuple[int, int]) -> None:
    prior = centre_prior(size)
    assert prior.shape == size and prior.dtype == np.float32
    rows, columns = ((np.arange(side) + 0.5) / side - 0.5 for side in size)
    expected = np.exp(-(rows[:, None] ** 2 + columns[None] ** 2) / (2 * 0.2**2))
    assert prior == pytest.approx(expected, abs=1e-6)
    middle = size[0] // 2, size[1] // 2
    assert prior[middle] == 1 == prior.max() and (prior == 1).sum() == 1
    # Separable, so its standard deviations are those of its middle row and column.
    assert prior == pytest.approx(np.outer(prior[:, middle[1]], prior[middle[0]]), abs=1e-6)
    assert np.array_equal(prior, prior[::-1]) and np.array_equal(prior, prior[:, ::-1])
    assert centre_prior(size[::-1]) == pytest.approx(prior.T, abs=1e-7)


def test_strength_of_the_centre_prior_is_a_mixture_with_an_even_one() -> None:
    whole = centre_prior((30, 50), 1.0)
    assert np.array_equal(centre_prior((30, 50), 0.0), np.ones((30, 50)))
    for strength in (0.25, 0.5):
        mixed = centre_prior((30, 50), strength)
        assert mixed == pytest.approx(1 - strength + strength * whole, abs=1e-6)


def test_boxes_are_the_regions_above_the_threshold_most_salient_first() -> None:
    saliency = np.full((50, 100), 0.2, np.float32)
    saliency[5:15, 10:30] = 0.6
    saliency[30:45, 60:65] = 0.9
    saliency[40:50, 90:100] = 0.5
    first, second = boxes(saliency, 0.55)
    assert isinstance(first, Box)
    assert first == pytest.approx((30 / 50, 60 / 100, 45 / 50, 65 / 100, 0.9))
    assert second == pytest.approx((5 / 50, 10 / 100, 15 / 50, 30 / 100, 0.6))
    assert (first.top, first.left, first.bottom, first.right) == (0.6, 0.6, 0.9, 0.65)
    # The threshold itself belongs to what is above it.
    assert len(boxes(saliency, 0.5)) == 3
    assert boxes(saliency, 0.5)[2] == pytest.approx((0.8, 0.9, 1, 1, 0.5))
    assert boxes(saliency, 0.95) == []
    assert boxes(saliency, 0.1) == [
        pytest.approx((0, 0, 1, 1, float(saliency.mean(dtype=np.float64))))
    ]


def test_saliency_of_a_box_is_the_mean_over_the_region_not_the_rectangle() -> None:
    saliency = np.zeros((40, 40), np.float32)
    saliency[10:20, 10] = saliency[19, 10:20] = 0.8
    saliency[10, 10] = 1.0
    (box,) = boxes(saliency, 0.5)
    assert box == pytest.approx((0.25, 0.25, 0.5, 0.5, (18 * 0.8 + 1) / 19))


def test_specks_are_no_boxes() -> None:
    # A thousandth of 100 x 100 is 10 pixels.
    saliency = np.zeros((100, 100), np.float32)
    saliency[10:13, 10:13] = 1.0
    saliency[50:52, 50:55] = 0.7
    assert boxes(saliency, 0.5) == [pytest.approx((0.5, 0.5, 0.52, 0.55, 0.7))]


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


def test_peak_of_several_plateaus_is_in_the_middle_of_the_largest() -> None:
    values = np.zeros((21, 41), np.float32)
    # The smaller ones are more pixels together, and the middle of all is in none.
    values[1:4, 1:4] = values[1:4, 30:34] = values[17:20, 1:5] = 1
    values[10:15, 20:23] = 1
    values[16:18, 30:34] = 0.9
    assert peak(values) == pytest.approx((12.5 / 21, 21.5 / 41))
    # One that goes around something has its point on itself.
    values[9:16, 19:24] = 1
    values[11:14, 21] = 0.5
    point = peak(values)
    assert point is not None
    assert values[int(point[0] * 21), int(point[1] * 41)] == 1
    assert 9 <= point[0] * 21 <= 16 and 19 <= point[1] * 41 <= 24


def test_peak_is_found_above_what_is_clipped() -> None:
    values = np.full((9, 13), 0.2, np.float32)
    values[1:4, 1:6] = 1.5
    values[6, 10] = 1.6
    assert peak(values) == pytest.approx((6.5 / 9, 10.5 / 13))
    assert peak(np.minimum(values, 1)) == pytest.approx((2.5 / 9, 3.5 / 13))


def _two_spots(near: float, far: float) -> Map:
    """A spot at (5, 10) and one at (15, 30), of 20 x 40."""
    values = np.full((20, 40), 0.1, np.float32)
    values[5, 10], values[15, 30] = near, far
    return values


NEAR, FAR = (5.5 / 20, 10.5 / 40), (15.5 / 20, 30.5 / 40)


@pytest.mark.parametrize(
    ("near", "far", "stays"),
    [
        (0.5, 0.62, True),
        # A quarter brighter is clearly so.
        (0.5, 0.63, False),
        (0.81, 1.0, True),
        (0.79, 1.0, False),
        # What is above 1 is seen as 1.
        (0.81, 5.0, True),
        (1.1, 5.0, True),
        (0.79, 5.0, False),
        (0.7, 0.6, True),
    ],
)
def test_the_mark_stays_until_another_place_is_clearly_brighter(
    near: float, far: float, stays: bool
) -> None:
    values = _two_spots(near, far)
    top = peak(values)
    assert top == pytest.approx(NEAR if near > far else FAR)
    # A little beside it: it goes with what moves.
    last = NEAR[0] + 0.05, NEAR[1] - 0.05
    assert stabilized_peak(values, top, last) == pytest.approx(NEAR if stays else FAR)


def test_the_mark_does_not_follow_beyond_a_tenth_of_the_picture() -> None:
    values = _two_spots(0.9, 1.0)
    for row, column in ((0.0, 0.08), (0.0, -0.08), (0.07, 0.0), (-0.07, 0.0)):
        assert stabilized_peak(values, FAR, (NEAR[0] + row, NEAR[1] + column)) == pytest.approx(
            NEAR
        )
        assert stabilized_peak(values, FAR, (NEAR[0] + 2 * row, NEAR[1] + 2 * column)) == FAR


@pytest.mark.parametrize("last", [(0.0, 0.0), (0.999, 0.999), (0.5, 0.0)])
def test_a_mark_at_the_border_is_held_like_any_other(last: tuple[float, float]) -> None:
    values = _two_spots(0.5, 1.0)
    assert stabilized_peak(values, FAR, last) == FAR
    row, column = int(last[0] * 20), int(last[1] * 40)
    values[row, column] = 0.9
    assert stabilized_peak(values, FAR, last) == pytest.approx(
        ((row + 0.5) / 20, (column + 0.5) / 40)
    )


def test_without_a_past_or_a_peak_nothing_is_held() -> None:
    values = _two_spots(0.9, 1.0)
    assert stabilized_peak(values, FAR, None) == FAR
    assert stabilized_peak(np.full((20, 40), 0.4, np.float32), None, NEAR) is None


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
