"""Files that get their final name only when they are complete.

A writer writes to a temporary name beside the final one. When its block ends well, the file is
renamed; after an error, or Ctrl-C, it is deleted.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path

from vidsal.errors import VidsalError, option

# Characters of the final name that a temporary name keeps; systems allow 255 bytes in all.
_KEPT_CHARACTERS = 40
# Longest name in bytes, which leaves room for a number.
_LONGEST_NAME = 240


def claim(path: Path, *, overwrite: bool) -> None:
    """Check before any work that a result can be written to `path`, or to the target of a link.

    A missing folder is no error: `atomic_write` and `temporary_sibling` make it.

    Parameters
    ----------
    path : Path
    overwrite : bool
        Allow an existing file.

    Raises
    ------
    VidsalError
        If the file exists and may not be replaced, or its folder is not writable or cannot be made.
    """
    with writing(path):
        path = resolve_symlink(path)
        is_folder, is_there = path.is_dir(), path.exists()
    if is_folder:
        raise VidsalError(f"{path} is a folder: give the name of a file")
    if is_there and not overwrite:
        raise VidsalError(
            f"{path} exists: give another name, or {option('overwrite', True)} to replace it"
        )
    with writing(path):
        folder = nearest_folder(path)
        if not folder.is_dir():
            raise VidsalError(f"{path}: {folder} is not a folder: give another name")
        with tempfile.TemporaryFile(dir=folder):
            pass


def nearest_folder(path: Path) -> Path:
    """Return the folder of a file, or the nearest parent that exists if the folder is missing.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Path
        It may be a file, which cannot hold another one.
    """
    # The parents of a relative path end at the current folder, which exists.
    return next(one for one in path.parents if one.exists() or one == one.parent)


def resolve_symlink(path: Path) -> Path:
    """Return the target of a link, so that a result does not replace the link; else `path`.

    Parameters
    ----------
    path : Path
        Path of a result.
    """
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def shortened(stem: str, ending: str = "") -> str:
    """Return a file name, with a shorter stem if file systems would refuse the name.

    Parameters
    ----------
    stem : str
        Its end is cut off where the name is longer than 240 bytes.
    ending : str
        Stays as it is.
    """
    room = _LONGEST_NAME - len(os.fsencode(ending))
    data = os.fsencode(stem)
    if len(data) > room:
        # No part of a character stays.
        stem = data[:room].decode(errors="ignore")
    return f"{stem}{ending}"


def beside(path: Path, ending: str) -> Path:
    """Return `path` with another ending, shortened where the name is too long for the system.

    Parameters
    ----------
    path : Path
    ending : str
        Replaces the suffix, such as ``".silent.mp4"``.
    """
    name = f"{path.stem}{ending}"
    if len(os.fsencode(name)) > _LONGEST_NAME:
        name = f"{path.stem[:_KEPT_CHARACTERS]}{ending}"
    return path.with_name(name)


def free_names(*paths: Path) -> list[Path]:
    """Return unused names: `paths`, or all of them with ``_002`` and so on behind their stems.

    Parameters
    ----------
    *paths : Path
        Files that belong together.
    """
    numbered = (
        [path.with_name(f"{path.stem}_{number:03d}{path.suffix}") for path in paths]
        for number in count(2)
    )
    return next(
        names for names in chain([list(paths)], numbered)
        if not any(name.exists() for name in names)
    )  # fmt: skip


@contextmanager
def atomic_write(final: Path) -> Iterator[Path]:
    """Yield a temporary name beside `final`; rename its file to `final` when the block ends well.

    No file is left at the temporary name. A link stays, and its target is replaced.

    Parameters
    ----------
    final : Path

    Yields
    ------
    Path
        In the same folder, with the same suffix.

    Raises
    ------
    VidsalError
        If the file cannot be renamed.
    """
    with writing(final):
        target = resolve_symlink(final)
    # The suffix stays, because writers choose the format by it.
    with temporary_sibling(target, final.suffix) as part:
        yield part
        with writing(final):
            part.replace(target)


@contextmanager
def temporary_sibling(final: Path, suffix: str) -> Iterator[Path]:
    """Yield a hidden temporary name beside `final`; delete its file afterwards.

    A missing folder is made.

    Parameters
    ----------
    final : Path
    suffix : str
        End of the temporary name.

    Yields
    ------
    Path

    Raises
    ------
    VidsalError
        If the folder cannot be made.
    """
    with writing(final):
        final.parent.mkdir(parents=True, exist_ok=True)
    part = final.with_name(f".{final.stem[:_KEPT_CHARACTERS]}.{os.getpid()}.part{suffix}")
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an `OSError` in the block into a `VidsalError` that names `path`.

    Parameters
    ----------
    path : Path
        The file or folder that the block writes.

    Raises
    ------
    VidsalError
        If the system reports an error.
    """
    try:
        yield
    except OSError as error:
        raise VidsalError(f"cannot write {path}: {error.strerror or error}") from error


def flush(path: Path) -> None:
    """Wait until a file, or the entries of a folder, are on the disk.

    Parameters
    ----------
    path : Path
    """
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open folders, and flushes them itself.
    number = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def flush_folder(folder: Path) -> None:
    """Wait until a folder and all that is in it are on the disk.

    Parameters
    ----------
    folder : Path
    """
    for one in (*folder.rglob("*"), folder):
        flush(one)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file completely, or not at all.

    Parameters
    ----------
    path : Path
    text : str

    Raises
    ------
    VidsalError
        If it cannot be written.
    """
    with atomic_write(path) as part, writing(path):
        part.write_text(text, encoding="utf-8")
