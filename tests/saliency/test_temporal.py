"""Running averages along the flow: closed forms of the weights, and synthetic flow."""

import math

import numpy as np
import pytest
from conftest import even_flow

from vidsal.saliency.temporal import GradientAverage, SamplePlan, SpeedAverage
from vidsal.types import Map


@pytest.mark.parametrize(("samples", "fresh"), [(16, 1), (16, 2), (16, 16), (8, 3), (1, 1)])
def test_an_average_has_the_variance_of_that_many_samples(samples: int, fresh: int) -> None:
    plan = SamplePlan(samples, fresh)
    factor = plan.decay(fresh)
    # Variance of the weighted mean of independent samples of variance 1, in the steady state.
    weights = np.repeat(factor ** np.arange(2000.0), fresh)
    variance = (weights**2).sum() / weights.sum() ** 2
    assert variance == pytest.approx(1 / samples, rel=1e-6)
    assert plan.accumulates == (fresh < samples)


def test_missing_share_of_full_and_empty_averages() -> None:
    plan = SamplePlan(16, 1)
    weight = np.zeros((4, 4), np.float32)
    assert plan.missing(weight) == 1
    for _ in range(200):
        before = weight
        weight = weight * np.float32(plan.decay(1)) + 1
    # The steady state after the decay, before the new sample.
    decayed = before * np.float32(plan.decay(1))
    assert plan.missing(decayed) == pytest.approx(0, abs=1e-5)
    half = decayed.copy()
    half[:2] = 0
    assert plan.missing(half) == pytest.approx(0.5, abs=1e-5)


def test_number_of_gradients_of_a_frame() -> None:
    plan = SamplePlan(16, 1)
    assert [plan.drawn(share) for share in (1, 0.9, 0.3, 0.2, 0.1, 0)] == [16, 4, 3, 2, 1, 1]
    assert SamplePlan(16, 6).drawn(0.5) == 6
    assert SamplePlan(1, 1).drawn(1) == 1


@pytest.mark.parametrize("fresh", [0, 17, -1])
def test_more_fresh_than_samples_is_refused(fresh: int) -> None:
    with pytest.raises(ValueError, match="fresh must be 1 to 16"):
        SamplePlan(16, fresh)


def test_average_is_the_weighted_mean() -> None:
    average = GradientAverage.empty((2, 2)).plus(np.full((2, 2), 3, np.float32), 2, 0.0)
    average = average.plus(np.full((2, 2), 9, np.float32), 1, 1.0)
    assert np.allclose(average.mean, (3 * 2 + 9) / 3)
    assert np.allclose(average.weight, 3)
    decayed = average.plus(np.zeros((2, 2), np.float32), 1, 0.5)
    assert np.allclose(decayed.mean, 15 * 0.5 / (3 * 0.5 + 1))


def test_an_empty_average_is_zero_and_negative_maps_keep_their_sign() -> None:
    empty = GradientAverage.empty((2, 3))
    assert empty.mean.dtype == np.float32 and not empty.mean.any()
    signed = empty.plus(np.full((2, 3), -2, np.float32), 4, 0.0)
    assert np.allclose(signed.mean, -2)


def test_average_is_warped_and_replaced_where_the_past_is_unknown() -> None:
    values = np.random.default_rng(0).random((20, 30), dtype=np.float32)
    known = np.ones((20, 30), np.float32)
    known[:, -3:] = 0
    average = GradientAverage.empty((20, 30)).plus(values, 4, 0.0).warped(even_flow(0, 3), known)
    assert np.allclose(average.mean[:, :-3], values[:, 3:])
    # The old value stays until the next gradient, and then hardly counts.
    assert np.allclose(average.mean[:, -3:], values[:, -1:], atol=1e-6)
    assert average.weight[:, -3:].max() < 0.01
    renewed = average.plus(np.full((20, 30), 7, np.float32), 1, 1.0)
    assert np.allclose(renewed.mean[:, -3:], 7, atol=0.05)


def test_noise_of_the_average_is_that_of_16_samples() -> None:
    plan = SamplePlan(16, 1)
    rng = np.random.default_rng(0)
    average = GradientAverage.empty((60, 80))
    for _ in range(120):
        sample = 5 + rng.standard_normal((60, 80)).astype(np.float32)
        average = average.plus(sample, 1, plan.decay(1))
    assert average.mean.mean() == pytest.approx(5, abs=0.02)
    assert average.mean.std() == pytest.approx(1 / np.sqrt(16), rel=0.06)


def test_constant_samples_stay_constant_under_any_warp() -> None:
    known = np.ones((20, 30), np.float32)
    average = GradientAverage.empty((20, 30))
    drift = even_flow(0, 0)
    drift[:] = 0.3, -0.7
    for _ in range(120):
        average = average.warped(drift, known)
        average = average.plus(np.full((20, 30), 3.5, np.float32), 1, SamplePlan(16, 1).decay(1))
    assert average.mean == pytest.approx(np.full((20, 30), 3.5), rel=1e-5)
    # The steady state of the weights is (samples + fresh) / 2.
    assert average.weight == pytest.approx(np.full((20, 30), 17 / 2), rel=1e-4)


def test_inputs_stay_unchanged() -> None:
    values, flow = np.ones((20, 30), np.float32), even_flow(1, 1)
    values.setflags(write=False)
    flow.setflags(write=False)
    GradientAverage(values, values).warped(flow, values).plus(values, 1, 0.5)
    SpeedAverage(values, 1.0).after(values, flow, 0.04)


STILL = even_flow(0, 0)
# Time constant of the average speed.
SPEED_MEMORY_S = 0.12


def _averaged(speeds: list[float], seconds: float, flow: Map = STILL) -> SpeedAverage:
    average = SpeedAverage.empty((20, 30))
    for speed in speeds:
        average = average.after(np.full((20, 30), speed, np.float32), flow, seconds)
    return average


def test_an_empty_average_speed_is_zero() -> None:
    average = SpeedAverage.empty((2, 3))
    assert average.mean.dtype == np.float32 and average.mean.shape == (2, 3)
    assert not average.mean.any() and average.weight == 0


@pytest.mark.parametrize("seconds", [1 / 120, 1 / 25, 1.0])
@pytest.mark.parametrize("count", [1, 2, 40])
def test_a_constant_speed_is_its_own_mean(count: int, seconds: float) -> None:
    average = _averaged([0.7] * count, seconds)
    assert average.mean == pytest.approx(np.full((20, 30), 0.7), rel=1e-5)
    decay = math.exp(-seconds / SPEED_MEMORY_S)
    assert average.weight == pytest.approx((1 - decay**count) / (1 - decay))


def test_average_speed_in_closed_form() -> None:
    decay = math.exp(-0.04 / SPEED_MEMORY_S)
    expected = (5 * decay**2 + 1 * decay + 3) / (decay**2 + decay + 1)
    assert _averaged([5, 1, 3], 0.04).mean == pytest.approx(np.full((20, 30), expected), rel=1e-6)
    # With unequal frame intervals, the time counts.
    average = _averaged([5], 0.04).after(np.full((20, 30), 3, np.float32), STILL, SPEED_MEMORY_S)
    assert average.mean[0, 0] == pytest.approx((5 / math.e + 3) / (1 / math.e + 1), rel=1e-6)


@pytest.mark.parametrize("fps", [24, 50, 100, 240])
def test_average_speed_does_not_depend_on_the_frame_rate(fps: int) -> None:
    # A long rest, then a quarter of a second of motion; the closed form has no rate in it.
    speeds = [0.0] * (4 * fps) + [2.0] * (fps // 4)
    end = _averaged(speeds, 1 / fps).mean
    expected = 2 * (1 - math.exp(-(fps // 4) / fps / SPEED_MEMORY_S))
    assert end == pytest.approx(np.full((20, 30), expected), rel=1e-4)


def test_average_speed_follows_the_flow() -> None:
    # A point moves 2 down and 3 left per frame, with a different speed each time.
    average = SpeedAverage.empty((20, 30))
    decay = math.exp(-0.04 / SPEED_MEMORY_S)
    places, speeds = [(4, 25), (6, 22), (8, 19)], [5.0, 1.0, 3.0]
    for place, speed in zip(places, speeds, strict=True):
        now = np.zeros((20, 30), np.float32)
        now[place] = speed
        average = average.after(now, even_flow(-2, 3), 0.04)
    weights = np.array([decay**2, decay, 1])
    expected = np.zeros((20, 30))
    expected[places[-1]] = weights @ speeds / weights.sum()
    assert average.mean == pytest.approx(expected, abs=1e-6)


def test_noise_of_the_speed_averages_out() -> None:
    rng = np.random.default_rng(0)
    average = SpeedAverage.empty((60, 80))
    for _ in range(60):
        noisy = 5 + rng.standard_normal((60, 80)).astype(np.float32)
        average = average.after(noisy, even_flow(1, -2, (60, 80)), 0.04)
    decay = math.exp(-0.04 / SPEED_MEMORY_S)
    inside = average.mean[:40, 40:]
    assert inside.mean() == pytest.approx(5, abs=0.05)
    # The variance of a mean under exponential weights.
    assert inside.std() == pytest.approx(math.sqrt((1 - decay) / (1 + decay)), rel=0.1)
