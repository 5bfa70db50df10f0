"""Sums of maps of one shape, in a form whose derivative asks for no shapes.

The derivative of ``a + b`` asks for the shapes of both, since one of them may have been broadcast.
A convolution whose output has this second use is not fused with its bias, the sum and ReLU.
"""

from typing import Any

import keras
import tensorflow as tf


def is_plain(operation: Any, arguments: Any) -> bool:
    """Say whether an operation of a network is a sum of maps of one shape.

    Parameters
    ----------
    operation : keras.Operation
    arguments : tuple
        What it is applied to.
    """
    if type(operation) is not keras.layers.Add or len(arguments) != 1:
        return False
    shapes = [tuple(one.shape[1:]) for one in arguments[0]]
    return None not in shapes[0] and len(set(shapes)) == 1


def summed(layer: Any, maps: Any) -> Any:
    """Return a layer's output; see `is_plain`.

    Parameters
    ----------
    layer : keras.layers.Add
    maps : sequence of (N, h, w, C) tensors

    Returns
    -------
    (N, h, w, C) tensor
        In the layer's arithmetic.
    """
    # As Keras casts the arguments of its layers.
    return tf.add_n([tf.cast(one, layer.compute_dtype) for one in maps])
