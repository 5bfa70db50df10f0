"""A picture file: a stream of one frame."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import numpy as np
from PIL import Image, UnidentifiedImageError

from vidsal.errors import VidsalError
from vidsal.runtime.opencv import cv2
from vidsal.sources.heif import HeifHeader, is_still, read_header
from vidsal.sources.photo_colors import coded_to_srgb, to_srgb
from vidsal.types import Findings, Frame, Rgb, SourceInfo

log = logging.getLogger(__name__)

# Recognised by content, not by name.
_FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "PPM", "GIF", "JPEG2000", "AVIF")
# Formats whose files are videos if they have several pictures.
# The MPO file of a phone is a photo followed by a smaller copy.
_ANIMATED = ("PNG", "WEBP", "GIF", "AVIF")
# TGA cannot be recognised by its content.
_NAMED_FORMATS = {".tga": "TGA"}
# Motion JPEG files begin as a JPEG picture does.
_JPEGS = (".mjpeg", ".mjpg")
# Raw files of cameras begin as a TIFF picture: that of a thumbnail.
_RAW = (
    ".dng", ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw",
)  # fmt: skip
# First bytes of pictures that cannot be read. A decoder of video would make a video of them.
_UNREADABLE = {b"\xff\x0a": "JPEG XL", b"\0\0\0\x0cJXL ": "JPEG XL", b"8BPS": "Photoshop"}
_CONVERT = "convert it to PNG, JPEG or TIFF"
# First bytes of TIFF files. Those with several pages are no videos.
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

# Tags of TIFF and EXIF.
_SUBFILE, _BITS, _PHOTOMETRIC, _ORIENTATION = 254, 258, 262, 274
# How each EXIF orientation is undone.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def is_image(path: Path) -> bool:
    """Return whether a file holds one picture.

    Parameters
    ----------
    path : Path
        A file that exists.

    Raises
    ------
    VidsalError
        If it is a picture that is too large, or of a format that cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix in _JPEGS:
        return False
    if suffix in _RAW:
        raise VidsalError(f"{path} is a camera's raw picture, which cannot be read: {_CONVERT}")
    try:
        _require_readable(path)
        # These are photos even if they are corrupt: no decoder of video is tried.
        if is_still(path) or _first_bytes(path).startswith(_TIFF):
            return True
        with _opened(path) as image:
            is_one = image.format not in _ANIMATED or getattr(image, "n_frames", 1) == 1
            if image.format == "AVIF" and not is_one:
                # ffmpeg would decode its still picture alone.
                raise VidsalError(
                    f"{path} is an animated AVIF, which cannot be read: convert it to MP4 or WebP"
                )
            return is_one
    except VidsalError:
        raise
    except Image.DecompressionBombError as error:
        raise VidsalError(f"{path} is too large a picture: {error}") from error
    except Exception:  # Corrupt files make Pillow raise almost any error.
        return False


def _require_readable(path: Path) -> None:
    """Raise `VidsalError` for pictures of formats that are recognised but cannot be read."""
    start = _first_bytes(path)
    for magic, name in _UNREADABLE.items():
        if start.startswith(magic):
            raise VidsalError(f"{path} is a {name} picture, which cannot be read: {_CONVERT}")


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(8)


@contextmanager
def _opened(path: Path, header: HeifHeader | None = None) -> Iterator[Image.Image]:
    """Lend a picture file opened by Pillow; its pixels are not decoded yet."""
    # Pillow knows some formats only after all its plugins are loaded.
    Image.init()
    formats = list(_FORMATS)
    if by_name := _NAMED_FORMATS.get(path.suffix.lower()):
        formats.append(by_name)
    if header:
        formats = [header.format]
    if header and header.format == "HEIF":
        # It takes 0.2 s to load.
        import pillow_heif

        pillow_heif.register_heif_opener()
    with _large_pictures_allowed(), Image.open(path, formats=formats) as image:
        yield image


@contextmanager
def _large_pictures_allowed() -> Iterator[None]:
    """Silence Pillow's warning about large pictures; it still refuses those that are too large."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


class ImageSource:
    """A photo: one frame in sRGB, turned upright by its EXIF orientation.

    Parameters
    ----------
    path : Path

    Raises
    ------
    VidsalError
        If the file is corrupt, truncated or of a format that cannot be read.
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
    header = None
    try:
        header = read_header(path) if is_still(path) else None
        with _opened(path, header) as image:
            image.load()
            _require_full_size(path, image)
            rgb = upright_srgb(image, str(path), header)
    except VidsalError:
        raise
    except UnidentifiedImageError as error:
        if header is None and (opencv := _read_tiff_by_opencv(path)) is not None:
            return opencv
        raise VidsalError(
            f"{path} is a corrupt picture, or of an unknown kind: {_CONVERT}"
        ) from error
    except Image.DecompressionBombError as error:
        raise VidsalError(f"{path} is too large a picture: {error}") from error
    except ImportError as error:
        raise VidsalError(
            f"{path} is a HEIF photo: install pillow-heif to read it, or {_CONVERT}"
        ) from error
    except Exception as error:  # As above.
        if header:
            raise VidsalError(
                f"{path} is a {header.format} photo that cannot be decoded: {error}; {_CONVERT}"
            ) from error
        raise VidsalError(f"{path} is a corrupt picture: {error}") from error
    expected = header.size_px if header else None
    if expected and rgb.shape[:2] != expected:
        raise VidsalError(
            f"{path} cannot be read: its header says {expected[1]}x{expected[0]}, and "
            f"{rgb.shape[1]}x{rgb.shape[0]} was decoded; {_CONVERT}"
        )
    return rgb


def _read_tiff_by_opencv(path: Path) -> Rgb | None:
    """Return a TIFF that Pillow cannot read, such as colours of floats; None if OpenCV cannot."""
    if not _first_bytes(path).startswith(_TIFF):
        return None
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_ANYDEPTH)
    if pixels is None:
        return None
    values = np.nan_to_num(np.asarray(pixels, np.float64))
    full_range = {"u1": 255.0, "u2": 65535.0}.get(pixels.dtype.str[1:], 1.0)
    white = max(float(full_range), float(values.max()))
    return np.clip(np.rint(values * (255 / white)), 0, 255).astype(np.uint8)


def _require_full_size(path: Path, image: Image.Image) -> None:
    """Raise `VidsalError` for a TIFF whose first picture is a thumbnail; report further pages."""
    if image.format != "TIFF":
        return
    if _tiff_tag(image, _SUBFILE) & 1:
        raise VidsalError(
            f"{path} begins with a thumbnail, as raw files of cameras do, and cannot be read: "
            f"{_CONVERT}"
        )
    pages = getattr(image, "n_frames", 1)
    if pages > 1:
        log.warning("%s has %d pages: only the first is read", path, pages)


def _tiff_tag(image: Image.Image, tag: int, default: int = 0) -> int:
    """Return the first value of a tag of a TIFF; other pictures have no tags."""
    value = getattr(image, "tag_v2", {}).get(tag, default)
    return int(value[0] if isinstance(value, tuple) else value)


def upright_srgb(image: Image.Image, name: str, header: HeifHeader | None = None) -> Rgb:
    """Return a PIL image in sRGB, turned upright by its EXIF orientation.

    Parameters
    ----------
    image : PIL image
    name : str
        Name of the picture, for a warning.
    header : HeifHeader, optional
        Header of its file, for a HEIF or AVIF photo.

    Returns
    -------
    (H, W, 3) uint8 array
    """
    eight = _eight_bit(image) if image.mode == "F" or image.mode[0] == "I" else image
    rgb = to_srgb(eight, name)
    if header and "icc_profile" not in image.info:
        rgb = coded_to_srgb(rgb, header.primaries, header.transfer)
    orientation = image.getexif().get(_ORIENTATION)
    if orientation in _UPRIGHT and (header is None or header.is_turned):
        rgb = rgb.transpose(_UPRIGHT[orientation])
    return np.ascontiguousarray(rgb, np.uint8)


def _eight_bit(image: Image.Image) -> Image.Image:
    """Return a grey picture of 16 bits, integers or floats as 8 bits, full range to full range."""
    deep = np.asarray(image)
    grey = np.nan_to_num(np.asarray(deep, np.float64))
    bits = _tiff_tag(image, _BITS)
    full_range = {"u2": 65535.0, "i4": 65535.0}.get(deep.dtype.str[1:], 1.0)
    if 8 < bits < 16:
        full_range = 2.0**bits - 1
    white = max(full_range, float(grey.max()))
    if deep.dtype.kind != "f" and _tiff_tag(image, _PHOTOMETRIC, default=1) == 0:
        # White is zero. Pillow inverts only pictures of 8 bits.
        grey = white - grey
    eight = Image.fromarray(np.clip(np.rint(grey * (255 / white)), 0, 255).astype(np.uint8))
    eight.info["icc_profile"] = image.info.get("icc_profile")
    return eight
