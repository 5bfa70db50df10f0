"""Numbers that describe each frame of a stored analysis. Pure maths, except for `curves_of`."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidsal.saliency.concentration import gini
from vidsal.saliency.fusion_stage import QUIET_SPEED
from vidsal.saliency.scenes import CUTS
from vidsal.store.reader import Store
from vidsal.store.schema import CAMERAS

Values = NDArray[np.float64]

# The speed of a frame is this percentile of its speed map. A higher percentile follows single
# pixels. A lower one misses objects that cover a hundredth of the picture.
_SPEED_PERCENTILE = 99
# Number of points along each side of the picture, over which the camera's motion is averaged.
_GRID = 9
# Largest number of classes whose probabilities are drawn. More lines cannot be distinguished.
_MOST_CLASSES = 5


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """One value per frame of a stored analysis; NaN where there is none.

    Attributes
    ----------
    frame : (n,) int64 array
        Numbers of the frames in their source.
    time_s : (n,) float64 array
    event : tuple of str
        See `vidsal.saliency.scenes.SceneDetector`.
    speed_p99 : (n,) float64 array
        99th percentile of the speed map: diagonals of the picture per second. NaN where a scene
        begins; `moving_share` is NaN there, too.
    moving_share : (n,) float64 array
        Share of the picture that moves faster than 0.03 diagonals per second, 0..1.
    camera_speed : (n,) float64 array
        See `camera_speeds`; NaN where the camera's motion was not measured.
    concentration : (n,) float64 array
        Gini coefficient of the fused map, 0..1.
    classes : tuple of str
        Names of up to five classes, see `vidsal.StoredAnalysis.top_classes`.
    probability : (n, k) float64 array
        Their probabilities, 0..1.
    """

    frame: NDArray[np.int64]
    time_s: Values
    event: tuple[str, ...]
    speed_p99: Values
    moving_share: Values
    camera_speed: Values
    concentration: Values
    classes: tuple[str, ...]
    probability: Values

    def __len__(self) -> int:
        return len(self.time_s)


def camera_speeds(matrices: Values, times_s: Values, size: tuple[int, int]) -> Values:
    """Return how fast the camera moves the picture.

    The speed is the mean, over a grid of 9 x 9 points, of the distance that a point moves from one
    frame to the next. Shifts, zooms and turns all count in the same way.

    Parameters
    ----------
    matrices : (n, 3, 3) float array
        See `vidsal.types.CameraMotion`.
    times_s : (n,) float array
        Times of the frames in seconds, increasing.
    size : (int, int)
        Height and width of the maps.

    Returns
    -------
    (n,) float64 array
        Diagonals of the picture per second; 0 for the first frame.
    """
    height, width = size
    rows, columns = np.meshgrid(
        np.linspace(0, height - 1, _GRID), np.linspace(0, width - 1, _GRID), indexing="ij"
    )
    points = np.stack([columns, rows, np.ones_like(rows)]).reshape(3, -1)
    moved = np.asarray(matrices, np.float64) @ points
    distance_px = np.hypot(*(moved[:, :2] / moved[:, 2:] - points[:2]).swapaxes(0, 1)).mean(axis=-1)
    steps_s = np.diff(times_s, prepend=-np.inf)
    return np.asarray(distance_px / np.hypot(height, width) / steps_s, np.float64)


def curves_of(store: Store) -> Curves:
    """Return the curves of a stored analysis. All maps are read, one after the other.

    Parameters
    ----------
    store : Store

    Raises
    ------
    VidsalError
        If the store is damaged.
    """
    rows, events = [], []
    for frame in store.frames(without=("gradient",)):
        rows.append((
            float(np.percentile(frame.speed, _SPEED_PERCENTILE)),
            float((frame.speed > QUIET_SPEED).mean()),
            gini(frame.fused),
        ))  # fmt: skip
        events.append(frame.event)
    speed, moving, concentration = np.array(rows, np.float64).T
    # The first frame of a scene has no previous frame, so it has no motion.
    is_first = np.isin(events, ("first", *CUTS))
    speed[is_first] = moving[is_first] = np.nan
    times = store.array("time_s")
    camera = camera_speeds(store.array("camera"), times, store.size)
    camera[store.array("camera_model") == CAMERAS.index("none")] = np.nan
    classes, probability = _class_curves(store)
    return Curves(
        store.array("frame"), times, tuple(events), speed, moving,
        camera, concentration, classes,
        probability,
    )  # fmt: skip


def _class_curves(store: Store) -> tuple[tuple[str, ...], Values]:
    """Return the names and the probabilities of the classes with the highest probabilities."""
    chosen = store.top_classes(_MOST_CLASSES)
    return tuple(chosen.values()), np.asarray(store.probabilities(list(chosen)), np.float64)
