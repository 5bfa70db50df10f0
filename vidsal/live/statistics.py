"""Statistics of a live run: rates, latency, dropped frames. Pure maths."""

from collections import deque
from dataclasses import dataclass

import numpy as np

# Displayed rates and latencies cover the last so many seconds.
_WINDOW_S = 2.0
# Latencies go into a histogram of fixed size: a day takes no more memory than a minute.
_BIN_MS, _BINS = 1, 20_000


class Rate:
    """Events a second over a sliding window.

    Parameters
    ----------
    window_s : float
        Length of the window in seconds.
    """

    def __init__(self, window_s: float = _WINDOW_S) -> None:
        self._window_s = window_s
        self._counts: deque[tuple[float, int]] = deque()

    def at(self, time_s: float, count: int) -> float:
        """Add the number of events so far, and return the rate.

        Parameters
        ----------
        time_s : float
            Now.
        count : int
            Events since the beginning.

        Returns
        -------
        float
            Events a second; 0 before the second call.
        """
        self._counts.append((time_s, count))
        while len(self._counts) > 2 and self._counts[1][0] <= time_s - self._window_s:
            self._counts.popleft()
        first_s, first = self._counts[0]
        return (count - first) / (time_s - first_s) if time_s > first_s else 0.0


class Latencies:
    """A histogram of the latencies of all frames."""

    def __init__(self) -> None:
        self._counts = np.zeros(_BINS, np.int64)

    def add(self, seconds: float) -> None:
        """Add the latency of one frame, in seconds.

        Parameters
        ----------
        seconds : float
            Negative latencies count as 0.
        """
        index = int(max(0.0, seconds) * 1000 / _BIN_MS)
        self._counts[min(index, _BINS - 1)] += 1

    def percentile(self, share: float) -> float | None:
        """Return a percentile of the latencies.

        Parameters
        ----------
        share : float
            Share of the frames that have a lower latency, 0..1.

        Returns
        -------
        float or None
            Milliseconds; ``None`` without frames.
        """
        total = int(self._counts.sum())
        if total == 0:
            return None
        index = np.searchsorted(np.cumsum(self._counts), share * total)
        return float(index + 0.5) * _BIN_MS


@dataclass(frozen=True, slots=True)
class LiveStats:
    """The displayed statistics of a live run at one moment.

    Attributes
    ----------
    time_s : float
        Seconds since the end of the warm-up.
    fps_in, fps_out : float
        Frames a second that arrived, and that were shown, over the last two seconds.
    latency_ms : float
        Median age of a frame when it is shown, over the last two seconds.
    dropped_share : float
        Share of the frames that arrived and were not analysed, 0..1, over the last two seconds.
    every : int
        Gradients are computed for one of so many frames.
    size : str
        Working width and the network's short side in pixels.
    model, target, top_class, layout : str
        Names; ``top_class`` has the probability of the class as well.
    is_recording, is_paused, is_lost : bool
        State of the recording, of the display and of the source.
    is_captioned : bool
        Whether the picture has a caption with the classes.
    """

    time_s: float
    fps_in: float
    fps_out: float
    latency_ms: float
    dropped_share: float
    every: int
    size: str
    model: str
    target: str
    top_class: str
    layout: str
    is_recording: bool = False
    is_paused: bool = False
    is_lost: bool = False
    is_captioned: bool = False

    def line(self) -> str:
        """Return the statistics as one line for a picture."""
        text = (
            f"in {self.fps_in:.0f}/s  out {self.fps_out:.0f}/s  {self.latency_ms:.0f} ms  "
            f"dropped {self.dropped_share:.0%}  K {self.every}"
        )
        marks = {"REC": self.is_recording, "PAUSED": self.is_paused, "LOST": self.is_lost}
        return "  ".join([*(mark for mark, is_set in marks.items() if is_set), text])


@dataclass(frozen=True, slots=True)
class Summary:
    """Statistics of a whole live run.

    Attributes
    ----------
    seen, analysed, dropped : int
        Numbers of frames that arrived, were analysed, and were dropped; the first is the sum of the
        others.
    seconds : float
        Length of the run without its warm-up.
    latency_ms, latency_p95_ms : float or None
        Median and 95th percentile of a frame's age when it was shown.
    files : tuple of str
        Names of the files that were written.
    """

    seen: int
    analysed: int
    dropped: int
    seconds: float
    latency_ms: float | None
    latency_p95_ms: float | None
    files: tuple[str, ...] = ()

    def line(self) -> str:
        """Return the summary as one line."""
        rate = self.analysed / self.seconds if self.seconds else 0.0
        text = (
            f"{self.seconds:.1f} s: {self.seen} frames seen, {self.analysed} analysed "
            f"({rate:.1f} a second), {self.dropped} dropped"
        )
        if self.latency_ms is None or self.latency_p95_ms is None:
            return text
        return text + f"; latency {self.latency_ms:.0f} ms, 95 % below {self.latency_p95_ms:.0f} ms"


class StatsCollector:
    """Collects the statistics of a run, frame by frame.

    Attributes
    ----------
    has_begun : bool
        Whether the warm-up is over.
    began_s : float
        When the warm-up ended.
    shown : int
        Number of frames shown since then.
    unshown : int
        Number of frames analysed since then and not shown, as in a pause.
    rates : tuple of float
        Frames a second that arrived, were shown, and were dropped, over the last two seconds.
    """

    def __init__(self) -> None:
        self._in, self._out, self._dropped = Rate(), Rate(), Rate()
        self._latencies = Latencies()
        # Time and age of the frames shown in the window.
        self._recent: deque[tuple[float, float]] = deque()
        self.began_s = 0.0
        self.has_begun = False
        # Frames that arrived and were dropped, at the end of the warm-up and now.
        self._first_counts = self._counts = (0, 0)
        self._now_s = 0.0
        self.shown = self.unshown = 0
        self.rates = (0.0, 0.0, 0.0)

    def begin(self, now_s: float, seen: int, dropped: int) -> None:
        """End the warm-up: statistics cover what follows.

        Parameters
        ----------
        now_s : float
        seen, dropped : int
            Frames that arrived and were dropped so far, without those whose analysis is pending:
            they are shown after the warm-up.
        """
        self.began_s = self._now_s = now_s
        self.has_begun = True
        self._first_counts = self._counts = (seen, dropped)

    def resume(self) -> None:
        """Forget the last two seconds, in which nothing was to be shown."""
        self._in, self._out, self._dropped = Rate(), Rate(), Rate()
        self._recent.clear()

    def update(
        self, now_s: float, seen: int, dropped: int, age_s: float | None = None,
        *, is_idle: bool = False,
    ) -> None:  # fmt: skip
        """Add the counts of now, and the age of a frame that was just shown.

        Parameters
        ----------
        now_s : float
        seen, dropped : int
            Frames that arrived and were dropped so far.
        age_s : float, optional
            Seconds since the capture of the frame; ``None`` if none was shown.
        is_idle : bool
            Whether nothing is to be shown; the rate of shown frames is then 0.
        """
        if not self.has_begun:
            return
        self._now_s, self._counts = now_s, (seen, dropped)
        if age_s is not None:
            self.shown += 1
            self._latencies.add(age_s)
            self._recent.append((now_s, age_s))
        while self._recent and self._recent[0][0] < now_s - _WINDOW_S:
            self._recent.popleft()
        self.rates = (
            self._in.at(now_s, seen), 0.0 if is_idle else self._out.at(now_s, self.shown),
            self._dropped.at(now_s, dropped),
        )  # fmt: skip

    @property
    def seconds(self) -> float:
        """Length of the run so far, without its warm-up."""
        return self._now_s - self.began_s if self.has_begun else 0.0

    @property
    def latency_ms(self) -> float:
        """Median age of the frames shown in the last two seconds; 0 without frames."""
        return float(np.median([age for _, age in self._recent])) * 1000 if self._recent else 0.0

    @property
    def dropped_share(self) -> float:
        """Share of the frames of the last two seconds that were dropped, 0..1."""
        return min(1.0, self.rates[2] / self.rates[0]) if self.rates[0] else 0.0

    def summary(self, files: tuple[str, ...] = ()) -> Summary:
        """Return the statistics of the whole run, with the names of its files.

        Frames whose analysis is pending at the end count as dropped.

        Parameters
        ----------
        files : tuple of str
            Names of the files that the run wrote.
        """
        analysed = self.shown + self.unshown
        # A frame may arrive, and be shown, after the last count.
        seen = max(analysed, self._counts[0] - self._first_counts[0])
        return Summary(
            seen, analysed, seen - analysed, self.seconds,
            self._latencies.percentile(0.5), self._latencies.percentile(0.95), files,
        )  # fmt: skip
