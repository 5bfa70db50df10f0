"""Boxes, peaks and centroids of maps in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidsal.saliency.regions import Box, boxes, calm_corner, centroid, peak, stabilized_peak
from vidsal.types import Corner, Map


def test_boxes_bound_the_regions_above_the_threshold() -> None:
    saliency = np.full((50, 100), 0.2, np.float32)
    saliency[5:15, 10:30] = 0.6
    saliency[30:45, 60:65] = 0.9
    saliency[40:50, 90:100] = 0.5
    first, second = boxes(saliency, 0.55)
    assert isinstance(first, Box)
    assert first == pytest.approx((30 / 50, 60 / 100, 45 / 50, 65 / 100, 0.9))
    assert second == pytest.approx((5 / 50, 10 / 100, 15 / 50, 30 / 100, 0.6))
    assert (first.top, first.left, first.bottom, first.right) == (0.6, 0.6, 0.9, 0.65)
    # The threshold itself is included.
    assert len(boxes(saliency, 0.5)) == 3
    assert boxes(saliency, 0.5)[2] == pytest.approx((0.8, 0.9, 1, 1, 0.5))
    assert boxes(saliency, 0.95) == []
    assert boxes(saliency, 0.1) == [
        pytest.approx((0, 0, 1, 1, float(saliency.mean(dtype=np.float64))))
    ]


def test_saliency_of_a_box_is_the_mean_over_its_region() -> None:
    saliency = np.zeros((40, 40), np.float32)
    saliency[10:20, 10] = saliency[19, 10:20] = 0.8
    saliency[10, 10] = 1.0
    (box,) = boxes(saliency, 0.5)
    assert box == pytest.approx((0.25, 0.25, 0.5, 0.5, (18 * 0.8 + 1) / 19))


def test_specks_are_left_out() -> None:
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


def test_peak_is_the_maximum_and_centroid_the_centre_of_mass() -> None:
    values = np.zeros((10, 20), np.float32)
    values[0:4, 0:8] = 0.5
    values[8, 15] = 0.6
    assert peak(values) == pytest.approx((8.5 / 10, 15.5 / 20))
    assert centroid(values) == pytest.approx(
        ((32 * 2 * 0.5 + 8.5 * 0.6) / 16.6 / 10, (32 * 4 * 0.5 + 15.5 * 0.6) / 16.6 / 20)
    )


@pytest.mark.parametrize("size", [(3, 3), (4, 6), (4, 5), (1, 8), (7, 2)])
def test_peak_of_a_plateau_is_in_its_middle(size: tuple[int, int]) -> None:
    # Clipping makes plateaus, so this is common and not a corner case.
    values = np.zeros((20, 30), np.float32)
    top, left = 9, 17
    values[top : top + size[0], left : left + size[1]] = 1
    point = peak(values)
    assert point is not None
    # A pixel's middle is at most half a pixel from the middle of an even side.
    assert abs(point[0] * 20 - (top + size[0] / 2)) <= 0.5
    assert abs(point[1] * 30 - (left + size[1] / 2)) <= 0.5


def test_peak_of_several_plateaus_is_in_the_middle_of_the_largest() -> None:
    values = np.zeros((21, 41), np.float32)
    # The smaller plateaus have more pixels together, and their common middle is in none of them.
    values[1:4, 1:4] = values[1:4, 30:34] = values[17:20, 1:5] = 1
    values[10:15, 20:23] = 1
    values[16:18, 30:34] = 0.9
    assert peak(values) == pytest.approx((12.5 / 21, 21.5 / 41))
    # The peak of a ring is on the ring.
    values[9:16, 19:24] = 1
    values[11:14, 21] = 0.5
    point = peak(values)
    assert point is not None
    assert values[int(point[0] * 21), int(point[1] * 41)] == 1
    assert 9 <= point[0] * 21 <= 16 and 19 <= point[1] * 41 <= 24


def test_peak_uses_values_above_1() -> None:
    values = np.full((9, 13), 0.2, np.float32)
    values[1:4, 1:6] = 1.5
    values[6, 10] = 1.6
    assert peak(values) == pytest.approx((6.5 / 9, 10.5 / 13))
    assert peak(np.minimum(values, 1)) == pytest.approx((2.5 / 9, 3.5 / 13))


def _two_spots(near: float, far: float) -> Map:
    """Return a 20 x 40 map with a spot at (5, 10) and one at (15, 30)."""
    values = np.full((20, 40), 0.1, np.float32)
    values[5, 10], values[15, 30] = near, far
    return values


NEAR, FAR = (5.5 / 20, 10.5 / 40), (15.5 / 20, 30.5 / 40)


@pytest.mark.parametrize(
    ("near", "far", "stays"),
    [
        (0.5, 0.62, True),
        # A quarter brighter is clearly brighter.
        (0.5, 0.63, False),
        (0.81, 1.0, True),
        (0.79, 1.0, False),
        # Values above 1 are displayed as 1.
        (0.81, 5.0, True),
        (1.1, 5.0, True),
        (0.79, 5.0, False),
        (0.7, 0.6, True),
    ],
)
def test_the_marker_stays_until_another_place_is_clearly_brighter(
    near: float, far: float, stays: bool
) -> None:
    values = _two_spots(near, far)
    top = peak(values)
    assert top == pytest.approx(NEAR if near > far else FAR)
    # The last marker is slightly off the peak: the marker follows a moving object.
    last = NEAR[0] + 0.05, NEAR[1] - 0.05
    assert stabilized_peak(values, top, last) == pytest.approx(NEAR if stays else FAR)


def test_the_marker_follows_within_a_tenth_of_the_picture() -> None:
    values = _two_spots(0.9, 1.0)
    for row, column in ((0.0, 0.08), (0.0, -0.08), (0.07, 0.0), (-0.07, 0.0)):
        assert stabilized_peak(values, FAR, (NEAR[0] + row, NEAR[1] + column)) == pytest.approx(
            NEAR
        )
        assert stabilized_peak(values, FAR, (NEAR[0] + 2 * row, NEAR[1] + 2 * column)) == FAR


@pytest.mark.parametrize("last", [(0.0, 0.0), (0.999, 0.999), (0.5, 0.0)])
def test_a_marker_at_the_border_is_kept_like_any_other(last: tuple[float, float]) -> None:
    values = _two_spots(0.5, 1.0)
    assert stabilized_peak(values, FAR, last) == FAR
    row, column = int(last[0] * 20), int(last[1] * 40)
    values[row, column] = 0.9
    assert stabilized_peak(values, FAR, last) == pytest.approx(
        ((row + 0.5) / 20, (column + 0.5) / 40)
    )


def test_without_a_last_marker_or_a_peak_nothing_is_kept() -> None:
    values = _two_spots(0.9, 1.0)
    assert stabilized_peak(values, FAR, None) == FAR
    assert stabilized_peak(np.full((20, 40), 0.4, np.float32), None, NEAR) is None


@pytest.mark.parametrize("level", [0.0, 0.4, 1.0])
def test_a_flat_map_has_no_peak(level: float) -> None:
    assert peak(np.full((6, 8), level, np.float32)) is None


def test_centroid_of_a_flat_map_is_the_middle_and_of_zeros_none() -> None:
    assert centroid(np.full((6, 8), 0.4, np.float32)) == pytest.approx((0.5, 0.5))
    assert centroid(np.zeros((6, 8), np.float32)) is None


def test_mirroring_mirrors_the_points() -> None:
    values = np.random.default_rng(0).random((12, 17)).astype(np.float32)
    for point in (peak, centroid):
        here, there = point(values), point(values[::-1, ::-1])
        assert here is not None and there is not None
        assert there == pytest.approx((1 - here[0], 1 - here[1]))


_CORNERS: dict[Corner, tuple[slice, slice]] = {
    "bottom-left": np.s_[-8:, :40], "bottom-right": np.s_[-8:, -40:],
    "top-left": np.s_[:8, :40], "top-right": np.s_[:8, -40:],
}  # fmt: skip


@pytest.mark.parametrize(
    ("bright", "calm"), [(one, other) for one in _CORNERS for other in _CORNERS if one != other]
)
def test_captions_leave_a_bright_corner_for_the_calmest(bright: Corner, calm: Corner) -> None:
    saliency = np.full((50, 80), 0.1, np.float32)
    saliency[_CORNERS[bright]] = 0.6
    saliency[_CORNERS[calm]] = 0.0
    assert calm_corner(saliency, bright) == calm
    # From there, nothing needs to move.
    assert calm_corner(saliency, calm) == calm


def test_captions_stay_where_little_is_hidden_and_where_no_corner_is_much_calmer() -> None:
    cool = np.zeros((50, 80), np.float32)
    cool[-8:, :40] = 0.19
    assert calm_corner(cool, "bottom-left") == "bottom-left"
    full = np.full((50, 80), 0.5, np.float32)
    full[-8:, :40] = 0.9
    assert calm_corner(full, "bottom-left") == "bottom-left"
    full[-8:, :40] = 1.0
    assert calm_corner(full, "bottom-left") != "bottom-left"
