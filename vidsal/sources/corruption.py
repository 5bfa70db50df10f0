"""Pictures that are damaged and can be decoded all the same: only ffmpeg says so."""

import math
import subprocess
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from vidsal.media import banner, ffmpeg
from vidsal.runtime.prefetch import helper

# At this level, and without putting like lines together, it says this once for each such picture.
LOUD = ("-v", "repeat+warning")


class DamageWatch:
    """An ffmpeg that decodes a file beside OpenCV, which patches pictures up and says nothing.

    Nothing is made of what it decodes, so that it takes 1 to 2 ms a picture at 1280 x 720.

    Parameters
    ----------
    path : Path
    begin_s, end_s : float
        The part that is looked at, in seconds from the first frame on; the end may be infinite.
    """

    def __init__(self, path: Path, begin_s: float, end_s: float) -> None:
        part = ["-ss", f"{begin_s:.6f}"] if begin_s else []
        if math.isfinite(end_s):
            part += ["-t", f"{max(end_s - begin_s, 0):.6f}"]
        self._process = subprocess.Popen(
            [ffmpeg.executable(), "-hide_banner", *LOUD, "-nostdin",
             # What smooths the borders of blocks plays no part in it.
             "-skip_loop_filter", "all", *part, "-i", ffmpeg.file_url(path), "-map", "0:V:0",
             # A word now and then, so that it ends soon after whoever should read it was killed.
             "-vf", "select=not(mod(n\\,50))", "-f", "framecrc", "-flush_packets", "1", "pipe:1"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            **ffmpeg.OWN_SESSION,
        )  # fmt: skip
        self._thread = ExitStack()
        begin = self._thread.enter_context(helper("damage"))
        assert self._process.stdout is not None
        self._told = begin(partial(banner.count_corrupt_frames, self._process.stdout))

    def count(self) -> int:
        """Return how many damaged pictures there are, once all were looked at."""
        return int(self._told())

    def close(self) -> None:
        """Let the file go, whether all was looked at or not."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._thread.close()
        assert self._process.stdout is not None
        self._process.stdout.close()
