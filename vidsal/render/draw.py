"""Pictures from saliency: overlays, layouts, annotation. Arrays in, arrays out."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vidsal.image_ops import even, panel_size, shrink
from vidsal.motion.camera import camera_flow
from vidsal.render.canvas import AnyPicture, drawing_on, empty_like, paste
from vidsal.render.overlay import blend_yuv, colours, laid_over, map_picture, part_picture
from vidsal.render.style import Style
from vidsal.render.text import line_px, shortened, width_px, write
from vidsal.runtime.opencv import cv2
from vidsal.saliency.regions import Box, boxes
from vidsal.settings import PANELS
from vidsal.types import Frame, Prediction, Rgb, Saliency
from vidsal.yuv import Picture, Yuv420

# Height of a caption as a share of the picture's shorter side, and the smallest legible height.
_TEXT = 1 / 26
_TEXT_PX = 12
# Height of the second line as a share of the first. A smaller line is hard to read where a large
# picture is shown small.
_SECOND_LINE = 0.85
# A class with a lower probability is captioned as unsure: with a network whose probabilities are
# calibrated, nine in ten of these classes are wrong.
UNSURE = 0.1
# Pictures with a shorter side below this have no room for text and are not annotated.
_ANNOTATED_PX = 96
# Begins the part of a caption that names what the map explains.
_MAP_OF = "map of "
# Aspect of most screens.
_SCREEN = 16 / 9
# Camera movement below this, in working pixels a frame, looks steady.
_STEADY_PX = 0.2


def draw_saliency(saliency: Saliency, style: Style) -> Rgb:
    """Return the picture of one frame.

    Parameters
    ----------
    saliency : Saliency
    style : Style

    Returns
    -------
    (H2, W2, 3) uint8 array
        RGB with even sides, as video codecs need them: an odd side gains one pixel, a copy of
        the last one.
    """
    rgb = _panel_picture(saliency.frame, style)
    result = _fused_picture(rgb, saliency, style)
    if style.layout in ("overlay", "map"):
        return even(result)
    if style.layout == "side-by-side":
        panels = [("input", rgb), ("overlay", result)]
    elif style.layout == "triptych":
        heatmap = map_picture(saliency.fused, rgb.shape, colormap=style.colormap)
        panels = [("map", heatmap), ("input", rgb), ("overlay", result)]
    else:
        static, motion = (
            part_picture(rgb, values, view=style.view, colormap=style.colormap, alpha=style.alpha)
            for values in (saliency.static, saliency.motion)
        )
        panels = [
            ("input", rgb),
            (static_label(saliency), static),
            (_motion_label(saliency), motion),
            (_fused_label(saliency, style), result),
        ]
    return even(grid(panels, PANELS[style.layout][1], annotate=style.annotate))


def draw_for_video(saliency: Saliency, style: Style) -> Picture:
    """Return the picture of one frame in luma and chroma, if it can be drawn so.

    An overlay in colours can, alone or beside the input. It is the picture of `draw_saliency` but
    for rounding, and for what 4:2:0 loses at the edges of letters.

    Parameters
    ----------
    saliency : Saliency
    style : Style

    Returns
    -------
    Yuv420, or (H2, W2, 3) uint8 array
        With even sides.
    """
    if not _fits_yuv(saliency.frame.size_px, style):
        return draw_saliency(saliency, style)
    decoded = saliency.frame.yuv
    picture = decoded if isinstance(decoded, Yuv420) else Yuv420.of(saliency.frame.rgb)
    result = blend_yuv(picture, saliency.fused, colormap=style.colormap, alpha=style.alpha)
    _mark(result, saliency, style)
    if style.layout == "overlay":
        return result
    return grid([("input", picture), ("overlay", result)], 2, annotate=style.annotate)


def _fits_yuv(size: tuple[int, int], style: Style) -> bool:
    """Return whether a picture of a size can be drawn in luma and chroma."""
    is_layout = style.layout in ("overlay", "side-by-side") and style.view == "heat"
    is_scaled = panel_size(size, PANELS[style.layout][1], style.width) != size
    return is_layout and not is_scaled and all(side % 2 == 0 for side in size)


def _panel_picture(frame: Frame, style: Style) -> Rgb:
    """Return the picture of a frame at the size of its panel."""
    panel = panel_size(frame.size_px, PANELS[style.layout][1], style.width)
    return frame.rgb if panel == frame.size_px else frame.resized(panel, shrink)


def _fused_picture(rgb: Rgb, saliency: Saliency, style: Style) -> Rgb:
    """Return the panel of the fused map, with boxes and captions."""
    if style.layout == "map":
        result = map_picture(saliency.fused, rgb.shape, colormap=style.colormap)
    else:
        result = laid_over(
            rgb, saliency.fused, view=style.view, colormap=style.colormap, alpha=style.alpha
        )
    _mark(result, saliency, style)
    return result


def _mark(picture: Picture, saliency: Saliency, style: Style) -> None:
    """Draw boxes and captions into the panel of the fused map."""
    regions = boxes(saliency.fused, style.boxes) if style.boxes else []
    if style.annotate and has_room(picture):
        _annotate(picture, saliency, style, regions)
    else:
        _draw_boxes(picture, regions)


def static_label(saliency: Saliency) -> str:
    """Return the label of the static panel, which says why a panel is empty.

    Parameters
    ----------
    saliency : Saliency
    """
    return "static: no network" if saliency.static is None else "static"


def _fused_label(saliency: Saliency, style: Style) -> str:
    """Return the label of the fused panel: the fusion, and the share of motion in it."""
    prior = " x centre prior" if style.has_prior else ""
    if style.fusion in ("static", "motion"):
        return f"{style.fusion} alone{prior}"
    fusion = "" if style.fusion == "gain" else f" by {style.fusion}"
    # Without motion, a share of 0% would say nothing about the network.
    share = f"{saliency.motion_share:.0%} by motion" if saliency.motion.any() else "nothing moves"
    return f"fused{fusion}{prior}, {share}"


def _motion_label(saliency: Saliency) -> str:
    """Return the label of the motion panel: the camera motion that was subtracted."""
    camera, size = saliency.movement.camera, saliency.motion.shape
    if camera.model == "none":
        return "motion"
    flow = camera_flow(camera, (size[0], size[1]))
    columns, rows = flow.mean(axis=(0, 1))
    if float(np.hypot(flow[..., 0], flow[..., 1]).mean()) < _STEADY_PX:
        return "motion, steady camera"
    if float(np.hypot(rows, columns)) < _STEADY_PX:
        return "motion, camera zooms or turns"
    compass = ("right", "down", "left", "up")[round(np.arctan2(rows, columns) / (np.pi / 2)) % 4]
    return f"motion, picture moves {compass}"


def write_line(picture: Rgb, text: str, *, below: bool = False) -> None:
    """Write a line of text at the top of a picture, in place.

    The background is darkened over the whole width: on a bright picture, outlined letters alone
    are hard to read at a glance. A picture too small for text is left as it is.

    Parameters
    ----------
    picture : (H, W, 3) uint8 array, contiguous
    text : str
    below : bool
        Write below the labels of the panels.
    """
    if not has_room(picture):
        return
    size = text_px(picture)
    small, margin = second_px(size), size // 3
    top = margin + (2 * size if below else 0)
    background = picture[top - margin : top + line_px(small) + margin]
    background //= 2
    write(picture, text, small, left=size // 2, top=top)


def full_grid(panels: int, size: tuple[int, int]) -> tuple[int, int]:
    """Return rows and columns without an empty place, as near to a screen's aspect as can be.

    Parameters
    ----------
    panels : int
    size : (int, int)
        Height and width of each.
    """
    aspect = size[1] / size[0]
    shapes = [(rows, panels // rows) for rows in range(1, panels + 1) if panels % rows == 0]
    return min(shapes, key=lambda shape: abs(math.log(aspect * shape[1] / shape[0] / _SCREEN)))


def grid(panels: Sequence[tuple[str, AnyPicture]], columns: int, *, annotate: bool) -> AnyPicture:
    """Return labelled panels of one size in full rows.

    Parameters
    ----------
    panels : sequence of (str, picture)
        Labels and pictures, row by row: all (H, W, 3) uint8 arrays, or all Yuv420.
    columns : int
        Number of panels in a row; it divides the number of panels.
    annotate : bool
        Write the labels, where there is room for text.

    Returns
    -------
    (H * rows, W * columns, 3) uint8 array, or Yuv420
        Black lines part the panels.
    """
    height, width = panels[0][1].shape[:2]
    result = empty_like(panels[0][1], (height * (len(panels) // columns), width * columns))
    for n, (label, panel) in enumerate(panels):
        top, left = height * (n // columns), width * (n % columns)
        paste(panel, result, (top, left))
        if annotate and has_room(panel):
            text = text_px(panel)
            write(
                result, label, text, left=left + text // 2, top=top + text // 3, room=width - text
            )
    _draw_gutters(result, height, width)
    return result


def _draw_gutters(grid: Picture, height: int, width: int) -> None:
    """Draw a black line where panels meet: pictures that share a colour would run together."""
    half = max(1, round(min(height, width) / 480))
    high, wide = grid.shape[:2]
    for top in range(height, high, height):
        with drawing_on(grid, slice(top - half, top + half), slice(0, wide)) as line:
            line[:] = 0
    for left in range(width, wide, width):
        with drawing_on(grid, slice(0, high), slice(left - half, left + half)) as line:
            line[:] = 0


class _Place(NamedTuple):
    """Where captions begin: a corner, and the rows at the upper side that are taken."""

    is_top: bool
    is_right: bool
    taken_px: int

    @classmethod
    def of(cls, picture: Picture, corner: str, style: Style) -> "_Place":
        """Return the place in a panel; the labels of panels, and a live status, are at the top."""
        lines = (PANELS[style.layout] != (1, 1)) + style.has_status
        return cls(corner.startswith("top"), corner.endswith("right"), lines * 2 * text_px(picture))

    def write(self, picture: Picture, text: str, size: int, *, inset: int, offset: int) -> None:
        """Write a line, so many pixels from the upper or lower side and from the left or right."""
        height, width = picture.shape[:2]
        left = max(0, width - inset - width_px(text, size)) if self.is_right else inset
        if self.is_top:
            write(picture, text, size, left=left, top=self.taken_px + offset)
        else:
            write(picture, text, size, left=left, bottom=height - offset)


def _annotate(picture: Picture, saliency: Saliency, style: Style, regions: list[Box]) -> None:
    """Draw boxes, colour bar and marker, and write class, time and model into the picture."""
    size, prediction = text_px(picture), saliency.prediction
    place = _Place.of(picture, saliency.caption_corner, style)
    room, bar_reach = picture.shape[1] - size, 0
    # The colours of lines are brighter than those of the map, and "reveal" has none.
    if style.view == "heat" or style.layout == "map":
        rows, columns = _bar_span(picture, size, place)
        if regions:
            # Their lines would run into the labels of the bar.
            with drawing_on(picture, rows, columns) as cell:
                behind = cell.copy()
            _draw_boxes(picture, regions)
            with drawing_on(picture, rows, columns) as cell:
                cell[:] = behind
        with drawing_on(picture, rows, columns) as cell:
            _fill_colour_bar(cell, size, colours(style.colormap))
        room -= columns.stop - columns.start + size // 2
        bar_reach = size // 2 + rows.stop - rows.start
    else:
        _draw_boxes(picture, regions)
    if saliency.marker:
        draw_marker(picture, saliency.marker)
    time = time_code(saliency.frame.time_s) if saliency.frame.has_time else ""
    offset = size // 2
    offset += _write_second_line(picture, time, _details(prediction, style), place, room)
    if prediction:
        caption = _class_line(prediction, size, picture.shape[1] - size)
        # A caption that would reach the colour bar is written beyond it.
        if width_px(caption, size) > room:
            offset = max(offset, bar_reach)
        place.write(picture, caption, size, inset=size // 2, offset=offset)


def _class_line(prediction: Prediction, size: int, room: int) -> str:
    """Return the most likely class and its probability, shortened to the room."""
    name, probability = prediction.names[0], prediction.probabilities[0]
    caption = name if probability >= UNSURE else f"unsure: {name}"
    return shortened(caption, size, room, tail=f" {probability:.0%}")


def _details(prediction: Prediction | None, style: Style) -> list[str]:
    """Return the parts of the second line: model, method, and what the map explains.

    The last part is left out where the map explains the class of the first line.
    """
    if prediction is None:
        return ["motion only"]
    # A network may have no name; its classes show that there is one.
    parts = [prediction.model_name] if prediction.model_name else []
    if style.fusion == "motion":
        return [*parts, f"{_MAP_OF}motion"]
    if style.method != "smoothgrad":
        parts.append(style.method)
    if prediction.target_id != prediction.class_ids[0]:
        parts.append(f"{_MAP_OF}{prediction.target_name} ({prediction.target_probability:.0%})")
    return parts


def _write_second_line(
    picture: Picture, time: str, details: list[str], place: _Place, room: int
) -> int:
    """Write time and details; return the height of the line, 0 if nothing fits."""
    size = text_px(picture)
    small, edge = second_px(size), size // 2
    time = time if width_px(time, small) <= room else ""
    time_px = width_px(f"{time}  ", small) if time else 0
    caption = _last_parts(details, small, room - time_px)
    # Written separately: the time changes with each frame, the details are cached. The time
    # comes first in the line.
    caption_px = width_px(f"  {caption}", small) if caption else 0
    insets = (edge + caption_px, edge) if place.is_right else (edge, edge + time_px)
    for text, inset in zip((time, caption), insets, strict=True):
        if text:
            place.write(picture, text, small, inset=inset, offset=edge)
    return line_px(small) if time or caption else 0


def _last_parts(parts: list[str], size: int, room: int) -> str:
    """Return as many parts as fit, starting from the last, which is the most important."""
    captions = [", ".join(parts[n:]) for n in range(len(parts))]
    if parts and parts[-1].startswith(_MAP_OF):
        # The name of the class may be shortened, its probability not.
        name, bracket, share = parts[-1].rpartition(" (")
        short = shortened(name, size, room, tail=bracket + share)
        captions += [short] if short.startswith(_MAP_OF) else []
    return next((caption for caption in captions if width_px(caption, size) <= room), "")


def time_code(time_s: float) -> str:
    """Return a time as ``M:SS.cc``, or ``H:MM:SS.cc`` from one hour on.

    Parameters
    ----------
    time_s : float
        Seconds, at least 0.
    """
    hundredths = round(time_s * 100)
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    clock = f"{rest // 100:02d}.{rest % 100:02d}"
    return f"{hours}:{minutes:02d}:{clock}" if hours else f"{minutes}:{clock}"


def has_room(picture: Picture) -> bool:
    """Return whether a picture is large enough for text.

    Parameters
    ----------
    picture : (H, W, 3) uint8 array, or Yuv420
    """
    return bool(min(picture.shape[:2]) >= _ANNOTATED_PX)


def text_px(picture: Picture) -> int:
    """Return the height of the letters of a caption, in pixels.

    Parameters
    ----------
    picture : (H, W, 3) uint8 array, or Yuv420
        A panel.
    """
    return max(_TEXT_PX, round(int(min(picture.shape[:2])) * _TEXT))


def second_px(size: int) -> int:
    """Return the height of the letters of a less important line, in pixels.

    Parameters
    ----------
    size : int
        That of the caption.
    """
    return max(_TEXT_PX, round(_SECOND_LINE * size))


def _bar_label_px(size: int) -> int:
    return max(_TEXT_PX - 2, round(size * 0.7))


def draw_marker(picture: Picture, point: tuple[float, float]) -> None:
    """Draw a ring around a point, white in black, to be visible on any background.

    Parameters
    ----------
    picture : (H, W, 3) uint8 array, or Yuv420
        It is changed.
    point : (float, float)
        Row and column as shares of the sides.
    """
    height, width = picture.shape[:2]
    row, column = int(point[0] * height), int(point[1] * width)
    radius = max(5, round(min(height, width) / 40))
    line = max(1, radius // 5)
    # A line and its soft edge.
    reach = radius + 2 * line + 2
    rows, columns = _around(row, row, reach), _around(column, column, reach)
    with drawing_on(picture, rows, columns) as part:
        centre = column - columns.start, row - rows.start
        cv2.circle(part, centre, radius, (0, 0, 0), 3 * line, cv2.LINE_AA)
        cv2.circle(part, centre, radius, (255, 255, 255), line, cv2.LINE_AA)


def _draw_boxes(picture: Picture, regions: list[Box]) -> None:
    """Draw a frame around each region, white in black, to be visible on any background."""
    height, width = picture.shape[:2]
    line = max(1, round(min(height, width) / 240))
    reach = 2 * line
    for box in regions:
        left, top = int(box.left * width), int(box.top * height)
        right, bottom = int(box.right * width) - 1, int(box.bottom * height) - 1
        rows, columns = _around(top, bottom, reach), _around(left, right, reach)
        # One side at a time: what is inside the box stays as it is.
        sides = [(_around(row, row, reach), columns) for row in (top, bottom)]
        sides += [(rows, _around(column, column, reach)) for column in (left, right)]
        for side in sides:
            with drawing_on(picture, *side) as part:
                first = left - side[1].start, top - side[0].start
                last = right - side[1].start, bottom - side[0].start
                cv2.rectangle(part, first, last, (0, 0, 0), 3 * line)
                cv2.rectangle(part, first, last, (255, 255, 255), line)


def _around(first: int, last: int, reach: int) -> slice:
    """Return the pixels from one to another, and some before and after them."""
    return slice(max(0, first - reach), max(0, last + reach + 1))


def draw_colour_bar(
    picture: Rgb, size: int, table: Rgb, labels: Sequence[str] = ("0", "1")
) -> tuple[int, int]:
    """Draw a colour bar into the lower right corner of a picture.

    Parameters
    ----------
    picture : (H, W, 3) uint8 array
        It is changed.
    size : int
        Height of the letters of a caption, see `text_px`.
    table : (n, 3) uint8 array
        The colours, that of the lowest value first.
    labels : sequence of str
        Values at equal distances along the bar, the first and the last one at its ends.

    Returns
    -------
    (int, int)
        Left and top of the bar with its labels, in pixels.
    """
    rows, columns = _bar_span(picture, size, _Place(is_top=False, is_right=False, taken_px=0))
    _fill_colour_bar(picture[rows, columns], size, table, labels)
    return columns.start, rows.start


def _bar_span(picture: Picture, size: int, place: _Place) -> tuple[slice, slice]:
    """Return the rows and columns of the colour bar, across from the captions."""
    height, width = (int(side) for side in picture.shape[:2])
    # The bar has a margin of one pixel, and its labels stand on it.
    high = max(5, size // 2) + 2 + line_px(_bar_label_px(size))
    wide = max(48, min(width // 6, size * 6)) + 2
    top = place.taken_px + size // 2 if place.is_top else height - high - size // 2 + 1
    left = size // 2 if place.is_right else width - wide - size // 2 + 1
    return slice(top, top + high), slice(left, left + wide)


def _fill_colour_bar(cell: Rgb, size: int, table: Rgb, labels: Sequence[str] = ("0", "1")) -> None:
    """Fill a part of a picture with a colour bar and its labels."""
    high, wide = (int(side) for side in cell.shape[:2])
    small = _bar_label_px(size)
    top = line_px(small)
    ramp = table[np.linspace(0, len(table) - 1, wide - 2).astype(int)]
    cell[top:] = 230
    cell[top + 1 : high - 1, 1 : wide - 1] = ramp[None]
    for n, label in enumerate(labels):
        # The first one begins at the left end, the last one ends at the right one.
        room = wide - 2 - width_px(label, small)
        write(cell, label, small, left=1 + round(room * n / (len(labels) - 1)), bottom=top)
