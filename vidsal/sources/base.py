"""The interface of all sources of frames; the kinds of source are in the other modules."""

from collections.abc import Iterator
from typing import Protocol, Self

from vidsal.types import Findings, Frame, SourceInfo


class Source(Protocol):
    """An open source of frames in order; a context manager that closes it."""

    @property
    def info(self) -> SourceInfo:
        """Facts about the source that are known before its frames are read."""

    def frames(self) -> Iterator[Frame]:
        """Yield the frames, once.

        Raises
        ------
        VidsalError
            If the source fails.
        """

    def stop(self) -> None:
        """End `frames` after the current frame; a signal handler may call this."""

    def findings(self) -> Findings:
        """Return what was wrong with the source, as far as it was read."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...
