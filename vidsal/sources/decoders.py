"""Two ways to the frames of a video file: OpenCV, and the ffmpeg that imageio-ffmpeg brings.

Both go through a file frame by frame, in order, and hand out upright pictures with square pixels.
"""

import math
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Protocol

import numpy as np

from vidsal.errors import VidsalError
from vidsal.media import banner, ffmpeg
from vidsal.media.color import BT601, BT709, rgb_to_yuv_matrix
from vidsal.media.probe import VideoStream, square_size
from vidsal.media.retiming import ROUNDING_S
from vidsal.runtime.opencv import cv2
from vidsal.sources.corruption import LOUD
from vidsal.types import Map, Rgb

# HDR to SDR: to linear light, a curve that keeps bright parts apart, and to the usual transfer.
_TONE_MAP = (
    "zscale=t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,tonemap=hable:desat=0,"
    "zscale=t=bt709:m=bt709:r=tv,format=yuv444p10le"
)
# What it does not say of its colours is what its standard has.
_OF_HDR = {"colorspace": "bt2020nc", "color_primaries": "bt2020"}

# So many pictures may show nothing that two readers could differ in, as a fade from black does,
# before they count as alike.
_DARK = 50
# What they are compared at, in pixels, and how many levels of 255 they may differ: ways to make RGB
# of YUV differ by 1, mirrored pictures and other primaries by 15 to 30.
_THUMB, _ALIKE = (32, 32), 4.0


# After a jump into the middle of a file some pictures build on what was not decoded.
_SETTLED_S = 5.0


# From blue, green and red, which were made as if by BT.601, to red, green and blue by BT.709.
_AS_BT709 = (np.linalg.inv(rgb_to_yuv_matrix(*BT709)) @ rgb_to_yuv_matrix(*BT601))[:, ::-1]


class Reader(Protocol):
    """The frames of a file, one after the other.

    Attributes
    ----------
    name : str
        Of the program that decodes.
    """

    name: str

    def grab(self) -> float | None:
        """Go to the next frame; return its time in seconds, None at the end.

        It is counted from the first frame that the file lists, which may not be one that comes; a
        time that the file does not tell is nan.
        """

    def picture(self) -> Rgb | None:
        """Return the frame at hand, (H, W, 3) uint8 RGB; None if it cannot be had after all."""

    def close(self) -> None:
        """Let the file go."""


class OpencvReader:
    """A file through OpenCV.

    Parameters
    ----------
    path : Path
    picture : VideoStream
    begin_s : float
        When the first frame that can be decoded is shown: OpenCV tells times after that one only.

    Raises
    ------
    VidsalError
        If OpenCV cannot open it.
    """

    name = "OpenCV"

    def __init__(self, path: Path, picture: VideoStream, *, begin_s: float = 0.0) -> None:
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            # OpenCV ends the process over it.
            raise VidsalError(f"{str(path)!a} is not a name that OpenCV can read") from error
        # Without a named backend OpenCV would take "clip_001.png" for a numbered sequence.
        # An absolute path, since a colon in a relative one would be read as a protocol.
        name = ffmpeg.readable_part_url(path) or str(path.absolute())
        self._capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            self.close()
            raise VidsalError(f"{path} is not a video that OpenCV can read")
        self._lacks_matrix = picture.lacks_matrix
        self._aspect = picture.sample_aspect
        if picture.rotation_deg in (90, 270):
            self._aspect = 1 / self._aspect
        self._begin_s = begin_s
        self._first_s: float | None = None

    def grab(self) -> float | None:
        if not self._capture.grab():
            return None
        time_s = float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000
        if self._first_s is None:
            self._first_s = time_s - self._begin_s
        return time_s - self._first_s

    def picture(self) -> Rgb | None:
        ok, bgr = self._capture.retrieve()
        if not ok:
            return None
        if self._lacks_matrix:
            # OpenCV does not ask how colours were made.
            rgb = np.asarray(cv2.transform(bgr, _AS_BT709), np.uint8)
        else:
            rgb = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
        return resized(rgb, square_size(rgb.shape[0], rgb.shape[1], self._aspect))

    def jump(self, time_s: float) -> float | None:
        """Go to a frame near a time, at least 0; return its time, or None where that failed."""
        if self._first_s is None or not self._capture.set(
            cv2.CAP_PROP_POS_MSEC, (time_s + self._first_s) * 1000
        ):
            return None
        return self.grab()

    def close(self) -> None:
        self._capture.release()


class FfmpegReader:
    """A file through ffmpeg: what OpenCV does not decode, and colours it does not know.

    Parameters
    ----------
    path : Path
    picture : VideoStream
    after_s : float
        Frames up to this time after the first one are left out.
    skipped : int
        How many these are, which counts where the file does not tell their times.
    jumps : bool
        Whether they need not be decoded, either. Where that lands tells the first time stamp.
    is_strict : bool
        Whether the first damaged frame is an error.
    may_interlace : bool
        Whether some pictures may be two half ones, which are made a whole one.
    """

    name = "ffmpeg"

    def __init__(
        self,
        path: Path,
        picture: VideoStream,
        *,
        after_s: float = -math.inf,
        skipped: int = 0,
        jumps: bool = False,
        is_strict: bool = False,
        may_interlace: bool = False,
    ) -> None:
        self._path, self._strict = path, is_strict
        self._shape = (*picture.upright_px, 3)
        self._first_s: float | None = float(picture.times_s[0]) if picture.has_times else None
        self._is_timed = picture.has_times or not skipped
        self._rgb, self._time_s = np.empty(self._shape, np.uint8), 0.0
        filters = _filters(picture)
        if may_interlace:
            # Before anything goes across their lines; pictures that say that they are whole stay.
            filters.insert(0, "bwdif=send_frame:auto:interlaced")
        jump: list[str] = []
        if skipped:
            after = f"gte(n,{skipped})"
            if self._first_s is not None:
                after = f"gt(t,{self._first_s + after_s + ROUNDING_S:.6f})"
                aim_s = self._first_s + after_s - _SETTLED_S
                jump = ["-noaccurate_seek", "-seek_timestamp", "1", "-ss", f"{aim_s:.6f}"]
            filters.insert(0, f"select='{after}'")
        # In a folder of its own: what is open cannot be opened once more under Windows.
        self._folder = tempfile.TemporaryDirectory(prefix="vidsal-")
        stamps = Path(self._folder.name) / "stamps"
        stamps.touch()
        # Without -copyts ffmpeg mends times that begin anew, by all streams that are used.
        times = [] if picture.restarts else ["-copyts"]
        is_heard = picture.restarts and not picture.repaired_alone
        unheard = ["-map", "0:a:0", "-c", "copy", "-f", "null", "-"] if is_heard else []
        care = ["-err_detect", "explode"] if is_strict else []
        if is_strict and not picture.restarts:
            # Else it would end where one recording follows another.
            care.append("-xerror")
        care += jump if jumps else []
        self._words = Path(self._folder.name) / "words"
        with self._words.open("wb") as words:
            self._process = subprocess.Popen(
                [ffmpeg.executable(), "-hide_banner", *LOUD, "-nostdin", *times, *care,
                 "-i", ffmpeg.file_url(path), "-map", "0:V:0", "-vf", ",".join(filters),
                 "-fps_mode", "passthrough", "-pix_fmt", "rgb24",
                 # One line a frame, written before the frame is: its time, in the file's own ticks.
                 # Else it would be rounded to whole frames, and in seconds to six figures.
                 "-enc_time_base", "demux",
                 "-stats_enc_pre", str(stamps), "-stats_enc_pre_fmt", "{pts} {tb}",
                 "-f", "rawvideo", "pipe:1", *unheard],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=words,
                **ffmpeg.OWN_SESSION,
            )  # fmt: skip
        self._stamps = stamps.open()

    def grab(self) -> float | None:
        assert self._process.stdout is not None
        # A new one each time: who got the one before may have kept it.
        self._rgb = np.empty(self._shape, np.uint8)
        if self._process.stdout.readinto(self._rgb.data.cast("B")) == self._rgb.size:  # type: ignore[attr-defined]
            stamp = self._stamps.readline() if self._is_timed else ""
            time_s = banner.frame_time_s(stamp)
            if self._first_s is None:
                self._first_s = time_s
            self._time_s = time_s - self._first_s
            return self._time_s
        code = self._process.wait()
        if how := ffmpeg.termination(code):
            # That is no damage: what is left of the file may be whole.
            raise VidsalError(
                f"{self._path}: ffmpeg, which decodes it, {how} after {self._time_s:.2f} s"
            )
        if code and self._strict:
            raise VidsalError(
                f"{self._path} is damaged after {self._time_s:.2f} s (an error because of --strict)"
            )
        return None

    def picture(self) -> Rgb | None:
        return self._rgb

    def incomplete(self) -> int:
        """Return how many of the pictures that were decoded are damaged."""
        with self._words.open("rb") as words:
            return banner.count_corrupt_frames(words)

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._stamps.close()
        self._folder.cleanup()


def _filters(picture: VideoStream) -> list[str]:
    """Return what makes upright pictures of usual tones and colours, with square pixels."""
    height, width = picture.upright_px
    matrix = ":in_color_matrix=bt709" if picture.lacks_matrix else ""
    # With chroma of every pixel: else what is made larger or smaller becomes two levels darker.
    scale = f"scale={width}:{height}:flags=bicubic+full_chroma_int{matrix},setsar=1"
    if not picture.is_hdr:
        return [scale]
    reported_damage = ":".join(f"{what}={_OF_HDR[what]}" for what in picture.missing_hdr_tags)
    return [*([f"setparams={reported_damage}"] if reported_damage else []), _TONE_MAP, scale]


def begin_if_alike(path: Path, picture: VideoStream) -> float:
    """Compare what OpenCV makes of a file with what ffmpeg makes of it.

    Where OpenCV cannot convert a picture, such as an interlaced one or one of rare colours, it says
    nothing and hands out what its memory held; and it does not know pictures that are mirrored. So
    the first picture is compared in which any of that would be seen.

    Returns
    -------
    float
        When the first frame is shown, in seconds after the first one that the file lists, which
        may not be one that can be decoded.

    Raises
    ------
    VidsalError
        If OpenCV cannot open it, or makes other pictures of it.
    """
    begin_s = 0.0
    with (
        closing(OpencvReader(path, picture)) as one, closing(FfmpegReader(path, picture)) as other,
    ):  # fmt: skip
        for n in range(_DARK):
            time_s = other.grab()
            if time_s is None and n:
                break
            if time_s is None:
                raise VidsalError("ffmpeg makes nothing of it")
            if n == 0:
                begin_s = max(0.0, time_s)
            rgb = one.picture() if one.grab() is not None else None
            known = other.picture()
            if rgb is None or known is None:
                break
            shown = _thumb(known)
            if rgb.shape != known.shape or _differ(_thumb(rgb), shown):
                raise VidsalError("OpenCV makes other pictures of it")
            mirrored = shown[::-1], shown[:, ::-1], shown[::-1, ::-1]
            if all(_differ(shown, image) for image in mirrored):
                break
    return begin_s


def _thumb(rgb: Rgb) -> Map:
    return np.asarray(cv2.resize(rgb, _THUMB, interpolation=cv2.INTER_AREA), np.float32)


def _differ(one: Map, other: Map) -> bool:
    return bool(np.abs(one - other).mean() > _ALIKE)


def resized(rgb: Rgb, size: tuple[int, int]) -> Rgb:
    """Return a picture at a (height, width)."""
    if rgb.shape[:2] == size:
        return rgb
    is_smaller = size[0] * size[1] < rgb.shape[0] * rgb.shape[1]
    how = cv2.INTER_AREA if is_smaller else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rgb, size[::-1], interpolation=how), np.uint8)
