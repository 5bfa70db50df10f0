"""A video file that ffmpeg encodes."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidsal.errors import VidsalError
from vidsal.media import codecs, ffmpeg
from vidsal.media.retiming import Timeline
from vidsal.runtime.atomic_write import temporary_sibling
from vidsal.settings import OutputOptions
from vidsal.sinks.base import PictureSink
from vidsal.sinks.mux import ExpectedPicture, finish, keeping_picture
from vidsal.types import SourceInfo
from vidsal.yuv import Picture, Yuv420, as_rgb

# If at least this share of the frames arrived, the source was read to its end and a few of its
# frames were corrupt.
_COMPLETE_SHARE = 0.9


@contextmanager
def video_sink(path: Path, info: SourceInfo, options: OutputOptions) -> Iterator[PictureSink]:
    """Lend a sink that writes a video with the timing and the audio of the source.

    Frames are repeated or dropped so that each is shown when the source shows it. The file is
    verified before it gets its final name.

    Parameters
    ----------
    path : Path
        Its suffix names the container.
    info : SourceInfo
        ``fps`` becomes the frame rate of the file and must be known.
    options : OutputOptions
        ``codec``, ``quality``, ``hardware`` and ``audio``.

    Yields
    ------
    PictureSink

    Raises
    ------
    VidsalError
        If no frame arrived, ffmpeg fails, or the verification of the file fails.
    """
    assert info.fps is not None
    fps = codecs.rate_of(path, info.fps)
    suffix, silent_options = codecs.intermediate(path, options)
    with (
        temporary_sibling(path, f".silent{suffix}") as silent,
        VideoEncoder(silent, fps, silent_options) as encoder,
    ):
        yield encoder
        if encoder.size is None:
            raise VidsalError(f"{info.name}: there are no frames, so nothing was written")
        encoder.end(info)
        encoder.finish()
        expected = ExpectedPicture(encoder.timeline.count, encoder.size, fps)
        with keeping_picture(silent, path):
            finish(silent, path, info, options, expected)


def display_duration_s(info: SourceInfo, came: int) -> float | None:
    """Return how long all frames together are shown.

    The time after the last frame belongs to that frame only if the source has no later ones.
    Where far fewer frames arrived than exist (stopped, or corrupt), it is the time of missing
    frames: holding the last picture through it, perhaps for an hour, would invent a still. The
    last frame is then shown for one step, as it is where the duration is unknown.

    Parameters
    ----------
    info : SourceInfo
    came : int
        Number of frames that arrived.

    Returns
    -------
    float or None
        Seconds; ``None`` if unknown.
    """
    hint = info.frame_count_hint
    is_complete = hint is not None and came >= _COMPLETE_SHARE * hint
    return info.duration_s if is_complete and not info.is_live else None


class VideoEncoder:
    """Encodes pictures at an even rate; ffmpeg starts with the first one, whose size it needs.

    Parameters
    ----------
    path : Path
    fps : Fraction
        Frame rate of the file.
    options : OutputOptions
        ``codec``, ``quality`` and ``hardware``.
    timeline : Timeline, optional
        The timeline to continue; by default a new one.

    Attributes
    ----------
    path : Path
    timeline : Timeline
    size : (int, int) or None
        (height, width) of the pictures; ``None`` before the first.
    """

    def __init__(
        self,
        path: Path,
        fps: Fraction,
        options: OutputOptions,
        *,
        timeline: Timeline[Picture] | None = None,
    ) -> None:
        self.path = path
        self._fps = fps
        self._options = options
        self._is_yuv = codecs.takes_yuv(path, options)
        self._process: ffmpeg.Encoder | None = None
        self.timeline: Timeline[Picture] = timeline or Timeline(fps)
        self.size: tuple[int, int] | None = None

    def write(self, picture: Picture, time_s: float) -> None:
        """Take the next picture, and encode the earlier ones whose display time is now known.

        Parameters
        ----------
        picture : (H, W, 3) uint8 array, or Yuv420
            With even sides, all of one size.
        time_s : float
            Presentation time in seconds.

        Raises
        ------
        VidsalError
            If ffmpeg fails.
        """
        self._start(picture)
        self._encode(self.timeline.add(time_s, picture))

    def end(self, info: SourceInfo) -> None:
        """Encode the remaining pictures after the last frame of the source.

        Parameters
        ----------
        info : SourceInfo
            See `display_duration_s`.

        Raises
        ------
        VidsalError
            If ffmpeg fails.
        """
        self._encode(self.timeline.end(display_duration_s(info, self.timeline.received)))

    def finish(self) -> None:
        """Close the file.

        Raises
        ------
        VidsalError
            If ffmpeg fails.
        """
        assert self._process is not None
        self._process.finish()

    def _start(self, picture: Picture) -> ffmpeg.Encoder:
        if self._process is None:
            self.size = (picture.shape[0], picture.shape[1])
            is_left = isinstance(picture, Yuv420) and picture.is_left
            arguments = codecs.encoder_args(
                self.size, self._fps, self.path, self._options, is_left=is_left
            )
            self._process = ffmpeg.Encoder(arguments)
        return self._process

    def _encode(self, pictures: list[tuple[Picture, int]]) -> None:
        for picture, repeats in pictures:
            process = self._start(picture)
            data = self._pixels(picture)
            for _ in range(repeats):
                process.write(data.data.cast("B"))

    def _pixels(self, picture: Picture) -> NDArray[np.uint8]:
        """Return a picture in the encoder's format."""
        if not self._is_yuv:
            return as_rgb(picture)
        return (picture if isinstance(picture, Yuv420) else Yuv420.of(picture)).data

    def __enter__(self) -> "VideoEncoder":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.end()
