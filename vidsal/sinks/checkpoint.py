"""The folder with the finished segments of a run, until its output is complete.

::

    clip_saliency.mp4.parts/
        manifest.json       identifies the run: its input, settings and versions of the programs
        lock                locked by the run that works here
        000000/ 000001/     one finished segment each: its files, and segment.json with their
                            checksums; the last two also have the state of the run at their end
        .begun-*/           a segment that is being written; it is lost if the run is interrupted
        result/             the complete outputs, before they move to their final paths

Every name without a leading dot appears by one rename, after its contents are flushed to disk. So
a segment is either complete or absent, even after a crash.
"""

import errno
import hashlib
import json
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from vidsal.errors import VidsalError
from vidsal.runtime.atomic_write import beside, flush, flush_folder, writing
from vidsal.sinks.fingerprint import changes

log = logging.getLogger(__name__)

_MANIFEST, _LOCK, _RECORD, RESULT = "manifest.json", "lock", "segment.json", "result"
_STATE = "state"
# States hold whole pictures. The last but one is kept because the last segment may be damaged.
_KEPT_STATES = 2
_UNFINISHED = ".begun-"
# Errors of a lock that another process holds.
_LOCKED_ERRNOS = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)


@dataclass(frozen=True, slots=True)
class Segment:
    """A finished segment.

    Attributes
    ----------
    folder : Path
        The folder with its files.
    frames : int
        Number of frames of the source up to its end, earlier segments included.
    metadata : dict
        Values of its writer, of types that JSON has.
    state : bytes or None
        The state to continue from. ``None`` where it is deleted, and in the run that wrote the
        segment.
    """

    folder: Path
    frames: int
    metadata: dict[str, Any]
    state: bytes | None


def checkpoint_folder(output: Path) -> Path:
    """Return the folder for the segments of an output.

    Parameters
    ----------
    output : Path
        The video file.
    """
    return beside(output, f"{output.suffix}.parts")


@contextmanager
def open_checkpoint(output: Path, identity: Mapping[str, str]) -> Iterator["Checkpoint"]:
    """Lend the checkpoint of an output, locked against other runs.

    The folder is removed if the block leaves no finished segment.

    Parameters
    ----------
    output : Path
    identity : mapping of str to str
        Names and values that identify the run, see `vidsal.sinks.fingerprint.identity`.

    Yields
    ------
    Checkpoint

    Raises
    ------
    VidsalError
        If another run holds the lock, or the segments belong to a different run.
    """
    folder = checkpoint_folder(output)
    with exclusive_folder(folder):
        _require_same_run(folder, identity)
        checkpoint = Checkpoint(folder)
        try:
            yield checkpoint
        finally:
            checkpoint.clear()


def _remove_if_empty(folder: Path) -> None:
    """Remove a folder that holds nothing but the lock."""
    with suppress(OSError):
        if {one.name for one in folder.iterdir()} <= {_LOCK}:
            (folder / _LOCK).unlink(missing_ok=True)
            folder.rmdir()


class Checkpoint:
    """The finished segments of a run, and its result.

    Parameters
    ----------
    folder : Path

    Attributes
    ----------
    folder : Path
    damaged : int
        Number of finished segments that were damaged, or followed a damaged one. They are
        removed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._remove_unfinished()
        self.damaged = 0
        self._segments = [] if self.result else self._read_segments()

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The finished segments in order; empty if there is a result."""
        return tuple(self._segments)

    @property
    def result(self) -> Path | None:
        """The folder of the result; ``None`` before it is complete."""
        path = self.folder / RESULT
        return path if path.is_dir() else None

    def new_folder(self) -> Path:
        """Return a new folder for an unfinished segment or result.

        Raises
        ------
        VidsalError
            If it cannot be made.
        """
        with writing(self.folder):
            # The name is unique: the encoder of a killed run may still write to its folder.
            return Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self.folder))

    def finish(self, unfinished: Path, frames: int, metadata: dict[str, Any], state: bytes) -> None:
        """Make a finished segment of a folder from `new_folder`.

        Parameters
        ----------
        unfinished : Path
        frames, metadata, state
            See `Segment`.

        Raises
        ------
        VidsalError
            If it cannot be written.
        """
        number = len(self._segments)
        record: dict[str, Any] = {"frames": frames, "metadata": metadata}
        record["state"] = hashlib.sha256(state).hexdigest()
        with writing(self.folder):
            (unfinished / _STATE).write_bytes(state)
            record["files"] = _checksums(unfinished)
            (unfinished / _RECORD).write_text(json.dumps(record), encoding="utf-8")
            final = self.folder / f"{number:06d}"
            _flush_and_rename(unfinished, final)
            # The state holds pictures; only the next run needs it.
            self._segments.append(Segment(final, frames, metadata, None))
            for old in self._segments[:-_KEPT_STATES][-1:]:
                (old.folder / _STATE).unlink(missing_ok=True)

    def finish_result(self, unfinished: Path) -> None:
        """Make the result of a folder from `new_folder`.

        Parameters
        ----------
        unfinished : Path
            A folder that `new_folder` returned.

        Raises
        ------
        VidsalError
            If it cannot be written.
        """
        with writing(self.folder):
            # The result is removed last, so it needs a manifest of its own.
            shutil.copyfile(self.folder / _MANIFEST, unfinished / _MANIFEST)
            _flush_and_rename(unfinished, self.folder / RESULT)

    def remove_all(self) -> None:
        """Remove segments, manifest and result, once the outputs are at their final paths.

        The result is removed last and by one rename: as long as it exists, it is complete.

        Raises
        ------
        VidsalError
            If the manifest or the result cannot be removed.
        """
        for one in self.folder.iterdir():
            if one.name.isdecimal():
                shutil.rmtree(one, ignore_errors=True)
        self._segments = []
        with writing(self.folder):
            (self.folder / _MANIFEST).unlink(missing_ok=True)
            if self.result:
                self.result.rename(self.folder / f"{_UNFINISHED}{RESULT}")
        self._remove_unfinished()

    def clear(self) -> None:
        """Remove unfinished folders, and the manifest if there is neither segment nor result."""
        self._remove_unfinished()
        if not self.result and not any(one.name.isdecimal() for one in self.folder.iterdir()):
            (self.folder / _MANIFEST).unlink(missing_ok=True)

    def _remove_unfinished(self) -> None:
        for one in self.folder.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(one, ignore_errors=True)

    def _read_segments(self) -> list[Segment]:
        """Return the segments to continue from; remove the first damaged one and all after it."""
        segments: list[Segment] = []
        folders = sorted(one for one in self.folder.iterdir() if one.name.isdecimal())
        for folder in folders:
            segment = _read(folder) if folder.name == f"{len(segments):06d}" else None
            if segment is None:
                break
            segments.append(segment)
        while segments and segments[-1].state is None:
            segments.pop()
        for folder in folders[len(segments) :]:
            shutil.rmtree(folder)
            self.damaged += 1
        return segments


def _read(folder: Path) -> Segment | None:
    """Return a segment, or None if one of its files is not as it was written."""
    try:
        record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        if record["files"] != _checksums(folder):
            return None
        path = folder / _STATE
        state = path.read_bytes() if path.exists() else None
        if state is not None and hashlib.sha256(state).hexdigest() != record["state"]:
            state = None
        return Segment(folder, int(record["frames"]), dict(record["metadata"]), state)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _checksums(folder: Path) -> dict[str, list[Any]]:
    """Return size and SHA-256 of each file in a folder, except for its record and its state."""
    excluded = (folder / _RECORD, folder / _STATE)
    files = sorted(one for one in folder.rglob("*") if one.is_file() and one not in excluded)
    return {one.relative_to(folder).as_posix(): [one.stat().st_size, _sha256(one)] for one in files}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush_and_rename(unfinished: Path, final: Path) -> None:
    """Give a folder its final name after all of its contents are flushed to disk."""
    flush_folder(unfinished)
    unfinished.rename(final)
    flush(final.parent)


def _require_same_run(folder: Path, identity: Mapping[str, str]) -> None:
    """Write the manifest, or raise `VidsalError` if the one there is of a different run."""
    path = folder / _MANIFEST
    if not path.exists() and (folder / RESULT).is_dir():
        path = folder / RESULT / _MANIFEST
    if not path.exists():
        others = [one.name for one in folder.iterdir() if one.name != _LOCK]
        if [one for one in others if not one.startswith(".")]:
            raise VidsalError(
                f"{folder} does not belong to an interrupted run ({others[0]} is in it): remove "
                "the folder"
            )
        unfinished = folder / f".{_MANIFEST}"
        with writing(folder):
            unfinished.write_text(json.dumps(dict(identity), indent=2) + "\n", encoding="utf-8")
            flush(unfinished)
            unfinished.replace(path)
            flush(folder)
        return
    changed = changes(_read_manifest(path), identity)
    if changed:
        raise VidsalError(
            f"{folder} belongs to a different run: {'; '.join(changed)}: "
            "run as before, or remove the folder"
        )


def _read_manifest(path: Path) -> dict[str, str]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise VidsalError(f"{path} cannot be read: remove the folder {path.parent}") from error


@contextmanager
def exclusive_folder(folder: Path) -> Iterator[None]:
    """Make a folder and lock it against other runs; remove it if nothing came into it.

    The system releases the lock when the process ends, even after a crash.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    VidsalError
        If another run holds the lock, or the folder cannot be made.
    """
    with ExitStack() as stack:
        if os.name == "nt":
            # Windows cannot remove an open file, so the lock is closed first.
            stack.callback(_remove_if_empty, folder)
        stack.enter_context(_locked(folder))
        # Before the lock is released: a run that waits for it must not get a removed file.
        stack.callback(_remove_if_empty, folder)
        yield


def _locked(folder: Path) -> IO[str]:
    """Return the locked and open lock file of a folder.

    Raises
    ------
    VidsalError
        If another run holds the lock, or the file cannot be made.
    """
    path = folder / _LOCK
    while True:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            file = path.open("a+", encoding="utf-8")
        try:
            _lock(file)
        except OSError as error:
            if error.errno in _LOCKED_ERRNOS:
                file.close()
                raise VidsalError(
                    f"another run works in {folder}: wait for it, or end it"
                ) from None
            # Some network file systems do not support locks.
            log.info("%s cannot be locked: %s", folder, error.strerror)
            return file
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        # Another run removed the file between open and lock: try again.
        file.close()


def _lock(file: IO[str]) -> None:
    """Lock a file for this process; raise `OSError` at once if another process holds the lock."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
