"""BatchNormalization at inference: a multiplication and an addition per channel. Pure maths."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


def scale_and_shift(
    mean: Array, variance: Array, gamma: Array | None, beta: Array | None, epsilon: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what a normalisation multiplies each channel by, and what it adds then.

    Parameters
    ----------
    mean, variance : (c,) array
        The moving ones.
    gamma, beta : (c,) array or None
        What is learnt, where the layer learns it.
    epsilon : float
        Added to the variance.

    Returns
    -------
    scale, shift : (c,) float64 array

    References
    ----------
    S. Ioffe, C. Szegedy, "Batch normalization", ICML 2015. https://arxiv.org/abs/1502.03167
    """
    scale = 1 / np.sqrt(variance.astype(np.float64) + epsilon)
    if gamma is not None:
        scale = scale * gamma
    shift = -mean * scale
    return scale, shift if beta is None else shift + beta
