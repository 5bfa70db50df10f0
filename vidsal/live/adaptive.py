"""Analysis of a live source, whose working size and target may change while it runs."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from vidsal.live.resolution import Size, SizeController, sizes
from vidsal.live.statistics import StatsCollector
from vidsal.runtime.opencv import cv2
from vidsal.saliency.schedule import GradientSchedule
from vidsal.saliency.state import MotionState, SamplingState, StaticState, StreamState
from vidsal.saliency.static_stage import network_picture, sample_sizes
from vidsal.saliency.stream import SaliencyStream
from vidsal.settings import Settings
from vidsal.types import (
    Aimable,
    Frame,
    Prediction,
    Request,
    Rgb,
    Saliency,
    SourceInfo,
    StaticStage,
    Target,
)

# Gradients are scheduled for a frame rate this much higher: work that just fits causes queueing.
_HEADROOM = 1.25
# Weight of a new measurement in the running mean of the time that a frame takes.
_NEW_WEIGHT = 0.1
# Two frames with more than this time between them, and so many times the one before it, show no
# motion that could be measured.
_GAP_S, _GAP_INTERVALS = 1.0, 3


class Adaptive:
    """Analyses frames one by one, without reading ahead, at a size that keeps up.

    A change of size or target restarts the analysis, as a cut does.

    Parameters
    ----------
    static : StaticStage or None
    settings : Settings
        ``working_width`` and ``short_side`` are the largest size.
    info : SourceInfo
    latency_target_ms : float or None
        See `vidsal.live.resolution.SizeController`.
    model_name : str or None
        Name of the network.
    clock : callable
        Returns seconds.
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
        self._sizes = sizes(settings.working_width, settings.short_side)
        if static is not None and static.input_size is not None:
            # The network takes no other size.
            short_side = settings.short_side
            fixed = (size._replace(short_side=short_side) for size in self._sizes)
            self._sizes = list(dict.fromkeys(fixed))
        self._size_controller = SizeController(self._sizes, latency_target_ms)
        # The analysis thread reads this tuple; the main thread replaces it.
        self._current: tuple[Size, StaticStage | None] = (self._size_controller.now, static)
        self._first_target = static.target if static else None
        # One schedule for all sizes: measurements at one size are the best guess for the next.
        self._schedule = GradientSchedule(settings.static_every, float(info.fps or 30) * _HEADROOM)
        self._cost_s = 0.0

    @property
    def size(self) -> Size:
        """The working size in use."""
        return self._current[0]

    @property
    def every(self) -> int:
        """Gradients are computed for one of so many frames."""
        return self._schedule.every

    def prepare(self) -> None:
        """Run the network at each size: the first call takes seconds."""
        static = self._current[1]
        if static is None:
            return
        scene = Frame(_natural(self._info.height_px, self._info.width_px), 0, 0.0)
        request = Request(0, 1, 0 if static.target.is_locked else None)
        # Twice: a network that tries which arithmetic is quicker decides within the first round.
        for size in self._sizes * 2:
            options = self._at_size(size)
            static.predict(network_picture(scene, static, options.short_side)[None])
            for short_px in sample_sizes(options, static):
                static.maps(network_picture(scene, static, short_px)[None], [request])

    def results(self, frames: Iterable[Frame]) -> Iterator[Saliency]:
        """Yield one `Saliency` for each frame.

        After a gap in time no motion is measured, and the gap does not count for the memory of the
        scales: the slow "motion" across it would lower the scale, and amplify the next frames.

        Parameters
        ----------
        frames : iterable of Frame
        """
        stretches = _Stretches(frames, self._clock)
        state: StreamState | None = None
        current = self._current
        for first in stretches.firsts():
            if state is None or self._current is not current:
                state, current = StreamState(), self._current
                self._schedule.restart()
            else:
                state = _after_gap(state)
            size, static = current
            same = stretches.until(first, partial(self._is_current, current))
            yield from self._timed(stretches, same, static, self._at_size(size), state)

    def _is_current(self, state: tuple[Size, StaticStage | None]) -> bool:
        return self._current is state

    def adapt(self, now_s: float, stats: StatsCollector) -> None:
        """Change the size if the statistics call for it.

        Parameters
        ----------
        now_s : float
        stats : StatsCollector
        """
        fps_in, fps_out, _ = stats.rates
        size = self._size_controller.update(
            now_s, fps_in=fps_in, fps_out=fps_out, latency_ms=stats.latency_ms,
            busy=self._cost_s * fps_out,
        )  # fmt: skip
        if size != self._current[0]:
            self._current = (size, self._current[1])

    def resume(self) -> None:
        """Continue after a pause, which must not change the size."""
        self._size_controller.resume()

    def next_target(self, prediction: Prediction | None) -> None:
        """Switch to the next target: the requested one, the top class, a locked class, this class.

        Parameters
        ----------
        prediction : Prediction or None
            The last prediction, whose top class becomes the last of these targets.
        """
        static = self._current[1]
        if static is None or not isinstance(static, Aimable):
            return
        top_class = [Target(class_id=prediction.class_ids[0])] if prediction else []
        targets = [self._first_target, Target(top=1), Target(is_locked=True), *top_class]
        cycle = list(dict.fromkeys(target for target in targets if target))
        # A class that is no longer the top class still counts as the last target.
        index = cycle.index(static.target) if static.target in cycle else len(cycle) - 1
        self._current = (self._current[0], static.aimed(cycle[(index + 1) % len(cycle)]))

    def _at_size(self, size: Size) -> Settings:
        return replace(self._settings, working_width=size.working_width, short_side=size.short_side)

    def _timed(
        self,
        stretches: "_Stretches",
        frames: Iterable[Frame],
        static: StaticStage | None,
        settings: Settings,
        state: StreamState,
    ) -> Iterator[Saliency]:
        """Analyse frames, and measure the time from reading a frame to its result."""
        stream = SaliencyStream(
            static, settings, batch=1, model_name=self._model_name, schedule=self._schedule,
            looks_ahead=False, clock=self._clock, state=state,
        )  # fmt: skip
        for saliency in stream.analyse(frames):
            cost_s = self._clock() - stretches.read_s
            self._cost_s += _NEW_WEIGHT * (cost_s - self._cost_s)
            yield replace(saliency, frame=stretches.frame)


def _after_gap(state: StreamState) -> StreamState:
    """Return the state after a gap: scenes, classes and scales continue, pictures do not."""
    return StreamState(
        motion=MotionState(scenes=state.motion.scenes),
        # A new one: its first frame draws gradients.
        sampling=SamplingState(),
        static=StaticState(locks=state.static.locks),
        fusion=state.fusion,
    )


class _Stretches:
    """Splits frames where time has a gap, and gives them times without the gaps.

    Attributes
    ----------
    frame : Frame
        The last frame, with its own time.
    read_s : float
        When it was read, on the clock.
    """

    frame: Frame

    def __init__(self, frames: Iterable[Frame], clock: Callable[[], float]) -> None:
        self._frames, self._clock = iter(frames), clock
        self._next: Frame | None = None
        self._before: Frame | None = None
        self._interval_s = self._gaps_s = 0.0
        self.read_s = clock()

    def firsts(self) -> Iterator[Frame]:
        """Yield the first frame of each stretch."""
        self._read()
        while self._next is not None:
            yield self._next

    def until(self, first: Frame, is_same: Callable[[], bool]) -> Iterator[Frame]:
        """Yield the frames from the first one until a gap, or until a condition fails."""
        following: Frame | None = first
        while following is not None:
            self.frame, self._next = following, None
            yield replace(following, time_s=following.time_s - self._gaps_s)
            is_gap = self._read()
            following = self._next
            if is_gap or not is_same():
                return

    def _read(self) -> bool:
        """Read the next frame; return whether there is a gap before it."""
        self._next = following = next(self._frames, None)
        self.read_s = self._clock()
        before, self._before = self._before, following
        if before is None or following is None:
            return False
        interval_s = following.time_s - before.time_s
        is_gap = interval_s > max(_GAP_S, _GAP_INTERVALS * self._interval_s)
        if is_gap:
            # The next frame follows as if it were on time.
            self._gaps_s += interval_s - self._interval_s
        # A slower rate from now on is a gap only once.
        self._interval_s = interval_s
        return is_gap


def _natural(height_px: int, width_px: int) -> Rgb:
    """Return a picture of coarse and fine noise, with the spectrum of natural ones.

    A network that tries which arithmetic is quicker compares its maps of this picture.
    """
    rng, total = np.random.default_rng(0), np.zeros((height_px, width_px, 3), np.float32)
    for cells in (2, 4, 8, 16, 32, 64):
        noise = rng.normal(0, 128 / cells, (cells, cells, 3)).astype(np.float32)
        total += cv2.resize(noise, (width_px, height_px), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.clip(total + 128, 0, 255), np.uint8)
