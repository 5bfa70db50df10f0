"""Two decoders of video files: OpenCV, and the ffmpeg that imageio-ffmpeg brings.

Both read a file frame by frame, in order, and return upright pictures with square pixels.
"""

import math
import subprocess
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from vidsal.errors import VidsalError, option
from vidsal.media import banner, ffmpeg
from vidsal.media.headers import DisplayOrientation
from vidsal.media.probe import VideoStream, square_size
from vidsal.media.retiming import ROUNDING_S
from vidsal.runtime.opencv import cv2
from vidsal.runtime.pipes import enlarge
from vidsal.sources.corruption import ONE_BY_ONE, REPORT_EACH
from vidsal.sources.filters import PictureTraits, picture_filters, rotation_options
from vidsal.types import Map, Rgb
from vidsal.yuv import Picture, Yuv420, as_rgb

# Two decoders count as alike after this many pictures in which no difference would show, as in a
# fade from black.
_PLAIN_PICTURES = 50
# Size in pixels at which pictures are compared, and the largest mean difference in levels of 255.
# Conversions from YUV to RGB differ by 1, mirrored pictures and other primaries by 15 to 30.
_THUMB, _ALIKE = (32, 32), 4.0

# After a jump into a file, pictures of this time may depend on ones that were not decoded.
_SETTLED_S = 5.0


class Reader(Protocol):
    """The frames of a file in order: a timestamp each, and a picture where it is asked for.

    Attributes
    ----------
    name : str
        The program that decodes.
    """

    name: str

    def grab(self) -> float | None:
        """Go to the next frame; return its timestamp, or None at the end.

        Returns
        -------
        float or None
            Seconds after the first frame that the file lists, which may not be decodable; NaN if
            the frame has no timestamp.
        """

    def picture(self) -> Picture | None:
        """Return the current frame: (H, W, 3) uint8 RGB, or luma and chroma.

        Returns
        -------
        (H, W, 3) uint8 array, Yuv420 or None
            ``None`` if it cannot be converted.
        """

    def close(self) -> None:
        """Close the file."""


class OpencvReader:
    """A file decoded by OpenCV.

    Parameters
    ----------
    path : Path
    stream : VideoStream
    begin_s : float
        Time of the first frame that can be decoded, in seconds after the first one that the file
        lists. OpenCV counts times from that frame.

    Raises
    ------
    VidsalError
        If OpenCV cannot open it.
    """

    name = "OpenCV"

    def __init__(self, path: Path, stream: VideoStream, *, begin_s: float = 0.0) -> None:
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            # OpenCV would end the process.
            raise VidsalError(f"{str(path)!a} is not a name that OpenCV can read") from error
        # Without a named backend OpenCV would read "clip_001.png" as a numbered sequence.
        # An absolute path, since the part before a colon in a relative one would be a protocol.
        name = ffmpeg.readable_part_url(path) or str(path.absolute())
        self._capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            self.close()
            raise VidsalError(f"{path} is not a video that OpenCV can read")
        self._aspect = stream.sample_aspect
        if stream.rotation_deg in (90, 270):
            self._aspect = 1 / self._aspect
        self._begin_s = begin_s
        self._first_s: float | None = None

    def grab(self) -> float | None:
        """Go to the next frame; see `Reader.grab`."""
        if not self._capture.grab():
            return None
        time_s = float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000
        if self._first_s is None:
            self._first_s = time_s - self._begin_s
        return time_s - self._first_s

    def picture(self) -> Rgb | None:
        """Return the current frame; see `Reader.picture`."""
        ok, bgr = self._capture.retrieve()
        if not ok:
            return None
        rgb = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
        return resized(rgb, square_size(rgb.shape[0], rgb.shape[1], self._aspect))

    def jump(self, time_s: float) -> float | None:
        """Go to a frame near a time; return its timestamp, or None if that failed.

        Parameters
        ----------
        time_s : float
            Seconds after the first frame that the file lists, at least 0.
        """
        if self._first_s is None or not self._capture.set(
            cv2.CAP_PROP_POS_MSEC, (time_s + self._first_s) * 1000
        ):
            return None
        return self.grab()

    def close(self) -> None:
        """Close the file."""
        self._capture.release()


@dataclass(frozen=True, slots=True)
class Decoding:
    """The part of a file that ffmpeg decodes, and how.

    Attributes
    ----------
    after_s : float
        Frames up to this time are left out, in seconds after the first frame that the file lists.
    skipped : int
        The number of these frames. It counts if the file has no timestamps.
    jumps : bool
        Whether these frames need not be decoded. The first timestamp shows where the jump ended.
    is_strict : bool
        Whether the first corrupt frame is an error.
    deinterlaces : bool
        Whether interlaced pictures are deinterlaced; progressive ones stay as they are.
    orientation : DisplayOrientation or None
        See `vidsal.sources.filters.PictureTraits`.
    has_left_chroma : bool
        See `vidsal.yuv.Yuv420`.
    """

    after_s: float = -math.inf
    skipped: int = 0
    jumps: bool = False
    is_strict: bool = False
    deinterlaces: bool = False
    orientation: DisplayOrientation | None = None
    has_left_chroma: bool = True


def decoding_arguments(
    source: str, stream: VideoStream, decoding: Decoding, *, pts_file: Path
) -> list[str]:
    """Return ffmpeg's arguments to decode a file to raw pictures on stdout.

    They are RGB, or luma and chroma, see `is_kept_yuv`.

    Parameters
    ----------
    source : str
        The file, as ffmpeg is to be given it.
    stream : VideoStream
    decoding : Decoding
    pts_file : Path
        File for one line per frame, which ffmpeg writes before it writes the frame: timestamp and
        time base.
    """
    # Without -copyts ffmpeg repairs times that restart, using all streams that are mapped.
    times = [] if stream.restarts else ["-copyts"]
    needs_sound = stream.restarts and not stream.repaired_alone
    sound = ["-map", "0:a:0", "-c", "copy", "-f", "null", "-"] if needs_sound else []
    strictness = ["-err_detect", "explode"] if decoding.is_strict else []
    if decoding.is_strict and not stream.restarts:
        # Else decoding would end where one recording follows another.
        strictness.append("-xerror")
    # One thread decodes 37 pictures of 3840 x 2160 in a second, more than are drawn. The counts of
    # MPEG-4 and HEVC do not vary with threads.
    threads = ONE_BY_ONE if stream.codec == "h264" else ()
    return [
        "-hide_banner", *REPORT_EACH, "-nostdin", *times, *strictness,
        *_jump_arguments(stream, decoding), *rotation_options(decoding.orientation),
        *threads, "-i", source, "-map", "0:V:0", "-vf", ",".join(_filters(stream, decoding)),
        "-fps_mode", "passthrough", "-pix_fmt", "yuv420p" if is_kept_yuv(stream) else "rgb24",
        # Timestamps in the time base of the file. Else they would be rounded to whole frames, and
        # in seconds to six digits.
        "-enc_time_base", "demux",
        "-stats_enc_pre", str(pts_file), "-stats_enc_pre_fmt", "{pts} {tb}",
        "-f", "rawvideo", "pipe:1", *sound,
    ]  # fmt: skip


def is_kept_yuv(stream: VideoStream) -> bool:
    """Return whether the pictures of a file stay in luma and chroma when ffmpeg decodes it.

    Parameters
    ----------
    stream : VideoStream
    """
    is_even = all(side % 2 == 0 for side in stream.upright_px)
    return stream.is_bt709_yuv420 and stream.sample_aspect == 1 and is_even


def _first_s(stream: VideoStream) -> float | None:
    """Return the time of the first listed frame in the file's own seconds, if it has times."""
    return float(stream.times_s[0]) if stream.has_times else None


def _jump_arguments(stream: VideoStream, decoding: Decoding) -> list[str]:
    """Return the arguments that jump to a little before the first frame that is wanted."""
    first_s = _first_s(stream)
    if not (decoding.jumps and decoding.skipped) or first_s is None:
        return []
    aim_s = first_s + decoding.after_s - _SETTLED_S
    return ["-noaccurate_seek", "-seek_timestamp", "1", "-ss", f"{aim_s:.6f}"]


def _filters(stream: VideoStream, decoding: Decoding) -> list[str]:
    """Return filters to the wanted pictures: upright, progressive, SDR, with square pixels."""
    filters = []
    if decoding.skipped:
        wanted = f"gte(n,{decoding.skipped})"
        if (first_s := _first_s(stream)) is not None:
            wanted = f"gt(t,{first_s + decoding.after_s + ROUNDING_S:.6f})"
        filters.append(f"select='{wanted}'")
    traits = PictureTraits.of_file(
        stream, may_be_interlaced=decoding.deinterlaces, orientation=decoding.orientation
    )
    keeps_yuv = is_kept_yuv(stream)
    return [*filters, *picture_filters(traits, stream.upright_px, keeps_yuv=keeps_yuv)]


class FfmpegReader:
    """A file decoded by ffmpeg: for files that OpenCV does not decode, or in other colours.

    Parameters
    ----------
    path : Path
    stream : VideoStream
    decoding : Decoding
        By default all frames, corrupt ones included, without deinterlacing.
    """

    name = "ffmpeg"

    def __init__(self, path: Path, stream: VideoStream, decoding: Decoding | None = None) -> None:
        decoding = decoding or Decoding()
        self._path, self._strict = path, decoding.is_strict
        self._size, self._is_yuv = stream.upright_px, is_kept_yuv(stream)
        self._has_left_chroma = decoding.has_left_chroma
        self._first_s = _first_s(stream)
        self._has_pts = stream.has_times or not decoding.skipped
        self._time_s = 0.0
        self._picture = self._empty()
        # In a folder of its own: Windows cannot open a temporary file twice.
        self._folder = tempfile.TemporaryDirectory(prefix="vidsal-")
        pts_file = Path(self._folder.name) / "pts"
        pts_file.touch()
        self._stderr = Path(self._folder.name) / "stderr"
        arguments = decoding_arguments(ffmpeg.file_url(path), stream, decoding, pts_file=pts_file)
        with self._stderr.open("wb") as stderr:
            self._process = subprocess.Popen(
                [ffmpeg.executable(), *arguments],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr,
                **ffmpeg.OWN_SESSION,
            )  # fmt: skip
        assert self._process.stdout is not None
        enlarge(self._process.stdout)
        self._pts = pts_file.open()

    def grab(self) -> float | None:
        """Go to the next frame; see `Reader.grab`.

        Raises
        ------
        VidsalError
            If ffmpeg was killed; if `Decoding.is_strict`, also at the first corrupt frame.
        """
        assert self._process.stdout is not None
        # A new array each time: a caller may have kept the last one.
        self._picture = self._empty()
        picture = self._picture
        pixels = picture.data if isinstance(picture, Yuv420) else picture
        if self._process.stdout.readinto(pixels.data.cast("B")) == pixels.size:  # type: ignore[attr-defined]
            pts_s = banner.frame_time_s(self._pts.readline() if self._has_pts else "")
            if self._first_s is None:
                self._first_s = pts_s
            self._time_s = pts_s - self._first_s
            return self._time_s
        code = self._process.wait()
        if how := ffmpeg.termination(code):
            # The file itself may be whole.
            raise VidsalError(
                f"{self._path}: ffmpeg, which decodes it, {how} after {self._time_s:.2f} s"
            )
        if code and self._strict:
            raise VidsalError(
                f"{self._path} is corrupt after {self._time_s:.2f} s (an error because of "
                f"{option('strict', True)})"
            )
        return None

    def picture(self) -> Picture | None:
        """Return the current frame; see `Reader.picture`."""
        return self._picture

    def _empty(self) -> Picture:
        """Return a picture that is yet to be filled."""
        if self._is_yuv:
            return Yuv420.empty(self._size, is_left=self._has_left_chroma)
        return np.empty((*self._size, 3), np.uint8)

    def corrupt_frames(self) -> int:
        """Return how many of the decoded frames ffmpeg reports as corrupt."""
        with self._stderr.open("rb") as stderr:
            return banner.count_corrupt_frames(stderr)

    def close(self) -> None:
        """End ffmpeg, and delete the temporary files."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._pts.close()
        self._folder.cleanup()


def begin_if_alike(path: Path, stream: VideoStream) -> float:
    """Check that OpenCV decodes a file to the same pictures as ffmpeg.

    OpenCV does not report pictures that it cannot convert, such as interlaced ones and rare pixel
    formats, but returns what its memory held. It also ignores that pictures are mirrored. The first
    picture in which any of this would show is compared.

    Parameters
    ----------
    path : Path
    stream : VideoStream

    Returns
    -------
    float
        Time of the first frame that can be decoded, in seconds after the first one that the file
        lists.

    Raises
    ------
    VidsalError
        If OpenCV cannot open the file, or decodes other pictures.
    """
    begin_s = 0.0
    with (
        closing(OpencvReader(path, stream)) as tested,
        closing(FfmpegReader(path, stream)) as reference,
    ):
        for number in range(_PLAIN_PICTURES):
            # First, because OpenCV may return what its memory held: not yet the expected picture.
            is_decoded = tested.grab() is not None
            rgb = tested.picture() if is_decoded else None
            time_s = reference.grab()
            if time_s is None and number:
                break
            if time_s is None:
                raise VidsalError("ffmpeg decodes no picture of it")
            if number == 0:
                # Frames before the first that is shown may be decoded (edit lists).
                is_edited = math.isfinite(stream.shown_from_s)
                begin_s = time_s if is_edited else max(0.0, time_s)
            if not (is_decoded or number):
                raise VidsalError("OpenCV decodes no picture of it")
            expected = reference.picture()
            if rgb is None or expected is None:
                break
            expected = as_rgb(expected)
            thumb = _thumb(expected)
            if rgb.shape != expected.shape or _differ(_thumb(rgb), thumb):
                raise VidsalError("OpenCV decodes other pictures of it than ffmpeg")
            mirrored = thumb[::-1], thumb[:, ::-1], thumb[::-1, ::-1]
            if all(_differ(thumb, image) for image in mirrored):
                break
    return begin_s


def _thumb(rgb: Rgb) -> Map:
    return np.asarray(cv2.resize(rgb, _THUMB, interpolation=cv2.INTER_AREA), np.float32)


def _differ(one: Map, other: Map) -> bool:
    return bool(np.abs(one - other).mean() > _ALIKE)


def resized(rgb: Rgb, size: tuple[int, int]) -> Rgb:
    """Return a picture scaled to a size.

    Parameters
    ----------
    rgb : (H, W, 3) uint8 array
    size : (int, int)
        (height, width) in pixels.

    Returns
    -------
    (height, width, 3) uint8 array
        The same array if it has this size.
    """
    if rgb.shape[:2] == size:
        return rgb
    shrinks = size[0] * size[1] < rgb.shape[0] * rgb.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rgb, size[::-1], interpolation=interpolation), np.uint8)
