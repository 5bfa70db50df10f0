"""Uneven, odd or missing times: each frame has the time at which the file shows it."""

import math
from fractions import Fraction
from pathlib import Path

import av
import imageio.v3 as iio
import numpy as np
import pytest
from conftest import MakeClip, run_ffmpeg
from file_help import H264, difference, read_whole

import vidsal
from vidsal.errors import UsageError
from vidsal.media import probe
from vidsal.settings import Settings
from vidsal.sources import open_source


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


def test_frames_without_times_that_are_shown_come_as_they_are_decoded(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    # In AVI a packet's only time is when it is decoded, and the rate it claims is that of the MP4.
    clip, avi = make_clip(frames=50, rate="24", options=["-bf", "3"]), tmp_path / "a.avi"
    run_ffmpeg("-i", str(clip), "-c", "copy", "-video_track_timescale", "600", str(avi))
    found = probe.inspect(avi).picture
    assert found is not None
    assert (found.rate, found.frames, found.has_times) == (Fraction(24), 50, False)
    for is_strict in (False, True):
        frames = read_whole(avi, strict=is_strict)
        assert [frame.time_s for frame in frames] == pytest.approx(np.arange(50) / 24, abs=2e-3)
        for one, other in zip(frames, read_whole(clip), strict=True):
            assert difference(one.rgb, other.rgb) < 3


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
def test_a_frame_that_lasts_long_is_shown_even_if_it_came_soon(
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
    shown = {round(frame.time_s, 1): frame.rgb for frame in read_whole(tmp_path / "o.mkv")}
    for time_s in (1.0, 2.0, 3.0):
        assert difference(shown[time_s], stands.rgb) < 1


@pytest.mark.parametrize(("fps", "count"), [("10", 10), ("25", 25), ("50", 25), ("7", 7)])
def test_fewer_frames_are_chosen_by_time(fps: str, count: int, make_clip: MakeClip) -> None:
    path = make_clip(frames=25)
    with open_source(path, Settings(fps=fps)) as source:  # type: ignore[arg-type]
        times_s = [frame.time_s for frame in source.frames()]
        assert (source.info.frame_count_hint, source.info.fps) == (count, Fraction(fps))
    assert len(times_s) == count
    due = np.arange(count) / min(25, int(fps))
    # Each is the frame nearest to its time.
    assert np.abs(np.array(times_s) - due).max() <= 0.5 / 25 + 1e-6


def test_a_part_between_two_frames_holds_none(make_clip: MakeClip) -> None:
    path = make_clip(frames=25)
    # Frames come at 0.4 and 0.44 s.
    with open_source(path, Settings(start=0.41, end=0.43)) as source:
        assert list(source.frames()) == []


@pytest.mark.parametrize("end_s", [0.85, 0.912, 0.96])
def test_the_frames_at_the_end_of_a_part_are_chosen_from_it(
    end_s: float, make_clip: MakeClip
) -> None:
    path = make_clip(frames=48, rate="24")
    with open_source(path, Settings(fps="10", end=end_s)) as source:  # type: ignore[arg-type]
        times_s = [frame.time_s for frame in source.frames()]
        assert source.info.frame_count_hint == len(times_s)
    inside = np.arange(48) / 24
    inside = inside[inside < end_s]
    nearest = [float(inside[np.abs(inside - n / 10).argmin()]) for n in range(len(times_s))]
    assert times_s == pytest.approx(nearest, abs=1e-6)


def test_a_step_that_is_longer_than_the_video_is_one_line(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    path = make_clip(frames=25)
    for every, duration, line in ((26, None, "25 frames of .*clip.mp4"), (9, 0.3, "in that part")):
        with pytest.raises(UsageError, match=f"^every={every} is too large for the .*{line}"):
            open_source(path, Settings(every=every, duration=duration))
    # With other steps one frame is left, which lasts as long as the video, or nearly.
    for every, seconds in ((25, 1.0), (24, 0.96)):
        out = tmp_path / f"{every}.mp4"
        vidsal.run(path, Settings(model="none", every=every, output=out))
        assert _length_s(out) == pytest.approx(seconds, abs=1e-3)


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


def _length_s(path: Path) -> float:
    found = probe.inspect(path).picture
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


def test_a_gap_of_timestamps_in_a_transport_stream_is_removed(tmp_path: Path) -> None:
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
    sound = probe.inspect(out).sound
    assert sound is not None and sound.end_s == pytest.approx(6, abs=0.2)


def test_a_long_gap_in_the_sound_is_not_a_gap_of_timestamps(tmp_path: Path) -> None:
    path = tmp_path / "a.ts"
    run_ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=s=64x48:r=5:d=20", "-f", "lavfi", "-i", "sine=d=20",
        "-c:v", "libx264", "-c:a", "aac", "-bsf:a", "noise=drop='between(pts*tb,3,17)'", str(path),
    )  # fmt: skip
    found = probe.inspect(path)
    assert found.picture is not None and found.sound is not None
    assert not found.picture.restarts and not found.sound.restarts
    assert found.picture.end_s - found.begin_s == pytest.approx(20, abs=0.3)


@pytest.mark.parametrize(("sound_s", "length_s"), [(99, 99), (98.5, 99), (20, 10), (0, 10)])
def test_a_last_slide_stands_as_long_as_somebody_talks(
    sound_s: float, length_s: float, tmp_path: Path
) -> None:
    # Frames at 0, 1 and 9 s. The file claims 90 s for the last; only long audio confirms that.
    talk = tmp_path / "talk.mp4"
    sound = ["-f", "lavfi", "-i", f"sine=d={sound_s}", "-c:a", "aac"] if sound_s else []
    run_ffmpeg(
        "-f", "lavfi", "-i", "color=s=64x48:r=1:d=3,setpts='if(eq(N,2),9,N)/TB'", *sound,
        "-fps_mode", "passthrough", "-c:v", "libx264", "-bf", "0",
        "-bsf:v", "setts=duration='if(eq(N,2),90/TB,if(eq(N,1),8/TB,1/TB))'", str(talk),
    )  # fmt: skip
    with open_source(talk, Settings()) as source:
        assert source.info.duration_s == pytest.approx(length_s, abs=0.01)


def test_a_picture_that_begins_late_is_found(make_clip: MakeClip, tmp_path: Path) -> None:
    clip, late = make_clip(frames=50, sound="aac"), tmp_path / "late.mkv"
    run_ffmpeg("-itsoffset", "12", "-i", str(clip), "-i", str(clip), "-map", "0:v", "-map", "1:a",
               "-c", "copy", str(late))  # fmt: skip
    with open_source(late, Settings(end=1)) as source:
        assert len(list(source.frames())) == 25


def test_two_frames_of_milliseconds_have_the_rate_they_claim(make_clip: MakeClip) -> None:
    found = probe.inspect(make_clip("a.mkv", rate="30", frames=2)).picture
    assert found is not None and found.rate == 30


def test_a_long_still_screen_is_not_the_end(tmp_path: Path) -> None:
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


def test_a_repeated_timestamp_delays_nothing(make_clip: MakeClip, tmp_path: Path) -> None:
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


HLG = (
    "format=yuv420p10le,setparams=color_primaries=bt2020:color_trc=arib-std-b67:colorspace=bt2020nc"
)


@pytest.mark.parametrize(
    ("name", "args"),
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
    strict: bool, name: str, args: list[str], tmp_path: Path
) -> None:
    path = tmp_path / name
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=16", *args, str(path))
    whole = read_whole(path)
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
