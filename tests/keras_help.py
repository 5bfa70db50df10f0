"""Helpers for tests of Keras models: small networks, pictures, and opened stages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from vidsal.settings import Settings
from vidsal.static.models import choose, load_tensorflow, open_static
from vidsal.types import Rgb, StaticStage

tf = load_tensorflow()

import keras as keras  # noqa: E402 -- after the choice of its backend

L = keras.layers
CLASSES = 6


def layers_of(end: str = "none", classes: int = CLASSES) -> list[Any]:
    """The layers of a small network for pictures of any size, 0 to 255."""
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


def randomised(model: Any) -> Any:
    """A model with random, seeded weights in its normalisations and dense layers."""
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, L.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
        elif isinstance(layer, L.Dense):
            layer.set_weights([rng.normal(0, 1, w.shape) for w in layer.get_weights()])
    return model


def model_of(end: str = "none", *, size: tuple[int | None, int | None] = (None, None)) -> Any:
    """A small classifier that ends in a given way."""
    return randomised(keras.Sequential([keras.Input((*size, 3)), *layers_of(end)]))


def pictures_of(size: tuple[int, int] = (32, 40), count: int = 3) -> Rgb:
    """Random pictures."""
    return np.random.default_rng(0).integers(0, 256, (count, *size, 3), np.uint8)


def softmax(logits: Any) -> Any:
    """Softmax of the rows of an array."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def settings_for(model: Any, **options: Any) -> Settings:
    """Settings with a model object, which need not be a name."""
    settings = Settings(**options)
    object.__setattr__(settings, "model", model)
    return settings


# References are derivatives of a model by its input.
BY_PIXELS = {"layer": "input", "reduce": "max"}


def open_saved(path: Path, **options: Any) -> StaticStage:
    """The static stage of a saved model, differentiated by the pixels unless an option says so."""
    settings = Settings(model=str(path), **(BY_PIXELS | options))
    stage = open_static(choose(settings), settings)
    assert stage is not None
    return stage


def open_object(model: Any, **options: Any) -> StaticStage:
    """The static stage of a model object, differentiated by the pixels unless an option says so."""
    settings = settings_for(model, **(BY_PIXELS | options))
    stage = open_static(choose(settings), settings)
    assert stage is not None
    return stage


def saved(model: Any, path: Path) -> Path:
    """The path of a model, saved."""
    model.save(path)
    return path
