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
from vidsal.sources.frame_selection import FrameSelection
from vidsal.sources.resolve import SourceName, parse_live
from vidsal.types import Findings, Frame, Rgb, SourceInfo

log = logging.getLogger(__name__)

# Rates that drivers and streams claim outside this range are wrong; then this one is assumed.
_SLOWEST_FPS, _FASTEST_FPS = 1.0, 240.0
_USUAL_FPS = Fraction(30)
# Exponential backoff of reconnecting: the first pause, and the longest.
_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 10.0
# The last picture is stale after this time without another one, and after so many times the gap
# before it.
_STALE_S, _STALE_GAPS = 1.0, 3
# The first pictures after a silence may be older than it: a decoder holds one to four pictures
# until more data come, and a sender delivers its backlog at once. Pictures are left out until so
# many have come, over this time, and no faster than this share of their usual interval, but for no
# longer than the last time.
_HELD_COUNT, _HELD_S = 3, 0.2
_BACKLOG_SHARE, _LONGEST_BACKLOG_S = 0.5, 2.0
# Weight of a new interval in the running mean of the intervals between pictures.
_NEW_WEIGHT = 0.1
# `stop` ends a pause within this time.
_POLL_S = 0.05


class LiveSource:
    """Frames of a camera or stream as they arrive.

    Times come from a monotonic clock that starts with the first frame and also runs while the
    source is lost. Lost sources are reconnected with exponential backoff (0.5 to 10 s). All frames
    have the size of the first one.

    The first pictures that a stream delivers after a silence are left out, since they may have been
    captured before it. After a silence of 5 s, ffmpeg ends and delivers the picture that it held,
    which would get a time 5 s after its capture.

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

    Attributes
    ----------
    late : int
        Number of pictures that were left out after a silence.

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
        self.late = 0
        # Time of the last picture that is not late.
        self._prompt_s = 0.0
        self._capture = open_capture(self._source_name)
        try:
            self._size, fps = self._connect()
        except BaseException:
            self._capture.close()
            raise
        # Drivers of cameras deliver a picture when it is captured.
        self._backlog = _Backlog(1 / float(fps)) if self._source_name.kind == "stream" else None
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
        return self._is_reconnecting or self._clock() - self._mark[1] > self._stale_s

    def _stamp(self) -> float:
        """Return the time of a picture that arrives now."""
        now_s = self._clock()
        time_s, marked_s = self._mark
        # Time 0 is the first frame, however long the source took to deliver it. The mark moves on
        # with the clock, so that a clock that went back is followed from there.
        time_s = time_s + max(0.0, now_s - marked_s) if self._began else 0.0
        self._stale_s = max(_STALE_S, _STALE_GAPS * (time_s - self._mark[0]))
        self._mark, self._began = (time_s, now_s), True
        return time_s

    def _is_late(self, gap_s: float, stale_s: float) -> bool:
        """Return whether a picture may be older than its arrival; count it and log the silence."""
        if self._backlog is None:
            return False
        is_late = self._backlog.holds(gap_s, is_silence=gap_s > stale_s)
        self.late += is_late
        if not is_late:
            self._report_late()
        return is_late

    def _report_late(self) -> None:
        """Log how many pictures were left out after the last silence, once."""
        if self._backlog is not None and self._backlog.count:
            count, self._backlog.count = self._backlog.count, 0
            log.warning(
                "%s sent nothing for %.1f s; pictures that came next and may be older, left out: "
                "%d", self._name, self._backlog.silence_s, count,
            )  # fmt: skip

    def frames(self) -> Iterator[Frame]:
        """Yield the frames as they arrive; see `Source.frames`."""
        index = 0
        while not self._stopped:
            rgb = self._capture.read()
            if rgb is None:
                self._report_late()
                # Lost since the last picture, which is earlier than it is noticed.
                rgb = None if self._stopped else self._reconnected(lost_s=self._prompt_s)
            if rgb is None:
                return
            before_s, stale_s, had_begun = self._mark[0], self._stale_s, self._began
            time_s = self._stamp()
            if self._selection.is_after_end(time_s):
                return
            if had_begun and self._is_late(time_s - before_s, stale_s):
                continue
            self._prompt_s = time_s
            if self._selection.leave_out(time_s) is None:
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

    def _reconnected(self, *, lost_s: float) -> Rgb | None:
        """Reconnect with exponential backoff; return the first picture, or None at the end."""
        if not self._keeps_trying:
            log.warning("%s stopped delivering after %.1f s", self._name, lost_s)
            return None
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
            # A server may accept the connection and deliver nothing.
            rgb = self._capture.read()
            if rgb is None:
                continue
            self._is_reconnecting = False
            log.warning("%s is back after %.1f s", self._name, self.now_s() - lost_s)
            return rgb
        return None

    def _is_wanted(self) -> bool:
        """Return whether more frames are wanted: neither `stop` nor the duration ended them."""
        return not self._stopped and not self._selection.is_after_end(self.now_s())

    def _wait(self, seconds: float) -> None:
        while seconds > 0 and self._is_wanted():
            self._sleep(min(seconds, _POLL_S))
            seconds -= _POLL_S


class _Backlog:
    """Tells which pictures after a silence may be older than their arrival.

    Attributes
    ----------
    silence_s : float
        Length of the last silence.
    count : int
        Number of pictures since it that may be older; the caller sets it to 0 once they are up to
        date.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s, self._since_s = interval_s, 0.0
        self._is_measured = False
        self.silence_s, self.count = 0.0, 0

    def holds(self, gap_s: float, *, is_silence: bool) -> bool:
        """Return whether the next picture may be older, given the time since the one before it."""
        if not self._is_measured:
            # A slow source. Claimed rates are often wrong, mostly too high.
            self._is_measured, self._interval_s = True, max(self._interval_s, gap_s)
            return False
        if is_silence:
            self.silence_s, self.count, self._since_s = gap_s, 1, 0.0
            return True
        if self.count:
            self._since_s += gap_s
            is_even = gap_s >= _BACKLOG_SHARE * self._interval_s
            is_settled = self.count >= _HELD_COUNT and self._since_s > _HELD_S - 1e-6 and is_even
            if not is_settled and self._since_s < _LONGEST_BACKLOG_S:
                self.count += 1
                return True
            return False
        self._interval_s += _NEW_WEIGHT * (gap_s - self._interval_s)
        return False
