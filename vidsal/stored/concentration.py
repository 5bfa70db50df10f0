"""How concentrated a saliency map is. Pure maths."""

import numpy as np

from vidsal.types import Map


def half_area(saliency: Map) -> float:
    """Return the smallest share of the picture that holds half of the saliency.

    Parameters
    ----------
    saliency : (h, w) float32 array
        At least 0.

    Returns
    -------
    float
        0 to 0.5: near 0 for one bright place, 0.5 for an even map; NaN for a map of zeros.
    """
    highest_first = np.sort(saliency, axis=None)[::-1].astype(np.float64)
    sums = np.cumsum(highest_first)
    if not sums[-1] > 0:
        return float("nan")
    half = sums[-1] / 2
    # The pixels before the sum reaches one half, and the part of the next one that completes it.
    whole = int(np.searchsorted(sums, half))
    missing = half - (sums[whole - 1] if whole else 0.0)
    return float((whole + missing / highest_first[whole]) / saliency.size)
