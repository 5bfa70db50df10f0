"""Warping along the optical flow, and the forward-backward check of the flow. Pure maths."""

import numpy as np

from vidsal.image_ops import as_map
from vidsal.runtime.opencv import cv2
from vidsal.types import Map

# The forward-backward check accepts an error of 3 working pixels plus a share of the path length.
# Three pixels are a third of the smoothing of the maps (0.03 x 320), and more than the error of the
# half-size flow that is used for the check.
_ERROR_PX2 = 9.0
_ERROR_SHARE = 0.01


def forward_backward_consistent(backward: Map, forward: Map) -> Map:
    """Return where the flow to the previous frame and back ends near its start.

    Parameters
    ----------
    backward : (h, w, 2) float32 array
        From this frame to the previous one, pixels, columns first.
    forward : (h, w, 2) float32 array
        From the previous frame to this one, pixels, columns first.

    Returns
    -------
    (h, w) float32 array
        1 where a pixel of this frame is visible in the previous one, 0 where it was occluded or
        outside the picture.

    References
    ----------
    N. Sundaram, T. Brox, K. Keutzer, "Dense point trajectories by GPU-accelerated large
    displacement optical flow", ECCV 2010, equation 5.
    https://doi.org/10.1007/978-3-642-15549-9_32
    """
    columns, rows = _origins(backward)
    back = _moved(forward, columns, rows)
    path2 = _squared_length(backward) + _squared_length(back)
    error2 = _squared_length(backward + back)
    height, width = backward.shape[:2]
    is_inside = (columns >= 0) & (columns <= width - 1) & (rows >= 0) & (rows <= height - 1)
    is_near = error2 <= _ERROR_SHARE * path2 + _ERROR_PX2
    return np.asarray(is_inside & is_near, np.float32)


def _squared_length(flow: Map) -> Map:
    """Return the squared length of each vector, (h, w) float32."""
    # Copies, because sums over channels that alternate take three times as long.
    right, down = flow[..., 0].copy(), flow[..., 1].copy()
    right *= right
    down *= down
    right += down
    return right


def _origins(backward: Map) -> tuple[Map, Map]:
    """Return where each pixel was in the previous frame: columns and rows, (h, w) float32."""
    height, width = backward.shape[:2]
    columns = np.arange(width, dtype=np.float32)[None, :] + backward[..., 0]
    rows = np.arange(height, dtype=np.float32)[:, None] + backward[..., 1]
    return columns, rows


def warp(values: Map, backward: Map) -> Map:
    """Return values of the previous frame at the pixels of this one.

    Parameters
    ----------
    values : (h, w) or (h, w, 2) float32 array
    backward : (h, w, 2) float32 array
        From this frame to the previous one, pixels, columns first.

    Returns
    -------
    float32 array of the shape of `values`
        Interpolated linearly. Outside the picture, the border is repeated.
    """
    return _moved(values, *_origins(backward))


def _moved(values: Map, columns: Map, rows: Map) -> Map:
    """Return values at some places."""
    moved = cv2.remap(values, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return as_map(moved)
