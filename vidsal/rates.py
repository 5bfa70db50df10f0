"""Frame rates: from times, or a claim, to the fraction that is meant. Pure maths."""

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

# What frames that have neither times nor a rate are shown at.
USUAL_FPS = Fraction(25)
# Beyond this a claimed rate is a time base, not a rate.
FASTEST_FPS = 1000
# Rates that cameras and standards have; a measured rate this near to one of them is that one.
_STANDARD = (
    Fraction(24000, 1001), Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(30),
    Fraction(48), Fraction(50), Fraction(60000, 1001), Fraction(60), Fraction(120),
)  # fmt: skip
_NEAR = 2e-4
# Steps that differ by less than this are one rhythm; a rate that is less sure than this is taken as
# it was measured.
_JITTER, _UNSURE = 0.02, 5e-3
# Containers round times to a millisecond, or less.
_ROUNDED_S = Fraction(1, 1000)
# Nobody sees more frames a second than this, and no common player shows them.
_MOST_SHOWN = 120
# Frames may be repeated as often as this so that each is shown for as long as it is meant to be.
_MOST_REPEATED = 60


def measured_rate(
    ticks: NDArray[np.float64], tick_s: Fraction, *, claimed: Fraction
) -> tuple[Fraction, bool]:
    """Return the rate of frames at some times, and whether these are uneven.

    Parameters
    ----------
    ticks : (n,) float64 array
        At least two times, in order and not all one, in units of `tick_s`.
    tick_s : Fraction
        Seconds.
    claimed : Fraction
        Rate of the header; where it agrees with the times, it is more exact.
    """
    steps = np.diff(ticks)
    if (steps == steps[0]).all():
        exact = 1 / (Fraction(int(steps[0])) * tick_s)
        usual = _standard(claimed)
        # Two frames of milliseconds, 33 apart, are 30 a second and not 1000/33.
        if usual and abs(float(1 / (usual * tick_s)) - steps[0]) * len(steps) <= 1:
            return usual, False
        return (_standard(exact) or min(exact, Fraction(FASTEST_FPS))), False
    unit = int(np.gcd.reduce(steps.astype(np.int64)))
    if unit > 1 and unit * tick_s <= _ROUNDED_S:
        # What was rounded to milliseconds is so in a container of finer ticks, too.
        return measured_rate(ticks / unit, tick_s * unit, claimed=claimed)
    mean = 1 / (Fraction(int(ticks[-1] - ticks[0]), len(steps)) * tick_s)
    for rate in (claimed, mean):
        step = float(1 / (rate * tick_s))
        # Times are whole ticks, so each is up to one off; a drift is no rounding.
        if np.abs(ticks - ticks[0] - np.arange(len(ticks)) * step).max() <= max(1.0, 0.02 * step):
            return snapped(rate), False
    # At the greatest step of which all are multiples, every frame is shown in its own time.
    common = unit * tick_s
    if 1 / common <= _MOST_REPEATED:
        return snapped(1 / common), True
    return min(_usual_rate(steps, tick_s), Fraction(_MOST_SHOWN)), True


def _usual_rate(steps: NDArray[np.float64], tick_s: Fraction) -> Fraction:
    """Return the rate of the frames whose step is the usual one.

    A step of whole ticks is 33 or 34 ms for 30 a second: the mean of many is exact, but for a
    tick at both ends of each stretch of them.
    """
    # One of them, where a median may lie between two.
    middle = float(np.quantile(steps, 0.5, method="lower"))
    is_usual = np.abs(steps - middle) <= max(1.0, _JITTER * middle)
    stretches = 1 + int((np.diff(is_usual.astype(np.int8)) == 1).sum())
    total = float(steps[is_usual].sum())
    rate = int(is_usual.sum()) / (Fraction(total) * tick_s)
    near = _standard(rate, tolerance=min(_UNSURE, stretches / total))
    return near or snapped(rate)


def snapped(rate: Fraction | float) -> Fraction:
    """Return a rate as the fraction it stands for: 29.97002997 is 30000/1001.

    A rate that is none (0, infinite, or as high as a time base) becomes 25.
    """
    if not math.isfinite(rate) or not 0 < rate <= FASTEST_FPS:
        return USUAL_FPS
    return _standard(Fraction(rate)) or Fraction(rate).limit_denominator(1001)


def _standard(rate: Fraction, *, tolerance: float = 0.0) -> Fraction | None:
    """Return the standard rate that a rate stands for, if there is one."""
    near = min(_STANDARD, key=lambda one: abs(one - rate))
    return near if abs(near - rate) <= near * Fraction(max(_NEAR, tolerance)) else None
