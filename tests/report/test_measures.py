"""Numbers of frames: closed forms and definitions."""

from __future__ import annotations

import numpy as np
import pytest

from vidsal.report.measures import camera_speeds, gini


def test_gini_of_an_even_map_is_0_and_of_one_pixel_nearly_1() -> None:
    even, single = np.zeros(256, np.int64), np.zeros(256, np.int64)
    even[7] = 1000
    single[[0, 200]] = 999, 1
    assert gini(even) == pytest.approx(0)
    assert gini(single) == pytest.approx(1 - 1 / 1000)
    # Half of the pixels have everything, evenly.
    half = np.zeros(256, np.int64)
    half[[0, 31]] = 50
    assert gini(half) == pytest.approx(0.5)
    assert np.isnan(gini(np.bincount([0, 0, 0])))


def test_gini_is_half_the_relative_mean_difference() -> None:
    values = np.random.default_rng(0).integers(0, 20, 300)
    differences = np.abs(values[:, None] - values[None]).mean()
    assert gini(np.bincount(values)) == pytest.approx(differences / (2 * values.mean()))
    # It does not depend on the scale.
    assert gini(np.bincount(3 * values)) == pytest.approx(gini(np.bincount(values)))


def test_a_shift_of_the_camera_has_its_length_per_second() -> None:
    shift = np.eye(3)
    shift[:2, 2] = 3, 4
    times = np.array([2.0, 2.1, 2.5])
    found = camera_speeds(np.stack([np.eye(3), shift, shift]), times, (30, 40))
    # 5 pixels of a diagonal of 50, in 0.1 and 0.4 s.
    assert found == pytest.approx([0, 1, 0.25])


def test_a_zoom_moves_points_by_their_distance_from_its_centre() -> None:
    size, zoom = (31, 41), 1.1
    centre = np.array([20, 15])
    matrix = np.diag([zoom, zoom, 1.0])
    matrix[:2, 2] = centre * (1 - zoom)
    rows, columns = np.meshgrid(np.linspace(-15, 15, 9), np.linspace(-20, 20, 9), indexing="ij")
    expected = 0.1 * np.hypot(rows, columns).mean() / np.hypot(*size)
    found = camera_speeds(np.stack([np.eye(3), matrix]), np.array([0.0, 1.0]), size)
    assert found[1] == pytest.approx(expected)
    # The last element of a homography is its scale.
    assert camera_speeds(2 * np.stack([np.eye(3), matrix]), np.array([0.0, 1.0]), size)[1] == (
        pytest.approx(expected)
    )
