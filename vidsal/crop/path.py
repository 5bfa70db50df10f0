"""The path of a crop window through a scene: still, a pan, or a smooth path. Pure maths.

Positions are shares of the side of the picture along which the window moves, from 0 to 1 - its
length. A path is a function of time, sampled at the frames.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vidsal.crop.window import held
from vidsal.saliency.fusion import centre_prior

Mode = Literal["still", "pan", "follow"]
Floats = NDArray[np.float64]

# Bounds of a path, in sides of the picture per second and per second squared.
MAX_SPEED, MAX_ACCELERATION = 0.5, 0.5
# Number of positions along a side: one for each pixel of a map of the default size.
_STEPS = 320
# Cost of a movement by a whole side of the picture. The unit is the cost of one second in which the
# window contains no mass.
_MOVE_COST_S = 0.25
# Standard deviation of the Gaussian weight of places, as a share of the side. People look at the
# middle if several places stand out, or none does.
_CENTRE = 0.5
# Cost of the position furthest from the middle. It decides between positions of equal gain only.
_TIE = 1e-6
# Reduction of the weight of mass at an end of the window, compared with its middle. So a subject is
# shown in the middle of the window and not at an edge.
_FALL = 0.1
# A simpler path is chosen if it holds at most this share less than the smooth path.
_SIMPLER = 0.005
# The smooth path is filtered by Gaussians of at least this standard deviation. Shorter filters
# follow single frames.
_SHORTEST_S = 0.25
# Number of positions among which start and end of a pan are searched, and number of frames.
_PAN_STEPS, _PAN_FRAMES = 41, 100


@dataclass(frozen=True, slots=True, eq=False)
class ScenePath:
    """The path of a window through one scene.

    Attributes
    ----------
    mode : {"still", "pan", "follow"}
        Constant position, constant velocity, or smooth path.
    positions : (n,) float64 array
        Start of the window at each frame, 0 to 1 - its length.
    """

    mode: Mode
    positions: Floats


def scene_path(profiles: NDArray[np.floating], times_s: Floats, length: float) -> ScenePath:
    """Return the simplest path of a window that holds about as much as the best smooth path.

    The smooth path begins with a search: the sequence of positions that holds the most mass, where
    the cost of each movement is proportional to its length (Viterbi's algorithm). It stands still
    where a movement gains little. A Gaussian filter then bounds its speed and acceleration.

    Parameters
    ----------
    profiles : (n, m) floating-point array
        Mass along the axis of the movement, at least 0, for the n frames of a scene.
    times_s : (n,) float64 array
        Times of the frames in seconds, ascending.
    length : float
        Length of the window, as a share of the side, 0 to 1.

    Returns
    -------
    ScenePath
        Its speed is at most `MAX_SPEED`, its acceleration at most `MAX_ACCELERATION`.
    """
    room = max(0.0, 1 - length)
    count = max(2, 1 + round(room * _STEPS))
    places = np.linspace(0, room, count)
    gains = _gains(profiles, places, length)
    still = np.full(len(profiles), places[gains.sum(axis=0).argmax()])
    duration_s = float(times_s[-1] - times_s[0])
    if room == 0 or not duration_s > 0:
        return ScenePath("still", still)
    smooth = _smooth_path(gains, places, times_s)
    needed = _mean_gain(gains, places, smooth) - _SIMPLER
    if _mean_gain(gains, places, still) >= needed:
        return ScenePath("still", still)
    pan = _best_pan(gains, places, (times_s - times_s[0]) / duration_s, MAX_SPEED * duration_s)
    if _mean_gain(gains, places, pan) >= needed:
        return ScenePath("pan", pan)
    return ScenePath("follow", smooth)


def _gains(profiles: NDArray[np.floating], places: Floats, length: float) -> Floats:
    """Return the gain of each position in each frame, relative to the mean mass of the frames.

    So frames with more mass have a higher weight. Mass has the Gaussian weight of its place. Of
    positions with equal gain the one nearest to the middle is the best.
    """
    weighted = profiles * centre_prior((1, profiles.shape[1]), deviation=_CENTRE)
    mass = weighted.sum(axis=1, dtype=np.float64)
    weight = mass / mass.mean() if mass.any() else mass
    gains = held(weighted, places, length, fall=_FALL)
    # In place, because this is the largest array of a long scene.
    gains *= weight[:, None]
    gains -= _TIE * np.linspace(-1, 1, len(places)) ** 2
    return gains


def _gain(gains: Floats, places: Floats, path: Floats) -> Floats:
    """Return the gain of each frame at its position on a path, or on several, (n, ...)."""
    at = path / places[-1] * (len(places) - 1)
    whole = np.clip(at.astype(np.intp), 0, len(places) - 2)
    rest = at - whole
    rows = np.arange(len(gains)).reshape(-1, *[1] * (path.ndim - 1))
    return np.asarray(gains[rows, whole] * (1 - rest) + gains[rows, whole + 1] * rest)


def _mean_gain(gains: Floats, places: Floats, path: Floats) -> float:
    return float(_gain(gains, places, path).mean())


def _smooth_path(gains: Floats, places: Floats, times_s: Floats) -> Floats:
    """Return the best path with bounded speed and acceleration."""
    count = len(times_s)
    step_s = float(times_s[-1] - times_s[0]) / (count - 1)
    # Use even times, because rounded timestamps would look like accelerations.
    even_s = np.linspace(times_s[0], times_s[-1], count)
    found = places[_best_sequence(gains, _MOVE_COST_S / step_s * (places[1] - places[0]))]
    target = np.interp(even_s, times_s, found)
    deviation_s = _SHORTEST_S
    while True:
        path = _filtered(target, deviation_s / step_s)
        speeds = np.diff(path) / step_s
        speed = np.abs(speeds).max(initial=0)
        acceleration = np.abs(np.diff(speeds)).max(initial=0) / step_s
        if speed <= MAX_SPEED and acceleration <= MAX_ACCELERATION:
            return np.asarray(np.interp(times_s, even_s, path))
        deviation_s *= 1.1


def _best_sequence(gains: Floats, step_cost: float) -> NDArray[np.intp]:
    """Return a column for each row: the sequence of most gain minus the cost of its steps.

    Viterbi's algorithm. The cost is proportional to the distance, so the best predecessors of all
    columns are found in two sweeps (Felzenszwalb and Huttenlocher, Distance Transforms of Sampled
    Functions, 2012).
    """
    count, columns = gains.shape
    slope = step_cost * np.arange(columns)
    came_from = np.zeros((count, columns), np.int16)
    total = gains[0]
    for n in range(1, count):
        left = _first_maxima(total + slope)
        right = columns - 1 - _first_maxima((total - slope)[::-1])[::-1]
        from_left, from_right = total[left] + slope[left], total[right] - slope[right]
        is_left = from_left - slope >= from_right + slope
        came_from[n] = np.where(is_left, left, right)
        total = np.where(is_left, from_left - slope, from_right + slope) + gains[n]
    best = np.zeros(count, np.intp)
    best[-1] = total.argmax()
    for n in range(count - 1, 0, -1):
        best[n - 1] = came_from[n, best[n]]
    return best


def _first_maxima(values: Floats) -> NDArray[np.intp]:
    """Return, for each position, the index of the largest value up to this position."""
    is_record = values >= np.maximum.accumulate(values)
    return np.maximum.accumulate(np.where(is_record, np.arange(len(values)), 0))


def _filtered(values: Floats, deviation: float) -> Floats:
    """Return values after a Gaussian filter, with the first and the last value repeated outside.

    Its weights are positive, so the result stays within the range of the values.
    """
    reach = int(4 * deviation) + 1
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    padded = np.pad(values, reach, mode="edge")
    return np.convolve(padded, kernel / kernel.sum(), mode="valid")


def _best_pan(gains: Floats, places: Floats, progress: Floats, longest: float) -> Floats:
    """Return the path of constant velocity with the highest gain.

    Parameters
    ----------
    gains : (n, k) float64 array
    places : (k,) float64 array
    progress : (n,) float64 array
        Times of the frames, 0 for the first to 1 for the last.
    longest : float
        The longest allowed distance.
    """
    few = np.unique(np.linspace(0, len(gains) - 1, _PAN_FRAMES).round().astype(np.intp))
    first = last = np.linspace(0, places[-1], _PAN_STEPS)
    spacing = first[1]
    while True:
        starts, ends = (each.ravel() for each in np.meshgrid(first, last))
        is_slow = np.abs(ends - starts) <= longest
        starts, ends = starts[is_slow], ends[is_slow]
        ways = starts + np.outer(progress[few], ends - starts)
        n = int(_gain(gains[few], places, ways).sum(axis=0).argmax())
        if spacing < places[1]:
            return np.asarray(starts[n] + progress * (ends[n] - starts[n]))
        # Repeat the search around the best pan, on a finer grid.
        spacing /= 5
        nearby = spacing * np.arange(-5, 6)
        first, last = (np.clip(end[n] + nearby, 0, places[-1]) for end in (starts, ends))
