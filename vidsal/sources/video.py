"""A video file as a source: the frames of the wanted part, and the faults of the file."""

import logging
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Self

from vidsal.errors import UsageError, VidsalError, option
from vidsal.media.probe import MARGIN_S, Media, VideoStream, inspect
from vidsal.settings import SourceOptions
from vidsal.sources import corruption
from vidsal.sources.decoders import resized
from vidsal.sources.file_decoder import FileDecoder
from vidsal.sources.frame_selection import FrameSelection, LeftOut, OutputSteps, inside
from vidsal.types import Findings, Frame, SoundPart, SourceInfo
from vidsal.yuv import Yuv420

log = logging.getLogger(__name__)

# A seek is worth its uncertainty only if it saves more decoding than this.
_SEEK_S = 10.0
# Most pixels of a picture; more means a corrupt header, or a video that no machine can hold.
_LARGEST_PX = 2**27


class VideoSource:
    """The frames of a video file, or of a part of it, in order.

    At most one frame per step of the output is yielded; see `OutputSteps`. So frames come at
    `SourceInfo.fps` at most, whatever the rhythm of the file.

    Parameters
    ----------
    path : Path
    options : SourceOptions
        ``start``, ``end``, ``duration`` and ``every`` choose the frames; with ``strict`` a corrupt
        or truncated file is an error.
    fps : Fraction, optional
        Frames per second of the output. By default the rate of the file, divided by ``every``.
    audio : bool
        Whether `info` names the sound that belongs to the frames.

    Raises
    ------
    UsageError
        If ``every`` is larger than the number of frames.
    VidsalError
        If the file has no picture that can be decoded, or none after ``start``.
    """

    def __init__(
        self,
        path: Path,
        options: SourceOptions,
        *,
        fps: Fraction | None = None,
        audio: bool = True,
    ) -> None:
        self._path, self._strict = path, options.strict
        self._start_s, self._end_s = options.part_s
        self._media = _inspected(path, self._end_s)
        self._stream = stream = _require_picture(path, self._media, is_strict=options.strict)
        self._stopped = self._is_at_end = False
        self._used = 0
        self._decoder = FileDecoder(path, stream, is_strict=options.strict)
        self._selection = FrameSelection(self._start_s, self._end_s, options.every)
        try:
            self._first = self._first_frame()
            if fps is None:
                self._require_enough(options.every)
        except BaseException:
            self._decoder.close()
            raise
        self._has_fps = fps is not None
        rate = fps or stream.rate / options.every
        file_end_s = stream.end_s - float(stream.times_s[0])
        duration_s = max(0.0, min(file_end_s, self._end_s) - self._first.time_s)
        self._selection.steps = steps = OutputSteps(
            first_s=self._first.time_s, fps=rate, duration_s=duration_s, end_s=self._end_s,
            listed_s=stream.offsets_s, every=options.every,
            is_open=not stream.has_times and math.isinf(self._end_s),
        )  # fmt: skip
        height, width = self._first.size_px
        sound = sound_part(path, self._media, self._first, self._end_s) if audio else None
        self.info = SourceInfo(
            str(path), height, width, rate, frame_count_hint=steps.expected(),
            duration_s=duration_s, sound=sound,
        )  # fmt: skip

    def frames(self) -> Iterator[Frame]:
        """Yield the frames, once; see `Source.frames`.

        Raises
        ------
        VidsalError
            If no decoder can go on; with ``strict`` also if the file is corrupt.
        """
        self._decoder.watch_corruption(self._first.time_s, self._end_s)
        if self._selection.is_after_end(self._first.time_s):
            self._selection.left_out[LeftOut.AFTER_END] += 1
            return
        size = self._first.size_px
        frame: Frame | None = self._first
        while frame is not None and not self._stopped:
            self._selection.take(frame.time_s)
            self._used += 1
            if frame.size_px != size:
                # Pictures of another size are scaled to that of the first.
                frame = Frame(resized(frame.rgb, size), frame.index, frame.time_s)
            yield frame
            frame = self._next_frame()
        if frame is not None:
            self._selection.left_out[LeftOut.STOPPED] += 1
        self._check_count()
        if self._is_at_end and not self._stopped:
            self._report()

    def stop(self) -> None:
        """End `frames` after the current frame."""
        self._stopped = True

    def findings(self) -> Findings:
        """Return what was wrong with the file, as far as it was read."""
        left_out = {reason.value: count for reason, count in self.left_out.items()}
        return Findings(
            self._damaged(), self._media.is_truncated, self._decoder.name, self._decoder.decoded,
            left_out,
        )  # fmt: skip

    @property
    def left_out(self) -> dict[LeftOut, int]:
        """How many decoded frames were left out so far, for each reason."""
        hidden = {LeftOut.HIDDEN: self._decoder.hidden} if self._decoder.hidden else {}
        return {reason: n for reason, n in self._selection.left_out.items() if n} | hidden

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._decoder.close()

    def _first_frame(self) -> Frame:
        """Return the first frame of the part; the part may have ended before it."""
        time_s = self._decoder.grab()
        if time_s is not None and self._start_s > _SEEK_S:
            self._decoder.seek(self._start_s)
            time_s = self._decoder.time_s
        while time_s is not None:
            # Frames before the start are decoded, since later ones depend on them.
            reason = self._selection.leave_out(time_s)
            if reason is LeftOut.AFTER_END:
                # The part is empty: its frame is not handed out.
                self._selection.left_out[reason] -= 1
            if reason is not LeftOut.BEFORE_START and (frame := self._frame()):
                return frame
            time_s = self._decoder.grab()
        last_s = self._decoder.time_s
        if self._start_s and math.isfinite(last_s):
            raise VidsalError(
                f"{option('start', self._start_s)} is after the last frame of {self._path} "
                f"({max(last_s, 0):.2f} s)"
            )
        raise VidsalError(f"{self._path} holds no picture that can be decoded")

    def _next_frame(self) -> Frame | None:
        """Return the next selected frame; None at the end of the part, or of the file."""
        while (time_s := self._decoder.grab()) is not None:
            reason = self._selection.leave_out(time_s)
            if reason is LeftOut.AFTER_END:
                return None
            if reason is None and (frame := self._frame()):
                return frame
        self._is_at_end = True
        return None

    def _frame(self) -> Frame | None:
        """Return the current frame; None if it cannot be converted, which is counted."""
        picture = self._decoder.picture()
        if picture is None:
            self._selection.left_out[LeftOut.UNREADABLE] += 1
            return None
        place = self._decoder.index, self._decoder.time_s
        if isinstance(picture, Yuv420):
            return Frame.of_yuv(picture, *place)
        return Frame(picture, *place)

    def _require_enough(self, every: int) -> None:
        """Raise `UsageError` if the part has fewer frames than one step of ``every``."""
        frames = int(inside(self._stream.offsets_s, self._first.time_s, self._end_s).sum())
        if 1 < frames < every:
            part = " in that part" if frames < self._stream.frames else ""
            raise UsageError(
                f"{option('every', every)} is too large for the {frames} frames of "
                f"{self._path}{part}"
            )

    def _check_count(self) -> None:
        """Raise `VidsalError` if decoded frames are neither used nor left out for a reason."""
        decoded, left_out = self._decoder.decoded, sum(self.left_out.values())
        if decoded != self._used + left_out:
            raise VidsalError(
                f"{self._path}: {decoded} frames were decoded, {self._used} used and {left_out} "
                "left out; the others are lost without a reason: please report this file"
            )

    def _lost(self) -> int:
        """Return how many frames could not be decoded so far."""
        return corruption.count_lost(
            self._stream.offsets_s, codec=self._stream.codec, decoded=self._decoder.index + 1,
            time_s=self._decoder.time_s, is_at_end=self._is_at_end,
        )  # fmt: skip

    def _damaged(self) -> int:
        """Return how many frames are corrupt or could not be decoded so far."""
        return max(self._lost() + self._decoder.corrupt_frames(), self._stream.corrupt_packets)

    def _report(self) -> None:
        """Report what is wrong with the file, now that it was read to its end."""
        if not self._has_fps and (count := self._selection.left_out[LeftOut.NOT_SHOWN]):
            log.warning(
                "%s: %d of %d frames are left out, they are too close to others for %s frames per "
                "second; %s keeps more", self._path, count, self._decoder.decoded,
                self.info.fps, option("fps"),
            )  # fmt: skip
        is_truncated = self._media.is_truncated
        fault = corruption.describe(self._damaged(), self._lost(), is_truncated=is_truncated)
        if not fault:
            return
        if self._strict:
            raise VidsalError(
                f"{self._path}: {fault} (an error because of {option('strict', True)})"
            )
        log.warning("%s: %s; %d frames decoded", self._path, fault, self._decoder.index + 1)


def _inspected(path: Path, end_s: float) -> Media:
    """Return what a file holds, looked at up to an end in seconds, or a little further."""
    if math.isfinite(end_s):
        media = inspect(path, until_s=end_s + MARGIN_S)
        if media.picture is not None:
            return media
        # The picture may begin long after the sound.
    return inspect(path)


def _require_picture(path: Path, media: Media, *, is_strict: bool) -> VideoStream:
    """Return the video stream of a file, or raise `VidsalError` with what is wrong."""
    stream = media.picture
    if media.lacks_index and _is_boxed(path):
        raise VidsalError(f"{path} is truncated before its index, so nothing of it can be read")
    if stream is None and media.sound:
        raise VidsalError(f"{path} holds sound but no moving picture")
    if stream is None and media.is_truncated:
        raise VidsalError(f"{path} is truncated, and the rest of it cannot be read")
    if stream is None:
        raise VidsalError(f"{path} is not a video or picture that can be read")
    height, width = stream.upright_px
    if height * width == 0:
        raise VidsalError(f"{path} holds no picture that can be decoded: its codec is unknown")
    if height * width > _LARGEST_PX:
        raise VidsalError(f"{path} claims pictures of {width}x{height}: it is corrupt or too large")
    if is_strict and media.is_truncated:
        raise VidsalError(f"{path} is truncated (an error because of {option('strict', True)})")
    return stream


def _is_boxed(path: Path) -> bool:
    """Return whether a file begins as MP4 and MOV files do, whatever its name."""
    with path.open("rb") as file:
        return file.read(8)[4:] in (b"ftyp", b"mdat", b"moov", b"wide", b"free", b"skip")


def sound_part(path: Path, media: Media, first: Frame, end_s: float) -> SoundPart | None:
    """Return the sound that belongs to the frames of a part of a file.

    Parameters
    ----------
    path : Path
    media : Media
        What the file holds; with a picture.
    first : Frame
        The first frame of the part.
    end_s : float
        End of the part, in seconds after the first frame that the file lists; may be infinite.

    Returns
    -------
    SoundPart or None
        None if there is no sound, or it ends before the part begins.
    """
    if media.unusable_audio:
        log.warning(
            "%s: its timestamps restart, and its sound (%s) cannot be aligned after that: the "
            "video has no sound", path, media.unusable_audio,
        )  # fmt: skip
    sound = media.sound
    if sound is None:
        return None
    assert media.picture is not None
    # The first listed frame may be shown after the beginning of the file.
    delay_s = max(0.0, float(media.picture.times_s[0]) - media.begin_s)
    shown_s = delay_s + first.time_s
    is_whole = first.index == 0
    begin_s, picture_at_s = (0.0, shown_s) if is_whole else (shown_s, 0.0)
    if sound.end_s - media.begin_s <= begin_s:
        return None
    duration_s = None
    if math.isfinite(end_s):
        duration_s = picture_at_s + end_s - first.time_s
    return SoundPart(str(path), sound.codec, begin_s, picture_at_s, duration_s)
