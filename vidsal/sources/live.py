"""A camera or stream that is followed: stamped as pictures arrive, sought again when it is lost."""

import logging
import math
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Self

from vidsal.errors import VidsalError
from vidsal.media.frame_rate import snap_rate
from vidsal.settings import Settings
from vidsal.sources.capture import Capture, capture_of, display_name
from vidsal.sources.decoders import resized
from vidsal.types import Findings, Frame, SourceInfo

log = logging.getLogger(__name__)

# What drivers and streams claim beyond these is not a rate.
_SLOWEST_FPS, _FASTEST_FPS = 1.0, 240.0
_USUAL_FPS = Fraction(30)
# Pauses before a lost source is sought again: the first, and the longest.
_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 10.0
# Where nothing came for so long, and for so many times as long as before the last picture, what is
# on show is no live picture any more.
_STALE_S, _STALE_GAPS = 1.0, 3
# A pause is left this soon after `stop`.
_POLL_S = 0.05


class LiveSource:
    """Frames of a camera or stream as they arrive.

    Times are of a clock that only goes forward, from the first frame on, and go on while the
    source is lost. All frames have the size of the first one.

    Parameters
    ----------
    address : str
        A camera's number or path, or a stream's address.
    settings : Settings
        ``duration`` ends it, ``every`` thins it out.
    keeps_trying : bool
        Seek the source again when it is lost, with growing pauses, instead of ending.
    open_capture : callable
        Address to a `Capture`.
    clock, sleep : callable
        Seconds; a clock that goes back is taken to stand still.

    Raises
    ------
    VidsalError
        If there is nothing to see at the start.
    """

    def __init__(
        self,
        address: str,
        settings: Settings,
        *,
        keeps_trying: bool = False,
        open_capture: Callable[[str], Capture] = capture_of,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._address, self._every = address, settings.every
        self._end_s = math.inf if settings.duration is None else settings.duration
        self._keeps_trying = keeps_trying
        self._open_capture, self._clock, self._sleep = open_capture, clock, sleep
        self._stopped = False
        self._began = False
        # Time on the frames' clock, and what the clock said then: one tuple, as two threads read.
        self._mark = (0.0, clock())
        self._seeks, self._stale_s = False, _STALE_S
        self._name = name = display_name(address)
        self._capture = open_capture(address)
        try:
            self._size, fps = self._opened()
        except BaseException:
            self._capture.close()
            raise
        hint = None if math.isinf(self._end_s) else round(self._end_s * fps / self._every)
        self.info = SourceInfo(
            name, *self._size, fps / self._every, is_live=True, frame_count_hint=hint
        )

    def now_s(self) -> float:
        """Return the time on the clock of the frames, in seconds; it never goes back."""
        time_s, marked_s = self._mark
        return time_s + max(0.0, self._clock() - marked_s) if self._began else 0.0

    @property
    def is_lost(self) -> bool:
        """Whether pictures do not come: it is sought again, or has been silent for long."""
        return self._seeks or self.now_s() - self._mark[0] > self._stale_s

    def _stamp(self) -> float:
        """Return the time now, and count on from here: a clock that went back loses no more."""
        now_s = self._clock()
        time_s, marked_s = self._mark
        # Time runs from the first frame on, however long the source took to deliver it.
        time_s = time_s + max(0.0, now_s - marked_s) if self._began else 0.0
        self._stale_s = max(_STALE_S, _STALE_GAPS * (time_s - self._mark[0]))
        self._mark, self._began = (time_s, now_s), True
        return time_s

    def frames(self) -> Iterator[Frame]:
        index = 0
        while not self._stopped:
            rgb = self._capture.read()
            if rgb is None:
                # Since the last picture, not since that was noticed.
                if self._stopped or not self._found_again(self._mark[0]):
                    return
                continue
            time_s = self._stamp()
            if time_s >= self._end_s:
                return
            if index % self._every == 0:
                yield Frame(resized(rgb, self._size), index, time_s)
            index += 1

    def stop(self) -> None:
        self._stopped = True
        self._capture.stop()

    def findings(self) -> Findings:
        return Findings()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._capture.close()

    def _opened(self) -> tuple[tuple[int, int], Fraction]:
        """Connect; return the size, and a rate that can be one."""
        height, width, claimed = self._capture.open()
        if _SLOWEST_FPS <= claimed <= _FASTEST_FPS:
            return (height, width), snap_rate(claimed)
        log.debug("%s claims %g frames a second; taken for %s", self._name, claimed, _USUAL_FPS)
        return (height, width), _USUAL_FPS

    def _found_again(self, lost_s: float) -> bool:
        """Seek a lost source, again and again; say whether it is there, or nobody wants it."""
        if not self._keeps_trying:
            log.warning("%s stopped delivering after %.1f s", self._name, lost_s)
            return False
        self._seeks = True
        pause_s = _PAUSE_S
        while self._is_wanted():
            log.warning("%s is lost; trying again in %g s", self._name, pause_s)
            self._wait(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            self._capture.close()
            self._capture = self._open_capture(self._address)
            if not self._is_wanted():
                break
            try:
                self._opened()
            except VidsalError as error:
                log.debug("%s", error)
                continue
            self._seeks = False
            log.warning("%s is back after %.1f s", self._name, self.now_s() - lost_s)
            return True
        return False

    def _is_wanted(self) -> bool:
        return not self._stopped

    def _wait(self, seconds: float) -> None:
        while seconds > 0 and not self._stopped:
            self._sleep(min(seconds, _POLL_S))
            seconds -= _POLL_S
