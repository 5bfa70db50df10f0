"""Outlines: a smooth map drawn to the edges of the picture that it is of. Pure maths."""

import numpy as np

from vidsal.frames import Map, Rgb
from vidsal.opencv import cv2

# The lines are fitted at so many times less the width and height: they vary slowly, the picture
# that they are of does not (K. He, J. Sun, "Fast guided filter", 2015,
# https://arxiv.org/abs/1505.00996).
_COARSER = 4
# Variance of a colour, 0..1, within which a place has no edge: a thirtieth of the range, squared.
_FLAT = 1e-3


def outlined(values: Map, rgb: Rgb, reach_px: float) -> Map:
    """Return a map that changes where its picture does, and is as smooth as before elsewhere.

    The guided filter: around each pixel the map is taken for a linear function of the three
    colours, so that an edge of the picture becomes one of the map.

    Parameters
    ----------
    values : (h, w) float32 array
    rgb : (h, w, 3) uint8 array
        The picture.
    reach_px : float
        How far, in pixels, the map may be off: the filter's radius. Below half a pixel nothing is
        done.

    Returns
    -------
    (h, w) float32 array
        At least 0.

    Raises
    ------
    ValueError
        If the sizes differ.

    References
    ----------
    K. He, J. Sun, X. Tang, "Guided image filtering", IEEE TPAMI 35(6), 2013.
    https://doi.org/10.1109/TPAMI.2012.213
    """
    height, width = values.shape
    if rgb.shape != (height, width, 3):
        raise ValueError(f"the map is {values.shape} but its picture {rgb.shape}")
    if reach_px < 0.5:
        return values
    side = 2 * max(1, round(reach_px / _COARSER)) + 1

    def coarse(picture: Map) -> Map:
        size = max(1, width // _COARSER), max(1, height // _COARSER)
        return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.float32)

    def mean(picture: Map) -> Map:
        around = cv2.blur(picture, (side, side), borderType=cv2.BORDER_REFLECT)
        return np.asarray(around, np.float32)

    picture = rgb.astype(np.float32) / np.float32(255)
    colours, wanted = coarse(picture), coarse(values)
    colour, level = mean(colours), mean(wanted)
    products = [mean(colours * colours[..., channel, None]) for channel in range(3)]
    together = np.stack(products, axis=-1) - colour[..., None] * colour[..., None, :]
    with_map = mean(colours * wanted[..., None]) - colour * level[..., None]
    regular = together + np.float32(_FLAT) * np.eye(3, dtype=np.float32)
    slope = np.linalg.solve(regular, with_map[..., None])[..., 0]
    offset = level - (slope * colour).sum(axis=-1)
    line = cv2.resize(mean(np.dstack([slope, offset])), (width, height))
    drawn = (line[..., :3] * picture).sum(axis=-1) + line[..., 3]
    return np.maximum(np.asarray(drawn, np.float32), 0)
