"""From frames to steps: how each moves against the one before it, where scenes begin, and how many
gradients each needs.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from vidsal import image_ops
from vidsal.motion import compensated
from vidsal.motion.warp import warp
from vidsal.runtime.prefetch import Begin
from vidsal.saliency.scenes import Verdict, histogram
from vidsal.saliency.schedule import Pace
from vidsal.saliency.state import Memory
from vidsal.saliency.temporal import SamplePlan, SpeedAverage
from vidsal.settings import Settings
from vidsal.types import Frame, Map, Motion, Rgb

# Seconds between frames whose times do not tell.
_STEP_S = 1 / 25
# No camera is faster; two frames with nearly the same time are a recorder's slip.
_LEAST_S = 1 / 240
# Where more than this share of a history is lost, a frame draws gradients out of turn.
_WORN_OUT = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class FrameMotion:
    """One frame and what is known of it before the network is asked.

    Attributes
    ----------
    frame : Frame
    small : (h, w, 3) uint8 array
        The scene at working size: the frame, or in a flash the one before it.
    movement : Motion
        Since the frame before it.
    speed : (h, w) float32 array
        Own speed of things, averaged along the flow, in diagonals a second.
    verdict : str
        What the frame is in the course of scenes; see `vidsal.saliency.scenes.Scenes`.
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


class TimedInput:
    """Frames, and how long they were waited for: a camera that is kept up with is waited for."""

    def __init__(self, frames: Iterable[Frame], clock: Callable[[], float]) -> None:
        self._frames, self._clock, self.waited_s = frames, clock, 0.0

    def __iter__(self) -> Iterator[Frame]:
        began_s = self._clock()
        for frame in self._frames:
            self.waited_s += self._clock() - began_s
            yield frame
            began_s = self._clock()


def moved(
    frames: Iterable[Frame],
    settings: Settings,
    memory: Memory,
    begin: Begin[Map],
    *,
    ahead: bool,
) -> Generator[FrameMotion, None, None]:
    """Yield a step for each frame: how it moves, and whether a scene begins.

    Parameters
    ----------
    frames : iterable of Frame
        All of one size.
    settings : Settings
    memory : Memory
        To go on from, and to keep up to date.
    begin : callable
        Does something at the same time, see `vidsal.runtime.prefetch.helper`.
    ahead : bool
        Look one frame ahead to tell a flash from a cut.
    """
    measure = partial(compensated.measure, model=settings.camera, how=settings.flow, begin=begin)
    for frame, small, verdict in _judged(frames, settings, memory, ahead=ahead):
        yield _measured(frame, small, verdict, measure, memory)


def _measured(
    frame: Frame,
    small: Rgb,
    verdict: Verdict,
    measure: Callable[[Rgb, Rgb], Motion],
    memory: Memory,
) -> FrameMotion:
    """Return how a frame moves against the one before it, and remember it for the next."""
    size = (small.shape[0], small.shape[1])
    trail = memory.trails.at(verdict, partial(SpeedAverage.empty, size))
    if memory.small is None or verdict != "same":
        # In a flash nothing shows where things went: they stand still for it.
        movement = compensated.still(size, known=verdict in ("flash", "return", "rejoin"))
    else:
        movement = measure(image_ops.grey(memory.small), image_ops.grey(small))
        seconds = frame.time_s - memory.before_s
        seconds = max(seconds, _LEAST_S) if seconds > 0 else _STEP_S
        speed = compensated.diagonals_a_second(movement.speed, seconds)
        trail = memory.trails.now = trail.after(speed, movement.backward, seconds)
    if verdict != "flash":
        # The frame after a flash is compared with the one before it.
        memory.small, memory.before_s = small, frame.time_s
    assert memory.small is not None
    return FrameMotion(frame, memory.small, movement, trail.mean, verdict)


def _judged(
    frames: Iterable[Frame], settings: Settings, memory: Memory, *, ahead: bool
) -> Iterator[tuple[Frame, Rgb, Verdict]]:
    """Yield frames with their small pictures, and what each is in the course of scenes."""

    def seen(frame: Frame) -> tuple[Frame, Rgb, Map]:
        height, width = frame.rgb.shape[:2]
        small = image_ops.shrink(
            frame.rgb, image_ops.working_size(height, width, settings.working_width)
        )
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


def planned(
    steps: Iterable[FrameMotion], budget: SamplePlan, pace: Pace, memory: Memory, *, remembers: bool
) -> Generator[FrameMotion, None, None]:
    """Yield steps with the number of gradients that each needs.

    Parameters
    ----------
    steps : iterable of Step
    budget : Budget
        How many gradients a map is made of.
    pace : Pace
        Which frames draw at all.
    memory : Memory
        To go on from, and to keep up to date.
    remembers : bool
        Whether gradients of earlier frames play a part.
    """
    weights = memory.weights
    for step in steps:
        movement = step.movement
        new = partial(np.zeros_like, movement.known)
        weight = weights.at(step.verdict, new)
        has_past = remembers and not step.is_first
        weight = warp(weight, movement.backward) * movement.known if has_past else new()
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
