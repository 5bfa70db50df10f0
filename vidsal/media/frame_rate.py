"""Frame rates: from times, or a claim, to the fraction that is meant. Pure maths."""

import cmath
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
# A beat is one if chance has less than this probability to make it of random times.
_CHANCE = 1e-3
# It is sought in so many bins a step, in so many steps (five hours of 30 a second), and found
# exactly in so many rounds.
_FINE, _MOST_STEPS, _ROUNDS = 4, 2**19, 4
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

    Frames may follow a beat, each a little early or late, or some left out; or most steps are one
    and the same, and begin anew after each gap. What is true of more frames is taken.
    """
    # One of them, where a median may lie between two.
    middle = float(np.quantile(steps, 0.5, method="lower"))
    is_usual = np.abs(steps - middle) <= max(1.0, _JITTER * middle)
    step, unsure, share = _beat(steps, middle)
    if share <= is_usual.mean():
        # A step of whole ticks is 33 or 34 ms for 30 a second: the mean of many is exact, but for
        # a tick at both ends of each stretch of them.
        total = float(steps[is_usual].sum())
        step = Fraction(total) / int(is_usual.sum())
        unsure = (1 + int((np.diff(is_usual.astype(np.int8)) == 1).sum())) / total
    rate, unsure = 1 / (step * tick_s), min(_UNSURE, unsure)
    whole = round(rate)
    # Less usual rates, such as 15, are mostly whole ones.
    is_whole = whole > 0 and abs(whole - rate) <= rate * Fraction(unsure)
    return _standard(rate, tolerance=unsure) or (Fraction(whole) if is_whole else snapped(rate))


def _beat(steps: NDArray[np.float64], middle: float) -> tuple[Fraction, float, float]:
    """Return the step of an even beat that frames follow, how unsure that is, and how many do.

    How many is the length of the mean of the times as turns of the beat, which missing frames do
    not change: 1 where all are in time, 0.3 where they stray by a quarter of a step. It is 0 where
    random times could do as well.

    Parameters
    ----------
    steps : (n,) float64 array
    middle : float
        The usual one; the beat's is nearer to it than to its double or its half.
    """
    times = np.concatenate([[0.0], np.cumsum(steps)])
    times = times[times <= _MOST_STEPS * middle]
    length = float(times[-1]) / middle
    # So many rates can be told apart, one of which random times may follow by chance.
    proof = math.log(max(length, 1) / _CHANCE)
    if min(length, len(times)) <= proof:
        return Fraction(middle), 0.0, 0.0
    step, late = _fitted(times, _strongest_beat(times, middle))
    share = abs(_mean_turn(times, step))
    # A drift from end to end that is less than what frames stray anyway is none.
    unsure = float(np.ptp(late) / times[-1])
    return Fraction(step), unsure, share if len(times) * share**2 > proof else 0.0


def _strongest_beat(times: NDArray[np.float64], middle: float) -> float:
    """Return the step, to a half of itself over all times, of the beat that most frames follow."""
    counts = np.bincount((times * (_FINE / middle)).astype(np.int64))
    size = 2 ** math.ceil(math.log2(2 * len(counts)))
    usual = size / _FINE
    slowest, fastest = int(usual / math.sqrt(2)), math.ceil(usual * math.sqrt(2))
    strength = np.abs(np.fft.rfft(counts, size)[slowest : fastest + 1])
    return float(middle * usual / (slowest + int(strength.argmax())))


def _fitted(times: NDArray[np.float64], step: float) -> tuple[float, NDArray[np.float64]]:
    """Return the step of a beat by all frames that follow it, and how late each of them is."""
    begin = cmath.phase(_mean_turn(times, step)) / (2 * math.pi) * step
    for _ in range(_ROUNDS):
        # A straight line through the times, each at the number of the beat that is nearest to it.
        numbers = np.rint((times - begin) / step)
        apart = numbers - numbers.mean()
        step = float(apart @ times / (apart @ apart))
        begin = float(times.mean() - step * numbers.mean())
    return step, times - begin - numbers * step


def _mean_turn(times: NDArray[np.float64], step: float) -> complex:
    """Return the mean of times on a circle that turns once in a step."""
    return complex(np.exp(2j * np.pi / step * times).mean())


def snapped(rate: Fraction | float) -> Fraction:
    """Return a rate as the fraction it stands for: 29.97002997 is 30000/1001.

    A rate that is none (0, infinite, or as high as a time base) becomes 25.
    """
    if not math.isfinite(rate) or not 0 < rate <= FASTEST_FPS:
        return USUAL_FPS
    if rate < 1:
        # Of slow ones it is the step that is simple.
        return 1 / (1 / Fraction(rate)).limit_denominator(1001)
    return _standard(Fraction(rate)) or Fraction(rate).limit_denominator(1001)


def _standard(rate: Fraction, *, tolerance: float = 0.0) -> Fraction | None:
    """Return the standard rate that a rate stands for, if there is one."""
    near = min(_STANDARD, key=lambda one: abs(one - rate))
    return near if abs(near - rate) <= near * Fraction(max(_NEAR, tolerance)) else None
