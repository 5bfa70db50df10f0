"""One store of several that follow each other in time."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidsal.errors import VidsalError
from vidsal.runtime.atomic_write import writing
from vidsal.store.zarr_files import load_zarr


def join_stores(parts: Sequence[Path], folder: Path, path: Path) -> int:
    """Join stores along the first axis of each of their arrays, whatever this axis is.

    The chunks are as full as those of a store that was written at once.

    Parameters
    ----------
    parts : sequence of Path
        The folders of complete stores, in order; at least one.
    folder : Path
        An empty folder, which becomes the joined store.
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
    # As `vidsal.store.writer` writes them.
    whole = zarr.config.set({"array.write_empty_chunks": True})
    try:
        with writing(path), whole:
            groups = [zarr.open_group(str(part), mode="r") for part in parts]
            attributes = _joined_attributes([dict(group.attrs) for group in groups])
            joined = zarr.create_group(store=str(folder), attributes=attributes)
            for name in sorted({name for group in groups for name in group.array_keys()}):
                # An array may begin in a later part.
                _join_array([group[name] for group in groups if name in group], joined, name)
    except VidsalError:
        raise
    except Exception as error:
        # zarr and its codecs raise whatever their libraries do.
        raise VidsalError(f"cannot write {path}: a part of it is damaged: {error}") from error
    return int(attributes["frames"])


def _joined_attributes(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the attributes of the last part, with the frames and the classes of all."""
    classes: dict[str, str] = {}
    for one in parts:
        # In the order in which they came, as in a store that was written at once.
        classes |= {key: name for key, name in one["classes"].items() if key not in classes}
    return parts[-1] | {"frames": sum(one["frames"] for one in parts), "classes": classes}


def _join_array(parts: list[Any], group: Any, name: str) -> None:
    """Write the values of arrays, one after the other, to a new array like them."""
    like = parts[0]
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
        Equal but for the length of their first axis. Only a block is read at a time.
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
