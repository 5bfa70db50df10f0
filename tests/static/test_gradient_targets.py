"""Targets and predictions: which scores a map explains."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
from gradient_help import (
    CURVED,
    LINEAR,
    WEIGHTS,
    K,
    Score,
    classifier_of,
    direct,
    maps_of,
    noise_of,
    pictures,
    predictions_of,
    stage_of,
    tf,
)

from vidsal.static.gradient import Classifier
from vidsal.types import Request, Rgb, Target


@pytest.mark.parametrize("method", ["gradient", "smoothgrad"])
@pytest.mark.parametrize("top", [1, 2, 5, K])
def test_top_k_sums_the_largest_scores_where_the_gradient_is_taken(
    top: int,
    method: Literal["gradient", "smoothgrad"],
) -> None:
    rgb = pictures(6)
    maps = maps_of(stage_of(LINEAR, Target(top=top), method=method, noise=0.5), rgb)
    own = others = 0
    for n, one in enumerate(maps):
        place = rgb[n].astype(np.float64)
        if method == "smoothgrad":
            place += noise_of(rgb[n], frame=n, noise=0.5)
        scores = np.einsum("hwc,hwck->k", place, WEIGHTS.astype(np.float64))
        largest = np.argsort(-scores)[:top]
        expected = np.abs(WEIGHTS[..., largest].sum(axis=-1)).max(axis=-1)
        assert one == pytest.approx(expected, rel=1e-4, abs=1e-7)
        unmoved = np.argsort(-np.einsum("hwc,hwck->k", rgb[n].astype(np.float64), WEIGHTS))[:top]
        own += set(unmoved) == set(largest)
        others += set(unmoved) != set(largest)
    # Or the test would not tell the copy's largest from the picture's.
    if method == "smoothgrad" and top < K:
        assert others > 0


def test_a_class_chosen_along_the_stream() -> None:
    stage = stage_of(LINEAR, Target(is_locked=True), rows=4)
    wanted = [Request(0, 2, 6), Request(1, 3, 0), Request(2, 1, 3)]
    for one, request in zip(stage.maps(pictures(3), wanted), wanted, strict=True):
        assert one == pytest.approx(np.abs(WEIGHTS[..., request.class_id]).max(axis=-1), rel=1e-5)
    with pytest.raises(ValueError, match=r"^each request needs a class_id"):
        stage.maps(pictures(2), [Request(0, 1, 6), Request(1, 1)])


def test_top_1_explains_each_pictures_own_top_class() -> None:
    rgb = pictures(16)
    logits, p = direct(LINEAR, rgb)
    top = logits.argmax(axis=1)
    # Or the test would not tell a picture's own class from the batch's.
    assert len(set(top)) > 1
    stage = stage_of(LINEAR)
    for n, (one, seen) in enumerate(
        zip(maps_of(stage, rgb), predictions_of(stage, rgb), strict=True)
    ):
        assert one == pytest.approx(np.abs(WEIGHTS[..., top[n]]).max(axis=-1), rel=1e-5)
        assert (seen.target_id, seen.target_name) == (top[n], f"class {top[n]}")
        assert seen.target_probability == pytest.approx(p[n].max(), rel=1e-4)
        assert seen.class_ids[0] == seen.target_id


@pytest.mark.parametrize("score", ["logit", "probability"])
def test_fixed_target_leaves_the_predictions_alone(score: Score) -> None:
    rgb = pictures(3)
    _, p = direct(LINEAR, rgb)
    auto = predictions_of(stage_of(LINEAR, score=score), rgb)
    fixed = predictions_of(stage_of(LINEAR, 5, score=score), rgb)
    for n in range(3):
        assert fixed[n].class_ids == auto[n].class_ids
        assert (fixed[n].target_id, fixed[n].target_name) == (5, "class 5")
        assert fixed[n].target_probability == pytest.approx(p[n, 5], rel=1e-4)


def test_fixed_target_that_is_the_top_class_changes_nothing() -> None:
    rgb = pictures(1)
    auto = stage_of(CURVED)
    (seen,) = predictions_of(auto, rgb)
    assert seen.target_id is not None
    fixed = stage_of(CURVED, seen.target_id)
    assert np.array_equal(maps_of(auto, rgb), maps_of(fixed, rgb))
    assert [seen] == predictions_of(fixed, rgb)


def test_top_five_are_sorted_and_are_the_softmax() -> None:
    rgb = pictures(5)
    _, p = direct(CURVED, rgb)
    for n, seen in enumerate(predictions_of(stage_of(CURVED), rgb)):
        order = np.argsort(-p[n])[:5]
        assert seen.class_ids == tuple(order)
        assert seen.names == tuple(f"class {k}" for k in order)
        assert seen.probabilities == pytest.approx(p[n][order], rel=1e-4)
        assert list(seen.probabilities) == sorted(seen.probabilities, reverse=True)


@pytest.mark.parametrize("method", ["smoothgrad", "integrated"])
def test_a_class_that_is_named_is_explained_at_every_sample(
    method: Literal["smoothgrad", "integrated"],
) -> None:
    # A noisy copy, or a step of the path from black, may have another top class.
    rgb = pictures(6)
    named, unnamed = ([Request(n, 8, one) for n in range(6)] for one in (3, None))
    top, third = (
        stage_of(LINEAR, target, method=method, noise=0.5, reduce="sum")
        for target in (Target(top=1), Target(class_id=3))
    )
    one = top.maps(rgb, named)
    assert np.allclose(one, third.maps(rgb, unnamed))
    assert not np.allclose(one, top.maps(rgb, unnamed))


def test_fewer_classes_than_five() -> None:
    two = classifier_of(lambda x: tf.reduce_mean(x, (1, 2))[:, :2], 2)
    assert len(predictions_of(stage_of(two), pictures(1))[0].class_ids) == 2


def test_a_stage_that_is_aimed_elsewhere_explains_that() -> None:
    traced = []

    def logits(x: Any) -> Any:
        # Python runs while a graph is traced, and never again.
        traced.append(tuple(x.shape))
        return LINEAR.logits(x)

    rgb = pictures(2)
    stage = stage_of(classifier_of(logits), 2)
    maps_of(stage, rgb)
    for class_id in (5, 0):
        other = stage.aimed(Target(class_id=class_id))
        wanted = np.abs(WEIGHTS[..., class_id]).max(axis=-1)
        assert maps_of(other, rgb) == pytest.approx(np.stack([wanted] * 2), rel=1e-5)
        np.testing.assert_array_equal(other.predict(rgb), stage.predict(rgb))
    top = stage.aimed(Target(top=2))
    np.testing.assert_allclose(
        maps_of(top, rgb), maps_of(stage_of(LINEAR, Target(top=2)), rgb), rtol=1e-5
    )
    assert stage.target == Target(class_id=2)
    # One graph for single classes, one for the two largest, one for predictions. Going back to a
    # former target traces nothing, so that a live view does not stall.
    assert len(traced) == 3
    for target in (Target(class_id=2), Target(top=2), Target(is_locked=True)):
        again = top.aimed(target)
        again.predict(rgb)
        again.maps(rgb, [Request(n, 1, 1 if target.is_locked else None) for n in range(2)])
    assert len(traced) == 3
    with pytest.raises(ValueError, match="target must be 0 to 6"):
        stage.aimed(Target(class_id=K))


# Independent classes: each probability is the sigmoid of its own logit


def _independent() -> Classifier:
    return classifier_of(LINEAR.logits, is_multi_label=True)


def _sigmoids(rgb: Rgb) -> Any:
    logits, _ = direct(LINEAR, rgb)
    return logits, 1 / (1 + np.exp(-logits))


def test_probabilities_of_independent_classes_are_sigmoids() -> None:
    rgb = pictures(3)
    _, p = _sigmoids(rgb)
    assert np.abs(p.sum(axis=1) - 1).min() > 0.1
    assert stage_of(_independent()).predict(rgb) == pytest.approx(p, rel=1e-4)


@pytest.mark.parametrize("reduce", ["max", "sum"])
@pytest.mark.parametrize("score", ["logit", "probability", "logprob"])
def test_gradient_of_an_independent_class_in_closed_form(score: str, reduce: str) -> None:
    rgb, target = pictures(4), 2
    _, p = _sigmoids(rgb)
    assert p[:, target].min() > 0.01 and p[:, target].max() < 0.99
    maps = maps_of(stage_of(_independent(), target, score=score, reduce=reduce), rgb)
    for n, one in enumerate(maps):
        # d s(z) = s (1 - s) w and d log s(z) = (1 - s) w; other classes have no part in it.
        share = p[n, target]
        factor = {"logit": 1, "probability": share * (1 - share), "logprob": 1 - share}[score]
        gradient = factor * WEIGHTS[..., target].astype(np.float64)
        expected = np.abs(gradient).max(-1) if reduce == "max" else gradient.sum(-1)
        assert one == pytest.approx(expected, abs=2e-4 * float(np.abs(expected).max()))


@pytest.mark.parametrize("top", [1, 3])
@pytest.mark.parametrize("score", ["logit", "probability"])
def test_top_k_of_independent_classes_sums_the_largest(score: str, top: int) -> None:
    rgb = pictures(6)
    logits, p = _sigmoids(rgb)
    stage = stage_of(_independent(), Target(top=top), score=score, reduce="sum")
    for n, one in enumerate(maps_of(stage, rgb)):
        largest = np.argsort(-logits[n])[:top]
        factors = 1 if score == "logit" else (p[n] * (1 - p[n]))[largest]
        expected = (WEIGHTS.astype(np.float64)[..., largest] * factors).sum(axis=(-1, -2))
        assert one == pytest.approx(expected, abs=2e-4 * float(np.abs(expected).max()))
