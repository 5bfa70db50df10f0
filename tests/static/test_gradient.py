"""Gradient maps against networks whose derivative is known in closed form; batches, edges."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
from gradient_help import (
    CURVED,
    LINEAR,
    WEIGHTS,
    H,
    K,
    Score,
    W,
    classifier_of,
    direct,
    maps_of,
    pictures,
    predictions_of,
    stage_of,
    tf,
)

from vidsal.errors import VidsalError
from vidsal.static.gradient import Classifier

# Closed forms


@pytest.mark.parametrize("target", [0, 3, K - 1])
def test_linear_network_gives_its_weights(target: int) -> None:
    maps = maps_of(stage_of(LINEAR, target), pictures(3))
    assert maps.dtype == np.float32
    expected = np.abs(WEIGHTS[..., target]).max(axis=-1)
    for one in maps:
        assert one == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("target", [0, 4])
def test_sum_of_channels_keeps_the_sign(target: int) -> None:
    maps = maps_of(stage_of(LINEAR, target, reduce="sum"), pictures(2))
    expected = WEIGHTS[..., target].sum(axis=-1)
    assert expected.min() < 0 < expected.max()
    for one in maps:
        assert one == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("reduce", ["max", "sum"])
def test_probability_in_closed_form(reduce: Literal["max", "sum"]) -> None:
    rgb = pictures(4)
    target = 2
    _, p = direct(LINEAR, rgb)
    assert p[:, target].min() > 0.01 and p.max() < 0.99
    maps = maps_of(stage_of(LINEAR, target, score="probability", reduce=reduce), rgb)
    exact = WEIGHTS.astype(np.float64)
    for n, one in enumerate(maps):
        # d p_k = p_k (w_k - sum_j p_j w_j)
        gradient = p[n, target] * (exact[..., target] - exact @ p[n])
        expected = np.abs(gradient).max(-1) if reduce == "max" else gradient.sum(-1)
        assert one == pytest.approx(expected, abs=2e-4 * float(np.abs(expected).max()))


def test_derivative_is_taken_at_the_pictures_own_values() -> None:
    # sum of a x^2 has the derivative 2 a x: of pixels as they are, 0..255, without a rescaling.
    factors = np.array([[1.0, -2.0, 0.5], [3.0, 0.1, -1.0]], np.float32)
    squares = classifier_of(lambda x: tf.reduce_sum(x**2, (1, 2)) @ tf.constant(factors.T), 2)
    rgb = pictures(2)
    maps = maps_of(stage_of(squares, 1), rgb)
    expected = np.abs(2 * factors[1] * rgb.astype(np.float64)).max(axis=-1)
    assert maps == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (2, 5), (H - 1, W - 1)])
def test_map_is_nonzero_exactly_where_the_network_looks(row: int, column: int) -> None:
    one_pixel = classifier_of(lambda x: x[:, row, column, :] * tf.constant([1.0, 2.0, 3.0]), 3)
    maps = maps_of(stage_of(one_pixel, 1), pictures(2))
    expected = np.zeros((2, H, W))
    expected[:, row, column] = 2
    assert np.array_equal(maps, expected)


def test_map_agrees_with_finite_differences() -> None:
    rgb = pictures(1)
    maps = maps_of(stage_of(CURVED, 3, reduce="sum"), rgb)

    def score(pixels: Any) -> float:
        return float(CURVED.logits(tf.constant(pixels, tf.float32))[0, 3])

    for row, column in [(0, 0), (3, 4), (5, 7)]:
        up, down = rgb.astype(np.float32), rgb.astype(np.float32)
        up[0, row, column] += 0.25
        down[0, row, column] -= 0.25
        slope = (score(up) - score(down)) / 0.5
        assert maps[0, row, column] == pytest.approx(slope, abs=2e-3 * float(np.abs(maps).max()))


@pytest.mark.parametrize("reduce", ["max", "sum"])
def test_logarithm_of_the_probability_in_closed_form(reduce: Literal["max", "sum"]) -> None:
    rgb, target = pictures(4), 3
    _, p = direct(LINEAR, rgb)
    exact = WEIGHTS.astype(np.float64)
    maps = maps_of(stage_of(LINEAR, target, score="logprob", reduce=reduce), rgb)
    for n, one in enumerate(maps):
        # d log p_k = w_k - sum_j p_j w_j
        gradient = exact[..., target] - exact @ p[n]
        expected = np.abs(gradient).max(-1) if reduce == "max" else gradient.sum(-1)
        assert one == pytest.approx(expected, abs=2e-4 * float(np.abs(expected).max()))


def test_non_finite_scores_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    broken = classifier_of(
        lambda rgb: tf.reduce_mean(rgb, axis=[1, 2])[:, :1] * tf.fill([1, K], np.nan)
    )
    stage_of(broken).predict(pictures(2))
    assert caplog.messages == ["test returned non-finite scores; the weights file may be corrupt"]


# Batches


@pytest.mark.parametrize("score", ["logit", "probability"])
@pytest.mark.parametrize("size", [1, 3, 7])
def test_batches_do_not_matter(size: int, score: Score) -> None:
    rgb = pictures(16)
    stage = stage_of(CURVED, score=score)
    whole = maps_of(stage, rgb)
    maps = np.concatenate([maps_of(stage, rgb[n : n + size]) for n in range(0, 16, size)])
    assert whole.max() > 0
    # With a softmax near 1, cancellation leaves rounding errors in the derivative.
    assert maps == pytest.approx(whole, rel=1e-4, abs=1e-5 * float(whole.max()))
    parts = [one for n in range(0, 16, size) for one in predictions_of(stage, rgb[n : n + size])]
    for one, other in zip(parts, predictions_of(stage, rgb), strict=True):
        assert one.class_ids == other.class_ids and one.target_id == other.target_id
        assert one.probabilities == pytest.approx(other.probabilities, rel=1e-4)


def test_neighbours_in_a_batch_do_not_matter() -> None:
    stage = stage_of(CURVED)
    first, second = pictures(4, seed=1), pictures(4, seed=2)
    second[2] = first[2]
    assert np.array_equal(maps_of(stage, first)[2], maps_of(stage, second)[2])


def test_one_trace_a_picture_size() -> None:
    traced = []

    def logits(x: Any) -> Any:
        # Python runs while the graph is traced, and never again.
        traced.append(tuple(x.shape[1:3]))
        return tf.reduce_mean(x, (1, 2)) * 2.0

    stage = stage_of(classifier_of(logits, 3))
    for count in (1, 3, 16, 1):
        maps_of(stage, pictures(count))
    assert traced == [(H, W)]
    for count in (2, 5):
        maps_of(stage, pictures(count, (W, H)), samples=count)
    maps_of(stage, pictures(4))
    assert traced == [(H, W), (W, H)]
    for count in (2, 5, 2):
        stage.predict(pictures(count))
    assert traced == [(H, W), (W, H), (H, W)]


# Edges


@pytest.mark.parametrize("method", ["gradient", "smoothgrad", "integrated"])
@pytest.mark.parametrize("score", ["logit", "probability"])
@pytest.mark.parametrize("reduce", ["max", "sum"])
def test_pictures_of_one_colour_have_nothing_that_stands_out(
    score: Score,
    reduce: Literal["max", "sum"],
    method: Literal["gradient", "smoothgrad", "integrated"],
) -> None:
    rgb = pictures(5)
    rgb[1:4] = np.array([(0, 0, 0), (255, 255, 255), (10, 200, 30)])[:, None, None]
    stage = stage_of(CURVED, score=score, reduce=reduce, method=method)
    maps = maps_of(stage, rgb, samples=3)
    assert np.array_equal(maps[1:4], np.zeros((3, H, W)))
    assert np.isfinite(maps).all()
    assert maps[0].any() and maps[4].any()
    # The prediction is still the network's own.
    _, p = direct(CURVED, rgb)
    assert stage.predict(rgb) == pytest.approx(p, rel=1e-4)


@pytest.mark.parametrize(("level", "is_seen"), [(1, False), (4, False), (5, True)])
def test_the_noise_of_a_covered_lens_is_flat_and_more_is_not(level: int, is_seen: bool) -> None:
    rgb = np.zeros((1, H, W, 3), np.uint8)
    rgb[0, -1, -1, 2] = level
    assert maps_of(stage_of(CURVED), rgb).any() == is_seen


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
def test_what_is_no_batch_of_pictures_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"^rgb must be \(N, h, w, 3\) uint8, got "):
        maps_of(stage_of(LINEAR), wrong)


@pytest.mark.parametrize("target", [-1, K, 1000])
def test_targets_outside_are_refused(target: int) -> None:
    with pytest.raises(ValueError, match=rf"^target must be 0 to {K - 1}, got {target}$"):
        stage_of(LINEAR, target)


def test_the_pictures_are_not_written_to() -> None:
    rgb = pictures(2)
    kept = rgb.copy()
    rgb.setflags(write=False)
    stage = stage_of(CURVED, method="smoothgrad")
    maps_of(stage, rgb, samples=2)
    stage.predict(rgb)
    assert np.array_equal(rgb, kept)


def _recording() -> tuple[Classifier, list[int]]:
    """A classifier, and the rows of each call that it gets."""
    calls: list[int] = []

    def logits(x: Any) -> Any:
        tf.numpy_function(lambda rows: calls.append(int(rows)), [tf.shape(x)[0]], [])
        return tf.reduce_mean(x, (1, 2))

    return classifier_of(logits, 3), calls


@pytest.mark.parametrize(
    ("total", "size", "expected"),
    [
        (16, 16, [16]),
        (35, 16, [16, 16, 4]),
        (27, 16, [16, 4, 4, 4]),
        (26, 16, [16, 4, 4, 1, 1]),
        (3, 2, [2, 1]),
        (1, 16, [1]),
    ],
)
def test_calls_are_full_or_of_four_rows_or_of_one(
    total: int, size: int, expected: list[int]
) -> None:
    classifier, calls = _recording()
    maps = maps_of(stage_of(classifier, rows=size), pictures(1), total)
    # The rows that pad a call are not counted.
    assert maps == pytest.approx(np.full((1, H, W), 1 / (H * W)), rel=1e-5)
    assert calls == expected


@pytest.mark.parametrize(
    ("side", "expected"),
    [(256, [8, 1]), (512, [8, 1]), (1024, [2, 2, 1]), (2048, [1, 1])],
)
def test_a_call_has_fewer_rows_of_large_pictures(side: int, expected: list[int]) -> None:
    classifier, calls = _recording()
    rgb = np.broadcast_to(np.zeros((), np.uint8), (sum(expected), side, side, 3))
    stage_of(classifier, rows=8).predict(rgb)
    assert calls == expected


def test_a_network_without_a_gradient_is_one_line() -> None:
    rounded = classifier_of(
        lambda x: tf.reduce_mean(tf.cast(tf.cast(x, tf.int32), tf.float32), (1, 2)), 3
    )
    with pytest.raises(VidsalError, match=r"^test has no gradient with respect to the picture: "):
        maps_of(stage_of(rounded), pictures(1))
