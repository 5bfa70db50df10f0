"""A saliency map in colours, alone or over its picture. Arrays in, arrays out."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidsal.runtime.opencv import cv2
from vidsal.settings import Colormap, View
from vidsal.types import Map, Rgb
from vidsal.yuv import Yuv420, added_levels

# Heights at which contour lines run; the highest surrounds the core of what stands out.
LEVELS = (0.25, 0.5, 0.75, 0.9)
# Saliency from which a picture is shown as it is by "reveal", and the light that is left of the
# rest. Below half of the display nothing is clearly salient.
_REVEALED, _DIMMED = 0.5, 0.35
# Colours of the ends of a signed map, blue and orange: people who cannot tell red from green can
# tell these apart. What is below 0 is blue.
_NEGATIVE, _POSITIVE = (64, 156, 255), (255, 138, 36)
# Light that is left of a grey picture under a signed map: both colours are visible on it.
_UNDER_SIGNED = 0.5
# Rows that are drawn at a time: intermediate pictures of this size stay in the processor's cache,
# which saves about half of the time.
_BAND = 64


def laid_over(rgb: Rgb, saliency_map: Map, *, view: View, colormap: Colormap, alpha: float) -> Rgb:
    """Return a picture with a saliency map laid over it.

    Parameters
    ----------
    rgb : (H, W, 3) uint8 array
        It is not changed.
    saliency_map : (h, w) floating-point array
        Saliency, 0..1. It is resized to the picture.
    view : {"heat", "contour", "reveal"}
        See `blend`, `contoured` and `revealed`.
    colormap : str
    alpha : float
        Opacity of the most salient regions with "heat", 0..1.

    Returns
    -------
    (H, W, 3) uint8 array
    """
    if view == "contour":
        return contoured(rgb, saliency_map, colormap=colormap)
    if view == "reveal":
        return revealed(rgb, saliency_map)
    return blend(rgb, saliency_map, colormap=colormap, alpha=alpha)


def contoured(rgb: Rgb, saliency_map: Map, *, colormap: Colormap) -> Rgb:
    """Return a picture with contour lines of a saliency map, in the colours of their heights.

    Lines are outlined in black, to be visible on any background. Between them the picture stays as
    it is.

    Parameters
    ----------
    rgb : (H, W, 3) uint8 array
        It is not changed.
    saliency_map : (h, w) floating-point array
        Saliency, 0..1. It is resized to the picture.
    colormap : str

    Returns
    -------
    (H, W, 3) uint8 array
    """
    result = rgb.copy()
    large = _enlarged(_levels(saliency_map), rgb.shape[:2])
    line_px = max(1, round(min(rgb.shape[:2]) / 360))
    for level in LEVELS:
        above = np.asarray(large >= round(255 * level), np.uint8)
        lines, _ = cv2.findContours(above, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
        # Dark colours of a map would vanish in their outline: low lines take brighter ones.
        colour = colours(colormap)[round(255 * (0.55 + 0.45 * level))].tolist()
        cv2.drawContours(result, lines, -1, (0, 0, 0), 3 * line_px, cv2.LINE_AA)
        cv2.drawContours(result, lines, -1, colour, line_px, cv2.LINE_AA)
    return result


def revealed(rgb: Rgb, saliency_map: Map) -> Rgb:
    """Return a picture in which what does not stand out is dark and grey.

    Regions of a saliency of 0.5 or more are shown as they are.

    Parameters
    ----------
    rgb : (H, W, 3) uint8 array
        It is not changed.
    saliency_map : (h, w) floating-point array
        Saliency, 0..1. It is resized to the picture.

    Returns
    -------
    (H, W, 3) uint8 array
    """
    level = np.minimum(np.arange(256) / 255 / _REVEALED, 1)
    shown = level**2 * (3 - 2 * level)
    large = _enlarged(_levels(saliency_map), rgb.shape[:2])
    kept = cv2.LUT(large, shown.astype(np.float32))
    grey = cv2.cvtColor(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    dim = cv2.convertScaleAbs(grey, alpha=_DIMMED)
    return np.asarray(cv2.blendLinear(rgb, dim, kept, 1 - kept), np.uint8)


def blend(rgb: Rgb, saliency_map: Map, *, colormap: Colormap, alpha: float) -> Rgb:
    """Return a picture with a saliency map laid over it; cold regions stay clear.

    The opacity of a pixel is ``alpha`` times the smoothstep s² (3 - 2 s) of its saliency s.

    Parameters
    ----------
    rgb : (H, W, 3) uint8 array
        It is not changed.
    saliency_map : (h, w) floating-point array
        Saliency, 0..1. It is resized to the picture.
    colormap : str
    alpha : float
        Opacity of the most salient regions, 0..1.

    Returns
    -------
    (H, W, 3) uint8 array
    """
    added, kept = _added_table(colormap, alpha), _kept_table(alpha)
    result = rgb.copy()
    small = _levels(saliency_map)
    # Most of a map is cold. Only the part that is not is drawn.
    part = _bounds(kept[small] < 255, rgb.shape[:2])
    levels = _enlarged(small, rgb.shape[:2])[part]
    for first in range(0, len(levels), _BAND):
        rows = slice(first, first + _BAND)
        band = levels[rows]
        # Colour and opacity depend on the level alone, so both are looked up.
        shares = cv2.cvtColor(cv2.LUT(band, kept), cv2.COLOR_GRAY2RGB)
        cv2.multiply(rgb[part][rows], shares, dst=shares, scale=1 / 255)
        cv2.add(shares, cv2.applyColorMap(band, added), dst=result[part][rows])
    return result


def blend_yuv(picture: Yuv420, saliency_map: Map, *, colormap: Colormap, alpha: float) -> Yuv420:
    """Return a picture in luma and chroma with a saliency map laid over it; see `blend`.

    Parameters
    ----------
    picture : Yuv420
        It is not changed.
    saliency_map : (h, w) floating-point array
        Saliency, 0..1. It is resized to the picture.
    colormap : str
    alpha : float
        Opacity of the most salient regions, 0..1.

    Returns
    -------
    Yuv420
    """
    kept, small = _kept_table(alpha), _levels(saliency_map)
    result, is_warm, small_shares = picture.copy(), kept[small] < 255, cv2.LUT(small, kept)
    planes = zip(picture.planes, result.planes, _yuv_tables(colormap, alpha), strict=True)
    for under, drawn, added in planes:
        part = _bounds(is_warm, under.shape)
        # Looked up before they are enlarged, which takes a quarter less time than after it. On
        # frames of a clip 99.9 % of the values differ by at most one level from that.
        shares = _enlarged(small_shares, under.shape)[part]
        colour = _enlarged(cv2.LUT(small, added), under.shape)[part]
        cv2.multiply(under[part], shares, dst=shares, scale=1 / 255)
        cv2.add(shares, colour, dst=drawn[part])
    return result


def _bounds(mask: NDArray[np.bool_], size: tuple[int, ...]) -> tuple[slice, slice]:
    """Return the rows and columns of a larger picture that interpolation of a mask can reach."""
    spans = []
    for axis, side in enumerate(size):
        found = np.flatnonzero(mask.any(axis=1 - axis))
        if not len(found):
            return slice(0), slice(0)
        factor = side / mask.shape[axis]
        first, last = int((found[0] - 1) * factor), int(np.ceil((found[-1] + 2) * factor))
        spans.append(slice(max(0, first), min(side, last)))
    return spans[0], spans[1]


def signed_over(rgb: Rgb, values: Map) -> Rgb:
    """Return a dark grey picture with a signed map laid over it; 0 stays grey.

    Above 0 the map is orange, below 0 blue. The opacity of a pixel is the magnitude of its value.

    Parameters
    ----------
    rgb : (H, W, 3) uint8 array
        It is not changed.
    values : (h, w) float32 array
        In [-1, 1]. It is resized to the picture.

    Returns
    -------
    (H, W, 3) uint8 array
    """
    added, kept = _signed_tables()
    # 0 is a level of its own: where two maps are equal, no colour is added.
    small = np.rint(127 + 127 * np.clip(values, -1, 1)).astype(np.uint8)
    levels = _enlarged(small, rgb.shape[:2])
    dim = cv2.convertScaleAbs(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), alpha=_UNDER_SIGNED)
    under = cv2.multiply(dim, cv2.LUT(levels, kept), scale=1 / 255)
    coloured = cv2.applyColorMap(levels, added)
    return np.asarray(cv2.add(coloured, cv2.cvtColor(under, cv2.COLOR_GRAY2RGB)), np.uint8)


def signed_colours() -> Rgb:
    """Return the colours of a signed map on a grey of medium lightness.

    Returns
    -------
    (255, 3) uint8 array
        RGB, the colour of -1 first, that of 0 in the middle.
    """
    added, kept = _signed_tables()
    under = np.rint(_UNDER_SIGNED * 128 * kept[:255, None] / 255).astype(np.uint8)
    return np.asarray(added[:255, 0] + under, np.uint8)


@lru_cache
def _signed_tables() -> tuple[Rgb, Rgb]:
    """Return what each level of a signed map adds to a picture, and the share of 255 it keeps.

    (256, 1, 3) and (256,) uint8. Level 127 is 0; level 255 is not used.
    """
    value = np.minimum((np.arange(256) - 127) / 127, 1)
    opacity = np.abs(value)
    ends = np.where(value[:, None] < 0, _NEGATIVE, _POSITIVE)
    added, kept = np.rint(ends * opacity[:, None]), np.rint(255 * (1 - opacity))
    return added[:, None, :].astype(np.uint8), kept.astype(np.uint8)


@lru_cache
def _kept_table(alpha: float) -> Rgb:
    """Return the share of 255 of a picture that each of 256 levels keeps, (256,) uint8."""
    level = np.arange(256) / 255
    # Smoothstep is flat at both ends: low saliency everywhere does not veil the picture.
    opacity = alpha * level**2 * (3 - 2 * level)
    return np.rint(255 * (1 - opacity)).astype(np.uint8)


def _added_colours(colormap: Colormap, alpha: float) -> NDArray[np.float64]:
    """Return what each of 256 levels adds to a picture, (256, 3) float64 RGB."""
    return np.asarray(colours(colormap) * (1 - _kept_table(alpha)[:, None] / 255))


@lru_cache
def _added_table(colormap: Colormap, alpha: float) -> Rgb:
    """Return the same rounded, (256, 1, 3) uint8."""
    return np.rint(_added_colours(colormap, alpha))[:, None, :].astype(np.uint8)


@lru_cache
def _yuv_tables(colormap: Colormap, alpha: float) -> tuple[Rgb, ...]:
    """Return what each of 256 levels adds to luma and both chromas, three (256,) uint8."""
    kept = _kept_table(alpha)[:, None] / 255
    table = added_levels(_added_colours(colormap, alpha), kept)
    return tuple(np.ascontiguousarray(column) for column in table.T)


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
    return np.asarray(cv2.applyColorMap(_enlarged(_levels(saliency_map), size), table), np.uint8)


def part_picture(
    rgb: Rgb, saliency_map: Map | None, *, view: View, colormap: Colormap, alpha: float
) -> Rgb:
    """Return the overlay of the static or the motion map; without a map, the dimmed picture.

    Parameters
    ----------
    rgb : (H, W, 3) uint8 array
    saliency_map : (h, w) float32 array or None
        Saliency, 0..1.
    view, colormap, alpha
        See `laid_over`.

    Returns
    -------
    (H, W, 3) uint8 array
    """
    if saliency_map is None:
        return rgb // 3
    return laid_over(rgb, saliency_map, view=view, colormap=colormap, alpha=alpha)


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


def _levels(saliency_map: Map) -> Rgb:
    """Return a map in 256 levels, (h, w) uint8."""
    return np.asarray(cv2.convertScaleAbs(saliency_map, alpha=255), np.uint8)


def _enlarged(levels: Any, size: tuple[int, ...]) -> Rgb:
    """Return the levels of a map at a (height, width), (H, W) uint8."""
    # Levels first, then size: resizing floats takes as long as all other steps together.
    large = cv2.resize(levels, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large, np.uint8)
