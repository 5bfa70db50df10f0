"""Any classifier: saved models with their own softmax as the oracle, and Keras' own names."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pytest

from vidsal.errors import UsageError, VidsalError
from vidsal.settings import Settings
from vidsal.static.models import choose, load_tensorflow, open_classifier, open_static
from vidsal.types import Request, Rgb, StaticStage, Target

tf = load_tensorflow()

import keras  # noqa: E402 -- after the choice of its backend

from vidsal.static import keras_models, precision  # noqa: E402

L = keras.layers
CLASSES = 6
ENDS = ["activation of Dense", "Activation", "Softmax", "none"]


def _layers(end: str = "none", classes: int = CLASSES) -> list[Any]:
    """The layers of a small network for pictures from 0 to 255, of any size."""
    head = L.Dense(classes, activation="softmax" if end == "activation of Dense" else None)
    layers = [
        L.Rescaling(1 / 60, offset=-2), L.Conv2D(8, 3, strides=2, use_bias=False),
        L.BatchNormalization(), L.ReLU(), L.GlobalAveragePooling2D(), head,
    ]  # fmt: skip
    if end == "Activation":
        layers.append(L.Activation("softmax"))
    elif end == "Softmax":
        layers.append(L.Softmax())
    return layers


def _randomised(model: Any) -> Any:
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, L.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
        elif isinstance(layer, L.Dense):
            layer.set_weights([rng.normal(0, 1, w.shape) for w in layer.get_weights()])
    return model


def _model(end: str = "none", *, size: tuple[int | None, int | None] = (None, None)) -> Any:
    return _randomised(keras.Sequential([keras.Input((*size, 3)), *_layers(end)]))


def _pictures(size: tuple[int, int] = (32, 40), count: int = 3) -> Rgb:
    return np.random.default_rng(0).integers(0, 256, (count, *size, 3), np.uint8)


def _softmax(logits: Any) -> Any:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _open(path: Path, **options: Any) -> StaticStage:
    settings = Settings(model=str(path), **options)
    stage = open_static(choose(settings), settings)
    assert stage is not None
    return stage


def _save(model: Any, path: Path) -> Path:
    model.save(path)
    return path


# Saved models


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("end", ENDS)
def test_a_saved_model_sees_what_it_saw(end: str, suffix: str, tmp_path: Path) -> None:
    model = _model(end)
    stage = _open(_save(model, tmp_path / f"mine{suffix}"), method="gradient", target="2")
    rgb = _pictures()
    direct = np.asarray(model(rgb.astype(np.float32), training=False))
    wanted = _softmax(direct) if end == "none" else direct
    assert wanted[:, 2].min() > 0.005 and wanted.max() < 0.99
    assert stage.predict(rgb) == pytest.approx(wanted, rel=1e-4)
    assert stage.names == tuple(f"class {n}" for n in range(CLASSES))
    assert stage.target == Target(class_id=2) and stage.input_size is None
    # The gradient is that of the score before the softmax, whichever way that is written.
    bare = keras.Sequential([keras.Input((None, None, 3)), *_layers()])
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
    for layer in _layers("Softmax"):
        x = layer(x)
    model = _randomised(keras.Model(inputs, x))
    stage = _open(_save(model, tmp_path / "mine.keras"))
    rgb = _pictures()
    assert stage.predict(rgb) == pytest.approx(np.asarray(model(rgb)), rel=1e-4)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("end", ENDS)
def test_a_network_inside_a_network_loses_its_softmax_too(
    end: str, suffix: str, tmp_path: Path
) -> None:
    inside = _model(end, size=(32, 40))
    model = keras.Sequential([keras.Input((32, 40, 3)), L.Rescaling(0.9), inside])
    stage = _open(_save(model, tmp_path / f"mine{suffix}"))
    rgb = _pictures()
    direct = np.asarray(model(rgb.astype(np.float32), training=False))
    wanted = _softmax(direct) if end == "none" else direct
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
    inside = _model(size=(32, 40))
    model = _within(inside) if depth == 1 else _within(_within(inside))
    found = keras_models.prepared(model, precision=precision)
    assert "BatchNormalization" in _kinds(inside)
    assert not {"BatchNormalization", "Sequential", "Functional"} & set(_kinds(found))
    assert {layer.compute_dtype for layer in found.layers[1:]} == {precision}
    assert found.input_shape == (None, 32, 40, 3)
    x = _pictures().astype(np.float32)
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
    rgb = _pictures().astype(np.float32)
    assert np.asarray(found(rgb)) == pytest.approx(np.asarray(model(rgb)), rel=1e-4)


def test_a_softmax_that_is_no_layer(tmp_path: Path) -> None:
    x = inputs = keras.Input((None, None, 3))
    for layer in _layers():
        x = layer(x)
    model = _randomised(keras.Model(inputs, keras.ops.softmax(x)))
    stage = _open(_save(model, tmp_path / "mine.keras"))
    assert stage.predict(_pictures()) == pytest.approx(np.asarray(model(_pictures())), rel=1e-4)


def test_a_sigmoid_is_refused(tmp_path: Path) -> None:
    model = keras.Sequential(
        [keras.Input((16, 16, 3)), L.GlobalAveragePooling2D(), L.Dense(3, activation="sigmoid")]
    )
    with pytest.raises(VidsalError, match="ends in a sigmoid"):
        _open(_save(model, tmp_path / "mine.keras"))


@pytest.mark.parametrize("mode", ["caffe", "torch", "tf", "none"])
def test_preprocessing_is_keras_own(
    mode: Literal["caffe", "torch", "tf", "none"], tmp_path: Path
) -> None:
    x = _pictures().astype(np.float32)
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
    stage = _open(_save(model, tmp_path / "mine.keras"), preprocess=mode)
    assert stage.predict(_pictures()) == pytest.approx(np.asarray(model(wanted)), rel=1e-3)


def test_labels(tmp_path: Path) -> None:
    path = _save(_model(), tmp_path / "mine.keras")
    names = tmp_path / "names.txt"
    names.write_text("cat, house cat\ndog\nhorse\ncow\nsheep\ngoat\n")
    stage = _open(path, labels=names, target="House-Cat")
    assert stage.names == ("cat", "dog", "horse", "cow", "sheep", "goat")
    assert stage.target == Target(class_id=0)
    assert _open(path, labels=names).target == Target(top=1)
    with pytest.raises(UsageError, match=r"^--target 'hoarse' is .*; did you mean 'horse'\?$"):
        _open(path, labels=names, target="hoarse")
    names.write_text("cat\ndog\n")
    with pytest.raises(VidsalError) as caught:
        _open(path, labels=names)
    assert str(caught.value) == f"--labels {names} names 2 classes, mine.keras has 6"


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
    model = _randomised(keras.Model(inputs, ends[kind]()))
    stage = _open(_save(model, tmp_path / "mine.keras"))
    rgb = _pictures()
    wanted = np.asarray(model(rgb.astype(np.float32), training=False))
    assert wanted.std() > 0.05
    assert stage.predict(rgb) == pytest.approx(wanted, abs=1e-5)


def test_a_network_that_only_seems_to_take_any_size_keeps_its_own(tmp_path: Path) -> None:
    # Cut into strips, a larger picture would become several of the usual size.
    inputs = keras.Input((32, 32, 3))
    strips = keras.ops.reshape(L.Rescaling(1 / 255)(inputs), (-1, 32, 96))
    model = _randomised(keras.Model(inputs, L.Dense(4)(L.GlobalAveragePooling1D()(strips))))
    stage = _open(_save(model, tmp_path / "mine.keras"))
    assert stage.input_size == (32, 32)
    assert stage.predict(_pictures((32, 32))).shape == (3, 4)


def test_a_picture_that_is_too_small_for_a_network_is_one_line(tmp_path: Path) -> None:
    inputs = keras.Input((None, None, 3))
    x = L.Conv2D(4, 40)(inputs)
    model = keras.Model(inputs, L.Dense(4)(L.GlobalAveragePooling2D()(x)))
    stage = _open(_save(model, tmp_path / "mine.keras"))
    with pytest.raises(
        VidsalError, match=r"^mine\.keras cannot take pictures of 40x32: another --sh"
    ):
        stage.predict(_pictures())


def test_a_thousand_classes_are_imagenets(tmp_path: Path) -> None:
    model = keras.Sequential(
        [keras.Input((None, None, 3)), L.GlobalAveragePooling2D(), L.Dense(1000)]
    )
    stage = _open(_save(model, tmp_path / "mine.keras"), target="tench")
    assert stage.names[285] == "Egyptian cat" and stage.target == Target(class_id=0)


def test_few_classes(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((None, None, 3)), L.GlobalAveragePooling2D(), L.Dense(2)])
    stage = _open(_save(model, tmp_path / "mine.keras"))
    assert stage.target == Target(top=1)
    assert stage.predict(_pictures()).shape == (3, 2)


@pytest.mark.parametrize("size", [(32, 40), (64, 32), (96, 96)])
def test_a_network_of_any_size_takes_any_size(size: tuple[int, int], tmp_path: Path) -> None:
    # Also if it was saved with a size that none of its layers needs.
    model = _model("Softmax", size=(48, 48))
    stage = _open(_save(model, tmp_path / "mine.keras"))
    assert stage.input_size is None
    free = _model("Softmax")
    free.set_weights(model.get_weights())
    rgb = _pictures(size)
    assert stage.predict(rgb) == pytest.approx(np.asarray(free(rgb)), rel=1e-4)
    assert stage.maps(rgb, [Request(0, 2)] * 3).shape == (3, *size)


def test_a_network_of_one_size_says_which(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    layers = [L.Conv2D(4, 3, strides=2), L.BatchNormalization(), L.Flatten(), L.Dense(3)]
    model = _randomised(keras.Sequential([keras.Input((32, 48, 3)), L.Rescaling(1 / 255), *layers]))
    stage = _open(_save(model, tmp_path / "mine.keras"), samples=2)
    assert stage.input_size == (32, 48)
    rgb = _pictures((32, 48))
    wanted = _softmax(np.asarray(model(rgb.astype(np.float32))))
    assert stage.predict(rgb) == pytest.approx(wanted, rel=1e-3)
    assert stage.maps(rgb, [Request(0, 2)] * 3).shape == (3, 32, 48)


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
            "must give one score for each of two classes or more, its outputs: (None, 2), ",
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
            "must give one score for each of two classes or more, its outputs: (None, 14, 14, 4)",
        ),
    ],
)
def test_what_is_no_classifier_of_pictures_is_one_line(
    build: Any, says: str, suffix: str, tmp_path: Path
) -> None:
    path = _save(build(), tmp_path / f"other{suffix}")
    with pytest.raises(VidsalError) as caught:
        _open(path)
    assert str(caught.value).startswith(f"{path} {says}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("content", [b"", b"not a model\nat all\n", b"PK\x03\x04 half a zip"])
def test_a_file_that_is_no_model_is_one_line(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"text{suffix}"
    path.write_bytes(content)
    with pytest.raises(VidsalError) as caught:
        _open(path)
    assert str(caught.value).startswith(f"{path} cannot be loaded as a Keras model: ")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    assert "not found" not in str(caught.value).lower()


def test_a_file_of_weights_alone_is_one_line(tmp_path: Path) -> None:
    model = _model()
    model.save_weights(tmp_path / "mine.weights.h5")
    with pytest.raises(VidsalError, match="cannot be loaded as a Keras model"):
        _open(tmp_path / "mine.weights.h5")


@pytest.mark.parametrize("name", ["missing.keras", "missing.h5"])
def test_a_missing_file_is_found_before_keras_looks(name: str, tmp_path: Path) -> None:
    with pytest.raises(VidsalError, match=rf"^--model .*{name}: there is no such file$"):
        choose(Settings(model=str(tmp_path / name)))


# Names in keras.applications


def test_every_network_of_keras_has_its_preprocessing(monkeypatch: pytest.MonkeyPatch) -> None:
    names = keras_models.application_names()
    assert len(names) >= 38 and {"ResNet50", "MobileNetV2", "MobileNetV3Small"} <= set(names)
    prepared = {}
    for name in names:
        # Their building is Keras' affair and takes long.
        real = getattr(keras.applications, name)

        def build(weights: Any, classifier_activation: Any, real: Any = real) -> Any:
            assert weights == "imagenet" and classifier_activation is None
            return real.__name__

        build.__module__ = real.__module__
        monkeypatch.setattr(keras.applications, name, build)
        model, preprocess = keras_models.application(name, None)
        assert model == name
        prepared[name] = np.asarray(preprocess(np.full((1, 1, 1, 3), 255.0, np.float32)))[0, 0, 0]
    # One network of each kind.
    assert prepared["ResNet50"] == pytest.approx([151.061, 138.221, 131.32])
    for name in ("ResNet50V2", "MobileNetV2", "Xception"):
        assert prepared[name] == pytest.approx([1, 1, 1])
    assert prepared["DenseNet121"] == pytest.approx([2.2489, 2.4286, 2.64], abs=1e-3)
    for name in ("EfficientNetB0", "MobileNetV3Large", "ConvNeXtTiny"):
        assert prepared[name] == pytest.approx([255, 255, 255])


@pytest.mark.parametrize(
    ("name", "hint"),
    [("resnet51", "; did you mean 'ResNet50'"), ("MobileNet2", "MobileNetV2"), ("zzzzz", None)],
)
def test_unknown_names_are_told_their_neighbours(name: str, hint: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        settings = Settings(model=name)
        open_static(choose(settings), settings)
    message = str(caught.value)
    assert message.startswith(f"--model {name!r} is not in keras.applications")
    assert (hint in message) if hint else message.endswith("keras.applications")


@pytest.mark.parametrize("name", ["../resnet", "two words", "model.pt", ""])
def test_words_that_are_no_names(name: str) -> None:
    with pytest.raises(UsageError, match=r"is neither auto, resnet50, lite0, none, a name in"):
        choose(Settings(model=name))


@pytest.mark.parametrize(
    "name", ["MobileNetV2", pytest.param("mobilenetv2", marks=pytest.mark.slow)]
)
def test_a_network_by_name_with_local_weights(name: str, tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    model = keras.applications.MobileNetV2(weights=None, classifier_activation=None)
    # Untrained logits are all but equal.
    kernel, bias = model.layers[-1].get_weights()
    rgb = _pictures((224, 224), 1)
    own = keras.applications.mobilenet_v2.preprocess_input(rgb.astype(np.float32))
    spread = float(np.std(np.asarray(model(own, training=False))))
    model.layers[-1].set_weights([kernel * (2 / spread), bias])
    path = tmp_path / "mine.weights.h5"
    model.save_weights(path)
    settings = Settings(model=name, weights=path, samples=2, target="tench")
    choice = choose(settings)
    assert choice.weights == path
    stage = open_static(choice, settings)
    assert stage is not None and stage.input_size is None and stage.names[0] == "tench"
    wanted = _softmax(np.asarray(model(own, training=False)))
    assert wanted.max() > 10 / 1000
    assert stage.predict(rgb) == pytest.approx(wanted, rel=1e-3)
    small = stage.maps(_pictures((64, 96), 1), [Request(0, 2)])
    assert small.shape == (1, 64, 96) and small.any()


# Precision


@pytest.mark.slow
def test_bfloat16_shows_what_float32_shows(sample_media: Path) -> None:
    bgr = cv2.imread(str(sample_media / "cat.jpg"))
    assert bgr is not None
    rgb = np.ascontiguousarray(cv2.resize(bgr, (160, 160), interpolation=cv2.INTER_AREA)[..., ::-1])
    maps, seen = [], []
    for arithmetic in ("float32", "bfloat16"):
        settings = Settings(model="lite0", precision=arithmetic, samples=8)
        stage = open_static(choose(settings), settings)
        assert stage is not None
        (one,) = stage.maps(rgb[None].astype(np.uint8), [Request(0, 8)])
        assert one.dtype == np.float32 and np.isfinite(one).all()
        maps.append(one.ravel())
        (p,) = stage.predict(rgb[None].astype(np.uint8))
        assert p.dtype == np.float32
        seen.append(p)
    correlation = float(np.corrcoef(np.stack(maps))[0, 1])
    assert 0.7 < correlation < 0.99999
    assert seen[0].argmax() == seen[1].argmax()
    assert np.abs(seen[0] - seen[1]).max() < 0.15


@pytest.mark.parametrize(("seconds", "is_slower"), [(6.0, True), (1.5, False), (0.5, False)])
def test_arithmetic_that_a_machine_lacks_is_told(
    seconds: float, is_slower: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr(
        precision, "_derivative_s", {"float32": 1.0, "bfloat16": seconds}.__getitem__
    )
    path = str(_save(_model("none"), tmp_path / "mine.keras"))
    for chosen in ("float32", "bfloat16"):
        caplog.clear()
        settings = Settings(model=path, precision=chosen)
        open_static(choose(settings), settings)
        warned = [one for one in caplog.messages if "slower than float32" in one]
        assert len(warned) == (is_slower and chosen == "bfloat16")


def test_more_work_takes_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    small = precision._derivative_s("float32")
    monkeypatch.setattr(precision, "_LAYER", (16, 56, 56, 128))
    # 64 times the arithmetic.
    assert precision._derivative_s("float32") > 2 * small > 0


def test_classifier_is_ready_to_differentiate(tmp_path: Path) -> None:
    path = _save(_model("Softmax"), tmp_path / "mine.keras")
    settings = Settings(model=str(path))
    classifier, classes = open_classifier(choose(settings), settings)
    assert classifier.name == "mine.keras"
    assert [one.name for one in classes] == list(classifier.names)
    logits = classifier.logits(tf.constant(_pictures(), tf.float32))
    assert logits.dtype == tf.float32 and tuple(logits.shape) == (3, CLASSES)
