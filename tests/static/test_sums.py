"""Sums whose derivative asks for no shapes, against those of Keras."""

from typing import Any

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
import keras  # noqa: E402

from vidsal.static import keras_models  # noqa: E402
from vidsal.static.sums import is_plain, summed  # noqa: E402


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("count", [2, 3])
def test_output_and_derivative_equal_those_of_the_layer(dtype: str, count: int) -> None:
    layer = keras.layers.Add(dtype=dtype)
    rng = np.random.default_rng(0)
    maps = [tf.constant(rng.normal(size=(2, 3, 5, 4)).astype(np.float32)) for _ in range(count)]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(maps)
        expected, found = layer(maps), summed(layer, maps)
        wanted, got = (tf.reduce_sum(tf.cast(one, "float32") ** 2) for one in (expected, found))
    assert found.dtype == expected.dtype == dtype
    tolerance = 1e-6 if dtype == "float32" else 0.05
    for one, other in (
        (found, expected),
        *zip(tape.gradient(got, maps), tape.gradient(wanted, maps), strict=True),
    ):
        one, other = (tf.cast(each, "float32").numpy() for each in (one, other))
        assert np.abs(one).max() > 1 and one == pytest.approx(other, abs=tolerance)


def test_only_sums_of_maps_of_one_known_shape_are_plain() -> None:
    large, small, unknown = (
        keras.Input(shape) for shape in ((4, 6, 3), (1, 1, 3), (None, None, 3))
    )
    layer = keras.layers.Add()
    assert is_plain(layer, ([large, large],)) and is_plain(layer, ([large, large, large],))
    assert not is_plain(layer, ([large, small],))
    assert not is_plain(layer, ([unknown, unknown],))
    assert not is_plain(layer, ())
    assert not is_plain(keras.layers.Multiply(), ([large, large],))


def test_a_network_uses_it_and_its_derivative_asks_for_no_shapes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    picture = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, padding="same")(picture)
    y = keras.layers.Add(name="merged")([x, keras.layers.Conv2D(4, 1)(x)])
    model = keras.Model(picture, keras.layers.GlobalAveragePooling2D()(y))
    seen: list[str] = []

    def observe(name: str, output: Any, _: Any) -> Any:
        seen.append(name)
        return output

    def operations() -> set[str]:
        def derivative(points: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(points)
                total = tf.reduce_sum(keras_models.run(model, points, observe))
            return tape.gradient(total, points)

        traced = tf.function(derivative, input_signature=[tf.TensorSpec((None, 8, 8, 3))])
        return {one.type for one in traced.get_concrete_function().graph.get_operations()}

    used = operations()
    assert "AddN" in used and "BroadcastGradientArgs" not in used and "merged" in seen
    monkeypatch.setattr("vidsal.static.sums.is_plain", lambda *_: False)
    assert "BroadcastGradientArgs" in operations()
