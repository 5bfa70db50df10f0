"""From the derivatives at a layer to one number at each place."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from vidsal.settings import Method, Reduce


def reduced(reduce: Reduce, gradients: Any, activations: Any) -> Any:
    """Return one number for the channels of each place.

    ======================  ==================================================
    ``norm``                Euclidean norm of the derivatives
    ``max``                 largest magnitude of the derivatives
    ``sum``                 sum of the derivatives, with its sign (see `joined`)
    ``grad-x-act``          sum of the magnitudes of derivative x activation
    ======================  ==================================================

    Parameters
    ----------
    reduce : {"norm", "max", "sum", "grad-x-act"}
    gradients, activations : (N, h, w, C) float32 tensors

    Returns
    -------
    (N, h, w) float32 tensor
        At least 0, except for ``sum``.
    """
    if reduce == "norm":
        return tf.norm(gradients, axis=-1)
    if reduce == "max":
        return tf.reduce_max(tf.abs(gradients), axis=-1)
    if reduce == "sum":
        return tf.reduce_sum(gradients, axis=-1)
    return tf.reduce_sum(tf.abs(gradients * activations), axis=-1)


def class_activation_map(method: Method, gradients: Any, activations: Any) -> Any:
    """Return a class activation map, as its paper defines it.

    With the derivative g of a score by the activations A of a layer, the map is the positive part
    of the sum of w A over the channels, with the weights w

    ``gradcam``
        the mean of g over all places [1]_
    ``gradcam++``
        the sum of a relu(g) over all places, where a = g^2 / (2 g^2 + g^3 x sum of A), scaled so
        that the a of a channel sum to 1 [2]_, as tf-keras-vis does. The factor exp(score), which
        scales the whole map, is left out
    ``layercam``
        relu(g) at each place [3]_

    Parameters
    ----------
    method : {"gradcam", "gradcam++", "layercam"}
    gradients, activations : (N, h, w, C) float32 tensors

    Returns
    -------
    (N, h, w) float32 tensor
        At least 0.

    References
    ----------
    .. [1] R. Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based
       localization", ICCV 2017. https://arxiv.org/abs/1610.02391
    .. [2] A. Chattopadhay et al., "Grad-CAM++: generalized gradient-based visual explanations for
       deep convolutional networks", WACV 2018. https://arxiv.org/abs/1710.11063
    .. [3] P.-T. Jiang et al., "LayerCAM: exploring hierarchical class activation maps for
       localization", IEEE TIP 2021. https://doi.org/10.1109/TIP.2021.3089943
    """
    places = [1, 2]
    if method == "gradcam":
        weights = tf.reduce_mean(gradients, axis=places, keepdims=True)
    elif method == "gradcam++":
        squares = gradients**2
        sums = tf.reduce_sum(activations, axis=places, keepdims=True)
        shares = tf.math.divide_no_nan(squares, 2 * squares + squares * gradients * sums)
        shares = tf.math.divide_no_nan(shares, tf.reduce_sum(shares, axis=places, keepdims=True))
        weights = tf.reduce_sum(shares * tf.nn.relu(gradients), axis=places, keepdims=True)
    else:
        weights = tf.nn.relu(gradients)
    return tf.nn.relu(tf.reduce_sum(weights * activations, axis=-1))


def joined(maps: Sequence[Any]) -> Any:
    """Return the geometric mean of maps, at the size of the largest one.

    Parameters
    ----------
    maps : sequence of (N, h, w) float32 tensors
        Of any sizes. A single map is returned as it is, with its signs.

    Returns
    -------
    (N, h, w) float32 tensor
    """
    if len(maps) == 1:
        return maps[0]
    size = max((one.shape[1:] for one in maps), key=lambda shape: shape[0] * shape[1])
    logarithms = []
    for one in maps:
        # Magnitudes: a product of signs would have no meaning.
        grown = tf.image.resize(tf.abs(one)[..., None], size)[..., 0]
        logarithms.append(tf.math.log(grown + 1e-30))
    return tf.exp(tf.add_n(logarithms) / len(maps))
