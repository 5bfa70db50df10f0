"""Pictures from saliency: overlays, layouts, annotation. Arrays in, arrays out."""

import numpy as np

from vidsal.image_ops import shrink
from vidsal.motion.camera import camera_flow
from vidsal.render.overlay import colours, even, map_picture, overlay, part_picture
from vidsal.render.style import Style
from vidsal.render.text import fitting, line_px, width_px, write
from vidsal.runtime.opencv import cv2
from vidsal.saliency.regions import Box, boxes
from vidsal.settings import PANELS, Colormap, panel_px
from vidsal.types import Prediction, Rgb, Saliency

# A caption's height as a share of the picture's shorter side, and the smallest that can be read.
_TEXT = 1 / 26
_TEXT_PX = 12
# The second line's height as a share of the first's: less is hard to read where a large picture is
# shown small.
_SECOND = 0.85
# A name with less probability is as good as a guess: of names given by a network that knows how
# sure it is, nine in ten of these are wrong.
_UNSURE = 0.1
# Below this there is no room for words: the picture is left bare.
_ROOM_PX = 96
# How a caption begins that tells what a map is of.
_MAP_OF = "map of "
# A picture that moves by less than this, in working pixels a frame, is steady to the eye.
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
        RGB with even sides, as video needs them: an odd side gains one pixel, a copy of the last.
    """
    rgb = _fitted(saliency.frame.rgb, style)
    main = map_picture if style.layout == "map" else overlay
    result = main(rgb, saliency.fused, style)
    if style.boxes:
        _mark_boxes(result, boxes(saliency.fused, style.boxes))
    if style.annotate and min(rgb.shape[:2]) >= _ROOM_PX:
        _annotate(result, saliency, style)
    if style.layout in ("overlay", "map"):
        return even(result)
    if style.layout == "side-by-side":
        panels = [("input", rgb), ("overlay", result)]
    elif style.layout == "triptych":
        panels = [
            ("map", map_picture(rgb, saliency.fused, style)),
            ("input", rgb),
            ("overlay", result),
        ]
    else:
        panels = [
            ("input", rgb),
            (_static_label(saliency), part_picture(rgb, saliency.static, style)),
            (_motion_label(saliency), part_picture(rgb, saliency.motion, style)),
            (_fused_label(saliency, style), result),
        ]
    return even(_arranged(panels, PANELS[style.layout][1], style))


def _fitted(rgb: Rgb, style: Style) -> Rgb:
    """Return a picture at the size of its panel."""
    size = rgb.shape[0], rgb.shape[1]
    panel = panel_px(size, style.layout, style.width)
    return rgb if panel == size else shrink(rgb, panel)


def _static_label(saliency: Saliency) -> str:
    """Return what the static panel shows, or why it shows nothing."""
    return "static: no network" if saliency.static is None else "static"


def _fused_label(saliency: Saliency, style: Style) -> str:
    """Return how the fused panel came about, and how much of it is motion."""
    prior = " x centre prior" if style.has_prior else ""
    if style.fusion in ("static", "motion"):
        return f"{style.fusion} alone{prior}"
    way = "" if style.fusion == "gain" else f" by {style.fusion}"
    # Of a still, that motion brought nothing says nothing.
    moved = f"{saliency.motion_share:.0%} by motion" if saliency.motion.any() else "nothing moves"
    return f"fused{way}{prior}, {moved}"


def _motion_label(saliency: Saliency) -> str:
    """Return what the motion panel shows, and what was taken off it."""
    camera, size = saliency.movement.camera, saliency.motion.shape
    if camera.model == "none":
        return "motion"
    moves = camera_flow(camera, (size[0], size[1]))
    columns, rows = moves.mean(axis=(0, 1))
    if float(np.hypot(moves[..., 0], moves[..., 1]).mean()) < _STEADY_PX:
        return "motion, steady camera"
    if float(np.hypot(rows, columns)) < _STEADY_PX:
        return "motion, camera zooms or turns"
    compass = ("right", "down", "left", "up")[round(np.arctan2(rows, columns) / (np.pi / 2)) % 4]
    return f"motion, picture moves {compass}"


def write_line(picture: Rgb, text: str, *, below: bool = False) -> None:
    """Write a line into the top of a picture, in place, where it has room for words.

    Its ground is darkened from side to side: on a bright picture even outlined letters are hard to
    read at a glance.

    Parameters
    ----------
    picture : (H, W, 3) uint8 array, contiguous
    text : str
    below : bool
        Leave the first line to the labels of panels.
    """
    if min(picture.shape[:2]) < _ROOM_PX:
        return
    size = _text_px(picture)
    small, margin = _second_px(size), size // 3
    top = margin + (2 * size if below else 0)
    ground = picture[top - margin : top + line_px(small) + margin]
    ground //= 2
    write(picture, text, small, left=size // 2, top=top)


def _arranged(panels: list[tuple[str, Rgb]], columns: int, style: Style) -> Rgb:
    """Set panels of one size side by side, in whole rows of `columns`, each with its label."""
    height, width = panels[0][1].shape[:2]
    whole = np.empty((height * (len(panels) // columns), width * columns, 3), np.uint8)
    for n, (label, panel) in enumerate(panels):
        top, left = height * (n // columns), width * (n % columns)
        place = whole[top : top + height, left : left + width]
        place[:] = panel
        if style.annotate and min(height, width) >= _ROOM_PX:
            size = _text_px(place)
            write(place, label, size, left=size // 2, top=size // 3)
    return whole


def _annotate(picture: Rgb, saliency: Saliency, style: Style) -> None:
    """Write class, time and model into the picture, with a colour bar and a ring."""
    size, seen = _text_px(picture), saliency.prediction
    height, width = picture.shape[:2]
    if saliency.marker:
        _mark(picture, saliency.marker)
    bar_left, bar_top = _colour_bar(picture, size, style.colormap)
    time = time_code(saliency.frame.time_s) if saliency.frame.has_time else ""
    right, bottom = bar_left - size // 2, height - size // 2
    bottom -= _write_second(picture, time, _about(seen, style), right=right, bottom=bottom)
    if seen:
        text = _first_line(seen, size, width - size)
        # A name that reaches as far as the colour bar stands above it.
        if size // 2 + width_px(text, size) > right:
            bottom = min(bottom, bar_top)
        write(picture, text, size, left=size // 2, bottom=bottom, room=width - size)


def _first_line(seen: Prediction, size: int, room: int) -> str:
    """Return the likeliest class with its probability, and whether it is as good as a guess."""
    name = seen.names[0] if seen.probabilities[0] >= _UNSURE else f"unsure: {seen.names[0]}"
    return fitting(name, size, room, tail=f" {seen.probabilities[0]:.0%}")


def _about(seen: Prediction | None, style: Style) -> list[str]:
    """Return what made the map, and what it is of where that is not the class seen, in parts."""
    if seen is None:
        return ["motion only"]
    # Where a network looked that nobody named, its classes say that there is one.
    parts = [seen.model_name] if seen.model_name else []
    if style.fusion == "motion":
        return [*parts, f"{_MAP_OF}motion"]
    if style.method != "smoothgrad":
        parts.append(style.method)
    if seen.target_id != seen.class_ids[0]:
        parts.append(f"{_MAP_OF}{seen.target_name} ({seen.target_probability:.0%})")
    return parts


def _write_second(picture: Rgb, time: str, about: list[str], *, right: int, bottom: int) -> int:
    """Write the second line of a caption; return its height, 0 where nothing fits."""
    size = _text_px(picture)
    small, left = _second_px(size), size // 2
    time = time if width_px(time, small) <= right - left else ""
    if time:
        # By itself: of what is written, only this is new in each frame.
        write(picture, time, small, left=left, bottom=bottom)
        left += width_px(f"{time}  ", small)
    words = _last(about, small, right - left)
    if words:
        write(picture, words, small, left=left, bottom=bottom)
    return line_px(small) if time or words else 0


def _last(parts: list[str], size: int, room: int) -> str:
    """Return as many parts as fit, from the last on: what a map is of outlives what made it."""
    texts = [", ".join(parts[n:]) for n in range(len(parts))]
    if parts and parts[-1].startswith(_MAP_OF):
        # The class may be cut short, but not how likely it is; of other names half says nothing.
        name, bracket, share = parts[-1].rpartition(" (")
        short = fitting(name, size, room, tail=bracket + share)
        texts += [short] if short.startswith(_MAP_OF) else []
    return next((text for text in texts if width_px(text, size) <= room), "")


def time_code(time_s: float) -> str:
    """Return seconds as M:SS.cc, with hours where there are any."""
    hundredths = round(time_s * 100)
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    clock = f"{rest // 100:02d}.{rest % 100:02d}"
    return f"{hours}:{minutes:02d}:{clock}" if hours else f"{minutes}:{clock}"


def _text_px(picture: Rgb) -> int:
    return max(_TEXT_PX, round(int(min(picture.shape[:2])) * _TEXT))


def _second_px(size: int) -> int:
    return max(_TEXT_PX, round(_SECOND * size))


def _mark(picture: Rgb, point: tuple[float, float]) -> None:
    """Draw a ring around a point, light in dark, so that it shows on any ground."""
    height, width = picture.shape[:2]
    centre = int(point[1] * width), int(point[0] * height)
    radius = max(5, round(min(height, width) / 40))
    line = max(1, radius // 5)
    cv2.circle(picture, centre, radius, (0, 0, 0), 3 * line, cv2.LINE_AA)
    cv2.circle(picture, centre, radius, (255, 255, 255), line, cv2.LINE_AA)


def _mark_boxes(picture: Rgb, found: list[Box]) -> None:
    """Draw a frame around each region, light in dark, so that it shows on any ground."""
    height, width = picture.shape[:2]
    line = max(1, round(min(height, width) / 240))
    for box in found:
        first = int(box.left * width), int(box.top * height)
        last = int(box.right * width) - 1, int(box.bottom * height) - 1
        cv2.rectangle(picture, first, last, (0, 0, 0), 3 * line)
        cv2.rectangle(picture, first, last, (255, 255, 255), line)


def _colour_bar(picture: Rgb, size: int, colormap: Colormap) -> tuple[int, int]:
    """Draw the colours from low to high in the lower right corner; return its left and top."""
    height, width = (int(side) for side in picture.shape[:2])
    bar_height, bar_width = max(5, size // 2), max(48, min(width // 6, size * 6))
    left, top = width - bar_width - size // 2, height - bar_height - size // 2
    ramp = colours(colormap)[np.linspace(0, 255, bar_width).astype(int)]
    picture[top - 1 : top + bar_height + 1, left - 1 : left + bar_width + 1] = 230
    picture[top : top + bar_height, left : left + bar_width] = ramp[None]
    small = max(_TEXT_PX - 2, round(size * 0.7))
    label_height = write(picture, "0", small, left=left, bottom=top - 1)
    right = left + bar_width - width_px("1", small)
    write(picture, "1", small, left=right, bottom=top - 1)
    return left, top - 1 - label_height
