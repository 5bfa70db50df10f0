"""Pictures in memory as a source: accepted types, refused ones, and the messages."""

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from vidsal.errors import UsageError
from vidsal.sources.arrays import ArraySource, as_rgb
from vidsal.sources.image import ImageSource
from vidsal.types import Frame, Rgb


def picture(seed: int = 0, size: tuple[int, int] = (6, 8)) -> Rgb:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def test_one_array_is_a_photo_without_time() -> None:
    source = ArraySource(picture())
    assert (source.info.fps, source.info.frame_count_hint) == (None, 1)
    (frame,) = source.frames()
    assert np.array_equal(frame.rgb, picture()) and not frame.has_time and frame.time_s == 0


@pytest.mark.parametrize(
    "kind", [list, tuple, iter, np.stack], ids=["list", "tuple", "iterator", "array"]
)
def test_iterables_of_arrays_are_videos(kind: Any) -> None:
    pictures = [picture(n) for n in range(3)]
    source = ArraySource(kind(pictures), fps="30000/1001")
    info = source.info
    assert (info.height_px, info.width_px, info.fps) == (6, 8, Fraction(30000, 1001))
    assert info.frame_count_hint == (None if kind is iter else 3)
    frames = list(source.frames())
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert [frame.time_s for frame in frames] == pytest.approx([0, 1001 / 30000, 2002 / 30000])
    for frame, expected in zip(frames, pictures, strict=True):
        assert np.array_equal(frame.rgb, expected) and frame.has_time


def test_pil_pictures_are_taken_in_any_mode() -> None:
    rgb = picture()
    for image in (Image.fromarray(rgb), Image.fromarray(rgb).convert("RGBA")):
        assert np.array_equal(as_rgb(image), rgb)
    grey = Image.fromarray(rgb[..., 0])
    assert np.array_equal(as_rgb(grey), np.repeat(rgb[..., :1], 3, axis=2))


def test_times_are_kept() -> None:
    source = ArraySource([picture(n) for n in range(3)], times=[0.5, 0.75, 2.0])
    assert [frame.time_s for frame in source.frames()] == [0.5, 0.75, 2.0]


def test_frames_keep_their_times() -> None:
    frames = [Frame(picture(n), n, time_s) for n, time_s in enumerate((0.0, 0.3, 0.4))]
    assert [frame.time_s for frame in ArraySource(frames).frames()] == [0.0, 0.3, 0.4]


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (np.zeros((4, 5, 3)), r"got float64 \(4, 5, 3\): scale it to 0..255"),
        (np.zeros((4, 5), np.uint8), "repeat a grey picture"),
        (np.zeros((4, 5, 4), np.uint8), "leave out the alpha channel"),
        (np.zeros((3, 4, 5), np.uint8), r"\.transpose\(1, 2, 0\)"),
        (np.zeros((0, 5, 3), np.uint8), "expected a"),
        ("clip.mp4", "vidsal.run_all takes several names"),
        (b"a.png", "got the name"),
        (None, "expected a"),
        ((picture(0, (4, 5)), 0.5), "got tuple: give times in times="),
    ],
)
def test_other_values_are_refused_with_a_hint(value: Any, hint: str) -> None:
    with pytest.raises(UsageError, match=f"frame 1: .*{hint}"):
        list(ArraySource([picture((0), (4, 5)), value]).frames())


@pytest.mark.parametrize(
    ("frames", "options", "message"),
    [
        ([picture()], {"fps": 25, "times": [0]}, "give fps= or times=, not both"),
        (picture(), {"fps": 25}, "a single picture has no time"),
        ([picture()], {"fps": 0}, "a rate is 0.01 to 1000"),
        (7, {}, "expected an array or an iterable of arrays, got int"),
    ],
)
def test_wrong_arguments_are_refused_at_once(
    frames: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        ArraySource(frames, **options)


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([0.0, 0.0], "times must be finite and increase"),
        ([1.0, 0.5], "frame 1 has 0.5 s after 1.0 s"),
        ([0.0, float("nan")], "times must be finite and increase"),
        ([0.0], "there is no time for frame 1"),
    ],
)
def test_times_that_do_not_fit_are_refused(times: list[float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        list(ArraySource([picture(), picture(1)], times=times).frames())


def test_frames_of_another_size_and_no_frame_are_refused() -> None:
    with pytest.raises(UsageError, match="frame 1 is 9x6, but frame 0 is 8x6"):
        list(ArraySource([picture(), picture(size=(6, 9))]).frames())
    with pytest.raises(UsageError, match="the iterable is empty"):
        _ = ArraySource([]).info


def test_a_generator_is_read_frame_by_frame_and_closed() -> None:
    events: list[object] = []

    def pictures() -> Iterator[Rgb]:
        try:
            for n in range(9):
                events.append(n)
                yield picture(n)
        finally:
            events.append("closed")

    with ArraySource(pictures()) as source:
        frames = source.frames()
        assert next(frames).index == 0 and next(frames).index == 1
        assert events == [0, 1]
        source.stop()
        assert next(frames, None) is None
    assert events[-1] == "closed"


def test_a_reused_buffer_does_not_change_earlier_frames() -> None:
    def camera() -> Iterator[Rgb]:
        buffer = np.empty((6, 8, 3), np.uint8)
        for n in range(3):
            buffer[:] = n
            yield buffer

    frames = list(ArraySource(camera()).frames())
    assert [int(frame.rgb.max()) for frame in frames] == [0, 1, 2]


def test_pil_images_are_turned_upright_like_their_files() -> None:
    image = Image.fromarray(picture())
    exif = image.getexif()
    exif[0x0112] = 6
    data = io.BytesIO()
    image.save(data, "PNG", exif=exif)
    with Image.open(data) as rotated:
        assert np.array_equal(as_rgb(rotated), np.rot90(picture(), -1))


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_pil_images_without_a_known_range_are_refused(mode: str) -> None:
    with pytest.raises(UsageError, match=f"a PIL image of mode {mode} has no known range"):
        as_rgb(Image.new(mode, (8, 6)))


def test_a_dictionary_is_refused() -> None:
    with pytest.raises(UsageError, match=r"give its \.values\(\)"):
        ArraySource({"a": picture()})


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "CMYK", "RGBA"])
def test_pil_images_have_the_colours_of_their_files(mode: str, tmp_path: Path) -> None:
    path = tmp_path / ("photo.tif" if mode == "CMYK" else "photo.png")
    # The primaries of sRGB in other places: red becomes blue.
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"tmpX").replace(b"bXYZ", b"rXYZ").replace(b"tmpX", b"bXYZ")
    given: dict[str, Any] = {} if mode in ("L", "CMYK") else {"icc_profile": swapped}
    Image.fromarray(picture()).convert(mode).save(path, **given)
    with ImageSource(path) as source:
        (expected,) = source.frames()
    with Image.open(path) as image:
        assert image.mode == mode
        rgb = as_rgb(image)
    assert np.array_equal(rgb, expected.rgb)
    assert np.array_equal(rgb, np.array(image.convert("RGB"))) == (not given)


def test_a_pil_image_that_cannot_be_decoded_is_one_line() -> None:
    data = io.BytesIO()
    Image.fromarray(picture()).resize((300, 200)).save(data, "PNG")
    cut = io.BytesIO(data.getvalue()[:400])
    with Image.open(cut) as image, pytest.raises(UsageError, match="PIL image that cannot be read"):
        as_rgb(image)
