"""Splitting of long sources: the starts of parts, the files of a part, and the join of all parts.

A part begins at a cut if there is one near its planned start. The analysis starts anew with each
scene, so the maps are then equal to those of one run. Without a cut, the analysis begins some
seconds before the part, and the frames of this warm-up are not written.
"""

import dataclasses
import logging
import math
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidsal import image_ops
from vidsal.analyser import ANALYSED_FRAMES, DECODED_FRAMES, stream_of
from vidsal.batches.schedule import Part, PartDone
from vidsal.errors import UsageError, option
from vidsal.media import codecs, probe
from vidsal.media.retiming import ROUNDING_S
from vidsal.pipeline import drawing_for
from vidsal.runtime.prefetch import prefetch
from vidsal.saliency.scenes import SceneDetector, histogram
from vidsal.settings import Settings
from vidsal.sinks.checkpoint import Segment
from vidsal.sinks.mux import ExpectedPicture, finish
from vidsal.sinks.segments import TABLE, OpenSegment, join_tables, join_videos
from vidsal.sinks.video import VideoEncoder
from vidsal.sources import open_source
from vidsal.sources.base import Source
from vidsal.sources.interrupt import stopped_after
from vidsal.sources.resolve import SourceLike
from vidsal.static.models import Network
from vidsal.types import Saliency, SourceInfo

log = logging.getLogger(__name__)

# Receives the frames that are written, and passes them on.
Counted = Callable[[Iterable[Saliency]], Iterable[Saliency]]
# Seconds of warm-up before a part that does not begin at a cut; see docs/scale.md.
WARM_S = 4.0
# Seconds of warm-up before a cut. A flash ends within half a second. Two cuts in such a short time
# can be distinguished from a flash only with the frames before both.
_BEFORE_CUT_S = 1.0
# A cut that another event follows within this time may be a flash.
_CLEAR_S = 0.75
# Largest distance of a cut at which a part begins, in seconds, and as a share of a part's length.
_NEAR_S, _NEAR_SHARE = 5.0, 0.25
# Shorter parts would need most of their time for the warm-up.
SHORTEST_S = 10.0
# Deviation from an even rhythm, in steps, above which one run may choose other frames than a part.
_UNEVEN_STEPS = 0.25


class UnevenPartError(Exception):
    """Part with more or fewer pictures than time steps; the source must be processed in one run."""


def require_splittable(settings: Settings, split_s: float, *, has_stores: bool) -> None:
    """Check the options of a batch that splits long sources.

    Parameters
    ----------
    settings : Settings
    split_s : float
        Length of parts in seconds.
    has_stores : bool
        Whether analyses are stored.

    Raises
    ------
    UsageError
        If parts would give another result than one run.
    """
    given = option("split", split_s)
    if not split_s >= SHORTEST_S or math.isinf(split_s):
        raise UsageError(f"{option('split')} must be {SHORTEST_S:g} s or more, got {split_s:g}")
    if has_stores:
        raise UsageError(f"{given} is not for {option('stores', True)}: a store is one run")
    for name, value in (("every", settings.every), ("fps", settings.fps)):
        if value not in (1, None):
            raise UsageError(f"{given} is not for {option(name, value)}: parts have all frames")
    if settings.target == "lock":
        raise UsageError(
            f"{given} is not for {option('target', 'lock')}: a part that begins within a scene may "
            "lock another class"
        )


def parts_of(path: Path, settings: Settings, split_s: float) -> tuple[Part, ...]:
    """Return the parts of a video; an empty tuple if it must be processed in one run.

    Short videos, photos, and videos with uneven frame times are not split. The log gives the
    reason for videos that are not short.

    Parameters
    ----------
    path : Path
    settings : Settings
        ``start``, ``end``, ``duration``, ``working_width`` and ``static_every`` are used.
    split_s : float
        Length of parts in seconds.

    Raises
    ------
    VidsalError
        If the video cannot be decoded.
    """
    picture = probe.inspect(path).picture
    if picture is None or picture.frames < 2:
        return ()
    if not picture.has_times:
        log.info("%s is processed in one run: its frames have no times", path.name)
        return ()
    offsets_s, rate = picture.offsets_s, float(picture.rate)
    uneven = np.abs(offsets_s * rate - np.arange(len(offsets_s))).max()
    if uneven > _UNEVEN_STEPS:
        log.info("%s is processed in one run: its frame times are uneven", path.name)
        return ()
    first, last = span(offsets_s, settings)
    length = round(split_s * rate)
    # The last part is up to 1.5 times as long as the others.
    places = range(first + length, last - length // 2, length)
    near = min(_NEAR_S, split_s * _NEAR_SHARE)
    begins = [Begin(first, is_cut=True)]
    begins += [_begin(path, settings, offsets_s, place, round(near * rate)) for place in places]
    return placed(begins, offsets_s, rate, settings)


class Begin(NamedTuple):
    """The first frame of a part, and whether it begins a scene."""

    frame: int
    is_cut: bool


def span(offsets_s: NDArray[np.float64], settings: Settings) -> tuple[int, int]:
    """Return the numbers of the first frame and of the end of the requested part of a source.

    Parameters
    ----------
    offsets_s : (n,) float64 array
        Times of the frames in seconds.
    settings : Settings
    """
    start_s, end_s = settings.part_s
    first, end = np.searchsorted(offsets_s, [start_s - ROUNDING_S, end_s - ROUNDING_S])
    return int(first), int(end)


def _begin(
    path: Path, settings: Settings, offsets_s: NDArray[np.float64], place: int, near: int
) -> Begin:
    """Return the start of a part: the nearest cut to a frame, or without one the frame itself."""
    rate = 1 / float(np.median(np.diff(offsets_s)))
    lead = round(_BEFORE_CUT_S * rate)
    low, high = max(1, place - near), min(len(offsets_s) - 1, place + near)
    decoded = range(max(0, low - lead), min(len(offsets_s) - 1, high + lead))
    cuts = clear_cuts(_events(path, settings, offsets_s, decoded), round(_CLEAR_S * rate))
    close = [cut for cut in cuts if low <= cut <= high]
    if not close:
        return Begin(place, is_cut=False)
    return Begin(min(close, key=lambda one: abs(one - place)), is_cut=True)


def _events(
    path: Path, settings: Settings, offsets_s: NDArray[np.float64], frames: range
) -> Iterator[tuple[int, str]]:
    """Yield the numbers and events of frames, as in an analysis of these frames."""
    part = dataclasses.replace(
        settings, start=_before(offsets_s, frames.start), end=_before(offsets_s, frames.stop),
        duration=None, audio=False,
    )  # fmt: skip
    detector, before = SceneDetector(), None
    with open_source(path, part) as source:
        for frame in source.frames():
            size = image_ops.working_size(*frame.size_px, settings.working_width)
            now = frame, histogram(frame.resized(size, image_ops.shrink))
            if before is not None:
                last, colours = before
                yield last.index, detector.event(colours, now[1], last.time_s)
            before = now


def clear_cuts(events: Iterator[tuple[int, str]], clear: int) -> list[int]:
    """Return the frames at which a scene begins that is not a flash.

    Parameters
    ----------
    events : iterator of (int, str)
        Number of each frame, and its `vidsal.saliency.scenes.SceneDetector.event`.
    clear : int
        Number of frames around a cut in which no other event may occur.
    """
    changes = [(number, event) for number, event in events if event not in ("first", "same")]
    padded = [(-clear - 1, ""), *changes, (math.inf, "")]
    return [
        int(number)
        for (before, _), (number, event), (after, _) in zip(
            padded, padded[1:], padded[2:], strict=False
        )
        if event == "cut" and number - before > clear and after - number > clear
    ]


def placed(
    begins: Sequence[Begin], offsets_s: NDArray[np.float64], rate: float, settings: Settings
) -> tuple[Part, ...]:
    """Return the parts that begin at some frames.

    Parameters
    ----------
    begins : sequence of Begin
        The first part begins at the first frame of the whole.
    offsets_s : (n,) float64 array
        Times of the frames in seconds.
    rate : float
        Frames per second.
    settings : Settings
        A warm-up begins at a frame at which one run draws gradients of the first turn, see
        ``static_every``, ``sizes`` and ``mirror``.
    """
    if len(begins) < 2:
        return ()
    first = begins[0].frame
    every = settings.static_every if isinstance(settings.static_every, int) else 1
    step = every * settings.turns
    start_s, end_s = settings.part_s
    parts = [Part(0, len(begins), start_s, 0.0, end_s)]
    for number, (frame, is_cut) in enumerate(begins[1:], start=1):
        begin_s = _before(offsets_s, frame)
        before = parts[-1]
        pictures = frame - begins[number - 1].frame
        parts[-1] = dataclasses.replace(before, end_s=begin_s, pictures=pictures)
        warm = max(first, frame - round((_BEFORE_CUT_S if is_cut else WARM_S) * rate))
        warm -= (warm - first) % step
        warm_s = _before(offsets_s, warm) if warm > first else start_s
        parts.append(Part(number, len(begins), warm_s, begin_s, end_s))
    return tuple(parts)


def _before(offsets_s: NDArray[np.float64], frame: int) -> float:
    """Return the time midway between a frame and the one before it, safe against rounding."""
    if frame == 0:
        return 0.0
    return float(offsets_s[frame - 1] + offsets_s[frame]) / 2


def write_part(
    source: SourceLike,
    settings: Settings,
    part: Part,
    network: Network,
    folder: Path,
    counted: Counted,
) -> PartDone:
    """Write the video of a part, and its table if one is wanted.

    Parameters
    ----------
    source : str, path-like or SourceName
    settings : Settings
        Settings of the whole source; ``output`` and ``table`` say what is written.
    part : Part
    network : Network
    folder : Path
        Folder for the files of the part.
    counted : callable
        Receives the frames that are written, and passes them on.

    Raises
    ------
    UnevenPartError
        If the part has more or fewer pictures than time steps.
    VidsalError
        If the part cannot be processed.
    """
    began_s, frames = time.perf_counter(), 0
    assert settings.output is not None
    end_s = None if math.isinf(part.end_s) else part.end_s
    own = dataclasses.replace(settings, start=part.warm_s or None, end=end_s, duration=None)
    suffix, silent_options = codecs.intermediate(settings.output, settings)
    with open_source(source, own) as opened:
        info = opened.info
        assert info.fps is not None
        fps = codecs.rate_of(settings.output, info.fps)
        encoder = VideoEncoder(folder / f"video{suffix}", fps, silent_options)
        draw = drawing_for(settings.output, settings)
        # Parts have no stores.
        segment = OpenSegment(folder, encoder, info, settings, {})
        try:
            with _analysed(opened, settings, network) as results:
                written = _AfterWarmUp(results, part.begin_s)
                for saliency in counted(written):
                    segment.write(saliency, draw(saliency))
                    frames += 1
            pictures = segment.finish(written.rest_of(info))
        except BaseException as error:
            segment.abandon(type(error), error, error.__traceback__)
            raise
    if encoder.size is None or pictures != (part.pictures or pictures):
        raise UnevenPartError(f"{part}: {pictures} pictures")
    seconds = time.perf_counter() - began_s
    return PartDone(frames, pictures, encoder.size, float(pictures / fps), seconds)


@contextmanager
def _analysed(
    source: Source, settings: Settings, network: Network
) -> Generator[Iterator[Saliency], None, None]:
    """Lend the saliency of an open source. It is computed ahead, as in one run."""
    stream = stream_of(source.info, network.stage, settings, network.choice.name)
    with (
        prefetch(source.frames(), DECODED_FRAMES) as frames,
        prefetch(stream.analyse(frames), ANALYSED_FRAMES) as results,
        stopped_after(source),
    ):
        yield results


class _AfterWarmUp:
    """The frames of a part without the warm-up, and the number of warm-up frames."""

    def __init__(self, results: Iterator[Saliency], begin_s: float) -> None:
        self._results, self._begin_s = results, begin_s
        self._skipped, self._skipped_s = 0, 0.0

    def __iter__(self) -> Iterator[Saliency]:
        first_s: float | None = None
        for one in self._results:
            time_s = one.frame.time_s
            if first_s is None:
                first_s = time_s
            if time_s < self._begin_s:
                self._skipped += 1
                continue
            if self._skipped and not self._skipped_s:
                self._skipped_s = time_s - first_s
            yield one

    def rest_of(self, info: SourceInfo) -> SourceInfo:
        """Return the information of a source, for the frames after the warm-up."""
        duration_s, hint = info.duration_s, info.frame_count_hint
        return dataclasses.replace(
            info,
            duration_s=None if duration_s is None else max(0.0, duration_s - self._skipped_s),
            frame_count_hint=None if hint is None else max(1, hint - self._skipped),
        )


def join_parts(
    source: SourceLike,
    settings: Settings,
    parts: Sequence[tuple[Path, PartDone]],
    folder: Path,
) -> None:
    """Join the outputs of the parts, with the sound of the source, and the tables of the parts.

    Parameters
    ----------
    source : str, path-like or SourceName
    settings : Settings
        ``output`` and ``table`` are written.
    parts : sequence of (Path, PartDone)
        The folder and the result of each part, in order.
    folder : Path
        Folder for unfinished files.

    Raises
    ------
    VidsalError
        If the joined file does not match the parts.
    """
    assert settings.output is not None
    with open_source(source, settings) as opened:
        info = opened.info
    assert info.fps is not None
    fps = codecs.rate_of(settings.output, info.fps)
    suffix, silent_options = codecs.intermediate(settings.output, settings)
    silent = folder / f"silent{suffix}"
    segments = [Segment(one, done.frames, {"encoded": done.pictures}, None) for one, done in parts]
    join_videos(segments, fps, silent, silent_options)
    if settings.table is not None:
        join_tables([one / TABLE for one, _ in parts], settings.table)
    pictures = sum(done.pictures for _, done in parts)
    expected = ExpectedPicture(pictures, parts[0][1].size, fps)
    finish(silent, settings.output, info, settings, expected)
    silent.unlink(missing_ok=True)
