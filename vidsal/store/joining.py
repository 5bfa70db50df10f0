"""Joining of several stores that follow each other in time."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidsal.errors import VidsalError
from vidsal.runtime.atomic_write import writing
from vidsal.store.schema import PREDICTION_ARRAYS
from vidsal.store.zarr_files import consolidate, load_zarr


def join_stores(parts: Sequence[Path], folder: Path, path: Path) -> int:
    """Join stores along the first axis of each array (frames or predictions).

    The chunks are as full as those of a store that was written in one run.

    Parameters
    ----------
    parts : sequence of Path
        The folders of complete stores, in order; at least one.
    folder : Path
        An empty folder. It becomes the joined store.
    path : Path
        The final name, for messages.

    Returns
    -------
    int
        Number of frames.

    Raises
    ------
    VidsalError
        If a part is damaged, or the joined store cannot be written.
    """
    zarr = load_zarr()
    # The same option as in `vidsal.store.writer`.
    whole = zarr.config.set({"array.write_empty_chunks": True})
    try:
        with writing(path), whole:
            groups = [zarr.open_group(str(part), mode="r") for part in parts]
            attributes = _joined_attributes([dict(group.attrs) for group in groups])
            joined = zarr.create_group(store=str(folder), attributes=attributes)
            repeated = _repeated(groups)
            for name in sorted({name for group in groups for name in group.array_keys()}):
                # The first part may lack an array that a later part has.
                like = next(group[name] for group in groups if name in group)
                _join_array(like, _parts_of(name, groups, repeated), joined, name)
            joined.attrs["predictions"] = attributes["predictions"] - sum(repeated)
            consolidate(folder)
    except VidsalError:
        raise
    except Exception as error:
        # zarr and its codecs raise any exception of their libraries.
        raise VidsalError(f"cannot write {path}: a part of it is damaged: {error}") from error
    return int(attributes["frames"])


def _joined_attributes(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the attributes of the last part, with the total frames and predictions."""
    return parts[-1] | {key: sum(one[key] for one in parts) for key in ("frames", "predictions")}


def _repeated(groups: Sequence[Any]) -> list[bool]:
    """Return for each part whether its first prediction is the last one of the part before it.

    A part contains all predictions that its frames show. So a prediction that is shown before and
    after the start of a part is in two parts.
    """
    repeated: list[bool] = []
    last: float | None = None
    for group in groups:
        found = group.get("predicted_s")
        is_repeated = False
        if found is not None and found.shape[0]:
            is_repeated = last is not None and float(found[0]) == last
            last = float(found[-1])
        repeated.append(is_repeated)
    return repeated


def _parts_of(name: str, groups: Sequence[Any], repeated: Sequence[bool]) -> list[Any]:
    """Return an array of each part, without repeated predictions, and with shifted row numbers."""
    parts, rows = [], 0
    for group, is_repeated in zip(groups, repeated, strict=True):
        if name in PREDICTION_ARRAYS and name in group:
            parts.append(np.asarray(group[name])[int(is_repeated) :])
        elif name == "prediction_row":
            found = np.asarray(group[name])
            # -1 stands for no prediction.
            parts.append(np.where(found < 0, found, found + (rows - is_repeated)))
            rows += group.attrs["predictions"] - is_repeated
        elif name in group:
            parts.append(group[name])
    return parts


def _join_array(like: Any, parts: list[Any], group: Any, name: str) -> None:
    """Write the values of arrays, one after the other, to a new array."""
    array = group.create_array(
        name, shape=(sum(one.shape[0] for one in parts), *like.shape[1:]), dtype=like.dtype,
        chunks=like.chunks, compressors=like.compressors, filters=like.filters,
        fill_value=like.fill_value, attributes=dict(like.attrs),
        dimension_names=like.metadata.dimension_names,
    )  # fmt: skip
    first = 0
    for block in blocks_of(parts, like.chunks[0]):
        array[first : first + len(block)] = block
        first += len(block)


def blocks_of(arrays: Sequence[Any], length: int) -> Iterator[NDArray[Any]]:
    """Yield the rows of arrays, one array after the other, in blocks of equal length.

    Parameters
    ----------
    arrays : sequence of arrays
        Equal except for the length of their first axis. Only one block is read at a time.
    length : int
        Rows of a block, at least 1; the last block may be shorter.

    Yields
    ------
    array of at most `length` rows
    """
    held: list[NDArray[Any]] = []
    missing = length
    for array in arrays:
        first = 0
        while first < array.shape[0]:
            held.append(np.asarray(array[first : first + missing]))
            first += len(held[-1])
            missing -= len(held[-1])
            if not missing:
                yield np.concatenate(held)
                held, missing = [], length
    if held:
        yield np.concatenate(held)
