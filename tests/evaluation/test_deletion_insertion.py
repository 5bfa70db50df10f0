"""Deletion and insertion: the order of the pixels, the areas, the controls."""

import numpy as np
import pytest

from vidsal.evaluation import deletion_insertion
from vidsal.types import Map, Rgb


@pytest.fixture
def picture() -> Rgb:
    return np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)


@pytest.fixture
def ramp() -> Map:
    """Most salient on the right."""
    return np.tile(np.arange(32, dtype=np.float32), (24, 1))


def test_ranks_put_the_most_salient_first(ramp: Map) -> None:
    ranks = deletion_insertion.ranks(ramp)
    assert np.array_equal(np.sort(ranks, axis=None), np.arange(ramp.size, dtype=np.float32) / 768)
    assert ranks[:, 31].max() < ranks[:, 30].min()
    assert np.array_equal(deletion_insertion.ranks(ramp**3), ranks)


def test_a_flat_map_has_random_but_fixed_ranks() -> None:
    flat = np.ones((24, 32), np.float32)
    ranks = deletion_insertion.ranks(flat)
    assert np.array_equal(ranks, deletion_insertion.ranks(flat))
    rows = ranks.mean(axis=1)
    assert abs(np.corrcoef(rows, np.arange(24))[0, 1]) < 0.6
    # Four standard deviations of the mean of 32 uniform numbers.
    assert np.abs(rows - 0.5).max() < 0.21


def test_the_most_salient_pixels_change_first(picture: Rgb, ramp: Map) -> None:
    soft = deletion_insertion.blurred(picture)
    pictures = deletion_insertion.between(picture, soft, deletion_insertion.ranks(ramp), steps=4)
    assert pictures.shape == (3, 24, 32, 3) and pictures.dtype == np.uint8
    for n, one in enumerate(pictures, start=1):
        changed = 8 * n
        assert np.array_equal(one[:, : 32 - changed], picture[:, : 32 - changed])
        assert np.array_equal(one[:, 32 - changed :], soft[:, 32 - changed :])


def test_the_reverse_order_is_that_of_the_opposite_map(picture: Rgb, ramp: Map) -> None:
    soft = deletion_insertion.blurred(picture)
    there = deletion_insertion.between(picture, soft, deletion_insertion.ranks(ramp), steps=4)
    back = deletion_insertion.between(soft, picture, deletion_insertion.ranks(-ramp), steps=4)
    assert np.array_equal(there, back[::-1])


def test_blur_keeps_the_mean_and_removes_detail(picture: Rgb) -> None:
    soft = deletion_insertion.blurred(picture)
    assert soft.mean() == pytest.approx(picture.mean(), abs=3)
    assert soft.std() < picture.std() / 4


def test_area_in_closed_form() -> None:
    assert deletion_insertion.area(np.array([1.0, 1.0, 1.0])) == 1
    assert deletion_insertion.area(np.array([0.0, 0.5, 1.0])) == 0.5
    assert deletion_insertion.area(np.linspace(0, 1, 1001) ** 2) == pytest.approx(1 / 3, abs=1e-6)


def test_controls(picture: Rgb) -> None:
    half = np.zeros((24, 32, 3), np.uint8)
    half[:, 16:] = 255
    maps = deletion_insertion.controls(half, 0, seed=3)
    assert set(maps) == {"random", "centre", "edges"}
    assert set(np.unique(np.nonzero(maps["edges"])[1])) == {15, 16}
    top = np.unravel_index(maps["centre"].argmax(), (24, 32))
    assert top[0] in (11, 12) and top[1] in (15, 16)
    again, other = (deletion_insertion.controls(half, 0, seed=seed)["random"] for seed in (3, 4))
    assert np.array_equal(again, maps["random"]) and not np.array_equal(other, again)
    smooth = deletion_insertion.controls(picture, 2.0, seed=3)
    assert smooth["random"].std() < maps["random"].std() / 2


def test_rank_correlation(ramp: Map) -> None:
    assert deletion_insertion.rank_correlation(ramp, ramp**2) == pytest.approx(1)
    assert deletion_insertion.rank_correlation(ramp, -ramp) == pytest.approx(-1)
    assert deletion_insertion.rank_correlation(ramp, np.ones_like(ramp)) == 0
    noise = np.random.default_rng(0).random(ramp.shape, dtype=np.float32)
    assert abs(deletion_insertion.rank_correlation(ramp, noise)) < 0.15
