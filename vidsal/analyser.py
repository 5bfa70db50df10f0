"""The library's front door: one network, opened once, for any number of sources."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import replace
from fractions import Fraction
from functools import partial
from os import PathLike
from typing import Any, Self, TypeVar

from vidsal import image_ops
from vidsal.errors import UsageError, option
from vidsal.render import notebook
from vidsal.render.draw import draw_for_video, draw_saliency
from vidsal.render.style import Style
from vidsal.runtime.prefetch import prefetch
from vidsal.runtime.profiling import Stages
from vidsal.saliency.schedule import GradientSchedule
from vidsal.saliency.state import StreamState
from vidsal.saliency.stream import SaliencyStream
from vidsal.settings import Settings, settings_of
from vidsal.sources import open_source
from vidsal.sources.arrays import ArraySource, as_rgb, is_frames, is_picture
from vidsal.sources.base import Source
from vidsal.sources.reader import VideoReader
from vidsal.sources.resolve import Pictures, SourceLike, SourceName, one_source, parse_source
from vidsal.static.models import Network
from vidsal.types import Findings, Rgb, Saliency, SourceInfo, StaticStage
from vidsal.yuv import Picture

T = TypeVar("T")

# Types cannot import the drawing code, so the front door hands it to them.
Saliency.viewer = notebook

# Decoded frames that wait for the motion stage, and analysed frames that wait to be drawn: enough
# to bridge the pauses of one stage, few enough that 4K frames stay within some hundred megabytes.
DECODED_FRAMES, ANALYSED_FRAMES = 4, 4
# Small frames wait in greater numbers, up to about this size of all of them.
_WAITING_BYTES = 100_000_000
# The maps and flows of a frame, in bytes per pixel of the working size.
_MAP_BYTES = 40


class Analysis(Iterator[Saliency]):
    """The saliency of a source, frame by frame, computed while it is iterated.

    Use it in a ``with`` block, or call `close`, if you stop before the last frame.

    Parameters
    ----------
    open_source : callable
        Returns the source, which is opened on first use.
    analyse : callable
        Turns the open source into an iterator of `Saliency`.
    """

    def __init__(
        self,
        open_source: Callable[[], Source],
        analyse: Callable[[Source], AbstractContextManager[Iterator[Saliency]]],
    ) -> None:
        self._open, self._analyse = open_source, analyse
        self._stack = ExitStack()
        self._source: Source | None = None
        self._results = self._iterate()

    @property
    def info(self) -> SourceInfo:
        """Size, frame rate and expected length of the source; opens it.

        Raises
        ------
        VidsalError
            If the source cannot be opened.
        """
        return self._opened().info

    def findings(self) -> Findings:
        """Return the faults of the source, as far as it has been read."""
        return self._opened().findings()

    def close(self) -> None:
        """Stop, and close the source. Further iteration yields nothing."""
        self._results.close()
        self._stack.close()

    def _opened(self) -> Source:
        if self._source is None:
            self._source = self._stack.enter_context(self._open())
        return self._source

    def _iterate(self) -> Any:
        with self._stack, self._analyse(self._opened()) as results:
            yield from results

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Saliency:
        result: Saliency = next(self._results)
        return result

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Analyser:
    """Analyses videos, photos and arrays with one network that is loaded once.

    The network is loaded on first use. In processes of `multiprocessing`, use
    ``get_context("spawn")`` and an analyser in each: TensorFlow does not work in a process that is
    forked after it ran, and such a process raises `VidsalError`.

    Parameters
    ----------
    settings : Settings, optional
        Options of output and picture have no effect here, but for ``fps``, the default rate of
        arrays.
    model : str, path or Keras model, optional
        The network; replaces ``settings.model``.
    progress : bool
        Show a progress bar on stderr while weights are downloaded.

    Raises
    ------
    UsageError
        If the settings are invalid.

    Examples
    --------
    >>> import numpy as np, vidsal
    >>> frames = [np.roll(np.eye(64, dtype=np.uint8)[..., None].repeat(3, 2) * 255, n, 1)
    ...           for n in range(4)]
    >>> analyser = vidsal.Analyser(vidsal.Settings(model="none"))
    >>> [saliency.fused.shape for saliency in analyser.frames(frames, fps=25)]
    [(64, 64), (64, 64), (64, 64), (64, 64)]
    """

    def __init__(
        self, settings: Settings | None = None, *, model: Any = None, progress: bool = False
    ) -> None:
        settings = settings_of(settings)
        self.settings = settings if model is None else replace(settings, model=model)
        self._network = Network(self.settings, progress=progress)

    def __repr__(self) -> str:
        return f"Analyser(model={self.settings.model!r})"

    @property
    def model_name(self) -> str | None:
        """Name of the network; ``None`` with ``model="none"``."""
        return self._network.choice.name

    def analyse(
        self,
        source: Any,
        *,
        fps: float | Fraction | str | None = None,
        times: Iterable[float] | None = None,
    ) -> Analysis:
        """Return the saliency of a source, computed while it is iterated.

        Parameters
        ----------
        source : str, int, path-like, Pictures, VideoReader, array, PIL image, or iterable of arrays
            A video or image file, the number of a camera, an address, an open video, or pictures
            in memory; see `frames`.
        fps : float, Fraction or str, optional
            Frames per second of pictures in memory; 25 by default.
        times : iterable of float, optional
            Times of pictures in memory, in seconds; instead of `fps`.

        Raises
        ------
        UsageError
            If the arguments are invalid. A source that cannot be opened raises `VidsalError`
            with the first frame.
        """
        return Analysis(source_opener(source, self.settings, fps, times), self._results)

    def frames(
        self,
        frames: Any,
        *,
        fps: float | Fraction | str | None = None,
        times: Iterable[float] | None = None,
    ) -> Analysis:
        """Return the saliency of frames in memory, computed while it is iterated.

        Parameters
        ----------
        frames : iterable of (H, W, 3) uint8 arrays or PIL images
            RGB, red first, all of one size. A generator is read in the caller's thread, up to two
            batches ahead (``Settings(batch=1)`` reads one frame ahead).
        fps : float, Fraction or str, optional
            Frames per second; by default that of the settings, or 25.
        times : iterable of float, optional
            Time of each frame in seconds, increasing; instead of `fps`.

        Raises
        ------
        UsageError
            If the arguments are invalid; an invalid frame raises it when it is reached.
        """
        if isinstance(frames, (str, PathLike)):
            raise UsageError(f"expected arrays, got the name {str(frames)!r}: use analyse()")
        return self.analyse(frames, fps=fps, times=times)

    def photo(self, rgb: Any) -> Saliency:
        """Return the saliency of one picture.

        Parameters
        ----------
        rgb : (H, W, 3) uint8 array or PIL image
            RGB, red first.

        Raises
        ------
        UsageError
            If it is not such a picture.
        """
        if isinstance(rgb, (str, PathLike)):
            raise UsageError(f"expected an array, got the name {str(rgb)!r}: use analyse()")
        with self.analyse(as_rgb(rgb)) as analysis:
            return next(analysis)

    def draw(self, saliency: Saliency) -> Rgb:
        """Return the picture of one frame, drawn with this analyser's settings.

        Parameters
        ----------
        saliency : Saliency

        Returns
        -------
        (H, W, 3) uint8 array
            See `vidsal.draw`.
        """
        return draw(saliency, self.settings)

    @contextmanager
    def _results(self, source: Source) -> Iterator[Iterator[Saliency]]:
        static = self._network.stage
        # Only files are decoded ahead in a thread: arrays come from the caller's own code.
        is_own = isinstance(source, ArraySource)
        with (
            prefetch(source.frames(), 0 if is_own else DECODED_FRAMES) as frames,
            closing(
                stream_of(
                    source.info, static, self.settings, self.model_name, is_threaded=not is_own
                ).analyse(frames)
            ) as results,
        ):
            yield results


def source_opener(
    source: Any,
    settings: Settings,
    fps: float | Fraction | str | None = None,
    times: Iterable[float] | None = None,
    *,
    progress: bool = False,
) -> Callable[[], Source]:
    """Return a function that opens a source, after checking what can be checked at once.

    Parameters
    ----------
    source : str, path, int, array, PIL image, iterable of arrays or VideoReader
        As `vidsal.analyse` takes it.
    settings : Settings
    fps : float, Fraction or str, optional
        Frames per second of arrays.
    times : iterable of float, optional
        Times of arrays in seconds.
    progress : bool
        Show the progress of downloads.

    Raises
    ------
    UsageError
        If the source or the other arguments are invalid.
    """
    if isinstance(source, VideoReader):
        if fps is not None or times is not None:
            raise UsageError("fps= and times= are for arrays; a video has its own times")
        return lambda: source
    is_named = isinstance(source, (Pictures, SourceName))
    if is_picture(source) or (is_frames(source) and not is_named):
        changed = settings.changed(("Part of the source",))
        if unused := [name for name in changed if name not in ("strict", "recursive")]:
            names = ", ".join(map(option, unused))
            raise UsageError(f"{names} cannot be used for arrays: choose the frames yourself")
        if fps is None and times is None and not is_picture(source):
            fps = settings.fps
        arrays = ArraySource(source, fps=fps, times=times)
        return lambda: arrays
    if fps is not None or times is not None:
        raise UsageError("fps= and times= are for arrays; a file has its own times")
    name = one_source(source, is_sequence=settings.sequence)
    return lambda: open_source(name, settings, progress=progress)


def name_of(source: Any) -> str:
    """Return a short name of a source for a progress bar.

    Parameters
    ----------
    source : str, path, int, array, PIL image, iterable of arrays or VideoReader
        As `vidsal.analyse` takes it.
    """
    if isinstance(source, VideoReader):
        return source.info.name
    is_name = isinstance(source, (str, int, PathLike, Pictures, SourceName))
    return parse_source(source).path.name if is_name else "frames"


def stream_of(
    info: SourceInfo,
    static: StaticStage | None,
    settings: Settings,
    model_name: str | None,
    *,
    state: StreamState | None = None,
    segment: int | None = None,
    stages: Stages | None = None,
    is_threaded: bool = True,
) -> SaliencyStream:
    """Return the stream for a source: a camera does not wait for a batch to fill.

    Parameters
    ----------
    info : SourceInfo
    static : StaticStage or None
    settings : Settings
    model_name : str or None
    state : StreamState, optional
        The state to start from.
    segment : int, optional
        See `vidsal.saliency.stream.SaliencyStream`.
    stages : Stages, optional
        Measures the duration of the motion stage.
    is_threaded : bool
        Compute motion ahead, in a thread of its own.
    """
    batch = 1 if info.is_live else settings.batch
    # One batch is in the network, and at least one waits for it.
    ahead = frames_ahead(info, settings.working_width, 2 * batch)
    depth = max(batch, ahead) if static else ANALYSED_FRAMES
    # The schedule can measure its work only where the stages run one after the other.
    if info.is_live or settings.static_every == "auto" or not is_threaded:
        depth = 0
    return SaliencyStream(
        static, settings, batch=batch, model_name=model_name,
        schedule=GradientSchedule(settings.static_every, float(info.fps) if info.fps else None),
        state=state, segment=segment,
        read_ahead=partial(_read_ahead, depth=depth, stages=stages or Stages()),
    )  # fmt: skip


def frames_ahead(info: SourceInfo, working_width: int, wanted: int) -> int:
    """Return how many frames may wait between two stages.

    Frames leave the network a batch at a time. If all of a batch can wait to be drawn, the network
    begins the next one at once.

    Parameters
    ----------
    info : SourceInfo
    working_width : int
        Longer side of the maps in pixels.
    wanted : int
        Small pictures get as many, large ones fewer.
    """
    height, width = info.height_px, info.width_px
    of_maps = math.prod(image_ops.working_size(height, width, working_width)) * _MAP_BYTES
    affordable = _WAITING_BYTES // (3 * height * width + of_maps)
    return max(ANALYSED_FRAMES, min(wanted, affordable))


@contextmanager
def _read_ahead(motions: Iterator[T], *, depth: int, stages: Stages) -> Iterator[Iterator[T]]:
    """Lend motions that another thread computes ahead, and measure how long they take."""
    computed = stages.items("motion", motions, inside=("wait for frames",))
    with prefetch(computed, depth) as ahead:
        # Without a thread, the waiting time is the computing time.
        yield stages.items("wait for motion", ahead, inside=() if depth else ("motion",))


def analyse(
    source: SourceLike | Any,
    settings: Settings | None = None,
    *,
    fps: float | Fraction | str | None = None,
    times: Iterable[float] | None = None,
) -> Analysis:
    """Return what stands out in each frame of a video, a photo, a camera, or arrays.

    Parameters
    ----------
    source : str, int, path-like, Pictures, array, PIL image, or iterable of arrays
        A video file, an image file, the number of a camera, an address, pictures that are one
        video, a (H, W, 3) uint8 array, a PIL image, or any iterable of these. A folder, a glob or
        a list may mean one source, not several.
    settings : Settings, optional
        Options of output and picture have no effect here.
    fps : float, Fraction or str, optional
        Frames per second of pictures in memory; 25 by default.
    times : iterable of float, optional
        Times of pictures in memory, in seconds; instead of `fps`.

    Returns
    -------
    Analysis
        An iterator of `Saliency`, one for each frame, in order: ``frame.rgb`` (H, W, 3) uint8;
        ``static``, ``motion`` and ``fused`` (h, w) float32 in [0, 1] at working size. It has
        `close`, and works in a ``with`` block.

    Raises
    ------
    UsageError
        If an argument is invalid, at once and not with the first frame.
    VidsalError
        With the first frame, if the source or the network cannot be used.

    See Also
    --------
    Analyser : Keeps the network loaded for several sources.
    """
    return Analyser(settings).analyse(source, fps=fps, times=times)


def draw(saliency: Saliency, settings: Settings | None = None) -> Rgb:
    """Return the picture of one frame as ``vidsal run`` draws it.

    Parameters
    ----------
    saliency : Saliency
        As `analyse` yields it.
    settings : Settings, optional
        ``layout``, ``colormap``, ``alpha``, ``boxes`` and ``annotate`` control the picture.

    Returns
    -------
    (H, W, 3) uint8 array
        RGB with even sides, as video needs them: an odd side gains one pixel, a copy of the last.
        Layouts of several panels are larger accordingly.

    Raises
    ------
    UsageError
        If `saliency` or `settings` is something else.
    """
    if not isinstance(saliency, Saliency):
        raise UsageError(
            f"expected a Saliency of vidsal.analyse, got {type(saliency).__name__}: vidsal.overlay "
            "draws arrays"
        )
    return draw_saliency(saliency, Style.of(settings_of(settings)))


def drawing(settings: Settings, *, in_yuv: bool) -> Callable[[Saliency], Picture]:
    """Return the function that draws the pictures of an output.

    Parameters
    ----------
    settings : Settings
    in_yuv : bool
        Whether they are encoded from luma and chroma, so that they need not be drawn in RGB.
    """
    style = Style.of(settings)
    if in_yuv:
        return lambda saliency: draw_for_video(saliency, style)
    return lambda saliency: draw_saliency(saliency, style)
