"""Figures of what is live, and the size that keeps up."""

import numpy as np
import pytest

from vidsal.figures import Counting, Latencies, Rate
from vidsal.sizing import Size, Sizing, sizes


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
    counting = Counting()
    counting.after(1.0, 100, 90, 5.0)
    counting.begin(2.0, 130, 100)
    for n in range(1, 21):
        counting.after(2.0 + n / 10, 130 + 3 * n, 100 + 2 * n, 0.08)
    summary = counting.summary()
    assert (summary.seen, summary.analysed, summary.dropped) == (60, 20, 40)
    assert summary.seconds == pytest.approx(2.0)
    assert summary.latency_ms == pytest.approx(80, abs=1)
    assert counting.rates == pytest.approx((30, 10, 20), rel=0.06)
    assert counting.dropped_share == pytest.approx(2 / 3, abs=0.02)
    assert summary.line().startswith("2.0 s: 60 frames seen, 20 analysed (10.0 a second), 40 dr")


def test_sizes_are_steps_down_from_what_was_asked_for() -> None:
    assert sizes(320, 256) == [Size(320, 256), Size(256, 192), Size(192, 160), Size(144, 128)]
    assert sizes(32, 32) == [Size(32, 32)]


def _sized(sizing: Sizing, seconds: float, begin_s: float = 0.0, **how: float) -> list[Size]:
    known = {"fps_in": 30.0, "fps_out": 30.0, "latency_ms": 50.0, "busy": 0.9} | how
    return [sizing.after(begin_s + n / 4, **known) for n in range(int(seconds * 4))]


def test_a_size_that_holds_the_rate_stays() -> None:
    sizing = Sizing(sizes(320, 256))
    assert set(_sized(sizing, 60, fps_out=28.0)) == {Size(320, 256)}


def test_a_rate_that_is_not_held_makes_it_smaller_step_by_step() -> None:
    sizing = Sizing(sizes(320, 256))
    found = _sized(sizing, 60, fps_out=20.0)
    assert list(dict.fromkeys(found)) == sizes(320, 256)
    assert found.index(Size(256, 192)) == 16  # After four seconds behind.
    assert _sized(Sizing(sizes(320, 256)), 9, fps_out=5.0).index(Size(256, 192)) == 8


def test_room_to_spare_makes_it_larger_with_growing_patience() -> None:
    sizing = Sizing(sizes(320, 256))
    _sized(sizing, 5, fps_out=20.0)
    assert sizing.now == Size(256, 192)
    found = _sized(sizing, 80, 5, busy=0.2)
    assert found.index(Size(320, 256)) == 40 * 4
    assert Size(320, 256) not in _sized(Sizing(sizes(320, 256)[1:]), 80, busy=0.2)


@pytest.mark.parametrize(("busy", "is_larger"), [(0.4, True), (0.5, False)])
def test_less_than_half_of_the_time_has_to_be_spare(busy: float, is_larger: bool) -> None:
    # The next larger size takes up to 1.8 times as long.
    sizing = Sizing(sizes(320, 256))
    _sized(sizing, 5, fps_out=20.0)
    assert (Size(320, 256) in _sized(sizing, 80, 5, busy=busy)) == is_larger


def test_after_a_pause_it_is_waited_anew() -> None:
    sizing = Sizing(sizes(320, 256))
    _sized(sizing, 1)
    sizing.resume()
    # Two seconds from here on, not from the beginning.
    assert set(_sized(sizing, 1.9, 60, fps_out=5.0)) == {Size(320, 256)}
    assert _sized(sizing, 1, 62, fps_out=5.0)[0] == Size(256, 192)


def test_a_latency_target_is_held_instead_of_the_rate() -> None:
    assert _sized(Sizing(sizes(320, 256), 100), 20, fps_out=5)[-1] == Size(320, 256)
    assert _sized(Sizing(sizes(320, 256), 100), 20, latency_ms=150)[-1] == Size(144, 128)
