"""The location of a store: a folder or a zip file, which appears only when it is complete."""

import shutil
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vidsal.runtime.atomic_write import flush, resolve_symlink, shortened, writing
from vidsal.store.schema import is_zip

# The file with the description of a Zarr group.
DESCRIPTION = "zarr.json"


def is_store(path: Path) -> bool:
    """Return whether a folder or a zip file is a Zarr group.

    Parameters
    ----------
    path : Path
    """
    if path.is_dir():
        return (path / DESCRIPTION).is_file()
    try:
        with zipfile.ZipFile(path) as archive:
            return DESCRIPTION in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def chunk_counts(path: Path) -> Counter[str]:
    """Return the number of existing chunks, by the names of their arrays.

    zarr's own count fails in a zip file if the name of one array begins with that of another.

    Parameters
    ----------
    path : Path
        A store.
    """
    if path.is_dir():
        files = (one.relative_to(path).as_posix() for one in path.rglob("*") if one.is_file())
        return _counted(files)
    with zipfile.ZipFile(path) as archive:
        return _counted(archive.namelist())


def _counted(names: Iterable[str]) -> Counter[str]:
    return Counter(name.partition("/c/")[0] for name in names if "/c/" in name)


@contextmanager
def new_store(path: Path, owner: str) -> Iterator[Path]:
    """Lend a folder for a store. It gets its final name when the block ends without error.

    After an error or Ctrl-C, no file is left, and an earlier store stays. Files from a killed run
    of the same owner are removed.

    Parameters
    ----------
    path : Path
        The final name of the store. A zip file is packed from the folder.
    owner : str
        Part of the temporary names, a few letters long. No two runs may use it at the same time.

    Yields
    ------
    Path
        An empty folder beside the final one.

    Raises
    ------
    VidsalError
        If the system reports an error.
    """
    path = resolve_symlink(path)
    part, packed, old = (
        path.with_name(shortened(f".{path.name}", f".{owner}.{kind}"))
        for kind in ("part", "zip", "old")
    )
    try:
        with writing(path):
            # An earlier run of this owner may have been killed at any moment.
            if old.exists() and not path.exists():
                old.rename(path)
            for folder in (part, old):
                shutil.rmtree(folder, ignore_errors=True)
            part.mkdir(parents=True)
        yield part
        with writing(path):
            if is_zip(path):
                _pack(part, packed)
                packed.replace(path)
            else:
                # Between the two renames there is no store of this name. An incomplete store never
                # has this name.
                if path.exists():
                    path.rename(old)
                part.rename(path)
    finally:
        if old.exists() and not path.exists():
            old.rename(path)
        packed.unlink(missing_ok=True)
        for folder in (part, old):
            shutil.rmtree(folder, ignore_errors=True)


def _pack(folder: Path, packed: Path) -> None:
    """Move the files of a folder into a zip file. The chunks are already compressed."""
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for one in sorted(folder.rglob("*")):
            if one.is_file():
                archive.write(one, one.relative_to(folder).as_posix())
                # Remove each file at once, so that the disk need not hold all files twice.
                one.unlink()
    flush(packed)
