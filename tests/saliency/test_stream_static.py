"""Static stage: when the network predicts classes, and which class is explained."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from conftest import BrightnessStage
from stream_help import (
    PLAIN,
    Voting,
    analysed,
    frames_of,
)

from vidsal import image_ops
from vidsal.settings import Method, Settings
from vidsal.types import Frame, Map, Request, Rgb, Target


@pytest.mark.parametrize(
    ("rate", "every_s", "step"),
    [(25, 0.25, 7), (20, 0.25, 5), (20, 0.1, 2), (30, 0.1, 3), (25, 0.0, 1), (10, 0.04, 1)],
)
@pytest.mark.parametrize("batch", [1, 4, 16])
def test_the_network_predicts_at_the_given_interval(
    rate: int, every_s: float, step: int, batch: int
) -> None:
    pictures = [np.full((32, 64, 3), n, np.uint8) for n in range(40)]
    frames = [Frame(rgb, n, n / rate) for n, rgb in enumerate(pictures)]
    stage = BrightnessStage()
    settings = Settings(working_width=64, short_side=32, predict_every=every_s)
    results = analysed(frames, settings, static=stage, batch=batch)
    assert [int(rgb[0, 0, 0]) for rgb in stage.looked_at] == list(range(0, 40, step))
    assert all(result.prediction is not None for result in results)


def test_the_network_predicts_each_new_scene(clip: list[Rgb], other_clip: list[Rgb]) -> None:
    stage = BrightnessStage()
    analysed(frames_of(clip[:5] + other_clip[:5]), static=stage)
    assert len(stage.looked_at) == 2
    for picture, rgb in zip(stage.looked_at, (clip[0], other_clip[0]), strict=True):
        assert np.array_equal(picture, image_ops.sampled(rgb, (64, 128)))


def test_a_lock_needs_more_than_two_votes() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (32, 64, 3), np.uint8)
    # Class 1 for the first fifth of a second, as in a picture that is still blurred.
    stage = Voting([1] + [2] * 9, Target(is_locked=True))
    settings = Settings(working_width=64, short_side=32)
    results = analysed(frames_of([rgb] * 50), settings, static=stage)
    assert len(stage.looked_at) == 8
    targets = [one.prediction.target_id for one in results if one.prediction]
    assert targets == [1] * 14 + [2] * 36


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_the_locked_class_is_requested(batch: int) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (32, 64, 3), np.uint8)
    votes = [1] * 25 + [2] + [1] * 20 + [0] * 30
    stage = Voting(votes, Target(is_locked=True))
    settings = Settings(working_width=64, short_side=32, predict_every=0, static_every=1)
    results = analysed(frames_of([rgb] * len(votes)), settings, static=stage, batch=batch)
    # One frame of class 2 changes nothing. Class 0 is explained after it was on top for a second.
    change = 46 + 25
    expected = [1] * change + [0] * (len(votes) - change)
    assert [one.class_id for one in stage.asked] == expected
    seen = [result.prediction for result in results if result.prediction]
    assert [one.target_id for one in seen] == expected
    assert [one.class_ids[0] for one in seen] == votes
    assert [one.target_name for one in seen] == ["abc"[n] for n in expected]


def test_a_lock_ends_with_its_scene(clip: list[Rgb], other_clip: list[Rgb]) -> None:
    stage = Voting([1] * 5 + [2] * 5, Target(is_locked=True))
    settings = dataclasses.replace(PLAIN, predict_every=0)
    analysed(frames_of(clip[:5] + other_clip[:5]), settings, static=stage)
    assert [one.class_id for one in stage.asked] == [1] * 5 + [2] * 5


def test_the_predicted_class_is_explained(clip: list[Rgb]) -> None:
    # Also between two predictions, which are two frames apart here.
    stage = Voting([1, 2, 0, 2, 1], Target(top=1))
    settings = dataclasses.replace(PLAIN, predict_every=0.08)
    results = analysed(frames_of(clip), settings, static=stage)
    assert len(stage.looked_at) == 5
    named = [one.prediction.target_id for one in results if one.prediction]
    assert named == [one.class_id for one in stage.asked] == [1, 1, 2, 2, 0, 0, 2, 2, 1, 1]


@pytest.mark.parametrize("target", [Target(top=2), Target(class_id=2)])
def test_other_targets_do_not_depend_on_the_prediction(clip: list[Rgb], target: Target) -> None:
    stage = Voting([0] * 10, target)
    results = analysed(frames_of(clip), static=stage)
    assert {one.class_id for one in stage.asked} == {target.class_id}
    for result in results:
        assert result.prediction is not None
        assert result.prediction.target_id == target.class_id
        assert result.prediction.target_name == ("top 2" if target.top else "c")
        probability = result.prediction.target_probability
        assert probability == pytest.approx(0.8 if target.top else 0.2)


@pytest.mark.parametrize("size", [(32, 32), (64, 96)])
def test_a_network_of_fixed_size_gets_that_size(clip: list[Rgb], size: tuple[int, int]) -> None:
    stage = BrightnessStage(input_size=size)
    results = analysed(frames_of(clip), static=stage)
    assert {pictures.shape[1:3] for pictures in stage.pictures} == {size}
    assert {rgb.shape[:2] for rgb in stage.looked_at} == {size}
    for result in results:
        assert result.static is not None and result.static.shape == (90, 160)


class _Mean(BrightnessStage):
    """A network whose score is the mean brightness: the derivative at a place is 1 / places."""

    def maps(self, rgb: Rgb, requests: Sequence[Request]) -> Map:
        return super().maps(rgb, requests) / np.float32(np.prod(rgb.shape[1:3]))


@pytest.mark.parametrize("batch", [1, 4, 16])
def test_samples_take_turns_at_the_sizes(clip: list[Rgb], batch: int) -> None:
    stage = BrightnessStage()
    options: dict[str, Any] = {"sizes": "0.5,1,2", "samples": 7, "fresh": 2, "static_every": 1}
    settings = dataclasses.replace(PLAIN, short_side=64, method="smoothgrad", **options)
    analysed(frames_of(clip[:4]), settings, static=stage, batch=batch)
    drawn = {
        (request.frame, rgb.shape[1]): request.samples
        for rgb, requests in zip(stage.pictures, stage.requests, strict=True)
        for request in requests
    }
    # A full set of seven in the first frame, two in each other one.
    turns = {0: range(7), 1: range(2, 4), 2: range(4, 6), 3: range(6, 8)}
    assert drawn == Counter((frame, 32 * 2 ** (n % 3)) for frame in turns for n in turns[frame])
    # Classes are seen at the usual size alone.
    assert {rgb.shape[0] for rgb in stage.looked_at} == {64}


@pytest.mark.parametrize("batch", [1, 4, 16])
def test_pictures_and_their_mirror_images_take_turns_at_each_size(
    clip: list[Rgb], other_clip: list[Rgb], batch: int
) -> None:
    stage = BrightnessStage()
    options: dict[str, Any] = {"sizes": "0.5,1", "samples": 5, "fresh": 1, "static_every": 1}
    settings = dataclasses.replace(PLAIN, short_side=64, method="smoothgrad", **options)
    analysed(frames_of(clip[:4] + other_clip[:2]), settings, static=stage, batch=batch)
    turns: dict[int, list[int]] = {32: [], 64: []}
    for rgb, requests in zip(stage.pictures, stage.requests, strict=True):
        for one in requests:
            turns[rgb.shape[1]] += range(one.turn, one.turn + one.samples)
    # Turns 0 to 4 of the first frame, 4 to 8 of the cut at the fourth; else that of the frame.
    assert turns == {32: [0, 1, 2, 1, 2, 3, 4], 64: [0, 1, 0, 1, 2, 3, 2]}


def test_a_part_that_begins_where_turns_repeat_draws_as_the_whole(clip: list[Rgb]) -> None:
    settings = dataclasses.replace(
        PLAIN, short_side=64, method="smoothgrad", sizes="0.5,1", samples=5, static_every=2
    )
    assert settings.turns == 4 and dataclasses.replace(settings, mirror=False).turns == 2

    def drawn(frames: list[Frame]) -> dict[int, tuple[int, bool]]:
        """The size of a frame's only gradient, and whether it is mirrored."""
        stage = BrightnessStage()
        analysed(frames, settings, static=stage)
        return {
            one.frame: (rgb.shape[1], one.turn % 2 == 1)
            for rgb, requests in zip(stage.pictures, stage.requests, strict=True)
            for one in requests
            if one.samples == 1
        }

    frames = frames_of([clip[0]] * 24)
    whole, part = drawn(frames), drawn(frames[8:])
    assert len(part) == 7 and part.items() <= whole.items()
    assert set(part.values()) == {(32, False), (32, True), (64, False), (64, True)}


def test_maps_of_all_sizes_weigh_the_same() -> None:
    rgb = np.full((64, 128, 3), 90, np.uint8)
    maps = [
        analysed(frames_of([rgb]), Settings(short_side=64, samples=4, sizes=sizes), static=_Mean())[
            0
        ].gradient
        for sizes in ("1", "0.5,2", "0.5,1,1.5,2")
    ]
    for each in maps:
        assert each is not None
        assert each == pytest.approx(np.full(each.shape, 90 / (64 * 128)), rel=1e-4)


@pytest.mark.parametrize(
    ("method", "input_size"), [("gradient", None), ("gradcam", None), ("smoothgrad", (32, 32))]
)
def test_methods_of_one_picture_and_networks_of_one_size_have_one_size(
    clip: list[Rgb], method: Method, input_size: tuple[int, int] | None
) -> None:
    stage = BrightnessStage(input_size=input_size)
    settings = dataclasses.replace(PLAIN, method=method, short_side=64, sizes="0.5,2")
    analysed(frames_of(clip[:2]), settings, static=stage)
    assert {pictures.shape[1:3] for pictures in stage.pictures} == {input_size or (64, 128)}
