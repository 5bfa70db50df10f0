"""Repair of timestamps: raw streams have none, and corrupt files have some that run backwards."""

import math
from collections import deque
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

# A timestamp is wrong if it is this far before the first frame that the file lists, or this far
# after the last one while more frames are to come.
OUTSIDE_S = 0.3
# Timestamps of the decoder and of the file agree to within this.
TOLERANCE_S = 1e-4
# A frame is shown after at most 16 frames that are decoded later (H.264, HEVC). Timestamps of so
# many frames show how many frames were lost before them, in whatever order they are.
REORDERED = 17


def repair_timestamp(
    pts_s: float,
    *,
    previous_s: float,
    index: int,
    listed_s: NDArray[np.float64],
    rate: Fraction,
) -> float:
    """Return the time of a frame: its timestamp, or a replacement if that is wrong.

    A timestamp is wrong if it is missing, is not after the time of the previous frame, or lies
    outside the times that the file lists. The replacement is one frame interval after the previous
    time.

    Parameters
    ----------
    pts_s : float
        Timestamp from the decoder, in seconds after the first frame that the file lists; NaN if it
        is missing.
    previous_s : float
        Time of the previous frame in seconds; ``-inf`` for the first frame.
    index : int
        0-based number of the frame in decode order.
    listed_s : (n,) float64 array
        Times of the n frames that the file lists, in order, in seconds from the first.
    rate : Fraction
        Frames per second of the file.

    Returns
    -------
    float
        Seconds, above `previous_s`.
    """
    is_late = index + 1 < len(listed_s) and pts_s > listed_s[-1] + OUTSIDE_S
    if is_late or pts_s < -OUTSIDE_S:
        pts_s = math.nan
    if math.isfinite(pts_s) and pts_s > previous_s:
        return pts_s
    if not math.isfinite(previous_s):
        return 0.0
    interval_s = float(1 / rate)
    if math.isfinite(pts_s):
        due = int(np.searchsorted(listed_s, pts_s + TOLERANCE_S, side="right"))
        if index < due:
            # The file lists two frames at one time. After a whole interval the next frame would be
            # late, and all that follow.
            interval_s = TOLERANCE_S
    return previous_s + interval_s


class FrameClock:
    """Number and repaired time of the current frame, in the order of the decoder.

    Times come from the decoder's timestamps (`repair_timestamp`), or from a count of the frames:
    frame n is shown at the n-th time that the file lists. Counting is right where the timestamps
    cannot be those of the frames: they are missing, or they are in the order of storage although
    the frames are reordered. Frames that were lost are then found by the decoder's timestamps: they
    are all late by that number, in whatever order they are.

    Parameters
    ----------
    listed_s : (n,) float64 array
        Times of the n frames that the file lists, in order, in seconds from the first.
    rate : Fraction
        Frames per second of the file.
    counts : bool
        Whether to count from the beginning.
    may_count : bool
        Whether to count from the first timestamp on that runs backwards.

    Attributes
    ----------
    index : int
        0-based number of the current frame; -1 before the first.
    time_s : float
        Its time in seconds after the first frame that the file lists; ``-inf`` before the first.
    """

    def __init__(
        self,
        listed_s: NDArray[np.float64],
        rate: Fraction,
        *,
        counts: bool = False,
        may_count: bool = False,
    ) -> None:
        self._listed_s, self._rate = listed_s, rate
        self._counts, self._may_count = counts, may_count
        # By how many places the last timestamps are late, and the last of them.
        self._late: deque[float] = deque(maxlen=REORDERED)
        self._lost, self._pts_s = 0, -math.inf
        self.index, self.time_s = -1, -math.inf

    def advance(self, pts_s: float, *, lead: int = 0) -> float:
        """Go to the next frame; return its repaired time.

        Parameters
        ----------
        pts_s : float
            Its timestamp from the decoder; see `repair_timestamp`.
        lead : int
            By how many frames a wrong timestamp may be late although no frame was lost.
        """
        self.index += 1
        if self._may_count and pts_s < self._pts_s - TOLERANCE_S:
            self._counts = True
            self._lost = max(0, int(min(self._late, default=0)))
        self._pts_s = pts_s
        self._late.append(self._rank(pts_s) - self.index - lead)
        if self._counts:
            self.time_s = self._counted_s()
        else:
            self.time_s = repair_timestamp(
                pts_s,
                previous_s=self.time_s,
                index=self.index,
                listed_s=self._listed_s,
                rate=self._rate,
            )
        return self.time_s

    def skip(self, count: int) -> None:
        """Go to the last of the first `count` listed frames, `count` at least 1.

        Parameters
        ----------
        count : int
            At least 1.
        """
        self.restart()
        self.index, self.time_s = count - 1, float(self._listed_s[count - 1])

    def locate(self, time_s: float) -> None:
        """Go to a time; the number is that of the nearest listed frame.

        Parameters
        ----------
        time_s : float
            Time in seconds.
        """
        self.restart()
        self.index = int(np.abs(self._listed_s - time_s).argmin())
        self.time_s = time_s

    def restart(self) -> None:
        """Go to before the first frame."""
        self._late.clear()
        self._lost, self._pts_s = 0, -math.inf
        self.index, self.time_s = -1, -math.inf

    def _rank(self, pts_s: float) -> float:
        """Return how many listed frames are before a timestamp; ``-inf`` if it is not one."""
        if not -OUTSIDE_S <= pts_s <= self._listed_s[-1] + OUTSIDE_S:
            return -math.inf
        return int(np.searchsorted(self._listed_s, pts_s - 0.5 * float(1 / self._rate)))

    def _counted_s(self) -> float:
        """Return the time that the file lists for the current frame, given the lost ones."""
        if len(self._late) == REORDERED:
            late = min(self._late)
            self._lost = max(self._lost, int(late)) if math.isfinite(late) else self._lost
        number = self.index + self._lost
        after = max(0, number + 1 - len(self._listed_s))
        time_s = float(self._listed_s[number - after]) + after / float(self._rate)
        return time_s if time_s > self.time_s else self.time_s + TOLERANCE_S
