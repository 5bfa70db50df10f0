"""Which frames of a clip are scored, and which are analysed for them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from conftest import BrightnessStage
from evaluation_help import (
    mean_of,
    plain_settings,
    square_clip,
    write_sequence,
)
from stream_help import analyse_frames

from vidsal.evaluation.datasets import Clip, Truth
from vidsal.evaluation.evaluate import evaluate
from vidsal.evaluation.excerpts import analyse_excerpts, excerpts
from vidsal.types import Frame, Saliency


def test_the_same_seed_gives_the_same_report(data: Path) -> None:
    write_sequence(data)
    reports = [
        evaluate([data], plain_settings(), frames_per_clip=2, seed=seed) for seed in (0, 0, 1, 2)
    ]
    first, again, *others = [mean_of(one, "centre prior", "MAE") for one in reports]
    assert first == again
    assert reports[0].to_dict() == reports[1].to_dict()
    assert any(other != first for other in others)
    assert [one.seed for one in reports] == [0, 0, 1, 2]


def test_excerpts_that_touch_are_joined() -> None:
    assert excerpts([]) == []
    assert excerpts([3, 7]) == [(0, 7)]
    assert excerpts([30, 40, 100]) == [(6, 40), (76, 100)]
    # 27 frames later, the history begins directly after the frame that follows the first one.
    assert excerpts([30, 57]) == [(6, 57)]
    assert excerpts([30, 58]) == [(6, 30), (33, 58)]


def test_half_of_the_frames_draw_where_every_second_one_does() -> None:
    numbers = list(range(100, 1000, 50))
    histories = [last - first for first, last in excerpts(numbers)]
    assert histories == [24, 25] * 9


def _frames(count: int) -> list[Frame]:
    pictures = (picture for picture, _ in square_clip(count, speed=1))
    return [Frame(picture, n, n / 25) for n, picture in enumerate(pictures)]


def _analysed(
    frames: Sequence[Frame], wanted: Iterable[int], stage: BrightnessStage | None
) -> dict[int, Saliency]:
    clip = Clip("a", None, [], lambda: iter(frames), lambda _: Truth())
    truths = dict.fromkeys(wanted, Truth())
    found = analyse_excerpts(clip, truths, stage, plain_settings(batch=4), ["gain"])
    return {one["gain"].frame.index: one["gain"] for one in found}


def test_a_scored_frame_is_that_of_a_run_on_the_full_clip() -> None:
    frames = _frames(28)
    full = list(analyse_frames(frames, BrightnessStage(), plain_settings(), batch=4))
    found = _analysed(frames, [3, 11, 24], BrightnessStage())
    assert list(found) == [3, 11, 24]
    for number, one in found.items():
        expected = full[number]
        assert one.static is not None
        assert expected.static is not None
        np.testing.assert_array_equal(one.static, expected.static)
        np.testing.assert_array_equal(one.motion, expected.motion)
        np.testing.assert_array_equal(one.fused, expected.fused)
        assert one.motion.max() == 1
    # Without the frames before it, the map is different.
    lone = _analysed(frames[23:], [24], BrightnessStage())[24]
    assert np.abs(lone.motion - full[24].motion).max() > 0.05


def test_the_speed_after_the_history_is_that_of_the_full_clip() -> None:
    frames = _frames(32)
    full = list(analyse_frames(frames, None, plain_settings(), batch=1))[31].speed
    found = _analysed(frames, [31], None)[31].speed
    short = _analysed(frames[29:], [31], None)[31].speed
    assert full.max() > 0.1
    np.testing.assert_allclose(found, full, atol=2e-3 * float(full.max()))
    assert np.abs(short - full).max() > 0.05 * full.max()


def test_only_scored_frames_and_their_histories_are_analysed() -> None:
    stage = BrightnessStage()
    assert list(_analysed(_frames(64), [2, 60], stage)) == [2, 60]
    assert [request.frame for request in stage.asked] == [0, 1, 2, 3, *range(35, 62)]
