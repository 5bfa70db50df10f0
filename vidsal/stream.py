"""The stream from frames to saliency: lazy generators and the little state that runs along.

Never imports TensorFlow: the static half comes in as an object that makes maps of pictures. So all
of this runs in tests with a fake of a few lines.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np

from vidsal import accumulate, cuts, motion
from vidsal.accumulate import Budget, History
from vidsal.frames import Frame, Map, Motion, Prediction, Request, Rgb, Saliency, StaticStage
from vidsal.fusion import fuse
from vidsal.pace import Pace
from vidsal.scaling import ScaleState, to_unit
from vidsal.settings import Settings
from vidsal.targets import Lock, prediction

T = TypeVar("T")

# A scene in which nothing moves faster than this, in working pixels a frame, is quiet: what flow
# finds there is mostly noise (measured on clips of a still camera: 0.05 to 0.3).
_QUIET_PX = 0.5
# The sides of a network's input are multiples of this, its total stride, so that no border of the
# picture is lost to rounding on the way down.
_STRIDE_PX = 32
# No picture is so long that the network's input may be longer than this many short sides.
_LONGEST = 4


# Where more than this share of a history is lost, a frame draws gradients out of turn.
_WORN_OUT = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    """One frame and what is known of it before the network is asked.

    Attributes
    ----------
    is_first : bool
        Whether a scene begins here, with or without a cut.
    past : (flow, known) or None
        Backward flow to the previous frame and where it can be trusted.
    samples : int
        Gradients that the frame needs.
    """

    frame: Frame
    movement: Motion
    is_first: bool
    is_cut: bool
    past: tuple[Map, Map] | None
    samples: int


def analyse_frames(
    frames: Iterable[Frame],
    static: StaticStage | None,
    settings: Settings,
    *,
    batch: int,
    fps: float | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Saliency]:
    """Yield one `Saliency` a frame, in order.

    Parameters
    ----------
    frames : iterable of Frame
        All of one size.
    static : StaticStage or None
        The static half; ``None`` for motion alone.
    settings : Settings
    batch : int
        Frames that the static half gets together, and so the frames held at a time.
    fps : float, optional
        Rate to keep up with where ``static_every`` is "auto".
    clock : callable
        Seconds, for the same.
    """
    pace = Pace(settings.static_every, fps)
    if static is None:
        moved = _steps(frames, settings, None, pace)
        return _fused(((step, None, None) for step in moved), settings)
    budget = _budget(settings)
    awaited = _Awaited(frames, clock)
    drawn = _drawn(
        _steps(awaited, settings, budget, pace), static, settings,
        batch=batch, pace=pace, awaited=awaited, clock=clock,
    )  # fmt: skip
    return _fused(_gathered(drawn, budget, settings), settings)


class _Awaited:
    """Frames, and how long they were waited for: a camera that is kept up with is waited for."""

    def __init__(self, frames: Iterable[Frame], clock: Callable[[], float]) -> None:
        self._frames, self._clock, self.waited_s = frames, clock, 0.0

    def __iter__(self) -> Iterator[Frame]:
        began_s = self._clock()
        for frame in self._frames:
            self.waited_s += self._clock() - began_s
            yield frame
            began_s = self._clock()


def _budget(settings: Settings) -> Budget:
    """Return how many gradients a map is made of: the method decides what may be remembered."""
    if settings.method == "gradient":
        return Budget(1, 1)
    if settings.method == "integrated":
        return Budget(settings.samples, settings.samples)
    return Budget(settings.samples, settings.fresh)


def _steps(
    frames: Iterable[Frame], settings: Settings, budget: Budget | None, pace: Pace
) -> Iterator[_Step]:
    """Measure motion, notice cuts, and say how many gradients each frame needs."""
    colours: Map | None = None
    grey: Rgb | None = None
    weight: Map | None = None
    waited = 0
    for frame in frames:
        height, width = frame.rgb.shape[:2]
        size = motion.working_size(height, width, settings.working_width)
        small = motion.shrink(frame.rgb, size)
        before, colours = colours, cuts.histogram(small)
        is_cut = cuts.is_cut(before, colours)
        previous, grey = (None if is_cut else grey), motion.grey(small)
        past = None
        if previous is None:
            movement, weight = motion.still(grey.shape), np.zeros(grey.shape, np.float32)
        else:
            movement = motion.measure(previous, grey, model=settings.camera)
            if budget is not None and (budget.remembers or settings.static_every != 1):
                backward = motion.optical_flow(grey, previous)
                past = backward, accumulate.returns(backward, movement.flow)
        samples = 0
        if budget is not None:
            assert weight is not None
            weight = accumulate.carried(weight, past[0]) * past[1] if past else 0 * weight
            missing = budget.missing(weight)
            waited += 1
            if waited >= pace.every or (budget.remembers and missing > _WORN_OUT) or not past:
                samples, waited = budget.drawn(missing), 0
                weight = weight * np.float32(budget.fading(samples)) + np.float32(samples)
        yield _Step(frame, movement, previous is None, is_cut, past, samples)


def _drawn(
    steps: Iterable[_Step],
    static: StaticStage,
    settings: Settings,
    *,
    batch: int,
    pace: Pace,
    awaited: _Awaited,
    clock: Callable[[], float],
) -> Iterator[tuple[_Step, Map | None, Prediction]]:
    """Ask the network, a group of frames at a time, for the maps that are due and for classes."""
    classes = _Classes(static, settings.predict_every)
    began_s, waited_s = clock(), 0.0
    for group in batched(steps, batch):
        pictures = np.stack([network_picture(step.frame.rgb, static, settings) for step in group])
        words = classes.of(group, pictures)
        due = [n for n, step in enumerate(group) if step.samples]
        drawing_s = clock()
        maps: dict[int, Map] = {}
        if due:
            # A locked class is chosen here; any other target the stage knows by itself.
            locked = [words[n].target_id if static.target.is_locked else None for n in due]
            wanted = [
                Request(group[n].frame.index, group[n].samples, class_id)
                for n, class_id in zip(due, locked, strict=True)
            ]
            maps = dict(zip(due, static.maps(pictures[due], wanted), strict=True))
        drawing_s = clock() - drawing_s
        for n, step in enumerate(group):
            yield step, maps.get(n), words[n]
        working_s = clock() - began_s - (awaited.waited_s - waited_s)
        pace.took(len(group), len(due), drawing_s, working_s)
        began_s, waited_s = clock(), awaited.waited_s


class _Classes:
    """What the network sees along a stream, looked at now and then."""

    def __init__(self, static: StaticStage, every_s: float) -> None:
        self._static = static
        self._every_s = every_s
        self._looked_s = -math.inf
        self._lock = Lock()
        self._words: Prediction | None = None

    def of(self, steps: list[_Step], pictures: Rgb) -> list[Prediction]:
        """Return what is seen in each frame of a group; between two looks, what was seen last."""
        due = []
        for n, step in enumerate(steps):
            # Times are rounded quotients: due is what is due to a microsecond.
            if step.is_first or step.frame.time_s - self._looked_s >= self._every_s - 1e-6:
                due.append(n)
                self._looked_s = step.frame.time_s
        looks = iter(self._static.predict(pictures[due])) if due else iter(())
        words = []
        for n, step in enumerate(steps):
            if n in due:
                self._words = self._put_in_words(step, next(looks))
            assert self._words is not None
            words.append(self._words)
        return words

    def _put_in_words(self, step: _Step, probabilities: Map) -> Prediction:
        self._lock = Lock() if step.is_first else self._lock
        self._lock = self._lock.after(step.frame.time_s, int(probabilities.argmax()))
        target = self._static.target
        explained = self._lock.class_id if target.is_locked else target.class_id
        return prediction(probabilities, self._static.names, explained, top=target.top or 1)


def _gathered(
    drawn: Iterable[tuple[_Step, Map | None, Prediction]], budget: Budget, settings: Settings
) -> Iterator[tuple[_Step, Map, Prediction]]:
    """Carry what was drawn along the flow, and take in what is drawn anew."""
    history = History.empty((1, 1))
    for step, sampled, words in drawn:
        size = step.movement.speed.shape
        history = History.empty(size) if step.past is None else history.carried(*step.past)
        if sampled is not None:
            small = motion.shrink(sampled, size)
            history = history.plus(small, step.samples, budget.fading(step.samples))
        smooth = motion.smoothed(history.mean, settings.smooth)
        yield step, np.sign(smooth) * np.abs(smooth) ** np.float32(settings.contrast), words


def _fused(
    items: Iterable[tuple[_Step, Map | None, Prediction | None]], settings: Settings
) -> Iterator[Saliency]:
    """Bring both halves to one scale, and put them together."""
    static_scale, motion_scale = ScaleState(), ScaleState()
    for step, static, words in items:
        time_s = step.frame.time_s
        # That a first frame has nothing before it says nothing of how fast its scene moves.
        if step.is_first:
            static_scale, motion_scale = ScaleState(), ScaleState()
            moving = np.zeros_like(step.movement.speed)
        else:
            moving, motion_scale = to_unit(
                step.movement.speed, motion_scale, time_s=time_s, mode=settings.scale,
                floor=_QUIET_PX,
            )  # fmt: skip
        if static is not None:
            static, static_scale = to_unit(static, static_scale, time_s=time_s, mode=settings.scale)
        fused = fuse(static, moving, gain=settings.gain)
        yield Saliency(step.frame, static, moving, fused, step.movement, words, step.is_cut)


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of `size` items, the last one shorter."""
    iterator = iter(items)
    while group := list(islice(iterator, size)):
        yield group


def network_size(height_px: int, width_px: int, short_px: int) -> tuple[int, int]:
    """Return the (height, width) of the network's input: the picture's aspect in whole strides."""
    factor = short_px / min(height_px, width_px)

    def side(pixels: int) -> int:
        strides = round(min(pixels * factor, short_px * _LONGEST) / _STRIDE_PX)
        return max(1, strides) * _STRIDE_PX

    return side(height_px), side(width_px)


def network_picture(rgb: Rgb, static: StaticStage, settings: Settings) -> Rgb:
    """Return a picture at the size of the network's input, (h, w, 3) uint8."""
    height, width = rgb.shape[:2]
    size = static.input_size or network_size(height, width, settings.short_side)
    return motion.shrink(rgb, size)
