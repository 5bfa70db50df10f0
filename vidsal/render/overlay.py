"""A saliency map in colours, alone or over its picture. Arrays in, arrays out."""

from functools import lru_cache
from typing import Any, get_args

import numpy as np

from vidsal.errors import UsageError, option
from vidsal.runtime.opencv import cv2
from vidsal.settings import Colormap, PictureOptions
from vidsal.types import Map, Rgb

# Rounding may take a normalised map this far out of [0, 1].
_TOLERANCE = 1e-3


def overlay(
    rgb: Rgb,
    saliency_map: Map,
    *,
    colormap: Colormap = PictureOptions.colormap,
    alpha: float = PictureOptions.alpha,
) -> Rgb:
    """Lay a saliency map over a picture; cold regions stay clear.

    The opacity of a pixel is ``alpha`` times the smoothstep s² (3 - 2 s) of its saliency s.

    Parameters
    ----------
    rgb : (H, W, 3) uint8 array
        RGB, red first, 0..255. It is not changed.
    saliency_map : (h, w) floating-point array
        Saliency, 0..1. It is resized to the picture.
    colormap : {"inferno", "magma", "plasma", "viridis", "cividis", "turbo", "grey"}
        The colours of the map.
    alpha : float
        Opacity of the most salient regions, 0..1.

    Returns
    -------
    (H, W, 3) uint8 array
        RGB, red first.

    Raises
    ------
    UsageError
        If an argument has another shape, type or range.

    Examples
    --------
    >>> import numpy as np
    >>> rgb = np.full((48, 64, 3), 90, np.uint8)
    >>> spot = np.zeros((12, 16), np.float32)
    >>> spot[5, 8] = 1
    >>> picture = overlay(rgb, spot)
    >>> picture.shape, bool((picture[0, 0] == 90).all())
    ((48, 64, 3), True)
    """
    rgb, saliency_map = np.asarray(rgb), np.asarray(saliency_map)
    _check(rgb, saliency_map, colormap, alpha)
    return blend(rgb, saliency_map, colormap=colormap, alpha=float(alpha))


def _check(rgb: Any, saliency_map: Any, colormap: str, alpha: float) -> None:
    """Raise `UsageError` for arguments that `overlay` cannot draw."""
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or not rgb.size:
        raise UsageError(
            f"rgb must be a (H, W, 3) uint8 array, got {rgb.dtype} {rgb.shape}: convert it first"
        )
    is_map = saliency_map.ndim == 2 and saliency_map.dtype.kind == "f" and saliency_map.size
    if not is_map:
        raise UsageError(
            "saliency_map must be a (h, w) float array, got "
            f"{saliency_map.dtype} {saliency_map.shape}: convert it first"
        )
    low, high = float(saliency_map.min()), float(saliency_map.max())
    if not (low >= -_TOLERANCE and high <= 1 + _TOLERANCE):
        raise UsageError(
            f"saliency_map must be in [0, 1], got {low:g} to {high:g}: normalise it first"
        )
    if colormap not in get_args(Colormap):
        known = ", ".join(get_args(Colormap))
        raise UsageError(f"{option('colormap')} must be one of {known}, got {colormap!r}")
    if not 0 <= alpha <= 1:
        raise UsageError(f"{option('alpha')} must be 0 to 1, got {alpha}")


def blend(rgb: Rgb, saliency_map: Map, *, colormap: Colormap, alpha: float) -> Rgb:
    """Return `overlay` of arguments that are known to be valid.

    Parameters
    ----------
    rgb : (H, W, 3) uint8 array
    saliency_map : (h, w) floating-point array
        Saliency, 0..1.
    colormap : str
    alpha : float
        Opacity of the most salient regions, 0..1.

    Returns
    -------
    (H, W, 3) uint8 array
    """
    levels = _levels(saliency_map, rgb.shape[:2])
    # Colour and opacity depend on the level alone, so both are looked up.
    added, kept = _blend_tables(colormap, alpha)
    result = cv2.cvtColor(cv2.LUT(levels, kept), cv2.COLOR_GRAY2RGB)
    # In place: allocating a whole picture takes longer than filling it.
    cv2.multiply(rgb, result, dst=result, scale=1 / 255)
    cv2.add(result, cv2.applyColorMap(levels, added), dst=result)
    return np.asarray(result, np.uint8)


@lru_cache
def _blend_tables(colormap: Colormap, alpha: float) -> tuple[Rgb, Rgb]:
    """Return what each of 256 levels adds to a picture, and the share of 255 that it keeps.

    (256, 1, 3) and (256, 1) uint8.
    """
    level = np.arange(256)[:, None] / 255
    # Smoothstep is flat at both ends: low saliency everywhere does not veil the picture.
    opacity = alpha * level**2 * (3 - 2 * level)
    kept = np.rint(255 * (1 - opacity))
    added = np.rint(colours(colormap) * (1 - kept / 255))
    return added[:, None, :].astype(np.uint8), kept.astype(np.uint8)


def map_picture(saliency_map: Map, size: tuple[int, ...], *, colormap: Colormap) -> Rgb:
    """Return a saliency map in colours.

    Parameters
    ----------
    saliency_map : (h, w) float32 array
        Saliency, 0..1.
    size : (int, int)
        Height and width of the picture.
    colormap : str

    Returns
    -------
    (H, W, 3) uint8 array
        RGB, red first.
    """
    table = np.ascontiguousarray(colours(colormap)[:, None, :])
    return np.asarray(cv2.applyColorMap(_levels(saliency_map, size), table), np.uint8)


def part_picture(rgb: Rgb, saliency_map: Map | None, *, colormap: Colormap, alpha: float) -> Rgb:
    """Return the overlay of the static or the motion map; without a map, the dimmed picture.

    Parameters
    ----------
    rgb : (H, W, 3) uint8 array
    saliency_map : (h, w) float32 array or None
        Saliency, 0..1.
    colormap : str
    alpha : float
        Opacity of the most salient regions, 0..1.

    Returns
    -------
    (H, W, 3) uint8 array
    """
    if saliency_map is None:
        return rgb // 3
    return blend(rgb, saliency_map, colormap=colormap, alpha=alpha)


@lru_cache
def colours(name: Colormap) -> Rgb:
    """Return the 256 colours of a colour map.

    Parameters
    ----------
    name : str

    Returns
    -------
    (256, 3) uint8 array
        RGB, the colour of the lowest value first; read-only.
    """
    ramp = np.arange(256, dtype=np.uint8)[:, None]
    if name == "grey":
        table = np.repeat(ramp, 3, axis=1)
    else:
        bgr = cv2.applyColorMap(ramp, getattr(cv2, f"COLORMAP_{name.upper()}"))
        table = np.ascontiguousarray(np.asarray(bgr, np.uint8)[:, 0, ::-1])
    table.setflags(write=False)  # All callers share it.
    return table


def _levels(saliency_map: Map, size: tuple[int, ...]) -> Rgb:
    """Return a map in 256 levels at a (height, width), (H, W) uint8."""
    # Levels first, then size: resizing floats takes as long as all other steps together.
    small = cv2.convertScaleAbs(saliency_map, alpha=255)
    large = cv2.resize(small, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large, np.uint8)
