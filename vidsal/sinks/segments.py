"""An output that is written in segments, so that an interrupted run can go on."""

import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from types import TracebackType

from vidsal.errors import VidsalError
from vidsal.media import codecs, ffmpeg, probe
from vidsal.runtime.atomic_write import atomic_write, writing
from vidsal.runtime.safe_pickle import dumps, loads
from vidsal.settings import Settings
from vidsal.sinks.base import AllSinks, SaliencySink
from vidsal.sinks.checkpoint import Parts, Segment, open_parts
from vidsal.sinks.maps import maps_sink, put_maps, remove_maps
from vidsal.sinks.mux import Meant, finish
from vidsal.sinks.resume_state import RESUME_CLASSES, ResumeState
from vidsal.sinks.table import table_sink
from vidsal.sinks.video import Frames
from vidsal.types import Rgb, Saliency, SourceInfo

log = logging.getLogger(__name__)

_TABLE, _MAPS = "table.csv", "maps"
# In the result: how many frames it is of.
_FRAMES = "frames"
# In the result: the maps of an earlier run are gone from the folder that the new ones go to.
_CLEARED = "cleared"


@contextmanager
def open_segments(
    info: SourceInfo,
    settings: Settings,
    output: Path,
    identity: Mapping[str, str],
) -> Iterator["Segments"]:
    """Lend what writes a run's results in segments; the block's good end joins them.

    After any other end the finished segments stay, and the next call goes on after them.

    Parameters
    ----------
    info : SourceInfo
        Of a file.
    settings : Settings
    output : Path
    identity : mapping
        What the run is, see `vidsal.sinks.fingerprint`.

    Raises
    ------
    VidsalError
        If there are segments of another run, or the output cannot be made.
    KeyboardInterrupt
        As it came, with words that say how to go on.
    """
    with open_parts(output, identity) as parts:
        segments = Segments(parts, info, settings, output)
        try:
            with segments:
                yield segments
            segments.deliver()
        except KeyboardInterrupt:
            done = parts.segments[-1].frames if parts.segments else 0
            if not done:
                raise
            raise KeyboardInterrupt(
                f"interrupted: the same command goes on after the {done} frames that are done"
            ) from None


class Segments:
    """Writes results to one segment after the other.

    Attributes
    ----------
    frames : int
        How many frames have been written, those of interrupted runs included.
    is_over : bool
        Whether the source has nothing more.
    """

    def __init__(
        self,
        parts: Parts,
        info: SourceInfo,
        settings: Settings,
        output: Path,
    ) -> None:
        assert info.fps is not None
        self._parts, self._info, self._settings = parts, info, settings
        self._output = output
        self._fps = codecs.rate_of(output, info.fps)
        self._silent_suffix, self._silent_settings = codecs.intermediate(output, settings)
        self._open: _Open | None = None
        last = parts.segments[-1] if parts.segments else None
        self.frames = last.frames if last else 0
        if parts.result is not None:
            self.frames = int((parts.result / _FRAMES).read_text(encoding="ascii"))
        self.is_over = parts.result is not None or (last is not None and last.about["is_last"])
        self._standing = (
            loads(last.state, ResumeState, RESUME_CLASSES) if last and last.state else ResumeState()
        )
        self._tell()

    def _tell(self) -> None:
        if self._parts.damaged:
            log.warning("%d finished segments were damaged and are done again", self._parts.damaged)
        if self.frames:
            log.warning("going on after the %d frames that are done", self.frames)

    @property
    def stream_state(self) -> bytes:
        """The pickled stream state before the next frame; empty before the first frame."""
        return self._standing.stream

    @property
    def flicker_mean(self) -> float:
        """How much the display's scale has changed a frame."""
        return self._standing.flicker.mean

    def write(self, saliency: Saliency, picture: Rgb, stream_state: bytes | None) -> None:
        """Write a frame; the last one of a segment brings the pickled state after it."""
        opened = self._opened()
        opened.write(saliency, picture)
        self._standing.flicker.after(saliency.fused_high, is_cut=saliency.is_cut)
        self.frames += 1
        if stream_state is not None:
            self._standing.stream = stream_state
            self._finish_segment(opened, is_last=False)

    def _opened(self) -> "_Open":
        if self._open is None:
            folder = self._parts.begun()
            video = Frames(
                folder / f"video{self._silent_suffix}", self._fps, self._silent_settings,
                timeline=self._standing.timeline,
            )  # fmt: skip
            self._standing.timeline = video.timeline
            self._open = _Open(folder, video, self._info, self._settings)
        return self._open

    def _finish_segment(self, opened: "_Open", *, is_last: bool) -> None:
        shown = opened.finish(None if not is_last else self._info)
        size = opened.video.size or self._size
        about = {"shown": shown, "size": size, "is_last": is_last}
        self._parts.finish(opened.folder, self.frames, about, dumps(self._standing))
        self._open = None

    @property
    def _size(self) -> tuple[int, int] | None:
        """(height, width) of the pictures."""
        if not self._parts.segments:
            return None
        height, width = self._parts.segments[-1].about["size"]
        return height, width

    def __enter__(self) -> "Segments":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            if self._open is not None:
                self._open.abandon(kind, error, trace)
            return
        if self.is_over:
            return
        if not self.frames:
            raise VidsalError(f"{self._info.name}: not one frame came, so nothing was written")
        # Even one of no frames: the timeline may have pictures left to show.
        opened = self._opened()
        try:
            self._finish_segment(opened, is_last=True)
        except BaseException as failure:
            opened.abandon(type(failure), failure, failure.__traceback__)
            raise
        self.is_over = True

    def deliver(self) -> None:
        """Join what the segments hold, and put it to its places; the parts are gone then."""
        parts, settings = self._parts, self._settings
        if parts.result is None:
            begun = parts.begun()
            self._join_video(begun)
            if settings.table:
                _join_tables([one.folder / _TABLE for one in parts.segments], begun / _TABLE)
            with writing(parts.folder):
                (begun / _FRAMES).write_text(str(self.frames), encoding="ascii")
            parts.finish_result(begun)
        result = parts.result
        assert result is not None
        if settings.maps:
            _deliver_maps(parts.folder, result, settings.maps)
        if settings.table:
            with atomic_write(settings.table) as part, writing(settings.table):
                shutil.copyfile(result / _TABLE, part)
        # The output comes last: where it is, everything is.
        whole = result / self._output.name
        if whole.exists():
            with writing(self._output):
                whole.replace(self._output)
        parts.drop()

    def _join_video(self, folder: Path) -> None:
        shown = [one for one in self._parts.segments if one.about["shown"]]
        silent = folder / f"silent{self._silent_suffix}"
        _join(shown, self._fps, silent, self._silent_settings)
        assert self._size is not None
        meant = Meant(sum(one.about["shown"] for one in shown), self._size, self._fps)
        final = folder / self._output.name
        finish(silent, final, self._info, self._settings, meant, name=self._output)
        silent.unlink(missing_ok=True)


class _Open:
    """A segment that is being written."""

    def __init__(
        self,
        folder: Path,
        video: Frames,
        info: SourceInfo,
        settings: Settings,
    ) -> None:
        self.folder, self.video = folder, video
        self._before = video.timeline.count
        self._stack = ExitStack()
        sinks: list[SaliencySink] = []
        if settings.table:
            table = table_sink(folder / _TABLE, info, settings)
            sinks.append(self._stack.enter_context(table))
        if settings.maps:
            sinks.append(self._stack.enter_context(maps_sink(folder / _MAPS)))
        self._sinks = AllSinks(sinks, self._stack.enter_context(video))

    def write(self, saliency: Saliency, picture: Rgb) -> None:
        self._sinks.write(saliency, picture)

    def finish(self, info: SourceInfo | None) -> int:
        """Close the files, and look at the video; return how many pictures it shows.

        With the source's `info` given, the source is at its end.
        """
        video = self.video
        if info is not None:
            video.end(info)
        shown = video.timeline.count - self._before
        # A file of no pictures is none.
        if shown:
            video.finish()
        self._stack.close()
        if not shown:
            video.path.unlink(missing_ok=True)
        picture = probe.inspect(video.path).picture if shown else None
        found = picture.frames if picture else 0
        if found != shown:
            raise VidsalError(
                f"{video.path} came out wrong: {shown} frames were meant, {found} are in it"
            )
        return shown

    def abandon(
        self,
        kind: type[BaseException],
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the files as they are; the folder does not count."""
        self._stack.__exit__(kind, error, trace)


def _join(segments: list[Segment], fps: Fraction, result: Path, settings: Settings) -> None:
    """Write the pictures of segments one after the other, without encoding them anew.

    Raises
    ------
    VidsalError
        If ffmpeg fails.
    """
    # Rounded from the beginning: an hour of roundings would be seen as a change of rate.
    counts = accumulate(one.about["shown"] for one in segments)
    ends_us = [0, *(round(count * 1_000_000 / fps) for count in counts)]
    lines = ["ffconcat version 1.0"]
    for segment, begin, end in zip(segments, ends_us, ends_us[1:], strict=False):
        # As seen from the script: the way there may have a quote, or a new line, in it.
        path = Path(os.path.relpath(segment.folder, result.parent)) / f"video{result.suffix}"
        lines += [f"file '{path.as_posix()}'", f"duration {end - begin}us"]
    script = result.with_suffix(".txt")
    with writing(script):
        script.write_text("\n".join(lines) + "\n", encoding="utf-8")
    ffmpeg.convert(
        ["-f", "concat", "-safe", "0",
         "-i", ffmpeg.file_url(script.name), "-map", "0:v:0", "-c", "copy",
         *codecs.container_args(result, codecs.codec_of(result, settings.codec), fps),
         ffmpeg.file_url(result.name)],
        # A script's own path is an address: a # or ? in it would end it.
        folder=script.parent,
    )  # fmt: skip
    script.unlink()


def _join_tables(tables: list[Path], result: Path) -> None:
    """Write tables one after the other, their one head at the top."""
    with writing(result), result.open("wb") as file:
        for n, table in enumerate(tables):
            with table.open("rb") as rows:
                head = rows.readline()
                if n == 0:
                    file.write(head)
                shutil.copyfileobj(rows, file)


def _deliver_maps(parts: Path, result: Path, folder: Path) -> None:
    """Move the maps of all segments to their folder; some may be there from an interrupted try."""
    with writing(folder):
        if not (result / _CLEARED).exists():
            remove_maps(folder)
            (result / _CLEARED).touch()
        for maps in sorted(parts.glob(f"[0-9]*/{_MAPS}")):
            put_maps(maps, folder)
