"""Fusion of the static and the motion map, and the centre prior. Pure maths."""

import numpy as np

from vidsal.settings import Fusion
from vidsal.types import Map

# Standard deviation of the centre prior, as a share of each side: that of the gaze of 32 observers
# from the middle of ten videos (0.165 of the width, 0.177 of the height; on photos 0.20).
_CENTRE = 0.17


def fuse(
    static: Map,
    motion: Map,
    *,
    method: Fusion = "gain",
    gain: float = 1.0,
    amplified: Map | None = None,
) -> Map:
    """Return the fusion of a static map and a motion map.

    With "gain", S + gain x D x S', motion amplifies the static map. A motion map of zeros leaves
    the static map as it is, so that stills, first frames and frames after a cut are not special
    cases. With "sum" and "max", a weak motion map can spoil a good static map; both are there for
    comparison.

    Parameters
    ----------
    static : (h, w) float32 array
        S, at least 0. 1 is the upper end of its scale, and may be exceeded.
    motion : (h, w) float32 array
        D, [0, 1].
    method : {"gain", "sum", "max", "static", "motion"}
        S + gain x D x S', S + gain x D, the larger of S and gain x D, S alone, D alone.
    gain : float
        At least 0.
    amplified : (h, w) float32 array, optional
        S', the map that motion amplifies, on the scale of the static map; by default the static
        map. Only "gain" uses it.

    Returns
    -------
    (h, w) float32 array
        At least 0.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    amplified = static if amplified is None else amplified
    if not static.shape == motion.shape == amplified.shape:
        raise ValueError(
            f"fusion needs maps of one shape, got static {static.shape}, motion {motion.shape} "
            f"and amplified {amplified.shape}"
        )
    weighted = np.float32(gain) * motion
    if method == "gain":
        return np.asarray(static + weighted * amplified, np.float32)
    if method == "sum":
        return np.asarray(static + weighted, np.float32)
    if method == "max":
        return np.asarray(np.maximum(static, weighted), np.float32)
    return (static if method == "static" else motion).copy()


def motion_share(static: Map, fused: Map) -> float:
    """Return the share of a fused map's sum that is not in the static map.

    Parameters
    ----------
    static, fused : (h, w) float32 array
        At least 0.

    Returns
    -------
    float
        0..1; 0 if the fused map is zero.
    """
    total = float(fused.sum(dtype=np.float64))
    added = float((fused - np.minimum(static, fused)).sum(dtype=np.float64))
    return added / total if total > 0 else 0.0


def centre_prior(
    size: tuple[int, ...], strength: float = 1.0, *, deviation: float = _CENTRE
) -> Map:
    """Return the prior probability that people look at each place: highest in the middle.

    It is a Gaussian with the aspect of the picture.

    Parameters
    ----------
    size : (int, int)
        Height and width.
    strength : float
        0..1. 0 is 1 everywhere, 1 the full Gaussian, a value between them a mixture.
    deviation : float
        Standard deviation of the Gaussian, as a share of each side.

    Returns
    -------
    (h, w) float32 array
        (0, 1], 1 in the middle.

    References
    ----------
    B. Tatler, "The central fixation bias in scene viewing", Journal of Vision 7(14), 2007.
    https://doi.org/10.1167/7.14.4
    """
    rows, columns = (
        np.exp(-0.5 * (((np.arange(side) + 0.5) / side - 0.5) / deviation) ** 2) for side in size
    )
    return np.asarray(1 - strength * (1 - np.outer(rows, columns)), np.float32)
