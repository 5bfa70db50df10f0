"""The analysis of a live source, whose size and target change while it runs."""

from collections.abc import Iterator

import numpy as np
import pytest
from conftest import BrightnessStage
from live_fakes import INFO, SIZE, live_settings
from stream_help import analyse_frames

from vidsal.live.adaptive import Adaptive
from vidsal.live.statistics import StatsCollector
from vidsal.types import Frame, Target


def test_no_frame_waits_for_the_next_one() -> None:
    pulled = 0

    def frames() -> Iterator[Frame]:
        nonlocal pulled
        for n in range(4):
            pulled += 1
            yield Frame(np.full((*SIZE, 3), 40 * n, np.uint8), n, n / 20)

    results = analyse_frames(frames(), None, live_settings(), batch=1, looks_ahead=False)
    for n, one in enumerate(results, start=1):
        assert (one.frame.index, pulled) == (n - 1, n)


def test_a_result_does_not_depend_on_looking_ahead_where_nothing_flashes() -> None:
    rng = np.random.default_rng(0)
    ground = rng.integers(0, 255, (SIZE[0] + 20, SIZE[1] + 20, 3), np.uint8)
    frames = [
        Frame(np.ascontiguousarray(ground[n : n + SIZE[0], n : n + SIZE[1]]), n, n / 20)
        for n in range(6)
    ]
    both = [
        list(analyse_frames(frames, BrightnessStage(), live_settings(), batch=1, looks_ahead=ahead))
        for ahead in (True, False)
    ]
    for one, other in zip(*both, strict=True):
        np.testing.assert_array_equal(one.fused, other.fused)


class AimedStage(BrightnessStage):
    """Can explain another target."""

    def aimed(self, target: Target) -> "AimedStage":
        return AimedStage(target=target)


def test_targets_come_in_turn_and_begin_the_analysis_anew() -> None:
    analysis = Adaptive(AimedStage(target=Target(top=5)), live_settings(), INFO)
    frames = (Frame(np.zeros((*SIZE, 3), np.uint8), n, n / 20) for n in range(99))
    results = analysis.results(frames)
    targets, cuts = [], []
    for _ in range(5):
        one = next(results)
        assert one.prediction is not None
        targets.append(one.prediction.target_name)
        cuts.append(one.frame.index)
        analysis.next_target(one.prediction)
    assert targets == ["top 5", "bright", "bright", "bright", "top 5"]
    # No change loses a frame.
    assert cuts == [0, 1, 2, 3, 4]


def test_a_smaller_size_is_used_from_the_next_frame_on() -> None:
    analysis = Adaptive(None, live_settings(working_width=128), INFO)
    frames = (Frame(np.zeros((*SIZE, 3), np.uint8), n, n / 20) for n in range(99))
    results = analysis.results(frames)
    assert next(results).fused.shape == (96, 128)
    stats = StatsCollector()
    stats.begin(0.0, 0, 0)
    for n in range(1, 31):
        stats.update(n / 5, 6 * n, 5 * n, 0.1)
        analysis.adapt(n / 5, stats)
    assert analysis.size.working_width < 128
    assert next(results).fused.shape[1] == analysis.size.working_width


def _moving(times_s: list[float], *, jump_px: int = 0) -> Iterator[Frame]:
    """A square that moves by 2 pixels a frame, and by more across a gap in time."""
    rng = np.random.default_rng(1)
    ground = rng.integers(60, 120, (*SIZE, 3), np.uint8)
    square = rng.integers(150, 255, (24, 24, 3), np.uint8)
    for n, time_s in enumerate(times_s):
        rgb = ground.copy()
        column = 4 + 2 * n + (jump_px if time_s > 2 else 0)
        rgb[30:54, column : column + 24] = square
        yield Frame(rgb, n, time_s)


@pytest.mark.parametrize("gap_s", [1.2, 3.0, 6.5, 600.0])
@pytest.mark.parametrize("jump_px", [0, 30])
@pytest.mark.parametrize("has_network", [False, True])
def test_a_gap_leaves_the_scales_as_they_were(
    gap_s: float, jump_px: int, has_network: bool
) -> None:
    even = [n / 20 for n in range(30)]
    late = [time_s if n < 20 else time_s + gap_s for n, time_s in enumerate(even)]
    stage = BrightnessStage() if has_network else None
    without, across = (
        list(Adaptive(stage, live_settings(), INFO).results(_moving(times_s, jump_px=jump)))
        for times_s, jump in ((even, 0), (late, jump_px))
    )
    # The frames keep their own times.
    assert [one.frame.time_s for one in across] == late
    for n in range(20, 30):
        assert across[n].motion_high == pytest.approx(without[n].motion_high, rel=0.12)
        # The first frame has no motion, which the fused map would have had.
        if n > 20 or not has_network:
            assert across[n].fused_high == pytest.approx(without[n].fused_high, rel=0.12)
        assert (across[n].static is None) == (not has_network)
        if across[n].static is not None:
            assert np.any(across[n].static)
        top = float((across[n].fused >= 1).mean())
        assert top <= float((without[n].fused >= 1).mean()) + 0.03
    # No motion across the gap; from the next frame on it is measured again.
    assert not across[20].speed.any()
    assert across[22].speed.max() == pytest.approx(without[22].speed.max(), rel=0.25)


def test_a_slow_source_is_no_gap() -> None:
    slow = [1.5 * n for n in range(6)]
    results = list(Adaptive(None, live_settings(), INFO).results(_moving(slow)))
    assert [bool(one.speed.any()) for one in results] == [False, False, True, True, True, True]


def test_another_scene_after_a_gap_has_scales_of_its_own() -> None:
    frames = [
        Frame(np.full((*SIZE, 3), 40 if time_s < 2 else 220, np.uint8), n, time_s)
        for n, time_s in enumerate([0.0, 0.05, 0.1, 7.0, 7.05])
    ]
    results = list(Adaptive(None, live_settings(), INFO).results(frames))
    assert [one.is_cut for one in results] == [False, False, False, True, False]
