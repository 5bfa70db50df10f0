"""Accumulation along the optical flow: what was sampled on earlier frames, where it is now.

One noisy gradient says little; the mean of many (SmoothGrad) says what the network looks at. Along
a video the many need not be drawn anew for every frame: the sum of all gradients so far is carried
to the new frame along the flow, fades a little, and takes the new frame's samples in. Pure maths.
"""

from dataclasses import dataclass

import numpy as np

from vidsal.frames import Map
from vidsal.opencv import cv2

# Flow that comes back farther than this from where it began, in working pixels, plus a share of
# the way gone, has lost its point: Sundaram, Brox, Keutzer, "Dense point trajectories by
# GPU-accelerated large displacement optical flow", ECCV 2010, (5),
# https://doi.org/10.1007/978-3-642-15549-9_32
_LOST_PX2 = 0.5
_LOST_SHARE = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """A weighted sum of gradient maps, and the sum of the weights, per pixel of one frame.

    Attributes
    ----------
    total : (h, w) float32 array
        Weighted sum, at least 0.
    weight : (h, w) float32 array
        Sum of the weights, at least 0; 1 is one full sample.
    """

    total: Map
    weight: Map

    @property
    def mean(self) -> Map:
        """The accumulated map; 0 where nothing is known."""
        known = np.maximum(self.weight, np.finfo(np.float32).tiny)
        return np.where(self.weight > 0, self.total / known, 0).astype(np.float32)


def memory(samples: int, fresh: int) -> float:
    """Return the factor by which old samples fade when `fresh` new ones come.

    A mean under exponential weights with factor f has the variance of a plain mean of
    fresh x (1 + f) / (1 - f) samples; this f makes that `samples`.

    Raises
    ------
    ValueError
        Unless 1 <= fresh <= samples.
    """
    if not 1 <= fresh <= samples:
        raise ValueError(f"fresh must be 1 to {samples} samples, got {fresh}")
    return (samples - fresh) / (samples + fresh)


def returns(backward: Map, forward: Map) -> Map:
    """Say where the flow to the previous frame comes back to where it began.

    Parameters
    ----------
    backward : (h, w, 2) float32 array
        From this frame to the previous one, pixels, columns first.
    forward : (h, w, 2) float32 array
        From the previous frame to this one.

    Returns
    -------
    (h, w) float32 array
        1 where a point of this frame has a past, 0 where it was covered or outside.
    """
    back = carried(forward, backward)
    gone = (backward**2).sum(axis=-1) + (back**2).sum(axis=-1)
    missed = ((backward + back) ** 2).sum(axis=-1)
    height, width = backward.shape[:2]
    columns = np.arange(width, dtype=np.float32)[None, :] + backward[..., 0]
    rows = np.arange(height, dtype=np.float32)[:, None] + backward[..., 1]
    inside = (columns >= 0) & (columns <= width - 1) & (rows >= 0) & (rows <= height - 1)
    return (inside & (missed <= _LOST_SHARE * gone + _LOST_PX2)).astype(np.float32)


def carried(values: Map, backward: Map) -> Map:
    """Return `values` of the previous frame at the pixels of this one.

    Parameters
    ----------
    values : (h, w) or (h, w, 2) float32 array
    backward : (h, w, 2) float32 array
        From this frame to the previous one, pixels, columns first.
    """
    height, width = backward.shape[:2]
    columns = np.arange(width, dtype=np.float32)[None, :] + backward[..., 0]
    rows = np.arange(height, dtype=np.float32)[:, None] + backward[..., 1]
    moved = cv2.remap(values, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def carry(history: History, backward: Map, known: Map) -> History:
    """Return a history at the next frame; where `known` is 0 it begins anew."""
    return History(
        carried(history.total, backward) * known, carried(history.weight, backward) * known
    )


def missing_share(weight: Map, full: float) -> float:
    """Return the share, 0..1, of a full history that is not there, averaged over the picture."""
    return float(1 - np.minimum(weight / np.float32(full), 1).mean())


def add(history: History, sampled: Map, samples: int, factor: float) -> History:
    """Return a history faded by `factor`, with the mean of `samples` new maps taken in."""
    return History(
        history.total * np.float32(factor) + sampled * np.float32(samples),
        history.weight * np.float32(factor) + np.float32(samples),
    )
