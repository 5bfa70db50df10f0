"""The motion stage: how each frame moves against the one before it, and where scenes begin."""

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from vidsal import image_ops
from vidsal.motion.compensated import MotionMeter, diagonals_per_second, still
from vidsal.saliency.scenes import CUTS, SceneEvent, histogram
from vidsal.saliency.state import MotionState
from vidsal.saliency.temporal import SpeedAverage
from vidsal.settings import MotionOptions
from vidsal.types import Frame, Map, Motion, Rgb

# Seconds between two frames whose times are equal or run backwards.
_DEFAULT_STEP_S = 1 / 25
# No camera is faster. Two frames with nearly the same time are an error of the recorder.
_SHORTEST_STEP_S = 1 / 240


@dataclass(frozen=True, slots=True, eq=False)
class FrameMotion:
    """A frame with its motion, computed before inference.

    Attributes
    ----------
    frame : Frame
    small : (h, w, 3) uint8 array
        The scene at working size: the frame, or in a flash the frame before it.
    movement : Motion
        Since the frame before it.
    speed : (h, w) float32 array
        Speed of objects after camera compensation, averaged along the flow; diagonals of the
        picture per second.
    event : str
        The frame's place in its scene; see `vidsal.saliency.scenes.SceneDetector`.
    samples : int
        Number of gradients that the frame needs.
    turn : int
        Turn of the first of them. Sizes of the network's input take turns, and so do pictures and
        their mirror images.
    """

    frame: Frame
    small: Rgb
    movement: Motion
    speed: Map
    event: SceneEvent
    samples: int = 0
    turn: int = 0

    @property
    def is_first(self) -> bool:
        """Whether a scene begins here, with or without a cut."""
        return self.event == "first" or self.is_cut

    @property
    def is_cut(self) -> bool:
        """Whether a scene begins here and another one ends."""
        return self.event in CUTS


class TimedInput:
    """Frames, and the time spent waiting for them.

    Parameters
    ----------
    frames : iterable of Frame
    clock : callable
        Returns seconds.

    Attributes
    ----------
    waited_s : float
        Seconds spent waiting so far.
    """

    def __init__(self, frames: Iterable[Frame], clock: Callable[[], float]) -> None:
        self._frames, self._clock, self.waited_s = frames, clock, 0.0

    def __iter__(self) -> Iterator[Frame]:
        began_s = self._clock()
        for frame in self._frames:
            self.waited_s += self._clock() - began_s
            yield frame
            began_s = self._clock()


class MotionStage:
    """Measures the motion of each frame and finds the beginnings of scenes.

    Parameters
    ----------
    options : MotionOptions
    state : MotionState
        The state to start from; it is updated with each frame.
    looks_ahead : bool
        Read one frame ahead to tell a flash from a cut.
    """

    def __init__(
        self,
        options: MotionOptions,
        state: MotionState,
        *,
        looks_ahead: bool = True,
    ) -> None:
        self._state, self._looks_ahead = state, looks_ahead
        self._working_width = options.working_width
        self._meter = MotionMeter(model=options.camera, method=options.flow)

    def run(self, frames: Iterable[Frame]) -> Generator[FrameMotion, None, None]:
        """Yield one `FrameMotion` for each frame.

        Parameters
        ----------
        frames : iterable of Frame
            All of one size.
        """
        for frame, small, event in self._scened(frames):
            yield self._measured(frame, small, event)

    def _scened(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Rgb, SceneEvent]]:
        """Yield each frame with its small picture and its place in the scene."""
        items = map(self._prepared, frames)
        scenes = self._state.scenes
        if not self._looks_ahead:
            for frame, small, colours in items:
                yield frame, small, scenes.event(colours, None, frame.time_s)
            return
        now = next(items, None)
        while now:
            following, failure = None, None
            try:
                # Only the next frame tells a flash from a cut.
                following = next(items, None)
            except Exception as error:
                # Raised after the frames before it.
                failure = error
            frame, small, colours = now
            next_colours = following[2] if following else None
            yield frame, small, scenes.event(colours, next_colours, frame.time_s)
            if failure:
                raise failure
            now = following

    def _prepared(self, frame: Frame) -> tuple[Frame, Rgb, Map]:
        size = image_ops.working_size(*frame.size_px, self._working_width)
        small = frame.resized(size, image_ops.shrink)
        return frame, small, histogram(small)

    def _measured(self, frame: Frame, small: Rgb, event: SceneEvent) -> FrameMotion:
        """Return the motion against the reference frame, and update the reference."""
        state = self._state
        size = (small.shape[0], small.shape[1])
        average = state.speeds.at(event, partial(SpeedAverage.empty, size))
        if state.reference is None or event != "same":
            # The pixels of a flash do not show where objects moved: they are taken to stand still.
            movement = still(size, known=event in ("flash", "return", "rejoin"))
        else:
            movement = self._meter.between(image_ops.grey(state.reference), image_ops.grey(small))
            seconds = frame.time_s - state.reference_s
            seconds = max(seconds, _SHORTEST_STEP_S) if seconds > 0 else _DEFAULT_STEP_S
            speed = diagonals_per_second(movement.speed, seconds)
            average = state.speeds.now = average.after(speed, movement.backward, seconds)
        if event != "flash":
            # The frame after a flash is compared with the frame before it.
            state.reference, state.reference_s = small, frame.time_s
        assert state.reference is not None
        return FrameMotion(frame, state.reference, movement, average.mean, event)
