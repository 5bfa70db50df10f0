"""Videos from arrays: their frames, rate, size and times, and the arguments that are refused."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from sink_help import make_picture, names_in, rgb_of

from vidsal.errors import UsageError, VidsalError
from vidsal.settings import Settings
from vidsal.sinks.writer import VideoWriter
from vidsal.types import Rgb


def _frames(path: Path) -> list[tuple[Fraction, Rgb]]:
    """Times and pictures of a video."""
    with av.open(str(path)) as file:
        return [(one.pts * one.time_base, rgb_of(one)) for one in file.decode(video=0)]


@pytest.mark.parametrize("fps", [25, 29.97, "24000/1001", Fraction(20, 3)])
def test_pictures_come_back_at_the_frame_rate(fps: Any, tmp_path: Path) -> None:
    path = tmp_path / "o.mp4"
    pictures = [make_picture(n) for n in range(7)]
    with VideoWriter(path, fps) as video:
        for picture in pictures:
            video.write(picture)
        assert not path.exists()
    expected = {29.97: Fraction(30000, 1001)}.get(fps, Fraction(fps))
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        assert (stream.average_rate, stream.frames) == (expected, 7)
        assert (stream.height, stream.width) == (48, 64)
        assert stream.codec_context.name == "h264"
    frames = _frames(path)
    assert [time_s for time_s, _ in frames] == [n / expected for n in range(7)]
    for picture, (_, found) in zip(pictures, frames, strict=True):
        assert np.abs(picture.astype(int) - found).mean() < 6
    assert names_in(tmp_path) == ["o.mp4"]


@pytest.mark.parametrize("size", [(48, 64), (47, 64), (48, 63), (47, 63)])
def test_an_odd_side_gains_a_copy_of_the_last_pixel(size: tuple[int, int], tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    with VideoWriter(tmp_path / "o.mkv", 25, Settings(codec="ffv1")) as video:
        video.write(picture)
    ((_, found),) = _frames(tmp_path / "o.mkv")
    expected = np.pad(picture, ((0, size[0] % 2), (0, size[1] % 2), (0, 0)), mode="edge")
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("name", "codec", "found"),
    [
        ("o.webm", None, "vp9"), ("o.mov", "prores", "prores"), ("o.mkv", "hevc", "hevc"),
        ("o.gif", None, "gif"),
    ],
)  # fmt: skip
def test_the_suffix_and_the_codec_name_the_format(
    name: str, codec: Any, found: str, tmp_path: Path
) -> None:
    with VideoWriter(str(tmp_path / name), 20, Settings(codec=codec)) as video:
        for n in range(5):
            video.write(np.full((32, 48, 3), 50 * n, np.uint8))
    with av.open(str(tmp_path / name)) as file:
        stream = file.streams.video[0]
        assert stream.codec_context.name == found
        levels = [float(one.to_ndarray(format="gray").mean()) for one in file.decode(stream)]
    assert len(levels) == 5
    assert (np.diff(levels) > 30).all()


def test_quality_changes_the_size_of_the_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (96, 128, 3), np.uint8) for _ in range(5)]
    sizes = []
    for quality in (20, 90):
        path = tmp_path / f"{quality}.mp4"
        with VideoWriter(path, 25, Settings(quality=quality)) as video:
            for picture in noise:
                video.write(picture)
        sizes.append(path.stat().st_size)
    assert sizes[1] > 3 * sizes[0]


def _level(picture: Rgb) -> int:
    return round(float(picture.mean()) / 40)


def test_given_times_repeat_and_drop_pictures(tmp_path: Path) -> None:
    # Only differences from the first time count; the last picture is shown for one step.
    with VideoWriter(tmp_path / "o.mp4", 10) as video:
        for n, time_s in enumerate([7.0, 7.3, 7.34, 7.4]):
            video.write(np.full((32, 32, 3), 40 * n, np.uint8), time_s)
    assert [_level(picture) for _, picture in _frames(tmp_path / "o.mp4")] == [0, 0, 0, 1, 3]


def test_an_array_may_be_changed_after_it_is_written(tmp_path: Path) -> None:
    canvas = np.zeros((32, 64, 3), np.uint8)
    with VideoWriter(tmp_path / "o.mp4", 25) as video:
        for n in range(5):
            canvas[:] = 40 * n
            # Every other column, mirrored: not contiguous, and with negative strides.
            video.write(canvas[:, ::-2])
    frames = [picture for _, picture in _frames(tmp_path / "o.mp4")]
    assert [_level(picture) for picture in frames] == [0, 1, 2, 3, 4]
    assert frames[0].shape == (32, 32, 3)


@pytest.mark.parametrize(
    ("picture", "got"),
    [
        (np.zeros((32, 32, 3), np.float32), r"float32 \(32, 32, 3\)"),
        (np.zeros((32, 32), np.uint8), r"uint8 \(32, 32\)"),
        (np.zeros((32, 32, 4), np.uint8), r"uint8 \(32, 32, 4\)"),
        (np.zeros((0, 32, 3), np.uint8), r"uint8 \(0, 32, 3\)"),
        ([[1, 2, 3]], "list"),
        (None, "NoneType"),
    ],
)
def test_other_arrays_are_refused_and_leave_no_file(picture: Any, got: str, tmp_path: Path) -> None:
    expected = rf"^picture: expected an \(H, W, 3\) uint8 array of RGB, got {got}$"
    with pytest.raises(UsageError, match=expected), VideoWriter(tmp_path / "o.mp4", 25) as video:
        video.write(make_picture(0))
        video.write(picture)
    assert names_in(tmp_path) == []


def test_another_size_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    expected = r"^picture: expected the shape of the first one, \(47, 64, 3\), got \(48, 64, 3\)$"
    with pytest.raises(UsageError, match=expected), VideoWriter(tmp_path / "o.mp4", 25) as video:
        video.write(make_picture(0)[1:])
        # The padded size of the first picture.
        video.write(make_picture(0))
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("time_s", [float("nan"), float("inf")])
def test_a_time_that_is_not_finite_is_refused(time_s: float, tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match=r"^time_s: expected seconds, got"),
        VideoWriter(tmp_path / "o.mp4", 25) as video,
    ):
        video.write(make_picture(0), time_s)
    assert names_in(tmp_path) == []


def test_an_existing_file_is_kept_unless_it_may_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "o.mp4"
    path.write_bytes(b"precious")
    expected = r"o\.mp4 exists: give another name, or overwrite=True to replace it$"
    with pytest.raises(UsageError, match=expected), VideoWriter(path, 25):
        pytest.fail("the block ran")
    with pytest.raises(RuntimeError), VideoWriter(path, 25, overwrite=True) as video:
        video.write(make_picture(0))
        raise RuntimeError
    assert path.read_bytes() == b"precious"
    with VideoWriter(path, 25, overwrite=True) as video:
        video.write(make_picture(0))
    assert len(_frames(path)) == 1
    with VideoWriter(path, 25, Settings(overwrite=True)) as video:
        video.write(make_picture(0))
        video.write(make_picture(1))
    assert len(_frames(path)) == 2


@pytest.mark.parametrize(
    ("name", "fps", "options", "expected"),
    [
        ("o.avi", 25, {}, r"o\.avi.*: a video is written as \.mp4"),
        ("o", 25, {}, r"a video is written as \.mp4"),
        ("o.webm", 25, {"codec": "h264"}, "^codec='h264' is written as .mp4"),
        ("o.mp4", 0, {}, "0.01 to 1000 frames a second"),
        ("o.mp4", "fast", {}, "0.01 to 1000 frames a second"),
        ("o.mp4", None, {}, "^fps: expected frames a second"),
        ("", 25, {}, "expected a name"),
    ],
)
def test_arguments_are_checked_before_the_block(
    name: str, fps: Any, options: dict[str, Any], expected: str
) -> None:
    with pytest.raises(UsageError, match=expected):
        VideoWriter(name, fps, Settings(**options))


def test_settings_must_be_settings(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^settings: expected vidsal\.Settings"):
        VideoWriter(tmp_path / "o.mp4", 25, "ffv1")  # type: ignore[arg-type]


def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "new" / "sub" / "o.mp4", 25) as video:
        video.write(make_picture(0))
    assert (tmp_path / "new" / "sub" / "o.mp4").is_file()


def test_a_file_in_place_of_the_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(VidsalError, match=r"o\.mp4: .*file is not a folder: give another name$"),
        VideoWriter(tmp_path / "file" / "o.mp4", 25),
    ):
        pytest.fail("the block ran")


def test_a_video_needs_a_picture(tmp_path: Path) -> None:
    with (
        pytest.raises(VidsalError, match=r"o\.mp4: there are no frames, so nothing was written"),
        VideoWriter(tmp_path / "o.mp4", 25),
    ):
        pass
    assert names_in(tmp_path) == []


def test_pictures_are_written_within_one_block(tmp_path: Path) -> None:
    video = VideoWriter(tmp_path / "o.mp4", 25)
    with pytest.raises(UsageError, match="expected a with block around it"):
        video.write(make_picture(0))
    with video:
        video.write(make_picture(0))
    with pytest.raises(UsageError, match="expected a with block around it"):
        video.write(make_picture(0))
    with pytest.raises(UsageError, match="expected one with block"), video:
        pytest.fail("the block ran")
    assert len(_frames(tmp_path / "o.mp4")) == 1
