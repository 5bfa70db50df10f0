"""The sampling stage: how many gradients each frame draws."""

from collections.abc import Generator, Iterable
from dataclasses import replace
from functools import partial

import numpy as np

from vidsal.motion.warp import warp
from vidsal.saliency.motion_stage import FrameMotion
from vidsal.saliency.schedule import GradientSchedule
from vidsal.saliency.state import SamplingState
from vidsal.saliency.temporal import SamplePlan

# A frame draws gradients out of turn where more than this share of the history is missing.
_MISSING_SHARE = 0.5


class SamplingStage:
    """Plans the number of gradients of each frame.

    Parameters
    ----------
    plan : SamplePlan
        How many gradients a map averages, and how many of them are new.
    schedule : GradientSchedule
        Which frames draw gradients at all.
    state : SamplingState
        The state to start from; it is updated with each frame.
    accumulates : bool
        Whether gradients of earlier frames are used.
    """

    def __init__(
        self,
        plan: SamplePlan,
        schedule: GradientSchedule,
        state: SamplingState,
        *,
        accumulates: bool,
    ) -> None:
        self._plan, self._schedule, self._state = plan, schedule, state
        self._accumulates = accumulates

    def run(self, motions: Iterable[FrameMotion]) -> Generator[FrameMotion, None, None]:
        """Yield the frames with the number of gradients that each needs.

        Parameters
        ----------
        motions : iterable of FrameMotion
            Consecutive frames with their motion.

        Yields
        ------
        FrameMotion
            With `samples` and `turn` set.
        """
        for motion in motions:
            # From the position, and not from what was drawn, for the same reason as the schedule.
            turn = self._state.position // self._schedule.every * self._plan.fresh
            yield replace(motion, samples=self._samples(motion), turn=turn)

    def _samples(self, motion: FrameMotion) -> int:
        plan, state, movement = self._plan, self._state, motion.movement
        new = partial(np.zeros_like, movement.known)
        weight = state.weights.at(motion.event, new)
        has_past = self._accumulates and not motion.is_first
        weight = warp(weight, movement.backward) * movement.known if has_past else new()
        missing = plan.missing(weight)
        samples = 0
        # Counted from the first frame, and not from the last draw: a stream that begins elsewhere
        # at a multiple soon draws at the same frames, whatever was drawn out of turn before.
        is_scheduled = state.position % self._schedule.every == 0
        state.position += 1
        is_due = is_scheduled or (plan.accumulates and missing > _MISSING_SHARE)
        # The pixels of a flash are not part of the scene.
        if (is_due and motion.event != "flash") or not has_past:
            samples = plan.drawn(missing)
            weight = weight * np.float32(plan.decay(samples)) + np.float32(samples)
        state.weights.now = weight
        return samples
