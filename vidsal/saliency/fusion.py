"""Fusion of the two halves, and what is read off the result. Pure maths."""

import numpy as np

from vidsal.settings import Fusion
from vidsal.types import Map

# Standard deviation of the centre prior, as a share of each side.
_CENTRE = 0.2


def fuse(
    static: Map,
    motion: Map,
    *,
    how: Fusion = "gain",
    gain: float = 1.0,
    amplified: Map | None = None,
) -> Map:
    """Put both halves together.

    As a gain, S + gain x D x S', motion amplifies what the network looks at, and no motion is the
    identity: a still, a first frame and a frame after a cut need no case of their own. A sum or a
    maximum lets a weak motion map drag a good static one down; both are there for comparison.

    Parameters
    ----------
    static : (h, w) float32 array
        At least 0; 1 is the upper end of its scale, and may be exceeded.
    motion : (h, w) float32 array
        [0, 1].
    how : {"gain", "sum", "max", "static", "motion"}
        S + gain x D x S', S + gain x D, the larger of S and gain x D, S alone, D alone.
    gain : float
        At least 0.
    amplified : (h, w) float32 array, optional
        S', what motion amplifies: another map of the static one's scale, by default itself. Plays
        a part in "gain" only.

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
            f"static is {static.shape} but motion is {motion.shape} and what it amplifies "
            f"{amplified.shape}"
        )
    weighted = np.float32(gain) * motion
    if how == "gain":
        return np.asarray(static + weighted * amplified, np.float32)
    if how == "sum":
        return np.asarray(static + weighted, np.float32)
    if how == "max":
        return np.asarray(np.maximum(static, weighted), np.float32)
    return (static if how == "static" else motion).copy()


def motion_share(static: Map, fused: Map) -> float:
    """Return which part of a fused map's energy motion brought in, 0..1; 0 for an empty map."""
    total = float(fused.sum(dtype=np.float64))
    brought = float((fused - np.minimum(static, fused)).sum(dtype=np.float64))
    return brought / total if total > 0 else 0.0


def centre_prior(size: tuple[int, ...], strength: float = 1.0) -> Map:
    """Return how likely people are to look at each place whatever is there: more in the middle.

    A Gaussian that follows the picture's aspect, as in B. Tatler, "The central fixation bias in
    scene viewing", Journal of Vision 7(14), 2007, https://doi.org/10.1167/7.14.4

    Parameters
    ----------
    size : (int, int)
        Height and width.
    strength : float
        0 is even, 1 the whole Gaussian; in between, a mixture.

    Returns
    -------
    (h, w) float32 array
        (0, 1], 1 in the middle.
    """
    rows, columns = (
        np.exp(-0.5 * (((np.arange(side) + 0.5) / side - 0.5) / _CENTRE) ** 2) for side in size
    )
    return np.asarray(1 - strength * (1 - np.outer(rows, columns)), np.float32)
