"""Folding BatchNormalization into the convolution before it.

At inference BatchNormalization is a multiplication and an addition per channel, and a convolution
before it can do both. What is left is a smaller graph with the same output, up to rounding. On the
way its first convolution is rearranged, and strides are taken as early as they can be.
"""

from typing import Any

import keras
import numpy as np

from vidsal.static.batchnorm import scale_and_shift
from vidsal.static.stem import stacked_conv2d
from vidsal.static.striding import stridings

# Layers whose kernel has one slice a channel, on which axis, and whose output channels are those.
_OUTPUT_AXIS = {"Conv2D": 3, "DepthwiseConv2D": 2, "Dense": 1}
# A first convolution of more channels than this has nothing to gain from being stacked.
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
        return stacked_conv2d(inputs, kernel, self.strides[0], self.padding)


def fold(model: Any, *, dtype: str | None = None, input_tensors: Any = None) -> tuple[Any, int]:
    """Return an equal network without the normalisations that a convolution can do.

    Parameters
    ----------
    model : keras.Model
        A functional model in inference use; it is not changed.
    dtype : str, optional
        Type that the new network computes in, such as ``"bfloat16"``; its own by default.
    input_tensors : keras.KerasTensor, optional
        Its input, where that is to be of another size.

    Returns
    -------
    model : keras.Model
    folded : int
        How many pairs were folded.
    """
    pairs = _pairs(model)
    normalisers = {normaliser.name for normaliser in pairs.values()}
    thinner = stridings(model)

    def replaced(layer: Any) -> Any:
        config = layer.get_config()
        if layer.name in thinner:
            config = thinner[layer.name].configured(config)
        if dtype is not None and not isinstance(layer, keras.Model):
            config["dtype"] = dtype
        if layer.name in pairs:
            config["use_bias"] = True
        for key in config:
            # Random numbers that are overwritten at once take a second for ResNet50.
            if key in ("kernel_initializer", "depthwise_initializer", "bias_initializer"):
                config[key] = "zeros"
        kind = StackedConv2D if StackedConv2D.suits(layer) else type(layer)
        return kind.from_config(config)

    def applied(layer: Any, *arguments: Any, **options: Any) -> Any:
        if layer.name in thinner:
            arguments = thinner[layer.name].given(arguments, layer.dtype_policy)
        if layer.name in normalisers:
            # What it is given already is what it would have made of it.
            return arguments[0] if arguments else options["inputs"]
        return layer(*arguments, **options)

    slim = keras.models.clone_model(
        model, input_tensors=input_tensors, clone_function=replaced, call_function=applied
    )
    for layer in model.layers:
        if layer.name in pairs:
            slim.get_layer(layer.name).set_weights(_folded(layer, pairs[layer.name]))
        elif layer.name not in normalisers and layer.weights:
            slim.get_layer(layer.name).set_weights(layer.get_weights())
    slim.trainable = False
    return slim, len(pairs)


def _pairs(model: Any) -> dict[str, Any]:
    """Return the normalisation behind each convolution that feeds nothing else, by its name."""
    # Every use counts: of a layer that is applied several times, and of an operation that is no
    # layer, such as the sum of two tensors.
    users: dict[int, list[Any]] = {}
    for operation in model.operations:
        for node in operation._inbound_nodes:
            for tensor in node.input_tensors:
                users.setdefault(id(tensor), []).append(operation)
    outputs = {id(tensor) for tensor in model.outputs}
    pairs = {}
    for layer in model.layers:
        if type(layer).__name__ not in _OUTPUT_AXIS or not (_is_linear(layer) and _is_once(layer)):
            continue
        made = id(layer.output)
        after = users.get(made, [])
        if len(after) == 1 and made not in outputs and _normalises_channels(after[0]):
            pairs[layer.name] = after[0]
    return pairs


def _is_once(layer: Any) -> bool:
    """Say whether a layer is applied in one place only."""
    return len(layer._inbound_nodes) == 1


def _is_linear(layer: Any) -> bool:
    channels_last = getattr(layer, "data_format", "channels_last") == "channels_last"
    return channels_last and layer.activation is keras.activations.linear


def _normalises_channels(layer: Any) -> bool:
    is_last = getattr(layer, "axis", None) in (-1, 3, [3], [-1])
    return isinstance(layer, keras.layers.BatchNormalization) and is_last and _is_once(layer)


def _folded(layer: Any, normaliser: Any) -> list[Any]:
    """Return the kernel and bias of a convolution that does its normalisation as well."""
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
        # (rows, columns, channels, multiplier): outputs run over the multiplier first.
        shape = [1, 1, kernel.shape[2], kernel.shape[3]]
    return [kernel * scale.reshape(shape).astype(kernel.dtype), shift]
