"""Scene cuts, from a cheap test on colour histograms. Pure maths."""

import numpy as np

from vidsal.frames import Map, Rgb
from vidsal.opencv import cv2

# A colour falls into bins this wide; both grids of them end beyond 255.
_BIN, _BINS = 32, 9
# Share of the picture that must change colour for a new scene to begin; motion within a scene
# stays well below, see the tests.
_CHANGED = 0.35


def histogram(rgb: Rgb) -> Map:
    """Return two joint colour histograms of a small picture, (2, 9, 9, 9) float32, each of sum 1.

    The bins of the second lie half a bin beside those of the first: an even ground that slowly
    brightens crosses from bin to bin in one of them at a time.
    """
    counts = [
        cv2.calcHist([rgb], [0, 1, 2], None, [_BINS] * 3, [low, low + _BIN * _BINS] * 3)
        for low in (0, -_BIN // 2)
    ]
    return np.asarray(counts, np.float32) / np.float32(rgb.shape[0] * rgb.shape[1])


def changed_share(before: Map, after: Map) -> float:
    """Return the share of the picture whose colour has changed in both histograms, 0..1.

    Half the L1 distance, the lesser of the two.
    """
    return float(np.abs(before - after).sum(axis=(1, 2, 3)).min()) / 2


def is_cut(before: Map | None, after: Map) -> bool:
    """Say whether a new scene begins between two histograms; nothing before is not a cut."""
    return before is not None and changed_share(before, after) > _CHANGED
