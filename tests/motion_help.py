"""Synthetic motion with known truth, for the tests of the motion wing."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from conftest import LoadScript

from vidsal import image_ops
from vidsal.types import CameraMotion, CentreMotion, Map, Motion, Rgb

SIZE = (180, 320)
# Farneback averages over 13 pixels at several scales, so flow is compared with the truth only this
# far from an edge. Speed is blurred afterwards, so it is compared even farther away.
EDGE_PX, BLURRED_PX = 16, 22


class Pair(NamedTuple):
    """Two grey frames, the true flow from one to the other, and the square's masks in both."""

    first: Rgb
    second: Rgb
    truth: Map
    was: Map
    now: Map


def moving_square(load_script: LoadScript, **scene: object) -> Pair:
    """Return the first two frames of the synthetic clip."""
    script = load_script("make_synthetic_clip")
    clip = script.Scene(frame_count=2, **scene)
    first, second = (image_ops.grey(rgb) for rgb in script.frames(clip))
    was, now = (script.square_mask(index, clip) for index in (0, 1))
    return Pair(first, second, script.true_flow(0, clip), was, now)


def inside_of(mask: Map, edge_px: int = EDGE_PX) -> Map:
    """Return the pixels in the mask, at least `edge_px` from its edge."""
    kernel = np.ones((2 * edge_px + 1,) * 2, np.uint8)
    return np.asarray(cv2.erode(mask.astype(np.uint8), kernel, borderValue=0), bool)


def outside_of(mask: Map, edge_px: int = EDGE_PX) -> Map:
    """Return the pixels outside the mask, at least `edge_px` from its edge."""
    kernel = np.ones((2 * edge_px + 1,) * 2, np.uint8)
    return ~np.asarray(cv2.dilate(mask.astype(np.uint8), kernel), bool)


def texture(load_script: LoadScript, size: tuple[int, int] = (240, 360), seed: int = 1) -> Rgb:
    script = load_script("make_synthetic_clip")
    colours = script.BACKGROUND_COLOURS
    return image_ops.grey(script.smooth_texture(*size, 4.0, colours, seed))


def centre_of(motion: Motion) -> CentreMotion:
    return motion.camera.at_centre(motion.speed.shape)


def zoomed_and_turned(picture: Rgb, *, zoom: float = 1.0, turn_deg: float = 0.0) -> tuple[Rgb, Map]:
    """Return the picture zoomed and turned clockwise about its middle, and the matrix."""
    height, width = picture.shape
    middle = ((width - 1) / 2, (height - 1) / 2)
    matrix = np.vstack([cv2.getRotationMatrix2D(middle, -turn_deg, zoom), [0, 0, 1]])
    return after_camera(picture, matrix), np.asarray(matrix, np.float32)


def after_camera(picture: Rgb, matrix: Map) -> Rgb:
    """Return the picture after a camera motion."""
    warped = cv2.warpPerspective(
        picture, matrix.astype(np.float64), picture.shape[::-1], flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT,
    )  # fmt: skip
    return np.asarray(warped, np.uint8)


def flow_of(matrix: Map, size: tuple[int, int] = SIZE) -> Map:
    """Return the flow of a 3 x 3 matrix, computed point by point."""
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
    points = np.stack([columns, rows, np.ones(size)], axis=-1)
    moved = points @ matrix.T.astype(np.float64)
    return np.asarray(moved[..., :2] / moved[..., 2:] - points[..., :2], np.float32)


SHEAR = np.array([[1, 0.05, -4], [0, 1, 1], [0, 0, 1]])
PERSPECTIVE = np.array([[1.02, 0.004, -3], [0.006, 1.01, 2], [1.5e-4, -1e-4, 1]])


def assert_steady(camera: CameraMotion) -> None:
    assert np.array_equal(camera.matrix, np.eye(3))
    assert (camera.model, camera.inlier_share) == ("none", None)
    assert camera.at_centre(SIZE) == (0.0, 0.0, 1.0, 0.0)
