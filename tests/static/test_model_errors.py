"""Models that vidsal cannot use: each is one line with its cause and its remedy."""

from __future__ import annotations

import re
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
    softmax,
)

from vidsal.errors import UsageError, VidsalError
from vidsal.settings import Settings
from vidsal.static import keras_errors, keras_models
from vidsal.static.models import check_target, choose
from vidsal.types import Request

_NO_NETWORK = r"is not a network: expected auto, resnet50, lite0, none, a name in"


def test_a_picture_that_is_too_small_for_a_network_is_one_line(tmp_path: Path) -> None:
    inputs = keras.Input((None, None, 3))
    x = L.Conv2D(4, 40)(inputs)
    model = keras.Model(inputs, L.Dense(4)(L.GlobalAveragePooling2D()(x)))
    stage = open_saved(saved(model, tmp_path / "mine.keras"))
    with pytest.raises(
        VidsalError,
        match=r"^mine\.keras cannot take pictures of 40x32: Negative dimension size caused by "
        r"subtracting 40 from 32\. Try another short_side=$",
    ):
        stage.predict(pictures_of())


def _two_outputs() -> Any:
    inputs = keras.Input((16, 16, 3))
    pooled = L.GlobalAveragePooling2D()(inputs)
    return keras.Model(inputs, [L.Dense(2)(pooled), L.Dense(3)(pooled)])


def _two_inputs() -> Any:
    inputs = [keras.Input((16, 16, 3)), keras.Input((16, 16, 3))]
    return keras.Model(inputs, L.Dense(2)(L.GlobalAveragePooling2D()(L.Add()(inputs))))


def _of(shape: tuple[int | None, ...], *layers: Any) -> Any:
    return keras.Sequential([keras.Input(shape), *layers])


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize(
    ("build", "says"),
    [
        (
            _two_outputs,
            "must give one score for each class, its outputs: (None, 2), ",
        ),
        (_two_inputs, "must take one picture (height, width, 3), its inputs: (None, 16, 16, 3), "),
        (
            lambda: _of((16, 16, 1), L.Flatten(), L.Dense(2)),
            "must take one picture (height, width, 3), its inputs: (None, 16, 16, 1)",
        ),
        (
            lambda: _of((10,), L.Dense(2)),
            "must take one picture (height, width, 3), its inputs: (None, 10)",
        ),
        (
            lambda: _of((16, 16, 3), L.Conv2D(4, 3)),
            "must give one score for each class, its outputs: (None, 14, 14, 4)",
        ),
    ],
)
def test_what_is_no_classifier_of_pictures_is_one_line(
    build: Any, says: str, suffix: str, tmp_path: Path
) -> None:
    path = saved(build(), tmp_path / f"other{suffix}")
    with pytest.raises(VidsalError) as caught:
        open_saved(path)
    assert str(caught.value).startswith(f"{path} {says}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("content", [b"", b"not a model\nat all\n", b"PK\x03\x04 half a zip"])
def test_a_file_that_is_no_model_is_one_line(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"text{suffix}"
    path.write_bytes(content)
    with pytest.raises(VidsalError) as caught:
        open_saved(path)
    assert str(caught.value).startswith(f"{path} cannot be loaded as a Keras model: ")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    assert "not found" not in str(caught.value).lower()


def test_a_file_of_weights_alone_is_one_line(tmp_path: Path) -> None:
    model = model_of()
    model.save_weights(tmp_path / "mine.weights.h5")
    with pytest.raises(VidsalError) as caught:
        open_saved(tmp_path / "mine.weights.h5")
    assert str(caught.value) == (
        f"{tmp_path}/mine.weights.h5 cannot be loaded as a Keras model: No model config found in "
        f"the file at {tmp_path}/mine.weights.h5. It may hold weights alone: save the whole model "
        "with model.save('NAME.keras')"
    )


@pytest.mark.parametrize("name", ["missing.keras", "missing.h5"])
def test_a_missing_file_is_found_before_keras_looks(name: str, tmp_path: Path) -> None:
    with pytest.raises(VidsalError, match=rf"^model='.*{name}': there is no such file$"):
        choose(Settings(model=str(tmp_path / name)))


@pytest.mark.parametrize("name", ["../resnet", "two words", "model.pkl", ""])
def test_words_that_are_no_names(name: str) -> None:
    with pytest.raises(UsageError, match=_NO_NETWORK):
        choose(Settings(model=name))


# Other formats


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("net.onnx", "an ONNX file; .* for example with onnx2tf -i net.onnx -okv3"),
        ("Net.ONNX", "an ONNX file; .* for example with onnx2tf -i Net.ONNX -okv3"),
        ("net.pt", "a PyTorch file; .* torch.onnx.export, then onnx2tf -i net.onnx -okv3"),
        ("net.pth", "a PyTorch file; .* torch.onnx.export, then onnx2tf -i net.onnx -okv3"),
        ("net.tflite", r"a TensorFlow Lite file, .* model\.save\('net\.keras'\)"),
        ("net.hdf5", r"an HDF5 file .*: rename it to net\.h5"),
        ("net.pb", r"a TensorFlow graph; .* model\.save\('net\.keras'\)"),
        ("folder", r"a TensorFlow SavedModel folder; .* model\.save\('folder\.keras'\)"),
        ("folder/saved_model.pb", r"a TensorFlow SavedModel folder; .*\('folder\.keras'\)"),
    ],
)
def test_other_formats_are_named_with_a_way_to_convert_them(
    name: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("folder/saved_model.pb").touch()
    line = rf"^model='{name}' is {says}$"
    with pytest.raises(UsageError, match=line):
        choose(Settings(model=name))
    # Before the target, whose classes are the model's own.
    with pytest.raises(UsageError, match=line):
        check_target(Settings(model=name, target="my own class"))


def test_a_folder_without_a_saved_model_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=_NO_NETWORK):
        choose(Settings(model=str(tmp_path)))


# Keras' own causes


def _with_lambda() -> Any:
    layers = [L.Lambda(lambda x: x / 255), L.Conv2D(4, 3), L.BatchNormalization(), L.ReLU()]
    return randomised(_of((None, None, 3), *layers, L.GlobalAveragePooling2D(), L.Dense(3)))


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_code_in_a_model_runs_only_if_it_is_trusted(suffix: str, tmp_path: Path) -> None:
    model = _with_lambda()
    path = saved(model, tmp_path / f"mine{suffix}")
    with pytest.raises(VidsalError) as caught:
        open_saved(path)
    # Whole sentences of Keras, then the remedy.
    assert re.fullmatch(
        rf"{path} cannot be loaded as a Keras model: Requested the deserialization of a `Lambda` "
        r"layer .*disallowed by default\. If you trust the file, allow its code with "
        "trust_model=True",
        str(caught.value),
    )
    stage = open_object(keras_models.load(path, is_trusted=True))
    rgb = pictures_of()
    assert stage.predict(rgb) == pytest.approx(softmax(np.asarray(model(rgb * 1.0))), rel=1e-4)
    assert stage.maps(rgb, [Request(0, 2)] * 3).any()


class _Own(L.Layer):  # type: ignore[misc]
    """A layer that a file names and Keras does not know."""

    def call(self, x: Any) -> Any:
        return x


@pytest.mark.parametrize(
    ("suffix", "cause"),
    [(".keras", "Could not locate class '_Own'."), (".h5", "Unknown layer: '_Own'.")],
)
def test_a_class_that_is_unknown_is_the_cause(suffix: str, cause: str, tmp_path: Path) -> None:
    path = saved(_of((16, 16, 3), _Own(), L.Flatten(), L.Dense(2)), tmp_path / f"mine{suffix}")
    with pytest.raises(VidsalError) as caught:
        open_saved(path)
    line = str(caught.value)
    assert line.startswith(f"{path} cannot be loaded as a Keras model: {cause} ")
    assert line.endswith(
        ". Load it in Python, where its classes are defined, and pass the object as "
        "vidsal.Settings(model=...)"
    )
    assert "\n" not in line and "config" not in line


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "ValueError."),
        (
            "one\n\n\x1b[1mA thing is wrong\x1b[0m\n\nArguments received by f():\n  • x=1",
            "A thing is wrong.",
        ),
        ("First. " + "Word " * 60 + "end. Last one.", "First."),
        ("word " * 90, "word " * 59 + "word ..."),
        ("config={}\n\nException encountered: No class. Full object config: {'a': 1}", "No class."),
        (
            "Negative size by subtracting 2 from 1 for '{{node conv}} = Conv2D[]",
            "Negative size by subtracting 2 from 1.",
        ),
        ("'What is missing?'", "What is missing?"),
    ],
)
def test_a_cause_is_the_last_line_in_whole_sentences(text: str, cause: str) -> None:
    assert keras_errors.cause(ValueError(text)) == cause


# Models without a usable graph


class _Subclassed(keras.Model):  # type: ignore[misc]
    """A model without a graph of layers."""

    def __init__(self) -> None:
        super().__init__()
        self.head = L.Dense(3)

    def call(self, x: Any) -> Any:
        return self.head(keras.ops.mean(x / 255, (1, 2)))


def test_a_subclassed_model_says_how_to_wrap_it() -> None:
    net = _Subclassed()
    net(np.zeros((1, 8, 8, 3), np.float32))
    with pytest.raises(VidsalError) as caught:
        open_object(net)
    assert str(caught.value) == (
        f"{net.name} has no graph of layers (_Subclassed: a subclassed model): wrap it with "
        "x = keras.Input((224, 224, 3)); model = keras.Model(x, net(x))"
    )
    # And that works.
    x = keras.Input((24, 32, 3))
    stage = open_object(keras.Model(x, net(x)))
    assert stage.input_size == (24, 32)
    rgb = pictures_of((24, 32))
    assert stage.predict(rgb) == pytest.approx(softmax(np.asarray(net(rgb * 1.0))), rel=1e-4)
    assert stage.maps(rgb, [Request(0, 1)] * 3).any()


def test_a_sequential_model_without_an_input_is_one_line() -> None:
    with pytest.raises(
        VidsalError, match=r"has no graph of layers \(Sequential: no Input\): wrap "
    ):
        open_object(keras.Sequential([L.Flatten(), L.Dense(2)]))


def test_a_softmax_over_one_output_is_one_line() -> None:
    model = _of((16, 16, 3), L.Flatten(), L.Dense(1, activation="softmax"))
    with pytest.raises(VidsalError, match=r"has a softmax over one output, which is always 1$"):
        open_object(model)


def test_another_backend_of_keras_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(VidsalError, match=r"^Keras runs on jax, and vidsal needs TensorFlow: set "):
        open_object(model_of())
