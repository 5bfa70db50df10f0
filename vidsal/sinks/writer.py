"""A video file from pictures in memory, for users of the library."""

import math
from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from vidsal.errors import UsageError, option
from vidsal.image_ops import even
from vidsal.media import codecs
from vidsal.runtime.atomic_write import claim, resolve_symlink
from vidsal.settings import Settings, settings_of
from vidsal.settings.values import parse_path, parse_rate
from vidsal.sinks.base import PictureSink
from vidsal.sinks.video import video_sink
from vidsal.types import Rgb, SourceInfo


class VideoWriter:
    """Writes a video file, picture by picture.

    The file gets its name when the ``with`` block ends without an error, after it is verified.
    Otherwise no file is left, and an existing one is kept.

    Parameters
    ----------
    path : str or Path
        File to write: .mp4, .mov, .mkv, .webm or .gif.
    fps : int, float, Fraction or str
        Frame rate: 25, 29.97, "30000/1001". A GIF shows at most 50 frames a second.
    settings : Settings, optional
        ``codec``, ``quality``, ``hardware`` and ``overwrite``; other options are ignored.
    overwrite : bool
        Replace an existing file.

    Raises
    ------
    UsageError
        If the suffix, the codec or the frame rate is not supported, or, at the beginning of the
        block, if the file exists.
    VidsalError
        If the folder does not exist or is not writable, ffmpeg has no encoder, or, at the end of
        the block, if no picture was written or the file cannot be completed.

    Examples
    --------
    >>> import numpy as np
    >>> from vidsal.sinks.writer import VideoWriter
    >>> with VideoWriter("grey.mp4", fps=25, overwrite=True) as video:  # doctest: +SKIP
    ...     for level in range(0, 256, 5):
    ...         video.write(np.full((180, 320, 3), level, np.uint8))
    """

    def __init__(
        self,
        path: str | Path,
        fps: int | float | Fraction | str,
        settings: Settings | None = None,
        *,
        overwrite: bool = False,
    ) -> None:
        self.path = parse_path(path)
        self._settings = settings_of(settings)
        self._overwrites = overwrite or self._settings.overwrite
        rate = parse_rate(fps)
        if rate is None:
            raise UsageError("fps: expected frames a second, such as 25 or '30000/1001', got None")
        self._fps = rate
        codecs.require_encoder(self.path, self._settings.codec)
        self._context: AbstractContextManager[PictureSink] | None = None
        self._sink: PictureSink | None = None
        self._shape: tuple[int, ...] | None = None
        self._count = 0

    def write(self, picture: Rgb, time_s: float | None = None) -> None:
        """Write the next picture.

        Parameters
        ----------
        picture : (H, W, 3) uint8 array
            RGB, 0..255, of the same size as the first one. An odd side gains one pixel, a copy of
            the last. The array is copied.
        time_s : float, optional
            Presentation time in seconds; only differences from the first picture's time count.
            Pictures are repeated or dropped to match the frame rate. By default the number of
            pictures written before, divided by `fps`.

        Raises
        ------
        UsageError
            If the array has another type, shape or size, the time is not finite, or the writer
            is not in a ``with`` block.
        VidsalError
            If ffmpeg fails.
        """
        if self._sink is None:
            raise UsageError("VideoWriter.write: expected a with block around it")
        _require_rgb(picture)
        if self._shape not in (None, picture.shape):
            raise UsageError(
                f"picture: expected the shape of the first one, {self._shape}, got {picture.shape}"
            )
        if time_s is None:
            time_s = float(self._count / self._fps)
        elif not math.isfinite(time_s):
            raise UsageError(f"time_s: expected seconds, got {time_s}")
        self._shape = picture.shape
        self._count += 1
        # The sink holds pictures back, and the caller may draw into its array again.
        self._sink.write(even(np.array(picture, order="C")), time_s)

    def __enter__(self) -> Self:
        if self._context is not None:
            raise UsageError("VideoWriter: expected one with block, got another one")
        path = resolve_symlink(self.path)
        if path.exists() and not self._overwrites:
            raise UsageError(
                f"{path} exists: give another name, or {option('overwrite', True)} to replace it"
            )
        claim(path, overwrite=True)
        # The size is known with the first picture; the sink does not read it.
        info = SourceInfo(str(self.path), 0, 0, self._fps)
        self._context = video_sink(path, info, self._settings)
        self._sink = self._context.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._context is not None
        self._sink = None
        self._context.__exit__(kind, error, trace)


def _require_rgb(picture: Any) -> None:
    """Raise `UsageError` unless this is an (H, W, 3) uint8 array with pixels."""
    is_array = isinstance(picture, np.ndarray)
    is_rgb = is_array and picture.ndim == 3 and picture.shape[2] == 3 and picture.size > 0
    if not is_rgb or picture.dtype != np.uint8:
        got = f"{picture.dtype} {picture.shape}" if is_array else type(picture).__name__
        raise UsageError(f"picture: expected an (H, W, 3) uint8 array of RGB, got {got}")
