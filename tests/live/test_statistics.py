"""Statistics of a live run."""

import numpy as np
import pytest

from vidsal.live.statistics import Latencies, Rate, StatsCollector


def test_rates_are_of_the_last_two_seconds() -> None:
    rate = Rate()
    assert rate.at(0.0, 0) == 0
    assert rate.at(1.0, 30) == 30
    for n in range(1, 50):
        now = rate.at(1.0 + n / 10, 30 + n)
    assert now == pytest.approx(10)


def test_percentiles_of_latency_are_those_of_numpy() -> None:
    rng = np.random.default_rng(0)
    ages = rng.gamma(3, 0.03, 5000)
    latencies = Latencies()
    assert latencies.percentile(0.5) is None
    for age in ages:
        latencies.add(float(age))
    for share in (0.05, 0.5, 0.95):
        assert latencies.percentile(share) == pytest.approx(
            1000 * np.quantile(ages, share), abs=1.0
        )


def test_the_summary_leaves_the_start_out() -> None:
    stats = StatsCollector()
    stats.update(1.0, 100, 90, 5.0)
    stats.begin(2.0, 130, 100)
    for n in range(1, 21):
        stats.update(2.0 + n / 10, 130 + 3 * n, 100 + 2 * n, 0.08)
    summary = stats.summary()
    assert (summary.seen, summary.analysed, summary.dropped) == (60, 20, 40)
    assert summary.seconds == pytest.approx(2.0)
    assert summary.latency_ms == pytest.approx(80, abs=1)
    assert stats.rates == pytest.approx((30, 10, 20), rel=0.06)
    assert stats.dropped_share == pytest.approx(2 / 3, abs=0.02)
    assert summary.line().startswith("2.0 s: 60 frames seen, 20 analysed (10.0 a second), 40 dr")
