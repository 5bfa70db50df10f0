"""Camera motion, fitted to the optical flow. Pure maths."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from vidsal.image_ops import as_map
from vidsal.runtime.opencv import cv2
from vidsal.settings import Camera
from vidsal.types import CameraMotion, Map

# Every 8th flow vector is used for the fit: neighbouring vectors are nearly equal, and a fit to the
# 900 vectors of a 320 x 180 picture takes a millisecond.
_GRID_PX = 8
# A vector is an inlier within this distance of the fitted motion. Where there is little texture,
# Farneback is accurate to about a pixel.
_INLIER_PX = 1.0
# A fit with fewer inliers describes an object and not the camera.
_INLIER_SHARE = 0.1
# A model with more degrees of freedom must gain this share of inliers: a similarity cannot bend to
# follow an object.
_GAIN_SHARE = 0.1
# A fit needs at least this many vectors.
_MIN_VECTORS = 8
# A matrix with a smaller determinant is degenerate.
_MIN_DETERMINANT = 1e-3
# No point halves or doubles its distance to the camera between two frames. A smaller depth is near
# the horizon of a perspective, where the camera's flow is unbounded.
_MIN_DEPTH = 0.5
# How each camera model is fitted, and which models each option tries, in order.
_FITS: dict[str, Callable[..., Any]] = {
    "similarity": cv2.estimateAffinePartial2D,
    "affine": cv2.estimateAffine2D,
    "homography": cv2.findHomography,
}
_CANDIDATES: dict[str, tuple[str, ...]] = {
    "auto": ("similarity", "affine", "homography"),
    "affine": ("affine",),
    "homography": ("homography", "affine"),
    "median": (),
}


def steady() -> CameraMotion:
    """Return the motion of a camera that stands still: the identity, model "none"."""
    return CameraMotion(np.eye(3, dtype=np.float32), "none", None)


def camera_motion(flow: Map, *, model: Camera = "auto") -> CameraMotion:
    """Return the camera motion that explains most of the flow.

    Each model is fitted to a grid of flow vectors by RANSAC. If no fit has enough inliers, the
    result is a shift by the median vector.

    Parameters
    ----------
    flow : (h, w, 2) float32 array
        Pixels per frame, columns first.
    model : {"auto", "homography", "affine", "median", "none"}
        "auto" takes the simplest of similarity (shift, rotation, zoom), affine and homography that
        has about as many inliers as the best one. "homography" falls back to affine. "median"
        is a shift by the median vector. "none" assumes that the camera stands still.

    Returns
    -------
    CameraMotion
        From the frame on whose grid the flow is given, to the other one.

    References
    ----------
    M. Fischler, R. Bolles, "Random sample consensus", CACM 24(6), 1981.
    https://doi.org/10.1145/358669.358692
    """
    if model == "none" or not flow.any():
        return steady()
    before, shift = _sampled_vectors(flow)
    fits: list[tuple[float, CameraMotion]] = []
    for name in _CANDIDATES[model]:
        fit = _fitted(name, before, before + shift)
        if fit is None or fit.inlier_share is None or fit.inlier_share < _INLIER_SHARE:
            continue
        fits.append((fit.inlier_share, fit))
        simplest, _ = fits[0]
        # No other model can gain enough inliers any more.
        if model != "auto" or simplest >= 1 - _GAIN_SHARE:
            break
    if not fits:
        return _median_shift(shift)
    required = max(share for share, _ in fits) - _GAIN_SHARE
    return next(fit for share, fit in fits if share >= required)


def _sampled_vectors(flow: Map) -> tuple[Map, Map]:
    """Return a grid of points (columns, rows) and their flow, each (n, 2) float32."""
    height, width = flow.shape[:2]
    rows, columns = np.mgrid[
        min(_GRID_PX, height) // 2 : height : _GRID_PX, min(_GRID_PX, width) // 2 : width : _GRID_PX
    ]
    points = np.stack([columns.ravel(), rows.ravel()], axis=1).astype(np.float32)
    return points, flow[rows.ravel(), columns.ravel()]


def _fitted(name: str, before: Map, after: Map) -> CameraMotion | None:
    """Return the motion of this model with most inliers, or None if there is no valid one."""
    if len(before) < _MIN_VECTORS:
        return None
    matrix, inliers = _FITS[name](
        before, after, method=cv2.RANSAC, ransacReprojThreshold=_INLIER_PX, maxIters=500,
        confidence=0.99,
    )  # fmt: skip
    if matrix is None or not np.isfinite(matrix).all():
        return None
    full = matrix if len(matrix) == 3 else np.vstack([matrix, [0, 0, 1]])
    # A camera motion cannot mirror the picture or shrink it to a line.
    if abs(full[2, 2]) < _MIN_DETERMINANT or np.linalg.det(full / full[2, 2]) < _MIN_DETERMINANT:
        return None
    full = full / full[2, 2]
    points = np.column_stack([before, np.ones(len(before))])
    if min((points @ one[2]).min() for one in (full, np.linalg.inv(full))) < _MIN_DEPTH:
        return None
    share = float(np.mean(np.asarray(inliers)))
    return CameraMotion(np.asarray(full, np.float32), name, share)


def _median_shift(shift: Map) -> CameraMotion:
    """Return a shift by the median vector."""
    matrix = np.eye(3, dtype=np.float32)
    matrix[:2, 2] = np.median(shift, axis=0)
    is_inlier = np.linalg.norm(shift - matrix[:2, 2], axis=1) <= _INLIER_PX
    return CameraMotion(matrix, "median", float(is_inlier.mean()))


def camera_flow(camera: CameraMotion, size: tuple[int, int], *, backward: bool = False) -> Map:
    """Return the flow that the camera alone causes.

    Parameters
    ----------
    camera : CameraMotion
    size : (int, int)
        Height and width.
    backward : bool
        Return the flow from this frame to the previous one, instead of from the previous one to
        this.

    Returns
    -------
    (h, w, 2) float32 array
        Pixels per frame, columns first.
    """
    return as_map(cv2.merge(camera_shifts(camera, size, backward=backward)))


def camera_shifts(
    camera: CameraMotion, size: tuple[int, int], *, backward: bool = False
) -> tuple[Map, Map]:
    """Return the columns and the rows of `camera_flow`, each (h, w) float32.

    Parameters
    ----------
    camera : CameraMotion
    size : (int, int)
    backward : bool
    """
    height, width = size
    columns = np.arange(width, dtype=np.float32)[None, :]
    rows = np.arange(height, dtype=np.float32)[:, None]
    matrix = np.linalg.inv(camera.matrix.astype(np.float64)) if backward else camera.matrix
    (a, b, c), (d, e, f), (g, h, i) = np.asarray(matrix, np.float32)
    right, down = a * columns + (b * rows + c), d * columns + (e * rows + f)
    if g or h or i != 1:
        depth = g * columns + (h * rows + i)
        right /= depth
        down /= depth
    right -= columns
    down -= rows
    return right, down


def reversed_motion(camera: CameraMotion) -> CameraMotion:
    """Return the camera motion in the opposite direction, from the second frame to the first.

    Parameters
    ----------
    camera : CameraMotion

    Returns
    -------
    CameraMotion
        The inverse matrix, with the same model and share of inliers.
    """
    matrix = np.linalg.inv(camera.matrix.astype(np.float64))
    return replace(camera, matrix=np.asarray(matrix / matrix[2, 2], np.float32))
