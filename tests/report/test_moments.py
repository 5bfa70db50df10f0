"""Peaks of a curve."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidsal.report.moments import strongest_moments


def hills(*peaks: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """A curve of 10 s with a narrow hill at each time, of some height."""
    times = np.arange(250) / 25
    return sum((h * np.exp(-(((times - t) / 0.1) ** 2)) for t, h in peaks), np.zeros(250)), times


def test_peaks_within_a_second_of_a_higher_one_are_left_out() -> None:
    strength, times = hills((1, 0.5), (1.6, 0.9), (4, 0.2), (8, 0.3), (9.5, 0.01))
    assert times[strongest_moments(strength, times, least=0.03)] == pytest.approx([1.6, 4, 8])


def test_the_eight_highest_peaks_are_returned_in_order_of_time() -> None:
    heights = [0.5, 0.9, 0.1, 0.8, 0.7, 0.2, 0.6, 0.4, 0.3, 1.0]
    times = np.arange(1000) / 50
    strength = np.zeros(1000)
    places = [50 + 100 * n for n in range(10)]
    strength[places] = heights
    kept = [place for place, height in zip(places, heights, strict=True) if height > 0.2]
    assert strongest_moments(strength, times, least=0.03) == kept


def test_unknown_values_and_plateaus() -> None:
    times = np.arange(100) / 25
    strength = np.full(100, 0.5)
    strength[0] = np.nan
    # Of equal values within a second the first one counts.
    assert strongest_moments(strength, times, least=0.03) == [1]
    assert strongest_moments(np.full(100, np.nan), times, least=0.03) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=80))
def test_moments_are_apart_and_none_is_higher_near_them(values: list[float]) -> None:
    strength, times = np.array(values), np.arange(len(values)) / 10
    found = strongest_moments(strength, times, least=0.1)
    assert len(found) <= 8 and found == sorted(found)
    assert all(times[b] - times[a] >= 1 - 1e-9 for a, b in pairwise(found))
    for one in found:
        near = strength[np.abs(times - times[one]) < 1 - 1e-9]
        assert strength[one] == near.max() >= 0.1
    assert bool(found) == bool(strength.max() >= 0.1)
