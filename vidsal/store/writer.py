"""Writing of a store: frames are collected in blocks. Each block is appended to all arrays."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from vidsal._version import __version__
from vidsal.errors import VidsalError, option
from vidsal.runtime.atomic_write import claim, writing
from vidsal.saliency.measures import measures_of
from vidsal.store.location import is_store, new_store
from vidsal.store.schema import (
    ARRAYS,
    CAMERAS,
    COLUMNS,
    EVENTS,
    MAPS,
    PREDICTIONS,
    SCHEMA,
    SUFFIX,
    ZIP_SUFFIX,
    is_store_name,
    is_zip,
    levels_of,
)
from vidsal.store.zarr_files import consolidate, load_zarr
from vidsal.types import TOP_CLASSES, Prediction, Saliency

# Frames of a chunk: about a second of film. A chunk is the smallest unit of reading.
_CHUNK = 32
# Lengths of the chunks of large arrays; 128 predictions of a thousand classes take 256 kB.
_LENGTHS = {**dict.fromkeys(MAPS, _CHUNK), "class_probability": 128}


def claim_store(path: Path, *, overwrite: bool) -> None:
    """Check before any work whether a store can be written.

    Parameters
    ----------
    path : Path
    overwrite : bool
        Whether an earlier store may be replaced. Other files and folders are never replaced.

    Raises
    ------
    VidsalError
        If the name is taken, or is not a valid name of a store, the folder is not writable, or
        zarr is missing.
    """
    load_zarr()
    if not is_store_name(path):
        raise VidsalError(
            f"{option('keep', str(path))}: the name of a store ends in {SUFFIX} (a folder) or "
            f"{ZIP_SUFFIX} (one file)"
        )
    if path.exists():
        if not is_store(path) or path.is_dir() == is_zip(path):
            raise VidsalError(f"{path} exists and is no store: give another name")
        names = {one.name for one in path.iterdir()} if path.is_dir() else set()
        foreign = sorted(names - {"zarr.json", *ARRAYS})
        if foreign:
            raise VidsalError(
                f"{path} holds other files than those of a store ({foreign[0]}): give another name"
            )
        if not overwrite:
            raise VidsalError(
                f"{path} exists: give another name, or {option('overwrite', True)} to replace it"
            )
    claim(path.with_name(f".{path.name}.claim"), overwrite=True)


class StoreSink:
    """Appends the results of frames to the arrays of a store.

    Parameters
    ----------
    folder : Path
        Folder of the unfinished store.
    path : Path
        The final name, for messages.
    about : dict
        Values that apply to all frames: the source, the settings, the names of the classes.
    """

    def __init__(self, folder: Path, path: Path, about: dict[str, Any]) -> None:
        self._folder, self._path, self._about = folder, path, about
        self._group: Any = None
        self._rows: list[dict[str, Any]] = []
        self._predictions: list[dict[str, Any]] = []
        self._predicted_s: float | None = None
        self._frames, self._predicted = 0, 0

    def write(self, saliency: Saliency) -> None:
        """Add the results of the next frame.

        Parameters
        ----------
        saliency : Saliency

        Raises
        ------
        VidsalError
            If the results cannot be written.
        """
        if saliency.prediction:
            self._note(saliency.prediction)
        row = self._predicted + len(self._predictions) - 1
        self._rows.append(_row(saliency, row))
        if len(self._rows) == _CHUNK:
            self.flush()

    @property
    def is_empty(self) -> bool:
        """Whether no frame has been written."""
        return self._group is None and not self._rows

    def flush(self) -> None:
        """Append the collected frames to the arrays.

        Raises
        ------
        VidsalError
            If the store cannot be written.
        """
        if not self._rows:
            return
        # Also write chunks of zeros. Otherwise they could not be distinguished from missing chunks.
        whole = load_zarr().config.set({"array.write_empty_chunks": True})
        with writing(self._path), whole:
            if self._group is None:
                self._group = self._created(self._rows[0])
            for rows in (self._rows, self._predictions):
                for name in rows[0] if rows else ():
                    block = np.stack([row[name] for row in rows])
                    self._group[name].append(block, axis=0)
            self._frames += len(self._rows)
            self._predicted += len(self._predictions)
            # Written last: frames beyond this number are incomplete.
            self._group.attrs.update(
                {**self._about, "frames": self._frames, "predictions": self._predicted}
            )
        self._rows, self._predictions = [], []

    def finish(self) -> None:
        """Append the remaining frames, and mark the store as complete. A second call does nothing.

        Raises
        ------
        VidsalError
            If there were no frames, or the store cannot be written.
        """
        self.flush()
        if self._group is None:
            raise VidsalError(f"{self._path}: there are no frames, so nothing was stored")
        if not self._group.attrs["is_complete"]:
            with writing(self._path):
                self._group.attrs["is_complete"] = True
                consolidate(self._folder)

    def _note(self, prediction: Prediction) -> None:
        """Record the names of the network and its precision, and the probabilities if they are new.

        Frames that repeat a prediction have the time of this prediction.
        """
        if prediction.target_id is None:
            self._about["target_name"] = prediction.target_name
        self._about["model_name"] = prediction.model_name
        self._about["precision"] = prediction.precision
        if prediction.time_s != self._predicted_s:
            self._predicted_s = prediction.time_s
            values = {
                "class_probability": prediction.all_probabilities,
                "predicted_s": self._predicted_s,
            }
            self._predictions.append({
                column.name: np.asarray(values[column.name], column.dtype)
                for column in PREDICTIONS
            })  # fmt: skip

    def _created(self, row: dict[str, Any]) -> Any:
        """Return the new group with its empty arrays."""
        zarr = load_zarr()
        group = zarr.create_group(
            store=str(self._folder),
            attributes={
                "vidsal": __version__, "schema": SCHEMA, "frames": 0, "is_complete": False,
                "events": list(EVENTS), "cameras": list(CAMERAS),
                # xarray uses these arrays as coordinates.
                "coordinates": "time_s predicted_s", **self._about,
            },
        )  # fmt: skip
        sides = {
            **dict.fromkeys(MAPS, ("row", "column")),
            **{column.name: column.sides for column in (*COLUMNS, *PREDICTIONS)},
        }
        # Blosc does not detect a flipped bit, so a checksum follows.
        codecs = [
            zarr.codecs.BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle"),
            zarr.codecs.Crc32cCodec(),
        ]
        # Either the first frame has a prediction, or no frame has one.
        for axis, values in (("frame", row), ("prediction", next(iter(self._predictions), {}))):
            for name, value in values.items():
                array = np.asarray(value)
                group.create_array(
                    name, shape=(0, *array.shape), dtype=array.dtype,
                    chunks=(_LENGTHS.get(name, 1024), *array.shape),
                    compressors=codecs, dimension_names=[axis, *sides[name]],
                )  # fmt: skip
        return group


def _row(saliency: Saliency, prediction_row: int) -> dict[str, Any]:
    """Return the values of a frame by the names of their arrays."""
    measures = measures_of(saliency)
    camera, prediction = measures.camera, measures.prediction
    values: dict[str, Any] = {
        "frame": measures.frame, "time_s": measures.time_s,
        "event": EVENTS.index(saliency.event),
        "camera": camera.matrix, "camera_model": CAMERAS.index(camera.model),
        "camera_inlier_share": np.nan if camera.inlier_share is None else camera.inlier_share,
        "class_id": _padded(prediction.class_ids if prediction else (), -1),
        "probability": _padded(prediction.probabilities if prediction else (), np.nan),
        "target_id": -1, "target_probability": np.nan, "prediction_row": prediction_row,
        "static_high": measures.static_high, "motion_high": measures.motion_high,
        "fused_high": measures.fused_high, "motion_share": measures.motion_share,
        "speed_median": measures.speed_median, "speed_p95": measures.speed_p95,
        "peak": measures.peak or (np.nan, np.nan),
        "marker": measures.marker or (np.nan, np.nan),
        "centroid": measures.centroid or (np.nan, np.nan),
    }  # fmt: skip
    if prediction:
        if prediction.target_id is not None:
            values["target_id"] = prediction.target_id
        values["target_probability"] = prediction.target_probability
    for name, top in MAPS.items():
        found = getattr(saliency, name)
        values[f"{name}_scale"] = 0.0
        if found is not None:
            values[name], values[f"{name}_scale"] = levels_of(found, top)
    types = {column.name: column.dtype for column in COLUMNS}
    return {name: np.asarray(value, types.get(name, np.int16)) for name, value in values.items()}


def _padded(values: tuple[Any, ...], filling: Any) -> tuple[Any, ...]:
    return (*values, *([filling] * (TOP_CLASSES - len(values))))


@contextmanager
def store_sink(path: Path, about: dict[str, Any]) -> Iterator[StoreSink]:
    """Lend a sink that writes a store.

    The store is written in a folder beside the final one. It gets its name when the block ends
    without error. A zip file is packed at this point.

    Parameters
    ----------
    path : Path
    about : dict
        Values that apply to all frames.

    Yields
    ------
    StoreSink

    Raises
    ------
    VidsalError
        If the store cannot be written.
    """
    with new_store(path, str(os.getpid())) as folder:
        sink = StoreSink(folder, path, about)
        yield sink
        sink.finish()
