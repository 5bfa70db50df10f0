"""What a run is: its input, its settings, its network, and the programs that do the work.

Two runs of one identity write the same, so that one can go on where the other was interrupted.
"""

import dataclasses
import hashlib
import importlib.metadata
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from vidsal._version import __version__
from vidsal.errors import VidsalError
from vidsal.runtime.opencv import cv2
from vidsal.settings import Settings, flag, is_saved

# Where results go, and whether they may, does not change them; and segments have no sound.
_BESIDE_THE_POINT = (
    "output", "overwrite", "resume", "audio", "skip_existing", "recursive", "trust_model",
)  # fmt: skip
# So much of a file's beginning and of its end tells it from others; all of it would take minutes.
_LOOKED_AT = 1 << 20


def identity(
    source: str,
    settings: Settings,
    *,
    files: Sequence[Path] = (),
    model: str | None,
    weights: Path | None,
) -> dict[str, str]:
    """Return all that decides what a run writes: what it is called, and its value.

    Parameters
    ----------
    source : str
        What the input is called.
    settings : Settings
    files : sequence of Path
        Those that it is read from; by default the one of its name.
    model : str or None
        Name of the network that was chosen.
    weights : Path or None
        File that it is loaded from.

    Raises
    ------
    VidsalError
        If the input cannot be read.
    """
    path = Path(source)
    found = {**_about_source(path, list(files) or [path]), **_about_settings(settings)}
    found["the network"] = str(model)
    saved = Path(settings.model) if is_saved(settings.model) else None
    for name, path_of in (
        ("weights", weights), ("the saved model", saved), ("class names", settings.labels),
    ):  # fmt: skip
        if path_of is not None and path_of.is_file():
            found[f"the file of {name}"] = f"{path_of.absolute()} ({_ends([path_of])})"
    return found | _about_programs()


def _about_source(path: Path, files: list[Path]) -> dict[str, str]:
    try:
        stats = [one.stat() for one in files]
        return {
            "the input": str(path.absolute()),
            "the input's size": f"{sum(one.st_size for one in stats)} bytes",
            "the input's time of change": _said(max((one.st_mtime for one in stats), default=0)),
            "the input's checksum": _ends(files),
        }
    except OSError as error:
        raise VidsalError(f"{error.filename or path} cannot be read: {error.strerror}") from error


def _said(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).isoformat()


def _ends(files: list[Path]) -> str:
    """Return a checksum of the files' names, beginnings and ends."""
    total = hashlib.sha256()
    for path in files:
        total.update(os.fsencode(path.name))
        with path.open("rb") as file:
            total.update(file.read(_LOOKED_AT))
            size = file.seek(0, os.SEEK_END)
            file.seek(max(_LOOKED_AT, size - _LOOKED_AT))
            total.update(file.read())
    return total.hexdigest()[:16]


def _about_settings(settings: Settings) -> dict[str, str]:
    values = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if field.name not in _BESIDE_THE_POINT:
            # None is called what it is: not given.
            said = value.absolute() if isinstance(value, Path) else value
            values[flag(field.name)] = "not given" if said is None else str(said)
    return values


def _about_programs() -> dict[str, str]:
    return {
        "vidsal": f"{__version__} ({_own_code()})",
        "TensorFlow": _version("tensorflow", "tensorflow-cpu", "tensorflow-macos"),
        "OpenCV": str(cv2.__version__),
        "NumPy": np.__version__,
        "ffmpeg": imageio_ffmpeg.get_ffmpeg_version(),
    }


def _own_code() -> str:
    """Return a checksum of vidsal's modules, which change between two versions, too."""
    total = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        total.update(path.read_bytes())
    return total.hexdigest()[:16]


def _version(*names: str) -> str:
    """Return the version of the first of some packages that is installed, without loading it."""
    for name in names:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "none"
