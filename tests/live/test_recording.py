"""Recordings: files whose duration is that of the recorded time."""

import csv
from collections import namedtuple
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import psutil
import pytest
from live_fakes import INFO, SIZE, Clock, FakeCapture, faked_source, length_of, live_settings
from stream_help import analyse_frames

from vidsal.errors import VidsalError
from vidsal.live.recording import Recording
from vidsal.types import Saliency, SourceInfo


def _saliencies(times: Sequence[float], size: tuple[int, int] = SIZE) -> Iterator[Saliency]:
    clock = Clock()
    with faked_source([FakeCapture(len(times), clock=clock, size=size)], clock) as source:
        frames = list(source.frames())
    for one, time_s in zip(
        analyse_frames(frames, None, live_settings(), batch=1, looks_ahead=False),
        times,
        strict=True,
    ):
        object.__setattr__(one.frame, "time_s", time_s)
        yield one


@pytest.mark.parametrize(
    "times", [[5.0], [5.0, 12.4, 31.0, 64.9], [5.0 + n / 7 for n in range(99)]]
)
def test_a_recording_lasts_as_long_as_it_took(times: list[float], tmp_path: Path) -> None:
    out, table = tmp_path / "o.mp4", tmp_path / "t.csv"
    settings = live_settings(output=out, table=table)
    with Recording(INFO, settings) as recording:
        for one in _saliencies(times):
            recording.write(one, one.frame.rgb)
        recording.end(65.0)
    count, seconds = length_of(out)
    assert seconds == pytest.approx(60.0, abs=0.1)
    assert count == pytest.approx(1200, abs=2)
    rows = [float(row["time_s"]) for row in csv.DictReader(table.open())]
    assert rows == pytest.approx([time_s - 5.0 for time_s in times], abs=1e-6)


def test_what_is_held_shows_the_last_picture_and_is_no_row(tmp_path: Path) -> None:
    out, table = tmp_path / "o.mp4", tmp_path / "t.csv"
    first, second = _saliencies([0.0, 10.0])
    with Recording(INFO, live_settings(output=out, table=table)) as recording:
        recording.write(first, first.frame.rgb)
        for n in range(100):
            recording.hold(n / 10)
        recording.write(second, second.frame.rgb)
        recording.end(12.0)
    assert length_of(out)[0] == pytest.approx(240, abs=2)
    assert [row["time_s"] for row in csv.DictReader(table.open())] == ["0.000000", "10.000000"]


def test_what_was_seen_before_a_file_begins_is_no_row(tmp_path: Path) -> None:
    out, table = tmp_path / "o.mp4", tmp_path / "t.csv"
    with Recording(INFO, live_settings(output=out, table=table)) as recording:
        for one in _saliencies([9.8, 9.9, 10.0, 10.1]):
            recording.write(one, one.frame.rgb, since_s=10.0)
        recording.end(12.0)
    assert length_of(out)[1] == pytest.approx(2.0, abs=0.06)
    assert [row["time_s"] for row in csv.DictReader(table.open())] == ["0.000000", "0.100000"]


def test_what_is_held_may_be_drawn_anew_in_the_size_of_the_file(tmp_path: Path) -> None:
    out = tmp_path / "o.mp4"
    (first,) = _saliencies([0.0])
    marked = np.full_like(first.frame.rgb, 200)
    with Recording(INFO, live_settings(output=out)) as recording:
        recording.write(first, np.full_like(first.frame.rgb, 40))
        for n in range(1, 41):
            # Another size is no picture of this file.
            other = np.zeros((SIZE[0], 2 * SIZE[1], 3), np.uint8)
            recording.hold(n / 10, marked if n >= 20 else other)
        recording.end(4.0)
    levels = np.array([float(picture.mean()) for picture in iio.imiter(out, plugin="pyav")])
    assert levels.size == pytest.approx(4 * float(INFO.fps or 0), abs=2)
    half = levels.size // 2
    assert levels[: half - 12] == pytest.approx(40, abs=3)
    assert levels[half + 12 :] == pytest.approx(200, abs=3)


def test_segments_follow_one_another_without_a_gap(tmp_path: Path) -> None:
    out, table = tmp_path / "o.mp4", tmp_path / "t.csv"
    (tmp_path / "o_002.mp4").write_bytes(b"mine")
    settings = live_settings(output=out, table=table)
    with Recording(INFO, settings, segment_s=4.0) as recording:
        for one in _saliencies([n / 2 for n in range(21)]):
            recording.write(one, one.frame.rgb)
        recording.end(10.0)
    videos = [path for path in recording.files if path.suffix == ".mp4"]
    # Existing files are never replaced: the second file has another number.
    assert [path.name for path in videos] == ["o.mp4", "o_003.mp4", "o_004.mp4"]
    assert (tmp_path / "o_002.mp4").read_bytes() == b"mine"
    assert sum(length_of(path)[1] for path in videos) == pytest.approx(10.0, abs=0.1)
    assert [length_of(path)[1] for path in videos] == pytest.approx([4, 4, 2], abs=0.1)
    tables = sorted(tmp_path.glob("t*.csv"))
    assert [len(list(csv.DictReader(path.open()))) for path in tables] == [8, 8, 5]


def test_a_recording_begun_while_nothing_comes_lasts_from_then_on(tmp_path: Path) -> None:
    out, table = tmp_path / "o.mp4", tmp_path / "t.csv"
    with Recording(INFO, live_settings(output=out, table=table)) as recording:
        for one in _saliencies([5.0, 6.0]):
            recording.write(one, one.frame.rgb, since_s=2.0)
        recording.end(8.0)
    assert length_of(out)[1] == pytest.approx(6.0, abs=0.06)
    rows = [float(row["time_s"]) for row in csv.DictReader(table.open())]
    assert rows == pytest.approx([3.0, 4.0], abs=1e-6)


def test_a_disk_that_fills_up_ends_the_recording_while_it_can_be_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The encoder flushes its buffered frames at the end: 64 MB stay free for them.
    free = [10**12] * 3 + [80_000_000, 50_000_000]
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(
        "vidsal.live.recording.shutil.disk_usage", lambda _: usage(0, 0, free.pop(0) if free else 0)
    )
    settings = live_settings(output=tmp_path / "o.mp4", table=tmp_path / "t.csv")
    saliencies = _saliencies([n / 10 for n in range(100)])
    written = 0
    with (
        pytest.raises(VidsalError, match=r"nearly full, so the recording ended; .*o\.mp4"),
        Recording(INFO, settings) as recording,
    ):
        for one in saliencies:
            recording.write(one, one.frame.rgb)
            written += 1
    # The free space is checked once a second; claiming the name used one of the checks.
    assert 20 <= written <= 50
    assert recording.files == [tmp_path / "o.mp4", tmp_path / "t.csv"]
    assert length_of(tmp_path / "o.mp4")[1] == pytest.approx(written / 10, abs=0.15)
    rows = list(csv.DictReader((tmp_path / "t.csv").open()))
    assert len(rows) == written + 1


def test_a_recording_whose_last_picture_cannot_be_written_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = live_settings(output=tmp_path / "o.mp4", table=tmp_path / "t.csv")
    (one,) = _saliencies([0.0])
    with Recording(INFO, settings) as recording:
        recording.write(one, one.frame.rgb)
        assert recording._current is not None
        (encoder,) = (one for one in psutil.Process().children() if "ffmpeg" in one.name())

        def fail(*_: object) -> None:
            raise VidsalError("the encoder is gone")

        monkeypatch.setattr(recording._current._video, "write", fail)
        with pytest.raises(VidsalError, match="the encoder is gone"):
            recording.end(5.0)
    assert not encoder.is_running()
    assert list(tmp_path.iterdir()) == recording.files == []


def test_a_segment_that_is_over_while_nothing_comes_ends_in_time(tmp_path: Path) -> None:
    first, second = _saliencies([0.0, 9.0])
    settings = live_settings(output=tmp_path / "o.mp4", table=tmp_path / "t.csv")
    with Recording(INFO, settings, segment_s=4.0) as recording:
        recording.write(first, first.frame.rgb)
        for n in range(90):
            recording.hold(n / 10)
        recording.write(second, second.frame.rgb)
        recording.end(10.0)
    videos = [path for path in recording.files if path.suffix == ".mp4"]
    assert [length_of(path)[1] for path in videos] == pytest.approx([4, 4, 2], abs=0.11)
    tables = [path for path in recording.files if path.suffix == ".csv"]
    rows = [[float(row["time_s"]) for row in csv.DictReader(path.open())] for path in tables]
    assert rows == [[0.0], [], [pytest.approx(1.0, abs=0.06)]]


def test_a_picture_of_another_size_begins_a_new_file(tmp_path: Path) -> None:
    first, second = _saliencies([0.0, 1.0])
    with Recording(INFO, live_settings(output=tmp_path / "o.mp4")) as recording:
        recording.write(first, first.frame.rgb)
        recording.write(second, np.hstack([second.frame.rgb] * 2))
        recording.end(3.0)
    assert [length_of(path)[1] for path in recording.files] == pytest.approx([1.0, 2.0], abs=0.1)


def test_a_recording_that_an_error_ends_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "o.mp4"
    with (
        pytest.raises(RuntimeError),
        Recording(INFO, live_settings(output=out)) as recording,
    ):
        for one in _saliencies([0.0, 1.0]):
            recording.write(one, one.frame.rgb)
        raise RuntimeError
    assert length_of(out)[1] == pytest.approx(1.05, abs=0.06)


def test_a_name_in_use_is_said_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "o.mp4").write_bytes(b"mine")
    with pytest.raises(VidsalError, match="exists"):
        Recording(INFO, live_settings(output=tmp_path / "o.mp4"))


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30000, 1001), Fraction(10)])
@pytest.mark.parametrize("last_s", [2.9, 2.96, 2.985, 2.999])
def test_a_recording_has_no_frame_after_its_end(
    last_s: float, fps: Fraction, tmp_path: Path
) -> None:
    out, table = tmp_path / "o.mp4", tmp_path / "t.csv"
    info = SourceInfo("camera 7", 96, 128, fps, is_live=True)
    times_s = [0.0, 0.5, 1.2, 2.5, last_s]
    with Recording(info, live_settings(output=out, table=table)) as recording:
        for one in _saliencies(times_s):
            recording.write(one, one.frame.rgb)
        recording.end(3.0)
    assert length_of(out)[0] == round(3 * fps)
    rows = [float(row["time_s"]) for row in csv.DictReader(table.open())]
    assert rows == pytest.approx(times_s, abs=1e-6)
    # The last picture is there: its level is that of the last frame.
    assert float(iio.imread(out, plugin="pyav")[-1].mean()) == pytest.approx(8, abs=3)
