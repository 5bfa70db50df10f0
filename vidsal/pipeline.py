"""The whole programme: what is opened, how it is chained, and that all of it is closed.

The only module that knows everybody.
"""

import logging
import math
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from vidsal.errors import UsageError
from vidsal.frames import Frame, Rgb, Saliency, SourceInfo, StaticStage
from vidsal.identity import identity
from vidsal.memory import Memory, frozen
from vidsal.prefetch import prefetch
from vidsal.render import Style, draw
from vidsal.scaling import Flicker
from vidsal.settings import Settings
from vidsal.sinks import claim_outputs, open_sinks
from vidsal.sinks.segments import open_segments
from vidsal.source import Source
from vidsal.sources import open_source
from vidsal.static.models import ModelChoice, check_target, choose, open_static
from vidsal.stream import analyse_frames

log = logging.getLogger(__name__)

T = TypeVar("T")
# Takes the results and how many there may be; hands the results on.
Progress = Callable[[Iterable[T], int | None], Iterable[T]]

# Decoded frames that wait for the network, and pictures that wait for the encoder: enough to
# bridge one stage's pauses, few enough that 4K frames stay within some hundred megabytes.
_DECODED, _DRAWN = 8, 4
# What an interruption may cost, and what the beginning of a file anew is worth.
_SEGMENT_S = 5


def analyse(source: str | int | Path, settings: Settings | None = None) -> Iterator[Saliency]:
    """Yield what stands out in each frame of a video, a photo or a camera.

    Parameters
    ----------
    source : str, int or Path
        A video file, an image file, or the number of a camera.
    settings : Settings, optional
        What is written and drawn plays no part here.

    Yields
    ------
    Saliency
        One a frame, in order: ``frame.rgb`` (H, W, 3) uint8; ``static``, ``motion`` and
        ``fused`` (h, w) float32 in [0, 1] at working size.

    Raises
    ------
    VidsalError
        If the source, the network or a setting cannot be used.
    """
    settings = settings or Settings()
    check_target(settings)
    with open_source(source, settings) as opened:
        static = open_static(choose(settings), settings)
        with prefetch(opened.frames(), _DECODED) as frames:
            yield from _analysed(frames, static, settings, opened.info)


def run(
    source: str | int | Path,
    settings: Settings | None = None,
    *,
    progress: Progress[Any] | None = None,
) -> Path:
    """Do what ``vidsal run`` does: write the annotated video, or picture, of a source.

    Parameters
    ----------
    source : str, int or Path
        A video file, an image file, or the number of a camera.
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
    settings = settings or Settings()
    check_target(settings)
    with open_source(source, settings) as opened:
        info = opened.info
        if settings.resume and info.is_live:
            raise UsageError(f"--resume is not for {info.name}: what was missed is gone")
        output = claim_outputs(info, settings)
        choice = choose(settings, progress=progress is not None)
        # A photo is done at once.
        write = _write_in_segments if settings.resume and info.fps else _write
        write(opened, settings, output, choice, progress or (lambda results, _: results))
    return output


def _write(
    opened: Source, settings: Settings, output: Path, choice: ModelChoice, progress: Progress[Any]
) -> None:
    """Write all that is asked for, or nothing."""
    info, flicker = opened.info, Flicker()
    static, style = open_static(choice, settings), _style(settings, choice)
    with (
        _stopped_by_ctrl_c(opened),
        open_sinks(info, settings, output, choice.name) as write,
        prefetch(opened.frames(), _DECODED) as frames,
        prefetch(_drawn(_analysed(frames, static, settings, info), style), _DRAWN) as results,
    ):
        for saliency, picture in progress(results, info.frame_count_hint):
            write(saliency, picture)
            flicker.after(saliency.fused_high, is_cut=saliency.is_cut)
    _tell(flicker.mean)


def _write_in_segments(
    opened: Source, settings: Settings, output: Path, choice: ModelChoice, progress: Progress[Any]
) -> None:
    """Write the same, but keep what is finished, and go on after what an earlier run finished."""
    info, every = opened.info, _segment(opened.info, settings)
    known = identity(info.name, settings, model=choice.name, weights=choice.weights)
    known["frames in a segment"] = str(every)
    with open_segments(info, settings, output, choice.name, known) as segments:
        if segments.is_over:
            return
        static, style = open_static(choice, settings), _style(settings, choice)
        done, memory = segments.frames, segments.memory
        # The frames that are done are decoded again, which is exact, and cheap beside the rest.
        with prefetch(islice(opened.frames(), done, None), _DECODED) as frames:
            drawn = _drawn(_analysed(frames, static, settings, info, memory), style)
            with prefetch(_kept(drawn, memory, every, done), _DRAWN) as results, _ended(opened):
                hint = info.frame_count_hint
                for result in progress(results, max(0, hint - done) if hint else None):
                    segments.write(*result)
    _tell(segments.flicker_mean)


def _segment(info: SourceInfo, settings: Settings) -> int:
    """Return how many frames a segment has: whole batches, so that these stay as they are."""
    assert info.fps is not None
    return settings.batch * math.ceil(_SEGMENT_S * info.fps / settings.batch)


def _kept(
    results: Iterable[tuple[Saliency, Rgb]], memory: Memory, every: int, done: int
) -> Iterator[tuple[Saliency, Rgb, bytes | None]]:
    """Yield results, and with the last one of each segment what is remembered after it."""
    for n, (saliency, picture) in enumerate(results, start=done + 1):
        yield saliency, picture, frozen(memory) if n % every == 0 else None


@contextmanager
def _ended(source: Source) -> Iterator[None]:
    """Let a source end with the block: it may be far from the first frame that is wanted."""
    try:
        yield
    finally:
        source.stop()


def _tell(flicker: float) -> None:
    log.info("flicker: the display's scale changed by %.2f %% a frame", 100 * flicker)


def _style(settings: Settings, choice: ModelChoice) -> Style:
    return Style(
        settings.layout, settings.colormap, settings.alpha, settings.annotate, choice.name,
        settings.boxes,
    )  # fmt: skip


def _analysed(
    frames: Iterable[Frame],
    static: StaticStage | None,
    settings: Settings,
    info: SourceInfo,
    memory: Memory | None = None,
) -> Iterator[Saliency]:
    """Analyse with what the source decides: a camera does not wait for a batch to fill."""
    batch = 1 if info.is_live else settings.batch
    fps = float(info.fps) if info.fps else None
    return analyse_frames(frames, static, settings, batch=batch, fps=fps, memory=memory)


def _drawn(saliencies: Iterable[Saliency], style: Style) -> Iterator[tuple[Saliency, Rgb]]:
    for saliency in saliencies:
        yield saliency, draw(saliency, style)


@contextmanager
def _stopped_by_ctrl_c(source: Source) -> Iterator[None]:
    """Let Ctrl-C be the end of a live recording, which is kept; a second one is an interrupt."""
    if not source.info.is_live:
        yield
        return

    def stop(*_: object) -> None:
        source.stop()
        signal.signal(signal.SIGINT, before)

    try:
        before = signal.signal(signal.SIGINT, stop)
    except ValueError:  # Not the main thread: Ctrl-C is somebody else's business.
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
