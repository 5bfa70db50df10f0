"""Bootstrap intervals of means, compared with theory."""

import numpy as np
import pytest

from vidsal.evaluation.bootstrap import Interval, bootstrap


def test_bootstrap_has_the_width_that_theory_gives() -> None:
    values = np.random.default_rng(0).normal(5, 2, 400)
    mean, low, high = bootstrap(values)
    assert mean == pytest.approx(values.mean())
    half = 1.96 * values.std() / np.sqrt(400)
    assert low == pytest.approx(mean - half, abs=0.03)
    assert high == pytest.approx(mean + half, abs=0.03)
    assert bootstrap([0.25] * 5) == (0.25, 0.25, 0.25)


def test_the_interval_holds_the_true_mean_in_most_samples() -> None:
    rng = np.random.default_rng(0)
    found = [bootstrap(rng.normal(5, 2, 40), seed=seed) for seed in range(200)]
    assert all(one.low < one.mean < one.high for one in found)
    held = np.mean([one.low <= 5 <= one.high for one in found])
    # Slightly below 95 %, since samples are small (40); three standard deviations of 200 trials.
    assert held == pytest.approx(0.94, abs=0.05)


def test_an_interval_of_skewed_values_is_skewed() -> None:
    values = np.random.default_rng(1).lognormal(0, 1.5, 30)
    mean, low, high = bootstrap(values)
    assert high - mean > 1.15 * (mean - low) > 0


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(0).random(50).tolist()
    assert bootstrap(values) == bootstrap(np.array(values)) == bootstrap(values, seed=0)
    assert bootstrap(values, seed=1) != bootstrap(values)
    assert bootstrap([3.5]) == Interval(3.5, 3.5, 3.5)
