"""Normalisation: maps without a common unit are scaled to [0, 1], without flicker. Pure maths."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vidsal import image_ops
from vidsal.types import Map

# The top 0.2 % of a map is a region a twentieth as wide and high as the picture: the smallest
# visible object. A few outliers do not change its lower edge. A lower percentile turns peaks into
# plateaus (gaze NSS of the fused map when this was chosen: 1.57 at 99, 1.64 at 99.8, 1.65 at 100).
PERCENTILE = 99.8
# Time constant of the running average of a scale, in seconds: slower than changes that a viewer
# should see, faster than a change of subject.
MEMORY_S = 3.0
# The first map counts like maps of this many seconds: enough that the next few, which differ as
# much as the first speeds of a scene do, do not make the scale jump; too few to keep a wrong scale.
_FIRST_S = 0.25
# Below this share of a scale, times `faintest`, a map counts as dark.
_DARK = 0.05
# Values are clipped at this multiple of the scale: its tenth power still fits into float32.
_LARGEST = 1e3


@dataclass(frozen=True, slots=True)
class ScaleState:
    """The running average of the upper end of a scale.

    Attributes
    ----------
    high : float or None
        The value that is displayed as 1; ``None`` before the first map.
    time_s : float
        Time of the last update, in seconds.
    weight : float
        Sum of the weights, 0..1: 0 before the first map, near 1 after many seconds of maps.
    """

    high: float | None = None
    time_s: float = 0.0
    weight: float = 0.0


def updated(state: ScaleState, value: float, time_s: float) -> ScaleState:
    """Return the running average after one more map.

    The average is exponential over time, not over frames, so that a clip looks the same at 25 and
    at 60 frames per second. At first each new map has a higher weight: if the first value counted
    for seconds, maps would be clipped or faint for as long. The average is taken over square roots,
    because errors of a scale are factors: a moment three times as strong should count for little
    more than one a third as strong. (Logarithms would make both equal, but fail for maps of zero.)

    Parameters
    ----------
    state : ScaleState
    value : float
        Upper end of the new map, at least 0.
    time_s : float
        Its time in seconds. A time that is not later than the last one changes nothing.
    """
    if state.high is None:
        return ScaleState(value, time_s, 1 - math.exp(-_FIRST_S / MEMORY_S))
    decay = math.exp(-max(0.0, time_s - state.time_s) / MEMORY_S)
    past, new = decay * state.weight, 1 - decay
    root = (past * math.sqrt(state.high) + new * math.sqrt(value)) / (past + new)
    return ScaleState(root**2, time_s, past + new)


def upper_end(values: Map, *, percentile: float = PERCENTILE) -> float:
    """Return a robust maximum of a map.

    Parameters
    ----------
    values : (h, w) float32 array
        Finite.
    percentile : float
        0..100.

    Returns
    -------
    float
        The percentile, or the maximum if the percentile is not positive; 0 for an empty array.
    """
    if values.size == 0:
        return 0.0
    high = image_ops.percentile(values, percentile)
    # A map with only a few values above 0 is scaled by its maximum.
    return high if high > 0 else float(values.max())


def scaled(values: Map, *, low: float, high: float) -> Map:
    """Map [low, high] linearly to [0, 1].

    Parameters
    ----------
    values : (h, w) float32 array
    low, high : float
        Same unit as `values`.

    Returns
    -------
    (h, w) float32 array
        At least 0; above 1, up to 1000, where `values` exceeds `high`. All zero, and not NaN, if
        `high` does not exceed `low`.
    """
    extent = high - low
    if not extent > np.finfo(np.float32).tiny:
        return np.zeros_like(values)
    # Large values divided by a small extent would overflow.
    largest = np.float32(min(low + _LARGEST * extent, float(np.finfo(np.float32).max)))
    limited = np.clip(values, np.float32(low), largest)
    return np.asarray((limited - np.float32(low)) / np.float32(extent), np.float32)


def clipped(values: Map) -> Map:
    """Return a map in which values above 1 are 1.

    Parameters
    ----------
    values : (h, w) float32 array

    Returns
    -------
    (h, w) float32 array
    """
    return np.minimum(values, np.float32(1))


def contrasted(values: Map, power: float, *, strength: float = 1.0) -> Map:
    """Return a map with higher contrast and the same upper end.

    The result is strength x (values / strength) ** power: the power acts within the map, and not
    on its strength compared with other maps. A plain power of 3 would show a map of half the
    strength as an eighth, and a sequence of weak gradients as black.

    Parameters
    ----------
    values : (h, w) float32 array
        At least 0.
    power : float
        Above 0; 1 changes nothing.
    strength : float
        Upper end of the map, in the unit of `values`.

    Returns
    -------
    (h, w) float32 array
        At least 0; all zero if `strength` is.
    """
    if not strength > np.finfo(np.float32).tiny:
        return np.zeros_like(values)
    relative = np.minimum(values / np.float32(strength), np.float32(_LARGEST))
    return np.asarray(np.float32(strength) * relative ** np.float32(power), np.float32)


class ScaledMap(NamedTuple):
    """A map on its scale.

    Attributes
    ----------
    values : (h, w) float32 array
        At least 0; above 1 where the map exceeds its scale.
    high : float
        The value that is displayed as 1.
    strength : float
        Upper end of this map on the scale: above 1 if it is stronger than the maps before it; 1 if
        the scale keeps no average.
    is_first : bool
        Whether this is the first map in the average: the first one above the floor.
    """

    values: Map
    high: float
    strength: float
    is_first: bool


class DisplayScale:
    """The values of one kind of map that are displayed as 0 and 1, along a stream.

    Parameters
    ----------
    mode : str
        "stable" (running average of the percentile), "frame" (each frame's percentile), "minmax"
        (each frame's minimum and maximum) or "fixed:LO,HI".
    floor : float
        The upper end is at least this, so that noise of a quiet frame is not amplified. Without
        effect in "minmax" and "fixed".
    faintest : float
        The upper end of a map is shown at this or more, [0, 1]; that of a map that is far darker
        than the ones before it, at less. For "stable".
    """

    def __init__(self, mode: str, *, floor: float = 0.0, faintest: float = 0.0) -> None:
        self._mode, self._floor, self._faintest = mode, floor, faintest
        self._state = ScaleState()

    def __call__(self, values: Map, time_s: float, *, include: bool = True) -> "ScaledMap":
        """Return a map on its scale.

        Parameters
        ----------
        values : (h, w) float32 array
        time_s : float
            Seconds.
        include : bool
            Include this map in the running average.
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
        state = updated(state, value, time_s)
        high = state.high or 0.0
        if self._faintest:
            # Only what is shown: the average forgets neither the bright moments nor this one. What
            # is left of a map in a fade to black stays dark.
            high = min(high, max(value / self._faintest, _DARK * high))
        strength = value / high if high > 0 else 0.0
        # The floor does not predict later maps: after a still start, such as a frame that a
        # recorder doubled, the first movements would be clipped.
        is_new = self._state.high is None
        is_first = include and is_new and end > self._floor
        if include and (is_first or not is_new):
            self._state = state
        return ScaledMap(scaled(values, low=0.0, high=high), high, strength, is_first)

    def forget(self) -> None:
        """Let the next map be the first one."""
        self._state = ScaleState()


def scale_modes(scale: str, *, has_static: bool) -> tuple[str, str, str]:
    """Return the modes of the static, the motion and the fused map.

    With fixed scales, the fused map keeps the scale of the static map.

    Parameters
    ----------
    scale : str
        The option: a mode of `DisplayScale`, or "fixed:LO,HI,LO,HI" for static map and speed.
    has_static : bool
        Whether there is a network. Without one, "fixed:LO,HI" is the scale of the speed.
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
    """Mean relative change of a scale from frame to frame.

    Cuts do not count, and neither does the change from the first frame of a scene, which has no
    motion yet, to the second.

    Attributes
    ----------
    before : float
        Upper end of the last frame.
    frames : int
        Frames of the scene so far.
    total : float
        Sum of the relative changes.
    compared : int
        Number of the changes.
    """

    before: float = 0.0
    frames: int = 0
    total: float = 0.0
    compared: int = 0

    def after(self, high: float, *, is_cut: bool) -> None:
        """Add the next frame.

        Parameters
        ----------
        high : float
            Upper end of its scale.
        is_cut : bool
            Whether a scene begins with it.
        """
        self.frames = 1 if is_cut else self.frames + 1
        if self.frames > 2 and self.before > 0 and high > 0:
            self.total += abs(high - self.before) / self.before
            self.compared += 1
        self.before = high

    @property
    def mean(self) -> float:
        """Mean relative change per frame; 0 without any comparison."""
        return self.total / self.compared if self.compared else 0.0
