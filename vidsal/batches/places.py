"""Folders of the results of a batch, on this machine or at an address."""

import posixpath
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from vidsal.batches.addresses import (
    fetch,
    is_address,
    is_own_address,
    open_store,
    place,
    redacted,
    store_errors,
)
from vidsal.errors import UsageError, VidsalError, option
from vidsal.runtime.atomic_write import atomic_write, writing
from vidsal.sinks.fingerprint import checksum
from vidsal.sources.resolve import is_named_as_media

# Stores in which a file appears only after its last byte has arrived. To move a file there means
# to copy it.
_OBJECT_STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "oss")


class FileState(NamedTuple):
    """State of a result, to distinguish it from another file of the same name.

    Attributes
    ----------
    size : int or None
        In bytes; ``None`` for a folder, because its owner may add files to it.
    checksum : str or None
        Checksum of the beginning and the end of a local file; ``None`` where it would require a
        download.
    """

    size: int | None
    checksum: str | None = None

    def is_same(self, other: "FileState") -> bool:
        """Return whether two states may belong to the same file.

        Parameters
        ----------
        other : FileState
        """
        is_told_apart = None not in (self.checksum, other.checksum)
        return self.size == other.size and (not is_told_apart or self.checksum == other.checksum)


class Folder(Protocol):
    """A folder of results. A file appears in it only when it is complete."""

    def address(self, name: str) -> str:
        """Return the full name of a file, for messages and receipts.

        Parameters
        ----------
        name : str
            Relative to the folder, with slashes.
        """
        ...

    def exists(self, name: str) -> bool:
        """Return whether there is a file of this name.

        Parameters
        ----------
        name : str
            Relative to the folder, with slashes.
        """
        ...

    def state(self, name: str) -> FileState | None:
        """Return the state of a file; ``None`` if it is missing.

        Parameters
        ----------
        name : str
            Relative to the folder, with slashes.
        """
        ...

    def is_same_file(self, name: str, other: str) -> bool:
        """Return whether two names, which differ at most in case, are those of one file.

        Parameters
        ----------
        name, other : str
            Relative to the folder, with slashes.
        """
        ...

    def names(self, subfolder: str) -> list[str]:
        """Return the names of the files in a subfolder; none if it is missing.

        Parameters
        ----------
        subfolder : str
            Relative to the folder, with slashes; empty for the folder itself.
        """
        ...

    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Parameters
        ----------
        name : str
            Relative to the folder, with slashes.
        """
        ...

    def write(self, name: str, content: bytes) -> None:
        """Write a whole file at once.

        Parameters
        ----------
        name : str
            Relative to the folder, with slashes.
        content : bytes
        """
        ...

    def local(self, name: str, folder: Path) -> Path:
        """Return the path of a file on this machine: the file itself, or a copy in `folder`.

        Parameters
        ----------
        name : str
            Relative to the folder, with slashes.
        folder : Path
        """
        ...

    def deliver(self, local: Path, name: str) -> None:
        """Move a local file or folder to its final name; replace an existing one.

        Parameters
        ----------
        local : Path
        name : str
            Relative to the folder, with slashes.
        """
        ...

    def remove(self, name: str) -> None:
        """Remove a file or a folder, if it exists.

        Parameters
        ----------
        name : str
            Relative to the folder, with slashes.
        """
        ...

    def staging(self, name: str) -> Path:
        """Return a new local folder for unfinished results. `deliver` from this folder is cheap.

        Parameters
        ----------
        name : str
            Relative to the folder, with slashes.
        """
        ...


@dataclass(frozen=True, slots=True)
class LocalFolder:
    """A folder on this machine, or one that all machines of a batch mount.

    Attributes
    ----------
    path : Path
    """

    path: Path

    def address(self, name: str) -> str:
        """See `Folder`."""
        return str(self.path / name)

    def exists(self, name: str) -> bool:
        """See `Folder`."""
        return (self.path / name).exists()

    def state(self, name: str) -> FileState | None:
        """See `Folder`."""
        path = self.path / name
        try:
            if path.is_dir():
                return FileState(None)
            return FileState(path.stat().st_size, checksum([path], has_names=False))
        except OSError:
            return None

    def is_same_file(self, name: str, other: str) -> bool:
        """See `Folder`."""
        with suppress(OSError):
            return name == other or (self.path / name).samefile(self.path / other)
        return False

    def names(self, subfolder: str) -> list[str]:
        """See `Folder`."""
        folder = self.path / subfolder
        if not folder.is_dir():
            return []
        return sorted(one.name for one in folder.iterdir() if not one.name.startswith("."))

    def read(self, name: str) -> bytes:
        """See `Folder`."""
        return (self.path / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        """See `Folder`."""
        path = self.path / name
        with atomic_write(path) as part, writing(path):
            part.write_bytes(content)

    def local(self, name: str, folder: Path) -> Path:
        """See `Folder`."""
        return self.path / name

    def deliver(self, local: Path, name: str) -> None:
        """See `Folder`."""
        final = self.path / name
        with writing(final):
            final.parent.mkdir(parents=True, exist_ok=True)
            if final.is_dir():
                shutil.rmtree(final)
            local.replace(final)

    def remove(self, name: str) -> None:
        """See `Folder`."""
        path = self.path / name
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def staging(self, name: str) -> Path:
        """See `Folder`."""
        folder = self.path / name
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            return Path(tempfile.mkdtemp(dir=folder))


@dataclass(frozen=True, slots=True)
class RemoteFolder:
    """A folder at an address that fsspec opens.

    Attributes
    ----------
    root : str
        Address without a slash at its end.
    """

    root: str

    def address(self, name: str) -> str:
        """See `Folder`."""
        return redacted(f"{self.root}/{name}")

    def exists(self, name: str) -> bool:
        """See `Folder`."""
        system, path = open_store(f"{self.root}/{name}")
        with store_errors(self.address(name), "read"):
            system.invalidate_cache(posixpath.dirname(path))
            return bool(system.exists(path))

    def state(self, name: str) -> FileState | None:
        """See `Folder`."""
        system, path = open_store(f"{self.root}/{name}")
        with store_errors(self.address(name), "read"):
            system.invalidate_cache(posixpath.dirname(path))
            try:
                found = system.info(path)
            except FileNotFoundError:
                return None
            return FileState(None if found["type"] == "directory" else int(found["size"]))

    def is_same_file(self, name: str, other: str) -> bool:
        """See `Folder`."""
        return name == other

    def names(self, subfolder: str) -> list[str]:
        """See `Folder`."""
        system, path = open_store(f"{self.root}/{subfolder}")
        with store_errors(self.address(subfolder), "listed"):
            system.invalidate_cache(posixpath.dirname(path))
            if not system.exists(path):
                return []
            names = (posixpath.basename(one.rstrip("/")) for one in system.ls(path, detail=False))
            return sorted(one for one in names if not one.startswith("."))

    def read(self, name: str) -> bytes:
        """See `Folder`."""
        system, path = open_store(f"{self.root}/{name}")
        with store_errors(self.address(name), "read"):
            return bytes(system.cat_file(path))

    def write(self, name: str, content: bytes) -> None:
        """See `Folder`."""
        with tempfile.TemporaryDirectory(prefix="vidsal-") as folder:
            local = Path(folder) / "content"
            local.write_bytes(content)
            self.deliver(local, name)

    def local(self, name: str, folder: Path) -> Path:
        """See `Folder`."""
        return fetch(f"{self.root}/{name}", folder)

    def deliver(self, local: Path, name: str) -> None:
        """See `Folder`.

        Raises
        ------
        VidsalError
            If `local` is a folder, because a folder cannot appear at once, or if the store fails.
        """
        if local.is_dir():
            raise VidsalError(
                f"{self.address(name)} is a folder, which cannot be written whole at an address: "
                "give a local folder for the results"
            )
        system, path = open_store(f"{self.root}/{name}")
        protocols = (system.protocol,) if isinstance(system.protocol, str) else system.protocol
        with store_errors(self.address(name), "written"):
            system.makedirs(posixpath.dirname(path), exist_ok=True)
            if set(protocols) & set(_OBJECT_STORES):
                system.put_file(str(local), path)
                return
            part = f"{posixpath.dirname(path)}/.{posixpath.basename(path)}.part"
            try:
                system.put_file(str(local), part)
                if system.exists(path):
                    system.rm_file(path)
                system.mv(part, path)
            except BaseException:
                with suppress(Exception):
                    system.rm_file(part)
                raise

    def remove(self, name: str) -> None:
        """See `Folder`."""
        system, path = open_store(f"{self.root}/{name}")
        with suppress(Exception):
            system.rm(path, recursive=True)

    def staging(self, name: str) -> Path:
        """See `Folder`."""
        return Path(tempfile.mkdtemp(prefix="vidsal-"))


def folder_at(name: str | Path) -> Folder:
    """Return the folder of results at a path or an address.

    Parameters
    ----------
    name : str or Path

    Raises
    ------
    UsageError
        If nothing can be written to the address, or the name is that of a video or a picture and
        no folder has it.
    """
    text = str(name)
    shown = option("output", redacted(text))
    if is_own_address(text):
        raise UsageError(
            f"{shown}: results cannot be written to a web address: give a folder, or an address "
            "such as s3://bucket/folder"
        )
    found = place(text) if is_address(text) else text
    folder: Folder
    if is_address(found):
        folder = RemoteFolder(text.rstrip("/"))
        is_folder = not is_named_as_media(text) or bool(folder.names(""))
    else:
        # A local folder at an address is locked and cleaned like each other one.
        folder = LocalFolder(Path(found))
        is_folder = not is_named_as_media(text) or Path(found).is_dir()
    if not is_folder:
        raise UsageError(f"{shown} is the name of a file: give a folder for the results")
    return folder
