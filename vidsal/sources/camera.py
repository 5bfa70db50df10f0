"""A camera, by its number."""

import logging
import math
import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, Self

import numpy as np

from vidsal.errors import VidsalError
from vidsal.frames import Findings, Frame, SourceInfo
from vidsal.media import snapped
from vidsal.opencv import cv2
from vidsal.settings import Settings

log = logging.getLogger(__name__)

# What drivers claim beyond this is not a camera's rate.
_FASTEST_FPS = 240
_USUAL_FPS = Fraction(30)


class CameraSource:
    """Frames as a camera delivers them, stamped when they arrive.

    Parameters
    ----------
    number : int
        0 is the first camera.
    settings : Settings
        ``duration`` ends the recording.
    open_capture : callable
        Number to an object with OpenCV's ``VideoCapture`` interface.
    clock : callable
        Seconds that never run backwards.

    Raises
    ------
    VidsalError
        If there is no such camera, or it delivers nothing.
    """

    def __init__(
        self,
        number: int,
        settings: Settings,
        *,
        open_capture: Callable[[int], Any] = cv2.VideoCapture,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._every = settings.every
        self._duration_s = settings.duration if settings.duration is not None else math.inf
        self._stopped = False
        self._number = number
        self._capture = open_capture(number)
        _, first = self._capture.read() if self._capture.isOpened() else (False, None)
        if first is None:
            self._capture.release()
            raise VidsalError(
                f"camera {number} cannot be used: none is connected, another program has it, or "
                f"{permission_hint()}; `vidsal doctor` lists the cameras that answer"
            )
        height, width = first.shape[:2]
        claimed = self._capture.get(cv2.CAP_PROP_FPS)
        fps = snapped(claimed) if 1 <= claimed <= _FASTEST_FPS else _USUAL_FPS
        self.info = SourceInfo(
            f"camera {number}", height, width, fps / self._every, is_live=True,
            frame_count_hint=(
                round(self._duration_s * fps / self._every)
                if math.isfinite(self._duration_s)
                else None
            ),
        )  # fmt: skip

    def frames(self) -> Iterator[Frame]:
        start_s: float | None = None
        index = 0
        while not self._stopped:
            ok, bgr = self._capture.read()
            now_s = self._clock()
            # Time runs from the first frame on, however long the camera took to deliver it.
            start_s = now_s if start_s is None else start_s
            time_s = now_s - start_s
            if not ok:
                # A pulled cable ends the recording; what was recorded is kept.
                log.warning("camera %d stopped delivering after %.1f s", self._number, time_s)
                return
            if time_s >= self._duration_s:
                return
            if index % self._every == 0:
                rgb = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
                yield Frame(rgb, index, time_s)
            index += 1

    def stop(self) -> None:
        self._stopped = True

    def findings(self) -> Findings:
        return Findings()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._capture.release()


def permission_hint() -> str:
    """Return what keeps a program from a camera on this system, and the way out."""
    if sys.platform == "darwin":
        return "the terminal lacks the camera permission (System Settings, Privacy)"
    if sys.platform == "win32":
        return "desktop apps lack the camera permission (Settings, Privacy)"
    return "you are not in the group that may use it (sudo usermod -aG video $USER)"
