"""A camera or stream: frames have the time of their arrival; a lost source is reconnected."""

import logging
import math
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Self

from vidsal.errors import VidsalError
from vidsal.media.frame_rate import snap_rate
from vidsal.settings import SourceOptions
from vidsal.sources.capture import Capture, capture_of
from vidsal.sources.decoders import resized
from vidsal.sources.frame_selection import FrameSelection, LeftOut
from vidsal.sources.resolve import SourceName, parse_live
from vidsal.types import Findings, Frame, SourceInfo

log = logging.getLogger(__name__)

# Rates that drivers and streams claim outside this range are wrong; then this one is assumed.
_SLOWEST_FPS, _FASTEST_FPS = 1.0, 240.0
_USUAL_FPS = Fraction(30)
# Exponential backoff of reconnecting: the first pause, and the longest.
_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 10.0
# The last picture is stale after this time without another one, and after so many times the gap
# before it.
_STALE_S, _STALE_GAPS = 1.0, 3
# `stop` ends a pause within this time.
_POLL_S = 0.05


class LiveSource:
    """Frames of a camera or stream as they arrive.

    Times come from a monotonic clock that starts with the first frame and also runs while the
    source is lost. Lost sources are reconnected with exponential backoff (0.5 to 10 s). All frames
    have the size of the first one.

    Parameters
    ----------
    name : SourceName or str
        A camera or a stream; a text is parsed by `parse_live`.
    options : SourceOptions
        ``duration`` ends the frames, ``every`` uses every N-th.
    keeps_trying : bool
        Whether to reconnect when the source is lost, instead of ending.
    open_capture : callable
        Makes the `Capture` of a `SourceName`.
    clock : callable
        Returns seconds. If the clock goes back, the time of the frames stands still.
    sleep : callable
        Waits for some seconds.

    Raises
    ------
    UsageError
        If the name is not that of a camera or a stream.
    VidsalError
        If the source delivers nothing at the start.
    """

    def __init__(
        self,
        name: SourceName | str,
        options: SourceOptions,
        *,
        keeps_trying: bool = False,
        open_capture: Callable[[SourceName], Capture] = capture_of,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._source_name = parse_live(name)
        self._name = self._source_name.display_name
        end_s = math.inf if options.duration is None else options.duration
        self._selection = FrameSelection(end_s=end_s, every=options.every)
        self._keeps_trying = keeps_trying
        self._open_capture, self._clock, self._sleep = open_capture, clock, sleep
        self._stopped = self._began = False
        # Time of the last frame, and the clock at that moment: one tuple, as two threads read it.
        self._mark = (0.0, clock())
        self._is_reconnecting, self._stale_s = False, _STALE_S
        self._capture = open_capture(self._source_name)
        try:
            self._size, fps = self._connect()
        except BaseException:
            self._capture.close()
            raise
        rate = fps / options.every
        self.info = SourceInfo(
            self._name, *self._size, rate, is_live=True,
            frame_count_hint=None if math.isinf(end_s) else round(end_s * fps / options.every),
        )  # fmt: skip

    def now_s(self) -> float:
        """Return the time now in seconds after the first frame; it never goes back."""
        time_s, marked_s = self._mark
        return time_s + max(0.0, self._clock() - marked_s) if self._began else 0.0

    @property
    def is_lost(self) -> bool:
        """Whether no pictures come: the source is reconnected, or was silent for too long."""
        return self._is_reconnecting or self.now_s() - self._mark[0] > self._stale_s

    def _stamp(self) -> float:
        """Return the time of a frame that arrives now."""
        now_s = self._clock()
        time_s, marked_s = self._mark
        # Time 0 is the first frame, however long the source took to deliver it. The mark moves on
        # with the clock, so that a clock that went back is followed from there.
        time_s = time_s + max(0.0, now_s - marked_s) if self._began else 0.0
        self._stale_s = max(_STALE_S, _STALE_GAPS * (time_s - self._mark[0]))
        self._mark, self._began = (time_s, now_s), True
        return time_s

    def frames(self) -> Iterator[Frame]:
        """Yield the frames as they arrive; see `Source.frames`."""
        index = 0
        while not self._stopped:
            rgb = self._capture.read()
            if rgb is None:
                # Lost since the last picture, which is earlier than it is noticed.
                if self._stopped or not self._reconnect(lost_s=self._mark[0]):
                    return
                continue
            time_s = self._stamp()
            reason = self._selection.leave_out(time_s)
            if reason is LeftOut.AFTER_END:
                return
            if reason is None:
                self._selection.take(time_s)
                yield Frame(resized(rgb, self._size), index, time_s)
            index += 1

    def stop(self) -> None:
        """End `frames` soon, even while no pictures come."""
        self._stopped = True
        self._capture.stop()

    def findings(self) -> Findings:
        """Return no findings: what a live source does not deliver is not known."""
        return Findings()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._capture.close()

    def _connect(self) -> tuple[tuple[int, int], Fraction]:
        """Connect; return the size, and the claimed rate or the usual one if that is wrong."""
        height, width, claimed = self._capture.open()
        if _SLOWEST_FPS <= claimed <= _FASTEST_FPS:
            return (height, width), snap_rate(claimed)
        log.debug("%s claims %g frames per second; %s assumed", self._name, claimed, _USUAL_FPS)
        return (height, width), _USUAL_FPS

    def _reconnect(self, *, lost_s: float) -> bool:
        """Reconnect with exponential backoff until that works, or `stop`; return whether it did."""
        if not self._keeps_trying:
            log.warning("%s stopped delivering after %.1f s", self._name, lost_s)
            return False
        self._is_reconnecting = True
        pause_s = _PAUSE_S
        while self._is_wanted():
            log.warning("%s is lost; reconnecting in %g s", self._name, pause_s)
            self._wait(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            self._capture.close()
            self._capture = self._open_capture(self._source_name)
            if not self._is_wanted():
                break
            try:
                self._connect()
            except VidsalError as error:
                log.debug("%s", error)
                continue
            self._is_reconnecting = False
            log.warning("%s is back after %.1f s", self._name, self.now_s() - lost_s)
            return True
        return False

    def _is_wanted(self) -> bool:
        # A method, since another thread changes the attribute while a loop runs.
        return not self._stopped

    def _wait(self, seconds: float) -> None:
        while seconds > 0 and not self._stopped:
            self._sleep(min(seconds, _POLL_S))
            seconds -= _POLL_S
