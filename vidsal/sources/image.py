"""A picture file: a stream of one frame."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import imageio.v3 as iio
import numpy as np
from PIL import Image

from vidsal.errors import VidsalError
from vidsal.types import Findings, Frame, Rgb, SourceInfo

# By content, not by name. GIF is here for its stills; with several frames it is a video.
_FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "PPM", "GIF", "JPEG2000", "AVIF")
# But for one that has nothing to be known by,
_NAMED_FORMATS = {".tga": "TGA"}
# and for files of many JPEG pictures, one after the other, which begin as one does.
_JPEGS = (".mjpeg", ".mjpg")


def is_image(path: Path) -> bool:
    """Say whether a file holds one picture."""
    if path.suffix.lower() in _JPEGS:
        return False
    # Pillow names some formats only once all its plugins are loaded.
    Image.init()
    by_name = _NAMED_FORMATS.get(path.suffix.lower())
    try:
        with (
            _large_ones_allowed(),
            Image.open(path, formats=[*_FORMATS, by_name] if by_name else _FORMATS) as image,
        ):
            # A phone's MPO file is a photo with a second, smaller copy behind it.
            return image.format == "MPO" or getattr(image, "n_frames", 1) == 1
    except Image.DecompressionBombError as error:
        raise VidsalError(f"{path} is too large a picture: {error}") from error
    except Exception:  # Damaged files fail in Pillow in any way there is.
        return False


@contextmanager
def _large_ones_allowed() -> Iterator[None]:
    """Leave out Pillow's warning of pictures that may be too large: those that are, it refuses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


class ImageSource:
    """A photo, turned upright as its EXIF data say."""

    def __init__(self, path: Path) -> None:
        self._rgb = _read(path)
        height, width = self._rgb.shape[:2]
        self.info = SourceInfo(str(path), height, width, fps=None, frame_count_hint=1)

    def frames(self) -> Iterator[Frame]:
        yield Frame(self._rgb, 0, 0.0, has_time=False)

    def stop(self) -> None:
        pass

    def findings(self) -> Findings:
        return Findings()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def _read(path: Path) -> Rgb:
    """Return a picture file as (H, W, 3) uint8 RGB."""
    try:
        with _large_ones_allowed():
            if iio.improps(path, plugin="pillow", index=0).dtype.itemsize > 1:
                return _eight_bit(iio.imread(path, plugin="pillow", index=0, rotate=True))
            rgb = iio.imread(path, plugin="pillow", index=0, mode="RGB", rotate=True)
    except Exception as error:  # As above.
        raise VidsalError(f"{path} is a damaged picture: {error}") from error
    return np.ascontiguousarray(rgb, np.uint8)


def _eight_bit(deep: np.ndarray) -> Rgb:
    """Return 16-bit, integer or floating-point pixels as uint8 RGB, full range to full range."""
    values = np.nan_to_num(np.asarray(deep, np.float64))
    grey = values if values.ndim == 2 else values[..., 0]
    usual = {"u2": 65535.0, "i4": 65535.0}.get(deep.dtype.str[1:], 1.0)
    top = max(usual, float(grey.max()))
    eight = np.clip(np.rint(grey * (255 / top)), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.repeat(eight[..., None], 3, axis=2))
