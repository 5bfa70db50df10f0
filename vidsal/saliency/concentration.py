"""How concentrated a saliency map is. Pure maths."""

import numpy as np

from vidsal.types import Map


def gini(saliency: Map) -> float:
    """Return the Gini coefficient of a map: how concentrated saliency is.

    It is 0 if all pixels are alike, and 1 - 1/n if one of n pixels has everything. It does not
    depend on the scale of the map. See N. Hurley, S. Rickard, "Comparing measures of sparsity",
    IEEE Transactions on Information Theory 55(10), 2009, https://doi.org/10.1109/TIT.2009.2027527.

    Parameters
    ----------
    saliency : (h, w) float32 array
        At least 0.

    Returns
    -------
    float
        0..1; NaN for a map of zeros.
    """
    ascending = np.sort(saliency, axis=None).astype(np.float64)
    total, n = ascending.sum(), ascending.size
    if not total > 0:
        return float("nan")
    return float((2 * np.arange(1, n + 1) - n - 1) @ ascending / (n * total))
