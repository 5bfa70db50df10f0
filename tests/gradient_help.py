"""Helpers for tests of gradients: networks with known derivatives, stages and their maps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from vidsal.saliency.targets import prediction
from vidsal.static.gradient import Classifier, GradientStage, Recipe
from vidsal.static.models import load_tensorflow
from vidsal.types import Map, Prediction, Request, Rgb, Target

tf = load_tensorflow()

H, W, K = 6, 8, 7
Score = Literal["logit", "probability"]
TOP = Target(top=1)


def pictures(count: int, size: tuple[int, int] = (H, W), seed: int = 0) -> Rgb:
    """Random pictures."""
    return np.random.default_rng(seed).integers(0, 256, (count, *size, 3), np.uint8)


def classifier_of(
    logits: Callable[[Any], Any], classes: int = K, *, is_multi_label: bool = False
) -> Classifier:
    """A classifier with the names "class 0" and so on."""
    names = tuple(f"class {n}" for n in range(classes))

    def observed(pixels: Any, _: object = None) -> Any:
        return logits(pixels)

    return Classifier("test", observed, names, is_multi_label=is_multi_label)


def stage_of(
    classifier: Classifier,
    target: Target | int = TOP,
    *,
    rows: int = 16,
    method: Literal["gradient", "smoothgrad", "integrated"] = "gradient",
    **recipe: Any,
) -> GradientStage:
    """A stage that takes the gradient of the picture itself by default."""
    target = Target(class_id=target) if isinstance(target, int) else target
    return GradientStage(classifier, Recipe(target=target, method=method, **recipe), rows=rows)


def maps_of(stage: GradientStage, rgb: Rgb, samples: int = 1, *, first: int = 0) -> Map:
    """Maps of pictures that are the frames from `first` on."""
    return stage.maps(rgb, [Request(first + n, samples) for n in range(len(rgb))])


def predictions_of(stage: GradientStage, rgb: Rgb) -> list[Prediction]:
    """The predictions of pictures, as the stream makes them."""
    return [prediction(p, stage.names, stage.target.class_id) for p in stage.predict(rgb)]


def direct(classifier: Classifier, rgb: Rgb) -> tuple[Map, Map]:
    """Logits and softmax of the plain forward pass, in float64."""
    logits = classifier.logits(tf.constant(rgb, tf.float32)).numpy().astype(np.float64)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return logits, powers / powers.sum(axis=1, keepdims=True)


def noise_of(rgb: Rgb, *, frame: int = 0, samples: int = 1, **recipe: Any) -> Map:
    """The mean noise that was added to one picture, (h, w, 3)."""
    target = Target(is_locked=True)
    stage = stage_of(REVEALING, target, method="smoothgrad", reduce="sum", **recipe)
    colours = stage.maps(np.stack([rgb] * 3), [Request(frame, samples, c) for c in range(3)])
    return np.moveaxis(colours, 0, -1) - rgb


def _curved() -> Classifier:
    rng = np.random.default_rng(2)
    kernel = tf.constant(rng.normal(0, 0.02, (3, 3, 3, 16)), tf.float32)
    head = tf.constant(rng.normal(0, 1, (16, K)), tf.float32)
    return classifier_of(
        lambda x: (
            tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(x - 120.0, kernel, 1, "SAME")), (1, 2)) @ head
        )
    )


# Weights of a linear network, small enough that its softmax is not saturated.
WEIGHTS: Map = np.random.default_rng(1).normal(0, 1e-3, (H, W, 3, K)).astype(np.float32)
# W . x, whose derivative is W for any picture.
LINEAR = classifier_of(lambda x: tf.einsum("nhwc,hwck->nk", x, tf.constant(WEIGHTS)))
# A small network with borders, kinks and a pool, like large ones.
CURVED = _curved()
# Half the sum of squares of each colour: the derivative is the picture itself.
REVEALING = classifier_of(lambda x: tf.reduce_sum(x**2, (1, 2)) / 2, 3)
