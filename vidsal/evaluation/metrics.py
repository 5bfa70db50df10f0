"""How well a map finds what people look at, or where objects are. Pure maths.

The measures of gaze follow
Z. Bylinskii et al., "What do different evaluation metrics tell us about saliency models?", IEEE
TPAMI 41(3), 2019, https://doi.org/10.1109/TPAMI.2018.2815601
"""

import numpy as np
from numpy.typing import NDArray

from vidsal.runtime.opencv import cv2
from vidsal.types import Map

# Standard deviation of a fixation, as a share of the picture's width.
_DEGREE = 0.03
# Standard deviation of the smoothing before a peak is looked for, as a share of the longer side:
# of two peaks the one that is not a single pixel's is meant.
_PEAK = 0.01
_BETA2 = 0.3
_EPSILON = float(np.finfo(np.float64).eps)


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
    return _area(_at(saliency, points), np.sort(saliency, axis=None))


def shuffled_auc(
    saliency: Map, points: NDArray[np.floating], others: NDArray[np.floating]
) -> float:
    """Return the area under the ROC of fixated pixels against pixels fixated in other pictures.

    What holds for every picture, such as that people look at the middle, earns nothing here.
    L. Zhang et al., "SUN: A Bayesian framework for saliency using natural statistics", Journal of
    Vision 8(7), 2008, https://doi.org/10.1167/8.7.32

    Parameters
    ----------
    saliency : (h, w) float32 array
    points, others : (n, 2), (m, 2) array
        Fixations on this picture and on others, as shares (row, column), [0, 1).

    Returns
    -------
    float
        0.5 is chance; ties count half.
    """
    return _area(_at(saliency, points), np.sort(_at(saliency, others)))


def density(points: NDArray[np.floating], size: tuple[int, int]) -> Map:
    """Return how likely each pixel is to be fixated: a Gaussian around each fixation.

    Its standard deviation is 0.03 of the width, about a degree of the eye at a usual distance.

    Parameters
    ----------
    points : (n, 2) array
        Fixations as shares (row, column), [0, 1); at least one.
    size : (int, int)
        Height and width.

    Returns
    -------
    (h, w) float32 array
        Sums to 1.
    """
    counts = np.zeros(size, np.float32)
    np.add.at(counts, _pixels(points, size), np.float32(1))
    blurred = cv2.GaussianBlur(counts, (0, 0), _DEGREE * size[1], borderType=cv2.BORDER_CONSTANT)
    return np.asarray(blurred / blurred.sum(), np.float32)


def cc(saliency: Map, truth: Map) -> float:
    """Return Pearson's correlation of a map with a fixation density, -1..1; 0 for a flat map."""
    if saliency.min() == saliency.max() or truth.min() == truth.max():
        return 0.0
    pair = np.corrcoef(saliency.ravel().astype(np.float64), truth.ravel().astype(np.float64))
    return float(pair[0, 1])


def similarity(saliency: Map, truth: Map) -> float:
    """Return SIM, the overlap of a map and a fixation density as histograms, 0..1."""
    return float(np.minimum(_distribution(saliency), _distribution(truth)).sum())


def kl(saliency: Map, truth: Map) -> float:
    """Return the Kullback-Leibler divergence of a map from a fixation density, 0 for equal ones.

    In nats, with the regularisation of the MIT benchmark (equation 10 of the paper above), whose
    constant bounds what a zero under a fixation costs.
    """
    of, by = _distribution(truth), _distribution(saliency)
    return float((of * np.log(_EPSILON + of / (by + _EPSILON))).sum())


def _distribution(values: Map) -> NDArray[np.float64]:
    """Return a map as shares that sum to 1; a flat one is the even distribution."""
    above = values.astype(np.float64) - min(0.0, float(values.min()))
    total = above.sum()
    return above / total if total > 0 else np.full(values.shape, 1 / values.size)


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
    return _area(inside, outside)


def mean_absolute_error(saliency: Map, mask: NDArray[np.bool_]) -> float:
    """Return the mean distance of a map from a mask's 0 and 1; 0 is perfect."""
    return float(np.abs(_stretched(saliency) - mask).mean(dtype=np.float64))


def max_f(saliency: Map, mask: NDArray[np.bool_]) -> float:
    """Return the largest F-measure over 256 thresholds, precision weighing more (beta^2 = 0.3).

    R. Achanta et al., "Frequency-tuned salient region detection", CVPR 2009,
    https://doi.org/10.1109/CVPR.2009.5206596

    Parameters
    ----------
    saliency : (h, w) float32 array
        In [0, 1].
    mask : (h, w) bool array

    Returns
    -------
    float
        0..1; 0 for an empty mask.
    """
    levels = np.asarray(_stretched(saliency) * 255, np.uint8)
    hits, all_above = (
        np.bincount(levels[where], minlength=256)[::-1].cumsum()
        for where in (mask, np.ones_like(mask))
    )
    precision, recall = hits / np.maximum(all_above, 1), hits / max(1, np.count_nonzero(mask))
    below = np.maximum(_BETA2 * precision + recall, np.finfo(np.float64).tiny)
    return float(((1 + _BETA2) * precision * recall / below).max())


def s_measure(saliency: Map, mask: NDArray[np.bool_]) -> float:
    """Return the structure measure: how well regions and the object as a whole are met, 0..1.

    D. Fan et al., "Structure-measure: A new way to evaluate foreground maps", ICCV 2017,
    https://doi.org/10.1109/ICCV.2017.487

    Parameters
    ----------
    saliency : (h, w) float32 array
        In [0, 1].
    mask : (h, w) bool array
    """
    shares = _stretched(saliency).astype(np.float64)
    covered = float(mask.mean())
    if covered in (0.0, 1.0):
        return float(shares.mean()) if covered else 1 - float(shares.mean())
    whole = covered * _evenness(shares[mask]) + (1 - covered) * _evenness(1 - shares[~mask])
    row, column = (int(np.rint(middle)) + 1 for middle in np.argwhere(mask).mean(axis=0))
    parts = 0.0
    for rows in (slice(None, row), slice(row, None)):
        for columns in (slice(None, column), slice(column, None)):
            quarter = mask[rows, columns]
            if quarter.size:
                parts += quarter.size / mask.size * _ssim(shares[rows, columns], quarter)
    return max(0.0, (whole + parts) / 2)


def _evenness(values: NDArray[np.float64]) -> float:
    """Return how high and how even values are: 1 where all of them are 1 (equation 8)."""
    mean = float(values.mean())
    deviation = float(values.std(ddof=1)) if values.size > 1 else 0.0
    return 2 * mean / (mean**2 + 1 + deviation + _EPSILON)


def _ssim(values: NDArray[np.float64], mask: NDArray[np.bool_]) -> float:
    """Return the structural similarity of a part of a map and of a mask (equation 4)."""
    x, y = float(values.mean()), float(mask.mean())
    within = max(values.size - 1, 1)
    spread = float(((values - x) ** 2).sum() + ((mask - y) ** 2).sum()) / within
    together = float(((values - x) * (mask - y)).sum()) / within
    above, below = 4 * x * y * together, (x**2 + y**2) * spread
    if above != 0:
        return above / (below + _EPSILON)
    return 1.0 if below == 0 else 0.0


def _stretched(saliency: Map) -> Map:
    """Return a map from its own minimum to its own maximum, as masks are scored by custom."""
    low, high = float(saliency.min()), float(saliency.max())
    return saliency if low == high else np.asarray((saliency - low) / (high - low), np.float32)


def pointing(saliency: Map, mask: NDArray[np.bool_]) -> float:
    """Return 1 if the peak of the lightly smoothed map lies on the mask, else 0; 0 if it is flat.

    J. Zhang et al., "Top-down neural attention by excitation backprop", IJCV 126, 2018,
    https://doi.org/10.1007/s11263-017-1059-x
    """
    if saliency.min() == saliency.max():
        return 0.0
    smooth = cv2.GaussianBlur(saliency, (0, 0), _PEAK * max(saliency.shape))
    return float(mask.ravel()[int(np.argmax(smooth))])


def _area(values: Map, negatives: Map) -> float:
    """Return how often a value is above one of the sorted negatives; ties count half."""
    below = np.searchsorted(negatives, values, "left")
    not_above = np.searchsorted(negatives, values, "right")
    return float((below + not_above).mean(dtype=np.float64) / 2 / len(negatives))


def _at(saliency: Map, points: NDArray[np.floating]) -> Map:
    """Return the values of a map at points given as shares of its sides."""
    return np.asarray(saliency[_pixels(points, saliency.shape)])


def _pixels(
    points: NDArray[np.floating], size: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows and columns of points given as shares of the sides."""
    height, width = size
    rows = np.clip((points[:, 0] * height).astype(int), 0, height - 1)
    columns = np.clip((points[:, 1] * width).astype(int), 0, width - 1)
    return rows, columns
