"""Numbers of frames: closed forms and definitions."""

from __future__ import annotations

import numpy as np
import pytest

from vidsal.report.measures import camera_speeds


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
