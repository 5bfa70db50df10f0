"""What the words of a command line mean: files, folders, globs, lists, cameras, streams."""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from glob import glob, has_magic
from numbers import Integral
from pathlib import Path
from typing import Any

from vidsal.errors import UsageError, VidsalError
from vidsal.sources.image import is_image

_PICTURES = (
    ".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".jp2", ".tga",
    ".avif",
)  # fmt: skip
_VIDEOS = (
    ".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts",
    ".wmv", ".flv", ".3gp", ".ogv", ".gif", ".264", ".h264", ".265", ".mxf", ".vob", ".y4m",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pictures:
    """Picture files that are the frames of one video.

    Attributes
    ----------
    name : str
        What they are called together; the output is called after it.
    paths : tuple of Path
        In their order; any sequence of names becomes one.
    """

    name: str
    paths: tuple[Path, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "paths", tuple(map(Path, self.paths)))

    def __str__(self) -> str:
        return self.name


# What can be opened as one source, and what a caller of the library may give for it.
What = str | int | Path | Pictures
Given = What | os.PathLike[str]


def is_named_as_media(name: str) -> bool:
    """Say whether a name ends as that of a video or a picture."""
    return Path(name).suffix.lower() in (*_PICTURES, *_VIDEOS)


def is_named_as_picture(name: str) -> bool:
    """Say whether a name ends as that of a picture."""
    return Path(name).suffix.lower() in _PICTURES


def expand(
    word: str | int | Path, *, is_sequence: bool = False, is_recursive: bool = False
) -> list[What]:
    """Return the sources that a word means.

    Parameters
    ----------
    word : str, int or Path
        A file; a folder of videos and pictures; a glob; a text file with one name a line; the
        number or path of a camera; the address of a stream.
    is_sequence : bool
        Whether the pictures of a folder, a glob or a list are one video.
    is_recursive : bool
        Whether the folders of a folder are searched as well; hidden ones are not.

    Raises
    ------
    VidsalError
        If nothing is there.
    """
    path = Path(str(word))
    if not str(word).strip():
        raise VidsalError("a source without a name: give a file, folder, camera or stream")
    if isinstance(word, int) or "://" in str(word):
        return [word]
    found: Sequence[str | Path]
    if path.is_dir():
        inside = path.rglob("*") if is_recursive else path.iterdir()
        names = [one for one in inside if is_named_as_media(one.name)]
        found = _in_order(
            one for one in names
            if one.is_file() and not any(part[0] == "." for part in one.relative_to(path).parts)
        )  # fmt: skip
        kind = "video or picture in this folder"
    elif path.suffix.lower() == ".txt" and path.is_file():
        found, kind = _listed(path), "name in this list"
    elif not path.exists() and has_magic(str(word)):
        # Not `Path.glob`, which takes no absolute pattern.
        found = _in_order(Path(one) for one in glob(str(word), recursive=True))  # noqa: PTH207
        kind = "file of such a name"
    else:
        return [word]
    if not found:
        raise VidsalError(f"{word}: there is no {kind}")
    if not is_sequence:
        return list(found)
    files = [one for one in found if isinstance(one, Path)]
    pictures = tuple(one for one in files if is_named_as_picture(one.name) or is_image(one))
    if not pictures:
        raise VidsalError(f"{word}: there is no picture for --sequence")
    return [Pictures(_called(word), pictures)]


def one_source(given: Given, *, is_sequence: bool = False) -> What:
    """Return the one source that a caller of the library means.

    Parameters
    ----------
    given : str, int, path-like or Pictures
        See `expand`; a folder, a glob or a list of one name is that name.
    is_sequence : bool
        Whether the pictures of a folder, a glob or a list are one video.

    Raises
    ------
    UsageError
        If it can be no source, or is several.
    VidsalError
        If nothing is there.
    """
    if isinstance(given, Pictures):
        return given
    meant = expand(_word(given), is_sequence=is_sequence)
    if len(meant) > 1:
        raise UsageError(
            f"{given} means {len(meant)} sources, one is expected: take them one by one, or all "
            "with run_all of vidsal.jobs; Settings(sequence=True) makes one video of pictures"
        )
    return meant[0]


def _word(given: Any) -> str | int | Path:
    """Return a name or a number; what is neither is not printed, since it may be a picture."""
    if isinstance(given, str):
        return given
    # NumPy's as well. True is not the number 1.
    if not isinstance(given, bool) and isinstance(given, Integral):
        return int(given)
    if isinstance(given, os.PathLike) and isinstance(os.fspath(given), str):
        return Path(given)
    raise UsageError(
        "a source is a name (str or Path), the number of a camera (int) or vidsal.Pictures, got "
        f"{type(given).__name__}; run_all of vidsal.jobs takes a list of sources"
    )


def _listed(path: Path) -> list[str | Path]:
    """Return what a list names, one a line: files beside it or anywhere, cameras, streams."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise VidsalError(f"{path} cannot be read as a list of files: {error}") from error
    names = [name for line in lines if (name := line.strip()) and not name.startswith("#")]
    return [
        name if "://" in name or (name.isdecimal() and not (path.parent / name).exists())
        else path.parent / name
        for name in names
    ]  # fmt: skip


def _in_order(paths: Iterable[Path]) -> list[Path]:
    """Return paths as people sort them: 2 before 10."""

    def key(path: Path) -> list[tuple[int, str]]:
        parts = re.findall(r"\d+|\D+", str(path))
        return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]

    return sorted(paths, key=key)


def _called(word: str | int | Path) -> str:
    """Return what a sequence is called: as its folder, or list."""
    path = Path(str(word))
    while has_magic(path.name):
        path = path.parent
    return str(path) if path.name else path.resolve().name or "sequence"
