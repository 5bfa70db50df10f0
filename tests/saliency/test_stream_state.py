"""A stream that continues from the state of another one."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
import pytest
from conftest import BrightnessStage
from stream_help import (
    PLAIN,
    analyse_frames,
    analysed,
    assert_same,
    flash_of,
    frames_of,
)

from vidsal.runtime.prefetch import prefetch
from vidsal.runtime.safe_pickle import dumps, loads
from vidsal.saliency.state import STATE_CLASSES, StreamState
from vidsal.types import Map, Request, Rgb, Target


def _eventful(clip: list[Rgb], other_clip: list[Rgb]) -> list[Rgb]:
    """Return pictures with flashes of one and two frames, cuts soon after each other, a flash."""
    pictures = clip[:3] + [flash_of("white")] + clip[4:6] + [flash_of("black")] * 2 + clip[6:9]
    return pictures + other_clip[:6] + [flash_of("other")] + clip[:3] + [flash_of("white")]


SETTINGS = {
    "plain": PLAIN,
    "every second": dataclasses.replace(PLAIN, static_every=2, predict_every=0.1),
    "many fresh": dataclasses.replace(PLAIN, fresh=4, predict_every=0, scale="frame"),
    "one gradient": dataclasses.replace(PLAIN, method="gradient", fusion="max"),
}


def _varying_stage() -> BrightnessStage:
    """Return a stage with a locked target, whose top class depends on the picture."""

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
@pytest.mark.parametrize(("batch", "segment"), [(1, 1), (2, 3), (5, 3), (16, 7)])
@pytest.mark.parametrize("name", SETTINGS)
def test_a_continued_stream_gives_what_one_stream_gives(
    name: str, batch: int, segment: int, depth: int, clip: list[Rgb], other_clip: list[Rgb]
) -> None:
    frames, settings = frames_of(_eventful(clip, other_clip)), SETTINGS[name]
    whole_stage = _varying_stage()
    whole, states, state = [], {}, StreamState()
    read_ahead = functools.partial(prefetch, depth=depth)
    analyse = functools.partial(
        analyse_frames, settings=settings, batch=batch, segment=segment, read_ahead=read_ahead
    )
    for one in analyse(iter(frames), whole_stage, state=state):
        whole.append(one)
        if len(whole) % segment == 0:
            states[len(whole)] = dumps(state)
    assert [one.is_cut for one in whole].count(True) >= 3
    assert len({one.class_id for one in whole_stage.asked}) > 1
    for done, remembered in states.items():
        stage = _varying_stage()
        rest = list(
            analyse(iter(frames[done:]), stage, state=loads(remembered, StreamState, STATE_CLASSES))
        )
        assert len(rest) == len(frames) - done
        for one, other in zip(rest, whole[done:], strict=True):
            assert_same(one, other)
            assert one.prediction == other.prediction and one.is_cut == other.is_cut
        # The network gets the same requests, in the same groups.
        assert stage.requests == [call for call in whole_stage.requests if call[0].frame >= done]


def test_motion_alone_continues_after_any_frame(clip: list[Rgb], other_clip: list[Rgb]) -> None:
    frames, state, states = frames_of(_eventful(clip, other_clip)), StreamState(), []
    whole = []
    for one in analyse_frames(iter(frames), None, PLAIN, batch=4, state=state):
        whole.append(one)
        states.append(dumps(state))
    for done, remembered in enumerate(states, start=1):
        rest = analyse_frames(
            iter(frames[done:]),
            None,
            PLAIN,
            batch=4,
            state=loads(remembered, StreamState, STATE_CLASSES),
        )
        for one, other in zip(rest, whole[done:], strict=True):
            assert np.array_equal(one.fused, other.fused)
            assert one.motion_high == other.motion_high and one.is_cut == other.is_cut
            assert (one.peak, one.marker) == (other.peak, other.marker)


def test_without_the_state_the_results_differ(clip: list[Rgb]) -> None:
    frames = frames_of(clip)
    whole, rest = analysed(frames)[4:], analysed(frames[4:])
    assert not np.array_equal(whole[0].fused, rest[0].fused)
    assert whole[-1].fused_high != rest[-1].fused_high
