"""Pictures of a frame: panels in order, labels, boxes, sizes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from render_help import (
    BARE,
    LAYOUTS,
    changed,
    ground,
    noise,
    random_map,
    saliency_of,
    text_px,
)

from vidsal.image_ops import even, shrink
from vidsal.render.draw import draw_saliency
from vidsal.render.style import Style
from vidsal.settings import PANELS, Layout, Settings, View
from vidsal.types import CameraMotion, Map, Rgb, Saliency

# Panels across and down.
GRID = {
    "overlay": (1, 1),
    "map": (1, 1),
    "side-by-side": (2, 1),
    "triptych": (3, 1),
    "quad": (2, 2),
    "strip": (4, 1),
}


# Panels


@pytest.mark.parametrize("size", [(40, 60), (33, 47), (1, 1), (1, 7), (2, 3)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_size_of_every_layout(layout: Layout, size: tuple[int, int]) -> None:
    fused = random_map((5, 7), 0)
    picture = draw_saliency(saliency_of(noise(size), fused), Style(layout))
    across, down = GRID[layout]
    height, width = size[0] * down, size[1] * across
    assert picture.shape == (height + height % 2, width + width % 2, 3)
    assert picture.dtype == np.uint8


@pytest.mark.parametrize("size", [(40, 60), (33, 47)])
@pytest.mark.parametrize("layout", ["side-by-side", "triptych", "quad", "strip"])
def test_order_of_panels(layout: Layout, size: tuple[int, int]) -> None:
    rgb = noise(size)
    static, motion, fused = (random_map(size, seed) for seed in (1, 2, 3))
    height, width = size

    def alone(values: Map, layout: Layout) -> Rgb:
        return draw_saliency(saliency_of(rgb, values), Style(layout, annotate=False))[
            :height, :width
        ]

    expected = {
        "side-by-side": [rgb, alone(fused, "overlay")],
        "triptych": [alone(fused, "map"), rgb, alone(fused, "overlay")],
        "quad": [rgb, *(alone(values, "overlay") for values in (static, motion, fused))],
        "strip": [rgb, *(alone(values, "overlay") for values in (static, motion, fused))],
    }[layout]
    picture = draw_saliency(
        saliency_of(rgb, fused, static=static, motion=motion), Style(layout, annotate=False)
    )
    across, _ = GRID[layout]
    for n, panel in enumerate(expected):
        top, left = n // across * height, n % across * width
        found = picture[top : top + height, left : left + width]
        # A gutter of two pixels lies where panels meet, and nowhere else.
        is_right, is_down = left > 0, top > 0
        has_right, has_below = (
            left + width < width * across,
            top + height < height * GRID[layout][1],
        )
        inner = (
            slice(int(is_down), height - int(has_below)),
            slice(int(is_right), width - int(has_right)),
        )
        assert np.array_equal(found[inner], panel[inner]), n
        edges = found[:, 0], found[:, -1], found[0], found[-1]
        is_black = [not edge.any() for edge in edges]
        assert is_black == [is_right, has_right, is_down, has_below]


def test_quad_without_a_network_shows_the_dimmed_picture() -> None:
    rgb = noise((40, 60))
    picture = draw_saliency(
        saliency_of(rgb, random_map((40, 60), 1)), Style("quad", annotate=False)
    )
    assert np.array_equal(picture[:39, 61:], rgb[:39, 1:] // 3)


@pytest.mark.parametrize("layout", ["side-by-side", "triptych", "quad", "strip"])
def test_every_panel_is_labelled_and_only_in_its_corner(layout: Layout) -> None:
    size = (180, 320)
    rgb = ground(size)
    saliency = saliency_of(rgb, np.zeros(size, np.float32), static=np.zeros(size, np.float32))
    marked = changed(
        draw_saliency(saliency, Style(layout)),
        draw_saliency(saliency, BARE._replace(layout=layout)),
    )
    across, down = GRID[layout]
    labels = []
    for n in range(across * down):
        top, left = n // across * size[0], n % across * size[1]
        panel = marked[top : top + size[0], left : left + size[1]]
        corner = panel[:30, :180]
        assert corner[:, :90].any(), n
        labels.append(corner.tobytes())
        assert not panel[30:130].any() and not panel[:30, 180:].any()
        # Only the panel of the fused map has class and time.
        assert panel[130:].any() == (n == across * down - 1)
    assert len(set(labels)) == len(labels)


def _moved(saliency: Saliency, camera: Any) -> Saliency:
    """The same with a camera movement, given as a matrix."""
    matrix = np.asarray(camera, np.float32)
    return replace(
        saliency, movement=replace(saliency.movement, camera=CameraMotion(matrix, "affine", 1.0))
    )


def _shift(rows: float, columns: float) -> list[list[float]]:
    return [[1, 0, columns], [0, 1, rows], [0, 0, 1]]


def _zoom(factor: float) -> list[list[float]]:
    """A zoom about the middle of a map of 18 x 32."""
    return [[factor, 0, (1 - factor) * 15.5], [0, factor, (1 - factor) * 8.5], [0, 0, 1]]


@pytest.mark.parametrize(
    ("camera", "share", "motion", "fused"),
    [
        (_shift(0, 0), 0.0, "motion, steady camera", "fused, 0% by motion"),
        (_shift(0.1, -0.15), 0.004, "motion, steady camera", "fused, 0% by motion"),
        (_shift(0.5, 3), 0.126, "motion, picture moves right", "fused, 13% by motion"),
        (_shift(-3, -4), 0.5, "motion, picture moves left", "fused, 50% by motion"),
        (_shift(0.3, 0.1), 0.999, "motion, picture moves down", "fused, 100% by motion"),
        (_shift(-4, 3), 1.0, "motion, picture moves up", "fused, 100% by motion"),
        (_zoom(1.01), 1.0, "motion, steady camera", "fused, 100% by motion"),
        (_zoom(1.05), 1.0, "motion, camera zooms or turns", "fused, 100% by motion"),
    ],
)
def test_quad_labels_the_camera_motion_and_the_share_of_motion(
    camera: Any, share: float, motion: str, fused: str, written: list[tuple[str, int]]
) -> None:
    fused_map = random_map((18, 32), 0)
    base = saliency_of(ground((180, 320)), fused_map, static=fused_map, motion=fused_map)
    draw_saliency(replace(_moved(base, camera), motion_share=share), Style("quad"))
    assert [text for text, _ in written[-4:]] == ["input", "static", motion, fused]


@pytest.mark.parametrize(
    ("options", "fused"),
    [
        ({}, "fused, 50% by motion"),
        ({"fusion": "sum"}, "fused by sum, 50% by motion"),
        ({"centre_prior": 0.5}, "fused x centre prior, 50% by motion"),
        ({"fusion": "max", "centre_prior": 1}, "fused by max x centre prior, 50% by motion"),
        ({"fusion": "max", "model": "none"}, "fused, 50% by motion"),
        ({"fusion": "motion"}, "motion alone"),
        ({"fusion": "static", "centre_prior": 1}, "static alone x centre prior"),
    ],
)
def test_quad_labels_the_fusion(
    options: dict[str, Any], fused: str, written: list[tuple[str, int]]
) -> None:
    fused_map = random_map((18, 32), 0)
    base = saliency_of(ground((180, 320)), fused_map, static=fused_map, motion=fused_map)
    style = Style.of(Settings(layout="quad", **options))
    draw_saliency(replace(base, motion_share=0.5), style)
    assert written[-1][0] == fused


ZEROS, SOME = np.zeros((18, 32), np.float32), np.full((18, 32), 0.25, np.float32)


@pytest.mark.parametrize(
    ("static", "motion", "fused", "labels"),
    [
        # Motion alone: its share is 100%, if there is any.
        (None, SOME, SOME, ("static: no network", "fused, 100% by motion")),
        (None, ZEROS, ZEROS, ("static: no network", "fused, nothing moves")),
        # Nothing moves, or only regions move that are dark in the static map.
        (SOME, ZEROS, SOME, ("static", "fused, nothing moves")),
        (ZEROS, SOME, ZEROS, ("static", "fused, 100% by motion")),
        (ZEROS, ZEROS, ZEROS, ("static", "fused, nothing moves")),
    ],
)
def test_quad_labels_empty_maps(
    static: Map | None, motion: Map, fused: Map, labels: tuple[str, str],
    written: list[tuple[str, int]],
) -> None:  # fmt: skip
    base = saliency_of(ground((180, 320)), fused, static=static, motion=motion)
    draw_saliency(replace(base, motion_share=1.0), Style("quad"))
    assert [text for text, _ in written[-4:]] == ["input", labels[0], "motion", labels[1]]


@pytest.mark.parametrize("height", [96, 180, 320])
@pytest.mark.parametrize("width", [96, 101, 128, 160, 192, 240, 320])
@pytest.mark.parametrize("layout", ["side-by-side", "triptych", "quad"])
@pytest.mark.parametrize("has_network", [True, False])
def test_labels_end_before_their_panel_does(
    has_network: bool, layout: Layout, width: int, height: int
) -> None:
    rgb, zeros = ground((height, width)), np.zeros((18, 32), np.float32)
    static = zeros if has_network else None
    base = _moved(saliency_of(rgb, zeros, static=static), _shift(0, 3))
    saliency = replace(base, motion_share=1.0)
    labelled = draw_saliency(saliency, Style(layout))
    marked = changed(labelled, draw_saliency(saliency, BARE._replace(layout=layout)))
    across, down = GRID[layout]
    text = text_px((height, width))
    ends = []
    for n in range(across * down):
        top, left = n // across * height, n % across * width
        rows, columns = np.nonzero(marked[top : top + height // 2, left : left + width])
        # Half a letter from the left, a third from the top, one line.
        assert columns.min() >= text // 2 and rows.min() >= text // 3
        assert rows.max() <= text // 3 + 2 * text
        # The label is complete, with its outline: the last column is free.
        assert columns.max() < width - 1
        ends.append(int(columns.max()))
    if layout == "quad":
        # The long labels fill the available width.
        assert ends[2] > min(0.75 * width, 130) and ends[3] > min(0.75 * width, 110)
        assert max(ends) < 200


# Boxes


def _two_regions() -> Map:
    """Rows 4 to 7, columns 10 to 15, and a hotter one; of 18 x 32."""
    fused = np.zeros((18, 32), np.float32)
    fused[4:8, 10:16], fused[10:13, 20:30] = 0.6, 0.9
    return fused


@pytest.mark.parametrize(("scale", "white", "reach"), [(10, 0, 2), (40, 2, 5)])
@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.95])
def test_boxes_are_frames_around_the_regions(
    threshold: float, scale: int, white: int, reach: int
) -> None:
    size = 18 * scale, 32 * scale
    saliency = saliency_of(ground(size), _two_regions())
    bare = draw_saliency(saliency, BARE)
    picture = draw_saliency(saliency, BARE._replace(boxes=threshold))
    marked = changed(picture, bare)
    expected = np.zeros(size, bool)
    for top, left, bottom, right, level in ((4, 10, 8, 16, 0.6), (10, 20, 13, 30, 0.9)):
        if level < threshold:
            continue
        edges = [top * scale, left * scale, bottom * scale, right * scale]
        # White on the box's border, dark on both sides of it, unchanged inside.
        sides = np.zeros(size, bool)
        sides[edges[0] : edges[2], edges[1] : edges[3]] = True
        sides[edges[0] + 1 : edges[2] - 1, edges[1] + 1 : edges[3] - 1] = False
        assert (picture[sides] == 255).all()
        around = np.s_[edges[0] - reach : edges[2] + reach, edges[1] - reach : edges[3] + reach]
        inner = reach + 1
        within = np.s_[edges[0] + inner : edges[2] - inner, edges[1] + inner : edges[3] - inner]
        expected[around] = True
        expected[within] = False
        across_side = picture[(edges[0] + edges[2]) // 2, edges[1] - reach : edges[1] + inner]
        dark = [0] * (reach - white)
        assert across_side[:, 0].tolist() == dark + [255] * (2 * white + 1) + dark
    assert not (marked & ~expected).any()
    assert marked.any() == (threshold < 0.9)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_boxes_are_only_in_the_panel_of_the_fused_map(layout: Layout) -> None:
    size = (90, 160)
    fused = _two_regions()
    saliency = saliency_of(noise(size), fused, static=1 - fused, motion=fused)
    plain, boxed = (
        draw_saliency(saliency, Style(layout, annotate=False, boxes=level)) for level in (0.0, 0.5)
    )
    across, down = GRID[layout]
    for n in range(across * down):
        top, left = n // across * size[0], n % across * size[1]
        panel = np.s_[top : top + size[0], left : left + size[1]]
        assert changed(plain[panel], boxed[panel]).any() == (n == across * down - 1)
    assert np.array_equal(plain, draw_saliency(saliency, Style(layout, annotate=False)))


# Even sides


@pytest.mark.parametrize("size", [(4, 6), (5, 6), (4, 7), (5, 7), (1, 1)])
def test_odd_sides_gain_a_copy_of_their_border(size: tuple[int, int]) -> None:
    rgb = noise(size)
    height, width = size
    picture = even(rgb)
    assert picture.shape == (height + height % 2, width + width % 2, 3)
    assert np.array_equal(picture[:height, :width], rgb)
    assert np.array_equal(picture[-1, :width], rgb[-1])
    assert np.array_equal(picture[:height, -1], rgb[:, -1])
    assert np.array_equal(picture[-1, -1], rgb[-1, -1])


# The frame


@pytest.mark.parametrize("annotate", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_frame_is_never_written_to(layout: Layout, annotate: bool) -> None:
    rgb = noise((120, 160))
    before = rgb.copy()
    rgb.setflags(write=False)
    maps = [random_map((12, 16), seed) for seed in (1, 2, 3)]
    saliency = saliency_of(
        rgb, maps[0], static=maps[1], motion=maps[2], name="tench", model_name="net"
    )
    copies = [values.copy() for values in maps]
    picture = draw_saliency(saliency, Style(layout, annotate=annotate))
    assert not np.shares_memory(picture, rgb)
    assert np.array_equal(rgb, before)
    for values, copy in zip(maps, copies, strict=True):
        assert np.array_equal(values, copy)
    same = Style(layout, "inferno", 0.55, annotate)
    assert np.array_equal(picture, draw_saliency(saliency, same))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("width", [64, 101, 400, 639])
def test_a_picture_is_no_wider_than_asked_for(layout: Layout, width: int) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (360, 640, 3), dtype=np.uint8)
    saliency = saliency_of(rgb, random_map((45, 80), 3), static=random_map((45, 80), 4))
    rows, columns = PANELS[layout]
    picture = draw_saliency(saliency, Style(layout, width=width))
    height, wide = picture.shape[:2]
    assert width - 2 * columns < wide <= width and wide % 2 == height % 2 == 0
    assert height / rows == pytest.approx(wide / columns * 360 / 640, abs=2)
    # The picture is that of a source of this size.
    small = shrink(rgb, (round(360 * (wide // columns) / 640), wide // columns))
    other = replace(saliency, frame=replace(saliency.frame, rgb=small))
    np.testing.assert_array_equal(picture, draw_saliency(other, Style(layout)))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_width_above_that_of_the_picture_changes_nothing(layout: Layout) -> None:
    saliency = saliency_of(ground((90, 160)), random_map((45, 80), 3))
    wide = Style(layout, width=160 * PANELS[layout][1])
    np.testing.assert_array_equal(
        draw_saliency(saliency, wide), draw_saliency(saliency, Style(layout))
    )


@pytest.mark.parametrize(
    ("layout", "view", "has_bar"),
    [("overlay", "heat", True), ("overlay", "contour", False), ("overlay", "reveal", False),
     ("map", "reveal", True)],
)  # fmt: skip
def test_the_colour_bar_is_where_its_colours_are(layout: Layout, view: View, has_bar: bool) -> None:
    size = (180, 320)
    saliency = saliency_of(ground(size), np.zeros(size, np.float32))
    picture = draw_saliency(saliency, Style(layout, view=view))
    plain = draw_saliency(saliency, Style(layout, view=view, annotate=False))
    assert changed(picture, plain)[150:, 250:].any() == has_bar
