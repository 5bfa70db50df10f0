"""What the words of a command line mean: files, folders, globs, lists, cameras, streams."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path

from vidsal.errors import VidsalError
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
    paths : tuple of Path
    """

    name: str
    paths: tuple[Path, ...]

    def __str__(self) -> str:
        return self.name


# What can be opened as one source.
What = str | int | Path | Pictures


def is_named_as_media(name: str) -> bool:
    """Say whether a name ends as that of a video or a picture."""
    return Path(name).suffix.lower() in (*_PICTURES, *_VIDEOS)


def is_named_as_picture(name: str) -> bool:
    """Say whether a name ends as that of a picture."""
    return Path(name).suffix.lower() in _PICTURES


def expand(word: str | int | Path, *, is_sequence: bool = False) -> list[What]:
    """Return the sources that a word means.

    Parameters
    ----------
    word : str, int or Path
        A file; a folder of videos and pictures; a glob; a text file with one name a line; the
        number or path of a camera; the address of a stream.
    is_sequence : bool
        Whether the pictures of a folder, a glob or a list are one video.

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
        names = [one for one in path.iterdir() if is_named_as_media(one.name)]
        found = _in_order(one for one in names if one.is_file() and one.name[0] != ".")
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
