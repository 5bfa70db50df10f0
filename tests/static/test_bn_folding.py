"""Folding BatchNormalization into convolutions: the same scores from a smaller network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vidsal.static.models import load_tensorflow

load_tensorflow()

import keras  # noqa: E402 -- after the choice of its backend
import tensorflow as tf  # noqa: E402

from vidsal.static.bn_folding import StackedConv2D, fold  # noqa: E402

L = keras.layers


def _randomised(model: Any) -> Any:
    """Give each normalisation other weights, so that omitted or swapped ones are noticed."""
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, L.BatchNormalization):
            # Those of gamma, beta, mean and variance that exist, in this order.
            ranges = [(0.6, 1.6)] * layer.scale + [(-0.5, 0.5)] * layer.center
            ranges += [(-0.3, 0.3), (0.5, 2.0)]
            weights = layer.get_weights()
            layer.set_weights(
                [rng.uniform(*ends, w.shape) for ends, w in zip(ranges, weights, strict=True)]
            )
        elif getattr(layer, "bias", None) is not None:
            layer.bias.assign(rng.normal(0, 0.3, layer.bias.shape))
    return model


def _pictures(size: int, *, high: float = 1.0) -> Any:
    return np.random.default_rng(1).uniform(0, high, (2, size, size, 3)).astype(np.float32)


def _normalisations(model: Any) -> int:
    return sum(isinstance(layer, L.BatchNormalization) for layer in model.layers)


def _assert_folds(model: Any, pairs: int, *, size: int = 12) -> Any:
    """Check the number of folded pairs, and that the scores and the given model stay the same."""
    _randomised(model)
    kept = [np.array(w) for w in model.get_weights()]
    config = model.get_config()
    x = _pictures(size)
    wanted = np.asarray(model(x, training=False))
    slim, folded = fold(model)
    assert folded == pairs
    assert _normalisations(slim) == _normalisations(model) - pairs
    found = np.asarray(slim(x, training=False))
    assert np.abs(wanted).max() > 0
    assert np.abs(found - wanted).max() <= 1e-5 * np.abs(wanted).max()
    assert model.get_config() == config
    assert all(
        np.array_equal(before, after)
        for before, after in zip(kept, model.get_weights(), strict=True)
    )
    return slim


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "pairs", "high"),
    [("ResNet50", 53, 100.0), ("MobileNetV2", 52, 1.0), ("EfficientNetB0", 49, 255.0)],
)
def test_published_networks(name: str, pairs: int, high: float) -> None:
    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, name)(
        weights=None, input_shape=(64, 64, 3), classifier_activation=None
    )
    _randomised(model)
    x = _pictures(64, high=high)
    wanted = np.asarray(model(x, training=False))
    slim, folded = fold(model)
    assert folded == pairs
    assert _normalisations(slim) == 0
    assert wanted.shape == (2, 1000) and np.abs(wanted[0] - wanted[1]).max() > 0
    found = np.asarray(slim(x, training=False))
    assert np.abs(found - wanted).max() <= 2e-5 * np.abs(wanted).max()
    # Any size, with the same weights.
    free, _ = fold(model, input_tensors=keras.Input((None, None, 3)))
    assert np.abs(np.asarray(free(x, training=False)) - wanted).max() < 2e-5 * np.abs(wanted).max()
    assert free(_pictures(96, high=high)[:, :64], training=False).shape == (2, 1000)


# One pair at a time


def _chain(*layers: Any) -> Any:
    x = inputs = keras.Input((12, 12, 3))
    for layer in layers:
        x = layer(x)
    return keras.Model(inputs, x)


@pytest.mark.parametrize(
    "layers",
    [
        (L.Conv2D(5, 3, use_bias=False), L.BatchNormalization()),
        (L.Conv2D(5, 3, use_bias=True, strides=2), L.BatchNormalization(epsilon=0.1)),
        (L.Conv2D(6, 3, groups=3), L.BatchNormalization(axis=3)),
        (L.Conv2D(5, 3), L.BatchNormalization(scale=False)),
        (L.Conv2D(5, 3), L.BatchNormalization(center=False)),
        (L.Conv2D(5, 3), L.BatchNormalization(scale=False, center=False)),
        (L.DepthwiseConv2D(3, padding="same"), L.BatchNormalization()),
        (L.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False), L.BatchNormalization()),
        (L.DepthwiseConv2D(3, depth_multiplier=4), L.BatchNormalization()),
        (L.Flatten(), L.Dense(7), L.BatchNormalization()),
        (L.Flatten(), L.Dense(7, use_bias=False), L.BatchNormalization()),
        (L.Dense(4), L.BatchNormalization()),
    ],
    ids=str,
)
def test_a_pair_becomes_one_layer(layers: tuple[Any, ...]) -> None:
    # The next layer must stay unchanged, too.
    slim = _assert_folds(_chain(*layers, L.ReLU()), 1)
    assert _normalisations(slim) == 0


def test_pairs_in_a_row() -> None:
    model = _chain(
        L.Conv2D(4, 3), L.BatchNormalization(), L.ReLU(), L.DepthwiseConv2D(3),
        L.BatchNormalization(), L.Conv2D(6, 1), L.BatchNormalization(), L.BatchNormalization(),
    )  # fmt: skip
    # The second of two normalisations in a row stays.
    assert _normalisations(_assert_folds(model, 3)) == 1


@pytest.mark.parametrize(
    "layers",
    [
        (L.Conv2D(4, 3, activation="relu"), L.BatchNormalization()),
        (L.Conv2D(4, 3), L.ReLU(), L.BatchNormalization()),
        (L.BatchNormalization(), L.Conv2D(4, 3)),
        (L.Conv2D(4, 3), L.BatchNormalization(axis=1)),
        (L.SeparableConv2D(4, 3), L.BatchNormalization()),
        (L.Conv2DTranspose(4, 3), L.BatchNormalization()),
        (L.Conv2D(4, 3), L.LayerNormalization()),
    ],
    ids=str,
)
def test_what_is_no_pair_stays(layers: tuple[Any, ...]) -> None:
    _assert_folds(_chain(*layers), 0)


def test_a_convolution_that_feeds_something_else_stays() -> None:
    inputs = keras.Input((12, 12, 3))
    made = L.Conv2D(4, 3)(inputs)
    _assert_folds(keras.Model(inputs, L.Add()([L.BatchNormalization()(made), made])), 0)
    # The same holds for a sum in the code, which is not a layer.
    _assert_folds(keras.Model(inputs, L.BatchNormalization()(made) + made), 0)


def test_a_convolution_that_is_an_output_stays() -> None:
    inputs = keras.Input((12, 12, 3))
    made = L.Conv2D(4, 3)(inputs)
    model = _randomised(keras.Model(inputs, [made, L.BatchNormalization()(made)]))
    slim, folded = fold(model)
    assert folded == 0
    for one, other in zip(slim(_pictures(12)), model(_pictures(12)), strict=True):
        assert np.array_equal(one, other)


def test_layers_that_are_used_twice_stay() -> None:
    inputs = keras.Input((12, 12, 3))
    twice = L.Conv2D(3, 3, padding="same")
    first = twice(inputs)
    second = twice(L.ReLU()(inputs))
    _assert_folds(keras.Model(inputs, L.Add()([L.BatchNormalization()(first), second])), 0)

    normalised = L.BatchNormalization()
    branches = [normalised(L.Conv2D(4, 3)(inputs)) for _ in range(2)]
    _assert_folds(keras.Model(inputs, L.Add()(branches)), 0)

    # A convolution feeds the second use of a layer.
    bend = L.ReLU()
    bent = bend(inputs)
    made = L.Conv2D(4, 3, padding="same")(inputs)
    ends = [L.BatchNormalization()(made), bend(made), L.Conv2D(4, 1)(bent)]
    _assert_folds(keras.Model(inputs, L.Add()(ends)), 0)


def test_two_branches_are_folded_each_by_itself() -> None:
    inputs = keras.Input((12, 12, 3))
    branches = [L.BatchNormalization()(L.Conv2D(4, size)(inputs)) for size in (3, 3)]
    _assert_folds(keras.Model(inputs, L.Concatenate()(branches)), 2)


def test_a_network_inside_a_network_stays_what_it_is() -> None:
    inside = keras.Sequential([keras.Input((12, 12, 3)), L.Conv2D(4, 3), L.BatchNormalization()])
    _randomised(inside)
    _assert_folds(_chain(inside, L.GlobalAveragePooling2D(), L.Dense(3)), 0)


def test_another_precision() -> None:
    model = _randomised(
        _chain(L.Conv2D(8, 3), L.BatchNormalization(), L.GlobalAveragePooling2D(), L.Dense(5))
    )
    x = _pictures(12)
    coarse, folded = fold(model, dtype="bfloat16")
    assert folded == 1
    assert {layer.compute_dtype for layer in coarse.layers if layer.weights} == {"bfloat16"}
    wanted = np.asarray(model(x, training=False))
    found = np.asarray(keras.ops.cast(coarse(x, training=False), "float32"))
    missed = np.abs(found - wanted).max() / np.abs(wanted).max()
    # Eight bits of mantissa: coarser than float32, and no coarser than it must be.
    assert 1e-5 < missed < 0.03


# The first convolution


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("size", [(13, 16), (8, 9), (7, 7)])
@pytest.mark.parametrize(
    ("kernel", "stride"), [(7, 2), (3, 2), (4, 2), (2, 2), (1, 2), (5, 3), ((4, 3), 3), ((2, 5), 4)]
)
def test_a_stacked_convolution_is_the_same(
    kernel: Any, stride: int, size: tuple[int, int], padding: str
) -> None:
    plain = L.Conv2D(5, kernel, strides=stride, padding=padding, activation="tanh")
    x = tf.constant(np.random.default_rng(0).normal(size=(2, *size, 3)), tf.float32)
    plain(x)
    plain.bias.assign(np.linspace(-1, 1, 5))
    stacked = StackedConv2D.from_config(plain.get_config())
    stacked.build(x.shape)
    stacked.set_weights(plain.get_weights())
    (wanted, gradient), (found, ours) = _both(plain, x), _both(stacked, x)
    assert found.shape == wanted.shape and np.abs(wanted).max() > 0.1
    assert np.abs(found - wanted).max() < 1e-5
    assert np.abs(ours - gradient).max() < 1e-5


def _both(layer: Any, x: Any) -> tuple[Any, Any]:
    with tf.GradientTape() as tape:
        tape.watch(x)
        made = layer(x)
        total = tf.reduce_sum(made**2)
    return made.numpy(), tape.gradient(total, x).numpy()


@pytest.mark.parametrize(
    ("channels", "options", "suits"),
    [
        (3, {"strides": 2}, True),
        (4, {"strides": 2}, True),
        (5, {"strides": 2}, False),
        (3, {"strides": 3}, False),
        (3, {}, False),
        (3, {"strides": (1, 2)}, False),
        (3, {"dilation_rate": 2}, False),
        (4, {"strides": 2, "groups": 2}, False),
    ],
)
def test_which_convolution_is_stacked(channels: int, options: Any, suits: bool) -> None:
    layer = L.Conv2D(4, 5, **options)
    layer.build((None, 9, 9, channels))
    assert StackedConv2D.suits(layer) is suits
    assert not StackedConv2D.suits(L.DepthwiseConv2D(3, strides=2))


@pytest.mark.parametrize(("name", "stems"), [("ResNet50", ["conv1_conv"]), ("MobileNetV2", [])])
def test_folding_rearranges_a_large_first_convolution(name: str, stems: list[str]) -> None:
    model = getattr(keras.applications, name)(weights=None, input_shape=(64, 64, 3))
    slim, _ = fold(model)
    assert [one.name for one in slim.layers if isinstance(one, StackedConv2D)] == stems
