"""Accumulation along the flow: closed forms of its weights, and synthetic flow."""

import math

import numpy as np
import pytest
from conftest import even_flow

from vidsal.saliency.temporal import GradientAverage, SamplePlan, SpeedAverage
from vidsal.types import Map


@pytest.mark.parametrize(("samples", "fresh"), [(16, 1), (16, 2), (16, 16), (8, 3), (1, 1)])
def test_memory_is_worth_that_many_samples(samples: int, fresh: int) -> None:
    plan = SamplePlan(samples, fresh)
    factor = plan.decay(fresh)
    # Variance of the weighted mean of independent samples of variance 1, summed until it is still.
    weights = np.repeat(factor ** np.arange(2000.0), fresh)
    variance = (weights**2).sum() / weights.sum() ** 2
    assert variance == pytest.approx(1 / samples, rel=1e-6)
    assert plan.accumulates == (fresh < samples)


def test_a_full_history_misses_nothing_and_an_empty_one_all() -> None:
    plan = SamplePlan(16, 1)
    weight = np.zeros((4, 4), np.float32)
    assert plan.missing(weight) == 1
    for _ in range(200):
        before = weight
        weight = weight * np.float32(plan.decay(1)) + 1
    # What the steady state leaves before the new sample comes in.
    faded = before * np.float32(plan.decay(1))
    assert plan.missing(faded) == pytest.approx(0, abs=1e-5)
    half = faded.copy()
    half[:2] = 0
    assert plan.missing(half) == pytest.approx(0.5, abs=1e-5)


def test_what_a_frame_draws() -> None:
    plan = SamplePlan(16, 1)
    assert [plan.drawn(share) for share in (1, 0.9, 0.3, 0.2, 0.1, 0)] == [16, 4, 3, 2, 1, 1]
    assert SamplePlan(16, 6).drawn(0.5) == 6
    assert SamplePlan(1, 1).drawn(1) == 1


@pytest.mark.parametrize("fresh", [0, 17, -1])
def test_more_fresh_than_samples_is_refused(fresh: int) -> None:
    with pytest.raises(ValueError, match="fresh must be 1 to 16"):
        SamplePlan(16, fresh)


def test_history_is_the_mean_of_what_was_drawn() -> None:
    history = GradientAverage.empty((2, 2)).plus(np.full((2, 2), 3, np.float32), 2, 0.0)
    history = history.plus(np.full((2, 2), 9, np.float32), 1, 1.0)
    assert np.allclose(history.mean, (3 * 2 + 9) / 3)
    assert np.allclose(history.weight, 3)
    faded = history.plus(np.zeros((2, 2), np.float32), 1, 0.5)
    assert np.allclose(faded.mean, 15 * 0.5 / (3 * 0.5 + 1))


def test_an_empty_history_is_zero_and_a_signed_one_keeps_its_sign() -> None:
    empty = GradientAverage.empty((2, 3))
    assert empty.mean.dtype == np.float32 and not empty.mean.any()
    signed = empty.plus(np.full((2, 3), -2, np.float32), 4, 0.0)
    assert np.allclose(signed.mean, -2)


def test_history_moves_and_begins_anew_where_nothing_is_known() -> None:
    values = np.random.default_rng(0).random((20, 30), dtype=np.float32)
    known = np.ones((20, 30), np.float32)
    known[:, -3:] = 0
    history = GradientAverage.empty((20, 30)).plus(values, 4, 0.0).warped(even_flow(0, 3), known)
    assert np.allclose(history.mean[:, :-3], values[:, 3:])
    # Until something is drawn the old value stands; then it counts for nothing.
    assert np.allclose(history.mean[:, -3:], values[:, -1:], atol=1e-6)
    assert history.weight[:, -3:].max() < 0.01
    renewed = history.plus(np.full((20, 30), 7, np.float32), 1, 1.0)
    assert np.allclose(renewed.mean[:, -3:], 7, atol=0.05)


def test_noise_falls_as_the_memory_promises() -> None:
    plan = SamplePlan(16, 1)
    rng = np.random.default_rng(0)
    history = GradientAverage.empty((60, 80))
    for _ in range(120):
        sample = 5 + rng.standard_normal((60, 80)).astype(np.float32)
        history = history.plus(sample, 1, plan.decay(1))
    assert history.mean.mean() == pytest.approx(5, abs=0.02)
    assert history.mean.std() == pytest.approx(1 / np.sqrt(16), rel=0.06)


def test_constant_samples_stay_constant_however_they_are_carried() -> None:
    known = np.ones((20, 30), np.float32)
    history = GradientAverage.empty((20, 30))
    drift = even_flow(0, 0)
    drift[:] = 0.3, -0.7
    for _ in range(120):
        history = history.warped(drift, known)
        history = history.plus(np.full((20, 30), 3.5, np.float32), 1, SamplePlan(16, 1).decay(1))
    assert history.mean == pytest.approx(np.full((20, 30), 3.5), rel=1e-5)
    # (samples + fresh) / 2 is where the weights come to rest.
    assert history.weight == pytest.approx(np.full((20, 30), 17 / 2), rel=1e-4)


def test_nothing_is_written_to() -> None:
    values, flow = np.ones((20, 30), np.float32), even_flow(1, 1)
    values.setflags(write=False)
    flow.setflags(write=False)
    GradientAverage(values, values).warped(flow, values).plus(values, 1, 0.5)
    SpeedAverage(values, 1.0).after(values, flow, 0.04)


STILL = even_flow(0, 0)
# Seconds in which a trail forgets two thirds.
TRAIL_S = 0.12


def _trail(speeds: list[float], seconds: float, flow: Map = STILL) -> SpeedAverage:
    trail = SpeedAverage.empty((20, 30))
    for speed in speeds:
        trail = trail.after(np.full((20, 30), speed, np.float32), flow, seconds)
    return trail


def test_an_empty_trail_is_of_no_speed() -> None:
    trail = SpeedAverage.empty((2, 3))
    assert trail.mean.dtype == np.float32 and trail.mean.shape == (2, 3)
    assert not trail.mean.any() and trail.weight == 0


@pytest.mark.parametrize("seconds", [1 / 120, 1 / 25, 1.0])
@pytest.mark.parametrize("count", [1, 2, 40])
def test_a_constant_speed_is_its_own_mean(count: int, seconds: float) -> None:
    trail = _trail([0.7] * count, seconds)
    assert trail.mean == pytest.approx(np.full((20, 30), 0.7), rel=1e-5)
    fading = math.exp(-seconds / TRAIL_S)
    assert trail.weight == pytest.approx((1 - fading**count) / (1 - fading))


def test_a_trail_in_closed_form() -> None:
    fading = math.exp(-0.04 / TRAIL_S)
    expected = (5 * fading**2 + 1 * fading + 3) / (fading**2 + fading + 1)
    assert _trail([5, 1, 3], 0.04).mean == pytest.approx(np.full((20, 30), expected), rel=1e-6)
    # Steps of different lengths: what counts is the time.
    trail = _trail([5], 0.04).after(np.full((20, 30), 3, np.float32), STILL, TRAIL_S)
    assert trail.mean[0, 0] == pytest.approx((5 / math.e + 3) / (1 / math.e + 1), rel=1e-6)


@pytest.mark.parametrize("fps", [24, 50, 100, 240])
def test_a_new_speed_is_taken_up_at_any_frame_rate_alike(fps: int) -> None:
    # A long rest, and a quarter of a second of movement; the closed form has no rate in it.
    speeds = [0.0] * (4 * fps) + [2.0] * (fps // 4)
    end = _trail(speeds, 1 / fps).mean
    expected = 2 * (1 - math.exp(-(fps // 4) / fps / TRAIL_S))
    assert end == pytest.approx(np.full((20, 30), expected), rel=1e-4)


def test_a_trail_follows_the_flow() -> None:
    # A point moves 2 down and 3 left a frame, with a speed of its own each time.
    trail = SpeedAverage.empty((20, 30))
    fading = math.exp(-0.04 / TRAIL_S)
    places, speeds = [(4, 25), (6, 22), (8, 19)], [5.0, 1.0, 3.0]
    for place, speed in zip(places, speeds, strict=True):
        now = np.zeros((20, 30), np.float32)
        now[place] = speed
        trail = trail.after(now, even_flow(-2, 3), 0.04)
    weights = np.array([fading**2, fading, 1])
    expected = np.zeros((20, 30))
    expected[places[-1]] = weights @ speeds / weights.sum()
    assert trail.mean == pytest.approx(expected, abs=1e-6)


def test_noise_of_the_flow_averages_out_along_a_trail() -> None:
    rng = np.random.default_rng(0)
    trail = SpeedAverage.empty((60, 80))
    for _ in range(60):
        noisy = 5 + rng.standard_normal((60, 80)).astype(np.float32)
        trail = trail.after(noisy, even_flow(1, -2, (60, 80)), 0.04)
    fading = math.exp(-0.04 / TRAIL_S)
    inside = trail.mean[:40, 40:]
    assert inside.mean() == pytest.approx(5, abs=0.05)
    # The variance of a mean under exponential weights.
    assert inside.std() == pytest.approx(math.sqrt((1 - fading) / (1 + fading)), rel=0.1)
