"""Scale: from numbers without a common unit to [0, 1], without flicker."""

import math
from dataclasses import dataclass

import numpy as np

from vidsal.frames import Map
from vidsal.settings import Scale

# The top 1 % of a map is a region of the size of a small object, and a few wild pixels do not
# move its lower edge.
PERCENTILE = 99.0
# Seconds after which a scale has forgotten two thirds of what it saw: slower than the changes
# that a viewer should see as changes, faster than a change of subject.
MEMORY_S = 2.0


@dataclass(frozen=True, slots=True)
class ScaleState:
    """The remembered upper end of a scale.

    Attributes
    ----------
    high : float or None
        The value that is shown as 1; ``None`` before the first map.
    time_s : float
        When it was last updated.
    """

    high: float | None = None
    time_s: float = 0.0


def remember(state: ScaleState, value: float, time_s: float) -> ScaleState:
    """Return the state after a map with upper end `value` at `time_s`.

    The memory is an exponential average over time, not over frames, so that a clip looks the
    same at 25 and at 60 frames a second. The first value is taken as it is.

    Parameters
    ----------
    state : ScaleState
    value : float
        Upper end of the new map, at least 0.
    time_s : float
        Seconds.
    """
    if state.high is None:
        return ScaleState(value, time_s)
    weight = math.exp(-max(0.0, time_s - state.time_s) / MEMORY_S)
    return ScaleState(weight * state.high + (1 - weight) * value, time_s)


def upper_end(values: Map, *, percentile: float = PERCENTILE) -> float:
    """Return a robust maximum of a map: 0 for an empty one, never NaN."""
    if values.size == 0:
        return 0.0
    high = float(np.percentile(values, percentile))
    # A map with less than a percentile in it is scaled by what it has, not by nothing.
    return high if high > 0 else float(values.max())


def scaled(values: Map, *, low: float, high: float) -> Map:
    """Map [low, high] to [0, 1] and clip; a scale without extent gives zeros, not NaN.

    Parameters
    ----------
    values : (h, w) float32 array
    low, high : float
        Same unit as `values`.

    Returns
    -------
    (h, w) float32 array
        [0, 1].
    """
    extent = high - low
    if not extent > np.finfo(np.float32).tiny:
        return np.zeros_like(values)
    # Clipped first, too: far values over a small extent would overflow.
    within = np.clip(values, np.float32(low), np.float32(high))
    shares = (within - np.float32(low)) / np.float32(extent)
    return np.asarray(np.clip(shares, 0, 1), np.float32)


def to_unit(
    values: Map,
    state: ScaleState,
    *,
    time_s: float,
    mode: Scale,
    floor: float = 0.0,
) -> tuple[Map, ScaleState]:
    """Scale one map of a stream to [0, 1].

    Parameters
    ----------
    values : (h, w) float32 array
    state : ScaleState
        From the previous map; empty at a start and after a cut.
    time_s : float
        Seconds.
    mode : {"stable", "frame", "minmax"}
        Remembered percentile, this frame's percentile, or this frame's minimum and maximum.
    floor : float
        The upper end is at least this, so that noise is not blown up in a quiet frame; plays no
        part in "minmax".

    Returns
    -------
    (h, w) float32 array
        [0, 1].
    ScaleState
        For the next map.
    """
    if mode == "minmax":
        return scaled(values, low=float(values.min()), high=float(values.max())), state
    value = max(upper_end(values), floor)
    state = remember(state if mode == "stable" else ScaleState(), value, time_s)
    assert state.high is not None
    return scaled(values, low=0.0, high=state.high), state
