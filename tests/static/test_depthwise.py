"""The derivative of strided depthwise convolutions, against TensorFlow's own."""

from typing import Any

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
import keras  # noqa: E402

from vidsal.static import depthwise, keras_models  # noqa: E402
from vidsal.static.depthwise import convolved, is_slow  # noqa: E402


def layer_of(kernel: Any, strides: Any, padding: str, **options: Any) -> Any:
    layer = keras.layers.DepthwiseConv2D(
        kernel, strides=strides, padding=padding, bias_initializer="random_normal", **options
    )
    layer.build((None, None, None, 4))
    return layer


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(
    ("kernel", "stride"), [(3, 2), (5, 2), (3, 3), (5, 3), (1, 2), ((3, 5), 2)]
)
@pytest.mark.parametrize("size", [(8, 10), (9, 11), (11, 12), (7, 13), (5, 5)])
def test_output_and_derivative_equal_those_of_the_layer(
    kernel: Any, stride: int, padding: str, size: tuple[int, int]
) -> None:
    layer = layer_of(kernel, stride, padding, activation="relu6")
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(0, 3, (2, *size, 4)).astype(np.float32))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        expected, found = layer(x), convolved(layer, x)
        weights = tf.constant(rng.normal(size=expected.shape).astype(np.float32))
        wanted, got = tf.reduce_sum(expected * weights), tf.reduce_sum(found * weights)
    assert found.numpy() == pytest.approx(expected.numpy(), abs=1e-5)
    assert np.abs(tape.gradient(wanted, x)).max() > 0
    assert tape.gradient(got, x).numpy() == pytest.approx(
        tape.gradient(wanted, x).numpy(), abs=1e-5
    )


def test_only_strided_bfloat16_is_slow() -> None:
    assert is_slow(layer_of(3, 2, "same", dtype="bfloat16"))
    assert not is_slow(layer_of(3, 2, "same"))
    assert not is_slow(layer_of(3, 1, "same", dtype="bfloat16"))
    assert not is_slow(layer_of(2, 2, "same", dtype="bfloat16"))
    assert not is_slow(keras.layers.Conv2D(4, 3, strides=2, dtype="bfloat16"))


def test_a_network_uses_it_and_keeps_its_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    x = y = keras.Input((16, 16, 3))
    y = keras.layers.DepthwiseConv2D(3, strides=2, padding="same", dtype="bfloat16")(y)
    y = keras.layers.GlobalAveragePooling2D(dtype="float32")(y)
    model = keras.Model(x, y)
    used = []

    def noted(layer: Any, x: Any) -> Any:
        used.append(layer.name)
        return convolved(layer, x)

    monkeypatch.setattr(depthwise, "convolved", noted)
    picture = tf.constant(np.random.default_rng(0).random((1, 16, 16, 3), np.float32))
    plain = keras_models.run(model, picture)
    seen = keras_models.run(model, picture, lambda name, output, inputs: output)
    assert used == [model.layers[1].name]
    assert seen.numpy() == pytest.approx(plain.numpy(), abs=1e-2)
