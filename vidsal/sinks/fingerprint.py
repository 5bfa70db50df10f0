"""The identity of a run: its input, settings, network and the versions of the programs.

Two runs of one identity write the same outputs, so one can continue where the other was
interrupted.
"""

import dataclasses
import hashlib
import importlib.metadata
import os
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np

from vidsal._version import __version__
from vidsal.errors import VidsalError, option
from vidsal.runtime.opencv import cv2
from vidsal.settings import Settings
from vidsal.settings.values import is_saved
from vidsal.types import SourceInfo

# Options that do not change the contents of a segment: segments have no audio.
_IGNORED_OPTIONS = (
    "output", "overwrite", "resume", "audio", "skip_existing", "recursive", "trust_model",
)  # fmt: skip
# Bytes at the beginning and at the end of a file that the checksum covers. A checksum of a whole
# video would take minutes.
_CHECKED_BYTES = 1 << 20


def identity(
    source: str,
    settings: Settings,
    *,
    files: Sequence[Path] = (),
    model: str | None,
    weights: Path | None,
) -> dict[str, str]:
    """Return everything that decides what a run writes.

    Parameters
    ----------
    source : str
        Name of the input.
    settings : Settings
    files : sequence of Path
        The files of the input; by default the one that `source` names.
    model : str or None
        Name of the network.
    weights : Path or None
        File of its weights.

    Returns
    -------
    dict of str to str
        Values by their names; the name of an option is that of its field in `Settings`.

    Raises
    ------
    VidsalError
        If the input cannot be read.
    """
    path = Path(source)
    options = option_values(settings, without=_IGNORED_OPTIONS)
    values = {**_input_values(path, list(files) or [path]), **options}
    values["the network"] = str(model)
    saved = Path(settings.model) if is_saved(settings.model) else None
    for name, file in (
        ("weights", weights), ("the saved model", saved), ("class names", settings.labels),
    ):  # fmt: skip
        if file is not None and file.is_file():
            values[f"the file of {name}"] = f"{file.absolute()} ({checksum([file])})"
    return values | _versions()


def source_identity(info: SourceInfo) -> dict[str, Any]:
    """Return what identifies the content of a source, wherever it lies.

    Parameters
    ----------
    info : SourceInfo

    Returns
    -------
    dict of str to str or list of str
        ``name``, and for files ``checksum``, which covers their sizes, beginnings and ends. A
        sequence of pictures has ``folder`` and ``pictures``: a glob or a list is not the whole of
        a folder, and may match other files another time.

    Raises
    ------
    VidsalError
        If a file cannot be read.
    """
    files = [Path(one) for one in info.files or (info.name,)]
    if info.is_live or not all(one.is_file() for one in files):
        return {"name": info.name}
    name = str(Path(info.name).absolute()) if Path(info.name).exists() else info.name
    # Without names: a file that was moved or renamed is the same.
    found = {"name": name, "checksum": checksum(files, has_names=False)}
    # The file of a web address was a temporary one.
    is_sequence = info.files and "://" not in info.name
    return found | _places(info.files) if is_sequence else found


def _places(files: Sequence[str]) -> dict[str, Any]:
    """Return where the pictures of a sequence lie: their common folder, and paths in it."""
    paths = [Path(one).absolute() for one in files]
    try:
        folder = os.path.commonpath([one.parent for one in paths])
    except ValueError:
        # On several drives of Windows.
        return {"folder": "", "pictures": [str(one) for one in paths]}
    return {"folder": folder, "pictures": [os.path.relpath(one, folder) for one in paths]}


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return one text for each value in which two identities differ.

    Parameters
    ----------
    before, now : mapping of str to str
        See `identity`.
    """
    options = {field.name for field in dataclasses.fields(Settings)}
    return [
        f"{option(name) if name in options else name} was {before.get(name, 'absent')} and is "
        f"{now.get(name, 'absent')}"
        for name in dict.fromkeys((*before, *now))
        if before.get(name) != now.get(name)
    ]


def _input_values(path: Path, files: list[Path]) -> dict[str, str]:
    try:
        stats = [one.stat() for one in files]
        changed_s = max((one.st_mtime for one in stats), default=0)
        return {
            "the input": str(path.absolute()),
            "the input's size": f"{sum(one.st_size for one in stats)} bytes",
            "the input's modification time": datetime.fromtimestamp(changed_s, UTC).isoformat(),
            "the input's checksum": checksum(files),
        }
    except OSError as error:
        raise VidsalError(f"{error.filename or path} cannot be read: {error.strerror}") from error


def checksum(files: Sequence[Path], *, has_names: bool = True) -> str:
    """Return a checksum of the names, sizes, beginnings and ends of files.

    Parameters
    ----------
    files : sequence of Path
    has_names : bool
        Without, a file that was moved or renamed has the same checksum.

    Raises
    ------
    OSError
        If a file cannot be read.
    """
    total = hashlib.sha256()
    for path in files:
        total.update(os.fsencode(path.name) if has_names else str(path.stat().st_size).encode())
        with path.open("rb") as file:
            total.update(file.read(_CHECKED_BYTES))
            size = file.seek(0, os.SEEK_END)
            file.seek(max(_CHECKED_BYTES, size - _CHECKED_BYTES))
            total.update(file.read())
    return total.hexdigest()[:16]


def option_values(settings: Settings, *, without: Collection[str]) -> dict[str, str]:
    """Return options as texts, by the names of their fields.

    Parameters
    ----------
    settings : Settings
    without : collection of str
        Names of options that are left out.
    """
    values = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if field.name not in without:
            if isinstance(value, Path):
                value = value.absolute()
            values[field.name] = "not given" if value is None else str(value)
    return values


def _versions() -> dict[str, str]:
    return {
        "vidsal": f"{__version__} ({_code_checksum()})",
        "TensorFlow": _version("tensorflow", "tensorflow-cpu", "tensorflow-macos"),
        "OpenCV": str(cv2.__version__),
        "NumPy": np.__version__,
        "ffmpeg": imageio_ffmpeg.get_ffmpeg_version(),
    }


def _code_checksum() -> str:
    """Return a checksum of vidsal's modules, which also change between releases."""
    total = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        total.update(path.read_bytes())
    return total.hexdigest()[:16]


def _version(*names: str) -> str:
    """Return the version of the first package that is installed, without importing it."""
    for name in names:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "none"
