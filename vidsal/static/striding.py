"""Strides moved to earlier layers, which saves work and keeps the result.

A pointwise convolution of stride 2, which begins a stage of a ResNet, discards three quarters of
the pixels that the layers before it computed. Layers that compute each pixel by itself can skip
these pixels too. The last layer before them with a larger kernel takes the stride. The result is
the same up to rounding.
"""

from typing import Any, NamedTuple

import keras

# Layers whose output at a pixel depends on their inputs at that pixel alone.
_POINTWISE = (
    keras.layers.Activation, keras.layers.Add, keras.layers.BatchNormalization,
    keras.layers.Dropout, keras.layers.LeakyReLU, keras.layers.ReLU,
)  # fmt: skip


class Striding(NamedTuple):
    """The stride of a layer and of its inputs, where they differ from the original network.

    Attributes
    ----------
    steps : tuple of int
        For each input, the step between the rows, and columns, that the layer is given.
    stride : int or None
        The layer's own stride, if it is a convolution.
    border : int
        Zeros around its input in pixels, in place of its own padding.
    """

    steps: tuple[int, ...]
    stride: int | None = None
    border: int = 0

    def configured(self, config: dict[str, Any]) -> dict[str, Any]:
        """Return a layer's configuration with this stride.

        Parameters
        ----------
        config : dict
            As from ``layer.get_config()``; it is not changed.
        """
        if self.stride is None:
            return config
        return config | {"strides": (self.stride, self.stride), "padding": "valid"}

    def strided_inputs(self, arguments: Any, dtype: Any) -> Any:
        """Return a layer's arguments with these steps and this border.

        Parameters
        ----------
        arguments : nested structure of keras.KerasTensor
        dtype : keras.DTypePolicy
            That of the layer.
        """
        steps = iter(self.steps)
        # Not the data format of Keras' configuration: only channels-last networks get here.
        options = {"data_format": "channels_last", "dtype": dtype}

        def strided(tensor: Any) -> Any:
            step = next(steps)
            if step > 1:
                # Among the ways to skip pixels, this one has the fastest derivative.
                tensor = keras.layers.AveragePooling2D(1, strides=step, **options)(tensor)
            if self.border:
                tensor = keras.layers.ZeroPadding2D(self.border, **options)(tensor)
            return tensor

        return keras.tree.map_structure(strided, arguments)


def stridings(model: Any) -> dict[str, Striding]:
    """Return the layers whose strides change, by name, with their new strides.

    Operations are visited from the outputs to the inputs, so that the step at which a tensor is
    used is known before the layer that computes it.

    Parameters
    ----------
    model : keras.Model
        Functional; it is not changed.
    """
    used_steps: dict[int, set[int]] = {id(tensor): {1} for tensor in model.outputs}
    # A layer that is applied several times would need one stride in all places. It keeps its own
    # and uses all pixels. These come first, because such a layer may precede layers that it feeds.
    for layer in model.operations:
        if not _is_applied_once(layer):
            _note_inputs(used_steps, layer, 1)
    output_steps: dict[int, int] = {}
    input_steps: dict[str, int] = {}
    for layer in reversed(model.operations):
        if _is_applied_once(layer):
            steps = used_steps.get(id(layer.output), {1})
            step = max(steps) if len(steps) == 1 else 1
            input_step = _input_step(layer, step)
            if input_step is not None and max(input_step, step) > 1:
                output_steps[id(layer.output)] = step
                input_steps[layer.name] = input_step
            _note_inputs(used_steps, layer, input_step or 1)
    return {
        name: _striding(model.get_layer(name), input_step, output_steps)
        for name, input_step in input_steps.items()
    }


def _is_applied_once(layer: Any) -> bool:
    """Say whether a layer is applied in one place only."""
    return len(layer._inbound_nodes) == 1


def _note_inputs(used_steps: dict[int, set[int]], layer: Any, step: int) -> None:
    """Note the step at which a layer uses each of its inputs."""
    for node in layer._inbound_nodes:
        for tensor in node.input_tensors:
            used_steps.setdefault(id(tensor), set()).add(step)


def _input_step(layer: Any, step: int) -> int | None:
    """Return the step of a layer's inputs that gives every `step`-th row and column of its output.

    None if the layer cannot skip pixels.
    """
    activation = getattr(layer, "activation", None)
    # Keras' own functions are pointwise. Layers used as activations may not be.
    is_own = activation is None or activation.__module__.startswith("keras.")
    if not is_own or isinstance(activation, keras.Layer):
        return None
    # `Striding.strided_inputs` changes positional arguments only.
    if not layer._inbound_nodes[0].arguments.args:
        return None
    if type(layer) in _POINTWISE:
        shapes = {tuple(one.shape) for one in layer._inbound_nodes[0].input_tensors}
        is_pointwise = len(shapes) == 1 and getattr(layer, "axis", -1) in (-1, 3)
        return step if is_pointwise and len(layer.output.shape) == 4 else None
    if type(layer) is not keras.layers.Conv2D or layer.data_format != "channels_last":
        return None
    (stride, column_stride), (extent, column_extent) = layer.strides, layer.kernel_size
    if stride != column_stride or extent != column_extent:
        return None
    if extent == 1:
        return int(step * stride)
    # The kernel can be centred on each pixel that is used.
    is_centred = extent % 2 == 1 and layer.padding == "same" and layer.dilation_rate == (1, 1)
    return 1 if is_centred and stride == 1 else None


def _striding(layer: Any, input_step: int, output_steps: dict[int, int]) -> Striding:
    """Return the layer's stride, given the step of its inputs and those of all outputs."""
    inputs = layer._inbound_nodes[0].input_tensors
    steps = tuple(input_step // output_steps.get(id(one), 1) for one in inputs)
    if type(layer) is not keras.layers.Conv2D:
        return Striding(steps)
    if layer.kernel_size == (1, 1):
        return Striding(steps, stride=1)
    stride = output_steps[id(layer.output)]
    return Striding(steps, stride=stride, border=layer.kernel_size[0] // 2)
