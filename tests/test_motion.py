"""Motion against synthetic truth: known flow comes back, and stillness is exactly zero."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from conftest import LoadScript
from hypothesis import given, settings
from hypothesis import strategies as st

from vidsal import motion
from vidsal.frames import Map, Motion, Rgb

SIZE = (180, 320)
# Farneback averages over 15 pixels, so that truth is asked for this far away from an edge.
EDGE_PX = 16


def _pair(load_script: LoadScript, **scene: object) -> tuple[Rgb, Rgb, Map, Map]:
    """Two grey frames, the true flow between them, and the square's mask."""
    script = load_script("make_synthetic_clip")
    made = script.Scene(frame_count=2, **scene)
    first, second = (motion.grey(rgb) for rgb in script.frames(made))
    return first, second, script.true_flow(0, made), script.square_mask(0, made)


def _inside(mask: Map, edge_px: int = EDGE_PX) -> Map:
    kernel = np.ones((2 * edge_px + 1,) * 2, np.uint8)
    return np.asarray(cv2.erode(mask.astype(np.uint8), kernel, borderValue=0), bool)


def _outside(mask: Map, edge_px: int = EDGE_PX) -> Map:
    kernel = np.ones((2 * edge_px + 1,) * 2, np.uint8)
    return ~np.asarray(cv2.dilate(mask.astype(np.uint8), kernel), bool)


def _texture(load_script: LoadScript, size: tuple[int, int] = (240, 360), seed: int = 1) -> Rgb:
    script = load_script("make_synthetic_clip")
    colours = script.BACKGROUND_COLOURS
    return motion.grey(script.smooth_texture(*size, 4.0, colours, seed))


def _warped(picture: Rgb, *, zoom: float = 1.0, turn_deg: float = 0.0) -> tuple[Rgb, Map]:
    """The picture zoomed and turned clockwise about its middle, and the matrix of that."""
    height, width = picture.shape
    middle = ((width - 1) / 2, (height - 1) / 2)
    matrix = cv2.getRotationMatrix2D(middle, -turn_deg, zoom)
    warped = cv2.warpAffine(
        picture, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    return np.asarray(warped, np.uint8), np.asarray(matrix, np.float32)


def test_moving_square_over_still_ground(load_script: LoadScript) -> None:
    first, second, _, mask = _pair(load_script, background_velocity=(0, 0), square_velocity=(3, 0))
    moved = motion.measure(first, second)
    assert moved.speed[_inside(mask)] == pytest.approx(3.0, abs=0.1)
    outside = moved.speed[_outside(mask)]
    assert np.median(outside) < 0.01
    assert np.percentile(outside, 99) < 0.1
    assert moved.camera.shift_px == pytest.approx((0.0, 0.0), abs=0.01)
    assert moved.camera.zoom == pytest.approx(1.0, abs=1e-4)
    # The rest of the picture, 0.92 of it, agrees on a still camera.
    assert moved.camera.inlier_share == pytest.approx(0.92, abs=0.04)


@pytest.mark.parametrize("velocity", [(3, 0), (0, 3), (-2, 1)])
def test_flow_has_columns_first_and_points_forward(
    load_script: LoadScript, velocity: tuple[int, int]
) -> None:
    first, second, truth, mask = _pair(
        load_script, background_velocity=(0, 0), square_velocity=velocity
    )
    flow = motion.optical_flow(first, second)
    assert flow.shape == (*SIZE, 2) and flow.dtype == np.float32
    place = _inside(mask)
    assert flow[place].mean(axis=0) == pytest.approx(np.array(velocity), abs=0.05)
    error = np.linalg.norm(flow - truth, axis=-1)
    assert error[place].max() < 0.2
    assert error[_outside(mask)].mean() < 0.02


@pytest.mark.parametrize("model", ["auto", "median"])
def test_pan_of_the_whole_picture_is_taken_off(load_script: LoadScript, model: str) -> None:
    pan, own = np.array((4, -3)), np.array((1, 1))
    first, second, _, mask = _pair(
        load_script, background_velocity=tuple(pan), square_velocity=tuple(own)
    )
    moved = motion.measure(first, second, model=model)  # type: ignore[arg-type]
    # (rows, columns), while the scene speaks of (x, y).
    assert moved.camera.shift_px == pytest.approx((-3.0, 4.0), abs=0.1)
    assert moved.camera.zoom == pytest.approx(1.0, abs=0.001)
    assert moved.camera.turn_deg == pytest.approx(0.0, abs=0.02)
    relative = float(np.linalg.norm(own - pan))
    assert relative == 5.0
    assert moved.speed[_inside(mask)] == pytest.approx(relative, abs=0.15)
    # Away from the borders too: what the pan brings into the picture has no match before.
    ground = _outside(mask)
    ground[:EDGE_PX] = ground[-EDGE_PX:] = ground[:, :EDGE_PX] = ground[:, -EDGE_PX:] = False
    assert np.median(moved.speed[ground]) < 0.06
    assert np.percentile(moved.speed[ground], 99) < 0.3


def test_without_a_camera_model_the_magnitude_is_raw(load_script: LoadScript) -> None:
    first, second, _, mask = _pair(load_script, background_velocity=(4, -3), square_velocity=(1, 1))
    moved = motion.measure(first, second, model="none")
    assert np.array_equal(moved.camera.matrix, np.eye(2, 3))
    assert moved.camera.inlier_share is None
    assert moved.speed[_inside(mask)] == pytest.approx(np.sqrt(2), abs=0.1)
    assert np.median(moved.speed[_outside(mask)]) == pytest.approx(5.0, abs=0.1)
    raw = np.hypot(moved.flow[..., 0], moved.flow[..., 1])
    assert moved.speed == pytest.approx(motion.smoothed(raw, 0.01), abs=1e-5)


@pytest.mark.parametrize("zoom", [1.02, 0.98, 1.01])
def test_zoom_is_recovered_and_taken_off(load_script: LoadScript, zoom: float) -> None:
    first = _texture(load_script)
    second, truth = _warped(first, zoom=zoom)
    moved = motion.measure(first, second)
    assert moved.camera.zoom == pytest.approx(zoom, abs=0.001)
    assert moved.camera.turn_deg == pytest.approx(0.0, abs=0.02)
    assert moved.camera.matrix[:, 2] == pytest.approx(truth[:, 2], abs=0.15)
    raw = motion.measure(first, second, model="none")
    assert raw.speed.max() > 1.5
    assert moved.speed[24:-24, 24:-24].max() < 0.2


@pytest.mark.parametrize("turn_deg", [1.5, -1.0])
def test_turn_is_recovered_and_taken_off(load_script: LoadScript, turn_deg: float) -> None:
    first = _texture(load_script)
    second, truth = _warped(first, turn_deg=turn_deg)
    moved = motion.measure(first, second)
    # Clockwise on the screen is positive: a point right of the middle moves down.
    assert truth[1, 0] * turn_deg > 0
    assert moved.camera.turn_deg == pytest.approx(turn_deg, abs=0.04)
    assert moved.camera.zoom == pytest.approx(1.0, abs=0.001)
    raw = motion.measure(first, second, model="none")
    assert raw.speed[24:-24, 24:-24].max() > 2
    assert moved.speed[24:-24, 24:-24].max() < 0.25


def test_median_cannot_explain_a_zoom_but_auto_can(load_script: LoadScript) -> None:
    first = _texture(load_script)
    second, _ = _warped(first, zoom=1.03)
    by_median = motion.measure(first, second, model="median")
    by_fit = motion.measure(first, second, model="auto")
    assert by_median.camera.zoom == 1.0
    assert by_median.speed.mean() > 10 * by_fit.speed[24:-24, 24:-24].mean()


def test_a_fit_that_few_agree_with_gives_way_to_the_median() -> None:
    rng = np.random.default_rng(3)
    # Every vector its own way, about a common shift: no similarity explains a quarter of them.
    flow = rng.normal((6, -2), 8, (*SIZE, 2)).astype(np.float32)
    camera = motion.camera_motion(flow)
    votes = flow[4::8, 4::8].reshape(-1, 2)
    assert np.array_equal(camera.matrix[:, :2], np.eye(2))
    assert camera.matrix[:, 2] == pytest.approx(np.median(votes, axis=0), abs=1e-5)
    assert camera.inlier_share is not None and camera.inlier_share < 0.05
    assert np.array_equal(motion.camera_motion(flow, model="median").matrix, camera.matrix)


def test_camera_is_the_majority_not_the_fastest() -> None:
    flow = np.empty((*SIZE, 2), np.float32)
    flow[:] = (2, 1)
    flow[:, :100] = (40, 0)
    camera = motion.camera_motion(flow)
    assert camera.shift_px == pytest.approx((1.0, 2.0), abs=0.01)
    assert camera.inlier_share == pytest.approx(220 / 320, abs=0.02)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_any_similarity_comes_back_from_its_own_flow(seed: int) -> None:
    rng = np.random.default_rng(seed)
    turn, zoom = rng.uniform(-0.05, 0.05), rng.uniform(0.95, 1.05)
    cosine, sine = zoom * np.cos(turn), zoom * np.sin(turn)
    shift = rng.uniform(-8, 8, 2)
    matrix = np.array([[cosine, -sine, shift[0]], [sine, cosine, shift[1]]], np.float32)
    rows, columns = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    points = np.stack([columns, rows, np.ones(SIZE)], axis=-1)
    flow = (points @ matrix.T - points[..., :2]).astype(np.float32)
    camera = motion.camera_motion(flow)
    assert camera.matrix == pytest.approx(matrix, abs=2e-3)
    assert camera.inlier_share == 1.0
    assert camera.zoom == pytest.approx(zoom, abs=1e-4)
    assert camera.turn_deg == pytest.approx(np.degrees(turn), abs=1e-2)
    assert motion.camera_flow(camera, SIZE) == pytest.approx(flow, abs=0.1)


@pytest.mark.parametrize("model", ["auto", "median", "none"])
def test_identical_frames_are_exactly_still(load_script: LoadScript, model: str) -> None:
    picture = _texture(load_script)
    moved = motion.measure(picture, picture.copy(), model=model)  # type: ignore[arg-type]
    _assert_still(moved, picture.shape)


def test_a_frame_with_nothing_before_it_is_still() -> None:
    _assert_still(motion.still((7, 9)), (7, 9))


@pytest.mark.parametrize(("before", "after"), [(0, 0), (0, 255), (255, 0), (100, 101)])
def test_flat_frames_do_not_move(before: int, after: int) -> None:
    plain = np.zeros((90, 160), np.uint8)
    moved = motion.measure(plain + np.uint8(before), plain + np.uint8(after))
    _assert_still(moved, plain.shape)


def _assert_still(moved: Motion, size: tuple[int, ...]) -> None:
    assert moved.flow.shape == (*size, 2) and not moved.flow.any()
    assert moved.speed.shape == size and not moved.speed.any()
    assert np.array_equal(moved.camera.matrix, np.eye(2, 3))
    assert moved.camera.inlier_share is None
    assert (moved.camera.zoom, moved.camera.turn_deg) == (1.0, 0.0)


@pytest.mark.parametrize("model", ["auto", "median", "none"])
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 3), (5, 5), (1, 40), (40, 1), (16, 16)])
def test_tiny_pictures_are_measured(size: tuple[int, int], model: str) -> None:
    first, second = np.random.default_rng(0).integers(0, 256, (2, *size), np.uint8)
    moved = motion.measure(first, second, model=model)  # type: ignore[arg-type]
    assert moved.flow.shape == (*size, 2)
    assert moved.speed.shape == size
    assert np.isfinite(moved.speed).all() and (moved.speed >= 0).all()
    # Nothing can be found to move farther than a picture this small is long.
    assert moved.speed.max() < 4 * max(size)


def test_same_frames_same_answer_and_nothing_is_written_to(load_script: LoadScript) -> None:
    first, second, _, _ = _pair(load_script)
    kept = first.copy(), second.copy()
    first.setflags(write=False)
    second.setflags(write=False)
    once = motion.measure(first, second)
    # Another picture in between: no memory of it may remain.
    motion.measure(second, first)
    again = motion.measure(first, second)
    assert once.speed.any()
    assert np.array_equal(once.flow, again.flow)
    assert np.array_equal(once.speed, again.speed)
    assert np.array_equal(once.camera.matrix, again.camera.matrix)
    assert np.array_equal(first, kept[0]) and np.array_equal(second, kept[1])


def test_camera_motion_leaves_the_flow_alone() -> None:
    flow = np.random.default_rng(0).normal(1, 1, (40, 60, 2)).astype(np.float32)
    kept = flow.copy()
    for model in ("auto", "median", "none"):
        motion.camera_motion(flow, model=model)
    assert np.array_equal(flow, kept)


def test_mirrored_pictures_move_the_mirrored_way(load_script: LoadScript) -> None:
    first, second, _, _ = _pair(load_script)
    moved = motion.measure(first, second)
    mirrored = motion.measure(
        np.ascontiguousarray(first[:, ::-1]), np.ascontiguousarray(second[:, ::-1])
    )
    assert mirrored.camera.shift_px[0] == pytest.approx(moved.camera.shift_px[0], abs=0.1)
    assert mirrored.flow[..., 0].mean() == pytest.approx(-moved.flow[..., 0].mean(), abs=0.02)
    difference = np.abs(mirrored.speed[:, ::-1] - moved.speed)
    assert difference.mean() < 0.05 < 0.3 < moved.speed.mean()


@pytest.mark.parametrize("other", [(10, 12), (12, 10), (10, 11, 1)])
def test_pictures_of_two_sizes_are_refused(other: tuple[int, ...]) -> None:
    first, second = np.zeros((10, 11), np.uint8), np.zeros(other, np.uint8)
    with pytest.raises(ValueError, match=r"previous is \(10, 11\) but current is"):
        motion.measure(first, second)


@given(height=st.integers(1, 5000), width=st.integers(1, 5000), longer=st.integers(32, 4096))
@settings(deadline=None)
def test_working_size(height: int, width: int, longer: int) -> None:
    rows, columns = motion.working_size(height, width, longer)
    assert max(rows, columns) == min(longer, max(height, width))
    assert 1 <= rows <= height and 1 <= columns <= width
    assert motion.working_size(width, height, longer) == (columns, rows)
    # Each side is the exact one to within the rounding, or one pixel.
    factor = min(1, longer / max(height, width))
    assert abs(rows - max(1, height * factor)) <= 0.5
    assert abs(columns - max(1, width * factor)) <= 0.5


def test_shrink_is_the_mean_of_what_a_pixel_covers() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)
    small = motion.shrink(rgb, (3, 5))
    means = rgb.reshape(3, 4, 5, 4, 3).mean(axis=(1, 3))
    assert small.astype(float) == pytest.approx(means, abs=0.51)
    assert motion.shrink(rgb, (12, 20)) is rgb


def test_grey_weighs_red_first() -> None:
    # BT.601 luma, the weights that JPEG and OpenCV take.
    primaries = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    assert motion.grey(primaries)[0].tolist() == [76, 150, 29, 255]


def test_smoothed_keeps_the_sum_and_has_the_stated_width() -> None:
    spike = np.zeros((101, 201), np.float32)
    spike[50, 100] = 1
    result = motion.smoothed(spike, 0.02)
    assert result.sum() == pytest.approx(1, abs=1e-3)
    columns = np.arange(201) - 100
    spread = float(np.sqrt((result.sum(axis=0) * columns**2).sum()))
    assert spread == pytest.approx(0.02 * 201, rel=0.02)
    assert np.array_equal(motion.smoothed(spike, 0), spike)
