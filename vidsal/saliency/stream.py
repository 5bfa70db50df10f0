"""The stream from frames to saliency: lazy generators and the little state that runs along.

Never imports TensorFlow: the static half comes in as an object that makes maps of pictures. So all
of this runs in tests with a fake of a few lines.
"""

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from functools import partial
from itertools import islice
from typing import NamedTuple

import numpy as np

from vidsal import image_ops
from vidsal.runtime.prefetch import helper
from vidsal.saliency.fusion import centre_prior, fuse, motion_share
from vidsal.saliency.guided_filter import guided_filter
from vidsal.saliency.motion_stage import FrameMotion, TimedInput, moved, planned
from vidsal.saliency.normalization import Scale, Scales, clipped, contrasted, modes
from vidsal.saliency.regions import peak, stabilized_peak
from vidsal.saliency.schedule import Pace
from vidsal.saliency.state import Memory
from vidsal.saliency.targets import LOCK_EVERY_S, Lock, prediction
from vidsal.saliency.temporal import GradientAverage, SamplePlan
from vidsal.settings import Settings
from vidsal.types import Frame, Map, Prediction, Request, Rgb, Saliency, StaticStage

# A scene in which nothing moves faster than this, in diagonals of the picture a second, is quiet:
# what flow finds there is mostly noise (on clips of a still camera 0.003 to 0.02), and something
# real would take half a minute to cross the picture.
_QUIET = 0.03
# The sides of a network's input are multiples of this, its total stride, so that no border of the
# picture is lost to rounding on the way down.
_STRIDE_PX = 32
# No picture is so long that the network's input may be longer than this many short sides.
_LONGEST = 4
# Gradients beyond this would overflow when they are summed.
_FAR = 1e30
# Takes steps, and hands them on while it is open.
Lead = Callable[[Iterator[FrameMotion]], AbstractContextManager[Iterable[FrameMotion]]]


class Halves(NamedTuple):
    """Both halves of one frame before they are brought to a scale and fused.

    Attributes
    ----------
    step : Step
        The frame and its motion.
    static : (h, w) float32 array or None
        Accumulated gradient map, of no scale; ``None`` without a network.
    prediction : Prediction or None
        What the network saw.
    """

    step: FrameMotion
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
        Gradients that the static half gets to draw together, and the most frames in one call; a
        lead holds as many again.
    pace : Pace, optional
        Which frames draw gradients; by default there is no rate to keep up with.
    ahead : bool
        Look one frame ahead to tell a flash from a cut; without, no frame waits for the next.
    clock : callable
        Seconds, by which the pace is measured.
    memory : Memory, optional
        To go on from, and to keep up to date; an empty one if not given.
    part : int, optional
        After so many frames each time, none is held but for the one ahead, as `memory` needs to
        be whole there; by default that is nowhere.
    lead : callable, optional
        Lets motion be found beside what is made of it, the network's part above all:
        `vidsal.runtime.prefetch.prefetch` with a depth, for one.
    """
    memory = memory or Memory()
    # One thread for all frames: of one for each, the allocator keeps a little more every time.
    with helper("flow") as begin:
        awaited = TimedInput(frames, clock)
        found = moved(awaited, settings, memory, begin, ahead=ahead)
        if static is None:
            with closing(_led(found, lead, part)) as led:
                yield from (Halves(step, None, None) for step in led)
            return
        pace = pace or Pace(settings.static_every)
        budget = _budget(settings)
        remembers = budget.remembers or settings.static_every != 1
        steps = planned(found, budget, pace, memory, remembers=remembers)
        classes = _Classes(static, settings.predict_every, memory)
        # Closed by whatever ends this: until then, motion may be sought in another thread.
        with closing(_led(steps, lead, part)) as led:
            drawn = _drawn(
                grouped(led, batch, part), static, settings, classes, pace=pace, awaited=awaited,
                clock=clock,
            )  # fmt: skip
            yield from _gathered(drawn, budget, settings, memory, remembers=remembers)


def _budget(settings: Settings) -> SamplePlan:
    """Return how many gradients a map is made of: the method decides what may be remembered."""
    if settings.method == "gradient":
        return SamplePlan(1, 1)
    if settings.method == "integrated":
        return SamplePlan(settings.samples, settings.samples)
    return SamplePlan(settings.samples, settings.fresh)


def _led(
    steps: Generator[FrameMotion, None, None], lead: Lead, part: int | None
) -> Generator[FrameMotion, None, None]:
    """Yield steps that are found ahead of what is done with them, but never beyond a part."""
    with closing(steps):
        while True:
            count = 0
            with lead(islice(steps, part)) as found:
                for count, step in enumerate(found, start=1):  # noqa: B007 -- its last value
                    yield step
            if part is None or count < part:
                return


def grouped(
    steps: Iterable[FrameMotion], samples: int, part: int | None
) -> Iterator[list[FrameMotion]]:
    """Yield frames in groups: one ends when its frames need so many samples, or are so many.

    Most frames need one, some many: groups of even numbers of frames would fill one call and leave
    little for the next. With the `part`-th frame, and each multiple of that, a group ends, too.
    """
    group: list[FrameMotion] = []
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
    groups: Iterable[list[FrameMotion]],
    static: StaticStage,
    settings: Settings,
    classes: "_Classes",
    *,
    pace: Pace,
    awaited: TimedInput,
    clock: Callable[[], float],
) -> Iterator[tuple[FrameMotion, Map | None, Prediction]]:
    """Ask the network, a group of frames at a time, for the maps that are due and for classes."""
    began_s, waited_s = clock(), 0.0
    for group in groups:
        pictures = _Pictures(group, static, settings)
        words = classes.of(group, pictures)
        due = [n for n, step in enumerate(group) if step.samples]
        drawing_s = clock()
        maps: dict[int, Map] = {}
        if due:
            # The class that is told is the one that is explained.
            wanted = [
                Request(group[n].frame.index, group[n].samples, words[n].target_id) for n in due
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

    def __init__(self, steps: list[FrameMotion], static: StaticStage, settings: Settings) -> None:
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
        # What is locked is voted on, and a second of two votes has no majority.
        self._every_s = min(every_s, LOCK_EVERY_S) if static.target.is_locked else every_s
        self._memory = memory

    def of(self, steps: list[FrameMotion], pictures: "_Pictures") -> list[Prediction]:
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

    def _put_in_words(self, step: FrameMotion, probabilities: Map) -> Prediction:
        locks = self._memory.locks
        lock = locks.at(step.verdict, Lock).after(step.frame.time_s, int(probabilities.argmax()))
        locks.now = lock
        target = self._static.target
        explained = lock.class_id if target.is_locked else target.class_id
        return prediction(probabilities, self._static.names, explained, top=target.top or 1)


def _gathered(
    drawn: Iterable[tuple[FrameMotion, Map | None, Prediction]],
    budget: SamplePlan,
    settings: Settings,
    memory: Memory,
    *,
    remembers: bool,
) -> Iterator[Halves]:
    """Carry what was drawn along the flow, and take in what is drawn anew."""
    histories = memory.histories
    for step, sampled, words in drawn:
        movement = step.movement
        new = partial(GradientAverage.empty, movement.known.shape)
        history = histories.at(step.verdict, new)
        has_past = remembers and not step.is_first
        history = history.carried(movement.backward, movement.known) if has_past else new()
        if sampled is not None:
            # One number that is none, or has no end, would stay in the history for ever.
            finite = np.nan_to_num(sampled, posinf=0.0, neginf=0.0)
            small = image_ops.shrink(np.clip(finite, -_FAR, _FAR), movement.speed.shape)
            history = history.plus(small, step.samples, budget.fading(step.samples))
        histories.now = history
        yield Halves(step, image_ops.smoothed(history.mean, settings.smooth), words)


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
    static, peaks, both, high = None, None, moving, scales.motion.high
    # Before it is clipped, which leaves all that stands out with one height.
    whole, is_fused = speed, item.static is not None and settings.fusion != "motion"
    if item.static is not None:
        on_scale = scales.static(item.static, time_s)
        peaks, together = _together(on_scale, scales.static.strength, moving, step, settings)
        static = clipped(peaks)
        if is_fused:
            both, high = together, scales.static.high
    if prior := settings.centre_prior:
        weights = centre_prior(both.shape, prior)
        both, whole = both * weights, whole * weights
        peaks = None if peaks is None else peaks * weights
    share = 1.0 if peaks is None or not is_fused else motion_share(peaks, both)
    # Motion alone is on its scale already, which does not blow up what is still.
    if is_fused:
        if scales.motion.begins and settings.fusion != "static" and settings.gain:
            # Nor do those in which nothing moved yet.
            scales.fused.forget()
        whole = scales.fused(both, time_s, remembers=not step.is_first)
        both = clipped(whole)
        high *= scales.fused.high
    top = peak(whole)
    return Saliency(
        frame=step.frame, static=static, motion=moving, fused=both, movement=step.movement,
        speed=step.speed, prediction=item.prediction, is_cut=step.is_cut, motion_share=share,
        static_high=scales.static.high, motion_high=scales.motion.high, fused_high=high,
        peak=top, ring=stabilized_peak(whole, top, last),
    )  # fmt: skip


def _together(
    on_scale: Map, strength: float, moving: Map, step: FrameMotion, settings: Settings
) -> tuple[Map, Map]:
    """Return the static map with its contrast, and both halves fused."""
    how, gain = settings.fusion, settings.gain
    contrast = partial(contrasted, power=settings.contrast, strength=strength)
    # Not clipped before it is fused: motion is to choose from its peaks.
    static, sharp = contrast(on_scale), None
    if how == "gain" and gain and moving.any():
        # What moves ends at an edge of the picture, which the smoothing of gradients went across.
        sharp = contrast(guided_filter(on_scale, step.small, settings.smooth * max(on_scale.shape)))
    return static, fuse(static, moving, how=how, gain=gain, amplified=sharp)


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
    return image_ops.shrink(rgb, size)
