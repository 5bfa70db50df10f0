"""Pictures of a folder, a glob or a list that are the frames of one video."""

import logging
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Self

from vidsal.errors import UsageError, VidsalError, option
from vidsal.media.frame_rate import USUAL_FPS
from vidsal.settings import SourceOptions
from vidsal.sources.decoders import resized
from vidsal.sources.frame_selection import FrameSelection, LeftOut, select
from vidsal.sources.image import ImageSource
from vidsal.types import Findings, Frame, SourceInfo

log = logging.getLogger(__name__)


class SequenceSource:
    """Picture files as the frames of one video.

    Parameters
    ----------
    name : str
        Name of the sequence.
    paths : sequence of Path
        At least one. Pictures of another size are scaled to that of the first.
    options : SourceOptions
        ``start``, ``end``, ``duration`` and ``every`` choose the pictures; with ``strict`` a
        picture that cannot be read is an error.
    fps : Fraction, optional
        Pictures per second; 25 by default.

    Raises
    ------
    UsageError
        If ``every`` is larger than the number of pictures.
    VidsalError
        If no picture can be read (with ``strict``: if the first cannot be read), or none is in the
        wanted part.
    """

    def __init__(
        self,
        name: str,
        paths: Sequence[Path],
        options: SourceOptions,
        *,
        fps: Fraction | None = None,
    ) -> None:
        self._name, self._strict = name, options.strict
        self._rate = rate = fps or USUAL_FPS
        self._skipped, self._stopped = 0, False
        selection = FrameSelection(*options.part_s, options.every)
        times_s = [float(number / rate) for number in range(len(paths))]
        self._pictures = [(number, paths[number]) for number in select(times_s, selection)]
        self._handed_out = 0
        self._left_out = {one.value: count for one, count in selection.left_out.items()}
        outside = selection.left_out[LeftOut.BEFORE_START] + selection.left_out[LeftOut.AFTER_END]
        in_part = len(paths) - outside
        if 1 < in_part < options.every:
            raise UsageError(
                f"{option('every', options.every)} is too large for the {in_part} pictures of "
                f"{name}{' in that part' if outside else ''}"
            )
        if not self._pictures:
            raise VidsalError(f"{name}: none of its {len(paths)} pictures is in the wanted part")
        self._size = self._first_size()
        self.info = SourceInfo(
            name, *self._size, rate / options.every, frame_count_hint=len(self._pictures),
            duration_s=float(len(self._pictures) * options.every / rate),
            files=tuple(str(path) for path in paths),
        )  # fmt: skip

    def _first_size(self) -> tuple[int, int]:
        """Return the (height, width) of the first picture that can be read."""
        failure: VidsalError | None = None
        for _, path in self._pictures:
            try:
                info = ImageSource(path).info
                return info.height_px, info.width_px
            except VidsalError as error:
                failure = failure or error
                if self._strict:
                    break
        assert failure is not None
        raise failure

    def frames(self) -> Iterator[Frame]:
        """Yield the pictures, once; see `Source.frames`.

        Raises
        ------
        VidsalError
            With ``strict``, if a picture cannot be read.
        """
        for number, path in self._pictures:
            if self._stopped:
                return
            try:
                (frame,) = ImageSource(path).frames()
            except VidsalError as error:
                if self._strict:
                    raise
                log.warning("%s is skipped: %s", path, error)
                self._skipped += 1
                continue
            self._handed_out += 1
            yield Frame(resized(frame.rgb, self._size), number, float(number / self._rate))

    def stop(self) -> None:
        """End `frames` after the current picture."""
        self._stopped = True

    def findings(self) -> Findings:
        """Return how many pictures could not be read so far."""
        left_out = dict(self._left_out)
        if self._skipped:
            left_out[LeftOut.UNREADABLE.value] = self._skipped
        return Findings(
            damaged=self._skipped,
            decoded=self._handed_out + sum(left_out.values()),
            left_out=left_out,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass
