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
    # Planes, because NumPy is slow on channels that alternate.
    right, down = (as_map(plane) for plane in cv2.split(backward))
    columns, rows = _places(right, down)
    back_right, back_down = (as_map(plane) for plane in cv2.split(_moved(forward, columns, rows)))
    allowed2 = squared_length(right, down)
    allowed2 += squared_length(back_right, back_down)
    allowed2 *= _ERROR_SHARE
    allowed2 += _ERROR_PX2
    right += back_right
    down += back_down
    is_visible = squared_length(right, down) <= allowed2
    height, width = is_visible.shape
    is_visible &= (columns >= 0) & (columns <= width - 1) & (rows >= 0) & (rows <= height - 1)
    return is_visible.astype(np.float32)


def _places(right: Map, down: Map) -> tuple[Map, Map]:
    """Return where each pixel was in the previous frame: columns and rows, (h, w) float32."""
    height, width = right.shape
    columns = np.arange(width, dtype=np.float32)[None, :] + right
    rows = np.arange(height, dtype=np.float32)[:, None] + down
    return columns, rows


def squared_length(right: Map, down: Map) -> Map:
    """Return the squared length of each vector, as an array of its own.

    Parameters
    ----------
    right, down : float32 array
        Columns and rows of the vectors.
    """
    squared = right * right
    squared += down * down
    return squared


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
    return _moved(values, *_places(backward[..., 0], backward[..., 1]))


def _moved(values: Map, columns: Map, rows: Map) -> Map:
    """Return values at some places."""
    moved = cv2.remap(values, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return as_map(moved)
