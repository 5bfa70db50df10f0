"""From what a user gives to sources: files, folders, globs, lists, cameras, streams, URLs."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from glob import glob, has_magic
from numbers import Integral
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from vidsal.errors import UsageError, VidsalError, option
from vidsal.sources.image import is_image

_PICTURES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm",
    ".pbm", ".pnm", ".jp2", ".j2k", ".tga", ".avif", ".heic", ".heif", ".hif",
)  # fmt: skip
_VIDEOS = (
    ".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts",
    ".wmv", ".flv", ".3gp", ".ogv", ".gif", ".264", ".h264", ".265", ".mxf", ".vob", ".y4m",
    ".apng",
)  # fmt: skip
_STREAM = re.compile(r"(rtsps?|https?|udp|tcp|rtmp|srt)://", re.IGNORECASE)
_WEB = re.compile(r"https?://", re.IGNORECASE)
_DEVICE = re.compile(r"/dev/video\d+")


@dataclass(frozen=True, slots=True)
class Pictures:
    """Picture files that are the frames of one video.

    Attributes
    ----------
    name : str
        The name of the sequence; the output is named after it.
    paths : tuple of Path
        The files in order; any sequence of names becomes a tuple of `Path`.
    """

    name: str
    paths: tuple[Path, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "paths", tuple(map(Path, self.paths)))

    def __str__(self) -> str:
        return self.name


Kind = Literal["file", "camera", "stream", "url", "pictures"]


@dataclass(frozen=True, slots=True)
class SourceName:
    """The name of one source, parsed.

    Attributes
    ----------
    kind : {"file", "camera", "stream", "url", "pictures"}
        A ``url`` names a file on a web server; it is a stream if the server sends no length.
    address : str
        What opens the source: a path, the number or path of a camera, or an address. An address
        may hold a password: messages use `display_name`.
    display_name : str
        The name for messages, without passwords and keys.
    path : Path
        What results are named after. For a file it is the path of the file.
    pictures : tuple of Path
        The files of a sequence, in order.
    is_member : bool
        Whether a folder, a glob or a list named it. Options of time are ignored for photos that
        were not named themselves.
    subfolder : Path
        For a file that a recursive search found: its folder, relative to the folder of the search.
    """

    kind: Kind
    address: str = field(repr=False)
    display_name: str
    path: Path
    pictures: tuple[Path, ...] = ()
    is_member: bool = field(default=False, compare=False)
    subfolder: Path = field(default=Path(), compare=False)

    @property
    def stem(self) -> str:
        """Name of the results, without a suffix; the address of a stream has no suffix."""
        return self.path.name if self.kind == "stream" else self.path.stem

    @property
    def is_named_as_picture(self) -> bool:
        """Whether the name ends as that of a picture file."""
        return self.kind in ("file", "url") and is_named_as_picture(self.path.name)


# The types that callers of the library may pass for one source.
SourceLike = str | int | os.PathLike[str] | Pictures | SourceName


def is_named_as_media(name: str) -> bool:
    """Return whether a file name has the suffix of a video or a picture.

    Parameters
    ----------
    name : str
        File name or path.
    """
    return Path(name).suffix.lower() in (*_PICTURES, *_VIDEOS)


def is_named_as_picture(name: str) -> bool:
    """Return whether a file name has the suffix of a picture.

    Parameters
    ----------
    name : str
        File name or path.
    """
    return Path(name).suffix.lower() in _PICTURES


def parse_source(source: SourceLike) -> SourceName:
    """Parse the name of one source; folders and globs are not expanded.

    A number is a camera, unless it is a text and a file has this name. Other names of no known
    form are paths; whether a file is there is not checked.

    Parameters
    ----------
    source : str, int, path-like, Pictures or SourceName
        A `SourceName` is returned as it is.

    Raises
    ------
    UsageError
        If it is of another type.

    Examples
    --------
    >>> parse_source("rtsp://me:secret@door.local:554/h264").display_name
    'stream door.local-554'
    >>> parse_source("https://example.org/a/street.mp4?key=1").display_name
    'https://example.org/a/street.mp4'
    """
    if isinstance(source, SourceName):
        return source
    if isinstance(source, Pictures):
        return SourceName("pictures", source.name, source.name, Path(source.name), source.paths)
    value = _checked(source)
    text = str(value)
    if isinstance(value, int) or (text.isdecimal() and not Path(text).exists()):
        return _camera(str(int(text)))
    if _DEVICE.fullmatch(text):
        return _camera(text)
    if file_name := _file_name(text):
        return SourceName("url", text, redacted_url(text), Path(file_name))
    return _stream(text) if _STREAM.match(text) else SourceName("file", text, text, Path(text))


def parse_live(address: str | SourceName) -> SourceName:
    """Parse the name of a camera or a stream; every web address is that of a stream.

    Parameters
    ----------
    address : str or SourceName
        The number or path of a camera, or the address of a stream. A `SourceName` is returned as
        it is.

    Raises
    ------
    UsageError
        If it is neither.
    """
    if isinstance(address, SourceName):
        return address
    if address.isdecimal() or address.startswith("/dev/"):
        return _camera(address)
    if _STREAM.match(address):
        return _stream(address)
    scheme, colons, _ = address.partition("://")
    if colons:
        raise UsageError(
            f"{scheme}:// is not a stream that can be read: rtsp, http, udp, tcp, rtmp, srt can"
        )
    raise UsageError(f"{address}: not a camera or a stream (a file: vidsal run {address})")


def _camera(address: str) -> SourceName:
    number = address.removeprefix("/dev/video").rpartition("/")[2]
    return SourceName("camera", address, f"camera {number}", Path(address))


def _stream(address: str) -> SourceName:
    """Return the name of a stream; its display name is fit for a file name."""
    # Not `urlsplit`, which raises for an invalid IPv6 host.
    host = re.split(r"[/?#]", address.partition("://")[2])[0].rpartition("@")[2]
    host = host.replace("[", "").replace("]", "").replace(":", "-")
    return SourceName("stream", address, f"stream {host}", Path(f"stream{host}".replace(" ", "")))


def _file_name(text: str) -> str:
    """Return the name of the video or picture file that a web address ends in, else ``""``."""
    if not _WEB.match(text):
        return ""
    try:
        name = Path(unquote(urlsplit(text).path)).name
    except ValueError:
        # An invalid IPv6 host: `StreamCapture` reports it.
        return ""
    return name if is_named_as_media(name) else ""


def without_login(address: str) -> str:
    """Return an address without user and password. Other names stay as they are.

    Parameters
    ----------
    address : str
    """
    return re.sub(r"^([a-z0-9+.-]+://)[^/?#]*@", r"\1", address, flags=re.IGNORECASE)


def redacted_url(url: str) -> str:
    """Return a web address without the password and the query, which may hold a key.

    Parameters
    ----------
    url : str
    """
    return re.split("[?#]", without_login(url))[0]


def expand(
    source: SourceLike, *, is_sequence: bool = False, is_recursive: bool = False
) -> list[SourceName]:
    """Return the sources that a name means.

    Parameters
    ----------
    source : str, int, path-like, Pictures or SourceName
        A file; a folder of videos and pictures; a glob; a text file with one name per line; the
        number or path of a camera; the address of a stream or a file.
    is_sequence : bool
        Whether the pictures of a folder, a glob or a list are one video.
    is_recursive : bool
        Whether the folders of a folder are searched as well; hidden ones are not.

    Returns
    -------
    list of SourceName
        At least one. A name that is not a folder, a glob or a list is returned parsed.

    Raises
    ------
    VidsalError
        If the name is empty, or a folder, a glob or a list has no match.
    """
    name = parse_source(source)
    path = name.path
    if not name.address.strip():
        raise VidsalError("a source has an empty name: give a file, a folder, a camera or a stream")
    if name.kind != "file" or "://" in name.address:
        return [name]
    members: Sequence[str | Path]
    if path.is_dir():
        members = natural_order(_media_in(path, is_recursive=is_recursive))
        expected = "video or picture in this folder"
    elif path.suffix.lower() == ".txt" and path.is_file():
        members, expected = _listed(path), "name in this list"
    elif not path.exists() and has_magic(name.address):
        # Not `Path.glob`, which rejects absolute patterns.
        members = natural_order(Path(one) for one in glob(name.address, recursive=True))  # noqa: PTH207
        expected = "file that matches"
    else:
        return [name]
    if not members:
        raise VidsalError(f"{source}: there is no {expected}")
    if is_sequence:
        return [_sequence(name, members)]
    found = [replace(parse_source(one), is_member=True) for one in members]
    if not path.is_dir():
        return found
    return [replace(one, subfolder=one.path.parent.relative_to(path)) for one in found]


def _media_in(folder: Path, *, is_recursive: bool) -> Iterator[Path]:
    """Yield the files of a folder that are named as media, without hidden ones."""
    for path in folder.rglob("*") if is_recursive else folder.iterdir():
        is_hidden = any(part[0] == "." for part in path.relative_to(folder).parts)
        if is_named_as_media(path.name) and not is_hidden and path.is_file():
            yield path


def one_source(source: SourceLike, *, is_sequence: bool = False) -> SourceName:
    """Return the one source that a caller of the library gives.

    Parameters
    ----------
    source : str, int, path-like, Pictures or SourceName
        See `expand`; a folder, a glob or a list must mean one source.
    is_sequence : bool
        Whether the pictures of a folder, a glob or a list are one video.

    Raises
    ------
    UsageError
        If the type is wrong, or the name means several sources.
    VidsalError
        If the name is empty, or a folder, a glob or a list has no match.
    """
    names = expand(source, is_sequence=is_sequence)
    if len(names) > 1:
        raise UsageError(
            f"{source} means {len(names)} sources, one is expected: pass them one by one, or all "
            "to vidsal.run_all; Settings(sequence=True) makes one video of pictures"
        )
    return names[0]


def _checked(source: Any) -> str | int | Path:
    """Return a name or a number; a value of another type is not printed, as it may be an array."""
    if isinstance(source, str):
        return str(source)
    # NumPy's integers as well, but not True.
    if not isinstance(source, bool) and isinstance(source, Integral):
        return int(source)
    if isinstance(source, os.PathLike) and isinstance(os.fspath(source), str):
        return Path(source)
    raise UsageError(
        "a source is a name (str or Path), the number of a camera (int) or vidsal.Pictures, got "
        f"{type(source).__name__}; vidsal.run and vidsal.analyse also take arrays, vidsal.run_all "
        "takes names only"
    )


def _sequence(name: SourceName, members: Sequence[str | Path]) -> SourceName:
    """Return the pictures among the files of a folder, a glob or a list as one source."""
    files = [one for one in members if isinstance(one, Path)]
    pictures = tuple(one for one in files if is_named_as_picture(one.name) or is_image(one))
    if not pictures:
        raise VidsalError(
            f"{name.display_name}: there is no picture for {option('sequence', True)}"
        )
    return parse_source(Pictures(_sequence_name(name.path), pictures))


def _listed(path: Path) -> list[str | Path]:
    """Return the names in a list, one per line: files relative to it, cameras, addresses."""
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


def natural_order(paths: Iterable[Path]) -> list[Path]:
    """Return paths sorted with numbers as numbers: 2 before 10.

    Parameters
    ----------
    paths : iterable of Path
    """

    def key(path: Path) -> list[tuple[int, str]]:
        parts = re.findall(r"\d+|\D+", str(path))
        return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]

    return sorted(paths, key=key)


def _sequence_name(path: Path) -> str:
    """Return the name of a sequence: that of its folder or list."""
    while has_magic(path.name):
        path = path.parent
    return str(path) if path.name else path.resolve().name or "sequence"
