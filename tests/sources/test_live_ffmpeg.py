"""ffmpeg for live streams: the pipe of its pictures."""

import os
import subprocess
import sys
from contextlib import closing

import pytest

from vidsal.sources.live_ffmpeg import LiveFfmpeg

fcntl = pytest.importorskip("fcntl")

_SIDE_PX, _PICTURES = 16, 3
# Three grey pictures of 16 x 16 pixels.
_ARGUMENTS = [
    "-f", "lavfi", "-i", f"color=gray:size={_SIDE_PX}x{_SIDE_PX}:rate=3",
    "-frames:v", str(_PICTURES), "-f", "rawvideo", "-pix_fmt", "gray", "-",
]  # fmt: skip


def _permits_a_mebibyte() -> bool:
    ends = os.pipe()
    try:
        return bool(fcntl.fcntl(ends[0], fcntl.F_SETPIPE_SZ, 1 << 20) == 1 << 20)
    except OSError:
        return False
    finally:
        for end in ends:
            os.close(end)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux sets the size of a pipe")
def test_the_pipe_holds_a_mebibyte() -> None:
    if not _permits_a_mebibyte():
        pytest.skip("this system refuses large pipes")
    with closing(LiveFfmpeg(_ARGUMENTS, stdin=subprocess.DEVNULL)) as ffmpeg:
        assert fcntl.fcntl(ffmpeg.stdout, fcntl.F_GETPIPE_SZ) == 1 << 20


def test_pictures_come_through_a_usual_pipe_where_a_large_one_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refused = []

    def refuse(*_: object) -> int:
        refused.append(1)
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    with closing(LiveFfmpeg(_ARGUMENTS, stdin=subprocess.DEVNULL)) as ffmpeg:
        pictures = ffmpeg.stdout.read()
    assert len(pictures) == _PICTURES * _SIDE_PX**2
    assert len(set(pictures)) == 1
    assert bool(refused) == (sys.platform == "linux")
