"""Outlines: a smooth map drawn to the edges of the picture that it is of. Pure maths."""

import numpy as np

from vidsal.runtime.opencv import cv2
from vidsal.types import Map, Rgb

# The lines are fitted at up to so many times less the width and height: they vary slowly, the
# picture that they are of does not (K. He, J. Sun, "Fast guided filter", 2015,
# https://arxiv.org/abs/1505.00996).
_COARSER = 4
# Variance of a colour, 0..1, within which a place has no edge: a thirtieth of the range, squared.
_FLAT = 1e-3


def guided_filter(values: Map, rgb: Rgb, reach_px: float) -> Map:
    """Return a map that changes where its picture does, and is smoother where that does not.

    The guided filter: around each pixel the map is taken for a linear function of the three
    colours, so that an edge of the picture becomes one of the map. No value leaves the range of
    those within reach, however bright a speck the line is drawn to.

    Parameters
    ----------
    values : (h, w) float32 array
    rgb : (h, w, 3) uint8 array
        The picture.
    reach_px : float
        About the filter's radius: how far, in pixels, the map may be off, such as the standard
        deviation of the Gaussian that it was smoothed by. Below half a pixel nothing is done.

    Returns
    -------
    (h, w) float32 array

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
        return values.copy()
    picture = rgb.astype(np.float32) / np.float32(255)
    line = cv2.resize(_lines(values, picture, reach_px), (width, height))
    drawn = np.einsum("hwc,hwc->hw", line[..., :3], picture) + line[..., 3]
    within = np.ones((2 * round(reach_px) + 1,) * 2, np.uint8)
    lowest, highest = cv2.erode(values, within), cv2.dilate(values, within)
    return np.asarray(np.clip(drawn, lowest, highest), np.float32)


def _lines(values: Map, picture: Map, reach_px: float) -> Map:
    """Return slopes by the three colours and offset of the lines near each place, coarser."""
    height, width = values.shape
    coarser = min(_COARSER, max(1, int(reach_px)))
    size = max(1, width // coarser), max(1, height // coarser)
    side = 2 * max(1, round(reach_px / coarser)) + 1

    def mean(one: Map) -> Map:
        around = cv2.blur(one, (side, side), borderType=cv2.BORDER_REFLECT)
        return np.asarray(around, np.float32)

    colours, wanted = (
        np.asarray(cv2.resize(one, size, interpolation=cv2.INTER_AREA), np.float32)
        for one in (picture, values)
    )
    colour, level = mean(colours), mean(wanted)
    products = [mean(colours * colours[..., channel, None]) for channel in range(3)]
    together = np.stack(products, axis=-1) - colour[..., None] * colour[..., None, :]
    with_map = mean(colours * wanted[..., None]) - colour * level[..., None]
    regular = together + np.float32(_FLAT) * np.eye(3, dtype=np.float32)
    slope = np.linalg.solve(regular, with_map[..., None])[..., 0]
    offset = level - (slope * colour).sum(axis=-1)
    return mean(np.dstack([slope, offset]))
