"""Lines of white text with a dark outline, legible on any background. Arrays are changed."""

import unicodedata
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from vidsal.render.canvas import drawing_on
from vidsal.runtime.opencv import cv2
from vidsal.types import Rgb
from vidsal.yuv import Picture

# OpenCV's own sans serif: Latin with all accents, Greek, Cyrillic, Chinese.
_FACE = "sans"
# Slightly bolder than regular, because the dark outline covers a part of each stroke.
_WEIGHT = 450
# Extent of letters above and below their baseline, as shares of their size. Accents on capitals
# and the letter g extend farthest.
_ABOVE, _BELOW = 1.0, 0.3


class _Glyphs(NamedTuple):
    """A rendered line: weight of the picture (of 255) and added colour; (h, w, 3) uint8."""

    kept: Rgb
    added: Rgb


def line_px(size_px: int) -> int:
    """Return the height of a line of text with its outline, in pixels.

    Parameters
    ----------
    size_px : int
        Height of the letters.
    """
    return _above_px(size_px) + round(_BELOW * size_px) + 2 * _edge_px(size_px)


def drawable(text: str) -> str:
    """Return a text that can be drawn in one line.

    OpenCV crashes on halves of surrogate pairs. File names contain them if their bytes are not
    valid text.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
        Text of the same length. White space becomes spaces; surrogates and control characters
        become question marks.
    """
    return "".join(
        " " if one.isspace() else "?" if unicodedata.category(one) in ("Cs", "Cc") else one
        for one in text
    )


@lru_cache(maxsize=64)
def width_px(text: str, size_px: int) -> int:
    """Return the width of a line of text with its outline, in pixels.

    Parameters
    ----------
    text : str
    size_px : int
        Height of the letters.
    """
    box = cv2.getTextSize((0, 0), drawable(text), (0, 0), _face(), size_px, _WEIGHT)
    return int(box[2]) + 2 * _edge_px(size_px)


def shortened(text: str, size_px: int, room: int, *, tail: str = "") -> str:
    """Return a text that fits into a width; a longer one ends with an ellipsis.

    Parameters
    ----------
    text : str
    size_px : int
        Height of the letters.
    room : int
        Width in pixels.
    tail : str
        Text that follows and is never shortened.
    """
    while width_px(text + tail, size_px) > room and len(text) > 1:
        text = text.rstrip("…")[:-1].rstrip() + "…"
    return text + tail


def write(
    picture: Picture,
    text: str,
    size_px: int,
    *,
    left: int,
    top: int | None = None,
    bottom: int | None = None,
    room: int | None = None,
) -> int:
    """Write a line of white text with a dark outline into a picture, in place.

    Pixels outside the picture are left out.

    Parameters
    ----------
    picture : (H, W, 3) uint8 array, or Yuv420
    text : str
        Shortened if it does not fit.
    size_px : int
        Height of the letters.
    left : int
    top, bottom : int
        Exactly one of the two must be given.
    room : int, optional
        Largest width in pixels; by default up to the right side of the picture.

    Returns
    -------
    int
        Height of the line in pixels.
    """
    glyphs = _rendered(shortened(text, size_px, room or picture.shape[1] - left), size_px)
    height, width = (int(side) for side in glyphs.kept.shape[:2])
    row = top if top is not None else (bottom or 0) - height
    row = max(0, row)
    with drawing_on(picture, slice(row, row + height), slice(left, left + width)) as place:
        rows, columns = place.shape[:2]
        if place.size:
            cv2.multiply(place, glyphs.kept[:rows, :columns], dst=place, scale=1 / 255)
            cv2.add(place, glyphs.added[:rows, :columns], dst=place)
    return height


# A small cache, because the time of each frame is a new text and would fill a large cache.
@lru_cache(maxsize=32)
def _rendered(text: str, size_px: int) -> _Glyphs:
    """Return a rendered line of text."""
    edge = _edge_px(size_px)
    fill = np.zeros((line_px(size_px), width_px(text, size_px)), np.uint8)
    at = edge, edge + _above_px(size_px)
    # A wide wrap prevents a second line: the measured width may be a pixel too small.
    cv2.putText(
        fill, drawable(text), at, 255, _face(), size_px, _WEIGHT, wrap=(0, 2 * fill.shape[1])
    )
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * edge + 1, 2 * edge + 1))
    outline = cv2.dilate(fill, disk).astype(np.float32) / 255
    added = fill.astype(np.float32) / 255
    kept = (1 - 0.75 * outline) * (1 - added)
    levels = (np.rint(255 * mask).astype(np.uint8) for mask in (kept, added))
    return _Glyphs(*(np.repeat(one[..., None], 3, axis=2) for one in levels))


@lru_cache
def _face() -> Any:
    return cv2.FontFace(_FACE)


def _above_px(size_px: int) -> int:
    return round(_ABOVE * size_px)


def _edge_px(size_px: int) -> int:
    return max(1, size_px // 9)
