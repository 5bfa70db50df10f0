"""Classifiers with independent classes: a sigmoid at the end, or one output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_help import (
    L,
    keras,
    open_object,
    open_saved,
    pictures_of,
    randomised,
    saved,
    settings_for,
)

from vidsal.errors import VidsalError
from vidsal.settings import Settings
from vidsal.static.models import check_target, choose, open_static
from vidsal.types import Request, Rgb, StaticStage, Target


def _pooled(end: str, classes: int) -> Any:
    """A classifier whose scores are linear in the mean of each colour."""
    layers: dict[str, list[Any]] = {
        "activation of Dense": [L.Dense(classes, activation="sigmoid")],
        "Activation": [L.Dense(classes), L.Activation("sigmoid")],
        "none": [L.Dense(classes)],
    }
    body = [L.Rescaling(1 / 60, offset=-2), L.GlobalAveragePooling2D(), *layers[end]]
    return randomised(keras.Sequential([keras.Input((None, None, 3)), *body]))


def _kernel(model: Any) -> Any:
    """The weights of the only dense layer, (3, classes)."""
    (dense,) = [one for one in model.layers if isinstance(one, L.Dense)]
    return np.asarray(dense.kernel)


def _sigmoid(logits: Any) -> Any:
    return 1 / (1 + np.exp(-logits))


def _maps(stage: StaticStage, rgb: Rgb) -> Any:
    return stage.maps(rgb, [Request(n, 1) for n in range(len(rgb))])


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("end", ["activation of Dense", "Activation"])
def test_classes_behind_a_sigmoid_are_independent(end: str, suffix: str, tmp_path: Path) -> None:
    model = _pooled(end, 6)
    path = saved(model, tmp_path / f"mine{suffix}")
    rgb = pictures_of()
    expected = np.asarray(model(rgb * 1.0))
    assert np.abs(expected.sum(axis=1) - 1).min() > 0.1
    stage = open_saved(path, target="4", method="gradient")
    assert stage.predict(rgb) == pytest.approx(expected, rel=1e-4)
    # The logit is linear: its derivative is the weight, shared among the pixels, times 1 / 60.
    weight = np.abs(_kernel(model)[:, 4]).max() / (60 * 32 * 40)
    assert _maps(stage, rgb) == pytest.approx(np.full((3, 32, 40), weight), rel=1e-4)


def test_a_sigmoid_that_is_no_layer() -> None:
    bare = _pooled("none", 3)
    model = keras.Model(bare.inputs[0], keras.ops.sigmoid(bare.outputs[0]))
    expected = np.asarray(model(pictures_of() * 1.0))
    assert open_object(model).predict(pictures_of()) == pytest.approx(expected, rel=1e-4)


def test_a_network_inside_a_network_has_its_sigmoid_too() -> None:
    inside = _pooled("activation of Dense", 3)
    model = keras.Sequential([keras.Input((32, 40, 3)), L.Rescaling(0.9), inside])
    expected = np.asarray(model(pictures_of() * 1.0))
    stage = open_object(model)
    assert stage.predict(pictures_of()) == pytest.approx(expected, rel=1e-4)
    assert _maps(stage, pictures_of()).any()


@pytest.mark.parametrize("classes", [1, 4])
@pytest.mark.parametrize("kind", ["linear behind", "dropout behind", "ensemble"])
def test_averaged_sigmoids_are_not_taken_for_scores(kind: str, classes: int) -> None:
    inputs = keras.Input((32, 40, 3))
    pooled = L.GlobalAveragePooling2D()(L.Rescaling(1 / 255)(inputs))
    first, second = (L.Dense(classes, activation="sigmoid")(pooled) for _ in range(2))
    ends = {
        "linear behind": lambda: L.Activation("linear")(first),
        "dropout behind": lambda: L.Dropout(0.5)(first),
        "ensemble": lambda: L.Average()([first, second]),
    }
    model = randomised(keras.Model(inputs, ends[kind]()))
    expected = np.asarray(model(pictures_of() * 1.0, training=False))
    stage = open_object(model)
    assert stage.predict(pictures_of())[:, -classes:] == pytest.approx(expected, abs=1e-5)
    assert _maps(stage, pictures_of()).any()


# One output


@pytest.mark.parametrize("end", ["activation of Dense", "Activation", "none"])
def test_one_output_is_no_and_yes(end: str, tmp_path: Path) -> None:
    model = _pooled(end, 1)
    rgb = pictures_of()
    direct = np.asarray(model(rgb * 1.0))
    yes = _sigmoid(direct) if end == "none" else direct
    path = saved(model, tmp_path / "mine.keras")
    stage = open_saved(path, reduce="sum", method="gradient", target="yes")
    assert stage.names == ("no", "yes") and stage.target == Target(class_id=1)
    assert stage.predict(rgb) == pytest.approx(np.concatenate([1 - yes, yes], axis=1), rel=1e-4)
    # "no" is explained by the opposite of "yes".
    weight = _kernel(model).sum() / (60 * 32 * 40)
    assert _maps(stage, rgb) == pytest.approx(np.full((3, 32, 40), weight), rel=1e-4)
    no = open_saved(path, reduce="sum", method="gradient", target="0")
    assert _maps(no, rgb) == pytest.approx(np.full((3, 32, 40), -weight), rel=1e-4)
    # By default the likelier one is explained.
    assert open_saved(path).target == Target(top=1)
    likelier = _maps(open_saved(path, reduce="sum", method="gradient"), rgb)
    signs = np.where(yes > 0.5, 1, -1)[:, :, None]
    assert likelier == pytest.approx(signs * np.full((3, 32, 40), weight), rel=1e-4)


@pytest.mark.parametrize(
    ("text", "names", "target"),
    [
        ("crack\n", ("not crack", "crack"), "crack"),
        ("crack, fissure\n", ("not crack", "crack"), "fissure"),
        ("sound\ncracked\n", ("sound", "cracked"), "cracked"),
        ("crack\n", ("not crack", "crack"), "1"),
    ],
)
def test_labels_of_one_output(
    text: str, names: tuple[str, ...], target: str, tmp_path: Path
) -> None:
    labels = tmp_path / "names.txt"
    labels.write_text(text)
    path = saved(_pooled("none", 1), tmp_path / "mine.keras")
    settings = Settings(model=str(path), labels=labels, target=target)
    check_target(settings)
    stage = open_static(choose(settings), settings)
    assert stage is not None
    assert stage.names == names and stage.target == Target(class_id=1)


def test_more_labels_than_one_output_has_are_one_line(tmp_path: Path) -> None:
    labels = tmp_path / "names.txt"
    labels.write_text("a\nb\nc\n")
    with pytest.raises(VidsalError, match=r"^labels='.*names\.txt' names 3 classes, net has 2$"):
        x = keras.Input((16, 16, 3))
        open_object(keras.Model(x, L.Dense(1)(L.Flatten()(x)), name="net"), labels=labels)


def test_random_weights_of_a_multi_label_network_keep_its_kind() -> None:
    settings = settings_for(_pooled("activation of Dense", 6))
    stage = open_static(choose(settings), settings, random_share=1.0)
    assert stage is not None
    sums = stage.predict(pictures_of()).sum(axis=1)
    assert np.abs(sums - 1).min() > 0.1
