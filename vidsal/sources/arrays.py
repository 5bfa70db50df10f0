"""Frames that the caller already has: arrays, PIL pictures, or an iterator of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from fractions import Fraction
from itertools import chain
from os import PathLike
from typing import Any, Self

import numpy as np

from vidsal.errors import UsageError
from vidsal.settings.values import parse_rate
from vidsal.types import Findings, Frame, Rgb, SourceInfo

# The rate of arrays that come without one, the same as for a sequence of picture files.
DEFAULT_FPS = Fraction(25)

_NAMES = (str, bytes, PathLike)


def is_picture(value: object) -> bool:
    """Return whether a value is one picture in memory: an array with 2 or 3 axes, or a PIL image.

    Parameters
    ----------
    value : object
        Any value.
    """
    if isinstance(value, np.ndarray):
        return value.ndim in (2, 3)
    return _is_pil(value)


def is_frames(value: object) -> bool:
    """Return whether a value is an iterable of pictures and not a name.

    Parameters
    ----------
    value : object
        Any value.
    """
    return isinstance(value, Iterable) and not isinstance(value, _NAMES)


def as_rgb(value: Any, name: str = "picture") -> Rgb:
    """Return a picture as a contiguous RGB array.

    Parameters
    ----------
    value : (H, W, 3) uint8 array, PIL image or Frame
        RGB, red first.
    name : str
        Name of the value in error messages.

    Returns
    -------
    (H, W, 3) uint8 array

    Raises
    ------
    UsageError
        If it is anything else. The message says how to convert it.
    """
    if isinstance(value, Frame):
        return value.rgb
    if _is_pil(value):
        return _of_pil(value, name)
    if isinstance(value, _NAMES):
        raise UsageError(
            f"{name}: expected an array, got the name {value!r}: vidsal.run_all takes several "
            "names, vidsal.Pictures makes one video of picture files"
        )
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise UsageError(
            f"{name}: expected a (H, W, 3) uint8 array, got {type(value).__name__}: give times in "
            "times="
        ) from error
    if array.ndim == 3 and array.shape[-1] == 3 and array.dtype == np.uint8 and array.size:
        return np.ascontiguousarray(array)
    got = f"{array.dtype} {array.shape}"
    hint = "give 0..255 as uint8, red first"
    if array.dtype != np.uint8 and array.dtype.kind in "fui":
        hint = "scale it to 0..255 and use .astype('uint8')"
    elif array.ndim == 2:
        hint = "repeat a grey picture with np.stack([grey] * 3, axis=-1)"
    elif array.ndim == 3 and array.shape[-1] == 4:
        hint = "leave out the alpha channel with [..., :3]"
    elif array.ndim == 3 and array.shape[0] == 3:
        hint = "move the channels to the end with .transpose(1, 2, 0)"
    raise UsageError(f"{name}: expected a (H, W, 3) uint8 array, got {got}: {hint}")


def _of_pil(image: Any, name: str) -> Rgb:
    """Return a PIL image as `vidsal.analyse` reads the same file: upright, in sRGB."""
    if image.mode.startswith(("I", "F")):
        raise UsageError(
            f"{name}: a PIL image of mode {image.mode} has no known range: scale it to 0..255 and "
            "convert it to RGB, or give the name of the file"
        )
    # Arrays do not need PIL.
    from vidsal.sources.image import upright_srgb

    try:
        return upright_srgb(image, name)
    except (OSError, ValueError) as error:
        raise UsageError(f"{name}: a PIL image that cannot be read: {error}") from error


def _is_pil(value: object) -> bool:
    """Say whether a value is a PIL image, without loading PIL."""
    return hasattr(value, "convert") and hasattr(value, "getbands")


class ArraySource:
    """Frames from memory.

    Parameters
    ----------
    frames : (H, W, 3) uint8 array, PIL image, or iterable of these or of Frame
        One picture is a photo; an iterable is a video. All pictures have the same size. `Frame`
        objects keep their times.
    fps : float, Fraction or str, optional
        Frames per second; 25 by default.
    times : iterable of float, optional
        Time of each frame in seconds, increasing; instead of `fps`.

    Raises
    ------
    UsageError
        If `fps` and `times` are both given, are given for a photo, or are not valid.
    """

    def __init__(
        self,
        frames: Any,
        *,
        fps: float | Fraction | str | None = None,
        times: Iterable[float] | None = None,
    ) -> None:
        self._is_photo = is_picture(frames)
        if fps is not None and times is not None:
            raise UsageError("give fps= or times=, not both")
        if self._is_photo and (fps is not None or times is not None):
            raise UsageError("fps= and times= are for several frames; a single picture has no time")
        if isinstance(frames, Mapping):
            raise UsageError("expected an iterable of arrays, got a dictionary: give its .values()")
        if not self._is_photo and not is_frames(frames):
            kind = type(frames).__name__
            raise UsageError(f"expected an array or an iterable of arrays, got {kind}")
        if isinstance(frames, Sequence) and len(frames) and isinstance(frames[0], _NAMES):
            as_rgb(frames[0], "frame 0")  # Raises: a list of names is known to be wrong at once.
        self._count = len(frames) if isinstance(frames, Sized) and not self._is_photo else None
        self._given: Iterator[Any] = iter([frames] if self._is_photo else frames)
        self._pictures = self._given
        self._fps = parse_rate(fps) or DEFAULT_FPS
        self._times = None if times is None else iter(times)
        self._info: SourceInfo | None = None
        self._stopped = False

    @property
    def info(self) -> SourceInfo:
        """Size and rate; reads the first picture."""
        if self._info is None:
            first = next(self._pictures, None)
            if first is None:
                raise UsageError("there is no frame: the iterable is empty")
            height, width = as_rgb(first, "frame 0").shape[:2]
            self._pictures = chain([first], self._pictures)
            self._info = SourceInfo(
                "photo" if self._is_photo else "frames", height, width,
                fps=None if self._is_photo else self._fps,
                frame_count_hint=1 if self._is_photo else self._count,
            )  # fmt: skip
        return self._info

    def frames(self) -> Iterator[Frame]:
        """Yield the frames, once.

        Raises
        ------
        UsageError
            If a frame is not a picture, has another size than the first one, or if its time is
            missing or does not increase.
        """
        size = self.info.height_px, self.info.width_px
        before_s = -np.inf
        for index, value in enumerate(self._pictures):
            if self._stopped:
                return
            rgb = as_rgb(value, f"frame {index}")
            if rgb is value:
                # The caller may fill the same array again, as `cv2.VideoCapture.read` can.
                rgb = rgb.copy()
            if rgb.shape[:2] != size:
                raise UsageError(
                    f"frame {index} is {rgb.shape[1]}x{rgb.shape[0]}, but frame 0 is "
                    f"{size[1]}x{size[0]}: resize the frames to one size"
                )
            time_s = self._time_s(index, value)
            if not before_s < time_s < np.inf:
                raise UsageError(
                    f"times: frame {index} has {time_s} s"
                    + (f" after {before_s} s" if index else "")
                    + "; times must be finite and increase"
                )
            before_s = time_s
            yield Frame(rgb, index, time_s, has_time=not self._is_photo)

    def _time_s(self, index: int, value: Any) -> float:
        if self._times is None:
            return value.time_s if isinstance(value, Frame) else float(index / self._fps)
        try:
            return float(next(self._times))
        except StopIteration:
            raise UsageError(f"times: there is no time for frame {index}") from None

    def stop(self) -> None:
        """Let `frames` end after the current frame."""
        self._stopped = True

    def findings(self) -> Findings:
        """Return no damage: arrays have none."""
        return Findings()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # A generator may hold a camera or a file open.
        close = getattr(self._given, "close", None)
        if close is not None:
            close()
