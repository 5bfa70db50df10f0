"""The analysis of something live: its working size and target may change while it runs."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain, takewhile

import numpy as np

from vidsal.live.resolution import Size, Sizing, sizes
from vidsal.live.statistics import Counting
from vidsal.saliency.schedule import GradientSchedule
from vidsal.saliency.static_stage import network_picture
from vidsal.saliency.stream import SaliencyStream
from vidsal.settings import Settings
from vidsal.types import (
    Aimable,
    Frame,
    Prediction,
    Request,
    Saliency,
    SourceInfo,
    StaticStage,
    Target,
)

# Gradients are paced as for a rate this much higher: work that just fits waits for its turn.
_HEADROOM = 1.25
# Share of a new measurement in how long a frame takes.
_NEW = 0.1


class Adaptive:
    """Analyses frames one by one, without waiting for the next, in a size that keeps up.

    Where the size or the target changes, the analysis begins anew, as after a cut.

    Parameters
    ----------
    static : StaticStage or None
    settings : Settings
        Its ``working_width`` and ``short_side`` are the largest that are used.
    info : SourceInfo
        Of the source.
    latency_target_ms : float or None
        See `vidsal.live.resolution.Sizing`.
    model_name : str or None
        Name of the network.
    clock : callable
        Seconds.
    """

    def __init__(
        self,
        static: StaticStage | None,
        settings: Settings,
        info: SourceInfo,
        latency_target_ms: float | None = None,
        model_name: str | None = None,
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._settings, self._info, self._clock = settings, info, clock
        self._model_name = model_name
        steps = sizes(settings.working_width, settings.short_side)
        if static is not None and static.input_size is not None:
            steps = list(
                dict.fromkeys(step._replace(short_side=settings.short_side) for step in steps)
            )
        self._steps = steps
        self._sizing = Sizing(steps, latency_target_ms)
        # Read by the thread that analyses, replaced by the one that shows.
        self._wanted: tuple[Size, StaticStage | None] = (self._sizing.now, static)
        self._first_target = static.target if static else None
        # One for all sizes: what was learnt of one is a better guess for the next than nothing.
        self._schedule = GradientSchedule(settings.static_every, float(info.fps or 30) * _HEADROOM)
        self._cost_s = 0.0

    @property
    def size(self) -> Size:
        """The working size in use."""
        return self._wanted[0]

    @property
    def every(self) -> int:
        """Gradients are drawn on every so many frames."""
        return self._schedule.every

    def prepare(self) -> None:
        """Draw a gradient in each size: the first one takes seconds, and later nobody can wait."""
        static = self._wanted[1]
        if static is None:
            return
        blank = np.zeros((self._info.height_px, self._info.width_px, 3), np.uint8)
        request = Request(0, 1, 0 if static.target.is_locked else None)
        for step in self._steps:
            picture = network_picture(blank, static, self._sized(step).short_side)[None]
            static.predict(picture)
            static.maps(picture, [request])

    def results(self, frames: Iterable[Frame]) -> Iterator[Saliency]:
        """Yield one `Saliency` a frame."""
        frames = iter(frames)
        for first in frames:
            wanted = self._wanted
            size, static = wanted
            self._schedule.restart()
            # The frame with which a change is noticed is left out.
            same = takewhile(lambda _, wanted=wanted: self._wanted is wanted, frames)  # type: ignore[misc]
            yield from self._timed(chain([first], same), static, self._sized(size))

    def adapt(self, now_s: float, counting: Counting) -> None:
        """Take in how things go, and change the size where that is called for."""
        fps_in, fps_out, _ = counting.rates
        size = self._sizing.after(
            now_s, fps_in=fps_in, fps_out=fps_out, latency_ms=counting.latency_ms,
            busy=self._cost_s * fps_out,
        )  # fmt: skip
        if size != self._wanted[0]:
            self._wanted = (size, self._wanted[1])

    def resume(self) -> None:
        """Go on after a pause, of which the size takes no notice."""
        self._sizing.resume()

    def aim_next(self, seen: Prediction | None) -> None:
        """Explain the next target: what was asked for, the best class, a locked one, that seen."""
        static = self._wanted[1]
        if static is None or not isinstance(static, Aimable):
            return
        likeliest = [Target(class_id=seen.class_ids[0])] if seen else []
        targets = [self._first_target, Target(top=1), Target(is_locked=True), *likeliest]
        kinds = list(dict.fromkeys(target for target in targets if target))
        now = static.target
        # A class that is explained is the last of them, whichever is seen by now.
        place = kinds.index(now) if now in kinds else len(kinds) - 1
        self._wanted = (self._wanted[0], static.aimed(kinds[(place + 1) % len(kinds)]))

    def _sized(self, size: Size) -> Settings:
        return replace(self._settings, working_width=size.working_width, short_side=size.short_side)

    def _timed(
        self, frames: Iterable[Frame], static: StaticStage | None, settings: Settings
    ) -> Iterator[Saliency]:
        """Analyse, and note how long a frame takes from when it was taken."""
        taken_s = self._clock()

        def taken() -> Iterator[Frame]:
            nonlocal taken_s
            for frame in frames:
                taken_s = self._clock()
                yield frame

        stream = SaliencyStream(
            static, settings, batch=1, model_name=self._model_name, schedule=self._schedule,
            looks_ahead=False, clock=self._clock,
        )  # fmt: skip
        for saliency in stream.analyse(taken()):
            cost_s = self._clock() - taken_s
            self._cost_s += _NEW * (cost_s - self._cost_s)
            yield saliency
