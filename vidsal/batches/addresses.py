"""Addresses of files that fsspec opens, such as ``s3://bucket/clip.mp4``.

fsspec is an extra: it is imported only for addresses.
"""

import os
import posixpath
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vidsal.errors import VidsalError, flat, one_line
from vidsal.sources.resolve import is_named_as_media, redacted_url, without_login

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
# Schemes that vidsal downloads or records itself.
_OWN_SCHEMES = ("http", "https", "rtsp", "rtsps", "udp", "tcp", "rtmp", "srt")
# Schemes that have two names.
_SAME_SCHEMES = {"local": "file", "s3a": "s3", "gcs": "gs"}


class MissingPackageError(VidsalError):
    """A package that a scheme of addresses needs is missing: not the fault of one source."""


def is_address(name: str) -> bool:
    """Return whether a name is an address that fsspec opens, such as ``s3://bucket/clip.mp4``.

    Parameters
    ----------
    name : str
    """
    return _ADDRESS.match(name) is not None and not is_own_address(name)


def redacted(address: str) -> str:
    """Return an address without a password, for messages.

    A web address loses its query as well, which may hold a key. Other names stay as they are.

    Parameters
    ----------
    address : str
    """
    return redacted_url(address) if is_own_address(address) else without_login(address)


def is_own_address(name: str) -> bool:
    """Return whether a name is an address that vidsal downloads or records itself.

    Parameters
    ----------
    name : str
    """
    scheme = _ADDRESS.match(name)
    return scheme is not None and scheme[1].lower() in _OWN_SCHEMES


def place(name: str) -> str:
    """Return a canonical name of a file: the same for all its paths and addresses.

    It opens nothing, and sends no request to a store. Addresses of local files become paths.

    Parameters
    ----------
    name : str
        A path or an address.

    Examples
    --------
    >>> place("memory:///a/./b.mp4"), place("memory://a/b.mp4")
    ('memory://a/b.mp4', 'memory://a/b.mp4')
    """
    if "\0" in name:
        # No file can have such a name.
        return name
    if not is_address(name):
        return os.path.realpath(name)
    scheme, _, path = redacted(name).partition("://")
    scheme = _SAME_SCHEMES.get(scheme.lower(), scheme.lower())
    if scheme == "file":
        # On Windows a drive letter follows the third slash.
        return os.path.realpath(re.sub(r"^/(?=[A-Za-z]:)", "", path))
    return f"{scheme}://{posixpath.normpath(path.lstrip('/'))}"


def open_store(address: str) -> tuple[Any, str]:
    """Return the file system of an address, and the path in it.

    Parameters
    ----------
    address : str

    Raises
    ------
    MissingPackageError
        If fsspec, or its driver for the scheme, is missing.
    VidsalError
        If the address is invalid.
    """
    try:
        import fsspec
    except ImportError as error:
        raise MissingPackageError(
            f'{redacted(address)}: addresses need fsspec: pip install "vidsal[remote]"'
        ) from error
    try:
        system, path = fsspec.core.url_to_fs(address)
    except ImportError as error:
        # The error of a missing driver names the package to install.
        raise MissingPackageError(f"{redacted(address)}: {flat(error)}") from error
    except Exception as error:
        raise VidsalError(f"{redacted(address)} cannot be opened: {flat(error)}") from error
    return system, path


def matches(address: str) -> list[str]:
    """Return the addresses of the files that match an address with a glob.

    Parameters
    ----------
    address : str
        An address without a glob is returned as it is.

    Raises
    ------
    MissingPackageError
        See `open_store`.
    VidsalError
        If no file matches, the address is that of a folder, or the store cannot be read.
    """
    system, pattern = open_store(address)
    with store_errors(address, "listed"):
        if not any(mark in address for mark in "*?["):
            # A request for each of many files would take long, so names of media files are trusted.
            if not is_named_as_media(address) and system.isdir(pattern):
                folder = redacted(address).rstrip("/")
                raise VidsalError(f"{folder} is a folder: give a glob of its files, {folder}/*.mp4")
            return [address]
        # As in local globs, hidden files are left out: unfinished files, and the files of a batch.
        fixed = len(re.split(r"[*?\[]", pattern)[0].rpartition("/")[0])
        found = sorted(
            path for path, about in system.glob(pattern, detail=True).items()
            if about["type"] != "directory" and "/." not in path[fixed:]
        )  # fmt: skip
    if not found:
        raise VidsalError(f"{redacted(address)}: there is no file that matches")
    return [str(system.unstrip_protocol(one)) for one in found]


def content_key(address: str) -> str:
    """Return a text that changes when the file at an address changes.

    Parameters
    ----------
    address : str

    Raises
    ------
    VidsalError
        If there is no such file.
    """
    system, path = open_store(address)
    with store_errors(address, "read"):
        return str(system.ukey(path))


def fetch(address: str, folder: Path) -> Path:
    """Copy the file at an address to a local folder, and return its path.

    Parameters
    ----------
    address : str
    folder : Path

    Raises
    ------
    VidsalError
        If it cannot be copied.
    """
    system, path = open_store(address)
    local = folder / posixpath.basename(path)
    with store_errors(address, "read"):
        system.get_file(path, str(local))
    return local


@contextmanager
def store_errors(address: str, verb: str) -> Iterator[None]:
    """Turn the errors of a store into one line that names the address.

    Parameters
    ----------
    address : str
    verb : str
        What cannot be done: "read", "written", "listed".

    Raises
    ------
    VidsalError
    """
    try:
        yield
    except VidsalError:
        raise
    except FileNotFoundError as error:
        raise VidsalError(f"{redacted(address)}: there is no such file") from error
    except Exception as error:
        raise VidsalError(f"{redacted(address)} cannot be {verb}: {one_line(error)}") from error
