"""The smallest box that holds a share of a map. Pure maths."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidsal.types import Map

# Cells along the longer side of the grid on which boxes are searched. A cell of a map of 320 x 180
# is 5 pixels wide, less than the smoothing of the static map. Each halving of the cells makes the
# search through all boxes take eight times as long.
_CELLS = 64


class MassBox(NamedTuple):
    """A box that contains a share of the mass of a map.

    Attributes
    ----------
    top, left, bottom, right : float
        Shares of the picture's sides, 0..1.
    held : float
        The share of the mass in the box, 0..1.
    """

    top: float
    left: float
    bottom: float
    right: float
    held: float


def smallest_box(values: Map, share: float) -> MassBox | None:
    """Return the box of smallest area that contains a share of the sum of a map.

    All boxes on a grid of at most 64 cells per side are searched. Among boxes of equal area, the
    box with the most mass is returned, and then the one nearest to the middle of the picture.

    Parameters
    ----------
    values : (h, w) floating-point array
        At least 0.
    share : float
        Above 0, at most 1.

    Returns
    -------
    MassBox or None
        ``None`` if the map is zero.
    """
    rows, columns = (_edges(side, max(values.shape)) for side in values.shape)
    cells = np.add.reduceat(
        np.add.reduceat(np.asarray(values, np.float64), rows[:-1], axis=0), columns[:-1], axis=1
    )
    total = float(cells.sum())
    if not total > 0:
        return None
    # Sums of whole columns differ in their last digits, so a small tolerance is needed.
    boxes = _least_boxes(cells, share * total * (1 - 1e-9))
    top, bottom, left, right, mass = boxes.T
    held = np.round(mass / total, 9)
    height, width = cells.shape
    off_centre = np.hypot((top + bottom) / height - 1, (left + right) / width - 1)
    n = int(np.lexsort((off_centre, -held))[0])
    return MassBox(
        float(rows[int(top[n])] / rows[-1]), float(columns[int(left[n])] / columns[-1]),
        float(rows[int(bottom[n])] / rows[-1]), float(columns[int(right[n])] / columns[-1]),
        min(1.0, float(held[n])),
    )  # fmt: skip


def _edges(side: int, longer: int) -> NDArray[np.int64]:
    """Return the edges, in pixels, of the cells along a side."""
    count = max(1, min(side, round(_CELLS * side / longer)))
    return np.rint(np.linspace(0, side, count + 1)).astype(np.int64)


def _least_boxes(cells: NDArray[np.float64], needed: float) -> NDArray[np.float64]:
    """Return all boxes that contain a mass and have the smallest number of cells.

    (n, 5): top, bottom, left, right in cells, and the mass.
    """
    height, width = cells.shape
    above = np.vstack([np.zeros(width), cells.cumsum(axis=0)])
    tops, bottoms = np.triu_indices(height + 1, 1)
    strips = above[bottoms] - above[tops]
    heights = bottoms - tops
    before = np.hstack([np.zeros((len(strips), 1)), strips.cumsum(axis=1)])
    # Only strips that contain enough mass at their full width can have a box.
    alive = np.flatnonzero(before[:, -1] >= needed)
    least, found = height * width, []
    for wide in range(1, width + 1):
        alive = alive[heights[alive] * wide <= least]
        masses = before[alive, wide:] - before[alive, :-wide]
        is_enough = masses >= needed
        hits, lefts = np.nonzero(is_enough)
        if len(hits):
            strip = alive[hits]
            found.append(np.column_stack([
                tops[strip], bottoms[strip], lefts, lefts + wide, masses[hits, lefts],
            ]))  # fmt: skip
            least = min(least, int((heights[strip] * wide).min()))
            # A wider box of the same strip is larger.
            alive = alive[~is_enough.any(axis=1)]
    boxes = np.concatenate(found)
    areas = (boxes[:, 1] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 2])
    return np.asarray(boxes[areas == areas.min()])
