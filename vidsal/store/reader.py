"""Reading a store: the values of its frames, a chunk at a time."""

import dataclasses
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from vidsal.errors import UsageError, VidsalError
from vidsal.settings import Settings
from vidsal.store.location import chunk_counts, is_store
from vidsal.store.schema import CAMERAS, EVENTS, MAPS, require_schema, values_of
from vidsal.store.zarr_files import load_zarr
from vidsal.types import CameraMotion, Map, Prediction

# Frames that are read at a time.
_BLOCK = 32
# Arrays that make up a `StoredFrame`.
_OF_A_FRAME = (
    "index", "time_s", "event", *MAPS, *(f"{name}_scale" for name in MAPS), "camera",
    "camera_model", "camera_inlier_share", "class_id", "probability", "target_id",
    "target_probability",
)  # fmt: skip
# Options of a run that its store does not keep.
_NOT_SAVED = ("output", "table", "maps", "keep", "overwrite", "skip_existing", "resume")
# Options that are meant for the videos of a folder, and do not act on its photos.
_NOT_OF_PHOTOS = ("start", "end", "duration", "every", "fps", "sequence")


@dataclass(frozen=True, slots=True, eq=False)
class StoredFrame:
    """The stored results of one frame.

    Attributes
    ----------
    index : int
        The frame's number in its source.
    time_s : float
    event : str
        Its place in its scene, see `vidsal.saliency.scenes.SceneDetector`.
    gradient : (h, w) float32 array or None
        Accumulated and smoothed gradient map, without a common scale; ``None`` without a network.
    speed : (h, w) float32 array
        Speed of objects, diagonals of the picture per second.
    fused : (h, w) float32 array or None
        The fused map as it was shown, [0, 1]; ``None`` where it was not read.
    camera : CameraMotion
    prediction : Prediction or None
    """

    index: int
    time_s: float
    event: str
    gradient: Map | None
    speed: Map
    fused: Map | None
    camera: CameraMotion
    prediction: Prediction | None


class Store:
    """A stored analysis; nothing is read before it is asked for.

    Parameters
    ----------
    path : Path
    group : zarr.Group

    Attributes
    ----------
    path : Path
    about : dict
        What holds for all frames: ``source``, ``settings``, ``fps``, ``model_name``, and the
        version of vidsal that wrote it.
    """

    def __init__(self, path: Path, group: Any) -> None:
        self.path, self._group = path, group
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
        return f"Store({str(self.path)!r}, {len(self)} frames, maps {width}x{height})"

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the maps."""
        height, width = self._group["speed"].shape[1:]
        return int(height), int(width)

    @property
    def settings(self) -> Settings:
        """The settings of the analysis; a model object has become its name.

        Raises
        ------
        VidsalError
            If this version of vidsal has not all of its options.
        """
        try:
            return Settings(**self.about["settings"])
        except (TypeError, UsageError) as error:
            raise VidsalError(f"{self.path}: its settings cannot be used: {error}") from error

    def array(self, name: str) -> NDArray[Any]:
        """Return one value for each frame: an array of the schema, maps left as whole numbers.

        Parameters
        ----------
        name : str
            See the guide.

        Raises
        ------
        VidsalError
            If there is no such array, or it is damaged.
        """
        return self._read(name, 0, len(self))

    def __iter__(self) -> Iterator[StoredFrame]:
        return self.frames()

    def frames(
        self, begin: int = 0, end: int | None = None, *, without: Collection[str] = ()
    ) -> Iterator[StoredFrame]:
        """Yield the results of consecutive frames.

        Parameters
        ----------
        begin, end : int
            Places in the store, from 0; `end` is left out. All frames by default.
        without : collection of str
            Maps that are not read, and are ``None``: ``gradient`` and ``fused`` can be left out.

        Yields
        ------
        StoredFrame

        Raises
        ------
        VidsalError
            If an array is damaged.
        """
        end = len(self) if end is None else min(end, len(self))
        names = self._names(without)
        for first in range(begin, end, _BLOCK):
            last = min(first + _BLOCK, end)
            block = {name: self._read(name, first, last) for name in names}
            for n in range(last - first):
                yield self._frame({name: values[n] for name, values in block.items()})

    def __getitem__(self, number: int) -> StoredFrame:
        """Return the results of a frame by its place in the store, from 0."""
        n = number + len(self) if number < 0 else number
        if not 0 <= n < len(self):
            raise IndexError(f"{self.path} has {len(self)} frames, got {number}")
        return self._frame({name: self._read(name, n, n + 1)[0] for name in self._names()})

    def _names(self, without: Collection[str] = ()) -> list[str]:
        """Return the arrays of a frame; a run without a network has no gradient."""
        absent = {one for name in without for one in (name, f"{name}_scale")}
        if "gradient" not in self._group:
            absent.add("gradient")
        return [name for name in _OF_A_FRAME if name not in absent]

    def _read(self, name: str, first: int, last: int) -> NDArray[Any]:
        if name not in self._group:
            raise VidsalError(f"{self.path} has no array {name!r}")
        try:
            found = np.asarray(self._group[name][first:last])
        except Exception as error:
            # zarr and its codecs raise whatever their libraries do.
            raise VidsalError(f"{self.path} is damaged: {name} cannot be read") from error
        if len(found) != last - first:
            raise VidsalError(f"{self.path} is damaged: {name} lacks frames")
        return found

    def _frame(self, row: dict[str, Any]) -> StoredFrame:
        def values(name: str) -> Map:
            return values_of(row[name], float(row[f"{name}_scale"]))

        share = float(row["camera_inlier_share"])
        return StoredFrame(
            index=int(row["index"]), time_s=float(row["time_s"]),
            event=EVENTS[int(row["event"])],
            gradient=values("gradient") if "gradient" in row else None,
            speed=values("speed"),
            fused=np.minimum(values("fused"), np.float32(1)) if "fused" in row else None,
            camera=CameraMotion(
                np.asarray(row["camera"], np.float32), CAMERAS[int(row["camera_model"])],
                None if np.isnan(share) else share,
            ),
            prediction=self._prediction(row),
        )  # fmt: skip

    def _prediction(self, row: dict[str, Any]) -> Prediction | None:
        names = self.about["classes"]
        ids = [int(one) for one in row["class_id"] if one >= 0]
        if not ids:
            return None
        target = int(row["target_id"])
        return Prediction(
            class_ids=tuple(ids), names=tuple(names[str(one)] for one in ids),
            probabilities=tuple(float(one) for one in row["probability"][: len(ids)]),
            target_id=None if target < 0 else target,
            target_name=names["target" if target < 0 else f"target {target}"],
            target_probability=float(row["target_probability"]),
            model_name=self.about.get("model_name"), precision=self.about.get("precision"),
        )  # fmt: skip


def open_store(path: str | Path) -> Store:
    """Open the stored analysis of a source, without TensorFlow.

    Parameters
    ----------
    path : str or Path
        What ``vidsal run --keep`` wrote: a folder, or a zip file.

    Returns
    -------
    Store
        ``len(store)``, ``store[12]``, and an iterator over its frames. A zip file stays open until
        `Store.close`.

    Raises
    ------
    VidsalError
        If it is no store, was not completed, was written by a newer version, or zarr is
        missing.
    """
    path, zarr = Path(path), load_zarr()
    if not is_store(path):
        raise VidsalError(f"{path} is not a store: vidsal run --keep NAME.vidsal writes one")
    try:
        opened = str(path) if path.is_dir() else zarr.storage.ZipStore(path, mode="r")
        group = zarr.open_group(opened, mode="r")
        about, arrays, chunks = dict(group.attrs), list(group.arrays()), chunk_counts(path)
    except Exception as error:
        raise VidsalError(f"{path} is damaged: its description cannot be read") from error
    require_schema(about.get("schema"), path)
    if not about.get("is_complete"):
        raise VidsalError(f"{path} was not completed: run the analysis again")
    for name, array in arrays:
        # zarr reads zeros for a missing chunk.
        if array.shape[0] != about["frames"] or chunks[name] != array.nchunks:
            raise VidsalError(f"{path} is damaged: {name} lacks frames")
    return Store(path, group)


def saved_settings(settings: Settings, *, is_photo: bool = False) -> dict[str, Any]:
    """Return the options of a run that are not at their defaults, as JSON holds them.

    Where the run wrote its results, and what it did with earlier ones, is left out.

    Parameters
    ----------
    settings : Settings
    is_photo : bool
        Leave out the options of time as well, which act on the videos beside a photo.
    """
    left_out = (*_NOT_SAVED, *(_NOT_OF_PHOTOS if is_photo else ()))
    values: dict[str, Any] = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if field.name == "model":
            value = settings.model_name
        if value != field.default and field.name not in left_out:
            is_plain = isinstance(value, (bool, int, float, str))
            values[field.name] = value if is_plain else str(value)
    json.dumps(values)
    return values
