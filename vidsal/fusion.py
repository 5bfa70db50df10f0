"""Fusion of the two halves, and what is read off the result. Pure maths."""

import numpy as np

from vidsal.frames import Map


def fuse(static: Map | None, motion: Map, *, gain: float) -> Map:
    """Let motion amplify the static map: S x (1 + gain x D), clipped to [0, 1].

    A sum or a maximum lets a weak motion map drag a good static one down; as a gain, zero motion
    is the identity, so a still, a first frame and a frame after a cut need no case of their own.

    Parameters
    ----------
    static : (h, w) float32 array or None
        [0, 1]; ``None`` where no network looks, and then motion is all there is.
    motion : (h, w) float32 array
        [0, 1].
    gain : float
        At least 0.

    Returns
    -------
    (h, w) float32 array
        [0, 1].

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if static is None:
        return motion.copy()
    if static.shape != motion.shape:
        raise ValueError(f"static is {static.shape} but motion is {motion.shape}")
    return np.asarray(np.clip(static * (1 + np.float32(gain) * motion), 0, 1), np.float32)


def peak(saliency: Map) -> tuple[float, float] | None:
    """Return the most salient point as shares (row, column) of the picture, or None if flat.

    Among equal maxima the one nearest to their middle is meant, so a plateau, which clipping
    makes often, does not pull to its corner.
    """
    top = saliency.max(initial=0.0)
    if top <= saliency.min(initial=top):
        return None
    rows, columns = np.nonzero(saliency >= top)
    middle = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
    height, width = saliency.shape
    return (int(rows[middle]) + 0.5) / height, (int(columns[middle]) + 0.5) / width


def centroid(saliency: Map) -> tuple[float, float] | None:
    """Return the centre of mass as shares (row, column) of the picture, or None if all zero."""
    total = float(saliency.sum(dtype=np.float64))
    if total <= 0:
        return None
    height, width = saliency.shape
    row = float(saliency.sum(axis=1, dtype=np.float64) @ (np.arange(height) + 0.5)) / total
    column = float(saliency.sum(axis=0, dtype=np.float64) @ (np.arange(width) + 0.5)) / total
    return row / height, column / width
