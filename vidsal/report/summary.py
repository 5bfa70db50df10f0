"""The content of a report of a stored analysis: curves, scenes and moments."""

import math
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from vidsal.render.draw import UNSURE
from vidsal.report.measures import Curves, Values, curves_of
from vidsal.report.moments import strongest_moments
from vidsal.saliency.fusion_stage import QUIET_SPEED
from vidsal.saliency.scenes import scene_numbers
from vidsal.store.reader import Store

# Significant digits of numbers in files: enough for computations, and too fine to be seen.
_DIGITS = 5


@dataclass(frozen=True, slots=True)
class Scene:
    """Consecutive frames of one scene.

    Attributes
    ----------
    number : int
        From 1.
    first, stop : int
        Positions of its frames in the store: `first` to `stop` - 1.
    begin_s, end_s : float
        Seconds.
    speed_p99, moving_share, camera_speed, concentration : float
        Means of the curves, see `vidsal.report.measures.Curves`; NaN if there is none.
    class_name : str
        The class with the highest mean probability; empty if none reaches 10 %, as in captions.
    probability : float
        Mean probability of this class; NaN without one.
    """

    number: int
    first: int
    stop: int
    begin_s: float
    end_s: float
    speed_p99: float
    moving_share: float
    camera_speed: float
    concentration: float
    class_name: str
    probability: float

    @property
    def title(self) -> str:
        """The scene's number, and its class if there is one."""
        return f"Scene {self.number}" + (f": {self.class_name}" if self.class_name else "")


@dataclass(frozen=True, slots=True)
class Moment:
    """A frame with fast motion. Numbers are as in `Scene`, for this frame alone.

    Attributes
    ----------
    number : int
        From 1, in order of time.
    place : int
        Position of the frame in the store.
    frame : int
        Number of the frame in its source.
    scene : int
        Number of its scene.
    time_s : float
    speed_p99, moving_share, camera_speed, concentration : float
    class_name : str
    probability : float
    """

    number: int
    place: int
    frame: int
    scene: int
    time_s: float
    speed_p99: float
    moving_share: float
    camera_speed: float
    concentration: float
    class_name: str
    probability: float


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """The content of a report.

    Attributes
    ----------
    name : str
        File name of the source, without its folder.
    fps : Fraction or None
        ``None`` for a photo.
    end_s : float
        End of the last frame; 0 for a photo.
    curves : Curves
    scenes : tuple of Scene
        Without gaps, in order; a photo has none.
    moments : tuple of Moment
        In order.
    """

    name: str
    fps: Fraction | None
    end_s: float
    curves: Curves
    scenes: tuple[Scene, ...]
    moments: tuple[Moment, ...]

    @property
    def begin_s(self) -> float:
        """Time of the first frame."""
        return float(self.curves.time_s[0])


def summary_of(store: Store) -> Summary:
    """Return the content of a report of a stored analysis.

    Parameters
    ----------
    store : Store

    Raises
    ------
    VidsalError
        If the store is damaged.
    """
    curves = curves_of(store)
    fps = Fraction(store.about["fps"]) if store.about.get("fps") else None
    end_s = float(curves.time_s[-1]) + (float(1 / fps) if fps else 0.0)
    # A photo has no time, so it has no scenes and no moments.
    scene_of = 1 + scene_numbers(curves.event if fps else ())
    starts = np.flatnonzero(np.diff(scene_of, prepend=0)).tolist()
    scenes = tuple(
        _scene(number, first, stop, curves, end_s)
        for number, (first, stop) in enumerate(pairwise([*starts, len(curves)]), start=1)
    )
    places = strongest_moments(curves.speed_p99, curves.time_s, least=QUIET_SPEED) if fps else []
    moments = tuple(
        Moment(
            number, place, int(curves.frame[place]), int(scene_of[place]),
            float(curves.time_s[place]), *_means(curves, place, place + 1),
        )
        for number, place in enumerate(places, start=1)
    )  # fmt: skip
    return Summary(store.source_name, fps, end_s, curves, scenes, moments)


def _scene(number: int, first: int, stop: int, curves: Curves, end_s: float) -> Scene:
    times = curves.time_s
    end_s = float(times[stop]) if stop < len(times) else end_s
    means = _means(curves, first, stop)
    return Scene(number, first, stop, float(times[first]), end_s, *means)


def _means(curves: Curves, first: int, stop: int) -> tuple[Any, ...]:
    """Return the means of some frames: four curves, and the likeliest class from `UNSURE` on."""
    part = slice(first, stop)
    numbers = [
        _mean(values[part])
        for values in (
            curves.speed_p99, curves.moving_share, curves.camera_speed, curves.concentration
        )
    ]  # fmt: skip
    likely = curves.probability[part].mean(axis=0)
    best = int(np.argmax(likely)) if len(likely) else -1
    if best < 0 or likely[best] < UNSURE:
        return (*numbers, "", float("nan"))
    return (*numbers, curves.classes[best], float(likely[best]))


def _mean(values: Values) -> float:
    """Return the mean of the values that are not NaN; NaN if there are none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def plain(row: Scene | Moment) -> dict[str, Any]:
    """Return a scene or moment for JSON and CSV, with ``None`` for unknown numbers.

    Parameters
    ----------
    row : Scene or Moment
    """
    return {name: _plain(name, getattr(row, name)) for name in row.__dataclass_fields__}


def _plain(name: str, value: Any) -> Any:
    if not isinstance(value, float):
        return value
    # All times are exact to the microsecond, also late ones.
    return round(value, 6) if name.endswith("_s") else _number(value)


def numbers(values: Values) -> list[float | None]:
    """Return numbers for JSON, with five significant digits and ``None`` for NaN.

    Parameters
    ----------
    values : (n,) float64 array
    """
    return [_number(float(one)) for one in values]


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(f"{value:.{_DIGITS}g}")
