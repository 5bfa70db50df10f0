"""One contract for every kind of file people have: its frames, upright, in time, or one line."""

import math
import os
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import cv2
import imageio.v3 as iio
import numpy as np
import pytest
from conftest import MakeClip, run_ffmpeg

import vidsal
from vidsal import media
from vidsal.errors import VidsalError
from vidsal.frames import Frame, Rgb
from vidsal.settings import Settings
from vidsal.sources import open_source

# Words that make a file from the test picture, and its (height, width).
H264 = ["-c:v", "libx264", "-crf", "12"]
KINDS: dict[str, tuple[list[str], tuple[int, int]]] = {
    "plain.mp4": (H264, (48, 64)),
    "ten_bit.mp4": ([*H264, "-pix_fmt", "yuv420p10le"], (48, 64)),
    "422.mp4": ([*H264, "-pix_fmt", "yuv422p"], (48, 64)),
    "444.mp4": ([*H264, "-pix_fmt", "yuv444p"], (48, 64)),
    "full_range.mp4": ([*H264, "-vf", "scale=out_range=pc,format=yuvj420p"], (48, 64)),
    "hevc.mp4": (["-c:v", "libx265", "-x265-params", "log-level=error", "-crf", "12"], (48, 64)),
    "av1.mp4": (["-c:v", "libaom-av1", "-cpu-used", "8", "-crf", "10"], (48, 64)),
    "av1.mkv": (["-c:v", "libaom-av1", "-cpu-used", "8", "-crf", "10"], (48, 64)),
    "vp8.webm": (["-c:v", "libvpx", "-b:v", "2M", "-auto-alt-ref", "0"], (48, 64)),
    "vp9.webm": (["-c:v", "libvpx-vp9", "-crf", "10", "-b:v", "0"], (48, 64)),
    "mjpeg.avi": (["-c:v", "mjpeg", "-q:v", "2"], (48, 64)),
    "mpeg4.avi": (["-c:v", "mpeg4", "-q:v", "2"], (48, 64)),
    "mpeg2.ts": (["-c:v", "mpeg2video", "-q:v", "2"], (48, 64)),
    "flv1.flv": (["-c:v", "flv", "-q:v", "2"], (48, 64)),
    "raw.264": (H264, (48, 64)),
    "raw.mjpeg": (["-c:v", "mjpeg", "-q:v", "2"], (48, 64)),
    "prores.mov": (["-c:v", "prores_ks"], (48, 64)),
    "ffv1.mkv": (["-c:v", "ffv1"], (48, 64)),
    "alpha.mov": (["-vf", "format=rgba", "-c:v", "png"], (48, 64)),
    "anamorphic.mp4": ([*H264, "-vf", "setsar=3/2"], (48, 96)),
    "tall_pixels.mkv": ([*H264, "-vf", "setsar=2/3"], (72, 64)),
    "odd.mkv": (["-vf", "scale=61:43,setsar=1", "-c:v", "ffv1"], (43, 61)),
    "tiny.mp4": ([*H264, "-vf", "scale=16:16,setsar=1"], (16, 16)),
    "one_pixel.mkv": (["-vf", "scale=1:1,setsar=1", "-c:v", "ffv1"], (1, 1)),
    "hlg.mp4": (
        [*H264, "-vf", "format=yuv420p10le,"
         "setparams=color_primaries=bt2020:color_trc=arib-std-b67:colorspace=bt2020nc"],
        (48, 64),
    ),
    "pictures.gif": ([], (48, 64)),
    "b_frames.avi": (["-c:v", "mpeg4", "-bf", "2", "-q:v", "2"], (48, 64)),
    # OpenCV converts none of these, and does not say so.
    "interlaced.ts": ([*H264, "-flags", "+ildct+ilme"], (48, 64)),
    "interlaced.mpg": (["-c:v", "mpeg2video", "-q:v", "2", "-flags", "+ildct+ilme"], (48, 64)),
    "interlaced.avi": (["-c:v", "mpeg4", "-q:v", "2", "-flags", "+ildct+ilme"], (48, 64)),
    "fields.mp4": (
        ["-c:v", "libx265", "-x265-params", "log-level=error:interlace=tff", "-crf", "12"],
        (48, 64),
    ),
    # It takes the primaries into account, which ffmpeg does not.
    "p3.mp4": ([*H264, "-bsf:v", "h264_metadata=colour_primaries=12"], (48, 64)),
}  # fmt: skip
FRAMES = 12


def _make(path: Path, words: list[str]) -> Path:
    picture = f"testsrc2=size=64x48:rate=25:duration={FRAMES / 25}"
    run_ffmpeg("-f", "lavfi", "-i", picture, *words, str(path))
    return path


def _difference(one: Rgb, other: Rgb) -> float:
    """How far two pictures are apart, but for how sharply they were enlarged."""
    smooth = [cv2.blur(rgb, (5, 5)).astype(float) for rgb in (one, np.ascontiguousarray(other))]
    return float(np.abs(smooth[0] - smooth[1]).mean())


def _read(path: Path, **options: Any) -> list[Frame]:
    with open_source(path, Settings(**options)) as source:
        frames = list(source.frames())
        height, width = source.info.height_px, source.info.width_px
        assert source.findings().damaged == 0
        assert source.info.frame_count_hint == len(frames)
    assert {frame.rgb.shape for frame in frames} == {(height, width, 3)}
    assert [frame.index for frame in frames] == list(range(len(frames)))
    return frames


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_file_gives_its_frames_upright_and_in_time(name: str, tmp_path: Path) -> None:
    words, size = KINDS[name]
    path = _make(tmp_path / name, words)
    frames = _read(path)
    assert len(frames) == FRAMES
    assert frames[0].rgb.shape[:2] == size
    # Containers keep milliseconds, GIF hundredths.
    times_s = [frame.time_s for frame in frames]
    assert times_s == pytest.approx(np.arange(FRAMES) / 25, abs=2e-3)
    if name not in ("hlg.mp4", "one_pixel.mkv", "tiny.mp4"):
        # The picture is the one that was made, in its colours.
        (truth,) = _read(_make(tmp_path / "truth.mkv", ["-frames:v", "1", "-c:v", "ffv1"]))
        same = cv2.resize(truth.rgb, size[::-1], interpolation=cv2.INTER_AREA)
        off = np.abs(frames[0].rgb.astype(float) - same.astype(float)).mean()
        assert off < 12


@pytest.mark.parametrize(
    "name",
    [
        "plain.mp4",
        "av1.mp4",
        "anamorphic.mp4",
        "odd.mkv",
        "vp9.webm",
        "b_frames.avi",
        "interlaced.ts",
        "p3.mp4",
    ],
)
def test_both_decoders_give_the_same_frames(name: str, tmp_path: Path) -> None:
    path = _make(tmp_path / name, KINDS[name][0])
    usual, strict = _read(path), _read(path, strict=True)
    for one, other in zip(usual, strict, strict=True):
        assert one.time_s == pytest.approx(other.time_s, abs=2e-3)
        assert _difference(one.rgb, other.rgb) < 3


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_is_honoured_by_both_decoders(degrees: int, tmp_path: Path) -> None:
    flat = _make(tmp_path / "flat.mp4", [*H264, "-vf", "setsar=3/2"])
    turned = tmp_path / "turned.mp4"
    run_ffmpeg("-display_rotation:v:0", str(degrees), "-i", str(flat), "-c", "copy", str(turned))
    for is_strict in (False, True):
        upright = np.rot90(_read(flat)[3].rgb, degrees // 90)
        found = _read(turned, strict=is_strict)[3].rgb
        assert found.shape == upright.shape
        assert _difference(found, upright) < 3


@pytest.mark.parametrize("begin_s", [0, 0.5, 40_000.0])
def test_both_decoders_tell_uneven_times_to_the_tick(begin_s: float, tmp_path: Path) -> None:
    # A phone's: never quite a 25th of a second apart; and after eleven hours as exact as at first.
    path = tmp_path / "a.mp4"
    uneven = "settb=1/90000,setpts='(N/25+0.013*sin(N))/TB'"
    run_ffmpeg(
        "-f", "lavfi", "-i", f"testsrc2=s=64x48:r=25:d=2,{uneven}", "-fps_mode", "passthrough",
        "-enc_time_base", "1:90000", "-video_track_timescale", "90000", "-c:v", "libx264",
        "-bf", "2", "-output_ts_offset", str(begin_s), str(path),
    )  # fmt: skip
    for is_strict in (False, True):
        with open_source(path, Settings(strict=is_strict, fps=Fraction(100))) as source:
            times_s = [frame.time_s for frame in source.frames()]
            assert source.findings().decoder == ("ffmpeg" if is_strict else "OpenCV")
        assert times_s == pytest.approx([n / 25 + 0.013 * math.sin(n) for n in range(50)], abs=2e-5)


@pytest.mark.parametrize("is_strict", [False, True])
@pytest.mark.parametrize(
    ("size", "matrix", "codec", "is_told"),
    [
        ("1280x720", "bt709", "libx264", False),
        ("1280x720", "bt709", "libx264", True),
        ("1280x720", "smpte170m", "libx264", True),
        ("1280x720", "smpte170m", "libvpx", False),
        ("720x578", "bt709", "libx264", False),
        ("720x576", "smpte170m", "libx264", False),
        ("64x48", "bt709", "libx264", True),
        ("1280x720", "bt709", "prores_ks", False),
        ("1280x720", "bt709", "rawvideo", False),
    ],
)
def test_colours_are_those_that_players_show(
    size: str, matrix: str, codec: str, is_told: bool, is_strict: bool, tmp_path: Path
) -> None:
    # Who says nothing means BT.709 in high definition, and BT.601 below.
    suffixes = {"libx264": ".mp4", "libvpx": ".webm", "prores_ks": ".mov", "rawvideo": ".avi"}
    pixels = {"prores_ks": "yuva444p10le", "rawvideo": "yuyv422"}.get(codec, "yuv420p")
    path = tmp_path / f"a{suffixes[codec]}"
    unsaid = "h264_metadata=colour_primaries=2:transfer_characteristics=2:matrix_coefficients=2"
    picture = f"color=0xC04020:s={size}:r=5:d=0.4,drawbox=w=iw/2:h=ih:c=0x20A050:t=fill"
    run_ffmpeg(
        "-f", "lavfi",
        "-i", f"{picture},scale=out_color_matrix={matrix}:out_range=tv,format={pixels}",
        "-c:v", codec, "-b:v", "2M", "-movflags", "-write_colr",
        *(["-bsf:v", unsaid] if codec == "libx264" and not is_told else []), str(path),
    )  # fmt: skip
    with open_source(path, Settings(strict=is_strict)) as source:
        rgb = next(iter(source.frames())).rgb
        if pixels == "yuv420p":
            assert source.findings().decoder == ("ffmpeg" if is_strict else "OpenCV")
    height, width = rgb.shape[:2]
    left, right = rgb[height // 2, width // 4], rgb[height // 2, width * 3 // 4]
    # By the other matrix green would be 17 off.
    assert left.tolist() == pytest.approx([0x20, 0xA0, 0x50], abs=6)
    assert right.tolist() == pytest.approx([0xC0, 0x40, 0x20], abs=6)


@pytest.mark.parametrize(("way", "axis"), [("-display_hflip", 1), ("-display_vflip", 0)])
def test_a_mirrored_picture_is_mirrored_by_both_decoders(
    way: str, axis: int, tmp_path: Path
) -> None:
    flat, mirrored = _make(tmp_path / "flat.mp4", H264), tmp_path / "mirrored.mp4"
    run_ffmpeg(way, "-i", str(flat), "-c", "copy", str(mirrored))
    for is_strict in (False, True):
        found = _read(mirrored, strict=is_strict)[3].rgb
        assert _difference(found, np.flip(_read(flat)[3].rgb, axis)) < 3


@pytest.mark.parametrize("way", ["-display_hflip", "-display_vflip"])
def test_a_mirrored_clip_that_begins_with_its_own_mirror_image_is_mirrored(
    way: str, tmp_path: Path
) -> None:
    # A white square in the middle, as a title has it; then one in a corner.
    flat, mirrored = tmp_path / "flat.mp4", tmp_path / "mirrored.mp4"
    boxes = "drawbox=x=24:y=16:w=16:h=16:c=white:t=fill:enable='lt(n,3)',"
    boxes += "drawbox=x=4:y=4:w=16:h=16:c=white:t=fill:enable='gte(n,3)'"
    run_ffmpeg("-f", "lavfi", "-i", f"color=navy:s=64x48:r=25,{boxes}", "-frames:v", "6",
               "-c:v", "libx264", str(flat))  # fmt: skip
    run_ffmpeg(way, "-i", str(flat), "-c", "copy", str(mirrored))
    with open_source(mirrored, Settings()) as source:
        *_, last = source.frames()
        assert source.findings().decoder == "ffmpeg"
    axis = 1 if way == "-display_hflip" else 0
    square = np.flip(last.rgb, axis)[4:20, 4:20]
    assert square.mean() > 230 and last.rgb[4:20, 4:20].mean() < 80


@pytest.mark.parametrize("flags", [["-x264-params", "fake-interlaced=1"], []])
def test_interlaced_pictures_that_may_come_later_are_provided_for(
    flags: list[str], tmp_path: Path
) -> None:
    # All pictures of this one are whole ones, but its headers allow for others.
    path = _make(tmp_path / "a.mp4", [*H264, *flags])
    with open_source(path, Settings()) as source:
        assert len(list(source.frames())) == FRAMES
        assert source.findings().decoder == ("ffmpeg" if flags else "OpenCV")


def test_what_only_ffmpeg_converts_is_known_after_a_fade_from_black(tmp_path: Path) -> None:
    words, _ = KINDS["fields.mp4"]
    fade = ["-vf", "fade=in:start_frame=4:nb_frames=4"]
    frames = _read(_make(tmp_path / "fields.mp4", [*words, *fade]))
    truth = _read(_make(tmp_path / "truth.mkv", ["-c:v", "ffv1", *fade]))
    assert frames[0].rgb.max() < 20 and frames[-1].rgb.max() > 200
    for one, other in zip(frames, truth, strict=True):
        assert np.abs(one.rgb.astype(float) - other.rgb.astype(float)).mean() < 12


def test_frames_without_times_that_are_shown_come_as_they_are_decoded(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    # In AVI a packet's only time is when it is decoded, and the rate it claims is that of the MP4.
    clip, avi = make_clip(frames=50, rate="24", options=["-bf", "3"]), tmp_path / "a.avi"
    run_ffmpeg("-i", str(clip), "-c", "copy", "-video_track_timescale", "600", str(avi))
    found = media.inspect(avi).picture
    assert found is not None
    assert (found.rate, found.frames, found.has_times) == (Fraction(24), 50, False)
    for is_strict in (False, True):
        frames = _read(avi, strict=is_strict)
        assert [frame.time_s for frame in frames] == pytest.approx(np.arange(50) / 24, abs=2e-3)
        for one, other in zip(frames, _read(clip), strict=True):
            assert _difference(one.rgb, other.rgb) < 3


def test_bright_hdr_is_not_washed_out(tmp_path: Path) -> None:
    # White paper and a light a hundred times as bright, in HLG.
    path = tmp_path / "hlg.mp4"
    tags = "setparams=color_primaries=bt2020:color_trc=arib-std-b67:colorspace=bt2020nc:range=tv"
    run_ffmpeg(
        "-f", "lavfi", "-i",
        "gradients=size=64x48:c0=black:c1=white:x0=0:y0=0:x1=63:y1=0:duration=0.2",
        "-vf", f"format=yuv420p10le,{tags}", *H264, str(path),
    )  # fmt: skip
    grey = _read(path)[0].rgb.mean(axis=(0, 2))
    # Dark stays dark, bright gets bright, and nothing on the way is lost.
    assert grey[1] < 15 and grey[-2] > 150
    assert (np.diff(grey[::8]) > 2).all()


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
@pytest.mark.parametrize("untold", ["color_primaries", "colorspace", "both"])
def test_hdr_that_does_not_tell_its_colours_is_of_bt2020(
    untold: str, transfer: str, tmp_path: Path
) -> None:
    names = {"color_primaries": "bt2020", "colorspace": "bt2020nc"}
    pictures = []
    for number, left_out in enumerate(((), names if untold == "both" else (untold,))):
        path = tmp_path / f"{number}.mkv"
        told = [f"{what}={name}" for what, name in names.items() if what not in left_out]
        told += [f"{what}=unknown" for what in left_out]
        run_ffmpeg(
            "-f", "lavfi", "-i", "testsrc2=size=64x48:duration=0.2", "-vf",
            f"format=yuv420p10le,setparams={':'.join(told)}:color_trc={transfer}:range=tv",
            *H264, str(path),
        )  # fmt: skip
        pictures.append(_read(path)[0].rgb)
    assert pictures[0].std() > 20
    np.testing.assert_array_equal(pictures[0], pictures[1])


def test_a_size_that_changes_is_brought_to_the_first(tmp_path: Path) -> None:
    parts = []
    for n, size in enumerate(("64x48", "96x80")):
        part = tmp_path / f"{n}.ts"
        run_ffmpeg("-f", "lavfi", "-i", f"testsrc2=size={size}:rate=25:duration=0.4", *H264,
                   "-output_ts_offset", str(0.4 * n), str(part))  # fmt: skip
        parts.append(part.read_bytes())
    whole = tmp_path / "whole.ts"
    whole.write_bytes(b"".join(parts))
    with open_source(whole, Settings()) as source:
        shapes = [frame.rgb.shape for frame in source.frames()]
    assert shapes == [(48, 64, 3)] * 20


def test_gif_frames_come_at_their_own_times(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    pictures = [np.full((20, 30, 3), level, np.uint8) for level in (0, 80, 160, 240)]
    iio.imwrite(path, pictures, duration=[100, 300, 50, 500], loop=0)
    with open_source(path, Settings()) as source:
        frames = list(source.frames())
        assert source.info.duration_s == pytest.approx(0.95)
        assert source.info.fps is not None and source.info.fps >= 5
    assert [frame.time_s for frame in frames] == pytest.approx([0, 0.1, 0.4, 0.45])
    assert [int(frame.rgb.mean()) for frame in frames] == pytest.approx([0, 80, 160, 240], abs=4)


def test_a_short_frame_before_a_long_one_does_not_stand_for_it(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    levels = [0, 60, 120, 180, 240]
    pictures = [np.full((20, 30, 3), level, np.uint8) for level in levels]
    iio.imwrite(path, pictures, duration=[100, 1000, 1000, 1000, 1000], loop=0)
    with open_source(path, Settings()) as source:
        assert source.info.fps == 10
        assert source.info.frame_count_hint == 5
        assert [int(frame.rgb.mean()) for frame in source.frames()] == pytest.approx(levels, abs=4)


@pytest.mark.parametrize("fps", [None, "30", "10"])
def test_what_is_seen_for_long_is_shown_however_soon_it_came(
    fps: str | None, make_clip: MakeClip, tmp_path: Path
) -> None:
    # A frame every 40 ms, but for the 20th: 10 ms after the one before, and then on show for 3 s.
    times = "if(lt(N,20),N/25,if(eq(N,20),0.77,3.8+(N-21)/25))/TB"
    ways = ["-fps_mode", "passthrough", "-enc_time_base", "1/1000", "-bf", "0"]
    path = make_clip("a.mkv", frames=40, options=["-vf", f"settb=1/1000,setpts='{times}'", *ways])
    settings = Settings(model="none", fps=fps)  # type: ignore[arg-type]
    with open_source(path, settings) as source:
        frames = list(source.frames())
        assert source.info.frame_count_hint == len(frames)
    assert min(abs(frame.time_s - 0.77) for frame in frames) < 1e-3
    (stands,) = [frame for frame in frames if frame.index == 20]
    plain = Settings(model="none", fps=fps, annotate=False, alpha=0, output=tmp_path / "o.mkv",  # type: ignore[arg-type]
                     codec="ffv1")  # fmt: skip
    vidsal.run(path, plain)
    shown = {round(frame.time_s, 1): frame.rgb for frame in _read(tmp_path / "o.mkv")}
    for time_s in (1.0, 2.0, 3.0):
        assert _difference(shown[time_s], stands.rgb) < 1


@pytest.mark.parametrize(("fps", "count"), [("10", 10), ("25", 25), ("50", 25), ("7", 7)])
def test_fewer_frames_are_chosen_by_time(fps: str, count: int, make_clip: MakeClip) -> None:
    path = make_clip(frames=25)
    with open_source(path, Settings(fps=fps)) as source:  # type: ignore[arg-type]
        times_s = [frame.time_s for frame in source.frames()]
        assert (source.info.frame_count_hint, source.info.fps) == (count, Fraction(fps))
    assert len(times_s) == count
    due = np.arange(count) / min(25, int(fps))
    # No chosen frame is further from its time than half a step.
    assert np.abs(np.array(times_s) - due).max() <= 0.5 / int(fps) + 1e-6


class _GivesUp:
    """A capture of OpenCV that ends after some frames."""

    def __init__(self, real: Callable[..., Any], after: int, *words: Any) -> None:
        self._capture, self._left = real(*words), after

    def grab(self) -> bool:
        self._left -= 1
        return self._left >= 0 and self._capture.grab()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._capture, name)


def _hurt(path: Path, change: Callable[[bytearray], bytearray]) -> Path:
    path.write_bytes(change(bytearray(path.read_bytes())))
    return path


def test_what_is_incomplete_and_comes_all_the_same_is_not_told_to_be_left_out(
    make_clip: MakeClip, caplog: pytest.LogCaptureFixture
) -> None:
    clip = make_clip("one.ts", frames=40, size=(96, 128), options=["-g", "20"])
    data = clip.read_bytes()
    packets = [data[n : n + 188] for n in range(0, len(data), 188)]
    # One packet from within a picture is lost: of the first stream, and no beginning.
    of_picture = [n for n, one in enumerate(packets) if one[1] == 1 and one[2] == 0]
    del packets[of_picture[len(of_picture) // 2]]
    clip.write_bytes(b"".join(packets))
    with open_source(clip, Settings()) as source:
        assert len(list(source.frames())) == 40
        assert source.findings().damaged == 1
    assert "1 of its frames is incomplete, 0 left out; 40 frames came" in caplog.text
    with (
        pytest.raises(VidsalError, match="because of --strict"),
        open_source(clip, Settings(strict=True)) as source,
    ):
        list(source.frames())


def _flipped(data: bytes, number: int, bit: int) -> bytes:
    """A transport stream with one wrong bit of 33 in the time that a picture is shown at."""
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
def test_one_wrong_time_is_one_frames_fault(
    number: int, bit: int, frames_between: int, make_clip: MakeClip, tmp_path: Path
) -> None:
    words = ["-bf", str(frames_between), "-g", "25"]
    clip = make_clip("one.ts", frames=100, sound="aac", options=words)
    bad = tmp_path / "bad.ts"
    bad.write_bytes(_flipped(clip.read_bytes(), number, bit))
    expected = _read(clip)
    with open_source(bad, Settings()) as source:
        frames = list(source.frames())
        assert source.info.duration_s == pytest.approx(4, abs=0.1)
    assert len(frames) >= 98
    by_time = {round(frame.time_s * 25): frame.rgb for frame in expected}
    right = [
        _difference(one.rgb, by_time[place]) < 1
        for one in frames
        if (place := round(one.time_s * 25)) in by_time
    ]
    assert sum(right) >= 95


@pytest.mark.parametrize("sound", ["aac", None])
@pytest.mark.parametrize("strict", [False, True])
def test_recordings_put_one_after_the_other_are_whole(
    strict: bool, sound: str | None, make_clip: MakeClip, tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    # At the seams the packets' counters jump: they are marked as incomplete.
    whole = tmp_path / "whole.ts"
    one = make_clip("one.ts", frames=20, rate="20", sound=sound)
    whole.write_bytes(one.read_bytes() * 3)
    with open_source(whole, Settings(strict=strict)) as source:
        times_s = [frame.time_s for frame in source.frames()]
        assert source.findings().damaged == 0
    assert times_s == pytest.approx(np.arange(60) / 20, abs=0.03)
    assert not caplog.text


def test_damage_is_counted_and_strict_makes_it_an_error(make_clip: MakeClip) -> None:
    path = make_clip("clip.ts", frames=60, options=["-g", "10"])
    assert _read(path, strict=True)

    def overwrite(data: bytearray) -> bytearray:
        middle = len(data) // 2 // 188 * 188
        data[middle : middle + 188 * 12] = bytes(188 * 12)
        return data

    _hurt(path, overwrite)
    with open_source(path, Settings()) as source:
        frames = list(source.frames())
        found = source.findings()
    assert found.damaged > 0 and len(frames) >= 40
    with (
        pytest.raises(VidsalError, match="an error because of --strict"),
        open_source(path, Settings(strict=True)) as source,
    ):
        list(source.frames())


def test_opencv_that_gives_up_is_taken_over_from(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = make_clip(frames=30)
    expected = _read(path)
    monkeypatch.setattr(cv2, "VideoCapture", partial(_GivesUp, cv2.VideoCapture, 7))
    with open_source(path, Settings()) as source:
        frames = list(source.frames())
        assert source.findings().decoder == "ffmpeg"
    assert [frame.time_s for frame in frames] == pytest.approx([one.time_s for one in expected])
    for one, other in zip(frames, expected, strict=True):
        assert np.abs(one.rgb.astype(float) - other.rgb.astype(float)).mean() < 3
    assert "OpenCV ends after 7 of 30 frames" in caplog.text


def test_a_codec_that_is_not_known_is_one_line(make_clip: MakeClip) -> None:
    path = make_clip("a.mp4", frames=5)
    data = bytearray(path.read_bytes())
    # The sample entry: its size and codec, 24 bytes of no matter here, width and height.
    at = data.index(b"avc1", data.index(b"stsd"))
    data[at : at + 4], data[at + 28 : at + 32] = b"qqqq", bytes(4)
    path.write_bytes(data)
    found = media.inspect(path).picture
    assert found is not None and found.coded_px == (0, 0)
    with pytest.raises(VidsalError, match="no picture that can be decoded: its codec"):
        open_source(path, Settings())


def test_a_gif_that_ends_anywhere_is_what_it_holds_or_one_line(tmp_path: Path) -> None:
    path = _make(tmp_path / "a.gif", [])
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


def _length_s(path: Path) -> float:
    found = media.inspect(path).picture
    assert found is not None
    return found.end_s - float(found.times_s[0])


def test_a_last_frame_is_held_for_as_long_as_it_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "hold.gif"
    pictures = [np.full((20, 30, 3), level, np.uint8) for level in range(0, 200, 10)]
    # Some frames are too short for the usual step and share it.
    iio.imwrite(path, pictures, duration=[100] * 8 + [20] * 6 + [100] * 5 + [3000], loop=0)
    vidsal.run(path, Settings(model="none", output=tmp_path / "o.mp4"))
    assert _length_s(tmp_path / "o.mp4") == pytest.approx(4.42, abs=0.06)
    vidsal.run(path, Settings(model="none", output=tmp_path / "p.mp4", fps="30"))  # type: ignore[arg-type]
    assert _length_s(tmp_path / "p.mp4") == pytest.approx(4.42, abs=0.02)


def test_times_that_leap_in_a_transport_stream_are_no_still(tmp_path: Path) -> None:
    # Recorded in two pieces, a quarter of an hour apart by the station's clock.
    pieces = []
    for begin_s in (100, 1000):
        pieces.append(tmp_path / f"{begin_s}.ts")
        run_ffmpeg(
            "-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=3", "-f", "lavfi", "-i", "sine=d=3",
            "-c:v", "libx264", "-c:a", "aac", "-output_ts_offset", str(begin_s), str(pieces[-1]),
        )  # fmt: skip
    both = tmp_path / "both.ts"
    both.write_bytes(b"".join(one.read_bytes() for one in pieces))
    out = vidsal.run(both, Settings(model="none", output=tmp_path / "o.mp4"))
    assert _length_s(out) == pytest.approx(6, abs=0.1)
    sound = media.inspect(out).sound
    assert sound is not None and sound.end_s == pytest.approx(6, abs=0.2)


def test_a_sound_that_is_missing_for_long_is_no_leap(tmp_path: Path) -> None:
    path = tmp_path / "a.ts"
    run_ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=s=64x48:r=5:d=20", "-f", "lavfi", "-i", "sine=d=20",
        "-c:v", "libx264", "-c:a", "aac", "-bsf:a", "noise=drop='between(pts*tb,3,17)'", str(path),
    )  # fmt: skip
    found = media.inspect(path)
    assert found.picture is not None and found.sound is not None
    assert not found.picture.restarts and not found.sound.restarts
    assert found.picture.end_s - found.begin_s == pytest.approx(20, abs=0.3)


@pytest.mark.parametrize(("sound_s", "length_s"), [(99, 99), (98.5, 99), (20, 10), (0, 10)])
def test_a_last_slide_stands_as_long_as_somebody_talks(
    sound_s: float, length_s: float, tmp_path: Path
) -> None:
    # At 0, 1 and 9 s; the last is said to last for 90. Without words to it that is hard to believe.
    talk = tmp_path / "talk.mp4"
    sound = ["-f", "lavfi", "-i", f"sine=d={sound_s}", "-c:a", "aac"] if sound_s else []
    run_ffmpeg(
        "-f", "lavfi", "-i", "color=s=64x48:r=1:d=3,setpts='if(eq(N,2),9,N)/TB'", *sound,
        "-fps_mode", "passthrough", "-c:v", "libx264", "-bf", "0",
        "-bsf:v", "setts=duration='if(eq(N,2),90/TB,if(eq(N,1),8/TB,1/TB))'", str(talk),
    )  # fmt: skip
    with open_source(talk, Settings()) as source:
        assert source.info.duration_s == pytest.approx(length_s, abs=0.01)


@pytest.mark.parametrize("name", ["truncated.mp4", "partial file.mkv"])
def test_a_name_says_nothing_of_what_is_in_it(name: str, make_clip: MakeClip) -> None:
    clip = make_clip(name, frames=10, options=["-metadata", "title=moov atom not found"])
    found = media.inspect(clip)
    assert (found.is_cut_off, found.lacks_index) == (False, False)


def test_a_subtitle_longer_than_the_picture_is_no_cut(make_clip: MakeClip, tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_text("1\n00:00:00,000 --> 00:00:09,000\nwords\n\n")
    both = tmp_path / "both.mkv"
    run_ffmpeg("-i", str(make_clip(frames=15)), "-i", str(tmp_path / "a.srt"), "-c", "copy",
               str(both))  # fmt: skip
    found = media.inspect(both)
    assert found.duration_s == pytest.approx(9, abs=0.1)
    assert not found.is_cut_off


def test_a_picture_that_begins_late_is_found(make_clip: MakeClip, tmp_path: Path) -> None:
    clip, late = make_clip(frames=50, sound="aac"), tmp_path / "late.mkv"
    run_ffmpeg("-itsoffset", "12", "-i", str(clip), "-i", str(clip), "-map", "0:v", "-map", "1:a",
               "-c", "copy", str(late))  # fmt: skip
    with open_source(late, Settings(end=1)) as source:
        assert len(list(source.frames())) == 25


def test_text_and_pipes_are_no_videos(tmp_path: Path) -> None:
    (tmp_path / "notes.nfo").write_text("words\n" * 100)
    os.mkfifo(tmp_path / "pipe.mp4")
    for name, says in (("notes.nfo", "is not a video"), ("pipe.mp4", "is not a file that can be")):
        with pytest.raises(VidsalError, match=says):
            open_source(tmp_path / name, Settings())


def test_a_name_that_is_no_text_is_read_all_the_same(make_clip: MakeClip) -> None:
    clip = make_clip(frames=5)
    odd = clip.with_name(os.fsdecode(b"bad\xffname.mp4"))
    clip.rename(odd)
    assert len(_read(odd)) == 5


def test_two_frames_of_milliseconds_have_the_rate_they_claim(make_clip: MakeClip) -> None:
    found = media.inspect(make_clip("a.mkv", rate="30", frames=2)).picture
    assert found is not None and found.rate == 30


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


def test_a_screen_that_stands_still_for_long_is_not_the_end(tmp_path: Path) -> None:
    path = tmp_path / "still.mp4"
    # Five thousand packets of sound between the first second of pictures and the last.
    late = "settb=1/1000,setpts='if(lt(N,10),N,1100+N)*100'"
    run_ffmpeg(
        "-f", "lavfi", "-i", f"testsrc2=size=64x48:rate=10:duration=2,{late}",
        "-f", "lavfi", "-i", "sine=440:duration=112", "-fps_mode", "passthrough",
        "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", "-b:a", "16k", str(path),
    )  # fmt: skip
    with open_source(path, Settings()) as source:
        assert len(list(source.frames())) == 20
        assert (source.findings().damaged, source.findings().decoder) == (0, "OpenCV")


def test_a_sound_that_is_declared_and_never_comes_hides_no_picture(tmp_path: Path) -> None:
    path = tmp_path / "mute.ts"
    run_ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=1",
        "-f", "lavfi", "-i", "sine=440:duration=1", "-map", "0:v", "-map", "1:a", "-af",
        "atrim=end_sample=0", *H264, "-c:a", "mp2", str(path),
    )  # fmt: skip
    assert len(_read(path)) == 25


def test_a_time_that_comes_twice_delays_nothing(make_clip: MakeClip, tmp_path: Path) -> None:
    clip, path = make_clip("a.mkv", frames=60, options=["-bf", "0"]), tmp_path / "twice.mkv"
    with av.open(str(clip)) as given, av.open(str(path), "w") as written:
        stream = written.add_stream_from_template(given.streams.video[0])
        for n, packet in enumerate(one for one in given.demux(video=0) if one.size):
            again = av.Packet(bytes(packet))
            again.pts, again.dts, again.time_base = packet.pts, packet.dts, packet.time_base
            again.is_keyframe = packet.is_keyframe
            for one in (packet, again) if n % 20 == 10 else (packet,):
                one.stream = stream
                written.mux(one)
    with open_source(path, Settings()) as source:
        assert source.info.fps == 25
        assert source.info.duration_s == pytest.approx(2.4, abs=0.01)
        times_s = [frame.time_s for frame in source.frames()]
    assert times_s == pytest.approx([n / 25 for n in range(60)], abs=2e-3)


def test_frames_without_times_keep_their_pace_where_ffmpeg_goes_on(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_clip("a.avi", frames=40, options=["-bf", "2"])
    monkeypatch.setattr(cv2, "VideoCapture", partial(_GivesUp, cv2.VideoCapture, 20))
    with open_source(path, Settings()) as source:
        times_s = [frame.time_s for frame in source.frames()]
        assert source.findings().decoder == "ffmpeg"
    assert len(times_s) >= 39
    assert np.diff(times_s) == pytest.approx(0.04, abs=1e-3)


HLG = (
    "format=yuv420p10le,setparams=color_primaries=bt2020:color_trc=arib-std-b67:colorspace=bt2020nc"
)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hlg.mp4", ["-vf", HLG, *H264]),
        # A jump that lands late, since there is one place only to land at.
        ("one_key.mp4", ["-vf", HLG, *H264, "-g", "9999", "-x264-params", "scenecut=0"]),
        ("late.ts", ["-vf", HLG, *H264, "-output_ts_offset", "700"]),
        ("uneven.mkv", ["-vf", f"setpts='round((N+3*floor(N/7))/25/TB)',{HLG}", "-fps_mode",
                        "passthrough", *H264]),
        ("interlaced.ts", ["-vf", "setfield=tff", "-c:v", "mpeg2video", "-b:v", "2M", "-flags",
                           "+ildct+ilme", "-g", "40", "-bf", "2"]),
        ("interlaced.avi", ["-vf", "setfield=tff", "-c:v", "mpeg4", "-b:v", "2M", "-flags",
                            "+ildct+ilme", "-bf", "2"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("strict", [False, True])
def test_a_late_part_through_ffmpeg_is_that_of_the_whole(
    strict: bool, name: str, words: list[str], tmp_path: Path
) -> None:
    path = tmp_path / name
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=16", *words, str(path))
    whole = _read(path)
    expected = [frame for frame in whole if 13.1 - 1e-6 <= frame.time_s < 14.5 - 1e-6]
    with open_source(path, Settings(start=13.1, end=14.5, strict=strict)) as source:
        frames = list(source.frames())
        assert source.findings().decoder == "ffmpeg"
        assert source.findings().damaged == 0
    assert len(expected) > 20
    assert [one.index for one in frames] == [one.index for one in expected]
    for one, other in zip(frames, expected, strict=True):
        assert one.time_s == pytest.approx(other.time_s, abs=1e-4)
        np.testing.assert_array_equal(one.rgb, other.rgb)
