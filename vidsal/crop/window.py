"""The crop window of an aspect: its size, and the share of a map that it holds. Pure maths."""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from vidsal.errors import UsageError
from vidsal.types import Map

# Encoders and players refuse smaller pictures.
_SMALLEST_PX = 16
# Frames at a time: intermediate values of a whole film would need gigabytes.
_BLOCK = 1024
# Threshold of the area of what stands out, in means of the map, and the exponent of its soft edge.
_THRESHOLD, _STEEPNESS = 4, 4
# Bounds of the threshold. Below the lower one a frame in which nothing stands out, such as a fade,
# would weigh as much as others. Above the upper one large objects would lose their darker parts.
_LOWEST, _HIGHEST = 0.1, 0.5
# The weight of pixels without motion, compared with the fastest ones.
_AT_REST = 0.05


def window_size(size: tuple[int, int], aspect: Fraction) -> tuple[int, int]:
    """Return the size of the largest window of an aspect that fits into a picture.

    Parameters
    ----------
    size : (int, int)
        Height and width of the picture in pixels.
    aspect : Fraction
        Width of the window divided by its height.

    Returns
    -------
    (int, int)
        Height and width in pixels. Both are even, because H.264 requires it. So an odd side of the
        picture loses a pixel, and the aspect is kept as closely as this allows.

    Raises
    ------
    UsageError
        If the window is smaller than 16 pixels.
    """
    height, width = (side // 2 * 2 for side in size)
    if aspect * height < width:
        width = min(width, 2 * round(aspect * height / 2))
    else:
        height = min(height, 2 * round(width / aspect / 2))
    if min(height, width) < _SMALLEST_PX:
        raise UsageError(
            f"a window of {aspect.numerator}:{aspect.denominator} in a picture of {size[1]}x"
            f"{size[0]} is {width}x{height} pixels, fewer than {_SMALLEST_PX} on a side: give "
            "another aspect"
        )
    return height, width


def mass(fused: Map, speed: Map, motion_high: float) -> Map:
    """Return the weights of the pixels for the placement of a window.

    The weights are ``area x (0.05 + motion ** 2)``. The area is a soft form of the adaptive
    threshold of Achanta et al. 2009: ``fused ** 4 / (fused ** 4 + threshold ** 4)``, where the
    threshold is four times the mean of the fused map, 0.1 to 0.5. So an object counts with all of
    its pixels, not only with the brightest ones. Moving objects count more than still ones. Motion
    counts only where something stands out, because the ground may move, too.

    Parameters
    ----------
    fused : (h, w) float32 array
        0..1.
    speed : (h, w) float32 array
        Speed of objects, at least 0.
    motion_high : float
        The speed that is shown as 1.

    Returns
    -------
    (h, w) float32 array
        0..1.05.

    References
    ----------
    R. Achanta et al., "Frequency-tuned salient region detection", CVPR 2009.
    https://doi.org/10.1109/CVPR.2009.5206596
    """
    threshold = min(max(_THRESHOLD * float(fused.mean()), _LOWEST), _HIGHEST)
    area = (fused / threshold) ** _STEEPNESS
    area /= 1 + area
    motion = np.minimum(speed / motion_high, 1) if motion_high > 0 else np.zeros_like(speed)
    return np.asarray(area * (_AT_REST + motion**2), np.float32)


def profile(values: Map, axis: int) -> NDArray[np.float64]:
    """Return the sums of a map across the axis along which a window moves.

    Parameters
    ----------
    values : (h, w) floating-point array
    axis : int
        0 for a window that moves down, 1 for one that moves to the right.

    Returns
    -------
    (h,) or (w,) float64 array
    """
    return np.asarray(values.sum(axis=1 - axis, dtype=np.float64))


def held(
    profiles: NDArray[np.floating],
    starts: NDArray[np.float64],
    length: float,
    *,
    fall: float = 0.0,
) -> NDArray[np.float64]:
    """Return the share of the mass that lies in windows.

    Parameters
    ----------
    profiles : (n, m) floating-point array
        Mass along the axis of the movement, at least 0, for n frames.
    starts : (k,) or (n, k) float64 array
        Starts of windows, as shares of the side: the same for all frames, or one row for each.
    length : float
        Length of the window, as a share of the side.
    fall : float
        Reduction of the weight of mass at an end of the window, compared with its middle, 0..1.
        At u of the way from the middle to an end the weight is ``1 - fall * u ** 2``.

    Returns
    -------
    (n, k) float64 array
        0..1; 0 for frames without mass.
    """
    starts = np.broadcast_to(starts, (len(profiles), starts.shape[-1]))
    return np.concatenate([
        _held(profiles[n : n + _BLOCK], starts[n : n + _BLOCK], length, fall)
        for n in range(0, max(1, len(profiles)), _BLOCK)
    ])  # fmt: skip


def _held(
    profiles: NDArray[np.floating], starts: NDArray[np.float64], length: float, fall: float
) -> NDArray[np.float64]:
    count = profiles.shape[1]
    mass = np.asarray(profiles, np.float64)
    total = np.maximum(mass.sum(axis=1, keepdims=True), np.finfo(float).tiny)

    def moment(power: int) -> NDArray[np.float64]:
        """Return the sum of mass x place ** power in each window."""
        places = (np.arange(count) + 0.5) / count
        before = np.pad(np.cumsum(mass * places**power, axis=1), ((0, 0), (1, 0)))
        return _at(before, count * (starts + length)) - _at(before, count * starts)

    inside = moment(0)
    if fall:
        middle = starts + length / 2
        spread = moment(2) - 2 * middle * moment(1) + middle**2 * inside
        inside = inside - fall * spread / (length / 2) ** 2
    return np.asarray(inside / total)


def _at(before: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return cumulative sums between their samples, by linear interpolation."""
    last = before.shape[1] - 1
    places = np.clip(places, 0, last)
    whole = np.minimum(places.astype(np.intp), max(0, last - 1))
    rest = places - whole
    rows = np.arange(len(before))[:, None]
    return np.asarray(before[rows, whole] * (1 - rest) + before[rows, whole + 1] * rest)
