"""Shared by the tests of live: a fake clock, camera and preview, and threads replaced by turns."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np

from vidsal.errors import VidsalError
from vidsal.live.preview import Button
from vidsal.live.statistics import LiveStats
from vidsal.settings import Settings
from vidsal.sources.live import LiveSource
from vidsal.types import Rgb, SourceInfo

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
    known: dict[str, Any] = {"model": "none", "working_width": 64, "flow": "dis", "batch": 1}
    return Settings(**known | options)


def faked_source(
    captures: Sequence[FakeCapture], clock: Clock, *, keeps_trying: bool = False, **options: Any
) -> LiveSource:
    """A source that reconnects to one capture after the other."""
    following = iter(captures)
    return LiveSource(
        "7", live_settings(**options), keeps_trying=keeps_trying,
        open_capture=lambda address: next(following), clock=clock, sleep=clock.sleep,
    )  # fmt: skip


def length_of(path: Path) -> tuple[int, float]:
    """Frames and seconds of a video."""
    count, seconds = imageio_ffmpeg.count_frames_and_secs(str(path))
    return int(count), float(seconds)


class FakePreview:
    """Keeps what it is shown; a function names the pressed buttons."""

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
