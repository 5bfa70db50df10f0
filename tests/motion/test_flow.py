"""Optical flow against synthetic truth."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import LoadScript
from motion_help import (
    SIZE,
    inside_of,
    moving_square,
    outside_of,
)

from vidsal.motion.flow import optical_flow
from vidsal.settings import Flow


@pytest.mark.parametrize("method", ["farneback", "dis"])
@pytest.mark.parametrize("velocity", [(3, 0), (0, 3), (-2, 1)])
def test_flow_has_columns_first_and_points_forward(
    load_script: LoadScript, velocity: tuple[int, int], method: Flow
) -> None:
    first, second, truth, mask, _ = moving_square(
        load_script, background_velocity=(0, 0), square_velocity=velocity
    )
    flow = optical_flow(first, second, method=method)
    assert flow.shape == (*SIZE, 2) and flow.dtype == np.float32
    place = inside_of(mask)
    assert flow[place].mean(axis=0) == pytest.approx(np.array(velocity), abs=0.05)
    error = np.linalg.norm(flow - truth, axis=-1)
    assert error[place].max() < 0.2
    assert error[outside_of(mask)].mean() < 0.02
