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

# Recognised by content, not by name. A GIF with several frames is a video.
_FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "PPM", "GIF", "JPEG2000", "AVIF")
# TGA cannot be recognised by its content.
_NAMED_FORMATS = {".tga": "TGA"}
# Motion JPEG files begin as a JPEG picture does.
_JPEGS = (".mjpeg", ".mjpg")


def is_image(path: Path) -> bool:
    """Return whether a file holds one picture.

    Raises
    ------
    VidsalError
        If it is a picture that is too large.
    """
    if path.suffix.lower() in _JPEGS:
        return False
    # Pillow knows some formats only after all its plugins are loaded.
    Image.init()
    by_name = _NAMED_FORMATS.get(path.suffix.lower())
    try:
        with (
            _large_pictures_allowed(),
            Image.open(path, formats=[*_FORMATS, by_name] if by_name else _FORMATS) as image,
        ):
            # The MPO file of a phone is a photo followed by a smaller copy.
            return image.format == "MPO" or getattr(image, "n_frames", 1) == 1
    except Image.DecompressionBombError as error:
        raise VidsalError(f"{path} is too large a picture: {error}") from error
    except Exception:  # Corrupt files make Pillow raise almost any error.
        return False


@contextmanager
def _large_pictures_allowed() -> Iterator[None]:
    """Silence Pillow's warning about large pictures; it still refuses those that are too large."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


class ImageSource:
    """A photo: one frame, turned upright by its EXIF orientation.

    Parameters
    ----------
    path : Path

    Raises
    ------
    VidsalError
        If the file is corrupt.
    """

    def __init__(self, path: Path) -> None:
        self._rgb = _read(path)
        height, width = self._rgb.shape[:2]
        self.info = SourceInfo(str(path), height, width, fps=None, frame_count_hint=1)

    def frames(self) -> Iterator[Frame]:
        """Yield the photo at time 0."""
        yield Frame(self._rgb, 0, 0.0, has_time=False)

    def stop(self) -> None:
        """Do nothing: there is only one frame."""

    def findings(self) -> Findings:
        """Return no findings: a corrupt photo cannot be opened."""
        return Findings()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def _read(path: Path) -> Rgb:
    """Return a picture file as (H, W, 3) uint8 RGB."""
    try:
        with _large_pictures_allowed():
            if iio.improps(path, plugin="pillow", index=0).dtype.itemsize > 1:
                return _eight_bit(iio.imread(path, plugin="pillow", index=0, rotate=True))
            rgb = iio.imread(path, plugin="pillow", index=0, mode="RGB", rotate=True)
    except Exception as error:  # As above.
        raise VidsalError(f"{path} is a corrupt picture: {error}") from error
    return np.ascontiguousarray(rgb, np.uint8)


def _eight_bit(deep: np.ndarray) -> Rgb:
    """Return 16-bit, integer or floating-point pixels as uint8 RGB, full range to full range."""
    values = np.nan_to_num(np.asarray(deep, np.float64))
    grey = values if values.ndim == 2 else values[..., 0]
    full_range = {"u2": 65535.0, "i4": 65535.0}.get(deep.dtype.str[1:], 1.0)
    white = max(full_range, float(grey.max()))
    eight = np.clip(np.rint(grey * (255 / white)), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.repeat(eight[..., None], 3, axis=2))
