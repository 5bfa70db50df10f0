"""Frames at uneven times become frames at an even rate: repeated or left out, never moved."""

import math
from fractions import Fraction
from typing import Generic, TypeVar

T = TypeVar("T")
# Times are quotients, rounded: so many seconds are none.
ROUNDING_S = 1e-6
# Times are rounded quotients; what is due to a thousandth of a step is due.
_DUE = 1e-3


def step_at(time_s: float, fps: Fraction | float) -> int:
    """Return the step of an even rate that is nearest to a time; halves go up, always.

    Parameters
    ----------
    time_s : float
        Seconds after step 0.
    fps : Fraction or float
    """
    return math.floor(time_s * float(fps) + 0.5 + _DUE)


def is_seen(before: int, place: float, after: float) -> bool:
    """Say whether a frame is seen: as the nearest to its step, or since it stands in a later one.

    Parameters
    ----------
    before : int
        Step of the last frame before it that is seen.
    place, after : float
        When it and the frame after it begin, in steps.
    """
    step, next_step = step_at(place, 1), step_at(after, 1)
    if next_step > step + 1:
        return True
    is_nearest = next_step > step or abs(after - step) >= abs(place - step)
    return before < step and is_nearest


# Of a step: a frame earlier than this before its step's time is not just rounded.
_EARLY = 0.3


class Timeline(Generic[T]):
    """Says how often each frame is shown so that frame n of the result is what is seen at n/fps.

    Of the frames that begin within half a step of n/fps, the nearest one is shown; where none
    does, the last one stays. So times that are rounded, to the milliseconds of MKV and FLV or the
    hundredths of GIF, change nothing at a constant rate, however long, and nothing is ever more
    than half a step away from its time.

    Parameters
    ----------
    fps : Fraction
        Rate of the result.

    Attributes
    ----------
    count : int
        Frames handed back so far.
    came : int
        Frames taken so far.
    """

    def __init__(self, fps: Fraction) -> None:
        self._fps = float(fps)
        self._begin_s: float | None = None
        # The step that is being filled, what it will show, how far that is from the step's time,
        # and the last frame that came, which later steps show until there is another.
        self._step = 0
        self._off = math.inf
        self._place = 0.0
        self._chosen: T | None = None
        self._last: T | None = None
        self.count = 0
        self.came = 0

    def add(self, time_s: float, frame: T) -> list[tuple[T, int]]:
        """Take the next frame; return earlier ones, and how often each is now to be shown.

        Parameters
        ----------
        time_s : float
            When the frame is first seen; only differences from the first frame's count. A time
            that runs backwards counts as one that stands still.
        frame : T
        """
        if self._begin_s is None:
            self._begin_s = time_s
        self.came += 1
        place = (time_s - self._begin_s) * self._fps
        step = max(step_at(time_s - self._begin_s, self._fps), self._step)
        done = self._shown(step) if step > self._step else []
        if done:
            self._step, self._off = step, math.inf
        if abs(place - step) < self._off:
            self._chosen, self._off = frame, abs(place - step)
        self._last, self._place = frame, place
        return done

    def end(self, duration_s: float | None = None) -> list[tuple[T, int]]:
        """Return the last frames, and how often each is to be shown.

        Parameters
        ----------
        duration_s : float, optional
            How long all frames are seen, counted from the first one's time; the last frame stays
            until then. A frame that came in its step's time is shown, whatever this says: the
            last length in a file may be 0.
        """
        if not self.came:
            return []
        steps = 0 if duration_s is None else round(duration_s * self._fps)
        if 0 < steps == self._step and self._place < self._step - _EARLY:
            # It began before the step, and is over when that comes.
            return []
        return self._shown(max(steps, self._step + 1))

    def _shown(self, until: int) -> list[tuple[T, int]]:
        """Return what the steps from the present one to `until`, exclusive, show."""
        assert self._chosen is not None and self._last is not None
        self.count = until
        pause = until - self._step - 1
        return [(self._chosen, 1), *([(self._last, pause)] if pause else [])]
