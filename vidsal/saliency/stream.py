"""The stream from frames to saliency: motion, sampling, static and fusion stage in a row.

This wing never imports TensorFlow: the static half is an object that makes maps of pictures, so
that all of this runs in tests with a fake of a few lines.
"""

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from itertools import islice

from vidsal.saliency.fusion_stage import FusionStage
from vidsal.saliency.motion_stage import FrameMotion, MotionStage, TimedInput
from vidsal.saliency.sampling import SamplingStage
from vidsal.saliency.schedule import GradientSchedule
from vidsal.saliency.state import StreamState
from vidsal.saliency.static_stage import StaticMap, StaticMapStage, sample_plan
from vidsal.settings import AnalysisOptions
from vidsal.types import Frame, Saliency, StaticStage

# Takes an iterator and lends it while it is open, read ahead in a thread for one.
ReadAhead = Callable[[Iterator[FrameMotion]], AbstractContextManager[Iterable[FrameMotion]]]


class SaliencyStream:
    """Turns frames into saliency.

    Parameters
    ----------
    static : StaticStage or None
        The network; ``None`` for motion alone.
    options : AnalysisOptions
    batch : int
        Gradients in one call of the network, and the most frames in one call. Read-ahead holds
        as many frames again.
    model_name : str or None
        Name of the network for the predictions.
    schedule : GradientSchedule, optional
        Which frames draw gradients; by default no frame rate has to be reached.
    looks_ahead : bool
        Read one frame ahead to tell a flash from a cut. Without it no frame waits for the next.
    clock : callable
        Returns seconds; the schedule measures with it.
    state : StreamState, optional
        The state to start from; it is kept up to date. By default an empty one.
    segment : int, optional
        After this many frames, and each multiple, no stage holds a frame back, but for the one
        that is read ahead. `state` is then complete: a stream that starts from it gives what this
        one is about to give.
    read_ahead : callable, optional
        Lets motion be computed while the network works, such as
        `vidsal.runtime.prefetch.prefetch` with a depth.
    """

    def __init__(
        self,
        static: StaticStage | None,
        options: AnalysisOptions,
        *,
        batch: int,
        model_name: str | None = None,
        schedule: GradientSchedule | None = None,
        looks_ahead: bool = True,
        clock: Callable[[], float] = time.perf_counter,
        state: StreamState | None = None,
        segment: int | None = None,
        read_ahead: ReadAhead = nullcontext,
    ) -> None:
        self._static, self._options, self._batch = static, options, batch
        self._model_name, self._clock = model_name, clock
        self._schedule = schedule or GradientSchedule(options.static_every)
        self._looks_ahead, self._read_ahead = looks_ahead, read_ahead
        self._state = state or StreamState()
        self._segment = segment

    def analyse(self, frames: Iterable[Frame]) -> Generator[Saliency, None, None]:
        """Yield one `Saliency` for each frame, in order.

        Parameters
        ----------
        frames : iterable of Frame
            All of one size.
        """
        maps = self.static_maps(frames)
        # Closed here: an error that is kept would keep the generator, and its threads, alive.
        with closing(maps):
            yield from FusionStage(self._options, self._state.fusion).run(maps)

    def static_maps(self, frames: Iterable[Frame]) -> Generator[StaticMap, None, None]:
        """Yield the frames with motion and static map, before scaling and fusion, in order.

        A thread runs until the last frame, or until the generator is closed.

        Parameters
        ----------
        frames : iterable of Frame
            All of one size.
        """
        timed = TimedInput(frames, self._clock)
        motion_stage = MotionStage(self._options, self._state.motion, looks_ahead=self._looks_ahead)
        motions = motion_stage.run(timed)
        if self._static is None:
            with closing(self._ahead(motions)) as ahead:
                yield from (StaticMap(motion, None, None) for motion in ahead)
            return
        plan = sample_plan(self._options)
        accumulates = plan.accumulates or self._options.static_every != 1
        sampling = SamplingStage(
            plan, self._schedule, self._state.sampling, accumulates=accumulates
        )
        stage = StaticMapStage(
            self._static, self._options, plan, self._state.static, accumulates=accumulates,
            schedule=self._schedule, timed_input=timed, clock=self._clock,
            model_name=self._model_name,
        )  # fmt: skip
        # Closed by whatever ends this: until then, another thread may compute motion.
        with closing(self._ahead(sampling.run(motions))) as ahead:
            yield from stage.run(grouped(ahead, self._batch, self._segment))

    def _ahead(
        self, motions: Generator[FrameMotion, None, None]
    ) -> Generator[FrameMotion, None, None]:
        """Yield frames that are read ahead, but never beyond a segment."""
        with closing(motions):
            while True:
                count = 0
                with self._read_ahead(islice(motions, self._segment)) as ahead:
                    for count, motion in enumerate(ahead, start=1):  # noqa: B007 -- its last value
                        yield motion
                if self._segment is None or count < self._segment:
                    return


def grouped(
    motions: Iterable[FrameMotion], samples: int, segment: int | None
) -> Iterator[list[FrameMotion]]:
    """Yield frames in groups, one for each call of the network.

    Most frames need one gradient, some need many. A group ends when its frames need `samples`
    gradients, or are that many, so that calls are filled evenly. It also ends before a cut: the
    last digits of a map depend on what else is in the call, and a scene is the same to the last
    digit wherever the stream began.

    Parameters
    ----------
    motions : iterable of FrameMotion
    samples : int
    segment : int or None
        A group also ends with this frame, and with each multiple of it.
    """
    group: list[FrameMotion] = []
    failure = None
    try:
        for n, motion in enumerate(motions, start=1):
            if motion.is_cut and group:
                yield group
                group = []
            group.append(motion)
            is_full = sum(one.samples for one in group) >= samples or len(group) == samples
            if is_full or (segment and n % segment == 0):
                yield group
                group = []
    except Exception as error:
        # Raised after the frames before it.
        failure = error
    if group:
        yield group
    if failure:
        raise failure
