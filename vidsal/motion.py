"""Dynamic saliency: optical flow, the camera's own movement, and what is left of the one without
the other. Pure maths on grey pictures of working size.
"""

from typing import TypeVar

import numpy as np

from vidsal.frames import CameraMotion, Map, Motion, Rgb
from vidsal.opencv import cv2
from vidsal.settings import Camera

Pixels = TypeVar("Pixels", Rgb, Map)

# Every 8th flow vector is asked about the camera: neighbours carry the same news (Farneback
# averages over a window of 15), and 900 votes at 320 x 180 fit in a millisecond.
_GRID_PX = 8
# A vector agrees with the camera when it lies within this of the fitted movement; half a pixel is
# what Farneback is good for on textured ground.
_INLIER_PX = 0.5
# With fewer agreeing vectors than this a fitted similarity describes some object, not the camera.
_INLIER_SHARE = 0.25
# Standard deviation of the light smoothing of the speed, as a share of the longer side.
_SMOOTH = 0.01


def working_size(height_px: int, width_px: int, longer_px: int) -> tuple[int, int]:
    """Return (height, width) with the longer side at `longer_px`, never larger than the source."""
    factor = min(1.0, longer_px / max(height_px, width_px))
    return max(1, round(height_px * factor)), max(1, round(width_px * factor))


def shrink(picture: Pixels, size: tuple[int, int]) -> Pixels:
    """Return a picture or map at `size` (height, width), each pixel the mean of what it covers."""
    height, width = size
    if picture.shape[:2] == size:
        return picture
    smaller = height <= picture.shape[0] and width <= picture.shape[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    resized = cv2.resize(picture, (width, height), interpolation=how)
    return np.asarray(resized, picture.dtype)


def grey(rgb: Rgb) -> Rgb:
    """Return the luma of an RGB picture, (h, w) uint8."""
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)


def still(size: tuple[int, int]) -> Motion:
    """Return the motion of a frame that has nothing before it: none."""
    height, width = size
    return Motion(
        np.zeros((height, width, 2), np.float32), np.zeros((height, width), np.float32), steady()
    )


def steady() -> CameraMotion:
    """Return the movement of a camera that stands still."""
    return CameraMotion(np.eye(2, 3, dtype=np.float32), None)


def optical_flow(previous: Rgb, current: Rgb) -> Map:
    """Return dense optical flow from `previous` to `current`.

    Parameters
    ----------
    previous, current : (h, w) uint8 array
        Grey pictures of one size.

    Returns
    -------
    (h, w, 2) float32 array
        [..., 0] columns, [..., 1] rows, pixels; the point (row, column) of `previous` is found at
        (row + [..., 1], column + [..., 0]) of `current`.

    Raises
    ------
    ValueError
        If the shapes differ.

    References
    ----------
    G. Farneback, "Two-frame motion estimation based on polynomial expansion", SCIA 2003.
    https://doi.org/10.1007/3-540-45103-X_50
    """
    if previous.shape != current.shape:
        raise ValueError(f"previous is {previous.shape} but current is {current.shape}")
    if np.array_equal(previous, current):
        return np.zeros((*current.shape, 2), np.float32)
    flow = cv2.calcOpticalFlowFarneback(
        previous, current, np.zeros((*current.shape, 2), np.float32),
        pyr_scale=0.5, levels=4, winsize=15, iterations=3, poly_n=5, poly_sigma=1.2, flags=0,
    )  # fmt: skip
    return np.asarray(flow, np.float32)


def camera_motion(flow: Map, *, model: Camera = "auto") -> CameraMotion:
    """Return the movement of the camera that explains most of the flow.

    A similarity (shift, turn, zoom) is fitted to a grid of flow vectors by RANSAC; where too few
    of them agree, the median vector stands for a plain shift.

    Parameters
    ----------
    flow : (h, w, 2) float32 array
        Pixels a frame, columns first.
    model : {"auto", "median", "none"}
        "median" leaves the fit out, "none" claims a camera that stands still.

    References
    ----------
    M. Fischler, R. Bolles, "Random sample consensus", CACM 24(6), 1981.
    https://doi.org/10.1145/358669.358692
    """
    if model == "none" or not flow.any():
        return steady()
    before, shift = _votes(flow)
    if model == "auto" and len(before) >= 8:
        matrix, inliers = cv2.estimateAffinePartial2D(
            before, before + shift, method=cv2.RANSAC, ransacReprojThreshold=_INLIER_PX,
            maxIters=500, confidence=0.99,
        )  # fmt: skip
        if matrix is not None and np.isfinite(matrix).all():
            share = float(np.mean(np.asarray(inliers)))
            if share >= _INLIER_SHARE:
                return CameraMotion(np.asarray(matrix, np.float32), share)
    shifted = np.eye(2, 3, dtype=np.float32)
    shifted[:, 2] = np.median(shift, axis=0)
    near = np.linalg.norm(shift - shifted[:, 2], axis=1) <= _INLIER_PX
    return CameraMotion(shifted, float(near.mean()))


def _votes(flow: Map) -> tuple[Map, Map]:
    """Return a grid of points (columns, rows) and their flow, each (n, 2) float32."""
    height, width = flow.shape[:2]
    rows, columns = np.mgrid[
        min(_GRID_PX, height) // 2 : height : _GRID_PX, min(_GRID_PX, width) // 2 : width : _GRID_PX
    ]
    points = np.stack([columns.ravel(), rows.ravel()], axis=1).astype(np.float32)
    return points, flow[rows.ravel(), columns.ravel()]


def camera_flow(camera: CameraMotion, size: tuple[int, int]) -> Map:
    """Return the flow that the camera alone causes, (h, w, 2) float32, columns first."""
    height, width = size
    columns = np.arange(width, dtype=np.float32)[None, :]
    rows = np.arange(height, dtype=np.float32)[:, None]
    (a, b, c), (d, e, f) = camera.matrix
    return np.stack([(a - 1) * columns + b * rows + c, d * columns + (e - 1) * rows + f], axis=-1)


def measure(previous: Rgb, current: Rgb, *, model: Camera = "auto") -> Motion:
    """Return what moved between two grey pictures, the camera's own movement taken off.

    Parameters
    ----------
    previous, current : (h, w) uint8 array
        Grey pictures of one size.
    model : {"auto", "median", "none"}
        See `camera_motion`.

    Returns
    -------
    Motion
        All zero for identical pictures.
    """
    flow = optical_flow(previous, current)
    camera = camera_motion(flow, model=model)
    own = flow - camera_flow(camera, current.shape[:2])
    speed = np.sqrt(own[..., 0] ** 2 + own[..., 1] ** 2)
    return Motion(flow, smoothed(speed, _SMOOTH), camera)


def smoothed(values: Map, share: float) -> Map:
    """Return `values` blurred by a Gaussian of `share` of the longer side; 0 leaves them."""
    sigma = share * max(values.shape)
    if sigma <= 0:
        return values
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma), np.float32)
