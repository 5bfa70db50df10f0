"""Time of a run by stage: seconds of work and of waiting, and of the processor."""

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any, TypeVar, cast

from vidsal.types import Map, Request, Rgb, StaticStage

T = TypeVar("T")
_END = object()


class Stages:
    """Seconds spent in each stage of a run; each stage is measured in one thread only.

    Parameters
    ----------
    clock : callable
        Returns seconds from any fixed point.
    processor_clock : callable
        Returns the seconds of processor time that the calling thread has used. Work that a stage
        hands to other threads, such as those of the network, is not in it.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.perf_counter,
        processor_clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self._clock, self._processor_clock = clock, processor_clock
        self._began_s = clock()
        self._spent_s: dict[str, float] = {}
        self._used_s: dict[str, float] = {}
        self._inside: dict[str, tuple[str, ...]] = {}

    def spent_s(self, name: str) -> float:
        """Return the seconds spent in a stage, without those of the stages inside it.

        Parameters
        ----------
        name : str
        """
        return self._without_inner(self._spent_s, name)

    def used_s(self, name: str) -> float:
        """Return the seconds of processor time of a stage's own thread, without inner stages.

        Parameters
        ----------
        name : str
        """
        return self._without_inner(self._used_s, name)

    def _without_inner(self, seconds: dict[str, float], name: str) -> float:
        inner_s = sum(seconds.get(one, 0.0) for one in self._inside.get(name, ()))
        return seconds.get(name, 0.0) - inner_s

    def calls(self, name: str, work: Callable[..., T], *arguments: Any) -> T:
        """Call a function as a part of a stage, and return its result.

        Parameters
        ----------
        name : str
            The stage.
        work : callable
        *arguments : object
            Of `work`.
        """
        began_s, used_s = self._clock(), self._processor_clock()
        try:
            return work(*arguments)
        finally:
            self._spent_s[name] = self._spent_s.get(name, 0.0) + self._clock() - began_s
            self._used_s[name] = self._used_s.get(name, 0.0) + self._processor_clock() - used_s

    def items(self, name: str, items: Iterable[T], *, inside: tuple[str, ...] = ()) -> Iterator[T]:
        """Yield items; the time until each item comes is that of a stage.

        Parameters
        ----------
        name : str
            The stage.
        items : iterable
            Closed at the end, if it is a generator.
        inside : tuple of str
            Stages within this one, whose time is not counted twice.
        """
        self._inside[name] = inside
        iterator = iter(items)
        try:
            while (item := self.calls(name, next, iterator, _END)) is not _END:
                yield cast(T, item)
        finally:
            # A closed generator releases its resources.
            if isinstance(iterator, Generator):
                iterator.close()

    def static(self, name: str, stage: StaticStage | None) -> StaticStage | None:
        """Return a static stage whose calls are timed as a stage of the run.

        Parameters
        ----------
        name : str
            The stage of the run.
        stage : StaticStage or None
            ``None`` is returned as it is.
        """
        return None if stage is None else _TimedStatic(self, name, stage)

    def lines(self, frames: int) -> list[str]:
        """Return the lines of a table: milliseconds per frame, on the processor, and the share.

        Stages in parallel threads make the shares sum to more than 100 %.

        Parameters
        ----------
        frames : int
        """
        whole_s = max(self._clock() - self._began_s, 1e-9)
        lines = [f"{'stage':<20}{'ms a frame':>12}{'processor':>11}{'of the time':>13}"]
        for name in self._spent_s:
            spent_s = self.spent_s(name)
            each_ms = 1000 * spent_s / max(frames, 1)
            used_ms = 1000 * self.used_s(name) / max(frames, 1)
            lines.append(f"{name:<20}{each_ms:>12.2f}{used_ms:>11.2f}{spent_s / whole_s:>12.0%} ")
        each_ms = 1000 * whole_s / max(frames, 1)
        lines.append(f"{'all':<20}{each_ms:>12.2f}{'':>11}{frames / whole_s:>9.2f} /s ")
        return lines


class _TimedStatic:
    """A static stage whose calls are timed."""

    def __init__(self, stages: Stages, name: str, stage: StaticStage) -> None:
        self._stages, self._name, self._stage = stages, name, stage
        self.names, self.target, self.input_size = stage.names, stage.target, stage.input_size

    @property
    def precision(self) -> str | None:
        return self._stage.precision

    @property
    def is_decided(self) -> bool:
        return self._stage.is_decided

    def predict(self, rgb: Rgb) -> Map:
        return self._stages.calls(self._name, self._stage.predict, rgb)

    def maps(self, rgb: Rgb, requests: Sequence[Request]) -> Map:
        return self._stages.calls(self._name, self._stage.maps, rgb, requests)
