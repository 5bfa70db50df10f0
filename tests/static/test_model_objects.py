"""Keras model objects as the network, and how they compare to saved files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_help import (
    L,
    keras,
    model_of,
    open_object,
    open_saved,
    pictures_of,
    randomised,
    saved,
    settings_for,
    softmax,
    tf,
)

from vidsal.errors import UsageError
from vidsal.static.models import Network, choose, open_classifier, open_static
from vidsal.types import Request, Target


def _functional(end: str = "softmax") -> Any:
    x = inputs = keras.Input((None, None, 3))
    x = L.GlobalAveragePooling2D()(L.Conv2D(8, 3, activation="relu")(L.Rescaling(1 / 60)(x)))
    return randomised(keras.Model(inputs, L.Dense(4, activation=end)(x), name="my_net"))


def _weights(model: Any) -> list[Any]:
    return [np.array(one) for one in model.get_weights()]


@pytest.mark.parametrize("end", ["softmax", "sigmoid", "linear"])
def test_a_model_object_is_used_and_not_changed(end: str) -> None:
    model = _functional(end)
    rgb = pictures_of()
    before, weights = np.asarray(model(rgb * 1.0)), _weights(model)
    stage = open_object(model, target="2", method="gradient")
    expected = softmax(before) if end == "linear" else before
    assert stage.predict(rgb) == pytest.approx(expected, rel=1e-4)
    assert stage.names == tuple(f"class {n}" for n in range(4))
    assert stage.maps(rgb, [Request(n, 1) for n in range(3)]).any()
    # Its last activation, its nodes and its weights are as they were.
    assert np.asarray(model(rgb * 1.0)) == pytest.approx(before, abs=0)
    assert model.layers[-1].activation is getattr(keras.activations, end)
    assert all(map(np.array_equal, weights, _weights(model)))
    assert {len(one._inbound_nodes) for one in model.layers} == {1}


def test_an_object_and_its_file_give_the_same_maps(tmp_path: Path) -> None:
    model = _functional()
    requests = [Request(n, 2) for n in range(3)]
    one, other = open_object(model), open_saved(saved(model, tmp_path / "mine.keras"))
    np.testing.assert_array_equal(
        one.maps(pictures_of(), requests), other.maps(pictures_of(), requests)
    )


def test_the_choice_has_the_models_name() -> None:
    model = _functional()
    choice = choose(settings_for(model))
    assert (choice.key, choice.name, choice.weights) == ("keras:my_net", "my_net", None)
    assert choice.model is model and choice.is_own
    classifier, _ = open_classifier(choice, settings_for(model))
    assert classifier.name == "my_net"


@pytest.mark.parametrize("name", ["none", "lite0", "resnet50"])
def test_a_models_name_is_not_taken_for_one_of_vidsals(name: str) -> None:
    x = keras.Input((16, 16, 3))
    stage = open_object(keras.Model(x, L.Dense(4)(L.Flatten()(x)), name=name))
    assert len(stage.names) == 4 and stage.input_size == (16, 16)


def test_a_sequential_model_is_as_good() -> None:
    model = model_of("Softmax")
    stage = open_object(model)
    assert stage.predict(pictures_of()) == pytest.approx(np.asarray(model(pictures_of())), rel=1e-4)


def test_options_of_saved_models_hold_for_objects(tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("cat\ndog\nhorse\ncow\n")
    model = _functional()
    stage = open_object(model, labels=names, target="horse", preprocess="tf")
    assert stage.names == ("cat", "dog", "horse", "cow") and stage.target == Target(class_id=2)
    expected = np.asarray(model(pictures_of() / 127.5 - 1))
    assert stage.predict(pictures_of()) == pytest.approx(expected, rel=1e-3)
    with pytest.raises(UsageError, match=r"^weights= is not for a Keras model object$"):
        choose(settings_for(model, weights=names))


def test_a_target_is_checked_once_the_classes_of_an_object_are_known() -> None:
    settings = settings_for(_functional(), target="class 3")
    network = Network(settings)
    assert network.stage is not None and network.stage.target == Target(class_id=3)
    settings = settings_for(_functional(), target="cat")
    with pytest.raises(UsageError, match=r"^target='cat' is not a class of this network"):
        _ = Network(settings).stage


def test_random_weights_of_an_object_are_a_copy() -> None:
    model = _functional()
    weights = _weights(model)
    settings = settings_for(model)
    other = open_static(choose(settings), settings, random_share=1.0)
    assert other is not None
    trained = open_object(model).predict(pictures_of())
    assert np.abs(other.predict(pictures_of()) - trained).max() > 0.01
    assert all(map(np.array_equal, weights, _weights(model)))


def test_code_in_an_object_runs_without_a_question() -> None:
    def scaled(x: Any) -> Any:
        return x / 60

    inside = keras.Sequential([keras.Input((32, 40, 3)), L.Lambda(scaled), L.Conv2D(4, 3)])
    layers = [inside, L.BatchNormalization(), L.GlobalAveragePooling2D(), L.Dense(3)]
    model = randomised(keras.Sequential([keras.Input((32, 40, 3)), *layers]))
    rgb = pictures_of()
    expected = softmax(np.asarray(model(rgb * 1.0)))
    assert open_object(model).predict(rgb) == pytest.approx(expected, rel=1e-4)
    settings = settings_for(model)
    other = open_static(choose(settings), settings, random_share=1.0)
    assert other is not None and np.abs(other.predict(rgb) - expected).max() > 0.01


def test_a_layer_that_cannot_be_copied_is_used_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    class Scaled(L.Layer):  # type: ignore[misc]
        def __init__(self, factors: Any) -> None:
            super().__init__()
            self.factors = np.asarray(factors)

        def call(self, x: Any) -> Any:
            return x * self.factors

    x = keras.Input((None, None, 3))
    pooled = L.GlobalAveragePooling2D()(Scaled([0.01, 0.02, 0.03])(x))
    model = randomised(keras.Model(x, L.Dense(3)(pooled)))
    expected = softmax(np.asarray(model(pictures_of() * 1.0)))
    for arithmetic in ("float32", "bfloat16"):
        caplog.clear()
        stage = open_object(model, precision=arithmetic)
        assert stage.predict(pictures_of()) == pytest.approx(expected, rel=1e-4)
        said = [one for one in caplog.messages if "runs as it is, in its own precision" in one]
        assert len(said) == (arithmetic == "bfloat16")


# Integer inputs


@pytest.mark.parametrize("head", ["flatten", "pooled"])
@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_an_integer_input_has_a_gradient(head: str, dtype: str, tmp_path: Path) -> None:
    def of(kind: str) -> Any:
        x = inputs = keras.Input((24, 32, 3), dtype=kind)
        x = L.Conv2D(4, 3, strides=2)(L.Rescaling(1 / 60)(x))
        x = L.ReLU()(L.BatchNormalization()(x))
        x = L.Flatten()(x) if head == "flatten" else L.GlobalAveragePooling2D()(x)
        return keras.Model(inputs, L.Dense(3)(x))

    model = of(dtype)
    floats = of("float32")
    floats.set_weights(model.get_weights())
    path = saved(model, tmp_path / "mine.keras")
    rgb = pictures_of((24, 32))
    for stage in (open_saved(path, method="gradient"), open_object(model, method="gradient")):
        assert stage.input_size == ((24, 32) if head == "flatten" else None)
        expected = softmax(np.asarray(model(rgb)))
        assert stage.predict(rgb) == pytest.approx(expected, rel=1e-3, abs=1e-6)
        pixels = tf.constant(rgb, tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(pixels)
            score = tf.reduce_sum(floats(pixels)[:, 1])
        gradient = np.abs(tape.gradient(score, pixels).numpy()).max(axis=-1)
        maps = stage.maps(rgb, [Request(n, 1, 1) for n in range(3)])
        assert maps == pytest.approx(gradient, abs=1e-4 * float(gradient.max()))
