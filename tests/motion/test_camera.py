"""Camera motion: the fit to a flow of known truth, and the flow of a camera."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from motion_help import (
    PERSPECTIVE,
    SHEAR,
    SIZE,
    flow_of,
)

from vidsal.motion.camera import _FITS, camera_flow, camera_motion
from vidsal.settings import Camera
from vidsal.types import CameraMotion, Map


def _random_flow(size: tuple[int, int] = SIZE, seed: int = 3) -> Map:
    """Return a flow of independent random vectors around a common shift."""
    return np.random.default_rng(seed).normal((6, -2), 8, (*size, 2)).astype(np.float32)


def test_without_enough_inliers_the_median_vector_is_used() -> None:
    flow = _random_flow()
    vectors = flow[4::8, 4::8].reshape(-1, 2)
    expected = np.eye(3)
    expected[:2, 2] = np.median(vectors, axis=0)
    models: tuple[Camera, ...] = ("auto", "homography", "affine", "median")
    for model in models:
        camera = camera_motion(flow, model=model)
        assert camera.model == "median"
        assert camera.matrix == pytest.approx(expected, abs=1e-5)
        near = np.linalg.norm(vectors - expected[:2, 2], axis=1) <= 1
        assert camera.inlier_share == pytest.approx(near.mean())
    assert near.mean() < 0.05


def test_camera_is_the_majority_not_the_fastest() -> None:
    flow = np.empty((*SIZE, 2), np.float32)
    flow[:] = (2, 1)
    flow[:, :100] = (40, 0)
    camera = camera_motion(flow)
    assert camera.at_centre(SIZE)[:2] == pytest.approx((1.0, 2.0), abs=0.01)
    assert camera.inlier_share == pytest.approx(220 / 320, abs=0.02)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_similarity_is_recovered_from_its_flow(seed: int) -> None:
    rng = np.random.default_rng(seed)
    turn, zoom = rng.uniform(-0.05, 0.05), rng.uniform(0.95, 1.05)
    cosine, sine = zoom * np.cos(turn), zoom * np.sin(turn)
    shift = rng.uniform(-8, 8, 2)
    matrix = np.array([[cosine, -sine, shift[0]], [sine, cosine, shift[1]], [0, 0, 1]], np.float32)
    flow = flow_of(matrix)
    camera = camera_motion(flow)
    # Affine and homography fit as well, but a similarity is simpler.
    assert camera.model == "similarity"
    assert camera.matrix == pytest.approx(matrix, abs=2e-3)
    assert camera.inlier_share == 1.0
    assert camera.at_centre(SIZE).zoom == pytest.approx(zoom, abs=1e-4)
    assert camera.at_centre(SIZE).turn_deg == pytest.approx(np.degrees(turn), abs=1e-2)
    assert camera_flow(camera, SIZE) == pytest.approx(flow, abs=0.1)


def test_a_nearly_perfect_fit_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    flow = flow_of(np.array([[1.01, 0, 2], [0, 1.01, 1], [0, 0, 1]], np.float32))
    for name in ("affine", "homography"):
        monkeypatch.setitem(_FITS, name, None)
    assert camera_motion(flow).model == "similarity"
    # When a seventh of the picture moves differently, the other models are tried.
    flow[:, :48] += 20
    with pytest.raises(TypeError):
        camera_motion(flow)


def test_the_simplest_model_is_compared_with_the_best_one() -> None:
    # Inliers of a similarity, an affine model and a homography: .84, .94 and 1.
    matrix = np.array(
        [
            [1.00658735, -0.00561558, -1.66086],
            [-0.0110731, 0.995373, -1.80959],
            [3.24462e-5, -4.26574e-5, 1],
        ],
        np.float32,
    )
    assert camera_motion(flow_of(matrix)).model == "affine"


def test_the_requested_model_is_fitted_even_if_a_simpler_one_fits() -> None:
    flow = flow_of(np.array([[1, 0, 5], [0, 1, -2], [0, 0, 1]]))
    for model, zero in (("homography", 1e-6), ("affine", 0), ("median", 0)):
        camera = camera_motion(flow, model=model)  # type: ignore[arg-type]
        assert camera.model == model
        assert camera.inlier_share == 1
        assert camera.at_centre(SIZE)[:2] == pytest.approx((-2, 5), abs=1e-3)
        assert np.abs(camera.matrix[2, :2]).max() <= zero


@pytest.mark.parametrize("model", ["auto", "homography", "affine"])
def test_degenerate_and_mirroring_matrices_are_rejected(model: Camera) -> None:
    # The first maps all points to one row, the second mirrors the picture.
    flat, mirrored = np.diag([1.0, 0.0, 1.0]), np.diag([-1.0, 1.0, 1.0])
    flat[1, 2], mirrored[0, 2] = 40, 319
    for matrix in (flat, mirrored):
        camera = camera_motion(flow_of(matrix), model=model)
        assert camera.model == "median"
        assert np.array_equal(camera.matrix[:, :2], np.eye(3)[:, :2])


@pytest.mark.parametrize(
    ("model", "expected"),
    [("auto", "similarity"), ("homography", "affine"), ("affine", "affine"), ("median", "median")],
)
def test_a_perspective_with_its_horizon_in_the_picture_is_rejected(
    model: Camera, expected: str
) -> None:
    # Half the picture follows a perspective whose horizon is in the other half. Three tenths of
    # the picture follow a shift, and the rest is random.
    horizon = np.array([[1, 0, 3], [0, 1, 2], [-1 / 201.3, 0, 1]])
    flow = _random_flow()
    flow[:, :160] = flow_of(horizon)[:, :160]
    flow[:, 220:] = (2, -3)
    camera = camera_motion(flow, model=model)
    assert camera.model == expected
    for backward in (False, True):
        caused = camera_flow(camera, SIZE, backward=backward)
        assert np.abs(caused).max() < 20
    if expected != "median":
        assert camera.matrix == pytest.approx(np.array([[1, 0, 2], [0, 1, -3], [0, 0, 1]]), abs=0.1)
        assert camera.inlier_share == pytest.approx(100 / 320, abs=0.05)


@pytest.mark.parametrize("matrix", [SHEAR, PERSPECTIVE], ids=["shear", "tilt"])
def test_the_camera_flow_follows_the_matrix_and_backward_inverts_it(matrix: Map) -> None:
    camera = CameraMotion(matrix.astype(np.float32), "homography", 1.0)
    forward = camera_flow(camera, SIZE)
    backward = camera_flow(camera, SIZE, backward=True)
    assert forward.dtype == backward.dtype == np.float32
    assert forward == pytest.approx(flow_of(matrix), abs=1e-4)
    assert np.abs(forward).max() > 4
    rows, columns = np.mgrid[0 : SIZE[0], 0 : SIZE[1]].astype(np.float32)
    to = columns + forward[..., 0], rows + forward[..., 1]
    back = cv2.remap(backward, *to, cv2.INTER_LINEAR)
    within = (to[0] >= 0) & (to[0] <= SIZE[1] - 1) & (to[1] >= 0) & (to[1] <= SIZE[0] - 1)
    assert within.mean() > 0.9
    # cv2.remap interpolates in steps of 1/32 pixel.
    assert np.abs(forward + back)[within].max() < 0.01


def test_camera_motion_does_not_change_the_flow() -> None:
    flow = np.random.default_rng(0).normal(1, 1, (40, 60, 2)).astype(np.float32)
    kept = flow.copy()
    models: tuple[Camera, ...] = ("auto", "homography", "affine", "median", "none")
    for model in models:
        camera_motion(flow, model=model)
    assert np.array_equal(flow, kept)


def test_motion_of_the_middle_agrees_with_finite_differences() -> None:
    # The flow at the middle, and at two points beside it.
    matrix = np.array([[1.1, -0.05, 3], [0.08, 0.95, -2], [4e-4, -2e-4, 1]], np.float32)
    flow = camera_flow(CameraMotion(matrix, "homography", 1.0), (91, 161))
    found = CameraMotion(matrix, "homography", 1.0).at_centre((91, 161))
    assert (found.columns_px, found.rows_px) == pytest.approx(tuple(flow[45, 80]), abs=1e-4)
    right = (flow[45, 81] - flow[45, 79]) / 2 + (1, 0)
    down = (flow[46, 80] - flow[44, 80]) / 2 + (0, 1)
    assert found.zoom == pytest.approx(math.sqrt(right[0] * down[1] - right[1] * down[0]), abs=1e-4)
    turn = math.degrees(math.atan2(right[1] - down[0], right[0] + down[1]))
    assert found.turn_deg == pytest.approx(turn, abs=1e-3)
