"""Guided filter: aligns the edges of a smooth map with the edges of its picture. Pure maths."""

import numpy as np

from vidsal.image_ops import as_map
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
    # Planes: sums over three channels that alternate take several times as long.
    guide = [plane.astype(np.float32) / np.float32(255) for plane in cv2.split(rgb)]
    *slopes, filtered = (
        as_map(cv2.resize(part, (width, height))) for part in _linear_model(values, guide, reach_px)
    )
    for slope, plane in zip(slopes, guide, strict=True):
        slope *= plane
        filtered += slope
    window = np.ones((2 * round(reach_px) + 1,) * 2, np.uint8)
    lowest, highest = cv2.erode(values, window), cv2.dilate(values, window)
    return np.asarray(np.clip(filtered, lowest, highest), np.float32)


def _linear_model(values: Map, guide: list[Map], reach_px: float) -> list[Map]:
    """Return the three slopes and the offset around each pixel, subsampled, each a plane."""
    height, width = values.shape
    subsampling = min(_SUBSAMPLING, max(1, int(reach_px)))
    size = max(1, width // subsampling), max(1, height // subsampling)
    side = 2 * max(1, round(reach_px / subsampling)) + 1

    def mean(one: Map) -> Map:
        return as_map(cv2.blur(one, (side, side), borderType=cv2.BORDER_REFLECT))

    *colours, target = (
        as_map(cv2.resize(one, size, interpolation=cv2.INTER_AREA)) for one in (*guide, values)
    )
    *mean_colours, mean_target = map(mean, (*colours, target))

    def covariance(one: int, other: int) -> Map:
        products = mean(colours[one] * colours[other]) - mean_colours[one] * mean_colours[other]
        return products + np.float32(_FLAT_VARIANCE) if one == other else products

    matrix = [covariance(*pair) for pair in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))]
    with_target = [
        mean(colour * target) - mean_colour * mean_target
        for colour, mean_colour in zip(colours, mean_colours, strict=True)
    ]
    slopes = _solved(matrix, with_target)
    offset = mean_target
    for slope, mean_colour in zip(slopes, mean_colours, strict=True):
        offset = offset - slope * mean_colour
    return [mean(part) for part in (*slopes, offset)]


def _solved(matrix: list[Map], sides: list[Map]) -> list[Map]:
    """Return the solutions of symmetric 3 x 3 systems by Cramer's rule, three planes.

    The matrix is given by six planes, its upper triangle by rows. NumPy's solver calls LAPACK for
    each system, which takes four times as long.
    """
    a, b, c, d, e, f = matrix
    x, y, z = sides
    # Rows of the adjugate, which is symmetric as well.
    first, second, third = d * f - e * e, c * e - b * f, b * e - c * d
    middle, cross, last = a * f - c * c, b * c - a * e, a * d - b * b
    factor = np.float32(1) / (a * first + b * second + c * third)
    return [
        (first * x + second * y + third * z) * factor,
        (second * x + middle * y + cross * z) * factor,
        (third * x + cross * y + last * z) * factor,
    ]
