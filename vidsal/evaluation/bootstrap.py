"""Means with bootstrap confidence intervals. Pure maths.

B. Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7(1), 1979,
https://doi.org/10.1214/aos/1176344552
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_RESAMPLES = 2000


class Interval(NamedTuple):
    """A mean and its 95 % bootstrap interval.

    Attributes
    ----------
    mean, low, high : float
    """

    mean: float
    low: float
    high: float


def bootstrap(values: NDArray[np.floating] | list[float], seed: int = 0) -> Interval:
    """Return the mean of values and its 95 % percentile interval over 2000 resamples.

    Parameters
    ----------
    values : (n,) array or list of float
        At least one.
    seed : int
        Decides the resamples.
    """
    sample = np.asarray(values, np.float64)
    draws = np.random.default_rng(seed).integers(0, len(sample), (_RESAMPLES, len(sample)))
    low, high = np.percentile(sample[draws].mean(axis=1), [2.5, 97.5])
    return Interval(float(sample.mean()), float(low), float(high))
