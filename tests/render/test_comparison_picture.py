"""Panels of a comparison: their arrangement, the difference, the curve."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from render_help import ground, noise, random_map, spot

from vidsal.render.comparison import ComparedFrame, ComparisonPicture, difference, grid_shape
from vidsal.render.overlay import signed_colours, signed_over
from vidsal.render.style import Style
from vidsal.types import Frame, Rgb


@pytest.mark.parametrize(
    ("stores", "size", "shape"),
    [
        (2, (360, 640), (2, 2)), (3, (360, 640), (2, 2)), (4, (360, 640), (2, 3)),
        (5, (360, 640), (2, 3)), (6, (360, 640), (2, 4)), (2, (640, 360), (1, 4)),
        (6, (640, 360), (2, 4)), (2, (400, 400), (2, 2)), (2, (100, 800), (4, 1)),
        (4, (640, 360), (1, 6)), (4, (300, 720), (3, 2)),
    ],
)  # fmt: skip
def test_the_grid_is_full_and_near_the_shape_of_a_screen(
    stores: int, size: tuple[int, int], shape: tuple[int, int]
) -> None:
    assert grid_shape(stores, size) == shape


def test_the_difference_of_two_maps_is_signed_and_that_of_more_is_not() -> None:
    one, two, three = (random_map((9, 16), seed) for seed in range(3))
    assert np.array_equal(difference([one, two]), two - one)
    expected = np.std([one, two, three], axis=0)
    assert difference([one, two, three]) == pytest.approx(expected, abs=1e-6)
    # Half of the maps 0, half 1: the largest there is.
    zero = np.zeros((2, 2), np.float32)
    assert difference([zero, zero, zero + 1, zero + 1]) == pytest.approx(np.full((2, 2), 0.5))


def test_no_difference_is_grey_and_its_colours_are_opposite() -> None:
    rgb = noise((48, 64))
    same = signed_over(rgb, np.zeros((12, 16), np.float32))
    assert np.ptp(same, axis=-1).max() == 0 and same.std() > 10
    for sign, end in ((-1, (64, 156, 255)), (1, (255, 138, 36))):
        whole = signed_over(rgb, np.full((12, 16), sign, np.float32))
        assert (whole == end).all()
        table = signed_colours()
        assert tuple(table[-1 if sign > 0 else 0]) == end
    assert len(table) == 255 and np.ptp(table[127]) == 0
    # The bar shows the colours of a map on a medium grey.
    ramp = signed_over(ground((4, 255)) * 0 + 128, np.linspace(-1, 1, 255, dtype=np.float32)[None])
    assert np.abs(ramp[0].astype(int) - table).max() <= 1


def picture_of(size: tuple[int, int], names: tuple[str, ...] = ("one", "two"), **style: Any) -> Rgb:
    times = np.arange(9) / 3
    maps = tuple(spot((18, 32), 4 + 4 * n, 8 + 6 * n) for n in range(len(names)))
    curves = [np.linspace(1, -0.5, 9) for _ in names[1:]]
    curves[0][4] = math.nan
    drawing = ComparisonPicture(names, Style(**style), size, times, curves)
    frame = Frame(ground(size), 4, float(times[4]))
    notes = ("CC 0.50  SIM 0.50  peaks 0.10 apart",) * (len(names) - 1)
    return drawing.draw(
        ComparedFrame(frame, maps, ((0.2, 0.2),) * len(names), difference(maps), notes)
    )


@pytest.mark.parametrize("view", ["heat", "contour", "reveal"])
@pytest.mark.parametrize("size", [(135, 241), (240, 135), (180, 320), (20, 30), (101, 101)])
def test_sides_are_even_at_every_size(size: tuple[int, int], view: Any) -> None:
    for names in (("one", "two"), ("one", "two", "three"), tuple("abcdef")):
        for width in (0, 64, 200):
            picture = picture_of(size, names, view=view, width=width)
            assert picture.shape[0] % 2 == 0 and picture.shape[1] % 2 == 0
            assert not width or picture.shape[1] <= width


def test_without_annotation_there_is_neither_text_nor_curve() -> None:
    plain, full = picture_of((180, 320), annotate=False), picture_of((180, 320))
    assert plain.shape == (360, 640, 3) and full.shape[0] > 360
    # The input: bare in the one, labelled in the other.
    assert (plain[184:356, 4:316] == ground((1, 1))[0, 0]).all()
    assert (full[184:204, 4:60] != ground((1, 1))[0, 0]).any()


def test_the_cursor_stands_at_the_time_of_the_frame() -> None:
    strip = picture_of((180, 320))[360:]
    bright = (strip.min(axis=-1) > 200).sum(axis=0)
    # The middle of the axis, which begins after its labels: they are bright, too.
    cursor = 100 + int(np.argmax(bright[100:]))
    assert cursor == pytest.approx((strip.shape[1] + 40) / 2, abs=20)
    # Where the curve has a gap there is no dot on the cursor.
    assert np.ptp(strip[:, cursor - 3 : cursor + 4].astype(int), axis=-1).max() == 0


def test_long_names_are_shortened_to_their_panel() -> None:
    picture = picture_of((180, 320), ("a" * 80, "b" * 80))
    short = picture_of((180, 320), ("a", "b"))
    # Nothing but the first line of the panels with names differs.
    where = (picture != short).any(axis=-1)
    assert where[:24].any() and not where[30:180].any()
    assert not where[180:, :310].any()


def test_a_motion_map_has_its_speed_at_the_bar() -> None:
    size = (180, 320)
    drawing = ComparisonPicture(("a", "b"), Style(), size, np.zeros(1), [np.ones(1)])
    maps = (spot((18, 32), 4, 8),) * 2
    bare = ComparedFrame(Frame(ground(size), 0, 0.0), maps, (None, None), difference(maps), ("",))
    fast = ComparedFrame(
        Frame(ground(size), 0, 0.0), maps, (None, None), difference(maps), ("",), "0.25/s"
    )
    rows, columns = np.nonzero((drawing.draw(bare) != drawing.draw(fast)).any(axis=-1))
    # Only the label above the right end of the bar in the first panel.
    assert rows.min() > 150 and rows.max() < 180 and columns.min() > 260 and columns.max() < 320
