"""Frames of a video for a loop of the caller's own."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Self

from vidsal.errors import VidsalError
from vidsal.settings import settings_of
from vidsal.sources import open_source
from vidsal.sources.base import Source
from vidsal.sources.resolve import one_source
from vidsal.types import Findings, Frame, SourceInfo


class VideoReader:
    """An open video, photo or camera. Iterate it for its frames.

    Use it in a ``with`` block. `vidsal.Analyser.analyse` takes it, too.

    Parameters
    ----------
    source : Source
        An open source.
    """

    def __init__(self, source: Source) -> None:
        self._source, self._is_open = source, False
        self._source.__enter__()
        self._is_open = True

    @property
    def info(self) -> SourceInfo:
        """Size, frame rate and expected length."""
        return self._source.info

    @property
    def fps(self) -> Fraction:
        """Frames per second; 1 for a photo."""
        return self._source.info.fps or Fraction(1)

    def frames(self) -> Iterator[Frame]:
        """Yield the frames, once.

        Raises
        ------
        VidsalError
            If the video is closed, or breaks.
        """
        if not self._is_open:
            raise VidsalError(f"{self.info.name} is closed: read its frames in the with block")
        yield from self._source.frames()

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def stop(self) -> None:
        """Let `frames` end after the current frame; may be called from a signal handler."""
        self._source.stop()

    def findings(self) -> Findings:
        """Return the faults of the source, as far as it has been read."""
        return self._source.findings()

    def close(self) -> None:
        """Close the source; a second call has no effect."""
        if self._is_open:
            self._is_open = False
            self._source.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_video(source: Any, settings: Any = None) -> VideoReader:
    """Open a video for a loop of your own.

    Parameters
    ----------
    source : str, int, path-like or Pictures
        A video or image file, the number of a camera, an address, or pictures that are one video.
    settings : Settings, optional
        ``start``, ``end``, ``every``, ``duration``, ``fps``, ``strict`` and ``sequence`` choose
        the frames.

    Returns
    -------
    VideoReader
        A context manager and an iterable of `Frame`: ``rgb`` (H, W, 3) uint8, ``index``,
        ``time_s``.

    Raises
    ------
    UsageError
        If an argument is invalid.
    VidsalError
        If the source cannot be opened.
    """
    settings = settings_of(settings)
    name = one_source(source, is_sequence=settings.sequence)
    return VideoReader(open_source(name, settings))
