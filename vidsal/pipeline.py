"""The whole programme: what is opened, how it is chained, and that all of it is closed.

One source, from the name to the file.
"""

import dataclasses
import logging
import math
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from vidsal.errors import UsageError
from vidsal.media import codecs
from vidsal.render.draw import draw_saliency
from vidsal.render.style import Style
from vidsal.runtime.allocation import keep_freed
from vidsal.runtime.prefetch import prefetch
from vidsal.runtime.profiling import Stages
from vidsal.runtime.safe_pickle import dumps, loads
from vidsal.saliency.normalization import Flicker
from vidsal.saliency.schedule import Pace
from vidsal.saliency.state import MEMORY_CLASSES, Memory
from vidsal.saliency.stream import analyse_frames
from vidsal.settings import Settings, settings_of
from vidsal.sinks import claim_outputs, open_sinks
from vidsal.sinks.fingerprint import identity
from vidsal.sinks.segments import open_segments
from vidsal.sources import open_source
from vidsal.sources.base import Source
from vidsal.sources.interrupt import stopped_after, stopped_by_ctrl_c
from vidsal.sources.resolve import SourceLike, one_source
from vidsal.static.models import Network
from vidsal.types import Frame, Rgb, Saliency, SourceInfo, StaticStage

log = logging.getLogger(__name__)

T = TypeVar("T")
# Takes the results and how many there may be; hands the results on.
Progress = Callable[[Iterable[T], int | None], Iterable[T]]

# Decoded frames that wait for their motion, and analysed ones that wait to be drawn: enough to
# bridge one stage's pauses, few enough that 4K frames stay within some hundred megabytes. Between
# the two, a batch of frames waits for the network, and one is at it; without one, as many as wait
# to be drawn.
_DECODED, _ANALYSED = 4, 4
# What an interruption may cost, and what the beginning of a file anew is worth.
_SEGMENT_S = 5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one source.

    Attributes
    ----------
    source : str
    output : Path or None
        What was written; ``None`` if it failed.
    error : str or None
        Why it failed, in one line.
    frames : int
        How many were analysed.
    damaged : int
        How many could not be decoded, or are known to be incomplete.
    is_cut_off : bool
        Whether the source ends before it should.
    decoder, model : str
        What decoded it, what its network was called.
    height_px, width_px : int
        Of the source, upright.
    fps : Fraction or None
        Of what was written.
    seconds : float
        How long it took.
    """

    source: str
    output: Path | None = None
    error: str | None = None
    frames: int = 0
    damaged: int = 0
    is_cut_off: bool = False
    decoder: str = ""
    model: str = ""
    height_px: int = 0
    width_px: int = 0
    fps: Fraction | None = None
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Return the outcome as JSON has it."""
        plain = dataclasses.asdict(self)
        return plain | {
            "output": str(self.output) if self.output else None,
            "fps": str(self.fps) if self.fps else None,
            "seconds": round(self.seconds, 3),
        }


def analyse(source: SourceLike, settings: Settings | None = None) -> Iterator[Saliency]:
    """Yield what stands out in each frame of a video, a photo or a camera.

    Parameters
    ----------
    source : str, int, path-like or Pictures
        A video file, an image file, the number of a camera, an address, or pictures that are one
        video. A folder, a glob or a list may mean one source, not several.
    settings : Settings, optional
        What is written and drawn plays no part here.

    Yields
    ------
    Saliency
        One a frame, in order: ``frame.rgb`` (H, W, 3) uint8; ``static``, ``motion`` and
        ``fused`` (h, w) float32 in [0, 1] at working size.

    Raises
    ------
    UsageError
        If what is given is of no use, at once and not with the first frame.
    VidsalError
        If the source, the network or a setting cannot be used.
    """
    settings = settings_of(settings)
    what = one_source(source, is_sequence=settings.sequence)
    return _results(what, settings, Network(settings))


def _results(source: SourceLike, settings: Settings, network: Network) -> Iterator[Saliency]:
    """Yield what `analyse` does."""
    with open_source(source, settings) as opened:
        static, name = network.stage, network.choice.name
        with prefetch(opened.frames(), _DECODED) as frames:
            yield from _analysed(frames, static, name, settings, opened.info)


def run(
    source: SourceLike, settings: Settings | None = None, *, progress: Progress[Any] | None = None
) -> Path:
    """Do what ``vidsal run`` does: write the annotated video, or picture, of a source.

    Parameters
    ----------
    source : str, int, path-like or Pictures
        A video file, an image file, the number of a camera, an address, or pictures that are one
        video. A folder, a glob or a list may mean one source, not several.
    settings : Settings, optional
    progress : callable, optional
        Gets the results and their number, if known, and hands the results on; it also sees to
        the progress bar of a download.

    Returns
    -------
    Path
        What was written.

    Raises
    ------
    VidsalError
        If it cannot be done; then nothing is left at any of the names that were to be written.
    """
    settings = settings_of(settings)
    what = one_source(source, is_sequence=settings.sequence)
    outcome = process(what, settings, progress=progress)
    assert outcome.output is not None
    return outcome.output


def draw(saliency: Saliency, settings: Settings | None = None) -> Rgb:
    """Return the picture of one frame as ``vidsal run`` draws it.

    Parameters
    ----------
    saliency : Saliency
        As it comes from `analyse`.
    settings : Settings, optional
        ``layout``, ``colormap``, ``alpha``, ``boxes`` and ``annotate`` say how it is to look.

    Returns
    -------
    (H, W, 3) uint8 array
        RGB with even sides, as video needs them: an odd side gains one pixel, a copy of the last.
        Layouts of several panels are that much larger.
    """
    style = Style.of(settings_of(settings), saliency.model_name, has_time=saliency.has_time)
    return draw_saliency(saliency, style)


def process(
    source: SourceLike,
    settings: Settings,
    *,
    network: Network | None = None,
    progress: Progress[Any] | None = None,
) -> Outcome:
    """Write what `run` writes, and say what it came to; `network` is used if it is given."""
    began_s, stages = time.perf_counter(), Stages()
    keep_freed()
    network = network or Network(settings, progress=progress is not None)
    with open_source(source, settings, progress=progress is not None) as opened:
        info = opened.info
        if settings.resume and info.is_live:
            raise UsageError(f"--resume is not for {info.name}: what was missed is gone")
        output = claim_outputs(info, settings)
        is_motion = settings.fusion == "motion" or network.choice.key == "none"
        if is_motion and info.fps is None:
            log.warning("%s is one picture, in which nothing moves: its map is empty", info.name)
        # A photo is done at once.
        write = _write_in_segments if settings.resume and info.fps else _write
        job = _Job(opened, settings, output, network, stages)
        done = write(job, progress or (lambda results, _: results))
        found = opened.findings()
    for line in stages.lines(done.now):
        log.info(line)
    log.info("flicker: the display's scale changed by %.2f %% a frame", 100 * done.flicker)
    return Outcome(
        source=info.name,
        output=output,
        frames=done.frames,
        damaged=found.damaged,
        is_cut_off=found.is_cut_off,
        decoder=found.decoder,
        model=network.choice.name or "none",
        height_px=info.height_px,
        width_px=info.width_px,
        fps=info.fps and codecs.rate_of(output, info.fps),
        seconds=time.perf_counter() - began_s,
    )


@dataclass(frozen=True, slots=True)
class _Job:
    """What is to be done, with all that it takes."""

    source: Source
    settings: Settings
    output: Path
    network: Network
    stages: Stages

    @property
    def info(self) -> SourceInfo:
        return self.source.info

    @property
    def model_name(self) -> str | None:
        return self.network.choice.name


class _Done(NamedTuple):
    """How many frames were written in all, how many by this run, and how much they flicker."""

    frames: int
    now: int
    flicker: float


def _write(job: _Job, progress: Progress[Any]) -> _Done:
    """Write all that is asked for, or nothing."""
    flicker, count, stages = Flicker(), 0, job.stages
    static = job.network.stage
    with (
        stopped_by_ctrl_c(job.source),
        open_sinks(job.info, job.settings, job.output, job.model_name) as write,
        prefetch(stages.items("decode", job.source.frames()), _DECODED) as frames,
        prefetch(_maps(frames, static, job), _ANALYSED) as results,
    ):
        waited = stages.items("wait for maps", results)
        for saliency in progress(waited, job.info.frame_count_hint):
            picture = stages.calls("draw", draw, saliency, job.settings)
            stages.calls("encode", write, saliency, picture)
            flicker.after(saliency.fused_high, is_cut=saliency.is_cut)
            count += 1
    return _Done(count, count, flicker.mean)


def _write_in_segments(job: _Job, progress: Progress[Any]) -> _Done:
    """Write the same, but keep what is finished, and go on after what an earlier run finished."""
    info, stages = job.info, job.stages
    assert info.fps is not None
    choice = job.network.choice
    # Of few frames a second, a call's worth of them.
    call = 1 if choice.key == "none" else job.settings.batch
    every = max(call, math.ceil(_SEGMENT_S * info.fps))
    known = identity(
        info.name, job.settings, files=[Path(one) for one in info.files], model=choice.name,
        weights=choice.weights,
    )  # fmt: skip
    known["frames in a segment"] = str(every)
    with open_segments(info, job.settings, job.output, choice.name, known) as segments:
        if segments.is_over:
            return _Done(segments.frames, 0, segments.flicker_mean)
        static, done = job.network.stage, segments.frames
        remembered = segments.memory
        memory = loads(remembered, Memory, MEMORY_CLASSES) if remembered else Memory()
        # The frames that are done are decoded again, which is exact, and cheap beside the rest.
        decoded = islice(stages.items("decode", job.source.frames()), done, None)
        with prefetch(decoded, _DECODED) as frames:
            kept = _kept(_maps(frames, static, job, memory, every), memory, every, done)
            with prefetch(kept, _ANALYSED) as results, stopped_after(job.source):
                waited = stages.items("wait for maps", results)
                hint = info.frame_count_hint
                for saliency, state in progress(waited, max(0, hint - done) if hint else None):
                    picture = stages.calls("draw", draw, saliency, job.settings)
                    stages.calls("encode", segments.write, saliency, picture, state)
    return _Done(segments.frames, segments.frames - done, segments.flicker_mean)


def _kept(
    results: Generator[Saliency, None, None], memory: Memory, every: int, done: int
) -> Iterator[tuple[Saliency, bytes | None]]:
    """Yield results, and with the last one of each segment what is remembered after it."""
    with closing(results):
        for n, saliency in enumerate(results, start=done + 1):
            yield saliency, dumps(memory) if n % every == 0 else None


def _analysed(
    frames: Iterable[Frame],
    static: StaticStage | None,
    model_name: str | None,
    settings: Settings,
    info: SourceInfo,
    memory: Memory | None = None,
    part: int | None = None,
    stages: Stages | None = None,
) -> Iterator[Saliency]:
    """Analyse with what the source decides: a camera does not wait for a batch to fill.

    The results can be drawn without their source and network.
    """
    batch = 1 if info.is_live else settings.batch
    pace = Pace(settings.static_every, float(info.fps) if info.fps else None)
    has_time = info.fps is not None
    depth = batch if static else _ANALYSED
    # A pace is measured where one thing is done after the other.
    if info.is_live or settings.static_every == "auto":
        depth = 0
    results = analyse_frames(
        frames, static, settings, batch=batch, pace=pace, memory=memory, part=part,
        lead=partial(_lead, depth=depth, stages=stages or Stages()),
    )  # fmt: skip
    with closing(results):
        for saliency in results:
            yield replace(saliency, model_name=model_name, has_time=has_time)


@contextmanager
def _lead(steps: Iterator[T], *, depth: int, stages: Stages) -> Iterator[Iterator[T]]:
    """Let motion be found beside what is made of it, and measure how long it takes."""
    found = stages.items("motion", steps, inside=("wait for frames",))
    with prefetch(found, depth) as moved:
        # Without a thread of its own, it is not waited for beside what it takes.
        yield stages.items("wait for motion", moved, inside=() if depth else ("motion",))


def _maps(
    frames: Iterable[Frame],
    static: StaticStage | None,
    job: _Job,
    memory: Memory | None = None,
    part: int | None = None,
) -> Generator[Saliency, None, None]:
    """Analyse frames, and measure how long it takes."""
    settings, stages = job.settings, job.stages
    waited = stages.items("wait for frames", frames)
    timed = stages.static("network", static)
    saliencies = _analysed(waited, timed, job.model_name, settings, job.info, memory, part, stages)
    yield from stages.items("maps", saliencies, inside=("wait for motion", "network"))
