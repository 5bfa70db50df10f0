"""Normalisation: the running average in closed form, at any frame rate, and without NaN."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from stream_help import RunningAverage

from vidsal.saliency.normalization import (
    MEMORY_S,
    DisplayScale,
    Flicker,
    ScaleState,
    clipped,
    contrasted,
    scale_modes,
    scaled,
    updated,
    upper_end,
)
from vidsal.types import Map

MODES = ["stable", "frame", "minmax", "fixed:-1,3"]


def _noise(seed: int = 0, high: float = 1.0) -> Map:
    return (high * np.random.default_rng(seed).random((30, 40))).astype(np.float32)


def test_first_value_is_taken_as_it_is() -> None:
    state = updated(ScaleState(), 7.0, 3.5)
    assert (state.high, state.time_s) == (7.0, 3.5)


def test_running_average_in_closed_form() -> None:
    state = ScaleState()
    values, times = [4.0, 1.0, 9.0, 9.0], [0.0, 0.5, 0.6, 3.0]
    # The weighted mean of all roots so far; the first value counts for a quarter of a second.
    weights = [1 - math.exp(-0.25 / MEMORY_S)]
    for n, (value, time_s) in enumerate(zip(values, times, strict=True)):
        state = updated(state, value, time_s)
        if n:
            decay = math.exp(-(time_s - times[n - 1]) / MEMORY_S)
            weights = [decay * one for one in weights] + [1 - decay]
        roots = [one**0.5 for one in values[: n + 1]]
        expected = np.average(roots, weights=weights) ** 2
        assert state.high == pytest.approx(expected, rel=1e-12)
        assert state.time_s == time_s


def test_the_root_follows_a_step_with_the_time_constant() -> None:
    state = ScaleState(1.0, 0.0, weight=1.0)
    for n in range(1, 101):
        state = updated(state, 0.0, n * MEMORY_S / 100)
    assert state.high == pytest.approx(math.exp(-1) ** 2, rel=1e-9)


def test_a_burst_counts_for_little_more_than_a_lull() -> None:
    # Factors after a map of three times the strength, and after one of a third. With a plain mean,
    # the first change is three times as large.
    state = ScaleState(1.0, 0.0, weight=1.0)
    up, down = (updated(state, one, 0.04).high or 0 for one in (3.0, 1 / 3))
    assert 1 < math.log(up) / -math.log(down) < 2


@pytest.mark.parametrize("fps", [1, 5, 25, 60, 240])
def test_running_average_does_not_depend_on_the_frame_rate(fps: int) -> None:
    state = updated(ScaleState(), 4.0, 0.0)
    for n in range(1, 3 * fps + 1):
        state = updated(state, 9.0, n / fps)
    first, rest = math.exp(-1) * (1 - math.exp(-0.25 / 3)), 1 - math.exp(-1)
    assert MEMORY_S == 3
    assert state.high == pytest.approx(((2 * first + 3 * rest) / (first + rest)) ** 2, rel=1e-9)


def test_a_wrong_first_value_is_soon_outweighed() -> None:
    state = updated(ScaleState(), 0.01, 0.0)
    for n in range(1, 26):
        state = updated(state, 1.0, n / 25)
    # If it counted for three seconds, the result would be 0.13.
    assert 0.6 < (state.high or 0) < 1


def test_times_that_repeat_or_decrease_change_nothing() -> None:
    state = ScaleState(5.0, 2.0, weight=0.5)
    assert updated(state, 100.0, 2.0).high == pytest.approx(5.0, rel=1e-12)
    assert updated(state, 100.0, 1.0).high == pytest.approx(5.0, rel=1e-12)


def test_stable_scale_divides_by_the_running_average() -> None:
    scale, average = DisplayScale("stable"), RunningAverage()
    for n, high in enumerate([1.0, 3.0, 0.5, 2.0]):
        values = _noise(n, high)
        end = float(np.percentile(values, 99.8))
        remembered = average.after(end, 0.04)
        result = scale(values, n * 0.04)
        assert result.high == pytest.approx(remembered)
        # Not clipped: values above the upper end stay above 1.
        assert result.values == pytest.approx(values / remembered, rel=1e-5)
    assert _noise(2, 9.0).max() > result.high
    assert scale(_noise(2, 9.0), 0.16).values.max() > 2


def test_frame_scale_depends_on_one_frame_only() -> None:
    loud, quiet = _noise(0, 100.0), _noise(1, 0.01)
    scale = DisplayScale("frame")
    assert scale(loud, 0).high == pytest.approx(np.percentile(loud, 99.8))
    result = scale(quiet, 0.04)
    end = np.percentile(quiet, 99.8)
    assert result.high == pytest.approx(end)
    assert result.values == pytest.approx(quiet / end, rel=1e-5)
    assert (result.values >= 1).sum() == round(0.002 * quiet.size) + 1
    # Another order of the same frames gives the same maps.
    assert np.array_equal(DisplayScale("frame")(quiet, 7.0).values, result.values)


@given(npst.arrays(np.float32, (5, 7), elements=st.floats(-1e6, 1e6, width=32)))
@settings(deadline=None)
def test_minmax_is_the_direct_computation(values: Map) -> None:
    scale = DisplayScale("minmax")
    scale(np.array([[-5e6, 5e6]], np.float32), 0)
    result, shown_high, *_ = scale(values, 5.0)
    low, high = float(values.min()), float(values.max())
    assert shown_high == high
    if high - low > np.finfo(np.float32).tiny:
        exact = (values.astype(np.float64) - low) / (high - low)
        assert result == pytest.approx(exact, abs=1e-5)
        assert (result.min(), result.max()) == (0.0, 1.0)
    else:
        assert not result.any()


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-2, 0.5), (1, 1.25)])
def test_fixed_scale_is_the_same_for_every_map(low: float, high: float) -> None:
    scale = DisplayScale(f"fixed:{low:g},{high:g}", floor=9.0)
    for n, level in enumerate([1.0, 100.0, 0.01]):
        values = _noise(n, level) - np.float32(0.5)
        exact = np.maximum(0, (values.astype(np.float64) - low) / (high - low))
        result = scale(values, n)
        assert result.values == pytest.approx(exact, rel=1e-5, abs=1e-5)
        assert result.high == high


@pytest.mark.parametrize("mode", ["stable", "frame", "minmax", "fixed:0,1"])
@pytest.mark.parametrize("level", [0.0, -3.0])
def test_constant_maps_without_positive_values_give_zeros(mode: str, level: float) -> None:
    flat = np.full((4, 6), level, np.float32)
    scale = DisplayScale(mode)
    for time_s in (0, 1):
        result = scale(flat, time_s).values
        assert result.dtype == np.float32 and result.shape == (4, 6)
        assert np.array_equal(result, np.zeros((4, 6)))


def test_constant_maps_above_zero() -> None:
    flat = np.full((4, 6), 2.5, np.float32)
    assert np.array_equal(DisplayScale("minmax")(flat, 0).values, 0 * flat)
    assert np.array_equal(DisplayScale("frame")(flat, 0).values, 0 * flat + 1)
    assert np.array_equal(DisplayScale("fixed:0,10")(flat, 0).values, 0 * flat + 0.25)


@pytest.mark.parametrize("mode", MODES)
@given(
    values=npst.arrays(np.float32, (4, 5), elements=st.floats(-(2.0**100), 2.0**100, width=32)),
    before=npst.arrays(np.float32, (1, 2), elements=st.floats(0, 2.0**100, width=32)),
)
@settings(deadline=None)
def test_result_is_within_bounds_and_never_nan(mode: str, values: Map, before: Map) -> None:
    kept = values.copy()
    scale = DisplayScale(mode)
    scale(before, 0)
    result = scale(values, 0.04).values
    assert result.dtype == np.float32
    assert np.isfinite(result).all() and (result >= 0).all()
    shown = clipped(result)
    assert ((shown >= 0) & (shown <= 1)).all()
    assert np.array_equal(values, kept)


@pytest.mark.parametrize("mode", ["stable", "frame"])
def test_quiet_frame_stays_quiet(mode: str) -> None:
    noise = _noise(0, 0.2)
    scale = DisplayScale(mode, floor=0.5)
    result = scale(noise, 0)
    assert result.values == pytest.approx(noise / 0.5, abs=1e-6)
    assert result.high == 0.5
    loud = DisplayScale(mode, floor=0.5)(_noise(0, 20.0), 0).values
    assert clipped(loud).max() == 1 and loud.max() < 1.01


def _flicker(mode: str, maps: list[Map], cut: int | None = None) -> float:
    """Return the mean change of a scale over maps at 25 per second."""
    scale, flicker = DisplayScale(mode), Flicker()
    for n, values in enumerate(maps):
        flicker.after(scale(values, n / 25).high, is_cut=n == cut)
    return flicker.mean


def test_stable_flickers_less_than_frame() -> None:
    rng = np.random.default_rng(0)
    # One picture, whose strength and peaks vary as gradients do.
    picture = _noise(1)
    maps = [
        (picture + strength * rng.exponential(1.0, picture.shape) ** 3).astype(np.float32)
        for strength in 0.2 * rng.lognormal(0, 0.3, 100)
    ]
    ends = np.array([np.percentile(values, 99.8) for values in maps])
    changes = (np.abs(np.diff(ends)) / ends[:-1])[1:]
    assert changes.mean() > 0.2
    assert _flicker("frame", maps) == pytest.approx(changes.mean(), rel=1e-5)
    assert 0 < _flicker("stable", maps) < _flicker("frame", maps) / 5
    assert _flicker("fixed:0,1", maps) == 0


def test_flicker_in_closed_form() -> None:
    flicker = Flicker()
    assert flicker.mean == 0
    for high in (20.0, 2.0, 3.0, 1.5, 1.5):
        flicker.after(high, is_cut=False)
    # The first frame has no motion yet.
    assert flicker.mean == pytest.approx((0.5 + 0.5 + 0) / 3)


def test_cuts_and_scales_of_zero_do_not_count_as_flicker() -> None:
    flicker = Flicker()
    for n, high in enumerate((2.0, 2.0, 20.0, 40.0, 20.0, 0.0, 10.0)):
        flicker.after(high, is_cut=n == 2)
    assert flicker.mean == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("scale", "has_static", "expected"),
    [
        *[(mode, has, (mode,) * 3) for mode in MODES[:3] for has in (True, False)],
        ("fixed:0,2", True, ("fixed:0,2", "stable", "fixed:0,1")),
        ("fixed:0,2,0.1,0.5", True, ("fixed:0,2", "fixed:0.1,0.5", "fixed:0,1")),
    ],
)
def test_modes_of_the_three_maps(
    scale: str, has_static: bool, expected: tuple[str, str, str]
) -> None:
    assert scale_modes(scale, has_static=has_static) == expected


def test_without_a_network_a_fixed_scale_applies_to_the_speed() -> None:
    assert scale_modes("fixed:0,2", has_static=False)[1] == "fixed:0,2"
    assert scale_modes("fixed:0,2,0.1,0.5", has_static=False)[1] == "fixed:0.1,0.5"


def test_scaled_in_closed_form() -> None:
    values = np.array([[-1.0, 0.0, 1.0, 2.0, 3.0, 9.0]], np.float32)
    assert scaled(values, low=1, high=3).tolist() == [[0, 0, 0, 0.5, 1, 4]]
    assert clipped(scaled(values, low=1, high=3)).tolist() == [[0, 0, 0, 0.5, 1, 1]]
    assert scaled(values, low=-1, high=1).tolist() == [[0, 0.5, 1, 1.5, 2, 5]]
    assert scaled(values, low=2, high=2).tolist() == [[0] * 6]
    assert scaled(values, low=3, high=1).tolist() == [[0] * 6]
    assert scaled(values, low=0, high=math.nan).tolist() == [[0] * 6]


def test_values_far_above_a_scale_stay_finite() -> None:
    values = np.array([[0, 1e-30, 1e38]], np.float32)
    result = scaled(values, low=0, high=1e-30)
    assert result[0, :2].tolist() == [0, 1]
    # The highest contrast does not make it infinite.
    assert result[0, 2] == pytest.approx(1e3) and np.isfinite(result**10).all()


@pytest.mark.parametrize("strength", [0.01, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("power", [0.1, 1.0, 3.0, 10.0])
def test_contrast_keeps_the_strength_of_a_map(strength: float, power: float) -> None:
    values = (strength * np.array([[0, 0.1, 0.5, 1, 1.5, 1e6]])).astype(np.float32)
    values.setflags(write=False)
    result = contrasted(values, power, strength=strength)
    expected = strength * np.array([0, 0.1, 0.5, 1, 1.5, 1e3]) ** power
    assert result.dtype == np.float32 and np.isfinite(result).all()
    assert result[0] == pytest.approx(expected, rel=1e-4)


def test_contrast_of_a_map_without_strength_is_zero() -> None:
    assert not contrasted(np.ones((2, 3), np.float32), 3.0, strength=0.0).any()


def test_strength_compares_a_map_with_the_running_average() -> None:
    scale = DisplayScale("stable")
    picture = _noise()
    for n, strength in enumerate((1.0, 0.5, 2.0)):
        result = scale(strength * picture, n / 25)
        assert result.strength == pytest.approx(strength * upper_end(picture) / result.high)
    for mode in ("frame", "minmax", "fixed:0,1"):
        other = DisplayScale(mode)
        for n, strength in enumerate((1.0, 0.5)):
            assert other(strength * picture, n / 25).strength == 1


def test_clipped_limits_to_1_and_does_not_change_its_input() -> None:
    values = np.array([[0.0, 0.5, 1.0, 1.5]], np.float32)
    values.setflags(write=False)
    assert clipped(values).tolist() == [[0, 0.5, 1, 1]]
    assert clipped(values).dtype == np.float32


def test_upper_end_is_the_percentile_and_zero_for_empty_maps() -> None:
    ramp = np.arange(1001, dtype=np.float32)[None]
    assert upper_end(ramp) == pytest.approx(998.0)
    assert upper_end(ramp, percentile=99) == pytest.approx(990.0)
    assert upper_end(ramp, percentile=50) == 500.0
    assert upper_end(np.zeros((0, 4), np.float32)) == 0.0
    # An object smaller than the percentile still counts.
    small = np.zeros((100, 100), np.float32)
    small[3, 4] = 7
    assert upper_end(small) == 7.0
    assert upper_end(-small) == 0.0
    # A few outliers do not change it.
    values = np.ones((100, 100), np.float32)
    values[0, :5] = 1e6
    assert upper_end(values) == 1.0


@pytest.mark.parametrize("least", [0.0, 0.6])
def test_a_faint_map_is_shown_at_the_least_brightness(least: float) -> None:
    scale = DisplayScale("stable", faintest=least)
    bright, faint = np.full((8, 8), 5.0, np.float32), np.full((8, 8), 1.0, np.float32)
    for n in range(20):
        assert scale(bright, n / 10).values == pytest.approx(1)
    shown = scale(faint, 2.0)
    plain = DisplayScale("stable")
    for n in range(20):
        plain(bright, n / 10)
    remembered = plain(faint, 2.0).high
    assert remembered > 4
    assert shown.high == pytest.approx(min(remembered, 1 / least) if least else remembered)
    assert float(shown.values.max()) == pytest.approx(max(least, 1 / remembered))
    # The memory is the same, so that the next bright map is not clipped.
    assert scale(bright, 2.1).high == pytest.approx(plain(bright, 2.1).high)
    assert not scale(np.zeros((8, 8), np.float32), 2.2).values.any()


def test_what_is_left_in_a_fade_to_black_stays_dark() -> None:
    scale = DisplayScale("stable", faintest=0.6)
    for n in range(20):
        scale(np.full((8, 8), 5.0, np.float32), n / 10)
    shown = scale(np.full((8, 8), 0.001, np.float32), 2.0)
    assert 0 < shown.values.max() < 0.01
