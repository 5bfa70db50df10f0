"""Guided filter: properties, and comparison with the definition."""

import numpy as np
import pytest

from vidsal.image_ops import smoothed
from vidsal.saliency import guided_filter as filtering
from vidsal.saliency.guided_filter import guided_filter
from vidsal.types import Map, Rgb


def two_colours(left: tuple[int, int, int], right: tuple[int, int, int]) -> Rgb:
    """Return a 64 x 96 picture with one colour on the left and another on the right."""
    rgb = np.empty((64, 96, 3), np.uint8)
    rgb[:, :48], rgb[:, 48:] = left, right
    return rgb


def blurred_step() -> Map:
    """Return a map that rises from 0 to 1 around the middle, about 10 pixels wide."""
    step = np.zeros((64, 96), np.float32)
    step[:, 48:] = 1
    return smoothed(step, 5 / 96)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 5), (16, 16), (45, 80), (180, 320)])
@pytest.mark.parametrize("value", [0.0, 0.7, 3.0])
def test_a_constant_map_stays_constant(shape: tuple[int, int], value: float) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    result = guided_filter(np.full(shape, value, np.float32), rgb, 10)
    assert result.shape == shape and result.dtype == np.float32
    assert np.allclose(result, value, atol=1e-4)


def test_a_step_gets_the_edge_of_the_picture() -> None:
    rgb, step = two_colours((30, 60, 90), (200, 180, 40)), blurred_step()
    result = guided_filter(step, rgb, 10)
    before, after = step[32, 48] - step[32, 47], result[32, 48] - result[32, 47]
    assert before < 0.1 < 0.4 < after
    # Far from the edge the map does not change.
    assert np.allclose(result[:, :20], 0, atol=0.03) and np.allclose(result[:, 76:], 1, atol=0.03)


def test_an_edge_between_colours_of_equal_luma_counts() -> None:
    # Equal luma: 0.299 R + 0.587 G.
    rgb = two_colours((200, 40, 90), (43, 120, 90))
    result = guided_filter(blurred_step(), rgb, 10)
    assert result[32, 48] - result[32, 47] > 0.4


def test_without_an_edge_nothing_is_sharpened() -> None:
    step = blurred_step()
    result = guided_filter(step, two_colours((90, 90, 90), (90, 90, 90)), 10)
    assert np.abs(np.diff(result, axis=1)).max() <= np.abs(np.diff(step, axis=1)).max()
    assert np.abs(result - step).max() < 0.2


def test_a_map_that_is_linear_in_the_colours_does_not_change() -> None:
    rng = np.random.default_rng(1)
    rgb = np.kron(rng.integers(0, 256, (16, 24, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    values = (0.5 * rgb[..., 0] + 0.2 * rgb[..., 1] + 30).astype(np.float32) / np.float32(255)
    assert np.abs(guided_filter(values, rgb, 10) - values).max() < 0.02


@pytest.mark.parametrize("factor", [0.01, 7.0])
def test_the_result_scales_with_the_values(factor: float) -> None:
    rng = np.random.default_rng(2)
    rgb = rng.integers(0, 256, (64, 96, 3), dtype=np.uint8)
    values = rng.random((64, 96), dtype=np.float32)
    one = guided_filter(values, rgb, 6)
    assert np.allclose(guided_filter(values * np.float32(factor), rgb, 6), one * factor, rtol=1e-3)


@pytest.mark.parametrize("shape", [(64, 96), (45, 81), (7, 9), (2, 320)])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_flipped_input_gives_a_flipped_result(axis: int, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    rgb = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    values = smoothed(rng.random(shape, dtype=np.float32), 0.05)
    flipped = guided_filter(np.flip(values, axis), np.flip(rgb, axis), 9)
    assert np.allclose(np.flip(flipped, axis), guided_filter(values, rgb, 9), atol=1e-4)


def test_a_bright_speck_does_not_create_a_peak() -> None:
    # Subsampling removes fine texture, so the linear model has never seen such colours.
    rgb = two_colours((20, 20, 20), (130, 130, 130))
    rgb[4::9, 52::9] = 255
    step = blurred_step()
    result = guided_filter(step, rgb, 10)
    assert result.max() <= step.max() and result.min() >= step.min()
    far = np.s_[:, 64:]
    assert np.abs(result[far] - step[far]).max() < 0.1


@pytest.mark.parametrize("reach_px", [1, 3, 6])
def test_values_stay_in_the_range_of_their_neighbourhood(reach_px: int) -> None:
    rng = np.random.default_rng(4)
    rgb = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)
    values = rng.random((40, 60), dtype=np.float32) ** 8
    result = guided_filter(values, rgb, reach_px)
    for row, column in [(0, 0), (17, 31), (39, 59), (5, 58)]:
        near = values[
            max(0, row - reach_px) : row + reach_px + 1,
            max(0, column - reach_px) : column + reach_px + 1,
        ]
        assert near.min() <= result[row, column] <= near.max()


@pytest.mark.parametrize("reach_px", [1.0, 2.0, 5.0, 10.0])
def test_a_smoothed_spot_on_an_even_picture_stays_a_spot(reach_px: float) -> None:
    spot = np.zeros((90, 160), np.float32)
    spot[45, 80] = 1
    spot = smoothed(spot, reach_px / 160)
    spot /= spot.max()
    result = guided_filter(spot, np.full((90, 160, 3), 128, np.uint8), reach_px)
    assert np.unravel_index(result.argmax(), result.shape)[0] == pytest.approx(45, abs=2)
    assert result.max() > 0.35


def test_without_reach_the_result_is_a_copy() -> None:
    rng = np.random.default_rng(5)
    values = rng.random((8, 8), dtype=np.float32)
    result = guided_filter(values, np.zeros((8, 8, 3), np.uint8), 0.0)
    assert np.array_equal(result, values) and not np.shares_memory(result, values)


def test_sizes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"\(8, 8\).*\(8, 9, 3\)"):
        guided_filter(np.zeros((8, 8), np.float32), np.zeros((8, 9, 3), np.uint8), 3)


def test_against_the_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute each window as the paper defines it, without subsampling."""
    monkeypatch.setattr(filtering, "_SUBSAMPLING", 1)
    rng = np.random.default_rng(6)
    rgb = rng.integers(0, 256, (9, 11, 3), dtype=np.uint8)
    values = rng.random((9, 11), dtype=np.float32) + 1
    radius = 2

    def windows(picture: np.ndarray) -> np.ndarray:
        margins = [(radius, radius), (radius, radius), (0, 0)]
        wide = np.pad(picture, margins, mode="symmetric")
        side = 2 * radius + 1
        return np.array(
            [
                [wide[r : r + side, c : c + side].reshape(side * side, -1) for c in range(11)]
                for r in range(9)
            ]
        )

    guide = rgb.astype(np.float64) / 255
    fitted = np.empty((9, 11, 4))
    for row, (colours, wanted) in enumerate(
        zip(windows(guide), windows(values[..., None]), strict=True)
    ):
        for column in range(11):
            i, p = colours[column], wanted[column][:, 0]
            covariance = np.cov(i.T, bias=True) + filtering._FLAT_VARIANCE * np.eye(3)
            slope = np.linalg.solve(covariance, (i * p[:, None]).mean(0) - i.mean(0) * p.mean())
            fitted[row, column] = [*slope, p.mean() - slope @ i.mean(0)]
    line = windows(fitted).mean(axis=2)
    expected = (line[..., :3] * guide).sum(axis=-1) + line[..., 3]
    near = windows(values[..., None].astype(np.float64))[..., 0]
    expected = np.clip(expected, near.min(axis=2), near.max(axis=2))
    assert np.allclose(guided_filter(values, rgb, radius), expected, atol=2e-4)


@pytest.mark.parametrize("grey", [False, True])
def test_small_systems_are_solved_as_lapack_solves_them(grey: bool) -> None:
    # The local covariances of colours, or of a grey picture, where the three are one.
    rng = np.random.default_rng(0)
    colours = rng.random((6, 5, 40, 1 if grey else 3)).repeat(3 if grey else 1, axis=-1)
    centred = colours - colours.mean(axis=2, keepdims=True)
    covariance = np.einsum("hwni,hwnj->hwij", centred, centred) / 40 + 1e-3 * np.eye(3)
    sides = rng.normal(0, 0.1, (6, 5, 3))
    expected = np.linalg.solve(covariance, sides[..., None])[..., 0]
    matrix, side = covariance.astype(np.float32), sides.astype(np.float32)
    upper = [matrix[..., row, column] for row in range(3) for column in range(row, 3)]
    found = np.stack(filtering._solved(upper, [side[..., n] for n in range(3)]), axis=-1)
    assert found == pytest.approx(expected, rel=0.01, abs=0.01 * np.abs(expected).max())
