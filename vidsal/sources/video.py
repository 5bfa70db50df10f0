"""A video file, streamed with OpenCV."""

import logging
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Self

import numpy as np

from vidsal import ffmpeg
from vidsal.errors import VidsalError
from vidsal.frames import Frame, Rgb, SoundPart, SourceInfo
from vidsal.opencv import cv2
from vidsal.settings import Settings

log = logging.getLogger(__name__)

# Where a file claims no usable rate (raw streams do), frames are shown at this one.
_USUAL_FPS = Fraction(25)
# Beyond this a claimed rate is a time base, not a rate.
_FASTEST_FPS = 1000
# Headers are often a few frames off; with fewer than this share, frames are missing.
_WHOLE = 0.9
# A jump is worth its uncertainty only when it saves more decoding than this.
_SEEK_S = 10.0


class VideoSource:
    """The frames of a video file, or of a part of it, in order.

    Parameters
    ----------
    path : Path
    settings : Settings
        ``start``, ``end``, ``duration`` and ``every`` choose the frames.

    Raises
    ------
    VidsalError
        If the file holds no picture, or none in the part that was asked for.
    """

    def __init__(self, path: Path, settings: Settings) -> None:
        self._path = path
        self._every = settings.every
        self._start_s = settings.start or 0.0
        ends = [settings.end]
        if settings.duration is not None:
            ends.append(self._start_s + settings.duration)
        self._end_s = min((end for end in ends if end is not None), default=math.inf)
        self._stopped = False
        seen = ffmpeg.probe(path)
        if seen.audio_codec and not seen.size:
            raise VidsalError(f"{path} holds sound but no moving picture")
        self._capture = self._opened()
        try:
            self._rate = exact_rate(self._capture.get(cv2.CAP_PROP_FPS))
            self._first = self._first_frame()
        except BaseException:
            self._capture.release()
            raise
        height, width = self._first.rgb.shape[:2]
        sound = None
        if seen.audio_codec:
            begin_s = seen.picture_delay_s + self._first.time_s
            sound = SoundPart(str(path), seen.audio_codec, begin_s=begin_s)
        self.info = SourceInfo(
            str(path), height, width, self._rate / self._every,
            frame_count_hint=self._hint(), sound=sound,
        )  # fmt: skip

    def frames(self) -> Iterator[Frame]:
        size = self._first.rgb.shape[:2]
        frame: Frame | None = self._first
        while frame is not None and frame.time_s < self._end_s - 1e-6 and not self._stopped:
            if frame.rgb.shape[:2] != size:
                resized = cv2.resize(frame.rgb, size[::-1], interpolation=cv2.INTER_AREA)
                frame = Frame(np.asarray(resized, np.uint8), frame.index, frame.time_s)
            yield frame
            for _ in range(self._every - 1):
                if not self._grab():
                    return
            frame = self._next()
        if frame is None:
            self._look_for_an_early_end()

    def _look_for_an_early_end(self) -> None:
        """Say so where a file holds far fewer frames than it claims: it may have been cut off."""
        claimed = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        came = self._index + 1
        if came < claimed * _WHOLE and claimed < 1e9:
            log.warning(
                "%s ends after %d of the %d frames it claims: it may be cut off or damaged",
                self._path, came, claimed,
            )  # fmt: skip

    def stop(self) -> None:
        self._stopped = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._capture.release()

    def _opened(self) -> cv2.VideoCapture:
        # Without a named backend OpenCV would take "clip_001.png" for a numbered sequence.
        # An absolute path, since a colon in a relative one would be read as a protocol.
        capture = cv2.VideoCapture(str(self._path.absolute()), cv2.CAP_FFMPEG)
        if not capture.isOpened():
            raise VidsalError(f"{self._path} is not a video or picture that can be read")
        self._index, self._time_s, self._offset_s = -1, -math.inf, 0.0
        return capture

    def _first_frame(self) -> Frame:
        """Return the first frame of the part that was asked for."""
        first = self._next()
        if first is None:
            raise VidsalError(f"{self._path} holds no picture that can be decoded")
        frame: Frame | None = first
        if self._start_s > _SEEK_S:
            frame = self._jumped()
        while frame is not None and frame.time_s < self._start_s - 1e-6:
            # Decoded, since later frames build on it, but not converted.
            if not self._grab():
                frame = None
                break
            if self._time_s >= self._start_s - 1e-6:
                frame = self._retrieved()
        if frame is None:
            raise VidsalError(
                f"--start {self._start_s:g} s is after the end of {self._path} "
                f"({max(self._time_s, 0):.2f} s)"
            )
        return frame

    def _jumped(self) -> Frame | None:
        """Return a frame at or a little before the start; from the beginning where seeking fails.

        The time stamp of the frame that comes, not the request, says where the file now is.
        """
        aim = self._start_s - 1.0
        if self._capture.set(cv2.CAP_PROP_POS_MSEC, (aim + self._offset_s) * 1000):
            number = round(self._capture.get(cv2.CAP_PROP_POS_FRAMES))
            self._index, self._time_s = number - 1, -math.inf
            frame = self._next()
            if frame is not None and aim - 2 < frame.time_s <= self._start_s:
                return frame
        log.info("%s cannot be searched; decoding from its beginning", self._path)
        self._capture.release()
        self._capture = self._opened()
        return self._next()

    def _next(self) -> Frame | None:
        """Return the next frame, or None at the end."""
        return self._retrieved() if self._grab() else None

    def _grab(self) -> bool:
        """Decode the next frame without converting it; say whether there was one."""
        if not self._capture.grab():
            return False
        stamp = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        self._index += 1
        if self._index == 0:
            self._offset_s = stamp
        stamp -= self._offset_s
        # Raw streams have no time stamps, damaged files have some that run backwards.
        if not math.isfinite(stamp) or stamp <= self._time_s:
            before = self._time_s if math.isfinite(self._time_s) else float(-1 / self._rate)
            stamp = before + float(1 / self._rate)
        self._time_s = stamp
        return True

    def _retrieved(self) -> Frame | None:
        ok, bgr = self._capture.retrieve()
        if not ok:
            return None
        return Frame(_rgb(bgr), self._index, self._time_s)

    def _hint(self) -> int | None:
        """Return how many frames there may be, or None if the header's claim is absurd."""
        claimed = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        if not 0 < claimed < 1e9:
            return None
        last_s = min(claimed / float(self._rate), self._end_s)
        return max(1, math.ceil((last_s - self._first.time_s) * float(self._rate / self._every)))


def exact_rate(claimed: float) -> Fraction:
    """Return a rate as the fraction it stands for: 29.97002997 is 30000/1001."""
    if not math.isfinite(claimed) or not 0 < claimed <= _FASTEST_FPS:
        return _USUAL_FPS
    return Fraction(claimed).limit_denominator(1001)


def _rgb(bgr: np.ndarray) -> Rgb:
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
