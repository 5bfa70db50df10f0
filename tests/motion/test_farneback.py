"""Farneback's flow against OpenCV's, and what does not depend on OpenCV."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import LoadScript
from motion_help import moving_square

from vidsal.motion.farneback import displacement, expanded
from vidsal.runtime.opencv import cv2
from vidsal.types import Map, Rgb


def opencv_flow(previous: Rgb, current: Rgb) -> Map:
    flow = cv2.calcOpticalFlowFarneback(
        previous, current, np.zeros((*current.shape, 2), np.float32),
        pyr_scale=0.5, levels=4, winsize=13, iterations=2, poly_n=5, poly_sigma=1.2, flags=0,
    )  # fmt: skip
    return np.asarray(flow, np.float32)


def noisy_pair(height: int, width: int) -> tuple[Rgb, Rgb]:
    """Noisy cuttings of a soft texture, shifted by 2 columns and 1 row, less in one half."""
    rng = np.random.default_rng(height * width)
    texture = cv2.GaussianBlur(
        rng.uniform(0, 255, (height + 9, width + 9)).astype(np.float32), (0, 0), 2
    )
    texture = (texture - texture.min()) * (255 / np.ptp(texture))
    one, other = texture[4:-5, 4:-5], texture[3:-6, 2:-7].copy()
    other[:, width // 2 :] = texture[4:-5, 3:-6][:, width // 2 :]
    return tuple(
        np.clip(np.rint(part + rng.normal(0, 2, part.shape)), 0, 255).astype(np.uint8)
        for part in (one, other)
    )


# Sides that are odd, below the window, and around the smallest size that is halved.
SIZES = [
    (180, 320),
    (135, 241),
    (127, 128),
    (64, 65),
    (63, 200),
    (33, 40),
    (12, 30),
    (3, 5),
    (1, 1),
]


@pytest.mark.parametrize("size", SIZES)
def test_at_each_pixel_the_flow_is_that_of_opencv(size: tuple[int, int]) -> None:
    one, other = noisy_pair(*size)
    flow = displacement(expanded(one, grid_px=1), expanded(other, grid_px=1))
    assert flow.shape == (*size, 2) and flow.dtype == np.float32
    expected = opencv_flow(one, other)
    assert flow == pytest.approx(expected, abs=2e-3)
    if min(size) > 60:
        # There is a flow to compare.
        assert expected[..., 0][:, : size[1] // 3].mean() == pytest.approx(2, abs=0.3)


def test_on_a_grid_the_flow_is_nearly_that_of_each_pixel(load_script: LoadScript) -> None:
    first, second, truth, *_ = moving_square(
        load_script, background_velocity=(0, 0), square_velocity=(3, 1)
    )
    fine = displacement(expanded(first, grid_px=1), expanded(second, grid_px=1))
    coarse = displacement(expanded(first), expanded(second))
    error, was = (np.linalg.norm(flow - truth, axis=-1) for flow in (coarse, fine))
    assert error.mean() < 1.1 * was.mean()
    assert np.linalg.norm(coarse - fine, axis=-1).mean() < 0.02


@pytest.mark.parametrize("grid_px", [1, 2, 3])
def test_a_shift_is_found_on_each_grid(grid_px: int) -> None:
    rng = np.random.default_rng(5)
    soft = cv2.GaussianBlur(rng.uniform(0, 255, (140, 150)).astype(np.float32), (0, 0), 3)
    texture = ((soft - soft.min()) * (255 / np.ptp(soft))).astype(np.uint8)
    one, other = texture[10:-10, 10:-10], texture[8:-12, 15:-5]
    flow = displacement(*(expanded(part, grid_px=grid_px) for part in (one, other)))
    middle = flow[20:-20, 20:-20]
    assert middle[..., 0] == pytest.approx(-5, abs=0.2)
    assert middle[..., 1] == pytest.approx(2, abs=0.2)


@pytest.mark.parametrize(("size", "grid_px"), [((72, 127), 1), ((72, 128), 2), ((128, 72), 2)])
def test_small_pictures_are_solved_at_each_pixel(size: tuple[int, int], grid_px: int) -> None:
    one, other = noisy_pair(*size)
    usual = displacement(expanded(one), expanded(other))
    flows = {n: displacement(expanded(one, grid_px=n), expanded(other, grid_px=n)) for n in (1, 2)}
    assert [n for n, flow in flows.items() if np.array_equal(flow, usual)] == [grid_px]


def test_a_rough_flow_has_the_unit_and_size_of_the_other(load_script: LoadScript) -> None:
    first, second, _, mask, _ = moving_square(
        load_script, background_velocity=(0, 0), square_velocity=(4, 0)
    )
    pictures = expanded(first), expanded(second)
    rough = displacement(*pictures, is_rough=True)
    assert rough.shape == (*first.shape, 2)
    inner = cv2.erode(mask.astype(np.uint8), np.ones((21, 21))) > 0
    assert rough[inner].mean(axis=0) == pytest.approx((4, 0), abs=0.2)


def test_the_rough_flow_of_a_picture_with_one_size_is_its_flow() -> None:
    one, other = noisy_pair(40, 50)
    pictures = expanded(one), expanded(other)
    assert len(pictures[0]) == 1
    assert np.array_equal(displacement(*pictures, is_rough=True), displacement(*pictures))


def test_there_is_no_flow_without_texture() -> None:
    one, other = np.full((90, 120), 90, np.uint8), np.full((90, 120), 140, np.uint8)
    assert not displacement(expanded(one), expanded(other)).any()
