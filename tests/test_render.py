"""Pictures: overlays in closed form, panels in order, annotation that stays in its place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from vidsal import lettering, render
from vidsal.frames import CameraMotion, Frame, Map, Prediction, Rgb, Saliency
from vidsal.fusion import peak
from vidsal.motion import shrink, still
from vidsal.render import Style, colours, draw, even, time_code
from vidsal.settings import PANELS, Colormap, Layout, Settings
from vidsal.targets import prediction

LAYOUTS = get_args(Layout)
COLORMAPS = get_args(Colormap)
BARE = Style(annotate=False)
# Panels across and down.
GRID = {
    "overlay": (1, 1),
    "map": (1, 1),
    "side-by-side": (2, 1),
    "triptych": (3, 1),
    "quad": (2, 2),
}
GREY = 90


def _noise(size: tuple[int, int], seed: int = 0) -> Rgb:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def _ground(size: tuple[int, int]) -> Rgb:
    return np.full((*size, 3), GREY, np.uint8)


def _map(size: tuple[int, int], seed: int) -> Map:
    return np.random.default_rng(seed).random(size).astype(np.float32)


def _spot(size: tuple[int, int], row: int, column: int) -> Map:
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
    spot: Map = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 8).astype(np.float32)
    return spot


def _seen(name: str, probability: float = 0.37) -> Prediction:
    return Prediction((1,), (name,), (probability,), 1, name, probability)


def _saliency(
    rgb: Rgb,
    fused: Map,
    *,
    static: Map | None = None,
    motion: Map | None = None,
    name: str | None = None,
    time_s: float = 0.0,
) -> Saliency:
    return Saliency(
        frame=Frame(rgb, 0, time_s),
        static=static,
        motion=np.zeros_like(fused) if motion is None else motion,
        fused=fused,
        movement=still((fused.shape[0], fused.shape[1])),
        speed=np.zeros_like(fused),
        prediction=None if name is None else _seen(name),
        is_cut=False,
        motion_share=0.0,
        static_high=1.0,
        motion_high=1.0,
        fused_high=1.0,
        peak=peak(fused),
        ring=peak(fused),
    )


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """All that is written into pictures from now on, and how high."""
    words: list[tuple[str, int]] = []
    real = lettering.write

    def write(picture: Rgb, text: str, size_px: int, **options: Any) -> int:
        words.append((text, size_px))
        return real(picture, text, size_px, **options)

    monkeypatch.setattr(render, "write", write)
    return words


def _changed(one: Rgb, other: Rgb) -> NDArray[np.bool_]:
    return np.asarray((one != other).any(axis=2))


def _text_px(size: tuple[int, int]) -> int:
    return max(12, round(min(size) / 26))


# Overlay and map


@pytest.mark.parametrize("colormap", COLORMAPS)
@pytest.mark.parametrize("size", [(96, 128), (33, 47), (1, 1)])
def test_no_saliency_leaves_the_picture_untouched(
    size: tuple[int, int], colormap: Colormap
) -> None:
    rgb = _noise(size)
    picture = draw(_saliency(rgb, np.zeros((8, 8), np.float32)), Style("overlay", colormap, 1.0))
    bare = draw(
        _saliency(rgb, np.zeros((8, 8), np.float32)), Style("overlay", colormap, 1.0, False)
    )
    assert np.array_equal(bare[: size[0], : size[1]], rgb)
    assert picture.shape == bare.shape


def test_every_level_of_grey_survives_an_empty_overlay() -> None:
    levels = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2).repeat(2, axis=0)
    picture = draw(_saliency(levels, np.zeros((2, 8), np.float32)), BARE)
    assert np.array_equal(picture, levels)


def test_no_opacity_leaves_the_picture_untouched() -> None:
    rgb = _noise((60, 80))
    picture = draw(_saliency(rgb, _map((60, 80), 1)), BARE._replace(alpha=0.0))
    assert np.array_equal(picture, rgb)


@pytest.mark.parametrize("colormap", COLORMAPS)
def test_full_saliency_and_opacity_give_the_top_colour(colormap: Colormap) -> None:
    picture = draw(
        _saliency(_noise((20, 30)), np.ones((4, 6), np.float32)),
        Style("overlay", colormap, 1.0, False),
    )
    assert (picture == colours(colormap)[255]).all()


@pytest.mark.parametrize("alpha", [0.3, 0.8, 1.0])
@pytest.mark.parametrize("level", [0.1, 0.5, 0.75, 1.0])
def test_overlay_in_closed_form(level: float, alpha: float) -> None:
    rgb = _noise((20, 30))
    fused = np.full((4, 6), level, np.float32)
    picture = draw(_saliency(rgb, fused), BARE._replace(alpha=alpha))
    opacity = alpha * level**2 * (3 - 2 * level)
    colour = colours("inferno")[round(255 * level)].astype(float)
    # Opacity has 255 steps, what is laid over and what is left are rounded each.
    assert picture.astype(float) == pytest.approx(opacity * colour + (1 - opacity) * rgb, abs=1.55)


def test_cold_regions_stay_clear() -> None:
    rgb = _noise((40, 60))
    fused = np.zeros((40, 60), np.float32)
    fused[:, 30:] = 1
    picture = draw(_saliency(rgb, fused), BARE._replace(alpha=1.0))
    assert np.array_equal(picture[:, :30], rgb[:, :30])
    assert (picture[:, 30:] == colours("inferno")[255]).all()


@pytest.mark.parametrize("colormap", COLORMAPS)
def test_map_is_the_table_of_colours(colormap: Colormap) -> None:
    levels = (np.arange(256).reshape(16, 16) / 255).astype(np.float32)
    picture = draw(_saliency(_noise((16, 16)), levels), Style("map", colormap, annotate=False))
    assert np.array_equal(picture, colours(colormap).reshape(16, 16, 3))


def test_maps_are_upsampled_in_place() -> None:
    # The spot's middle stays at its share of the picture, whatever the size of the map.
    fused = _spot((18, 32), 5, 20)
    picture = draw(_saliency(_ground((180, 320)), fused), Style("map", "grey", annotate=False))
    weights = picture[..., 0].astype(float)
    rows, columns = np.mgrid[0:180, 0:320]
    row = float((weights * (rows + 0.5)).sum() / weights.sum())
    column = float((weights * (columns + 0.5)).sum() / weights.sum())
    assert (row, column) == pytest.approx((5.5 * 10, 20.5 * 10), abs=0.5)


def test_maps_are_upsampled_without_steps() -> None:
    fused = np.tile(np.linspace(0, 1, 11, dtype=np.float32), (4, 1))
    picture = draw(_saliency(_ground((40, 110)), fused), Style("map", "grey", annotate=False))
    steps = np.diff(picture[20, :, 0].astype(int))
    assert steps.sum() == 255
    # A tenth of a step of the map, and the rounding.
    assert steps.min() >= 0 and steps.max() <= 255 / 10 / 10 + 1


# Colours


def test_grey_is_a_ramp() -> None:
    assert np.array_equal(colours("grey"), np.arange(256)[:, None].repeat(3, axis=1))


@pytest.mark.parametrize(
    ("colormap", "lowest", "highest"),
    [
        # The ends of the published tables (matplotlib's; Google's for turbo).
        ("inferno", (0, 0, 4), (252, 255, 164)),
        ("magma", (0, 0, 4), (252, 253, 191)),
        ("plasma", (13, 8, 135), (240, 249, 33)),
        ("viridis", (68, 1, 84), (253, 231, 37)),
        ("cividis", (0, 34, 78), (254, 232, 56)),
        ("turbo", (48, 18, 59), (122, 4, 3)),
    ],
)
def test_colours_are_the_published_ones_red_first(
    colormap: Colormap, lowest: tuple[int, ...], highest: tuple[int, ...]
) -> None:
    table = colours(colormap)
    assert table.shape == (256, 3) and table.dtype == np.uint8
    assert table[0] == pytest.approx(np.array(lowest), abs=1)
    assert table[255] == pytest.approx(np.array(highest), abs=1)


@pytest.mark.parametrize("colormap", ["inferno", "magma", "plasma", "viridis", "cividis", "grey"])
def test_brighter_means_more(colormap: Colormap) -> None:
    luma = colours(colormap) @ np.array([0.299, 0.587, 0.114])
    assert (np.diff(luma) > -1).all() and luma[255] - luma[0] > 150


# Panels


@pytest.mark.parametrize("size", [(40, 60), (33, 47), (1, 1), (1, 7), (2, 3)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_size_of_every_layout(layout: Layout, size: tuple[int, int]) -> None:
    fused = _map((5, 7), 0)
    picture = draw(_saliency(_noise(size), fused), Style(layout))
    across, down = GRID[layout]
    height, width = size[0] * down, size[1] * across
    assert picture.shape == (height + height % 2, width + width % 2, 3)
    assert picture.dtype == np.uint8


@pytest.mark.parametrize("size", [(40, 60), (33, 47)])
@pytest.mark.parametrize("layout", ["side-by-side", "triptych", "quad"])
def test_order_of_panels(layout: Layout, size: tuple[int, int]) -> None:
    rgb = _noise(size)
    static, motion, fused = (_map(size, seed) for seed in (1, 2, 3))
    height, width = size

    def alone(values: Map, layout: Layout) -> Rgb:
        return draw(_saliency(rgb, values), Style(layout, annotate=False))[:height, :width]

    expected = {
        "side-by-side": [rgb, alone(fused, "overlay")],
        "triptych": [alone(fused, "map"), rgb, alone(fused, "overlay")],
        "quad": [rgb, *(alone(values, "overlay") for values in (static, motion, fused))],
    }[layout]
    picture = draw(
        _saliency(rgb, fused, static=static, motion=motion), Style(layout, annotate=False)
    )
    across, _ = GRID[layout]
    for n, panel in enumerate(expected):
        top, left = n // across * height, n % across * width
        assert np.array_equal(picture[top : top + height, left : left + width], panel), n


def test_quad_without_a_network_shows_the_dimmed_picture() -> None:
    rgb = _noise((40, 60))
    picture = draw(_saliency(rgb, _map((40, 60), 1)), Style("quad", annotate=False))
    assert np.array_equal(picture[:40, 60:], rgb // 3)


@pytest.mark.parametrize("layout", ["side-by-side", "triptych", "quad"])
def test_every_panel_is_labelled_and_only_in_its_corner(layout: Layout) -> None:
    size = (180, 320)
    rgb = _ground(size)
    saliency = _saliency(rgb, np.zeros(size, np.float32), static=np.zeros(size, np.float32))
    marked = _changed(draw(saliency, Style(layout)), draw(saliency, BARE._replace(layout=layout)))
    across, down = GRID[layout]
    labels = []
    for n in range(across * down):
        top, left = n // across * size[0], n % across * size[1]
        panel = marked[top : top + size[0], left : left + size[1]]
        corner = panel[:30, :180]
        assert corner[:, :90].any(), n
        labels.append(corner.tobytes())
        assert not panel[30:130].any() and not panel[:30, 180:].any()
        # Only the picture of all saliency tells class and time.
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
def test_quad_tells_how_the_picture_moves_and_what_motion_brought(
    camera: Any, share: float, motion: str, fused: str, written: list[tuple[str, int]]
) -> None:
    fused_map = _map((18, 32), 0)
    base = _saliency(_ground((180, 320)), fused_map, static=fused_map)
    draw(replace(_moved(base, camera), motion_share=share), Style("quad"))
    assert [text for text, _ in written[-4:]] == ["input", "static", motion, fused]


ZEROS, SOME = np.zeros((18, 32), np.float32), np.full((18, 32), 0.25, np.float32)


@pytest.mark.parametrize(
    ("static", "motion", "fused", "labels"),
    [
        # Motion alone: all of it, where there is any.
        (None, SOME, SOME, ("static: no network", "fused, 100% by motion")),
        (None, ZEROS, ZEROS, ("static: no network", "fused, nothing moves")),
        # Nothing moves, which says nothing of the network; and all that moves is dark to it.
        (SOME, ZEROS, SOME, ("static", "fused, 100% by motion")),
        (ZEROS, SOME, ZEROS, ("static", "fused, 100% by motion")),
        (ZEROS, ZEROS, ZEROS, ("static", "fused, nothing moves")),
    ],
)
def test_quad_tells_what_there_is_none_of(
    static: Map | None, motion: Map, fused: Map, labels: tuple[str, str],
    written: list[tuple[str, int]],
) -> None:  # fmt: skip
    base = _saliency(_ground((180, 320)), fused, static=static, motion=motion)
    draw(replace(base, motion_share=1.0), Style("quad"))
    assert [text for text, _ in written[-4:]] == ["input", labels[0], "motion", labels[1]]


@pytest.mark.parametrize("height", [96, 180, 320])
@pytest.mark.parametrize("width", [96, 101, 128, 160, 192, 240, 320])
@pytest.mark.parametrize("layout", ["side-by-side", "triptych", "quad"])
@pytest.mark.parametrize("has_network", [True, False])
def test_labels_end_before_their_panel_does(
    has_network: bool, layout: Layout, width: int, height: int
) -> None:
    rgb, zeros = _ground((height, width)), np.zeros((18, 32), np.float32)
    static = zeros if has_network else None
    base = _moved(_saliency(rgb, zeros, static=static), _shift(0, 3))
    saliency = replace(base, motion_share=1.0)
    labelled = draw(saliency, Style(layout))
    marked = _changed(labelled, draw(saliency, BARE._replace(layout=layout)))
    across, down = GRID[layout]
    text = _text_px((height, width))
    ends = []
    for n in range(across * down):
        top, left = n // across * height, n % across * width
        rows, columns = np.nonzero(marked[top : top + height // 2, left : left + width])
        # Half a letter from the left, a third from the top, one line.
        assert columns.min() >= text // 2 and rows.min() >= text // 3
        assert rows.max() <= text // 3 + 2 * text
        # Nothing is cut off, not even an outline: the last column is free.
        assert columns.max() < width - 1
        ends.append(int(columns.max()))
    if layout == "quad":
        # The long labels take the room that there is.
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
    saliency = _saliency(_ground(size), _two_regions())
    bare = draw(saliency, BARE)
    picture = draw(saliency, BARE._replace(boxes=threshold))
    changed = _changed(picture, bare)
    expected = np.zeros(size, bool)
    for top, left, bottom, right, level in ((4, 10, 8, 16, 0.6), (10, 20, 13, 30, 0.9)):
        if level < threshold:
            continue
        edges = [top * scale, left * scale, bottom * scale, right * scale]
        # White on the box's own border, dark on both sides of it; nothing within.
        sides = np.zeros(size, bool)
        sides[edges[0] : edges[2], edges[1] : edges[3]] = True
        sides[edges[0] + 1 : edges[2] - 1, edges[1] + 1 : edges[3] - 1] = False
        assert (picture[sides] == 255).all()
        around = np.s_[edges[0] - reach : edges[2] + reach, edges[1] - reach : edges[3] + reach]
        inner = reach + 1
        within = np.s_[edges[0] + inner : edges[2] - inner, edges[1] + inner : edges[3] - inner]
        expected[around] = True
        expected[within] = False
        left_of_it = picture[(edges[0] + edges[2]) // 2, edges[1] - reach : edges[1] + inner]
        dark = [0] * (reach - white)
        assert left_of_it[:, 0].tolist() == dark + [255] * (2 * white + 1) + dark
    assert not (changed & ~expected).any()
    assert changed.any() == (threshold < 0.9)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_boxes_are_in_the_panel_of_all_saliency_alone(layout: Layout) -> None:
    size = (90, 160)
    fused = _two_regions()
    saliency = _saliency(_noise(size), fused, static=1 - fused, motion=fused)
    plain, boxed = (
        draw(saliency, Style(layout, annotate=False, boxes=level)) for level in (0.0, 0.5)
    )
    across, down = GRID[layout]
    for n in range(across * down):
        top, left = n // across * size[0], n % across * size[1]
        panel = np.s_[top : top + size[0], left : left + size[1]]
        assert _changed(plain[panel], boxed[panel]).any() == (n == across * down - 1)
    assert np.array_equal(plain, draw(saliency, Style(layout, annotate=False)))


# Even sides


@pytest.mark.parametrize("size", [(4, 6), (5, 6), (4, 7), (5, 7), (1, 1)])
def test_odd_sides_gain_a_copy_of_their_border(size: tuple[int, int]) -> None:
    rgb = _noise(size)
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
    rgb = _noise((120, 160))
    kept = rgb.copy()
    rgb.setflags(write=False)
    maps = [_map((12, 16), seed) for seed in (1, 2, 3)]
    saliency = _saliency(rgb, maps[0], static=maps[1], motion=maps[2], name="tench")
    copies = [values.copy() for values in maps]
    picture = draw(saliency, Style(layout, annotate=annotate, model_name="net"))
    assert not np.shares_memory(picture, rgb)
    assert np.array_equal(rgb, kept)
    for values, copy in zip(maps, copies, strict=True):
        assert np.array_equal(values, copy)
    assert np.array_equal(picture, draw(saliency, Style(layout, "inferno", 0.7, annotate, "net")))


# Annotation


LONG = "a very long class name with a great many words, more than a 4K picture holds " * 2


@pytest.mark.parametrize("name", ["tench", LONG, None])
@pytest.mark.parametrize(
    "size", [(96, 96), (96, 128), (128, 96), (101, 333), (480, 270), (720, 1280), (2160, 3840)]
)
def test_words_fit(size: tuple[int, int], name: str | None) -> None:
    height, width = size
    text = _text_px(size)
    fused = np.zeros((18, 32), np.float32)
    saliency = _saliency(_ground(size), fused, name=name, time_s=5025.5)
    style = Style(model_name="EfficientNet-Lite0")
    picture = draw(saliency, style)[:height, :width]
    marked = _changed(picture, _ground(size))
    assert marked.any()
    # Two lines at the foot, inside a margin of half a letter on three sides.
    margin = text // 2
    assert not marked[: height - margin - 4 * text].any()
    assert not marked[height - margin + 1 :].any()
    assert not marked[:, : margin - 1].any()
    assert not marked[:, width - margin + 1 :].any()
    # The words are white in black, neither of them the ground.
    assert picture.max() == 255 and picture[marked].min() < GREY // 2


@pytest.mark.parametrize("name", ["tench", "Egyptian cat", LONG])
@pytest.mark.parametrize("size", [(96, 96), (96, 128), (128, 96), (240, 320), (720, 1280)])
def test_class_is_written_over_nothing_else(size: tuple[int, int], name: str) -> None:
    fused = np.zeros((18, 32), np.float32)
    style = Style(model_name="EfficientNet-Lite0")
    without = draw(_saliency(_ground(size), fused), style)
    with_class = draw(_saliency(_ground(size), fused, name=name), style)
    others, words = _changed(without, _ground(size)), _changed(with_class, without)
    assert words.any() and others.any()
    assert not (words & others).any()


def test_long_names_are_cut_short() -> None:
    size, fused = (120, 160), np.zeros((12, 16), np.float32)

    def picture(name: str) -> Rgb:
        return draw(_saliency(_ground(size), fused, name=name), Style())

    # What does not fit is not seen: two names that differ only there look the same ...
    assert np.array_equal(picture(LONG + "one"), picture(LONG + "two"))
    # ... names that differ where it is seen do not, and what fits is written in full.
    assert _changed(picture("A" + LONG), picture("B" + LONG)).any()
    assert _changed(picture("hen"), picture("hem")).any()


def test_everything_told_is_in_the_picture() -> None:
    size, fused = (240, 320), np.zeros((12, 16), np.float32)
    base = _saliency(_ground(size), fused, name="hen", time_s=1.0)
    told = draw(base, Style(model_name="one"))
    others = [
        draw(base, Style(model_name="two")),
        draw(base, Style(model_name=None)),
        draw(replace(base, frame=Frame(_ground(size), 0, 2.0)), Style(model_name="one")),
        draw(replace(base, prediction=_seen("cock")), Style(model_name="one")),
        draw(replace(base, prediction=_seen("hen", 0.38)), Style(model_name="one")),
        draw(base, Style(model_name="one", colormap="viridis")),
    ]
    for n, other in enumerate(others):
        assert _changed(told, other).any(), n


def test_only_where_no_network_looked_it_is_motion_only() -> None:
    fused = np.zeros((12, 16), np.float32)
    unnamed = _saliency(_ground((240, 320)), fused, name="hen")
    motion_only = replace(unnamed, prediction=None)

    def drawn(saliency: Saliency, name: str | None) -> Rgb:
        return draw(saliency, Style(model_name=name))

    # The same words where there are none of a class ...
    assert np.array_equal(drawn(motion_only, None), drawn(motion_only, "motion only"))
    # ... and nothing said of a network that is there and has no name.
    assert _changed(drawn(unnamed, None), drawn(unnamed, "motion only")).any()
    assert np.array_equal(drawn(unnamed, None), drawn(unnamed, ""))


def test_a_photo_is_told_no_time() -> None:
    fused = np.zeros((12, 16), np.float32)
    now = _saliency(_ground((240, 320)), fused, name="hen", time_s=1.0)
    later = replace(now, frame=replace(now.frame, time_s=2.0))
    style = Style.of(Settings(), "one", has_time=False)
    assert np.array_equal(draw(now, style), draw(later, style))
    assert _changed(draw(now, style), draw(now, style._replace(model_name="two"))).any()


# Of 1000 classes: what is seen, with how much probability.
CAT = {285: 0.34, 281: 0.13, 282: 0.12, 287: 0.05, 700: 0.03}
GUESS = {879: 0.05, 5: 0.04, 6: 0.03, 7: 0.02, 8: 0.01, 281: 0.002}
NAMES = tuple({285: "Egyptian cat", 281: "tabby", 879: "umbrella"}.get(n, "x") for n in range(1000))


def _of(seen: dict[int, float], target: int | None, top: int = 1) -> Prediction:
    probabilities = np.full(1000, 1e-5, np.float32)
    probabilities[list(seen)] = list(seen.values())
    return prediction(probabilities, NAMES, target, top=top)


@pytest.mark.parametrize(
    ("seen", "first", "explained"),
    [
        (_of(CAT, None, 5), "Egyptian cat 34%", ", map of top 5 (67%)"),
        (_of(CAT, None, 3), "Egyptian cat 34%", ", map of top 3 (59%)"),
        # That the map is of the class seen goes without saying, however it was chosen.
        (_of(CAT, None), "Egyptian cat 34%", ""),
        (_of(CAT, 285), "Egyptian cat 34%", ""),
        (_of(CAT, 281), "Egyptian cat 34%", ", map of tabby (13%)"),
        (_of(GUESS, None, 5), "unsure: umbrella 5%", ", map of top 5 (15%)"),
        (_of(GUESS, None), "unsure: umbrella 5%", ""),
        (_of(GUESS, 281), "unsure: umbrella 5%", ", map of tabby (0%)"),
        (_of({285: 0.11}, None), "Egyptian cat 11%", ""),
        (_of({285: 0.09}, None), "unsure: Egyptian cat 9%", ""),
    ],
)
def test_a_caption_tells_what_is_seen_and_what_the_map_explains(
    seen: Prediction, first: str, explained: str, written: list[tuple[str, int]]
) -> None:
    base = _saliency(_ground((720, 1280)), np.zeros((18, 32), np.float32), time_s=75.5)
    for method, words in (("smoothgrad", ""), ("gradient", ", gradient")):
        written.clear()
        style = Style(model_name="EfficientNet-Lite0", method=method)  # type: ignore[arg-type]
        draw(replace(base, prediction=seen), style)
        second = f"EfficientNet-Lite0{words}{explained}"
        # The colour bar has a 0 and a 1.
        assert [text for text, _ in written][2:] == ["1:15.50", second, first]


def test_without_a_network_there_is_no_method(written: list[tuple[str, int]]) -> None:
    saliency = _saliency(_ground((720, 1280)), np.zeros((18, 32), np.float32))
    draw(saliency, Style.of(Settings(method="gradient"), None))
    assert [text for text, _ in written][2:] == ["0:00.00", "motion only"]


@pytest.mark.parametrize("has_time", [True, False])
def test_what_does_not_fit_is_left_out_in_whole_parts(
    has_time: bool, written: list[tuple[str, int]]
) -> None:
    parts = ["EfficientNet-Lite0", ", gradient", ", map of top 5", " (67%)"]
    lines = ["", *("".join(parts[:n]) for n in range(1, 5))]
    if has_time:
        lines = ["", *("1:23:45.50|" + line for line in lines)]
    found = []
    for width in range(96, 600):
        written.clear()
        saliency = _saliency(_ground((120, width)), np.zeros((18, 32), np.float32), time_s=5025.5)
        style = Style(model_name="EfficientNet-Lite0", has_time=has_time, method="gradient")
        draw(replace(saliency, prediction=_of(CAT, None, 5)), style)
        *second, first = [text for text, _ in written][2:]
        assert first == "Egyptian cat 34%" if width > 120 else first.endswith(" 34%")
        line = "|".join(second)
        found.append(lines.index(line + "|" if second == ["1:23:45.50"] else line))
    # The wider, the more; nothing is skipped, and in the end all is there.
    assert found == sorted(found) and set(found) == set(range(len(lines)))


def test_lines_stay_in_their_places_where_parts_are_left_out() -> None:
    # Where the second line is empty, the first one has its place.
    zeros = np.zeros((12, 16), np.float32)
    saliency = _saliency(_ground((240, 320)), zeros, name="hen")
    style = Style(has_time=False)
    bottoms = []
    for name in ("net", LONG):
        picture = draw(saliency, style._replace(model_name=name))
        rows, _ = np.nonzero(_changed(picture, _ground((240, 320)))[:, :40])
        bottoms.append(int(rows.max()))
    assert bottoms[1] == pytest.approx(bottoms[0], abs=3)


@pytest.mark.parametrize(
    ("size", "first", "second"),
    [((96, 160), 12, 12), ((360, 640), 14, 12), ((480, 854), 18, 15), ((720, 1280), 28, 24),
     ((2160, 3840), 83, 71)],
)  # fmt: skip
def test_both_lines_can_be_read(
    size: tuple[int, int], first: int, second: int, written: list[tuple[str, int]]
) -> None:
    saliency = _saliency(_ground(size), np.zeros((18, 32), np.float32), name="hen")
    draw(saliency, Style(model_name="n"))
    assert written[2:] == [("0:00.00", second), ("n", second), ("hen 37%", first)]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [(95, 200), (200, 95), (10, 10)])
def test_small_pictures_are_left_bare(size: tuple[int, int], layout: Layout) -> None:
    saliency = _saliency(_noise(size), _spot((9, 16), 3, 4), name="tench")
    bare = draw(saliency, Style(layout, annotate=False))
    assert np.array_equal(draw(saliency, Style(layout)), bare)


@pytest.mark.parametrize("size", [(180, 320), (720, 1280)])
@pytest.mark.parametrize(("row", "column"), [(4, 8), (9, 16), (6, 27)])
def test_marker_is_a_ring_around_the_peak(size: tuple[int, int], row: int, column: int) -> None:
    saliency = _saliency(_ground(size), _spot((18, 32), row, column))
    changed = _changed(draw(saliency, Style()), draw(saliency, BARE))
    # The foot belongs to the words.
    rows, columns = np.nonzero(changed[: int(size[0] * 0.75)])
    expected = (row + 0.5) / 18 * size[0], (column + 0.5) / 32 * size[1]
    assert (rows.mean() + 0.5, columns.mean() + 0.5) == pytest.approx(expected, abs=1)
    distances = np.hypot(rows + 0.5 - expected[0], columns + 0.5 - expected[1])
    radius = max(5, min(size) / 40)
    assert distances.mean() == pytest.approx(radius, abs=2)
    # What is marked can still be seen.
    assert distances.min() > 1


def test_the_ring_is_where_it_is_held_not_at_the_peak() -> None:
    size = (180, 320)
    saliency = replace(_saliency(_ground(size), _spot((18, 32), 4, 8)), ring=(0.5, 0.75))
    changed = _changed(draw(saliency, Style()), draw(saliency, BARE))[:130]
    rows, columns = np.nonzero(changed)
    assert (rows.mean() + 0.5, columns.mean() + 0.5) == pytest.approx((90, 240), abs=1)


def test_no_saliency_no_marker() -> None:
    size = (180, 320)
    saliency = _saliency(_ground(size), np.zeros((18, 32), np.float32))
    assert not _changed(draw(saliency, Style()), _ground(size))[:130].any()


@pytest.mark.parametrize("colormap", COLORMAPS)
def test_colour_bar_runs_through_all_colours_from_low_to_high(colormap: Colormap) -> None:
    size = (2160, 3840)
    saliency = _saliency(_ground(size), np.zeros((9, 16), np.float32))
    picture = draw(saliency, Style(colormap=colormap))
    margin = _text_px(size) // 2
    row = picture[size[0] - margin - 5, 1920:]
    runs = row[np.flatnonzero(np.diff(row.astype(int), axis=0, prepend=-1).any(axis=1))]
    table = colours(colormap)
    distinct = table[np.flatnonzero(np.diff(table.astype(int), axis=0, prepend=-1).any(axis=1))]
    frame = [[230] * 3]
    assert runs.tolist() == [[GREY] * 3, *frame, *distinct.tolist(), *frame, [GREY] * 3]


@pytest.mark.parametrize(
    ("time_s", "text"),
    [
        (0, "0:00.00"),
        (0.004, "0:00.00"),
        (0.04, "0:00.04"),
        (12.34, "0:12.34"),
        (59.99, "0:59.99"),
        (59.999, "1:00.00"),
        (60, "1:00.00"),
        (754.5, "12:34.50"),
        (3599.999, "1:00:00.00"),
        (3661.01, "1:01:01.01"),
        (100 * 3600, "100:00:00.00"),
    ],
)
def test_time_code(time_s: float, text: str) -> None:
    assert time_code(time_s) == text


@pytest.mark.parametrize("layout", get_args(Layout))
@pytest.mark.parametrize("width", [64, 101, 400, 639])
def test_a_picture_is_no_wider_than_asked_for(layout: Layout, width: int) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (360, 640, 3), dtype=np.uint8)
    saliency = _saliency(rgb, _map((45, 80), 3), static=_map((45, 80), 4))
    rows, columns = PANELS[layout]
    picture = draw(saliency, Style(layout, width=width))
    height, wide = picture.shape[:2]
    assert width - 2 * columns < wide <= width and wide % 2 == height % 2 == 0
    assert height / rows == pytest.approx(wide / columns * 360 / 640, abs=2)
    # As if the source had been so small.
    small = shrink(rgb, (round(360 * (wide // columns) / 640), wide // columns))
    other = replace(saliency, frame=replace(saliency.frame, rgb=small))
    np.testing.assert_array_equal(picture, draw(other, Style(layout)))


@pytest.mark.parametrize("layout", get_args(Layout))
def test_a_width_that_is_not_reached_changes_nothing(layout: Layout) -> None:
    saliency = _saliency(_ground((90, 160)), _map((45, 80), 3))
    wide = Style(layout, width=160 * PANELS[layout][1])
    np.testing.assert_array_equal(draw(saliency, wide), draw(saliency, Style(layout)))
