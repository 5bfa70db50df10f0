"""Probing, on files with known contents."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from conftest import MakeClip, run_ffmpeg

from vidsal.media.probe import inspect


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "avi", "ts"])
@pytest.mark.parametrize("rate", ["24000/1001", "25", "60000/1001"])
def test_a_constant_rate_is_exact_in_every_container(
    suffix: str, rate: str, make_clip: MakeClip
) -> None:
    found = inspect(make_clip(f"clip.{suffix}", rate=rate, frames=50, options=["-bf", "2"])).picture
    assert found is not None
    assert (found.rate, found.is_variable, found.frames) == (Fraction(rate), False, 50)
    assert (found.codec, found.upright_px, found.corrupt_packets) == ("h264", (48, 64), 0)
    steps = np.diff(found.times_s)
    # Matroska rounds times to milliseconds.
    assert steps == pytest.approx(np.full(49, float(1 / Fraction(rate))), abs=1.1e-3)
    assert found.end_s - found.times_s[0] == pytest.approx(float(50 / Fraction(rate)), abs=2e-3)


def test_a_gap_makes_the_rate_variable_and_keeps_its_value(make_clip: MakeClip) -> None:
    path = make_clip(
        frames=40, options=["-vf", "select='not(between(n,10,20))'", "-fps_mode", "passthrough"]
    )
    found = inspect(path).picture
    assert found is not None
    assert (found.rate, found.is_variable, found.frames) == (Fraction(25), True, 40)
    assert found.times_s[9:11] == pytest.approx([0.36, 0.84])


def test_pixel_aspect_and_rotation_give_the_upright_size(make_clip: MakeClip) -> None:
    wide = make_clip("wide.mp4", frames=2, options=["-vf", "setsar=3/2"])
    tall = make_clip("tall.mp4", frames=2, options=["-vf", "setsar=1/2"])
    turned = wide.with_name("turned.mp4")
    run_ffmpeg("-display_rotation:v:0", "90", "-i", str(wide), "-c", "copy", str(turned))
    sizes = {}
    for path in (wide, tall, turned):
        picture = inspect(path).picture
        assert picture is not None
        sizes[path.stem] = picture.upright_px
    # No side becomes smaller.
    assert sizes == {"wide": (48, 96), "tall": (96, 64), "turned": (96, 48)}


def test_a_cover_is_not_a_video_stream(make_clip: MakeClip) -> None:
    clip = make_clip(frames=5)
    cover = clip.with_name("cover.png")
    run_ffmpeg("-f", "lavfi", "-i", "color=red:size=300x200", "-frames:v", "1", str(cover))
    both = clip.with_name("both.mp4")
    run_ffmpeg(
        "-i", str(cover), "-i", str(clip), "-map", "0", "-map", "1", "-c", "copy",
        "-disposition:v:0", "attached_pic", str(both),
    )  # fmt: skip
    song = clip.with_name("song.m4a")
    run_ffmpeg(
        "-i", str(cover), "-f", "lavfi", "-i", "sine=440:duration=1", "-map", "0", "-map", "1",
        "-c:v", "copy", "-c:a", "aac", "-disposition:v:0", "attached_pic", str(song),
    )  # fmt: skip
    found = inspect(both).picture
    assert found is not None and (found.upright_px, found.frames) == ((48, 64), 5)
    assert inspect(song).picture is None
    assert inspect(song).sound is not None


def test_audio_times(make_clip: MakeClip) -> None:
    clip = make_clip(frames=50, sound="aac")
    late = clip.with_name("late.mkv")
    run_ffmpeg("-itsoffset", "0.5", "-i", str(clip), "-i", str(clip), "-map", "0:v", "-map", "1:a",
               "-c", "copy", str(late))  # fmt: skip
    found = inspect(late)
    assert found.sound is not None and found.picture is not None
    assert found.sound.codec == "aac"
    assert found.sound.begin_s == pytest.approx(0, abs=0.03)
    assert found.sound.end_s == pytest.approx(2, abs=0.05)
    assert found.picture.times_s[0] == pytest.approx(0.5, abs=0.03)
    assert inspect(make_clip("mute.mp4")).sound is None


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts"])
def test_a_truncated_file_is_detected(name: str, make_clip: MakeClip) -> None:
    path = make_clip(name, frames=100, options=["-g", "10", "-movflags", "+faststart"])
    assert not inspect(path).is_truncated
    whole = path.read_bytes()
    # Not a whole number of transport stream packets.
    path.write_bytes(whole[: len(whole) // 376 * 188 + 75])
    found = inspect(path)
    assert found.picture is not None and 20 < found.picture.frames < 90
    assert found.is_truncated


def test_a_gif_without_its_end_is_truncated(make_clip: MakeClip) -> None:
    path = make_clip("a.gif", frames=30, codec="gif")
    whole = path.read_bytes()
    path.write_bytes(whole + bytes(100))
    assert not inspect(path).is_truncated
    path.write_bytes(whole[: len(whole) // 2])
    assert inspect(path).is_truncated


def test_tags_are_not_taken_for_properties_of_the_file(make_clip: MakeClip) -> None:
    clip = make_clip("a.mkv", frames=10)
    odd, plain = clip.with_name("odd.mkv"), inspect(clip)
    lies = "Duration: 00:10:00.00, start: 1.500000, bitrate"
    run_ffmpeg("-i", str(clip), "-c", "copy", "-metadata", f"title={lies}", "-metadata:s:v",
               "comment=rotation of 90.00 degrees", str(odd))  # fmt: skip
    found = inspect(odd)
    assert (found.begin_s, found.duration_s) == (plain.begin_s, plain.duration_s)
    assert not found.is_truncated
    assert found.picture is not None and found.picture.rotation_deg == 0


def test_only_the_first_video_stream_is_described(make_clip: MakeClip) -> None:
    clip = make_clip("a.mp4", frames=10)
    turned, both = clip.with_name("turned.mp4"), clip.with_name("both.mp4")
    run_ffmpeg("-display_rotation:v:0", "90", "-i", str(clip), "-c", "copy", str(turned))
    run_ffmpeg("-i", str(clip), "-i", str(turned), "-map", "0", "-map", "1", "-c", "copy",
               str(both))  # fmt: skip
    for path, degrees in ((both, 0), (turned, 90)):
        found = inspect(path).picture
        assert found is not None and found.rotation_deg == degrees


def test_a_missing_index_is_detected(make_clip: MakeClip) -> None:
    path = make_clip(frames=40, options=["-movflags", "0"])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    found = inspect(path)
    assert (found.picture, found.lacks_index) == (None, True)


def test_a_part_is_probed_without_judging_the_end(make_clip: MakeClip) -> None:
    path = make_clip(frames=100)
    found = inspect(path, until_s=2.0)
    assert found.picture is not None
    assert 50 <= found.picture.frames < 60
    assert (found.picture.rate, found.is_truncated) == (Fraction(25), False)


@pytest.mark.parametrize("data", [b"", b"This is no video.\n" * 50, bytes(range(256)) * 40])
def test_other_data_is_an_empty_media(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(data)
    found = inspect(path)
    assert (found.picture, found.sound, found.duration_s) == (None, None, None)


@pytest.mark.parametrize(("trc", "is_hdr"), [("smpte2084", True), ("arib-std-b67", True),
                                             ("bt709", False)])  # fmt: skip
def test_hdr_is_detected_by_its_transfer_function(
    trc: str, is_hdr: bool, make_clip: MakeClip
) -> None:
    tags = f"setparams=color_primaries=bt2020:color_trc={trc}:colorspace=bt2020nc"
    found = inspect(make_clip(frames=2, options=["-vf", f"format=yuv420p,{tags}"])).picture
    assert found is not None and found.is_hdr == is_hdr


def test_an_audio_stream_without_times_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    header = ["#tb 0: 1/25", "#media_type 0: audio", "#codec_id 0: aac", "#tb 1: 1/25"]
    header += ["#media_type 1: video", "#codec_id 1: h264", "#dimensions 1: 64x48", "#sar 1: 1/1"]
    rows = [f"{stream}, {n}, NOPTS, 1, 100, 0x1" for n in range(3) for stream in (0, 1)]

    def fake_list(path: str, add_line: Callable[[str], None], *, until_s: float | None) -> str:
        for line in [*header, *rows]:
            add_line(line + "\n")
        return "Stream #0:1: Video: h264, 25 fps\nStream mapping:"

    monkeypatch.setattr("vidsal.media.ffmpeg.list_packets", fake_list)
    found = inspect("a.mp4")
    assert found.sound is None
    assert found.picture is not None
    # Frames without times are shown at a constant rate.
    assert found.picture.times_s == pytest.approx([0, 0.04, 0.08])


def test_frames_without_times_begin_when_the_first_is_shown(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    # An AVI has decoding times only, and not for all frames.
    path = tmp_path / "a.avi"
    run_ffmpeg("-i", str(make_clip(frames=30, sound="aac")), "-c:v", "mpeg4", "-bf", "2", "-c:a",
               "libmp3lame", str(path))  # fmt: skip
    found = inspect(path).picture
    assert found is not None and not found.has_times
    with av.open(str(path)) as file:
        shown_s = [frame.time for frame in file.decode(video=0)]
    assert found.times_s[0] == pytest.approx(shown_s[0]) == pytest.approx(0.04)
    assert found.end_s == pytest.approx(0.04 + 30 / 25)


@pytest.mark.parametrize("seconds", [[0, 10, 20, 30, 40], [0, 0.04, 0.08, 0.12, 60.12]])
def test_long_slides_keep_their_times(seconds: list[float], make_clip: MakeClip) -> None:
    # Reference frames are stored first, so the decoding times end much earlier.
    times = "+".join(f"eq(N,{n})*{at}" for n, at in enumerate(seconds))
    options = ["-vf", f"setpts='round(({times})/TB)'", "-fps_mode", "passthrough"]
    clip = make_clip("slides.mkv", frames=len(seconds), rate="100", options=options)
    found = inspect(clip).picture
    assert found is not None and found.has_times
    assert found.times_s == pytest.approx(seconds, abs=2e-3)
