"""HEIF and AVIF photos: grids of tiles, rotation, and truncated files."""

from pathlib import Path
from typing import Any

import numpy as np
import photo_help
import pytest
from PIL import Image

from vidsal.errors import VidsalError
from vidsal.settings import Settings
from vidsal.sinks import output_path
from vidsal.sources import open_source
from vidsal.sources.heif import read_header
from vidsal.sources.image import ImageSource, is_image
from vidsal.types import Rgb

pillow_heif = pytest.importorskip("pillow_heif")
pillow_heif.register_heif_opener()

OPTIONS: dict[str, dict[str, Any]] = {
    ".heic": {"quality": 95, "chroma": 444},
    ".avif": {"quality": 95, "subsampling": "4:4:4"},
}


def _write(path: Path, upright: Rgb, orientation: int = 1, **options: Any) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(photo_help.stored(upright, orientation))
    suffix = path.suffix if path.suffix in OPTIONS else ".heic"
    # Both encoders write the rotation of this EXIF into the header.
    if suffix == ".avif":
        options["exif"] = exif
    else:
        image.info["exif"] = exif.tobytes()
    image.save(path, format=suffix[1:].replace("heic", "heif"), **OPTIONS[suffix], **options)
    return path


@pytest.mark.parametrize("tile", [None, 64, 100])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_grid_of_tiles_is_one_upright_photo(
    tile: int | None, orientation: int, tmp_path: Path
) -> None:
    upright = photo_help.quarters(200, 340)
    options = {"tile_size": tile} if tile else {}
    path = _write(tmp_path / "a.heic", upright, orientation, **options)
    with open_source(path, Settings()) as source:
        (frame,) = source.frames()
        assert (source.info.height_px, source.info.width_px) == (200, 340)
        assert output_path(source.info, Settings()).name == "a_saliency.png"
    assert np.abs(frame.rgb.astype(int) - upright).mean() < 2


@pytest.mark.parametrize("name", ["a.jpg", "a.mp4", "a"])
def test_a_photo_is_recognised_by_its_brand(name: str, tmp_path: Path) -> None:
    path = _write(tmp_path / name, photo_help.quarters())
    assert is_image(path)
    with ImageSource(path) as source:
        assert (source.info.height_px, source.info.width_px) == (64, 96)


@pytest.mark.parametrize("suffix", OPTIONS)
@pytest.mark.parametrize("share", [0.02, 0.4, 0.7, 0.99])
def test_a_truncated_photo_is_one_line(suffix: str, share: float, tmp_path: Path) -> None:
    noise = np.random.default_rng(4).integers(0, 256, (160, 240, 3), np.uint8)
    options = {"tile_size": 64} if suffix == ".heic" else {}
    path = _write(tmp_path / f"a{suffix}", noise, **options)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(VidsalError, match=r"truncated picture|corrupt picture") as caught:
        open_source(path, Settings())
    assert "\n" not in str(caught.value)


def test_a_size_that_differs_from_the_header_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _write(tmp_path / "a.heic", photo_help.quarters(128, 192))
    header = read_header(path)
    assert (header.format, header.size_px, header.is_turned) == ("HEIF", (128, 192), False)
    small = Image.new("RGB", (64, 64))
    small.format = "HEIF"
    monkeypatch.setattr(Image, "open", lambda *_, **__: small)
    with pytest.raises(VidsalError, match="its header says 192x128, and 64x64 was decoded"):
        ImageSource(path)


def test_a_codec_that_cannot_be_decoded_is_one_line(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.heic", photo_help.quarters())
    path.write_bytes(path.read_bytes().replace(b"hvc1", b"xyz1"))
    with pytest.raises(VidsalError, match="convert it to PNG, JPEG or TIFF") as caught:
        open_source(path, Settings())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", OPTIONS)
def test_the_header_says_how_a_photo_is_turned(suffix: str, tmp_path: Path) -> None:
    path = _write(tmp_path / f"a{suffix}", photo_help.quarters(), 6)
    header = read_header(path)
    assert header.size_px == (64, 96)
    assert header.is_turned
    assert header.end <= path.stat().st_size
