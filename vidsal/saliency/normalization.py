"""Scale: from numbers without a common unit to [0, 1], without flicker."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vidsal.types import Map

# The top 0.2 % of a map is a region a twentieth as wide and high as the picture: the smallest
# object that is seen as one, and a few wild pixels do not move its lower edge. A lower percentile
# makes plateaus of the peaks (gaze NSS of the fused map when this was chosen: 1.57 at 99, 1.64 at
# 99.8, 1.65 at 100).
PERCENTILE = 99.8
# Seconds after which the root of a scale has forgotten two thirds of what it saw: slower than the
# changes that a viewer should see as changes, faster than a change of subject.
MEMORY_S = 3.0
# For so many seconds the first map stands: enough that the next few, as different as the first
# speeds of a scene are, do not tear the scale about, too few for it to stay wrong.
_FIRST_S = 0.25
# So many times the extent of a scale are kept above it: its tenth power is a float32 yet.
_FAR = 1e3


@dataclass(frozen=True, slots=True)
class ScaleState:
    """The remembered upper end of a scale.

    Attributes
    ----------
    high : float or None
        The value that is shown as 1; ``None`` before the first map.
    time_s : float
        When it was last updated.
    weight : float
        Of what is remembered: 0 before the first map, 1 after many seconds of maps.
    """

    high: float | None = None
    time_s: float = 0.0
    weight: float = 0.0


def remember(state: ScaleState, value: float, time_s: float) -> ScaleState:
    """Return the state after a map with upper end `value` at `time_s`.

    The memory is an exponential average over time, not over frames, so that a clip looks the
    same at 25 and at 60 frames a second; at first, while there is less to remember, each new map
    counts for more: a first value that counted for seconds would have the maps clipped, or faint,
    for as long. It is one of square roots: a scale is off by a factor, and a moment three times as
    strong should count for little more than one a third as strong. (Logarithms would have it equal,
    but for maps of nothing.)

    Parameters
    ----------
    state : ScaleState
    value : float
        Upper end of the new map, at least 0.
    time_s : float
        Seconds.
    """
    if state.high is None:
        return ScaleState(value, time_s, 1 - math.exp(-_FIRST_S / MEMORY_S))
    fading = math.exp(-max(0.0, time_s - state.time_s) / MEMORY_S)
    past, new = fading * state.weight, 1 - fading
    root = (past * math.sqrt(state.high) + new * math.sqrt(value)) / (past + new)
    return ScaleState(root**2, time_s, past + new)


def upper_end(values: Map, *, percentile: float = PERCENTILE) -> float:
    """Return a robust maximum of a map of finite numbers: 0 for an empty one."""
    if values.size == 0:
        return 0.0
    high = float(np.percentile(values, percentile))
    # A map with less than a percentile in it is scaled by what it has, not by nothing.
    return high if high > 0 else float(values.max())


def scaled(values: Map, *, low: float, high: float) -> Map:
    """Map [low, high] to [0, 1]; a scale without extent gives zeros, not NaN.

    Parameters
    ----------
    values : (h, w) float32 array
    low, high : float
        Same unit as `values`.

    Returns
    -------
    (h, w) float32 array
        At least 0; above 1 where `values` exceeds `high`.
    """
    extent = high - low
    if not extent > np.finfo(np.float32).tiny:
        return np.zeros_like(values)
    # Far values over a small extent would overflow.
    farthest = np.float32(min(low + _FAR * extent, float(np.finfo(np.float32).max)))
    within = np.clip(values, np.float32(low), farthest)
    return np.asarray((within - np.float32(low)) / np.float32(extent), np.float32)


def clipped(values: Map) -> Map:
    """Return a map with 1 where it is above 1."""
    return np.minimum(values, np.float32(1))


def contrasted(values: Map, power: float, *, strength: float = 1.0) -> Map:
    """Return a map with its contrast raised, without making weak maps weaker still.

    The power acts on what stands out within the map, whose own upper end is `strength`; how strong
    the map is beside others stays as it is. A power of all would show a map of half the strength
    as an eighth: in a stretch of weak gradients nothing would be seen.

    Parameters
    ----------
    values : (h, w) float32 array
        At least 0.
    power : float
    strength : float
        Of the unit of `values`; a map of none is zeros.

    Returns
    -------
    (h, w) float32 array
    """
    if not strength > np.finfo(np.float32).tiny:
        return np.zeros_like(values)
    within = np.minimum(values / np.float32(strength), np.float32(_FAR))
    return np.asarray(np.float32(strength) * within ** np.float32(power), np.float32)


class ScaledMap(NamedTuple):
    """A map on its scale.

    Attributes
    ----------
    values : (h, w) float32 array
        At least 0; above 1 where the map exceeds its scale.
    high : float
        The value that is shown as 1.
    strength : float
        Upper end of this map on the scale, compared with the remembered maps; 1 where nothing is
        remembered.
    is_first : bool
        Whether this is the first map that the scale remembers: the first one above the floor.
    """

    values: Map
    high: float
    strength: float
    is_first: bool


class DisplayScale:
    """Which values of one kind of map are shown as 0 and 1, along a stream.

    Parameters
    ----------
    mode : str
        "stable" (remembered percentile), "frame" (each frame's percentile), "minmax" (each
        frame's minimum and maximum) or "fixed:LO,HI".
    floor : float
        The upper end is at least this, so that noise is not blown up in a quiet frame; plays no
        part in "minmax" and "fixed".

    """

    def __init__(self, mode: str, *, floor: float = 0.0) -> None:
        self._mode, self._floor = mode, floor
        self._state = ScaleState()

    def __call__(self, values: Map, time_s: float, *, remembers: bool = True) -> "ScaledMap":
        """Return a map on its scale.

        Parameters
        ----------
        values : (h, w) float32 array
        time_s : float
            Seconds.
        remembers : bool
            Let this map influence the scale of the maps after it.
        """
        if self._mode == "minmax":
            low, high = float(values.min()), float(values.max())
            return ScaledMap(scaled(values, low=low, high=high), high, 1.0, False)
        if self._mode.startswith("fixed:"):
            low, high = (float(one) for one in self._mode.removeprefix("fixed:").split(","))
            return ScaledMap(scaled(values, low=low, high=high), high, 1.0, False)
        end = upper_end(values)
        value = max(end, self._floor)
        state = self._state if self._mode == "stable" else ScaleState()
        state = remember(state, value, time_s)
        high = state.high or 0.0
        strength = value / high if high > 0 else 0.0
        # The floor does not predict later maps: after a still start, such as a frame that a
        # recorder doubled, the first movements would be clipped.
        is_new = self._state.high is None
        is_first = remembers and is_new and end > self._floor
        if remembers and (is_first or not is_new):
            self._state = state
        return ScaledMap(scaled(values, low=0.0, high=high), high, strength, is_first)

    def forget(self) -> None:
        """Let the next map be the first one."""
        self._state = ScaleState()


def scale_modes(scale: str, *, has_static: bool) -> tuple[str, str, str]:
    """Return the modes of the static, the motion and the fused map that ``--scale`` means.

    On fixed scales the fused map stays on that of the static one.
    """
    if not scale.startswith("fixed:"):
        return scale, scale, scale
    numbers = scale.removeprefix("fixed:").split(",")
    first, second = ("fixed:" + ",".join(numbers[i : i + 2]) for i in (0, 2))
    if not has_static:
        return "stable", second if len(numbers) == 4 else first, "fixed:0,1"
    return first, second if len(numbers) == 4 else "stable", "fixed:0,1"


@dataclass(slots=True, eq=False)
class SceneScales:
    """The scales of one scene's maps.

    Attributes
    ----------
    static, motion, fused : DisplayScale
    """

    static: DisplayScale
    motion: DisplayScale
    fused: DisplayScale


@dataclass(slots=True)
class Flicker:
    """How much a scale changes from frame to frame, as a share of itself.

    A cut is no flicker, and neither is the step from a scene's first frame, which has no motion
    yet, to its second.

    Attributes
    ----------
    before : float
        The last upper end.
    frames : int
        Of the scene so far.
    total : float
        Sum of the changes.
    compared : int
        How many these were.
    """

    before: float = 0.0
    frames: int = 0
    total: float = 0.0
    compared: int = 0

    def after(self, high: float, *, is_cut: bool) -> None:
        """Take in the upper end of the next frame's scale."""
        self.frames = 1 if is_cut else self.frames + 1
        if self.frames > 2 and self.before > 0 and high > 0:
            self.total += abs(high - self.before) / self.before
            self.compared += 1
        self.before = high

    @property
    def mean(self) -> float:
        """Mean absolute change a frame; 0 where nothing was compared."""
        return self.total / self.compared if self.compared else 0.0
