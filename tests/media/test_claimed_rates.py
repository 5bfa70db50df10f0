"""Rates that headers claim become exact ones."""

import math
from fractions import Fraction

import pytest

from vidsal.media.frame_rate import snap_rate


@pytest.mark.parametrize(
    ("claimed", "meant"),
    [
        (24000 / 1001, Fraction(24000, 1001)),
        (30000 / 1001, Fraction(30000, 1001)),
        (60000 / 1001, Fraction(60000, 1001)),
        (29.97002997, Fraction(30000, 1001)),
        (25.0, Fraction(25)),
        (12.5, Fraction(25, 2)),
        (1000 / 33, Fraction(1000, 33)),
        (1.0, Fraction(1)),
        (0.0, Fraction(25)),
        (-1.0, Fraction(25)),
        (math.nan, Fraction(25)),
        (math.inf, Fraction(25)),
        (1e6, Fraction(25)),
    ],
)
def test_exact_rate(claimed: float, meant: Fraction) -> None:
    assert snap_rate(claimed) == meant
