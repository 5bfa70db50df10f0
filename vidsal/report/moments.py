"""The moments of a video with the highest peaks of a curve. Pure maths."""

import numpy as np
from numpy.typing import NDArray

# Smallest distance of two moments in seconds.
_APART_S = 1.0
# Largest number of moments: two rows of pictures, which a viewer can take in at a glance.
_MOST_MOMENTS = 8


def strongest_moments(
    strength: NDArray[np.float64], times_s: NDArray[np.float64], *, least: float
) -> list[int]:
    """Return the positions of the highest peaks of a curve, in order of time.

    A peak is a frame that no other frame within one second exceeds (non-maximum suppression). The
    eight highest peaks are returned.

    Parameters
    ----------
    strength : (n,) float64 array
        NaN where it is unknown.
    times_s : (n,) float64 array
        Increasing.
    least : float
        Lower peaks are left out.

    Returns
    -------
    list of int
        Ascending.
    """
    strength = np.nan_to_num(strength, nan=-np.inf)
    begins = np.searchsorted(times_s, times_s - _APART_S, side="right")
    ends = np.searchsorted(times_s, times_s + _APART_S, side="left")
    peaks = [
        n
        for n, (begin, end) in enumerate(zip(begins, ends, strict=True))
        # Of several equal frames, the first one is the peak.
        if strength[n] >= least and begin + int(np.argmax(strength[begin:end])) == n
    ]
    return sorted(sorted(peaks, key=lambda n: -strength[n])[:_MOST_MOMENTS])
