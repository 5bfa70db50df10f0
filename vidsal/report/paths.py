"""Where pages and exports may lie, and how a page addresses other files."""

import os
from pathlib import Path
from urllib.parse import quote

from vidsal.errors import UsageError, option
from vidsal.runtime.atomic_write import claim, resolve_symlink, shortened
from vidsal.sinks import require_apart
from vidsal.store.reader import Store
from vidsal.store.schema import stem_of

_SUFFIXES = (".html", ".htm")


def page_of(store: Path, output: Path | None) -> Path:
    """Return the path of a store's page.

    Parameters
    ----------
    store : Path
    output : Path or None
        The page or its folder that is asked for.

    Raises
    ------
    UsageError
        If it is not named as a page.
    """
    if output is None or output.is_dir():
        return (output or Path()) / shortened(stem_of(store.resolve()), "_report.html")
    if output.suffix.lower() not in _SUFFIXES:
        raise UsageError(f"{option('output', str(output))}: a report is written as .html")
    return resolve_symlink(output)


def claim_result(store: Store, path: Path, *, overwrite: bool) -> None:
    """Check before any work that a file can be written, and is neither store nor source.

    Parameters
    ----------
    store : Store
    path : Path
        The file to write.
    overwrite : bool
        Allow an existing file.

    Raises
    ------
    UsageError
        If it would lie in the store.
    VidsalError
        If it is the source, or one of its files, where they lay; or as for
        `vidsal.runtime.atomic_write.claim`.
    """
    # Path.resolve fails for a link to itself; os.path.realpath does not.
    if Path(os.path.realpath(path)).is_relative_to(os.path.realpath(store.path)):
        raise UsageError(f"{path} lies in the store {store.path}: give another name")
    source = store.about["source"]
    pictures = [Path(source["folder"], one) for one in source.get("pictures", ())]
    require_apart(str(source["name"]), path, pictures)
    claim(path, overwrite=overwrite)


def address(target: Path, page: Path) -> str:
    """Return the address of a file as a page names it.

    Parameters
    ----------
    target : Path
    page : Path
    """
    try:
        relative = os.path.relpath(target.resolve(), page.resolve().parent)
        return quoted(Path(relative).as_posix())
    except ValueError:
        # On another drive of Windows.
        return target.resolve().as_uri()


def quoted(name: str) -> str:
    """Return a relative path as an address has it, also one whose bytes are no text.

    Parameters
    ----------
    name : str
        With slashes.
    """
    return quote(os.fsencode(name))
