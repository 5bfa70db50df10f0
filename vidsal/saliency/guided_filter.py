"""Guided filter: aligns the edges of a smooth map with the edges of its picture. Pure maths."""

import numpy as np

from vidsal.runtime.opencv import cv2
from vidsal.types import Map, Rgb

# The linear model is fitted at a size that is up to this many times smaller: its coefficients vary
# slowly, even where the picture does not ("fast guided filter").
_SUBSAMPLING = 4
# Variance of a colour in [0, 1] below which an area counts as flat: a thirtieth of the range,
# squared. It is the epsilon of the paper.
_FLAT_VARIANCE = 1e-3


def guided_filter(values: Map, rgb: Rgb, reach_px: float) -> Map:
    """Return a map with the edges of its picture, smooth where the picture is smooth.

    Around each pixel, the map is approximated by a linear function of the three colours, so that
    an edge of the picture becomes an edge of the map. Each value stays within the range of the
    values within reach, so that a bright speck of the picture cannot create a peak.

    Parameters
    ----------
    values : (h, w) float32 array
    rgb : (h, w, 3) uint8 array
        The picture.
    reach_px : float
        About the radius of the filter, in pixels: the distance by which edges of the map may be
        displaced, such as the standard deviation of its smoothing. Below 0.5 the result is a copy.

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
    K. He, J. Sun, "Fast guided filter", 2015. https://arxiv.org/abs/1505.00996
    """
    height, width = values.shape
    if rgb.shape != (height, width, 3):
        raise ValueError(f"a map and its picture need one size, got {values.shape} and {rgb.shape}")
    if reach_px < 0.5:
        return values.copy()
    guide = rgb.astype(np.float32) / np.float32(255)
    model = cv2.resize(_linear_model(values, guide, reach_px), (width, height))
    # OpenCV sums channels several times as fast as NumPy.
    filtered = cv2.transform(model[..., :3] * guide, np.ones((1, 3))) + model[..., 3]
    window = np.ones((2 * round(reach_px) + 1,) * 2, np.uint8)
    lowest, highest = cv2.erode(values, window), cv2.dilate(values, window)
    return np.asarray(np.clip(filtered, lowest, highest), np.float32)


def _linear_model(values: Map, guide: Map, reach_px: float) -> Map:
    """Return the three slopes and the offset around each pixel, (rows, columns, 4), subsampled."""
    height, width = values.shape
    subsampling = min(_SUBSAMPLING, max(1, int(reach_px)))
    size = max(1, width // subsampling), max(1, height // subsampling)
    side = 2 * max(1, round(reach_px / subsampling)) + 1

    def mean(one: Map) -> Map:
        local = cv2.blur(one, (side, side), borderType=cv2.BORDER_REFLECT)
        return np.asarray(local, np.float32)

    colours, targets = (
        np.asarray(cv2.resize(one, size, interpolation=cv2.INTER_AREA), np.float32)
        for one in (guide, values)
    )
    mean_colour, mean_target = mean(colours), mean(targets)
    products = [mean(colours * colours[..., channel, None]) for channel in range(3)]
    outer = mean_colour[..., None] * mean_colour[..., None, :]
    covariance = np.stack(products, axis=-1) - outer
    with_target = mean(colours * targets[..., None]) - mean_colour * mean_target[..., None]
    regularised = covariance + np.float32(_FLAT_VARIANCE) * np.eye(3, dtype=np.float32)
    slope = _solved(regularised, with_target)
    offset = mean_target - (slope * mean_colour).sum(axis=-1)
    return mean(np.dstack([slope, offset]))


def _solved(matrices: Map, sides: Map) -> Map:
    """Return the solutions of symmetric 3 x 3 systems by Cramer's rule, (..., 3).

    NumPy's solver calls LAPACK for each of them, which takes four times as long.
    """
    a, b, c = (matrices[..., 0, n] for n in range(3))
    d, e, f = matrices[..., 1, 1], matrices[..., 1, 2], matrices[..., 2, 2]
    x, y, z = (sides[..., n] for n in range(3))
    # Rows of the adjugate, which is symmetric as well.
    first, second, third = d * f - e * e, c * e - b * f, b * e - c * d
    middle, cross, last = a * f - c * c, b * c - a * e, a * d - b * b
    determinant = a * first + b * second + c * third
    solved = (
        first * x + second * y + third * z,
        second * x + middle * y + cross * z,
        third * x + cross * y + last * z,
    )
    return np.asarray(np.stack(solved, axis=-1) / determinant[..., None], np.float32)
