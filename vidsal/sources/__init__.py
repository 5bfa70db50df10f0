"""The kinds of source, and which of them a word on the command line means."""

import dataclasses
from pathlib import Path

from vidsal.errors import UsageError, VidsalError
from vidsal.settings import Settings, flag
from vidsal.sources.base import Source
from vidsal.sources.capture import display_name, is_device, is_stream
from vidsal.sources.http_file import file_name, open_remote
from vidsal.sources.image import ImageSource, is_image
from vidsal.sources.image_sequence import SequenceSource
from vidsal.sources.live import LiveSource
from vidsal.sources.resolve import Pictures, What, expand
from vidsal.sources.video import VideoSource


def open_source(what: What, settings: Settings, *, progress: bool = False) -> Source:
    """Open a camera by its number, a file or stream by its address or path, or pictures.

    Parameters
    ----------
    what : str, int, Path or Pictures
        ``0`` (or ``"0"``) is the first camera, unless a file is called so; ``/dev/video0`` and
        ``rtsp://host/path`` (also http, https, udp, tcp) are live, too, but not a file on a web
        server, by its suffix and a length: that is downloaded. A folder, a glob or a list is one
        source only as a sequence of pictures.
    settings : Settings
    progress : bool
        Show a progress bar on stderr while something is downloaded.

    Raises
    ------
    VidsalError
        If there is nothing to read, in a line that says what is wrong with it.
    """
    if settings.sequence and not isinstance(what, Pictures):
        (what,) = expand(what, is_sequence=True)
    if isinstance(what, Pictures):
        return SequenceSource(what.name, what.paths, settings)
    path = Path(str(what))
    is_number = str(what).isdecimal()
    if isinstance(what, int) and what < 0:
        raise UsageError(f"the number of a camera is 0 or more, got {what}")
    if isinstance(what, int) or (is_number and not path.exists()):
        return _live(str(int(str(what))), settings)
    if file_name(what):
        remote = open_remote(
            str(what), lambda there: _open_file(there, settings), progress=progress
        )
        if remote is not None:
            return remote
    if is_stream(what) or is_device(what):
        return _live(str(what), settings)
    return _open_file(path, settings)


def _open_file(path: Path, settings: Settings) -> Source:
    if path.is_dir():
        raise VidsalError(f"{path} is a folder: --sequence makes one video of its pictures")
    if not path.exists():
        raise VidsalError(f"{path}: there is no such file")
    if not path.is_file():
        raise VidsalError(f"{path} is not a file that can be gone back in")
    try:
        with path.open("rb") as file:
            is_empty = not file.read(1)
    except OSError as error:
        raise VidsalError(f"{path} cannot be read: {error.strerror}") from error
    if is_empty:
        raise VidsalError(f"{path} is an empty file")
    if not is_image(path):
        return VideoSource(path, settings)
    _refuse(
        settings,
        ("start", "end", "duration", "every", "fps"),
        f"{path} is a photo, which has no time",
    )
    return ImageSource(path)


def _live(address: str, settings: Settings) -> LiveSource:
    name = display_name(address)
    _refuse(settings, ("start", "end"), f"{name} begins now, and --duration ends it")
    return LiveSource(address, settings)


def _refuse(settings: Settings, names: tuple[str, ...], why: str) -> None:
    """Raise `UsageError` where an option is given that this kind of source has no use for."""
    for field in dataclasses.fields(Settings):
        if field.name in names and getattr(settings, field.name) != field.default:
            raise UsageError(f"{flag(field.name)} cannot be used: {why}")
