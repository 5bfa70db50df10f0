"""Luma and chroma: the values of the standard, parts of pictures, drawing on them."""

import copy
from collections.abc import Callable
from pickle import dumps, loads

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidsal import image_ops
from vidsal.render.canvas import drawing_on
from vidsal.saliency.scenes import histogram
from vidsal.types import Frame
from vidsal.yuv import Yuv420, added_levels, as_rgb

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


def _noise(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def _natural(size: tuple[int, int]) -> Yuv420:
    """Return a picture whose pixels are in the range of the standard, with smooth colours."""
    waves = [
        np.add.outer(np.sin(np.arange(size[0]) / n), np.cos(np.arange(size[1]) / n))
        for n in (9, 13, 7)
    ]
    rgb = np.stack([127 + 50 * wave for wave in waves], axis=-1).astype(np.uint8)
    return Yuv420.of(rgb)


def _exact_rgb(picture: Yuv420) -> np.ndarray:
    """Return the RGB of the standard's formula, in floating point."""
    luma = (picture.luma.astype(float) - 16) * 255 / 219
    blue, red = (
        (np.kron(plane.astype(float), np.ones((2, 2))) - 128) * 255 / 224
        for plane in (picture.blue, picture.red)
    )
    green = -0.0722 * 1.8556 / 0.7152 * blue - 0.2126 * 1.5748 / 0.7152 * red
    return np.stack([luma + 1.5748 * red, luma + green, luma + 1.8556 * blue], axis=-1)


@pytest.mark.parametrize(("colour", "expected"), KNOWN.items())
def test_colours_of_the_standard(
    colour: tuple[int, int, int], expected: tuple[int, int, int]
) -> None:
    picture = Yuv420.of(np.full((4, 6, 3), colour, np.uint8))
    for plane, value in zip(picture.planes, expected, strict=True):
        assert (plane == value).all()
    # Luma and chroma have fewer levels than RGB.
    assert np.abs(picture.to_rgb().astype(int) - colour).max() <= 1


# Half of 6 and of 2 is odd. The last size is larger than one block of OpenCV.
@pytest.mark.parametrize("size", [(2, 2), (6, 10), (2, 64), (334, 498)])
def test_each_plane_has_its_place(size: tuple[int, int]) -> None:
    height, width = size
    rgb = _noise(size)
    red, green, blue = (rgb[..., n].astype(float) for n in range(3))
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    exact = [
        16 + luma * 219 / 255,
        128 + (blue - luma) / 1.8556 * 224 / 255,
        128 + (red - luma) / 1.5748 * 224 / 255,
    ]
    picture = Yuv420.of(rgb)
    # As raw video: one plane after the other.
    assert np.array_equal(np.concatenate([one.ravel() for one in picture.planes]), picture.data)
    # Rounding is half a level. For chroma, the mean of RGB is rounded first: another half.
    assert np.abs(picture.luma - exact[0]).max() < 0.65
    for plane, whole in zip(picture.planes[1:], exact[1:], strict=True):
        mean = whole.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
        assert np.abs(plane - mean).max() < 1.0


@pytest.mark.parametrize("size", [(3, 4), (4, 3)])
def test_odd_sides_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"even sides, got {size[0]} x {size[1]}"):
        Yuv420.of(np.zeros((*size, 3), np.uint8))


@pytest.mark.parametrize("data", [np.zeros(23, np.uint8), np.zeros(24, np.float32)])
def test_planes_of_another_size_or_type_are_refused(data: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"4 x 4 pixels need uint8 \(24,\)"):
        Yuv420(data, (4, 4))


@pytest.mark.parametrize("size", [(2, 2), (48, 64), (334, 498)])
def test_rgb_is_that_of_the_standard(size: tuple[int, int]) -> None:
    # Also levels that the standard leaves free, which are clipped.
    picture = Yuv420(
        np.random.default_rng(1).integers(0, 256, size[0] * size[1] * 3 // 2, np.uint8), size
    )
    error = picture.to_rgb() - np.clip(_exact_rgb(picture), 0, 255)
    assert np.abs(error).max() < 0.65 and np.abs(error.mean()) < 0.1


@given(st.integers(0, 15), st.integers(1, 16), st.integers(0, 23), st.integers(1, 24))
def test_a_part_is_cut_from_the_whole(top: int, high: int, left: int, wide: int) -> None:
    picture = _natural((32, 48))
    rows, columns = (
        slice(2 * top, 2 * min(16, top + high)),
        slice(2 * left, 2 * min(24, left + wide)),
    )
    assert np.array_equal(picture.part(rows, columns), picture.to_rgb()[rows, columns])


def test_as_rgb_keeps_rgb_and_converts_the_rest() -> None:
    rgb, picture = _noise((4, 6)), _natural((4, 6))
    assert as_rgb(rgb) is rgb
    assert np.array_equal(as_rgb(picture), picture.to_rgb())


@pytest.mark.parametrize("resize", [image_ops.shrink, image_ops.sampled])
@pytest.mark.parametrize("size", [(90, 160), (180, 320), (208, 352), (360, 640)])
def test_resized_is_the_resized_rgb(size: tuple[int, int], resize) -> None:  # type: ignore[no-untyped-def]
    picture = _natural((360, 640))
    difference = picture.resized(size, resize).astype(int) - resize(picture.to_rgb(), size)
    # Each plane is rounded once more, and chroma is interpolated instead of repeated.
    assert np.abs(difference).max() <= 6 and np.abs(difference).mean() < 1
    assert np.abs(difference.mean(axis=(0, 1))).max() < 0.5


@given(
    st.integers(-3, 40), st.integers(1, 50), st.integers(0, 60), st.integers(1, 70),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_what_is_drawn_is_in_the_picture_and_the_rest_stays(
    top: int, high: int, left: int, wide: int, seed: int
) -> None:
    picture = _natural((40, 60))
    before, colour = picture.to_rgb(), np.random.default_rng(seed).integers(0, 256, 3)
    planes = picture.copy()
    top = max(0, top)
    with drawing_on(picture, slice(top, top + high), slice(left, left + wide)) as part:
        assert part.shape == before[top : top + high, left : left + wide].shape
        part[:] = colour
    after = picture.to_rgb().astype(int)
    # Squares of 2 x 2 pixels that are drawn whole.
    inside = np.zeros((40, 60), bool)
    inside[top + top % 2 : (top + high) // 2 * 2, left + left % 2 : (left + wide) // 2 * 2] = True
    assert np.abs(after[inside] - colour).max(initial=0) <= 2
    # Squares that are not touched.
    touched = np.zeros((40, 60), bool)
    touched[top // 2 * 2 : top + high + 1, left // 2 * 2 : left + wide + 1] = True
    assert np.array_equal(after[~touched], before[~touched])
    assert np.array_equal(picture.luma[~touched], planes.luma[~touched])


def test_drawing_nothing_changes_nothing_that_is_seen() -> None:
    picture = _natural((40, 60))
    before = picture.copy()
    with drawing_on(picture, slice(3, 33), slice(5, 50)):
        pass
    for plane, expected in zip(picture.planes, before.planes, strict=True):
        assert np.abs(plane.astype(int) - expected).max() <= 1


def test_drawing_on_rgb_is_drawing_on_a_view() -> None:
    rgb = _noise((8, 8))
    with drawing_on(rgb, slice(2, 4), slice(1, 5)) as part:
        assert np.shares_memory(part, rgb)
        part[:] = 7
    assert (rgb[2:4, 1:5] == 7).all()


def test_blending_planes_is_blending_rgb() -> None:
    rng = np.random.default_rng(3)
    rgb, added = rng.integers(0, 256, (50, 1, 1, 3)), rng.uniform(0, 255, (50, 3))
    kept = rng.uniform(0, 1, (50, 1))
    added *= 1 - kept
    levels = added_levels(added, kept)
    for colour, share, more, level in zip(rgb, kept[:, 0], added, levels, strict=True):
        planes = Yuv420.of(np.tile(colour.astype(np.uint8), (2, 2, 1))).planes
        blended = Yuv420.of(np.tile(np.rint(colour * share + more).astype(np.uint8), (2, 2, 1)))
        for plane, expected, plus in zip(planes, blended.planes, level, strict=True):
            assert np.abs(plane * share + plus - expected).max() < 1.6


def test_a_frame_in_luma_and_chroma_has_its_rgb_when_asked() -> None:
    picture = _natural((360, 640))
    frame = Frame.of_yuv(picture, 3, 0.12)
    assert frame.yuv is picture and frame.size_px == (360, 640)
    assert (frame.index, frame.time_s, frame.has_time) == (3, 0.12, True)
    small = frame.resized((90, 160), image_ops.shrink)
    assert frame.rgb is frame.rgb
    assert np.array_equal(frame.rgb, picture.to_rgb())
    # The result must not depend on what was asked before.
    assert np.array_equal(frame.resized((90, 160), image_ops.shrink), small)
    assert histogram(small).sum() > 0
    with pytest.raises(AttributeError, match="colour"):
        frame.colour  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda one: loads(dumps(one))])
def test_a_copy_of_a_frame_has_its_form(copied: Callable[[Frame], Frame]) -> None:
    planes, rgb = _natural((40, 60)), _noise((40, 60))
    twin = copied(Frame.of_yuv(planes, 3, 0.12))
    assert isinstance(twin.yuv, Yuv420) and np.array_equal(twin.yuv.data, planes.data)
    assert (twin.index, twin.time_s, twin.has_time) == (3, 0.12, True)
    photo = copied(Frame(rgb, 0, 0.0, has_time=False))
    assert photo.yuv is None and np.array_equal(photo.rgb, rgb) and not photo.has_time
    # One form is 3 bytes a pixel, the other one half of that.
    assert len(dumps(twin)) < 2 * 40 * 60 < len(dumps(photo))


def test_a_frame_in_rgb_is_resized_as_an_array() -> None:
    rgb = _noise((64, 96))
    frame = Frame(rgb, 0, 0.0)
    assert frame.yuv is None and frame.size_px == (64, 96)
    assert np.array_equal(
        frame.resized((32, 48), image_ops.shrink), image_ops.shrink(rgb, (32, 48))
    )
