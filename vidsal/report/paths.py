"""Paths of pages and exports, and links from a page to other files."""

import os
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from urllib.parse import quote

from vidsal.errors import UsageError, option
from vidsal.runtime.atomic_write import claim, resolve_symlink, shortened
from vidsal.sinks import require_apart
from vidsal.store.reader import Store
from vidsal.store.schema import stem_of
from vidsal.stored.source import require_outside

_SUFFIXES = (".html", ".htm")


def page_of(store: Path, output: Path | None) -> Path:
    """Return the path of a store's page.

    Parameters
    ----------
    store : Path
    output : Path or None
        The requested page, or the requested folder of it.

    Raises
    ------
    UsageError
        If the name is not that of a page.
    """
    if output is None or output.is_dir():
        return (output or Path()) / shortened(stem_of(store.resolve()), "_report.html")
    if output.suffix.lower() not in _SUFFIXES:
        raise UsageError(f"{option('output', str(output))}: a report is written as .html")
    return resolve_symlink(output)


def pages_of(stores: Sequence[Path], folder: Path, index: Path) -> dict[Path, Path]:
    """Return the page of each store in a folder. All pages differ, and none is the index.

    Parameters
    ----------
    stores : sequence of Path
        Stores in `folder` or its subfolders.
    folder : Path
    index : Path
        The pages have the same positions in its folder as the stores have in `folder`.
    """
    pages, taken = {}, {_as_compared(index)}
    for store in stores:
        inside = index.parent / store.relative_to(folder).parent
        # The longest ending of a video beside the page, which may also have a number.
        longest = "_000_report_video.mp4"
        stem = shortened(stem_of(store), longest).removesuffix(longest)
        names = (f"{stem}{f'_{n:03d}' if n > 1 else ''}_report.html" for n in count(1))
        page = next(one for one in map(inside.joinpath, names) if _as_compared(one) not in taken)
        taken.add(_as_compared(page))
        pages[store] = page
    return pages


def _as_compared(path: Path) -> str:
    """Return a path in the form in which Windows and macOS compare it."""
    return str(path).casefold()


def claim_result(store: Store, path: Path, *, overwrite: bool) -> None:
    """Check before any work that a file can be written, and is neither the store nor its source.

    Parameters
    ----------
    store : Store
    path : Path
        The file to write.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    UsageError
        If the file would lie in the store.
    VidsalError
        If the file is the source, or one of its files, at the original location; and as
        `vidsal.runtime.atomic_write.claim` raises it.
    """
    require_outside(store, path)
    source = store.about["source"]
    pictures = [Path(source["folder"], one) for one in source.get("pictures", ())]
    require_apart(str(source["name"]), path, pictures)
    claim(path, overwrite=overwrite)


def address(target: Path, page: Path) -> str:
    """Return the address with which a page links a file.

    Parameters
    ----------
    target : Path
    page : Path
    """
    try:
        relative = os.path.relpath(target.resolve(), page.resolve().parent)
        return quoted(Path(relative).as_posix())
    except ValueError:
        # The file is on another drive of Windows.
        return target.resolve().as_uri()


def quoted(name: str) -> str:
    """Return a relative path quoted for an address. Its bytes need not be valid text.

    Parameters
    ----------
    name : str
        With slashes.
    """
    return quote(os.fsencode(name))
