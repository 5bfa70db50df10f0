"""Sizes of pictures and maps, grey pictures, smoothing. Pure maths."""

from typing import TypeVar

import numpy as np

from vidsal.runtime.opencv import cv2
from vidsal.types import Map, Rgb

Pixels = TypeVar("Pixels", Rgb, Map)


def working_size(height_px: int, width_px: int, longer_px: int) -> tuple[int, int]:
    """Return (height, width) with the longer side at `longer_px`, never larger than the source."""
    factor = min(1.0, longer_px / max(height_px, width_px))
    return max(1, round(height_px * factor)), max(1, round(width_px * factor))


def shrink(picture: Pixels, size: tuple[int, int]) -> Pixels:
    """Return a picture or map at `size` (height, width), each pixel the mean of what it covers."""
    height, width = size
    while not (picture.shape[0] % (2 * height) or picture.shape[1] % (2 * width)):
        # The mean of means is the same, and halves are taken at three times the speed.
        halved = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        picture = np.asarray(halved, picture.dtype)
    if picture.shape[:2] == size:
        return picture
    smaller = height <= picture.shape[0] and width <= picture.shape[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    resized = cv2.resize(picture, (width, height), interpolation=how)
    return np.asarray(resized, picture.dtype)


def even(picture: Rgb) -> Rgb:
    """Return a picture with even sides, as video codecs need them.

    Parameters
    ----------
    picture : (H, W, 3) uint8 array

    Returns
    -------
    (H2, W2, 3) uint8 array
        An odd side gains one pixel, a copy of the last; nothing is rescaled. A picture with even
        sides is returned as it is.
    """
    height, width = picture.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return picture
    return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def grey(rgb: Rgb) -> Rgb:
    """Return the luma of an RGB picture, (h, w) uint8."""
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)


def smoothed(values: Map, share: float) -> Map:
    """Return `values` blurred by a Gaussian of `share` of the longer side; 0 leaves them."""
    sigma = share * max(values.shape)
    if sigma <= 0:
        return values
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma), np.float32)
