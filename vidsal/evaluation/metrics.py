"""Metrics of saliency maps against fixations and object masks. Pure maths.

The metrics of fixations follow
Z. Bylinskii et al., "What do different evaluation metrics tell us about saliency models?", IEEE
TPAMI 41(3), 2019, https://doi.org/10.1109/TPAMI.2018.2815601
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidsal.runtime.opencv import cv2
from vidsal.types import Map

# Standard deviation of a fixation, as a share of the picture's width.
_FIXATION_SIGMA = 0.03
# Standard deviation of the smoothing before the peak is located, as a share of the longer side: a
# single bright pixel is not the peak.
_PEAK_SIGMA = 0.01
# beta² of the F-measure; below 1, precision has more weight than recall.
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
        0 is chance; a flat map has 0.
    """
    deviation = float(saliency.std(dtype=np.float64))
    if deviation == 0:
        return 0.0
    return float(
        (_values_at(saliency, points).mean() - saliency.mean(dtype=np.float64)) / deviation
    )


def auc_judd(saliency: Map, points: NDArray[np.floating]) -> float:
    """Return the area under the ROC curve of fixated pixels against all pixels (AUC-Judd).

    Parameters
    ----------
    saliency : (h, w) float32 array
    points : (n, 2) array
        Fixations as shares (row, column) of the picture, [0, 1).

    Returns
    -------
    float
        0..1; 0.5 is chance, ties count half.
    """
    return _auc(_values_at(saliency, points), np.sort(saliency, axis=None))


def shuffled_auc(
    saliency: Map, points: NDArray[np.floating], others: NDArray[np.floating]
) -> float:
    """Return the area under the ROC curve of fixated pixels against pixels fixated elsewhere.

    A bias that all pictures share, such as the one towards the centre, scores 0.5.
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
        0..1; 0.5 is chance, ties count half.
    """
    return _auc(_values_at(saliency, points), np.sort(_values_at(saliency, others)))


def density(points: NDArray[np.floating], size: tuple[int, int]) -> Map:
    """Return the density of fixations: the mean of a Gaussian around each fixation.

    Its standard deviation is 0.03 of the width, about one degree of visual angle at the usual
    distance.

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
    blurred = cv2.GaussianBlur(
        counts, (0, 0), _FIXATION_SIGMA * size[1], borderType=cv2.BORDER_CONSTANT
    )
    return np.asarray(blurred / blurred.sum(), np.float32)


def cc(saliency: Map, truth: Map) -> float:
    """Return Pearson's correlation of a map with a fixation density (CC).

    Parameters
    ----------
    saliency, truth : (h, w) float32 array

    Returns
    -------
    float
        -1..1; 0 if one of them is flat.
    """
    if saliency.min() == saliency.max() or truth.min() == truth.max():
        return 0.0
    pair = np.corrcoef(saliency.ravel().astype(np.float64), truth.ravel().astype(np.float64))
    return float(pair[0, 1])


def similarity(saliency: Map, truth: Map) -> float:
    """Return the intersection of a map and a fixation density as histograms (SIM).

    Parameters
    ----------
    saliency, truth : (h, w) float32 array
        Of any scale; both are normalised to sum to 1.

    Returns
    -------
    float
        0..1; 1 for equal distributions.
    """
    return float(np.minimum(_distribution(saliency), _distribution(truth)).sum())


def kl(saliency: Map, truth: Map) -> float:
    """Return the Kullback-Leibler divergence of a map from a fixation density (KL).

    It has the regularisation of the MIT benchmark (equation 10 of Bylinskii et al.). The constant
    bounds the cost of a zero at a fixation.

    Parameters
    ----------
    saliency, truth : (h, w) float32 array
        Of any scale; both are normalised to sum to 1.

    Returns
    -------
    float
        In nats; 0 for equal distributions.
    """
    target, estimate = _distribution(truth), _distribution(saliency)
    return float((target * np.log(_EPSILON + target / (estimate + _EPSILON))).sum())


def _distribution(values: Map) -> NDArray[np.float64]:
    """Return a map as a distribution that sums to 1; a flat map becomes uniform."""
    positive = values.astype(np.float64) - min(0.0, float(values.min()))
    total = positive.sum()
    return positive / total if total > 0 else np.full(values.shape, 1 / values.size)


def pixel_auc(saliency: Map, mask: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve of pixels on the object against pixels outside.

    It is the probability that a pixel on the object is more salient than one outside.

    Parameters
    ----------
    saliency : (h, w) float32 array
    mask : (h, w) bool array

    Returns
    -------
    float
        0..1; 0.5 is chance, ties count half.

    Raises
    ------
    ValueError
        If the mask is empty or full.
    """
    inside = saliency[mask]
    outside = np.sort(saliency[~mask])
    if not len(inside) or not len(outside):
        raise ValueError("mask must have pixels inside and outside")
    return _auc(inside, outside)


def mean_absolute_error(saliency: Map, mask: NDArray[np.bool_]) -> float:
    """Return the mean absolute difference between a map and a mask (MAE).

    Parameters
    ----------
    saliency : (h, w) float32 array
        It is scaled from its minimum and maximum to 0 and 1.
    mask : (h, w) bool array

    Returns
    -------
    float
        0..1; 0 is perfect.
    """
    return float(np.abs(_min_max_scaled(saliency) - mask).mean(dtype=np.float64))


class OverlapCurves(NamedTuple):
    """How well a map's pixels above a threshold cover a mask, for 256 falling thresholds.

    Attributes
    ----------
    f : (256,) float64 array
        F-measure with beta² = 0.3, after R. Achanta et al., "Frequency-tuned salient region
        detection", CVPR 2009, https://doi.org/10.1109/CVPR.2009.5206596.
    j : (256,) float64 array
        Intersection over union (Jaccard index), the region similarity of F. Perazzi et al., "A
        benchmark dataset and evaluation methodology for video object segmentation", CVPR 2016,
        https://doi.org/10.1109/CVPR.2016.85.
    """

    f: NDArray[np.float64]
    j: NDArray[np.float64]


def overlap_curves(saliency: Map, mask: NDArray[np.bool_]) -> OverlapCurves:
    """Return F-measure and intersection over union at each threshold.

    Parameters
    ----------
    saliency : (h, w) float32 array
        In [0, 1].
    mask : (h, w) bool array

    Returns
    -------
    OverlapCurves
        All 0 for an empty mask.
    """
    levels = np.asarray(_min_max_scaled(saliency) * 255, np.uint8)
    hits, selected = (
        np.bincount(levels[where], minlength=256)[::-1].cumsum()
        for where in (mask, np.ones_like(mask))
    )
    size = np.count_nonzero(mask)
    precision, recall = hits / np.maximum(selected, 1), hits / max(1, size)
    denominator = np.maximum(_BETA2 * precision + recall, np.finfo(np.float64).tiny)
    f_measure = (1 + _BETA2) * precision * recall / denominator
    return OverlapCurves(f_measure, hits / np.maximum(selected + size - hits, 1))


def max_f(saliency: Map, mask: NDArray[np.bool_]) -> float:
    """Return the largest F-measure of one map over 256 thresholds (max-F of each frame).

    Parameters
    ----------
    saliency : (h, w) float32 array
        In [0, 1].
    mask : (h, w) bool array

    Returns
    -------
    float
        0..1; 0 for an empty mask.

    See Also
    --------
    overlap_curves : The F-measure at each threshold; papers average it over all frames first.
    """
    return float(overlap_curves(saliency, mask).f.max())


def s_measure(saliency: Map, mask: NDArray[np.bool_]) -> float:
    """Return the structure measure: the mean of its object and its region similarity.

    D. Fan et al., "Structure-measure: A new way to evaluate foreground maps", ICCV 2017,
    https://doi.org/10.1109/ICCV.2017.487

    Parameters
    ----------
    saliency : (h, w) float32 array
        In [0, 1].
    mask : (h, w) bool array

    Returns
    -------
    float
        0..1; 1 is perfect.
    """
    values = _min_max_scaled(saliency).astype(np.float64)
    covered = float(mask.mean())
    if covered in (0.0, 1.0):
        return float(values.mean()) if covered else 1 - float(values.mean())
    inside, outside = _object_score(values[mask]), _object_score(1 - values[~mask])
    object_similarity = covered * inside + (1 - covered) * outside
    row, column = (int(np.rint(middle)) + 1 for middle in np.argwhere(mask).mean(axis=0))
    region_similarity = 0.0
    for rows in (slice(None, row), slice(row, None)):
        for columns in (slice(None, column), slice(column, None)):
            quarter = mask[rows, columns]
            if quarter.size:
                ssim = _ssim(values[rows, columns], quarter)
                region_similarity += quarter.size / mask.size * ssim
    return max(0.0, (object_similarity + region_similarity) / 2)


def _object_score(values: NDArray[np.float64]) -> float:
    """Return how high and how uniform values are: 1 if all of them are 1 (equation 8)."""
    mean = float(values.mean())
    deviation = float(values.std(ddof=1)) if values.size > 1 else 0.0
    return 2 * mean / (mean**2 + 1 + deviation + _EPSILON)


def _ssim(values: NDArray[np.float64], mask: NDArray[np.bool_]) -> float:
    """Return the structural similarity of a part of a map and of a mask (equation 4)."""
    x, y = float(values.mean()), float(mask.mean())
    freedom = max(values.size - 1, 1)
    variance = float(((values - x) ** 2).sum() + ((mask - y) ** 2).sum()) / freedom
    covariance = float(((values - x) * (mask - y)).sum()) / freedom
    numerator, denominator = 4 * x * y * covariance, (x**2 + y**2) * variance
    if numerator != 0:
        return numerator / (denominator + _EPSILON)
    return 1.0 if denominator == 0 else 0.0


def _min_max_scaled(saliency: Map) -> Map:
    """Return a map scaled from its minimum and maximum to 0 and 1, the custom with masks."""
    low, high = float(saliency.min()), float(saliency.max())
    return saliency if low == high else np.asarray((saliency - low) / (high - low), np.float32)


def pointing(saliency: Map, mask: NDArray[np.bool_]) -> float:
    """Return whether the peak of the slightly smoothed map is on the mask (pointing game).

    J. Zhang et al., "Top-down neural attention by excitation backprop", IJCV 126, 2018,
    https://doi.org/10.1007/s11263-017-1059-x

    Parameters
    ----------
    saliency : (h, w) float32 array
    mask : (h, w) bool array

    Returns
    -------
    float
        1 if it is, else 0; a flat map has 0.
    """
    if saliency.min() == saliency.max():
        return 0.0
    smooth = cv2.GaussianBlur(saliency, (0, 0), _PEAK_SIGMA * max(saliency.shape))
    return float(mask.ravel()[int(np.argmax(smooth))])


def _auc(values: Map, negatives: Map) -> float:
    """Return the probability that a value is above one of the sorted negatives; ties count half."""
    below = np.searchsorted(negatives, values, "left")
    not_above = np.searchsorted(negatives, values, "right")
    return float((below + not_above).mean(dtype=np.float64) / 2 / len(negatives))


def _values_at(saliency: Map, points: NDArray[np.floating]) -> Map:
    """Return the values of a map at points, which are shares of its sides."""
    return np.asarray(saliency[_pixels(points, saliency.shape)])


def _pixels(
    points: NDArray[np.floating], size: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows and columns of points, which are shares of the sides."""
    height, width = size
    rows = np.clip((points[:, 0] * height).astype(int), 0, height - 1)
    columns = np.clip((points[:, 1] * width).astype(int), 0, width - 1)
    return rows, columns
