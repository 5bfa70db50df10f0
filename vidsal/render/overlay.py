"""A map in colours, alone or over its picture. Arrays in, arrays out."""

from functools import lru_cache

import numpy as np

from vidsal.render.style import Style
from vidsal.runtime.opencv import cv2
from vidsal.settings import Colormap
from vidsal.types import Map, Rgb


def even(picture: Rgb) -> Rgb:
    """Return the picture with even sides, padded by its own border, never rescaled."""
    height, width = picture.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return picture
    return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


@lru_cache
def colours(name: Colormap) -> Rgb:
    """Return the 256 colours of a map, (256, 3) uint8 RGB, lowest first."""
    ramp = np.arange(256, dtype=np.uint8)[:, None]
    if name == "grey":
        table = np.repeat(ramp, 3, axis=1)
    else:
        bgr = cv2.applyColorMap(ramp, getattr(cv2, f"COLORMAP_{name.upper()}"))
        table = np.ascontiguousarray(np.asarray(bgr, np.uint8)[:, 0, ::-1])
    table.setflags(write=False)  # Everybody gets the same one.
    return table


def map_picture(rgb: Rgb, saliency: Map, style: Style) -> Rgb:
    """Return a map in colours, at the size of the picture."""
    table = np.ascontiguousarray(colours(style.colormap)[:, None, :])
    return np.asarray(cv2.applyColorMap(_levels(saliency, rgb), table), np.uint8)


def overlay(rgb: Rgb, saliency: Map, style: Style) -> Rgb:
    """Lay a map over the picture; its opacity follows saliency, so cold regions stay clear."""
    levels = _levels(saliency, rgb)
    # What is laid over depends on the level alone, so it and what it keeps are looked up.
    added, kept = _laid_over(style.colormap, style.alpha)
    result = cv2.cvtColor(cv2.LUT(levels, kept), cv2.COLOR_GRAY2RGB)
    # In place: to get memory for a whole picture takes longer than to fill it.
    cv2.multiply(rgb, result, dst=result, scale=1 / 255)
    cv2.add(result, cv2.applyColorMap(levels, added), dst=result)
    return np.asarray(result, np.uint8)


@lru_cache
def _laid_over(colormap: Colormap, alpha: float) -> tuple[Rgb, Rgb]:
    """Return what each of 256 levels adds to a picture, and how much of it it keeps, of 255.

    (256, 1, 3) and (256, 1) uint8.
    """
    level = np.arange(256)[:, None] / 255
    # Smoothstep: flat at both ends, so that a faint everywhere is not a veil over the picture.
    opacity = alpha * level**2 * (3 - 2 * level)
    kept = np.rint(255 * (1 - opacity))
    added = np.rint(colours(colormap) * (1 - kept / 255))
    return added[:, None, :].astype(np.uint8), kept.astype(np.uint8)


def part_picture(rgb: Rgb, saliency: Map | None, style: Style) -> Rgb:
    """Return the overlay of one half; the dimmed picture where that half does not exist."""
    return rgb // 3 if saliency is None else overlay(rgb, saliency, style)


def _levels(saliency: Map, rgb: Rgb) -> Rgb:
    """Return a map in 256 levels at the size of a picture, (H, W) uint8."""
    height, width = rgb.shape[:2]
    # First to levels, then to size: a whole picture of floats takes as long as all the rest.
    small = cv2.convertScaleAbs(saliency, alpha=255)
    large = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large, np.uint8)
