"""Corrupt files: decodable frames are yielded, lost frames are counted."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
import psutil
import pytest
from conftest import MakeClip, run_ffmpeg
from file_help import FRAMES, EndsEarly, difference, make, read_whole

from vidsal.errors import VidsalError
from vidsal.media import probe
from vidsal.settings import Settings
from vidsal.sources import open_source
from vidsal.sources.corruption import count_lost, describe
from vidsal.sources.decoders import FfmpegReader


def _changed(path: Path, change: Callable[[bytearray], bytearray]) -> Path:
    path.write_bytes(change(bytearray(path.read_bytes())))
    return path


def test_corrupt_frames_that_are_decoded_are_not_reported_as_dropped(
    make_clip: MakeClip, caplog: pytest.LogCaptureFixture
) -> None:
    clip = make_clip("one.ts", frames=40, size=(96, 128), options=["-g", "20"])
    data = clip.read_bytes()
    packets = [data[n : n + 188] for n in range(0, len(data), 188)]
    # One packet of the video stream is lost, from within a picture.
    of_picture = [n for n, one in enumerate(packets) if one[1] == 1 and one[2] == 0]
    del packets[of_picture[len(of_picture) // 2]]
    clip.write_bytes(b"".join(packets))
    with open_source(clip, Settings()) as source:
        assert len(list(source.frames())) == 40
        assert source.findings().damaged == 1
    assert "1 corrupt frame, 0 of them dropped; 40 frames decoded" in caplog.text
    with (
        pytest.raises(VidsalError, match="because of strict=True"),
        open_source(clip, Settings(strict=True)) as source,
    ):
        list(source.frames())


def _flipped(data: bytes, number: int, bit: int) -> bytes:
    """Return a transport stream with one wrong bit in a presentation timestamp of 33 bits."""
    found, result = 0, bytearray(data)
    for begin in range(0, len(data), 188):
        if data[begin + 1] != 0x41 or data[begin + 2]:
            continue
        place = begin + 4 + (data[begin + 3] & 0x20 and 1 + data[begin + 4])
        found += 1
        if found == number and data[place : place + 3] == b"\0\0\1" and data[place + 7] & 0x80:
            # Five bytes: 3 bits, 15 and 15, with a 1 behind each of these.
            result[place + 9 if bit >= 30 else place + 10] ^= 1 << (bit - (29 if bit >= 30 else 22))
    assert result != data
    return bytes(result)


@pytest.mark.parametrize("number", [1, 20, 40])
@pytest.mark.parametrize("bit", [22, 24, 32])
@pytest.mark.parametrize("frames_between", [0, 2])
def test_one_wrong_timestamp_affects_one_frame(
    number: int, bit: int, frames_between: int, make_clip: MakeClip, tmp_path: Path
) -> None:
    args = ["-bf", str(frames_between), "-g", "25"]
    clip = make_clip("one.ts", frames=100, sound="aac", options=args)
    bad = tmp_path / "bad.ts"
    bad.write_bytes(_flipped(clip.read_bytes(), number, bit))
    expected = read_whole(clip)
    with open_source(bad, Settings()) as source:
        frames = list(source.frames())
        assert source.info.duration_s == pytest.approx(4, abs=0.1)
    assert len(frames) >= 98
    by_time = {round(frame.time_s * 25): frame.rgb for frame in expected}
    right = [
        difference(one.rgb, by_time[place]) < 1
        for one in frames
        if (place := round(one.time_s * 25)) in by_time
    ]
    assert sum(right) >= 95


def test_damage_is_counted_and_strict_makes_it_an_error(make_clip: MakeClip) -> None:
    path = make_clip("clip.ts", frames=60, options=["-g", "10"])
    assert read_whole(path, strict=True)

    def overwrite(data: bytearray) -> bytearray:
        middle = len(data) // 2 // 188 * 188
        data[middle : middle + 188 * 12] = bytes(188 * 12)
        return data

    _changed(path, overwrite)
    with open_source(path, Settings()) as source:
        frames = list(source.frames())
        found = source.findings()
    assert found.damaged > 0 and len(frames) >= 40
    with (
        pytest.raises(VidsalError, match="an error because of strict=True"),
        open_source(path, Settings(strict=True)) as source,
    ):
        list(source.frames())


def test_ffmpeg_decodes_the_rest_where_opencv_ends_early(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = make_clip(frames=30)
    expected = read_whole(path)
    monkeypatch.setattr(cv2, "VideoCapture", partial(EndsEarly, cv2.VideoCapture, 7))
    with open_source(path, Settings()) as source:
        frames = list(source.frames())
        assert source.findings().decoder == "ffmpeg"
    assert [frame.time_s for frame in frames] == pytest.approx([one.time_s for one in expected])
    for one, other in zip(frames, expected, strict=True):
        assert np.abs(one.rgb.astype(float) - other.rgb.astype(float)).mean() < 3
    assert "OpenCV ends after 7 of 30 frames" in caplog.text


def test_an_unknown_codec_is_one_line(make_clip: MakeClip) -> None:
    path = make_clip("a.mp4", frames=5)
    data = bytearray(path.read_bytes())
    # The sample entry: its size, its codec, 24 other bytes, width and height.
    at = data.index(b"avc1", data.index(b"stsd"))
    data[at : at + 4], data[at + 28 : at + 32] = b"qqqq", bytes(4)
    path.write_bytes(data)
    found = probe.inspect(path).picture
    assert found is not None and found.coded_px == (0, 0)
    with pytest.raises(VidsalError, match="no picture that can be decoded: its codec"):
        open_source(path, Settings())


def test_a_truncated_gif_gives_its_frames_or_one_line(tmp_path: Path) -> None:
    path = make(tmp_path / "a.gif", [])
    whole = path.read_bytes()
    odd = []
    for length in range(len(whole) // 2, len(whole), 11):
        path.write_bytes(whole[:length])
        try:
            with open_source(path, Settings()) as source:
                assert 1 <= len(list(source.frames())) <= FRAMES
        except VidsalError as error:
            odd.append(str(error))
    assert odd and not any("\n" in line for line in odd)


def test_one_bad_frame_near_the_end_is_not_the_end(
    make_clip: MakeClip, caplog: pytest.LogCaptureFixture
) -> None:
    path = make_clip("a.mov", codec="mjpeg", frames=60, options=["-q:v", "3"])
    with av.open(str(path)) as file:
        bad = [one for one in file.demux(video=0) if one.size][45]
    assert bad.pos is not None
    data = bytearray(path.read_bytes())
    data[bad.pos : bad.pos + bad.size] = bytes(bad.size)
    path.write_bytes(data)
    with open_source(path, Settings()) as source:
        frames = list(source.frames())
        assert source.findings().damaged == 1
    assert [round(frame.time_s * 25) for frame in frames] == [n for n in range(60) if n != 45]
    assert "OpenCV ends after 45 of 60 frames" in caplog.text


def test_frames_without_times_keep_their_pace_where_ffmpeg_goes_on(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_clip("a.avi", frames=40, options=["-bf", "2"])
    monkeypatch.setattr(cv2, "VideoCapture", partial(EndsEarly, cv2.VideoCapture, 20))
    with open_source(path, Settings()) as source:
        times_s = [frame.time_s for frame in source.frames()]
        assert source.findings().decoder == "ffmpeg"
    assert len(times_s) >= 39
    assert np.diff(times_s) == pytest.approx(0.04, abs=1e-3)


@pytest.mark.parametrize(
    ("number", "how"),
    [(signal.SIGKILL, "was killed by signal 9"), (signal.SIGTERM, "was terminated")],
)
def test_a_killed_decoder_is_not_reported_as_corruption(
    number: int, how: str, make_clip: MakeClip
) -> None:
    path = make_clip(frames=60, size=(180, 320))
    picture = probe.inspect(path).picture
    assert picture is not None
    reader = FfmpegReader(path, picture)
    try:
        assert reader.grab() == 0
        # Most frames are still to come: together they are larger than any pipe.
        (decoder,) = (one for one in psutil.Process().children() if "ffmpeg" in one.name())
        os.kill(decoder.pid, number)
        said = rf"clip\.mp4: ffmpeg, which decodes it, {how} after \d"
        with pytest.raises(VidsalError, match=said):
            for _ in range(60):
                reader.grab()
    finally:
        reader.close()


# A few bytes of every fourth picture of the second half are overwritten; decoders conceal that.
@pytest.mark.parametrize(
    ("name", "args", "decoder"),
    [
        ("clip.mp4", ["-c:v", "libx264", "-g", "10", "-bf", "2"], "OpenCV"),
        ("clip.mkv", ["-c:v", "libx264", "-g", "10", "-bf", "2"], "OpenCV"),
        ("clip.avi", ["-c:v", "mpeg4", "-q:v", "2", "-g", "10"], "OpenCV"),
        ("laced.mp4", ["-c:v", "libx264", "-g", "10", "-x264-params", "tff=1"], "ffmpeg"),
    ],
)
def test_concealed_errors_are_counted(
    name: str, args: list[str], decoder: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / name
    picture = "testsrc2=size=128x96:rate=25:duration=2"
    run_ffmpeg("-f", "lavfi", "-i", picture, *args, str(path))
    with av.open(str(path)) as file:
        packets = [packet for packet in file.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    changed = len(packets[22::4])
    for packet in packets[22::4]:
        at = (packet.pos or 0) + packet.size // 2
        data[at : at + 16] = bytes(one ^ 0x55 for one in data[at : at + 16])
    path.write_bytes(data)
    with av.open(str(path)) as file:
        # Another program counts them, too.
        corrupt = sum(frame.is_corrupt for frame in file.decode(video=0))
    assert corrupt > 1
    with open_source(path, Settings()) as source:
        frames = list(source.frames())
        found = source.findings()
    assert (found.decoder, len(frames)) == (decoder, 50)
    # Newer decoders find more of the changed pictures.
    assert corrupt <= found.damaged <= changed
    assert f"{found.damaged} corrupt frames, 0 of them dropped; 50 frames decoded" in caplog.text
    with open_source(path, Settings(end=0.12)) as source:
        assert len(list(source.frames())) == 3
        assert source.findings().damaged == 0
    with pytest.raises(VidsalError, match=r"is corrupt after .* because of strict=True"):
        read_whole(path, strict=True)


# An endless picture in real time replaces the file.
_WATCHES = """
import os, subprocess, time
from vidsal.sources import corruption

real = subprocess.Popen
def endless(args, **rest):
    if "framecrc" not in args:
        return real(args, **rest)
    at = args.index("-i")
    given = ["-re", "-f", "lavfi", "-i", "testsrc2=size=64x48"]
    process = real([*args[:at], *given, *args[at + 2 :]], **rest)
    print(process.pid, flush=True)
    return process
subprocess.Popen = endless
watch = corruption.DamageWatch("none", 0, float("inf"))
time.sleep(0.5)
os.kill(os.getpid(), 9)
"""


def test_the_damage_watch_ends_when_its_reader_was_killed() -> None:
    args = [sys.executable, "-c", _WATCHES]
    done = subprocess.run(args, capture_output=True, check=False, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    number = int(done.stdout)
    for _ in range(100):
        if not psutil.pid_exists(number) or psutil.Process(number).status() == "zombie":
            return
        time.sleep(0.1)
    os.kill(number, signal.SIGKILL)
    pytest.fail("it goes on")


def test_lost_frames_are_counted_up_to_where_the_file_was_read() -> None:
    listed_s = np.arange(10) / 25

    def lost(decoded: int, time_s: float, *, codec: str = "h264", is_at_end: bool = False) -> int:
        return count_lost(
            listed_s, codec=codec, decoded=decoded, time_s=time_s, is_at_end=is_at_end
        )

    assert lost(4, 0.12) == 0
    assert lost(2, 0.12) == 2
    assert lost(2, 0.12, is_at_end=True) == 8
    assert lost(11, 0.36, is_at_end=True) == 0
    # Packets of VP8 and VP9 may hold no picture of their own.
    assert lost(2, 0.12, codec="vp9", is_at_end=True) == 0


@pytest.mark.parametrize(
    ("damaged", "lost", "is_truncated", "text"),
    [
        (0, 0, False, ""),
        (0, 0, True, "the file is truncated"),
        (1, 1, False, "1 corrupt frame dropped"),
        (3, 3, True, "3 corrupt frames dropped, and the file is truncated"),
        (1, 0, False, "1 corrupt frame, 0 of them dropped"),
        (5, 2, True, "5 corrupt frames, 2 of them dropped, and the file is truncated"),
    ],
)
def test_what_is_wrong_is_described(damaged: int, lost: int, is_truncated: bool, text: str) -> None:
    assert describe(damaged, lost, is_truncated=is_truncated) == text
