"""Progress of a batch: files, seconds of video, rate, remaining time, failures."""

import math
import sys
import time
from collections.abc import Callable
from typing import Any

from vidsal.batches.receipts import Result
from vidsal.runtime.progress import is_shown

# Seconds between two lines if stderr is not a terminal.
_LINE_S = 60.0


def clock_text(seconds: float) -> str:
    """Return a duration as ``1:02`` or ``3:01:02``; a question mark if it is unknown.

    Parameters
    ----------
    seconds : float
        May be infinite.
    """
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class Counts:
    """Counts of a batch so far. Pure arithmetic.

    Attributes
    ----------
    done, failed, skipped : int
        Number of sources. A skipped source that failed earlier counts as skipped.
    video_s : float
        Seconds of video that this run analysed.
    files : int or None
        Total number of sources.
    """

    def __init__(self, files: int | None = None) -> None:
        self.done = self.failed = self.skipped = 0
        self.video_s = 0.0
        self.files = files

    def end(self, result: Result) -> None:
        """Count a source that is done, has failed or was skipped.

        Parameters
        ----------
        result : Result
        """
        setattr(self, result.status, getattr(self, result.status) + 1)

    def left_s(self, elapsed_s: float) -> float:
        """Return the expected seconds until the end; infinite before the first source is done.

        Parameters
        ----------
        elapsed_s : float
            Time since the beginning of the run.
        """
        worked = self.done + self.failed
        if self.files is None or not worked:
            return math.inf
        return (self.files - worked - self.skipped) * elapsed_s / worked

    def text(self, elapsed_s: float) -> str:
        """Return the counts as one line.

        Parameters
        ----------
        elapsed_s : float
            Time since the beginning of the run.
        """
        ended = self.done + self.failed + self.skipped
        rate = self.video_s / elapsed_s if elapsed_s > 0 else 0.0
        of = "" if self.files is None else f" of {self.files}"
        return (
            f"{ended}{of} files, {self.failed} failed, {clock_text(self.video_s)} of video, "
            f"{rate:.2f} x real time, {clock_text(self.left_s(elapsed_s))} left"
        )


class BatchProgress:
    """Shows the counts: as a bar on a terminal, otherwise as one line per minute.

    Parameters
    ----------
    files : int
        Number of sources.
    is_wanted : bool
        Whether anything is shown.
    say : callable
        Prints a line.
    """

    def __init__(self, files: int, *, is_wanted: bool, say: Callable[[str], None]) -> None:
        self.counts = Counts(files)
        self._say, self._is_wanted = say, is_wanted
        self._began_s = self._told_s = time.monotonic()
        self._bar: Any = None
        if is_wanted and is_shown():
            from tqdm.auto import tqdm

            self._bar = tqdm(
                total=files, bar_format="{bar:20} {desc}", file=sys.stderr, leave=False
            )

    def add(self, video_s: float) -> None:
        """Add analysed seconds of video.

        Parameters
        ----------
        video_s : float
        """
        self.counts.video_s += video_s
        self._show()

    def end(self, result: Result) -> None:
        """Count a source.

        Parameters
        ----------
        result : Result
        """
        self.counts.end(result)
        if self._bar is not None:
            self._bar.update(1)
        self._show()

    def close(self) -> None:
        """Remove the bar from the terminal."""
        if self._bar is not None:
            self._bar.close()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began_s

    def _show(self) -> None:
        if self._bar is not None:
            self._bar.set_description_str(self.counts.text(self.elapsed_s))
        elif self._is_wanted and time.monotonic() - self._told_s > _LINE_S:
            self._told_s = time.monotonic()
            self._say(self.counts.text(self.elapsed_s))
