"""Strides taken early: the same scores and the same gradient, from fewer places."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vidsal.static.models import load_tensorflow

load_tensorflow()

import keras  # noqa: E402 -- after the choice of its backend
import tensorflow as tf  # noqa: E402

from vidsal.static.bn_folding import fold  # noqa: E402
from vidsal.static.striding import Striding, stridings  # noqa: E402

L = keras.layers


def _conv(channels: int, extent: Any = 1, **options: Any) -> Any:
    options = {"padding": "same", "bias_initializer": "normal"} | options
    return L.Conv2D(channels, extent, **options)


def _network(size: tuple[int, int], *layers: Any) -> Any:
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((*size, 4))
    for layer in layers:
        x = layer(x)
    return keras.Model(inputs, x)


def _score_and_gradient(model: Any, x: Any) -> tuple[Any, Any]:
    with tf.GradientTape() as tape:
        tape.watch(x)
        made = model(x, training=False)
        # The weights differ between places, so that exchanged places are noticed.
        weights = tf.reshape(tf.linspace(1.0, 2.0, tf.size(made)), tf.shape(made))
        total = tf.reduce_sum(weights * made**2)
    return made.numpy(), tape.gradient(total, x).numpy()


def _assert_same(model: Any, *, free: bool = False) -> Any:
    """Check that scores and gradient stay the same; return the changed network."""
    x = tf.constant(np.random.default_rng(0).normal(size=(2, *model.input_shape[1:])), tf.float32)
    slim, _ = fold(model, input_tensors=keras.Input((None, None, 4)) if free else None)
    (wanted, gradient), (found, ours) = _score_and_gradient(model, x), _score_and_gradient(slim, x)
    assert found.shape == wanted.shape and np.abs(wanted).max() > 0.01
    assert np.abs(found - wanted).max() < 1e-5 * np.abs(wanted).max()
    assert np.abs(ours - gradient).max() < 1e-5 * np.abs(gradient).max()
    return slim


def _heights(model: Any) -> list[int]:
    """Return the height of the output of each convolution."""
    return [one.output.shape[1] for one in model.layers if isinstance(one, L.Conv2D)]


@pytest.mark.parametrize("size", [(12, 16), (13, 9), (7, 8), (1, 2)])
@pytest.mark.parametrize(("extent", "stride"), [(3, 2), (5, 2), (3, 3), (5, 4)])
def test_the_last_convolution_that_looks_around_takes_the_stride(
    size: tuple[int, int], extent: int, stride: int
) -> None:
    first, last = _conv(6, extent), _conv(3, strides=stride)
    model = _network(size, first, L.BatchNormalization(), L.ReLU(), _conv(5), L.Dropout(0.5), last)
    thin = -(-size[0] // stride)
    assert _heights(model) == [size[0], size[0], thin]
    assert _heights(_assert_same(model)) == [thin] * 3
    assert stridings(model)[first.name] == Striding((1,), stride, extent // 2)
    assert stridings(model)[last.name] == Striding((1,), 1, 0)


def test_strides_of_several_layers_multiply() -> None:
    model = _network((16, 17), _conv(4, 3), _conv(4, strides=2), L.ReLU(), _conv(5, strides=2))
    assert _heights(_assert_same(model)) == [4, 4, 4]


def _block(x: Any, channels: int, stride: int, *, is_first: bool) -> Any:
    """A residual block as in ResNet."""
    beside = _conv(4 * channels, strides=stride)(x) if is_first else x
    within = L.ReLU()(_conv(channels, strides=stride)(x))
    within = L.Activation("relu")(L.BatchNormalization()(_conv(channels, 3)(within)))
    return L.ReLU()(L.Add()([beside, _conv(4 * channels)(within)]))


@pytest.mark.parametrize("free", [False, True])
def test_residual_blocks(free: bool) -> None:
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((13, 18, 4))
    for n in range(2):
        x = _block(x, 3, n + 1, is_first=True)
        x = _block(x, 3, 1, is_first=False)
    model = keras.Model(inputs, L.Dense(7)(L.GlobalAveragePooling2D()(x)))
    slim = _assert_same(model, free=free)
    if not free:
        # Half the height: the second stage, and the first one after its last 3x3 convolution.
        assert sorted(_heights(slim)) == [7] * 9 + [13] * 5
    made = [one for one in stridings(model).values() if one.stride == 2]
    assert made == [Striding((1,), 2, 1)]
    # The shortcut of a block is halved before the sum; the block itself needs all pixels.
    assert Striding((2, 1)) in stridings(model).values()


def test_what_others_need_whole_is_made_whole() -> None:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((10, 10, 4))
    x, thin = _conv(4, 3)(inputs), _conv(3, strides=2)
    ends = [thin(L.ReLU()(x)), L.AveragePooling2D(2)(_conv(3, 3)(x))]
    model = keras.Model(inputs, L.Add()(ends))
    # Only the way to the one that strides can be thinner.
    assert sorted(_heights(_assert_same(model))) == [5, 10, 10]
    assert {one for one in stridings(model).values() if max(one.steps) > 1} == {Striding((2,))}


def test_what_leaves_the_network_is_made_whole() -> None:
    inputs = keras.Input((10, 10, 4))
    x, thin = _conv(4, 3)(inputs), _conv(3, strides=2)
    model = keras.Model(inputs, [x, thin(x)])
    assert stridings(model) == {thin.name: Striding((2,), 1)}
    assert [one.shape for one in fold(model)[0].outputs] == [one.shape for one in model.outputs]


@pytest.mark.parametrize(
    "layers",
    [
        (_conv(4, 3, padding="valid"),),
        (_conv(4, 4),),
        (_conv(4, (3, 5)),),
        (_conv(4, 3, dilation_rate=2),),
        (_conv(4, 3, strides=2),),
        (L.DepthwiseConv2D(3, padding="same"),),
        (L.MaxPooling2D(2),),
        (L.BatchNormalization(axis=1),),
        (_conv(4, 3), L.Activation(lambda x: x - tf.reduce_mean(x, axis=[1, 2], keepdims=True))),
        (_conv(4, 3), L.LayerNormalization(axis=(1, 2))),
        (_conv(4, 3, activation=L.Softmax(axis=(1, 2))),),
        (_conv(4, 3, activation=L.PReLU()),),
    ],
    ids=lambda layers: "-".join(type(one).__name__ for one in layers),
)
def test_layers_that_cannot_leave_places_out_make_all(layers: tuple[Any, ...]) -> None:
    last = _conv(3, strides=2)
    model = _network((12, 12), *layers, last)
    assert stridings(model) == {last.name: Striding((2,), 1)}
    if not isinstance(layers[-1], L.Activation):
        assert _heights(_assert_same(model)) == _heights(model)


def test_a_sum_of_different_sizes_makes_all() -> None:
    inputs = keras.Input((12, 12, 4))
    mean = L.GlobalAveragePooling2D(keepdims=True)(inputs)
    last = _conv(3, strides=2)
    model = keras.Model(inputs, last(L.Add()([_conv(4, 3)(inputs), mean])))
    assert stridings(model) == {last.name: Striding((2,), 1)}
    _assert_same(model)


def test_layers_that_are_used_twice_stay_as_they_are() -> None:
    inputs = keras.Input((12, 12, 4))
    shared, last = _conv(4, 3), _conv(3, strides=2)
    first = shared(inputs)
    model = keras.Model(inputs, L.Add()([last(first), last(shared(L.ReLU()(first)))]))
    assert stridings(model) == {}
    _assert_same(model)


@pytest.mark.parametrize("joined", [False, True])
def test_what_a_layer_that_is_used_twice_is_given_is_made_whole(joined: bool) -> None:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((12, 12, 4))
    shared, first, second = _conv(4, 3), _conv(3, strides=2), _conv(3, strides=2)
    # The deeper of the two uses decides the place of the layer in the order.
    x = _conv(4, 3)(L.ReLU()(shared(inputs)))
    ends = [first(x), second(shared(x))]
    if not joined:
        ends = [L.GlobalAveragePooling2D()(one) for one in ends]
    _assert_same(keras.Model(inputs, L.Add()(ends)))


def test_layers_that_are_given_by_name_stay_as_they_are() -> None:
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((12, 12, 4))
    for layer in (_conv(4, 3), L.BatchNormalization(), L.ReLU(), _conv(3, strides=2)):
        x = layer(inputs=x) if layer.name.startswith(("conv", "batch")) else layer(x)
    model = keras.Model(inputs, x)
    assert _heights(_assert_same(model)) == [12, 6]


def test_the_networks_type_and_channels_last_are_kept() -> None:
    usual = keras.config.image_data_format()
    model = _network((12, 12), _conv(4, 3), L.ReLU(), _conv(3, strides=2))
    keras.config.set_image_data_format("channels_first")
    try:
        _assert_same(model)
        coarse, _ = fold(model, dtype="bfloat16")
    finally:
        keras.config.set_image_data_format(usual)
    assert {one.compute_dtype for one in coarse.layers[1:]} == {"bfloat16"}


def test_uneven_strides_stay() -> None:
    assert stridings(_network((12, 12), _conv(4, 3), _conv(3, strides=(1, 2)))) == {}


@pytest.mark.parametrize("name", ["MobileNetV2", "DenseNet121"])
def test_networks_without_such_layers_stay(name: str) -> None:
    assert stridings(getattr(keras.applications, name)(weights=None)) == {}
