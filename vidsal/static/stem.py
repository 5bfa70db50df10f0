"""A network's first convolution, rearranged for a fast derivative.

The first layer strides over a picture of three channels. Its derivative returns three channels,
which leave most of a vector unit idle: in ResNet50 that one layer costs as much as eight others.
If each block of ``stride`` x ``stride`` pixels is stacked into channels, the layer is a convolution
of stride 1 over more channels, with the same result.
"""

from typing import Any, Literal

import tensorflow as tf


def stacked_conv2d(inputs: Any, kernel: Any, stride: int, padding: Literal["same", "valid"]) -> Any:
    """Return the result of ``tf.nn.conv2d``, up to rounding.

    Parameters
    ----------
    inputs : (N, h, w, c) float tensor
        With known height and width.
    kernel : (rows, columns, c, filters) float tensor
    stride : int
        In pixels, the same for rows and columns.
    padding : {"same", "valid"}

    Returns
    -------
    (N, h2, w2, filters) tensor
        Same dtype as `inputs`.
    """
    *extent, channels, filters = kernel.shape
    (top, bottom), (left, right) = (
        _padding_px(size, one, stride, padding)
        for size, one in zip(inputs.shape[1:3], extent, strict=True)
    )
    padded = tf.pad(inputs, [[0, 0], [top, max(bottom, 0)], [left, max(right, 0)], [0, 0]])
    if min(bottom, right) < 0:
        height, width = (side // stride * stride for side in padded.shape[1:3])
        padded = padded[:, :height, :width]
    high, wide = (-(-one // stride) for one in extent)
    padded_kernel = tf.pad(
        kernel, [[0, high * stride - extent[0]], [0, wide * stride - extent[1]], [0, 0], [0, 0]]
    )
    blocks = tf.reshape(padded_kernel, (high, stride, wide, stride, channels, filters))
    stacked = tf.reshape(
        tf.transpose(blocks, (0, 2, 1, 3, 4, 5)), (high, wide, stride**2 * channels, filters)
    )
    return tf.nn.conv2d(tf.nn.space_to_depth(padded, stride), stacked, 1, "VALID")


def _padding_px(size: int, extent: int, stride: int, padding: str) -> tuple[int, int]:
    """Return the pixels to add before and after, so that the used pixels form whole blocks.

    The second number is negative where no output uses the last pixels.
    """
    if padding == "same":
        outputs = -(-size // stride)
        before = max((outputs - 1) * stride + extent - size, 0) // 2
    else:
        outputs, before = (size - extent) // stride + 1, 0
    return before, (outputs + -(-extent // stride) - 1) * stride - size - before
