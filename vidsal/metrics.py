"""How well a map finds what people look at, or what moves. Pure maths.

Z. Bylinskii et al., "What do different evaluation metrics tell us about saliency models?", IEEE
TPAMI 41(3), 2019, https://doi.org/10.1109/TPAMI.2018.2815601
"""

import numpy as np
from numpy.typing import NDArray

from vidsal.frames import Map


def nss(saliency: Map, points: NDArray[np.floating]) -> float:
    """Return the normalised scanpath saliency: the z-scored map, averaged at the fixations.

    Parameters
    ----------
    saliency : (h, w) float32 array
    points : (n, 2) array
        Fixations as shares (row, column) of the picture, [0, 1).

    Returns
    -------
    float
        0 is chance; 0 also for a flat map, which says nothing.
    """
    deviation = float(saliency.std(dtype=np.float64))
    if deviation == 0:
        return 0.0
    return float((_at(saliency, points).mean() - saliency.mean(dtype=np.float64)) / deviation)


def auc_judd(saliency: Map, points: NDArray[np.floating]) -> float:
    """Return the area under the ROC of fixated pixels against all pixels; ties count half.

    See `nss` for the parameters.

    Returns
    -------
    float
        0.5 is chance.
    """
    ordered = np.sort(saliency, axis=None)
    values = _at(saliency, points)
    below = np.searchsorted(ordered, values, "left")
    not_above = np.searchsorted(ordered, values, "right")
    return float((below + not_above).mean() / 2 / len(ordered))


def pixel_auc(saliency: Map, mask: NDArray[np.bool_]) -> float:
    """Return the chance that a pixel of the object is more salient than one outside it.

    Parameters
    ----------
    saliency : (h, w) float32 array
    mask : (h, w) bool array

    Returns
    -------
    float
        0.5 is chance; ties count half.

    Raises
    ------
    ValueError
        If the mask is empty or full.
    """
    inside = saliency[mask]
    outside = np.sort(saliency[~mask])
    if not len(inside) or not len(outside):
        raise ValueError("mask must have pixels inside and outside")
    below = np.searchsorted(outside, inside, "left")
    not_above = np.searchsorted(outside, inside, "right")
    return float((below + not_above).mean(dtype=np.float64) / 2 / len(outside))


def _at(saliency: Map, points: NDArray[np.floating]) -> Map:
    """Return the values of a map at points given as shares of its sides."""
    height, width = saliency.shape
    rows = np.clip((points[:, 0] * height).astype(int), 0, height - 1)
    columns = np.clip((points[:, 1] * width).astype(int), 0, width - 1)
    return np.asarray(saliency[rows, columns])
