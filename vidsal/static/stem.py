"""A network's first convolution, rearranged so that its derivative is quick.

The first layer strides over a picture of three channels. Its derivative gives three channels back,
which leaves most of a vector unit idle: in ResNet50 that one layer costs as much as eight others.
With each block of ``stride`` x ``stride`` pixels stacked into channels it is a convolution of
stride 1 over a few channels more, with the same result.
"""

from typing import Any

import keras
import tensorflow as tf

# Above so many channels there is nothing to gain.
_FEW = 4


class StackedConv2D(keras.layers.Conv2D):  # type: ignore[misc]
    """A strided convolution of few channels; same arguments, weights and result as Conv2D."""

    @classmethod
    def suits(cls, layer: Any) -> bool:
        """Say whether a layer is one that this does more quickly."""
        return (
            type(layer) is keras.layers.Conv2D
            and layer.data_format == "channels_last"
            and layer.strides[0] == layer.strides[1] > 1
            and layer.dilation_rate == (1, 1)
            and layer.groups == 1
            and layer.kernel.shape[2] <= _FEW
            # Filled up to whole blocks, a small kernel would mostly multiply zeros.
            and min(layer.kernel_size) > 2 * layer.strides[0]
        )

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """Return the convolution, without bias and activation; Keras' place for another way."""
        if None in inputs.shape[1:3]:
            return super().convolution_op(inputs, kernel)
        stride = self.strides[0]
        *extent, channels, filters = kernel.shape
        around = [self._around(*one) for one in zip(inputs.shape[1:3], extent, strict=True)]
        (top, bottom), (left, right) = around
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

    def _around(self, size: int, extent: int) -> tuple[int, int]:
        """Return how many pixels to add before and after, to make whole blocks of what is used.

        Negative where the last pixels take no part in any output.
        """
        stride = self.strides[0]
        if self.padding == "same":
            outputs = -(-size // stride)
            before = max((outputs - 1) * stride + extent - size, 0) // 2
        else:
            outputs, before = (size - extent) // stride + 1, 0
        return before, (outputs + -(-extent // stride) - 1) * stride - size - before
