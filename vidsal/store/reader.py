"""Reading of a store: the values of its frames, one chunk at a time."""

import dataclasses
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from vidsal.errors import UsageError, VidsalError
from vidsal.saliency.measures import FrameMeasures
from vidsal.saliency.regions import boxes
from vidsal.saliency.scenes import CUTS
from vidsal.settings import Settings
from vidsal.static.labels import class_number
from vidsal.store.schema import (
    CAMERAS,
    COLUMNS,
    EVENTS,
    MAPS,
    length_of,
    values_of,
)
from vidsal.types import CameraMotion, Map, Prediction

# Classes by the numbers of the network's outputs, or by name.
Classes = int | str | Sequence[int | str]

# Number of frames that are read at a time.
_BLOCK = 32
# Arrays that make up a `StoredFrame`.
_OF_A_FRAME = (
    "frame", "time_s", "event", *MAPS, *(f"{name}_scale" for name in MAPS), "camera",
    "camera_model", "camera_inlier_share", "class_id", "probability", "target_id",
    "target_probability", "prediction_row", "peak",
)  # fmt: skip
_NO_MAP = np.zeros((0, 0), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class StoredFrame:
    """The stored results of one frame.

    Attributes
    ----------
    frame : int
        Number of the frame in its source.
    time_s : float
    event : str
        Event of the frame in its scene, see `vidsal.saliency.scenes.SceneDetector`.
    gradient : (h, w) float32 array or None
        Accumulated and smoothed gradient map, without a common scale; ``None`` without a network.
    speed : (h, w) float32 array
        Speed of objects, diagonals of the picture per second.
    fused : (h, w) float32 array
        The fused map as it was shown, [0, 1]; 0 x 0 if it was not read.
    camera : CameraMotion
    prediction : Prediction or None
    peak : (float, float) or None
        The most salient point: row and column as shares of the picture.
    """

    frame: int
    time_s: float
    event: str
    gradient: Map | None
    speed: Map
    fused: Map
    camera: CameraMotion
    prediction: Prediction | None
    peak: tuple[float, float] | None


class Store:
    """A stored analysis. Values are read only on request.

    Parameters
    ----------
    path : Path
    group : zarr.Group
    source : str or path-like, optional
        The source, if it was moved.

    Attributes
    ----------
    path : Path
    source : str, path-like or None
        New location of the source; ``None`` for the original one.
    about : dict
        Values that apply to all frames: ``source``, ``settings``, ``fps``, ``model_name``, and the
        version of vidsal that wrote the store.
    """

    def __init__(self, path: Path, group: Any, source: Any = None) -> None:
        self.path, self._group, self.source = path, group, source
        self._columns: dict[str, NDArray[Any]] = {}
        self.about: dict[str, Any] = dict(group.attrs)

    def __len__(self) -> int:
        return int(self.about["frames"])

    def close(self) -> None:
        """Close the file of a store in a zip file."""
        self._group.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        height, width = self.size
        return (
            f"{type(self).__name__}({str(self.path)!r}, {len(self)} frames, maps {width}x{height})"
        )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the maps."""
        height, width = self._group["speed"].shape[1:]
        return int(height), int(width)

    @property
    def source_name(self) -> str:
        """The file name of the source, without its folder. Bytes that are not text are replaced."""
        name = str(self.about["source"]["name"])
        # PureWindowsPath splits at both kinds of slashes. A store may come from another system.
        name = PureWindowsPath(name).name or name
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")

    @property
    def settings(self) -> Settings:
        """The settings of the analysis. A model object is replaced by its name.

        Raises
        ------
        VidsalError
            If this version of vidsal lacks some of its options.
        """
        values = self.about["settings"]
        unknown = values.keys() - {field.name for field in dataclasses.fields(Settings)}
        if unknown:
            raise VidsalError(
                f"{self.path} was written by another version of vidsal, whose option "
                f"{min(unknown)!r} this one lacks"
            )
        try:
            return Settings(**values)
        except (TypeError, UsageError) as error:
            raise VidsalError(f"{self.path}: its settings cannot be used: {error}") from error

    def array(self, name: str) -> NDArray[Any]:
        """Return an array of the schema. Maps are returned as whole numbers.

        Parameters
        ----------
        name : str
            See the guide.

        Raises
        ------
        VidsalError
            If there is no such array, or it is damaged.
        """
        return self._read(name, 0, length_of(name, self.about))

    def maps(self, name: str) -> Iterator[Map]:
        """Yield one kind of map of each frame, without reading other maps.

        Parameters
        ----------
        name : str
            ``gradient``, ``speed`` or ``fused``.

        Yields
        ------
        (h, w) float32 array
            As in `StoredFrame`.

        Raises
        ------
        VidsalError
            If there is no such map, or it is damaged.
        """
        if name not in MAPS or name not in self._group:
            raise VidsalError(f"{self.path} has no map {name!r}")
        for first, last in self._blocks():
            scales = self._column(f"{name}_scale")[first:last]
            for levels, scale in zip(self._read(name, first, last), scales, strict=True):
                yield _map(name, levels, float(scale))

    def measures(self, box_level: float = 0.0) -> Iterator[FrameMeasures]:
        """Yield the measures of the frames from the run, without reading maps.

        Parameters
        ----------
        box_level : float
            Boxes enclose the regions of the fused map at or above this level; 0 for no boxes. Boxes
            require reading the fused maps.

        Yields
        ------
        FrameMeasures

        Raises
        ------
        VidsalError
            If the store is damaged.
        """
        columns = {column.name: self._column(column.name) for column in COLUMNS}
        maps = self.maps("fused") if box_level else None
        for n in range(len(self)):
            found = self._measures({name: values[n] for name, values in columns.items()})
            if maps is not None:
                found = dataclasses.replace(found, boxes=tuple(boxes(next(maps), box_level)))
            yield found

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the network's classes, in the order of its outputs; empty without a network."""
        return tuple(self.about["class_names"])

    def top_classes(self, count: int = 6) -> dict[int, str]:
        """Return the classes with the highest probabilities.

        Parameters
        ----------
        count : int
            Largest number of classes.

        Returns
        -------
        dict of int to str
            Numbers and names of classes that were among the five best of a frame, ordered from the
            highest probability down.
        """
        ids, values = self.array("class_id").ravel(), self.array("probability").ravel()
        highest: dict[int, float] = {}
        for one, value in zip(ids[ids >= 0].tolist(), values[ids >= 0].tolist(), strict=True):
            highest[one] = max(value, highest.get(one, 0.0))
        ranked = sorted(highest, key=lambda one: (-highest[one], one))
        return {one: self.class_names[one] for one in ranked[:count]}

    def probabilities(self, classes: Classes | None = None) -> NDArray[np.float32]:
        """Return the probabilities of classes over time.

        Parameters
        ----------
        classes : int, str, or sequence of them, optional
            Numbers of the network's outputs, or names; by default the classes of `top_classes`.

        Returns
        -------
        (frames, classes) float32 array
            Softmax, 0..1, to three digits. Frames between two predictions repeat the earlier one.

        Raises
        ------
        UsageError
            If there is no such class. For a name, the message has the nearest names.
        VidsalError
            If the array is damaged.
        """
        chosen = self.class_ids(classes)
        if not chosen:
            return np.zeros((len(self), 0), np.float32)
        found = self.array("class_probability")[:, chosen]
        return np.asarray(found[self.array("prediction_row")], np.float32)

    def class_ids(self, classes: Classes | None = None) -> list[int]:
        """Return the numbers of classes.

        Parameters
        ----------
        classes : int, str, or sequence of them, optional
            See `class_id`; by default the classes of `top_classes`.

        Raises
        ------
        UsageError
            If there is no such class. The message has the nearest names.
        """
        if classes is None:
            return list(self.top_classes())
        if isinstance(classes, (int, str)):
            return [self.class_id(classes)]
        return [self.class_id(one) for one in classes]

    def class_id(self, named: int | str) -> int:
        """Return the number of a class.

        Parameters
        ----------
        named : int or str
            The number itself, or a name; for ImageNet's classes also a WordNet identifier or
            another of their names.

        Raises
        ------
        UsageError
            If there is no such class. The message has the nearest names.
        """
        names = self.class_names
        if not names:
            raise UsageError(f"{self.path} has no classes: it was made without a network")
        return class_number(named, names)

    def __iter__(self) -> Iterator[StoredFrame]:
        return self.frames()

    def frames(
        self, begin: int = 0, end: int | None = None, *, without: Collection[str] = ()
    ) -> Iterator[StoredFrame]:
        """Yield the results of consecutive frames.

        Parameters
        ----------
        begin, end : int
            Positions in the store, from 0; `end` is excluded. All frames by default.
        without : collection of str
            Maps that need not be read: ``gradient``, ``fused`` or both.

        Yields
        ------
        StoredFrame

        Raises
        ------
        VidsalError
            If an array is damaged.
        """
        absent = {one for name in without for one in (name, f"{name}_scale")}
        names = [name for name in self._of_a_frame if name not in absent]
        columns = {name: self._column(name) for name in names if name not in MAPS}
        maps = [name for name in names if name in MAPS]
        for first, last in self._blocks(begin, end):
            block = {name: self._read(name, first, last) for name in maps}
            for n in range(first, last):
                row = {name: values[n] for name, values in columns.items()}
                yield self._frame(row | {name: block[name][n - first] for name in maps})

    def __getitem__(self, number: int) -> StoredFrame:
        """Return the results of a frame by its position in the store, from 0.

        Raises
        ------
        IndexError
            If there is no such frame.
        TypeError
            If `number` is not a whole number.
        VidsalError
            If an array is damaged.
        """
        if not isinstance(number, (int, np.integer)) or isinstance(number, bool):
            raise TypeError(
                f"a store takes the place of a frame, as store[12], got {number!r}: several "
                "frames are store.frames(12, 20), an array is store.array('time_s')"
            )
        n = number + len(self) if number < 0 else number
        if not 0 <= n < len(self):
            raise IndexError(f"{self.path} has {len(self)} frames, got {number}")
        return self._frame({
            name: self._read(name, n, n + 1)[0] if name in MAPS else self._column(name)[n]
            for name in self._of_a_frame
        })  # fmt: skip

    def _column(self, name: str) -> NDArray[Any]:
        """Return the whole of a small array. It is read only once.

        zarr needs the same time for a few numbers as for all numbers of an hour, which are 20 MB.
        """
        if name not in self._columns:
            self._columns[name] = self.array(name)
        return self._columns[name]

    def _blocks(self, begin: int = 0, end: int | None = None) -> Iterator[tuple[int, int]]:
        """Yield the first frame, and the end (excluded), of each block that is read at once."""
        end = len(self) if end is None else min(end, len(self))
        for first in range(begin, end, _BLOCK):
            yield first, min(first + _BLOCK, end)

    @property
    def _of_a_frame(self) -> list[str]:
        """Names of the arrays of a `StoredFrame`. Without a network there is no gradient."""
        return [name for name in _OF_A_FRAME if name != "gradient" or name in self._group]

    def _read(self, name: str, first: int, last: int) -> NDArray[Any]:
        if name not in self._group:
            raise VidsalError(f"{self.path} has no array {name!r}")
        try:
            found = np.asarray(self._group[name][first:last])
        except Exception as error:
            # zarr and its codecs raise any exception of their libraries.
            raise VidsalError(f"{self.path} is damaged: {name} cannot be read") from error
        if len(found) != last - first:
            raise VidsalError(f"{self.path} is damaged: {name} lacks frames")
        return found

    def _frame(self, row: dict[str, Any]) -> StoredFrame:
        def values(name: str) -> Map:
            return _map(name, row[name], float(row[f"{name}_scale"]))

        return StoredFrame(
            frame=int(row["frame"]), time_s=float(row["time_s"]),
            event=EVENTS[int(row["event"])],
            gradient=values("gradient") if "gradient" in row else None,
            speed=values("speed"), fused=values("fused") if "fused" in row else _NO_MAP,
            camera=_camera(row), prediction=self._prediction(row), peak=point_of(row["peak"]),
        )  # fmt: skip

    def _measures(self, row: dict[str, Any]) -> FrameMeasures:
        return FrameMeasures(
            frame=int(row["frame"]), time_s=float(row["time_s"]),
            is_cut=EVENTS[int(row["event"])] in CUTS, has_static="gradient" in self._group,
            prediction=self._prediction(row), map_size=self.size, camera=_camera(row),
            speed_median=float(row["speed_median"]), speed_p95=float(row["speed_p95"]),
            motion_share=float(row["motion_share"]), static_high=float(row["static_high"]),
            motion_high=float(row["motion_high"]), fused_high=float(row["fused_high"]),
            peak=point_of(row["peak"]), marker=point_of(row["marker"]),
            centroid=point_of(row["centroid"]),
        )  # fmt: skip

    def _prediction(self, row: dict[str, Any]) -> Prediction | None:
        names = self.class_names
        ids = [int(one) for one in row["class_id"] if one >= 0]
        if not ids:
            return None
        target = int(row["target_id"])
        return Prediction(
            class_ids=tuple(ids), names=tuple(names[one] for one in ids),
            probabilities=tuple(float(one) for one in row["probability"][: len(ids)]),
            target_id=None if target < 0 else target,
            target_name=self.about["target_name"] if target < 0 else names[target],
            target_probability=float(row["target_probability"]),
            model_name=self.about.get("model_name"), precision=self.about.get("precision"),
            time_s=float(self._column("predicted_s")[int(row["prediction_row"])]),
        )  # fmt: skip


def _map(name: str, levels: NDArray[np.int16], scale: float) -> Map:
    values = values_of(levels, scale)
    # A rounded scale must not give values outside the range of a map that was shown.
    return np.minimum(values, np.float32(1)) if name == "fused" else values


def _camera(row: dict[str, Any]) -> CameraMotion:
    share = float(row["camera_inlier_share"])
    return CameraMotion(
        np.asarray(row["camera"], np.float32), CAMERAS[int(row["camera_model"])],
        None if np.isnan(share) else share,
    )  # fmt: skip


def point_of(values: NDArray[np.float64]) -> tuple[float, float] | None:
    """Return a point from a row of an array such as "peak"; ``None`` if there is no point.

    Parameters
    ----------
    values : (2,) float64 array
    """
    return None if np.isnan(values).any() else (float(values[0]), float(values[1]))
