"""Scene cuts, from a cheap test on colour histograms, and state that each scene has of its own.

Pure maths.
"""

from collections.abc import Callable
from typing import Generic, Literal, TypeVar

import numpy as np

from vidsal.runtime.opencv import cv2
from vidsal.types import Map, Rgb

# A colour falls into bins this wide; both grids of them end beyond 255.
_BIN, _BINS = 32, 9
# Share of the picture that must change colour for a new scene to begin; motion within a scene
# stays well below, see the tests.
_CHANGED = 0.35
# A flash is over after this long; what stays longer is a scene.
_FLASH_S = 0.5

SceneEvent = Literal["first", "same", "flash", "return", "rejoin", "cut", "recut"]
T = TypeVar("T")


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


def has_changed(before: Map, after: Map) -> bool:
    """Say whether two histograms are of different scenes."""
    return changed_share(before, after) > _CHANGED


class SceneDetector:
    """Tells a new scene from a flash, along a stream of histograms.

    A flash of one frame is known by the frame after it, which looks as before. A longer one
    begins a scene, but its end, when what was before comes back soon, does not begin another.
    """

    def __init__(self) -> None:
        self._settled: Map | None = None
        # What a cut ended, and what was cut short soon after that; each with when it ended.
        self._left: tuple[Map, float] | None = None
        self._short: tuple[Map, float] | None = None

    def event(self, now: Map, following: Map | None, time_s: float) -> SceneEvent:
        """Say what the frame with the histogram `now` is in the course of things.

        Parameters
        ----------
        now : array
            From `histogram`.
        following : array or None
            That of the next frame; ``None`` at the end.
        time_s : float
            Seconds.

        Returns
        -------
        {"first", "same", "flash", "return", "rejoin", "cut", "recut"}
            "flash" for a frame between two of one scene; "recut" for a scene that begins so soon
            after another that both may be parts of a flash. After a longer flash "return" to what
            was there before the "cut", or "rejoin" to what was there before the last "recut".
        """
        before = self._settled
        if before is None or not has_changed(before, now):
            self._settled = now
            return "same" if before is not None else "first"
        if following is not None and not has_changed(before, following):
            return "flash"
        self._settled = now
        left, short = _recent(self._left, time_s), _recent(self._short, time_s)
        if left is not None and not has_changed(left, now):
            self._left = self._short = None
            return "return"
        if short is not None and not has_changed(short, now):
            self._short = None
            return "rejoin"
        if left is not None:
            # A flash that fades passes through several pictures; what may come back stays.
            self._short = before, time_s
            return "recut"
        self._left, self._short = (before, time_s), None
        return "cut"


def _recent(scene: tuple[Map, float] | None, time_s: float) -> Map | None:
    """Return what a scene looked like that a flash may have ended, None if it is too long ago."""
    return scene[0] if scene and time_s - scene[1] <= _FLASH_S else None


class PerScene(Generic[T]):
    """A state of which each scene has its own; that of a scene before a flash comes back with it.

    Attributes
    ----------
    now : T or None
        The state of the scene that runs; to be replaced as it goes on. ``None`` before the first.
    """

    def __init__(self) -> None:
        self.now: T | None = None
        self._left: T | None = None
        self._short: T | None = None

    def at(self, event: SceneEvent, new: Callable[[], T]) -> T:
        """Return the state that the next frame finds; where a scene begins, a `new` one."""
        if event == "cut":
            self._left = self.now
        elif event == "recut":
            self._short = self.now
        elif event == "return":
            self.now = self._left
        elif event == "rejoin":
            self.now = self._short
        if event in ("first", "cut", "recut") or self.now is None:
            self.now = new()
        return self.now
