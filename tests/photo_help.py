"""Colour profiles and test pictures for photos."""

import struct

import numpy as np

from vidsal.types import Rgb

# Media white and primaries in XYZ of D50, and the curve's parameters.
_WHITE = (0.9642, 1.0, 0.8249)
_P3 = ((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407))
_ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
_SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.7141))


def display_p3() -> bytes:
    """Return an ICC profile of Display P3."""
    return _profile(_P3, _srgb_curve())


def adobe_rgb() -> bytes:
    """Return an ICC profile of Adobe RGB (1998)."""
    return _profile(_ADOBE, _gamma(2.19921875))


def srgb() -> bytes:
    """Return an ICC profile of sRGB, rounded otherwise than that of other programs."""
    return _profile(_SRGB, _srgb_curve())


def grey_gamma(gamma: float) -> bytes:
    """Return an ICC profile of grey with a gamma."""
    return _file(b"GRAY", {b"wtpt": _xyz(_WHITE), b"kTRC": _gamma(gamma)})


def quarters(height: int = 64, width: int = 96) -> Rgb:
    """Return a picture whose quarters differ: red, black, green and blue."""
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[: height // 2, : width // 2] = (220, 40, 20)
    rgb[height // 2 :, : width // 2] = (20, 200, 60)
    rgb[height // 2 :, width // 2 :] = (30, 60, 220)
    return rgb


def stored(upright: Rgb, orientation: int) -> Rgb:
    """Return the pixels that an EXIF orientation turns into an upright picture."""
    pixels = {
        1: upright, 2: upright[:, ::-1], 3: np.rot90(upright, 2), 4: upright[::-1],
        5: upright.transpose(1, 0, 2), 6: np.rot90(upright),
        7: np.rot90(upright, 2).transpose(1, 0, 2), 8: np.rot90(upright, -1),
    }  # fmt: skip
    return np.ascontiguousarray(pixels[orientation])


def _profile(primaries: tuple[tuple[float, ...], ...], curve: bytes) -> bytes:
    tags = {b"wtpt": _xyz(_WHITE)}
    for letter, column in zip(b"rgb", primaries, strict=True):
        tags[bytes([letter]) + b"XYZ"] = _xyz(column)
        tags[bytes([letter]) + b"TRC"] = curve
    return _file(b"RGB ", tags)


def _file(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    at = 128 + 4 + 12 * len(tags)
    table, data = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += struct.pack(">4sII", name, at + len(data), len(content))
        data += content
    header = struct.pack(
        ">I4sI4s4s4s12x4s28x3i48x", at + len(data), b"lcms", 0x02400000, b"mntr", space, b"XYZ ",
        b"acsp", *(_fixed(value) for value in _WHITE),
    )  # fmt: skip
    return header + table + data


def _xyz(values: tuple[float, ...]) -> bytes:
    return struct.pack(">4s4x3i", b"XYZ ", *(_fixed(value) for value in values))


def _gamma(value: float) -> bytes:
    return struct.pack(">4s4xIH2x", b"curv", 1, round(value * 256))


def _srgb_curve() -> bytes:
    parameters = 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045
    return struct.pack(">4s4xH2x5i", b"para", 3, *(_fixed(value) for value in parameters))


def _fixed(value: float) -> int:
    return round(value * 65536)
