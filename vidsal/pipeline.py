"""Process one source, from its name to the output file: open, chain and close all stages."""

import dataclasses
import logging
import math
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from vidsal.analyser import (
    DECODED_FRAMES,
    drawing,
    frames_ahead,
    name_of,
    source_opener,
    stream_of,
)
from vidsal.errors import UsageError, VidsalError, option
from vidsal.media import codecs
from vidsal.runtime.allocation import keep_freed
from vidsal.runtime.cores import half_for_opencv
from vidsal.runtime.prefetch import prefetch
from vidsal.runtime.profiling import Stages
from vidsal.runtime.progress import Progress, choose_progress
from vidsal.runtime.safe_pickle import dumps, loads
from vidsal.saliency.normalization import Flicker
from vidsal.saliency.state import STATE_CLASSES, StreamState
from vidsal.settings import Settings, settings_of
from vidsal.settings.values import is_model_object
from vidsal.sinks import claim_outputs, open_sinks, output_path
from vidsal.sinks.fingerprint import identity
from vidsal.sinks.segments import open_segments
from vidsal.sources.arrays import ArraySource
from vidsal.sources.base import Source
from vidsal.sources.interrupt import stopped_after, stopped_by_ctrl_c
from vidsal.static.models import Network
from vidsal.types import Frame, Saliency, SourceInfo, StaticStage
from vidsal.yuv import Picture

log = logging.getLogger(__name__)

# Length of a segment: work that an interruption may cost, against the cost of one more file.
_SEGMENT_S = 5


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one source.

    Attributes
    ----------
    source : str
        Name of the source.
    output : Path or None
        The file that was written; ``None`` after a failure.
    error : str or None
        The reason of a failure, in one line.
    frames : int
        Number of frames that were analysed.
    decoded : int
        Number of frames that were decoded for that.
    left_out : mapping of str to int
        How many of these were not analysed, by reason.
    damaged : int
        Number of frames that could not be decoded, or are known to be incomplete.
    is_cut_off : bool
        Whether the source is truncated.
    decoder, model : str
        Names of the decoder and of the network.
    height_px, width_px : int
        Size of the source, upright.
    fps : Fraction or None
        Frame rate of the output.
    seconds : float
        Duration of the work.
    is_skipped : bool
        Whether the source was left out because `output` exists.
    """

    source: str
    output: Path | None = None
    error: str | None = None
    frames: int = 0
    decoded: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    damaged: int = 0
    is_cut_off: bool = False
    decoder: str = ""
    model: str = ""
    height_px: int = 0
    width_px: int = 0
    fps: Fraction | None = None
    seconds: float = 0.0
    is_skipped: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the outcome as a dictionary that JSON can hold."""
        plain = dataclasses.asdict(self)
        return plain | {
            "output": str(self.output) if self.output else None,
            "fps": str(self.fps) if self.fps else None,
            "seconds": round(self.seconds, 3),
        }


def run(source: Any, settings: Settings | None = None, *, progress: bool | Progress = True) -> Path:
    """Write the annotated video, or picture, of a source, as ``vidsal run`` does.

    In processes of `multiprocessing`, use ``get_context("spawn")``: TensorFlow does not work in a
    process that is forked after it ran, and such a process raises `VidsalError`.

    Parameters
    ----------
    source : str, int, path-like, Pictures, array, PIL image, or iterable of arrays
        As for `vidsal.analyse`. Arrays need ``Settings(output=...)``, and
        ``Settings(fps=...)`` is their rate.
    settings : Settings, optional
    progress : bool or callable, optional
        True shows a progress bar where stderr is a terminal, or in a notebook. A callable gets
        the results and their expected number, if known, and yields the results.

    Returns
    -------
    Path
        The file that was written; with ``Settings(skip_existing=True)`` the one that exists.

    Raises
    ------
    VidsalError
        If it cannot be done. No output file is left then.
    """
    chosen = choose_progress(progress, label=name_of(source))
    outcome = process(source, settings_of(settings), progress=chosen)
    assert outcome.output is not None
    return outcome.output


def process(
    source: Any,
    settings: Settings,
    *,
    network: Network | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Write what `run` writes, and return the outcome.

    Parameters
    ----------
    source : str, int, path-like, Pictures, array, PIL image, or iterable of arrays
    settings : Settings
    network : Network, optional
        A network to use; by default the one that the settings name.
    progress : callable, optional
        As for `run`. With one, downloads show a progress bar, too.

    Raises
    ------
    VidsalError
        If it cannot be done.
    """
    began_s, stages = time.perf_counter(), Stages()
    keep_freed()
    has_bar = progress is not None
    network = network or Network(settings, progress=has_bar)
    opening = source_opener(source, settings, progress=has_bar)
    with half_for_opencv(), opening() as opened:
        info = opened.info
        if settings.resume:
            _require_repeatable(opened, settings)
        if settings.skip_existing and (existing := output_path(info, settings)).exists():
            log.info("skipped %s: %s exists", info.name, existing)
            return Outcome(info.name, output=existing, is_skipped=True)
        output = claim_outputs(info, settings)
        is_motion = settings.fusion == "motion" or network.choice.key == "none"
        if is_motion and info.fps is None:
            log.warning("%s is a single picture without motion: its motion map is empty", info.name)
        # A photo needs no segments.
        write = _write_in_segments if settings.resume and info.fps else _write
        job = _Job(opened, settings, output, network, stages)
        done = write(job, progress or (lambda results, _: results))
        found = opened.findings()
    for line in stages.lines(done.now):
        log.info(line)
    log.info("flicker: the display scale changed by %.2f %% a frame", 100 * done.flicker)
    return Outcome(
        source=info.name,
        output=output,
        frames=done.frames,
        decoded=done.frames if found.decoded is None else found.decoded,
        left_out=found.left_out,
        damaged=found.damaged,
        is_cut_off=found.is_cut_off,
        decoder=found.decoder,
        model=network.choice.name or "none",
        height_px=info.height_px,
        width_px=info.width_px,
        fps=info.fps and codecs.rate_of(output, info.fps),
        seconds=time.perf_counter() - began_s,
    )


def _require_repeatable(source: Source, settings: Settings) -> None:
    """Raise `UsageError` if a later run cannot read the same frames with the same network."""
    resume = option("resume", True)
    if source.info.is_live:
        raise UsageError(
            f"{resume} is not for {source.info.name}: missed live frames cannot be read again"
        )
    if is_model_object(settings.model):
        raise UsageError(
            f"{resume} needs a model that a later run can load again: save it as .keras and give "
            f"{option('model')} its path"
        )
    if isinstance(source, ArraySource):
        raise UsageError(f"{resume} is for files: arrays cannot be read again")


def drawing_for(output: Path, settings: Settings) -> Callable[[Saliency], Picture]:
    """Return the function that draws the pictures of a file, in the form that its encoder takes.

    Parameters
    ----------
    output : Path
        A video or a picture.
    settings : Settings
    """
    return drawing(settings, in_yuv=codecs.takes_yuv(output, settings))


def check_count(source: Source, frames: int) -> None:
    """Log the numbers of frames, and check that none is lost.

    Parameters
    ----------
    source : Source
        It has been read to its end.
    frames : int
        How many of its frames were analysed.

    Raises
    ------
    VidsalError
        If decoded frames are lost without a reason.
    """
    found = source.findings()
    if found.decoded is None:
        return
    left_out = sum(found.left_out.values())
    reasons = ", ".join(f"{count} {reason}" for reason, count in found.left_out.items() if count)
    log.info(
        "%d frames decoded, %d analysed, %d left out%s", found.decoded, frames,
        left_out, f" ({reasons})" if reasons else "",
    )  # fmt: skip
    if lost := found.decoded - left_out - frames:
        raise VidsalError(
            f"{source.info.name}: {abs(lost)} of {found.decoded} decoded frames are "
            f"{'lost' if lost > 0 else 'analysed twice'} without a reason: please report this file"
        )


@dataclass(frozen=True, slots=True)
class _Job:
    """An open source, and what to make of it."""

    source: Source
    settings: Settings
    output: Path
    network: Network
    stages: Stages

    @property
    def info(self) -> SourceInfo:
        return self.source.info


class _Done(NamedTuple):
    """Number of frames written in all and by this run, and the mean change of the scale."""

    frames: int
    now: int
    flicker: float


def _write(job: _Job, progress: Progress) -> _Done:
    """Write all outputs, or none."""
    flicker, count, stages = Flicker(), 0, job.stages
    draw = drawing_for(job.output, job.settings)
    static = job.network.stage
    ahead = frames_ahead(job.info, job.settings.working_width, job.settings.batch)
    with (
        stopped_by_ctrl_c(job.source),
        open_sinks(job.info, job.settings, job.output, static.names if static else ()) as sinks,
    ):
        with (
            prefetch(stages.items("decode", job.source.frames()), DECODED_FRAMES) as frames,
            prefetch(_results(frames, static, job), ahead) as results,
        ):
            waited = stages.items("wait for maps", results)
            for saliency in progress(waited, job.info.frame_count_hint):
                picture = stages.calls("draw", draw, saliency)
                stages.calls("encode", sinks.write, saliency, picture)
                flicker.after(saliency.fused_high, is_cut=saliency.is_cut)
                count += 1
        # Before the outputs get their final names.
        check_count(job.source, count)
    return _Done(count, count, flicker.mean)


def _write_in_segments(job: _Job, progress: Progress) -> _Done:
    """Write the same in segments, and continue after the segments of an earlier run."""
    info, stages = job.info, job.stages
    assert info.fps is not None
    choice = job.network.choice
    # At low frame rates a segment holds at least one batch.
    batch = 1 if choice.key == "none" else job.settings.batch
    length = max(batch, math.ceil(_SEGMENT_S * info.fps))
    fingerprint = identity(
        info.name, job.settings, files=[Path(one) for one in info.files], model=choice.name,
        weights=choice.weights,
    )  # fmt: skip
    fingerprint["frames in a segment"] = str(length)
    with open_segments(info, job.settings, job.output, fingerprint) as segments:
        if segments.is_over:
            return _Done(segments.frames, 0, segments.flicker_mean)
        draw = drawing_for(job.output, job.settings)
        static, done = job.network.stage, segments.frames
        segments.class_names = static.names if static else ()
        pickled = segments.stream_state
        state = loads(pickled, StreamState, STATE_CLASSES) if pickled else StreamState()
        # The finished frames are decoded again: that is exact, and cheap beside the analysis.
        decoded = islice(stages.items("decode", job.source.frames()), done, None)
        ahead = frames_ahead(info, job.settings.working_width, job.settings.batch)
        with prefetch(decoded, DECODED_FRAMES) as frames:
            saved = _with_state(_results(frames, static, job, state, length), state, length, done)
            with prefetch(saved, ahead) as results, stopped_after(job.source):
                waited = stages.items("wait for maps", results)
                hint = info.frame_count_hint
                for saliency, pickled in progress(waited, max(0, hint - done) if hint else None):
                    picture = stages.calls("draw", draw, saliency)
                    stages.calls("encode", segments.write, saliency, picture, pickled)
        check_count(job.source, segments.frames)
    return _Done(segments.frames, segments.frames - done, segments.flicker_mean)


def _with_state(
    results: Generator[Saliency, None, None], state: StreamState, length: int, done: int
) -> Iterator[tuple[Saliency, bytes | None]]:
    """Yield results, and the pickled state with the last one of each segment."""
    with closing(results):
        for n, saliency in enumerate(results, start=done + 1):
            yield saliency, dumps(state) if n % length == 0 else None


def _results(
    frames: Iterable[Frame],
    static: StaticStage | None,
    job: _Job,
    state: StreamState | None = None,
    segment: int | None = None,
) -> Generator[Saliency, None, None]:
    """Analyse frames, and measure how long it takes."""
    stages = job.stages
    stream = stream_of(
        job.info, stages.static("network", static), job.settings, job.network.choice.name,
        state=state, segment=segment, stages=stages,
    )  # fmt: skip
    results = stream.analyse(stages.items("wait for frames", frames))
    yield from stages.items("maps", results, inside=("wait for motion", "network"))
