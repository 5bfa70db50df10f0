"""What every sink is, and how a file comes to its final name only when it is whole.

A sink is a context manager that lends a function, and that function takes one frame after the
other. The block's end decides: a good one finishes and checks the file and gives it its final
name; an error, or Ctrl-C, leaves nothing behind, but for a finished picture whose sound failed.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path

from vidsal.errors import VidsalError

# Characters of the final name in that of the unfinished file: systems allow 255 bytes in all.
_NAME = 40
# Such a name has room for a number as well.
_LONGEST_NAME = 240


def claim(path: Path, *, overwrite: bool) -> None:
    """Say before any work whether a result can go to `path`, or to what that is a link to.

    Raises
    ------
    VidsalError
        If it exists and is to be kept, or its folder does not exist or cannot be written to.
    """
    with writing(path):
        path = resolve_symlink(path)
        is_folder, is_there = path.is_dir(), path.exists()
    if is_folder:
        raise VidsalError(f"{path} is a folder: give the name of a file")
    if is_there and not overwrite:
        raise VidsalError(f"{path} exists: give another name, or --overwrite to replace it")
    folder = path.parent
    if not folder.is_dir():
        raise VidsalError(f"{folder} is not a folder that exists: make it first")
    with writing(path), tempfile.TemporaryFile(dir=folder):
        pass


def resolve_symlink(path: Path) -> Path:
    """Return the place that a link names, so that a result does not replace the link."""
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
    """Return the name of `path` with another ending, shorter where the system would not take it."""
    name = f"{path.stem}{ending}"
    if len(os.fsencode(name)) > _LONGEST_NAME:
        name = f"{path.stem[:_NAME]}{ending}"
    return path.with_name(name)


def free_names(*paths: Path) -> list[Path]:
    """Return names that nothing has: `paths`, or all with ``_002`` and so on behind their stems."""
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
    """Lend a name beside `final`; when the block ends well, what is there becomes `final`.

    However the block ends, nothing is left at the lent name. See `resolve_symlink` of links.

    Raises
    ------
    VidsalError
        If the file cannot be moved to its final name.
    """
    with writing(final):
        place = resolve_symlink(final)
    # The suffix stays: writers tell the format by it.
    with temporary_sibling(place, final.suffix) as part:
        yield part
        with writing(final):
            part.replace(place)


@contextmanager
def temporary_sibling(final: Path, suffix: str) -> Iterator[Path]:
    """Lend a name beside `final` for what leads to it; nothing is left there afterwards."""
    part = final.with_name(f".{final.stem[:_NAME]}.{os.getpid()}.part{suffix}")
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Word what the system says while something is written to `path`."""
    try:
        yield
    except OSError as error:
        raise VidsalError(f"cannot write {path}: {error.strerror or error}") from error


def write_text(path: Path, text: str) -> None:
    """Write a text file whole, or not at all.

    Raises
    ------
    VidsalError
        If it cannot be written.
    """
    with atomic_write(path) as part, writing(path):
        part.write_text(text, encoding="utf-8")
