"""Shared by the tests of live: a fake clock, camera and preview, and threads replaced by turns."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import pytest

from vidsal.errors import VidsalError
from vidsal.live.preview import Button
from vidsal.live.statistics import LiveStats
from vidsal.media import banner
from vidsal.settings import Settings
from vidsal.sources.live import LiveSource
from vidsal.types import Frame, Rgb, Saliency, SourceInfo

SIZE = (96, 128)
INFO = SourceInfo("camera 7", *SIZE, Fraction(20), is_live=True)


class Clock:
    """A clock whose seconds pass only while something sleeps."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds


class FakeCapture:
    """Delivers grey pictures of level 2 n, one each `step_s` on a clock, then None."""

    def __init__(
        self,
        count: float,
        *,
        clock: Clock | None = None,
        step_s: float = 0.05,
        size: tuple[int, int] = SIZE,
        fps: float = 20.0,
        fault: str = "",
        at: dict[int, Callable[[], None]] | None = None,
    ) -> None:
        self._count, self._clock, self._step_s, self._size = count, clock, step_s, size
        self._fps, self._fault, self._at = fps, fault, at or {}
        self.reads = 0
        self.is_stopped = self.is_closed = False

    def open(self) -> tuple[int, int, float]:
        if self._fault:
            raise VidsalError(self._fault)
        return *self._size, self._fps

    def read(self) -> Rgb | None:
        number, self.reads = self.reads, self.reads + 1
        if number in self._at:
            self._at[number]()
        if number >= self._count or self.is_stopped:
            return None
        if self._clock:
            self._clock.now_s += self._step_s
        else:
            time.sleep(self._step_s)
        return np.full((*self._size, 3), 2 * number % 200, np.uint8)

    def stop(self) -> None:
        self.is_stopped = True

    def close(self) -> None:
        self.is_closed = True


def live_settings(**options: Any) -> Settings:
    """Options without a network, for small pictures."""
    known: dict[str, Any] = {
        "model": "none", "working_width": 64, "flow": "dis", "batch": 1, "static_every": 1,
        "sizes": "1",
    }  # fmt: skip
    return Settings(**known | options)


def faked_source(
    captures: Sequence[FakeCapture], clock: Clock, *, keeps_trying: bool = False,
    name: str = "7", **options: Any,
) -> LiveSource:  # fmt: skip
    """A source that reconnects to one capture after the other."""
    following = iter(captures)
    return LiveSource(
        name, live_settings(**options), keeps_trying=keeps_trying,
        open_capture=lambda address: next(following), clock=clock, sleep=clock.sleep,
    )  # fmt: skip


def hide_coded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let only decoded pictures have a size, as in a stream long before its next key frame."""
    coded_size = banner.coded_size
    monkeypatch.setattr(
        banner, "coded_size", lambda line: coded_size(line) if "rawvideo" in line else None
    )


def length_of(path: Path) -> tuple[int, float]:
    """Frames and seconds of a video."""
    count, seconds = imageio_ffmpeg.count_frames_and_secs(str(path))
    return int(count), float(seconds)


class FakePreview:
    """Keeps the shown pictures; a function names the pressed buttons."""

    draws_stats = True

    def __init__(self, pressed: Callable[[LiveStats | None], list[Button]]) -> None:
        self.shown: list[tuple[Rgb, LiveStats]] = []
        self._pressed = pressed

    def show(self, picture: Rgb, stats: LiveStats) -> None:
        self.shown.append((picture, stats))

    def pressed(self) -> list[Button]:
        return self._pressed(self.shown[-1][1] if self.shown else None)


def previewing(
    pressed: Callable[[LiveStats | None], list[Button]], kept: list[FakePreview] | None = None
) -> Callable[..., Any]:
    """Return a replacement for `open_preview`, which adds its preview to `kept`."""

    @contextmanager
    def opened(*_: Any, **__: Any) -> Iterator[FakePreview]:
        preview = FakePreview(pressed)
        if kept is not None:
            kept.append(preview)
        yield preview

    return opened


class FrameTurns:
    """Replaces the capture thread: the newest frame at the time of the clock.

    A frame arrives each `step_s`. The clock shows the time of arrival while a frame is captured.
    """

    def __init__(self, frames: Iterator[Frame], clock: Clock, step_s: float) -> None:
        self._frames, self._clock, self._step_s = frames, clock, step_s
        self.seen = self.dropped = 0

    def __iter__(self) -> Iterator[Frame]:
        next_s = self._clock.now_s + self._step_s
        while True:
            now_s, newest = self._clock.now_s, None
            while newest is None or next_s <= now_s:
                self._clock.now_s = next_s
                frame = next(self._frames, None)
                if frame is None:
                    break
                next_s += self._step_s
                self.seen += 1
                self.dropped += newest is not None
                newest = frame
            self._clock.now_s = max(self._clock.now_s, now_s)
            if newest is None:
                return
            yield newest


class ResultTurns:
    """Replaces the analysis thread: a result is computed when it is taken."""

    def __init__(self, results: Iterator[Saliency]) -> None:
        self._results = results
        self.is_over = False

    def take(self, timeout_s: float) -> Saliency | None:
        result = next(self._results, None)
        self.is_over = result is None
        return result


def taking_turns(clock: Clock, step_s: float) -> Callable[..., Any]:
    """Return a replacement for `newest` without threads: time passes on the clock alone."""

    @contextmanager
    def newest(
        items: Any, *, drops: bool = True, spare: bool = False
    ) -> Iterator[FrameTurns | ResultTurns]:
        yield FrameTurns(items, clock, step_s) if drops else ResultTurns(items)
        items.close()

    return newest
