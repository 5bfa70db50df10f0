"""Which frames of a source are used: those of a part of it, every N-th, one per output step."""

import math
from collections import Counter
from collections.abc import Sequence
from enum import Enum
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from vidsal.media.retiming import ROUNDING_S, is_shown, step_at
from vidsal.sources.timestamps import TOLERANCE_S

# Containers round times to milliseconds: a last step shorter than this share is not shown.
_SHORTEST_STEP = 0.1


class LeftOut(Enum):
    """Why a frame is left out."""

    BEFORE_START = "before the start"
    AFTER_END = "after the end"
    NOT_NTH = "not an N-th frame"
    NOT_SHOWN = "another frame is shown in its step"
    HIDDEN = "outside the edit list"
    UNREADABLE = "cannot be converted"
    STOPPED = "after a stop"


class OutputSteps:
    """Chooses frames by time: one per step of an output with a constant rate.

    A frame is shown if it is the nearest one to its step, or if it lasts into a later step.

    Parameters
    ----------
    first_s : float
        Time of the first frame that is used: step 0.
    fps : Fraction
        Steps per second.
    duration_s : float
        How long all frames are shown.
    listed_s : (n,) float64 array
        Times of the n frames that the file lists, in order, in seconds.
    end_s : float
        Frames from this time on are not used; may be infinite.
    every : int
        Only every N-th frame is used.
    is_open : bool
        Whether more frames than listed may come after the last listed one: the file has no times.

    Attributes
    ----------
    count : int
        Number of steps, at least 1.
    """

    def __init__(
        self,
        *,
        first_s: float,
        fps: Fraction,
        duration_s: float,
        listed_s: NDArray[np.float64],
        end_s: float = math.inf,
        every: int = 1,
        is_open: bool = False,
    ) -> None:
        self._is_open = is_open
        self._first_s, self._fps = first_s, float(fps)
        self._listed_s, self._end_s, self._every = listed_s, end_s, every
        self._last_step = -1
        # A frame after the last step would be shown after the end of the output.
        self.count = max(1, math.ceil(duration_s * self._fps - _SHORTEST_STEP))

    def is_shown(self, time_s: float) -> bool:
        """Return whether the frame at a time is shown, given the last one that was `take`-n.

        Parameters
        ----------
        time_s : float
            Time of the frame in seconds.
        """
        place = self._place(time_s)
        if self._is_open and place >= self.count - 1:
            return step_at(place, 1) > self._last_step
        return step_at(place, 1) < self.count and is_shown(
            self._last_step, place, self._next_place(time_s)
        )

    def take(self, time_s: float) -> None:
        """Record that the frame at a time is used.

        Parameters
        ----------
        time_s : float
            Time of the frame in seconds.
        """
        self._last_step = step_at(self._place(time_s), 1)

    def expected(self) -> int:
        """Return how many of the frames that the file lists will be shown, at least 1."""
        times_s = self._listed_s[inside(self._listed_s, self._first_s, self._end_s)]
        places = [self._place(time_s) for time_s in times_s[:: self._every].tolist()]
        last_step, count = -1, 0
        for place, following in zip(places, [*places[1:], self.count], strict=False):
            step = step_at(place, 1)
            if step < self.count and is_shown(last_step, place, following):
                last_step, count = step, count + 1
        return max(1, count)

    def _place(self, time_s: float) -> float:
        """Return a time in steps."""
        return (time_s - self._first_s) * self._fps

    def _next_place(self, time_s: float) -> float:
        """Return the time of the next frame in steps, as the file lists it."""
        after = int(np.searchsorted(self._listed_s, time_s + TOLERANCE_S))
        following = after + self._every - 1
        if following >= len(self._listed_s) or self._listed_s[following] >= self._end_s:
            return self.count
        return self._place(float(self._listed_s[following]))


class FrameSelection:
    """Chooses frames by their times, and counts the others.

    Parameters
    ----------
    start_s, end_s : float
        The part that is used, in seconds: from `start_s` to before `end_s`.
    every : int
        Use every N-th frame, counted from the first one that is used.

    Attributes
    ----------
    steps : OutputSteps or None
        Chooses among the remaining frames; ``None`` uses all.
    left_out : Counter of LeftOut
        How many frames were left out for each reason.
    """

    def __init__(self, start_s: float = 0.0, end_s: float = math.inf, every: int = 1) -> None:
        self._start_s, self._end_s, self._every = start_s, end_s, every
        self._since_first: int | None = None
        self.steps: OutputSteps | None = None
        self.left_out: Counter[LeftOut] = Counter()

    def is_after_end(self, time_s: float) -> bool:
        """Return whether a time is at the end of the part, or later.

        Parameters
        ----------
        time_s : float
            Time in seconds.
        """
        return time_s >= self._end_s - ROUNDING_S

    def leave_out(self, time_s: float) -> LeftOut | None:
        """Return why the next frame is left out, and count it; ``None`` if it is to be used.

        Parameters
        ----------
        time_s : float
            Time of the frame in seconds.
        """
        reason = self._reason(time_s)
        if reason is not None:
            self.left_out[reason] += 1
        return reason

    def take(self, time_s: float) -> None:
        """Record that a frame is used; one that cannot be decoded after all is not.

        Parameters
        ----------
        time_s : float
            Time of the frame in seconds.
        """
        if self._since_first is None:
            self._since_first = 0
        if self.steps is not None:
            self.steps.take(time_s)

    def _reason(self, time_s: float) -> LeftOut | None:
        if self.is_after_end(time_s):
            return LeftOut.AFTER_END
        if self._since_first is None:
            return LeftOut.BEFORE_START if time_s < self._start_s - ROUNDING_S else None
        self._since_first += 1
        if self._since_first % self._every:
            return LeftOut.NOT_NTH
        if self.steps is not None and not self.steps.is_shown(time_s):
            return LeftOut.NOT_SHOWN
        return None


def select(times_s: Sequence[float], selection: FrameSelection) -> list[int]:
    """Return the numbers of the frames that a selection uses, if all can be decoded.

    Parameters
    ----------
    times_s : sequence of float
        Times of the frames in seconds, in order.
    selection : FrameSelection
        Not used before; it has the counts afterwards.
    """
    numbers = []
    for number, time_s in enumerate(times_s):
        if selection.leave_out(time_s) is None:
            selection.take(time_s)
            numbers.append(number)
    return numbers


def inside(times_s: NDArray[np.float64], start_s: float, end_s: float) -> NDArray[np.bool_]:
    """Return which times are in a part: from `start_s`, rounded, to before `end_s`.

    Parameters
    ----------
    times_s : (n,) float64 array
        Seconds.
    start_s, end_s : float
        Seconds.

    Returns
    -------
    (n,) bool array
    """
    return (times_s >= start_s - ROUNDING_S) & (times_s < end_s)
