"""A camera that needs no hardware."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from vidsal.settings import Settings
from vidsal.sources.capture import CameraCapture
from vidsal.sources.live import LiveSource


class FakeVideoCapture:
    """Looks like cv2.VideoCapture: `count` pictures in one BGR colour."""

    def __init__(
        self,
        count: int,
        *,
        fps: float = 20.0,
        size: tuple[int, int] = (30, 40),
        bgr: tuple[int, int, int] = (0, 0, 200),
    ) -> None:
        self.released = False
        self.reads = 0
        self._count, self._fps, self._size, self._bgr = count, fps, size, bgr

    def isOpened(self) -> bool:
        return self._count > 0

    def read(self) -> tuple[bool, Any]:
        self.reads += 1
        if self.reads > self._count:
            return False, None
        return True, np.full((*self._size, 3), self._bgr, np.uint8)

    def get(self, _: int) -> float:
        return self._fps

    def set(self, *_: Any) -> bool:
        return False

    def release(self) -> None:
        self.released = True


def camera_source(
    capture: FakeVideoCapture, *, times_s: Iterator[float] | None = None, **options: Any
) -> LiveSource:
    """A live source of camera 0; `times_s` is the clock, by default 0.05 s per picture."""
    # The clock is read once before the first picture.
    times_s = itertools.chain([0.0], times_s or itertools.count(100.0, 0.05))
    return LiveSource(
        "0",
        Settings(**options),
        open_capture=lambda name: CameraCapture(name.address, open_capture=lambda _: capture),
        clock=lambda: float(next(times_s)),
    )
