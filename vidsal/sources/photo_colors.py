"""The colours of photos, converted to sRGB: ICC profiles, and the colour codes of HEIF and AVIF."""

import logging
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from vidsal.types import Rgb

log = logging.getLogger(__name__)

# Pillow's mode for the pixels that a profile of a colour space converts.
_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
# Profiles that change no colour by more than this are sRGB, rounded: the pixels stay as they are.
_SAME = 2
# Light that becomes white, in units of 100 cd/m2; the default of ffmpeg's tone mapping.
_PEAK = 10.0
# Rows that are converted at once.
_STRIP = 256

# Codes of ITU-T H.273.
_BT2020, _P3, _PQ, _HLG = 9, 12, 16, 18
# Linear RGB of a set of primaries to linear RGB of sRGB; white is D65 in all.
_TO_SRGB = {
    _P3: [[1.22494, -0.22494, 0.0], [-0.042057, 1.042057, 0.0], [-0.019638, -0.078636, 1.098274]],
    _BT2020: [
        [1.660491, -0.587641, -0.07285],
        [-0.12455, 1.1329, -0.008349],
        [-0.018151, -0.100579, 1.11873],
    ],
}


def to_srgb(image: Image.Image, name: str) -> Image.Image:
    """Return a photo in sRGB, converted with its ICC profile.

    The rendering intent is perceptual; for profiles without tables this is relative colorimetric.

    Parameters
    ----------
    image : PIL image
        A picture of 8 bits. Without a profile it is taken as sRGB.
    name : str
        Name of the file, for a warning about a profile that cannot be used.

    Returns
    -------
    PIL image
        Of mode RGB. The alpha channel is ignored.
    """
    profile = image.info.get("icc_profile")
    if not profile:
        return image.convert("RGB")
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        mode = _MODES[source.profile.xcolor_space.strip()]
        if (mode == "CMYK") != (image.mode == "CMYK"):
            raise ValueError(f"it is for {mode}, and the picture is {image.mode}")
        transform = ImageCms.buildTransform(
            source, ImageCms.createProfile("sRGB"), mode, "RGB", ImageCms.Intent.PERCEPTUAL,
            # For grey, the tables that speed conversion up are too coarse.
            ImageCms.Flags.NOOPTIMIZE if mode == "L" else ImageCms.Flags.NONE,
        )  # fmt: skip
        if mode != "CMYK" and _is_srgb(transform, mode):
            return image.convert("RGB")
        converted = ImageCms.applyTransform(image.convert(mode), transform)
        assert converted is not None
        return converted
    except (ImageCms.PyCMSError, OSError, LookupError, ValueError, TypeError) as error:
        log.warning(
            "%s: its colour profile cannot be used (%s); its colours are taken as sRGB", name, error
        )
        return image.convert("RGB")


def _is_srgb(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Return whether a conversion changes no colour."""
    levels = np.arange(0, 256, 15).astype(np.uint8)
    if mode == "RGB":
        cube = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
        expected = cube
    else:
        cube = levels[None]
        expected = np.repeat(cube[..., None], 3, axis=2)
    converted = ImageCms.applyTransform(Image.fromarray(cube), transform)
    difference = np.asarray(converted).astype(int) - expected
    return bool(np.abs(difference).max() <= _SAME)


def coded_to_srgb(rgb: Image.Image, primaries: int, transfer: int) -> Image.Image:
    """Return a photo in sRGB, converted by its colour codes.

    HDR is tone-mapped as that of videos is: with Hable's curve, 1000 cd/m2 becoming white.

    Parameters
    ----------
    rgb : PIL image
        Of mode RGB.
    primaries, transfer : int
        Codes of ITU-T H.273. P3, BT.2020, PQ and HLG are converted; other colours are sRGB.

    Returns
    -------
    PIL image
        Of mode RGB.

    References
    ----------
    .. [1] ITU-R BT.2100-2, "Image parameter values for high dynamic range television", 2018.
    .. [2] J. Hable, "Uncharted 2: HDR lighting", GDC, 2010.
    """
    if primaries not in _TO_SRGB and transfer not in (_PQ, _HLG):
        return rgb
    pixels = np.asarray(rgb)
    converted = np.empty_like(pixels)
    # Strips: the floats of a whole photo need too much memory.
    for first in range(0, len(pixels), _STRIP):
        strip = slice(first, first + _STRIP)
        converted[strip] = _coded_to_srgb(pixels[strip], primaries, transfer)
    return Image.fromarray(converted)


def _coded_to_srgb(pixels: Rgb, primaries: int, transfer: int) -> Rgb:
    """Convert some rows; see `coded_to_srgb`."""
    linear = _linear(pixels, transfer)
    if primaries in _TO_SRGB:
        linear = linear @ np.array(_TO_SRGB[primaries], np.float32).T
    if transfer in (_PQ, _HLG):
        # As ffmpeg's zscale, which encodes the videos, for BT.709.
        encoded = np.clip(_tone_mapped(linear), 0, 1) ** (1 / 2.4)
        return np.asarray(np.rint(255 * encoded), np.uint8)
    linear = np.clip(linear, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(255 * encoded), np.uint8)


def _linear(pixels: Rgb, transfer: int) -> NDArray[np.float32]:
    """Return linear light, [0, 1], or in units of 100 cd/m2 for HDR."""
    values = np.arange(256) / 255
    if transfer == _PQ:
        power = values ** (1 / 78.84375)
        light = np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)
        curve = 100 * light ** (1 / 0.1593017578125)
    elif transfer == _HLG:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        curve = np.where(values <= 0.5, values**2 / 3, (np.exp((values - c) / a) + b) / 12)
    else:
        curve = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    linear = curve.astype(np.float32)[pixels]
    if transfer == _HLG:
        luma = linear @ np.array([0.2627, 0.6780, 0.0593], np.float32)
        # A display of 1000 cd/m2.
        linear = 10 * linear * luma[..., None] ** np.float32(0.2)
    return np.asarray(linear, np.float32)


def _tone_mapped(linear: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return HDR light as light of [0, 1], with the hue kept."""
    largest = np.maximum(linear.max(axis=-1, keepdims=True), 1e-6)
    return np.asarray(linear * (_hable(largest) / np.float32(_hable(_PEAK)) / largest))


def _hable(x: Any) -> Any:
    a, b, c, d, e, f = 0.15, 0.5, 0.1, 0.2, 0.02, 0.3
    return (x * (x * a + b * c) + d * e) / (x * (x * a + b) + d * f) - e / f
