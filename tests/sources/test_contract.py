"""Every kind of source keeps one contract."""

import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from camera_help import FakeVideoCapture, camera_source
from conftest import MakeClip
from PIL import Image

from vidsal.settings import Settings
from vidsal.sources import open_source
from vidsal.sources.base import Source

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
    return camera_source(FakeVideoCapture(9)), (30, 40), 8, Fraction(20)


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
    # A raw stream has no frame count; for a program stream it is estimated from the bytes.
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
    with open_source(path, Settings()) as source:
        frames = list(source.frames())
    means = [frame.rgb.reshape(-1, 3).mean(axis=0) for frame in frames]
    assert len(means) == 3
    for mean in means:
        assert mean == pytest.approx([220, 40, 20], abs=4)


def test_a_red_camera_is_red() -> None:
    with camera_source(FakeVideoCapture(3, bgr=(20, 40, 220))) as source:
        frames = list(source.frames())
    assert len(frames) == 2  # The first one only tells the size.
    assert all((frame.rgb == [220, 40, 20]).all() for frame in frames)
