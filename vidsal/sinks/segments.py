"""An output that is written in segments, so that an interrupted run can be resumed."""

import logging
import os
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Any

from vidsal.errors import VidsalError
from vidsal.media import codecs, ffmpeg, probe
from vidsal.runtime.atomic_write import flush, flush_folder, writing
from vidsal.runtime.safe_pickle import dumps, loads
from vidsal.settings import OutputOptions, Settings
from vidsal.sinks.base import AllSinks, SaliencySink
from vidsal.sinks.checkpoint import Checkpoint, Segment, open_checkpoint
from vidsal.sinks.kept import description
from vidsal.sinks.maps import maps_sink, move_maps, remove_maps
from vidsal.sinks.mux import ExpectedPicture, finish
from vidsal.sinks.resume_state import RESUME_CLASSES, ResumeState
from vidsal.sinks.table import deliver_table, table_sink
from vidsal.sinks.video import VideoEncoder
from vidsal.store.joining import join_stores
from vidsal.store.location import new_store
from vidsal.store.writer import StoreSink
from vidsal.types import Saliency, SourceInfo
from vidsal.yuv import Picture

log = logging.getLogger(__name__)

TABLE, _MAPS, _STORE = "table.csv", "maps", "store"
# A file of the result with the number of its frames.
_FRAMES = "frames"
# A file of the result. It exists when the maps of an earlier run have been removed from the folder.
_CLEARED = "cleared"
# A file of the result. It exists when the store has its final name. Segments are removed later.
_KEPT = "kept"


@contextmanager
def open_segments(
    info: SourceInfo,
    settings: Settings,
    output: Path,
    identity: Mapping[str, str],
) -> Iterator["SegmentWriter"]:
    """Lend a writer of segments. They are joined when the block ends without error.

    Otherwise the finished segments stay, and the next call continues after them.

    Parameters
    ----------
    info : SourceInfo
        Information about a file; ``fps`` must be known.
    settings : Settings
    output : Path
    identity : mapping of str to str
        Identifies the run, see `vidsal.sinks.fingerprint.identity`.

    Yields
    ------
    SegmentWriter

    Raises
    ------
    VidsalError
        If there are segments of a different run, or the output cannot be written.
    KeyboardInterrupt
        The interrupt of the block, with a message that says how to resume.
    """
    with open_checkpoint(output, identity) as checkpoint:
        writer = SegmentWriter(checkpoint, info, settings, output)
        try:
            with writer:
                yield writer
            writer.deliver()
        except KeyboardInterrupt:
            done = checkpoint.segments[-1].frames if checkpoint.segments else 0
            if not done:
                raise
            raise KeyboardInterrupt(
                f"interrupted: the same command continues after the {done} frames that are done"
            ) from None


class SegmentWriter:
    """Writes results to one segment after the other.

    Parameters
    ----------
    checkpoint : Checkpoint
    info : SourceInfo
        ``fps`` must be known.
    settings : Settings
    output : Path

    Attributes
    ----------
    frames : int
        Number of frames written, including those of interrupted runs.
    is_over : bool
        Whether the end of the source was reached.
    class_names : tuple of str
        Names of the network's classes, for a store. Must be set before the first frame.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        info: SourceInfo,
        settings: Settings,
        output: Path,
    ) -> None:
        assert info.fps is not None
        self._checkpoint, self._info, self._settings = checkpoint, info, settings
        self._output = output
        self._fps = codecs.rate_of(output, info.fps)
        self._silent_suffix, self._silent_options = codecs.intermediate(output, settings)
        self._current: OpenSegment | None = None
        self.class_names: tuple[str, ...] = ()
        last = checkpoint.segments[-1] if checkpoint.segments else None
        self.frames = last.frames if last else 0
        if checkpoint.result is not None:
            self.frames = int((checkpoint.result / _FRAMES).read_text(encoding="ascii"))
        self.is_over = checkpoint.result is not None or (
            last is not None and last.metadata["is_last"]
        )
        self._state = (
            loads(last.state, ResumeState, RESUME_CLASSES) if last and last.state else ResumeState()
        )
        is_kept = settings.keep is not None and not self.is_over
        self._about = description(info, settings, ()) if is_kept else {}
        self._log_progress()

    def _log_progress(self) -> None:
        damaged = self._checkpoint.damaged
        if damaged:
            log.warning("%d finished segments are damaged and are written again", damaged)
        if self.frames:
            log.warning("continuing after the %d frames that are done", self.frames)

    @property
    def stream_state(self) -> bytes:
        """The pickled stream state before the next frame; empty before the first frame."""
        return self._state.stream

    @property
    def flicker_mean(self) -> float:
        """Mean relative change of the display scale from frame to frame."""
        return self._state.flicker.mean

    def write(self, saliency: Saliency, picture: Picture, stream_state: bytes | None) -> None:
        """Write a frame.

        Parameters
        ----------
        saliency : Saliency
        picture : (H, W, 3) uint8 array, or Yuv420
            With even sides.
        stream_state : bytes or None
            For the last frame of a segment, the pickled stream state after it.

        Raises
        ------
        VidsalError
            If the file cannot be written.
        """
        current = self._open_current()
        current.write(saliency, picture)
        self._state.flicker.after(saliency.fused_high, is_cut=saliency.is_cut)
        self.frames += 1
        if stream_state is not None:
            self._state.stream = stream_state
            self._finish_segment(current, is_last=False)

    def _open_current(self) -> "OpenSegment":
        if self._current is None:
            folder = self._checkpoint.new_folder()
            video = VideoEncoder(
                folder / f"video{self._silent_suffix}", self._fps, self._silent_options,
                timeline=self._state.timeline,
            )  # fmt: skip
            self._state.timeline = video.timeline
            about = self._about | {"class_names": list(self.class_names)}
            self._current = OpenSegment(folder, video, self._info, self._settings, about)
        return self._current

    def _finish_segment(self, segment: "OpenSegment", *, is_last: bool) -> None:
        encoded = segment.finish(self._info if is_last else None)
        metadata = {
            "encoded": encoded,
            "size": segment.video.size or self._size,
            "is_last": is_last,
        }
        self._checkpoint.finish(segment.folder, self.frames, metadata, dumps(self._state))
        self._current = None

    @property
    def _size(self) -> tuple[int, int] | None:
        """(height, width) of the pictures; None before the first segment."""
        if not self._checkpoint.segments:
            return None
        height, width = self._checkpoint.segments[-1].metadata["size"]
        return height, width

    def __enter__(self) -> "SegmentWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            if self._current is not None:
                self._current.abandon(kind, error, trace)
            return
        if self.is_over:
            return
        if not self.frames:
            raise VidsalError(f"{self._info.name}: there are no frames, so nothing was written")
        # A segment without frames may still encode pictures that the timeline holds back.
        current = self._open_current()
        try:
            self._finish_segment(current, is_last=True)
        except BaseException as failure:
            current.abandon(type(failure), failure, failure.__traceback__)
            raise
        self.is_over = True

    def deliver(self) -> None:
        """Join the segments, move the results to their final paths, and remove the checkpoint.

        Raises
        ------
        VidsalError
            If an output cannot be written. The next call continues where this one failed.
        """
        checkpoint, settings = self._checkpoint, self._settings
        if checkpoint.result is None:
            folder = checkpoint.new_folder()
            self._join_video(folder)
            if settings.table:
                join_tables([one.folder / TABLE for one in checkpoint.segments], folder / TABLE)
            with writing(checkpoint.folder):
                (folder / _FRAMES).write_text(str(self.frames), encoding="ascii")
            checkpoint.finish_result(folder)
        result = checkpoint.result
        assert result is not None
        if settings.maps:
            _deliver_maps(checkpoint.folder, result, settings.maps)
        if settings.keep and not (result / _KEPT).exists():
            self._deliver_store(settings.keep)
            with writing(result):
                (result / _KEPT).touch()
        if settings.table:
            deliver_table(result / TABLE, settings.table)
        # The video comes last: if it exists, all other outputs do.
        video = result / self._output.name
        if video.exists():
            with writing(self._output):
                video.replace(self._output)
        checkpoint.remove_all()

    def _deliver_store(self, path: Path) -> None:
        """Join the stores of all segments at the final path."""
        folder = self._checkpoint.folder
        # A run that continues after `kill -9` finds the unfinished store by this number. No other
        # run has this number as long as the checkpoint is locked.
        owner = f"{zlib.crc32(os.fsencode(self._output.absolute())):08x}"
        with new_store(path, owner) as joined:
            # The last segment may have no frames, and so no store.
            frames = join_stores(sorted(folder.glob(f"[0-9]*/{_STORE}")), joined, path)
            if frames != self.frames:
                raise VidsalError(
                    f"{path}: verification failed: expected {self.frames} frames, found {frames}: "
                    f"remove {folder} and run again"
                )
            with writing(path):
                flush_folder(joined)
        with writing(path):
            # The segments are removed next, so the new name must be on the disk before.
            flush(path.parent)

    def _join_video(self, folder: Path) -> None:
        segments = [one for one in self._checkpoint.segments if one.metadata["encoded"]]
        silent = folder / f"silent{self._silent_suffix}"
        join_videos(segments, self._fps, silent, self._silent_options)
        assert self._size is not None
        frames = sum(one.metadata["encoded"] for one in segments)
        expected = ExpectedPicture(frames, self._size, self._fps)
        final = folder / self._output.name
        finish(silent, final, self._info, self._settings, expected, display_path=self._output)
        silent.unlink(missing_ok=True)


class OpenSegment:
    """A segment that is being written.

    Parameters
    ----------
    folder : Path
        Folder of its files.
    video : VideoEncoder
    info : SourceInfo
    settings : Settings
        ``table``, ``maps`` and ``keep`` say what is written beside the video.
    about : dict
        Description of the run for the store.
    """

    def __init__(
        self,
        folder: Path,
        video: VideoEncoder,
        info: SourceInfo,
        settings: Settings,
        about: dict[str, Any],
    ) -> None:
        self.folder, self.video = folder, video
        self._count_before = video.timeline.count
        self._stack = ExitStack()
        sinks: list[SaliencySink] = []
        if settings.table:
            table = table_sink(folder / TABLE, info, settings)
            sinks.append(self._stack.enter_context(table))
        if settings.maps:
            sinks.append(self._stack.enter_context(maps_sink(folder / _MAPS)))
        self._store = (
            StoreSink(folder / _STORE, settings.keep, dict(about)) if settings.keep else None
        )
        if self._store:
            sinks.append(self._store)
        self._sinks = AllSinks(sinks, self._stack.enter_context(video))

    def write(self, saliency: Saliency, picture: Picture) -> None:
        """Write a frame.

        Parameters
        ----------
        saliency : Saliency
        picture : (H, W, 3) uint8 array, or Yuv420
            With even sides.
        """
        self._sinks.write(saliency, picture)

    def finish(self, info: SourceInfo | None) -> int:
        """Close the files and verify the video; return the number of its pictures.

        Parameters
        ----------
        info : SourceInfo or None
            Given for the last segment of the source.

        Raises
        ------
        VidsalError
            If the video is not as expected.
        """
        video = self.video
        if info is not None:
            video.end(info)
        expected = video.timeline.count - self._count_before
        # ffmpeg cannot write a file without pictures.
        if expected:
            video.finish()
        if self._store and not self._store.is_empty:
            self._store.finish()
        self._stack.close()
        if not expected:
            video.path.unlink(missing_ok=True)
        picture = probe.inspect(video.path).picture if expected else None
        found = picture.frames if picture else 0
        if found != expected:
            raise VidsalError(
                f"{video.path}: verification failed: expected {expected} frames, found {found}"
            )
        return expected

    def abandon(
        self,
        kind: type[BaseException],
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the files; the folder stays unfinished. Takes the arguments of ``__exit__``.

        Parameters
        ----------
        kind, error, trace
            Type, value and traceback of the error that ended the work.
        """
        self._stack.__exit__(kind, error, trace)


def join_videos(
    segments: Sequence[Segment], fps: Fraction, result: Path, options: OutputOptions
) -> None:
    """Concatenate the videos of segments without encoding them again.

    Parameters
    ----------
    segments : sequence of Segment
        Their ``metadata["encoded"]`` is the number of pictures, at least 1.
    fps : Fraction
    result : Path
        Its suffix is that of the segments' videos.
    options : OutputOptions
        ``codec`` is used.

    Raises
    ------
    VidsalError
        If ffmpeg fails.
    """
    # Each time is rounded relative to the beginning. Otherwise rounding errors would add up, and
    # look like another frame rate after an hour.
    counts = accumulate(one.metadata["encoded"] for one in segments)
    ends_us = [0, *(round(count * 1_000_000 / fps) for count in counts)]
    lines = ["ffconcat version 1.0"]
    for segment, begin, end in zip(segments, ends_us, ends_us[1:], strict=False):
        # The path is relative to the script: an absolute path may contain a quote or a line break.
        path = Path(os.path.relpath(segment.folder, result.parent)) / f"video{result.suffix}"
        lines += [f"file '{path.as_posix()}'", f"duration {end - begin}us"]
    script = result.with_suffix(".txt")
    with writing(script):
        script.write_text("\n".join(lines) + "\n", encoding="utf-8")
    ffmpeg.convert(
        ["-f", "concat", "-safe", "0",
         "-i", ffmpeg.file_url(script.name), "-map", "0:v:0", "-c", "copy",
         *codecs.container_args(result, codecs.codec_of(result, options.codec), fps),
         ffmpeg.file_url(result.name)],
        # ffmpeg reads the path of a script as a URL, and # or ? would end a URL.
        folder=script.parent,
    )  # fmt: skip
    script.unlink()


def join_tables(tables: Sequence[Path], result: Path) -> None:
    """Concatenate tables and keep one header.

    Parameters
    ----------
    tables : sequence of Path
    result : Path

    Raises
    ------
    VidsalError
        If the file cannot be written.
    """
    with writing(result), result.open("wb") as file:
        for n, table in enumerate(tables):
            with table.open("rb") as rows:
                header = rows.readline()
                if n == 0:
                    file.write(header)
                shutil.copyfileobj(rows, file)


def _deliver_maps(segments: Path, result: Path, folder: Path) -> None:
    """Move the maps of all segments to their folder. An interrupted call may have moved some."""
    with writing(folder):
        if not (result / _CLEARED).exists():
            remove_maps(folder)
            (result / _CLEARED).touch()
        for maps in sorted(segments.glob(f"[0-9]*/{_MAPS}")):
            move_maps(maps, folder)
