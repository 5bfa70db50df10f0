"""Gradient maps against networks whose derivative is known in closed form, and against the tape."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pytest

from vidsal.saliency.normalization import Scale
from vidsal.saliency.targets import prediction
from vidsal.static import keras_models
from vidsal.static.gradient import Classifier, GradientStage, Recipe, _spans
from vidsal.static.models import load_tensorflow
from vidsal.types import Map, Prediction, Request, Rgb, Target

tf = load_tensorflow()

H, W, K = 6, 8, 7
Score = Literal["logit", "probability"]
TOP = Target(top=1)


def _pictures(count: int, size: tuple[int, int] = (H, W), seed: int = 0) -> Rgb:
    return np.random.default_rng(seed).integers(0, 256, (count, *size, 3), np.uint8)


def _classifier(logits: Callable[[Any], Any], classes: int = K) -> Classifier:
    return Classifier("test", logits, tuple(f"class {n}" for n in range(classes)))


def _stage(
    classifier: Classifier,
    target: Target | int = TOP,
    *,
    rows: int = 16,
    method: Literal["gradient", "smoothgrad", "integrated"] = "gradient",
    **recipe: Any,
) -> GradientStage:
    """A stage that takes the gradient of the picture itself, if nothing else is said."""
    target = Target(class_id=target) if isinstance(target, int) else target
    return GradientStage(classifier, Recipe(target=target, method=method, **recipe), rows=rows)


def _maps(stage: GradientStage, rgb: Rgb, samples: int = 1, *, first: int = 0) -> Map:
    """Maps of pictures that are the frames from `first` on."""
    return stage.maps(rgb, [Request(first + n, samples) for n in range(len(rgb))])


def _seen(stage: GradientStage, rgb: Rgb) -> list[Prediction]:
    return [prediction(p, stage.names, stage.target.class_id) for p in stage.predict(rgb)]


@pytest.fixture(scope="module")
def weights() -> Map:
    """Weights of a linear network, small enough that its softmax is not saturated."""
    rng = np.random.default_rng(1)
    return rng.normal(0, 1e-3, (H, W, 3, K)).astype(np.float32)


@pytest.fixture(scope="module")
def linear(weights: Map) -> Classifier:
    """W . x, whose derivative is W whatever the picture."""
    return _classifier(lambda x: tf.einsum("nhwc,hwck->nk", x, tf.constant(weights)))


@pytest.fixture(scope="module")
def curved() -> Classifier:
    """A small network with borders, kinks and a pool, as large ones have them."""
    rng = np.random.default_rng(2)
    kernel = tf.constant(rng.normal(0, 0.02, (3, 3, 3, 16)), tf.float32)
    head = tf.constant(rng.normal(0, 1, (16, K)), tf.float32)
    return _classifier(
        lambda x: (
            tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(x - 120.0, kernel, 1, "SAME")), (1, 2)) @ head
        )
    )


def _direct(classifier: Classifier, rgb: Rgb) -> tuple[Map, Map]:
    """Logits and softmax of the plain forward pass, in float64."""
    logits = classifier.logits(tf.constant(rgb, tf.float32)).numpy().astype(np.float64)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return logits, powers / powers.sum(axis=1, keepdims=True)


# Closed forms


@pytest.mark.parametrize("target", [0, 3, K - 1])
def test_linear_network_gives_its_weights(linear: Classifier, weights: Map, target: int) -> None:
    maps = _maps(_stage(linear, target), _pictures(3))
    assert maps.dtype == np.float32
    expected = np.abs(weights[..., target]).max(axis=-1)
    for one in maps:
        assert one == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("target", [0, 4])
def test_sum_of_channels_keeps_the_sign(linear: Classifier, weights: Map, target: int) -> None:
    maps = _maps(_stage(linear, target, channels="sum"), _pictures(2))
    expected = weights[..., target].sum(axis=-1)
    assert expected.min() < 0 < expected.max()
    for one in maps:
        assert one == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("channels", ["max", "sum"])
def test_probability_in_closed_form(
    linear: Classifier, weights: Map, channels: Literal["max", "sum"]
) -> None:
    rgb = _pictures(4)
    target = 2
    _, p = _direct(linear, rgb)
    assert p[:, target].min() > 0.01 and p.max() < 0.99
    maps = _maps(_stage(linear, target, score="probability", channels=channels), rgb)
    exact = weights.astype(np.float64)
    for n, one in enumerate(maps):
        # d p_k = p_k (w_k - sum_j p_j w_j)
        gradient = p[n, target] * (exact[..., target] - exact @ p[n])
        expected = np.abs(gradient).max(-1) if channels == "max" else gradient.sum(-1)
        assert one == pytest.approx(expected, abs=2e-4 * float(np.abs(expected).max()))


def test_derivative_is_taken_at_the_pictures_own_values() -> None:
    # sum of a x^2 has the derivative 2 a x: of pixels as they are, 0..255, without a rescaling.
    factors = np.array([[1.0, -2.0, 0.5], [3.0, 0.1, -1.0]], np.float32)
    squares = _classifier(lambda x: tf.reduce_sum(x**2, (1, 2)) @ tf.constant(factors.T), 2)
    rgb = _pictures(2)
    maps = _maps(_stage(squares, 1), rgb)
    expected = np.abs(2 * factors[1] * rgb.astype(np.float64)).max(axis=-1)
    assert maps == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (2, 5), (H - 1, W - 1)])
def test_map_is_nonzero_exactly_where_the_network_looks(row: int, column: int) -> None:
    one_pixel = _classifier(lambda x: x[:, row, column, :] * tf.constant([1.0, 2.0, 3.0]), 3)
    maps = _maps(_stage(one_pixel, 1), _pictures(2))
    expected = np.zeros((2, H, W))
    expected[:, row, column] = 2
    assert np.array_equal(maps, expected)


def test_map_agrees_with_finite_differences(curved: Classifier) -> None:
    rgb = _pictures(1)
    maps = _maps(_stage(curved, 3, channels="sum"), rgb)

    def score(pixels: Any) -> float:
        return float(curved.logits(tf.constant(pixels, tf.float32))[0, 3])

    for row, column in [(0, 0), (3, 4), (5, 7)]:
        up, down = rgb.astype(np.float32), rgb.astype(np.float32)
        up[0, row, column] += 0.25
        down[0, row, column] -= 0.25
        slope = (score(up) - score(down)) / 0.5
        assert maps[0, row, column] == pytest.approx(slope, abs=2e-3 * float(np.abs(maps).max()))


@pytest.mark.parametrize("channels", ["max", "sum"])
def test_logarithm_of_the_probability_in_closed_form(
    linear: Classifier, weights: Map, channels: Literal["max", "sum"]
) -> None:
    rgb, target = _pictures(4), 3
    _, p = _direct(linear, rgb)
    exact = weights.astype(np.float64)
    maps = _maps(_stage(linear, target, score="logprob", channels=channels), rgb)
    for n, one in enumerate(maps):
        # d log p_k = w_k - sum_j p_j w_j
        gradient = exact[..., target] - exact @ p[n]
        expected = np.abs(gradient).max(-1) if channels == "max" else gradient.sum(-1)
        assert one == pytest.approx(expected, abs=2e-4 * float(np.abs(expected).max()))


# Noise


@pytest.fixture(scope="module")
def revealing() -> Classifier:
    """Half the sum of squares of each colour: the derivative is the pixel it was taken at."""
    return _classifier(lambda x: tf.reduce_sum(x**2, (1, 2)) / 2, 3)


def _noise(
    revealing: Classifier, rgb: Rgb, *, frame: int = 0, samples: int = 1, **recipe: Any
) -> Map:
    """The mean noise that was added to one picture, (h, w, 3)."""
    stage = _stage(revealing, Target(is_locked=True), method="smoothgrad", channels="sum", **recipe)
    colours = stage.maps(np.stack([rgb] * 3), [Request(frame, samples, c) for c in range(3)])
    return np.moveaxis(colours, 0, -1) - rgb


@pytest.mark.parametrize("share", [0.05, 0.15, 1.0])
def test_noise_is_as_strong_as_it_is_said(revealing: Classifier, share: float) -> None:
    (rgb,) = _pictures(1, (96, 128))
    noise = _noise(revealing, rgb, noise=share)
    # 36,864 numbers: their deviation is known to 0.4 %, their mean to 0.5 % of it.
    assert noise.std() == pytest.approx(255 * share, rel=0.02)
    assert abs(noise.mean()) < 0.02 * 255 * share
    # Gaussian: of two thirds within one deviation, and one in 370 beyond three.
    assert np.mean(np.abs(noise) < 255 * share) == pytest.approx(0.6827, abs=0.01)
    assert np.mean(np.abs(noise) > 3 * 255 * share) == pytest.approx(0.0027, abs=0.0015)
    # Colours and neighbours have their own.
    flat = noise.reshape(-1, 3)
    assert np.abs(np.corrcoef(flat.T) - np.eye(3)).max() < 0.03
    assert abs(np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]) < 0.03


@pytest.mark.parametrize("samples", [4, 16, 100])
def test_samples_of_a_frame_are_independent(revealing: Classifier, samples: int) -> None:
    (rgb,) = _pictures(1, (48, 64))
    noise = _noise(revealing, rgb, samples=samples)
    assert noise.std() == pytest.approx(255 * 0.15 / np.sqrt(samples), rel=0.05)


def test_noise_belongs_to_seed_frame_and_sample(revealing: Classifier) -> None:
    (rgb,) = _pictures(1, (48, 64))
    keys = [(seed, frame) for seed in (0, 1, 2**31 - 1) for frame in (0, 1, 2, 1_000_000)]
    drawn = [_noise(revealing, rgb, seed=seed, frame=frame).ravel() for seed, frame in keys]
    assert np.array_equal(drawn[5], _noise(revealing, rgb, seed=1, frame=1).ravel())
    # No two share their noise; neither do a seed's next frame and the next seed's frame.
    alike = np.abs(np.corrcoef(np.stack(drawn)) - np.eye(len(keys)))
    assert alike.max() < 0.06
    # A frame's first sample is the same however many follow it.
    two = _noise(revealing, rgb, frame=1, samples=2)
    second = 2 * two.ravel() - drawn[1]
    assert second.std() == pytest.approx(255 * 0.15, rel=0.05)
    assert abs(np.corrcoef(second, drawn[1])[0, 1]) < 0.06


def test_same_seed_same_maps(curved: Classifier) -> None:
    rgb = _pictures(3)
    one, again, other = (
        _maps(_stage(curved, method="smoothgrad", seed=seed), rgb, samples=4) for seed in (7, 7, 8)
    )
    assert np.array_equal(one, again)
    assert np.abs(one - other).max() > 0.05 * one.max()


def test_noise_does_not_depend_on_the_picture(revealing: Classifier) -> None:
    first, second = _pictures(2, (16, 16))
    assert _noise(revealing, first) == pytest.approx(_noise(revealing, second), abs=1e-3)


@pytest.mark.parametrize("rows", [1, 3, 4, 16, 64])
@pytest.mark.parametrize("method", ["smoothgrad", "integrated"])
def test_maps_do_not_depend_on_neighbours_or_calls(
    curved: Classifier, rows: int, method: Literal["smoothgrad", "integrated"]
) -> None:
    rgb = _pictures(3)
    wanted = [Request(5, 1), Request(6, 3), Request(40, 16)]
    stage = _stage(curved, Target(top=2), method=method, rows=rows)
    whole = stage.maps(rgb, wanted)
    calm = _stage(curved, Target(top=2), method=method, rows=16)
    for order in ([0], [1], [2], [2, 0, 1]):
        part = calm.maps(rgb[order], [wanted[n] for n in order])
        assert part == pytest.approx(whole[order], rel=1e-4, abs=1e-6 * float(whole.max()))
    # How many samples there are does matter.
    more = stage.maps(rgb, [Request(one.frame, one.samples + 1) for one in wanted])
    assert (np.abs(more - whole).max(axis=(1, 2)) > 1e-3 * whole.max()).all()


@pytest.mark.parametrize(("side", "rows"), [(256, 8), (512, 8), (1024, 2), (2048, 1)])
def test_a_call_has_fewer_rows_of_large_pictures(linear: Classifier, side: int, rows: int) -> None:
    rgb = np.broadcast_to(np.zeros((), np.uint8), (1, side, side, 3))
    assert _stage(linear, rows=8)._rows_of(rgb) == rows


def test_scores_that_are_no_numbers_are_told(caplog: pytest.LogCaptureFixture) -> None:
    broken = _classifier(
        lambda rgb: tf.reduce_mean(rgb, axis=[1, 2])[:, :1] * tf.fill([1, K], np.nan)
    )
    _stage(broken).predict(_pictures(2))
    assert "test gives scores that are no numbers: is it whole?" in caplog.text


# SmoothGrad


@pytest.mark.parametrize("samples", [1, 5, 16])
def test_smoothgrad_of_a_linear_network_is_its_gradient(
    linear: Classifier, weights: Map, samples: int
) -> None:
    maps = _maps(_stage(linear, 2, method="smoothgrad"), _pictures(2), samples)
    for one in maps:
        assert one == pytest.approx(np.abs(weights[..., 2]).max(axis=-1), rel=1e-5)


def test_smoothgrad_of_a_quadratic_network_tends_to_its_gradient(revealing: Classifier) -> None:
    (rgb,) = _pictures(1)
    stage = _stage(revealing, 1, method="smoothgrad", channels="sum")
    missed = []
    for samples in (16, 256, 4096):
        (one,) = stage.maps(rgb[None], [Request(0, samples)])
        missed.append(float(np.abs(one - rgb[..., 1]).max()))
        # Five deviations of a mean of so many; 48 pixels stay within it.
        assert missed[-1] < 5 * 255 * 0.15 / np.sqrt(samples)
    assert missed[2] < missed[0] / 4


def test_smoothgrad_averages_absolute_gradients(revealing: Classifier) -> None:
    # At black the gradient of the squares is the noise itself, whose mean magnitude is known.
    rgb = np.zeros((1, 64, 64, 3), np.uint8)
    rgb[0, 0, 0] = 5  # Not flat.
    maps = _maps(_stage(revealing, 0, method="smoothgrad"), rgb, 16)
    assert maps.min() >= 0
    assert maps.mean() == pytest.approx(255 * 0.15 * np.sqrt(2 / np.pi), rel=0.02)


def test_without_noise_smoothgrad_is_the_gradient(curved: Classifier) -> None:
    rgb = _pictures(2)
    plain = _maps(_stage(curved), rgb)
    assert _maps(_stage(curved, method="smoothgrad", noise=0.0), rgb, 3) == pytest.approx(
        plain, rel=1e-5, abs=1e-7 * float(plain.max())
    )


# Integrated gradients


@pytest.mark.parametrize("samples", [1, 4, 9])
def test_integrated_gradients_of_a_linear_network(
    linear: Classifier, weights: Map, samples: int
) -> None:
    rgb, target = _pictures(2), 4
    maps = _maps(_stage(linear, target, method="integrated", channels="sum"), rgb, samples)
    expected = (weights[..., target] * rgb.astype(np.float64)).sum(axis=-1)
    assert expected.min() < 0
    assert maps == pytest.approx(expected, abs=1e-5 * float(np.abs(expected).max()))
    logits, _ = _direct(linear, rgb)
    dark, _ = _direct(linear, np.zeros_like(rgb))
    assert maps.sum(axis=(1, 2)) == pytest.approx((logits - dark)[:, target], rel=1e-4)
    # Without a sign it is the magnitude of the same, not of each step's.
    unsigned = _maps(_stage(linear, target, method="integrated"), rgb, samples)
    assert unsigned == pytest.approx(np.abs(maps), rel=1e-4, abs=1e-7)


def test_the_way_from_black_is_cut_in_the_middle_of_its_parts(revealing: Classifier) -> None:
    # The midpoint rule is exact for squares: x * mean of the way is x^2 / 2 with any steps.
    rgb = _pictures(2)
    for samples in (1, 2, 7):
        maps = _maps(_stage(revealing, 2, method="integrated", channels="sum"), rgb, samples)
        assert maps == pytest.approx(rgb[..., 2].astype(np.float64) ** 2 / 2, rel=1e-5)


# Targets and predictions


@pytest.mark.parametrize("method", ["gradient", "smoothgrad"])
@pytest.mark.parametrize("top", [1, 2, 5, K])
def test_top_k_sums_the_largest_scores_where_the_gradient_is_taken(
    linear: Classifier,
    weights: Map,
    revealing: Classifier,
    top: int,
    method: Literal["gradient", "smoothgrad"],
) -> None:
    rgb = _pictures(6)
    maps = _maps(_stage(linear, Target(top=top), method=method, noise=0.5), rgb)
    own = others = 0
    for n, one in enumerate(maps):
        place = rgb[n].astype(np.float64)
        if method == "smoothgrad":
            place += _noise(revealing, rgb[n], frame=n, noise=0.5)
        scores = np.einsum("hwc,hwck->k", place, weights.astype(np.float64))
        largest = np.argsort(-scores)[:top]
        expected = np.abs(weights[..., largest].sum(axis=-1)).max(axis=-1)
        assert one == pytest.approx(expected, rel=1e-4, abs=1e-7)
        unmoved = np.argsort(-np.einsum("hwc,hwck->k", rgb[n].astype(np.float64), weights))[:top]
        own += set(unmoved) == set(largest)
        others += set(unmoved) != set(largest)
    # Or the test would not tell the copy's largest from the picture's.
    if method == "smoothgrad" and top < K:
        assert others > 0


def test_a_class_chosen_along_the_stream(linear: Classifier, weights: Map) -> None:
    stage = _stage(linear, Target(is_locked=True), rows=4)
    wanted = [Request(0, 2, 6), Request(1, 3, 0), Request(2, 1, 3)]
    for one, request in zip(stage.maps(_pictures(3), wanted), wanted, strict=True):
        assert one == pytest.approx(np.abs(weights[..., request.class_id]).max(axis=-1), rel=1e-5)
    with pytest.raises(ValueError, match="needs a class_id each"):
        stage.maps(_pictures(2), [Request(0, 1, 6), Request(1, 1)])


def test_top_1_explains_each_pictures_own_top_class(linear: Classifier, weights: Map) -> None:
    rgb = _pictures(16)
    logits, p = _direct(linear, rgb)
    top = logits.argmax(axis=1)
    # Or the test would not tell a picture's own class from the batch's.
    assert len(set(top)) > 1
    stage = _stage(linear)
    for n, (one, seen) in enumerate(zip(_maps(stage, rgb), _seen(stage, rgb), strict=True)):
        assert one == pytest.approx(np.abs(weights[..., top[n]]).max(axis=-1), rel=1e-5)
        assert (seen.target_id, seen.target_name) == (top[n], f"class {top[n]}")
        assert seen.target_probability == pytest.approx(p[n].max(), rel=1e-4)
        assert seen.class_ids[0] == seen.target_id


@pytest.mark.parametrize("score", ["logit", "probability"])
def test_fixed_target_leaves_the_predictions_alone(linear: Classifier, score: Score) -> None:
    rgb = _pictures(3)
    _, p = _direct(linear, rgb)
    auto = _seen(_stage(linear, score=score), rgb)
    fixed = _seen(_stage(linear, 5, score=score), rgb)
    for n in range(3):
        assert fixed[n].class_ids == auto[n].class_ids
        assert (fixed[n].target_id, fixed[n].target_name) == (5, "class 5")
        assert fixed[n].target_probability == pytest.approx(p[n, 5], rel=1e-4)


def test_fixed_target_that_is_the_top_class_changes_nothing(curved: Classifier) -> None:
    rgb = _pictures(1)
    auto = _stage(curved)
    (seen,) = _seen(auto, rgb)
    assert seen.target_id is not None
    fixed = _stage(curved, seen.target_id)
    assert np.array_equal(_maps(auto, rgb), _maps(fixed, rgb))
    assert [seen] == _seen(fixed, rgb)


def test_top_five_are_sorted_and_are_the_softmax(curved: Classifier) -> None:
    rgb = _pictures(5)
    _, p = _direct(curved, rgb)
    for n, seen in enumerate(_seen(_stage(curved), rgb)):
        order = np.argsort(-p[n])[:5]
        assert seen.class_ids == tuple(order)
        assert seen.names == tuple(f"class {k}" for k in order)
        assert seen.probabilities == pytest.approx(p[n][order], rel=1e-4)
        assert list(seen.probabilities) == sorted(seen.probabilities, reverse=True)


@pytest.mark.parametrize("method", ["smoothgrad", "integrated"])
def test_a_class_that_is_named_is_explained_at_every_sample(
    linear: Classifier, weights: Map, method: Literal["smoothgrad", "integrated"]
) -> None:
    # Of a noisy copy, or on the way from black, another one may be on top.
    rgb = _pictures(6)
    named, unnamed = ([Request(n, 8, one) for n in range(6)] for one in (3, None))
    top, third = (
        _stage(linear, target, method=method, noise=0.5, channels="sum")
        for target in (Target(top=1), Target(class_id=3))
    )
    one = top.maps(rgb, named)
    assert np.allclose(one, third.maps(rgb, unnamed))
    assert not np.allclose(one, top.maps(rgb, unnamed))


def test_fewer_classes_than_five() -> None:
    two = _classifier(lambda x: tf.reduce_mean(x, (1, 2))[:, :2], 2)
    assert len(_seen(_stage(two), _pictures(1))[0].class_ids) == 2


# Batches


@pytest.mark.parametrize("score", ["logit", "probability"])
@pytest.mark.parametrize("size", [1, 3, 7])
def test_batches_do_not_matter(curved: Classifier, size: int, score: Score) -> None:
    rgb = _pictures(16)
    stage = _stage(curved, score=score)
    whole = _maps(stage, rgb)
    maps = np.concatenate([_maps(stage, rgb[n : n + size]) for n in range(0, 16, size)])
    assert whole.max() > 0
    # A softmax near 1 leaves its derivative the rounding of what cancels.
    assert maps == pytest.approx(whole, rel=1e-4, abs=1e-5 * float(whole.max()))
    parts = [one for n in range(0, 16, size) for one in _seen(stage, rgb[n : n + size])]
    for one, other in zip(parts, _seen(stage, rgb), strict=True):
        assert one.class_ids == other.class_ids and one.target_id == other.target_id
        assert one.probabilities == pytest.approx(other.probabilities, rel=1e-4)


def test_neighbours_in_a_batch_do_not_matter(curved: Classifier) -> None:
    stage = _stage(curved)
    first, second = _pictures(4, seed=1), _pictures(4, seed=2)
    second[2] = first[2]
    assert np.array_equal(_maps(stage, first)[2], _maps(stage, second)[2])


def test_one_trace_a_picture_size() -> None:
    traced = []

    def logits(x: Any) -> Any:
        # Python runs while the graph is traced, and never again.
        traced.append(tuple(x.shape[1:3]))
        return tf.reduce_mean(x, (1, 2)) * 2.0

    stage = _stage(_classifier(logits, 3))
    for count in (1, 3, 16, 1):
        _maps(stage, _pictures(count))
    assert traced == [(H, W)]
    for count in (2, 5):
        _maps(stage, _pictures(count, (W, H)), samples=count)
    _maps(stage, _pictures(4))
    assert traced == [(H, W), (W, H)]
    for count in (2, 5, 2):
        stage.predict(_pictures(count))
    assert traced == [(H, W), (W, H), (H, W)]


# Edges


@pytest.mark.parametrize("method", ["gradient", "smoothgrad", "integrated"])
@pytest.mark.parametrize("score", ["logit", "probability"])
@pytest.mark.parametrize("channels", ["max", "sum"])
def test_pictures_of_one_colour_have_nothing_that_stands_out(
    curved: Classifier,
    score: Score,
    channels: Literal["max", "sum"],
    method: Literal["gradient", "smoothgrad", "integrated"],
) -> None:
    rgb = _pictures(5)
    rgb[1:4] = np.array([(0, 0, 0), (255, 255, 255), (10, 200, 30)])[:, None, None]
    stage = _stage(curved, score=score, channels=channels, method=method)
    maps = _maps(stage, rgb, samples=3)
    assert np.array_equal(maps[1:4], np.zeros((3, H, W)))
    assert np.isfinite(maps).all()
    assert maps[0].any() and maps[4].any()
    # The prediction is still the network's own.
    _, p = _direct(curved, rgb)
    assert stage.predict(rgb) == pytest.approx(p, rel=1e-4)


@pytest.mark.parametrize(("level", "is_seen"), [(1, False), (4, False), (5, True)])
def test_the_noise_of_a_covered_lens_is_flat_and_more_is_not(
    curved: Classifier, level: int, is_seen: bool
) -> None:
    rgb = np.zeros((1, H, W, 3), np.uint8)
    rgb[0, -1, -1, 2] = level
    assert _maps(_stage(curved), rgb).any() == is_seen


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((1, H, W, 3), np.float32),
        np.zeros((1, H, W, 3), np.int64),
        np.zeros((H, W, 3), np.uint8),
        np.zeros((1, H, W, 4), np.uint8),
        np.zeros((1, 3, H, W), np.uint8),
    ],
)
def test_what_is_no_batch_of_pictures_is_refused(linear: Classifier, wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"^rgb must be \(N, h, w, 3\) uint8, got "):
        _maps(_stage(linear), wrong)


@pytest.mark.parametrize("target", [-1, K, 1000])
def test_targets_outside_are_refused(linear: Classifier, target: int) -> None:
    with pytest.raises(ValueError, match=rf"^target must be 0 to {K - 1}, got {target}$"):
        _stage(linear, target)


def test_the_pictures_are_not_written_to(curved: Classifier) -> None:
    rgb = _pictures(2)
    kept = rgb.copy()
    rgb.setflags(write=False)
    stage = _stage(curved, method="smoothgrad")
    _maps(stage, rgb, samples=2)
    stage.predict(rgb)
    assert np.array_equal(rgb, kept)


# The networks themselves


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
    return _classifier(lambda rgb: model(lite0.preprocess(rgb), training=False), 1000)


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
        return Scale("minmax")(maps[0], 0.0)

    stage = _stage(lite0, score="probability", channels="sum")
    maps = _maps(stage, cat)
    assert unit(maps) == pytest.approx(expected, abs=2e-3)
    assert maps[0] == pytest.approx(signed, abs=2e-3 * float(np.abs(signed).max()))
    order = np.argsort(-probabilities)[:5]
    (seen,) = _seen(stage, cat)
    assert seen.class_ids == tuple(order)
    assert seen.probabilities == pytest.approx(probabilities[order], abs=1e-4)
    # Egyptian cat, tabby or tiger cat: the photo's own animal, not just any number.
    assert seen.target_id in (281, 282, 285)
    # The closest of the other formulas is far off, so the agreement above means something.
    other = unit(_maps(_stage(lite0, score="logit", channels="sum"), cat))
    assert np.abs(other - expected).max() > 0.02


@pytest.mark.slow
def test_integrated_gradients_of_a_real_network_are_complete(lite0: Classifier, cat: Rgb) -> None:
    target = 285
    stage = _stage(lite0, target, method="integrated", channels="sum")
    logits, _ = _direct(lite0, cat)
    dark, _ = _direct(lite0, np.zeros_like(cat))
    difference = float(logits[0, target] - dark[0, target])
    assert difference > 5
    # The score climbs by half of it in the first twentieth of the way, not at all evenly.
    for samples, within in ((64, 0.03), (256, 0.01)):
        (one,) = _maps(stage, cat, samples)
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
    maps = _maps(_stage(lite0), batch)
    assert maps[0] == pytest.approx(expected, abs=2e-3 * float(expected.max()))


def test_a_stage_that_is_aimed_elsewhere_explains_that(linear: Classifier, weights: Map) -> None:
    rgb = _pictures(2)
    stage = _stage(linear, 2)
    _maps(stage, rgb)
    for class_id in (5, 0):
        other = stage.aimed(Target(class_id=class_id))
        wanted = np.abs(weights[..., class_id]).max(axis=-1)
        assert _maps(other, rgb) == pytest.approx(np.stack([wanted] * 2), rel=1e-5)
        np.testing.assert_array_equal(other.predict(rgb), stage.predict(rgb))
    top = stage.aimed(Target(top=2))
    np.testing.assert_allclose(
        _maps(top, rgb), _maps(_stage(linear, Target(top=2)), rgb), rtol=1e-5
    )
    assert stage.target == Target(class_id=2)
    # On the way back nothing is traced again: whoever watches cannot wait.
    traced = dict(stage._graphs)
    for target in (Target(class_id=2), Target(top=2), Target(is_locked=True)):
        again = top.aimed(target)
        again.predict(rgb)
        again.maps(rgb, [Request(n, 1, 1 if target.is_locked else None) for n in range(2)])
    assert traced == stage._graphs
    with pytest.raises(ValueError, match="target must be 0 to 6"):
        stage.aimed(Target(class_id=K))


@pytest.mark.parametrize(
    ("total", "size", "expected"),
    [
        (16, 16, [(0, 16)]),
        (35, 16, [(0, 16), (16, 32), (32, 35)]),
        (27, 16, [(0, 16), (16, 20), (20, 24), (24, 27)]),
        (3, 2, [(0, 2), (2, 3)]),
        (1, 16, [(0, 1)]),
    ],
)
def test_calls_are_full_or_small(total: int, size: int, expected: list[tuple[int, int]]) -> None:
    assert list(_spans(total, size)) == expected
