"""Regions and points of a saliency map. Pure maths."""

from typing import NamedTuple, get_args

import numpy as np

from vidsal.runtime.opencv import cv2
from vidsal.types import Corner, Map

# A region below this share of the picture is a speck.
_SPECK = 1e-3
# A place that is brighter by this factor is clearly brighter to the eye.
_BRIGHTER = 1.25
# An object moves at most this share of each side from one frame to the next.
_NEAR = 0.1
# Two lines of text and the colour bar take this share of the rows, and half of the columns.
_CORNER_ROWS = 0.16
# A corner whose mean is below this holds hardly anything that text could hide.
_CALM = 0.2


class Box(NamedTuple):
    """The bounding box of a salient region.

    Attributes
    ----------
    top, left, bottom, right : float
        Shares of the picture's sides, 0..1.
    saliency : float
        Mean over the region, 0..1.
    """

    top: float
    left: float
    bottom: float
    right: float
    saliency: float


def boxes(saliency: Map, threshold: float) -> list[Box]:
    """Return the connected regions of a map at or above a threshold, the most salient first.

    Parameters
    ----------
    saliency : (h, w) float32 array
        [0, 1].
    threshold : float
        0..1.

    Returns
    -------
    list of Box
        Without regions below a thousandth of the picture.
    """
    above = np.asarray(saliency >= threshold, np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(above)
    height, width = saliency.shape
    regions = []
    for label in range(1, count):
        left, top, wide, high, area = (int(one) for one in stats[label])
        if area >= _SPECK * saliency.size:
            mean = float(saliency[labels == label].mean())
            regions.append(
                Box(top / height, left / width, (top + high) / height, (left + wide) / width, mean)
            )
    return sorted(regions, key=lambda box: -box.saliency)


def peak(saliency: Map) -> tuple[float, float] | None:
    """Return the most salient point.

    If several pixels share the maximum, it is the pixel nearest to the middle of the largest
    connected region of them, so that it lies neither between regions nor in a corner of one.

    Parameters
    ----------
    saliency : (h, w) float32 array
        Preferably not clipped: clipping gives all peaks the same height.

    Returns
    -------
    (float, float) or None
        Row and column as shares of the picture's sides; ``None`` if the map is flat.
    """
    top = saliency.max(initial=0.0)
    if top <= saliency.min(initial=top):
        return None
    highest = saliency >= top
    # Usually one pixel: a map that is not clipped has no plateau.
    if np.count_nonzero(highest) > 1:
        count, labels, stats, _ = cv2.connectedComponentsWithStats(np.asarray(highest, np.uint8))
        largest = max(range(1, count), key=lambda label: int(stats[label, cv2.CC_STAT_AREA]))
        highest = labels == largest
    height, width = saliency.shape
    rows, columns = np.divmod(np.flatnonzero(highest), width)
    middle = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
    return (int(rows[middle]) + 0.5) / height, (int(columns[middle]) + 0.5) / width


def stabilized_peak(
    saliency: Map, top: tuple[float, float] | None, last: tuple[float, float] | None
) -> tuple[float, float] | None:
    """Return the point to mark, which does not jump between places of similar height.

    It is the highest point near the last one, unless the peak of the whole map is clearly brighter.

    Parameters
    ----------
    saliency : (h, w) float32 array
        At least 0; values above 1 are displayed as 1.
    top : (float, float) or None
        Peak of the map, from `peak`.
    last : (float, float) or None
        The point that was marked last in the scene.

    Returns
    -------
    (float, float) or None
        Row and column as shares of the picture's sides; ``None`` if `top` is.
    """
    if top is None or last is None:
        return top
    window = tuple(
        slice(max(0, int((at - _NEAR) * side)), int((at + _NEAR) * side) + 1)
        for at, side in zip(last, saliency.shape, strict=True)
    )
    near = np.zeros_like(saliency)
    near[window] = saliency[window]
    is_near_bright = _BRIGHTER * near.max() >= min(1.0, float(saliency.max()))
    return peak(near) if is_near_bright else top


def calm_corner(saliency: Map, last: Corner) -> Corner:
    """Return the corner for text: the last one, until something stands out there.

    Then it is the corner in which least stands out, if that is at most half of it: text that moves
    without need draws the eye.

    Parameters
    ----------
    saliency : (h, w) float32 array
        [0, 1].
    last : {"bottom-left", "bottom-right", "top-left", "top-right"}
        The corner of the frame before.
    """
    rows, columns = max(1, round(_CORNER_ROWS * saliency.shape[0])), -(-saliency.shape[1] // 2)
    bands = {"top": saliency[:rows], "bottom": saliency[-rows:]}
    means = {
        corner: float((bands[corner.split("-")[0]][:, _half(corner, columns)]).mean())
        for corner in get_args(Corner)
    }
    calmest: Corner = min(means, key=lambda corner: means[corner])
    is_hidden = means[last] >= _CALM and 2 * means[calmest] <= means[last]
    return calmest if is_hidden else last


def _half(corner: str, columns: int) -> slice:
    return slice(columns) if corner.endswith("left") else slice(-columns, None)


def centroid(saliency: Map) -> tuple[float, float] | None:
    """Return the centre of mass of a map.

    Parameters
    ----------
    saliency : (h, w) float32 array
        At least 0.

    Returns
    -------
    (float, float) or None
        Row and column as shares of the picture's sides; ``None`` if the map is zero.
    """
    total = float(saliency.sum(dtype=np.float64))
    if total <= 0:
        return None
    height, width = saliency.shape
    row = float(saliency.sum(axis=1, dtype=np.float64) @ (np.arange(height) + 0.5)) / total
    column = float(saliency.sum(axis=0, dtype=np.float64) @ (np.arange(width) + 0.5)) / total
    return row / height, column / width
