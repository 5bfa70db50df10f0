"""Lines of white text with a dark outline, which can be read on any ground. Arrays in place."""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from vidsal.runtime.opencv import cv2
from vidsal.types import Rgb

# OpenCV's own sans serif: Latin with all its accents, Greek, Cyrillic, Chinese.
_FACE = "sans"
# A little more than regular, on which a dark outline eats.
_WEIGHT = 450
# How far its letters reach above and below their line, as shares of its size; accents on capitals
# and g are the farthest.
_ABOVE, _BELOW = 1.0, 0.3


class _Words(NamedTuple):
    """Text, as what it keeps of a picture, of 255, and what it adds: (h, w, 3) uint8 each."""

    kept: Rgb
    added: Rgb


def line_px(size_px: int) -> int:
    """Return how high a line of text is, its outline included."""
    return _above_px(size_px) + round(_BELOW * size_px) + 2 * _edge_px(size_px)


@lru_cache(maxsize=64)
def width_px(text: str, size_px: int) -> int:
    """Return how wide a line of text is, its outline included."""
    box = cv2.getTextSize((0, 0), text, (0, 0), _face(), size_px, _WEIGHT)
    return int(box[2]) + 2 * _edge_px(size_px)


def fitting(text: str, size_px: int, room: int, *, tail: str = "") -> str:
    """Return the text cut short with an ellipsis so that it fits into `room`; the tail stays."""
    while width_px(text + tail, size_px) > room and len(text) > 1:
        text = text.rstrip("…")[:-1].rstrip() + "…"
    return text + tail


def write(
    picture: Rgb,
    text: str,
    size_px: int,
    *,
    left: int,
    top: int | None = None,
    bottom: int | None = None,
    room: int | None = None,
) -> int:
    """Write white text with a dark outline; return its height. What lies outside is left out.

    Parameters
    ----------
    picture : (H, W, 3) uint8 array
    text : str
        Cut short where it does not fit.
    size_px : int
        Height of its letters.
    left : int
    top, bottom : int
        One of the two.
    room : int, optional
        Its width at most; by default up to the picture's right.
    """
    words = _words(fitting(text, size_px, room or picture.shape[1] - left), size_px)
    height, width = (int(side) for side in words.kept.shape[:2])
    row = top if top is not None else (bottom or 0) - height
    row = max(0, row)
    place = picture[row : row + height, left : left + width]
    rows, columns = place.shape[:2]
    if place.size:
        cv2.multiply(place, words.kept[:rows, :columns], dst=place, scale=1 / 255)
        cv2.add(place, words.added[:rows, :columns], dst=place)
    return height


# What changes with every frame, such as its time, must not pile up.
@lru_cache(maxsize=32)
def _words(text: str, size_px: int) -> _Words:
    edge = _edge_px(size_px)
    fill = np.zeros((line_px(size_px), width_px(text, size_px)), np.uint8)
    at = edge, edge + _above_px(size_px)
    # Not wrapped: what the measure missed by is left out.
    cv2.putText(fill, text, at, 255, _face(), size_px, _WEIGHT, wrap=(0, 2 * fill.shape[1]))
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * edge + 1, 2 * edge + 1))
    around = cv2.dilate(fill, disk).astype(np.float32) / 255
    added = fill.astype(np.float32) / 255
    kept = (1 - 0.75 * around) * (1 - added)
    levels = (np.rint(255 * mask).astype(np.uint8) for mask in (kept, added))
    return _Words(*(np.repeat(one[..., None], 3, axis=2) for one in levels))


@lru_cache
def _face() -> Any:
    return cv2.FontFace(_FACE)


def _above_px(size_px: int) -> int:
    return round(_ABOVE * size_px)


def _edge_px(size_px: int) -> int:
    return max(1, size_px // 9)
