"""Estimate frame rates from timestamps, and snap rates to standard fractions. Pure maths."""

import cmath
import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

# Frames without times and without a rate are shown at this rate.
USUAL_FPS = Fraction(25)
# A claimed rate above this is a time base, not a rate.
FASTEST_FPS = 1000
# Rates of cameras and standards. A rate this near to one of them, as a share, is taken for it.
_STANDARD = (
    Fraction(24000, 1001), Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(30),
    Fraction(48), Fraction(50), Fraction(60000, 1001), Fraction(60), Fraction(120),
)  # fmt: skip
_TOLERANCE = 2e-4
# Steps that differ by a smaller share than this are equal.
_JITTER = 0.02
# An uncertain rate is snapped by at most this share; beyond that it stays as measured.
_MOST_UNCERTAIN = 5e-3
# A period is accepted if random times would follow one with less than this probability.
_CHANCE = 1e-3
# Bins per step and number of steps of the periodogram (five hours at 30 frames per second), and
# rounds of the fit that follows.
_BINS_PER_STEP, _MOST_STEPS, _FIT_ROUNDS = 4, 2**19, 4
# Containers round times to a millisecond or less.
_ROUNDING_S = Fraction(1, 1000)
# No common player shows more frames per second. Slow motion may have more: at most this many times
# its mean rate, which is the typical rate if every second frame is missing.
_FASTEST_SHOWN_FPS, _MOST_MISSING = 120, 2
# Frames may be repeated up to this rate so that each is shown for its exact duration.
_FASTEST_REPEATED_FPS = 60


def measure_rate(
    ticks: NDArray[np.float64], tick_s: Fraction, *, claimed: Fraction
) -> tuple[Fraction, bool]:
    """Return the frame rate of a list of times, and whether it is variable.

    Parameters
    ----------
    ticks : (n,) float64 array
        At least two times in increasing order, not all equal, in units of `tick_s`.
    tick_s : Fraction
        Seconds per tick.
    claimed : Fraction
        Rate in the header. It is more exact than the times where both agree.

    Returns
    -------
    rate : Fraction
        Frames per second.
    is_variable : bool
    """
    steps = np.diff(ticks)
    if (steps == steps[0]).all():
        return _constant_rate(float(steps[0]), len(steps), tick_s, claimed), False
    common = int(np.gcd.reduce(steps.astype(np.int64)))
    if common > 1 and common * tick_s <= _ROUNDING_S:
        # Times that were rounded to milliseconds stay so in a container of finer ticks.
        return measure_rate(ticks / common, tick_s * common, claimed=claimed)
    mean = 1 / (Fraction(int(ticks[-1] - ticks[0]), len(steps)) * tick_s)
    for rate in (claimed, mean):
        step = float(1 / (rate * tick_s))
        # Times are whole ticks, so each may be off by one. A drift is not a rounding error.
        if np.abs(ticks - ticks[0] - np.arange(len(ticks)) * step).max() <= max(1.0, 0.02 * step):
            return snap_rate(rate), False
    # With the greatest common step, every frame is shown at its exact time.
    if 1 / (common * tick_s) <= _FASTEST_REPEATED_FPS:
        return snap_rate(1 / (common * tick_s)), True
    fastest = max(Fraction(_FASTEST_SHOWN_FPS), min(_MOST_MISSING * mean, Fraction(FASTEST_FPS)))
    return min(_typical_rate(steps, tick_s), snap_rate(fastest)), True


def _constant_rate(step: float, count: int, tick_s: Fraction, claimed: Fraction) -> Fraction:
    """Return the rate of `count` equal steps, in ticks."""
    exact = 1 / (Fraction(int(step)) * tick_s)
    standard = _standard(claimed)
    # Two frames at milliseconds 0 and 33 have a rate of 30, not of 1000/33.
    if standard and abs(float(1 / (standard * tick_s)) - step) * count <= 1:
        return standard
    return _standard(exact) or min(exact, Fraction(FASTEST_FPS))


def _typical_rate(steps: NDArray[np.float64], tick_s: Fraction) -> Fraction:
    """Return the rate of the frames at the most frequent step.

    Either the times are periodic, with jitter and missing frames, or most steps are equal and the
    phase changes at each gap. The hypothesis that explains more frames wins.
    """
    # `method="lower"` returns one of the steps; a plain median may lie between two.
    median = float(np.quantile(steps, 0.5, method="lower"))
    is_typical = np.abs(steps - median) <= max(1.0, _JITTER * median)
    step, uncertainty, share = _period(steps, median)
    if share <= is_typical.mean():
        # At 30 frames per second, steps are 33 or 34 ms. The mean of many is exact, except for one
        # tick at both ends of each run of typical steps.
        total = float(steps[is_typical].sum())
        step = Fraction(total) / int(is_typical.sum())
        uncertainty = (1 + int((np.diff(is_typical.astype(np.int8)) == 1).sum())) / total
    rate, uncertainty = 1 / (step * tick_s), min(_MOST_UNCERTAIN, uncertainty)
    whole = round(rate)
    # Rates that are not standard, such as 15, are mostly whole numbers.
    is_whole = whole > 0 and abs(whole - rate) <= rate * Fraction(uncertainty)
    return _standard(rate, tolerance=uncertainty) or (
        Fraction(whole) if is_whole else snap_rate(rate)
    )


def _period(steps: NDArray[np.float64], median: float) -> tuple[Fraction, float, float]:
    """Return the period of the times, its relative uncertainty, and the share of periodic frames.

    The share is the mean resultant length of the times' phases (circular statistics), which does
    not depend on missing frames: 1 if all times are exact multiples of the period, 0.3 if they
    deviate by a quarter of it. It is 0 if random times could reach it.

    Parameters
    ----------
    steps : (n,) float64 array
    median : float
        Median step. The period is nearer to it than to its double or its half.
    """
    times = np.concatenate([[0.0], np.cumsum(steps)])
    times = times[times <= _MOST_STEPS * median]
    length = float(times[-1]) / median
    # So many periods can be distinguished, and random times may match one of them by chance.
    threshold = math.log(max(length, 1) / _CHANCE)
    if min(length, len(times)) <= threshold:
        return Fraction(median), 0.0, 0.0
    step, residuals = _fit_period(times, _strongest_period(times, median))
    share = abs(_mean_phasor(times, step))
    # A drift from end to end below the frames' own jitter is not significant.
    uncertainty = float(np.ptp(residuals) / times[-1])
    return Fraction(step), uncertainty, share if len(times) * share**2 > threshold else 0.0


def _strongest_period(times: NDArray[np.float64], median: float) -> float:
    """Return the strongest period near `median`, exact to half a period over all times."""
    counts = np.bincount((times * (_BINS_PER_STEP / median)).astype(np.int64))
    size = 2 ** math.ceil(math.log2(2 * len(counts)))
    expected = size / _BINS_PER_STEP
    slowest, fastest = int(expected / math.sqrt(2)), math.ceil(expected * math.sqrt(2))
    strength = np.abs(np.fft.rfft(counts, size)[slowest : fastest + 1])
    return float(median * expected / (slowest + int(strength.argmax())))


def _fit_period(times: NDArray[np.float64], step: float) -> tuple[float, NDArray[np.float64]]:
    """Return the least-squares period of the times, and the residual of each time."""
    begin = cmath.phase(_mean_phasor(times, step)) / (2 * math.pi) * step
    for _ in range(_FIT_ROUNDS):
        # Fit a line through the times, each at the number of its nearest period.
        numbers = np.rint((times - begin) / step)
        centered = numbers - numbers.mean()
        step = float(centered @ times / (centered @ centered))
        begin = float(times.mean() - step * numbers.mean())
    return step, times - begin - numbers * step


def _mean_phasor(times: NDArray[np.float64], step: float) -> complex:
    """Return the mean of exp(2 pi i t / step) over the times."""
    return complex(np.exp(2j * np.pi / step * times).mean())


def snap_rate(rate: Fraction | float) -> Fraction:
    """Return the fraction that a rounded rate stands for: 30000/1001 for 29.97002997.

    Parameters
    ----------
    rate : Fraction or float
        Frames per second.

    Returns
    -------
    Fraction
        `USUAL_FPS` for an invalid rate: 0 or less, above `FASTEST_FPS`, infinite or NaN.
    """
    if not math.isfinite(rate) or not 0 < rate <= FASTEST_FPS:
        return USUAL_FPS
    if rate < 1:
        # Slow rates have a simple step, not a simple rate.
        return 1 / (1 / Fraction(rate)).limit_denominator(1001)
    return _standard(Fraction(rate)) or Fraction(rate).limit_denominator(1001)


def _standard(rate: Fraction, *, tolerance: float = 0.0) -> Fraction | None:
    """Return the standard rate near a rate, if there is one."""
    near = min(_STANDARD, key=lambda one: abs(one - rate))
    return near if abs(near - rate) <= near * Fraction(max(_TOLERANCE, tolerance)) else None
