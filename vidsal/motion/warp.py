"""Along the optical flow: values of one frame where they are on the next. Pure maths."""

import numpy as np

from vidsal.runtime.opencv import cv2
from vidsal.types import Map

# Flow that comes back farther than this from where it began, in working pixels, plus a share of
# the way gone, has lost its point. Three pixels are a third of the smoothing that maps get anyway
# (0.03 x 320), and more than half-size flow, which is what it is checked by, is off by itself. The
# test's form is (5) of Sundaram, Brox, Keutzer, "Dense point trajectories by GPU-accelerated large
# displacement optical flow", ECCV 2010, https://doi.org/10.1007/978-3-642-15549-9_32
_LOST_PX2 = 9.0
_LOST_SHARE = 0.01


def forward_backward_consistent(backward: Map, forward: Map) -> Map:
    """Say where the flow to the previous frame comes back to where it began.

    Parameters
    ----------
    backward : (h, w, 2) float32 array
        From this frame to the previous one, pixels, columns first.
    forward : (h, w, 2) float32 array
        From the previous frame to this one.

    Returns
    -------
    (h, w) float32 array
        1 where a point of this frame has a past, 0 where it was covered or outside.
    """
    back = warp(forward, backward)
    gone = _squared(backward) + _squared(back)
    missed = _squared(backward + back)
    columns, rows = _origins(backward)
    height, width = backward.shape[:2]
    inside = (columns >= 0) & (columns <= width - 1) & (rows >= 0) & (rows <= height - 1)
    return np.asarray(inside & (missed <= _LOST_SHARE * gone + _LOST_PX2), np.float32)


def _squared(flow: Map) -> Map:
    """Return the squared length of each vector, (h, w) float32; a sum over so few is slow."""
    return np.asarray(flow[..., 0] ** 2 + flow[..., 1] ** 2, np.float32)


def _origins(backward: Map) -> tuple[Map, Map]:
    """Return where each pixel was in the previous frame: columns and rows, (h, w) float32."""
    height, width = backward.shape[:2]
    columns = np.arange(width, dtype=np.float32)[None, :] + backward[..., 0]
    rows = np.arange(height, dtype=np.float32)[:, None] + backward[..., 1]
    return columns, rows


def warp(values: Map, backward: Map) -> Map:
    """Return `values` of the previous frame at the pixels of this one.

    Parameters
    ----------
    values : (h, w) or (h, w, 2) float32 array
    backward : (h, w, 2) float32 array
        From this frame to the previous one, pixels, columns first.
    """
    columns, rows = _origins(backward)
    moved = cv2.remap(values, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)
