"""The path of a window through a scene, on blobs whose way is known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from vidsal.crop.path import MAX_ACCELERATION, MAX_SPEED, scene_path
from vidsal.crop.window import held

LENGTH, FPS = 0.3, 25
Floats = NDArray[np.float64]


def blobs(centres: Floats, *, deviation: float = 0.03, noise: float = 0.0) -> Floats:
    """Return the profiles of a Gaussian blob with its centre at a share of the side."""
    columns = (np.arange(320) + 0.5) / 320
    profiles = np.exp(-0.5 * ((columns - centres[:, None]) / deviation) ** 2)
    return profiles + noise * np.random.default_rng(0).random(profiles.shape)


def times(count: int) -> Floats:
    return np.arange(count) / FPS


def assert_bounds(path: Floats) -> None:
    speeds = np.diff(path) * FPS
    assert np.abs(speeds).max() <= MAX_SPEED + 1e-9
    assert np.abs(np.diff(speeds)).max() * FPS <= MAX_ACCELERATION + 1e-6
    assert path.min() >= 0 and path.max() <= 1 - LENGTH + 1e-12


def shares(profiles: Floats, path: Floats) -> Floats:
    return held(profiles, path[:, None], LENGTH)[:, 0]


def test_a_still_scene_has_a_still_window() -> None:
    profiles = blobs(np.full(80, 0.7), noise=0.05)
    found = scene_path(profiles, times(80), LENGTH)
    assert found.mode == "still" and np.ptp(found.positions) == 0
    assert found.positions[0] + LENGTH / 2 == pytest.approx(0.7, abs=0.03)


def test_noise_does_not_move_the_window() -> None:
    centres = 0.6 + np.random.default_rng(1).normal(0, 0.02, 100)
    found = scene_path(blobs(centres), times(100), LENGTH)
    assert found.mode == "still" and shares(blobs(centres), found.positions).mean() > 0.98


@pytest.mark.parametrize(("start", "end"), [(0.2, 0.8), (0.8, 0.2)])
def test_even_motion_is_a_pan(start: float, end: float) -> None:
    centres = np.linspace(start, end, 75)
    found = scene_path(blobs(centres), times(75), LENGTH)
    assert found.mode == "pan"
    # Constant velocity, and that of the blob.
    steps = np.diff(found.positions)
    assert np.ptp(steps) < 1e-12
    assert steps.sum() == pytest.approx(end - start, abs=0.12)
    assert shares(blobs(centres), found.positions).min() > 0.95
    assert_bounds(found.positions)


def test_a_blob_that_turns_back_is_followed() -> None:
    centres = 0.5 - 0.3 * np.cos(2 * np.pi * times(200) / 6)
    profiles = blobs(centres, noise=0.02)
    found = scene_path(profiles, times(200), LENGTH)
    assert found.mode == "follow"
    inside = (found.positions < centres) & (centres < found.positions + LENGTH)
    assert inside.all()
    assert shares(profiles, found.positions).mean() > 0.7
    assert_bounds(found.positions)


def test_a_leap_is_bounded() -> None:
    """The blob jumps within a scene, again and again."""
    centres = np.where(np.arange(300) // 100 % 2, 0.85, 0.15)
    found = scene_path(blobs(centres), times(300), LENGTH)
    assert found.mode == "follow"
    assert_bounds(found.positions)
    assert shares(blobs(centres), found.positions).mean() > 0.75


def test_a_moment_does_not_move_the_window() -> None:
    """Something else stands out for a fifth of a second."""
    centres = np.full(150, 0.2)
    centres[70:75] = 0.85
    found = scene_path(blobs(centres), times(150), LENGTH)
    assert found.mode == "still" and found.positions[0] < 0.2 < found.positions[0] + LENGTH


def test_rounded_time_stamps_change_little() -> None:
    centres = 0.5 - 0.3 * np.cos(2 * np.pi * np.arange(180) / 30 / 6)
    exact = np.arange(180) / 30
    one = scene_path(blobs(centres), exact, LENGTH)
    two = scene_path(blobs(centres), np.round(exact, 3), LENGTH)
    assert one.mode == two.mode == "follow"
    assert np.abs(one.positions - two.positions).max() < 0.01


def test_a_gap_in_time_is_no_leap() -> None:
    """Half of the frames are missing in the middle: the speed is that of the seconds."""
    seen = np.r_[0:60, 120:180]
    time_s = np.arange(180)[seen] / FPS
    centres = 0.5 - 0.3 * np.cos(2 * np.pi * time_s / 7.2)
    path = scene_path(blobs(centres), time_s, LENGTH).positions
    assert np.abs(np.diff(path) / np.diff(time_s)).max() <= MAX_SPEED + 1e-9


def test_where_nothing_stands_out_it_is_the_middle() -> None:
    for profiles in (np.ones((50, 320)), np.zeros((50, 320))):
        found = scene_path(profiles, times(50), LENGTH)
        assert found.mode == "still" and found.positions == pytest.approx(
            (1 - LENGTH) / 2, abs=2e-3
        )


def test_of_two_places_the_middle_one_is_chosen() -> None:
    """A place near an edge is chosen only if it is far more prominent."""
    near, far = blobs(np.full(50, 0.5)), blobs(np.full(50, 0.15))
    found = scene_path(near + 1.1 * far, times(50), LENGTH)
    assert found.positions[0] < 0.5 < found.positions[0] + LENGTH
    found = scene_path(near + 3 * far, times(50), LENGTH)
    assert found.positions[0] < 0.15 < found.positions[0] + LENGTH


@pytest.mark.parametrize(("reach", "mode"), [(0.045, "still"), (0.08, "pan")])
def test_a_still_window_may_hold_little_less_than_one_that_moves(reach: float, mode: str) -> None:
    """The spot stays in the window, so that only its weight near the ends decides.

    In a still window the weight is less by 0.1 (reach / half of the window)² / 3: 0.003, or 0.01.
    """
    spot = blobs(np.linspace(0.5 - reach, 0.5 + reach, 75), deviation=0.005)
    assert scene_path(spot, times(75), LENGTH).mode == mode


def test_ends_of_what_can_come() -> None:
    one = scene_path(blobs(np.array([0.8])), times(1), LENGTH)
    assert one.mode == "still" and one.positions[0] == pytest.approx(0.65, abs=0.04)
    whole = scene_path(blobs(np.linspace(0.2, 0.8, 9)), times(9), 1.0)
    assert whole.mode == "still" and whole.positions.tolist() == [0] * 9
    # Equal times have no speed.
    same = scene_path(blobs(np.linspace(0.2, 0.8, 9)), np.zeros(9), LENGTH)
    assert same.mode == "still"
    two = scene_path(blobs(np.array([0.2, 0.8])), times(2), LENGTH)
    assert abs(np.diff(two.positions)[0]) * FPS <= MAX_SPEED
