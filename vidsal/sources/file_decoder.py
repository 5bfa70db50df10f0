"""The frames of a video file in order: decoded by OpenCV, or by ffmpeg where OpenCV cannot."""

import logging
import math
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vidsal.errors import VidsalError
from vidsal.media.headers import (
    DisplayOrientation,
    allows_fields,
    display_orientation,
    has_left_chroma,
)
from vidsal.media.probe import VideoStream, may_be_interlaced, may_be_reordered, read_headers
from vidsal.sources.corruption import DamageWatch
from vidsal.sources.decoders import Decoding, FfmpegReader, OpencvReader, Reader, begin_if_alike
from vidsal.sources.filters import reason_against_opencv
from vidsal.sources.timestamps import REORDERED, TOLERANCE_S, FrameClock
from vidsal.yuv import Picture

log = logging.getLogger(__name__)

# A decoder that ends this long before the file does is replaced; if the file has no timestamps,
# one that ends before this share of its frames.
_END_S, _END_SHARE = 0.3, 0.9
# Reordered frames show in the timestamps of so many frames.
_REORDER_FRAMES = 100
# A seek aims this long before the frame that is wanted, and may end this long before that.
_AIM_S, _EARLY_S = 1.0, 2.0


class FileDecoder:
    """Hands out (picture, time) of each frame of a file, and changes the decoder where needed.

    OpenCV decodes, unless it is known to return other pictures than ffmpeg. If it ends long before
    the file does, ffmpeg decodes the rest.

    Parameters
    ----------
    path : Path
    stream : VideoStream
        The video stream of the file.
    is_strict : bool
        Whether the first corrupt frame is an error. Only ffmpeg reports these.

    Attributes
    ----------
    decoded : int
        Frames that the decoders handed out, from the place of the last seek on.
    hidden : int
        Those of them that the file's edit list leaves out.
    """

    def __init__(self, path: Path, stream: VideoStream, *, is_strict: bool = False) -> None:
        self._path, self._stream, self._strict = path, stream, is_strict
        self._is_replaced = stream.has_times and self._has_wrong_order()
        if (self._is_replaced or stream.has_leap) and (hidden := len(stream.hidden_s)):
            log.warning(
                "%s: its edit list hides pictures, as in players, and by its wrong timestamps "
                "these need not be the first ones: %d", path, hidden,
            )  # fmt: skip
        if self._is_replaced:
            self._stream = stream = replace(stream, has_times=False)
        self._listed_s = stream.offsets_s
        self._hidden_s = stream.hidden_s - stream.times_s[0]
        self._clock = FrameClock(
            self._listed_s, stream.rate,
            counts=not stream.has_times, may_count=stream.is_in_storage_order,
        )  # fmt: skip
        self._reader: Reader | None = None
        self._watch: DamageWatch | None = None
        self.decoded = self.hidden = 0

    @property
    def name(self) -> str:
        """The program that decodes now; empty before the first frame."""
        return self._reader.name if self._reader else ""

    @property
    def index(self) -> int:
        """0-based number of the current frame in decode order; -1 before the first."""
        return self._clock.index

    @property
    def time_s(self) -> float:
        """Repaired time of the current frame; ``-inf`` before the first.

        In seconds after the first frame that the file lists, which may not be decodable.
        """
        return self._clock.time_s

    def grab(self) -> float | None:
        """Go to the next frame without converting it.

        Returns
        -------
        float or None
            Its `time_s`; None at the end of the file.

        Raises
        ------
        VidsalError
            If no decoder can open the file, or at a corrupt frame if that is an error.
        """
        pts_s = self._next_shown()
        if pts_s is None and self._change_decoder():
            pts_s = self._next_shown()
        if pts_s is None:
            return None
        # ffmpeg replaces timestamps that run backwards by decoding times.
        may_lead = isinstance(self._reader, FfmpegReader)
        return self._clock.advance(pts_s, lead=REORDERED - 1 if may_lead else 0)

    def picture(self) -> Picture | None:
        """Return the current frame; see `Reader.picture`."""
        return self._current().picture()

    def seek(self, start_s: float) -> None:
        """Go to a frame shortly before a time, or to the first one if that fails.

        Parameters
        ----------
        start_s : float
            Seconds after the first frame that the file lists.

        Raises
        ------
        VidsalError
            As `grab`.
        """
        self.decoded = self.hidden = 0
        # The timestamp of the next frame shows where the file is now; the request does not.
        if isinstance(self._reader, OpencvReader):
            # Wrong timestamps do not show where the file is.
            has_worked = not self._is_replaced and self._seek_opencv(self._reader, start_s)
        else:
            has_worked = self._seek_ffmpeg(start_s)
        if has_worked:
            return
        log.info("%s: seeking failed, decoding from the beginning", self._path)
        self._close_reader()
        self._clock.restart()
        self.decoded = self.hidden = 0
        self.grab()

    def watch_corruption(self, begin_s: float, end_s: float) -> None:
        """Count the corrupt frames of a part of the file, which OpenCV does not report.

        Parameters
        ----------
        begin_s, end_s : float
            Seconds after the first frame; the end may be infinite.
        """
        if isinstance(self._reader, OpencvReader):
            self._watch = DamageWatch(self._path, begin_s, end_s)

    def corrupt_frames(self) -> int:
        """Return how many decoded frames are corrupt, as far as ffmpeg reports them."""
        if self._watch is not None:
            return self._watch.count()
        return self._reader.corrupt_frames() if isinstance(self._reader, FfmpegReader) else 0

    def close(self) -> None:
        """Close the file, and end all processes that read it."""
        if self._reader is not None:
            self._reader.close()
        if self._watch is not None:
            self._watch.close()

    def _next_shown(self) -> float | None:
        """Go to the next frame that is shown; return its timestamp, or None at the end."""
        reader = self._current()
        while (pts_s := reader.grab()) is not None:
            self.decoded += 1
            if not self._is_hidden(pts_s):
                break
            self.hidden += 1
        return pts_s

    def _is_hidden(self, pts_s: float) -> bool:
        """Return whether the file's edit list leaves out the frame of a timestamp."""
        if not self._stream.has_times:
            return False
        if pts_s + self._stream.times_s[0] < self._stream.shown_from_s - TOLERANCE_S:
            return True
        return len(self._hidden_s) > 0 and bool(
            np.abs(self._hidden_s - pts_s).min() < TOLERANCE_S
            and np.abs(self._listed_s - pts_s).min() > TOLERANCE_S
        )

    def _current(self) -> Reader:
        """Return the open decoder; open one if there is none."""
        if self._reader is None:
            if self._begin_s is None:
                self._reader = self._ffmpeg(is_strict=self._strict)
            else:
                self._reader = OpencvReader(self._path, self._stream, begin_s=self._begin_s)
        return self._reader

    def _ffmpeg(self, **options: Any) -> FfmpegReader:
        """Return a new ffmpeg, with these options of `Decoding`."""
        decoding = Decoding(
            deinterlaces=self._is_interlaced,
            orientation=self._orientation,
            has_left_chroma=self._has_left_chroma,
            **options,
        )
        return FfmpegReader(self._path, self._upright_stream, decoding)

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader = None

    @cached_property
    def _headers(self) -> str:
        return read_headers(self._path, self._stream)

    def _has_wrong_order(self) -> bool:
        """Return whether timestamps are in the order of storage, and the frames are not."""
        if not self._stream.is_in_storage_order:
            return False
        is_reordered = may_be_reordered(self._stream, self._headers)
        if is_reordered is None:
            is_reordered = _runs_backwards(self._path, self._stream)
        if is_reordered:
            log.warning(
                "%s: its timestamps are in decoding order, its frames are reordered; new "
                "timestamps are made at %s frames per second", self._path, self._stream.rate,
            )  # fmt: skip
        return is_reordered

    @cached_property
    def _orientation(self) -> DisplayOrientation | None:
        """How the coded pictures ask to be turned; None if the container's matrix counts."""
        return display_orientation(self._headers)

    @cached_property
    def _upright_stream(self) -> VideoStream:
        """The stream with the rotation that ffmpeg applies."""
        if self._orientation is None:
            return self._stream
        return replace(self._stream, rotation_deg=self._orientation.rotation_deg)

    @cached_property
    def _has_left_chroma(self) -> bool:
        # In pictures that are turned, chroma lies elsewhere.
        is_turned = self._orientation is not None or self._stream.rotation_deg != 0
        return has_left_chroma(self._headers) and not is_turned

    @cached_property
    def _is_interlaced(self) -> bool:
        return may_be_interlaced(self._stream, self._headers)

    @cached_property
    def _begin_s(self) -> float | None:
        """Time of OpenCV's first frame in seconds; None if ffmpeg is to decode."""
        try:
            if reason := self._reason_against_opencv():
                raise VidsalError(reason)
            return begin_if_alike(self._path, self._stream)
        except VidsalError as error:
            log.info("%s: %s; ffmpeg decodes it", self._path, error)
            return None

    def _reason_against_opencv(self) -> str:
        """Return why OpenCV is not even tried; empty if it is."""
        if self._strict:
            return "OpenCV does not report corrupt frames"
        if self._stream.restarts:
            return "its timestamps restart"
        if self._orientation is not None:
            return "its pictures say that they are rotated or mirrored, which OpenCV ignores"
        if allows_fields(self._headers):
            return "it may code fields, which OpenCV does not convert"
        return reason_against_opencv(self._stream, may_be_interlaced=self._is_interlaced)

    def _change_decoder(self) -> bool:
        """Let ffmpeg decode the rest if OpenCV ended long before the file does."""
        if not isinstance(self._reader, OpencvReader) or self._is_near_end():
            return False
        decoded = self._clock.index + 1
        log.warning(
            "%s: OpenCV ends after %d of %d frames; ffmpeg decodes the rest",
            self._path, decoded, self._stream.frames,
        )  # fmt: skip
        self._close_reader()
        self._reader = self._ffmpeg(after_s=self._clock.time_s, skipped=decoded)
        return True

    def _is_near_end(self) -> bool:
        """Return whether the file was read to its end, but for a corrupt frame or two."""
        decoded = self._clock.index + 1
        if self._stream.has_times and decoded < self._stream.frames:
            return self._clock.time_s >= float(self._listed_s[-1]) - _END_S
        return decoded >= self._stream.frames * _END_SHARE

    def _seek_opencv(self, reader: OpencvReader, start_s: float) -> bool:
        """Seek with OpenCV; return whether the next frame is shortly before the start."""
        aim_s = start_s - _AIM_S
        time_s = reader.jump(aim_s)
        if time_s is None or not aim_s - _EARLY_S < time_s <= start_s:
            return False
        self._clock.locate(time_s)
        self.decoded = 1
        return True

    def _seek_ffmpeg(self, start_s: float) -> bool:
        """Restart ffmpeg shortly before the start; return whether it is not too late.

        Earlier frames that have to be decoded are at least not converted and copied.
        """
        aim_s = start_s - _AIM_S
        skipped = int(np.searchsorted(self._listed_s, aim_s))
        if not skipped:
            return False
        self._close_reader()
        # Corruption is reported from the beginning, and repaired times depend on all frames.
        jumps = not (self._strict or self._stream.restarts)
        self._reader = self._ffmpeg(
            after_s=aim_s, skipped=skipped, jumps=jumps, is_strict=self._strict
        )
        self._clock.skip(skipped)
        time_s = self.grab()
        if time_s is None or time_s > start_s:
            return False
        self._clock.locate(time_s)
        return True


def _runs_backwards(path: Path, stream: VideoStream) -> bool:
    """Return whether timestamps of the first decoded frames run backwards."""
    try:
        reader = OpencvReader(path, stream)
    except VidsalError:
        return False
    with closing(reader):
        previous_s = -math.inf
        for _ in range(_REORDER_FRAMES):
            time_s = reader.grab()
            if time_s is None or time_s < previous_s:
                return time_s is not None
            previous_s = time_s
    return False
