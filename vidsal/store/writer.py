"""Writing a store: frames are gathered in blocks, and each block is appended to all arrays."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from vidsal._version import __version__
from vidsal.errors import VidsalError, option
from vidsal.runtime.atomic_write import claim, writing
from vidsal.store.location import is_store, new_store
from vidsal.store.schema import (
    CAMERAS,
    COLUMNS,
    EVENTS,
    MAPS,
    SCHEMA,
    SUFFIX,
    ZIP_SUFFIX,
    is_store_name,
    is_zip,
    levels_of,
)
from vidsal.store.zarr_files import load_zarr
from vidsal.types import TOP_CLASSES, Prediction, Saliency

# Frames of a chunk, which is the least that is read at a time: a second of film.
_CHUNK = 32


def claim_store(path: Path, *, overwrite: bool) -> None:
    """Check before any work whether a store can be written.

    Parameters
    ----------
    path : Path
    overwrite : bool
        Whether an earlier store may be replaced. Other files and folders never are.

    Raises
    ------
    VidsalError
        If the name is taken, or is not that of a store, the folder is not writable, or zarr is
        missing.
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
        known = {"zarr.json", *MAPS, *(column.name for column in COLUMNS)}
        foreign = sorted({one.name for one in path.iterdir()} - known) if path.is_dir() else []
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
        The folder that is written to.
    path : Path
        The final name, for messages.
    about : dict
        What holds for all frames: the source, the settings.
    """

    def __init__(self, folder: Path, path: Path, about: dict[str, Any]) -> None:
        self._folder, self._path, self._about = folder, path, about
        self._group: Any = None
        self._rows: list[dict[str, Any]] = []
        self._classes: dict[str, str] = {}
        self._frames = 0

    def write(self, saliency: Saliency) -> None:
        """Add the results of the next frame.

        Parameters
        ----------
        saliency : Saliency

        Raises
        ------
        VidsalError
            If they cannot be written.
        """
        self._rows.append(_row(saliency))
        if saliency.prediction:
            self._note(saliency.prediction)
        if len(self._rows) == _CHUNK:
            self.flush()

    @property
    def is_empty(self) -> bool:
        """Whether no frame has been written."""
        return self._group is None and not self._rows

    def flush(self) -> None:
        """Append what has been gathered.

        Raises
        ------
        VidsalError
            If it cannot be written.
        """
        if not self._rows:
            return
        # A chunk of zeros that is not written could not be told from one that is missing.
        whole = load_zarr().config.set({"array.write_empty_chunks": True})
        with writing(self._path), whole:
            if self._group is None:
                self._group = self._created(self._rows[0])
            for name in self._rows[0]:
                block = np.stack([row[name] for row in self._rows])
                self._group[name].append(block, axis=0)
            self._frames += len(self._rows)
            # The last word: frames beyond this number are not complete.
            self._group.attrs.update(
                {**self._about, "frames": self._frames, "classes": self._classes}
            )
        self._rows = []

    def finish(self) -> None:
        """Append the rest, and mark the store as complete; a second call does nothing.

        Raises
        ------
        VidsalError
            If there were no frames, or it cannot be written.
        """
        self.flush()
        if self._group is None:
            raise VidsalError(f"{self._path}: there are no frames, so nothing was stored")
        if not self._group.attrs["is_complete"]:
            with writing(self._path):
                self._group.attrs["is_complete"] = True

    def _note(self, prediction: Prediction) -> None:
        """Keep the names of classes, of the network and of its arithmetic."""
        for number, name in zip(prediction.class_ids, prediction.names, strict=True):
            self._classes.setdefault(str(number), name)
        key = "" if prediction.target_id is None else str(prediction.target_id)
        self._classes.setdefault(f"target {key}".strip(), prediction.target_name)
        self._about["model_name"] = prediction.model_name
        self._about["precision"] = prediction.precision

    def _created(self, row: dict[str, Any]) -> Any:
        """Return the new group with its empty arrays."""
        zarr = load_zarr()
        group = zarr.create_group(
            store=str(self._folder),
            attributes={
                "vidsal": __version__, "schema": SCHEMA, "frames": 0, "is_complete": False,
                "events": list(EVENTS), "cameras": list(CAMERAS), **self._about,
            },
        )  # fmt: skip
        sides = {column.name: [name for name, _ in column.sides] for column in COLUMNS}
        # Blosc does not notice a flipped bit, so a checksum follows it.
        codecs = [
            zarr.codecs.BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle"),
            zarr.codecs.Crc32cCodec(),
        ]
        for name, value in row.items():
            array = np.asarray(value)
            is_map = name in MAPS
            group.create_array(
                name, shape=(0, *array.shape), dtype=array.dtype,
                chunks=(_CHUNK if is_map else 1024, *array.shape),
                compressors=codecs,
                dimension_names=["frame", *(["row", "column"] if is_map else sides[name])],
            )  # fmt: skip
        return group


def _row(saliency: Saliency) -> dict[str, Any]:
    """Return the values of a frame by the names of their arrays."""
    camera, prediction = saliency.movement.camera, saliency.prediction
    values: dict[str, Any] = {
        "index": saliency.frame.index, "time_s": saliency.frame.time_s,
        "event": EVENTS.index(saliency.event),
        "camera": camera.matrix, "camera_model": CAMERAS.index(camera.model),
        "camera_inlier_share": np.nan if camera.inlier_share is None else camera.inlier_share,
        "class_id": _padded(prediction.class_ids if prediction else (), -1),
        "probability": _padded(prediction.probabilities if prediction else (), np.nan),
        "target_id": -1, "target_probability": np.nan,
        "static_high": saliency.static_high, "motion_high": saliency.motion_high,
        "fused_high": saliency.fused_high, "motion_share": saliency.motion_share,
        "peak": saliency.peak or (np.nan, np.nan),
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

    It grows in a folder beside the final one, and gets its name when the block ends well; a zip
    file is packed then.

    Parameters
    ----------
    path : Path
    about : dict
        What holds for all frames.

    Yields
    ------
    StoreSink

    Raises
    ------
    VidsalError
        If it cannot be written.
    """
    with new_store(path, str(os.getpid())) as folder:
        sink = StoreSink(folder, path, about)
        yield sink
        sink.finish()
