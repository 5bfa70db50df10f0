"""The colours of photos: ICC profiles, CMYK, and the colour codes of HEIF and AVIF."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import photo_help
import pytest
from PIL import Image

from vidsal.sources.image import ImageSource
from vidsal.sources.photo_colors import coded_to_srgb
from vidsal.types import Rgb

FORMATS: dict[str, dict[str, Any]] = {
    ".png": {},
    ".jpg": {"quality": 98, "subsampling": 0},
    ".webp": {"lossless": True},
    ".tif": {},
    ".avif": {"quality": 95, "subsampling": "4:4:4"},
    ".heic": {"quality": 98, "chroma": 444},
}
# Linear light of P3 and Adobe RGB as that of sRGB; all three have the white of D65.
P3 = [[1.2249, -0.2249, 0], [-0.0420, 1.0420, 0], [-0.0197, -0.0786, 1.0983]]
ADOBE = [[1.3984, -0.3984, 0], [0, 1, 0], [0, -0.0429, 1.0429]]


def test_a_picture_without_a_profile_keeps_its_values(tmp_path: Path) -> None:
    rgb = np.random.default_rng(3).integers(0, 256, (40, 50, 3), np.uint8)
    assert (_read(tmp_path / "a.png", rgb) == rgb).all()


def test_a_picture_with_the_profile_of_srgb_keeps_its_values(tmp_path: Path) -> None:
    rgb = np.random.default_rng(3).integers(0, 256, (40, 50, 3), np.uint8)
    assert (_read(tmp_path / "a.png", rgb, icc_profile=photo_help.srgb()) == rgb).all()


@pytest.mark.parametrize("suffix", FORMATS)
def test_display_p3_becomes_srgb(suffix: str, tmp_path: Path) -> None:
    expected = _converted([200, 100, 50], P3, _srgb_light)
    rgb = np.full((64, 64, 3), (200, 100, 50), np.uint8)
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    options = {"icc_profile": photo_help.display_p3(), **FORMATS[suffix]}
    read = _read(tmp_path / f"a{suffix}", rgb, **options)
    assert np.abs(read[32, 32] - expected).max() <= 3
    # The values themselves are another colour.
    assert np.abs(expected - [200, 100, 50]).max() > 10


def test_adobe_rgb_becomes_srgb(tmp_path: Path) -> None:
    expected = _converted([120, 160, 90], ADOBE, lambda values: values**2.19921875)
    rgb = np.full((8, 8, 3), (120, 160, 90), np.uint8)
    read = _read(tmp_path / "a.png", rgb, icc_profile=photo_help.adobe_rgb())
    assert np.abs(read[0, 0] - expected).max() <= 1.5


def test_a_grey_picture_with_a_profile_of_grey_is_converted(tmp_path: Path) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    read = _read(tmp_path / "a.png", levels, icc_profile=photo_help.grey_gamma(1.0))
    expected = _srgb_values(levels / 255)
    assert np.abs(read - expected[..., None]).max() <= 1.5


@pytest.mark.parametrize(("suffix", "options"), [(".jpg", {"quality": 98}), (".tif", {})])
def test_cmyk_gives_its_colours(suffix: str, options: dict[str, Any], tmp_path: Path) -> None:
    rgb = photo_help.quarters()
    Image.fromarray(rgb).convert("CMYK").save(tmp_path / f"a{suffix}", **options)
    assert np.abs(_opened(tmp_path / f"a{suffix}").astype(int) - rgb).mean() < 1


@pytest.mark.parametrize("profile", [b"no profile", photo_help.grey_gamma(2.2)[:150]])
def test_a_broken_profile_is_reported_and_ignored(
    profile: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "vidsal")
    rgb = photo_help.quarters()
    assert (_read(tmp_path / "a.png", rgb, icc_profile=profile) == rgb).all()
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith(f"{tmp_path / 'a.png'}: its colour profile cannot be used (")
    assert "\n" not in message


def test_coded_p3_becomes_srgb() -> None:
    levels = [[0, 0, 0], [255, 255, 255], [200, 100, 50], [90, 120, 200], [40, 20, 30]]
    picture = Image.fromarray(np.array([levels], np.uint8))
    read = np.asarray(coded_to_srgb(picture, 12, 13), float)[0]
    expected = [_converted(one, P3, _srgb_light) for one in levels]
    assert np.abs(read - expected).max() <= 2
    assert coded_to_srgb(picture, 1, 13) is picture
    assert coded_to_srgb(picture, 2, 2) is picture


@pytest.mark.parametrize(("transfer", "expected"), [(16, [51, 154, 214]), (18, [65, 125, 157])])
def test_coded_hdr_is_tone_mapped_as_videos_are(transfer: int, expected: list[int]) -> None:
    grey = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    read = np.asarray(coded_to_srgb(Image.fromarray(grey), 9, transfer), int)
    assert np.abs(read - read[..., :1]).max() <= 1
    assert (np.diff(read[0, :, 0]) >= 0).all()
    # ffmpeg makes these values of the same greys in a video.
    assert np.abs(read[0, [0x40, 0x80, 0xA0], 0] - expected).max() <= 1
    assert read[0, 0, 0] == 0
    assert read[0, 255, 0] == 255


def _read(path: Path, pixels: Any, **options: Any) -> Rgb:
    Image.fromarray(pixels).save(path, **options)
    return _opened(path)


def _opened(path: Path) -> Rgb:
    with ImageSource(path) as source:
        (frame,) = source.frames()
    return frame.rgb


def _converted(values: list[int], matrix: Any, light: Any) -> Any:
    linear = np.array(matrix) @ light(np.array(values) / 255)
    return _srgb_values(np.clip(linear, 0, 1))


def _srgb_light(values: Any) -> Any:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _srgb_values(light: Any) -> Any:
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
