"""What is written: whole, exact and checked, or nothing at all. PyAV and PIL read it back."""

import csv
import json
import math
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
import pytest
from conftest import MakeClip, run_ffmpeg
from PIL import Image

import vidsal
from vidsal import encoding, ffmpeg, media
from vidsal.errors import UsageError, VidsalError
from vidsal.frames import (
    CameraMotion,
    Frame,
    Map,
    Prediction,
    Rgb,
    Saliency,
    SoundPart,
    SourceInfo,
)
from vidsal.motion import still
from vidsal.settings import Settings
from vidsal.sink import claim, removed, staged
from vidsal.sinks import claim_outputs, finishing, open_sinks, output_path, space
from vidsal.sinks.image import image_sink
from vidsal.sinks.maps import claim_folder, maps_sink, sixteen_bit
from vidsal.sinks.table import COLUMNS, table_sink
from vidsal.sinks.video import shown_s, video_sink

FILM = Fraction(24000, 1001)


def _saliency(
    index: int = 0,
    *,
    time_s: float | None = None,
    size: tuple[int, int] = (48, 64),
    static: Map | None = None,
    motion: Map | None = None,
    fused: Map | None = None,
    **others: Any,
) -> Saliency:
    zeros = np.zeros((12, 16), np.float32)
    frame = Frame(np.zeros((*size, 3), np.uint8), index, index / 25 if time_s is None else time_s)
    values: dict[str, Any] = {
        "movement": still((12, 16)),
        "speed": zeros,
        "prediction": None,
        "is_cut": False,
        "motion_share": 0.0,
        "static_high": 0.0,
        "motion_high": 0.0,
        "fused_high": 0.0,
    } | others
    return Saliency(
        frame=frame,
        static=static,
        motion=zeros if motion is None else motion,
        fused=zeros if fused is None else fused,
        **values,
    )


def _info(fps: Fraction | None = FILM, **others: Any) -> SourceInfo:
    return SourceInfo("source.mp4", 48, 64, fps, **others)


def _picture(seed: int, size: tuple[int, int] = (48, 64)) -> Rgb:
    """A picture of blocks of colour, so that chroma at half size loses nothing."""
    blocks = np.random.default_rng(seed).integers(0, 256, (size[0] // 16, size[1] // 16, 3))
    return np.ascontiguousarray(np.kron(blocks, np.ones((16, 16, 1))), np.uint8)


def _write_video(path: Path, pictures: Iterable[Rgb], info: SourceInfo, **options: Any) -> None:
    """Write frames at the rate that the source has."""
    assert info.fps is not None
    with video_sink(path, info, Settings(**options)) as write:
        for index, picture in enumerate(pictures):
            write(_saliency(index, time_s=float(index / info.fps)), picture)


def _rgb(frame: Any) -> Rgb:
    """RGB of a yuv420p frame by the formulas of BT.709 in limited range, and nothing else."""
    planes = frame.to_ndarray(format="yuv420p").astype(np.float64)
    height, width = frame.height, frame.width
    luma = (planes[:height] - 16) * 255 / 219
    chroma = (planes[height:].reshape(2, height // 2, width // 2) - 128) * 255 / 224
    blue, red = chroma.repeat(2, axis=1).repeat(2, axis=2)
    r = luma + 1.5748 * red
    b = luma + 1.8556 * blue
    g = (luma - 0.2126 * r - 0.0722 * b) / 0.7152
    return np.asarray(np.clip(np.rint(np.stack([r, g, b], axis=-1)), 0, 255), np.uint8)


def _names(folder: Path) -> list[str]:
    """All that is in a folder, hidden or not."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# The video.


@pytest.mark.parametrize("fps", [FILM, Fraction(30000, 1001), Fraction(25), Fraction(20, 3)])
def test_video_has_the_exact_count_size_and_rate(fps: Fraction, tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    _write_video(path, (_picture(n) for n in range(23)), _info(fps))
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        times = [frame.pts * frame.time_base for frame in file.decode(stream)]
        assert (stream.average_rate, stream.frames) == (fps, 23)
        assert (stream.height, stream.width) == (48, 64)
        assert len(file.streams) == 1
    assert times == [n / fps for n in range(23)]
    assert _names(tmp_path) == ["out.mp4"]


def test_video_is_what_browsers_play(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    _write_video(path, (_picture(n) for n in range(3)), _info())
    with av.open(str(path)) as file:
        codec = file.streams.video[0].codec_context
        assert (codec.name, codec.pix_fmt) == ("h264", "yuv420p")
        # 1 is BT.709 in each table of H.273; range 1 is limited.
        assert (codec.color_primaries, codec.color_trc, codec.colorspace) == (1, 1, 1)
        assert int(codec.color_range) == 1
    # The index comes before the pictures: it plays while it loads.
    boxes = _boxes(path.read_bytes())
    assert boxes.index("moov") < boxes.index("mdat")


def _boxes(data: bytes) -> list[str]:
    """The names of an MP4 file's outermost boxes, in order."""
    names, place = [], 0
    while place < len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        names.append(data[place + 4 : place + 8].decode())
        if size == 1:
            size = int.from_bytes(data[place + 8 : place + 16], "big")
        assert size >= 8
        place += size
    return names


@pytest.mark.parametrize(
    "colour",
    [
        (0, 0, 0), (255, 255, 255), (128, 128, 128), (255, 0, 0), (0, 255, 0), (0, 0, 255),
        (220, 40, 20), (20, 200, 180), (252, 255, 164), (87, 16, 110),
    ],
)  # fmt: skip
def test_solid_colours_come_back(colour: tuple[int, int, int], tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    _write_video(path, [np.full((48, 64, 3), colour, np.uint8)] * 3, _info())
    with av.open(str(path)) as file:
        for frame in file.decode(video=0):
            assert np.abs(_rgb(frame).astype(int) - colour).max() <= 3


def test_frames_come_back_in_order_and_in_place(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    pictures = [_picture(n) for n in range(12)]
    _write_video(path, pictures, _info())
    with av.open(str(path)) as file:
        seen = [_rgb(frame) for frame in file.decode(video=0)]
    for one, other in zip(pictures, seen, strict=True):
        assert np.abs(one.astype(int) - other.astype(int)).mean() < 6


@pytest.mark.parametrize("size", [(47, 64), (48, 63), (47, 63)])
def test_odd_sides_gain_one_pixel(
    size: tuple[int, int], make_clip: MakeClip, tmp_path: Path
) -> None:
    # MJPEG stores odd sides, and testsrc, unlike testsrc2, draws them.
    options = ["-q:v", "1", "-pix_fmt", "yuvj444p"]
    clip = make_clip(
        "a.avi", size=size, frames=4, codec="mjpeg", options=options, picture="testsrc"
    )
    out = vidsal.run(clip, Settings(model="none", output=tmp_path / "o.mp4", annotate=False))
    with av.open(str(out)) as file:
        (first, *_) = file.decode(video=0)
        seen = _rgb(first)
    even = size[0] + size[0] % 2, size[1] + size[1] % 2
    assert seen.shape[:2] == even
    # The first frame has no motion, so it is the input itself: padded, nowhere rescaled.
    with av.open(str(clip)) as file:
        given = next(file.decode(video=0)).to_ndarray(format="rgb24")
    padded = np.pad(given, ((0, size[0] % 2), (0, size[1] % 2), (0, 0)), mode="edge")
    assert np.abs(seen[..., 1].astype(int) - padded[..., 1].astype(int)).mean() < 6


# Sound.


def _packets(path: Path) -> list[tuple[float, bytes]]:
    """Time and bytes of each sound packet."""
    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        return [
            (float(packet.pts * packet.time_base), bytes(packet))
            for packet in file.demux(stream)
            if packet.size
        ]


def _run(clip: Path, output: Path, **options: Any) -> Path:
    return vidsal.run(clip, Settings(model="none", output=output, **options))


@pytest.mark.parametrize(("name", "sound"), [("a.mp4", "aac"), ("a.mkv", "libopus")])
def test_sound_is_copied_bit_for_bit(
    name: str, sound: str, make_clip: MakeClip, tmp_path: Path
) -> None:
    clip = make_clip(name, frames=50, sound=sound)
    out = _run(clip, tmp_path / "o.mp4")
    given, got = _packets(clip), _packets(out)
    # The video's end may cut the last packets, that is all.
    assert len(given) - 2 <= len(got) <= len(given)
    assert [data for _, data in got] == [data for _, data in given[: len(got)]]
    assert [t for t, _ in got] == pytest.approx([t for t, _ in given[: len(got)]], abs=0.002)
    with av.open(str(out)) as file:
        assert file.streams.video[0].frames == 50
        assert file.streams.video[0].average_rate == 25
    boxes = _boxes(out.read_bytes())
    assert boxes.index("moov") < boxes.index("mdat")
    assert _names(tmp_path) == sorted([name, "o.mp4"])


def _with_sound(
    sound: SoundPart,
    output: Path,
    *,
    frames: int = 25,
    fps: Fraction = Fraction(25),
    **options: Any,
) -> Path:
    """Write a video whose source has this sound."""
    pictures = (_picture(n % 5) for n in range(frames))
    _write_video(output, pictures, _info(fps, sound=sound), **options)
    return output


def test_sample_clip_keeps_its_sound(sample_media: Path, tmp_path: Path) -> None:
    clip = sample_media / "chinchilla.mp4"
    out = _with_sound(SoundPart(str(clip), "aac", duration_s=1.0), tmp_path / "o.mp4")
    given, got = _packets(clip), _packets(out)
    assert [data for _, data in got] == [data for _, data in given[: len(got)]]
    # AAC has 1024 samples in a packet; the first may come before the picture.
    assert len(got) == pytest.approx(44100 / 1024, abs=2)


def _clip_with_click(path: Path, *, sound: str, delay_s: str = "0", codec: str) -> Path:
    """6 s of moving picture with a click of sound at 3 s; the picture may begin `delay_s` late."""
    click = "aevalsrc='if(between(t,3,3.1),0.8*sin(2*PI*1000*t),0)':d=6:s=44100"
    run_ffmpeg(
        "-itsoffset", delay_s, "-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=6",
        "-f", "lavfi", "-i", click, "-c:v", codec, "-c:a", sound, str(path),
    )  # fmt: skip
    return path


def _first(path: Path, kind: str) -> tuple[float, str]:
    """Time of the first picture, or of the click, and the name of the codec."""
    with av.open(str(path)) as file:
        if kind == "picture":
            return next(file.decode(video=0)).time, file.streams.video[0].codec_context.name
        stream = file.streams.audio[0]
        for frame in file.decode(stream):
            samples = np.abs(frame.to_ndarray().astype(np.float64)).max(axis=0)
            samples /= 32768 if frame.format.name.startswith("s16") else 1
            if samples.max() > 0.2:
                place = int(np.argmax(samples > 0.2))
                return frame.time + place / frame.sample_rate, stream.codec_context.name
    raise AssertionError("no click")


@pytest.mark.parametrize("start", [None, 1.0, 2.04])
@pytest.mark.parametrize(
    ("name", "given", "written", "codec"),
    [
        ("a.mp4", "aac", "aac", "libx264"),
        ("a.ts", "aac", "aac", "libx264"),
        # MP4 cannot carry these: they are encoded.
        ("a.avi", "pcm_s16le", "aac", "mjpeg"),
        ("a.webm", "libvorbis", "aac", "libvpx"),
    ],
)
def test_sound_stays_with_the_picture(
    name: str, given: str, written: str, codec: str, start: float | None, tmp_path: Path
) -> None:
    clip = _clip_with_click(tmp_path / name, sound=given, codec=codec)
    out = _run(clip, tmp_path / "o.mp4", start=start)
    before_s = _first(clip, "click")[0] - _first(clip, "picture")[0] - (start or 0)
    click_s, found = _first(out, "click")
    assert found == written
    assert click_s - _first(out, "picture")[0] == pytest.approx(before_s, abs=0.005)


@pytest.mark.parametrize("start", [None, 2.0])
@pytest.mark.parametrize("name", ["late.mp4", "late.mkv", "late.ts"])
def test_sound_that_begins_before_the_picture(
    name: str, start: float | None, tmp_path: Path
) -> None:
    clip = _clip_with_click(tmp_path / name, sound="aac", delay_s="0.5", codec="libx264")
    assert _first(clip, "click")[0] - _first(clip, "picture")[0] == pytest.approx(2.5, abs=0.03)
    out = _run(clip, tmp_path / "o.mp4", start=start)
    before_s = _first(clip, "click")[0] - _first(clip, "picture")[0] - (start or 0)
    assert _first(out, "click")[0] == pytest.approx(before_s, abs=0.005)


def test_encoded_sound_is_the_same_tone(make_clip: MakeClip, tmp_path: Path) -> None:
    clip = make_clip("a.avi", frames=50, codec="mjpeg", sound="pcm_s16le")
    out = _run(clip, tmp_path / "o.mp4")
    with av.open(str(out)) as file:
        stream = file.streams.audio[0]
        assert stream.codec_context.name == "aac"
        parts = [frame.to_ndarray()[0] for frame in file.decode(stream)]
    samples = np.concatenate(parts)
    assert len(samples) / 44100 == pytest.approx(2.0, abs=0.06)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    assert np.argmax(spectrum) * 44100 / len(samples) == pytest.approx(440, abs=1)


def test_a_part_of_the_sound_ends_where_it_is_told_to(make_clip: MakeClip, tmp_path: Path) -> None:
    clip = make_clip(frames=75, sound="aac")
    out = _with_sound(SoundPart(str(clip), "aac", duration_s=1.0), tmp_path / "o.mp4")
    packets = _packets(out)
    assert packets[-1][0] == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
@pytest.mark.parametrize("frames", [10, 100])
def test_neither_sound_nor_picture_shortens_the_other(
    frames: int, suffix: str, make_clip: MakeClip, tmp_path: Path
) -> None:
    clip = make_clip(frames=50, sound="aac")
    out = _with_sound(SoundPart(str(clip), "aac"), tmp_path / f"o{suffix}", frames=frames)
    seen = media.inspect(out)
    assert seen.picture is not None and seen.sound is not None
    assert seen.picture.frames == frames
    assert seen.picture.end_s - seen.picture.times_s[0] == pytest.approx(frames / 25, abs=0.002)
    assert seen.sound.end_s - seen.picture.times_s[0] == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize(
    ("suffix", "given", "written"),
    [
        (".mp4", "aac", "aac"), (".mp4", "libopus", "opus"), (".mp4", "libvorbis", "aac"),
        (".mov", "pcm_s16le", "pcm_s16le"), (".mov", "libopus", "aac"),
        (".mkv", "libvorbis", "vorbis"), (".mkv", "pcm_s16le", "pcm_s16le"),
        (".mkv", "flac", "flac"),
        (".webm", "libopus", "opus"), (".webm", "aac", "opus"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    ("begin_s", "picture_at_s", "duration_s"),
    [(0.0, 0.0, None), (2.0, 0.02, 3.0), (2.0, 0.3, None)],
)
def test_the_click_stays_where_it_was_in_every_container(
    suffix: str, given: str, written: str,
    begin_s: float, picture_at_s: float, duration_s: float | None, tmp_path: Path,
) -> None:  # fmt: skip
    clip = _clip_with_click(tmp_path / "a.mkv", sound=given, codec="libx264")
    seen = media.inspect(clip)
    assert seen.sound is not None and seen.picture is not None
    # Old versions of ffmpeg let the file begin with what a decoder is to skip of its sound.
    delay_s = float(seen.picture.times_s[0]) - seen.begin_s
    sound = SoundPart(str(clip), seen.sound.codec, begin_s + delay_s, picture_at_s, duration_s)
    out = _with_sound(sound, tmp_path / f"o{suffix}", frames=50)
    click_s, found = _first(out, "click")
    assert found == written
    meant_s = _first(clip, "click")[0] - begin_s - picture_at_s
    assert click_s - _first(out, "picture")[0] == pytest.approx(meant_s, abs=0.005)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
@pytest.mark.parametrize("begin_s", [0.0, 2.0])
def test_sound_that_begins_after_the_picture(begin_s: float, suffix: str, tmp_path: Path) -> None:
    # MPEG-TS: here ffmpeg lets a file begin with the stream that is used.
    clip = tmp_path / "a.ts"
    click = "aevalsrc='if(between(t,3,3.1),0.8*sin(2*PI*1000*t),0)':d=6:s=44100"
    run_ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=6", "-itsoffset", "0.5",
        "-f", "lavfi", "-i", click, "-c:v", "libx264", "-c:a", "aac", str(clip),
    )  # fmt: skip
    before_s = _first(clip, "click")[0] - _first(clip, "picture")[0]
    assert before_s == pytest.approx(3.5, abs=0.03)
    out = _with_sound(SoundPart(str(clip), "aac", begin_s), tmp_path / f"o{suffix}", frames=50)
    click_s = _first(out, "click")[0] - _first(out, "picture")[0]
    assert click_s == pytest.approx(before_s - begin_s, abs=0.005)


def test_sound_can_be_left_out(make_clip: MakeClip, tmp_path: Path) -> None:
    clip = make_clip(sound="aac")
    sound = SoundPart(str(clip), "aac")
    assert media.inspect(_with_sound(sound, tmp_path / "a.mp4")).sound is not None
    assert media.inspect(_with_sound(sound, tmp_path / "b.mp4", audio=False)).sound is None
    assert media.inspect(_with_sound(sound, tmp_path / "c.gif")).sound is None


def test_a_part_without_sound_has_no_empty_track(tmp_path: Path) -> None:
    clip = tmp_path / "a.mkv"
    run_ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=6", "-f", "lavfi", "-i", "sine=440:d=2",
        "-c:v", "libx264", "-c:a", "aac", str(clip),
    )  # fmt: skip
    out = _with_sound(SoundPart(str(clip), "aac", begin_s=3.0), tmp_path / "o.mp4")
    with av.open(str(out)) as file:
        assert [stream.type for stream in file.streams] == ["video"]
    out = _with_sound(SoundPart(str(clip), "aac", begin_s=1.5), tmp_path / "p.mp4")
    sound = media.inspect(out).sound
    assert sound is not None and sound.end_s == pytest.approx(0.5, abs=0.05)


def test_sound_that_cannot_be_read_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.mp4").write_text("no sound")
    out = _with_sound(SoundPart(str(tmp_path / "a.mp4"), "aac"), tmp_path / "o.mp4")
    assert media.inspect(out).sound is None
    assert "a.mp4: its sound cannot be read, so the video has none" in caplog.text


def test_sound_that_cannot_be_copied_is_encoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # The table says yes, and MP4 says no.
    clip = _clip_with_click(tmp_path / "a.mkv", sound="pcm_s16le", codec="libx264")
    monkeypatch.setitem(finishing._COPIED, ".mp4", ("pcm_mulaw",))
    run_ffmpeg("-i", str(clip), "-c:v", "copy", "-c:a", "pcm_mulaw", str(tmp_path / "b.mkv"))
    caplog.set_level("INFO")
    sound = SoundPart(str(tmp_path / "b.mkv"), "pcm_mulaw")
    out = _with_sound(sound, tmp_path / "o.mp4", frames=150)
    assert "is encoded anew: ffmpeg failed: " in caplog.text
    click_s, found = _first(out, "click")
    assert click_s == pytest.approx(3.0, abs=0.005)
    assert found == "aac"


def test_chapters_of_the_whole_source_are_not_those_of_a_part(tmp_path: Path) -> None:
    (tmp_path / "chapters.txt").write_text(
        ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1\nSTART=3\nEND=5\ntitle=late\n"
    )
    clip = _clip_with_click(tmp_path / "a.mp4", sound="aac", codec="libx264")
    run_ffmpeg(
        "-i", str(clip), "-i", str(tmp_path / "chapters.txt"), "-map_metadata", "1", "-c", "copy",
        str(tmp_path / "b.mp4"),
    )  # fmt: skip
    out = _with_sound(SoundPart(str(tmp_path / "b.mp4"), "aac", begin_s=2.0), tmp_path / "o.mp4")
    with av.open(str(out)) as file:
        assert [stream.type for stream in file.streams] == ["video", "audio"]


@pytest.mark.slow
def test_sound_is_in_time_after_an_hour(tmp_path: Path) -> None:
    # 1 h of NTSC film, stamped in milliseconds, dark but for its last second; so is the sound.
    fps, frames = Fraction(30000, 1001), 107_892
    flash = frames - 30
    begin_s = float(flash / fps)
    clip = tmp_path / "a.mkv"
    tone = f"aevalsrc='if(gte(t,{begin_s:.6f}),0.8*sin(2*PI*1000*t),0)':d=3600:s=16000"
    run_ffmpeg(
        "-f", "lavfi", "-i", "color=s=16x16:r=1:d=1", "-f", "lavfi", "-i", tone,
        "-c:v", "libx264", "-c:a", "aac", str(clip),
    )  # fmt: skip
    out = tmp_path / "o.mp4"
    info = _info(fps, sound=SoundPart(str(clip), "aac"))
    dark, bright = np.zeros((16, 16, 3), np.uint8), np.full((16, 16, 3), 255, np.uint8)
    with video_sink(out, info, Settings(quality=20)) as write:
        for index in range(frames):
            one = _saliency(index, time_s=round(float(index / fps), 3), size=(16, 16))
            write(one, dark if index < flash else bright)
    seen = media.inspect(out).picture
    assert seen is not None and (seen.frames, seen.rate) == (frames, fps)
    with av.open(str(out)) as file:
        file.seek(int((begin_s - 5) * 1_000_000))
        shown = next(f.time for f in file.decode(video=0) if f.to_ndarray()[:16].mean() > 128)
    assert shown == pytest.approx(begin_s, abs=1e-4)
    with av.open(str(out)) as file:
        file.seek(int((begin_s - 5) * 1_000_000))
        heard = math.nan
        for frame in file.decode(audio=0):
            loud = np.abs(frame.to_ndarray()).max(axis=0) > 0.2
            if frame.time > begin_s - 4 and loud.any():
                heard = frame.time + int(np.argmax(loud)) / frame.sample_rate
                break
    assert heard == pytest.approx(shown, abs=0.02)


# What goes wrong.


def test_an_existing_file_is_kept(make_clip: MakeClip, tmp_path: Path) -> None:
    clip, out = make_clip(frames=3), tmp_path / "o.mp4"
    out.write_bytes(b"precious")
    with pytest.raises(VidsalError, match=r"o\.mp4 exists: give another name, or --overwrite"):
        _run(clip, out)
    assert out.read_bytes() == b"precious"
    _run(clip, out, overwrite=True)
    with av.open(str(out)) as file:
        assert file.streams.video[0].frames == 3


def test_a_failed_run_keeps_the_file_it_was_to_replace(tmp_path: Path) -> None:
    out = tmp_path / "o.mp4"
    out.write_bytes(b"precious")
    with pytest.raises(RuntimeError), video_sink(out, _info(), Settings()) as write:
        write(_saliency(), _picture(0))
        raise RuntimeError
    assert out.read_bytes() == b"precious"
    assert _names(tmp_path) == ["o.mp4"]


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt, GeneratorExit, SystemExit])
@pytest.mark.parametrize("after", [0, 1, 5])
def test_an_error_leaves_nothing(kind: type[BaseException], after: int, tmp_path: Path) -> None:
    error = kind("from the block")
    with (
        pytest.raises(kind) as caught,
        video_sink(tmp_path / "o.mp4", _info(), Settings()) as write,
    ):
        for index in range(after):
            write(_saliency(index), _picture(index))
        raise error
    assert caught.value is error
    assert _names(tmp_path) == []


def test_no_frame_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(VidsalError, match=r"source\.mp4: not one frame came"),
        video_sink(tmp_path / "o.mp4", _info(), Settings()),
    ):
        pass
    assert _names(tmp_path) == []


def _ffmpeg() -> psutil.Process:
    """The one ffmpeg that runs for us."""
    (process,) = (one for one in psutil.Process().children() if "ffmpeg" in one.name())
    return process


def _kill_ffmpeg() -> None:
    """End it, and wait until it has ended; who started it is left to collect its exit code."""
    process = _ffmpeg()
    process.kill()
    while process.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.005)


def test_a_killed_ffmpeg_is_one_line(tmp_path: Path) -> None:
    begin_s = time.monotonic()
    with (
        pytest.raises(VidsalError, match=r"ffmpeg failed: it was ended by signal 9") as caught,
        video_sink(tmp_path / "o.mp4", _info(), Settings()) as write,
    ):
        write(_saliency(), _picture(0))
        _ffmpeg().kill()
        for index in range(1, 10_000):
            write(_saliency(index), _picture(index))
    assert "\n" not in str(caught.value)
    assert time.monotonic() - begin_s < 5
    assert _names(tmp_path) == []


def test_an_ffmpeg_killed_at_the_end_is_one_line(tmp_path: Path) -> None:
    with (
        pytest.raises(VidsalError, match=r"ffmpeg failed: it was ended by signal 9"),
        video_sink(tmp_path / "o.mp4", _info(), Settings()) as write,
    ):
        write(_saliency(), _picture(0))
        _kill_ffmpeg()
    assert _names(tmp_path) == []


def _part(final: Path, suffix: str = "") -> Path:
    """The name that a file, or what leads to it, has until it is whole."""
    with removed(final, suffix or final.suffix) as part:
        return part


needs_full_disk = pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="no device that is always full"
)


@needs_full_disk
@pytest.mark.parametrize("frames", [1, 400])
def test_a_full_disk_is_one_line_and_leaves_nothing(frames: int, tmp_path: Path) -> None:
    out = tmp_path / "o.mp4"
    _part(out, ".silent.mp4").symlink_to("/dev/full")
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    with (
        pytest.raises(VidsalError, match="no space left on the disk") as caught,
        video_sink(out, _info(), Settings()) as write,
    ):
        for index in range(frames):
            write(_saliency(index), noise)
    assert "\n" not in str(caught.value)
    assert _names(tmp_path) == []
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


@needs_full_disk
@pytest.mark.parametrize(
    ("name", "suffix"), [("o.mp4", ""), ("o.gif", ""), ("o.gif", ".palette.png")]
)
def test_a_disk_that_fills_at_the_end_leaves_nothing(
    name: str, suffix: str, make_clip: MakeClip, tmp_path: Path
) -> None:
    clip, folder = make_clip(frames=25, sound="aac"), tmp_path / "out"
    folder.mkdir()
    _part(folder / name, suffix).symlink_to("/dev/full")
    with pytest.raises(VidsalError, match="no space left on the disk") as caught:
        _with_sound(SoundPart(str(clip), "aac"), folder / name)
    assert "\n" not in str(caught.value)
    assert _names(folder) == []


@needs_full_disk
def test_a_disk_that_fills_under_the_table_leaves_nothing(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    clip, out = make_clip(frames=5), tmp_path / "out"
    out.mkdir()
    _part(out / "t.csv").symlink_to("/dev/full")
    with pytest.raises(VidsalError, match=r"cannot write .*t\.csv: No space left on device"):
        _run(clip, out / "o.mp4", table=out / "t.csv")
    assert _names(out) == []


@pytest.mark.skipif(sys.platform == "win32", reason="limits on files are POSIX")
def test_a_limit_on_file_sizes_is_one_line_and_leaves_nothing(
    sample_media: Path, tmp_path: Path
) -> None:
    code = (
        "import resource, runpy, sys\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "sys.argv[0] = 'vidsal'\n"
        "runpy.run_module('vidsal', run_name='__main__')"
    )
    clip = str(sample_media / "moving_square.mp4")
    words = ["run", clip, "-o", str(tmp_path / "o.mp4"), "--model", "none"]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    last = done.stderr.replace("\r", "\n").splitlines()[-1]
    assert last.startswith("vidsal: ffmpeg failed: ")
    assert "Traceback" not in done.stderr
    assert _names(tmp_path) == []


def test_a_file_that_came_out_wrong_is_told_with_both_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An ffmpeg that writes another size and drops the last frames, and ends well.
    real = encoding.arguments

    def wrong(size: tuple[int, int], fps: Fraction, path: Path, settings: Settings) -> list[str]:
        words = real(size, fps, path, settings)
        at = words.index("-vf") + 1
        words[at] += ",scale=32:24"
        return [*words[:-1], "-frames:v", "5", words[-1]]

    monkeypatch.setattr(encoding, "arguments", wrong)
    with pytest.raises(VidsalError) as caught:
        _write_video(tmp_path / "o.mp4", [_picture(n) for n in range(7)], _info())
    said = str(caught.value)
    assert (
        "7 frames of 64x48 (h264, 24000/1001 a second, 0.292 s) were meant, "
        "5 frames of 32x24 (h264, 24000/1001 a second, 0.209 s) are in it"
    ) in said
    assert str(tmp_path / "o.mp4") in said
    assert _names(tmp_path) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"frames": 9}, "9 frames of 64x48 (h264, 25 a second, 0.360 s) were meant, 10 frames"),
        ({"size": (48, 66)}, "10 frames of 66x48 (h264, 25 a second, 0.400 s) were meant"),
        ({"fps": Fraction(24)}, "(h264, 24 a second, 0.417 s) were meant, 10 frames"),
        ({"fps": Fraction(25000, 1001)}, "(h264, 25000/1001 a second, 0.400 s) were meant"),
    ],
)  # fmt: skip
def test_each_difference_from_what_was_meant_is_told(
    change: dict[str, Any], said: str, make_clip: MakeClip, tmp_path: Path
) -> None:
    part = make_clip(frames=10)
    meant = replace(finishing.Meant(10, (48, 64), Fraction(25)), **change)
    with pytest.raises(VidsalError) as caught:
        finishing.finish(part, tmp_path / "o.mp4", _info(), Settings(), meant)
    assert said in str(caught.value)
    assert _names(tmp_path) in (["clip.mp4"], [])


def test_another_codec_than_meant_is_told(make_clip: MakeClip, tmp_path: Path) -> None:
    part, meant = make_clip(frames=10), finishing.Meant(10, (48, 64), Fraction(25))
    with pytest.raises(VidsalError, match=r"\(vp9, .* were meant, .*\(h264, "):
        finishing.finish(part, tmp_path / "o.mp4", _info(), Settings(codec="vp9"), meant)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-t", "1"], r"sound from 0\.00 to 2\.00 s of the picture was meant, from -0\.02 to 1\.0"),
        (["-map", "-1:a"], "some of the source's sound was meant, none is in it"),
    ],
)
def test_sound_that_came_out_wrong_is_told(
    words: list[str], said: str,
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    clip, out = make_clip(frames=50, sound="aac"), tmp_path / "out"
    out.mkdir()
    real = ffmpeg.convert
    monkeypatch.setattr(ffmpeg, "convert", lambda given: real([*given[:-1], *words, given[-1]]))
    with pytest.raises(VidsalError, match=said):
        _with_sound(SoundPart(str(clip), "aac"), out / "o.mp4")
    assert _names(out) == []


@pytest.mark.parametrize("call", [1, 2])
def test_a_gif_that_fails_leaves_nothing(
    call: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = ffmpeg.convert, []

    def failing(words: list[str]) -> None:
        calls.append(words)
        real(["-no_such_option", *words] if len(calls) == call else words)

    monkeypatch.setattr(ffmpeg, "convert", failing)
    with pytest.raises(VidsalError, match="ffmpeg failed: ") as caught:
        _write_video(tmp_path / "o.gif", [_picture(0)] * 3, _info())
    assert "\n" not in str(caught.value)
    assert len(calls) == call
    assert _names(tmp_path) == []


def test_sound_that_cannot_be_added_is_an_error(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, out = make_clip(frames=5, sound="aac"), tmp_path / "out"
    out.mkdir()
    real = ffmpeg.convert
    monkeypatch.setattr(ffmpeg, "convert", lambda words: real(["-no_such_option", *words]))
    with pytest.raises(VidsalError, match=r"--no-audio leaves it out.*ffmpeg failed: ") as caught:
        _run(clip, out / "o.mp4")
    assert "\n" not in str(caught.value)
    assert _names(out) == []


def test_without_ffmpeg_one_line_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_here() -> str:
        raise RuntimeError("No ffmpeg exe could be found.")

    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", none_here)
    with pytest.raises(VidsalError, match="ffmpeg was not found: pip install"):
        _write_video(tmp_path / "o.mp4", [_picture(0)], _info())
    assert _names(tmp_path) == []


# Live sources keep real time.


def _number(frame: Any) -> int:
    """What `_numbered` wrote into a picture."""
    return round(float(_rgb(frame).mean()) / 8)


def _numbered(number: int) -> Rgb:
    return np.full((48, 64, 3), number * 8, np.uint8)


def _live(tmp_path: Path, times_s: Iterable[float], fps: int = 10) -> list[int]:
    """Numbers of the frames in the file that a live source with such times makes."""
    path = tmp_path / "live.mp4"
    with video_sink(path, _info(Fraction(fps), is_live=True), Settings()) as write:
        for index, time_s in enumerate(times_s):
            write(_saliency(index, time_s=time_s), _numbered(index))
    with av.open(str(path)) as file:
        assert file.streams.video[0].average_rate == fps
        return [_number(frame) for frame in file.decode(video=0)]


@pytest.mark.parametrize(
    ("times_s", "numbers"),
    [
        # As promised.
        ([0.0, 0.1, 0.2, 0.3], [0, 1, 2, 3]),
        # Jitter of less than half a frame changes nothing.
        ([0.0, 0.14, 0.17, 0.31], [0, 1, 2, 3]),
        # Half as fast: each frame stands until the next one, and the last for one step.
        ([0.0, 0.2, 0.4], [0, 0, 1, 1, 2]),
        # Twice as fast: every other frame is left out.
        ([0.0, 0.04, 0.1, 0.14, 0.2], [0, 2, 4]),
        # A pause is filled.
        ([0.0, 0.1, 0.6, 0.7], [0, 1, 1, 1, 1, 1, 2, 3]),
    ],
)
def test_a_live_recording_keeps_real_time(
    times_s: list[float], numbers: list[int], tmp_path: Path
) -> None:
    assert _live(tmp_path, times_s) == numbers


# How long the last frame stays, and whether there is room.


@pytest.mark.parametrize(
    ("info", "came", "shown"),
    [
        ({"duration_s": 3.0, "frame_count_hint": 10}, 10, 3.0),
        ({"duration_s": 3.0, "frame_count_hint": 10}, 11, 3.0),
        # Stopped, or cut off: what is left is the time of frames that never came.
        ({"duration_s": 3600.0, "frame_count_hint": 90000}, 10, None),
        ({"duration_s": 3.0}, 10, None),
        ({"duration_s": None, "frame_count_hint": 10}, 10, None),
        ({"duration_s": 3.0, "frame_count_hint": 10, "is_live": True}, 10, None),
    ],
)
def test_only_the_last_frame_is_held(info: dict[str, Any], came: int, shown: float | None) -> None:
    assert shown_s(_info(**info), came) == shown


def test_a_long_last_frame_is_in_the_file(tmp_path: Path) -> None:
    info = _info(Fraction(10), frame_count_hint=3, duration_s=2.0)
    out = tmp_path / "o.mp4"
    for given, numbers in ((3, [0, 1] + [2] * 18), (2, [0, 1])):
        with video_sink(out, info, Settings(overwrite=True)) as write:
            for n in range(given):
                write(_saliency(n, time_s=n / 10), _numbered(n))
        with av.open(str(out)) as file:
            assert [_number(frame) for frame in file.decode(video=0)] == numbers


HD: dict[str, Any] = {"height_px": 1080, "width_px": 1920, "fps": Fraction(25), "duration_s": 60.0}


@pytest.mark.parametrize(
    ("options", "path", "mega"),
    [
        # 0.3 bits a pixel: 15.6 Mbit/s.
        ({}, "o.mp4", 116.6),
        ({"quality": 65}, "o.mp4", 58.3),
        ({"layout": "quad"}, "o.mp4", 466.6),
        ({"codec": "hevc"}, "o.mp4", 101.1),
        # Apple's 220 Mbit/s at 29.97 a second.
        ({"codec": "prores"}, "o.mov", 220 / 8 * 60 * 25 / 29.97),
        ({"codec": "ffv1", "quality": 0}, "o.mkv", 4665.6),
        # The GIF itself and the file without loss that it is made of.
        ({}, "o.gif", 4665.6 * 1.5),
    ],
)
def test_how_much_room_a_video_takes(options: dict[str, Any], path: str, mega: float) -> None:
    needed = space.video_bytes(Path(path), replace(_info(), **HD), Settings(**options))
    assert needed / 1e6 == pytest.approx(mega, rel=1e-3)


def test_sound_is_written_twice_with_its_picture() -> None:
    info = replace(_info(), **HD, sound=SoundPart("a.mp4", "aac"))
    silent = space.video_bytes(Path("o.mp4"), info, Settings(audio=False))
    assert space.video_bytes(Path("o.mp4"), info, Settings()) == 2 * silent + 60 * 24_000


def test_how_much_room_maps_take() -> None:
    info = replace(_info(), **HD)
    assert space.maps_bytes(info, Settings()) == 1500 * 320 * 180 * 2 * 3
    assert space.maps_bytes(info, Settings(model="none")) == 1500 * 320 * 180 * 2 * 2


@pytest.mark.parametrize(
    ("codec", "suffix"), [("h264", ".mp4"), ("av1", ".mp4"), ("prores", ".mov")]
)
def test_a_real_video_takes_about_the_room_that_is_asked_for(
    codec: Any, suffix: str, sample_media: Path, tmp_path: Path
) -> None:
    clip = sample_media / "chinchilla.mp4"
    options: dict[str, Any] = {"codec": codec, "audio": False}
    out = _run(clip, tmp_path / f"o{suffix}", end=1.0, **options)
    info = replace(_info(), height_px=360, width_px=640, fps=Fraction(24), duration_s=1.0)
    needed = space.video_bytes(out, info, Settings(**options))
    assert 0.5 * needed < out.stat().st_size < 1.5 * needed


def test_too_little_room_is_said_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def free(megabytes: float) -> None:
        usage = (10**12, 10**12, int(megabytes * 1e6))
        monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(*usage))

    info, settings = replace(_info(), **HD), Settings(output=tmp_path / "o.mp4")
    free(117)
    assert claim_outputs(info, settings) == tmp_path / "o.mp4"
    free(116)
    with pytest.raises(VidsalError) as caught:
        claim_outputs(info, settings)
    assert str(caught.value) == (
        f"about 116.6 MB are needed in {tmp_path}, 116.0 MB are free: "
        "make room, or write to another disk"
    )
    # Maps on the same disk: 518.4 MB more.
    with_maps = replace(settings, maps=tmp_path / "maps")
    free(636)
    claim_outputs(info, with_maps)
    free(634)
    with pytest.raises(VidsalError, match=r"about 635\.0 MB are needed"):
        claim_outputs(info, with_maps)
    # Nobody knows how long a camera will record, or a file without a length is.
    free(0)
    claim_outputs(replace(info, is_live=True), settings)
    claim_outputs(replace(info, duration_s=None), settings)
    assert _names(tmp_path) == []


# The picture.


def test_photo_png_is_exact_and_jpeg_is_close(tmp_path: Path) -> None:
    picture = _picture(4)
    # JPEG blurs colour across the edges of the blocks, and only there.
    for name, far in (("a.png", 0), ("a.jpg", 4), ("a.JPEG", 4)):
        with image_sink(tmp_path / name) as write:
            write(_saliency(), picture)
        seen = np.asarray(Image.open(tmp_path / name)).astype(int)
        assert np.abs(seen - picture).mean() <= far
    assert _names(tmp_path) == ["a.JPEG", "a.jpg", "a.png"]
    with pytest.raises(RuntimeError), image_sink(tmp_path / "b.png") as write:
        write(_saliency(), picture)
        raise RuntimeError
    assert _names(tmp_path) == ["a.JPEG", "a.jpg", "a.png"]


# The table.


def _rich() -> Saliency:
    speed = np.linspace(0, 1.91, 192, dtype=np.float32).reshape(12, 16)
    cos, sin = 1.25 * math.cos(math.radians(2)), 1.25 * math.sin(math.radians(2))
    matrix = np.array([[cos, -sin, 3.5], [sin, cos, -1.25], [1e-4, 0, 1]], np.float32)
    # What this one frame's flow says plays no part in the table.
    wild = np.full((12, 16), 1e3, np.float32)
    fused = np.zeros((12, 16), np.float32)
    fused[2, 4] = 1.0
    fused[8, 12] = 0.5
    return _saliency(
        7,
        time_s=1.0 / 3,
        fused=fused,
        static=fused / np.float32(3),
        movement=replace(still((12, 16)), speed=wild, camera=CameraMotion(matrix, "affine", 0.75)),
        speed=speed,
        prediction=Prediction(
            class_ids=(285, 281, 282, 287, 1),
            names=("Egyptian cat", "tabby, so to say", 'say "cat"', "lynx", "Sämann"),
            probabilities=(0.5, 0.25, 0.125, 0.0625, 1e-9),
            target_id=281,
            target_name="tabby, so to say",
            target_probability=0.25,
        ),
        is_cut=True,
        motion_share=0.28125,
        static_high=1234567.0,
        motion_high=0.625,
        fused_high=0.000123456,
    )


def _table(
    path: Path,
    rows: Iterable[Saliency],
    model: str | None,
    *,
    info: SourceInfo | None = None,
    **options: Any,
) -> list[dict[str, str]]:
    with table_sink(path, info or _info(), model, Settings(**options)) as write:
        for one in rows:
            write(one, _picture(0))
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_table_row_is_exact(tmp_path: Path) -> None:
    options: dict[str, Any] = {"fusion": "sum", "gain": 2.5, "centre_prior": 0.75, "boxes": 0.4}
    (row,) = _table(tmp_path / "t.csv", [_rich()], "ResNet50", **options)
    assert tuple(row) == COLUMNS
    # Speeds are 0.0 to 1.91 in steps of 0.01: the median lies between the middle two.
    assert row == {
        "index": "7", "time_s": "0.333333", "model": "ResNet50",
        "target": "tabby, so to say", "target_probability": "0.25",
        "class_1": "Egyptian cat", "probability_1": "0.5",
        "class_2": "tabby, so to say", "probability_2": "0.25",
        "class_3": 'say "cat"', "probability_3": "0.125",
        "class_4": "lynx", "probability_4": "0.0625",
        "class_5": "Sämann", "probability_5": "1e-09",
        "speed_median": "0.955", "speed_p95": "1.8145",
        "camera_model": "affine", "camera_row_px": "-1.25", "camera_column_px": "3.5",
        "camera_zoom": "1.25", "camera_turn_deg": "2", "camera_inlier_share": "0.75",
        "cut": "1", "fusion": "sum", "gain": "2.5", "centre_prior": "0.75",
        "static_share": "0.71875", "motion_share": "0.28125",
        "static_high": "1.2346e+06", "motion_high": "0.625", "fused_high": "0.00012346",
        # The middle of cell (2, 4) of 12 x 16 in a picture of 48 x 64 pixels.
        "peak_row_px": "10.0", "peak_column_px": "18.0",
        # Two thirds of the way to it from the middle of cell (8, 12).
        "centroid_row_px": "18.0", "centroid_column_px": "28.7",
        # The two cells themselves, the hotter first.
        "boxes": '[{"top": 8, "left": 16, "bottom": 12, "right": 20, "saliency": 1.0}, '
        '{"top": 32, "left": 48, "bottom": 36, "right": 52, "saliency": 0.5}]',
    }  # fmt: skip


@pytest.mark.parametrize(("height", "width"), [(48, 64), (1080, 1920), (33, 47)])
def test_boxes_are_in_pixels_of_the_source(height: int, width: int, tmp_path: Path) -> None:
    fused = np.full((12, 16), 0.125, np.float32)
    fused[1:4, 2:7], fused[6:11, 9:] = 0.75, 0.875
    fused[10, 15] = 1
    info = SourceInfo("source.mp4", height, width, FILM)
    given = [_saliency(fused=fused), _saliency(1)]
    rows = _table(tmp_path / "t.csv", given, None, info=info, boxes=0.7)
    found = json.loads(rows[0]["boxes"])
    # Rows and columns of the map, which has 12 x 16.
    expected = [((6, 9, 11, 16), (34 * 0.875 + 1) / 35), ((1, 2, 4, 7), 0.75)]
    for box, ((top, left, bottom, right), mean) in zip(found, expected, strict=True):
        assert box == {
            "top": round(top / 12 * height), "left": round(left / 16 * width),
            "bottom": round(bottom / 12 * height), "right": round(right / 16 * width),
            "saliency": pytest.approx(mean, abs=5e-5),
        }  # fmt: skip
    # That a frame has none is not the same as that none were asked for.
    assert rows[1]["boxes"] == "[]"
    (row,) = _table(tmp_path / "u.csv", [_saliency(fused=fused)], None, info=info)
    assert row["boxes"] == ""


def test_table_leaves_out_what_does_not_exist(tmp_path: Path) -> None:
    rows = _table(tmp_path / "t.csv", [_saliency(n) for n in range(4)], None)
    assert [row["index"] for row in rows] == ["0", "1", "2", "3"]
    assert [row["time_s"] for row in rows] == ["0.000000", "0.040000", "0.080000", "0.120000"]
    for row in rows:
        assert row["model"] == "none"
        assert row["cut"] == "0"
        assert row["camera_model"] == "none"
        assert row["camera_zoom"] == "1"
        empty = {name for name in COLUMNS if row[name] == ""}
        assert empty == {
            "target", "target_probability", *(f"class_{n}" for n in range(1, 6)),
            *(f"probability_{n}" for n in range(1, 6)), "camera_inlier_share",
            # Without a network there is nothing to fuse.
            "fusion", "gain", "centre_prior", "static_high",
            "peak_row_px", "peak_column_px", "centroid_row_px", "centroid_column_px", "boxes",
        }  # fmt: skip


def test_table_names_every_column_once_in_order(tmp_path: Path) -> None:
    _table(tmp_path / "t.csv", [], None)
    text = (tmp_path / "t.csv").read_bytes().decode()
    assert text == (
        "index,time_s,model,target,target_probability,class_1,probability_1,class_2,"
        "probability_2,class_3,probability_3,class_4,probability_4,class_5,probability_5,"
        "speed_median,speed_p95,camera_model,camera_row_px,camera_column_px,camera_zoom,"
        "camera_turn_deg,camera_inlier_share,cut,fusion,gain,centre_prior,static_share,"
        "motion_share,static_high,motion_high,fused_high,peak_row_px,peak_column_px,"
        "centroid_row_px,centroid_column_px,boxes\n"
    )


def test_table_of_a_failed_run_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    with pytest.raises(RuntimeError), table_sink(path, _info(), None, Settings()) as write:
        write(_saliency(), _picture(0))
        raise RuntimeError
    assert _names(tmp_path) == []


# The maps.


def test_sixteen_bit_is_exact_at_known_values() -> None:
    values = np.array([[0, 1, 0.5, 1 / 65535, 0.25]], np.float32)
    assert sixteen_bit(values).tolist() == [[0, 65535, 32768, 1, 16384]]
    every = np.arange(65536, dtype=np.float64) / 65535
    assert (sixteen_bit(every.astype(np.float32)[None])[0] == np.arange(65536)).all()


def _maps(rng: np.random.Generator) -> dict[str, Map]:
    return {kind: rng.random((12, 16)).astype(np.float32) for kind in ("static", "motion", "fused")}


def test_maps_come_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    given = {index: _maps(rng) for index in (0, 7, 1_234_567)}
    with maps_sink(tmp_path / "maps") as write:
        for index, maps in given.items():
            write(_saliency(index, **maps), _picture(0))  # type: ignore[arg-type]
    for index, maps in given.items():
        for kind, values in maps.items():
            with Image.open(tmp_path / "maps" / kind / f"{index:06d}.png") as image:
                assert image.mode.startswith("I;16")
                seen = np.asarray(image)
            assert seen.shape == (12, 16)
            assert np.abs(seen / 65535 - values).max() <= 0.5 / 65535 + 1e-7
    names = ["000000.png", "000007.png", "1234567.png"]
    assert _names(tmp_path / "maps" / "fused") == names
    assert _names(tmp_path)[0] == "maps"


def test_without_a_network_there_is_no_folder_of_static_maps(tmp_path: Path) -> None:
    with maps_sink(tmp_path / "maps") as write:
        write(_saliency(), _picture(0))
    assert _names(tmp_path / "maps") == [
        "fused", "fused/000000.png", "motion", "motion/000000.png",
    ]  # fmt: skip


def test_maps_are_kept_without_overwrite_and_replaced_whole_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "maps"
    rng = np.random.default_rng(6)
    with maps_sink(folder) as write:
        for index in range(3):
            write(_saliency(index, **_maps(rng)), _picture(0))  # type: ignore[arg-type]
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(VidsalError, match="is not empty: give another folder, or --overwrite"):
        claim_folder(folder, overwrite=False)
    claim_folder(folder, overwrite=True)
    with maps_sink(folder) as write:
        write(_saliency(9), _picture(0))
    # Nothing of the old maps is left among the new ones, and nothing else was touched.
    assert [name for name in _names(folder) if "." in name] == [
        "fused/000009.png", "motion/000009.png", "notes.txt",
    ]  # fmt: skip


@pytest.mark.parametrize("foreign", ["site.css", "cat.png", "000001.jpg", "folder"])
def test_maps_never_replace_what_is_not_a_map(tmp_path: Path, foreign: str) -> None:
    theirs = tmp_path / "static" / foreign
    if foreign == "folder":
        theirs.mkdir(parents=True)
    else:
        theirs.parent.mkdir()
        theirs.write_text("mine")
    with pytest.raises(VidsalError, match=f"other files than maps .{foreign}"):
        claim_folder(tmp_path, overwrite=True)
    # Even where it came there after the check.
    with maps_sink(tmp_path) as write:
        write(_saliency(1), _picture(0))
    assert theirs.exists()
    assert (tmp_path / "fused" / "000001.png").is_file()


def test_maps_folder_may_exist_empty_or_not_at_all(tmp_path: Path) -> None:
    claim_folder(tmp_path / "new", overwrite=False)
    (tmp_path / "there").mkdir()
    claim_folder(tmp_path / "there", overwrite=False)
    assert _names(tmp_path) == ["there"]
    with maps_sink(tmp_path / "there") as write:
        write(_saliency(), _picture(0))
    assert "there/fused/000000.png" in _names(tmp_path)


def test_maps_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(VidsalError, match="file is a file: give the name of a folder"):
        claim_folder(tmp_path / "file", overwrite=True)
    with pytest.raises(VidsalError, match="is not a folder that exists"):
        claim_folder(tmp_path / "missing" / "maps", overwrite=True)


def test_maps_of_a_failed_run_are_not_there_and_old_ones_stay(tmp_path: Path) -> None:
    folder = tmp_path / "maps"
    for attempt in range(2):
        with pytest.raises(RuntimeError), maps_sink(folder) as write:
            write(_saliency(), _picture(0))
            raise RuntimeError
        if attempt == 0:
            assert _names(tmp_path) == []
            (folder / "fused").mkdir(parents=True)
            (folder / "fused" / "000042.png").write_bytes(b"old")
    assert _names(tmp_path) == ["maps", "maps/fused", "maps/fused/000042.png"]


# All together, and their names.


def test_all_sinks_fail_together(tmp_path: Path) -> None:
    settings = Settings(table=tmp_path / "t.csv", maps=tmp_path / "maps")
    with (
        pytest.raises(VidsalError, match="ffmpeg failed"),
        open_sinks(_info(), settings, tmp_path / "o.mp4", None) as write,
    ):
        write(_saliency(), _picture(0))
        _kill_ffmpeg()
    assert _names(tmp_path) == []


def test_all_sinks_succeed_together(tmp_path: Path) -> None:
    settings = Settings(table=tmp_path / "t.csv", maps=tmp_path / "maps")
    with open_sinks(_info(), settings, tmp_path / "o.mp4", None) as write:
        write(_saliency(), _picture(0))
        # Nothing at the final names before the end.
        assert not any((tmp_path / name).exists() for name in ("o.mp4", "t.csv", "maps"))
    assert {"o.mp4", "t.csv", "maps", "maps/fused/000000.png"} <= set(_names(tmp_path))
    assert not [name for name in _names(tmp_path) if name.startswith(".")]


@pytest.mark.parametrize(
    ("info", "given", "expected"),
    [
        (SourceInfo("some/dir/clip.v2.mov", 4, 4, FILM), None, "clip.v2_saliency.mp4"),
        (SourceInfo("some/photo.jpg", 4, 4, None), None, "photo_saliency.png"),
        (SourceInfo("camera 0", 4, 4, FILM, is_live=True), None, "camera0_saliency.mp4"),
        (SourceInfo("a.mov", 4, 4, FILM), "x/y.MP4", "x/y.MP4"),
        (SourceInfo("a.jpg", 4, 4, None), "x/y.jpeg", "x/y.jpeg"),
    ],
)
def test_output_path(info: SourceInfo, given: str | None, expected: str) -> None:
    output = Path(given) if given else None
    assert output_path(info, Settings(output=output)) == Path(expected)


@pytest.mark.parametrize(
    ("codec", "expected"),
    [("av1", "a_saliency.mp4"), ("prores", "a_saliency.mov"), ("ffv1", "a_saliency.mkv")],
)
def test_a_name_that_nobody_gave_fits_the_codec(codec: Any, expected: str, tmp_path: Path) -> None:
    info, settings = SourceInfo("a.avi", 48, 64, FILM), Settings(codec=codec)
    assert claim_outputs(info, settings) == Path(expected)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".gif", ".GIF"])
def test_output_is_claimed_in_every_container(suffix: str, tmp_path: Path) -> None:
    output = tmp_path / f"o{suffix}"
    assert claim_outputs(_info(), Settings(output=output)) == output
    output.write_bytes(b"precious")
    with pytest.raises(VidsalError, match="exists: give another name"):
        claim_outputs(_info(), Settings(output=output))


@pytest.mark.parametrize(
    ("fps", "given", "says"),
    [
        (FILM, "o.avi", r"--output o\.avi: a video is written as \.mp4"),
        (FILM, "o", r"--output o: a video is written as \.mp4"),
        (FILM, "o.png", r"a video is written as \.mp4"),
        (None, "o.mp4", r"a photo is written as \.png or \.jpg or \.jpeg"),
    ],
)
def test_output_of_another_kind(fps: Fraction | None, given: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        output_path(_info(fps), Settings(output=Path(given)))


def _claims(folder: Path, **options: Any) -> Path:
    (folder / "source.mp4").write_bytes(b"the source")
    info = SourceInfo(str(folder / "source.mp4"), 48, 64, FILM)
    return claim_outputs(info, Settings(**options))


def test_claims_are_checked_before_any_work(tmp_path: Path) -> None:
    assert _claims(tmp_path, output=tmp_path / "o.mp4") == tmp_path / "o.mp4"
    assert _names(tmp_path) == ["source.mp4"]
    source = tmp_path / "source.mp4"
    (tmp_path / "t.csv").write_text("old")
    cases: list[tuple[dict[str, Any], str]] = [
        ({"output": source}, "exists"),
        ({"output": source, "overwrite": True}, "is the source itself"),
        ({"output": tmp_path / "o.mp4", "table": source, "overwrite": True}, "the source itself"),
        ({"output": tmp_path / "o.mp4", "table": tmp_path / "t.csv"}, r"t\.csv exists"),
        (
            {"output": tmp_path / "o.mp4", "table": tmp_path / "o.mp4"},
            r"--output and --table both name .*o\.mp4",
        ),
        ({"output": tmp_path / "no" / "o.mp4"}, "no is not a folder that exists: make it first"),
        ({"output": tmp_path / "t.csv" / "o.mp4"}, r"t\.csv is not a folder that exists"),
        ({"output": tmp_path / "o.mp4", "maps": tmp_path / "t.csv"}, r"t\.csv is a file"),
        ({"output": tmp_path / "o.mp4", "table": tmp_path}, "is a folder: give the name of a file"),
    ]
    for options, says in cases:
        with pytest.raises(VidsalError, match=says):
            _claims(tmp_path, **options)
    assert source.read_bytes() == b"the source"
    assert (tmp_path / "t.csv").read_text() == "old"
    assert _names(tmp_path) == ["source.mp4", "t.csv"]


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() == 0, reason="to the superuser all is writable"
)
def test_claim_of_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(VidsalError, match=r"cannot write .*: Permission denied"):
        claim(tmp_path / "o.mp4", overwrite=False)


def test_staged_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    final = tmp_path / "a.txt"
    with staged(final) as part:
        part.write_text("new")
        assert part.parent == tmp_path
        assert part.suffix == ".txt"
        assert not final.exists()
    assert final.read_text() == "new"
    with pytest.raises(KeyboardInterrupt), staged(final) as part:
        part.write_text("half")
        raise KeyboardInterrupt
    assert final.read_text() == "new"
    assert _names(tmp_path) == ["a.txt"]


# ffmpeg itself.


def test_ffmpeg_is_out_of_reach_of_the_terminals_interrupt(tmp_path: Path) -> None:
    with video_sink(tmp_path / "o.mp4", _info(), Settings()) as write:
        write(_saliency(), _picture(0))
        # A terminal's Ctrl-C goes to all of its group: ffmpeg must live to finish the file.
        assert os.getpgid(_ffmpeg().pid) != os.getpgrp()
        write(_saliency(1), _picture(1))
    with av.open(str(tmp_path / "o.mp4")) as file:
        assert file.streams.video[0].frames == 2


def test_probe(make_clip: MakeClip, tmp_path: Path) -> None:
    seen = ffmpeg.probe(make_clip(size=(46, 62), frames=13, sound="aac", rate="24000/1001"))
    assert (seen.size, seen.audio_codec) == ((46, 62), "aac")
    assert seen.picture_delay_s == 0
    (tmp_path / "text.mp4").write_text("no video")
    nothing = ffmpeg.probe(tmp_path / "text.mp4")
    assert (nothing.size, nothing.audio_codec) == (None, None)


@pytest.fixture(autouse=True)
def _in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
