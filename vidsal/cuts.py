"""Scene cuts, from a cheap test on colour histograms. Pure maths."""

import numpy as np

from vidsal.frames import Map, Rgb
from vidsal.opencv import cv2

_BINS = 8
# Share of the picture that must change colour for a new scene to begin; motion within a scene
# stays well below, see the tests.
_CHANGED = 0.35


def histogram(rgb: Rgb) -> Map:
    """Return the joint colour histogram of a small picture, (8, 8, 8) float32, of sum 1."""
    counts = cv2.calcHist([rgb], [0, 1, 2], None, [_BINS] * 3, [0, 256] * 3)
    return np.asarray(counts, np.float32) / np.float32(rgb.shape[0] * rgb.shape[1])


def changed_share(before: Map, after: Map) -> float:
    """Return the share of the picture whose colour has changed, 0..1: half the L1 distance."""
    return float(np.abs(before - after).sum()) / 2


def is_cut(before: Map | None, after: Map) -> bool:
    """Say whether a new scene begins between two histograms; nothing before is not a cut."""
    return before is not None and changed_share(before, after) > _CHANGED
