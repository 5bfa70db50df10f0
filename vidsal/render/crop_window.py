"""A picture with the crop window in it: what lies outside is dimmed. Arrays in, arrays out."""

import numpy as np

from vidsal.image_ops import even
from vidsal.runtime.opencv import cv2
from vidsal.types import Rgb

# Light that is left outside of the window.
_DIMMED = 0.35
# Colour of the smallest box, which is easy to tell from the white frame of the window.
_BOX_COLOUR = (255, 200, 60)


def crop_preview(
    rgb: Rgb,
    window: tuple[int, int, int, int],
    box: tuple[float, float, float, float] | None = None,
) -> Rgb:
    """Return a picture that is dimmed outside of a window.

    Parameters
    ----------
    rgb : (H, W, 3) uint8 array
        It is not changed.
    window : (int, int, int, int)
        Top, left, bottom and right in pixels; a white line runs along it.
    box : (float, float, float, float), optional
        The smallest box, in the same order; a thin yellow line runs along it.

    Returns
    -------
    (H, W, 3) uint8 array
        With even sides: an odd side gains one pixel, a copy of the last one.
    """
    result = np.asarray(cv2.convertScaleAbs(rgb, alpha=_DIMMED), np.uint8)
    top, left, bottom, right = window
    result[top:bottom, left:right] = rgb[top:bottom, left:right]
    line = max(1, round(min(rgb.shape[:2]) / 240))
    if box is not None:
        _outline(result, tuple(round(side) for side in box), _BOX_COLOUR, line)
    _outline(result, window, (255, 255, 255), line)
    return even(result)


def _outline(
    picture: Rgb, box: tuple[int, ...], colour: tuple[int, int, int], line: int
) -> None:
    """Draw a line, edged in black to be visible on any background, within a box."""
    top, left, bottom, right = box
    # OpenCV's lines are centred on their path.
    inset = line // 2
    first, last = (left + inset, top + inset), (right - 1 - inset, bottom - 1 - inset)
    cv2.rectangle(picture, first, last, (0, 0, 0), line + 2)
    cv2.rectangle(picture, first, last, colour, line)
