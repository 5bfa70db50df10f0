"""Videos read back with PyAV: their frames and times."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from conftest import MakeClip
from sink_help import (
    FILM,
    boxes_of,
    make_info,
    make_picture,
    names_in,
    rgb_of,
    write_video,
)

import vidsal
from vidsal.settings import Settings
from vidsal.sinks.video import display_duration_s, video_sink
from vidsal.types import Rgb

pytestmark = pytest.mark.usefixtures("own_folder")


@pytest.mark.parametrize("fps", [FILM, Fraction(30000, 1001), Fraction(25), Fraction(20, 3)])
def test_video_has_the_exact_count_size_and_rate(fps: Fraction, tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    write_video(path, (make_picture(n) for n in range(23)), make_info(fps))
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        times = [frame.pts * frame.time_base for frame in file.decode(stream)]
        assert (stream.average_rate, stream.frames) == (fps, 23)
        assert (stream.height, stream.width) == (48, 64)
        assert len(file.streams) == 1
    assert times == [n / fps for n in range(23)]
    assert names_in(tmp_path) == ["out.mp4"]


def test_video_is_what_browsers_play(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    write_video(path, (make_picture(n) for n in range(3)), make_info())
    with av.open(str(path)) as file:
        codec = file.streams.video[0].codec_context
        assert (codec.name, codec.pix_fmt) == ("h264", "yuv420p")
        # 1 is BT.709 in each table of H.273; range 1 is limited.
        assert (codec.color_primaries, codec.color_trc, codec.colorspace) == (1, 1, 1)
        assert int(codec.color_range) == 1
    # The index comes before the pictures: it plays while it loads.
    boxes = boxes_of(path.read_bytes())
    assert boxes.index("moov") < boxes.index("mdat")


@pytest.mark.parametrize(
    "colour",
    [
        (0, 0, 0), (255, 255, 255), (128, 128, 128), (255, 0, 0), (0, 255, 0), (0, 0, 255),
        (220, 40, 20), (20, 200, 180), (252, 255, 164), (87, 16, 110),
    ],
)  # fmt: skip
def test_solid_colours_come_back(colour: tuple[int, int, int], tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    write_video(path, [np.full((48, 64, 3), colour, np.uint8)] * 3, make_info())
    with av.open(str(path)) as file:
        far = [np.abs(rgb_of(frame).astype(int) - colour).max() for frame in file.decode(video=0)]
    assert len(far) == 3 and max(far) <= 3


def test_frames_come_back_in_order_and_in_place(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    pictures = [make_picture(n) for n in range(12)]
    write_video(path, pictures, make_info())
    with av.open(str(path)) as file:
        seen = [rgb_of(frame) for frame in file.decode(video=0)]
    for one, other in zip(pictures, seen, strict=True):
        assert np.abs(one.astype(int) - other.astype(int)).mean() < 6


@pytest.mark.parametrize("size", [(47, 64), (48, 63), (47, 63)])
def test_odd_sides_gain_one_pixel(
    size: tuple[int, int], make_clip: MakeClip, tmp_path: Path
) -> None:
    # MJPEG stores odd sides, and testsrc, unlike testsrc2, draws them.
    options = ["-q:v", "1", "-pix_fmt", "yuvj444p"]
    clip = make_clip(
        "a.avi", size=size, frames=4, codec="mjpeg", options=options, picture="testsrc"
    )
    out = vidsal.run(clip, Settings(model="none", output=tmp_path / "o.mp4", annotate=False))
    with av.open(str(out)) as file:
        (first, *_) = file.decode(video=0)
        seen = rgb_of(first)
    even = size[0] + size[0] % 2, size[1] + size[1] % 2
    assert seen.shape[:2] == even
    # The first frame has no motion, so it is the input itself: padded, nowhere rescaled.
    with av.open(str(clip)) as file:
        given = next(file.decode(video=0)).to_ndarray(format="rgb24")
    padded = np.pad(given, ((0, size[0] % 2), (0, size[1] % 2), (0, 0)), mode="edge")
    assert np.abs(seen[..., 1].astype(int) - padded[..., 1].astype(int)).mean() < 6


# Live sources keep real time.


def _number(frame: Any) -> int:
    """Return the number that `_numbered` wrote into a picture."""
    return round(float(rgb_of(frame).mean()) / 8)


def _numbered(number: int) -> Rgb:
    return np.full((48, 64, 3), number * 8, np.uint8)


def _live(tmp_path: Path, times_s: Iterable[float], fps: int = 10) -> list[int]:
    """Numbers of the frames in the file that a live source with such times makes."""
    path = tmp_path / "live.mp4"
    with video_sink(path, make_info(Fraction(fps), is_live=True), Settings()) as sink:
        for index, time_s in enumerate(times_s):
            sink.write(_numbered(index), time_s)
    with av.open(str(path)) as file:
        assert file.streams.video[0].average_rate == fps
        return [_number(frame) for frame in file.decode(video=0)]


@pytest.mark.parametrize(
    ("times_s", "numbers"),
    [
        # At the declared rate.
        ([0.0, 0.1, 0.2, 0.3], [0, 1, 2, 3]),
        # Jitter of less than half a frame changes nothing.
        ([0.0, 0.14, 0.17, 0.31], [0, 1, 2, 3]),
        # Half as fast: each frame stands until the next one, and the last for one step.
        ([0.0, 0.2, 0.4], [0, 0, 1, 1, 2]),
        # Twice as fast: every other frame is left out.
        ([0.0, 0.04, 0.1, 0.14, 0.2], [0, 2, 4]),
        # A pause is filled.
        ([0.0, 0.1, 0.6, 0.7], [0, 1, 1, 1, 1, 1, 2, 3]),
    ],
)
def test_a_live_recording_keeps_real_time(
    times_s: list[float], numbers: list[int], tmp_path: Path
) -> None:
    assert _live(tmp_path, times_s) == numbers


# How long the last frame stays.


@pytest.mark.parametrize(
    ("info", "came", "shown"),
    [
        ({"duration_s": 3.0, "frame_count_hint": 10}, 10, 3.0),
        ({"duration_s": 3.0, "frame_count_hint": 10}, 11, 3.0),
        # Stopped or truncated: the remaining time belongs to frames that never arrived.
        ({"duration_s": 3600.0, "frame_count_hint": 90000}, 10, None),
        ({"duration_s": 3.0}, 10, None),
        ({"duration_s": None, "frame_count_hint": 10}, 10, None),
        ({"duration_s": 3.0, "frame_count_hint": 10, "is_live": True}, 10, None),
    ],
)
def test_only_the_last_frame_is_held(info: dict[str, Any], came: int, shown: float | None) -> None:
    assert display_duration_s(make_info(**info), came) == shown


def test_a_long_last_frame_is_in_the_file(tmp_path: Path) -> None:
    info = make_info(Fraction(10), frame_count_hint=3, duration_s=2.0)
    out = tmp_path / "o.mp4"
    for given, numbers in ((3, [0, 1] + [2] * 18), (2, [0, 1])):
        with video_sink(out, info, Settings(overwrite=True)) as sink:
            for n in range(given):
                sink.write(_numbered(n), n / 10)
        with av.open(str(out)) as file:
            assert [_number(frame) for frame in file.decode(video=0)] == numbers
