"""A video file yields the same frames as PyAV."""

import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from conftest import MakeClip, run_ffmpeg

from vidsal.errors import VidsalError
from vidsal.runtime.opencv import cv2
from vidsal.settings import Settings
from vidsal.sources import open_source
from vidsal.sources.frame_selection import LeftOut
from vidsal.sources.video import VideoSource
from vidsal.types import Frame, Rgb

# The clip with a long way between key frames: (height, width), rate, frames.
LONG_RATE = Fraction(30000, 1001)
LONG_FRAMES = 420


def _frames(path: Path, **options: Any) -> list[Frame]:
    with open_source(path, Settings(**options)) as source:
        return list(source.frames())


def _decoded(path: Path) -> list[tuple[float, Rgb]]:
    """Time from the first frame, and picture, of each frame as PyAV decodes them."""
    with av.open(str(path)) as file:
        frames = [(f.time, f.to_ndarray(format="rgb24")) for f in file.decode(video=0)]
    return [(time - frames[0][0], rgb) for time, rgb in frames]


def _difference(one: Rgb, other: Rgb) -> float:
    return float(np.abs(one.astype(float) - other.astype(float)).mean())


@pytest.mark.parametrize("rate", ["24000/1001", "30000/1001", "60", "15/2"])
def test_rate_of_a_file_is_exact(rate: str, make_clip: MakeClip) -> None:
    path = make_clip(rate=rate, frames=5)
    with VideoSource(path, Settings()) as source:
        assert source.info.fps == Fraction(rate)
    with VideoSource(path, Settings(every=3)) as source:
        assert source.info.fps == Fraction(rate) / 3


# Which frames, against PyAV.


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """14 s with a key frame every 250 frames."""
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    run_ffmpeg(
        # The hue turns, so that no frame is like its neighbours.
        "-f", "lavfi", "-i", f"testsrc2=size=64x48:rate={LONG_RATE},hue=h=11*n", "-frames:v",
        str(LONG_FRAMES), "-c:v", "libx264", "-preset", "veryfast", "-crf", "12", "-g", "250",
        "-keyint_min", "250", "-pix_fmt", "yuv420p", str(path),
    )  # fmt: skip
    return path


@pytest.fixture(scope="module")
def long_truth(long_clip: Path) -> list[tuple[float, Rgb]]:
    truth = _decoded(long_clip)
    assert len(truth) == LONG_FRAMES
    return truth


def _expected(
    truth: list[tuple[float, Rgb]], start_s: float, end_s: float, every: int
) -> list[int]:
    """Numbers of the frames from a start to before an end, every so many of them."""
    inside = [n for n, (time_s, _) in enumerate(truth) if start_s - 1e-6 <= time_s < end_s]
    return inside[::every]


def _assert_frames(frames: list[Frame], truth: list[tuple[float, Rgb]], numbers: list[int]) -> None:
    assert [frame.index for frame in frames] == numbers
    for frame in frames:
        time_s, rgb = truth[frame.index]
        assert frame.time_s == pytest.approx(time_s, abs=1e-6)
        mine = _difference(frame.rgb, rgb)
        # The picture must be that frame's and not its neighbour's: the picture always moves.
        near = [n for n in (frame.index - 1, frame.index + 1) if 0 <= n < len(truth)]
        assert mine < min(_difference(frame.rgb, truth[n][1]) for n in near)


# 12.012 s is exactly the time of frame 360.
@pytest.mark.parametrize(
    ("options", "begin", "end", "every"),
    [
        ({}, 0.0, math.inf, 1),
        ({"every": 7}, 0.0, math.inf, 7),
        ({"start": 1.0}, 1.0, math.inf, 1),
        ({"end": 1.0}, 0.0, 1.0, 1),
        ({"end": 1.001}, 0.0, 1.001, 1),
        ({"start": 1.001, "end": 2.0}, 1.001, 2.0, 1),
        ({"start": "0:02", "duration": 1.5, "every": 4}, 2.0, 3.5, 4),
        ({"start": 3, "end": 9, "duration": 1}, 3.0, 4.0, 1),
        ({"start": 9.99, "end": 10.2}, 9.99, 10.2, 1),
        ({"start": 10.01, "end": 10.2}, 10.01, 10.2, 1),
        ({"start": 12.012, "end": 12.1}, 12.012, 12.1, 1),
        ({"start": 13, "every": 5}, 13.0, math.inf, 5),
        ({"start": 13.97}, 13.97, math.inf, 1),
    ],
)
def test_part_of_a_video_is_exact(
    options: dict[str, Any],
    begin: float,
    end: float,
    every: int,
    long_clip: Path,
    long_truth: list[tuple[float, Rgb]],
) -> None:
    numbers = _expected(long_truth, begin, end, every)
    assert numbers
    with open_source(long_clip, Settings(**options)) as source:
        frames = list(source.frames())
        info = source.info
    _assert_frames(frames, long_truth, numbers)
    assert info.frame_count_hint == pytest.approx(len(frames), abs=1)


class _Patched:
    """A real cv2.VideoCapture, some of whose answers are other ones."""

    def __init__(self, capture: Any, **answers: Any) -> None:
        self._capture, self._answers = capture, answers

    def __getattr__(self, name: str) -> Any:
        return self._answers.get(name) or getattr(self._capture, name)


def _patch_capture(
    monkeypatch: pytest.MonkeyPatch, answers: Callable[[Any], dict[str, Any]]
) -> list[Any]:
    """Put `answers` in place of methods of every capture that is opened; return the captures."""
    real = cv2.VideoCapture
    opened: list[Any] = []

    def fake(*args: Any) -> _Patched:
        capture = real(*args)
        opened.append(capture)
        return _Patched(capture, **answers(capture))

    monkeypatch.setattr(cv2, "VideoCapture", fake)
    return opened


def test_a_far_start_is_sought_not_decoded(
    long_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grabbed: list[int] = []

    def counted(capture: Any) -> dict[str, Any]:
        def grab() -> bool:
            grabbed.append(1)
            return bool(capture.grab())

        return {"grab": grab}

    opened = _patch_capture(monkeypatch, counted)
    frames = _frames(long_clip, start=13.9)
    assert frames[0].index == 417
    # Opened once for the check and once to read.
    assert len(opened) == 2
    # Decoding begins a second before the start, not at the first of the 417 frames before it.
    assert len(grabbed) < 60


@pytest.mark.parametrize("failure", ["refuses", "stays", "overshoots"])
def test_where_seeking_fails_the_frames_are_the_same(
    failure: str,
    long_clip: Path,
    long_truth: list[tuple[float, Rgb]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(capture: Any) -> dict[str, Any]:
        def seek(key: int, value: float) -> bool:
            if failure == "overshoots":
                capture.set(key, 13_500)
            return failure != "refuses"

        return {"set": seek}

    opened = _patch_capture(monkeypatch, broken)
    frames = _frames(long_clip, start=12.0, end=12.5)
    _assert_frames(frames, long_truth, _expected(long_truth, 12.0, 12.5, 1))
    assert len(opened) == 3
    assert not opened[0].isOpened() and not opened[1].isOpened()


def test_part_of_a_gif_that_cannot_be_sought(long_clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "long.gif"
    run_ffmpeg("-i", str(long_clip), "-vf", "fps=10", str(path))
    truth = _decoded(path)
    frames = _frames(path, start=12.0, end=13.0)
    _assert_frames(frames, truth, _expected(truth, 12.0, 13.0, 1))


@pytest.mark.parametrize("start", [None, 3.5, 12.0])
def test_times_of_a_variable_rate_are_the_files_own(
    start: float | None, long_clip: Path, tmp_path: Path
) -> None:
    path = tmp_path / "gap.mp4"
    # Frames 100 to 159 were never recorded.
    gap = "select='not(between(n,100,159))'"
    run_ffmpeg("-i", str(long_clip), "-vf", gap, "-fps_mode", "vfr", str(path))
    truth = [one for one in _decoded(path) if one[0] >= (start or 0)]
    frames = _frames(path, start=start)
    assert [frame.time_s for frame in frames] == pytest.approx([one[0] for one in truth], abs=1e-6)
    assert all(
        _difference(frame.rgb, rgb) < 3 for frame, (_, rgb) in zip(frames, truth, strict=True)
    )


@pytest.mark.parametrize("start", [20, 2000])
def test_start_after_the_end_is_one_line(start: float, long_clip: Path) -> None:
    with pytest.raises(
        VidsalError, match=rf"start={start}\.0 is after the last frame of .*long\.mp4"
    ):
        open_source(long_clip, Settings(start=start))


def test_stop_ends_the_stream(make_clip: MakeClip) -> None:
    with open_source(make_clip(frames=20), Settings()) as source:
        frames = source.frames()
        assert [next(frames).index, next(frames).index] == [0, 1]
        source.stop()
        assert list(frames) == []


def test_frames_keep_their_pixels_after_the_next_one_came(make_clip: MakeClip) -> None:
    with open_source(make_clip(frames=4), Settings()) as source:
        frames = source.frames()
        first = next(frames)
        kept = first.rgb.copy()
        list(frames)
    assert (first.rgb == kept).all()


def test_late_first_time_stamp_is_time_zero(make_clip: MakeClip) -> None:
    path = make_clip("a.ts", frames=10, options=["-output_ts_offset", "37"])
    frames = _frames(path)
    assert [frame.time_s for frame in frames] == pytest.approx([n / 25 for n in range(10)])


@pytest.mark.parametrize(
    ("degrees", "turns"), [(90, 1), (180, 2), (270, 3)], ids=["90", "180", "270"]
)
def test_rotation_tag_is_honoured(degrees: int, turns: int, make_clip: MakeClip) -> None:
    flat = make_clip(frames=3)
    turned = flat.with_name("turned.mp4")
    run_ffmpeg("-display_rotation:v:0", str(degrees), "-i", str(flat), "-c", "copy", str(turned))
    with open_source(turned, Settings()) as source:
        frames = list(source.frames())
        info = source.info
    assert (info.height_px, info.width_px) == ((64, 48) if turns % 2 else (48, 64))
    # The tag counts counter-clockwise, as np.rot90 does.
    for frame, (_, rgb) in zip(frames, _decoded(flat), strict=True):
        assert _difference(frame.rgb, np.rot90(rgb, turns)) < 2


@pytest.mark.parametrize("claim", [-1.0, 0.0, 1e18, math.nan, math.inf, -(2.0**63)])
def test_absurd_frame_count_is_no_hint(
    claim: float, make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_clip(frames=4)

    def claims(capture: Any) -> dict[str, Any]:
        count = cv2.CAP_PROP_FRAME_COUNT
        return {"get": lambda key: claim if key == count else capture.get(key)}

    _patch_capture(monkeypatch, claims)
    with open_source(path, Settings()) as source:
        # The packets are counted; the claimed count is ignored.
        assert source.info.frame_count_hint == 4
        assert len(list(source.frames())) == 4


def test_truncated_video_gives_what_can_be_decoded(make_clip: MakeClip) -> None:
    path = make_clip(frames=40, options=["-movflags", "+faststart", "-g", "5"])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    with open_source(path, Settings()) as source:
        frames = list(source.frames())
        found = source.findings()
        assert source.info.frame_count_hint == len(frames) + found.damaged
    assert 10 < len(frames) < 40
    assert found.is_cut_off
    assert [frame.index for frame in frames] == list(range(len(frames)))


def test_frames_that_are_left_out_are_counted_by_reason(make_clip: MakeClip) -> None:
    path = make_clip(frames=25)
    settings = Settings(start=0.2, end=0.8, every=2)
    with VideoSource(path, settings, fps=Fraction(5)) as source:
        times_s = [frame.time_s for frame in source.frames()]
        assert source.left_out == {
            LeftOut.BEFORE_START: 5, LeftOut.NOT_NTH: 7, LeftOut.NOT_SHOWN: 5,
            LeftOut.AFTER_END: 1,
        }  # fmt: skip
    assert times_s == pytest.approx([0.2, 0.44, 0.6])


def test_the_sound_is_named_if_it_is_wanted(make_clip: MakeClip) -> None:
    path = make_clip(frames=25, sound="aac")
    with VideoSource(path, Settings(start=0.4, end=0.8)) as source:
        sound = source.info.sound
    assert sound is not None and (sound.path, sound.codec) == (str(path), "aac")
    assert (sound.begin_s, sound.picture_at_s) == pytest.approx((0.4, 0.0), abs=1e-3)
    assert sound.duration_s == pytest.approx(0.4)
    with VideoSource(path, Settings(), audio=False) as source:
        assert source.info.sound is None
