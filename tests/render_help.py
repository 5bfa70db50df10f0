"""Helpers for tests of drawing: synthetic pictures, maps and saliency, and their changes."""

from __future__ import annotations

from typing import get_args

import numpy as np
from numpy.typing import NDArray

from vidsal.motion.compensated import still
from vidsal.render.style import Style
from vidsal.saliency.regions import peak
from vidsal.settings import Colormap, Layout
from vidsal.types import Frame, Map, Prediction, Rgb, Saliency

LAYOUTS, COLORMAPS = get_args(Layout), get_args(Colormap)
BARE = Style(annotate=False)
GREY = 90


def noise(size: tuple[int, int], seed: int = 0) -> Rgb:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def ground(size: tuple[int, int]) -> Rgb:
    return np.full((*size, 3), GREY, np.uint8)


def random_map(size: tuple[int, int], seed: int) -> Map:
    return np.random.default_rng(seed).random(size).astype(np.float32)


def spot(size: tuple[int, int], row: int, column: int) -> Map:
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
    values: Map = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 8).astype(np.float32)
    return values


def seen_as(name: str, probability: float = 0.37, *, model_name: str | None = None) -> Prediction:
    return Prediction((1,), (name,), (probability,), 1, name, probability, model_name)


def saliency_of(
    rgb: Rgb,
    fused: Map,
    *,
    static: Map | None = None,
    motion: Map | None = None,
    name: str | None = None,
    model_name: str | None = None,
    time_s: float = 0.0,
    has_time: bool = True,
) -> Saliency:
    return Saliency(
        frame=Frame(rgb, 0, time_s, has_time),
        static=static,
        motion=np.zeros_like(fused) if motion is None else motion,
        fused=fused,
        movement=still((fused.shape[0], fused.shape[1])),
        speed=np.zeros_like(fused),
        prediction=None if name is None else seen_as(name, model_name=model_name),
        is_cut=False,
        motion_share=0.0,
        static_high=1.0,
        motion_high=1.0,
        fused_high=1.0,
        peak=peak(fused),
        marker=peak(fused),
    )


def changed(one: Rgb, other: Rgb) -> NDArray[np.bool_]:
    return np.asarray((one != other).any(axis=2))


def text_px(size: tuple[int, int]) -> int:
    return max(12, round(min(size) / 26))
