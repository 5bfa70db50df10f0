"""First frames, photos, cuts and flashes along the stream: which state restarts or continues."""

from __future__ import annotations

import dataclasses
from typing import get_args

import numpy as np
import pytest
from conftest import LoadScript, scene_of
from stream_help import (
    BARE,
    BRIGHTNESS,
    PLAIN,
    SQUARE,
    TEXTURE,
    Placed,
    RunningAverage,
    Voting,
    analysed,
    assert_same,
    bump,
    flash_of,
    frames_of,
    place_px,
)

from vidsal import image_ops
from vidsal.motion import compensated
from vidsal.motion.flow import TwoWayFlow, optical_flow
from vidsal.settings import Flow, Method
from vidsal.types import Rgb, StaticStage, Target

# First frames, photos and cuts


def test_first_frame_has_no_motion(clip: list[Rgb]) -> None:
    first, second = analysed(frames_of(clip[:2]))
    assert not first.motion.any() and not first.movement.speed.any() and not first.speed.any()
    assert first.static is not None and first.static.max() == 1
    assert first.fused == pytest.approx(first.static, abs=1e-6)
    assert first.motion_share == 0
    assert not first.is_cut
    assert second.motion.max() == 1


@pytest.mark.parametrize("static", [BRIGHTNESS, None], ids=["static", "motion only"])
def test_a_photo_is_a_stream_of_one_frame(clip: list[Rgb], static: StaticStage | None) -> None:
    (photo,) = analysed(frames_of(clip[:1]), static=static)
    first = analysed(frames_of(clip), static=static)[0]
    assert np.array_equal(photo.fused, first.fused)
    assert photo.fused.any() == (static is not None)


def test_a_new_scene_begins_without_state(clip: list[Rgb], other_clip: list[Rgb]) -> None:
    both = analysed(frames_of(clip[:5] + other_clip[:5]))
    assert [result.is_cut for result in both] == [n == 5 for n in range(10)]
    assert not both[5].motion.any()
    for one, other in zip(both[5:], analysed(frames_of(other_clip[:5], first=5)), strict=True):
        assert_same(one, other)
    # A darker second scene would show the scale of the first one.
    joined = analysed(frames_of(clip[:5] + [rgb // 2 for rgb in clip[5:]]))
    assert joined[5].is_cut


def test_motion_continues_across_batches(clip: list[Rgb]) -> None:
    results = analysed(frames_of(clip), batch=3)
    for result in results[1:]:
        assert result.movement.speed.max() > 2
        assert not result.is_cut


def test_motion_is_measured_against_the_frame_before(clip: list[Rgb]) -> None:
    results = analysed(frames_of(clip))
    for n in range(1, 10):
        expected = compensated.measure(image_ops.grey(clip[n - 1]), image_ops.grey(clip[n]))
        for name in ("flow", "backward", "known", "speed"):
            measured = getattr(results[n].movement, name)
            assert np.array_equal(measured, getattr(expected, name)), name


@pytest.mark.parametrize("method", get_args(Flow))
def test_flow_uses_the_chosen_method(clip: list[Rgb], method: Flow) -> None:
    grey = [image_ops.grey(rgb) for rgb in clip[:2]]
    expected = {one: TwoWayFlow(one).between(*grey)[0] for one in get_args(Flow)}
    result = analysed(frames_of(clip[:2]), dataclasses.replace(PLAIN, flow=method))[1]
    assert [np.array_equal(result.movement.flow, one) for one in expected.values()] == [
        one == method for one in expected
    ]
    assert np.array_equal(result.movement.backward, optical_flow(*grey[::-1], method=method))


def test_a_cut_on_the_last_frame_is_a_cut(clip: list[Rgb], other_clip: list[Rgb]) -> None:
    results = analysed(frames_of(clip[:4] + other_clip[:1]))
    assert [result.is_cut for result in results] == [False] * 4 + [True]


# Flashes


@pytest.mark.parametrize("batch", [1, 3, 4, 16])
@pytest.mark.parametrize("kind", ["white", "black", "other"])
def test_a_single_frame_flash_does_not_end_the_scene(
    kind: str, batch: int, load_script: LoadScript
) -> None:
    _, pictures = scene_of(
        load_script, background_velocity=(0, 0), square_velocity=(-2, 1), frame_count=14
    )
    without = analysed(frames_of(pictures), batch=batch)
    pictures[5] = flash_of(kind)
    # Another class may be on top in the flash; the explained class stays.
    stage = Voting([1] * 5 + [2] + [1] * 8, Target(is_locked=True))
    settings = dataclasses.replace(PLAIN, predict_every=0)
    results = analysed(frames_of(pictures), settings, static=stage, batch=batch)
    assert not any(result.is_cut for result in results)
    assert [one.frame for one in stage.asked] == [0, 1, 2, 3, 4, *range(6, 14)]
    assert [one.samples for one in stage.asked] == [16] + [1] * 12
    assert [one.class_id for one in stage.asked] == [1] * 13
    # During the flash there is no motion, and all points have a past.
    flash = results[5].movement
    assert not flash.flow.any() and not flash.backward.any() and not flash.speed.any()
    assert (flash.known == 1).all()
    assert np.array_equal(results[5].speed, results[4].speed)
    # The next frame is compared with the frame before the flash, over the time between them.
    expected = compensated.measure(image_ops.grey(pictures[4]), image_ops.grey(pictures[6]))
    assert np.array_equal(results[6].movement.flow, expected.flow)
    assert np.array_equal(results[6].movement.backward, expected.backward)
    for n in range(6, 14):
        fast, usual = (float(np.percentile(r[n].speed, 99)) for r in (results, without))
        assert usual > 0.25 and fast == pytest.approx(usual, rel=0.05)


@pytest.mark.parametrize("kind", ["white", "black"])
def test_scales_continue_across_a_flash(kind: str, clip: list[Rgb]) -> None:
    pictures = clip.copy()
    pictures[4] = flash_of(kind)
    strengths = [1.0, 1.0, 4.0, 4.0, 9.0, 4.0, 4.0, 2.0, 2.0, 2.0]
    pattern = np.random.default_rng(0).random((90, 160)).astype(np.float32)
    stage = Placed(lambda one: pattern * np.float32(strengths[one.frame]))
    settings = dataclasses.replace(BARE, scale="stable", method="gradient")
    results = analysed(frames_of(pictures), settings, static=stage)
    static, moving = RunningAverage(), RunningAverage()
    for n, result in enumerate(results):
        static_end = static.after(strengths[n], 0.04)
        assert result.static_high / results[0].static_high == pytest.approx(static_end, rel=1e-5)
        if n:
            fast = float(np.percentile(result.speed, 99.8))
            assert result.motion_high == pytest.approx(moving.after(fast, 0.04), rel=1e-5)
            assert result.motion_high == pytest.approx(SQUARE, rel=0.05)


@pytest.mark.parametrize("kind", ["white", "black", "other"])
def test_the_fused_map_does_not_change_in_a_flash(kind: str, clip: list[Rgb]) -> None:
    # The guided filter uses the picture of the scene, not the flash.
    pictures = clip.copy()
    pictures[4] = flash_of(kind)
    pattern = np.random.default_rng(0).random((90, 160)).astype(np.float32)
    stage = Placed(lambda one: pattern)
    settings = dataclasses.replace(BARE, scale="stable", smooth=0.03, gain=4.0)
    results = analysed(frames_of(pictures), settings, static=stage)
    assert results[3].motion.max() > 0.9
    assert results[4].fused == pytest.approx(results[3].fused, abs=0.01)


def test_a_spot_sampled_before_a_flash_stays_on_its_texture(load_script: LoadScript) -> None:
    # The whole picture pans by (2, -1). Only the map of the first frame has a hot spot.
    _, pictures = scene_of(load_script, square_velocity=(2, -1))
    pictures[4] = flash_of("white")
    nothing = np.zeros(TEXTURE, np.float32)
    stage = Placed(lambda one: bump(45, 60) if one.frame == 0 else nothing)
    settings = dataclasses.replace(BARE, scale="minmax")
    for n, result in enumerate(analysed(frames_of(pictures), settings, static=stage)):
        steps = 3 if n == 4 else n
        assert result.static is not None
        assert place_px(result.static) == pytest.approx((45 - steps, 60 + 2 * steps), abs=1.5)


@pytest.mark.parametrize("static_every", [1, 4])
@pytest.mark.parametrize("method", get_args(Method))
@pytest.mark.parametrize(("kind", "length"), [("white", 2), ("black", 3), ("other", 12)])
def test_after_a_longer_flash_the_state_before_it_is_restored(
    kind: str, length: int, method: Method, static_every: int, clip: list[Rgb]
) -> None:
    settings = dataclasses.replace(PLAIN, method=method, static_every=static_every, predict_every=0)
    end = 3 + length
    pictures = clip[:3] + [flash_of(kind)] * length + clip[3:]
    stage = Voting([1] * 3 + [2] * length + [0] * 7, Target(is_locked=True))
    results = analysed(frames_of(pictures), settings, static=stage)
    assert [result.frame.index for result in results if result.is_cut] == [3]
    targets = [result.prediction.target_id for result in results if result.prediction]
    assert targets == [1] * 3 + [2] * length + targets[end:] and targets[end] == 1
    before, flash, after = results[2], results[end - 1], results[end]
    assert after.static_high == pytest.approx(before.static_high, rel=0.1)
    assert after.motion_high == pytest.approx(before.motion_high, rel=0.1)
    assert abs(flash.static_high - before.static_high) > 0.3 * before.static_high
    # No frame draws more than the fresh gradients.
    if method == "smoothgrad" and static_every == 1:
        assert [one.samples for one in stage.asked if one.frame >= end][:2] == [1, 1]


def test_a_picture_of_more_than_half_a_second_is_a_scene(clip: list[Rgb]) -> None:
    pictures = clip[:3] + [flash_of("white")] * 13 + clip[3:6]
    results = analysed(frames_of(pictures))
    assert [result.frame.index for result in results if result.is_cut] == [3, 16]
