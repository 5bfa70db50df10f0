"""BatchNormalization at inference: a factor and a summand for each channel. Pure maths."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


def scale_and_shift(
    mean: Array, variance: Array, gamma: Array | None, beta: Array | None, epsilon: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the scale and shift of a normalisation: ``output = input * scale + shift``.

    Parameters
    ----------
    mean, variance : (c,) float array
        The moving averages.
    gamma, beta : (c,) float array or None
        Learnt scale and shift; ``None`` where the layer has none.
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
