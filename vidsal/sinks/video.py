"""A video file, encoded by ffmpeg."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path

from vidsal import ffmpeg
from vidsal.errors import VidsalError
from vidsal.frames import Rgb, Saliency, SourceInfo
from vidsal.sink import Write, staged


@contextmanager
def video_sink(path: Path, info: SourceInfo) -> Iterator[Write]:
    """Lend a function that writes an MP4 with the source's rate and sound.

    The file is looked at before it gets its final name: it must hold the frames that were
    written, at their size.

    Parameters
    ----------
    path : Path
    info : SourceInfo
        Of the source; its ``fps`` is the rate of the file. Frames of a live source are repeated
        or left out so that the file keeps real time.

    Raises
    ------
    VidsalError
        If no frame came, or ffmpeg fails, or the file is not what was meant.
    """
    assert info.fps is not None
    sound = info.sound
    with staged(path) as final, ExitStack() as stack:
        # With sound there is a second step; the picture then goes to a file of its own.
        part = stack.enter_context(_removed(final, ".silent.mp4")) if sound else final
        encoder = stack.enter_context(_Frames(part, info.fps, keeps_time=info.is_live))
        yield encoder.write
        if encoder.size is None:
            raise VidsalError(f"{info.name}: not one frame came, so nothing was written")
        encoder.finish()
        if sound:
            ffmpeg.add_sound(
                part, Path(sound.path), sound.codec, final,
                start_s=sound.begin_s + sound.picture_at_s,
                duration_s=float(encoder.written / info.fps),
            )  # fmt: skip
        _check(final, path, encoder.written, encoder.size)


@contextmanager
def _removed(beside: Path, suffix: str) -> Iterator[Path]:
    """Lend a name that is gone when the block ends."""
    path = beside.with_name(beside.stem + suffix)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


class _Frames:
    """The encoder, begun with the first frame, since only that tells the size."""

    def __init__(self, path: Path, fps: Fraction, *, keeps_time: bool) -> None:
        self._path = path
        self._fps = fps
        self._keeps_time = keeps_time
        self._encoder: ffmpeg.Encoder | None = None
        self.size: tuple[int, int] | None = None
        self.written = 0

    def write(self, saliency: Saliency, picture: Rgb) -> None:
        if self._encoder is None:
            self.size = (picture.shape[0], picture.shape[1])
            self._encoder = ffmpeg.Encoder(ffmpeg.encoding(self.size, self._fps, self._path))
        for _ in range(self._due(saliency.frame.time_s)):
            self._encoder.write(picture.data.cast("B"))
            self.written += 1

    def _due(self, time_s: float) -> int:
        """Return how often a frame has to be written to keep the time."""
        if not self._keeps_time:
            return 1
        return max(0, round(time_s * self._fps) + 1 - self.written)

    def finish(self) -> None:
        assert self._encoder is not None
        self._encoder.finish()

    def __enter__(self) -> "_Frames":
        return self

    def __exit__(self, *_: object) -> None:
        if self._encoder is not None:
            self._encoder.end()


def _check(file: Path, name: Path, frames: int, size: tuple[int, int]) -> None:
    """Raise `VidsalError`, naming both, if a file is not what was meant."""
    seen = ffmpeg.probe(file).size
    found = ffmpeg.count_frames(file)
    if found != frames or seen != size:
        is_there = f"{found} of {seen[1]}x{seen[0]}" if seen else f"{found} without a picture"
        raise VidsalError(
            f"{name} came out wrong: {frames} frames of {size[1]}x{size[0]} were meant, "
            f"{is_there} are in it"
        )
