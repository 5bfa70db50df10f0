"""A file on a web server: downloaded, read as any other file, and removed when it was read.

What is read as it arrives has no sound, the times of its arrival, and is gone; so that is for what
has no end.
"""

import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from tqdm import tqdm

from vidsal.errors import VidsalError
from vidsal.runtime import download
from vidsal.sources.base import Source
from vidsal.sources.resolve import is_named_as_media
from vidsal.types import Findings, Frame

log = logging.getLogger(__name__)

_CHUNK_BYTES = 1 << 20


def file_name(address: object) -> str:
    """Return the name of the file that an address ends in; empty where it names none."""
    if not re.match(r"https?://", str(address), re.IGNORECASE):
        return ""
    try:
        name = Path(unquote(urlsplit(str(address)).path)).name
    except ValueError:
        # Brackets that are no IPv6 address: whoever reads streams says so.
        return ""
    return name if is_named_as_media(name) else ""


def redacted_url(address: str) -> str:
    """Return the address of a file without the password and the key that it may hold."""
    there = urlsplit(address)
    return f"{there.scheme}://{there.netloc.rpartition('@')[2]}{there.path}"


class RemoteFile:
    """A source that is read from a file that was downloaded for it, and is removed with it.

    Parameters
    ----------
    address : str
        As it may be told.
    path : Path
        In a folder of its own.
    open_file : callable
        Path to `Source`.
    """

    def __init__(self, address: str, path: Path, open_file: Callable[[Path], Source]) -> None:
        self._folder, self._path, self._address = path.parent, path, address
        with self._told():
            self._source = open_file(path)
        self.info = replace(self._source.info, name=address, files=(str(path),))

    def frames(self) -> Iterator[Frame]:
        with self._told():
            yield from self._source.frames()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Let errors name the address, not a file that is soon gone."""
        try:
            yield
        except VidsalError as error:
            raise type(error)(str(error).replace(str(self._path), self._address)) from error

    def stop(self) -> None:
        self._source.stop()

    def findings(self) -> Findings:
        return self._source.findings()

    def __enter__(self) -> Self:
        self._source.__enter__()
        return self

    def __exit__(self, *of: object) -> None:
        try:
            self._source.__exit__(*of)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)


def open_remote(
    address: str, open_file: Callable[[Path], Source], *, progress: bool = False
) -> RemoteFile | None:
    """Open a file on a web server; None where the server does not say how long it is: a stream.

    Parameters
    ----------
    address : str
        Of ``http`` or ``https``.
    open_file : callable
        Path to `Source`.
    progress : bool
        Show a progress bar on stderr.

    Raises
    ------
    VidsalError
        If it does not come whole, or cannot be opened.
    """
    folder = Path(tempfile.mkdtemp(prefix="vidsal-"))
    opened = None
    try:
        path = folder / file_name(address)
        if _is_fetched(address, path, progress=progress):
            opened = RemoteFile(redacted_url(address), path, open_file)
    finally:
        if opened is None:
            shutil.rmtree(folder, ignore_errors=True)
    return opened


def _is_fetched(address: str, path: Path, *, progress: bool) -> bool:
    """Download a file; say whether it is one."""
    name = redacted_url(address)
    # Half a second, which those who read files do not have to wait.
    import requests

    try:
        # Not packed for the way: its length would be another.
        asked = {"Accept-Encoding": "identity"}
        with requests.get(
            address, stream=True, timeout=download.TIMEOUT_S, headers=asked
        ) as answer:
            if answer.status_code >= requests.codes.bad_request:
                reason = f"{answer.status_code} {answer.reason}"
                raise VidsalError(f"{name} cannot be downloaded: the server says {reason}")
            if "Content-Length" not in answer.headers:
                return False
            length = int(answer.headers["Content-Length"])
            _require_room(name, path.parent, length)
            log.info("downloading %s, %.1f MB", name, length / 1e6)
            with (
                path.open("wb") as file,
                tqdm(
                    total=length, unit="B", unit_scale=True, desc="download", leave=False,
                    disable=None if progress else True,
                ) as bar,
            ):  # fmt: skip
                for chunk in answer.iter_content(_CHUNK_BYTES):
                    file.write(chunk)
                    bar.update(len(chunk))
            if path.stat().st_size < length:
                raise VidsalError(f"{name} cannot be downloaded: {download.CUT_OFF}")
            _date(path, answer.headers)
    # requests' errors are OSErrors; a length that is no number is a ValueError.
    except (OSError, ValueError) as error:
        raise VidsalError(f"{name} cannot be downloaded: {download.why(error)}") from error
    return True


def _require_room(name: str, folder: Path, length: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < length:
        raise VidsalError(
            f"{name} has {length / 1e6:.0f} MB, and {folder.parent} room for {free / 1e6:.0f} MB: "
            "set TMPDIR to a folder with more"
        )


def _date(path: Path, headers: Any) -> None:
    """Give a file the time of its last change, by which a resumed run knows it again."""
    changed_s = 0.0
    # What a server says there may be no date, or none that a file can have.
    with suppress(ValueError, TypeError, OverflowError, OSError):
        changed_s = parsedate_to_datetime(headers.get("Last-Modified")).timestamp()
    os.utime(path, (changed_s, changed_s))
