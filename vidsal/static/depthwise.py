"""Depthwise convolutions with strides, with a derivative that is quick in bfloat16.

TensorFlow's derivative of these by their input is not vectorised in bfloat16: the two strided ones
of a small network take more than a third of the time of the whole gradient. The same derivative is
that of a convolution without strides by a gradient with zeros between its rows and columns.
"""

from typing import Any

import keras
import tensorflow as tf


def is_slow(operation: Any) -> bool:
    """Say whether an operation of a network is such a convolution.

    Parameters
    ----------
    operation : keras.Operation
    """
    return (
        type(operation) is keras.layers.DepthwiseConv2D
        and operation.compute_dtype == "bfloat16"
        and max(operation.strides) > 1
        and tuple(operation.dilation_rate) == (1, 1)
        and operation.data_format == "channels_last"
        and all(extent % 2 for extent in operation.kernel_size)
    )


def convolved(layer: Any, x: Any) -> Any:
    """Return a layer's output, with the quick derivative by its input.

    Parameters
    ----------
    layer : keras.layers.DepthwiseConv2D
        See `is_slow`.
    x : (N, h, w, channels) tensor

    Returns
    -------
    (N, h2, w2, channels) tensor
        In the layer's arithmetic.
    """
    # As Keras casts the arguments of its layers.
    x = tf.cast(x, layer.compute_dtype)
    kernel = tf.stop_gradient(tf.cast(layer.kernel, x.dtype))
    padding, strides = layer.padding.upper(), tuple(layer.strides)

    def convolve(x: Any) -> Any:
        def derivative(upstream: Any) -> Any:
            return _derivative(x, kernel, upstream, strides, padding)

        return tf.nn.depthwise_conv2d(x, kernel, [1, *strides, 1], padding), derivative

    y = tf.custom_gradient(convolve)(x)
    if layer.use_bias:
        y = tf.nn.bias_add(y, tf.cast(layer.bias, y.dtype))
    return layer.activation(y)


def _derivative(x: Any, kernel: Any, upstream: Any, strides: tuple[int, ...], padding: str) -> Any:
    """Return the derivative by the input, from that by the output."""
    shape = tf.shape(x)
    spread = upstream
    for axis, (stride, extent) in enumerate(zip(strides, kernel.shape[:2], strict=True), start=1):
        spread = _spread(spread, axis, stride, shape[axis], extent, padding)
    return tf.nn.depthwise_conv2d_backprop_input(shape, kernel, spread, [1, 1, 1, 1], "SAME")


def _spread(values: Any, axis: int, stride: int, size: Any, extent: int, padding: str) -> Any:
    """Return values with zeros between them along an axis, where a stride of 1 has them."""
    count = tf.shape(values)[axis]
    # Where the window of the first output begins, before the input.
    before = tf.maximum((count - 1) * stride + extent - size, 0) // 2 if padding == "SAME" else 0
    offset = extent // 2 - before
    apart = tf.expand_dims(values, axis + 1)
    apart = tf.pad(apart, _only(axis + 1, 0, stride - 1, rank=5))
    shape = tf.concat(
        [tf.shape(values)[:axis], [count * stride], tf.shape(values)[axis + 1 :]], axis=0
    )
    long = tf.reshape(apart, shape)[
        tuple(slice(None, size - offset) if n == axis else slice(None) for n in range(4))
    ]
    return tf.pad(long, _only(axis, offset, size - offset - tf.shape(long)[axis], rank=4))


def _only(axis: int, before: Any, after: Any, *, rank: int) -> Any:
    """Return the padding of one axis among several."""
    return [[before, after] if n == axis else [0, 0] for n in range(rank)]
