"""Saliency in a place, in closed form."""

from typing import Any

import numpy as np
import pytest
from store_help import store_of

from vidsal.errors import UsageError, VidsalError
from vidsal.stored.within import cover_of_box, cover_of_mask, overlaps
from vidsal.types import Map

pytest.importorskip("zarr")
pytestmark = pytest.mark.usefixtures("own_folder")

# Maps of 12 x 16 cells; a cell is 4 x 4 pixels of the source.
SIZE, PICTURE = (12, 16), (48, 64)


def spot(row: int, column: int) -> Map:
    values = np.zeros(SIZE, np.float32)
    values[row, column] = 1
    return values


def uniform() -> Map:
    return np.ones(SIZE, np.float32)


def test_a_box_in_closed_form() -> None:
    half = np.full(SIZE, 0.2, np.float32)
    half[:, :8] = 1
    found = store_of([uniform(), half, spot(3, 5), spot(11, 15)]).within((0, 0, 32, 48))
    # The left half: of a uniform map it has its area, of the second five parts of six.
    assert found.area == pytest.approx([0.5] * 4)
    assert found.share == pytest.approx([0.5, 5 / 6, 1, 0], abs=1e-6)
    assert found.ratio == pytest.approx([1, 5 / 3, 2, 0], abs=1e-6)
    assert found.has_peak.tolist() == [False, True, True, False]
    assert found.frame.tolist() == [0, 1, 2, 3]
    assert found.time_s == pytest.approx([0, 0.04, 0.08, 0.12])


def test_cells_that_a_box_cuts_count_in_part() -> None:
    store = store_of([spot(3, 5)])
    # The cell lies at 12..16 down and 20..24 to the right.
    for box, share in (
        ((20, 12, 24, 16), 1), ((20, 12, 22, 16), 1 / 2), ((21, 13, 22, 16), 3 / 16),
        ((0, 0, 20.5, 48), 1 / 8), ((-99, -99, 999, 14), 1 / 2), ((24, 12, 28, 16), 0),
    ):  # fmt: skip
        assert store.within(box).share == pytest.approx([share], abs=1e-6), box
    # Its middle, the peak, is at (14, 22): the right and bottom edges do not belong to a box.
    assert store.within((22, 14, 23, 15)).has_peak.tolist() == [True]
    assert store.within((20, 12, 22, 16)).has_peak.tolist() == [False]


@pytest.mark.parametrize("size", [SIZE, PICTURE, (6, 8), (96, 128), (7, 5), (1, 2), (45, 61)])
def test_masks_of_any_size(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    maps = [np.rint(rng.random(SIZE) * 255).astype(np.float32) / np.float32(255) for _ in range(3)]
    store = store_of(maps)
    left = np.zeros(size, bool)
    left[:, : size[1] // 2] = True
    box = (0, 0, PICTURE[1] * (size[1] // 2) / size[1], PICTURE[0])
    one, other, rest = store.within(left), store.within(box), store.within(~left)
    for name in ("area", "share", "ratio"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-5)
    assert one.share + rest.share == pytest.approx([1, 1, 1], rel=1e-6)
    assert (one.has_peak ^ rest.has_peak).all()
    everything = store.within(np.ones(size, bool))
    assert everything.share == pytest.approx([1, 1, 1]) and everything.has_peak.all()
    assert everything.ratio == pytest.approx([1, 1, 1])


def test_a_mask_for_each_frame() -> None:
    store = store_of([spot(n, n) for n in range(4)])
    masks = np.zeros((4, *PICTURE), bool)
    for n in range(4):
        masks[n, 4 * n : 4 * n + 4, 4 * n : 4 * n + 2 * (n % 2) + 2] = True
    found = store.within(masks)
    assert found.share == pytest.approx([0.5, 1, 0.5, 1])
    assert found.area == pytest.approx(np.array([0.5, 1, 0.5, 1]) / 192)
    assert found.ratio == pytest.approx([192] * 4)
    # The peak is the middle of the cell, which half a cell does not hold.
    assert found.has_peak.tolist() == [False, True, False, True]


def test_what_has_no_share_is_missing() -> None:
    found = store_of([np.zeros(SIZE, np.float32), uniform()]).within(np.zeros(SIZE, bool))
    assert np.isnan(found.ratio).all() and found.share[1] == 0 and np.isnan(found.share[0])
    assert not found.has_peak.any()


def test_it_is_a_data_frame() -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(store_of([uniform()] * 3).within((0, 0, 8, 8))._asdict())
    assert list(table) == ["frame", "time_s", "area", "share", "ratio", "has_peak"]
    assert len(table) == 3 and table["has_peak"].dtype == bool


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (np.ones(SIZE), "a mask must be bool, got float64: give mask > 0"),
        (np.ones((3, *SIZE), bool), "there are 2 frames, but 3 masks: give one for each"),
        (np.ones((2, 2, *SIZE), bool), r"must be \(H, W\) or \(frames, H, W\)"),
        (np.ones((0, 4), bool), "must be"), (5, "a bool mask, or a box"),
        ((1, 2, 3), "a bool mask, or a box"), ("left", "a bool mask, or a box"),
        ([np.ones(SIZE, bool)] * 2, r"a bool mask, or a box .*, got \[array\(\[\[ True"),
        ((8, 8, 8, 20), "covers nothing of a picture of 64 x 48 pixels"),
        ((64, 0, 90, 48), "covers nothing"), ((9, 9, 3, 20), "covers nothing"),
        ((0, 0, float("nan"), 9), "covers nothing"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_place(place: Any, message: str) -> None:
    store = store_of([uniform()] * 2)
    with pytest.raises(UsageError, match=message):
        store.within(place)


def test_covers_have_the_area_of_their_masks() -> None:
    assert overlaps([0.25], [0.75], 4)[:, 0].tolist() == [0, 1, 1, 0]
    assert overlaps([0.1], [0.3], 2)[:, 0] == pytest.approx([0.4, 0])
    mask = np.random.default_rng(0).random((37, 53)) > 0.6
    for size in ((5, 4), (37, 53), (80, 91)):
        assert cover_of_mask(mask, size).mean() == pytest.approx(mask.mean(), rel=1e-5)
    # At the size of the map it is the mask itself.
    assert np.allclose(cover_of_mask(mask, mask.shape), mask, atol=1e-5)
    assert cover_of_box((0, 0, 10, 5), (10, 20), (2, 2)).tolist() == [[1, 0], [0, 0]]


def test_one_map_at_a_time() -> None:
    store = store_of([spot(n % 12, n % 16) for n in range(40)])
    found = list(store.maps("fused"))
    assert len(found) == 40 and np.array_equal(found[35], spot(11, 3))
    assert all(np.array_equal(one, two.fused) for one, two in zip(found, store, strict=True))
    with pytest.raises(VidsalError, match="has no map 'gradient'"):
        next(store.maps("gradient"))
