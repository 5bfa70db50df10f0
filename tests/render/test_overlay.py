"""Overlays in closed form, colour maps, and the public `overlay` of arrays."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from render_help import BARE, COLORMAPS, ground, noise, random_map, saliency_of, spot

from vidsal.errors import UsageError
from vidsal.functional import overlay
from vidsal.render.draw import draw_saliency
from vidsal.render.overlay import LEVELS, blend, colours, map_picture, part_picture
from vidsal.render.style import Style
from vidsal.settings import Colormap, PictureOptions, Settings
from vidsal.types import Map, Rgb

# Overlay and map


@pytest.mark.parametrize("colormap", COLORMAPS)
@pytest.mark.parametrize("size", [(96, 128), (33, 47), (1, 1)])
def test_no_saliency_leaves_the_picture_untouched(
    size: tuple[int, int], colormap: Colormap
) -> None:
    rgb = noise(size)
    picture = draw_saliency(
        saliency_of(rgb, np.zeros((8, 8), np.float32)), Style("overlay", colormap, 1.0)
    )
    bare = draw_saliency(
        saliency_of(rgb, np.zeros((8, 8), np.float32)), Style("overlay", colormap, 1.0, False)
    )
    assert np.array_equal(bare[: size[0], : size[1]], rgb)
    assert picture.shape == bare.shape


def test_every_level_of_grey_survives_an_empty_overlay() -> None:
    levels = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2).repeat(2, axis=0)
    picture = draw_saliency(saliency_of(levels, np.zeros((2, 8), np.float32)), BARE)
    assert np.array_equal(picture, levels)


def test_no_opacity_leaves_the_picture_untouched() -> None:
    rgb = noise((60, 80))
    picture = draw_saliency(saliency_of(rgb, random_map((60, 80), 1)), BARE._replace(alpha=0.0))
    assert np.array_equal(picture, rgb)


@pytest.mark.parametrize("colormap", COLORMAPS)
def test_full_saliency_and_opacity_give_the_top_colour(colormap: Colormap) -> None:
    picture = draw_saliency(
        saliency_of(noise((20, 30)), np.ones((4, 6), np.float32)),
        Style("overlay", colormap, 1.0, False),
    )
    assert (picture == colours(colormap)[255]).all()


@pytest.mark.parametrize("alpha", [0.3, 0.8, 1.0])
@pytest.mark.parametrize("level", [0.1, 0.5, 0.75, 1.0])
def test_overlay_in_closed_form(level: float, alpha: float) -> None:
    rgb = noise((20, 30))
    fused = np.full((4, 6), level, np.float32)
    picture = draw_saliency(saliency_of(rgb, fused), BARE._replace(alpha=alpha))
    opacity = alpha * level**2 * (3 - 2 * level)
    colour = colours("inferno")[round(255 * level)].astype(float)
    # Opacity has 255 steps; the added and the kept part are rounded separately.
    assert picture.astype(float) == pytest.approx(opacity * colour + (1 - opacity) * rgb, abs=1.55)


def test_cold_regions_stay_clear() -> None:
    rgb = noise((40, 60))
    fused = np.zeros((40, 60), np.float32)
    fused[:, 30:] = 1
    picture = draw_saliency(saliency_of(rgb, fused), BARE._replace(alpha=1.0))
    assert np.array_equal(picture[:, :30], rgb[:, :30])
    assert (picture[:, 30:] == colours("inferno")[255]).all()


@pytest.mark.parametrize("colormap", COLORMAPS)
def test_map_is_the_table_of_colours(colormap: Colormap) -> None:
    levels = (np.arange(256).reshape(16, 16) / 255).astype(np.float32)
    picture = draw_saliency(
        saliency_of(noise((16, 16)), levels), Style("map", colormap, annotate=False)
    )
    assert np.array_equal(picture, colours(colormap).reshape(16, 16, 3))


def test_maps_are_upsampled_in_place() -> None:
    # The centre of the spot stays at its share of the picture, at any size of the map.
    fused = spot((18, 32), 5, 20)
    picture = draw_saliency(
        saliency_of(ground((180, 320)), fused), Style("map", "grey", annotate=False)
    )
    weights = picture[..., 0].astype(float)
    rows, columns = np.mgrid[0:180, 0:320]
    row = float((weights * (rows + 0.5)).sum() / weights.sum())
    column = float((weights * (columns + 0.5)).sum() / weights.sum())
    assert (row, column) == pytest.approx((5.5 * 10, 20.5 * 10), abs=0.5)


def test_maps_are_upsampled_without_steps() -> None:
    fused = np.tile(np.linspace(0, 1, 11, dtype=np.float32), (4, 1))
    picture = draw_saliency(
        saliency_of(ground((40, 110)), fused), Style("map", "grey", annotate=False)
    )
    steps = np.diff(picture[20, :, 0].astype(int))
    assert steps.sum() == 255
    # A tenth of a step of the map, plus rounding.
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


# Arrays


@pytest.mark.parametrize("colormap", COLORMAPS)
@pytest.mark.parametrize("alpha", [0.0, 0.4, 1.0])
def test_overlay_of_arrays_is_the_picture_of_a_frame(colormap: Colormap, alpha: float) -> None:
    rgb, values = noise((40, 60)), random_map((10, 15), 2)
    style = Style("overlay", colormap, alpha, False)
    expected = draw_saliency(saliency_of(rgb, values), style)
    picture = overlay(rgb, values, colormap=colormap, alpha=alpha)
    assert picture.dtype == np.uint8
    assert np.array_equal(picture, expected)
    assert np.array_equal(overlay(rgb, values.astype(np.float64), colormap=colormap, alpha=alpha),
                          expected)  # fmt: skip


def test_overlay_has_the_defaults_of_the_options() -> None:
    rgb, values = noise((40, 60)), random_map((10, 15), 2)
    assert np.array_equal(
        overlay(rgb, values), overlay(rgb, values, colormap="inferno", alpha=0.55)
    )
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(overlay).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    options = PictureOptions()
    assert defaults == {
        "style": options.style, "colormap": options.colormap, "alpha": options.alpha,
    }  # fmt: skip
    assert Style() == Style.of(Settings())


def test_overlay_keeps_odd_sides_and_its_arguments() -> None:
    rgb, values = noise((33, 47)), random_map((33, 47), 2)
    # A view with the order of colours and columns reversed.
    view = rgb[:, ::-1, ::-1]
    copies = view.copy(), values.copy()
    picture = overlay(view, values)
    assert picture.shape == (33, 47, 3)
    assert np.array_equal(picture, overlay(*copies))
    assert np.array_equal(view, copies[0]) and np.array_equal(values, copies[1])
    assert not np.shares_memory(picture, rgb)


RGB, MAP = noise((4, 6)), random_map((4, 6), 0)


@pytest.mark.parametrize(
    ("rgb", "values", "options", "line"),
    [
        (RGB[..., 0], MAP, {}, "rgb: expected a (H, W, 3) uint8 array, got uint8 (4, 6): repeat"),
        (RGB / 255, MAP, {}, "rgb: expected a (H, W, 3) uint8 array, got float64 (4, 6, 3): scale"),
        (RGB[:0], MAP, {}, "rgb: expected a (H, W, 3) uint8 array, got uint8 (0, 6, 3): "),
        (RGB, RGB[..., 0], {}, "saliency_map must be a (h, w) float array, got uint8 (4, 6): "),
        (RGB, MAP[None], {}, "saliency_map must be a (h, w) float array, got float32 (1, 4, 6)"),
        (RGB, MAP[:0], {}, "saliency_map must be a (h, w) float array, got float32 (0, 6): "),
        (RGB, MAP + 7, {}, "saliency_map must be in [0, 1], got 7."),
        (RGB, -MAP, {}, "saliency_map must be in [0, 1], got -0."),
        (RGB, MAP * np.nan, {}, "saliency_map must be in [0, 1], got nan to nan: normalise it"),
        (RGB, MAP, {"colormap": "jet"}, "colormap= must be one of inferno, magma, plasma, viridis"),
        (
            RGB,
            MAP,
            {"colormap": "gray"},
            "colormap= must be one of inferno, magma, plasma, viridis, "
            "cividis, turbo, grey, got 'gray'; did you mean grey?",
        ),
        (RGB, MAP, {"alpha": 1.5}, "alpha= must be 0 to 1, got 1.5"),
    ],
)
def test_invalid_arrays_are_one_line(
    rgb: Any, values: Any, options: dict[str, Any], line: str
) -> None:
    with pytest.raises(UsageError) as caught:
        overlay(rgb, values, **options)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_rounding_is_not_out_of_range() -> None:
    full = np.ones((4, 6), np.float32)
    assert np.array_equal(overlay(RGB, full * np.float32(1.0001)), overlay(RGB, full))


def test_map_and_part_pictures_take_arrays() -> None:
    rgb, values = noise((40, 60)), random_map((10, 15), 2)
    saliency = saliency_of(rgb, values)
    assert np.array_equal(
        map_picture(values, (40, 60), colormap="magma"),
        draw_saliency(saliency, Style("map", "magma", annotate=False)),
    )
    assert np.array_equal(
        part_picture(rgb, values, view="heat", colormap="magma", alpha=0.5),
        overlay(rgb, values, colormap="magma", alpha=0.5),
    )
    assert np.array_equal(
        part_picture(rgb, None, view="heat", colormap="magma", alpha=0.5), rgb // 3
    )


@pytest.mark.parametrize("seed", range(40))
def test_only_a_part_is_drawn_and_the_result_is_that_of_the_whole(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sides = rng.integers(2, 300, 2)
    rgb = rng.integers(0, 256, (*sides, 3), np.uint8)
    values = np.zeros(rng.integers(1, 70, 2), np.float32)
    for _ in range(seed % 4):
        values[tuple(rng.integers(values.shape))] = rng.random()
    if seed % 3 == 0:
        values = np.asarray(cv2.GaussianBlur(values, (0, 0), 2))
    levels = cv2.resize(
        cv2.convertScaleAbs(values, alpha=255), (int(sides[1]), int(sides[0]))
    ).astype(np.float64) / 255  # fmt: skip
    opacity = (0.7 * levels**2 * (3 - 2 * levels))[..., None]
    expected = rgb * (1 - opacity) + colours("inferno")[np.rint(levels * 255).astype(int)] * opacity
    found = blend(rgb, values, colormap="inferno", alpha=0.7)
    assert np.abs(found - expected).max() < 1.6
    # Cold regions stay exactly as they are.
    assert (found[levels == 0] == rgb[levels == 0]).all()


def test_contours_leave_the_picture_between_their_lines() -> None:
    rgb = ground((180, 320))
    rows, columns = np.mgrid[:45, :80]
    values = np.exp(-((rows - 22) ** 2 + (columns - 40) ** 2) / 128).astype(np.float32)
    found = overlay(rgb, values, style="contour")
    is_line = (found != rgb).any(axis=-1)
    assert 0.005 < is_line.mean() < 0.12
    # Around a round spot each line is a circle: its radius follows from the Gaussian.
    rows, columns = np.mgrid[:180, :320]
    radius = np.hypot(rows - 90, columns - 162) / 4
    for level in LEVELS:
        expected = 8 * np.sqrt(-2 * np.log(level))
        assert np.abs(radius[is_line] - expected).min() < 0.5
    assert not is_line[radius > 8 * np.sqrt(-2 * np.log(LEVELS[0])) + 2].any()
    assert np.array_equal(overlay(rgb, values * 0, style="contour"), rgb)


def test_reveal_shows_what_stands_out_and_dims_the_rest() -> None:
    rgb = noise((90, 160))
    values = np.zeros((90, 160), np.float32)
    values[30:60, 50:110] = 0.5
    found = overlay(rgb, values, style="reveal")
    assert np.array_equal(found[32:58, 52:108], rgb[32:58, 52:108])
    rest = found[:25]
    assert (rest[..., 0] == rest[..., 1]).all() and (rest[..., 1] == rest[..., 2]).all()
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    assert np.abs(rest[..., 0] - 0.35 * grey[:25]).max() <= 1


def test_heat_does_not_hide_what_it_marks(sample_media: Path) -> None:
    """The local contrast of luma stays above two fifths of the picture's at the hottest places."""
    shares = []
    for name in ("cat.jpg", "chinchilla.mp4"):
        capture = cv2.VideoCapture(str(sample_media / name))
        _, bgr = capture.read()
        rgb: Rgb = np.ascontiguousarray(np.asarray(bgr, np.uint8)[..., ::-1])
        values = np.zeros((45, 80), np.float32)
        cv2.circle(values, (40, 22), 12, 0.97, -1)
        before, after = (_local_contrast(one) for one in (rgb, overlay(rgb, values)))
        hot = cv2.resize(values, (rgb.shape[1], rgb.shape[0])) > 0.96
        shares.append(after[hot].mean() / before[hot].mean())
    assert min(shares) > 0.4


def _local_contrast(rgb: Rgb) -> Map:
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    mean = cv2.blur(grey, (9, 9))
    return np.asarray(np.sqrt(np.maximum(cv2.blur(grey * grey, (9, 9)) - mean**2, 0)))
