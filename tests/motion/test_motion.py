"""Motion against synthetic truth: known flow comes back, and stillness is exactly zero."""

from __future__ import annotations

import math
import threading
from typing import NamedTuple

import cv2
import numpy as np
import pytest
from conftest import LoadScript
from hypothesis import given, settings
from hypothesis import strategies as st

from vidsal import image_ops
from vidsal.motion import compensated
from vidsal.motion.camera import _FITS, camera_flow, camera_motion
from vidsal.motion.flow import optical_flow, rough_flow
from vidsal.runtime.prefetch import helper
from vidsal.settings import Camera, Flow
from vidsal.types import CameraMotion, CentreMotion, Map, Motion, Rgb

SIZE = (180, 320)
# Farneback averages over 13 pixels, of coarser pictures first, so that truth is asked for this far
# away from an edge; and farther of the speed, which is blurred after that.
EDGE_PX, BLURRED_PX = 16, 22


class Pair(NamedTuple):
    """Two grey frames, the true flow from one to the other, and the square's masks in both."""

    first: Rgb
    second: Rgb
    truth: Map
    was: Map
    now: Map


def _pair(load_script: LoadScript, **scene: object) -> Pair:
    """The synthetic clip's first two frames."""
    script = load_script("make_synthetic_clip")
    made = script.Scene(frame_count=2, **scene)
    first, second = (image_ops.grey(rgb) for rgb in script.frames(made))
    was, now = (script.square_mask(index, made) for index in (0, 1))
    return Pair(first, second, script.true_flow(0, made), was, now)


def _inside(mask: Map, edge_px: int = EDGE_PX) -> Map:
    kernel = np.ones((2 * edge_px + 1,) * 2, np.uint8)
    return np.asarray(cv2.erode(mask.astype(np.uint8), kernel, borderValue=0), bool)


def _outside(mask: Map, edge_px: int = EDGE_PX) -> Map:
    kernel = np.ones((2 * edge_px + 1,) * 2, np.uint8)
    return ~np.asarray(cv2.dilate(mask.astype(np.uint8), kernel), bool)


def _texture(load_script: LoadScript, size: tuple[int, int] = (240, 360), seed: int = 1) -> Rgb:
    script = load_script("make_synthetic_clip")
    colours = script.BACKGROUND_COLOURS
    return image_ops.grey(script.smooth_texture(*size, 4.0, colours, seed))


def _middle(moved: Motion) -> CentreMotion:
    return moved.camera.at_centre(moved.speed.shape)


def _warped(picture: Rgb, *, zoom: float = 1.0, turn_deg: float = 0.0) -> tuple[Rgb, Map]:
    """The picture zoomed and turned clockwise about its middle, and the matrix of that."""
    height, width = picture.shape
    middle = ((width - 1) / 2, (height - 1) / 2)
    matrix = np.vstack([cv2.getRotationMatrix2D(middle, -turn_deg, zoom), [0, 0, 1]])
    return _seen(picture, matrix), np.asarray(matrix, np.float32)


def _seen(picture: Rgb, matrix: Map) -> Rgb:
    """The picture after a camera movement."""
    warped = cv2.warpPerspective(
        picture, matrix.astype(np.float64), picture.shape[::-1], flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT,
    )  # fmt: skip
    return np.asarray(warped, np.uint8)


def _flow_of(matrix: Map, size: tuple[int, int] = SIZE) -> Map:
    """The flow of a 3 x 3 matrix, by the book."""
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
    points = np.stack([columns, rows, np.ones(size)], axis=-1)
    moved = points @ matrix.T.astype(np.float64)
    return np.asarray(moved[..., :2] / moved[..., 2:] - points[..., :2], np.float32)


def _jumble(size: tuple[int, int] = SIZE, seed: int = 3) -> Map:
    """Flow of which every vector goes its own way, about a common shift."""
    return np.random.default_rng(seed).normal((6, -2), 8, (*size, 2)).astype(np.float32)


@pytest.mark.parametrize("method", ["farneback", "dis"])
def test_moving_square_over_still_ground(load_script: LoadScript, method: Flow) -> None:
    first, second, _, _, mask = _pair(
        load_script, background_velocity=(0, 0), square_velocity=(3, 0)
    )
    moved = compensated.measure(first, second, method=method)
    # Dense inverse search is the coarser of the two.
    times = 2 if method == "dis" else 1
    assert moved.speed[_inside(mask)] == pytest.approx(3.0, abs=times * 0.1)
    outside = moved.speed[_outside(mask, BLURRED_PX)]
    assert np.median(outside) < times * 0.01
    assert np.percentile(outside, 99) < times * 0.1
    assert _middle(moved)[:2] == pytest.approx((0.0, 0.0), abs=times * 0.01)
    assert _middle(moved).zoom == pytest.approx(1.0, abs=1e-4)
    # The rest of the picture, 0.92 of it, agrees on a still camera.
    assert moved.camera.inlier_share == pytest.approx(0.92, abs=0.04)


@pytest.mark.parametrize("method", ["farneback", "dis"])
@pytest.mark.parametrize("velocity", [(3, 0), (0, 3), (-2, 1)])
def test_flow_has_columns_first_and_points_forward(
    load_script: LoadScript, velocity: tuple[int, int], method: Flow
) -> None:
    first, second, truth, mask, _ = _pair(
        load_script, background_velocity=(0, 0), square_velocity=velocity
    )
    flow = optical_flow(first, second, method=method)
    assert flow.shape == (*SIZE, 2) and flow.dtype == np.float32
    place = _inside(mask)
    assert flow[place].mean(axis=0) == pytest.approx(np.array(velocity), abs=0.05)
    error = np.linalg.norm(flow - truth, axis=-1)
    assert error[place].max() < 0.2
    assert error[_outside(mask)].mean() < 0.02


@pytest.mark.parametrize("velocity", [(10, 0), (-8, 6)])
def test_speed_is_where_things_are_now(load_script: LoadScript, velocity: tuple[int, int]) -> None:
    first, second, _, was, now = _pair(
        load_script, background_velocity=(0, 0), square_velocity=velocity, square_start=(130, 60)
    )
    moved = compensated.measure(first, second)
    fast = moved.speed > 3
    middles = [np.argwhere(mask).mean(axis=0) for mask in (fast, now, was)]
    gone = float(np.hypot(*velocity))
    assert np.linalg.norm(middles[1] - middles[2]) == pytest.approx(gone)
    assert np.linalg.norm(middles[0] - middles[1]) < 0.3 * gone
    assert np.linalg.norm(middles[0] - middles[2]) > 0.8 * gone
    # The square's edges, and half-size flow at the corners.
    assert moved.known.mean() > 0.965


@pytest.mark.parametrize("comes_back", [True, False])
def test_speed_is_zero_where_flow_does_not_come_back(
    monkeypatch: pytest.MonkeyPatch, comes_back: bool
) -> None:
    # A block of 100 moves 6 to the right: in the flow to the previous frame, or in both.
    first, second = np.zeros(SIZE, np.uint8), np.ones(SIZE, np.uint8)
    forward, backward = np.zeros((2, *SIZE, 2), np.float32)
    backward[40:140, 100:200, 0] = -6
    if comes_back:
        forward[40:140, 94:194, 0] = 6

    monkeypatch.setattr(compensated, "rough_flow", lambda *_, method: forward)
    monkeypatch.setattr(compensated, "optical_flow", lambda *_, method: backward)
    moved = compensated.measure(first, second)
    assert np.array_equal(moved.flow, forward) and np.array_equal(moved.backward, backward)
    block = np.zeros(SIZE, bool)
    block[40:140, 100:200] = True
    assert (moved.known[block] == comes_back).all()
    assert (moved.known == 1).mean() > 0.8
    expected = image_ops.smoothed(6 * (block & comes_back).astype(np.float32), 0.02)
    assert moved.speed == pytest.approx(expected, abs=1e-5)
    assert moved.speed[90, 150] == pytest.approx(6 if comes_back else 0, abs=1e-5)


@pytest.mark.parametrize("model", ["auto", "median"])
def test_pan_of_the_whole_picture_is_taken_off(load_script: LoadScript, model: Camera) -> None:
    pan, own = np.array((4, -3)), np.array((1, 1))
    first, second, _, _, mask = _pair(
        load_script, background_velocity=tuple(pan), square_velocity=tuple(own)
    )
    moved = compensated.measure(first, second, model=model)
    # (rows, columns), while the scene speaks of (x, y).
    assert _middle(moved)[:2] == pytest.approx((-3.0, 4.0), abs=0.1)
    assert _middle(moved).zoom == pytest.approx(1.0, abs=0.001)
    assert _middle(moved).turn_deg == pytest.approx(0.0, abs=0.02)
    relative = float(np.linalg.norm(own - pan))
    assert relative == 5.0
    assert moved.speed[_inside(mask)] == pytest.approx(relative, abs=0.15)
    # Away from the borders too: what the pan brings into the picture has no match before.
    ground = _outside(mask, BLURRED_PX)
    ground[:EDGE_PX] = ground[-EDGE_PX:] = ground[:, :EDGE_PX] = ground[:, -EDGE_PX:] = False
    assert np.median(moved.speed[ground]) < 0.06
    assert np.percentile(moved.speed[ground], 99) < 0.3


def test_without_a_camera_model_the_magnitude_is_raw(load_script: LoadScript) -> None:
    first, second, _, _, mask = _pair(
        load_script, background_velocity=(4, -3), square_velocity=(1, 1)
    )
    moved = compensated.measure(first, second, model="none")
    _assert_steady(moved.camera)
    assert moved.speed[_inside(mask, BLURRED_PX)] == pytest.approx(np.sqrt(2), abs=0.1)
    assert np.median(moved.speed[_outside(mask)]) == pytest.approx(5.0, abs=0.1)
    raw = np.hypot(moved.backward[..., 0], moved.backward[..., 1]) * moved.known
    assert moved.speed == pytest.approx(image_ops.smoothed(raw, 0.02), abs=1e-5)


@pytest.mark.parametrize("zoom", [1.02, 0.98, 1.01])
def test_zoom_is_recovered_and_taken_off(load_script: LoadScript, zoom: float) -> None:
    first = _texture(load_script)
    second, truth = _warped(first, zoom=zoom)
    moved = compensated.measure(first, second)
    assert _middle(moved).zoom == pytest.approx(zoom, abs=0.001)
    assert _middle(moved).turn_deg == pytest.approx(0.0, abs=0.02)
    # The camera zooms about the middle, which does not move.
    assert _middle(moved)[:2] == pytest.approx((0.0, 0.0), abs=0.05)
    assert moved.camera.model == "similarity"
    assert moved.camera.matrix[:2, 2] == pytest.approx(truth[:2, 2], abs=0.15)
    raw = compensated.measure(first, second, model="none")
    assert raw.speed.max() > 1.5
    assert moved.speed[24:-24, 24:-24].max() < 0.2


@pytest.mark.parametrize("turn_deg", [1.5, -1.0])
def test_turn_is_recovered_and_taken_off(load_script: LoadScript, turn_deg: float) -> None:
    first = _texture(load_script)
    second, truth = _warped(first, turn_deg=turn_deg)
    moved = compensated.measure(first, second)
    # Clockwise on the screen is positive: a point right of the middle moves down.
    assert truth[1, 0] * turn_deg > 0
    assert _middle(moved).turn_deg == pytest.approx(turn_deg, abs=0.04)
    assert _middle(moved).zoom == pytest.approx(1.0, abs=0.001)
    raw = compensated.measure(first, second, model="none")
    assert raw.speed[24:-24, 24:-24].max() > 2
    assert moved.speed[24:-24, 24:-24].max() < 0.25


def test_median_cannot_explain_a_zoom_but_auto_can(load_script: LoadScript) -> None:
    first = _texture(load_script)
    second, _ = _warped(first, zoom=1.03)
    by_median = compensated.measure(first, second, model="median")
    by_fit = compensated.measure(first, second, model="auto")
    assert _middle(by_median).zoom == 1.0
    assert by_median.speed.mean() > 10 * by_fit.speed[24:-24, 24:-24].mean()


def test_a_fit_that_few_agree_with_gives_way_to_the_median() -> None:
    flow = _jumble()
    votes = flow[4::8, 4::8].reshape(-1, 2)
    expected = np.eye(3)
    expected[:2, 2] = np.median(votes, axis=0)
    models: tuple[Camera, ...] = ("auto", "homography", "affine", "median")
    for model in models:
        camera = camera_motion(flow, model=model)
        assert camera.model == "median"
        assert camera.matrix == pytest.approx(expected, abs=1e-5)
        near = np.linalg.norm(votes - expected[:2, 2], axis=1) <= 1
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
def test_any_similarity_comes_back_from_its_own_flow(seed: int) -> None:
    rng = np.random.default_rng(seed)
    turn, zoom = rng.uniform(-0.05, 0.05), rng.uniform(0.95, 1.05)
    cosine, sine = zoom * np.cos(turn), zoom * np.sin(turn)
    shift = rng.uniform(-8, 8, 2)
    matrix = np.array([[cosine, -sine, shift[0]], [sine, cosine, shift[1]], [0, 0, 1]], np.float32)
    flow = _flow_of(matrix)
    camera = camera_motion(flow)
    # Affine and homography explain it as well; it takes no more than a similarity.
    assert camera.model == "similarity"
    assert camera.matrix == pytest.approx(matrix, abs=2e-3)
    assert camera.inlier_share == 1.0
    assert camera.at_centre(SIZE).zoom == pytest.approx(zoom, abs=1e-4)
    assert camera.at_centre(SIZE).turn_deg == pytest.approx(np.degrees(turn), abs=1e-2)
    assert camera_flow(camera, SIZE) == pytest.approx(flow, abs=0.1)


def test_what_no_other_camera_could_beat_is_taken_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    flow = _flow_of(np.array([[1.01, 0, 2], [0, 1.01, 1], [0, 0, 1]], np.float32))
    for name in ("affine", "homography"):
        monkeypatch.setitem(_FITS, name, None)
    assert camera_motion(flow).model == "similarity"
    # Where a seventh of the picture goes elsewhere, another one might explain that as well.
    flow[:, :48] += 20
    with pytest.raises(TypeError):
        camera_motion(flow)


def test_the_simplest_camera_is_compared_with_the_best_of_all() -> None:
    # Votes for a similarity, an affinity and a homography: .84, .94 and all.
    matrix = np.array(
        [
            [1.00658735, -0.00561558, -1.66086],
            [-0.0110731, 0.995373, -1.80959],
            [3.24462e-5, -4.26574e-5, 1],
        ],
        np.float32,
    )
    assert camera_motion(_flow_of(matrix)).model == "affine"


SHEAR = np.array([[1, 0.05, -4], [0, 1, 1], [0, 0, 1]])
PERSPECTIVE = np.array([[1.02, 0.004, -3], [0.006, 1.01, 2], [1.5e-4, -1e-4, 1]])


@pytest.mark.parametrize(
    ("name", "matrix"), [("affine", SHEAR), ("homography", PERSPECTIVE)], ids=["shear", "tilt"]
)
def test_a_movement_is_taken_off_by_the_simplest_model_that_can(
    load_script: LoadScript, name: str, matrix: Map
) -> None:
    first = _texture(load_script)
    second = _seen(first, matrix)
    models: tuple[Camera, ...] = ("auto", "affine", "median", "none")
    moved = {model: compensated.measure(first, second, model=model) for model in models}
    camera = moved["auto"].camera
    assert camera.model == name
    assert camera.matrix[:, :2] == pytest.approx(matrix[:, :2], abs=0.002)
    assert camera.matrix[:2, 2] == pytest.approx(matrix[:2, 2], abs=0.15)
    assert camera.matrix[2, 2] == 1
    assert camera.inlier_share is not None and camera.inlier_share > 0.95
    inside = {model: one.speed[24:-24, 24:-24] for model, one in moved.items()}
    assert inside["auto"].max() < 0.35 and inside["auto"].mean() < 0.15
    assert min(inside[model].mean() for model in ("none", "median")) > 1
    # An affine camera has a shear, too, but no perspective.
    is_enough = name == "affine"
    assert ((moved["affine"].camera.inlier_share or 0) > 0.6) == is_enough
    assert (inside["affine"].mean() < 1) == is_enough


def test_what_is_asked_for_is_fitted_though_less_would_do() -> None:
    flow = _flow_of(np.array([[1, 0, 5], [0, 1, -2], [0, 0, 1]]))
    for model, zero in (("homography", 1e-6), ("affine", 0), ("median", 0)):
        camera = camera_motion(flow, model=model)  # type: ignore[arg-type]
        assert camera.model == model
        assert camera.inlier_share == 1
        assert camera.at_centre(SIZE)[:2] == pytest.approx((-2, 5), abs=1e-3)
        assert np.abs(camera.matrix[2, :2]).max() <= zero


@pytest.mark.parametrize("model", ["auto", "homography", "affine"])
def test_a_fold_is_no_camera(model: Camera) -> None:
    # All go to one row; and the picture is mirrored.
    flat, mirrored = np.diag([1.0, 0.0, 1.0]), np.diag([-1.0, 1.0, 1.0])
    flat[1, 2], mirrored[0, 2] = 40, 319
    for matrix in (flat, mirrored):
        camera = camera_motion(_flow_of(matrix), model=model)
        assert camera.model == "median"
        assert np.array_equal(camera.matrix[:, :2], np.eye(3)[:, :2])


@pytest.mark.parametrize(
    ("model", "expected"),
    [("auto", "similarity"), ("homography", "affine"), ("affine", "affine"), ("median", "median")],
)
def test_a_horizon_within_the_picture_is_no_camera(model: Camera, expected: str) -> None:
    # Half the picture follows a perspective whose horizon is in the other half; there, three
    # tenths of the picture stand for a shift, and the rest for nothing.
    horizon = np.array([[1, 0, 3], [0, 1, 2], [-1 / 201.3, 0, 1]])
    flow = _jumble()
    flow[:, :160] = _flow_of(horizon)[:, :160]
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
def test_the_cameras_flow_is_its_matrix_and_backward_undoes_it(matrix: Map) -> None:
    camera = CameraMotion(matrix.astype(np.float32), "homography", 1.0)
    forward = camera_flow(camera, SIZE)
    backward = camera_flow(camera, SIZE, backward=True)
    assert forward.dtype == backward.dtype == np.float32
    assert forward == pytest.approx(_flow_of(matrix), abs=1e-4)
    assert np.abs(forward).max() > 4
    rows, columns = np.mgrid[0 : SIZE[0], 0 : SIZE[1]].astype(np.float32)
    to = columns + forward[..., 0], rows + forward[..., 1]
    back = cv2.remap(backward, *to, cv2.INTER_LINEAR)
    within = (to[0] >= 0) & (to[0] <= SIZE[1] - 1) & (to[1] >= 0) & (to[1] <= SIZE[0] - 1)
    assert within.mean() > 0.9
    # cv2.remap takes 32 steps between two pixels.
    assert np.abs(forward + back)[within].max() < 0.01


def _speed_of_square(rows_px: int, step_px: int, seconds: float, method: Flow) -> Map:
    """The speed of a square over 640 x 360 still ground, in diagonals a second."""
    rng = np.random.default_rng(0)
    ground, square = (
        cv2.GaussianBlur(rng.random((360, 640), dtype=np.float32), (0, 0), 8) for _ in range(2)
    )
    pictures = []
    for left in (240, 240 + step_px):
        picture = 128 + 3000 * (ground - 0.5)
        picture[120:240, left : left + 120] = 128 + 3000 * (square[120:240, 240:360] - 0.5)
        whole = np.clip(picture, 0, 255).astype(np.uint8)
        pictures.append(image_ops.shrink(whole, (rows_px, rows_px * 16 // 9)))
    moved = compensated.measure(*pictures, method=method)
    return compensated.diagonals_per_second(moved.speed, seconds)


@pytest.mark.parametrize("method", ["farneback", "dis"])
@pytest.mark.parametrize(
    ("rows_px", "step_px", "seconds"),
    [(180, 12, 1 / 25), (180, 6, 1 / 50), (135, 6, 1 / 50), (108, 12, 1 / 25)],
)
def test_speed_depends_neither_on_the_working_size_nor_on_the_frame_rate(
    rows_px: int, step_px: int, seconds: float, method: Flow
) -> None:
    speed = _speed_of_square(rows_px, step_px, seconds, method)
    row, column = (round(share * rows_px / 360) for share in (180, 300 + step_px))
    # 300 pixels a second in a picture with a diagonal of 734.
    assert speed[row, column] == pytest.approx(300 / np.hypot(360, 640), rel=0.05)
    assert np.median(speed) < 0.01


def test_diagonals_per_second_in_closed_form() -> None:
    speed = compensated.diagonals_per_second(np.full((3, 4), 2, np.float32), 0.1)
    assert speed.dtype == np.float32
    assert speed == pytest.approx(np.full((3, 4), 4.0), rel=1e-6)


@pytest.mark.parametrize("method", ["farneback", "dis"])
@pytest.mark.parametrize("model", ["auto", "homography", "affine", "median", "none"])
def test_identical_frames_are_exactly_still(
    load_script: LoadScript, model: Camera, method: Flow
) -> None:
    picture = _texture(load_script)
    moved = compensated.measure(picture, picture.copy(), model=model, method=method)
    _assert_still(moved, picture.shape)
    assert (moved.known == 1).all()


def test_a_helper_changes_nothing(load_script: LoadScript) -> None:
    pair = _pair(load_script, square_velocity=(3, 2))
    alone = compensated.measure(pair.first, pair.second)
    with helper("test") as submit:
        helped = compensated.measure(pair.first, pair.second, submit=submit)
    for name in ("flow", "backward", "known", "speed"):
        assert np.array_equal(getattr(helped, name), getattr(alone, name)), name


def test_with_a_helper_both_ways_are_found_at_the_same_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    met = threading.Barrier(2, timeout=5)

    def meet(*_: Rgb, method: Flow) -> Map:
        met.wait()
        return np.zeros((*SIZE, 2), np.float32)

    monkeypatch.setattr(compensated, "rough_flow", meet)
    monkeypatch.setattr(compensated, "optical_flow", meet)
    first, second = np.zeros(SIZE, np.uint8), np.ones(SIZE, np.uint8)
    with helper("test") as submit:
        assert compensated.measure(first, second, submit=submit).known.all()


def test_an_error_of_the_helper_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    failure = MemoryError("no room")

    def failing(*_: Rgb, method: Flow) -> Map:
        raise failure

    monkeypatch.setattr(compensated, "rough_flow", failing)
    first, second = np.zeros(SIZE, np.uint8), np.ones(SIZE, np.uint8)
    with helper("test") as submit, pytest.raises(MemoryError) as caught:
        compensated.measure(first, second, submit=submit)
    assert caught.value is failure


@pytest.mark.parametrize("known", [False, True])
def test_a_frame_with_nothing_before_it_is_still(known: bool) -> None:
    moved = compensated.still((7, 9), known=known)
    _assert_still(moved, (7, 9))
    assert np.array_equal(moved.known, np.full((7, 9), known))
    assert not compensated.still((7, 9)).known.any()


@pytest.mark.parametrize(("before", "after"), [(0, 0), (0, 255), (255, 0), (100, 101)])
def test_flat_frames_do_not_move(before: int, after: int) -> None:
    plain = np.zeros((90, 160), np.uint8)
    moved = compensated.measure(plain + np.uint8(before), plain + np.uint8(after))
    _assert_still(moved, plain.shape)


def _assert_still(moved: Motion, size: tuple[int, ...]) -> None:
    assert moved.flow.shape == (*size, 2) and not moved.flow.any()
    assert moved.backward.shape == (*size, 2) and not moved.backward.any()
    assert moved.speed.shape == size and not moved.speed.any()
    _assert_steady(moved.camera)


def _assert_steady(camera: CameraMotion) -> None:
    assert np.array_equal(camera.matrix, np.eye(3))
    assert (camera.model, camera.inlier_share) == ("none", None)
    assert camera.at_centre(SIZE) == (0.0, 0.0, 1.0, 0.0)


@pytest.mark.parametrize("method", ["farneback", "dis"])
@pytest.mark.parametrize("model", ["auto", "homography", "median", "none"])
@pytest.mark.parametrize(
    "size", [(1, 1), (1, 2), (2, 3), (5, 5), (1, 40), (40, 1), (15, 40), (16, 16)]
)
def test_tiny_pictures_are_measured(size: tuple[int, int], model: Camera, method: Flow) -> None:
    first, second = np.random.default_rng(0).integers(0, 256, (2, *size), np.uint8)
    moved = compensated.measure(first, second, model=model, method=method)
    assert moved.flow.shape == moved.backward.shape == (*size, 2)
    assert moved.speed.shape == size
    assert np.isfinite(moved.speed).all() and (moved.speed >= 0).all()
    # Nothing can be found to move farther than a picture this small is long.
    assert moved.speed.max() < 4 * max(size)


@pytest.mark.parametrize("method", ["farneback", "dis"])
def test_same_frames_same_answer_and_nothing_is_written_to(
    load_script: LoadScript, method: Flow
) -> None:
    first, second, *_ = _pair(load_script)
    kept = first.copy(), second.copy()
    first.setflags(write=False)
    second.setflags(write=False)
    once = compensated.measure(first, second, method=method)
    # Another picture in between: no memory of it may remain.
    compensated.measure(second, first, method=method)
    again = compensated.measure(first, second, method=method)
    assert once.speed.any()
    assert np.array_equal(once.flow, again.flow)
    assert np.array_equal(once.backward, again.backward)
    assert np.array_equal(once.speed, again.speed)
    assert np.array_equal(once.camera.matrix, again.camera.matrix)
    assert np.array_equal(first, kept[0]) and np.array_equal(second, kept[1])


@pytest.mark.parametrize("method", ["farneback", "dis"])
def test_both_ways_at_a_time_are_those_of_one_after_the_other(
    load_script: LoadScript, method: Flow
) -> None:
    first, second, *_ = _pair(load_script)
    forward = rough_flow(first, second, method=method)
    backward = optical_flow(second, first, method=method)
    for _ in range(20):
        moved = compensated.measure(first, second, method=method)
        assert np.array_equal(moved.flow, forward)
        assert np.array_equal(moved.backward, backward)


def test_camera_motion_leaves_the_flow_alone() -> None:
    flow = np.random.default_rng(0).normal(1, 1, (40, 60, 2)).astype(np.float32)
    kept = flow.copy()
    models: tuple[Camera, ...] = ("auto", "homography", "affine", "median", "none")
    for model in models:
        camera_motion(flow, model=model)
    assert np.array_equal(flow, kept)


def test_mirrored_pictures_move_the_mirrored_way(load_script: LoadScript) -> None:
    first, second, *_ = _pair(load_script)
    moved = compensated.measure(first, second)
    mirrored = compensated.measure(
        np.ascontiguousarray(first[:, ::-1]), np.ascontiguousarray(second[:, ::-1])
    )
    assert _middle(mirrored).rows_px == pytest.approx(_middle(moved).rows_px, abs=0.1)
    assert _middle(mirrored).columns_px == pytest.approx(-_middle(moved).columns_px, abs=0.1)
    assert mirrored.flow[..., 0].mean() == pytest.approx(-moved.flow[..., 0].mean(), abs=0.02)
    difference = np.abs(mirrored.speed[:, ::-1] - moved.speed)
    assert difference.mean() < 0.05 < 0.3 < moved.speed.mean()


@pytest.mark.parametrize("other", [(10, 12), (12, 10), (10, 11, 1)])
def test_pictures_of_two_sizes_are_refused(other: tuple[int, ...]) -> None:
    first, second = np.zeros((10, 11), np.uint8), np.zeros(other, np.uint8)
    with pytest.raises(ValueError, match=r"flow needs two pictures of one shape, got \(10, 11\) and"):
        compensated.measure(first, second)


@given(height=st.integers(1, 5000), width=st.integers(1, 5000), longer=st.integers(32, 4096))
@settings(deadline=None)
def test_working_size(height: int, width: int, longer: int) -> None:
    rows, columns = image_ops.working_size(height, width, longer)
    assert max(rows, columns) == min(longer, max(height, width))
    assert 1 <= rows <= height and 1 <= columns <= width
    assert image_ops.working_size(width, height, longer) == (columns, rows)
    # Each side is the exact one to within the rounding, or one pixel.
    factor = min(1, longer / max(height, width))
    assert abs(rows - max(1, height * factor)) <= 0.5
    assert abs(columns - max(1, width * factor)) <= 0.5


def test_shrink_is_the_mean_of_what_a_pixel_covers() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
    values = rgb[..., 0].astype(np.float32)
    assert image_ops.shrink(rgb, (24, 40)) is rgb
    # Halves, rounded on the way; parts that halves would cut through; one axis alone.
    for size in ((6, 10), (4, 10), (2, 5), (4, 8), (24, 8)):
        blocks = (size[0], 24 // size[0], size[1], 40 // size[1])
        means = rgb.reshape(*blocks, 3).mean(axis=(1, 3))
        assert image_ops.shrink(rgb, size).astype(float) == pytest.approx(means, abs=1.01)
        exact = values.reshape(blocks).mean(axis=(1, 3))
        assert image_ops.shrink(values, size) == pytest.approx(exact, abs=1e-3)


def test_grey_weighs_red_first() -> None:
    # BT.601 luma, the weights that JPEG and OpenCV take.
    primaries = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    assert image_ops.grey(primaries)[0].tolist() == [76, 150, 29, 255]


def test_smoothed_keeps_the_sum_and_has_the_stated_width() -> None:
    spike = np.zeros((101, 201), np.float32)
    spike[50, 100] = 1
    result = image_ops.smoothed(spike, 0.02)
    assert result.sum() == pytest.approx(1, abs=1e-3)
    columns = np.arange(201) - 100
    spread = float(np.sqrt((result.sum(axis=0) * columns**2).sum()))
    assert spread == pytest.approx(0.02 * 201, rel=0.02)
    assert np.array_equal(image_ops.smoothed(spike, 0), spike)


def test_the_middle_moves_as_its_surroundings_do() -> None:
    # By differences: where the middle goes, and two points beside it.
    matrix = np.array([[1.1, -0.05, 3], [0.08, 0.95, -2], [4e-4, -2e-4, 1]], np.float32)
    flow = camera_flow(CameraMotion(matrix, "homography", 1.0), (91, 161))
    found = CameraMotion(matrix, "homography", 1.0).at_centre((91, 161))
    assert (found.columns_px, found.rows_px) == pytest.approx(tuple(flow[45, 80]), abs=1e-4)
    right = (flow[45, 81] - flow[45, 79]) / 2 + (1, 0)
    down = (flow[46, 80] - flow[44, 80]) / 2 + (0, 1)
    assert found.zoom == pytest.approx(math.sqrt(right[0] * down[1] - right[1] * down[0]), abs=1e-4)
    turn = math.degrees(math.atan2(right[1] - down[0], right[0] + down[1]))
    assert found.turn_deg == pytest.approx(turn, abs=1e-3)
