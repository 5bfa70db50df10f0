"""Codecs and containers: PyAV reads the files back, formulas give the expected colours."""

import re
import shutil
import stat
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np
import pytest
from conftest import run_ffmpeg
from PIL import Image, ImageSequence
from sink_help import make_picture, rgb_of

from vidsal.errors import UsageError, VidsalError
from vidsal.media import codecs, ffmpeg, probe
from vidsal.settings import Settings
from vidsal.sinks.video import video_sink
from vidsal.types import Rgb, SourceInfo

NTSC = Fraction(30000, 1001)
SIZE = (64, 96)
GOOD = [
    ("h264", ".mp4"), ("h264", ".mov"), ("h264", ".mkv"),
    ("hevc", ".mp4"), ("hevc", ".mov"), ("hevc", ".mkv"),
    ("av1", ".mp4"), ("av1", ".mkv"), ("av1", ".webm"),
    ("vp9", ".mp4"), ("vp9", ".mkv"), ("vp9", ".webm"),
    ("prores", ".mov"), ("prores", ".mkv"), ("ffv1", ".mkv"),
]  # fmt: skip


def _write(
    path: Path, pictures: list[Rgb], fps: Fraction = NTSC,
    *, duration_s: float | None = None, times_s: list[float] | None = None, **options: Any,
) -> Path:  # fmt: skip
    info = SourceInfo("a.mp4", 64, 96, fps, frame_count_hint=len(pictures), duration_s=duration_s)
    with video_sink(path, info, Settings(**options)) as sink:
        for n, picture in enumerate(pictures):
            sink.write(picture, times_s[n] if times_s else float(n / fps))
    return path


# Codecs and containers.


@pytest.mark.parametrize(("codec", "suffix"), GOOD)
def test_each_codec_in_each_container(codec: str, suffix: str, tmp_path: Path) -> None:
    pictures = [make_picture(n // 4, SIZE) for n in range(13)]
    path = _write(tmp_path / f"o{suffix}", pictures, codec=codec)
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        context = stream.codec_context
        names = {"av1": ("libdav1d", "av1", "libaom-av1")}.get(codec, (codec,))
        assert context.name in names
        assert (stream.height, stream.width) == (64, 96)
        assert stream.average_rate == NTSC
        frames = list(file.decode(stream))
        assert len(frames) == 13
        # MKV rounds times to milliseconds.
        far = 0.0006 if suffix in (".mkv", ".webm") else 1e-9
        for n, frame in enumerate(frames):
            assert frame.time == pytest.approx(float(n / NTSC), abs=far)
        for given, frame in zip(pictures, frames, strict=True):
            assert np.abs(given.astype(int) - rgb_of(frame).astype(int)).mean() < 4
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "vp9", "prores"])
def test_colours_are_tagged_bt709_in_limited_range(codec: str, tmp_path: Path) -> None:
    path = _write(tmp_path / "o.mkv", [make_picture(0, SIZE)] * 3, codec=codec)
    with av.open(str(path)) as file:
        frame = next(file.decode(video=0))
        context = file.streams.video[0].codec_context
        pixels = "yuv422p10le" if codec == "prores" else "yuv420p"
        assert context.pix_fmt == pixels
        # 1 is BT.709 in each table of H.273; range 1 is limited.
        tags = (context.color_primaries, context.color_trc, context.colorspace)
        assert tags == (1, 1, 1)
        assert int(frame.color_range) == 1


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_the_chroma_location_is_tagged_center(codec: str, tmp_path: Path) -> None:
    path = _write(tmp_path / "o.mp4", [make_picture(0, SIZE)] * 3, codec=codec)
    headers = ffmpeg.trace_headers(path)
    # 1 in the tables E-1 of H.264 and E.3 of H.265: halfway between pixels in either direction.
    locations = re.findall(r"chroma_sample_loc_type_top_field\s+[01]+ = (\d)", headers)
    assert locations and set(locations) == {"1"}


def test_packets_without_times_can_be_copied(tmp_path: Path) -> None:
    whole, copy = tmp_path / "a.h264", tmp_path / "b.ts"
    # As in a raw stream with B-frames.
    run_ffmpeg("-f", "lavfi", "-i", "testsrc=d=1", "-c:v", "libx264", "-bf", "2", str(whole))
    run_ffmpeg("-i", str(whole), *ffmpeg.first_packets(str(copy)))
    headers = ffmpeg.trace_headers(copy)
    assert len(re.findall(r"\] Slice Header$", headers, re.MULTILINE)) == 16


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "vp9", "prores", "ffv1"])
@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (220, 40, 20), (20, 200, 180)])
def test_solid_colours_are_kept(codec: str, colour: tuple[int, int, int], tmp_path: Path) -> None:
    path = _write(tmp_path / "o.mkv", [np.full((64, 96, 3), colour, np.uint8)] * 3, codec=codec)
    with av.open(str(path)) as file:
        far = [np.abs(rgb_of(frame).astype(int) - colour).max() for frame in file.decode(video=0)]
    assert len(far) == 3 and max(far) <= (0 if codec == "ffv1" else 4)


def test_ffv1_is_exact(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (64, 96, 3), np.uint8) for _ in range(5)]
    path = _write(tmp_path / "o.mkv", pictures, codec="ffv1", quality=0)
    with av.open(str(path)) as file:
        for given, frame in zip(pictures, file.decode(video=0), strict=True):
            assert (frame.to_ndarray(format="rgb24") == given).all()


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_hevc_has_the_tag_that_apples_players_need(suffix: str, tmp_path: Path) -> None:
    path = _write(tmp_path / f"o{suffix}", [make_picture(0, SIZE)] * 3, codec="hevc")
    data = path.read_bytes()
    assert b"hvc1" in data and b"hev1" not in data
    # The index comes before the frames, so that the file plays while it loads.
    assert data.index(b"moov") < data.index(b"mdat")


def test_default_arguments() -> None:
    args = codecs.encoder_args((64, 96), NTSC, Path("o.mp4"), Settings())
    text = " ".join(args)
    assert (
        "-c:v libx264 -preset veryfast -crf 18 -x264-params me=dia:partitions=i8x8,i4x4:subme=1 "
        in text
    )
    assert "-video_track_timescale 30000 " in text
    assert "-movflags +faststart" in text
    assert args[-1] == "file:o.mp4"


@pytest.mark.parametrize(
    "fps", [Fraction(1, 100), Fraction(20, 3), Fraction(25), NTSC, Fraction(997)]
)
def test_an_mp4_holds_the_rate_exactly(fps: Fraction) -> None:
    args = codecs.container_args(Path("o.mp4"), "h264", fps)
    ticks = int(args[args.index("-video_track_timescale") + 1])
    assert (Fraction(ticks) / fps).denominator == 1
    assert 10_000 <= ticks < 2**31


@pytest.mark.parametrize(
    ("path", "codec", "expected"),
    [
        ("a.mp4", None, "h264"), ("a.MOV", None, "h264"), ("a.mkv", None, "h264"),
        ("a.webm", None, "vp9"), ("a.gif", None, "gif"), ("a.webm", "av1", "av1"),
    ],
)  # fmt: skip
def test_codec_of(path: str, codec: str | None, expected: str) -> None:
    assert codecs.codec_of(Path(path), codec) == expected


@pytest.mark.parametrize(
    ("path", "codec", "message"),
    [
        ("a.mp4", "prores", "codec='prores' is written as .mov or .mkv, not as .mp4"),
        ("a.webm", "h264", "codec='h264' is written as .mp4, .mov or .mkv, not as .webm"),
        ("a.gif", "h264", "codec='h264' is written as .mp4, .mov or .mkv, not as .gif"),
        ("a.mov", "av1", "codec='av1' is written as .mp4, .mkv or .webm, not as .mov"),
        ("a.mp4", "ffv1", "codec='ffv1' is written as .mkv, not as .mp4"),
        ("a.avi", None, "output='a.avi': a video is written as .mp4, .mov, .mkv, .webm or .gif"),
    ],
)
def test_a_wrong_container_is_refused(path: str, codec: str | None, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        codecs.codec_of(Path(path), codec)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [(None, ".mp4"), ("hevc", ".mp4"), ("vp9", ".mp4"), ("prores", ".mov"), ("ffv1", ".mkv")],
)
def test_suffix_for(codec: str | None, suffix: str) -> None:
    assert codecs.suffix_for(codec) == suffix


# Quality.


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "vp9", "prores"])
def test_higher_quality_means_less_error_and_larger_files(codec: str, tmp_path: Path) -> None:
    y, x = np.mgrid[:64, :96]
    rng = np.random.default_rng(0)
    clean = 128 + 60 * np.sin(x / 9) + 40 * np.cos(y / 7)
    noisy = np.clip(clean[..., None] + rng.normal(0, 12, (64, 96, 3)), 0, 255)
    pictures = [np.ascontiguousarray(noisy, np.uint8)] * 5
    errors, sizes = [], []
    for quality in (5, 40, 80, 100):
        path = _write(tmp_path / f"{quality}.mkv", pictures, codec=codec, quality=quality)
        with av.open(str(path)) as file:
            frame = list(file.decode(video=0))[-1]
            errors.append(np.abs(rgb_of(frame).astype(int) - pictures[0]).mean())
        sizes.append(path.stat().st_size)
    # ProRes has four profiles; 80 and 100 have the same one.
    count = 3 if codec == "prores" else 4
    assert errors[:count] == sorted(errors[:count], reverse=True)
    assert errors[0] > errors[-1] + 0.5
    assert sizes[:count] == sorted(sizes[:count])
    assert sizes[0] < sizes[-1]


# GIF.


@pytest.mark.parametrize(
    ("fps", "frames"), [(Fraction(10), 10), (NTSC, 31), (Fraction(50), 20), (Fraction(100), 40)]
)
def test_a_gif_keeps_the_duration(fps: Fraction, frames: int, tmp_path: Path) -> None:
    path = _write(tmp_path / "o.gif", [make_picture(n, SIZE) for n in range(frames)], fps)
    with Image.open(path) as image:
        assert image.size == (96, 64)
        times_ms = [0]
        for frame in ImageSequence.Iterator(image):
            times_ms.append(times_ms[-1] + int(frame.info["duration"]))
    # Players show a frame for 100 ms if its delay is below 20 ms, so 50 fps is the most.
    rate = min(fps, Fraction(50))
    assert min(np.diff(times_ms)) >= 20
    expected_ms = [float(1000 * n / rate) for n in range(len(times_ms))]
    assert np.abs(np.subtract(times_ms, expected_ms)).max() <= 10
    assert times_ms[-1] == pytest.approx(float(frames / fps * 1000), abs=20)
    assert [one.name for one in tmp_path.iterdir()] == ["o.gif"]


def test_a_gif_has_the_colours_of_its_frames(tmp_path: Path) -> None:
    # 24 colours in each of 8 pictures fit into one palette.
    pictures = [make_picture(n, SIZE) for n in range(8)]
    path = _write(tmp_path / "o.gif", pictures, Fraction(10))
    with Image.open(path) as image:
        assert image.info["loop"] == 0
        for n, given in enumerate(pictures):
            image.seek(n)
            seen = np.asarray(image.convert("RGB")).astype(int)
            assert np.abs(seen - given).mean() < 2


# Time.


def test_frames_at_uneven_times_are_shown_on_time(tmp_path: Path) -> None:
    pictures = [np.full((64, 96, 3), 60 * n, np.uint8) for n in range(4)]
    path = _write(
        tmp_path / "o.mp4", pictures, Fraction(10),
        times_s=[5.0, 5.1, 5.4, 5.5], duration_s=1.2,
    )  # fmt: skip
    with av.open(str(path)) as file:
        seen = [round(rgb_of(frame).mean() / 60) for frame in file.decode(video=0)]
    assert seen == [0, 1, 1, 1, 2, 3, 3, 3, 3, 3, 3, 3]


# Available and missing encoders.


def _fake_ffmpeg(folder: Path, program: str) -> str:
    """Write a fake ffmpeg: lines of Python, in which ``real`` is the path of the real one."""
    real = str(shutil.which(imageio_ffmpeg.get_ffmpeg_exe()))
    path = folder / "ffmpeg"
    path.write_text(
        f"#!{sys.executable}\nimport os, subprocess, sys\nreal = {real!r}\nargs = sys.argv[1:]\n"
        f"{program}\nos.execv(real, [real, *args])\n"
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


needs_scripts = pytest.mark.skipif(sys.platform == "win32", reason="the fake is a script")


@needs_scripts
@pytest.mark.parametrize("codec", ["av1", "vp9"])
def test_a_missing_encoder_is_an_error_of_one_line(
    codec: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = _fake_ffmpeg(
        tmp_path, "if '-encoders' in args: print(' V....D libx264  H.264'); sys.exit()"
    )
    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", lambda: fake)
    with pytest.raises(
        VidsalError, match=f"this ffmpeg lacks the encoder for codec='{codec}' "
    ) as caught:
        codecs.require_encoder(Path("o.mkv"), codec)
    assert "\n" not in str(caught.value)
    codecs.require_encoder(Path("o.mkv"), None)


@needs_scripts
def test_the_second_av1_encoder_is_used_if_the_first_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = _fake_ffmpeg(
        tmp_path, "if '-encoders' in args: print(' V....D libaom-av1  AV1'); sys.exit()"
    )
    if "libaom-av1" not in ffmpeg.encoders(ffmpeg.executable()):
        pytest.skip("no libaom in this ffmpeg")
    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", lambda: fake)
    path = _write(tmp_path / "o.mp4", [make_picture(0, SIZE)] * 3, codec="av1")
    seen = probe.inspect(path).picture
    assert seen is not None and (seen.codec, seen.frames) == ("av1", 3)


# Only h264_qsv works; the fake then encodes with libx264.
CARD = """
if '-encoders' in args:
    for name in ('libx264', 'h264_nvenc', 'h264_qsv', 'h264_vaapi'):
        print(' V....D', name, ' H.264')
    sys.exit()
if '-c:v' in args:
    at = args.index('-c:v') + 1
    with open({log!r}, 'a') as log:
        log.write(args[at] + '\\n')
    if args[at] in {broken!r}:
        print('Cannot load libcuda.so.1', file=sys.stderr)
        sys.exit(1)
    if args[at] == 'h264_qsv':
        args[at] = 'libx264'
        args[args.index('-global_quality')] = '-crf'
"""


@needs_scripts
def test_the_first_working_hardware_encoder_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log = tmp_path / "log"
    fake = _fake_ffmpeg(tmp_path, CARD.format(log=str(log), broken=("h264_nvenc",)))
    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", lambda: fake)
    caplog.set_level("INFO")
    path = _write(tmp_path / "o.mp4", [make_picture(0, SIZE)] * 3, hardware=True)
    # Two trials, then the encoding; the next file needs no trial.
    assert log.read_text().split() == ["h264_nvenc", "h264_qsv", "h264_qsv"]
    assert (
        "h264_nvenc does not work on this machine: ffmpeg failed: Cannot load libcuda.so.1"
        in caplog.text
    )
    assert "encoding with h264_qsv" in caplog.text
    _write(tmp_path / "p.mp4", [make_picture(0, SIZE)] * 3, hardware=True)
    assert log.read_text().split() == ["h264_nvenc", "h264_qsv", "h264_qsv", "h264_qsv"]
    with av.open(str(path)) as file:
        frame = next(file.decode(video=0))
        assert np.abs(rgb_of(frame).astype(int) - make_picture(0, SIZE)).mean() < 4


@needs_scripts
def test_without_a_card_the_processor_encodes_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log = tmp_path / "log"
    broken = ("h264_nvenc", "h264_qsv", "h264_vaapi")
    fake = _fake_ffmpeg(tmp_path, CARD.format(log=str(log), broken=broken))
    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", lambda: fake)
    path = _write(tmp_path / "o.mp4", [make_picture(0, SIZE)] * 3, hardware=True)
    assert log.read_text().split() == [*broken, "libx264"]
    (warning,) = (one for one in caplog.records if one.levelname == "WARNING")
    assert warning.getMessage() == (
        "hardware=True: no hardware encoder works (h264_nvenc, h264_qsv, h264_vaapi); "
        "encoding on the processor"
    )
    seen = probe.inspect(path).picture
    assert seen is not None and seen.frames == 3


def test_prores_has_no_hardware_encoder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _write(tmp_path / "o.mov", [make_picture(0, SIZE)] * 3, codec="prores", hardware=True)
    assert "(this ffmpeg has none for prores); encoding on the processor" in caplog.text
