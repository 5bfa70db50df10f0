"""Conversion from RGB to luma and chroma: BT.709 in limited range."""

import numpy as np
import pytest

from vidsal.media.color import yuv420

# Computed by hand from the standard: Y' = 0.2126 R' + 0.7152 G' + 0.0722 B', then 16 + 219 Y',
# 128 + 224 (B' - Y') / 1.8556, 128 + 224 (R' - Y') / 1.5748.
KNOWN = {
    (0, 0, 0): (16, 128, 128),
    (255, 255, 255): (235, 128, 128),
    (255, 0, 0): (63, 102, 240),
    (0, 255, 0): (173, 42, 26),
    (0, 0, 255): (32, 240, 118),
    (128, 128, 128): (126, 128, 128),
}


def _planes(data: np.ndarray, height: int, width: int) -> list[np.ndarray]:
    luma, blue, red = np.split(data, [height * width, height * width * 5 // 4])
    return [
        luma.reshape(height, width),
        blue.reshape(height // 2, width // 2),
        red.reshape(height // 2, width // 2),
    ]


@pytest.mark.parametrize(("colour", "expected"), KNOWN.items())
def test_colours_of_the_standard(
    colour: tuple[int, int, int], expected: tuple[int, int, int]
) -> None:
    planes = _planes(yuv420(np.full((4, 6, 3), colour, np.uint8)), 4, 6)
    for plane, value in zip(planes, expected, strict=True):
        assert (plane == value).all()


# Half of 6 and of 2 is odd. The last size is larger than one block of OpenCV.
@pytest.mark.parametrize("size", [(2, 2), (6, 10), (2, 64), (334, 498)])
def test_each_plane_has_its_place(size: tuple[int, int]) -> None:
    height, width = size
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    red, green, blue = (picture[..., n].astype(float) for n in range(3))
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    exact = [
        16 + luma * 219 / 255,
        128 + (blue - luma) / 1.8556 * 224 / 255,
        128 + (red - luma) / 1.5748 * 224 / 255,
    ]
    planes = _planes(yuv420(picture), height, width)
    # Rounding is half a level. For chroma, the mean of RGB is rounded first: another half.
    assert np.abs(planes[0] - exact[0]).max() < 0.65
    for plane, whole in zip(planes[1:], exact[1:], strict=True):
        mean = whole.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
        assert np.abs(plane - mean).max() < 1.0


@pytest.mark.parametrize("size", [(3, 4), (4, 3)])
def test_odd_sides_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"even sides, got {size[0]} x {size[1]}"):
        yuv420(np.zeros((*size, 3), np.uint8))
