"""Audio stays in sync where the timestamps of the source restart."""

import math
from pathlib import Path

import av
import numpy as np
import pytest
from conftest import MakeClip, run_ffmpeg
from sink_help import run_vidsal

from vidsal.media import probe

pytestmark = pytest.mark.usefixtures("own_folder")


@pytest.mark.parametrize(
    ("part", "length_s"),
    [({}, 4.0), ({"start": 1.0, "end": 3.4}, 2.4), ({"start": 2.4, "end": 3.6}, 1.2)],
)
def test_sound_goes_on_where_time_begins_anew(
    part: dict[str, float], length_s: float, make_clip: MakeClip, tmp_path: Path
) -> None:
    # Two recordings put one after the other, as people do with transport streams.
    one = make_clip("one.ts", frames=50, sound="aac")
    both, out = tmp_path / "both.ts", tmp_path / "o.mp4"
    both.write_bytes(one.read_bytes() * 2)
    run_vidsal(both, out, **part)
    seen = probe.inspect(out)
    assert seen.picture is not None and seen.sound is not None
    assert seen.picture.frames == round(length_s * 25)
    assert seen.sound.end_s - seen.picture.times_s[0] == pytest.approx(length_s, abs=0.1)
    # The audio is not silent before the end.
    pcm = tmp_path / "o.s16"
    run_ffmpeg("-i", str(out), "-vn", "-ac", "1", "-ar", "8000", "-f", "s16le", str(pcm))
    loudness = np.abs(np.fromfile(pcm, np.int16).astype(float))
    tenths = loudness[: len(loudness) // 800 * 800].reshape(-1, 800).mean(axis=1)
    assert len(tenths) == pytest.approx(length_s * 10, abs=2)
    assert (tenths[1:-2] > 0.5 * np.median(tenths)).mean() > 0.9


def _edges(path: Path, kind: str) -> list[float]:
    """When it becomes light, or loud, each time anew."""
    with av.open(str(path)) as file:
        if kind == "light":
            frames = [
                (f.time, f.to_ndarray(format="gray").mean() > 150) for f in file.decode(video=0)
            ]
        else:
            frames = []
            for f in file.decode(audio=0):
                loud = np.abs(f.to_ndarray()).max(axis=0) > 0.2
                place = int(np.argmax(loud))
                frames.append((f.time + place / f.sample_rate * loud.any(), bool(loud.any())))
    edges: list[float] = []
    last_s = -math.inf
    for time_s, is_on in frames:
        if is_on and time_s - last_s > 1:
            edges.append(float(time_s))
        last_s = time_s if is_on else last_s
    return edges


def _recording(
    path: Path,
    *,
    sound_s: float,
    channels: int = 1,
    length_s: int = 4,
    codec: str = "aac",
    at_s: float = 2.0,
) -> bytes:
    """A transport stream with a flash and a tone at some time."""
    during = f"between(t,{at_s:.2f},{at_s + 0.3:.2f})"
    tone = "|".join([f"if({during},0.8*sin(2*PI*1000*t),0)"] * channels)
    run_ffmpeg(
        "-f", "lavfi",
        "-i", f"testsrc2=s=160x96:r=25:d={length_s},drawbox=c=white:t=fill:enable='{during}'",
        "-f", "lavfi", "-i", f"aevalsrc='{tone}':d={sound_s}:s=44100", "-c:v", "libx264",
        "-x264-params", "keyint=25:open-gop=1:bframes=3", "-c:a", codec, str(path),
    )  # fmt: skip
    return path.read_bytes()


def _assert_in_time(path: Path, count: int) -> None:
    light, loud = _edges(path, "light"), _edges(path, "loud")
    assert len(light) == count
    # Half a frame.
    assert light == pytest.approx(loud, abs=0.021)


@pytest.mark.parametrize("part", [{}, {"start": 5.0}])
@pytest.mark.parametrize("sound_s", [4.0, 4.4, 3.6])
def test_sound_is_in_time_in_each_of_several_recordings(
    sound_s: float, part: dict[str, float], tmp_path: Path
) -> None:
    # Put one after the other, each with a sound as long as its picture, longer, or shorter.
    joined = tmp_path / "joined.ts"
    joined.write_bytes(_recording(tmp_path / "one.ts", sound_s=sound_s) * 6)
    _assert_in_time(run_vidsal(joined, tmp_path / "o.mp4", **part), 5 if part else 6)


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
@pytest.mark.parametrize(
    ("part", "count"), [({"start": 12.3}, 3), ({"start": 13.3, "duration": 8.0}, 2)]
)
def test_a_late_part_of_several_recordings_has_its_own_sound(
    part: dict[str, float], count: int, suffix: str, tmp_path: Path
) -> None:
    joined = tmp_path / "joined.ts"
    # The times are uneven, so that the audio of another part does not fit.
    at_s = [1.0, 2.2, 1.4, 3.0, 1.2, 2.6]
    ones = [_recording(tmp_path / f"{n}.ts", sound_s=4, at_s=one) for n, one in enumerate(at_s)]
    joined.write_bytes(b"".join(ones))
    _assert_in_time(run_vidsal(joined, tmp_path / f"o{suffix}", **part), count)


@pytest.mark.parametrize("silent", [(0,), (1,), (0, 2)])
def test_recordings_of_which_some_are_silent(silent: tuple[int, ...], tmp_path: Path) -> None:
    joined = tmp_path / "joined.ts"
    ones = []
    for n, at_s in enumerate([1.0, 2.2, 1.4]):
        data = _recording(tmp_path / f"{n}.ts", sound_s=4, at_s=at_s)
        if n in silent:
            run_ffmpeg("-i", str(tmp_path / f"{n}.ts"), "-an", "-c", "copy",
                       str(tmp_path / f"silent{n}.ts"))  # fmt: skip
            data = (tmp_path / f"silent{n}.ts").read_bytes()
        ones.append(data)
    joined.write_bytes(b"".join(ones))
    out = run_vidsal(joined, tmp_path / "o.mp4")
    light, loud = _edges(out, "light"), _edges(out, "loud")
    assert len(light) == 3
    assert loud == pytest.approx([one for n, one in enumerate(light) if n not in silent], abs=0.021)


@pytest.mark.parametrize("kept", [slice(30, None), slice(None, 80), slice(20, 85)])
def test_sound_is_in_time_in_recordings_that_were_cut(kept: slice, tmp_path: Path) -> None:
    # The cut is inside a group of pictures: some listed pictures cannot be decoded.
    joined = tmp_path / "joined.ts"
    data = _recording(tmp_path / "one.ts", sound_s=4)
    packets = [data[n : n + 188] for n in range(0, len(data), 188)]
    percent = len(packets) / 100
    first, last = round((kept.start or 0) * percent), round((kept.stop or 100) * percent)
    joined.write_bytes(b"".join(packets[first:last]) * 4)
    _assert_in_time(run_vidsal(joined, tmp_path / "o.mp4"), 4)


def test_sound_that_changes_its_channels_goes_on(tmp_path: Path) -> None:
    joined = tmp_path / "joined.ts"
    one = _recording(tmp_path / "one.ts", sound_s=4, channels=2)
    other = _recording(tmp_path / "other.ts", sound_s=3.7, channels=1)
    joined.write_bytes(one + other + one)
    _assert_in_time(run_vidsal(joined, tmp_path / "o.mp4"), 3)


@pytest.mark.parametrize("length_s", [4, 9])
@pytest.mark.parametrize("codec", ["ac3", "mp2"])
def test_sound_that_cannot_be_followed_is_told(
    codec: str, length_s: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    joined = tmp_path / "joined.ts"
    one = _recording(tmp_path / "one.ts", sound_s=length_s, length_s=length_s, codec=codec)
    joined.write_bytes(one * 3)
    out = run_vidsal(joined, tmp_path / "o.mp4")
    if codec == "mp2":
        _assert_in_time(out, 3)
        return
    assert "its sound (ac3) cannot be aligned after that: the video has no sound" in caplog.text
    light = np.array(_edges(out, "light"))
    assert light - light[0] == pytest.approx([0, length_s, 2 * length_s], abs=0.021)
    assert probe.inspect(out).sound is None
