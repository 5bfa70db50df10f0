"""Light is not motion: flicker, exposure and clipped highlights."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from vidsal.motion import compensated
from vidsal.motion.lighting import brightness_ratio, equalized
from vidsal.types import Rgb

SIZE = (180, 320)


def texture(seed: int = 0, size: tuple[int, int] = SIZE) -> NDArray[np.float64]:
    """Smooth noise of 40 to 200 levels."""
    coarse = np.random.default_rng(seed).uniform(40, 200, (size[0] // 6, size[1] // 6))
    image = Image.fromarray(coarse.astype(np.float32)).resize(size[::-1], Image.Resampling.BICUBIC)
    return np.asarray(image, np.float64)


def lit(values: NDArray[np.float64], factor: float) -> Rgb:
    return np.clip(np.rint(values * factor), 0, 255).astype(np.uint8)


def moved(values: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.float64]:
    """A patch of another texture, moved over the picture."""
    result = values.copy()
    result[60 + rows : 110 + rows, 130 + columns : 180 + columns] = texture(7, (50, 50))[:50, :50]
    return result


def p95(first: Rgb, second: Rgb) -> float:
    speed = compensated.measure(first, second).speed
    return float(np.percentile(compensated.diagonals_per_second(speed, 1 / 25), 95))


@pytest.mark.parametrize("factor", [0.7, 0.88, 0.95, 1.05, 1.12])
def test_the_factor_of_the_light_is_measured(factor: float) -> None:
    picture = texture()
    assert brightness_ratio(lit(picture, 1), lit(picture, factor)) == pytest.approx(
        factor, rel=5e-3
    )


@pytest.mark.parametrize("factor", [0.985, 1.0, 1.015])
def test_small_changes_are_left_alone(factor: float) -> None:
    picture = texture()
    assert brightness_ratio(lit(picture, 1), lit(picture, factor)) == 1


def test_dark_and_clipped_pictures_have_no_factor() -> None:
    dark, white = np.full(SIZE, 9, np.uint8), np.full(SIZE, 255, np.uint8)
    assert brightness_ratio(dark, dark * 2) == 1 and brightness_ratio(dark, white) == 1


def test_motion_hardly_changes_the_factor() -> None:
    picture = texture()
    panned = np.roll(moved(picture, 0, 6), (3, -9), (0, 1))
    assert brightness_ratio(lit(moved(picture, 0, 0), 1), lit(panned, 1)) == 1
    assert brightness_ratio(lit(moved(picture, 0, 0), 1), lit(panned, 0.85)) == pytest.approx(
        0.85, rel=0.02
    )


def test_both_pictures_get_the_darker_light() -> None:
    bright, dark = np.full(SIZE, 200, np.uint8), np.full(SIZE, 100, np.uint8)
    for pair, ratio in (((bright, dark), 0.5), ((dark, bright), 2.0)):
        assert all((one == 100).all() for one in equalized(*pair, ratio))
    same = equalized(bright, dark, 1.0)
    assert same[0] is bright and same[1] is dark


@pytest.mark.parametrize("factor", [0.8, 0.88, 1.12, 1.25])
def test_flicker_is_not_motion(factor: float) -> None:
    picture = texture()
    assert p95(lit(picture, 1), lit(picture, factor)) < 0.01


@pytest.mark.parametrize("factor", [0.8, 1.15])
def test_clipped_highlights_are_not_motion(factor: float) -> None:
    # Light does not change clipped pixels, but changes their neighbours.
    picture = texture()
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    picture += 500 * np.exp(-((rows - 90) ** 2 + (columns - 160) ** 2) / 800)
    assert p95(lit(picture, 1), lit(picture, factor)) < 0.03


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.2])
def test_motion_is_found_under_any_light(factor: float) -> None:
    picture = texture() * 0.8
    first, second = lit(moved(picture, 0, 0), 1), lit(moved(picture, 2, 5), factor)
    speed = compensated.measure(first, second).speed
    assert np.median(speed[75:100, 150:175]) == pytest.approx(np.hypot(2, 5), rel=0.15)
    assert np.median(speed) < 0.05


def test_under_steady_light_nothing_changes() -> None:
    picture = texture()
    first, second = lit(moved(picture, 0, 0), 1), lit(moved(picture, 2, 5), 1)
    kept = first.copy(), second.copy()
    compensated.measure(first, second)
    assert np.array_equal(first, kept[0]) and np.array_equal(second, kept[1])
