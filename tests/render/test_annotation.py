"""Captions, marker and colour bar: their content and their places."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from render_help import (
    BARE,
    COLORMAPS,
    GREY,
    LAYOUTS,
    changed,
    ground,
    noise,
    saliency_of,
    seen_as,
    spot,
    text_px,
)

from vidsal.render.draw import draw_saliency, time_code
from vidsal.render.overlay import colours
from vidsal.render.style import Style
from vidsal.saliency.targets import prediction
from vidsal.settings import Colormap, Layout, Settings
from vidsal.types import Corner, Frame, Prediction, Rgb, Saliency

NET = "EfficientNet-Lite0"
LONG = "a very long class name with a great many words, more than a 4K picture holds " * 2


@pytest.mark.parametrize("name", ["tench", LONG, None])
@pytest.mark.parametrize(
    "size", [(96, 96), (96, 128), (128, 96), (101, 333), (480, 270), (720, 1280), (2160, 3840)]
)
def test_captions_fit(size: tuple[int, int], name: str | None) -> None:
    height, width = size
    text = text_px(size)
    fused = np.zeros((18, 32), np.float32)
    saliency = saliency_of(ground(size), fused, name=name, model_name=NET, time_s=5025.5)
    picture = draw_saliency(saliency, Style())[:height, :width]
    marked = changed(picture, ground(size))
    assert marked.any()
    # Two lines at the bottom, inside a margin of half a letter on three sides.
    margin = text // 2
    assert not marked[: height - margin - 4 * text].any()
    assert not marked[height - margin + 1 :].any()
    assert not marked[:, : margin - 1].any()
    assert not marked[:, width - margin + 1 :].any()
    # The letters are white with a black outline; the background has other colours.
    assert picture.max() == 255 and picture[marked].min() < GREY // 2


@pytest.mark.parametrize("name", ["tench", "Egyptian cat", LONG])
@pytest.mark.parametrize("size", [(96, 96), (96, 128), (128, 96), (240, 320), (720, 1280)])
def test_class_is_written_over_nothing_else(size: tuple[int, int], name: str) -> None:
    fused = np.zeros((18, 32), np.float32)
    # A network of this name has the second line of a frame without a network.
    classified = saliency_of(ground(size), fused, name=name, model_name="motion only")
    without = draw_saliency(saliency_of(ground(size), fused), Style())
    with_class = draw_saliency(classified, Style())
    others, caption = changed(without, ground(size)), changed(with_class, without)
    assert caption.any() and others.any()
    assert not (caption & others).any()


def test_long_names_are_shortened() -> None:
    size, fused = (120, 160), np.zeros((12, 16), np.float32)

    def picture(name: str) -> Rgb:
        return draw_saliency(saliency_of(ground(size), fused, name=name), Style())

    # Two names that differ only where they do not fit look the same.
    assert np.array_equal(picture(LONG + "one"), picture(LONG + "two"))
    # Names that differ where they fit do not, and short names are written in full.
    assert changed(picture("A" + LONG), picture("B" + LONG)).any()
    assert changed(picture("hen"), picture("hem")).any()


def test_all_parts_of_the_caption_are_in_the_picture() -> None:
    size, fused = (240, 320), np.zeros((12, 16), np.float32)
    base = saliency_of(ground(size), fused, name="hen", model_name="one", time_s=1.0)
    picture = draw_saliency(base, Style())

    def classified(name: str, probability: float, model_name: str | None) -> Saliency:
        seen = seen_as(name, probability, model_name=model_name)
        return replace(base, prediction=seen)

    others = [
        draw_saliency(classified("hen", 0.37, "two"), Style()),
        draw_saliency(classified("hen", 0.37, None), Style()),
        draw_saliency(replace(base, frame=Frame(ground(size), 0, 2.0)), Style()),
        draw_saliency(classified("cock", 0.37, "one"), Style()),
        draw_saliency(classified("hen", 0.38, "one"), Style()),
        draw_saliency(base, Style(colormap="viridis")),
    ]
    assert np.array_equal(picture, draw_saliency(classified("hen", 0.37, "one"), Style()))
    for n, other in enumerate(others):
        assert changed(picture, other).any(), n


def test_only_frames_without_a_network_say_motion_only(written: list[tuple[str, int]]) -> None:
    fused = np.zeros((12, 16), np.float32)

    def drawn(**options: Any) -> Rgb:
        return draw_saliency(saliency_of(ground((240, 320)), fused, **options), Style())

    drawn()
    assert [text for text, _ in written][2:] == ["0:00.00", "motion only"]
    # A network without a name is not named.
    unnamed = drawn(name="hen")
    assert changed(unnamed, drawn(name="hen", model_name="motion only")).any()
    assert np.array_equal(unnamed, drawn(name="hen", model_name=""))


def test_a_photo_has_no_time_in_its_caption() -> None:
    fused = np.zeros((12, 16), np.float32)
    now = saliency_of(
        ground((240, 320)), fused, name="hen", model_name="one", time_s=1.0, has_time=False
    )
    later = replace(now, frame=replace(now.frame, time_s=2.0))
    other = replace(now, prediction=seen_as("hen", model_name="two"))
    style = Style.of(Settings())
    assert np.array_equal(draw_saliency(now, style), draw_saliency(later, style))
    assert changed(draw_saliency(now, style), draw_saliency(other, style)).any()


# Probabilities of some of 1000 classes.
CAT = {285: 0.34, 281: 0.13, 282: 0.12, 287: 0.05, 700: 0.03}
GUESS = {879: 0.05, 5: 0.04, 6: 0.03, 7: 0.02, 8: 0.01, 281: 0.002}
NAMES = tuple({285: "Egyptian cat", 281: "tabby", 879: "umbrella"}.get(n, "x") for n in range(1000))


def _of(seen: dict[int, float], target: int | None, top: int = 1) -> Prediction:
    probabilities = np.full(1000, 1e-5, np.float32)
    probabilities[list(seen)] = list(seen.values())
    return replace(prediction(probabilities, NAMES, target, top=top), model_name=NET)


@pytest.mark.parametrize(
    ("seen", "first", "explained"),
    [
        (_of(CAT, None, 5), "Egyptian cat 34%", ", map of top 5 (67%)"),
        (_of(CAT, None, 3), "Egyptian cat 34%", ", map of top 3 (59%)"),
        # A map of the most likely class has no further part, however the class was chosen.
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
def test_a_caption_names_the_class_seen_and_what_the_map_explains(
    seen: Prediction, first: str, explained: str, written: list[tuple[str, int]]
) -> None:
    base = saliency_of(ground((720, 1280)), np.zeros((18, 32), np.float32), time_s=75.5)
    for method, part in (("smoothgrad", ""), ("gradient", ", gradient")):
        written.clear()
        style = Style(method=method)  # type: ignore[arg-type]
        draw_saliency(replace(base, prediction=seen), style)
        second = f"{NET}{part}{explained}"
        # The first two texts are the 0 and 1 of the colour bar.
        assert [text for text, _ in written][2:] == ["1:15.50", second, first]


def test_the_caption_of_a_motion_map_names_no_class(
    written: list[tuple[str, int]],
) -> None:
    base = saliency_of(ground((720, 1280)), np.zeros((18, 32), np.float32))
    style = Style.of(Settings(fusion="motion", model="lite0"))
    draw_saliency(replace(base, prediction=_of(CAT, None, 5)), style)
    shown = ["0:00.00", f"{NET}, map of motion", "Egyptian cat 34%"]
    assert [text for text, _ in written][2:] == shown


def test_the_class_of_the_map_is_captioned_in_small_pictures_too(
    written: list[tuple[str, int]],
) -> None:
    base = saliency_of(ground((225, 300)), np.zeros((18, 32), np.float32), has_time=False)
    seen = replace(_of(CAT, 281), target_name="German short-haired pointer", target_probability=0.0)
    draw_saliency(replace(base, prediction=seen), Style())
    second, _ = [text for text, _ in written][2:]
    assert second.startswith("map of German") and second.endswith("… (0%)")


def test_without_a_network_there_is_no_method(written: list[tuple[str, int]]) -> None:
    saliency = saliency_of(ground((720, 1280)), np.zeros((18, 32), np.float32))
    draw_saliency(saliency, Style.of(Settings(method="gradient")))
    assert [text for text, _ in written][2:] == ["0:00.00", "motion only"]


@pytest.mark.parametrize("has_time", [True, False])
def test_parts_that_do_not_fit_are_left_out_completely(
    has_time: bool, written: list[tuple[str, int]]
) -> None:
    parts = [NET, "gradient", "map of top 5 (67%)"]
    short = [f"map of {'top 5'[:n].strip()}… (67%)" for n in (1, 2, 3)]
    lines = ["", *short, *(", ".join(parts[n:]) for n in (2, 1, 0))]
    if has_time:
        lines = ["", *("1:23:45.50|" + line for line in lines)]
    found = []
    for width in range(96, 600):
        written.clear()
        zeros = np.zeros((18, 32), np.float32)
        saliency = saliency_of(ground((120, width)), zeros, time_s=5025.5, has_time=has_time)
        draw_saliency(replace(saliency, prediction=_of(CAT, None, 5)), Style(method="gradient"))
        *second, first = [text for text, _ in written][2:]
        assert first == "Egyptian cat 34%" if width > 120 else first.endswith(" 34%")
        line = "|".join(second)
        found.append(lines.index(line + "|" if second == ["1:23:45.50"] else line))
    # Wider pictures have more parts: no step is skipped, and the widest have all.
    assert found == sorted(found) and set(found) == set(range(len(lines)))


def test_lines_stay_in_their_places_where_parts_are_left_out() -> None:
    # An empty second line leaves its place to the first one.
    zeros = np.zeros((12, 16), np.float32)
    bottoms = []
    for model_name in ("net", LONG):
        saliency = saliency_of(
            ground((240, 320)), zeros, name="hen", model_name=model_name, has_time=False
        )
        picture = draw_saliency(saliency, Style())
        rows, _ = np.nonzero(changed(picture, ground((240, 320)))[:, :40])
        bottoms.append(int(rows.max()))
    assert bottoms[1] == pytest.approx(bottoms[0], abs=3)


@pytest.mark.parametrize(
    ("size", "first", "second"),
    [((96, 160), 12, 12), ((360, 640), 14, 12), ((480, 854), 18, 15), ((720, 1280), 28, 24),
     ((2160, 3840), 83, 71)],
)  # fmt: skip
def test_both_lines_are_legible(
    size: tuple[int, int], first: int, second: int, written: list[tuple[str, int]]
) -> None:
    zeros = np.zeros((18, 32), np.float32)
    draw_saliency(saliency_of(ground(size), zeros, name="hen", model_name="n"), Style())
    assert written[2:] == [("0:00.00", second), ("n", second), ("hen 37%", first)]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [(95, 200), (200, 95), (10, 10)])
def test_small_pictures_are_not_annotated(size: tuple[int, int], layout: Layout) -> None:
    saliency = saliency_of(noise(size), spot((9, 16), 3, 4), name="tench")
    bare = draw_saliency(saliency, Style(layout, annotate=False))
    assert np.array_equal(draw_saliency(saliency, Style(layout)), bare)


@pytest.mark.parametrize("size", [(180, 320), (720, 1280)])
@pytest.mark.parametrize(("row", "column"), [(4, 8), (9, 16), (6, 27)])
def test_marker_is_a_ring_around_the_peak(size: tuple[int, int], row: int, column: int) -> None:
    saliency = saliency_of(ground(size), spot((18, 32), row, column))
    marked = changed(draw_saliency(saliency, Style()), draw_saliency(saliency, BARE))
    # The bottom has the captions.
    rows, columns = np.nonzero(marked[: int(size[0] * 0.75)])
    expected = (row + 0.5) / 18 * size[0], (column + 0.5) / 32 * size[1]
    assert (rows.mean() + 0.5, columns.mean() + 0.5) == pytest.approx(expected, abs=1)
    distances = np.hypot(rows + 0.5 - expected[0], columns + 0.5 - expected[1])
    radius = max(5, min(size) / 40)
    assert distances.mean() == pytest.approx(radius, abs=2)
    # The marked point itself stays visible.
    assert distances.min() > 1


def test_the_ring_is_at_the_marker_not_at_the_peak() -> None:
    size = (180, 320)
    saliency = replace(saliency_of(ground(size), spot((18, 32), 4, 8)), marker=(0.5, 0.75))
    marked = changed(draw_saliency(saliency, Style()), draw_saliency(saliency, BARE))[:130]
    rows, columns = np.nonzero(marked)
    assert (rows.mean() + 0.5, columns.mean() + 0.5) == pytest.approx((90, 240), abs=1)


def test_no_saliency_no_marker() -> None:
    size = (180, 320)
    saliency = saliency_of(ground(size), np.zeros((18, 32), np.float32))
    assert not changed(draw_saliency(saliency, Style()), ground(size))[:130].any()


@pytest.mark.parametrize("layout", ["overlay", "quad"])
@pytest.mark.parametrize("corner", ["bottom-left", "bottom-right", "top-left", "top-right"])
def test_captions_are_in_their_corner_and_the_colour_bar_across(
    corner: Corner, layout: Layout
) -> None:
    size = (360, 640)
    empty = saliency_of(ground(size), np.zeros((18, 32), np.float32))
    saliency = replace(empty, caption_corner=corner)
    panel = np.s_[-360:, -640:]
    written = changed(
        draw_saliency(saliency, Style(layout))[panel],
        draw_saliency(saliency, Style(layout, annotate=False))[panel],
    )
    if layout == "quad":
        # The label of the panel, and the line between panels.
        written[: text_px(size) // 3 + 2 * text_px(size)] = False
        written[:, :2] = False
    rows, columns = np.nonzero(written)
    is_top, is_right = corner.startswith("top"), corner.endswith("right")
    assert (rows.max() < 100) if is_top else (rows.min() > 300)
    # Text is dark around and white within, the bar has neither in its middle row.
    margin = text_px(size) // 2
    assert (columns.max(), columns.min()) == pytest.approx((639 - margin, margin), abs=2)
    left, right = (written[:, half].sum() for half in (np.s_[:320], np.s_[320:]))
    bar = written[:, :320] if is_right else written[:, 320:]
    assert bar.any(axis=0).sum() == pytest.approx(max(48, min(640 // 6, 6 * text_px(size))) + 2)
    assert (left > right) == (not is_right)


def test_boxes_spare_the_colour_bar() -> None:
    size = (180, 320)
    saliency = saliency_of(ground(size), np.full((18, 32), 0.9, np.float32))
    plain, boxed = (draw_saliency(saliency, Style(boxes=boxes)) for boxes in (0.0, 0.5))
    margin = text_px(size) // 2
    bar = np.s_[-margin - max(5, margin) - 2 : -margin, -margin - 53 : -margin]
    assert changed(plain, boxed).any()
    assert not changed(plain, boxed)[bar].any()


@pytest.mark.parametrize("colormap", COLORMAPS)
def test_colour_bar_runs_through_all_colours_from_low_to_high(colormap: Colormap) -> None:
    size = (2160, 3840)
    saliency = saliency_of(ground(size), np.zeros((9, 16), np.float32))
    picture = draw_saliency(saliency, Style(colormap=colormap))
    margin = text_px(size) // 2
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
