"""Live runs with a fake camera, on a fake clock where time matters."""

import csv
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import BrightnessStage, ThreadsSeen
from live_fakes import (
    SIZE,
    Clock,
    FakeCapture,
    FakePreview,
    length_of,
    live_settings,
    previewing,
    taking_turns,
)

from vidsal.errors import UsageError, VidsalError
from vidsal.live import session
from vidsal.live.adaptive import Adaptive
from vidsal.live.preview import Button
from vidsal.live.session import live
from vidsal.live.statistics import LiveStats, StatsCollector, Summary
from vidsal.settings import LiveOptions, Settings
from vidsal.settings.values import Warmup
from vidsal.sources.live import LiveSource
from vidsal.sources.resolve import SourceName
from vidsal.types import Map, Request, Rgb


class SlowStage(BrightnessStage):
    """Takes some seconds for each map."""

    def __init__(self, seconds: float, sleep: Callable[[float], None]) -> None:
        super().__init__()
        self._seconds, self._sleep = seconds, sleep

    def maps(self, rgb: Rgb, requests: Sequence[Request]) -> Map:
        self._sleep(self._seconds)
        return super().maps(rgb, requests)


def _live(
    capture: FakeCapture,
    stage: BrightnessStage | None = None,
    options: LiveOptions | None = None,
    **settings: Any,
) -> Summary:
    """Run with threads, in real time."""

    def open_fake(name: SourceName, settings: Settings) -> LiveSource:
        return LiveSource(name, settings, open_capture=lambda _: capture)

    return live(
        "7", live_settings(**settings), options or LiveOptions(preview="none", warmup=Warmup()),
        open_source=open_fake, static=lambda: stage,
    )  # fmt: skip


class Simulation:
    """Runs without threads, in the time of a fake clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, step_s: float = 0.05) -> None:
        self.clock = Clock()
        self._step_s = step_s
        monkeypatch.setattr(session, "newest", taking_turns(self.clock, step_s))

    def capture(self, count: float, **options: Any) -> FakeCapture:
        return FakeCapture(count, clock=self.clock, step_s=0.0, fps=1 / self._step_s, **options)

    def live(
        self,
        capture: FakeCapture,
        stage: BrightnessStage | None = None,
        options: LiveOptions | None = None,
        **settings: Any,
    ) -> Summary:
        def open_fake(name: SourceName, settings: Settings) -> LiveSource:
            return LiveSource(
                name, settings, open_capture=lambda _: capture, clock=self.clock,
                sleep=self.clock.sleep,
            )  # fmt: skip

        return live(
            "7", live_settings(**settings),
            options or LiveOptions(preview="none", warmup=Warmup()),
            open_source=open_fake, static=lambda: stage, clock=self.clock,
            unix_time=lambda: UNIX_S + self.clock.now_s,
        )  # fmt: skip


UNIX_S = 1.7e9


@pytest.fixture
def simulation(monkeypatch: pytest.MonkeyPatch) -> Simulation:
    """A camera of 20 frames a second."""
    return Simulation(monkeypatch)


def test_latency_does_not_grow_when_analysis_is_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """About six of forty frames a second can be analysed. Each shown frame is as old as its
    analysis and the wait for it, and the recording keeps real time."""
    simulation = Simulation(monkeypatch, step_s=0.025)
    out, table = tmp_path / "o.mp4", tmp_path / "t.csv"
    stage = SlowStage(0.16, simulation.clock.sleep)
    summary = simulation.live(
        simulation.capture(9999), stage, output=out, table=table, duration=3.0
    )
    # The newest frame is up to 25 ms old when its analysis begins.
    assert summary.analysed == math.ceil(3.0 / 0.16)
    assert summary.seen == pytest.approx(3.0 / 0.025, abs=7)
    assert summary.dropped == pytest.approx(summary.seen - summary.analysed, abs=1)
    assert summary.latency_ms is not None and summary.latency_p95_ms is not None
    assert 160 <= summary.latency_ms <= summary.latency_p95_ms <= 186
    assert length_of(out)[1] == pytest.approx(3.0, abs=0.026)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    shown = np.array([float(row["shown_unix_s"]) for row in rows])
    # Sometimes the analysis waits for the next frame.
    assert np.diff(shown).min() > 0.159 and np.diff(shown).max() < 0.186
    assert shown[-1] == pytest.approx(UNIX_S + simulation.clock.now_s, abs=0.2)
    ages_ms = np.array([float(row["latency_ms"]) for row in rows])
    assert np.median(ages_ms) == pytest.approx(summary.latency_ms, abs=1)
    # The display time less the age is the capture time.
    captured = shown - ages_ms / 1000
    times_s = np.array([float(row["time_s"]) for row in rows])
    assert np.diff(captured) == pytest.approx(np.diff(times_s), abs=0.0021)


def test_frames_are_all_analysed_where_that_is_fast_enough(simulation: Simulation) -> None:
    stage = SlowStage(0.03, simulation.clock.sleep)
    summary = simulation.live(simulation.capture(20), stage)
    # The first frame ends the warm-up.
    assert (summary.seen, summary.dropped, summary.analysed) == (19, 0, 19)
    assert summary.latency_ms == pytest.approx(30, abs=1)


def test_threads_analyse_each_frame_where_that_is_fast_enough() -> None:
    # Slow enough for a machine that does other work as well.
    summary = _live(FakeCapture(10, step_s=0.1), BrightnessStage())
    assert (summary.seen, summary.dropped, summary.analysed) == (9, 0, 9)


def test_opencv_has_half_of_its_threads_during_a_live_run(
    simulation: Simulation, four_opencv_threads: ThreadsSeen
) -> None:
    seen = four_opencv_threads(session, "draw_saliency")
    simulation.live(simulation.capture(5), BrightnessStage())
    assert seen == {2}


def test_a_smooth_stream_is_adapted_to_and_shows_its_statistics(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    simulation = Simulation(monkeypatch, step_s=0.1)
    kept: list[FakePreview] = []
    adapted: list[float] = []
    lines: list[str] = []
    monkeypatch.setattr(session, "open_preview", previewing(lambda _: [], kept))
    monkeypatch.setattr(Adaptive, "adapt", lambda _, now_s, stats: adapted.append(now_s))
    real = LiveStats.line

    def line(stats: LiveStats) -> str:
        lines.append(real(stats))
        return lines[-1]

    monkeypatch.setattr(LiveStats, "line", line)
    simulation.live(simulation.capture(22), BrightnessStage())
    # Every 0.25 s, at the next frame: 21 frames count.
    assert len(adapted) == 7
    assert np.diff(adapted) == pytest.approx(0.3, abs=1e-6)
    # All frames except the one that ends the warm-up.
    assert len(lines) == len(kept[0].shown) - 1 == 21
    assert lines[-1].startswith("in 10/s  out 10/s  0 ms  dropped 0%")
    assert kept[0].shown[-1][1].fps_out == pytest.approx(10, abs=0.01)


def test_the_statistics_are_written_on_a_dark_strip(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[FakePreview] = []
    monkeypatch.setattr(session, "open_preview", previewing(lambda _: [], kept))
    white = simulation.capture(12)
    monkeypatch.setattr(white, "read", _always(white, np.full((240, 320, 3), 240, np.uint8)))
    white._size = (240, 320)
    simulation.live(white, layout="side-by-side", colormap="viridis")
    # At the right edge, which has no text: without statistics, and with them.
    before, after = (kept[0].shown[n][0][:, -2:].mean(axis=(1, 2)) for n in (0, -1))
    rows = np.flatnonzero(after < 0.6 * before)
    assert 10 <= rows.size <= 30
    assert np.diff(rows).max() == 1
    assert rows[0] >= 5
    assert rows[-1] < 80


def _always(capture: FakeCapture, picture: Rgb) -> Callable[[], Rgb | None]:
    """Let a capture deliver the same picture each time."""
    real = capture.read
    return lambda: None if real() is None else picture.copy()


class BrokenStage(BrightnessStage):
    """Fails at its fifth map."""

    def __init__(self) -> None:
        super().__init__()
        self._left = 5

    def maps(self, rgb: Rgb, requests: Sequence[Request]) -> Map:
        self._left -= 1
        if self._left < 0:
            raise RuntimeError("out of memory")
        return super().maps(rgb, requests)


def test_an_error_of_the_analysis_comes_out_however_slow_the_preview_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def slow(_: LiveStats | None) -> list[Button]:
        time.sleep(0.2)
        return []

    monkeypatch.setattr(session, "open_preview", previewing(slow))
    with pytest.raises(RuntimeError, match="out of memory"):
        _live(FakeCapture(9999), BrokenStage(), static_every=1)


def test_ctrl_c_ends_it_and_keeps_the_recording(tmp_path: Path) -> None:
    out = tmp_path / "o.mp4"
    before = signal.getsignal(signal.SIGINT)
    capture = FakeCapture(9999, at={30: lambda: os.kill(os.getpid(), signal.SIGINT)})
    summary = _live(capture, output=out)
    # It ends soon after the signal.
    assert capture.reads < 120
    assert length_of(out)[1] == pytest.approx(summary.seconds, abs=0.15)
    assert signal.getsignal(signal.SIGINT) is before
    assert capture.is_closed


@pytest.mark.skipif(sys.platform == "win32", reason="signals that Windows does not send")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_told_to_end_it_keeps_the_recording(name: str, tmp_path: Path) -> None:
    out, number = tmp_path / "o.mp4", getattr(signal, name)
    # Two signals in a row count as one.
    kill = {n: lambda: os.kill(os.getpid(), number) for n in (30, 31)}
    # The parent process may ignore the signal, as nohup does.
    before = signal.signal(number, signal.SIG_DFL)
    try:
        summary = _live(FakeCapture(9999, at=kill), output=out)
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, before)
    assert 1.0 < length_of(out)[1] == pytest.approx(summary.seconds, abs=0.15)
    assert [path.name for path in tmp_path.iterdir()] == ["o.mp4"]


@pytest.mark.skipif(sys.platform == "win32", reason="os.kill ends the process there")
def test_while_the_network_loads_ctrl_c_interrupts(tmp_path: Path) -> None:
    is_loaded = False

    def loading() -> None:
        nonlocal is_loaded
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
        is_loaded = True

    capture = FakeCapture(9999)
    with pytest.raises(KeyboardInterrupt):
        live(
            "7", live_settings(output=tmp_path / "o.mp4"), LiveOptions(preview="none"),
            open_source=lambda name, settings: LiveSource(
                name, settings, open_capture=lambda _: capture
            ),
            static=loading,
        )  # fmt: skip
    assert not is_loaded
    assert capture.is_closed
    assert list(tmp_path.iterdir()) == []


def test_nothing_recorded_is_a_warning(
    simulation: Simulation, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = LiveOptions(preview="none", warmup=Warmup(seconds=9))
    summary = simulation.live(simulation.capture(5), options=options, output=tmp_path / "o.mp4")
    assert summary.files == ()
    assert "nothing was recorded" in caplog.text


def test_a_button_that_fails_does_not_end_the_run(
    simulation: Simulation,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    presses: list[Button] = ["record", "snapshot"]
    kept: list[FakePreview] = []

    def pressed(_: LiveStats | None) -> list[Button]:
        return [presses.pop()] if presses and len(kept[0].shown) > 3 else []

    def refused(*_: Any) -> Any:
        raise VidsalError("no room left")

    monkeypatch.setattr(session, "open_preview", previewing(pressed, kept))
    monkeypatch.setattr("vidsal.live.recording.picture_sink", refused)
    monkeypatch.setattr(session, "image_sink", refused)
    summary = simulation.live(simulation.capture(20))
    assert len(kept[0].shown) == 20
    assert summary.files == ()
    assert [one.getMessage() for one in caplog.records].count("no room left") == 2
    # A recording that is requested at the start must not fail quietly.
    with pytest.raises(VidsalError, match="no room left"):
        simulation.live(simulation.capture(20), output=tmp_path / "o.mp4")


def test_a_pause_does_not_make_maps_smaller(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[FakePreview] = []
    rates: list[tuple[float, ...]] = []
    due: list[tuple[float, Button]] = [(1.0, "pause"), (2.5, "pause")]
    began_s = simulation.clock.now_s

    def pressed(_: LiveStats | None) -> list[Button]:
        is_due = due and simulation.clock.now_s - began_s > due[0][0]
        return [due.pop(0)[1]] if is_due else []

    def adapt(_: Adaptive, now_s: float, stats: StatsCollector) -> None:
        if not due:
            rates.append(stats.rates)

    monkeypatch.setattr(session, "open_preview", previewing(pressed, kept))
    monkeypatch.setattr(Adaptive, "adapt", adapt)
    simulation.live(simulation.capture(80), BrightnessStage())
    assert any(stats.is_paused and stats.fps_out == 0 for _, stats in kept[0].shown)
    assert len(rates) >= 4
    assert all(fps_in * 0.85 <= fps_out for fps_in, fps_out, _ in rates[1:])


def test_warming_up_is_neither_counted_nor_recorded(simulation: Simulation, tmp_path: Path) -> None:
    out = tmp_path / "o.mp4"
    options = LiveOptions(preview="none", warmup=Warmup(seconds=1))
    capture = simulation.capture(9999)
    summary = simulation.live(capture, options=options, output=out, duration=1.0)
    assert summary.seconds == pytest.approx(1.0, abs=0.051)
    assert summary.seen == pytest.approx(20, abs=1)
    assert 40 <= capture.reads <= 44
    assert length_of(out)[1] == pytest.approx(1.0, abs=0.001)


def test_buttons(simulation: Simulation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    presses: list[tuple[int, Button]] = [
        (5, "record"), (15, "record"), (16, "layout"), (20, "snapshot"), (25, "pause"),
    ]  # fmt: skip
    kept: list[FakePreview] = []

    def pressed(_: LiveStats | None) -> list[Button]:
        if presses and len(kept[0].shown) >= presses[0][0]:
            return [presses.pop(0)[1]]
        is_paused = kept[0].shown and kept[0].shown[-1][1].is_paused
        return ["quit"] if is_paused and len(kept[0].shown) > 27 else []

    monkeypatch.setattr(session, "open_preview", previewing(pressed, kept))
    summary = simulation.live(simulation.capture(9999), annotate=False)
    shown = kept[0].shown
    assert shown[10][1].is_recording or shown[14][1].is_recording
    assert [Path(name).name for name in summary.files] == ["camera7_saliency.mp4"]
    # Ten frames.
    assert length_of(Path(summary.files[0]))[1] == pytest.approx(0.5, abs=0.051)
    assert shown[0][0].shape == (*SIZE, 3)
    assert shown[22][0].shape == (SIZE[0], 2 * SIZE[1], 3)
    assert (tmp_path / "snapshot.png").exists()
    # A pause shows the last picture again and again.
    assert shown[-1][1].is_paused
    assert (shown[-1][0] == shown[-2][0]).all()


def test_a_pause_is_marked_and_takes_a_new_layout(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    presses: list[tuple[int, Button]] = [
        (12, "pause"), (14, "layout"), (16, "pause"), (20, "quit"),
    ]  # fmt: skip
    kept: list[FakePreview] = []
    lines: list[str] = []

    def pressed(_: LiveStats | None) -> list[Button]:
        if presses and len(kept[0].shown) >= presses[0][0]:
            return [presses.pop(0)[1]]
        return []

    monkeypatch.setattr(session, "open_preview", previewing(pressed, kept))
    real = LiveStats.line

    def line(stats: LiveStats) -> str:
        lines.append(real(stats))
        return lines[-1]

    monkeypatch.setattr(LiveStats, "line", line)
    simulation.live(simulation.capture(9999))
    shown = kept[0].shown
    height, width = SIZE
    assert [picture.shape for picture, _ in shown[12:14]] == [(height, width, 3)] * 2
    assert shown[15][0].shape == shown[-1][0].shape == (height, 2 * width, 3)
    marked = [line.startswith("PAUSED  in ") for line in lines]
    # Exactly the pictures of the pause are marked.
    first, last = marked.index(True), len(marked) - marked[::-1].index(True)
    assert all(marked[first:last]) and last - first == sum(one.is_paused for _, one in shown)
    assert len(marked) - last >= 3
    assert not any(one.is_paused for _, one in shown[-3:])


def test_what_is_no_camera_and_no_stream_is_said() -> None:
    for address, said in {
        "a.mp4": r"^a.mp4: not a camera or a stream \(a file: vidsal run a.mp4\)$",
        "ftp://me:secret@a/b": "^ftp:// is not a stream that can be read",
    }.items():
        with pytest.raises(UsageError, match=said):
            live(address, live_settings(), LiveOptions(preview="none"))
    with pytest.raises(UsageError, match="table= needs a recording: give output= as well"):
        live("7", live_settings(table=Path("t.csv")), LiveOptions(preview="none"))


def test_options_that_cannot_be() -> None:
    for options in ({"port": 70000}, {"latency_target": 0.0}, {"segment_minutes": -1.0},
                  {"warmup": "-1"}, {"warmup": "f"}):  # fmt: skip
        with pytest.raises(UsageError):
            LiveOptions(**options)
