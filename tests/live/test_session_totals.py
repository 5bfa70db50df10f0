"""Live runs: totals, durations, and the texts in a recording."""

import csv
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
from live_fakes import (
    Clock,
    FakeCapture,
    FakePreview,
    ResultTurns,
    faked_source,
    length_of,
    live_settings,
    previewing,
    taking_turns,
)

from vidsal.live import session
from vidsal.live.session import live
from vidsal.live.statistics import StatsCollector, Summary
from vidsal.settings import LiveOptions
from vidsal.settings.values import Warmup


def _live(
    monkeypatch: pytest.MonkeyPatch,
    captures: list[FakeCapture],
    clock: Clock,
    options: LiveOptions | None = None,
    *,
    step_s: float = 0.05,
    name: str = "7",
    **settings: Any,
) -> Summary:
    """Run without threads; a source that is lost is reconnected."""
    monkeypatch.setattr(session, "newest", taking_turns(clock, step_s))
    return live(
        name, live_settings(**settings),
        options or LiveOptions(preview="none", warmup=Warmup()),
        open_source=lambda *_: faked_source(captures, clock, keeps_trying=True, name=name),
        static=lambda: None, clock=clock, unix_time=clock,
    )  # fmt: skip


def test_frames_whose_analysis_is_pending_are_in_the_totals() -> None:
    stats = StatsCollector()
    # One frame is shown, two have arrived and are being analysed.
    stats.begin(1.0, 1, 0)
    stats.update(1.1, 3, 0, 0.05)
    stats.update(1.2, 4, 0, 0.05)
    stats.update(1.3, 4, 1)
    summary = stats.summary()
    assert (summary.seen, summary.analysed, summary.dropped) == (3, 2, 1)
    # No frame arrived after the warm-up, and the one before was shown after it.
    stats = StatsCollector()
    stats.begin(1.0, 5, 4)
    stats.update(1.1, 6, 4, 0.05)
    stats.unshown += 2
    summary = stats.summary()
    assert (summary.seen, summary.analysed, summary.dropped) == (3, 3, 0)


@pytest.mark.parametrize("warmup", [Warmup(), Warmup(frames=5), Warmup(seconds=0.5)])
@pytest.mark.parametrize("step_s", [0.011, 0.05])
def test_totals_add_up(warmup: Warmup, step_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    capture = FakeCapture(9999, clock=clock, step_s=0.02)
    summary = _live(
        monkeypatch, [capture], clock, LiveOptions(preview="none", warmup=warmup),
        step_s=step_s, duration=2.0,
    )  # fmt: skip
    assert summary.analysed > 0
    assert summary.seen == summary.analysed + summary.dropped


def test_pictures_left_out_after_a_silence_are_dropped_frames(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()

    def silence() -> None:
        clock.now_s += 3.0

    class EachFrame:
        """The slot of an analysis that takes no time."""

        seen = dropped = 0

        def __init__(self, frames: Any) -> None:
            self._frames = frames

        def __iter__(self) -> Any:
            for frame in self._frames:
                self.seen += 1
                yield frame

    def newest(items: Any, *, drops: bool = True, spare: bool = False) -> _Lent:
        return _Lent(EachFrame(items) if drops else ResultTurns(items))

    monkeypatch.setattr(session, "newest", newest)
    capture = FakeCapture(60, clock=clock, at={20: silence})
    source = faked_source([capture], clock, name="udp://a:1")
    summary = live(
        "udp://a:1", live_settings(), LiveOptions(preview="none", warmup=Warmup()),
        open_source=lambda *_: source, static=lambda: None, clock=clock, unix_time=clock,
    )  # fmt: skip
    # The first of the sixty ends the warm-up.
    assert (summary.seen, summary.analysed) == (59, 55)
    assert summary.dropped == 4


@pytest.mark.parametrize("shown", [0, 1, 3])
def test_a_duration_ends_a_run_whose_source_is_lost(
    shown: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    captures = [FakeCapture(shown, clock=clock), *(FakeCapture(0, fault="away") for _ in range(99))]
    source = faked_source(captures, clock, keeps_trying=True)
    frames = source.frames()

    class Frames:
        """The slot of a source that is lost for ever."""

        seen = dropped = 0
        is_over = False

        def __iter__(self) -> Any:
            return iter(())

        def take(self, _: float) -> Any:
            # Seeking takes time.
            clock.now_s += 0.03
            return None

    for _ in range(shown):
        next(frames)
    source._is_reconnecting = True
    began_s = clock.now_s
    opened: Any = lambda *_, **__: _Lent(Frames())  # noqa: E731
    monkeypatch.setattr(session, "newest", opened)
    summary = live(
        "7", live_settings(duration=3.0),
        LiveOptions(preview="none", warmup=Warmup(seconds=1.0)),
        open_source=lambda *_: source, static=lambda: None, clock=clock, unix_time=clock,
    )  # fmt: skip
    # The warm-up and the duration.
    assert clock.now_s - began_s == pytest.approx(4.0, abs=0.04)
    assert (summary.seen, summary.analysed) == (0, 0)


class _Lent:
    """Lends an object to a block."""

    def __init__(self, lent: Any) -> None:
        self._lent = lent

    def __enter__(self) -> Any:
        return self._lent

    def __exit__(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("duration", [1.0, 2.5])
def test_a_run_records_its_duration(
    duration: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, out, table = Clock(), tmp_path / "o.mp4", tmp_path / "t.csv"
    capture = FakeCapture(9999, clock=clock, step_s=0.0)
    summary = _live(
        monkeypatch, [capture], clock, step_s=0.043, output=out, table=table, duration=duration
    )
    assert duration - 0.05 < summary.seconds <= duration
    assert length_of(out)[0] == round(20 * duration)
    times_s = [float(row["time_s"]) for row in csv.DictReader(table.open())]
    assert max(times_s) < duration


@pytest.mark.parametrize("is_requested", [False, True])
@pytest.mark.parametrize("needs_stats", [False, True])
def test_statistics_are_recorded_on_request_only(
    is_requested: bool, needs_stats: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, out = Clock(), tmp_path / "o.mkv"
    kept: list[FakePreview] = []
    monkeypatch.setattr(FakePreview, "draws_stats", needs_stats)
    monkeypatch.setattr(session, "open_preview", previewing(lambda _: [], kept))
    capture = FakeCapture(9999, clock=clock, step_s=0.0, size=(240, 320))
    grey = np.full((240, 320, 3), 120, np.uint8)
    monkeypatch.setattr(capture, "read", lambda: grey.copy())
    _live(
        monkeypatch, [capture], clock, LiveOptions(warmup=Warmup(), stats=is_requested),
        output=out, duration=1.5, codec="ffv1", alpha=0.0,
    )  # fmt: skip

    def has_stats(picture: Any) -> bool:
        # The dark strip at the top, at the right edge, which has no text.
        return bool(picture[:40, -2:].mean() < 110)

    def has_caption(picture: Any) -> bool:
        return bool(picture[200:, :200].std() > 5 or picture[:40, :200].std() > 5)

    recorded = list(iio.imiter(out, plugin="pyav"))
    assert [has_stats(picture) for picture in recorded[-5:]] == [is_requested] * 5
    assert has_stats(kept[0].shown[-1][0]) == needs_stats
    assert has_caption(recorded[-1])


def test_the_page_names_the_classes_of_the_picture_it_shows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    kept: list[FakePreview] = []
    monkeypatch.setattr(session, "open_preview", previewing(lambda _: [], kept))
    capture = FakeCapture(30, clock=clock, step_s=0.0)
    _live(monkeypatch, [capture], clock, duration=1.0)
    stats = [one for _, one in kept[0].shown]
    assert all(one.is_captioned and one.target == "motion" for one in stats)
