"""The size of a crop window, and what it holds."""

from fractions import Fraction

import numpy as np
import pytest

from vidsal.crop.window import held, mass, profile, window_size
from vidsal.errors import UsageError


@pytest.mark.parametrize(
    ("size", "aspect", "window"),
    [
        ((1080, 1920), "9/16", (1080, 608)),
        ((1080, 1920), "1", (1080, 1080)),
        ((1080, 1920), "4/5", (1080, 864)),
        ((1080, 1920), "16/9", (1080, 1920)),
        # Wider than the picture: all its width, and not all its height.
        ((1080, 1920), "239/100", (804, 1920)),
        ((1920, 1080), "16/9", (608, 1080)),
        ((480, 854), "9/16", (480, 270)),
        # Odd sides lose a pixel.
        ((143, 175), "1", (142, 142)),
        ((143, 175), "175/143", (142, 174)),
    ],
)
def test_the_window_is_the_largest_even_one(
    size: tuple[int, int], aspect: str, window: tuple[int, int]
) -> None:
    assert window_size(size, Fraction(aspect)) == window


def test_a_window_that_is_too_small_is_refused() -> None:
    with pytest.raises(UsageError, match=r"1:100 in a picture of 320x180 is 2x180 pixels"):
        window_size((180, 320), Fraction(1, 100))
    with pytest.raises(UsageError, match="fewer than 16"):
        window_size((8, 8), Fraction(1))


def test_what_a_window_holds() -> None:
    profiles = np.array([[1, 1, 1, 1], [0, 0, 4, 0], [0, 0, 0, 0]])
    shares = held(profiles, np.array([0.0, 0.5, 0.375]), 0.5)
    assert shares == pytest.approx(np.array([[0.5, 0.5, 0.5], [0, 1, 1], [0, 0, 0]]))
    # A window for each frame, and a pixel that it divides.
    assert held(profiles, np.array([[0.1], [0.125], [0.5]]), 0.5)[:, 0] == pytest.approx(
        [0.5, 0.5, 0]
    )
    assert held(profiles, np.zeros(1), 1.0)[:, 0] == pytest.approx([1, 1, 0])


def test_mass_counts_less_towards_the_ends_of_a_window() -> None:
    # A spot in the middle, at half of the way to the end, and at the end.
    profiles = np.zeros((3, 1001))
    profiles[0, 500] = profiles[1, 600] = profiles[2, 699] = 2.0
    shares = held(profiles, np.array([300.5 / 1001]), 400 / 1001, fall=0.4)
    assert shares[:, 0] == pytest.approx([1, 1 - 0.4 / 4, 1 - 0.4 * (199 / 200) ** 2])
    # The mean of 1 - u ** 2 / 2 over the window.
    assert held(np.ones((1, 100)), np.array([0.25]), 0.5, fall=0.5) == pytest.approx(
        0.5 * (1 - 0.5 / 3), abs=1e-3
    )


def test_weights_and_their_profile() -> None:
    # The mean is 0.1, so the threshold is 0.4: half of the weight.
    fused = np.array([[0.4, 0.0, 0.8, 0.0, 0.0, 0, 0, 0, 0, 0], [0.8] + [0.0] * 9], np.float32)
    speed = np.zeros_like(fused)
    speed[0, :5] = 0.1, 0.8, 0.8, 0.4, 0.4
    found = mass(fused, speed, 0.4)
    assert found[0, :3] == pytest.approx([0.5 * (0.05 + 1 / 16), 0, 1.05 * 16 / 17])
    assert found[1, 0] == pytest.approx(0.05 * 16 / 17)
    assert not found[0, 3:].any() and not found[1, 1:].any()
    assert profile(found, 1) == pytest.approx(found.sum(axis=0))
    assert profile(found, 0) == pytest.approx(found.sum(axis=1))
    # Without motion it is the area alone.
    assert mass(fused, speed, 0.0) == pytest.approx(mass(fused, np.zeros_like(speed), 0.4))
    assert mass(fused, speed, 0.0)[0, 2] == pytest.approx(0.05 * 16 / 17)
    assert not mass(np.zeros((2, 3), np.float32), np.ones((2, 3), np.float32), 0.4).any()


def test_a_window_is_to_hold_a_whole_object() -> None:
    """An object counts by its area, not by its brightest part. Moving ground does not count."""
    fused = np.full((90, 160), 0.01, np.float32)
    fused[30:60, 40:80] = 0.5
    fused[30:60, 40:45] = 1.0
    speed = np.zeros_like(fused)
    # The ground moves faster than the object.
    speed[30:60, 40:80], speed[70:] = 0.5, 1.0
    found = mass(fused, speed, 1.0)
    columns = profile(found, 1)
    assert columns[40:80].sum() > 0.98 * columns.sum()
    assert columns[40:45].sum() < 0.2 * columns.sum()


def test_thresholds_have_bounds() -> None:
    """A frame in which nothing stands out weighs little, and a large object counts as a whole."""
    faint, clear = np.zeros((2, 90, 160), np.float32)
    faint[30:60, 40:80], clear[30:60, 40:80] = 1 / 255, 1.0
    still = np.zeros_like(faint)
    assert mass(faint, still, 1.0).sum() < 1e-4 * mass(clear, still, 1.0).sum()
    # The mean is 0.31, and four times the mean is above 1.
    large = np.zeros_like(faint)
    large[:, 30:130], large[:, 30:50] = 0.5, 1.0
    found = profile(mass(large, still, 1.0), 1)
    assert found[50] == pytest.approx(90 * 0.05 / 2)
    assert found[30] == pytest.approx(90 * 0.05 * 16 / 17)
