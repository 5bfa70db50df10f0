"""Live, the whole programme: with fakes, and its command line."""

import csv
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import BrightnessStage
from live_fakes import SIZE, FakeCapture, FakePreview, length_of, live_settings, previewing

from vidsal.errors import UsageError, VidsalError
from vidsal.live import session
from vidsal.live.adaptive import Adaptive
from vidsal.live.preview import Button
from vidsal.live.session import live
from vidsal.live.statistics import Counting, LiveStats, Summary
from vidsal.settings import LiveOptions, Settings, Warmup
from vidsal.sources.live import LiveSource
from vidsal.sources.resolve import SourceName
from vidsal.types import Map, Request, Rgb


class SlowStage(BrightnessStage):
    """Takes its time over each map."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def maps(self, rgb: Rgb, requests: Sequence[Request]) -> Map:
        time.sleep(self._seconds)
        return super().maps(rgb, requests)


def _live(
    capture: FakeCapture,
    stage: BrightnessStage | None = None,
    options: LiveOptions | None = None,
    **settings: Any,
) -> Any:
    def open_fake(name: SourceName, settings: Settings) -> LiveSource:
        return LiveSource(name, settings, open_capture=lambda _: capture)

    return live(
        "7", live_settings(**settings), options or LiveOptions(preview="none", warmup=Warmup()),
        open_source=open_fake, static=lambda: stage,
    )  # fmt: skip


def test_latency_does_not_grow_when_analysis_is_slow(tmp_path: Path) -> None:
    """Forty frames a second, six of which can be analysed: what is shown is never older than two
    rounds, and the recording keeps real time."""
    out, table = tmp_path / "o.mp4", tmp_path / "t.csv"
    began_s = time.time()
    summary = _live(
        FakeCapture(9999, step_s=0.025, fps=40), SlowStage(0.15), output=out, table=table,
        duration=3.0,
    )  # fmt: skip
    assert summary.seen == pytest.approx(115, abs=15)
    assert 8 <= summary.analysed <= 20
    assert summary.dropped == pytest.approx(summary.seen - summary.analysed, abs=3)
    assert 150 <= summary.latency_ms <= summary.latency_p95_ms <= 450
    assert length_of(out)[1] == pytest.approx(3.0, abs=0.1)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    shown = np.array([float(row["shown_unix_s"]) for row in rows])
    assert began_s < shown[0] and shown[-1] < time.time()
    assert np.diff(shown).min() > 0.1
    ages_ms = np.array([float(row["latency_ms"]) for row in rows])
    assert np.median(ages_ms) == pytest.approx(summary.latency_ms, abs=60)
    # When a frame was on show, less its age, is when it came; the first may be older than the file.
    came = shown - ages_ms / 1000
    times_s = np.array([float(row["time_s"]) for row in rows])
    assert np.diff(came)[2:] == pytest.approx(np.diff(times_s)[2:], abs=0.01)


def test_frames_are_all_analysed_where_that_is_fast_enough() -> None:
    # Room enough for a machine that does other work as well.
    summary = _live(FakeCapture(20, step_s=0.1), BrightnessStage())
    assert (summary.seen, summary.dropped) == (19, 0)
    assert summary.analysed == 19
    assert summary.latency_ms < 100


def test_a_smooth_stream_is_adapted_to_and_shows_its_figures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept: list[FakePreview] = []
    adapted: list[float] = []
    lines: list[str] = []
    monkeypatch.setattr(session, "open_preview", previewing(lambda _: [], kept))
    monkeypatch.setattr(Adaptive, "adapt", lambda _, now_s, counting: adapted.append(now_s))
    real = LiveStats.line

    def line(figures: LiveStats) -> str:
        lines.append(real(figures))
        return lines[-1]

    monkeypatch.setattr(LiveStats, "line", line)
    _live(FakeCapture(22, step_s=0.1), BrightnessStage())
    # Four times a second, at the next frame each time.
    assert 6 <= len(adapted) <= 9
    assert np.diff(adapted).max() < 0.4
    # All but the first that counts, and the one before it.
    assert len(lines) == len(kept[0].shown) - 2
    assert re.match(r"in (10|9)/s  out (10|9)/s  ", lines[-1])
    assert kept[0].shown[-1][1].fps_out == pytest.approx(10, abs=1)


def test_the_figures_stand_on_a_dark_strip(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[FakePreview] = []
    monkeypatch.setattr(session, "open_preview", previewing(lambda _: [], kept))
    white = FakeCapture(12, step_s=0.02)
    monkeypatch.setattr(white, "read", _always(white, np.full((240, 320, 3), 240, np.uint8)))
    white._size = (240, 320)
    _live(white, layout="side-by-side", colormap="viridis")
    # At the right edge, where there are no words: before there are figures, and with them.
    before, after = (kept[0].shown[n][0][:, -2:].mean(axis=(1, 2)) for n in (0, -1))
    rows = np.flatnonzero(after < 0.6 * before)
    assert 10 <= rows.size <= 30
    assert np.diff(rows).max() == 1
    assert rows[0] >= 5
    assert rows[-1] < 80


def _always(capture: FakeCapture, picture: Rgb) -> Callable[[], Rgb | None]:
    """Let a capture deliver the same picture all the time."""
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
    began_s = time.monotonic()
    summary = _live(capture, output=out)
    assert time.monotonic() - began_s < 6
    assert length_of(out)[1] == pytest.approx(summary.seconds, abs=0.15)
    assert signal.getsignal(signal.SIGINT) is before
    assert capture.is_closed


@pytest.mark.skipif(sys.platform == "win32", reason="signals that Windows does not send")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_told_to_end_it_keeps_the_recording(name: str, tmp_path: Path) -> None:
    out, number = tmp_path / "o.mp4", getattr(signal, name)
    # Twice in a row is once.
    kill = {n: lambda: os.kill(os.getpid(), number) for n in (30, 31)}
    # What runs the tests may have been told to ignore it, as nohup does.
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
    def loading() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)

    capture = FakeCapture(9999)
    began_s = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        live(
            "7", live_settings(output=tmp_path / "o.mp4"), LiveOptions(preview="none"),
            open_source=lambda address, settings: LiveSource(
                address, settings, open_capture=lambda _: capture
            ),
            static=loading,
        )  # fmt: skip
    assert time.monotonic() - began_s < 2
    assert capture.is_closed
    assert list(tmp_path.iterdir()) == []


def test_nothing_recorded_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    options = LiveOptions(preview="none", warmup=Warmup(seconds=9))
    summary = _live(FakeCapture(5), options=options, output=tmp_path / "o.mp4")
    assert summary.files == ()
    assert "nothing was recorded" in caplog.text


def test_a_button_that_fails_does_not_end_the_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    presses: list[Button] = ["record", "snapshot"]
    kept: list[FakePreview] = []

    def pressed(_: LiveStats | None) -> list[Button]:
        return [presses.pop()] if presses and len(kept[0].shown) > 3 else []

    def refused(*_: Any) -> Any:
        raise VidsalError("no room left")

    monkeypatch.setattr(session, "open_preview", previewing(pressed, kept))
    monkeypatch.setattr("vidsal.live.recording.open_sinks", refused)
    monkeypatch.setattr(session, "image_sink", refused)
    summary = _live(FakeCapture(20))
    assert len(kept[0].shown) >= 19
    assert summary.files == ()
    assert [one.getMessage() for one in caplog.records].count("no room left") == 2
    # What was asked for at the start is another matter.
    with pytest.raises(VidsalError, match="no room left"):
        _live(FakeCapture(20), output=tmp_path / "o.mp4")


def test_a_pause_is_no_reason_for_smaller_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[FakePreview] = []
    rates: list[tuple[float, ...]] = []
    due: list[tuple[float, Button]] = [(1.0, "pause"), (2.5, "pause")]
    began_s = time.monotonic()

    def pressed(_: LiveStats | None) -> list[Button]:
        is_due = due and time.monotonic() - began_s > due[0][0]
        return [due.pop(0)[1]] if is_due else []

    def adapt(_: Adaptive, now_s: float, counting: Counting) -> None:
        if not due:
            rates.append(counting.rates)

    monkeypatch.setattr(session, "open_preview", previewing(pressed, kept))
    monkeypatch.setattr(Adaptive, "adapt", adapt)
    _live(FakeCapture(80, step_s=0.05), BrightnessStage())
    assert any(figures.is_paused and figures.fps_out == 0 for _, figures in kept[0].shown)
    assert len(rates) >= 4
    assert all(came * 0.85 <= out for came, out, _ in rates[1:])


def test_warming_up_is_neither_counted_nor_recorded(tmp_path: Path) -> None:
    out = tmp_path / "o.mp4"
    options = LiveOptions(preview="none", warmup=Warmup(seconds=1))
    summary = _live(FakeCapture(9999), options=options, output=out, duration=1.0)
    assert summary.seconds == pytest.approx(1.0, abs=0.1)
    assert summary.seen == pytest.approx(20, abs=3)
    assert length_of(out)[1] == pytest.approx(1.0, abs=0.1)


def test_buttons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    summary = _live(FakeCapture(9999), annotate=False)
    shown = kept[0].shown
    assert shown[10][1].is_recording or shown[14][1].is_recording
    assert [Path(name).name for name in summary.files] == ["camera7_saliency.mp4"]
    assert length_of(Path(summary.files[0]))[1] == pytest.approx(0.5, abs=0.2)
    assert shown[0][0].shape == (*SIZE, 3)
    assert shown[22][0].shape == (SIZE[0], 2 * SIZE[1], 3)
    assert (tmp_path / "snapshot.png").exists()
    # A pause shows the last picture again and again.
    assert shown[-1][1].is_paused
    assert (shown[-1][0] == shown[-2][0]).all()


def test_a_pause_is_marked_and_takes_a_new_layout(monkeypatch: pytest.MonkeyPatch) -> None:
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

    def line(figures: LiveStats) -> str:
        lines.append(real(figures))
        return lines[-1]

    monkeypatch.setattr(LiveStats, "line", line)
    _live(FakeCapture(9999))
    shown = kept[0].shown
    height, width = SIZE
    assert [picture.shape for picture, _ in shown[12:14]] == [(height, width, 3)] * 2
    assert shown[15][0].shape == shown[-1][0].shape == (height, 2 * width, 3)
    marked = [line.startswith("PAUSED  in ") for line in lines]
    # From the first picture of the pause to the last one, and no further.
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
    with pytest.raises(UsageError, match="--table goes with a recording: give -o as well"):
        live("7", live_settings(table=Path("t.csv")), LiveOptions(preview="none"))


def test_options_that_cannot_be() -> None:
    for words in ({"port": 70000}, {"latency_target": 0.0}, {"segment_minutes": -1.0},
                  {"warmup": "-1"}, {"warmup": "f"}):  # fmt: skip
        with pytest.raises(UsageError):
            LiveOptions(**words)


# The command line.


def _vidsal(*words: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "vidsal", *words], cwd=folder, capture_output=True, text=True,
        timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_what_cannot_be_is_one_line_and_an_exit_code(tmp_path: Path) -> None:
    wrong = {
        ("live", "--port", "99999"): "--port must be 0 to 65535",
        ("live", "--warmup", "long"): "--warmup: expected seconds, or frames such as 30f",
        ("live", "--static-every", "0"): "--static-every must be auto or",
        ("live", "--start", "3"): "--start",
    }
    for words, said in wrong.items():
        result = _vidsal(*words, folder=tmp_path)
        assert result.returncode == 2
        assert said in result.stderr
        assert "Try `vidsal live --help`" in result.stderr
    result = _vidsal("live", "987", "--model", "none", "--preview", "none", folder=tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith("vidsal: camera 987 cannot be used: ")
    assert len(result.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_defaults_of_live_are_told_and_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from vidsal import cli

    text = " ".join(_vidsal("live", "--help", folder=tmp_path).stdout.replace("│", " ").split())
    for default in ("[default: auto]", "[default: dis]", "[default: 8]", "[default: 8300]"):
        assert default in text
    known: list[tuple[str, Settings, LiveOptions]] = []

    def run(source: str, settings: Settings, options: LiveOptions, **_: Any) -> Summary:
        known.append((source, settings, options))
        return Summary(9, 6, 3, 2.0, 40.0, 80.0, ("a.mp4",))

    monkeypatch.setattr(session, "live", run)
    cli.app(["live", "--warmup", "2", "--samples", "4"])
    source, settings, options = known[0]
    assert source == "0"
    assert (settings.static_every, settings.flow, settings.samples) == ("auto", "dis", 4)
    assert settings.batch == 1
    assert (options.warmup, options.host) == ((2.0, 0), "127.0.0.1")
    said = capsys.readouterr()
    assert said.out == "a.mp4\n"
    assert said.err == (
        "vidsal: 2.0 s: 9 frames seen, 6 analysed (3.0 a second), 3 dropped; latency 40 ms, "
        "95 % below 80 ms\n"
    )
