"""Motion after camera compensation, against synthetic truth."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest
from conftest import LoadScript
from motion_help import (
    BLURRED_PX,
    EDGE_PX,
    PERSPECTIVE,
    SHEAR,
    SIZE,
    after_camera,
    assert_steady,
    centre_of,
    inside_of,
    moving_square,
    outside_of,
    texture,
    zoomed_and_turned,
)

from vidsal import image_ops
from vidsal.motion import compensated
from vidsal.motion.compensated import MotionMeter
from vidsal.motion.farneback import Pyramid, expanded
from vidsal.motion.flow import TwoWayFlow, optical_flow
from vidsal.settings import Camera, Flow
from vidsal.types import Map, Motion, Rgb


@pytest.mark.parametrize("method", ["farneback", "dis"])
def test_moving_square_over_still_ground(load_script: LoadScript, method: Flow) -> None:
    first, second, _, _, mask = moving_square(
        load_script, background_velocity=(0, 0), square_velocity=(3, 0)
    )
    motion = compensated.measure(first, second, method=method)
    # Dense inverse search is less accurate.
    tolerance = 2 if method == "dis" else 1
    assert motion.speed[inside_of(mask)] == pytest.approx(3.0, abs=tolerance * 0.1)
    outside = motion.speed[outside_of(mask, BLURRED_PX)]
    assert np.median(outside) < tolerance * 0.01
    assert np.percentile(outside, 99) < tolerance * 0.1
    assert centre_of(motion)[:2] == pytest.approx((0.0, 0.0), abs=tolerance * 0.01)
    assert centre_of(motion).zoom == pytest.approx(1.0, abs=1e-4)
    # The rest of the picture, 0.92 of it, agrees on a still camera.
    assert motion.camera.inlier_share == pytest.approx(0.92, abs=0.04)


@pytest.mark.parametrize("velocity", [(10, 0), (-8, 6)])
def test_speed_is_at_the_place_in_the_current_frame(
    load_script: LoadScript, velocity: tuple[int, int]
) -> None:
    first, second, _, was, now = moving_square(
        load_script, background_velocity=(0, 0), square_velocity=velocity, square_start=(130, 60)
    )
    motion = compensated.measure(first, second)
    fast = motion.speed > 3
    middles = [np.argwhere(mask).mean(axis=0) for mask in (fast, now, was)]
    distance = float(np.hypot(*velocity))
    assert np.linalg.norm(middles[1] - middles[2]) == pytest.approx(distance)
    assert np.linalg.norm(middles[0] - middles[1]) < 0.3 * distance
    assert np.linalg.norm(middles[0] - middles[2]) > 0.8 * distance
    # The exceptions are the square's edges, and the corners, where half-size flow is inaccurate.
    assert motion.known.mean() > 0.965


@pytest.mark.parametrize("is_consistent", [True, False])
def test_speed_is_zero_where_forward_and_backward_flow_disagree(
    monkeypatch: pytest.MonkeyPatch, is_consistent: bool
) -> None:
    # A block of 100 pixels moves 6 to the right: in the backward flow only, or in both flows.
    first, second = np.zeros(SIZE, np.uint8), np.ones(SIZE, np.uint8)
    forward, backward = np.zeros((2, *SIZE, 2), np.float32)
    backward[40:140, 100:200, 0] = -6
    if is_consistent:
        forward[40:140, 94:194, 0] = 6

    monkeypatch.setattr(TwoWayFlow, "between", lambda *_: (forward, backward))
    motion = compensated.measure(first, second)
    assert np.array_equal(motion.flow, forward) and np.array_equal(motion.backward, backward)
    block = np.zeros(SIZE, bool)
    block[40:140, 100:200] = True
    assert (motion.known[block] == is_consistent).all()
    assert (motion.known == 1).mean() > 0.8
    expected = image_ops.smoothed(6 * (block & is_consistent).astype(np.float32), 0.02)
    assert motion.speed == pytest.approx(expected, abs=1e-5)
    assert motion.speed[90, 150] == pytest.approx(6 if is_consistent else 0, abs=1e-5)


@pytest.mark.parametrize("model", ["auto", "median"])
def test_a_pan_is_subtracted(load_script: LoadScript, model: Camera) -> None:
    pan, own = np.array((4, -3)), np.array((1, 1))
    first, second, _, _, mask = moving_square(
        load_script, background_velocity=tuple(pan), square_velocity=tuple(own)
    )
    motion = compensated.measure(first, second, model=model)
    # The result is (rows, columns), the scene is given as (x, y).
    assert centre_of(motion)[:2] == pytest.approx((-3.0, 4.0), abs=0.1)
    assert centre_of(motion).zoom == pytest.approx(1.0, abs=0.001)
    assert centre_of(motion).turn_deg == pytest.approx(0.0, abs=0.02)
    relative = float(np.linalg.norm(own - pan))
    assert relative == 5.0
    assert motion.speed[inside_of(mask)] == pytest.approx(relative, abs=0.15)
    # Borders are left out: pixels that the pan brings into the picture have no past.
    ground = outside_of(mask, BLURRED_PX)
    ground[:EDGE_PX] = ground[-EDGE_PX:] = ground[:, :EDGE_PX] = ground[:, -EDGE_PX:] = False
    assert np.median(motion.speed[ground]) < 0.06
    assert np.percentile(motion.speed[ground], 99) < 0.3


def test_without_a_camera_model_the_speed_is_the_length_of_the_flow(
    load_script: LoadScript,
) -> None:
    first, second, _, _, mask = moving_square(
        load_script, background_velocity=(4, -3), square_velocity=(1, 1)
    )
    motion = compensated.measure(first, second, model="none")
    assert_steady(motion.camera)
    assert motion.speed[inside_of(mask, BLURRED_PX)] == pytest.approx(np.sqrt(2), abs=0.1)
    assert np.median(motion.speed[outside_of(mask)]) == pytest.approx(5.0, abs=0.1)
    raw = np.hypot(motion.backward[..., 0], motion.backward[..., 1]) * motion.known
    assert motion.speed == pytest.approx(image_ops.smoothed(raw, 0.02), abs=1e-5)


@pytest.mark.parametrize("zoom", [1.02, 0.98, 1.01])
def test_zoom_is_recovered_and_subtracted(load_script: LoadScript, zoom: float) -> None:
    first = texture(load_script)
    second, truth = zoomed_and_turned(first, zoom=zoom)
    motion = compensated.measure(first, second)
    assert centre_of(motion).zoom == pytest.approx(zoom, abs=0.001)
    assert centre_of(motion).turn_deg == pytest.approx(0.0, abs=0.02)
    # The camera zooms about the middle, which does not move.
    assert centre_of(motion)[:2] == pytest.approx((0.0, 0.0), abs=0.05)
    assert motion.camera.model == "similarity"
    assert motion.camera.matrix[:2, 2] == pytest.approx(truth[:2, 2], abs=0.15)
    raw = compensated.measure(first, second, model="none")
    assert raw.speed.max() > 1.5
    assert motion.speed[24:-24, 24:-24].max() < 0.2


@pytest.mark.parametrize("turn_deg", [1.5, -1.0])
def test_rotation_is_recovered_and_subtracted(load_script: LoadScript, turn_deg: float) -> None:
    first = texture(load_script)
    second, truth = zoomed_and_turned(first, turn_deg=turn_deg)
    motion = compensated.measure(first, second)
    # Clockwise on the screen is positive: a point right of the middle moves down.
    assert truth[1, 0] * turn_deg > 0
    assert centre_of(motion).turn_deg == pytest.approx(turn_deg, abs=0.04)
    assert centre_of(motion).zoom == pytest.approx(1.0, abs=0.001)
    raw = compensated.measure(first, second, model="none")
    assert raw.speed[24:-24, 24:-24].max() > 2
    assert motion.speed[24:-24, 24:-24].max() < 0.25


def test_median_cannot_explain_a_zoom_but_auto_can(load_script: LoadScript) -> None:
    first = texture(load_script)
    second, _ = zoomed_and_turned(first, zoom=1.03)
    by_median = compensated.measure(first, second, model="median")
    by_fit = compensated.measure(first, second, model="auto")
    assert centre_of(by_median).zoom == 1.0
    assert by_median.speed.mean() > 10 * by_fit.speed[24:-24, 24:-24].mean()


@pytest.mark.parametrize(
    ("name", "matrix"), [("affine", SHEAR), ("homography", PERSPECTIVE)], ids=["shear", "tilt"]
)
def test_motion_is_subtracted_by_the_simplest_model_that_explains_it(
    load_script: LoadScript, name: str, matrix: Map
) -> None:
    first = texture(load_script)
    second = after_camera(first, matrix)
    models: tuple[Camera, ...] = ("auto", "affine", "median", "none")
    motions = {model: compensated.measure(first, second, model=model) for model in models}
    camera = motions["auto"].camera
    assert camera.model == name
    assert camera.matrix[:, :2] == pytest.approx(matrix[:, :2], abs=0.002)
    assert camera.matrix[:2, 2] == pytest.approx(matrix[:2, 2], abs=0.15)
    assert camera.matrix[2, 2] == 1
    assert camera.inlier_share is not None and camera.inlier_share > 0.95
    inside = {model: one.speed[24:-24, 24:-24] for model, one in motions.items()}
    assert inside["auto"].max() < 0.35 and inside["auto"].mean() < 0.15
    assert min(inside[model].mean() for model in ("none", "median")) > 1
    # An affine model includes shear, but not perspective.
    is_enough = name == "affine"
    assert ((motions["affine"].camera.inlier_share or 0) > 0.6) == is_enough
    assert (inside["affine"].mean() < 1) == is_enough


def _speed_of_square(rows_px: int, step_px: int, seconds: float, method: Flow) -> Map:
    """Return the speed of a square on a still 640 x 360 background, in diagonals per second."""
    rng = np.random.default_rng(0)
    ground, square = (
        cv2.GaussianBlur(rng.random((360, 640), dtype=np.float32), (0, 0), 8) for _ in range(2)
    )
    pictures = []
    for left in (240, 240 + step_px):
        picture = 128 + 3000 * (ground - 0.5)
        picture[120:240, left : left + 120] = 128 + 3000 * (square[120:240, 240:360] - 0.5)
        rgb = np.clip(picture, 0, 255).astype(np.uint8)
        pictures.append(image_ops.shrink(rgb, (rows_px, rows_px * 16 // 9)))
    motion = compensated.measure(*pictures, method=method)
    return compensated.diagonals_per_second(motion.speed, seconds)


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
    # 300 pixels per second in a picture with a diagonal of 734.
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
    picture = texture(load_script)
    motion = compensated.measure(picture, picture.copy(), model=model, method=method)
    _assert_no_motion(motion, picture.shape)
    assert (motion.known == 1).all()


@pytest.mark.parametrize("known", [False, True])
def test_a_frame_without_a_previous_one_has_no_motion(known: bool) -> None:
    motion = compensated.still((7, 9), known=known)
    _assert_no_motion(motion, (7, 9))
    assert np.array_equal(motion.known, np.full((7, 9), known))
    assert not compensated.still((7, 9)).known.any()


@pytest.mark.parametrize(("before", "after"), [(0, 0), (0, 255), (255, 0), (100, 101)])
def test_flat_frames_do_not_move(before: int, after: int) -> None:
    plain = np.zeros((90, 160), np.uint8)
    motion = compensated.measure(plain + np.uint8(before), plain + np.uint8(after))
    _assert_no_motion(motion, plain.shape)


def _assert_no_motion(motion: Motion, size: tuple[int, ...]) -> None:
    assert motion.flow.shape == (*size, 2) and not motion.flow.any()
    assert motion.backward.shape == (*size, 2) and not motion.backward.any()
    assert motion.speed.shape == size and not motion.speed.any()
    assert_steady(motion.camera)


@pytest.mark.parametrize("method", ["farneback", "dis"])
@pytest.mark.parametrize("model", ["auto", "homography", "median", "none"])
@pytest.mark.parametrize(
    "size", [(1, 1), (1, 2), (2, 3), (5, 5), (1, 40), (40, 1), (15, 40), (16, 16)]
)
def test_tiny_pictures_are_measured(size: tuple[int, int], model: Camera, method: Flow) -> None:
    first, second = np.random.default_rng(0).integers(0, 256, (2, *size), np.uint8)
    motion = compensated.measure(first, second, model=model, method=method)
    assert motion.flow.shape == motion.backward.shape == (*size, 2)
    assert motion.speed.shape == size
    assert np.isfinite(motion.speed).all() and (motion.speed >= 0).all()
    # The speed is bounded by the size of such a small picture.
    assert motion.speed.max() < 4 * max(size)


@pytest.mark.parametrize("method", ["farneback", "dis"])
def test_results_repeat_and_the_inputs_stay_unchanged(
    load_script: LoadScript, method: Flow
) -> None:
    first, second, *_ = moving_square(load_script)
    kept = first.copy(), second.copy()
    first.setflags(write=False)
    second.setflags(write=False)
    once = compensated.measure(first, second, method=method)
    # A call with other pictures in between leaves no state.
    compensated.measure(second, first, method=method)
    again = compensated.measure(first, second, method=method)
    assert once.speed.any()
    assert np.array_equal(once.flow, again.flow)
    assert np.array_equal(once.backward, again.backward)
    assert np.array_equal(once.speed, again.speed)
    assert np.array_equal(once.camera.matrix, again.camera.matrix)
    assert np.array_equal(first, kept[0]) and np.array_equal(second, kept[1])


@pytest.mark.parametrize("method", ["farneback", "dis"])
def test_a_meter_finds_the_motion_of_each_pair_by_itself(
    load_script: LoadScript, method: Flow
) -> None:
    # The third pair has another light; the last begins with a picture that did not end one.
    one, two, *_ = moving_square(load_script)
    three = np.roll(two, 2, axis=1)
    darker = (three * 0.8).astype(np.uint8)
    meter = MotionMeter(method=method)
    for pair in ((one, two), (two, three), (three, darker), (darker, one), (three, two)):
        motion, expected = meter.between(*pair), compensated.measure(*pair, method=method)
        for name in ("flow", "backward", "known", "speed"):
            assert np.array_equal(getattr(motion, name), getattr(expected, name)), name


def test_a_picture_of_a_video_is_expanded_once(
    load_script: LoadScript, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, *_ = moving_square(load_script)
    three, asked = np.roll(two, 2, axis=1), []

    def counted(picture: Rgb) -> Pyramid:
        asked.append(picture)
        return expanded(picture)

    monkeypatch.setattr("vidsal.motion.flow.expanded", counted)
    meter = MotionMeter()
    for pair in ((one, two), (two, three), (three, one)):
        meter.between(*pair)
    assert [id(picture) for picture in asked] == [id(one), id(two), id(three), id(one)]


def test_a_meter_keeps_no_array_of_its_caller(load_script: LoadScript) -> None:
    one, two, *_ = moving_square(load_script)
    buffer = two.copy()
    meter = MotionMeter()
    meter.between(one, buffer)
    buffer[:] = np.roll(two, 5, axis=1)
    expected = compensated.measure(buffer, one)
    assert np.array_equal(meter.between(buffer, one).flow, expected.flow)


@pytest.mark.parametrize("method", ["farneback", "dis"])
def test_flows_do_not_depend_on_threads_and_repeat_themselves(
    load_script: LoadScript, method: Flow
) -> None:
    first, second, *_ = moving_square(load_script)
    backward = optical_flow(second, first, method=method)
    forward = compensated.measure(first, second, method=method).flow
    threads = cv2.getNumThreads()
    try:
        for n in range(20):
            cv2.setNumThreads(1 + n % 4)
            motion = compensated.measure(first, second, method=method)
            assert np.array_equal(motion.backward, backward)
            assert np.array_equal(motion.flow, forward)
    finally:
        cv2.setNumThreads(threads)


def test_mirrored_pictures_give_mirrored_motion(load_script: LoadScript) -> None:
    first, second, *_ = moving_square(load_script)
    motion = compensated.measure(first, second)
    mirrored = compensated.measure(
        np.ascontiguousarray(first[:, ::-1]), np.ascontiguousarray(second[:, ::-1])
    )
    assert centre_of(mirrored).rows_px == pytest.approx(centre_of(motion).rows_px, abs=0.1)
    assert centre_of(mirrored).columns_px == pytest.approx(-centre_of(motion).columns_px, abs=0.1)
    assert mirrored.flow[..., 0].mean() == pytest.approx(-motion.flow[..., 0].mean(), abs=0.02)
    difference = np.abs(mirrored.speed[:, ::-1] - motion.speed)
    assert difference.mean() < 0.05 < 0.3 < motion.speed.mean()


@pytest.mark.parametrize("other", [(10, 12), (12, 10), (10, 11, 1)])
def test_pictures_of_two_sizes_are_refused(other: tuple[int, ...]) -> None:
    first, second = np.zeros((10, 11), np.uint8), np.zeros(other, np.uint8)
    match = rf"^flow needs two pictures of one shape, got \(10, 11\) and {re.escape(str(other))}$"
    with pytest.raises(ValueError, match=match):
        compensated.measure(first, second)
