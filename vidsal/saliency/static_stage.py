"""The static stage: asks the network for gradients and classes, and averages along the flow."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np

from vidsal import image_ops
from vidsal.saliency.motion_stage import FrameMotion, TimedInput
from vidsal.saliency.schedule import GradientSchedule
from vidsal.saliency.state import StaticState
from vidsal.saliency.targets import LOCK_EVERY_S, TargetLock, prediction
from vidsal.saliency.temporal import GradientAverage, SamplePlan
from vidsal.settings import StaticOptions
from vidsal.settings.values import CLASS_ACTIVATION
from vidsal.types import Frame, Map, Prediction, Request, Rgb, StaticStage

# The sides of a network's input are multiples of this, its total stride, so that no border of the
# picture is lost to rounding on the way down.
_STRIDE_PX = 32
# The longer side of the network's input is at most this many short sides.
_LONGEST = 4
# Gradients beyond this would overflow when they are summed.
_LARGEST = 1e30


class StaticMap(NamedTuple):
    """A frame with its static map, before scaling and fusion.

    Attributes
    ----------
    motion : FrameMotion
        The frame and its motion.
    values : (h, w) float32 array or None
        Accumulated and smoothed gradient map without a common scale; ``None`` without a network.
    prediction : Prediction or None
        The classes that the network sees; ``None`` without a network.
    """

    motion: FrameMotion
    values: Map | None
    prediction: Prediction | None


def sample_plan(options: StaticOptions) -> SamplePlan:
    """Return how many gradients a map averages: only SmoothGrad accumulates old ones.

    Parameters
    ----------
    options : StaticOptions
        ``method``, ``samples`` and ``fresh`` are used.
    """
    if options.method == "gradient" or options.method in CLASS_ACTIVATION:
        return SamplePlan(1, 1)
    if options.method == "integrated":
        return SamplePlan(options.samples, options.samples)
    return SamplePlan(options.samples, options.fresh)


class StaticMapStage:
    """Makes the static map of each frame.

    Parameters
    ----------
    static : StaticStage
        The network.
    options : StaticOptions
    plan : SamplePlan
    state : StaticState
        The state to start from; it is updated with each frame.
    accumulates : bool
        Whether gradients of earlier frames are used.
    schedule : GradientSchedule
        Gets the duration of each batch.
    timed_input : TimedInput
        The frames' waiting time, which is not part of the work.
    clock : callable
        Returns seconds.
    model_name : str or None
        Name of the network for the predictions.
    """

    def __init__(
        self,
        static: StaticStage,
        options: StaticOptions,
        plan: SamplePlan,
        state: StaticState,
        *,
        accumulates: bool,
        schedule: GradientSchedule,
        timed_input: TimedInput,
        clock: Callable[[], float],
        model_name: str | None = None,
    ) -> None:
        self._static, self._options, self._plan, self._state = static, options, plan, state
        self._accumulates, self._schedule = accumulates, schedule
        self._timed_input, self._clock, self._model_name = timed_input, clock, model_name
        self._sizes_px = sample_sizes(options, static)
        # A lock is decided by a vote, and two votes a second have no majority.
        is_locked = static.target.is_locked
        longest_s = LOCK_EVERY_S if is_locked else options.predict_every
        self._predict_every_s = min(options.predict_every, longest_s)

    def run(self, groups: Iterable[list[FrameMotion]]) -> Iterator[StaticMap]:
        """Yield one `StaticMap` for each frame of each group, in order.

        Parameters
        ----------
        groups : iterable of list of FrameMotion
            Batches of consecutive frames.

        Yields
        ------
        StaticMap
            Its map is (h, w) float32, without a common scale.
        """
        for motion, sampled, seen in self._sampled(groups):
            average = self._accumulated(motion, sampled)
            smooth = image_ops.smoothed(average.mean, self._options.smooth)
            yield StaticMap(motion, smooth, seen)

    def _sampled(
        self, groups: Iterable[list[FrameMotion]]
    ) -> Iterator[tuple[FrameMotion, Map | None, Prediction]]:
        """Ask the network, one group of frames per call, for gradient maps and classes."""
        clock, timed_input = self._clock, self._timed_input
        began_s, waited_s = clock(), 0.0
        for group in groups:
            pictures = _NetworkPictures(group, self._static)
            seen = self._predictions(group, pictures)
            network_began_s, was_decided = clock(), self._static.is_decided
            maps = self._maps(group, seen, pictures)
            if self._static.is_decided != was_decided:
                # The time of this group includes a trial.
                self._schedule.restart()
            network_s = clock() - network_began_s
            # Known only now, where the stage tries which arithmetic is quicker.
            precision = self._static.precision
            for n, motion in enumerate(group):
                yield motion, maps.get(n), replace(seen[n], precision=precision)
            working_s = clock() - began_s - (timed_input.waited_s - waited_s)
            self._schedule.add(len(group), len(maps), network_s, working_s)
            began_s, waited_s = clock(), timed_input.waited_s

    def _maps(
        self, group: list[FrameMotion], seen: list[Prediction], pictures: "_NetworkPictures"
    ) -> dict[int, Map]:
        """Return the mean of the new gradients of each frame that draws some, at working size."""
        maps: dict[int, Map] = {}
        for short_px, of_size in zip(self._sizes_px, self._draws(group), strict=True):
            if not of_size:
                continue
            # The class that the caption names is the one that is explained.
            requests = [
                Request(group[n].frame.index, count, seen[n].target_id, turn)
                for n, (turn, count) in of_size.items()
            ]
            rgb = pictures.of(list(of_size), short_px)
            found = self._static.maps(rgb, requests)
            for (n, (_, count)), gradient in zip(of_size.items(), found, strict=True):
                motion = group[n]
                usual = self._network_size(motion, self._options.short_side)
                # A score is a mean over the picture, so that its derivative at a place is as much
                # smaller as there are more places.
                share = count / motion.samples * math.prod(rgb.shape[1:3]) / math.prod(usual)
                # A NaN or infinity would persist in the running average.
                finite = np.nan_to_num(gradient, posinf=0.0, neginf=0.0)
                limited = np.clip(finite * np.float32(share), -_LARGEST, _LARGEST)
                small = image_ops.shrink(limited, motion.movement.speed.shape)
                maps[n] = maps[n] + small if n in maps else small
        return maps

    def _draws(self, group: list[FrameMotion]) -> list[dict[int, tuple[int, int]]]:
        """Return which gradients each frame draws at each size; sizes take turns.

        Keys are numbers of frames in the group. Values are the turn of the first gradient among
        those of this size, and the number of gradients.
        """
        sizes = len(self._sizes_px)
        draws: list[dict[int, tuple[int, int]]] = [{} for _ in self._sizes_px]
        for n, motion in enumerate(group):
            stop = motion.turn + motion.samples
            for first, of_size in enumerate(draws):
                # Turns `first`, `first + sizes`, and so on are at this size.
                before, after = (
                    (turn - first + sizes - 1) // sizes for turn in (motion.turn, stop)
                )
                if after > before:
                    of_size[n] = before, after - before
        return draws

    def _network_size(self, motion: FrameMotion, short_px: int) -> tuple[int, int]:
        return self._static.input_size or network_size(*motion.frame.size_px, short_px)

    def _predictions(
        self, group: list[FrameMotion], pictures: "_NetworkPictures"
    ) -> list[Prediction]:
        """Return the classes of each frame; frames between two predictions repeat the last one."""
        state, due = self._state, []
        for n, motion in enumerate(group):
            time_s = motion.frame.time_s
            # Times are rounded quotients, hence the microsecond.
            is_later = time_s - state.predicted_s >= self._predict_every_s - 1e-6
            is_new = motion.event not in ("same", "flash")
            if is_new or (is_later and motion.event != "flash"):
                due.append(n)
                state.predicted_s = time_s
        usual_px = self._options.short_side
        results = iter(self._static.predict(pictures.of(due, usual_px))) if due else iter(())
        predictions = []
        for n, motion in enumerate(group):
            if n in due:
                state.prediction = self._prediction(motion, next(results))
            assert state.prediction is not None
            predictions.append(state.prediction)
        return predictions

    def _prediction(self, motion: FrameMotion, probabilities: Map) -> Prediction:
        locks, target = self._state.locks, self._static.target
        lock = locks.at(motion.event, TargetLock)
        locks.now = lock.after(motion.frame.time_s, int(probabilities.argmax()))
        explained = locks.now.class_id if target.is_locked else target.class_id
        seen = prediction(probabilities, self._static.names, explained, top=target.top or 1)
        return replace(seen, model_name=self._model_name, time_s=motion.frame.time_s)

    def _accumulated(self, motion: FrameMotion, sampled: Map | None) -> GradientAverage:
        """Carry the average along the flow, and add the new gradients."""
        averages, movement = self._state.averages, motion.movement
        new = partial(GradientAverage.empty, movement.known.shape)
        average = averages.at(motion.event, new)
        has_past = self._accumulates and not motion.is_first
        average = average.warped(movement.backward, movement.known) if has_past else new()
        if sampled is not None:
            average = average.plus(sampled, motion.samples, self._plan.decay(motion.samples))
        averages.now = average
        return average


class _NetworkPictures:
    """The frames of a group at the size of the network's input, made on first use."""

    def __init__(self, group: list[FrameMotion], static: StaticStage) -> None:
        self._group, self._static = group, static
        self._made: dict[tuple[int, int], Rgb] = {}

    def of(self, numbers: list[int], short_px: int) -> Rgb:
        """Return some of them at a size, (n, h, w, 3) uint8."""
        for n in numbers:
            if (n, short_px) not in self._made:
                frame = self._group[n].frame
                self._made[n, short_px] = network_picture(frame, self._static, short_px)
        return np.stack([self._made[n, short_px] for n in numbers])


def sample_sizes(options: StaticOptions, static: StaticStage) -> list[int]:
    """Return the shorter sides of the pictures at which gradients are drawn, in turn.

    Parameters
    ----------
    options : StaticOptions
        ``method``, ``short_side`` and ``sizes`` are used.
    static : StaticStage

    Returns
    -------
    list of int
        Pixels; only the usual one for a network of one size, and for methods of one picture.
    """
    if static.input_size is not None or options.method != "smoothgrad":
        return [options.short_side]
    wanted = [options.short_side * factor for factor in options.size_factors]
    return list(dict.fromkeys(max(1, round(px / _STRIDE_PX)) * _STRIDE_PX for px in wanted))


def network_size(height_px: int, width_px: int, short_px: int) -> tuple[int, int]:
    """Return the (height, width) of the network's input: the picture's aspect in whole strides.

    Parameters
    ----------
    height_px, width_px : int
        Size of the picture.
    short_px : int
        Shorter side of the network's input.
    """
    factor = short_px / min(height_px, width_px)

    def side(pixels: int) -> int:
        strides = round(min(pixels * factor, short_px * _LONGEST) / _STRIDE_PX)
        return max(1, strides) * _STRIDE_PX

    return side(height_px), side(width_px)


def network_picture(frame: Frame, static: StaticStage, short_px: int) -> Rgb:
    """Return the picture of a frame at the size of the network's input, (h, w, 3) uint8.

    Parameters
    ----------
    frame : Frame
    static : StaticStage
    short_px : int
        Shorter side of the network's input; without effect for a network of one fixed size.
    """
    size = static.input_size or network_size(*frame.size_px, short_px)
    return frame.resized(size, image_ops.sampled)
