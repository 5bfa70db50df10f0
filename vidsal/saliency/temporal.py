"""Accumulation along the optical flow: what was sampled on earlier frames, where it is now.

One noisy gradient says little; the mean of many (SmoothGrad) says what the network looks at. Along
a video the many need not be drawn anew for every frame: the sum of all gradients so far is carried
to the new frame along the flow, fades a little, and takes the new frame's samples in. A
`SpeedAverage` does the same for speeds, whose noise averages out. Pure maths.
"""

import math
from dataclasses import dataclass

import numpy as np

from vidsal.motion.warp import warp
from vidsal.types import Map

# Seconds after which a speed is forgotten to a third: a few frames, in which noise of the flow
# averages out and a thing does not yet turn round.
_TRAIL_S = 0.12
# What is left of the weight of a history that is lost.
_TRACE = 1e-3
# Where something is known, a frame draws at most this part of a full set.
_MOST = 4


@dataclass(frozen=True, slots=True, eq=False)
class GradientAverage:
    """A weighted sum of gradient maps, and the sum of the weights, per pixel of one frame.

    Attributes
    ----------
    total : (h, w) float32 array
        Weighted sum of the maps.
    weight : (h, w) float32 array
        Sum of the weights, at least 0; 1 is one full sample.
    """

    total: Map
    weight: Map

    @classmethod
    def empty(cls, size: tuple[int, int]) -> "GradientAverage":
        """Return a history in which nothing is known."""
        return cls(np.zeros(size, np.float32), np.zeros(size, np.float32))

    def warped(self, backward: Map, known: Map) -> "GradientAverage":
        """Return the history at the next frame; where `known` is 0 the next sample replaces it.

        Until that comes, what was there stands: that nothing is known of a place does not make
        it cold.
        """
        kept = np.maximum(known, np.float32(_TRACE))
        return GradientAverage(
            warp(self.total, backward) * kept, warp(self.weight, backward) * kept
        )

    def plus(self, sampled: Map, samples: int, fading: float) -> "GradientAverage":
        """Return the history faded, with the mean of `samples` new maps taken in."""
        return GradientAverage(
            self.total * np.float32(fading) + sampled * np.float32(samples),
            self.weight * np.float32(fading) + np.float32(samples),
        )

    @property
    def mean(self) -> Map:
        """The accumulated map; 0 where nothing is known."""
        known = np.maximum(self.weight, np.finfo(np.float32).tiny)
        return np.where(self.weight > 0, self.total / known, 0).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class SpeedAverage:
    """Speeds of the last few frames, gathered along the flow: their weighted sum, and weight.

    Attributes
    ----------
    total : (h, w) float32 array
    weight : float
    """

    total: Map
    weight: float

    @classmethod
    def empty(cls, size: tuple[int, int]) -> "SpeedAverage":
        """Return a trail of nothing."""
        return cls(np.zeros(size, np.float32), 0.0)

    def after(self, speed: Map, backward: Map, seconds: float) -> "SpeedAverage":
        """Return the trail at the next frame, `seconds` later, with that one's speed taken in.

        Parameters
        ----------
        speed : (h, w) float32 array
        backward : (h, w, 2) float32 array
            From that frame to the one before it, pixels, columns first.
        seconds : float
        """
        fading = math.exp(-seconds / _TRAIL_S)
        past = warp(self.total, backward) * np.float32(fading)
        return SpeedAverage(past + speed, self.weight * fading + 1)

    @property
    def mean(self) -> Map:
        """The mean speed; 0 for an empty trail."""
        return self.total / np.float32(max(self.weight, 1e-6))


@dataclass(frozen=True, slots=True)
class SamplePlan:
    """How many samples a map averages, and how many of them a frame with a past draws anew.

    Attributes
    ----------
    samples : int
        At least 1.
    fresh : int
        1 to `samples`.
    """

    samples: int
    fresh: int

    def __post_init__(self) -> None:
        if not 1 <= self.fresh <= self.samples:
            raise ValueError(f"fresh must be 1 to {self.samples} samples, got {self.fresh}")

    @property
    def accumulates(self) -> bool:
        """Whether old samples play a part at all."""
        return self.fresh < self.samples

    def fading(self, drawn: int) -> float:
        """Return the factor by which old samples fade when `drawn` new ones come.

        A mean under exponential weights of factor f has the variance of a plain mean of
        drawn x (1 + f) / (1 - f) samples; this f makes that `samples`.
        """
        return max(0.0, (self.samples - drawn) / (self.samples + drawn))

    def missing(self, weight: Map) -> float:
        """Return the share, 0..1, of a full history that is not there, over the picture."""
        full = (self.samples - self.fresh) / 2  # What fading leaves of a steady state.
        if full == 0:
            return 1.0
        return float(1 - np.minimum(weight / np.float32(full), 1).mean())

    def drawn(self, missing: float) -> int:
        """Return how many samples a frame draws: all where nothing is known, else the fresh ones.

        A frame's samples cover the whole picture, so what is missing in a part of it is made up
        for by that part's share of a full set, less what every frame draws anyway: a gap is there
        for several frames. By a quarter of a set at most, so that the price of a restless clip is
        bounded.
        """
        if missing >= 1:
            return self.samples
        made_up = int(self.samples * missing) - self.fresh
        return max(self.fresh, min(made_up, self.samples // _MOST))
