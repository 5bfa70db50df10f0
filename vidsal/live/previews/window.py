"""A preview in a desktop window."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from vidsal.live.preview import KEYS, Button
from vidsal.live.statistics import LiveStats
from vidsal.runtime.opencv import cv2
from vidsal.types import Rgb

_TITLE = "vidsal live"
# A desktop that takes longer than this for an empty window is too slow for video.
_TIMEOUT_S = 20.0
_TRIAL = "import cv2; cv2.namedWindow('vidsal'); cv2.waitKey(1); cv2.destroyAllWindows()"


def has_window() -> bool:
    """Return whether a window can be opened.

    Another process tries it: without a display, OpenCV's Qt aborts the process that opens its
    first window, and a headless OpenCV has no windows at all.
    """
    if sys.platform == "linux" and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return False
    with suppress(OSError, subprocess.TimeoutExpired):
        trial = subprocess.run(
            [sys.executable, "-c", _TRIAL], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, timeout=_TIMEOUT_S, check=False,
        )  # fmt: skip
        return trial.returncode == 0
    return False


class WindowPreview:
    """Displays pictures in a window and reads its keys, both in the main thread."""

    draws_stats = True

    def __init__(self) -> None:
        self._is_open = False
        self._size = (0, 0)

    def show(self, picture: Rgb, stats: LiveStats) -> None:
        """Display a picture; the statistics are drawn on it already.

        Parameters
        ----------
        picture : (H, W, 3) uint8 array
            RGB.
        stats : LiveStats
        """
        height, width = picture.shape[:2]
        if not self._is_open:
            cv2.namedWindow(
                _TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL
            )
            self._is_open = True
        if self._size != (height, width):
            # A new layout. Otherwise the window keeps the size that the user gave it.
            cv2.resizeWindow(_TITLE, width, height)
            self._size = (height, width)
        cv2.imshow(_TITLE, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))

    def pressed(self) -> list[Button]:
        """Return the button of the last key; a closed window counts as "quit"."""
        if not self._is_open:
            return []
        key = cv2.waitKey(1)
        try:
            is_open = cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) >= 1
        except cv2.error:
            # Qt shuts down with its last window.
            is_open = False
        if not is_open:
            return ["quit"]
        button = KEYS.get(chr(key & 0xFF).lower()) if key >= 0 else None
        return [button] if button else []


@contextmanager
def open_window() -> Iterator[WindowPreview]:
    """Lend a window, which opens with the first picture.

    Yields
    ------
    WindowPreview
    """
    try:
        yield WindowPreview()
    finally:
        with suppress(cv2.error):
            cv2.destroyAllWindows()
