"""The whole pipeline on a camera."""

import functools
import itertools
import os
import signal
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import BrightnessStage
from pipeline_help import decoded_video, names_left, pipeline_settings, table_rows

import vidsal
from vidsal import analyser
from vidsal.render.draw import draw_for_video
from vidsal.runtime import interrupts
from vidsal.sources.capture import CameraCapture
from vidsal.sources.live import LiveSource
from vidsal.yuv import Picture

# No failure may take longer than this to end a run; most take a tenth of it.
SOON_S = 5.0


@pytest.fixture(autouse=True)
def _in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    out = tmp_path / "out"
    out.mkdir()
    monkeypatch.chdir(out)
    return out


class FakeCamera:
    """Looks like cv2.VideoCapture; frame n is grey of level 2 n and arrives at n / 20 s."""

    def __init__(self, count: int, *, at: dict[int, Callable[[], None]] | None = None) -> None:
        self.released = False
        self.reads = 0
        self._count, self._at = count, at or {}

    def isOpened(self) -> bool:
        return True

    def read(self) -> tuple[bool, Any]:
        # The first is read to learn the size, before the recording begins.
        self.reads += 1
        number = self.reads - 2
        if number in self._at:
            self._at[number]()
            time.sleep(0.2)
        if number >= self._count:
            return False, None
        return True, np.full((96, 128, 3), 2 * max(0, number), np.uint8)

    def get(self, _: int) -> float:
        return 20.0

    def set(self, *_: Any) -> bool:
        return False

    def release(self) -> None:
        self.released = True

    def clock(self) -> float:
        return 1000 + (self.reads - 2) / 20


@pytest.fixture
def plug_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeCamera], None]:
    """Connect a camera as number 0."""

    def plug(camera: FakeCamera) -> None:
        source = functools.partial(
            LiveSource,
            open_capture=lambda name: CameraCapture(name.address, open_capture=lambda _: camera),
            clock=camera.clock,
        )
        monkeypatch.setattr("vidsal.sources.LiveSource", source)

    return plug


def _interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def _levels(path: Path) -> list[int]:
    return [round(float(picture.mean())) for picture in decoded_video(path)[3]]


PlugIn = Callable[[FakeCamera], None]


def test_camera_is_recorded_for_as_long_as_asked(
    plug_in: PlugIn, brightness: BrightnessStage
) -> None:
    camera = FakeCamera(10_000)
    plug_in(camera)
    out = vidsal.run("0", pipeline_settings(duration=2.0, layout="side-by-side", annotate=False))
    assert out == Path("camera0_saliency.mp4")
    count, rate, size, pictures = decoded_video(out)
    assert (count, rate, size) == (40, Fraction(20), (96, 256))
    inputs = [round(float(picture[:, :120].mean())) for picture in pictures]
    assert inputs == pytest.approx([2 * n for n in range(40)], abs=2)
    # A camera does not wait until a batch is full.
    assert {len(pictures) for pictures in brightness.pictures} == {1}
    assert camera.released


def test_ctrl_c_on_a_camera_is_the_end_of_a_recording_that_is_kept(plug_in: PlugIn) -> None:
    camera = FakeCamera(10_000, at={30: _interrupt})
    plug_in(camera)
    before = signal.getsignal(signal.SIGINT)
    out = vidsal.run(0, pipeline_settings(annotate=False, table=Path("t.csv")))
    levels = _levels(out)
    # Frame 30 was being read. All frames read before the signal are written, in order.
    assert 30 <= len(levels) <= 32
    assert levels == pytest.approx([2 * n for n in range(len(levels))], abs=2)
    assert len(table_rows(Path("t.csv"))) == len(levels)
    assert signal.getsignal(signal.SIGINT) is before
    assert camera.released
    assert names_left() == ["camera0_saliency.mp4", "t.csv"]


def test_a_later_ctrl_c_is_an_interrupt(plug_in: PlugIn, monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(FakeCamera(10_000))
    monkeypatch.setattr(interrupts, "_REPEAT_S", 0.2)
    real, calls = draw_for_video, itertools.count()

    def draw(*args: Any) -> Picture:
        if next(calls) in (3, 4):
            _interrupt()
            time.sleep(0.3)
        return real(*args)

    monkeypatch.setattr(analyser, "draw_for_video", draw)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        vidsal.run(0, pipeline_settings())
    assert signal.getsignal(signal.SIGINT) is before
    assert names_left() == []


def test_a_pulled_cable_keeps_the_recording(plug_in: PlugIn) -> None:
    plug_in(FakeCamera(25))
    assert len(_levels(vidsal.run(0, pipeline_settings(annotate=False)))) == 25


def test_a_camera_off_the_main_thread_is_recorded_too(plug_in: PlugIn) -> None:
    plug_in(FakeCamera(5))
    done: list[Path] = []
    # Signals are the main thread's; without them the recording ends by itself.
    worker = threading.Thread(target=lambda: done.append(vidsal.run(0, pipeline_settings())))
    worker.start()
    worker.join(30)
    assert done == [Path("camera0_saliency.mp4")]
    assert decoded_video(done[0])[0] == 5


def test_analyse_of_a_camera_can_be_left_at_any_time(plug_in: PlugIn) -> None:
    camera = FakeCamera(10_000)
    plug_in(camera)
    results = vidsal.analyse(0, pipeline_settings())
    seen = [next(results) for _ in range(5)]
    results.close()
    assert [one.frame.index for one in seen] == [0, 1, 2, 3, 4]
    assert [one.frame.time_s for one in seen] == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])
    assert camera.released
