"""Scale: the memory in closed form, its independence of the frame rate, and no NaN anywhere."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from vidsal.frames import Map
from vidsal.scaling import MEMORY_S, ScaleState, remember, scaled, to_unit, upper_end
from vidsal.settings import Scale

Mode = Literal["stable", "frame", "minmax"]


def _noise(seed: int = 0, high: float = 1.0) -> Map:
    return (high * np.random.default_rng(seed).random((30, 40))).astype(np.float32)


def test_first_value_is_taken_as_it_is() -> None:
    assert remember(ScaleState(), 7.0, 3.5) == ScaleState(7.0, 3.5)


def test_memory_in_closed_form() -> None:
    state = ScaleState()
    values, times = [4.0, 1.0, 9.0, 9.0], [0.0, 0.5, 0.6, 3.0]
    expected = values[0]
    for n, (value, time_s) in enumerate(zip(values, times, strict=True)):
        state = remember(state, value, time_s)
        if n:
            weight = math.exp(-(time_s - times[n - 1]) / MEMORY_S)
            expected = weight * expected + (1 - weight) * value
        assert state.high == pytest.approx(expected, rel=1e-12)
        assert state.time_s == time_s


def test_after_a_step_two_thirds_are_forgotten_in_the_memory_time() -> None:
    state = remember(ScaleState(), 1.0, 0.0)
    for n in range(1, 101):
        state = remember(state, 0.0, n * MEMORY_S / 100)
    assert state.high == pytest.approx(math.exp(-1), rel=1e-9)


@pytest.mark.parametrize("fps", [1, 5, 25, 60, 240])
def test_memory_does_not_depend_on_the_frame_rate(fps: int) -> None:
    state = remember(ScaleState(), 2.0, 0.0)
    for n in range(1, 3 * fps + 1):
        state = remember(state, 10.0, n / fps)
    assert state.high == pytest.approx(10 - 8 * math.exp(-3 / MEMORY_S), rel=1e-9)


def test_time_that_stands_still_or_runs_back_changes_nothing() -> None:
    state = ScaleState(5.0, 2.0)
    assert remember(state, 100.0, 2.0).high == 5.0
    assert remember(state, 100.0, 1.0).high == 5.0


def test_stable_scale_divides_by_the_remembered_end() -> None:
    state, remembered = ScaleState(), None
    for n, high in enumerate([1.0, 3.0, 0.5, 2.0]):
        values = _noise(n, high)
        end = float(np.percentile(values, 99))
        weight = 0.0 if remembered is None else math.exp(-0.04 / MEMORY_S)
        remembered = weight * (remembered or 0.0) + (1 - weight) * end
        result, state = to_unit(values, state, time_s=n * 0.04, mode="stable")
        assert result == pytest.approx(np.clip(values / remembered, 0, 1), abs=1e-6)


def test_frame_scale_is_the_frames_own_and_keeps_its_order() -> None:
    loud, quiet = _noise(0, 100.0), _noise(1, 0.01)
    _, state = to_unit(loud, ScaleState(), time_s=0, mode="frame")
    result, _ = to_unit(quiet, state, time_s=0.04, mode="frame")
    assert result == pytest.approx(np.clip(quiet / np.percentile(quiet, 99), 0, 1), abs=1e-6)
    assert (result == 1).mean() == pytest.approx(0.01, abs=0.002)


@given(npst.arrays(np.float32, (5, 7), elements=st.floats(-1e6, 1e6, width=32)))
@settings(deadline=None)
def test_minmax_is_the_direct_computation(values: Map) -> None:
    state = ScaleState(123.0, 4.0)
    result, after = to_unit(values, state, time_s=5.0, mode="minmax")
    low, high = float(values.min()), float(values.max())
    if high - low > 1e-30:
        exact = (values.astype(np.float64) - low) / (high - low)
        assert result == pytest.approx(exact, abs=1e-5)
        assert (result.min(), result.max()) == (0.0, 1.0)
    else:
        assert not result.any()
    assert after == state


@pytest.mark.parametrize("mode", get_args(Scale))
@pytest.mark.parametrize("level", [0.0, -3.0])
def test_maps_without_anything_in_them_give_zeros(mode: Mode, level: float) -> None:
    flat = np.full((4, 6), level, np.float32)
    result, state = to_unit(flat, ScaleState(), time_s=0, mode=mode)
    assert result.dtype == np.float32 and result.shape == (4, 6)
    assert np.array_equal(result, np.zeros((4, 6)))
    again, _ = to_unit(flat, state, time_s=1, mode=mode)
    assert np.array_equal(again, np.zeros((4, 6)))


def test_flat_map_above_zero_is_all_there_is_or_nothing() -> None:
    flat = np.full((4, 6), 2.5, np.float32)
    assert np.array_equal(to_unit(flat, ScaleState(), time_s=0, mode="minmax")[0], 0 * flat)
    assert np.array_equal(to_unit(flat, ScaleState(), time_s=0, mode="frame")[0], 0 * flat + 1)


@pytest.mark.parametrize("mode", get_args(Scale))
@given(
    values=npst.arrays(np.float32, (4, 5), elements=st.floats(-(2.0**100), 2.0**100, width=32)),
    high=st.none() | st.floats(0, 2.0**100),
)
@settings(deadline=None)
def test_result_is_within_bounds_and_never_nan(mode: Mode, values: Map, high: float | None) -> None:
    kept = values.copy()
    result, _ = to_unit(values, ScaleState(high, 0.0), time_s=0.04, mode=mode)
    assert result.dtype == np.float32
    assert ((result >= 0) & (result <= 1)).all()
    assert np.array_equal(values, kept)


@pytest.mark.parametrize("mode", ["stable", "frame"])
def test_quiet_frame_stays_quiet(mode: Mode) -> None:
    noise = _noise(0, 0.2)
    result, _ = to_unit(noise, ScaleState(), time_s=0, mode=mode, floor=0.5)
    assert result == pytest.approx(noise / 0.5, abs=1e-6)
    loud, _ = to_unit(_noise(0, 20.0), ScaleState(), time_s=0, mode=mode, floor=0.5)
    assert loud.max() == 1


def test_stable_flickers_less_than_frame() -> None:
    rng = np.random.default_rng(0)
    picture = _noise(1)
    # The same picture, whose strength jumps about as gradients do from frame to frame.
    strengths = rng.lognormal(0, 0.3, 100)

    def flicker(mode: Mode) -> float:
        """Mean change between frames of what is not the picture's own strength."""
        state, means = ScaleState(), []
        for n, strength in enumerate(strengths):
            noise = rng.exponential(1.0, picture.shape) ** 3
            values = (picture + 0.2 * strength * noise).astype(np.float32)
            result, state = to_unit(values, state, time_s=n / 25, mode=mode)
            means.append(float(np.median(result)))
        return float(np.abs(np.diff(means[25:])).mean())

    stable, frame = flicker("stable"), flicker("frame")
    assert 0 < stable < 0.5 * frame


def test_scaled_in_closed_form() -> None:
    values = np.array([[-1.0, 0.0, 1.0, 2.0, 3.0, 9.0]], np.float32)
    assert scaled(values, low=1, high=3).tolist() == [[0, 0, 0, 0.5, 1, 1]]
    assert scaled(values, low=2, high=2).tolist() == [[0] * 6]
    assert scaled(values, low=0, high=math.nan).tolist() == [[0] * 6]


def test_upper_end_is_the_percentile_and_zero_for_nothing() -> None:
    assert upper_end(np.arange(101, dtype=np.float32)[None]) == 99.0
    assert upper_end(np.arange(101, dtype=np.float32)[None], percentile=50) == 50.0
    assert upper_end(np.zeros((0, 4), np.float32)) == 0.0
    # What is smaller than a percentile of the picture is not lost.
    small = np.zeros((100, 100), np.float32)
    small[3, 4] = 7
    assert upper_end(small) == 7.0
    assert upper_end(-small) == 0.0
    # A few wild pixels do not move it.
    values = np.ones((100, 100), np.float32)
    values[0, :5] = 1e6
    assert upper_end(values) == 1.0
