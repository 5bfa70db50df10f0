"""The smallest box that holds a share of a map."""

import itertools

import numpy as np
import pytest

from vidsal.crop.boxes import smallest_box
from vidsal.types import Map


def test_a_rectangle_is_its_own_box() -> None:
    values = np.zeros((36, 64), np.float32)
    values[9:18, 16:48] = 0.5
    box = smallest_box(values, 1.0)
    assert box == (0.25, 0.25, 0.5, 0.75, 1.0)
    # Of a line of 32 cells, three quarters are the 24 in the middle.
    line = np.zeros((36, 64), np.float32)
    line[9, 16:48] = 0.5
    assert smallest_box(line, 0.75) == pytest.approx((9 / 36, 20 / 64, 10 / 36, 44 / 64, 0.75))


def test_the_stronger_of_two_spots() -> None:
    values = np.zeros((40, 60), np.float32)
    values[5:10, 5:10], values[30:35, 50:55] = 0.6, 0.4
    box = smallest_box(values, 0.6)
    assert box == pytest.approx((5 / 40, 5 / 60, 10 / 40, 10 / 60, 0.6))
    both = smallest_box(values, 0.61)
    assert both is not None and both.right > 50 / 60


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.8, 1.0])
def test_of_a_uniform_map_it_has_that_share_of_the_area(share: float) -> None:
    box = smallest_box(np.full((36, 64), 0.3, np.float32), share)
    assert box is not None
    area = (box.bottom - box.top) * (box.right - box.left)
    # Within half a row of cells.
    assert share - 1e-9 <= area <= share + 0.5 / 36
    assert box.held == pytest.approx(area)
    # Of equal boxes it is the one in the middle, to a cell.
    assert box.top + box.bottom == pytest.approx(1, abs=1.01 / 36)
    assert box.left + box.right == pytest.approx(1, abs=1.01 / 64)


def _by_all_boxes(values: Map, share: float) -> int:
    """The least area, from every box there is."""
    height, width = values.shape
    spans = [itertools.combinations(range(side + 1), 2) for side in (height, width)]
    return min(
        (bottom - top) * (right - left)
        for (top, bottom), (left, right) in itertools.product(*map(list, spans))
        if values[top:bottom, left:right].sum() >= share * values.sum() * (1 - 1e-9)
    )


@pytest.mark.parametrize("seed", range(6))
def test_no_box_is_smaller(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.asarray(rng.random((9, 13)) ** 6, np.float32)
    for share in (0.2, 0.5, 0.9):
        box = smallest_box(values, share)
        assert box is not None and box.held >= share - 1e-6
        area = (box.bottom - box.top) * 9 * (box.right - box.left) * 13
        assert area == pytest.approx(_by_all_boxes(values, share))


def test_a_large_map_is_searched_on_a_grid() -> None:
    rows, columns = np.mgrid[:180, :320]
    values = np.exp(-((rows - 60.0) ** 2 + (columns - 200.0) ** 2) / 2 / 15**2).astype(np.float32)
    box = smallest_box(values, 0.8)
    assert box is not None and 0.8 <= box.held < 0.85
    # A square of a Gaussian's 80 %: 1.61 deviations to each side, to a cell of 5 pixels.
    pixels = np.array(box[:4]) * (180, 320, 180, 320)
    assert pixels == pytest.approx((36, 176, 84, 224), abs=6)
    assert np.prod(pixels[2:] - pixels[:2]) == pytest.approx(48**2, rel=0.2)


def test_nothing_has_no_box() -> None:
    assert smallest_box(np.zeros((18, 32), np.float32), 0.5) is None
    assert smallest_box(np.ones((1, 1), np.float32), 0.5) == (0, 0, 1, 1, 1)
