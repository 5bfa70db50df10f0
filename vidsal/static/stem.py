"""A network's first convolution, rearranged so that its derivative is quick.

The first layer strides over a picture of three channels. Its derivative gives three channels back,
which leaves most of a vector unit idle: in ResNet50 that one layer costs as much as eight others.
With each block of ``stride`` x ``stride`` pixels stacked into channels it is a convolution of
stride 1 over a few channels more, with the same result.
"""

from typing import Any, Literal

import tensorflow as tf


def stacked_conv2d(inputs: Any, kernel: Any, stride: int, padding: Literal["same", "valid"]) -> Any:
    """Return what ``tf.nn.conv2d`` returns, by another way.

    Parameters
    ----------
    inputs : (N, h, w, c) tensor
        Of known height and width.
    kernel : (rows, columns, c, filters) tensor
    stride : int
    padding : {"same", "valid"}
    """
    *extent, channels, filters = kernel.shape
    (top, bottom), (left, right) = (
        _around(size, one, stride, padding)
        for size, one in zip(inputs.shape[1:3], extent, strict=True)
    )
    padded = tf.pad(inputs, [[0, 0], [top, max(bottom, 0)], [left, max(right, 0)], [0, 0]])
    if min(bottom, right) < 0:
        height, width = (side // stride * stride for side in padded.shape[1:3])
        padded = padded[:, :height, :width]
    high, wide = (-(-one // stride) for one in extent)
    whole = tf.pad(
        kernel, [[0, high * stride - extent[0]], [0, wide * stride - extent[1]], [0, 0], [0, 0]]
    )
    blocks = tf.reshape(whole, (high, stride, wide, stride, channels, filters))
    stacked = tf.reshape(
        tf.transpose(blocks, (0, 2, 1, 3, 4, 5)), (high, wide, stride**2 * channels, filters)
    )
    return tf.nn.conv2d(tf.nn.space_to_depth(padded, stride), stacked, 1, "VALID")


def _around(size: int, extent: int, stride: int, padding: str) -> tuple[int, int]:
    """Return how many pixels to add before and after, to make whole blocks of what is used.

    Negative where the last pixels take no part in any output.
    """
    if padding == "same":
        outputs = -(-size // stride)
        before = max((outputs - 1) * stride + extent - size, 0) // 2
    else:
        outputs, before = (size - extent) // stride + 1, 0
    return before, (outputs + -(-extent // stride) - 1) * stride - size - before
