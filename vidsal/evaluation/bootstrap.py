"""Means, with the interval in which they would lie for other samples. Pure maths."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_RESAMPLES = 2000


class Interval(NamedTuple):
    """A mean and the 95 % interval of its bootstrap."""

    mean: float
    low: float
    high: float


def bootstrap(values: NDArray[np.floating] | list[float], seed: int = 0) -> Interval:
    """Return the mean of values and the interval in which it lies in 95 % of resamples."""
    sample = np.asarray(values, np.float64)
    draws = np.random.default_rng(seed).integers(0, len(sample), (_RESAMPLES, len(sample)))
    low, high = np.percentile(sample[draws].mean(axis=1), [2.5, 97.5])
    return Interval(float(sample.mean()), float(low), float(high))
