"""Several sources, one after the other: what fails does not stop the rest."""

import dataclasses
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any

from vidsal.errors import UsageError, VidsalError, one_line
from vidsal.media import codecs
from vidsal.pipeline import Outcome, Progress, process
from vidsal.runtime.atomic_write import write_text
from vidsal.settings import Settings, settings_of
from vidsal.sinks.image import IMAGE_SUFFIXES
from vidsal.sources.image import is_image
from vidsal.sources.resolve import SourceName, expand, parse_source
from vidsal.static.models import Network


def run_all(
    words: Sequence[str | int | Path] | str | int | Path,
    settings: Settings | None = None,
    *,
    progress: Progress[Any] | None = None,
    tell: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome]:
    """Do what ``vidsal run`` does with many names.

    Parameters
    ----------
    words : sequence of str, int or Path
        See `vidsal.sources.resolve.expand`; one of them may come alone. With more than one source,
        the settings' ``output``, ``table`` and ``maps`` are folders.
    settings : Settings, optional
    progress : callable, optional
        As in `vidsal.run`.
    tell : callable
        Gets the outcome of each source when it is there.

    Returns
    -------
    list of Outcome
        Names that mean nothing first, then the sources in their order; what failed says why.

    Raises
    ------
    UsageError
        If the settings do not fit so many sources.
    """
    settings = settings_of(settings)
    # A text is a sequence, too: of letters.
    words = [words] if isinstance(words, (str, int, Path)) else words
    network = Network(settings, progress=progress is not None)
    outcomes: list[Outcome] = []

    def done(outcome: Outcome) -> None:
        outcomes.append(outcome)
        tell(outcome)

    sources, is_group = _sources(words, settings, done)
    there = {os.path.realpath(one.path) for one in sources if _is_local(one)}
    for source, own in _each(sources, settings, is_group=is_group):
        try:
            if len(sources) > 1:
                _require_apart(there, own)
            outcome = process(source, own, network=network, progress=progress)
        except Exception as error:
            # What is wrong with the one source there is, and no fault of the file, is told by
            # whoever called.
            is_told = isinstance(error, VidsalError) and not isinstance(error, UsageError)
            if len(sources) == 1 and not is_told:
                raise
            outcome = Outcome(source.display_name, error=one_line(error))
        done(outcome)
    return outcomes


def write_summary(outcomes: Sequence[Outcome], path: Path) -> None:
    """Write what became of each source as JSON."""
    write_text(path, json.dumps([one.as_json() for one in outcomes], indent=2) + "\n")


def _sources(
    words: Sequence[str | int | Path], settings: Settings, failed: Callable[[Outcome], None]
) -> tuple[list[SourceName], bool]:
    """Return what all words mean, and if that may be several; a word that means nothing fails."""
    sources: list[SourceName] = []
    is_group = len(words) > 1
    for word in words:
        try:
            meant = expand(word, is_sequence=settings.sequence)
        except (VidsalError, OSError) as error:
            failed(Outcome(parse_source(word).display_name, error=one_line(error)))
            continue
        sources += meant
        is_group |= meant != [parse_source(word)] and not settings.sequence
    return sources, is_group


def _each(
    sources: Sequence[SourceName], settings: Settings, *, is_group: bool
) -> Iterator[tuple[SourceName, Settings]]:
    """Yield each source with the settings that name its own files.

    What a folder, a glob or a list means is one source today and several tomorrow: names of results
    that are not those of files are those of folders.
    """
    are_several = len(sources) > 1
    folders: dict[str, Path] = {}
    for option in ("output", "table", "maps"):
        path = getattr(settings, option)
        if path is not None and (
            are_several
            or (is_group and not _is_named_as_file(path))
            or (option != "maps" and path.is_dir())
        ):
            _make(path, f"--{option}", len(sources))
            folders[option] = path
    for source, name in zip(sources, _names(sources), strict=True):
        own: dict[str, Any] = {}
        if are_several or "output" in folders:
            own["output"] = folders.get("output", Path()) / _output_name(source, name, settings)
        if "table" in folders:
            own["table"] = folders["table"] / f"{name}.csv"
        if "maps" in folders:
            own["maps"] = folders["maps"] / name
        yield source, dataclasses.replace(settings, **own)


def _names(sources: Sequence[SourceName]) -> list[str]:
    """Return what the results of each source are called after: no two of them alike."""
    stems, paths = [one.stem for one in sources], [one.path for one in sources]
    ways = [
        stems,
        # a.mov and a.mkv are not to end at one name,
        [path.name for path in paths],
        # nor the files of one name in two folders,
        [f"{path.absolute().parent.name}_{path.name}" for path in paths],
    ]
    counts = [Counter(way) for way in ways]
    names: list[str] = []
    for n, path in enumerate(paths):
        single = (way[n] for way, times in zip(ways, counts, strict=True) if times[way[n]] == 1)
        # nor any others.
        numbered = (f"{number}_{path.name}" for number in count(n + 1))
        names.append(next(name for name in chain(single, numbered) if name not in names))
    return names


def _require_apart(sources: set[str], settings: Settings) -> None:
    """Raise `UsageError` where a result would replace a source, one that is still to be read."""
    for option in ("output", "table"):
        path = getattr(settings, option)
        if path is not None and os.path.realpath(path) in sources:
            raise UsageError(f"--{option} {path} is one of the sources: give another name")


def _output_name(source: SourceName, stem: str, settings: Settings) -> str:
    """Return what the output of one of many sources is called."""
    if source.kind == "url":
        is_photo = source.is_named_as_picture
    else:
        is_photo = source.kind == "file" and _is_local(source) and is_image(source.path)
    return f"{stem}_saliency{'.png' if is_photo else codecs.suffix_for(settings.codec)}"


def _is_local(source: SourceName) -> bool:
    """Return whether a source is a file on this machine."""
    try:
        return source.kind in ("file", "pictures") and source.path.is_file()
    except OSError:
        return False


def _is_named_as_file(path: Path) -> bool:
    """Say whether a name ends as that of a file that vidsal writes."""
    return path.suffix.lower() in (*codecs.SUFFIXES, *IMAGE_SUFFIXES, ".csv")


def _make(folder: Path, option: str, sources: int) -> None:
    """Make a folder for the files of many sources, if it is not there.

    Raises
    ------
    UsageError
        If it is a file, is called like one, or cannot be made.
    """
    if _is_named_as_file(folder) and not folder.exists():
        raise UsageError(f"{option} {folder}: there are {sources} sources: give it a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{option} must name a folder where there are several sources: {folder}: "
            f"{error.strerror or error}"
        ) from error
