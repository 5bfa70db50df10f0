"""The stream from frames to saliency: lazy generators and the little state that runs along.

Never imports TensorFlow: the static half comes in as an object that makes maps of pictures. So all
of this runs in tests with a fake of a few lines.
"""

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import NamedTuple, TypeVar

import numpy as np

from vidsal import motion
from vidsal.accumulate import Budget, History, Trail
from vidsal.cuts import Verdict, histogram
from vidsal.frames import Frame, Map, Motion, Prediction, Request, Rgb, Saliency, StaticStage
from vidsal.fusion import centre_prior, fuse, held, motion_share, peak
from vidsal.memory import Memory
from vidsal.outlines import outlined
from vidsal.pace import Pace
from vidsal.prefetch import Begin, helper
from vidsal.scaling import Scale, Scales, clipped, contrasted, modes
from vidsal.settings import Settings
from vidsal.targets import Lock, prediction
from vidsal.warp import carried

T = TypeVar("T")

# A scene in which nothing moves faster than this, in diagonals of the picture a second, is quiet:
# what flow finds there is mostly noise (on clips of a still camera 0.003 to 0.02), and something
# real would take half a minute to cross the picture.
_QUIET = 0.03
# Seconds between frames whose times do not tell.
_STEP_S = 1 / 25
# No camera is faster; two frames with nearly the same time are a recorder's slip.
_LEAST_S = 1 / 240
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
    small : (h, w, 3) uint8 array
        The scene at working size: the frame, or in a flash the one before it.
    speed : (h, w) float32 array
        Own speed of things, averaged along the flow, in diagonals a second.
    verdict : str
        What the frame is in the course of scenes; see `vidsal.cuts.Scenes`.
    samples : int
        Gradients that the frame needs.
    """

    frame: Frame
    small: Rgb
    movement: Motion
    speed: Map
    verdict: Verdict
    samples: int = 0

    @property
    def is_first(self) -> bool:
        """Whether a scene begins here, with or without a cut."""
        return self.verdict == "first" or self.is_cut

    @property
    def is_cut(self) -> bool:
        """Whether a scene begins here, and another one ended."""
        return self.verdict in ("cut", "recut")


# Takes steps, and hands them on while it is open.
Lead = Callable[[Iterator[_Step]], AbstractContextManager[Iterable[_Step]]]


class Halves(NamedTuple):
    """Both halves of one frame before they are brought to a scale and fused.

    Attributes
    ----------
    step : _Step
        The frame and its motion.
    static : (h, w) float32 array or None
        Accumulated gradient map, of no scale; ``None`` without a network.
    prediction : Prediction or None
        What the network saw.
    """

    step: _Step
    static: Map | None
    prediction: Prediction | None


def analyse_frames(
    frames: Iterable[Frame],
    static: StaticStage | None,
    settings: Settings,
    *,
    batch: int,
    pace: Pace | None = None,
    ahead: bool = True,
    clock: Callable[[], float] = time.perf_counter,
    memory: Memory | None = None,
    part: int | None = None,
    lead: Lead = nullcontext,
) -> Generator[Saliency, None, None]:
    """Yield one `Saliency` a frame, in order: `halves`, `fused`; see these.

    After each `part` frames `memory` is what an analysis of the frames after them has to begin
    with, to give what this one will give: nothing has looked further but for the one frame ahead
    that tells a flash from a cut, and that leaves no trace.
    """
    memory = memory or Memory()
    both = halves(
        frames, static, settings, batch=batch, pace=pace, ahead=ahead, clock=clock,
        memory=memory, part=part, lead=lead,
    )  # fmt: skip
    # Not left to whoever keeps an error, and with it all that was going on.
    with closing(both):
        yield from fused(both, settings, memory=memory)


def halves(
    frames: Iterable[Frame],
    static: StaticStage | None,
    settings: Settings,
    *,
    batch: int,
    pace: Pace | None = None,
    ahead: bool = True,
    clock: Callable[[], float] = time.perf_counter,
    memory: Memory | None = None,
    part: int | None = None,
    lead: Lead = nullcontext,
) -> Generator[Halves, None, None]:
    """Yield the static and the dynamic half of each frame, in order.

    A thread helps until the last one came, or this is closed.

    Parameters
    ----------
    frames : iterable of Frame
        All of one size.
    static : StaticStage or None
        The static half; ``None`` for motion alone.
    settings : Settings
    batch : int
        Gradients that the static half gets to draw together, and the most frames held at a time.
    pace : Pace, optional
        Which frames draw gradients; by default there is no rate to keep up with.
    ahead : bool
        Look one frame ahead to tell a flash from a cut; without, no frame waits for the next.
    clock : callable
        Seconds, by which the pace is measured.
    memory : Memory, optional
        To go on from, and to keep up to date; an empty one if not given.
    part : int, optional
        After so many frames each time, none is held; by default that happens as it may.
    lead : callable, optional
        Lets motion be found beside the network: `vidsal.prefetch.prefetch` with a depth, for one.
    """
    memory = memory or Memory()
    # One thread for all frames: of one for each, the allocator keeps a little more every time.
    with helper("flow") as begin:
        if static is None:
            for step in _moved(frames, settings, memory, begin, ahead=ahead):
                yield Halves(step, None, None)
            return
        pace = pace or Pace(settings.static_every)
        budget = _budget(settings)
        remembers = budget.remembers or settings.static_every != 1
        awaited = _Awaited(frames, clock)
        moved = _moved(awaited, settings, memory, begin, ahead=ahead)
        planned = _planned(moved, budget, pace, memory, remembers=remembers)
        classes = _Classes(static, settings.predict_every, memory)
        # Closed by whatever ends this: until then, motion may be sought in another thread.
        with closing(_led(planned, lead, part)) as led:
            drawn = _drawn(
                grouped(led, batch, part), static, settings, classes, pace=pace, awaited=awaited,
                clock=clock,
            )  # fmt: skip
            yield from _gathered(drawn, budget, settings, memory, remembers=remembers)


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


def _moved(
    frames: Iterable[Frame],
    settings: Settings,
    memory: Memory,
    begin: Begin[Map],
    *,
    ahead: bool,
) -> Iterator[_Step]:
    """Measure motion, and notice where a scene begins."""
    measure = partial(motion.measure, model=settings.camera, how=settings.flow, begin=begin)
    for frame, small, verdict in _judged(frames, settings, memory, ahead=ahead):
        yield _measured(frame, small, verdict, measure, memory)


def _measured(
    frame: Frame,
    small: Rgb,
    verdict: Verdict,
    measure: Callable[[Rgb, Rgb], Motion],
    memory: Memory,
) -> _Step:
    """Return how a frame moves against the one before it, and remember it for the next."""
    size = (small.shape[0], small.shape[1])
    trail = memory.trails.at(verdict, partial(Trail.empty, size))
    if memory.small is None or verdict != "same":
        # In a flash nothing shows where things went: they stand still for it.
        movement = motion.still(size, known=verdict in ("flash", "return"))
    else:
        movement = measure(motion.grey(memory.small), motion.grey(small))
        seconds = frame.time_s - memory.before_s
        seconds = max(seconds, _LEAST_S) if seconds > 0 else _STEP_S
        speed = motion.diagonals_a_second(movement.speed, seconds)
        trail = memory.trails.now = trail.after(speed, movement.backward, seconds)
    if verdict != "flash":
        # The frame after a flash is compared with the one before it.
        memory.small, memory.before_s = small, frame.time_s
    assert memory.small is not None
    return _Step(frame, memory.small, movement, trail.mean, verdict)


def _judged(
    frames: Iterable[Frame], settings: Settings, memory: Memory, *, ahead: bool
) -> Iterator[tuple[Frame, Rgb, Verdict]]:
    """Yield frames with their small pictures, and what each is in the course of scenes."""

    def seen(frame: Frame) -> tuple[Frame, Rgb, Map]:
        height, width = frame.rgb.shape[:2]
        small = motion.shrink(frame.rgb, motion.working_size(height, width, settings.working_width))
        return frame, small, histogram(small)

    items = map(seen, frames)
    if not ahead:
        for frame, small, colours in items:
            yield frame, small, memory.scenes.verdict(colours, None, frame.time_s)
        return
    now = next(items, None)
    while now:
        following, failure = None, None
        try:
            # One frame ahead: only what comes next tells a flash from a cut.
            following = next(items, None)
        except Exception as error:
            # It comes after what was before it.
            failure = error
        frame, small, colours = now
        coming = following[2] if following else None
        yield frame, small, memory.scenes.verdict(colours, coming, frame.time_s)
        if failure:
            raise failure
        now = following


def _planned(
    steps: Iterable[_Step], budget: Budget, pace: Pace, memory: Memory, *, remembers: bool
) -> Generator[_Step, None, None]:
    """Say how many gradients each frame needs."""
    weights = memory.weights
    for step in steps:
        moved = step.movement
        new = partial(np.zeros_like, moved.known)
        weight = weights.at(step.verdict, new)
        has_past = remembers and not step.is_first
        weight = carried(weight, moved.backward) * moved.known if has_past else new()
        missing = budget.missing(weight)
        memory.undrawn += 1
        samples = 0
        is_due = memory.undrawn >= pace.every or (budget.remembers and missing > _WORN_OUT)
        # What a flash shows is not of the scene.
        if (is_due and step.verdict != "flash") or not has_past:
            samples, memory.undrawn = budget.drawn(missing), 0
            weight = weight * np.float32(budget.fading(samples)) + np.float32(samples)
        weights.now = weight
        yield replace(step, samples=samples)


def _led(
    steps: Generator[_Step, None, None], lead: Lead, part: int | None
) -> Generator[_Step, None, None]:
    """Yield steps that are found ahead of what is done with them, but never beyond a part."""
    count = part
    with closing(steps):
        while count == part:
            count = 0
            with lead(islice(steps, part)) as found:
                for step in found:
                    count += 1
                    yield step
            if part is None:
                return


def grouped(steps: Iterable[_Step], samples: int, part: int | None) -> Iterator[list[_Step]]:
    """Yield frames in groups that need so many samples together, and are as many at most.

    Most frames need one, some many: groups of even numbers of frames would fill one call and leave
    little for the next. With the `part`-th frame, and each multiple of that, a group ends.
    """
    group: list[_Step] = []
    failure = None
    try:
        for n, step in enumerate(steps, start=1):
            group.append(step)
            is_full = sum(one.samples for one in group) >= samples or len(group) == samples
            if is_full or (part and n % part == 0):
                yield group
                group = []
    except Exception as error:
        # It comes after what was before it.
        failure = error
    if group:
        yield group
    if failure:
        raise failure


def _drawn(
    groups: Iterable[list[_Step]],
    static: StaticStage,
    settings: Settings,
    classes: "_Classes",
    *,
    pace: Pace,
    awaited: _Awaited,
    clock: Callable[[], float],
) -> Iterator[tuple[_Step, Map | None, Prediction]]:
    """Ask the network, a group of frames at a time, for the maps that are due and for classes."""
    began_s, waited_s = clock(), 0.0
    for group in groups:
        pictures = _Pictures(group, static, settings)
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
            maps = dict(zip(due, static.maps(pictures.of(due), wanted), strict=True))
        drawing_s = clock() - drawing_s
        for n, step in enumerate(group):
            yield step, maps.get(n), words[n]
        working_s = clock() - began_s - (awaited.waited_s - waited_s)
        pace.took(len(group), len(due), drawing_s, working_s)
        began_s, waited_s = clock(), awaited.waited_s


class _Pictures:
    """The frames of a group at the size of the network's input, made when they are first needed."""

    def __init__(self, steps: list[_Step], static: StaticStage, settings: Settings) -> None:
        self._steps, self._static, self._settings = steps, static, settings
        self._made: dict[int, Rgb] = {}

    def of(self, numbers: list[int]) -> Rgb:
        """Return some of them, (n, h, w, 3) uint8."""
        for n in numbers:
            if n not in self._made:
                rgb = self._steps[n].frame.rgb
                self._made[n] = network_picture(rgb, self._static, self._settings)
        return np.stack([self._made[n] for n in numbers])


class _Classes:
    """What the network sees along a stream, looked at now and then."""

    def __init__(self, static: StaticStage, every_s: float, memory: Memory) -> None:
        self._static = static
        self._every_s = every_s
        self._memory = memory

    def of(self, steps: list[_Step], pictures: "_Pictures") -> list[Prediction]:
        """Return what is seen in each frame of a group; between two looks, what was seen last."""
        memory, due = self._memory, []
        for n, step in enumerate(steps):
            # Times are rounded quotients: due is what is due to a microsecond.
            is_later = step.frame.time_s - memory.looked_s >= self._every_s - 1e-6
            is_new = step.verdict not in ("same", "flash")
            if is_new or (is_later and step.verdict != "flash"):
                due.append(n)
                memory.looked_s = step.frame.time_s
        looks = iter(self._static.predict(pictures.of(due))) if due else iter(())
        words = []
        for n, step in enumerate(steps):
            if n in due:
                memory.prediction = self._put_in_words(step, next(looks))
            assert memory.prediction is not None
            words.append(memory.prediction)
        return words

    def _put_in_words(self, step: _Step, probabilities: Map) -> Prediction:
        locks = self._memory.locks
        lock = locks.at(step.verdict, Lock).after(step.frame.time_s, int(probabilities.argmax()))
        locks.now = lock
        target = self._static.target
        explained = lock.class_id if target.is_locked else target.class_id
        return prediction(probabilities, self._static.names, explained, top=target.top or 1)


def _gathered(
    drawn: Iterable[tuple[_Step, Map | None, Prediction]],
    budget: Budget,
    settings: Settings,
    memory: Memory,
    *,
    remembers: bool,
) -> Iterator[Halves]:
    """Carry what was drawn along the flow, and take in what is drawn anew."""
    histories = memory.histories
    for step, sampled, words in drawn:
        moved = step.movement
        new = partial(History.empty, moved.known.shape)
        history = histories.at(step.verdict, new)
        has_past = remembers and not step.is_first
        history = history.carried(moved.backward, moved.known) if has_past else new()
        if sampled is not None:
            # One number that is none, or has no end, would stay in the history for ever.
            finite = np.nan_to_num(sampled, posinf=0.0, neginf=0.0)
            small = motion.shrink(finite, moved.speed.shape)
            history = history.plus(small, step.samples, budget.fading(step.samples))
        histories.now = history
        yield Halves(step, motion.smoothed(history.mean, settings.smooth), words)


def fused(
    items: Iterable[Halves], settings: Settings, *, memory: Memory | None = None
) -> Iterator[Saliency]:
    """Bring both halves to their scales, put them together, and the result to its own."""
    memory = memory or Memory()
    for item in items:
        verdict = item.step.verdict
        new = partial(_scales, settings, has_static=item.static is not None)
        scales, last = memory.scales.at(verdict, new), memory.rings.at(verdict, lambda: None)
        saliency = _saliency(item, scales, last, settings)
        # Where nothing stands out for a moment, it is not forgotten.
        memory.rings.now = saliency.ring or last
        yield saliency


def _scales(settings: Settings, *, has_static: bool) -> Scales:
    """Return the scales that a scene begins with."""
    static, moving, both = modes(settings.scale, has_static=has_static)
    return Scales(Scale(static), Scale(moving, floor=_QUIET), Scale(both))


def _saliency(
    item: Halves, scales: Scales, last: tuple[float, float] | None, settings: Settings
) -> Saliency:
    """Return what is known of the next frame of a scene, which has these scales and last ring."""
    step, time_s = item.step, item.step.frame.time_s
    # That a first frame has nothing before it says nothing of how fast its scene moves, nor of
    # how high both halves together will reach.
    speed = scales.motion(step.speed, time_s, remembers=not step.is_first)
    moving = clipped(speed)
    if scales.motion.begins:
        # Nor do those in which nothing moved yet.
        scales.fused.forget()
    static, both, share, high = None, moving, 1.0, scales.motion.high
    # Both before they are clipped, which leaves all that stands out with one height.
    whole = speed
    if item.static is not None:
        on_scale = scales.static(item.static, time_s)
        peaks, both, share = _together(on_scale, scales.static.strength, moving, step, settings)
        static = clipped(peaks)
        if settings.fusion != "motion":
            high = scales.static.high
    if prior := settings.centre_prior:
        weights = centre_prior(both.shape, prior)
        both, whole = both * weights, whole * weights
    # Motion alone is on its scale already, which does not blow up what is still.
    if item.static is not None:
        whole = scales.fused(both, time_s, remembers=not step.is_first)
        both = clipped(whole)
        high *= scales.fused.high
    top = peak(whole)
    return Saliency(
        frame=step.frame, static=static, motion=moving, fused=both, movement=step.movement,
        speed=step.speed, prediction=item.prediction, is_cut=step.is_cut, motion_share=share,
        static_high=scales.static.high, motion_high=scales.motion.high, fused_high=high,
        peak=top, ring=held(whole, top, last),
    )  # fmt: skip


def _together(
    on_scale: Map, strength: float, moving: Map, step: _Step, settings: Settings
) -> tuple[Map, Map, float]:
    """Return the static map with its contrast, both halves fused, and motion's share of that."""
    how, gain = settings.fusion, settings.gain
    contrast = partial(contrasted, power=settings.contrast, strength=strength)
    # Not clipped before it is fused: motion is to choose from its peaks.
    static, sharp = contrast(on_scale), None
    if how == "gain" and gain and moving.any():
        # What moves ends at an edge of the picture, which the smoothing of gradients went across.
        sharp = contrast(outlined(on_scale, step.small, settings.smooth * max(on_scale.shape)))
    both = fuse(static, moving, how=how, gain=gain, amplified=sharp)
    share = 1.0 if how == "motion" else motion_share(static, both)
    return static, both, share


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
