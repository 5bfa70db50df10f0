"""The source of a store: check of its content, the requested part, and the matching frames."""

import dataclasses
import math
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from vidsal.analyser import source_opener
from vidsal.errors import UsageError, VidsalError, option
from vidsal.pipeline import check_count
from vidsal.settings import Settings
from vidsal.sinks.fingerprint import source_identity
from vidsal.sources.base import Source
from vidsal.sources.resolve import Pictures
from vidsal.store.reader import Store, StoredFrame
from vidsal.types import Frame


@contextmanager
def source_of(store: Store, settings: Settings, where: Any = None) -> Iterator[Source]:
    """Lend the source of a store, after checking that it is the one that was analysed.

    Parameters
    ----------
    store : Store
    settings : Settings
        Options that say which part of the source to read, and how.
    where : str or path-like, optional
        The source, if it was moved.

    Yields
    ------
    Source

    Raises
    ------
    VidsalError
        If the source is missing, cannot be read again, or has another content.
    """
    where = _place_of(store) if where is None else where
    stored = store.about["source"]
    if "checksum" not in stored:
        raise VidsalError(
            f"{store.path}: its source, {stored['name']}, was no file, and cannot be read again"
        )
    with source_opener(where, settings)() as source:
        if source_identity(source.info).get("checksum") != stored["checksum"]:
            raise VidsalError(
                f"{source.info.name} is not the source that {store.path} was made of: give that "
                f"one with {option('source')}"
            )
        yield source


@contextmanager
def stored_source(
    store: Store, settings: Settings, where: Any = None
) -> Iterator[tuple[Source, Source]]:
    """Lend the source of a part of a store, after checking that it is the one that was analysed.

    Parameters
    ----------
    store : Store
    settings : Settings
        The requested part, see `part_of`.
    where : str or path-like, optional
        The source, if it was moved.

    Yields
    ------
    part, pictures : Source
        `part` has the sound and the length of the part. `pictures` has all analysed frames, so that
        the part looks the same as in the whole. If the part is the whole, both are one object.

    Raises
    ------
    VidsalError
        If the source is missing, cannot be read, or has another content.
    """
    is_part = settings.part_s != store.settings.part_s
    with (
        source_of(store, settings, where) as part,
        source_of(store, store.settings, where) if is_part else nullcontext(part) as pictures,
    ):
        yield part, pictures


def part_of(store: Store, settings: Settings, options: dict[str, Any]) -> Settings:
    """Return settings with the requested part, which must lie within the stored part.

    Parameters
    ----------
    store : Store
    settings : Settings
    options : dict
        The given options by name. Only ``start``, ``end`` and ``duration`` are used.

    Raises
    ------
    UsageError
        If the requested part does not lie within the stored part.
    """
    first_s, last_s = store.settings.part_s
    # Values as the settings have parsed them: an option may be "1:00".
    given = {
        name: getattr(settings, name) for name in ("start", "end", "duration") if name in options
    }
    if not given:
        return settings
    begin_s = first_s if given.get("start") is None else given["start"]
    ends = [given.get("end"), _sum(begin_s, given.get("duration"))]
    end_s = min([last_s, *(one for one in ends if one is not None)])
    times = store.array("time_s")
    if not first_s <= begin_s < end_s or begin_s > times[-1]:
        raise UsageError(
            f"{store.path} holds {max(first_s, times[0]):g} to {times[-1]:g} s of its source: "
            f"{option('start')} and {option('end')} name a part of it"
        )
    return dataclasses.replace(
        settings, start=begin_s or None, end=None if math.isinf(end_s) else end_s, duration=None
    )


def _sum(begin_s: float, lasts_s: float | None) -> float | None:
    return None if lasts_s is None else begin_s + lasts_s


def places_of(store: Store, settings: Settings) -> tuple[int, int]:
    """Return the positions in a store of the first frame of a part, and of the first one after it.

    Parameters
    ----------
    store : Store
    settings : Settings
        The requested part, see `part_of`.

    Raises
    ------
    UsageError
        If no frame lies in the part.
    """
    begin_s, end_s = settings.part_s
    if settings.part_s == store.settings.part_s:
        return 0, len(store)
    begin, end = np.searchsorted(store.array("time_s"), (begin_s, end_s)).tolist()
    if begin == end:
        raise UsageError(f"{store.path} has no frame from {begin_s:g} to {end_s:g} s")
    return begin, end


def frame_of_store(store: Store, frame: StoredFrame) -> Frame:
    """Return a frame of a store's source, decoded again.

    Parameters
    ----------
    store : Store
    frame : StoredFrame

    Raises
    ------
    VidsalError
        If the source is missing, has another content, or lacks the frame.
    """
    # Times are rounded, so a millisecond is subtracted.
    start_s = max(0.0, frame.time_s - 1e-3)
    settings = dataclasses.replace(
        store.settings, start=start_s or None, end=None, duration=None, every=1
    )
    with source_of(store, settings) as opened:
        found = next((one for one in opened.frames() if one.index >= frame.frame), None)
    if found is None or found.index != frame.frame:
        raise VidsalError(f"{store.path}: its source has no frame {frame.frame}")
    return found


def with_stored(
    store: Store, frames: Iterable[Frame], *, without: Collection[str] = ()
) -> Iterator[tuple[Frame, StoredFrame]]:
    """Yield frames with their stored results.

    Parameters
    ----------
    store : Store
    frames : iterable of Frame
        All analysed frames, in order.
    without : collection of str
        Maps that need not be read, see `Store.frames`.

    Yields
    ------
    (Frame, StoredFrame)

    Raises
    ------
    VidsalError
        If the store lacks a frame, or has a different frame.
    """
    stored = store.frames(without=without)
    for frame in frames:
        found = next(stored, None)
        require_same(store, frame, found.frame if found else None)
        assert found is not None
        yield frame, found


def require_same(store: Store, frame: Frame, stored: int | None) -> None:
    """Check that a frame of a source is the next frame of the store.

    Parameters
    ----------
    store : Store
    frame : Frame
    stored : int or None
        Number of the next frame in the store; ``None`` if there is none.

    Raises
    ------
    VidsalError
        If they differ.
    """
    if stored is None or stored != frame.index:
        raise VidsalError(
            f"{store.path} and its source do not fit: frame {frame.index} is not the next one"
        )


def check_all(store: Store, source: Source, count: int) -> None:
    """Check that no frames of a store or of its source are missing.

    Parameters
    ----------
    store : Store
    source : Source
        The source, read to its end.
    count : int
        Number of frames of the source that were used.

    Raises
    ------
    VidsalError
        If frames are missing.
    """
    check_count(source, count)
    if count != len(store):
        raise VidsalError(f"{store.path} has {len(store)} frames, its source {count}")


def require_outside(store: Store, *paths: Path | None) -> None:
    """Check that no result would be written into a store.

    Parameters
    ----------
    store : Store
    *paths : Path or None

    Raises
    ------
    UsageError
        If one of the paths lies in the store.
    """
    for path in filter(None, paths):
        # Path.resolve fails for a link to itself, and os.path.realpath does not.
        if Path(os.path.realpath(path)).is_relative_to(os.path.realpath(store.path)):
            raise UsageError(f"{path} lies in the store {store.path}: give another name")


def _place_of(store: Store) -> Any:
    """Return the source of a store: the new location if one is given, otherwise the old one."""
    if store.source is not None:
        return store.source
    stored = store.about["source"]
    name = stored["name"]
    # A source that was not a file is rejected later, for this reason.
    if "checksum" not in stored or "://" in name:
        return str(name)
    pictures = tuple(Path(stored["folder"], one) for one in stored.get("pictures", ()))
    for path in pictures or (Path(name),):
        if not path.exists():
            raise VidsalError(
                f"{path}, of which {store.path} was made, is missing: give the new place of the "
                f"source with {option('source')}"
            )
    return Pictures(name, pictures) if pictures else Path(name)
