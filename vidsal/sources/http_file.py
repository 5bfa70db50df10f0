"""A file on a web server: downloaded, read as any other file, and deleted afterwards.

Only a URL without a length is read as a live stream, which has no sound, takes the times of arrival
and cannot be read again.
"""

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from vidsal.errors import VidsalError
from vidsal.runtime import download
from vidsal.runtime.atomic_write import shortened
from vidsal.sources.base import Source
from vidsal.sources.resolve import SourceName
from vidsal.types import Findings, Frame

log = logging.getLogger(__name__)

_CHUNK_BYTES = 1 << 20


class RemoteFile:
    """A source that reads a downloaded file, and deletes it when the source closes.

    Parameters
    ----------
    display_name : str
        The URL for messages, without passwords and keys.
    path : Path
        The downloaded file, in a folder of its own. Closing deletes the folder.
    open_file : callable
        Opens the `Source` of a path.
    """

    def __init__(self, display_name: str, path: Path, open_file: Callable[[Path], Source]) -> None:
        self._folder, self._path, self._name = path.parent, path, display_name
        with self._named_by_url():
            self._source = open_file(path)
        self.info = replace(self._source.info, name=display_name, files=(str(path),))

    def frames(self) -> Iterator[Frame]:
        """Yield the frames, once; see `Source.frames`."""
        with self._named_by_url():
            yield from self._source.frames()

    @contextmanager
    def _named_by_url(self) -> Iterator[None]:
        """Make errors name the URL instead of the temporary file."""
        try:
            yield
        except VidsalError as error:
            raise type(error)(str(error).replace(str(self._path), self._name)) from error

    def stop(self) -> None:
        """End `frames` after the current frame."""
        self._source.stop()

    def findings(self) -> Findings:
        """Return what was wrong with the file, as far as it was read."""
        return self._source.findings()

    def __enter__(self) -> Self:
        self._source.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            self._source.__exit__(*exception)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)


def open_remote(
    name: SourceName, open_file: Callable[[Path], Source], *, progress: bool = False
) -> RemoteFile | None:
    """Download and open a file on a web server.

    Parameters
    ----------
    name : SourceName
        Of kind ``url``.
    open_file : callable
        Opens the `Source` of a path.
    progress : bool
        Show a progress bar on stderr.

    Returns
    -------
    RemoteFile or None
        None if the server sends no length: then the URL is a stream.

    Raises
    ------
    VidsalError
        If the download fails or is incomplete, or the file cannot be opened.
    """
    folder = Path(tempfile.mkdtemp(prefix="vidsal-"))
    opened = None
    try:
        path = folder / shortened(name.path.stem, name.path.suffix)
        if _download(name, path, progress=progress):
            opened = RemoteFile(name.display_name, path, open_file)
    finally:
        if opened is None:
            shutil.rmtree(folder, ignore_errors=True)
    return opened


def _download(name: SourceName, path: Path, *, progress: bool) -> bool:
    """Download a file; return False if the server sends no length."""
    # These imports take half a second, which local files do not need.
    import requests
    from tqdm import tqdm

    try:
        # Uncompressed: the length of a compressed transfer would be another one.
        headers = {"Accept-Encoding": "identity"}
        with requests.get(
            name.address, stream=True, timeout=download.TIMEOUT_S, headers=headers
        ) as answer:
            if answer.status_code >= requests.codes.bad_request:
                reason = f"{answer.status_code} {answer.reason}"
                raise VidsalError(
                    f"{name.display_name} cannot be downloaded: the server says {reason}"
                )
            if "Content-Length" not in answer.headers:
                return False
            length = int(answer.headers["Content-Length"])
            _require_space(name.display_name, path.parent, length)
            log.info("downloading %s, %.1f MB", name.display_name, length / 1e6)
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
                raise VidsalError(f"{name.display_name} cannot be downloaded: {download.CUT_OFF}")
            _set_file_time(path, answer.headers)
    # The errors of requests are OSErrors; an invalid length is a ValueError.
    except (OSError, ValueError) as error:
        raise VidsalError(
            f"{name.display_name} cannot be downloaded: {download.why(error)}"
        ) from error
    return True


def _require_space(name: str, folder: Path, length: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < length:
        raise VidsalError(
            f"{name} has {length / 1e6:.0f} MB, and {folder.parent} has {free / 1e6:.0f} MB free: "
            "set TMPDIR to a folder with more space"
        )


def _set_file_time(path: Path, headers: Any) -> None:
    """Set the time of the last change, by which a resumed run recognises the file."""
    from email.utils import parsedate_to_datetime

    changed_s = 0.0
    # The header may be missing, no date, or a date that the file system cannot store.
    with suppress(ValueError, TypeError, OverflowError, OSError):
        changed_s = parsedate_to_datetime(headers.get("Last-Modified")).timestamp()
    os.utime(path, (changed_s, changed_s))
