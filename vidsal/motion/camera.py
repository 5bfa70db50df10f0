"""The camera's own movement, fitted to the optical flow. Pure maths."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from vidsal.runtime.opencv import cv2
from vidsal.settings import Camera
from vidsal.types import CameraMotion, Map

# Every 8th flow vector is asked about the camera: neighbours carry the same news, and 900 votes at
# 320 x 180 fit in a millisecond.
_GRID_PX = 8
# A vector agrees with the camera when it lies within this of the fitted movement; a pixel is what
# Farneback is good for where there is little texture.
_INLIER_PX = 1.0
# With fewer agreeing vectors than this, what was fitted is some object and not the camera.
_INLIER_SHARE = 0.1
# A model with more freedom must bring so many more vectors to agree: a similarity cannot bend to
# follow an object.
_BETTER_SHARE = 0.1
# Fewer vectors than this are too few to vote, and a determinant below this is none.
_VOTES, _FLAT = 8, 1e-3
# Nothing in view halves or doubles its distance between two frames; beyond that lies the horizon
# of a perspective, where the camera's flow has no bounds.
_NEAREST = 0.5
# How each kind of camera movement is fitted, and which are tried for what is asked.
_FITS: dict[str, Callable[..., Any]] = {
    "similarity": cv2.estimateAffinePartial2D,
    "affine": cv2.estimateAffine2D,
    "homography": cv2.findHomography,
}
_TRIED: dict[str, tuple[str, ...]] = {
    "auto": ("similarity", "affine", "homography"),
    "affine": ("affine",),
    "homography": ("homography", "affine"),
    "median": (),
}


def steady() -> CameraMotion:
    """Return the movement of a camera that stands still."""
    return CameraMotion(np.eye(3, dtype=np.float32), "none", None)


def camera_motion(flow: Map, *, model: Camera = "auto") -> CameraMotion:
    """Return the movement of the camera that explains most of the flow.

    It is fitted to a grid of flow vectors by RANSAC; where too few of them agree, a simpler
    model is tried, and in the end the median vector stands for a plain shift.

    Parameters
    ----------
    flow : (h, w, 2) float32 array
        Pixels a frame, columns first.
    model : {"auto", "homography", "affine", "median", "none"}
        "auto" takes the simplest of similarity (shift, turn, zoom), affine and homography that
        explains about as much as the best; "none" claims a camera that stands still.

    References
    ----------
    M. Fischler, R. Bolles, "Random sample consensus", CACM 24(6), 1981.
    https://doi.org/10.1145/358669.358692
    """
    if model == "none" or not flow.any():
        return steady()
    before, shift = _votes(flow)
    able: list[tuple[float, CameraMotion]] = []
    for name in _TRIED[model]:
        fit = _fitted(name, before, before + shift)
        if fit is None or fit.inlier_share is None or fit.inlier_share < _INLIER_SHARE:
            continue
        able.append((fit.inlier_share, fit))
        simplest, _ = able[0]
        # No other one can bring so many more than that.
        if model != "auto" or simplest >= 1 - _BETTER_SHARE:
            break
    if not able:
        return _median(shift)
    enough = max(share for share, _ in able) - _BETTER_SHARE
    return next(fit for share, fit in able if share >= enough)


def _votes(flow: Map) -> tuple[Map, Map]:
    """Return a grid of points (columns, rows) and their flow, each (n, 2) float32."""
    height, width = flow.shape[:2]
    rows, columns = np.mgrid[
        min(_GRID_PX, height) // 2 : height : _GRID_PX, min(_GRID_PX, width) // 2 : width : _GRID_PX
    ]
    points = np.stack([columns.ravel(), rows.ravel()], axis=1).astype(np.float32)
    return points, flow[rows.ravel(), columns.ravel()]


def _fitted(name: str, before: Map, after: Map) -> CameraMotion | None:
    """Return the movement of this kind that most points agree on; None where there is none."""
    if len(before) < _VOTES:
        return None
    matrix, inliers = _FITS[name](
        before, after, method=cv2.RANSAC, ransacReprojThreshold=_INLIER_PX, maxIters=500,
        confidence=0.99,
    )  # fmt: skip
    if matrix is None or not np.isfinite(matrix).all():
        return None
    whole = matrix if len(matrix) == 3 else np.vstack([matrix, [0, 0, 1]])
    # A fold of the picture, or one without extent, is no camera.
    if abs(whole[2, 2]) < _FLAT or np.linalg.det(whole / whole[2, 2]) < _FLAT:
        return None
    whole = whole / whole[2, 2]
    picture = np.column_stack([before, np.ones(len(before))])
    if min((picture @ one[2]).min() for one in (whole, np.linalg.inv(whole))) < _NEAREST:
        return None
    share = float(np.mean(np.asarray(inliers)))
    return CameraMotion(np.asarray(whole, np.float32), name, share)


def _median(shift: Map) -> CameraMotion:
    """Return the plain shift by the median vector."""
    matrix = np.eye(3, dtype=np.float32)
    matrix[:2, 2] = np.median(shift, axis=0)
    near = np.linalg.norm(shift - matrix[:2, 2], axis=1) <= _INLIER_PX
    return CameraMotion(matrix, "median", float(near.mean()))


def camera_flow(camera: CameraMotion, size: tuple[int, int], *, backward: bool = False) -> Map:
    """Return the flow that the camera alone causes, (h, w, 2) float32, columns first.

    Parameters
    ----------
    camera : CameraMotion
    size : (int, int)
        Height and width.
    backward : bool
        From this frame to the previous one, instead of from the previous one to this.
    """
    height, width = size
    columns = np.arange(width, dtype=np.float32)[None, :]
    rows = np.arange(height, dtype=np.float32)[:, None]
    matrix = np.linalg.inv(camera.matrix.astype(np.float64)) if backward else camera.matrix
    (a, b, c), (d, e, f), (g, h, i) = np.asarray(matrix, np.float32)
    depth = g * columns + h * rows + i
    flow = np.empty((height, width, 2), np.float32)
    np.divide(a * columns + b * rows + c, depth, out=flow[..., 0])
    np.divide(d * columns + e * rows + f, depth, out=flow[..., 1])
    flow[..., 0] -= columns
    flow[..., 1] -= rows
    return flow


def reversed_motion(camera: CameraMotion) -> CameraMotion:
    """Return the movement that undoes this one."""
    matrix = np.linalg.inv(camera.matrix.astype(np.float64))
    return replace(camera, matrix=np.asarray(matrix / matrix[2, 2], np.float32))
