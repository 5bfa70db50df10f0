"""Scene cuts, found by comparing colour histograms, and state that is kept per scene.

Pure maths.
"""

from collections.abc import Callable, Sequence
from typing import Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from vidsal.runtime.opencv import cv2
from vidsal.types import Map, Rgb

# Width and number of the bins of a colour channel; both histograms extend beyond 255.
_BIN, _BINS = 32, 9
# A scene begins when more than this share of the picture changes colour. Motion within a scene
# stays well below, see the tests.
_CHANGED = 0.35
# A flash lasts at most this long; a longer one is a scene.
_FLASH_S = 0.5

SceneEvent = Literal["first", "same", "flash", "return", "rejoin", "cut", "recut"]
# The events with which a new scene begins and another one ends.
CUTS: tuple[SceneEvent, ...] = ("cut", "recut")
T = TypeVar("T")


def histogram(rgb: Rgb) -> Map:
    """Return two joint colour histograms of a small picture.

    The bins of the second histogram are shifted by half a bin. An even area that slowly brightens
    then crosses from bin to bin in one of the two at a time.

    Parameters
    ----------
    rgb : (h, w, 3) uint8 array

    Returns
    -------
    (2, 9, 9, 9) float32 array
        Each histogram has the sum 1.
    """
    counts = [
        cv2.calcHist([rgb], [0, 1, 2], None, [_BINS] * 3, [low, low + _BIN * _BINS] * 3)
        for low in (0, -_BIN // 2)
    ]
    return np.asarray(counts, np.float32) / np.float32(rgb.shape[0] * rgb.shape[1])


def changed_share(before: Map, after: Map) -> float:
    """Return the share of the picture that changed colour in both histograms.

    It is half the L1 distance, the smaller one of the two pairs.

    Parameters
    ----------
    before, after : (2, 9, 9, 9) float32 array
        From `histogram`.

    Returns
    -------
    float
        0..1.
    """
    return float(np.abs(before - after).sum(axis=(1, 2, 3)).min()) / 2


def has_changed(before: Map, after: Map) -> bool:
    """Return whether two histograms belong to different scenes.

    Parameters
    ----------
    before, after : (2, 9, 9, 9) float32 array
        From `histogram`.
    """
    return changed_share(before, after) > _CHANGED


class SceneDetector:
    """Tells cuts from flashes, along a stream of histograms.

    A single-frame flash is recognised by the frame after it, which looks like the frame before it.
    A longer flash begins a scene; when the previous scene comes back within 0.5 s, no further scene
    begins.
    """

    def __init__(self) -> None:
        self._current: Map | None = None
        # The scene that a cut ended, and the one that a recut ended; each with its end in seconds.
        self._before_cut: tuple[Map, float] | None = None
        self._before_recut: tuple[Map, float] | None = None

    def event(self, now: Map, following: Map | None, time_s: float) -> SceneEvent:
        """Return the place of the next frame in its scene.

        Parameters
        ----------
        now : (2, 9, 9, 9) float32 array
            From `histogram`.
        following : (2, 9, 9, 9) float32 array or None
            Histogram of the frame after it; ``None`` at the end, or where it is not available.
        time_s : float
            Time of the frame in seconds.

        Returns
        -------
        {"first", "same", "flash", "return", "rejoin", "cut", "recut"}
            "first" begins the stream, "same" continues a scene, "flash" is a single-frame flash.
            "cut" begins a scene. "recut" also begins one, but so soon after a "cut" that both may
            be parts of a flash. After a longer flash, "return" continues the scene before the
            "cut", and "rejoin" the scene before the last "recut".
        """
        before = self._current
        if before is None or not has_changed(before, now):
            self._current = now
            return "same" if before is not None else "first"
        if following is not None and not has_changed(before, following):
            return "flash"
        self._current = now
        before_cut = _recent(self._before_cut, time_s)
        before_recut = _recent(self._before_recut, time_s)
        if before_cut is not None and not has_changed(before_cut, now):
            self._before_cut = self._before_recut = None
            return "return"
        if before_recut is not None and not has_changed(before_recut, now):
            self._before_recut = None
            return "rejoin"
        if before_cut is not None:
            # A flash that fades shows several pictures. The scene before it may still come back.
            self._before_recut = before, time_s
            return "recut"
        self._before_cut, self._before_recut = (before, time_s), None
        return "cut"


def _recent(scene: tuple[Map, float] | None, time_s: float) -> Map | None:
    """Return the histogram of a scene that ended at most 0.5 s ago, else None."""
    return scene[0] if scene and time_s - scene[1] <= _FLASH_S else None


class PerScene(Generic[T]):
    """A state that starts anew with each scene; after a flash, the state before it comes back.

    Attributes
    ----------
    now : T or None
        The state of the current scene; the caller replaces it after each frame. ``None`` before
        the first scene.
    """

    def __init__(self) -> None:
        self.now: T | None = None
        self._before_cut: T | None = None
        self._before_recut: T | None = None

    def at(self, event: SceneEvent, new: Callable[[], T]) -> T:
        """Return the state from which the next frame continues.

        Parameters
        ----------
        event : str
            The place of the frame in its scene, see `SceneDetector.event`.
        new : callable
            Returns the state that a scene begins with.
        """
        if event == "cut":
            self._before_cut = self.now
        elif event == "recut":
            self._before_recut = self.now
        elif event == "return":
            self.now = self._before_cut
        elif event == "rejoin":
            self.now = self._before_recut
        if event in ("first", "cut", "recut") or self.now is None:
            self.now = new()
        return self.now


def scene_numbers(events: Sequence[str]) -> NDArray[np.int64]:
    """Return the scene of each frame, once all events are known.

    A flash belongs to the scene that it interrupts, also a longer one, which began a scene until
    the previous one came back.

    Parameters
    ----------
    events : sequence of str
        Places of consecutive frames in their scenes, see `SceneDetector.event`.

    Returns
    -------
    (n,) int64 array
        From 0; each scene is a run of frames. What people read counts from 1.
    """
    starts: list[int] = []
    # Numbers of starts before the last cut, and before the last recut.
    before_cut = before_recut = 1
    for n, event in enumerate(events):
        if event == "cut":
            before_cut = len(starts)
        elif event == "recut":
            before_recut = len(starts)
        elif event == "return":
            del starts[before_cut:]
        elif event == "rejoin":
            del starts[before_recut:]
        if event in ("first", "cut", "recut") or not starts:
            starts.append(n)
    begins = np.zeros(len(events), np.int64)
    begins[starts[1:]] = 1
    return np.cumsum(begins, dtype=np.int64)
