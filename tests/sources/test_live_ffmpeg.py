"""ffmpeg for live streams: the pipe of its pictures."""

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


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux sets the size of a pipe")
def test_the_pipe_holds_a_mebibyte() -> None:
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
