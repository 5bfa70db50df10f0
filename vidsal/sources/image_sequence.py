"""Pictures of a folder, a glob or a list that are the frames of one video."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from vidsal.errors import UsageError, VidsalError
from vidsal.media.frame_rate import USUAL_FPS
from vidsal.media.retiming import ROUNDING_S
from vidsal.settings import Settings
from vidsal.sources.decoders import resized
from vidsal.sources.image import ImageSource
from vidsal.types import Findings, Frame, SourceInfo

log = logging.getLogger(__name__)


class SequenceSource:
    """Picture files, one after the other.

    Parameters
    ----------
    name : str
        What they are called together.
    paths : sequence of Path
        At least one. Pictures of another size are brought to that of the first.
    settings : Settings
        ``fps`` is their rate; ``start``, ``end``, ``duration`` and ``every`` choose from them;
        with ``strict`` a picture that cannot be read is an error.

    Raises
    ------
    VidsalError
        If no picture can be read (with ``strict``, the first one), or none is in the part that was
        asked for.
    """

    def __init__(self, name: str, paths: Sequence[Path], settings: Settings) -> None:
        self._name, self._strict = name, settings.strict
        fps = settings.fps or USUAL_FPS
        start_s, end_s = settings.part_s
        self._rate, self._skipped, self._stopped = fps, 0, False
        inside = [
            (number, path)
            for number, path in enumerate(paths)
            if start_s - ROUNDING_S <= number / fps < end_s - ROUNDING_S
        ]
        if 1 < len(inside) < settings.every:
            raise UsageError(
                f"--every {settings.every} is too much for the {len(inside)} pictures of {name}"
                f"{' in that part' if len(inside) < len(paths) else ''}"
            )
        self._paths = inside[:: settings.every]
        if not self._paths:
            raise VidsalError(f"{name}: none of its {len(paths)} pictures is in the part asked for")
        self._size = self._first_size()
        self.info = SourceInfo(
            name, *self._size, fps / settings.every, frame_count_hint=len(self._paths),
            duration_s=float(len(self._paths) * settings.every / fps),
            files=tuple(str(path) for path in paths),
        )  # fmt: skip

    def _first_size(self) -> tuple[int, int]:
        """Return the (height, width) of the first picture that can be read."""
        failure: VidsalError | None = None
        for _, path in self._paths:
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
        for number, path in self._paths:
            if self._stopped:
                return
            try:
                (frame,) = ImageSource(path).frames()
            except VidsalError as error:
                if self._strict:
                    raise
                log.warning("%s is left out: %s", path, error)
                self._skipped += 1
                continue
            yield Frame(resized(frame.rgb, self._size), number, float(number / self._rate))

    def stop(self) -> None:
        self._stopped = True

    def findings(self) -> Findings:
        return Findings(damaged=self._skipped)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass
