"""A recording of something live: real time kept, rolled over, whole however it ends."""

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

# While nothing comes, what was last seen is held this much at a time.
_HOLD_S = 0.5
# How often the disk's room is looked at, and what of it is left alone: enough for what the encoder
# still holds, the index of a long file, and whoever else writes there.
_LOOK_S = 1.0
_SPARE_BYTES = 64_000_000


class Recording:
    """Video files, and tables beside them, that follow one another without a gap.

    A video shows each picture for as long as it stood, so it lasts as long as what it shows; a
    table has a row for each analysed frame that was seen in its time, and none for a picture that
    is held.

    Parameters
    ----------
    info : SourceInfo
        Of a live source.
    settings : Settings
        ``output`` and ``table`` name the first files; those that follow get ``_002`` and so on.
    segment_s : float or None
        A new file after this long.
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
        self._piece: _Piece | None = None
        self._looked_s = -math.inf
        self.files: list[Path] = []
        # Before any work, so that a name that cannot be used is said at once; what nobody asked
        # for yet takes a name that is free when it begins.
        given = settings.output is not None
        self._first = claim_outputs(info, settings) if given else output_path(info, settings)

    @property
    def is_on(self) -> bool:
        """Whether something is being recorded."""
        return self._piece is not None

    def write(
        self,
        saliency: Saliency,
        picture: Rgb,
        *,
        shown: Shown | None = None,
        since_s: float | None = None,
    ) -> None:
        """Record a picture from the time of its frame on.

        A picture of another size, or the end of a segment, begins a new file. The first file
        begins at `since_s`, with the first picture, however late that comes.

        Raises
        ------
        VidsalError
            If it cannot be written.
        """
        piece, now_s = self._piece, saliency.frame.time_s
        if piece is not None and (picture.shape != piece.shape or now_s >= self._full_s(piece)):
            self.end(now_s)
        if self._piece is None:
            # Without a gap: the next file begins where the last one ended.
            begin_s = now_s if since_s is None else since_s
            self._piece = self._begun_at(piece.ended_s if piece else begin_s, picture)
        self._piece.write(saliency, picture, shown)
        self._look_for_room(now_s)

    def hold(self, now_s: float, picture: Rgb | None = None) -> None:
        """Go on showing the last picture until now, in a new file where a segment is over.

        Or, from now on, another `picture` of the same moment, if it has the size of the file.

        Raises
        ------
        VidsalError
            If it cannot be written.
        """
        piece = self._piece
        if piece is None:
            return
        if piece.last is not None and now_s >= self._full_s(piece):
            self.end(self._full_s(piece))
            following = self._begun_at(piece.ended_s, piece.last)
            following.begin(piece.last)
            self._piece = piece = following
        if picture is not None and piece.last is not None and picture.shape == piece.shape:
            piece.last = picture
        piece.hold(now_s, least_s=_HOLD_S)
        self._look_for_room(now_s)

    def _look_for_room(self, now_s: float) -> None:
        """End the recording while there is still room on the disk to end it well.

        Raises
        ------
        VidsalError
            If there is hardly any left; what was recorded is whole then.
        """
        if now_s - self._looked_s < _LOOK_S:
            return
        self._looked_s = now_s
        folder = self._first.absolute().parent
        if shutil.disk_usage(folder).free < _SPARE_BYTES:
            self.end(now_s)
            raise VidsalError(
                f"the disk is nearly full, so the recording ends here; {self.files[0]} and what "
                "follows it are whole"
            )

    def _full_s(self, piece: "_Piece") -> float:
        """When a segment is over."""
        return math.inf if self._segment_s is None else piece.began_s + self._segment_s

    def end(self, now_s: float) -> None:
        """Finish the file: it lasts until now.

        Raises
        ------
        VidsalError
            If it did not become whole.
        """
        piece, self._piece = self._piece, None
        if piece is not None:
            self.files += piece.finish(now_s)
            log.info("recorded %s", ", ".join(map(str, self.files[-2:])))

    def _begun_at(self, now_s: float, picture: Rgb) -> "_Piece":
        output, table = self._first, self._settings.table
        if self.files or self._settings.output is None:
            # Never in the way of what is there: this is no moment to ask for another name.
            output, *tables = free_names(output, *([table] if table else []))
            table = tables[0] if tables else None
        settings = replace(self._settings, output=output, table=table)
        return _Piece(self._info, settings, output, now_s, picture)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Still open only where something went wrong; then what came until now is kept.
        if self._piece is not None:
            piece, self._piece = self._piece, None
            self.files += piece.finish(None)


class _Piece:
    """One file, and its table.

    Attributes
    ----------
    began_s, ended_s : float
        Times on the clock of the frames.
    shape : tuple of int
        Of its pictures.
    last : (H, W, 3) uint8 array or None
        The picture on display.
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
        self._table: TableSink | None = None
        with ExitStack() as stack:
            if settings.table:
                self._table = stack.enter_context(table_sink(settings.table, info, settings))
            self._video = stack.enter_context(picture_sink(output, info, settings))
            self._stack = stack.pop_all()

    def begin(self, picture: Rgb) -> None:
        """Show a picture from the very beginning, whenever it was seen; it is no row."""
        self.last = picture
        self._video.write(picture, self._at(self.began_s))

    def write(self, saliency: Saliency, picture: Rgb, shown: Shown | None) -> None:
        time_s = saliency.frame.time_s
        if self.last is None and time_s > self.began_s:
            # A video's time runs from its first picture, and the table's from the beginning.
            self.begin(picture)
        self.last = picture
        # What was seen before the file begins is on show at its beginning, and of another time.
        if self._table and time_s >= self.began_s:
            frame = replace(saliency.frame, time_s=self._at(time_s))
            self._table.write(replace(saliency, frame=frame), shown)
        # What was held until now is not taken back.
        self.ended_s = max(time_s, self.ended_s)
        self._video.write(picture, self._at(self.ended_s))

    def hold(self, now_s: float, *, least_s: float = 0.0) -> None:
        """Show the last picture until now, where it did not just come."""
        if self.last is not None and now_s - self.ended_s > max(least_s, self._step_s):
            # A frame is shown for one step from its own time on.
            self._video.write(self.last, self._at(now_s - self._step_s))
            self.ended_s = now_s

    def finish(self, now_s: float | None) -> list[Path]:
        """Close the files and return their names."""
        # Where the last picture cannot be written any more, nothing of a file is left.
        with self._stack:
            if now_s is not None:
                self.hold(now_s)
        return self._paths

    def _at(self, time_s: float) -> float:
        """Return a time on the clock of the frames as one of this file."""
        return max(0.0, time_s - self.began_s)
