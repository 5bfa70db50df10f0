"""Does a map explain the network? Deletion and insertion curves, and what to hold them against.

V. Petsiuk, A. Das, K. Saenko, "RISE: Randomized input sampling for explanation of black-box
models", BMVC 2018, https://arxiv.org/abs/1806.07421. Pure maths.
"""

import numpy as np
from numpy.typing import NDArray

from vidsal.runtime.opencv import cv2
from vidsal.types import Map, Rgb

# Pictures between the whole one and the blurred one; more move the area by less than it varies
# between pictures.
STEPS = 16
# Standard deviation of the blur, as a share of the shorter side: nothing that a class could be
# told by is left, and no edge is put in that was not there.
_BLUR = 0.1


def blurred(rgb: Rgb) -> Rgb:
    """Return a picture without what it could be recognised by, (h, w, 3) uint8."""
    sigma = _BLUR * min(rgb.shape[:2])
    return np.asarray(cv2.GaussianBlur(rgb, (0, 0), sigma), np.uint8)


def ranks(saliency: Map) -> Map:
    """Return the share, [0, 1), of pixels that are more salient than each; 0 for the most salient.

    Equal pixels are ranked by where they lie, scattered, so that a flat map is a random one and
    not one that goes from top to bottom.
    """
    scattered = np.random.default_rng(0).permutation(saliency.size)
    order = np.lexsort((scattered, -saliency.ravel()))
    ranked = np.empty(saliency.size, np.float32)
    ranked[order] = np.arange(saliency.size, dtype=np.float32) / saliency.size
    return ranked.reshape(saliency.shape)


def between(begin: Rgb, end: Rgb, ranked: Map, steps: int = STEPS) -> Rgb:
    """Return the pictures on the way from one to another, the most salient pixels changing first.

    From the whole picture to the blurred one that is deletion, the other way round insertion.

    Parameters
    ----------
    begin, end : (h, w, 3) uint8 array
    ranked : (h, w) float32 array
        See `ranks`.
    steps : int

    Returns
    -------
    (steps - 1, h, w, 3) uint8 array
        Without the two themselves.
    """
    shares = np.linspace(0, 1, steps + 1, dtype=np.float32)[1:-1, None, None, None]
    return np.where(ranked[None, :, :, None] < shares, end[None], begin[None])


def area(values: NDArray[np.floating]) -> float:
    """Return the area under a curve over [0, 1] by the trapezium rule."""
    return float(np.trapezoid(values, dx=1 / (len(values) - 1)))


def controls(rgb: Rgb, smooth_px: float, seed: int) -> dict[str, Map]:
    """Return maps that know nothing of the network.

    Parameters
    ----------
    rgb : (h, w, 3) uint8 array
    smooth_px : float
        Standard deviation of the smoothing that the map under test had, for fairness' sake.
    seed : int

    Returns
    -------
    dict of str to (h, w) float32 array
        ``random`` (smoothed noise), ``centre`` (distance from it) and ``edges`` (Sobel
        magnitude).
    """
    height, width = rgb.shape[:2]
    noise = np.random.default_rng(seed).random((height, width), dtype=np.float32)
    rows = (np.arange(height, dtype=np.float32)[:, None] + 0.5) / height - 0.5
    columns = (np.arange(width, dtype=np.float32)[None, :] + 0.5) / width - 0.5
    grey = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.float32)
    edges = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))

    def smooth(values: Map) -> Map:
        if smooth_px <= 0:
            return values
        return np.asarray(cv2.GaussianBlur(values, (0, 0), smooth_px), np.float32)

    return {
        "random": smooth(noise),
        "centre": -np.asarray(rows**2 + columns**2, np.float32),
        "edges": smooth(np.asarray(edges, np.float32)),
    }


def rank_correlation(one: Map, other: Map) -> float:
    """Return Spearman's correlation of two maps, -1..1; 0 where one of them is flat."""
    if one.min() == one.max() or other.min() == other.max():
        return 0.0
    return float(np.corrcoef(_mean_ranks(one), _mean_ranks(other))[0, 1])


def _mean_ranks(values: Map) -> NDArray[np.float64]:
    """Return the rank of each value, equal ones sharing the mean of theirs."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[which.ravel()]
