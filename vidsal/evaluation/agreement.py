"""Agreement of two saliency maps of one picture, for each frame. Pure maths."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidsal.evaluation.metrics import cc, similarity
from vidsal.types import Map

Point = tuple[float, float]


class Figures(NamedTuple):
    """Agreement of two maps of one picture. All values are NaN if one of the maps is flat.

    Attributes
    ----------
    cc : float
        Pearson's correlation, -1..1.
    sim : float
        Histogram intersection, 0..1.
    peak_distance : float
        Distance between the brightest places, in diagonals of the picture, 0..1.
    """

    cc: float
    sim: float
    peak_distance: float


# Columns of a table with a row for each frame and pair of analyses.
COLUMNS = ("frame", "time_s", "first", "second", *Figures._fields)
_UNDEFINED = Figures(math.nan, math.nan, math.nan)


def figures(
    one: Map, two: Map, peaks: tuple[Point | None, Point | None], size: tuple[int, int]
) -> Figures:
    """Return the agreement of two maps.

    A flat map has no brightest place and no correlation. No substitute values are used.

    Parameters
    ----------
    one, two : (h, w) float32 array
        At least 0, of one size.
    peaks : pair of (float, float) or None
        Brightest place of each map: row and column as shares of the sides.
    size : (int, int)
        Height and width of the picture, whose diagonal is the unit of the distance.

    Returns
    -------
    Figures
        See `vidsal.evaluation.metrics.cc` and `vidsal.evaluation.metrics.similarity`.
    """
    first, second = peaks
    if first is None or second is None or _is_flat(one) or _is_flat(two):
        return _UNDEFINED
    return Figures(cc(one, two), similarity(one, two), distance(first, second, size))


def distance(one: Point, two: Point, size: tuple[int, int]) -> float:
    """Return the distance between two points in diagonals of the picture.

    Parameters
    ----------
    one, two : (float, float)
        Row and column as shares of the sides.
    size : (int, int)
        Height and width of the picture.

    Returns
    -------
    float
        0..1.
    """
    rows, columns = ((a - b) * side for a, b, side in zip(one, two, size, strict=True))
    return math.hypot(rows, columns) / math.hypot(*size)


def _is_flat(values: Map) -> bool:
    return bool(values.min() == values.max())


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """Agreement of the maps of two analyses in each frame.

    Attributes
    ----------
    first, second : str
        Names of the analyses.
    frame : (n,) int64 array
        Numbers of the frames in their source.
    time_s : (n,) float64 array
        Their times in seconds.
    cc, sim, peak_distance : (n,) float64 array
        See `Figures`. NaN in frames in which one of the maps is flat.
    """

    first: str
    second: str
    frame: NDArray[np.int64]
    time_s: NDArray[np.float64]
    cc: NDArray[np.float64]
    sim: NDArray[np.float64]
    peak_distance: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        first: str,
        second: str,
        frame: NDArray[np.int64],
        time_s: NDArray[np.float64],
        found: Sequence[Figures],
    ) -> "Agreement":
        """Return the agreement of two analyses from the figures of each frame.

        Parameters
        ----------
        first, second : str
        frame : (n,) int64 array
        time_s : (n,) float64 array
        found : sequence of Figures
            One for each frame.
        """
        columns = np.array(found, np.float64).reshape(-1, len(Figures._fields)).T
        return cls(first, second, frame, time_s, *columns)

    def __repr__(self) -> str:
        means = ", ".join(f"{name} {value:.3f}" for name, value in self.mean._asdict().items())
        return f"Agreement({self.first!r}, {self.second!r}, {len(self.frame)} frames, mean {means})"

    @property
    def mean(self) -> Figures:
        """Means over the frames in which neither map is flat; NaN without such frames."""
        defined = ~np.isnan(self.cc)
        if not defined.any():
            return _UNDEFINED
        return Figures(*(float(one[defined].mean()) for one in self._columns))

    @property
    def undefined(self) -> int:
        """Number of frames in which one of the maps is flat."""
        return int(np.isnan(self.cc).sum())

    @property
    def lowest(self) -> int | None:
        """Position of the frame with the lowest correlation; ``None`` if no frame has one."""
        return None if self.undefined == len(self.cc) else int(np.nanargmin(self.cc))

    def at(self, n: int) -> Figures:
        """Return the figures of one frame.

        Parameters
        ----------
        n : int
            Position of the frame, from 0.
        """
        return Figures(*(float(one[n]) for one in self._columns))

    def rows(self) -> list[dict[str, Any]]:
        """Return the columns of each frame, see `COLUMNS`. NaN is replaced by ``None``."""
        return [
            {
                "frame": int(frame),
                "time_s": float(time_s),
                "first": self.first,
                "second": self.second,
                **{
                    name: None if math.isnan(value) else value
                    for name, value in self.at(n)._asdict().items()
                },
            }
            for n, (frame, time_s) in enumerate(zip(self.frame, self.time_s, strict=True))
        ]

    @property
    def _columns(self) -> tuple[NDArray[np.float64], ...]:
        return self.cc, self.sim, self.peak_distance
