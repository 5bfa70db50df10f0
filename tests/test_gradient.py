"""Gradient maps against networks whose derivative is known in closed form, and against the tape."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pytest
from vidsal.static.resnet50 import preprocess as resnet50_preprocess

from vidsal.frames import Map, Rgb, StaticBatch
from vidsal.scaling import ScaleState, to_unit
from vidsal.static.gradient import Classifier, GradientMaps
from vidsal.static.models import load_tensorflow

tf = load_tensorflow()

H, W, K = 6, 8, 7
Score = Literal["logit", "probability"]


def _pictures(count: int, size: tuple[int, int] = (H, W), seed: int = 0) -> Rgb:
    return np.random.default_rng(seed).integers(0, 256, (count, *size, 3), np.uint8)


def _classifier(logits: Callable[[Any], Any], classes: int = K) -> Classifier:
    return Classifier("test", logits, tuple(f"class {n}" for n in range(classes)))


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
    maps = GradientMaps(linear, target=target)(_pictures(3)).maps
    assert maps.dtype == np.float32
    expected = np.abs(weights[..., target]).max(axis=-1)
    for one in maps:
        assert one == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("target", [0, 4])
def test_sum_of_channels_keeps_the_sign(linear: Classifier, weights: Map, target: int) -> None:
    maps = GradientMaps(linear, target=target, channels="sum")(_pictures(2)).maps
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
    maps = GradientMaps(linear, target=target, score="probability", channels=channels)(rgb).maps
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
    maps = GradientMaps(squares, target=1)(rgb).maps
    expected = np.abs(2 * factors[1] * rgb.astype(np.float64)).max(axis=-1)
    assert maps == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (2, 5), (H - 1, W - 1)])
def test_map_is_nonzero_exactly_where_the_network_looks(row: int, column: int) -> None:
    one_pixel = _classifier(lambda x: x[:, row, column, :] * tf.constant([1.0, 2.0, 3.0]), 3)
    maps = GradientMaps(one_pixel, target=1)(_pictures(2)).maps
    expected = np.zeros((2, H, W))
    expected[:, row, column] = 2
    assert np.array_equal(maps, expected)


def test_map_agrees_with_finite_differences(curved: Classifier) -> None:
    rgb = _pictures(1)
    maps = GradientMaps(curved, target=3, channels="sum")(rgb).maps

    def score(pixels: Any) -> float:
        return float(curved.logits(tf.constant(pixels, tf.float32))[0, 3])

    for row, column in [(0, 0), (3, 4), (5, 7)]:
        up, down = rgb.astype(np.float32), rgb.astype(np.float32)
        up[0, row, column] += 0.25
        down[0, row, column] -= 0.25
        slope = (score(up) - score(down)) / 0.5
        assert maps[0, row, column] == pytest.approx(slope, abs=2e-3 * float(np.abs(maps).max()))


# Targets and predictions


def test_auto_explains_each_pictures_own_top_class(linear: Classifier, weights: Map) -> None:
    rgb = _pictures(16)
    logits, p = _direct(linear, rgb)
    top = logits.argmax(axis=1)
    # Or the test would not tell a picture's own class from the batch's.
    assert len(set(top)) > 1
    result = GradientMaps(linear)(rgb)
    for n, (one, seen) in enumerate(zip(result.maps, result.predictions, strict=True)):
        assert one == pytest.approx(np.abs(weights[..., top[n]]).max(axis=-1), rel=1e-5)
        assert (seen.target_id, seen.target_name) == (top[n], f"class {top[n]}")
        assert seen.target_probability == pytest.approx(p[n].max(), rel=1e-4)
        assert seen.class_ids[0] == seen.target_id


@pytest.mark.parametrize("score", ["logit", "probability"])
def test_fixed_target_leaves_the_predictions_alone(linear: Classifier, score: Score) -> None:
    rgb = _pictures(3)
    _, p = _direct(linear, rgb)
    auto = GradientMaps(linear, score=score)(rgb).predictions
    fixed = GradientMaps(linear, target=5, score=score)(rgb).predictions
    for n in range(3):
        assert fixed[n].class_ids == auto[n].class_ids
        assert (fixed[n].target_id, fixed[n].target_name) == (5, "class 5")
        assert fixed[n].target_probability == pytest.approx(p[n, 5], rel=1e-4)


def test_fixed_target_that_is_the_top_class_changes_nothing(curved: Classifier) -> None:
    rgb = _pictures(1)
    auto = GradientMaps(curved)(rgb)
    fixed = GradientMaps(curved, target=auto.predictions[0].target_id)(rgb)
    assert np.array_equal(auto.maps, fixed.maps)
    assert auto.predictions == fixed.predictions


def test_top_five_are_sorted_and_are_the_softmax(curved: Classifier) -> None:
    rgb = _pictures(5)
    _, p = _direct(curved, rgb)
    for n, seen in enumerate(GradientMaps(curved)(rgb).predictions):
        order = np.argsort(-p[n])[:5]
        assert seen.class_ids == tuple(order)
        assert seen.names == tuple(f"class {k}" for k in order)
        assert seen.probabilities == pytest.approx(p[n][order], rel=1e-4)
        assert list(seen.probabilities) == sorted(seen.probabilities, reverse=True)


def test_fewer_classes_than_five() -> None:
    two = _classifier(lambda x: tf.reduce_mean(x, (1, 2))[:, :2], 2)
    assert len(GradientMaps(two)(_pictures(1)).predictions[0].class_ids) == 2


# Batches


@pytest.mark.parametrize("score", ["logit", "probability"])
@pytest.mark.parametrize("size", [1, 3, 7])
def test_batches_do_not_matter(curved: Classifier, size: int, score: Score) -> None:
    rgb = _pictures(16)
    stage = GradientMaps(curved, score=score)
    whole = stage(rgb)
    parts = [stage(rgb[n : n + size]) for n in range(0, 16, size)]
    maps = np.concatenate([part.maps for part in parts])
    assert whole.maps.max() > 0
    assert maps == pytest.approx(whole.maps, rel=1e-4, abs=1e-6 * float(whole.maps.max()))
    seen = [prediction for part in parts for prediction in part.predictions]
    for one, other in zip(seen, whole.predictions, strict=True):
        assert one.class_ids == other.class_ids and one.target_id == other.target_id
        assert one.probabilities == pytest.approx(other.probabilities, rel=1e-4)


def test_neighbours_in_a_batch_do_not_matter(curved: Classifier) -> None:
    stage = GradientMaps(curved)
    first, second = _pictures(4, seed=1), _pictures(4, seed=2)
    second[2] = first[2]
    assert np.array_equal(stage(first).maps[2], stage(second).maps[2])


def test_one_trace_a_picture_size() -> None:
    traced = []

    def logits(x: Any) -> Any:
        # Python runs while the graph is traced, and never again.
        traced.append(tuple(x.shape[1:3]))
        return tf.reduce_mean(x, (1, 2)) * 2.0

    stage = GradientMaps(_classifier(logits, 3))
    for count in (1, 3, 16, 1):
        stage(_pictures(count))
    assert traced == [(H, W)]
    for count in (2, 5):
        stage(_pictures(count, (W, H)))
    stage(_pictures(4))
    assert traced == [(H, W), (W, H)]


# Edges


@pytest.mark.parametrize("score", ["logit", "probability"])
@pytest.mark.parametrize("channels", ["max", "sum"])
@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (10, 200, 30)])
def test_pictures_of_one_colour_have_nothing_that_stands_out(
    curved: Classifier,
    colour: tuple[int, int, int],
    score: Score,
    channels: Literal["max", "sum"],
) -> None:
    rgb = _pictures(3)
    rgb[1] = colour
    result = GradientMaps(curved, score=score, channels=channels)(rgb)
    assert np.array_equal(result.maps[1], np.zeros((H, W)))
    assert np.isfinite(result.maps).all()
    assert result.maps[0].any() and result.maps[2].any()
    # The prediction is still the network's own.
    _, p = _direct(curved, rgb)
    assert result.predictions[1].probabilities[0] == pytest.approx(p[1].max(), rel=1e-4)


def test_one_pixel_of_another_colour_is_not_flat(curved: Classifier) -> None:
    rgb = np.zeros((1, H, W, 3), np.uint8)
    rgb[0, -1, -1, 2] = 1
    assert GradientMaps(curved)(rgb).maps.any()


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
        GradientMaps(linear)(wrong)


@pytest.mark.parametrize("target", [-1, K, 1000])
def test_targets_outside_are_refused(linear: Classifier, target: int) -> None:
    with pytest.raises(ValueError, match=rf"^target must be 0 to {K - 1}, got {target}$"):
        GradientMaps(linear, target=target)


def test_the_pictures_are_not_written_to(curved: Classifier) -> None:
    rgb = _pictures(2)
    kept = rgb.copy()
    rgb.setflags(write=False)
    GradientMaps(curved)(rgb)
    assert np.array_equal(rgb, kept)


# The networks themselves


def test_resnet50_is_fed_blue_first_without_the_mean() -> None:
    rgb = np.array([[[[10.0, 20.0, 30.0]]]], np.float32)
    prepared = np.asarray(resnet50_preprocess(tf.constant(rgb)))
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


def test_tutorial_formula(lite0: Classifier, cat: Rgb, by_the_tape: tuple[Any, Any]) -> None:
    probabilities, gradient = by_the_tape
    signed = gradient.sum(axis=-1)
    expected = (signed - signed.min()) / (signed.max() - signed.min())

    def unit(result: StaticBatch) -> Map:
        return to_unit(result.maps[0], ScaleState(), time_s=0.0, mode="minmax")[0]

    result = GradientMaps(lite0, score="probability", channels="sum")(cat)
    assert unit(result) == pytest.approx(expected, abs=2e-3)
    assert result.maps[0] == pytest.approx(signed, abs=2e-3 * float(np.abs(signed).max()))
    order = np.argsort(-probabilities)[:5]
    assert result.predictions[0].class_ids == tuple(order)
    assert result.predictions[0].probabilities == pytest.approx(probabilities[order], abs=1e-4)
    # Egyptian cat, tabby or tiger cat: the photo's own animal, not just any number.
    assert result.predictions[0].target_id in (281, 282, 285)
    # The closest of the other formulas is far off, so the agreement above means something.
    other = unit(GradientMaps(lite0, score="logit", channels="sum")(cat))
    assert np.abs(other - expected).max() > 0.02


def test_default_formula_on_a_real_network(
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
    maps = GradientMaps(lite0)(batch).maps
    assert maps[0] == pytest.approx(expected, abs=2e-3 * float(expected.max()))
