"""Every kind of file: both decoders give its frames upright, in time and in the right colours."""

import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import MakeClip, run_ffmpeg
from file_help import FRAMES, H264, difference, make, read_whole

from vidsal.media import probe
from vidsal.media.probe import VideoStream
from vidsal.settings import Settings
from vidsal.sources import open_source
from vidsal.sources.decoders import Decoding, decoding_arguments

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
    # OpenCV cannot convert these, and does not report it.
    "interlaced.ts": ([*H264, "-flags", "+ildct+ilme"], (48, 64)),
    "interlaced.mpg": (["-c:v", "mpeg2video", "-q:v", "2", "-flags", "+ildct+ilme"], (48, 64)),
    "interlaced.avi": (["-c:v", "mpeg4", "-q:v", "2", "-flags", "+ildct+ilme"], (48, 64)),
    "fields.mp4": (
        ["-c:v", "libx265", "-x265-params", "log-level=error:interlace=tff", "-crf", "12"],
        (48, 64),
    ),
    # OpenCV converts the primaries, ffmpeg does not.
    "p3.mp4": ([*H264, "-bsf:v", "h264_metadata=colour_primaries=12"], (48, 64)),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_file_gives_its_frames_upright_and_in_time(name: str, tmp_path: Path) -> None:
    args, size = KINDS[name]
    path = make(tmp_path / name, args)
    frames = read_whole(path)
    assert len(frames) == FRAMES
    assert frames[0].rgb.shape[:2] == size
    # Containers keep milliseconds, GIF hundredths.
    times_s = [frame.time_s for frame in frames]
    assert times_s == pytest.approx(np.arange(FRAMES) / 25, abs=2e-3)
    if name not in ("hlg.mp4", "one_pixel.mkv", "tiny.mp4"):
        # The picture is the one that was made, in its colours.
        (truth,) = read_whole(make(tmp_path / "truth.mkv", ["-frames:v", "1", "-c:v", "ffv1"]))
        same = cv2.resize(truth.rgb, size[::-1], interpolation=cv2.INTER_AREA)
        off = np.abs(frames[0].rgb.astype(float) - same.astype(float)).mean()
        # Deinterlacing interpolates fine lines.
        assert off < (16 if name.startswith("interlaced") else 12)


def test_files_of_fields_are_not_given_to_opencv(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """OpenCV returns what its memory held, which may be the right picture of another file."""
    with caplog.at_level("INFO"):
        read_whole(make(tmp_path / "fields.mp4", KINDS["fields.mp4"][0]))
    assert "it may code fields, which OpenCV does not convert" in caplog.text


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
    path = make(tmp_path / name, KINDS[name][0])
    usual, strict = read_whole(path), read_whole(path, strict=True)
    for one, other in zip(usual, strict, strict=True):
        assert one.time_s == pytest.approx(other.time_s, abs=2e-3)
        assert difference(one.rgb, other.rgb) < 3


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_is_honoured_by_both_decoders(degrees: int, tmp_path: Path) -> None:
    flat = make(tmp_path / "flat.mp4", [*H264, "-vf", "setsar=3/2"])
    turned = tmp_path / "turned.mp4"
    run_ffmpeg("-display_rotation:v:0", str(degrees), "-i", str(flat), "-c", "copy", str(turned))
    for is_strict in (False, True):
        upright = np.rot90(read_whole(flat)[3].rgb, degrees // 90)
        found = read_whole(turned, strict=is_strict)[3].rgb
        assert found.shape == upright.shape
        assert difference(found, upright) < 3


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
    # Files that name no matrix mean BT.709 in high definition, and BT.601 below.
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
            # OpenCV knows the matrix only from tags, and uses BT.601 without.
            is_left_out = matrix == "bt709" and not is_told
            expected = "ffmpeg" if is_strict or is_left_out else "OpenCV"
            assert source.findings().decoder == expected
    height, width = rgb.shape[:2]
    left, right = rgb[height // 2, width // 4], rgb[height // 2, width * 3 // 4]
    # By the other matrix green would be 17 off.
    assert left.tolist() == pytest.approx([0x20, 0xA0, 0x50], abs=6)
    assert right.tolist() == pytest.approx([0xC0, 0x40, 0x20], abs=6)


@pytest.mark.parametrize(("way", "axis"), [("-display_hflip", 1), ("-display_vflip", 0)])
def test_a_mirrored_picture_is_mirrored_by_both_decoders(
    way: str, axis: int, tmp_path: Path
) -> None:
    flat, mirrored = make(tmp_path / "flat.mp4", H264), tmp_path / "mirrored.mp4"
    run_ffmpeg(way, "-i", str(flat), "-c", "copy", str(mirrored))
    for is_strict in (False, True):
        found = read_whole(mirrored, strict=is_strict)[3].rgb
        assert difference(found, np.flip(read_whole(flat)[3].rgb, axis)) < 3


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


@pytest.mark.parametrize("args", [["mpeg2video", "-q:v", "2"], ["libx264", "-crf", "8"]])
def test_interlaced_pictures_are_deinterlaced(args: list[str], tmp_path: Path) -> None:
    # A white bar that moves by 3 pixels from one field to the next.
    bar = "geq=lum='16+219*between(X,8+3*N,16+3*N)':cb=128:cr=128"
    path = tmp_path / "a.ts"
    run_ffmpeg(
        "-f", "lavfi", "-i", "nullsrc=size=96x48:rate=50:d=0.4", "-vf",
        f"{bar},format=yuv420p,interlace=lowpass=off,setfield=tff",
        "-c:v", *args, "-flags", "+ildct+ilme", str(path),
    )  # fmt: skip
    frames = read_whole(path)
    assert len(frames) == 10
    for frame in frames[2:-2]:
        rows = frame.rgb[4:-4, :, 1].astype(float)
        assert rows.max() > 200
        # A combed row differs from the mean of its neighbours.
        assert np.abs(rows[1:-1] - (rows[:-2] + rows[2:]) / 2).mean() < 3


def test_scaling_to_square_pixels_keeps_the_levels(tmp_path: Path) -> None:
    # MPEG-2 is decoded by ffmpeg.
    path = make(
        tmp_path / "a.mpg",
        ["-vf", "drawbox=color=white:t=fill,setsar=4/3", "-c:v", "mpeg2video", "-q:v", "1"],
    )
    for frame in read_whole(path):
        assert frame.rgb.shape == (48, 85, 3) and frame.rgb.min() >= 254


@pytest.mark.parametrize("flags", [["-x264-params", "fake-interlaced=1"], []])
def test_files_that_may_be_interlaced_are_decoded_by_ffmpeg(
    flags: list[str], tmp_path: Path
) -> None:
    # All pictures are progressive, but the headers allow interlaced ones.
    path = make(tmp_path / "a.mp4", [*H264, *flags])
    with open_source(path, Settings()) as source:
        assert len(list(source.frames())) == FRAMES
        assert source.findings().decoder == ("ffmpeg" if flags else "OpenCV")


def test_decoders_are_compared_after_a_fade_from_black(tmp_path: Path) -> None:
    args, _ = KINDS["fields.mp4"]
    fade = ["-vf", "fade=in:start_frame=4:nb_frames=4"]
    frames = read_whole(make(tmp_path / "fields.mp4", [*args, *fade]))
    truth = read_whole(make(tmp_path / "truth.mkv", ["-c:v", "ffv1", *fade]))
    assert frames[0].rgb.max() < 20 and frames[-1].rgb.max() > 200
    for one, other in zip(frames, truth, strict=True):
        assert np.abs(one.rgb.astype(float) - other.rgb.astype(float)).mean() < 12


def test_bright_hdr_is_not_washed_out(tmp_path: Path) -> None:
    # White paper and a light a hundred times as bright, in HLG.
    path = tmp_path / "hlg.mp4"
    tags = "setparams=color_primaries=bt2020:color_trc=arib-std-b67:colorspace=bt2020nc:range=tv"
    run_ffmpeg(
        "-f", "lavfi", "-i",
        "gradients=size=64x48:c0=black:c1=white:x0=0:y0=0:x1=63:y1=0:duration=0.2",
        "-vf", f"format=yuv420p10le,{tags}", *H264, str(path),
    )  # fmt: skip
    grey = read_whole(path)[0].rgb.mean(axis=(0, 2))
    # Dark stays dark, bright gets bright, and nothing on the way is lost.
    assert grey[1] < 15 and grey[-2] > 150
    assert (np.diff(grey[::8]) > 2).all()


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
@pytest.mark.parametrize("missing_hdr_tags", ["color_primaries", "colorspace", "both"])
def test_hdr_without_colour_tags_is_bt2020(
    missing_hdr_tags: str, transfer: str, tmp_path: Path
) -> None:
    names = {"color_primaries": "bt2020", "colorspace": "bt2020nc"}
    pictures = []
    for number, left_out in enumerate(
        ((), names if missing_hdr_tags == "both" else (missing_hdr_tags,))
    ):
        path = tmp_path / f"{number}.mkv"
        tags = [f"{what}={name}" for what, name in names.items() if what not in left_out]
        tags += [f"{what}=unknown" for what in left_out]
        run_ffmpeg(
            "-f", "lavfi", "-i", "testsrc2=size=64x48:duration=0.2", "-vf",
            f"format=yuv420p10le,setparams={':'.join(tags)}:color_trc={transfer}:range=tv",
            *H264, str(path),
        )  # fmt: skip
        pictures.append(read_whole(path)[0].rgb)
    assert pictures[0].std() > 20
    np.testing.assert_array_equal(pictures[0], pictures[1])


def test_pictures_of_another_size_are_scaled_to_the_first(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("name", ["truncated.mp4", "partial file.mkv"])
def test_a_file_name_is_not_read_as_a_report(name: str, make_clip: MakeClip) -> None:
    clip = make_clip(name, frames=10, options=["-metadata", "title=moov atom not found"])
    found = probe.inspect(clip)
    assert (found.is_truncated, found.lacks_index) == (False, False)


def test_a_subtitle_longer_than_the_picture_is_no_cut(make_clip: MakeClip, tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_text("1\n00:00:00,000 --> 00:00:09,000\nwords\n\n")
    both = tmp_path / "both.mkv"
    run_ffmpeg("-i", str(make_clip(frames=15)), "-i", str(tmp_path / "a.srt"), "-c", "copy",
               str(both))  # fmt: skip
    found = probe.inspect(both)
    assert found.duration_s == pytest.approx(9, abs=0.1)
    assert not found.is_truncated


def test_a_name_that_is_not_unicode_can_be_read(make_clip: MakeClip) -> None:
    clip = make_clip(frames=5)
    odd = clip.with_name(os.fsdecode(b"bad\xffname.mp4"))
    clip.rename(odd)
    assert len(read_whole(odd)) == 5


def test_a_sound_stream_without_packets_hides_no_picture(tmp_path: Path) -> None:
    path = tmp_path / "mute.ts"
    run_ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=1",
        "-f", "lavfi", "-i", "sine=440:duration=1", "-map", "0:v", "-map", "1:a", "-af",
        "atrim=end_sample=0", *H264, "-c:a", "mp2", str(path),
    )  # fmt: skip
    assert len(read_whole(path)) == 25


# The arguments of ffmpeg.


def _arguments(decoding: Decoding | None = None, **changes: Any) -> list[str]:
    stream = VideoStream(
        "h264", (48, 64), 0, Fraction(1), is_hdr=False, missing_hdr_tags=(), lacks_matrix=False,
        is_interlaced=False, times_s=np.arange(50) / 25 + 10, has_times=True, rate=Fraction(25),
        is_variable=False, end_s=12.0, corrupt_packets=0, ends_corrupt=False,
    )  # fmt: skip
    return decoding_arguments(
        "a.mp4", replace(stream, **changes), decoding or Decoding(), pts_file=Path("pts")
    )


def _after(arguments: list[str], name: str) -> str:
    return arguments[arguments.index(name) + 1]


SCALE = "scale=64:48:flags=bicubic+full_chroma_int,setsar=1"


def test_by_default_all_frames_are_decoded_with_their_own_times() -> None:
    assert _arguments() == [
        "-hide_banner", "-v", "repeat+warning", "-nostdin", "-copyts", "-threads", "1",
        "-i", "a.mp4", "-map", "0:V:0", "-vf", SCALE, "-fps_mode", "passthrough",
        "-pix_fmt", "rgb24",
        "-enc_time_base", "demux", "-stats_enc_pre", "pts", "-stats_enc_pre_fmt", "{pts} {tb}",
        "-f", "rawvideo", "pipe:1",
    ]  # fmt: skip


def test_only_h264_needs_one_thread_for_an_exact_count_of_corrupt_frames() -> None:
    assert "-threads" not in _arguments(codec="hevc")


def test_skipped_frames_are_chosen_by_time_or_by_number() -> None:
    skipping = Decoding(after_s=1.0, skipped=26)
    assert _after(_arguments(skipping), "-vf") == f"select='gt(t,11.000001)',{SCALE}"
    assert "-ss" not in _arguments(skipping)
    untimed = _arguments(skipping, has_times=False)
    assert _after(untimed, "-vf") == f"select='gte(n,26)',{SCALE}"
    jumping = Decoding(after_s=1.0, skipped=26, jumps=True)
    assert _after(_arguments(jumping), "-ss") == "6.000000"
    assert _arguments(jumping).index("-ss") < _arguments(jumping).index("-i")
    # Without times there is nothing to jump to.
    assert "-ss" not in _arguments(jumping, has_times=False)


def test_filters_come_in_their_order() -> None:
    decoding = Decoding(after_s=0.0, skipped=1, deinterlaces=True)
    arguments = _arguments(
        decoding, is_hdr=True, missing_hdr_tags=("colorspace",), lacks_matrix=True
    )
    graph = _after(arguments, "-vf")
    assert graph.startswith("select='gt(t,10.000001)',bwdif=send_frame:auto:interlaced,")
    filters = graph.partition("',")[2].split(",")
    assert [one.partition("=")[0] for one in filters] == [
        "bwdif", "setparams", "zscale", "format", "zscale", "tonemap", "zscale", "format",
        "scale", "setsar",
    ]  # fmt: skip
    assert "setparams=colorspace=bt2020nc" in filters
    assert filters[-2] == "scale=64:48:flags=bicubic+full_chroma_int:in_color_matrix=bt709"


def test_strict_decoding_ends_at_the_first_error_but_not_where_recordings_are_joined() -> None:
    strict = Decoding(is_strict=True)
    assert _after(_arguments(strict), "-err_detect") == "explode"
    assert "-xerror" in _arguments(strict)
    joined = _arguments(strict, restarts=True)
    assert "-xerror" not in joined and "-copyts" not in joined
    # ffmpeg repairs restarting times by the sound as well, so the sound is read.
    assert joined[-7:] == ["-map", "0:a:0", "-c", "copy", "-f", "null", "-"]
    assert "0:a:0" not in _arguments(strict, restarts=True, repaired_alone=True)
