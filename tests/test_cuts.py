"""Scene cuts: another scene is one; motion, pan, noise and changing light are not."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import LoadScript

from vidsal import motion
from vidsal.cuts import changed_share, histogram, is_cut
from vidsal.frames import Rgb


def _photo(folder: Path, name: str) -> Rgb:
    bgr = cv2.imread(str(folder / name))
    assert bgr is not None
    return motion.shrink(np.ascontiguousarray(bgr[..., ::-1], np.uint8), (180, 240))


@pytest.fixture(scope="module")
def cat(sample_media: Path) -> Rgb:
    return _photo(sample_media, "cat.jpg")


@pytest.fixture(scope="module")
def coffee(sample_media: Path) -> Rgb:
    return _photo(sample_media, "coffee.jpg")


def _cut(before: Rgb, after: Rgb) -> bool:
    return is_cut(histogram(before), histogram(after))


def test_share_in_closed_form() -> None:
    red = np.zeros((10, 10, 3), np.uint8)
    red[..., 0] = 255
    part_blue = red.copy()
    part_blue[:3] = (0, 0, 255)
    assert changed_share(histogram(red), histogram(part_blue)) == pytest.approx(0.3, abs=1e-6)
    assert changed_share(histogram(red), histogram(red)) == 0
    blue = np.zeros_like(red) + np.array((0, 0, 255), np.uint8)
    assert changed_share(histogram(red), histogram(blue)) == pytest.approx(1.0, abs=1e-6)


def test_histogram_counts_every_pixel_once() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    counts = histogram(rgb)
    assert counts.dtype == np.float32
    for one in counts:
        assert one.sum() == pytest.approx(1, abs=1e-5)
    # The first grid is the plain one: 32 levels a bin, red on the first axis.
    expected = np.zeros((8, 8, 8))
    np.add.at(expected, tuple((rgb // 32).reshape(-1, 3).T), 1 / 3500)
    assert counts[0][:8, :8, :8] == pytest.approx(expected, abs=1e-6)


def test_other_scene_is_a_cut(cat: Rgb, coffee: Rgb) -> None:
    assert _cut(cat, coffee) and _cut(coffee, cat)
    assert _cut(cat, 255 - cat)
    assert _cut(np.zeros_like(cat), cat)


def test_first_frame_is_no_cut(cat: Rgb) -> None:
    assert not is_cut(None, histogram(cat))


def test_same_picture_is_no_cut(cat: Rgb) -> None:
    assert not _cut(cat, cat.copy())


def test_motion_is_no_cut(load_script: LoadScript) -> None:
    script = load_script("make_synthetic_clip")
    made = list(script.frames(script.Scene(frame_count=20, square_velocity=(-9, 4))))
    assert not any(_cut(before, after) for before, after in pairwise(made))


@pytest.mark.parametrize("step_px", [4, 16, 40])
def test_pan_that_shows_new_ground_is_no_cut(cat: Rgb, step_px: int) -> None:
    views = [cat[:, left : left + 120] for left in range(0, 120, step_px)]
    whole = [np.ascontiguousarray(view) for view in views]
    assert not any(_cut(before, after) for before, after in pairwise(whole))


@pytest.mark.parametrize("sigma", [2, 10, 20])
def test_noise_is_no_cut(cat: Rgb, sigma: float) -> None:
    rng = np.random.default_rng(0)
    noisy = [
        np.clip(cat + rng.normal(0, sigma, cat.shape), 0, 255).astype(np.uint8) for _ in range(4)
    ]
    assert not any(_cut(before, after) for before, after in pairwise(noisy))


@pytest.mark.parametrize("step", [1, 3, 8])
def test_changing_light_is_no_cut(cat: Rgb, step: int) -> None:
    lit = [np.clip(cat.astype(int) + d, 0, 255).astype(np.uint8) for d in range(-60, 60, step)]
    assert not any(_cut(before, after) for before, after in pairwise(lit))


@pytest.mark.parametrize("step", [1, 5, 12])
def test_even_ground_that_brightens_is_no_cut(step: int) -> None:
    # All its pixels pass the border between two bins at once.
    grounds = [np.full((18, 32, 3), level, np.uint8) for level in range(0, 256, step)]
    assert not any(_cut(a, b) for a, b in pairwise(grounds))


@pytest.mark.parametrize("size", [(1, 1), (2, 3)])
def test_tiny_pictures(size: tuple[int, int]) -> None:
    black, white = np.zeros((*size, 3), np.uint8), np.full((*size, 3), 255, np.uint8)
    assert _cut(black, white)
    assert not _cut(white, white)
