"""Sizes, means, luma and smoothing in closed form."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidsal import image_ops


@given(height=st.integers(1, 5000), width=st.integers(1, 5000), longer=st.integers(32, 4096))
@settings(deadline=None)
def test_working_size(height: int, width: int, longer: int) -> None:
    rows, columns = image_ops.working_size(height, width, longer)
    assert max(rows, columns) == min(longer, max(height, width))
    assert 1 <= rows <= height and 1 <= columns <= width
    assert image_ops.working_size(width, height, longer) == (columns, rows)
    # Each side is the exact one to within the rounding, or one pixel.
    factor = min(1, longer / max(height, width))
    assert abs(rows - max(1, height * factor)) <= 0.5
    assert abs(columns - max(1, width * factor)) <= 0.5


def test_shrink_averages_the_area_of_each_pixel() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
    values = rgb[..., 0].astype(np.float32)
    assert image_ops.shrink(rgb, (24, 40)) is rgb
    # Repeated halving, which rounds; areas that halving would cut; one axis alone.
    for size in ((6, 10), (4, 10), (2, 5), (4, 8), (24, 8)):
        blocks = (size[0], 24 // size[0], size[1], 40 // size[1])
        means = rgb.reshape(*blocks, 3).mean(axis=(1, 3))
        assert image_ops.shrink(rgb, size).astype(float) == pytest.approx(means, abs=1.01)
        exact = values.reshape(blocks).mean(axis=(1, 3))
        assert image_ops.shrink(values, size) == pytest.approx(exact, abs=1e-3)


def test_grey_weighs_red_first() -> None:
    # BT.601 luma, the weights of JPEG and OpenCV.
    primaries = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    assert image_ops.grey(primaries)[0].tolist() == [76, 150, 29, 255]


def test_smoothed_keeps_the_sum_and_has_the_stated_width() -> None:
    spike = np.zeros((101, 201), np.float32)
    spike[50, 100] = 1
    result = image_ops.smoothed(spike, 0.02)
    assert result.sum() == pytest.approx(1, abs=1e-3)
    columns = np.arange(201) - 100
    spread = float(np.sqrt((result.sum(axis=0) * columns**2).sum()))
    assert spread == pytest.approx(0.02 * 201, rel=0.02)
    assert np.array_equal(image_ops.smoothed(spike, 0), spike)


def test_sampled_pictures_are_near_the_mean_of_each_area() -> None:
    rng = np.random.default_rng(0)
    smooth = cv2.GaussianBlur(rng.integers(0, 256, (720, 1280, 3)).astype(np.float32), (0, 0), 6)
    smooth = (smooth - smooth.min()) / np.ptp(smooth) * 255
    for size in ((256, 448), (224, 384), (180, 320), (720, 1280), (40, 600), (900, 1500)):
        for picture in (smooth.astype(np.uint8), smooth.astype(np.float32)):
            found = image_ops.sampled(picture, size)
            assert (found.dtype, found.shape) == (picture.dtype, (*size, 3))
            exact = image_ops.shrink(picture, size)
            assert np.abs(found.astype(float) - exact).mean() < 0.8
    assert image_ops.sampled(smooth, (720, 1280)) is smooth


def test_fine_patterns_do_not_become_coarse_ones() -> None:
    # Noise that shrinks to a little more than its half is the hardest case: without a blur, the
    # difference is 20 levels.
    noise = np.random.default_rng(0).integers(0, 256, (480, 854, 3), np.uint8)
    found, means = (one(noise, (256, 455)) for one in (image_ops.sampled, image_ops.shrink))
    assert np.abs(found.astype(float) - means).mean() < 12


def test_sampled_pictures_lose_no_pixel() -> None:
    # A dot in each place leaves a trace, and so the same amount of light in the mean.
    totals = []
    for row in range(7):
        picture = np.zeros((64, 96), np.float32)
        picture[row, row] = 255
        totals.append(image_ops.sampled(picture, (20, 30)).sum())
    assert min(totals) > 0


@pytest.mark.parametrize("percent", [0, 0.2, 50, 95, 99.8, 100])
@pytest.mark.parametrize("shape", [(1,), (2,), (7,), (30, 41), (180, 320)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_percentiles_are_those_of_numpy(
    dtype: type, shape: tuple[int, ...], percent: float
) -> None:
    values: Any = (255 * np.random.default_rng(1).random(shape) ** 3).astype(dtype)
    kept = values.copy()
    expected = float(np.percentile(values.astype(np.float64), percent))
    assert image_ops.percentile(values, percent) == pytest.approx(expected, rel=1e-12, abs=1e-12)
    assert np.array_equal(values, kept)


@pytest.mark.parametrize("percent", [0, 50, 99.8, 100])
def test_a_percentile_of_what_is_not_a_number_is_none(percent: float) -> None:
    values = np.array([1, 2, np.nan, 3, 4], np.float32)
    assert np.isnan(image_ops.percentile(values, percent))
