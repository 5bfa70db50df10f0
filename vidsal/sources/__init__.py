"""The kinds of source; `open_source` chooses one by name."""

import dataclasses
from pathlib import Path

from vidsal.errors import UsageError, VidsalError, option
from vidsal.settings import Settings
from vidsal.sources.base import Source
from vidsal.sources.http_file import open_remote
from vidsal.sources.image import ImageSource, is_image
from vidsal.sources.image_sequence import SequenceSource
from vidsal.sources.live import LiveSource
from vidsal.sources.resolve import SourceLike, SourceName, expand, parse_live, parse_source
from vidsal.sources.video import VideoSource


def open_source(source: SourceLike, settings: Settings, *, progress: bool = False) -> Source:
    """Open a video file, a photo, a camera, a stream, or a sequence of pictures.

    Parameters
    ----------
    source : str, int, path-like, Pictures or SourceName
        ``0`` (or ``"0"``, unless a file has this name) is the first camera. ``/dev/video0`` and
        ``rtsp://host/path`` (also http, https, udp, tcp, rtmp, srt) are live. A web address that
        ends in the name of a video or picture file is downloaded if the server sends its length.
        Options of time are ignored for a photo that `expand` returned for a folder or list. A
        folder, a glob or a list is one source only with ``settings.sequence``.
    settings : Settings
        The options of a source, ``fps`` and ``audio``.
    progress : bool
        Show a progress bar on stderr during a download.

    Raises
    ------
    UsageError
        If an option does not fit the kind of source.
    VidsalError
        If the source cannot be read; the line says why.
    """
    if settings.sequence and not isinstance(source, SourceName):
        (name,) = expand(source, is_sequence=True)
    else:
        name = parse_source(source)
    if name.kind == "pictures":
        return SequenceSource(name.display_name, name.pictures, settings, fps=settings.fps)
    if name.kind == "url":
        remote = open_remote(name, lambda path: _open_file(path, settings, name), progress=progress)
        return remote or _open_live(parse_live(name.address), settings)
    if name.kind == "file":
        return _open_file(name.path, settings, name)
    return _open_live(name, settings)


def _open_file(path: Path, settings: Settings, name: SourceName) -> Source:
    _require_content(path)
    if not is_image(path):
        return VideoSource(path, settings, fps=settings.fps, audio=settings.audio)
    # In a folder, these options are meant for the videos.
    if not name.is_member:
        _refuse(
            settings,
            ("start", "end", "duration", "every", "fps"),
            f"{path} is a photo, which has no time",
        )
    return ImageSource(path)


def _require_content(path: Path) -> None:
    """Raise `VidsalError` unless a path is that of a readable file that is not empty."""
    if path.is_dir():
        raise VidsalError(
            f"{path} is a folder: {option('sequence', True)} makes one video of its pictures"
        )
    if not path.exists():
        raise VidsalError(f"{path}: there is no such file")
    if not path.is_file():
        raise VidsalError(f"{path} is not a regular file: pipes and devices cannot be read")
    try:
        with path.open("rb") as file:
            is_empty = not file.read(1)
    except OSError as error:
        raise VidsalError(f"{path} cannot be read: {error.strerror}") from error
    if is_empty:
        raise VidsalError(f"{path} is an empty file")


def _open_live(name: SourceName, settings: Settings) -> LiveSource:
    if name.address.startswith("-"):
        raise UsageError(f"the number of a camera is 0 or more, got {name.address}")
    _refuse(
        settings,
        ("start", "end"),
        f"{name.display_name} is live and starts now; {option('duration')} ends it",
    )
    return LiveSource(name, settings)


def _refuse(settings: Settings, names: tuple[str, ...], reason: str) -> None:
    """Raise `UsageError` if an option is given that this kind of source cannot use."""
    for field in dataclasses.fields(Settings):
        value = getattr(settings, field.name)
        if field.name in names and value != field.default:
            raise UsageError(f"{option(field.name, value)} cannot be used: {reason}")
