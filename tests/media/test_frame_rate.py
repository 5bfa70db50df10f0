"""Frame rates from times, and from claims."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from vidsal.media.frame_rate import measure_rate, snap_rate

FILM = Fraction(24000, 1001)
NTSC = Fraction(30000, 1001)
USUAL = [Fraction(24), FILM, Fraction(25), NTSC, *map(Fraction, (30, 50, 60)), 2 * NTSC]
TICKS = [Fraction(1, 1000), Fraction(1, 90000)]


def in_ticks(times_s: NDArray[np.float64], tick_s: Fraction) -> NDArray[np.float64]:
    """Return times as whole ticks, as containers store them."""
    return np.unique(np.rint((times_s - times_s[0]) / float(tick_s)))


def found_rate(times_s: NDArray[np.float64], tick_s: Fraction) -> tuple[Fraction, bool]:
    """Return the measured rate, if the header claims the mean rate with two decimals."""
    ticks = in_ticks(times_s, tick_s)
    mean = len(ticks) / float(ticks[-1] * tick_s)
    return measure_rate(ticks, tick_s, claimed=snap_rate(round(mean, 2)))


def recorded(
    rate: Fraction, duration_s: float, jitter_s: float, missing: float, seed: int
) -> NDArray[np.float64]:
    """Return the times of a recorder with random jitter and missing frames."""
    rng = np.random.default_rng(seed)
    times_s = np.arange(int(duration_s * rate)) / float(rate)
    is_there = rng.random(len(times_s)) >= missing
    return (times_s + rng.normal(0, jitter_s, len(times_s)))[is_there]


def test_an_hour_of_rounded_times_has_a_constant_rate() -> None:
    ticks = np.asarray(np.rint(np.arange(107_892) * 1001 / 30), np.float64)
    rate, is_variable = measure_rate(ticks, Fraction(1, 1000), claimed=Fraction(2997, 100))
    assert (rate, is_variable) == (Fraction(30000, 1001), False)


@pytest.mark.parametrize("rate", [FILM, Fraction(25), Fraction(30), Fraction(60000, 1001)])
def test_gaps_in_rounded_times_do_not_change_the_rate(rate: Fraction) -> None:
    ticks = np.asarray(np.rint(np.arange(300) * 1000 / float(rate)), np.float64)
    # Five frames are missing in each of five places.
    kept = ticks[[n for n in range(300) if not 40 <= n % 60 < 45]]
    assert measure_rate(kept, Fraction(1, 1000), claimed=Fraction(1000)) == (rate, True)


@pytest.mark.parametrize("tick_s", [Fraction(1, 16000), Fraction(1, 90000)])
@pytest.mark.parametrize("rate", [Fraction(60), Fraction(60000, 1001)])
def test_milliseconds_in_finer_ticks_are_rounded_times(rate: Fraction, tick_s: Fraction) -> None:
    # As in a recording that was copied to another container.
    milliseconds = np.rint(np.arange(1200) * 1000 / float(rate))
    ticks = np.asarray(milliseconds * float(1 / tick_s) / 1000, np.float64)
    assert measure_rate(ticks, tick_s, claimed=Fraction(1000, 17)) == (rate, False)


@example(steps=[1, 4])
@given(st.lists(st.integers(1, 5000), min_size=1, max_size=9))
def test_any_steps_have_a_rate(steps: list[int]) -> None:
    ticks = np.cumsum([0, *steps]).astype(np.float64)
    rate, is_variable = measure_rate(ticks, Fraction(1, 1000), claimed=Fraction(25))
    assert 0 < rate <= 1000
    # A frame lasts for one of the steps, or for a common divisor of them.
    assert not is_variable or float(1 / rate) * 1000 <= max(steps) * 1.02 + 1


def test_unusual_steps_are_not_snapped() -> None:
    ticks = np.asarray(np.arange(30) * 7, np.float64)
    assert measure_rate(ticks, Fraction(1, 100), claimed=Fraction(1429, 100)) == (
        Fraction(100, 7),
        False,
    )


@given(st.integers(1, 240), st.booleans())
def test_whole_rates_and_ntsc_rates_are_kept(number: int, is_film: bool) -> None:
    rate = Fraction(number * 1000, 1001) if is_film else Fraction(number)
    assert snap_rate(float(rate)) == rate


@pytest.mark.parametrize("rate", [Fraction(1, 7), Fraction(3, 1000), Fraction(1, 4000)])
def test_slow_rates_have_simple_steps(rate: Fraction) -> None:
    assert snap_rate(float(rate)) == rate


@pytest.mark.parametrize("tick_s", TICKS)
@pytest.mark.parametrize("missing", [0, 0.01, 0.03])
@pytest.mark.parametrize("jitter_s", [0, 1e-3, 2e-3, 4e-3])
def test_jitter_does_not_change_the_rate(jitter_s: float, missing: float, tick_s: Fraction) -> None:
    for duration_s, seeds in ((10, 8), (60, 3)):
        for rate in USUAL:
            for seed in range(seeds):
                times_s = recorded(rate, duration_s, jitter_s, missing, seed)
                found, is_variable = found_rate(times_s, tick_s)
                assert found == rate, (duration_s, rate, seed)
                assert is_variable == (jitter_s > 0 or missing > 0)


@pytest.mark.parametrize("tick_s", TICKS)
@pytest.mark.parametrize("missing", [0, 0.01, 0.03])
@pytest.mark.parametrize("jitter_s", [1e-3, 2e-3, 4e-3])
def test_five_seconds_give_the_rate_or_its_ntsc_neighbour(
    jitter_s: float, missing: float, tick_s: Fraction
) -> None:
    wrong = 0
    for rate in USUAL:
        for seed in range(20):
            found, _ = found_rate(recorded(rate, 5, jitter_s, missing, seed), tick_s)
            wrong += found != rate
            # After five seconds, both rates are less than a third of a frame apart.
            assert found in USUAL and abs(found - rate) * 5 <= Fraction(1, 3)
    # A line through 120 times with a jitter of 4 ms has a standard deviation of 1.3 ms at its end.
    # The rates of film and television are 5 ms apart there; half of that is two deviations.
    assert wrong <= (0.06 * 20 * len(USUAL) if jitter_s == 4e-3 else 0)


@pytest.mark.parametrize("rate", [Fraction(15), Fraction(25, 2), Fraction(297, 10)])
def test_rates_that_are_not_standard_are_measured_with_jitter(rate: Fraction) -> None:
    for seed in range(5):
        times_s = recorded(rate, 60, 2e-3, 0.01, seed)
        assert float(found_rate(times_s, TICKS[1])[0]) == pytest.approx(float(rate), rel=1e-5)


def test_a_recorder_that_alternates_between_two_steps_has_their_mean() -> None:
    # 28 and 41 ms, more often 28.
    ticks = np.asarray([3003 * n + 7919 * n % 1200 for n in range(360)], np.float64)
    assert measure_rate(ticks, TICKS[1], claimed=Fraction(30)) == (NTSC, True)


def test_long_stills_do_not_change_the_period() -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        stills = np.where(rng.random(1000) < 0.03, rng.integers(30, 600, 1000), 1)
        times_s = np.cumsum(stills) / 60 + rng.normal(0, 1e-3, 1000)
        assert found_rate(times_s, TICKS[1]) == (Fraction(60), True)


@pytest.mark.parametrize("tick_s", TICKS)
def test_gaps_that_change_the_phase_do_not_change_the_rate(tick_s: Fraction) -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        steps = np.where(rng.random(900) < 0.02, rng.uniform(0.1, 0.4, 900), 1 / 30)
        assert found_rate(np.cumsum(steps), tick_s) == (Fraction(30), True)


@pytest.mark.parametrize("tick_s", TICKS)
@pytest.mark.parametrize("frames", [20, 200, 2000])
def test_times_without_a_period_have_their_median_step(frames: int, tick_s: Fraction) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        # Slides, or a screen while somebody types.
        for steps in (rng.uniform(1, 6, frames), 0.016 + rng.exponential(0.1, frames)):
            rate = float(found_rate(np.cumsum(steps), tick_s)[0])
            assert rate * np.median(steps) == pytest.approx(1, rel=0.03 + 2 / frames**0.5)


def test_frames_of_a_slow_motion_camera_are_all_shown() -> None:
    for missing in (0, 0.01):
        times_s = recorded(Fraction(240), 10, 4e-4, missing, seed=1)
        assert found_rate(times_s, TICKS[1]) == (Fraction(240), True)


@pytest.mark.parametrize(("period_ms", "rate"), [(50, Fraction(120)), (14, Fraction(2000, 7))])
def test_pairs_of_frames_are_not_shown_at_the_rate_within_a_pair(
    period_ms: int, rate: Fraction
) -> None:
    # 1 ms apart: at 1000 frames a second nearly all would be repetitions.
    ticks = np.arange(300).repeat(2) * float(period_ms) + np.tile([0.0, 1.0], 300)
    found, is_variable = measure_rate(ticks, TICKS[0], claimed=Fraction(60))
    assert is_variable and float(found) == pytest.approx(float(rate), rel=2e-3)


def test_the_rate_of_more_frames_wins() -> None:
    steps = np.concatenate([np.full(600, 1 / 30), np.full(720, 1 / 24)])
    assert found_rate(np.cumsum(steps), TICKS[0]) == (Fraction(24), True)
    # A camera that slows down in the dark has no period, so its median step counts.
    slowing = 1 / np.linspace(30, 24, 900)
    assert float(found_rate(np.cumsum(slowing), TICKS[1])[0]) == pytest.approx(27, rel=5e-3)


@given(st.lists(st.integers(1, 40) | st.integers(1, 10**9), min_size=8, max_size=60))
def test_any_steps_have_a_valid_rate(steps: list[int]) -> None:
    ticks = np.cumsum([0, *steps]).astype(np.float64)
    rate, _ = measure_rate(ticks, Fraction(1, 1000), claimed=Fraction(25))
    assert 0 < rate <= 1000
