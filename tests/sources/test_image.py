"""Photos: pictures of all formats are upright and have the right colours."""

import logging
from pathlib import Path
from typing import Any

import cv2
import imageio.v3 as iio
import numpy as np
import photo_help
import pytest
from conftest import run_ffmpeg
from file_help import read_whole
from PIL import Image

from vidsal.errors import VidsalError
from vidsal.settings import Settings
from vidsal.sources import open_source
from vidsal.sources.image import ImageSource


def test_photo_png_is_bit_exact(tmp_path: Path) -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (21, 34, 3), np.uint8)
    iio.imwrite(tmp_path / "a.png", rgb)
    with ImageSource(tmp_path / "a.png") as source:
        (frame,) = source.frames()
        assert source.info.frame_count_hint == 1
    assert (frame.rgb == rgb).all()


def test_a_photo_is_recognised_by_its_content(tmp_path: Path) -> None:
    rgb = np.full((20, 30, 3), (220, 40, 20), np.uint8)
    Image.fromarray(rgb).save(tmp_path / "a.png")
    path = (tmp_path / "a.png").rename(tmp_path / "clip.mp4")
    (frame,) = read_whole(path)
    assert (frame.rgb == rgb).all()


def test_photo_jpeg_is_red(tmp_path: Path) -> None:
    Image.new("RGB", (34, 21), (220, 40, 20)).save(tmp_path / "a.jpg", quality=95)
    (frame,) = read_whole(tmp_path / "a.jpg")
    assert frame.rgb.shape == (21, 34, 3)
    assert np.abs(frame.rgb.astype(int) - [220, 40, 20]).max() <= 3


def test_photo_sixteen_bit_grey_keeps_its_range(tmp_path: Path) -> None:
    # 257 v is v in eight bits, exactly.
    levels = np.arange(256, dtype=np.uint16).reshape(16, 16)
    iio.imwrite(tmp_path / "a.png", levels * 257)
    (frame,) = read_whole(tmp_path / "a.png")
    assert (frame.rgb == levels.astype(np.uint8)[..., None]).all()
    # A dark picture stays dark.
    iio.imwrite(tmp_path / "dark.png", levels)
    (frame,) = read_whole(tmp_path / "dark.png")
    assert frame.rgb.max() == 1


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_photo_sixteen_bit_colour_is_right(suffix: str, tmp_path: Path) -> None:
    run_ffmpeg(
        "-f", "lavfi", "-i", "color=c=0xDC2814:size=34x22,format=rgb48be", "-frames:v", "1",
        "-pix_fmt", "rgb48be" if suffix == ".png" else "rgb48le", str(tmp_path / f"a{suffix}"),
    )  # fmt: skip
    (frame,) = read_whole(tmp_path / f"a{suffix}")
    assert frame.rgb.shape == (22, 34, 3)
    assert np.abs(frame.rgb.astype(int) - [220, 40, 20]).max() <= 2


def test_photo_grey_is_grey(tmp_path: Path) -> None:
    grey = np.arange(200, dtype=np.uint8).reshape(10, 20)
    Image.fromarray(grey).save(tmp_path / "a.png")
    (frame,) = read_whole(tmp_path / "a.png")
    assert (frame.rgb == grey[..., None]).all()


def test_photo_one_bit_is_black_and_white(tmp_path: Path) -> None:
    bits = np.indices((10, 20)).sum(axis=0) % 2 == 0
    Image.fromarray(bits).save(tmp_path / "a.png")
    (frame,) = read_whole(tmp_path / "a.png")
    assert (frame.rgb == np.where(bits, 255, 0)[..., None]).all()


def test_photo_alpha_leaves_the_colours(tmp_path: Path) -> None:
    rgba = np.random.default_rng(2).integers(0, 256, (12, 15, 4), np.uint8)
    rgba[..., 3] = 255
    Image.fromarray(rgba).save(tmp_path / "a.png")
    (frame,) = read_whole(tmp_path / "a.png")
    assert (frame.rgb == rgba[..., :3]).all()


def test_photo_palette_gives_its_colours(tmp_path: Path) -> None:
    rgb = np.zeros((10, 20, 3), np.uint8)
    rgb[:, 10:] = (220, 40, 20)
    Image.fromarray(rgb).quantize(4).save(tmp_path / "a.png")
    (frame,) = read_whole(tmp_path / "a.png")
    assert (frame.rgb == rgb).all()


def test_photo_is_turned_upright(tmp_path: Path) -> None:
    upright = np.zeros((20, 40, 3), np.uint8)
    upright[:10, :20] = (220, 40, 20)
    # How each EXIF orientation stores an upright picture; 6 is a phone held upright.
    stored = {
        1: upright, 2: upright[:, ::-1], 3: np.rot90(upright, 2), 4: upright[::-1],
        6: np.rot90(upright), 8: np.rot90(upright, -1),
    }  # fmt: skip
    for orientation, pixels in stored.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / f"{orientation}.png"
        Image.fromarray(np.ascontiguousarray(pixels)).save(path, exif=exif)
        with open_source(path, Settings()) as source:
            (frame,) = source.frames()
            size = source.info.height_px, source.info.width_px
        assert size == (20, 40), orientation
        assert (frame.rgb == upright).all(), orientation


def test_a_large_photo_comes_without_warnings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40 * 30 - 1)
    Image.new("RGB", (40, 30), (200, 20, 20)).save(tmp_path / "a.png")
    with open_source(tmp_path / "a.png", Settings()) as source:
        (frame,) = source.frames()
    assert frame.rgb.shape == (30, 40, 3)
    assert not list(recwarn)


def test_targa_is_recognised_by_its_suffix(tmp_path: Path) -> None:
    # Targa has no signature: many other files begin with the same bytes.
    Image.new("RGB", (40, 30), (200, 20, 20)).save(tmp_path / "a.tga")
    with open_source(tmp_path / "a.tga", Settings()) as source:
        (frame,) = source.frames()
    assert frame.rgb[0, 0].tolist() == [200, 20, 20]
    raw = tmp_path / "raw.obu"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=size=64x48:duration=0.4", "-c:v", "libsvtav1",
               "-f", "obu", str(raw))  # fmt: skip
    with open_source(raw, Settings()) as source:
        assert len(list(source.frames())) == 10


FORMATS: dict[str, dict[str, Any]] = {
    ".png": {},
    ".jpg": {"quality": 95, "subsampling": 0},
    ".webp": {"lossless": True},
    ".tif": {},
    ".tiff": {"compression": "tiff_lzw"},
    ".avif": {"quality": 95, "subsampling": "4:4:4"},
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_is_turned_upright(suffix: str, orientation: int, tmp_path: Path) -> None:
    upright = photo_help.quarters()
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a{suffix}"
    pixels = photo_help.stored(upright, orientation)
    Image.fromarray(pixels).save(path, exif=exif, **FORMATS[suffix])
    (frame,) = read_whole(path)
    assert frame.rgb.shape == upright.shape
    assert np.abs(frame.rgb.astype(int) - upright).mean() < 2


def test_an_animated_avif_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.avif"
    pictures = [Image.new("RGB", (64, 48), (50 * n, 0, 0)) for n in range(5)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:])
    with pytest.raises(VidsalError, match="is an animated AVIF, which cannot be read: convert it"):
        open_source(path, Settings())
    pictures[0].save(path, save_all=True, append_images=[])
    with open_source(path, Settings()) as source:
        assert source.info.fps is None


@pytest.mark.parametrize("suffix", [".png", ".gif", ".webp"])
def test_one_frame_is_a_photo_and_several_are_a_video(
    suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "vidsal")
    pictures = [Image.fromarray(np.roll(photo_help.quarters(), 9 * n, 1)) for n in range(5)]
    still, moving = tmp_path / f"still{suffix}", tmp_path / f"moving{suffix}"
    pictures[0].save(still, save_all=True, duration=100)
    pictures[0].save(moving, save_all=True, append_images=pictures[1:], duration=100)
    with open_source(still, Settings()) as source:
        assert source.info.fps is None
    with open_source(moving, Settings()) as source:
        assert source.info.fps == 10
        frames = list(source.frames())
    assert [round(frame.time_s, 3) for frame in frames] == [0, 0.1, 0.2, 0.3, 0.4]
    assert not caplog.messages


def test_a_tiff_of_several_pages_is_its_first_page(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pages = [Image.fromarray(photo_help.quarters()), Image.new("RGB", (10, 10))]
    path = tmp_path / "a.tif"
    pages[0].save(path, save_all=True, append_images=pages[1:])
    (frame,) = read_whole(path)
    assert (frame.rgb == photo_help.quarters()).all()
    assert caplog.messages == [f"{path} has 2 pages: only the first is read"]


def test_a_tiff_of_sixteen_bits_whose_white_is_zero_is_inverted(tmp_path: Path) -> None:
    levels = np.arange(256, dtype=np.uint16).reshape(16, 16)
    image = Image.fromarray((255 - levels) * 257)
    image.save(tmp_path / "a.tif", tiffinfo={262: 0})
    (frame,) = read_whole(tmp_path / "a.tif")
    assert (frame.rgb == levels.astype(np.uint8)[..., None]).all()


def test_a_tiff_of_floats_keeps_its_colours(tmp_path: Path) -> None:
    rgb = photo_help.quarters()
    bgr = np.asarray(rgb[..., ::-1] / 255, np.float32)
    assert cv2.imwrite(str(tmp_path / "a.tiff"), bgr)
    (frame,) = read_whole(tmp_path / "a.tiff")
    assert (frame.rgb == rgb).all()


def test_a_tiff_that_begins_with_a_thumbnail_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (16, 12)).save(tmp_path / "a.tif", tiffinfo={254: 1})
    with pytest.raises(VidsalError, match="begins with a thumbnail") as caught:
        open_source(tmp_path / "a.tif", Settings())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "start", "kind"),
    [
        ("a.dng", b"II*\0", "a camera's raw picture"),
        ("a.CR3", b"\0\0\0\x18ftypcrx ", "a camera's raw picture"),
        ("a.jxl", b"\xff\x0a", "a JPEG XL picture"),
        ("a.png", b"8BPS", "a Photoshop picture"),
    ],
)
def test_a_picture_that_cannot_be_read_says_how(
    name: str, start: bytes, kind: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(start + bytes(100))
    with pytest.raises(VidsalError) as caught:
        open_source(path, Settings())
    expected = f"{path} is {kind}, which cannot be read: convert it to PNG, JPEG or TIFF"
    assert str(caught.value) == expected
