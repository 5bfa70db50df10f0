"""Running averages along the optical flow: gradient maps, and speeds. Pure maths.

One noisy gradient says little; the mean of many (SmoothGrad) shows what the network looks at. In a
video, each frame needs only a few new ones: the weighted sum of earlier gradients is warped along
the flow to the new frame, decays a little, and takes the new gradients in. `SpeedAverage` does the
same for speeds, so that noise of the flow averages out.
"""

import math
from dataclasses import dataclass

import numpy as np

from vidsal.motion.warp import warp
from vidsal.types import Map

# Time constant of the average speed, in seconds: a few frames, in which noise of the flow averages
# out and an object does not yet change its direction.
_SPEED_MEMORY_S = 0.12
# Share of its weight that an average keeps where the pixel was not visible in the previous frame.
_LOST_WEIGHT = 1e-3
# A frame with usable earlier gradients draws at most this part of a full set.
_MOST = 4


@dataclass(frozen=True, slots=True, eq=False)
class GradientAverage:
    """Weighted sum of gradient maps, and sum of the weights, for each pixel of one frame.

    Attributes
    ----------
    total : (h, w) float32 array
        Weighted sum of the maps.
    weight : (h, w) float32 array
        Sum of the weights, at least 0; 1 is one new gradient.
    """

    total: Map
    weight: Map

    @classmethod
    def empty(cls, size: tuple[int, int]) -> "GradientAverage":
        """Return an average of no gradients.

        Parameters
        ----------
        size : (int, int)
            Height and width.
        """
        return cls(np.zeros(size, np.float32), np.zeros(size, np.float32))

    def warped(self, backward: Map, known: Map) -> "GradientAverage":
        """Return the average at the pixels of the next frame.

        Where `known` is 0, it keeps its value but hardly any weight: the next gradient replaces
        it. Until then, a pixel without a past does not become cold.

        Parameters
        ----------
        backward : (h, w, 2) float32 array
            From the next frame to this one, pixels, columns first.
        known : (h, w) float32 array
            1 where a pixel of the next frame is visible in this one, else 0.
        """
        kept = np.maximum(known, np.float32(_LOST_WEIGHT))
        return GradientAverage(
            warp(self.total, backward) * kept, warp(self.weight, backward) * kept
        )

    def plus(self, sampled: Map, samples: int, decay: float) -> "GradientAverage":
        """Return the average after new gradients.

        Parameters
        ----------
        sampled : (h, w) float32 array
            Mean of the new gradient maps.
        samples : int
            Number of new gradients.
        decay : float
            Factor of the old weights, 0..1; see `SamplePlan.decay`.
        """
        return GradientAverage(
            self.total * np.float32(decay) + sampled * np.float32(samples),
            self.weight * np.float32(decay) + np.float32(samples),
        )

    @property
    def mean(self) -> Map:
        """The mean map, (h, w) float32; 0 where the weight is 0."""
        positive = np.maximum(self.weight, np.finfo(np.float32).tiny)
        return np.where(self.weight > 0, self.total / positive, 0).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class SpeedAverage:
    """Weighted sum of the speeds of the last few frames along the flow, and sum of the weights.

    Attributes
    ----------
    total : (h, w) float32 array
    weight : float
    """

    total: Map
    weight: float

    @classmethod
    def empty(cls, size: tuple[int, int]) -> "SpeedAverage":
        """Return an average of no speeds.

        Parameters
        ----------
        size : (int, int)
            Height and width.
        """
        return cls(np.zeros(size, np.float32), 0.0)

    def after(self, speed: Map, backward: Map, seconds: float) -> "SpeedAverage":
        """Return the average at the pixels of the next frame, with the speed of that frame.

        Parameters
        ----------
        speed : (h, w) float32 array
            Speed in the next frame.
        backward : (h, w, 2) float32 array
            From the next frame to this one, pixels, columns first.
        seconds : float
            Time between the two.
        """
        decay = math.exp(-seconds / _SPEED_MEMORY_S)
        past = warp(self.total, backward) * np.float32(decay)
        return SpeedAverage(past + speed, self.weight * decay + 1)

    @property
    def mean(self) -> Map:
        """The mean speed, (h, w) float32; 0 for an average of no speeds."""
        return self.total / np.float32(max(self.weight, 1e-6))


@dataclass(frozen=True, slots=True)
class SamplePlan:
    """How many gradients a map averages, and how many of them are new in each frame.

    Attributes
    ----------
    samples : int
        Gradients that a map averages, at least 1.
    fresh : int
        New gradients of a frame whose pixels all have a past, 1 to `samples`.

    Raises
    ------
    ValueError
        If `fresh` is not 1 to `samples`.
    """

    samples: int
    fresh: int

    def __post_init__(self) -> None:
        if not 1 <= self.fresh <= self.samples:
            raise ValueError(f"fresh must be 1 to {self.samples} samples, got {self.fresh}")

    @property
    def accumulates(self) -> bool:
        """Whether gradients of earlier frames are used."""
        return self.fresh < self.samples

    def decay(self, drawn: int) -> float:
        """Return the factor by which old weights decay when new gradients are added.

        A mean under exponential weights of factor f has the variance of a plain mean of
        drawn x (1 + f) / (1 - f) samples. This f makes that number equal to `samples`.

        Parameters
        ----------
        drawn : int
            Number of new gradients.

        Returns
        -------
        float
            0..1.
        """
        return max(0.0, (self.samples - drawn) / (self.samples + drawn))

    def missing(self, weight: Map) -> float:
        """Return the share of the full weight that is missing, averaged over the picture.

        Parameters
        ----------
        weight : (h, w) float32 array
            Number of gradients that each pixel averages.

        Returns
        -------
        float
            0..1.
        """
        # The weight that remains after decay in the steady state.
        full = (self.samples - self.fresh) / 2
        if full == 0:
            return 1.0
        return float(1 - np.minimum(weight / np.float32(full), 1).mean())

    def drawn(self, missing: float) -> int:
        """Return the number of gradients that a frame draws.

        A gradient covers the whole picture. Where a part of the picture has no past, the frame
        draws that part's share of a full set, less the fresh ones that each frame draws anyway,
        because the gap lasts several frames. At most a quarter of a set is drawn, which limits the
        cost of restless clips.

        Parameters
        ----------
        missing : float
            Share of the weight that is missing, 0..1; at 1 a full set is drawn.

        Returns
        -------
        int
            1 to `samples`.
        """
        if missing >= 1:
            return self.samples
        extra = int(self.samples * missing) - self.fresh
        return max(self.fresh, min(extra, self.samples // _MOST))
