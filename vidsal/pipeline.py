"""The whole programme: what is opened, how it is chained, and that all of it is closed.

The only module that knows everybody.
"""

import dataclasses
import logging
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
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
from vidsal.sources.names import What
from vidsal.static.models import ModelChoice, check_target, choose, open_static
from vidsal.stream import analyse_frames

log = logging.getLogger(__name__)

T = TypeVar("T")
# Takes the results and how many there may be; hands the results on.
Progress = Callable[[Iterable[T], int | None], Iterable[T]]

# Decoded frames that wait for the network, and pictures that wait for the encoder: enough to
# bridge one stage's pauses, few enough that 4K frames stay within some hundred megabytes.
_DECODED, _DRAWN = 8, 4


def analyse(source: What, settings: Settings | None = None) -> Iterator[Saliency]:
    """Yield what stands out in each frame of a video, a photo or a camera.

    Parameters
    ----------
    source : str, int, Path or Pictures
        A video file, an image file, the number of a camera, or pictures that are one video.
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
        How many were left out for damage.
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


class Network:
    """The network of some settings, opened when it is first asked for, and then kept.

    A wrong path is to be told before TensorFlow is loaded, and many photos need it only once.
    """

    def __init__(self, settings: Settings, *, progress: bool = False) -> None:
        self._settings, self._progress = settings, progress
        check_target(settings)

    @cached_property
    def choice(self) -> ModelChoice:
        """Which network it is."""
        return choose(self._settings, progress=self._progress)

    @cached_property
    def stage(self) -> StaticStage | None:
        """The static half; ``None`` for motion alone."""
        return open_static(self.choice, self._settings)


def run(
    source: What, settings: Settings | None = None, *, progress: Progress[Any] | None = None
) -> Path:
    """Do what ``vidsal run`` does: write the annotated video, or picture, of a source.

    Parameters
    ----------
    source : str, int, Path or Pictures
        A video file, an image file, the number of a camera, or pictures that are one video.
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
    outcome = process(source, settings or Settings(), progress=progress)
    assert outcome.output is not None
    return outcome.output


def process(
    source: What,
    settings: Settings,
    *,
    network: Network | None = None,
    progress: Progress[Any] | None = None,
) -> Outcome:
    """Write what `run` writes, and say what it came to; `network` is used if it is given."""
    began_s = time.perf_counter()
    network = network or Network(settings, progress=progress is not None)
    with open_source(source, settings) as opened:
        info = opened.info
        output = claim_outputs(info, settings)
        static, name = network.stage, network.choice.name
        style = Style(
            settings.layout, settings.colormap, settings.alpha, settings.annotate, name,
            settings.boxes,
        )  # fmt: skip
        flicker, count = Flicker(), 0
        with (
            _stopped_by_ctrl_c(opened),
            open_sinks(info, settings, output, name) as write,
            prefetch(opened.frames(), _DECODED) as frames,
            prefetch(_drawn(_analysed(frames, static, settings, info), style), _DRAWN) as results,
        ):
            for saliency, picture in (
                progress(results, info.frame_count_hint) if progress else results
            ):
                write(saliency, picture)
                flicker.after(saliency.fused_high, is_cut=saliency.is_cut)
                count += 1
        found = opened.findings()
    log.info("flicker: the display's scale changed by %.2f %% a frame", 100 * flicker.mean)
    return Outcome(
        info.name, output, None, count, found.damaged, found.is_cut_off, found.decoder,
        name or "none", info.height_px, info.width_px, info.fps, time.perf_counter() - began_s,
    )  # fmt: skip


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
