"""Folding BatchNormalization into the convolution before it.

At inference BatchNormalization is a multiplication and an addition per channel, and a convolution
before it can do both. The folded graph is smaller and has the same output, up to rounding. In the
same pass the first convolution is rearranged (see `vidsal.static.stem`), and strides move to
earlier layers (see `vidsal.static.striding`).
"""

from typing import Any

import keras
import numpy as np

from vidsal.static.batchnorm import scale_and_shift
from vidsal.static.stem import stacked_conv2d
from vidsal.static.striding import stridings

# Layers whose kernel has one slice for each output channel, and the axis of these slices.
_OUTPUT_AXIS = {"Conv2D": 3, "DepthwiseConv2D": 2, "Dense": 1}
# With more input channels than this, stacking a convolution saves nothing.
_MOST_CHANNELS = 4


class StackedConv2D(keras.layers.Conv2D):  # type: ignore[misc]
    """A strided convolution of few channels: arguments, weights and result are those of Conv2D."""

    @classmethod
    def suits(cls, layer: Any) -> bool:
        """Return whether this class computes a layer faster than the layer itself.

        Parameters
        ----------
        layer : keras.layers.Layer
            A layer that is built.
        """
        return (
            type(layer) is keras.layers.Conv2D
            and layer.data_format == "channels_last"
            and layer.strides[0] == layer.strides[1] > 1
            and layer.dilation_rate == (1, 1)
            and layer.groups == 1
            and layer.kernel.shape[2] <= _MOST_CHANNELS
            # Padded to whole blocks, a small kernel would mostly multiply zeros.
            and min(layer.kernel_size) > 2 * layer.strides[0]
        )

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """Return the convolution without bias and activation; Keras calls this from ``call``.

        Parameters
        ----------
        inputs : (N, H, W, C) tensor
        kernel : (h, w, C, D) tensor

        Returns
        -------
        (N, H', W', D) tensor
            Same dtype as `inputs`.
        """
        if None in inputs.shape[1:3]:
            return super().convolution_op(inputs, kernel)
        return stacked_conv2d(inputs, kernel, self.strides[0], self.padding)


def fold(model: Any, *, dtype: str | None = None, input_tensors: Any = None) -> tuple[Any, int]:
    """Return an equal network whose convolutions include the normalisation behind them.

    Parameters
    ----------
    model : keras.Model
        A functional model, used for inference. It is not changed.
    dtype : str, optional
        Compute type of the new network, such as ``"bfloat16"``; by default that of each layer.
    input_tensors : keras.KerasTensor, optional
        Input of the new network, for another size or type.

    Returns
    -------
    model : keras.Model
    folded : int
        Number of folded pairs.

    Raises
    ------
    ValueError, TypeError, NotImplementedError
        If a layer cannot be copied, or does not take the new input.
    """
    pairs = _pairs(model)
    normalisers = {normaliser.name for normaliser in pairs.values()}
    strided = stridings(model)

    def copied(layer: Any) -> Any:
        # Keras refuses to copy the code of a Lambda layer, which has no weights.
        if isinstance(layer, keras.layers.Lambda):
            return layer
        config = layer.get_config()
        if layer.name in strided:
            config = strided[layer.name].configured(config)
        if dtype is not None and not isinstance(layer, keras.Model):
            config["dtype"] = dtype
        if layer.name in pairs:
            config["use_bias"] = True
        for key in config:
            # The weights are overwritten at once; random ones take a second for ResNet50.
            if key in ("kernel_initializer", "depthwise_initializer", "bias_initializer"):
                config[key] = "zeros"
        kind = StackedConv2D if StackedConv2D.suits(layer) else type(layer)
        return kind.from_config(config)

    def applied(layer: Any, *arguments: Any, **options: Any) -> Any:
        if layer.name in strided:
            arguments = strided[layer.name].strided_inputs(arguments, layer.dtype_policy)
        if layer.name in normalisers:
            # The convolution before it has normalised its input already.
            return arguments[0] if arguments else options["inputs"]
        return layer(*arguments, **options)

    folded = keras.models.clone_model(
        model, input_tensors=input_tensors, clone_function=copied, call_function=applied
    )
    for layer in model.layers:
        if layer.name in pairs:
            folded.get_layer(layer.name).set_weights(_folded_weights(layer, pairs[layer.name]))
        elif layer.name not in normalisers and layer.weights:
            folded.get_layer(layer.name).set_weights(layer.get_weights())
    folded.trainable = False
    return folded, len(pairs)


def _pairs(model: Any) -> dict[str, Any]:
    """Return the normalisation behind each convolution that feeds nothing else, by its name."""
    # All uses count: those by a layer that is applied several times, and those by an operation
    # that is not a layer, such as the sum of two tensors.
    users: dict[int, list[Any]] = {}
    for operation in model.operations:
        for node in operation._inbound_nodes:
            for tensor in node.input_tensors:
                users.setdefault(id(tensor), []).append(operation)
    outputs = {id(tensor) for tensor in model.outputs}
    pairs = {}
    for layer in model.layers:
        if type(layer).__name__ not in _OUTPUT_AXIS or not _is_linear(layer):
            continue
        if not _is_applied_once(layer):
            continue
        output = id(layer.output)
        after = users.get(output, [])
        if len(after) == 1 and output not in outputs and _normalises_channels(after[0]):
            pairs[layer.name] = after[0]
    return pairs


def _is_applied_once(layer: Any) -> bool:
    """Say whether a layer is applied in one place only."""
    return len(layer._inbound_nodes) == 1


def _is_linear(layer: Any) -> bool:
    """Say whether a layer has its channels last and no activation."""
    channels_last = getattr(layer, "data_format", "channels_last") == "channels_last"
    return channels_last and layer.activation is keras.activations.linear


def _normalises_channels(layer: Any) -> bool:
    """Say whether a layer is a BatchNormalization of the last axis, applied once."""
    is_last = getattr(layer, "axis", None) in (-1, 3, [3], [-1])
    is_normaliser = isinstance(layer, keras.layers.BatchNormalization)
    return is_normaliser and is_last and _is_applied_once(layer)


def _folded_weights(layer: Any, normaliser: Any) -> list[Any]:
    """Return the kernel and bias of a convolution that includes a normalisation."""
    kernel, *bias = layer.get_weights()
    scale, shift = scale_and_shift(
        np.asarray(normaliser.moving_mean),
        np.asarray(normaliser.moving_variance),
        np.asarray(normaliser.gamma) if normaliser.scale else None,
        np.asarray(normaliser.beta) if normaliser.center else None,
        normaliser.epsilon,
    )
    if bias:
        shift = shift + bias[0] * scale
    axis = _OUTPUT_AXIS[type(layer).__name__]
    shape = [1] * kernel.ndim
    shape[axis] = kernel.shape[axis]
    if type(layer).__name__ == "DepthwiseConv2D":
        # (rows, columns, channels, multiplier); the multiplier is the fastest axis of the outputs.
        shape = [1, 1, kernel.shape[2], kernel.shape[3]]
    return [kernel * scale.reshape(shape).astype(kernel.dtype), shift]
