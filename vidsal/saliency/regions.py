"""Regions and points read off a saliency map. Pure maths."""

from typing import NamedTuple

import numpy as np

from vidsal.runtime.opencv import cv2
from vidsal.types import Map

# A region below this share of the picture is a speck.
_SPECK = 1e-3
# What is so much brighter is clearly so to the eye; and so far, as a share of each side, things go
# from one frame to the next, and no farther.
_BRIGHTER, _NEAR = 1.25, 0.1


class Box(NamedTuple):
    """A region that stands out.

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
    """Return the connected regions of a map above a threshold, the most salient first.

    Parameters
    ----------
    saliency : (h, w) float32 array
        [0, 1].
    threshold : float
        0..1.

    Returns
    -------
    list of Box
        Without specks of less than a thousandth of the picture.
    """
    above = np.asarray(saliency >= threshold, np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(above)
    height, width = saliency.shape
    found = []
    for label in range(1, count):
        left, top, wide, high, area = (int(one) for one in stats[label])
        if area >= _SPECK * saliency.size:
            mean = float(saliency[labels == label].mean())
            found.append(
                Box(top / height, left / width, (top + high) / height, (left + wide) / width, mean)
            )
    return sorted(found, key=lambda box: -box.saliency)


def peak(saliency: Map) -> tuple[float, float] | None:
    """Return the most salient point as shares (row, column) of the picture, or None if flat.

    Of equal maxima those of the largest connected region are meant, and of these the one nearest
    to their middle: the point does not lie between regions, or in the corner of one.

    Parameters
    ----------
    saliency : (h, w) float32 array
        At best not clipped, which makes one plateau of all that stands out.
    """
    top = saliency.max(initial=0.0)
    if top <= saliency.min(initial=top):
        return None
    highest = saliency >= top
    # Mostly it is one: a map that is not clipped has no plateau.
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
    """Return the point to mark, so that the mark does not jump between places of like height.

    It is the highest one near the last, unless the highest of all is seen to be brighter.

    Parameters
    ----------
    saliency : (h, w) float32 array
        At least 0; what is above 1 is seen as 1.
    top : (float, float) or None
        Its highest point, as `peak` gives it.
    last : (float, float) or None
        What was marked last in the scene.
    """
    if top is None or last is None:
        return top
    place = tuple(
        slice(max(0, int((at - _NEAR) * side)), int((at + _NEAR) * side) + 1)
        for at, side in zip(last, saliency.shape, strict=True)
    )
    near = np.zeros_like(saliency)
    near[place] = saliency[place]
    is_bright = _BRIGHTER * near.max() >= min(1.0, float(saliency.max()))
    return peak(near) if is_bright else top


def centroid(saliency: Map) -> tuple[float, float] | None:
    """Return the centre of mass as shares (row, column) of the picture, or None if all zero."""
    total = float(saliency.sum(dtype=np.float64))
    if total <= 0:
        return None
    height, width = saliency.shape
    row = float(saliency.sum(axis=1, dtype=np.float64) @ (np.arange(height) + 0.5)) / total
    column = float(saliency.sum(axis=0, dtype=np.float64) @ (np.arange(width) + 0.5)) / total
    return row / height, column / width
