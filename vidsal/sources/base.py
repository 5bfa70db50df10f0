"""What every source of frames is, whatever it reads from. The kinds are in ``sources/``."""

from collections.abc import Iterator
from typing import Protocol, Self

from vidsal.types import Findings, Frame, SourceInfo


class Source(Protocol):
    """Frames, one after the other, from something that is open."""

    @property
    def info(self) -> SourceInfo:
        """What is known before the frames are read."""

    def frames(self) -> Iterator[Frame]:
        """Yield the frames, once.

        Raises
        ------
        VidsalError
            If the source breaks.
        """

    def stop(self) -> None:
        """Let `frames` end after the frame it is at; may be called from a signal handler."""

    def findings(self) -> Findings:
        """Return what was wrong with the source, as far as it was read."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...
