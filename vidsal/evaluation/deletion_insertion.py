"""Deletion and insertion curves, and control maps to compare with.

V. Petsiuk, A. Das, K. Saenko, "RISE: Randomized input sampling for explanation of black-box
models", BMVC 2018, https://arxiv.org/abs/1806.07421. Pure maths.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidsal.runtime.opencv import cv2
from vidsal.types import Map, Rgb

# Number of steps between the full picture and the blurred one. With more steps, the area changes
# by less than it varies between pictures.
STEPS = 16
# The protocol of RISE: pictures of this size, so many pixels in a step, the side and the standard
# deviation of the Gaussian in pixels, and the mean pixel of ImageNet (0 behind the preprocessing).
RISE_SIDE_PX, _RISE_STEP_PX = 224, 1792
_RISE_KERNEL_PX, _RISE_SIGMA_PX = 11, 5.0
_MEAN_PIXEL = np.array([123.675, 116.28, 103.53], np.float32)
# Standard deviation of the blur, as a share of the shorter side. It removes all evidence for a
# class, and adds no edges.
_BLUR = 0.1


def blurred(rgb: Rgb) -> Rgb:
    """Return a picture blurred beyond recognition.

    Parameters
    ----------
    rgb : (h, w, 3) uint8 array

    Returns
    -------
    (h, w, 3) uint8 array
    """
    sigma = _BLUR * min(rgb.shape[:2])
    return np.asarray(cv2.GaussianBlur(rgb, (0, 0), sigma), np.uint8)


def mean_pixel(rgb: Rgb) -> Rgb:
    """Return a picture of the same size in the mean colour of ImageNet.

    Parameters
    ----------
    rgb : (h, w, 3) uint8 array

    Returns
    -------
    (h, w, 3) uint8 array
    """
    return np.broadcast_to(np.rint(_MEAN_PIXEL), rgb.shape).astype(np.uint8)


def blurred_as_rise(rgb: Rgb) -> Rgb:
    """Return a picture blurred by RISE's kernel, with the mean colour around it.

    Parameters
    ----------
    rgb : (h, w, 3) uint8 array

    Returns
    -------
    (h, w, 3) uint8 array
    """
    size = (_RISE_KERNEL_PX, _RISE_KERNEL_PX)
    soft = cv2.GaussianBlur(
        rgb.astype(np.float32) - _MEAN_PIXEL, size, _RISE_SIGMA_PX, borderType=cv2.BORDER_CONSTANT
    )
    return np.asarray(np.rint(np.clip(soft + _MEAN_PIXEL, 0, 255)), np.uint8)


class Protocol(NamedTuple):
    """How deletion and insertion are measured.

    Attributes
    ----------
    emptied : callable
        From a picture to the one at the end of deletion.
    begun : callable
        From a picture to the one at the beginning of insertion.
    steps : int
    is_relative : bool
        Whether probabilities are divided by that of the full picture, and at most 1.
    side_px : int or None
        Pictures are squashed to this height and width; ``None`` keeps their aspect.
    """

    emptied: Callable[[Rgb], Rgb]
    begun: Callable[[Rgb], Rgb]
    steps: int
    is_relative: bool
    side_px: int | None = None


PROTOCOLS = {
    "vidsal": Protocol(blurred, blurred, STEPS, is_relative=True),
    "rise": Protocol(
        mean_pixel, blurred_as_rise, RISE_SIDE_PX**2 // _RISE_STEP_PX, is_relative=False,
        side_px=RISE_SIDE_PX,
    ),
}  # fmt: skip


def ranks(saliency: Map) -> Map:
    """Return for each pixel the share of pixels that are more salient.

    Equal pixels have a random but fixed order: a flat map is ranked like a random map, not from
    top to bottom.

    Parameters
    ----------
    saliency : (h, w) float32 array

    Returns
    -------
    (h, w) float32 array
        [0, 1); 0 for the most salient pixel.
    """
    scattered = np.random.default_rng(0).permutation(saliency.size)
    order = np.lexsort((scattered, -saliency.ravel()))
    ranked = np.empty(saliency.size, np.float32)
    ranked[order] = np.arange(saliency.size, dtype=np.float32) / saliency.size
    return ranked.reshape(saliency.shape)


def between(begin: Rgb, end: Rgb, ranked: Map, steps: int = STEPS) -> Rgb:
    """Return the pictures between two, in which the most salient pixels change first.

    From the full picture to the blurred one is deletion, the opposite direction is insertion.

    Parameters
    ----------
    begin, end : (h, w, 3) uint8 array
    ranked : (h, w) float32 array
        See `ranks`.
    steps : int
        Number of equal steps from `begin` to `end`.

    Returns
    -------
    (steps - 1, h, w, 3) uint8 array
        Without `begin` and `end`.
    """
    shares = np.linspace(0, 1, steps + 1, dtype=np.float32)[1:-1, None, None, None]
    return np.where(ranked[None, :, :, None] < shares, end[None], begin[None])


def area(values: NDArray[np.floating]) -> float:
    """Return the area under a curve over [0, 1] by the trapezoidal rule.

    Parameters
    ----------
    values : (n,) array
        Equally spaced; at least two.
    """
    return float(np.trapezoid(values, dx=1 / (len(values) - 1)))


def controls(rgb: Rgb, smooth_px: float, seed: int) -> dict[str, Map]:
    """Return control maps, which do not depend on the network.

    Parameters
    ----------
    rgb : (h, w, 3) uint8 array
    smooth_px : float
        Standard deviation of the Gaussian that smoothed the map under test. The controls are
        smoothed in the same way.
    seed : int
        Decides the noise.

    Returns
    -------
    dict of str to (h, w) float32 array
        ``random`` (smoothed noise), ``centre`` (higher near the centre) and ``edges`` (smoothed
        Sobel magnitude).
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
    """Return Spearman's rank correlation of two maps.

    Parameters
    ----------
    one, other : (h, w) float32 array

    Returns
    -------
    float
        -1..1; 0 if one of the maps is flat.
    """
    if one.min() == one.max() or other.min() == other.max():
        return 0.0
    return float(np.corrcoef(_mean_ranks(one), _mean_ranks(other))[0, 1])


def _mean_ranks(values: Map) -> NDArray[np.float64]:
    """Return the rank of each value; equal values have the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse.ravel()]
