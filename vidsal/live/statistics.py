"""How well something live is kept up with: rates, latency, what was dropped. Pure."""

from collections import deque
from dataclasses import dataclass

import numpy as np

# Rates and latency on show are those of the last so many seconds.
_RECENT_S = 2.0
# Latencies are counted in classes of this width up to a limit, so that a day takes no more memory
# than a minute.
_CLASS_MS, _CLASSES = 1, 20_000


class Rate:
    """Events a second over the last two seconds.

    Parameters
    ----------
    recent_s : float
        Length of the window, in seconds.
    """

    def __init__(self, recent_s: float = _RECENT_S) -> None:
        self._recent_s = recent_s
        self._counts: deque[tuple[float, int]] = deque()

    def at(self, time_s: float, count: int) -> float:
        """Take in how many events there were until now; return the rate."""
        self._counts.append((time_s, count))
        while len(self._counts) > 2 and self._counts[1][0] <= time_s - self._recent_s:
            self._counts.popleft()
        began_s, before = self._counts[0]
        return (count - before) / (time_s - began_s) if time_s > began_s else 0.0


class Latencies:
    """How old frames were when they were shown, all of them, in memory of fixed size."""

    def __init__(self) -> None:
        self._counts = np.zeros(_CLASSES, np.int64)

    def add(self, seconds: float) -> None:
        """Take in one frame's age, in seconds."""
        place = int(max(0.0, seconds) * 1000 / _CLASS_MS)
        self._counts[min(place, _CLASSES - 1)] += 1

    def percentile(self, share: float) -> float | None:
        """Return the latency in milliseconds that this share of frames, 0..1, stays below.

        ``None`` where there were no frames.
        """
        total = int(self._counts.sum())
        if total == 0:
            return None
        reached = np.searchsorted(np.cumsum(self._counts), share * total)
        return float(reached + 0.5) * _CLASS_MS


@dataclass(frozen=True, slots=True)
class LiveStats:
    """What is shown of a live run at one moment.

    Attributes
    ----------
    time_s : float
        Since the run began to count.
    fps_in, fps_out : float
        Frames a second that came, and that were shown, over the last two seconds.
    latency_ms : float
        Median age of a frame when it is shown, over the last two seconds.
    dropped_share : float
        Frames that came and were not analysed, 0..1, over the last two seconds.
    every : int
        Gradients are drawn on every so many frames.
    size : str
        Working width and the network's short side in pixels.
    model, target, seen, layout : str
        Names; ``seen`` is the likeliest class with its probability.
    is_recording, is_paused, is_lost : bool
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
    seen: str
    layout: str
    is_recording: bool = False
    is_paused: bool = False
    is_lost: bool = False

    def line(self) -> str:
        """Return the figures as one line for a picture."""
        text = (
            f"in {self.fps_in:.0f}/s  out {self.fps_out:.0f}/s  {self.latency_ms:.0f} ms  "
            f"dropped {self.dropped_share:.0%}  K {self.every}"
        )
        marks = {"REC": self.is_recording, "PAUSED": self.is_paused, "LOST": self.is_lost}
        return "  ".join([*(mark for mark, is_set in marks.items() if is_set), text])


@dataclass(frozen=True, slots=True)
class Summary:
    """A live run as a whole.

    Attributes
    ----------
    seen, analysed, dropped : int
        Frames.
    seconds : float
        Length of the run.
    latency_ms, latency_p95_ms : float or None
        Median and 95th percentile of a frame's age when it was shown.
    files : tuple of str
        What was written.
    """

    seen: int
    analysed: int
    dropped: int
    seconds: float
    latency_ms: float | None
    latency_p95_ms: float | None
    files: tuple[str, ...] = ()

    def line(self) -> str:
        """Return the summary in words."""
        rate = self.analysed / self.seconds if self.seconds else 0.0
        text = (
            f"{self.seconds:.1f} s: {self.seen} frames seen, {self.analysed} analysed "
            f"({rate:.1f} a second), {self.dropped} dropped"
        )
        if self.latency_ms is None or self.latency_p95_ms is None:
            return text
        return text + f"; latency {self.latency_ms:.0f} ms, 95 % below {self.latency_p95_ms:.0f} ms"


class Counting:
    """Gathers the figures of a run, frame by frame.

    Attributes
    ----------
    has_begun : bool
        Whether the start is over.
    began_s : float
        When that was.
    shown : int
        Frames since then.
    rates : tuple of float
        Frames a second that came, were shown, and were dropped, over the last two seconds.
    """

    def __init__(self) -> None:
        self._in, self._out, self._dropped = Rate(), Rate(), Rate()
        self._all = Latencies()
        self._recent: deque[tuple[float, float]] = deque()
        self.began_s = 0.0
        self.has_begun = False
        self._before = (0, 0)
        self._now_s = 0.0
        self._now = (0, 0)
        self.shown = 0
        self.rates = (0.0, 0.0, 0.0)

    def begin(self, now_s: float, seen: int, dropped: int) -> None:
        """Count from here on: what was before was warming up."""
        self.began_s = self._now_s = now_s
        self.has_begun = True
        self._before = self._now = (seen, dropped)

    def resume(self) -> None:
        """Forget the last two seconds: nothing was to be shown in them."""
        self._in, self._out, self._dropped = Rate(), Rate(), Rate()
        self._recent.clear()

    def after(
        self, now_s: float, seen: int, dropped: int, age_s: float | None = None,
        *, is_idle: bool = False,
    ) -> None:  # fmt: skip
        """Take in where things stand, and the age of a frame that was just shown.

        While it `is_idle`, nothing is to be shown, and that is no rate.
        """
        if not self.has_begun:
            return
        self._now_s, self._now = now_s, (seen, dropped)
        if age_s is not None:
            self.shown += 1
            self._all.add(age_s)
            self._recent.append((now_s, age_s))
        while self._recent and self._recent[0][0] < now_s - _RECENT_S:
            self._recent.popleft()
        self.rates = (
            self._in.at(now_s, seen), 0.0 if is_idle else self._out.at(now_s, self.shown),
            self._dropped.at(now_s, dropped),
        )  # fmt: skip

    @property
    def seconds(self) -> float:
        """Length of the run so far."""
        return self._now_s - self.began_s if self.has_begun else 0.0

    @property
    def latency_ms(self) -> float:
        """Median age of the frames shown in the last two seconds; 0 without any."""
        return float(np.median([age for _, age in self._recent])) * 1000 if self._recent else 0.0

    @property
    def dropped_share(self) -> float:
        """Share of the frames of the last two seconds that were dropped, 0..1."""
        return min(1.0, self.rates[2] / self.rates[0]) if self.rates[0] else 0.0

    def summary(self, files: tuple[str, ...] = ()) -> Summary:
        """Return the run as a whole."""
        seen, dropped = (now - then for now, then in zip(self._now, self._before, strict=True))
        return Summary(
            seen, self.shown, dropped, self.seconds,
            self._all.percentile(0.5), self._all.percentile(0.95), files,
        )  # fmt: skip
