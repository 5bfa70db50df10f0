"""Accumulation along the flow: closed forms of its weights, and synthetic flow."""

import numpy as np
import pytest

from vidsal import accumulate
from vidsal.accumulate import Budget, History
from vidsal.frames import Map


def _flow(rows: int, columns: int, size: tuple[int, int] = (20, 30)) -> Map:
    flow = np.zeros((*size, 2), np.float32)
    flow[..., 0], flow[..., 1] = columns, rows
    return flow


@pytest.mark.parametrize(("samples", "fresh"), [(16, 1), (16, 2), (16, 16), (8, 3), (1, 1)])
def test_memory_is_worth_that_many_samples(samples: int, fresh: int) -> None:
    budget = Budget(samples, fresh)
    factor = budget.fading(fresh)
    # Variance of the weighted mean of independent samples of variance 1, summed until it is still.
    weights = np.repeat(factor ** np.arange(2000.0), fresh)
    variance = (weights**2).sum() / weights.sum() ** 2
    assert variance == pytest.approx(1 / samples, rel=1e-6)
    assert budget.remembers == (fresh < samples)


def test_a_full_history_misses_nothing_and_an_empty_one_all() -> None:
    budget = Budget(16, 1)
    weight = np.zeros((4, 4), np.float32)
    assert budget.missing(weight) == 1
    for _ in range(200):
        before = weight
        weight = weight * np.float32(budget.fading(1)) + 1
    # What the steady state leaves before the new sample comes in.
    faded = before * np.float32(budget.fading(1))
    assert budget.missing(faded) == pytest.approx(0, abs=1e-5)
    half = faded.copy()
    half[:2] = 0
    assert budget.missing(half) == pytest.approx(0.5, abs=1e-5)


def test_what_a_frame_draws() -> None:
    budget = Budget(16, 1)
    assert [budget.drawn(share) for share in (1, 0.9, 0.2, 0.05, 0)] == [16, 4, 3, 1, 1]
    assert Budget(16, 6).drawn(0.5) == 6
    assert Budget(1, 1).drawn(1) == 1


@pytest.mark.parametrize("fresh", [0, 17, -1])
def test_more_fresh_than_samples_is_refused(fresh: int) -> None:
    with pytest.raises(ValueError, match="fresh must be 1 to 16"):
        Budget(16, fresh)


def test_carried_moves_by_whole_pixels_exactly() -> None:
    values = np.random.default_rng(0).random((20, 30), dtype=np.float32)
    # The picture moved 2 rows down and 3 columns left: this frame's pixels came from up and right.
    moved = accumulate.carried(values, _flow(-2, 3))
    assert np.array_equal(moved[2:, :-3], values[:-2, 3:])


def test_carried_between_pixels_is_their_mean() -> None:
    ramp = np.tile(np.arange(30, dtype=np.float32), (20, 1))
    flow = _flow(0, 0)
    flow[..., 0] = 0.5
    assert np.allclose(accumulate.carried(ramp, flow)[:, :-1], ramp[:, :-1] + 0.5, atol=1e-2)


def test_flow_that_comes_back_is_known_and_what_was_outside_is_not() -> None:
    known = accumulate.returns(_flow(0, 3), _flow(0, -3))
    assert (known[:, :-3] == 1).all() and (known[:, -3:] == 0).all()
    assert (accumulate.returns(_flow(0, 0), _flow(0, 0)) == 1).all()
    assert (accumulate.returns(_flow(0, 3), _flow(0, 3)) == 0).all()


def test_what_a_moving_square_uncovers_is_unknown() -> None:
    # Forward: a square of 8 at column 10 goes 6 to the right. Backward, the strip it left looks
    # for its past where the square was, as flow across an edge does.
    forward, backward = _flow(0, 0), _flow(0, 0)
    forward[6:14, 10:18, 0] = 6
    backward[6:14, 16:24, 0] = -6
    backward[6:14, 10:16, 0] = 1
    known = accumulate.returns(backward, forward)
    assert (known[6:14, 10:16] == 0).all()
    assert (known[6:14, 16:24] == 1).all()
    assert (known[:6] == 1).all() and (known[14:] == 1).all()


def test_history_is_the_mean_of_what_was_drawn() -> None:
    history = History.empty((2, 2)).plus(np.full((2, 2), 3, np.float32), 2, 0.0)
    history = history.plus(np.full((2, 2), 9, np.float32), 1, 1.0)
    assert np.allclose(history.mean, (3 * 2 + 9) / 3)
    assert np.allclose(history.weight, 3)
    faded = history.plus(np.zeros((2, 2), np.float32), 1, 0.5)
    assert np.allclose(faded.mean, 15 * 0.5 / (3 * 0.5 + 1))


def test_an_empty_history_is_zero_and_a_signed_one_keeps_its_sign() -> None:
    empty = History.empty((2, 3))
    assert empty.mean.dtype == np.float32 and not empty.mean.any()
    signed = empty.plus(np.full((2, 3), -2, np.float32), 4, 0.0)
    assert np.allclose(signed.mean, -2)


def test_history_moves_and_begins_anew_where_nothing_is_known() -> None:
    values = np.random.default_rng(0).random((20, 30), dtype=np.float32)
    known = np.ones((20, 30), np.float32)
    known[:, -3:] = 0
    history = History.empty((20, 30)).plus(values, 4, 0.0).carried(_flow(0, 3), known)
    assert np.allclose(history.mean[:, :-3], values[:, 3:])
    # Until something is drawn the old value stands; then it counts for nothing.
    assert np.allclose(history.mean[:, -3:], values[:, -1:], atol=1e-6)
    assert history.weight[:, -3:].max() < 0.01
    renewed = history.plus(np.full((20, 30), 7, np.float32), 1, 1.0)
    assert np.allclose(renewed.mean[:, -3:], 7, atol=0.05)


def test_noise_falls_as_the_memory_promises() -> None:
    budget = Budget(16, 1)
    rng = np.random.default_rng(0)
    history = History.empty((60, 80))
    for _ in range(120):
        sample = 5 + rng.standard_normal((60, 80)).astype(np.float32)
        history = history.plus(sample, 1, budget.fading(1))
    assert history.mean.mean() == pytest.approx(5, abs=0.02)
    assert history.mean.std() == pytest.approx(1 / np.sqrt(16), rel=0.06)


@pytest.mark.parametrize(("rows", "columns"), [(0, 4), (0, -4), (3, 0), (-3, 3)])
def test_only_what_a_square_uncovers_has_no_past(rows: int, columns: int) -> None:
    was, now = np.zeros((20, 30), bool), np.zeros((20, 30), bool)
    was[6:14, 10:18] = True
    now[6 + rows : 14 + rows, 10 + columns : 18 + columns] = True
    forward, backward = _flow(0, 0), _flow(0, 0)
    forward[was] = columns, rows
    backward[now] = -columns, -rows
    expected = ~(was & ~now)
    assert not expected.all()
    assert np.array_equal(accumulate.returns(backward, forward), expected.astype(np.float32))


@pytest.mark.parametrize(
    ("gone", "missed", "known"),
    [(0, 0, 1), (0, 1.9, 1), (0, 2.1, 0), (8, 2.2, 1), (8, 2.5, 0), (20, 3.4, 1), (20, 3.6, 0)],
)
def test_flow_may_miss_by_two_pixels_and_a_share_of_the_way(
    gone: int, missed: float, known: int
) -> None:
    # |miss|^2 <= 0.01 (|there|^2 + |back|^2) + 2^2
    assert (missed**2 <= 0.01 * (2 * gone**2 + missed**2) + 4) == bool(known)
    forward = _flow(0, gone)
    forward[..., 1] = missed
    assert accumulate.returns(_flow(0, -gone), forward)[10, 29] == known


def test_flow_is_carried_as_maps_are() -> None:
    flow = np.random.default_rng(0).random((20, 30, 2), dtype=np.float32)
    moved = accumulate.carried(flow, _flow(1, 2))
    for part in range(2):
        alone = accumulate.carried(np.ascontiguousarray(flow[..., part]), _flow(1, 2))
        assert np.array_equal(moved[..., part], alone)


def test_constant_samples_stay_constant_however_they_are_carried() -> None:
    known = np.ones((20, 30), np.float32)
    history = History.empty((20, 30))
    drift = _flow(0, 0)
    drift[:] = 0.3, -0.7
    for _ in range(120):
        history = history.carried(drift, known)
        history = history.plus(np.full((20, 30), 3.5, np.float32), 1, Budget(16, 1).fading(1))
    assert history.mean == pytest.approx(np.full((20, 30), 3.5), rel=1e-5)
    # (samples + fresh) / 2 is where the weights come to rest.
    assert history.weight == pytest.approx(np.full((20, 30), 17 / 2), rel=1e-4)


def test_nothing_is_written_to() -> None:
    values, flow = np.ones((20, 30), np.float32), _flow(1, 1)
    values.setflags(write=False)
    flow.setflags(write=False)
    accumulate.returns(flow, flow)
    History(values, values).carried(flow, values).plus(values, 1, 0.5)
