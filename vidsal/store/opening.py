"""Opening of a store, after checking that it is complete and has a known schema."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vidsal.errors import VidsalError
from vidsal.store.location import chunk_counts, is_store
from vidsal.store.reader import Store
from vidsal.store.schema import COLUMNS, is_store_name, length_of, require_schema
from vidsal.store.zarr_files import load_zarr

# Attributes of every store, and their types.
_REQUIRED: dict[str, Any] = {
    "source": Mapping, "settings": Mapping, "frames": int, "predictions": int,
    "class_names": Sequence, "fps": str | None, "height_px": int, "width_px": int,
}  # fmt: skip


def open_store(path: str | Path) -> Store:
    """Open the stored analysis of a source, without TensorFlow.

    Parameters
    ----------
    path : str or Path
        A store (folder or zip file) that ``vidsal run --keep`` wrote.

    Returns
    -------
    Store
        ``len(store)``, ``store[12]``, and an iterator over its frames. A zip file stays open until
        `Store.close`.

    Raises
    ------
    VidsalError
        If it is not a store, is incomplete, was written by another version, or zarr is missing.
    """
    return Store(Path(path), stored_group(path))


@contextmanager
def lent_store(store: Store | str | Path) -> Iterator[Store]:
    """Lend a store; close it at the end of the block, unless it was given as an open store.

    Parameters
    ----------
    store : Store, str or Path

    Yields
    ------
    Store

    Raises
    ------
    VidsalError
        See `open_store`.
    """
    if isinstance(store, Store):
        yield store
        return
    with open_store(store) as lent:
        yield lent


def stored_group(path: str | Path) -> Any:
    """Return the group of a store, after checking it.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    zarr.Group

    Raises
    ------
    VidsalError
        See `open_store`.
    """
    path, zarr = Path(path), load_zarr()
    if not is_store(path):
        if is_store_name(path) and path.is_file():
            raise VidsalError(f"{path} is damaged: it is not a whole zip file with a store")
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
    _require_all(path, about, {name for name, _ in arrays})
    for name, array in arrays:
        # zarr reads a missing chunk as zeros, so the chunks are counted.
        if array.shape[0] != length_of(name, about) or chunks[name] != array.nchunks:
            raise VidsalError(f"{path} is damaged: {name} lacks frames")
    return group


def _require_all(path: Path, about: Mapping[str, Any], arrays: Collection[str]) -> None:
    """Raise `VidsalError` if an attribute or an array that every store has is missing."""
    for name, kind in _REQUIRED.items():
        if name not in about or not isinstance(about[name], kind):
            raise VidsalError(f"{path} is damaged: its attribute {name!r} is missing or wrong")
    if not isinstance(about["source"].get("name"), str):
        raise VidsalError(f"{path} is damaged: the name of its source is missing")
    for name in ("speed", "fused", *(column.name for column in COLUMNS)):
        if name not in arrays:
            raise VidsalError(f"{path} is damaged: its array {name!r} is missing")
