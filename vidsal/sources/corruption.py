"""Corrupt and lost frames: only ffmpeg reports frames that it decodes although they are corrupt."""

import math
import subprocess
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from vidsal.media import banner, ffmpeg
from vidsal.media.retiming import ROUNDING_S
from vidsal.runtime.prefetch import begin

# With these arguments ffmpeg reports each corrupt frame in a line of its own.
REPORT_EACH = ("-v", "repeat+warning")
# Threads that decode several frames of H.264 at once may notice an error after the frame was
# delivered as whole: a count of 4 was 3 or 2 in one of six runs.
ONE_BY_ONE = ("-threads", "1")
_REPORT = b"corrupt decoded frame"
# Codecs with packets that hold no picture of their own: fewer pictures than packets are no loss.
_UNCOUNTED = ("vp8", "vp9")


def count_lost(
    listed_s: NDArray[np.float64], *, codec: str, decoded: int, time_s: float, is_at_end: bool
) -> int:
    """Return how many listed frames were not decoded, up to where the file was read.

    Parameters
    ----------
    listed_s : (n,) float64 array
        Times of the n frames that the file lists, in seconds.
    codec : str
        ffmpeg's name of the codec.
    decoded : int
        Frames that were decoded.
    time_s : float
        Time of the last one in seconds.
    is_at_end : bool
        Whether the file was read to its end.
    """
    if codec in _UNCOUNTED:
        return 0
    passed = len(listed_s) if is_at_end else int((listed_s <= time_s + ROUNDING_S).sum())
    return max(0, passed - decoded)


def describe(damaged: int, lost: int, *, is_truncated: bool) -> str:
    """Return what is wrong with a file in a few words; empty if nothing is.

    Parameters
    ----------
    damaged : int
        Frames that are corrupt, or could not be decoded.
    lost : int
        Those of them that could not be decoded.
    is_truncated : bool
        Whether the file is truncated.
    """
    parts = []
    if damaged > lost:
        frames = "frame" if damaged == 1 else "frames"
        parts.append(f"{damaged} corrupt {frames}, {lost} of them dropped")
    elif lost:
        parts.append(f"{lost} corrupt {'frame' if lost == 1 else 'frames'} dropped")
    if is_truncated:
        parts.append("the file is truncated")
    return ", and ".join(parts)


class DamageWatch:
    """Counts corrupt frames with a second decoder, ffmpeg: OpenCV conceals errors silently.

    The decoded pictures are not used, so this takes 1 to 2 ms per picture of 1280 x 720 pixels.

    Parameters
    ----------
    path : Path
    begin_s, end_s : float
        The part to check, in seconds after the first frame; the end may be infinite.
    """

    def __init__(self, path: Path, begin_s: float, end_s: float) -> None:
        part = ["-ss", f"{begin_s:.6f}"] if begin_s else []
        if math.isfinite(end_s):
            part += ["-t", f"{max(end_s - begin_s, 0):.6f}"]
        self._process = subprocess.Popen(
            [ffmpeg.executable(), "-hide_banner", *REPORT_EACH, "-nostdin",
             # The loop filter does not change which frames are corrupt.
             "-skip_loop_filter", "all", *ONE_BY_ONE, *part, "-i", ffmpeg.file_url(path),
             "-map", "0:V:0",
             # Some output, so that the process ends soon after its reader was killed.
             "-vf", "select=not(mod(n\\,50))", "-f", "framecrc", "-flush_packets", "1", "pipe:1"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            **ffmpeg.OWN_SESSION,
        )  # fmt: skip
        assert self._process.stdout is not None
        self._result = begin(partial(_count_corrupt, self._process.stdout), name="damage")

    def count(self) -> int:
        """Wait until the part was checked; return how many frames of it are corrupt."""
        return int(self._result())

    def close(self) -> None:
        """End the process, whether the part was checked or not."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        # At the end of a program, when an unfinished iterator is closed, no other thread runs.
        if not sys.is_finalizing():
            # The count, or an error, is not wanted any more.
            with suppress(Exception):
                self._result()


def _count_corrupt(pipe: IO[bytes]) -> int:
    """Read a log to its end, close it, and return how many frames are corrupt."""
    with pipe:
        return banner.count_corrupt_frames(pipe)
