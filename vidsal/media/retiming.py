"""Resample frames from uneven times to a constant rate: repeat or drop them, never move them."""

import math
from fractions import Fraction
from typing import Generic, TypeVar

T = TypeVar("T")
# Times are rounded quotients. Differences below this many seconds are rounding errors.
ROUNDING_S = 1e-6
# A frame that is early by less than a thousandth of a step is on time.
_ROUNDING_STEPS = 1e-3
# A frame that is earlier than this share of a step is not just rounded.
_EARLY_STEPS = 0.3


def step_at(time_s: float, fps: Fraction | float) -> int:
    """Return the step of a constant rate that is nearest to a time; halves round up.

    Parameters
    ----------
    time_s : float
        Seconds after step 0.
    fps : Fraction or float
        Steps per second.
    """
    return math.floor(time_s * float(fps) + 0.5 + _ROUNDING_STEPS)


def is_shown(previous_step: int, begin: float, end: float) -> bool:
    """Return whether a frame is shown: it is the nearest to its step, or lasts into a later one.

    Parameters
    ----------
    previous_step : int
        Step of the last shown frame before this one.
    begin, end : float
        When this frame and the next one begin, in steps.
    """
    step, next_step = step_at(begin, 1), step_at(end, 1)
    if next_step > step + 1:
        return True
    is_nearest = next_step > step or abs(end - step) >= abs(begin - step)
    return previous_step < step and is_nearest


class Timeline(Generic[T]):
    """Decides how often each frame is shown, so that output frame n is what is seen at n/fps.

    If frames begin within half a step of n/fps, the nearest one is shown. Otherwise the last frame
    is repeated. Rounded times (milliseconds in MKV and FLV, hundredths in GIF) therefore change
    nothing at a constant rate, however long the video is, and no frame is more than half a step
    away from its time.

    Parameters
    ----------
    fps : Fraction
        Rate of the output.

    Attributes
    ----------
    count : int
        Output frames so far.
    received : int
        Input frames so far.
    """

    def __init__(self, fps: Fraction) -> None:
        self._fps = float(fps)
        self._begin_s: float | None = None
        # The step that is being filled, the frame that it will show, and that frame's distance
        # from the step's time.
        self._step = 0
        self._chosen: T | None = None
        self._distance = math.inf
        # The last input frame and its time in steps. Later steps show it until the next one comes.
        self._last: T | None = None
        self._position = 0.0
        self.count = 0
        self.received = 0

    def add(self, time_s: float, frame: T) -> list[tuple[T, int]]:
        """Add the next frame; return earlier frames that are now decided.

        Parameters
        ----------
        time_s : float
            When the frame is first seen. Only differences from the first frame's time count. A
            time that runs backwards counts as equal to the previous one.
        frame : T

        Returns
        -------
        list of (T, int)
            Frames, and how often each is shown.
        """
        if self._begin_s is None:
            self._begin_s = time_s
        self.received += 1
        position = (time_s - self._begin_s) * self._fps
        step = max(step_at(time_s - self._begin_s, self._fps), self._step)
        done = self._shown(step) if step > self._step else []
        if done:
            self._step, self._distance = step, math.inf
        if abs(position - step) < self._distance:
            self._chosen, self._distance = frame, abs(position - step)
        self._last, self._position = frame, position
        return done

    def end(self, duration_s: float | None = None) -> list[tuple[T, int]]:
        """Return the remaining frames.

        Parameters
        ----------
        duration_s : float, optional
            Duration of all frames together, from the first one's time. The last frame is shown
            until then. A frame that came in time for its step is shown at any duration, since
            the last duration in a file may be 0.

        Returns
        -------
        list of (T, int)
            Frames, and how often each is shown.
        """
        if not self.received:
            return []
        steps = 0 if duration_s is None else round(duration_s * self._fps)
        if 0 < steps == self._step and self._position < self._step - _EARLY_STEPS:
            # The last frame began before its step and ends when the step begins.
            return []
        return self._shown(max(steps, self._step + 1))

    def _shown(self, until: int) -> list[tuple[T, int]]:
        """Return what the steps from the current one to `until`, exclusive, show."""
        assert self._chosen is not None and self._last is not None
        self.count = until
        repeats = until - self._step - 1
        return [(self._chosen, 1), *([(self._last, repeats)] if repeats else [])]
