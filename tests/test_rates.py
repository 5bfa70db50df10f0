"""Rates from times, and from claims."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidsal.rates import measured_rate, snapped

FILM = Fraction(24000, 1001)


def test_an_hour_of_milliseconds_is_no_variable_rate() -> None:
    ticks = np.asarray(np.rint(np.arange(107_892) * 1001 / 30), np.float64)
    rate, is_variable = measured_rate(ticks, Fraction(1, 1000), claimed=Fraction(2997, 100))
    assert (rate, is_variable) == (Fraction(30000, 1001), False)


@pytest.mark.parametrize("rate", [FILM, Fraction(25), Fraction(30), Fraction(60000, 1001)])
def test_a_rate_of_rounded_times_with_gaps_is_the_one_it_was(rate: Fraction) -> None:
    ticks = np.asarray(np.rint(np.arange(300) * 1000 / float(rate)), np.float64)
    # Five frames are missing in each of five places.
    kept = ticks[[n for n in range(300) if not 40 <= n % 60 < 45]]
    assert measured_rate(kept, Fraction(1, 1000), claimed=Fraction(1000)) == (rate, True)


@pytest.mark.parametrize("tick_s", [Fraction(1, 16000), Fraction(1, 90000)])
@pytest.mark.parametrize("rate", [Fraction(60), Fraction(60000, 1001)])
def test_milliseconds_in_finer_ticks_are_roundings_too(rate: Fraction, tick_s: Fraction) -> None:
    # As of a recording that was put from one container into another.
    milliseconds = np.rint(np.arange(1200) * 1000 / float(rate))
    ticks = np.asarray(milliseconds * float(1 / tick_s) / 1000, np.float64)
    assert measured_rate(ticks, tick_s, claimed=Fraction(1000, 17)) == (rate, False)


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=9))
def test_any_steps_have_a_rate(steps: list[int]) -> None:
    ticks = np.cumsum([0, *steps]).astype(np.float64)
    rate, is_variable = measured_rate(ticks, Fraction(1, 1000), claimed=Fraction(25))
    assert 0 < rate <= 1000
    # A frame stands for as long as one of the steps says, or a common measure of them.
    assert not is_variable or float(1 / rate) * 1000 <= max(steps) * 1.02 + 1


def test_odd_steps_are_what_they_are() -> None:
    ticks = np.asarray(np.arange(30) * 7, np.float64)
    assert measured_rate(ticks, Fraction(1, 100), claimed=Fraction(1429, 100)) == (
        Fraction(100, 7),
        False,
    )


@given(st.integers(1, 240), st.booleans())
def test_whole_rates_and_their_film_kin_are_kept(number: int, is_film: bool) -> None:
    rate = Fraction(number * 1000, 1001) if is_film else Fraction(number)
    assert snapped(float(rate)) == rate
