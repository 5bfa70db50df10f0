"""The folder in which a run keeps its finished segments until its output is whole.

::

    clip_saliency.mp4.parts/
        manifest.json       what the run is: its input, its settings, the programs' versions
        lock                held by the run that works here
        000000/ 000001/     a segment each: its files, and segment.json with their checksums;
                            in the last two, the state of things at their end
        .begun-*/           a segment that is being written; nobody misses it
        result/             what is moved to the final names, once all of it is made

A name without a dot appears by one rename, of what is on the disk already: whatever happens, and
whenever, a segment is there and whole, or not there.
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
from vidsal.runtime.atomic_write import beside, writing

log = logging.getLogger(__name__)

_MANIFEST, _LOCK, _RECORD, RESULT = "manifest.json", "lock", "segment.json", "result"
_STATE = "state"
# States hold whole pictures; more than one only because the last segment may get damaged.
_STATES = 2
_BEGUN = ".begun-"
# How systems say that a lock is somebody else's.
_TAKEN = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)


@dataclass(frozen=True, slots=True)
class Segment:
    """A finished segment.

    Attributes
    ----------
    folder : Path
        Its files are in there.
    frames : int
        How many frames of the source end with it, those of earlier segments included.
    about : dict
        What its writer wants to know of it, as JSON keeps it.
    state : bytes or None
        What has to be known to go on after it; ``None`` where it is not kept any more,
        and in the run that finished it.
    """

    folder: Path
    frames: int
    about: dict[str, Any]
    state: bytes | None


def folder_of(output: Path) -> Path:
    """Return where the parts of an output are kept."""
    return beside(output, f"{output.suffix}.parts")


@contextmanager
def open_parts(output: Path, identity: Mapping[str, str]) -> Iterator["Parts"]:
    """Lend the parts of an output, which nobody else has at the same time.

    Where not one segment came about, nothing is left of them.

    Parameters
    ----------
    output : Path
    identity : mapping
        All that parts of one run have in common: what it is called, and its value.

    Raises
    ------
    VidsalError
        If another run works there, or the parts there are of a run that differs.
    """
    folder = folder_of(output)
    with _held(folder):
        _require_same(folder, identity)
        parts = Parts(folder)
        try:
            yield parts
        finally:
            parts.clear()


def _remove_if_empty(folder: Path) -> None:
    """Remove a folder in which there is nothing but the lock."""
    with suppress(OSError):
        if {one.name for one in folder.iterdir()} <= {_LOCK}:
            (folder / _LOCK).unlink(missing_ok=True)
            folder.rmdir()


class Parts:
    """Segments, each whole, and at last the result.

    Attributes
    ----------
    folder : Path
    damaged : int
        Segments that had been finished but are not whole any more; they are gone.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._remove_begun()
        self.damaged = 0
        self._segments = [] if self.result else self._whole()

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The finished ones, in order; none where there is a result already."""
        return tuple(self._segments)

    @property
    def result(self) -> Path | None:
        """The folder of the result, once it is whole."""
        path = self.folder / RESULT
        return path if path.is_dir() else None

    def begun(self) -> Path:
        """Return a new folder for what is not finished yet."""
        with writing(self.folder):
            # Of a name of its own: an encoder of a killed run may write to its folder yet.
            return Path(tempfile.mkdtemp(prefix=_BEGUN, dir=self.folder))

    def finish(self, begun: Path, frames: int, about: dict[str, Any], state: bytes) -> None:
        """Make a segment of a folder from `begun`: from here on it counts."""
        number = len(self._segments)
        record: dict[str, Any] = {"frames": frames, "about": about}
        record["state"] = hashlib.sha256(state).hexdigest()
        with writing(self.folder):
            (begun / _STATE).write_bytes(state)
            record["files"] = _sums(begun)
            (begun / _RECORD).write_text(json.dumps(record), encoding="utf-8")
            final = self.folder / f"{number:06d}"
            _settle(begun, final)
            # Its state has pictures in it, and is for another run to go on with.
            self._segments.append(Segment(final, frames, about, None))
            for old in self._segments[:-_STATES][-1:]:
                (old.folder / _STATE).unlink(missing_ok=True)

    def finish_result(self, begun: Path) -> None:
        """Make the result of a folder from `begun`."""
        with writing(self.folder):
            # It is what is removed last, so it says by itself which run it is of.
            shutil.copyfile(self.folder / _MANIFEST, begun / _MANIFEST)
            _settle(begun, self.folder / RESULT)

    def drop(self) -> None:
        """Remove everything: what the parts were for is at its place.

        The result goes last, at once: while it is there, all is known to have been made.
        """
        for one in self.folder.iterdir():
            if one.name.isdecimal():
                shutil.rmtree(one, ignore_errors=True)
        self._segments = []
        with writing(self.folder):
            (self.folder / _MANIFEST).unlink(missing_ok=True)
            if self.result:
                self.result.rename(self.folder / f"{_BEGUN}{RESULT}")
        self._remove_begun()

    def clear(self) -> None:
        """Remove what is not finished, and the manifest of nothing."""
        self._remove_begun()
        if not self.result and not any(one.name.isdecimal() for one in self.folder.iterdir()):
            (self.folder / _MANIFEST).unlink(missing_ok=True)

    def _remove_begun(self) -> None:
        for one in self.folder.glob(f"{_BEGUN}*"):
            shutil.rmtree(one, ignore_errors=True)

    def _whole(self) -> list[Segment]:
        """Return the segments to go on after; those from the first damaged one on are removed."""
        whole: list[Segment] = []
        names = sorted(one for one in self.folder.iterdir() if one.name.isdecimal())
        for one in names:
            segment = _read(one) if one.name == f"{len(whole):06d}" else None
            if segment is None:
                break
            whole.append(segment)
        while whole and whole[-1].state is None:
            whole.pop()
        for one in names[len(whole) :]:
            shutil.rmtree(one)
            self.damaged += 1
        return whole


def _read(folder: Path) -> Segment | None:
    """Return a segment, or None where anything of it is not as it was written."""
    try:
        record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        if record["files"] != _sums(folder):
            return None
        path = folder / _STATE
        state = path.read_bytes() if path.exists() else None
        if state is not None and hashlib.sha256(state).hexdigest() != record["state"]:
            state = None
        return Segment(folder, int(record["frames"]), dict(record["about"]), state)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _sums(folder: Path) -> dict[str, list[Any]]:
    """Return size and checksum of each file in a folder, but for its record and its state."""
    apart = (folder / _RECORD, folder / _STATE)
    files = sorted(one for one in folder.rglob("*") if one.is_file() and one not in apart)
    return {one.relative_to(folder).as_posix(): [one.stat().st_size, _sum(one)] for one in files}


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _settle(begun: Path, final: Path) -> None:
    """Give a folder its final name once all that is in it is on the disk."""
    for one in (*begun.rglob("*"), begun):
        _flush(one)
    begun.rename(final)
    _flush(final.parent)


def _flush(path: Path) -> None:
    """Wait until a file, or the list of a folder's names, is on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # There folders cannot be opened, and look after themselves.
    number = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _require_same(folder: Path, identity: Mapping[str, str]) -> None:
    """Write what the run is, or raise `VidsalError` where the parts are of one that differs."""
    path = folder / _MANIFEST
    if not path.exists() and (folder / RESULT).is_dir():
        path = folder / RESULT / _MANIFEST
    if not path.exists():
        others = [one.name for one in folder.iterdir() if one.name != _LOCK]
        if [one for one in others if not one.startswith(".")]:
            raise VidsalError(
                f"{folder} is not of an interrupted run ({others[0]} is in it): remove the folder"
            )
        begun = folder / f".{_MANIFEST}"
        with writing(folder):
            begun.write_text(json.dumps(dict(identity), indent=2) + "\n", encoding="utf-8")
            _flush(begun)
            begun.replace(path)
            _flush(folder)
        return
    changed = _changed(_manifest(path), identity)
    if changed:
        raise VidsalError(
            f"{folder} is of a run that differs: {'; '.join(changed)}: "
            "run as before, or remove the folder"
        )


def _manifest(path: Path) -> dict[str, str]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise VidsalError(f"{path} cannot be read: remove the folder {path.parent}") from error


def _changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return in words what is not as it was."""
    return [
        f"{name} was {before.get(name, 'not there')} and is {now.get(name, 'not there')}"
        for name in dict.fromkeys((*before, *now))
        if before.get(name) != now.get(name)
    ]


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder; the system lets go of it however this one ends.

    The folder is made, and removed where nothing came into it.
    """
    with ExitStack() as stack:
        if os.name == "nt":
            # There a file that is open cannot be removed, not even by who holds it.
            stack.callback(_remove_if_empty, folder)
        stack.enter_context(_locked(folder))
        # While it is held: a run that waits for it is not to get a file that is removed then.
        stack.callback(_remove_if_empty, folder)
        yield


def _locked(folder: Path) -> IO[str]:
    """Return the open file that is the lock of a folder, locked.

    Raises
    ------
    VidsalError
        If another run has it, or it cannot be made.
    """
    path = folder / _LOCK
    while True:
        with writing(folder):
            folder.mkdir(exist_ok=True)
            file = path.open("a+", encoding="utf-8")
        try:
            _lock(file)
        except OSError as error:
            if error.errno in _TAKEN:
                file.close()
                raise VidsalError(
                    f"another run works in {folder}: wait for it, or end it"
                ) from None
            # Some disks in a network know no locks.
            log.info("%s cannot be locked: %s", folder, error.strerror)
            return file
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        # The run before removed it, once it was open here.
        file.close()


def _lock(file: IO[str]) -> None:
    """Lock a file for this process, or raise `OSError` at once where another one has it."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
