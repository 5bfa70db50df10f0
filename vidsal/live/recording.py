"""Recording of a live source in real time, in one file or several, complete after any end."""

import logging
import math
import shutil
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Self

from vidsal.errors import VidsalError
from vidsal.runtime.atomic_write import free_names
from vidsal.settings import Settings
from vidsal.sinks import claim_outputs, output_path, picture_sink
from vidsal.sinks.table import TableSink, table_sink
from vidsal.types import Rgb, Saliency, Shown, SourceInfo

log = logging.getLogger(__name__)

# While no frames arrive, the last picture is written in steps of this length.
_HOLD_S = 0.5
# Interval of the checks of free disk space, and the space that stays free: enough for the frames in
# the encoder, the index of a long file, and other programs.
_CHECK_S = 1.0
_RESERVED_BYTES = 64_000_000


class Recording:
    """Video files, each with a table, that follow one another without a gap.

    A video shows each picture for as long as it was displayed, so its duration is that of the
    recorded time. A table has a row for each analysed frame of that time, and none for pictures
    that are repeated.

    Parameters
    ----------
    info : SourceInfo
        Describes a live source.
    settings : Settings
        ``output`` and ``table`` name the first files; the next ones get ``_002`` and so on.
    segment_s : float or None
        Duration after which a new file begins, in seconds.

    Attributes
    ----------
    files : list of Path
        The finished files.

    Raises
    ------
    VidsalError
        If the files exist or cannot be written.
    """

    def __init__(
        self,
        info: SourceInfo,
        settings: Settings,
        *,
        segment_s: float | None = None,
    ) -> None:
        self._info, self._settings = info, settings
        self._segment_s = segment_s
        self._current: _RecordedFile | None = None
        self._checked_s = -math.inf
        self.files: list[Path] = []
        # A requested name is checked before any work. Without one, the recording takes a name that
        # is free when it begins.
        is_requested = settings.output is not None
        self._first = claim_outputs(info, settings) if is_requested else output_path(info, settings)

    @property
    def is_on(self) -> bool:
        """Whether a file is being recorded."""
        return self._current is not None

    def write(
        self,
        saliency: Saliency,
        picture: Rgb,
        *,
        shown: Shown | None = None,
        since_s: float | None = None,
    ) -> None:
        """Record a picture from the time of its frame on.

        A picture of another size, or the end of a segment, begins a new file.

        Parameters
        ----------
        saliency : Saliency
        picture : (H, W, 3) uint8 array
            RGB with even sides.
        shown : Shown, optional
            When the frame was displayed, for the table.
        since_s : float, optional
            Time at which the first file begins, on the clock of the frames. It shows the first
            picture from then on. By default the time of the first frame.

        Raises
        ------
        VidsalError
            If it cannot be written.
        """
        current, now_s = self._current, saliency.frame.time_s
        if current is not None and (
            picture.shape != current.shape or now_s >= self._segment_end_s(current)
        ):
            self.end(now_s)
        if self._current is None:
            # Without a gap: a new file begins where the last one ended.
            begin_s = now_s if since_s is None else since_s
            self._current = self._begin_file(current.ended_s if current else begin_s, picture)
        self._current.write(saliency, picture, shown)
        self._check_disk_space(now_s)

    def hold(self, now_s: float, picture: Rgb | None = None) -> None:
        """Repeat the last picture until now; the end of a segment begins a new file.

        Parameters
        ----------
        now_s : float
            Now, on the clock of the frames.
        picture : (H, W, 3) uint8 array, optional
            A new drawing of the same frame, shown from now on if it has the size of the file.

        Raises
        ------
        VidsalError
            If it cannot be written.
        """
        current = self._current
        if current is None:
            return
        if current.last is not None and now_s >= self._segment_end_s(current):
            self.end(self._segment_end_s(current))
            following = self._begin_file(current.ended_s, current.last)
            following.begin(current.last)
            self._current = current = following
        if picture is not None and current.last is not None and picture.shape == current.shape:
            current.last = picture
        current.hold(now_s, least_s=_HOLD_S)
        self._check_disk_space(now_s)

    def _check_disk_space(self, now_s: float) -> None:
        """End the recording while the disk still has space to complete the files.

        Raises
        ------
        VidsalError
            If the disk is nearly full. The files are complete then.
        """
        if now_s - self._checked_s < _CHECK_S:
            return
        self._checked_s = now_s
        folder = self._first.absolute().parent
        if shutil.disk_usage(folder).free < _RESERVED_BYTES:
            self.end(now_s)
            raise VidsalError(
                f"the disk is nearly full, so the recording ended; {self.files[0]} and the files "
                "after it are complete"
            )

    def _segment_end_s(self, file: "_RecordedFile") -> float:
        """Return when the segment of a file ends."""
        return math.inf if self._segment_s is None else file.began_s + self._segment_s

    def end(self, now_s: float) -> None:
        """Finish the file, whose last picture is shown until now.

        Parameters
        ----------
        now_s : float
            Now, on the clock of the frames.

        Raises
        ------
        VidsalError
            If it cannot be completed.
        """
        current, self._current = self._current, None
        if current is not None:
            self.files += current.finish(now_s)
            log.info("recorded %s", ", ".join(map(str, self.files[-2:])))

    def _begin_file(self, now_s: float, picture: Rgb) -> "_RecordedFile":
        output, table = self._first, self._settings.table
        if self.files or self._settings.output is None:
            # A live recording cannot ask for another name, and must not replace files.
            output, *tables = free_names(output, *([table] if table else []))
            table = tables[0] if tables else None
        settings = replace(self._settings, output=output, table=table)
        return _RecordedFile(self._info, settings, output, now_s, picture)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # A file is still open only after an error. It keeps what was recorded so far.
        if self._current is not None:
            current, self._current = self._current, None
            self.files += current.finish(None)


class _RecordedFile:
    """A video file and its table.

    Attributes
    ----------
    began_s, ended_s : float
        Times on the clock of the frames.
    shape : tuple of int
        Shape of its pictures.
    last : (H, W, 3) uint8 array or None
        The displayed picture.
    """

    def __init__(
        self,
        info: SourceInfo,
        settings: Settings,
        output: Path,
        now_s: float,
        picture: Rgb,
    ) -> None:
        assert info.fps is not None
        self.began_s = self.ended_s = now_s
        self.shape = picture.shape
        self._step_s = 1 / float(info.fps)
        self._paths = [output, *([settings.table] if settings.table else [])]
        self.last: Rgb | None = None
        # The newest picture and its time. It is written with the next one: only the end of the
        # file tells whether its step is inside.
        self._waiting: tuple[Rgb, float] | None = None
        self._table: TableSink | None = None
        with ExitStack() as stack:
            if settings.table:
                self._table = stack.enter_context(table_sink(settings.table, info, settings))
            self._video = stack.enter_context(picture_sink(output, info, settings))
            self._stack = stack.pop_all()

    def begin(self, picture: Rgb) -> None:
        """Write a picture at the beginning of the file, without a row in the table."""
        self.last = picture
        self._video.write(picture, self._file_time_s(self.began_s))

    def write(self, saliency: Saliency, picture: Rgb, shown: Shown | None) -> None:
        time_s = saliency.frame.time_s
        if self.last is None and time_s > self.began_s:
            # The video's time starts with its first picture, the table's with the file.
            self.begin(picture)
        is_first, self.last = self.last is None, picture
        # A frame from before the beginning is displayed then, but has no time in this file.
        if self._table and time_s >= self.began_s:
            frame = replace(saliency.frame, time_s=self._file_time_s(time_s))
            self._table.write(replace(saliency, frame=frame), shown)
        self._write_waiting(math.inf)
        # Repeated pictures that are already written stay.
        self.ended_s = max(time_s, self.ended_s)
        self._waiting = picture, self.ended_s
        if is_first:
            self._write_waiting(math.inf)

    def hold(self, now_s: float, *, least_s: float = 0.0) -> None:
        """Repeat the last picture until now, unless it is new."""
        if self.last is not None and now_s - self.ended_s > max(least_s, self._step_s):
            self._write_waiting(math.inf)
            # A frame is shown for one step after its time.
            self._video.write(self.last, self._file_time_s(now_s - self._step_s))
            self.ended_s = now_s

    def _write_waiting(self, end_s: float) -> None:
        """Write the newest picture, in a step that begins before the end."""
        if self._waiting is not None:
            picture, time_s = self._waiting
            self._waiting = None
            self._video.write(picture, self._file_time_s(min(time_s, end_s - self._step_s)))

    def finish(self, now_s: float | None) -> list[Path]:
        """Close the files and return their names."""
        # Inside the stack: if the last picture cannot be written, no file is left.
        with self._stack:
            if now_s is not None:
                self.hold(now_s)
            self._write_waiting(math.inf if now_s is None else now_s)
        return self._paths

    def _file_time_s(self, time_s: float) -> float:
        """Return a time on the clock of the frames as a time of this file."""
        return max(0.0, time_s - self.began_s)
