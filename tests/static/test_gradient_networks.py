"""Gradient maps of real networks, against the tape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from gradient_help import classifier_of, direct, maps_of, predictions_of, stage_of, tf

from vidsal.saliency.normalization import DisplayScale
from vidsal.static import keras_models
from vidsal.static.gradient import Classifier
from vidsal.types import Map, Rgb


def test_resnet50_is_fed_blue_first_without_the_mean() -> None:
    rgb = np.array([[[[10.0, 20.0, 30.0]]]], np.float32)
    prepared = np.asarray(keras_models.preprocessing("caffe")(tf.constant(rgb)))
    assert prepared[0, 0, 0] == pytest.approx([30 - 103.939, 20 - 116.779, 10 - 123.68], abs=1e-4)


@pytest.fixture(scope="module")
def cat(sample_media: Path) -> Rgb:
    bgr = cv2.imread(str(sample_media / "cat.jpg"))
    assert bgr is not None
    small = cv2.resize(bgr, (160, 160), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small[None, ..., ::-1], np.uint8)


@pytest.fixture(scope="module")
def lite0() -> Classifier:
    from vidsal.static import lite0

    model = lite0.build()
    return classifier_of(lambda rgb: model(lite0.preprocess(rgb), training=False), 1000)


@pytest.fixture(scope="module")
def by_the_tape(lite0: Classifier, cat: Rgb) -> tuple[Any, Any]:
    """Softmax of one photo and its top class's derivative, computed step by step."""
    pixels = tf.constant(cat.astype(np.float32))
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        probabilities = tf.nn.softmax(lite0.logits(pixels))
        score = probabilities[0, int(np.argmax(probabilities[0]))]
    return probabilities[0].numpy(), tape.gradient(score, pixels)[0].numpy()


@pytest.mark.slow
def test_tutorial_formula(lite0: Classifier, cat: Rgb, by_the_tape: tuple[Any, Any]) -> None:
    probabilities, gradient = by_the_tape
    signed = gradient.sum(axis=-1)
    expected = (signed - signed.min()) / (signed.max() - signed.min())

    def unit(maps: Map) -> Map:
        return DisplayScale("minmax")(maps[0], 0.0).values

    stage = stage_of(lite0, score="probability", reduce="sum")
    maps = maps_of(stage, cat)
    assert unit(maps) == pytest.approx(expected, abs=2e-3)
    assert maps[0] == pytest.approx(signed, abs=2e-3 * float(np.abs(signed).max()))
    order = np.argsort(-probabilities)[:5]
    (seen,) = predictions_of(stage, cat)
    assert seen.class_ids == tuple(order)
    assert seen.probabilities == pytest.approx(probabilities[order], abs=1e-4)
    # Egyptian cat, tabby or tiger cat: the photo's own animal, not just any number.
    assert seen.target_id in (281, 282, 285)
    # The closest of the other formulas is far off, so the agreement above means something.
    other = unit(maps_of(stage_of(lite0, score="logit", reduce="sum"), cat))
    assert np.abs(other - expected).max() > 0.02


@pytest.mark.slow
def test_integrated_gradients_of_a_real_network_are_complete(lite0: Classifier, cat: Rgb) -> None:
    target = 285
    stage = stage_of(lite0, target, method="integrated", reduce="sum")
    logits, _ = direct(lite0, cat)
    dark, _ = direct(lite0, np.zeros_like(cat))
    difference = float(logits[0, target] - dark[0, target])
    assert difference > 5
    # The score climbs by half of it in the first twentieth of the way, not at all evenly.
    for samples, within in ((64, 0.03), (256, 0.01)):
        (one,) = maps_of(stage, cat, samples)
        assert float(one.sum(dtype=np.float64)) == pytest.approx(difference, rel=within)


def test_plain_gradient_of_a_real_network(
    lite0: Classifier, cat: Rgb, by_the_tape: tuple[Any, Any]
) -> None:
    probabilities, _ = by_the_tape
    top = int(np.argmax(probabilities))
    pixels = tf.constant(cat.astype(np.float32))
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        score = lite0.logits(pixels)[0, top]
    expected = np.abs(tape.gradient(score, pixels)[0].numpy()).max(axis=-1)
    batch = np.concatenate([cat, cat[:, :, ::-1], cat[:, ::-1]])
    maps = maps_of(stage_of(lite0), batch)
    assert maps[0] == pytest.approx(expected, abs=2e-3 * float(expected.max()))
