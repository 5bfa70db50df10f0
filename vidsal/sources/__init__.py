"""The kinds of source, and which of them a word on the command line means."""

from pathlib import Path

from vidsal.errors import VidsalError
from vidsal.settings import Settings
from vidsal.source import Source
from vidsal.sources.camera import CameraSource
from vidsal.sources.image import ImageSource, is_image
from vidsal.sources.video import VideoSource


def open_source(what: str | int | Path, settings: Settings) -> Source:
    """Open a camera by its number, a picture or a video by its path.

    Parameters
    ----------
    what : str, int or Path
        ``0`` (or ``"0"``) is the first camera, unless a file is called so.
    settings : Settings

    Raises
    ------
    VidsalError
        If there is nothing to read, in a line that says what is wrong with it.
    """
    path = Path(str(what))
    if isinstance(what, int) or (path.name.isdigit() and not path.exists()):
        return CameraSource(int(path.name), settings)
    if path.is_dir():
        raise VidsalError(f"{path} is a folder: give a video or a picture file")
    if not path.exists():
        raise VidsalError(f"{path}: there is no such file")
    try:
        with path.open("rb") as file:
            is_empty = not file.read(1)
    except OSError as error:
        raise VidsalError(f"{path} cannot be read: {error.strerror}") from error
    if is_empty:
        raise VidsalError(f"{path} is an empty file")
    return ImageSource(path) if is_image(path) else VideoSource(path, settings)
