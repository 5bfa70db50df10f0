"""Networks by their names in keras.applications."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_help import keras, pictures_of, softmax

from vidsal.errors import UsageError
from vidsal.settings import Settings
from vidsal.static import keras_models
from vidsal.static.models import choose, open_static
from vidsal.types import Request


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
    assert message.startswith(f"model={name!r} is not in keras.applications")
    assert (hint in message) if hint else message.endswith("keras.applications")


@pytest.mark.parametrize(
    "name", ["MobileNetV2", pytest.param("mobilenetv2", marks=pytest.mark.slow)]
)
def test_a_network_by_name_with_local_weights(name: str, tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    model = keras.applications.MobileNetV2(weights=None, classifier_activation=None)
    # Untrained logits are all but equal.
    kernel, bias = model.layers[-1].get_weights()
    rgb = pictures_of((224, 224), 1)
    own = keras.applications.mobilenet_v2.preprocess_input(rgb.astype(np.float32))
    spread = float(np.std(np.asarray(model(own, training=False))))
    model.layers[-1].set_weights([kernel * (2 / spread), bias])
    path = tmp_path / "mine.weights.h5"
    model.save_weights(path)
    settings = Settings(model=name, weights=path, samples=2, target="tench", layer="input")
    choice = choose(settings)
    assert choice.weights == path
    stage = open_static(choice, settings)
    assert stage is not None and stage.input_size is None and stage.names[0] == "tench"
    wanted = softmax(np.asarray(model(own, training=False)))
    assert wanted.max() > 10 / 1000
    assert stage.predict(rgb) == pytest.approx(wanted, rel=1e-3)
    small = stage.maps(pictures_of((64, 96), 1), [Request(0, 2)])
    assert small.shape == (1, 64, 96) and small.any()
