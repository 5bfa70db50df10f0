"""Audio, copied or encoded again, stays in sync with the picture."""

import math
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from conftest import MakeClip, run_ffmpeg
from sink_help import boxes_of, make_info, names_in, run_vidsal, write_with_sound

from vidsal.media import probe
from vidsal.settings import Settings
from vidsal.sinks import mux
from vidsal.sinks.video import video_sink
from vidsal.types import SoundPart

pytestmark = pytest.mark.usefixtures("own_folder")


def _packets(path: Path) -> list[tuple[float, bytes]]:
    """Time and bytes of each sound packet."""
    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        return [
            (float(packet.pts * packet.time_base), bytes(packet))
            for packet in file.demux(stream)
            if packet.size
        ]


@pytest.mark.parametrize(("name", "sound"), [("a.mp4", "aac"), ("a.mkv", "libopus")])
def test_sound_is_copied_bit_for_bit(
    name: str, sound: str, make_clip: MakeClip, tmp_path: Path
) -> None:
    clip = make_clip(name, frames=50, sound=sound)
    out = run_vidsal(clip, tmp_path / "o.mp4")
    given, got = _packets(clip), _packets(out)
    # The video's end may cut the last packets, that is all.
    assert len(given) - 2 <= len(got) <= len(given)
    assert [data for _, data in got] == [data for _, data in given[: len(got)]]
    assert [t for t, _ in got] == pytest.approx([t for t, _ in given[: len(got)]], abs=0.002)
    with av.open(str(out)) as file:
        assert file.streams.video[0].frames == 50
        assert file.streams.video[0].average_rate == 25
    boxes = boxes_of(out.read_bytes())
    assert boxes.index("moov") < boxes.index("mdat")
    assert names_in(tmp_path) == sorted([name, "o.mp4"])


def test_sample_clip_keeps_its_sound(sample_media: Path, tmp_path: Path) -> None:
    clip = sample_media / "chinchilla.mp4"
    out = write_with_sound(SoundPart(str(clip), "aac", duration_s=1.0), tmp_path / "o.mp4")
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
    out = run_vidsal(clip, tmp_path / "o.mp4", start=start)
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
    out = run_vidsal(clip, tmp_path / "o.mp4", start=start)
    before_s = _first(clip, "click")[0] - _first(clip, "picture")[0] - (start or 0)
    # Audio before the first frame is kept, unless `start` is given.
    picture_s = 0 if start else 0.5
    assert _first(out, "picture")[0] == pytest.approx(picture_s, abs=0.05)
    after_s = _first(out, "click")[0] - _first(out, "picture")[0]
    assert after_s == pytest.approx(before_s, abs=0.005)


def test_encoded_sound_is_the_same_tone(make_clip: MakeClip, tmp_path: Path) -> None:
    clip = make_clip("a.avi", frames=50, codec="mjpeg", sound="pcm_s16le")
    out = run_vidsal(clip, tmp_path / "o.mp4")
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
    out = write_with_sound(SoundPart(str(clip), "aac", duration_s=1.0), tmp_path / "o.mp4")
    packets = _packets(out)
    assert packets[-1][0] == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
@pytest.mark.parametrize("frames", [10, 100])
def test_neither_sound_nor_picture_shortens_the_other(
    frames: int, suffix: str, make_clip: MakeClip, tmp_path: Path
) -> None:
    clip = make_clip(frames=50, sound="aac")
    out = write_with_sound(SoundPart(str(clip), "aac"), tmp_path / f"o{suffix}", frames=frames)
    seen = probe.inspect(out)
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
    seen = probe.inspect(clip)
    assert seen.sound is not None and seen.picture is not None
    # In old versions of ffmpeg the file begins with audio that decoders skip.
    delay_s = float(seen.picture.times_s[0]) - seen.begin_s
    sound = SoundPart(str(clip), seen.sound.codec, begin_s + delay_s, picture_at_s, duration_s)
    out = write_with_sound(sound, tmp_path / f"o{suffix}", frames=50)
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
    out = write_with_sound(SoundPart(str(clip), "aac", begin_s), tmp_path / f"o{suffix}", frames=50)
    click_s = _first(out, "click")[0] - _first(out, "picture")[0]
    assert click_s == pytest.approx(before_s - begin_s, abs=0.005)


def _flash_s(path: Path) -> float:
    with av.open(str(path)) as file:
        frames = ((f.time, f.to_ndarray(format="gray").mean()) for f in file.decode(video=0))
        return next(float(time_s) for time_s, light in frames if light > 150)


@pytest.mark.parametrize("part", [{}, {"start": 0.5}])
def test_sound_is_in_time_where_the_first_pictures_cannot_be_decoded(
    part: dict[str, float], tmp_path: Path
) -> None:
    # Cut in the middle: the first pictures that are listed lean on one that is not there.
    whole, cut = tmp_path / "whole.ts", tmp_path / "cut.ts"
    during = "between(t,4,4.3)"
    run_ffmpeg(
        "-f", "lavfi",
        "-i", f"testsrc2=s=160x96:r=25:d=6,drawbox=c=white:t=fill:enable='{during}'",
        "-f", "lavfi", "-i", f"aevalsrc='if({during},0.8*sin(2*PI*1000*t),0)':d=6:s=44100",
        "-c:v", "libx264", "-x264-params", "open-gop=1:keyint=25:bframes=3:b-pyramid=0",
        "-c:a", "aac", str(whole),
    )  # fmt: skip
    packets = whole.stat().st_size // 188
    cut.write_bytes(whole.read_bytes()[packets * 2 // 5 * 188 :])
    picture = probe.inspect(cut).picture
    assert picture is not None
    with av.open(str(cut)) as file:
        decoded_s = float(next(file.decode(video=0)).time)
    assert decoded_s - picture.times_s[0] > 0.03
    out = run_vidsal(cut, tmp_path / "o.mp4", **part)
    assert _flash_s(out) == pytest.approx(_first(out, "click")[0], abs=0.005)


def test_sound_can_be_left_out(make_clip: MakeClip, tmp_path: Path) -> None:
    clip = make_clip(sound="aac")
    sound = SoundPart(str(clip), "aac")
    assert probe.inspect(write_with_sound(sound, tmp_path / "a.mp4")).sound is not None
    assert probe.inspect(write_with_sound(sound, tmp_path / "b.mp4", audio=False)).sound is None
    assert probe.inspect(write_with_sound(sound, tmp_path / "c.gif")).sound is None


def test_a_part_without_sound_has_no_empty_track(tmp_path: Path) -> None:
    clip = tmp_path / "a.mkv"
    run_ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=6", "-f", "lavfi", "-i", "sine=440:d=2",
        "-c:v", "libx264", "-c:a", "aac", str(clip),
    )  # fmt: skip
    out = write_with_sound(SoundPart(str(clip), "aac", begin_s=3.0), tmp_path / "o.mp4")
    with av.open(str(out)) as file:
        assert [stream.type for stream in file.streams] == ["video"]
    out = write_with_sound(SoundPart(str(clip), "aac", begin_s=1.5), tmp_path / "p.mp4")
    sound = probe.inspect(out).sound
    assert sound is not None and sound.end_s == pytest.approx(0.5, abs=0.05)


def test_sound_that_cannot_be_read_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.mp4").write_text("no sound")
    out = write_with_sound(SoundPart(str(tmp_path / "a.mp4"), "aac"), tmp_path / "o.mp4")
    assert probe.inspect(out).sound is None
    assert "a.mp4: its audio cannot be read, so the video has none" in caplog.text


def test_sound_that_cannot_be_copied_is_encoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # The table allows a copy, but MP4 refuses the codec.
    clip = _clip_with_click(tmp_path / "a.mkv", sound="pcm_s16le", codec="libx264")
    monkeypatch.setitem(mux._COPIED_CODECS, ".mp4", ("pcm_mulaw",))
    run_ffmpeg("-i", str(clip), "-c:v", "copy", "-c:a", "pcm_mulaw", str(tmp_path / "b.mkv"))
    caplog.set_level("INFO")
    sound = SoundPart(str(tmp_path / "b.mkv"), "pcm_mulaw")
    out = write_with_sound(sound, tmp_path / "o.mp4", frames=150)
    assert "is encoded again: ffmpeg failed: " in caplog.text
    click_s, found = _first(out, "click")
    assert click_s == pytest.approx(3.0, abs=0.005)
    assert found == "aac"


def test_sound_of_more_speakers_than_can_be_encoded_is_mixed_down(tmp_path: Path) -> None:
    source, out = tmp_path / "s.mov", tmp_path / "o.mp4"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=size=64x48:duration=2", "-f", "lavfi", "-i",
               "sine=440:duration=2", "-af", "aformat=channel_layouts=9.1.6", "-c:a", "pcm_s16le",
               str(source))  # fmt: skip
    run_vidsal(source, out)
    with av.open(str(out)) as file:
        assert file.streams.audio[0].channels == 2


def test_chapters_of_the_whole_source_are_not_those_of_a_part(tmp_path: Path) -> None:
    (tmp_path / "chapters.txt").write_text(
        ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1\nSTART=3\nEND=5\ntitle=late\n"
    )
    clip = _clip_with_click(tmp_path / "a.mp4", sound="aac", codec="libx264")
    run_ffmpeg(
        "-i", str(clip), "-i", str(tmp_path / "chapters.txt"), "-map_metadata", "1", "-c", "copy",
        str(tmp_path / "b.mp4"),
    )  # fmt: skip
    out = write_with_sound(
        SoundPart(str(tmp_path / "b.mp4"), "aac", begin_s=2.0), tmp_path / "o.mp4"
    )
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
    info = make_info(fps, sound=SoundPart(str(clip), "aac"))
    dark, bright = np.zeros((16, 16, 3), np.uint8), np.full((16, 16, 3), 255, np.uint8)
    with video_sink(out, info, Settings(quality=20)) as sink:
        for index in range(frames):
            sink.write(dark if index < flash else bright, round(float(index / fps), 3))
    seen = probe.inspect(out).picture
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
