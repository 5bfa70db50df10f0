"""A video file, streamed with OpenCV, or with ffmpeg where OpenCV does not do."""

import logging
import math
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from vidsal.errors import UsageError, VidsalError
from vidsal.media.probe import MARGIN_S, Media, VideoStream, inspect, may_be_interlaced
from vidsal.media.retiming import ROUNDING_S, is_shown, step_at
from vidsal.settings import Settings
from vidsal.sources.corruption import DamageWatch
from vidsal.sources.decoders import FfmpegReader, OpencvReader, Reader, begin_if_alike, resized
from vidsal.types import Findings, Frame, SoundPart, SourceInfo

log = logging.getLogger(__name__)

# A jump is worth its uncertainty only when it saves more decoding than this.
_SEEK_S = 10.0
# Where a reader ends so long before the file does (or, where nobody knows times, before this share
# of its pictures), another one is asked for the rest.
_LAST_S, _WHOLE = 0.3, 0.9
# Pixels of a picture; more is a damaged header, or no video that a machine could hold.
_LARGEST_PX = 2**27
# What a decoder says of a frame's time, and what the file says, are this near to each other.
_NEAR_S = 1e-4
# Containers round to milliseconds: so much of a frame is no frame.
_NO_FRAME = 0.1
# Codecs with packets that hold no picture of their own, so that one cannot be missed by counting.
_UNCOUNTED = ("vp8", "vp9")


class VideoSource:
    """The frames of a video file, or of a part of it, in order.

    Of frames that begin in the same step of the output only the nearest to it comes, and the last
    one if it stands in a later step; what takes long is one frame. So a source of any rhythm comes
    at `SourceInfo.fps` at most.

    Parameters
    ----------
    path : Path
    settings : Settings
        ``start``, ``end``, ``duration``, ``every`` and ``fps`` choose the frames, ``strict`` what
        happens where the file is damaged.

    Raises
    ------
    VidsalError
        If the file holds no picture, or none in the part that was asked for.
    """

    def __init__(self, path: Path, settings: Settings) -> None:
        self._path, self._strict = path, settings.strict
        self._start_s, self._end_s = settings.part_s
        until_s = self._end_s + MARGIN_S if math.isfinite(self._end_s) else None
        self._media = inspect(path, until_s=until_s)
        if self._media.picture is None and until_s is not None:
            # The picture may begin long after the sound.
            self._media = inspect(path)
        picture = _checked(path, self._media, settings)
        self._picture, self._offsets_s = picture, picture.offsets_s
        self._every = settings.every
        self._fps = settings.fps or picture.rate / settings.every
        self._stopped = self._ended = False
        self._reader: Reader | None = None
        self._watch: DamageWatch | None = None
        self._seen, self._index, self._time_s = 0, -1, -math.inf
        try:
            self._first = self._first_frame()
        except BaseException:
            self._close()
            raise
        length_s, there = self._length_s(), int(self._inside().sum())
        if settings.fps is None and 1 < there < settings.every:
            self._close()
            raise UsageError(
                f"--every {settings.every} is too much for the {there} frames of {path}"
                f"{' in that part' if there < picture.frames else ''}"
            )
        # Nothing is handed out that the output would have to show after its end.
        self._slots = max(1, math.ceil(length_s * float(self._fps) - _NO_FRAME))
        height, width = self._first.rgb.shape[:2]
        self.info = SourceInfo(
            str(path), height, width, self._fps, frame_count_hint=self._hint(),
            duration_s=length_s, sound=self._sound() if settings.audio else None,
        )  # fmt: skip

    def frames(self) -> Iterator[Frame]:
        if isinstance(self._reader, OpencvReader):
            self._watch = DamageWatch(self._path, self._first.time_s, self._end_s)
        frame: Frame | None = self._first
        size = self._first.rgb.shape[:2]
        slot = -1
        while frame is not None and frame.time_s < self._end_s - ROUNDING_S and not self._stopped:
            # A picture of another size is brought to that of the first.
            rgb = resized(frame.rgb, (size[0], size[1]))
            yield Frame(rgb, frame.index, frame.time_s)
            slot = self._slot(frame.time_s)
            frame = self._next_due(slot)
        if frame is None and not self._stopped:
            self._look_back()

    def stop(self) -> None:
        self._stopped = True

    def findings(self) -> Findings:
        """Return what was wrong with the file, as far as it was read."""
        name = self._reader.name if self._reader else ""
        return Findings(self._damaged(), self._media.is_truncated, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        if self._watch is not None:
            self._watch.close()

    def _close(self) -> None:
        if self._reader is not None:
            self._reader.close()

    # Which frames

    def _slot(self, time_s: float) -> int:
        """Return the number of the output's frame that is due at a time."""
        return step_at(self._place(time_s), 1)

    def _place(self, time_s: float) -> float:
        """Return a time as a number of the output's frames."""
        return (time_s - self._first.time_s) * float(self._fps)

    def _next_due(self, slot: int) -> Frame | None:
        """Return the next of every so many frames that is the output's after `slot`, if any."""
        while True:
            for _ in range(self._every):
                if not self._grab():
                    return None
            # What is beyond the part is looked at, so that it can end.
            is_beyond = self._time_s >= self._end_s - ROUNDING_S
            due = self._slot(self._time_s)
            is_due = due < self._slots and is_shown(
                slot, self._place(self._time_s), self._place_after()
            )
            if (is_beyond or is_due) and (frame := self._retrieved()):
                return frame

    def _place_after(self) -> float:
        """Return the place of the frame that comes after the one at hand, as the file tells it."""
        later = int(np.searchsorted(self._offsets_s, self._time_s + _NEAR_S)) + self._every - 1
        if later >= len(self._offsets_s) or self._offsets_s[later] >= self._end_s:
            return self._slots
        return self._place(float(self._offsets_s[later]))

    def _first_frame(self) -> Frame:
        """Return the first frame of the part that was asked for."""
        if not self._grab():
            raise VidsalError(f"{self._path} holds no picture that can be decoded")
        if self._start_s > _SEEK_S:
            self._jump()
        while True:
            if self._time_s >= self._start_s - ROUNDING_S and (frame := self._retrieved()):
                return frame
            # Decoded, since later frames build on it, but not converted.
            if not self._grab():
                raise VidsalError(
                    f"--start {self._start_s:g} s is after the last frame of {self._path} "
                    f"({max(self._time_s, 0):.2f} s)"
                    if self._start_s
                    else f"{self._path} holds no picture that can be decoded"
                )

    def _jump(self) -> None:
        """Go to a frame a little before the start; to the beginning where seeking fails.

        The time stamp of the frame that comes, not the request, says where the file now is.
        """
        aim_s = self._start_s - 1.0
        is_there = (
            self._is_found(self._reader, aim_s)
            if isinstance(self._reader, OpencvReader)
            else self._is_skipped(aim_s)
        )
        if is_there:
            return
        log.info("%s cannot be searched; decoding from its beginning", self._path)
        self._close()
        self._reader = None
        self._seen, self._index, self._time_s = 0, -1, -math.inf
        self._grab()

    def _is_found(self, reader: OpencvReader, aim_s: float) -> bool:
        """Let OpenCV jump; say whether that led to where it was to."""
        time_s = reader.jump(aim_s)
        if time_s is None or not aim_s - 2 < time_s <= self._start_s:
            return False
        self._index = int(np.abs(self._offsets_s - time_s).argmin())
        self._time_s = time_s
        self._seen = self._index + 1
        return True

    def _is_skipped(self, aim_s: float) -> bool:
        """Let ffmpeg begin later; say whether it did in time.

        What comes before is at least not brought to other tones and sizes, and handed over.
        """
        passed = int(np.searchsorted(self._offsets_s, aim_s))
        if not passed:
            return False
        self._close()
        self._reader = self._ffmpeg(
            after_s=aim_s, skipped=passed, is_strict=self._strict,
            # Damage is looked for from the beginning, and mended times are known by it.
            jumps=not (self._strict or self._picture.restarts),
        )  # fmt: skip
        self._seen, self._index = passed, passed - 1
        self._time_s = float(self._offsets_s[passed - 1])
        if not self._grab() or self._time_s > self._start_s:
            return False
        self._index = int(np.abs(self._offsets_s - self._time_s).argmin())
        self._seen = self._index + 1
        return True

    # Reading

    def _grab(self) -> bool:
        """Go to the next frame without converting it; say whether there is one."""
        stamp = self._reader_at_hand().grab()
        if stamp is None and self._may_go_on():
            stamp = self._reader_at_hand().grab()
        if stamp is None:
            return False
        self._seen += 1
        self._index += 1
        is_late = self._seen < self._picture.frames and stamp > self._offsets_s[-1] + _LAST_S
        if is_late or stamp < -_LAST_S:
            # Others are to come before it, or the first one before that: so it is wrong.
            stamp = math.nan
        # Raw streams have no time stamps, damaged files have some that run backwards.
        if not math.isfinite(stamp) or stamp <= self._time_s:
            step_s = float(1 / self._picture.rate)
            due = np.searchsorted(self._offsets_s, stamp + _NEAR_S, side="right")
            if math.isfinite(stamp) and self._seen <= due:
                # So many are due by then, one time may be that of two: a whole step would make the
                # next one late, and that the next.
                step_s = _NEAR_S
            stamp = self._time_s + step_s if math.isfinite(self._time_s) else 0.0
        self._time_s = stamp
        return True

    def _reader_at_hand(self) -> Reader:
        """Return what decodes the file: OpenCV, unless only ffmpeg can do what is needed."""
        if self._reader is None:
            if self._begin_s is not None:
                self._reader = OpencvReader(self._path, self._picture, begin_s=self._begin_s)
            else:
                self._reader = self._ffmpeg(is_strict=self._strict)
        return self._reader

    def _ffmpeg(self, **options: Any) -> FfmpegReader:
        return FfmpegReader(
            self._path, self._picture, may_interlace=self._may_be_interlaced, **options
        )

    @cached_property
    def _may_be_interlaced(self) -> bool:
        return may_be_interlaced(self._path, self._picture)

    @cached_property
    def _begin_s(self) -> float | None:
        """When OpenCV's first frame is shown, in seconds; None if OpenCV is not to decode."""
        try:
            self._forgo_opencv()
            return begin_if_alike(self._path, self._picture)
        except VidsalError as reason:
            log.info("%s: %s; ffmpeg decodes it", self._path, reason)
            return None

    def _forgo_opencv(self) -> None:
        """Raise `VidsalError` if it is known that OpenCV will not do."""
        if self._strict:
            raise VidsalError("OpenCV says nothing of damage")
        if self._picture.is_hdr:
            raise VidsalError("it is HDR, and its tones have to be mapped")
        if self._picture.restarts:
            raise VidsalError("its time begins anew on the way")
        if self._may_be_interlaced:
            raise VidsalError("it is interlaced, or may be")

    def _may_go_on(self) -> bool:
        """Let ffmpeg go on where OpenCV ended long before the file does; say whether it does."""
        if not isinstance(self._reader, OpencvReader) or self._is_near_end():
            return False
        log.warning(
            "%s: OpenCV ends after %d of %d frames; ffmpeg decodes the rest",
            self._path, self._seen, self._picture.frames,
        )  # fmt: skip
        self._close()
        self._reader = self._ffmpeg(after_s=self._time_s, skipped=self._seen)
        return True

    def _is_near_end(self) -> bool:
        """Say whether the file was read as far as it goes, but for a damaged frame or two."""
        if self._picture.has_times and self._seen < self._picture.frames:
            return self._time_s >= float(self._offsets_s[-1]) - _LAST_S
        return self._seen >= self._picture.frames * _WHOLE

    def _retrieved(self) -> Frame | None:
        rgb = self._reader_at_hand().picture()
        return None if rgb is None else Frame(rgb, self._index, self._time_s)

    # What is known

    def _damaged(self) -> int:
        """Return how many pictures did not come, or are known to be incomplete."""
        return max(max(0, self._lost()) + self._incomplete(), self._picture.corrupt_packets)

    def _incomplete(self) -> int:
        """Return how many of the pictures that came a decoder says are damaged."""
        if self._watch is not None:
            return self._watch.count()
        return self._reader.incomplete() if isinstance(self._reader, FfmpegReader) else 0

    def _lost(self) -> int:
        """Return how many of the pictures up to where the file was read did not come."""
        if self._picture.codec in _UNCOUNTED:
            return 0
        passed = int((self._offsets_s <= self._time_s + ROUNDING_S).sum())
        there = self._picture.frames if self._ended else passed
        return there - self._seen

    def _look_back(self) -> None:
        """Say what was found to be wrong with the file, now that its end was reached.

        Raises
        ------
        VidsalError
            If nothing may be wrong with it.
        """
        self._ended = True
        damaged, lost = self._damaged(), max(0, self._lost())
        were = "frame was" if lost == 1 else "frames were"
        words = f"{lost} damaged {were} left out" if lost else ""
        if damaged > lost:
            is_one = damaged == 1
            words = (
                f"{damaged} of its frames {'is' if is_one else 'are'} incomplete, {lost} left out"
            )
        if self._media.is_truncated:
            words += " and it is cut off" if words else "it is cut off"
        if not words:
            return
        if self._strict:
            raise VidsalError(f"{self._path}: {words} (an error because of --strict)")
        log.warning("%s: %s; %d frames came", self._path, words, self._seen)

    def _length_s(self) -> float:
        """Return how long the frames handed out are shown, if nothing is wrong with the file."""
        last_s = self._picture.end_s - float(self._picture.times_s[0])
        return max(0.0, min(last_s, self._end_s) - self._first.time_s)

    def _inside(self) -> NDArray[np.bool_]:
        """Say which of the file's frames are in the part that was asked for."""
        times_s = self._offsets_s
        return (times_s >= self._first.time_s - ROUNDING_S) & (times_s < self._end_s)

    def _hint(self) -> int | None:
        """Return how many frames there may be."""
        times_s = self._offsets_s[self._inside()]
        # As `frames` chooses them.
        places = [self._place(time_s) for time_s in times_s[:: self._every].tolist()]
        slot, count = -1, 0
        for place, after in zip(places, [*places[1:], self._slots], strict=False):
            due = step_at(place, 1)
            if due < self._slots and is_shown(slot, place, after):
                slot, count = due, count + 1
        return max(1, count)

    def _sound(self) -> SoundPart | None:
        """Return the sound of the part that was asked for."""
        sound, is_whole = self._media.sound, self._first.index == 0
        if self._media.unusable_audio:
            log.warning(
                "%s: its time begins anew on the way, where its sound (%s) cannot be followed: the "
                "video has none", self._path, self._media.unusable_audio,
            )  # fmt: skip
        if sound is None:
            return None
        # Where the first frame is, after the beginning of the file.
        delay_s = max(0.0, float(self._picture.times_s[0]) - self._media.begin_s)
        shown_s = delay_s + self._first.time_s
        begin_s, at_s = (0.0, shown_s) if is_whole else (shown_s, 0.0)
        if sound.end_s - self._media.begin_s <= begin_s:
            return None
        duration_s = None
        if math.isfinite(self._end_s):
            duration_s = at_s + self._end_s - self._first.time_s
        return SoundPart(str(self._path), sound.codec, begin_s, at_s, duration_s)


def _checked(path: Path, media: Media, settings: Settings) -> VideoStream:
    """Return the picture of a file, or raise `VidsalError` in a line that says what is wrong."""
    picture = media.picture
    if media.lacks_index and _is_boxed(path):
        raise VidsalError(f"{path} is cut off before its index, without which nothing can be read")
    if picture is None and media.sound:
        raise VidsalError(f"{path} holds sound but no moving picture")
    if picture is None and media.is_truncated:
        raise VidsalError(f"{path} is cut off, and what is left of it cannot be read")
    if picture is None:
        raise VidsalError(f"{path} is not a video or picture that can be read")
    height, width = picture.upright_px
    if height * width == 0:
        raise VidsalError(f"{path} holds no picture that can be decoded: its codec is not known")
    if height * width > _LARGEST_PX:
        raise VidsalError(
            f"{path} claims pictures of {width}x{height}: it is damaged, or too large"
        )
    if settings.strict and media.is_truncated:
        raise VidsalError(f"{path} is cut off (an error because of --strict)")
    return picture


def _is_boxed(path: Path) -> bool:
    """Say whether a file begins as an MP4 or MOV does, whatever its name."""
    with path.open("rb") as file:
        return file.read(8)[4:] in (b"ftyp", b"mdat", b"moov", b"wide", b"free", b"skip")
