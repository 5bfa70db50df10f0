"""The whole programme: what is opened, how it is chained, and that all of it is closed.

The only module that knows everybody.
"""

import logging
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from vidsal.frames import Frame, Rgb, Saliency, SourceInfo, StaticStage
from vidsal.prefetch import prefetch
from vidsal.render import Style, draw
from vidsal.scaling import Flicker
from vidsal.settings import Settings
from vidsal.sinks import claim_outputs, open_sinks
from vidsal.source import Source
from vidsal.sources import open_source
from vidsal.static.models import check_target, choose, open_static
from vidsal.stream import analyse_frames

log = logging.getLogger(__name__)

T = TypeVar("T")
# Takes the results and how many there may be; hands the results on.
Progress = Callable[[Iterable[T], int | None], Iterable[T]]

# Decoded frames that wait for the network, and pictures that wait for the encoder: enough to
# bridge one stage's pauses, few enough that 4K frames stay within some hundred megabytes.
_DECODED, _DRAWN = 8, 4


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
        output = claim_outputs(info, settings)
        choice = choose(settings, progress=progress is not None)
        static = open_static(choice, settings)
        style = Style(
            settings.layout, settings.colormap, settings.alpha, settings.annotate, choice.name,
            settings.boxes,
        )  # fmt: skip
        flicker = Flicker()
        with (
            stopped_by_ctrl_c(opened),
            open_sinks(info, settings, output, choice.name) as write,
            prefetch(opened.frames(), _DECODED) as frames,
            prefetch(_drawn(_analysed(frames, static, settings, info), style), _DRAWN) as results,
        ):
            for saliency, picture in (
                progress(results, info.frame_count_hint) if progress else results
            ):
                write(saliency, picture)
                flicker.after(saliency.fused_high, is_cut=saliency.is_cut)
    log.info("flicker: the display's scale changed by %.2f %% a frame", 100 * flicker.mean)
    return output


def _analysed(
    frames: Iterable[Frame], static: StaticStage | None, settings: Settings, info: SourceInfo
) -> Iterator[Saliency]:
    """Analyse with what the source decides: a camera does not wait for a batch to fill."""
    batch = 1 if info.is_live else settings.batch
    fps = float(info.fps) if info.fps else None
    return analyse_frames(frames, static, settings, batch=batch, fps=fps)


def _drawn(saliencies: Iterable[Saliency], style: Style) -> Iterator[tuple[Saliency, Rgb]]:
    for saliency in saliencies:
        yield saliency, draw(saliency, style)


@contextmanager
def stopped_by_ctrl_c(source: Source) -> Iterator[None]:
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
