"""Wrong timestamps lose no frame: codecs, B-frames, containers and kinds of times, all in all."""

from itertools import product
from pathlib import Path

import av
import numpy as np
import pytest
from conftest import run_ffmpeg

from vidsal.settings import Settings
from vidsal.sources import open_source

FRAMES, RATE = 30, 25
# Each frame has a grey level of its own.
_PICTURE = (
    f"color=gray:size=64x48:rate={RATE}:duration={FRAMES / RATE},format=yuv420p,"
    "geq=lum='20+7*N':cb=128:cr=128"
)
RAW = {"h264": "h264", "hevc": "hevc", "mpeg4": "m4v"}
TAGS = {("hevc", "mp4"): "hvc1", ("hevc", "avi"): "HEVC"}
# Times are in decoding order: missing presentation times, or times that MP4 files of raw streams
# get. A leap is that of the 33 bits of a transport stream.
_LEAP_S = 2**33 / 90_000


def _encoding(codec: str, b_frames: int, gop: str) -> list[str]:
    is_open = int(gop == "open")
    private = f"b-adapt=0:bframes={b_frames}:open-gop={is_open}:keyint=10:scenecut=0"
    if codec == "h264":
        return ["-c:v", "libx264", "-qp", "4", "-x264-params", private]
    if codec == "hevc":
        return ["-c:v", "libx265", "-x265-params", f"log-level=none:qp=4:{private}"]
    flags = [] if is_open else ["-flags", "+cgop", "-sc_threshold", "1000000000"]
    return ["-c:v", "mpeg4", "-q:v", "1", "-bf", str(b_frames), "-g", "10", *flags]


def _copy(original: Path, codec: str, container: str, times: str) -> Path:
    """Copy the packets of a file into another container, with other times."""
    path = original.with_name(f"copy.{RAW[codec] if container == 'raw' else container}")
    source, before, filters, after = original, list[str](), list[str](), list[str]()
    if codec == "mpeg4" and container == "ts":
        filters.append("dump_extra")
    if times == "none":
        source, before = original.with_name(f"raw.{RAW[codec]}"), ["-r", str(RATE)]
        run_ffmpeg("-i", str(original), "-c", "copy", str(source))
    elif times == "pts = dts":
        filters.append("setts=pts=DTS")
    elif times == "wrapped" and container == "ts":
        after = ["-output_ts_offset", str(_LEAP_S - 0.5)]
    elif times == "wrapped":
        filters.append(f"setts=ts='TS+gte(N,15)*{_LEAP_S:.0f}/TB'")
    if filters:
        after += ["-bsf:v", ",".join(filters)]
    if tag := TAGS.get((codec, container)):
        after += ["-tag:v", tag]
    run_ffmpeg(*before, "-i", str(source), "-c", "copy", *after, str(path))
    return path


def _cases() -> list[object]:
    cases: list[object] = []
    for codec, (b_frames, gop), container, times in product(
        RAW,
        [(0, "closed"), (2, "closed"), (2, "open"), (3, "closed"), (3, "open")],
        ["mp4", "mkv", "avi", "ts", "raw"],
        ["right", "pts = dts", "none", "wrapped"],
    ):
        if container == "raw" and times != "none":
            continue
        if (container, times) in (("mkv", "none"), ("ts", "none"), ("avi", "wrapped")):
            # These formats refuse them.
            continue
        is_quick = (codec, b_frames, gop) in (("h264", 2, "closed"), ("hevc", 3, "open"))
        marks = [] if is_quick and times != "right" else [pytest.mark.slow]
        name = f"{codec}-{b_frames}-{gop}-{container}-{times}"
        cases.append(pytest.param(codec, b_frames, gop, container, times, id=name, marks=marks))
    return cases


@pytest.mark.parametrize(("codec", "b_frames", "gop", "container", "times"), _cases())
@pytest.mark.parametrize("strict", [False, True])
def test_every_frame_comes_once_in_order_at_the_rate(
    codec: str,
    b_frames: int,
    gop: str,
    container: str,
    times: str,
    strict: bool,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    original = tmp_path / "original.mp4"
    run_ffmpeg("-f", "lavfi", "-i", _PICTURE, *_encoding(codec, b_frames, gop), str(original))
    path = _copy(original, codec, container, times)
    with open_source(path, Settings(strict=strict)) as source:
        frames = list(source.frames())
        found = source.findings()
        assert source.info.fps == RATE and source.info.frame_count_hint == len(frames)
    levels = [round((float(frame.rgb.mean()) * 219 / 255 - 4) / 7) for frame in frames]
    if container == "mp4" and b_frames and times != "right":
        # ffmpeg writes an edit list that leaves out the packets before time 0, and obeys it.
        hidden = {0, 1 + b_frames} if codec != "mpeg4" else {0}
        hidden = hidden if times != "none" or codec != "mpeg4" else set()
        assert levels == sorted(set(range(FRAMES)) - hidden)
        assert (f"need not be the first ones: {len(hidden)}" in caplog.text) == (len(hidden) > 0)
    else:
        assert levels == list(range(FRAMES))
    assert [frame.time_s for frame in frames] == pytest.approx(
        np.arange(len(frames)) / RATE, abs=2e-3
    )
    assert found.decoded == len(frames) and not found.left_out
    assert found.damaged == 0 and not found.is_cut_off


@pytest.mark.parametrize("container", ["raw", "mp4"])
@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_a_raw_stream_with_lost_packets_keeps_all_that_is_decoded(
    codec: str, container: str, tmp_path: Path
) -> None:
    original, raw = tmp_path / "original.mp4", tmp_path / f"a.{codec}"
    run_ffmpeg("-f", "lavfi", "-i", _PICTURE, *_encoding(codec, 3, "closed"), str(original))
    lost = "noise=drop='eq(n,3)+eq(n,7)+eq(n,15)+eq(n,16)+eq(n,23)'"
    run_ffmpeg("-i", str(original), "-c", "copy", "-bsf:v", lost, str(raw))
    path = raw if container == "raw" else tmp_path / "a.mp4"
    if container == "mp4":
        run_ffmpeg("-r", str(RATE), "-i", str(raw), "-c", "copy", str(path))
    with av.open(str(path)) as file:
        decoded = sum(1 for _ in file.decode(video=0))
    with open_source(path, Settings()) as source:
        frames = list(source.frames())
        found = source.findings()
    assert 8 <= decoded <= 25
    assert len(frames) == found.decoded == decoded
    assert [frame.time_s for frame in frames] == pytest.approx(np.arange(decoded) / RATE)


@pytest.mark.parametrize("strict", [False, True])
def test_a_late_part_of_a_file_with_wrong_times_is_that_of_the_whole(
    strict: bool, tmp_path: Path
) -> None:
    original, path = tmp_path / "original.mp4", tmp_path / "a.mp4"
    run_ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=16", "-c:v", "libx264",
        "-qp", "10", "-bf", "3", "-g", "50", str(original),
    )  # fmt: skip
    run_ffmpeg("-i", str(original), "-c", "copy", "-bsf:v", "setts=pts=DTS", str(path))
    with open_source(path, Settings(strict=strict)) as source:
        whole = {frame.index: frame for frame in source.frames()}
    with open_source(path, Settings(start=12.0, end=13.0, strict=strict)) as source:
        part = list(source.frames())
    assert [frame.index for frame in part] == list(range(300, 325))
    for frame in part:
        assert frame.time_s == pytest.approx(whole[frame.index].time_s)
        np.testing.assert_array_equal(frame.rgb, whole[frame.index].rgb)
