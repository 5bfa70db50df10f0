"""A picture with the crop window in it: what lies outside is dimmed. Arrays in, arrays out."""

import numpy as np

from vidsal.image_ops import even
from vidsal.runtime.opencv import cv2
from vidsal.types import Rgb

# Light that is left outside of the window.
_DIMMED = 0.35


def crop_preview(rgb: Rgb, window: tuple[int, int, int, int]) -> Rgb:
    """Return a picture that is dimmed outside of a window.

    Parameters
    ----------
    rgb : (H, W, 3) uint8 array
        It is not changed.
    window : (int, int, int, int)
        Top, left, bottom and right in pixels. A white line, edged in black to be visible on any
        background, runs along its border.

    Returns
    -------
    (H2, W2, 3) uint8 array
        With even sides: an odd side gains one pixel, a copy of the last one.
    """
    top, left, bottom, right = window
    result = np.asarray(cv2.convertScaleAbs(rgb, alpha=_DIMMED), np.uint8)
    result[top:bottom, left:right] = rgb[top:bottom, left:right]
    line = max(1, round(min(rgb.shape[:2]) / 240))
    # OpenCV's lines are centred on their path; this one stays in the picture.
    inset = line // 2
    first, last = (left + inset, top + inset), (right - 1 - inset, bottom - 1 - inset)
    cv2.rectangle(result, first, last, (0, 0, 0), line + 2)
    cv2.rectangle(result, first, last, (255, 255, 255), line)
    return even(result)
