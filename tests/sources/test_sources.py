"""Every kind of source keeps one contract; which frames come is what PyAV says they are."""

import itertools
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import imageio.v3 as iio
import numpy as np
import pytest
from conftest import MakeClip, run_ffmpeg
from PIL import Image

from vidsal.errors import UsageError, VidsalError
from vidsal.media.frame_rate import snap_rate
from vidsal.runtime.opencv import cv2
from vidsal.settings import Settings
from vidsal.sources import open_source
from vidsal.sources.base import Source
from vidsal.sources.capture import CameraCapture, camera_fault
from vidsal.sources.live import LiveSource
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


# A camera that needs no hardware.


class FakeCapture:
    """Looks like cv2.VideoCapture: `count` pictures in one BGR colour, each a little lighter."""

    def __init__(
        self,
        count: int,
        *,
        fps: float = 20.0,
        size: tuple[int, int] = (30, 40),
        bgr: tuple[int, int, int] = (0, 0, 200),
    ) -> None:
        self.released = False
        self.reads = 0
        self._count, self._fps, self._size, self._bgr = count, fps, size, bgr

    def isOpened(self) -> bool:
        return self._count > 0

    def read(self) -> tuple[bool, Any]:
        self.reads += 1
        if self.reads > self._count:
            return False, None
        return True, np.full((*self._size, 3), self._bgr, np.uint8)

    def get(self, _: int) -> float:
        return self._fps

    def set(self, *_: Any) -> bool:
        return False

    def release(self) -> None:
        self.released = True


def _camera(
    capture: FakeCapture, *, times_s: Iterator[float] | None = None, **options: Any
) -> LiveSource:
    # The clock is looked at once before the first picture.
    times_s = itertools.chain([0.0], times_s or itertools.count(100.0, 0.05))
    return LiveSource(
        "0",
        Settings(**options),
        open_capture=lambda address: CameraCapture(address, open_capture=lambda number: capture),
        clock=lambda: float(next(times_s)),
    )


# The contract.


Kind = tuple[Source, tuple[int, int], int, Fraction | None]


def _video_kind(name: str, codec: str, *options: str) -> Callable[[MakeClip, Path], Kind]:
    def make(make_clip: MakeClip, folder: Path) -> Kind:
        path = make_clip(name, codec=codec, frames=12, options=options)
        return open_source(path, Settings()), (48, 64), 12, Fraction(25)

    return make


def _photo_kind(name: str) -> Callable[[MakeClip, Path], Kind]:
    def make(make_clip: MakeClip, folder: Path) -> Kind:
        rng = np.random.default_rng(3)
        Image.fromarray(rng.integers(0, 256, (33, 47, 3), np.uint8)).save(folder / name)
        return open_source(folder / name, Settings()), (33, 47), 1, None

    return make


def _camera_kind(make_clip: MakeClip, folder: Path) -> Kind:
    return _camera(FakeCapture(9)), (30, 40), 8, Fraction(20)


KINDS: dict[str, Callable[[MakeClip, Path], Kind]] = {
    "h264.mp4": _video_kind("a.mp4", "libx264"),
    "h264.mkv": _video_kind("a.mkv", "libx264"),
    "h264.ts": _video_kind("a.ts", "libx264"),
    "raw h264": _video_kind("a.h264", "libx264"),
    "mjpeg.avi": _video_kind("a.avi", "mjpeg", "-q:v", "2"),
    "mpeg2.mpg": _video_kind("a.mpg", "mpeg2video", "-q:v", "2"),
    "vp8.webm": _video_kind("a.webm", "libvpx", "-b:v", "2M"),
    "gif": _video_kind("a.gif", "gif"),
    "png": _photo_kind("a.png"),
    "jpeg": _photo_kind("a.jpg"),
    "webp": _photo_kind("a.webp"),
    "one-frame gif": _photo_kind("b.gif"),
    "camera": _camera_kind,
}


@pytest.mark.parametrize("kind", KINDS)
def test_contract(kind: str, make_clip: MakeClip, tmp_path: Path) -> None:
    opened, (height, width), count, fps = KINDS[kind](make_clip, tmp_path)
    with opened as source:
        info = source.info
        frames = list(source.frames())
    assert (info.height_px, info.width_px, info.fps) == (height, width, fps)
    assert info.is_live == (kind == "camera")
    assert [frame.index for frame in frames] == list(range(count))
    times_s = [frame.time_s for frame in frames]
    assert times_s[0] == 0
    assert all(math.isfinite(one) for one in times_s)
    if fps:
        assert np.diff(times_s) == pytest.approx(float(1 / fps))
    for frame in frames:
        assert frame.rgb.shape == (height, width, 3)
        assert frame.rgb.dtype == np.uint8
        assert frame.rgb.flags.c_contiguous
    # A raw stream does not say, and of a program stream it is guessed from the bytes.
    if kind not in ("raw h264", "mpeg2.mpg"):
        assert info.frame_count_hint == (None if info.is_live else count)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "libx264", []),
        ("a.avi", "mjpeg", ["-q:v", "2"]),
        ("a.webm", "libvpx", ["-b:v", "2M"]),
        ("a.gif", "gif", []),
    ],
)
def test_a_red_video_is_red(name: str, codec: str, options: list[str], make_clip: MakeClip) -> None:
    path = make_clip(name, codec=codec, frames=3, options=options, picture="color=c=0xDC2814")
    means = [frame.rgb.reshape(-1, 3).mean(axis=0) for frame in _frames(path)]
    assert len(means) == 3
    for mean in means:
        assert mean == pytest.approx([220, 40, 20], abs=4)


def test_a_red_camera_is_red() -> None:
    with _camera(FakeCapture(3, bgr=(20, 40, 220))) as source:
        frames = list(source.frames())
    assert len(frames) == 2  # The first one only tells the size.
    assert all((frame.rgb == [220, 40, 20]).all() for frame in frames)


# Rates.


@pytest.mark.parametrize(
    ("claimed", "meant"),
    [
        (24000 / 1001, Fraction(24000, 1001)),
        (30000 / 1001, Fraction(30000, 1001)),
        (60000 / 1001, Fraction(60000, 1001)),
        (29.97002997, Fraction(30000, 1001)),
        (25.0, Fraction(25)),
        (12.5, Fraction(25, 2)),
        (1000 / 33, Fraction(1000, 33)),
        (1.0, Fraction(1)),
        (0.0, Fraction(25)),
        (-1.0, Fraction(25)),
        (math.nan, Fraction(25)),
        (math.inf, Fraction(25)),
        (1e6, Fraction(25)),
    ],
)
def test_exact_rate(claimed: float, meant: Fraction) -> None:
    assert snap_rate(claimed) == meant


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

    def fake(*words: Any) -> _Patched:
        capture = real(*words)
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
    # Once to see that it can be trusted, once to read.
    assert len(opened) == 2
    # From a second before the start, not from the beginning 417 frames before it.
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
        VidsalError, match=rf"--start {start} s is after the last frame of .*long\.mp4"
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
        # The packets are counted; what is claimed is not asked for.
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


# Cameras.


def test_camera_frames_carry_the_time_of_their_arrival() -> None:
    times_s = iter([50.0, 50.04, 50.11, 50.2])
    with _camera(FakeCapture(5), times_s=times_s) as source:
        frames = source.frames()
        got = [next(frames).time_s for _ in range(4)]
    assert got == pytest.approx([0.0, 0.04, 0.11, 0.2])


def test_camera_duration_and_every() -> None:
    capture = FakeCapture(1000)
    with _camera(capture, duration=1.0, every=3) as source:
        assert source.info.fps == Fraction(20, 3)
        assert source.info.frame_count_hint == 7
        numbers = [frame.index for frame in source.frames()]
    # A frame each 0.05 s: 20 in a second.
    assert numbers == [0, 3, 6, 9, 12, 15, 18]
    assert capture.released


@pytest.mark.parametrize("claimed", [0.0, -1.0, math.nan, 1e6])
def test_camera_without_a_usable_rate_has_the_usual_one(claimed: float) -> None:
    with _camera(FakeCapture(2, fps=claimed)) as source:
        assert source.info.fps == 30


def test_camera_stop_and_a_pulled_cable_end_the_recording(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with _camera(FakeCapture(1000)) as source:
        frames = source.frames()
        next(frames)
        source.stop()
        assert list(frames) == []
    assert not caplog.messages
    with _camera(FakeCapture(4)) as source:
        assert len(list(source.frames())) == 3
    assert "camera 0 stopped delivering" in caplog.text


@pytest.mark.parametrize("name", ["camera 0 that is not there", "camera 0 that gives nothing"])
def test_camera_that_cannot_be_used_is_one_line(name: str) -> None:
    capture = FakeCapture(0)
    if name.endswith("nothing"):
        capture.isOpened = lambda: True  # type: ignore[method-assign]
    with pytest.raises(VidsalError) as caught:
        _camera(capture)
    assert str(caught.value) == f"camera 0 cannot be used: {camera_fault('0')}"
    assert "\n" not in str(caught.value)
    assert capture.released


def test_number_means_a_camera_unless_a_file_is_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = []

    def camera(address: str, settings: Settings) -> Any:
        asked.append(address)

    monkeypatch.setattr("vidsal.sources.LiveSource", camera)
    open_source("7", Settings())
    open_source(3, Settings())
    assert asked == ["7", "3"]
    Image.new("RGB", (20, 10)).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "7")
    with open_source("7", Settings()) as source:
        assert source.info.height_px == 10
    assert asked == ["7", "3"]


def test_no_camera_has_a_negative_number() -> None:
    with pytest.raises(UsageError, match="the number of a camera is 0 or more, got -1"):
        open_source(-1, Settings())


# What is no source.


def _wrong(kind: str, folder: Path, make_clip: MakeClip) -> Path:
    path = folder / f"{kind}.mp4"
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("This is no video.\n" * 100)
    elif kind == "noise":
        path.write_bytes(np.random.default_rng(0).bytes(20_000))
    elif kind == "audio":
        run_ffmpeg("-f", "lavfi", "-i", "sine=440:duration=1", "-c:a", "aac", str(path))
    elif kind == "truncated":
        # The index is at the end and is lost.
        whole = make_clip(f"{kind}.mp4", frames=40, options=["-movflags", "0"]).read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "photo":
        rgb = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
        iio.imwrite(folder / "a.png", rgb)
        path.write_bytes((folder / "a.png").read_bytes()[:5000])
    return path


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("missing", "there is no such file"),
        ("folder", "is a folder: --sequence makes one video of its pictures"),
        ("empty", "is an empty file"),
        ("text", "is not a video or picture that can be read"),
        ("noise", "is not a video or picture that can be read"),
        ("audio", "holds sound but no moving picture"),
        ("truncated", "is cut off before its index, without which nothing can be read"),
        ("photo", "is a damaged picture"),
    ],
)
def test_wrong_file_is_one_line(
    kind: str, says: str, tmp_path: Path, make_clip: MakeClip, capfd: pytest.CaptureFixture[str]
) -> None:
    path = _wrong(kind, tmp_path, make_clip)
    with pytest.raises(VidsalError) as caught:
        open_source(path, Settings())
    assert says in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
