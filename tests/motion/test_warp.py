"""Warping by known flows, and the forward-backward check."""

import numpy as np
import pytest
from conftest import even_flow

from vidsal.motion import warp


def test_warp_by_whole_pixels_is_exact() -> None:
    values = np.random.default_rng(0).random((20, 30), dtype=np.float32)
    # The picture moved 2 rows down and 3 columns left: this frame's pixels came from up and right.
    moved = warp.warp(values, even_flow(-2, 3))
    assert np.array_equal(moved[2:, :-3], values[:-2, 3:])


def test_warp_between_pixels_interpolates() -> None:
    ramp = np.tile(np.arange(30, dtype=np.float32), (20, 1))
    flow = even_flow(0, 0)
    flow[..., 0] = 0.5
    assert np.allclose(warp.warp(ramp, flow)[:, :-1], ramp[:, :-1] + 0.5, atol=1e-2)


def test_flow_is_warped_like_maps() -> None:
    flow = np.random.default_rng(0).random((20, 30, 2), dtype=np.float32)
    moved = warp.warp(flow, even_flow(1, 2))
    for component in range(2):
        alone = warp.warp(np.ascontiguousarray(flow[..., component]), even_flow(1, 2))
        assert np.array_equal(moved[..., component], alone)


def test_consistent_flow_is_known_and_pixels_from_outside_are_not() -> None:
    known = warp.forward_backward_consistent(even_flow(0, 3), even_flow(0, -3))
    assert (known[:, :-3] == 1).all() and (known[:, -3:] == 0).all()
    assert (warp.forward_backward_consistent(even_flow(0, 0), even_flow(0, 0)) == 1).all()
    assert (warp.forward_backward_consistent(even_flow(0, 3), even_flow(0, 3)) == 0).all()


def test_pixels_that_a_moving_square_uncovers_are_unknown() -> None:
    # Forward, a square of 8 pixels at column 10 moves 6 to the right. Backward, the flow of the
    # uncovered strip points into the former place of the square, as flow near an edge does.
    forward, backward = even_flow(0, 0), even_flow(0, 0)
    forward[6:14, 10:18, 0] = 6
    backward[6:14, 16:24, 0] = -6
    backward[6:14, 10:16, 0] = 1
    known = warp.forward_backward_consistent(backward, forward)
    assert (known[6:14, 10:16] == 0).all()
    assert (known[6:14, 16:24] == 1).all()
    assert (known[:6] == 1).all() and (known[14:] == 1).all()


@pytest.mark.parametrize(("rows", "columns"), [(0, 4), (0, -4), (4, 0), (-3, 3)])
def test_only_uncovered_pixels_are_unknown(rows: int, columns: int) -> None:
    was, now = np.zeros((20, 30), bool), np.zeros((20, 30), bool)
    was[6:14, 10:18] = True
    now[6 + rows : 14 + rows, 10 + columns : 18 + columns] = True
    forward, backward = even_flow(0, 0), even_flow(0, 0)
    forward[was] = columns, rows
    backward[now] = -columns, -rows
    expected = ~(was & ~now)
    assert not expected.all()
    assert np.array_equal(
        warp.forward_backward_consistent(backward, forward), expected.astype(np.float32)
    )


@pytest.mark.parametrize(
    ("path", "error", "known"),
    [(0, 0, 1), (0, 2.9, 1), (0, 3.1, 0), (8, 3.1, 1), (8, 3.3, 0), (20, 4.1, 1), (20, 4.2, 0)],
)
def test_the_error_may_be_three_pixels_and_a_share_of_the_path(
    path: int, error: float, known: int
) -> None:
    # |error|^2 <= 0.01 (|forward|^2 + |backward|^2) + 3^2
    assert (error**2 <= 0.01 * (2 * path**2 + error**2) + 9) == bool(known)
    forward = even_flow(0, path)
    forward[..., 1] = error
    assert warp.forward_backward_consistent(even_flow(0, -path), forward)[10, 29] == known


def test_pixels_from_outside_repeat_the_border() -> None:
    values = np.random.default_rng(0).random((20, 30), dtype=np.float32)
    moved = warp.warp(values, even_flow(0, 25))
    assert np.array_equal(moved[:, :5], values[:, 25:])
    assert np.array_equal(moved[:, 5:], np.repeat(values[:, -1:], 25, axis=1))
    assert not warp.forward_backward_consistent(even_flow(0, 25), even_flow(0, -25))[:, 5:].any()


def test_warp_and_check_do_not_change_their_inputs() -> None:
    flow = even_flow(1, 1)
    flow.setflags(write=False)
    kept = flow.copy()
    known = warp.forward_backward_consistent(flow, flow)
    assert known.dtype == np.float32 and known.shape == (20, 30)
    assert warp.warp(flow, flow).dtype == np.float32
    assert np.array_equal(flow, kept)
