"""Saved Keras models, with their own softmax as the oracle."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from keras_help import (
    CLASSES,
    L,
    keras,
    layers_of,
    model_of,
    open_saved,
    pictures_of,
    randomised,
    saved,
    softmax,
    tf,
)

from vidsal.errors import UsageError, VidsalError
from vidsal.settings import Settings
from vidsal.static import keras_models
from vidsal.static.models import choose, open_classifier
from vidsal.types import Request, Target

ENDS = ["activation of Dense", "Activation", "Softmax", "none"]


# Saved models


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("end", ENDS)
def test_a_saved_model_sees_what_it_saw(end: str, suffix: str, tmp_path: Path) -> None:
    model = model_of(end)
    stage = open_saved(saved(model, tmp_path / f"mine{suffix}"), method="gradient", target="2")
    rgb = pictures_of()
    direct = np.asarray(model(rgb.astype(np.float32), training=False))
    wanted = softmax(direct) if end == "none" else direct
    assert wanted[:, 2].min() > 0.005 and wanted.max() < 0.99
    assert stage.predict(rgb) == pytest.approx(wanted, rel=1e-4)
    assert stage.names == tuple(f"class {n}" for n in range(CLASSES))
    assert stage.target == Target(class_id=2) and stage.input_size is None
    # The gradient is that of the score before the softmax, whichever way that is written.
    bare = keras.Sequential([keras.Input((None, None, 3)), *layers_of()])
    bare.set_weights(model.get_weights())
    pixels = tf.constant(rgb.astype(np.float32))
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        score = tf.reduce_sum(bare(pixels, training=False)[:, 2])
    wanted = np.abs(tape.gradient(score, pixels).numpy()).max(axis=-1)
    maps = stage.maps(rgb, [Request(n, 1) for n in range(3)])
    assert maps == pytest.approx(wanted, abs=1e-4 * float(wanted.max()))


def test_a_functional_model_is_as_good(tmp_path: Path) -> None:
    x = inputs = keras.Input((None, None, 3))
    for layer in layers_of("Softmax"):
        x = layer(x)
    model = randomised(keras.Model(inputs, x))
    stage = open_saved(saved(model, tmp_path / "mine.keras"))
    rgb = pictures_of()
    assert stage.predict(rgb) == pytest.approx(np.asarray(model(rgb)), rel=1e-4)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("end", ENDS)
def test_a_network_inside_a_network_loses_its_softmax_too(
    end: str, suffix: str, tmp_path: Path
) -> None:
    inside = model_of(end, size=(32, 40))
    model = keras.Sequential([keras.Input((32, 40, 3)), L.Rescaling(0.9), inside])
    stage = open_saved(saved(model, tmp_path / f"mine{suffix}"))
    rgb = pictures_of()
    direct = np.asarray(model(rgb.astype(np.float32), training=False))
    wanted = softmax(direct) if end == "none" else direct
    assert stage.predict(rgb) == pytest.approx(wanted, rel=1e-4)
    assert stage.maps(rgb, [Request(0, 2)] * 3).any()


def _within(inside: Any) -> Any:
    """A network as it is tuned to new classes: around another one, which was trained before."""
    x = inputs = keras.Input((32, 40, 3))
    x = keras.Sequential([L.RandomFlip(), L.Rescaling(0.9)], name="augmented")(x)
    return keras.Model(inputs, inside(x, training=False))


def _kinds(model: Any) -> list[str]:
    return [type(layer).__name__ for layer in model.layers]


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_networks_inside_a_network_are_folded_too(
    precision: Literal["float32", "bfloat16"], depth: int
) -> None:
    inside = model_of(size=(32, 40))
    model = _within(inside) if depth == 1 else _within(_within(inside))
    found = keras_models.prepared(model, precision=precision)
    assert "BatchNormalization" in _kinds(inside)
    assert not {"BatchNormalization", "Sequential", "Functional"} & set(_kinds(found))
    assert {layer.compute_dtype for layer in found.layers[1:]} == {precision}
    assert found.input_shape == (None, 32, 40, 3)
    x = pictures_of().astype(np.float32)
    wanted = np.asarray(model(x, training=False))
    close = {"float32": 1e-4, "bfloat16": 0.05}[precision] * float(np.abs(wanted).max())
    assert np.asarray(found(x, training=False), np.float32) == pytest.approx(wanted, abs=close)


def test_networks_of_one_name_inside_a_network_stay_whole() -> None:
    x = inputs = keras.Input((32, 40, 3))
    for number in range(2):
        same = [L.Conv2D(3, 3, padding="same", name="same"), L.BatchNormalization(name="too")]
        x = keras.Sequential(same, name=f"part{number}")(x)
    model = keras.Model(inputs, L.Dense(4)(L.GlobalAveragePooling2D()(x)))
    found = keras_models.prepared(model, precision="float32")
    assert _kinds(found) == _kinds(model)
    rgb = pictures_of().astype(np.float32)
    assert np.asarray(found(rgb)) == pytest.approx(np.asarray(model(rgb)), rel=1e-4)


def test_a_softmax_that_is_no_layer(tmp_path: Path) -> None:
    x = inputs = keras.Input((None, None, 3))
    for layer in layers_of():
        x = layer(x)
    model = randomised(keras.Model(inputs, keras.ops.softmax(x)))
    stage = open_saved(saved(model, tmp_path / "mine.keras"))
    assert stage.predict(pictures_of()) == pytest.approx(np.asarray(model(pictures_of())), rel=1e-4)


@pytest.mark.parametrize("mode", ["caffe", "torch", "tf", "none"])
def test_preprocessing_is_keras_own(
    mode: Literal["caffe", "torch", "tf", "none"], tmp_path: Path
) -> None:
    x = pictures_of().astype(np.float32)
    own = keras.applications.imagenet_utils.preprocess_input
    wanted = x if mode == "none" else own(x.copy(), data_format="channels_last", mode=mode)
    found = np.asarray(keras_models.preprocessing(mode)(tf.constant(x)))
    assert found == pytest.approx(wanted, abs=1e-4)
    # By hand, for one pixel.
    pixel = tf.constant([[[[255.0, 0.0, 51.0]]]])
    by_hand = {
        "caffe": [51 - 103.939, 0 - 116.779, 255 - 123.68],
        "torch": [(1 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225],
        "tf": [1, -1, -0.6],
        "none": [255, 0, 51],
    }
    one = np.asarray(keras_models.preprocessing(mode)(pixel))[0, 0, 0]
    assert one == pytest.approx(by_hand[mode], abs=1e-4)
    # And the stage does it.
    layers = [
        L.Conv2D(4, 3),
        L.ReLU(),
        L.GlobalAveragePooling2D(),
        L.Dense(3, activation="softmax"),
    ]
    model = keras.Sequential([keras.Input((None, None, 3)), *layers])
    model.layers[0].set_weights([w / (100 if mode in ("caffe", "none") else 1)
                                 for w in model.layers[0].get_weights()])  # fmt: skip
    stage = open_saved(saved(model, tmp_path / "mine.keras"), preprocess=mode)
    assert stage.predict(pictures_of()) == pytest.approx(np.asarray(model(wanted)), rel=1e-3)


def test_labels(tmp_path: Path) -> None:
    path = saved(model_of(), tmp_path / "mine.keras")
    names = tmp_path / "names.txt"
    names.write_text("cat, house cat\ndog\nhorse\ncow\nsheep\ngoat\n")
    stage = open_saved(path, labels=names, target="House-Cat")
    assert stage.names == ("cat", "dog", "horse", "cow", "sheep", "goat")
    assert stage.target == Target(class_id=0)
    assert open_saved(path, labels=names).target == Target(top=1)
    with pytest.raises(UsageError, match=r"^target='hoarse' is .*; did you mean 'horse'\?$"):
        open_saved(path, labels=names, target="hoarse")
    names.write_text("cat\ndog\n")
    with pytest.raises(VidsalError) as caught:
        open_saved(path, labels=names)
    assert str(caught.value) == f"labels='{names}' names 2 classes, mine.keras has 6"


@pytest.mark.parametrize("kind", ["linear behind", "dropout behind", "ensemble"])
def test_probabilities_are_not_taken_for_scores(kind: str, tmp_path: Path) -> None:
    inputs = keras.Input((32, 40, 3))
    pooled = L.GlobalAveragePooling2D()(L.Rescaling(1 / 255)(inputs))
    first, second = (L.Dense(4, activation="softmax")(pooled) for _ in range(2))
    ends = {
        "linear behind": lambda: L.Activation("linear")(first),
        "dropout behind": lambda: L.Dropout(0.5)(first),
        "ensemble": lambda: L.Average()([first, second]),
    }
    model = randomised(keras.Model(inputs, ends[kind]()))
    stage = open_saved(saved(model, tmp_path / "mine.keras"))
    rgb = pictures_of()
    wanted = np.asarray(model(rgb.astype(np.float32), training=False))
    assert wanted.std() > 0.05
    assert stage.predict(rgb) == pytest.approx(wanted, abs=1e-5)


def test_a_network_that_only_seems_to_take_any_size_keeps_its_own(tmp_path: Path) -> None:
    # Cut into strips, a larger picture would become several of the usual size.
    inputs = keras.Input((32, 32, 3))
    strips = keras.ops.reshape(L.Rescaling(1 / 255)(inputs), (-1, 32, 96))
    model = randomised(keras.Model(inputs, L.Dense(4)(L.GlobalAveragePooling1D()(strips))))
    stage = open_saved(saved(model, tmp_path / "mine.keras"))
    assert stage.input_size == (32, 32)
    assert stage.predict(pictures_of((32, 32))).shape == (3, 4)


def test_a_thousand_classes_are_imagenets(tmp_path: Path) -> None:
    model = keras.Sequential(
        [keras.Input((None, None, 3)), L.GlobalAveragePooling2D(), L.Dense(1000)]
    )
    stage = open_saved(saved(model, tmp_path / "mine.keras"), target="tench")
    assert stage.names[285] == "Egyptian cat" and stage.target == Target(class_id=0)


def test_few_classes(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((None, None, 3)), L.GlobalAveragePooling2D(), L.Dense(2)])
    stage = open_saved(saved(model, tmp_path / "mine.keras"))
    assert stage.target == Target(top=1)
    assert stage.predict(pictures_of()).shape == (3, 2)


@pytest.mark.parametrize("size", [(32, 40), (64, 32), (96, 96)])
def test_a_network_of_any_size_takes_any_size(size: tuple[int, int], tmp_path: Path) -> None:
    # The saved size is ignored if no layer needs it.
    model = model_of("Softmax", size=(48, 48))
    stage = open_saved(saved(model, tmp_path / "mine.keras"))
    assert stage.input_size is None
    free = model_of("Softmax")
    free.set_weights(model.get_weights())
    rgb = pictures_of(size)
    assert stage.predict(rgb) == pytest.approx(np.asarray(free(rgb)), rel=1e-4)
    assert stage.maps(rgb, [Request(0, 2)] * 3).shape == (3, *size)


def test_a_network_of_one_size_says_which(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    layers = [L.Conv2D(4, 3, strides=2), L.BatchNormalization(), L.Flatten(), L.Dense(3)]
    model = randomised(keras.Sequential([keras.Input((32, 48, 3)), L.Rescaling(1 / 255), *layers]))
    stage = open_saved(saved(model, tmp_path / "mine.keras"), samples=2)
    assert stage.input_size == (32, 48)
    rgb = pictures_of((32, 48))
    wanted = softmax(np.asarray(model(rgb.astype(np.float32))))
    assert stage.predict(rgb) == pytest.approx(wanted, rel=1e-3)
    assert stage.maps(rgb, [Request(0, 2)] * 3).shape == (3, 32, 48)


def test_classifier_is_ready_to_differentiate(tmp_path: Path) -> None:
    path = saved(model_of("Softmax"), tmp_path / "mine.keras")
    settings = Settings(model=str(path))
    classifier, classes = open_classifier(choose(settings), settings)
    assert classifier.name == "mine.keras"
    assert [one.name for one in classes] == list(classifier.names)
    logits = classifier.logits(tf.constant(pictures_of(), tf.float32))
    assert logits.dtype == tf.float32 and tuple(logits.shape) == (3, CLASSES)
