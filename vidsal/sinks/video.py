"""A video file, encoded by ffmpeg."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

from vidsal.errors import VidsalError
from vidsal.media import codecs, ffmpeg
from vidsal.media.color import yuv420
from vidsal.media.retiming import Timeline
from vidsal.runtime.atomic_write import temporary_sibling
from vidsal.settings import Settings
from vidsal.sinks.base import PictureSink
from vidsal.sinks.mux import Meant, finish, keeping_picture
from vidsal.types import Rgb, SourceInfo

# A source from which this share of its frames came was read to its end: a few were damaged.
_NEARLY_ALL = 0.9


@contextmanager
def video_sink(path: Path, info: SourceInfo, settings: Settings) -> Iterator[PictureSink]:
    """Lend a sink that writes a video with the source's time and sound.

    Frames are repeated or left out so that each is seen when the source shows it. The file is
    looked at before it gets its final name.

    Parameters
    ----------
    path : Path
        Its suffix names the container.
    info : SourceInfo
        Of the source; its ``fps`` is the rate of the file.
    settings : Settings
        ``codec``, ``quality``, ``hardware`` and ``audio``.

    Raises
    ------
    VidsalError
        If no frame came, or ffmpeg fails, or the file is not what was meant.
    """
    assert info.fps is not None
    fps = codecs.rate_of(path, info.fps)
    suffix, chosen = codecs.intermediate(path, settings)
    with temporary_sibling(path, f".silent{suffix}") as part, Frames(part, fps, chosen) as frames:
        yield frames
        if frames.size is None:
            raise VidsalError(f"{info.name}: not one frame came, so nothing was written")
        frames.end(info)
        frames.finish()
        with keeping_picture(part, path):
            finish(part, path, info, settings, Meant(frames.timeline.count, frames.size, fps))


def shown_s(info: SourceInfo, came: int) -> float | None:
    """Return how long the frames that came are seen in all, in seconds; None if nobody knows.

    The time that is left after the last frame is that frame's own only if it is the last one the
    source has. Where far fewer frames came than there are (stopped, or damaged), that is time of
    frames that never came: to hold a picture through it, perhaps for an hour, would invent a
    still. The last frame then stays for one step, as it does where nothing is known.
    """
    hint = info.frame_count_hint
    is_all = hint is not None and came >= _NEARLY_ALL * hint
    return info.duration_s if is_all and not info.is_live else None


class Frames:
    """The encoder, begun with the first picture, since only that tells the size.

    Parameters
    ----------
    path : Path
    fps : Fraction
    settings : Settings
    timeline : Timeline, optional
        To go on with; a new one if not given.

    Attributes
    ----------
    timeline : Timeline
    size : (int, int) or None
        (height, width) of the pictures; ``None`` before the first.
    """

    def __init__(
        self,
        path: Path,
        fps: Fraction,
        settings: Settings,
        *,
        timeline: Timeline[Rgb] | None = None,
    ) -> None:
        self.path = path
        self._fps = fps
        self._settings = settings
        self._is_yuv = codecs.input_pixel_format(codecs.codec_of(path, settings.codec)) == "yuv420p"
        self._encoder: ffmpeg.Encoder | None = None
        self.timeline: Timeline[Rgb] = timeline or Timeline(fps)
        self.size: tuple[int, int] | None = None

    def write(self, picture: Rgb, time_s: float) -> None:
        """Take the next picture, and encode those that are known to be shown."""
        self._begin(picture)
        self._encode(self.timeline.add(time_s, picture))

    def end(self, info: SourceInfo) -> None:
        """Encode what is still to be shown: no frame comes any more."""
        self._encode(self.timeline.end(shown_s(info, self.timeline.received)))

    def finish(self) -> None:
        """Close the file."""
        assert self._encoder is not None
        self._encoder.finish()

    def _begin(self, picture: Rgb) -> ffmpeg.Encoder:
        if self._encoder is None:
            self.size = (picture.shape[0], picture.shape[1])
            args = codecs.encoder_args(self.size, self._fps, self.path, self._settings)
            self._encoder = ffmpeg.Encoder(args)
        return self._encoder

    def _encode(self, pictures: list[tuple[Rgb, int]]) -> None:
        for picture, times in pictures:
            encoder = self._begin(picture)
            data = yuv420(picture) if self._is_yuv else picture
            for _ in range(times):
                encoder.write(data.data.cast("B"))

    def __enter__(self) -> "Frames":
        return self

    def __exit__(self, *_: object) -> None:
        if self._encoder is not None:
            self._encoder.end()
