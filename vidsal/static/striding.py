"""Strides taken as early as nothing but work is lost by it.

A pointwise convolution of stride 2, as it begins a stage of a ResNet, throws away three quarters of
what the layers before it made. What these do at each place by itself can be left out there as well,
and the last one that looks beyond a place takes the stride for all behind it. The result is the
same up to rounding.
"""

from typing import Any, NamedTuple

import keras

# What one of these makes at a place hangs on what it is given at that place.
_LOCAL = (
    keras.layers.Activation, keras.layers.Add, keras.layers.BatchNormalization,
    keras.layers.Dropout, keras.layers.LeakyReLU, keras.layers.ReLU,
)  # fmt: skip


class Striding(NamedTuple):
    """How a layer is applied so as to make no more than is wanted of it.

    Attributes
    ----------
    steps : tuple of int
        Of each input, it is given every so manieth row and column.
    stride : int or None
        Its stride, where it is a convolution.
    border : int
        Zeros around its input, in place of its own padding.
    """

    steps: tuple[int, ...]
    stride: int | None = None
    border: int = 0

    def configured(self, config: dict[str, Any]) -> dict[str, Any]:
        """Return a layer's configuration with these strides."""
        if self.stride is None:
            return config
        return config | {"strides": (self.stride, self.stride), "padding": "valid"}

    def given(self, arguments: Any, dtype: Any) -> Any:
        """Return what the layer, which computes in `dtype`, is given in place of its arguments."""
        steps = iter(self.steps)
        # Not what Keras' configuration says: only such networks are strided here.
        options = {"data_format": "channels_last", "dtype": dtype}

        def one(tensor: Any) -> Any:
            step = next(steps)
            if step > 1:
                # Of all ways to leave places out, the one whose derivative is quick.
                tensor = keras.layers.AveragePooling2D(1, strides=step, **options)(tensor)
            if self.border:
                tensor = keras.layers.ZeroPadding2D(self.border, **options)(tensor)
            return tensor

        return keras.tree.map_structure(one, arguments)


def stridings(model: Any) -> dict[str, Striding]:
    """Return how layers of a functional model are applied, by name, where it is not as they were.

    From the outputs on, so that what is wanted of a tensor is known before the layer that makes it:
    every so manieth row and column, or all.
    """
    wanted: dict[int, set[int]] = {id(tensor): {1} for tensor in model.outputs}
    # Used in several places, a layer would have to make the same in all of them. It is given all
    # that it was, and that is noted first: it may come before what it gives to.
    for layer in model.operations:
        if not _is_once(layer):
            _note(wanted, layer, 1)
    made: dict[int, int] = {}
    asked: dict[str, int] = {}
    for layer in reversed(model.operations):
        if _is_once(layer):
            steps = wanted.get(id(layer.output), {1})
            step = max(steps) if len(steps) == 1 else 1
            asks = _asked(layer, step)
            if asks is not None and max(asks, step) > 1:
                made[id(layer.output)] = step
                asked[layer.name] = asks
            _note(wanted, layer, asks or 1)
    return {name: _striding(model.get_layer(name), asks, made) for name, asks in asked.items()}


def _is_once(layer: Any) -> bool:
    return len(layer._inbound_nodes) == 1


def _note(wanted: dict[int, set[int]], layer: Any, asks: int) -> None:
    """Take in what is wanted of all that a layer is given."""
    for node in layer._inbound_nodes:
        for tensor in node.input_tensors:
            wanted.setdefault(id(tensor), set()).add(asks)


def _asked(layer: Any, step: int) -> int | None:
    """Return what a layer has to be given so as to make every `step`-th row and column.

    None if it cannot leave any out.
    """
    activation = getattr(layer, "activation", None)
    # Keras' own functions look at a place at a time; of layers in their stead it is not known.
    is_own = activation is None or activation.__module__.startswith("keras.")
    if not is_own or isinstance(activation, keras.Layer):
        return None
    # Given by name, tensors are not where `Striding.given` looks for them.
    if not layer._inbound_nodes[0].arguments.args:
        return None
    if type(layer) in _LOCAL:
        shapes = {tuple(one.shape) for one in layer._inbound_nodes[0].input_tensors}
        is_local = len(shapes) == 1 and getattr(layer, "axis", -1) in (-1, 3)
        return step if is_local and len(layer.output.shape) == 4 else None
    if type(layer) is not keras.layers.Conv2D or layer.data_format != "channels_last":
        return None
    (stride, across), (extent, wide) = layer.strides, layer.kernel_size
    if stride != across or extent != wide:
        return None
    if extent == 1:
        return int(step * stride)
    # It can be centred on each place that is wanted.
    is_centred = extent % 2 == 1 and layer.padding == "same" and layer.dilation_rate == (1, 1)
    return 1 if is_centred and stride == 1 else None


def _striding(layer: Any, asks: int, made: dict[int, int]) -> Striding:
    """Return how a layer is applied that asks so much of tensors of which so much is made."""
    inputs = layer._inbound_nodes[0].input_tensors
    steps = tuple(asks // made.get(id(one), 1) for one in inputs)
    if type(layer) is not keras.layers.Conv2D:
        return Striding(steps)
    if layer.kernel_size == (1, 1):
        return Striding(steps, stride=1)
    return Striding(steps, stride=made[id(layer.output)], border=layer.kernel_size[0] // 2)
