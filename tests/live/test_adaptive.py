"""The analysis of a live source, whose size and target change while it runs."""

from collections.abc import Iterator

import numpy as np
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
