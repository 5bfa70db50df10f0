"""An analysis that goes on from what another one remembered."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
import pytest
from conftest import BrightnessStage
from stream_help import (
    PLAIN,
    analysed,
    assert_same,
    flash_of,
    frames_of,
)

from vidsal.runtime.prefetch import prefetch
from vidsal.runtime.safe_pickle import dumps, loads
from vidsal.saliency.state import MEMORY_CLASSES, Memory
from vidsal.saliency.stream import analyse_frames
from vidsal.types import Map, Request, Rgb, Target


def _eventful(clip: list[Rgb], other_clip: list[Rgb]) -> list[Rgb]:
    """A flash of one frame, one of two, a cut, a cut soon after another, and a last flash."""
    pictures = clip[:3] + [flash_of("white")] + clip[4:6] + [flash_of("black")] * 2 + clip[6:9]
    return pictures + other_clip[:6] + [flash_of("other")] + clip[:3] + [flash_of("white")]


GOING_ON = {
    "plain": PLAIN,
    "every second": dataclasses.replace(PLAIN, static_every=2, predict_every=0.1),
    "many fresh": dataclasses.replace(PLAIN, fresh=4, predict_every=0, scale="frame"),
    "one gradient": dataclasses.replace(PLAIN, method="gradient", fusion="max"),
}


def _voting() -> BrightnessStage:
    """A stage whose top class depends on the picture, explained with a lock."""

    class ByBrightness(BrightnessStage):
        def predict(self, rgb: Rgb) -> Map:
            self.looked_at.extend(rgb)
            classes = rgb.sum(axis=(1, 2, 3)) // 1000 % 5
            return np.asarray(np.eye(5)[classes], np.float32)

        def maps(self, rgb: Rgb, requests: Sequence[Request]) -> Map:
            noise = [np.random.default_rng((one.frame, one.samples)) for one in requests]
            drawn = np.stack([one.random(rgb.shape[1:3], np.float32) for one in noise])
            return np.asarray(super().maps(rgb, requests) * (0.5 + drawn), np.float32)

    return ByBrightness(tuple("abcde"), target=Target(is_locked=True))


@pytest.mark.parametrize("depth", [0, 4])
@pytest.mark.parametrize(("batch", "part"), [(1, 1), (2, 3), (5, 3), (16, 7)])
@pytest.mark.parametrize("how", GOING_ON)
def test_an_analysis_that_goes_on_gives_what_one_in_one_go_gives(
    how: str, batch: int, part: int, depth: int, clip: list[Rgb], other_clip: list[Rgb]
) -> None:
    frames, settings = frames_of(_eventful(clip, other_clip)), GOING_ON[how]
    whole_stage = _voting()
    whole, memories, memory = [], {}, Memory()
    lead = functools.partial(prefetch, depth=depth)
    analyse = functools.partial(
        analyse_frames, settings=settings, batch=batch, part=part, lead=lead
    )
    for one in analyse(iter(frames), whole_stage, memory=memory):
        whole.append(one)
        if len(whole) % part == 0:
            memories[len(whole)] = dumps(memory)
    assert [one.is_cut for one in whole].count(True) >= 3
    assert len({one.class_id for one in whole_stage.asked}) > 1
    for done, remembered in memories.items():
        stage = _voting()
        rest = list(
            analyse(iter(frames[done:]), stage, memory=loads(remembered, Memory, MEMORY_CLASSES))
        )
        assert len(rest) == len(frames) - done
        for one, other in zip(rest, whole[done:], strict=True):
            assert_same(one, other)
            assert one.prediction == other.prediction and one.is_cut == other.is_cut
        # The network is asked for the same, in the same groups.
        assert stage.requests == [call for call in whole_stage.requests if call[0].frame >= done]


def test_motion_alone_goes_on_after_any_frame(clip: list[Rgb], other_clip: list[Rgb]) -> None:
    frames, memory, memories = frames_of(_eventful(clip, other_clip)), Memory(), []
    whole = []
    for one in analyse_frames(iter(frames), None, PLAIN, batch=4, memory=memory):
        whole.append(one)
        memories.append(dumps(memory))
    for done, remembered in enumerate(memories, start=1):
        rest = analyse_frames(
            iter(frames[done:]),
            None,
            PLAIN,
            batch=4,
            memory=loads(remembered, Memory, MEMORY_CLASSES),
        )
        for one, other in zip(rest, whole[done:], strict=True):
            assert np.array_equal(one.fused, other.fused)
            assert one.motion_high == other.motion_high and one.is_cut == other.is_cut
            assert (one.peak, one.ring) == (other.peak, other.ring)


def test_without_its_memory_an_analysis_gives_something_else(clip: list[Rgb]) -> None:
    frames = frames_of(clip)
    whole, rest = analysed(frames)[4:], analysed(frames[4:])
    assert not np.array_equal(whole[0].fused, rest[0].fused)
    assert whole[-1].fused_high != rest[-1].fused_high
