"""The names of results, where one run has several sources. Paths in, paths out."""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any

from vidsal.errors import UsageError, VidsalError, option
from vidsal.media import codecs
from vidsal.runtime.atomic_write import nearest_folder, shortened
from vidsal.settings import OutputOptions, Settings
from vidsal.sinks.image import IMAGE_SUFFIXES
from vidsal.sources.image import is_image
from vidsal.sources.resolve import SourceName
from vidsal.store.schema import SUFFIX as STORE_SUFFIX
from vidsal.store.schema import is_store_name


def with_own_names(
    sources: Sequence[SourceName], settings: Settings, *, is_group: bool
) -> Iterator[tuple[SourceName, Settings]]:
    """Yield each source with the settings that name its own files.

    A folder, a glob or a list may mean one source today and several tomorrow: names of results
    that do not end as those of files are folders, also for one source. Results of a recursive
    search keep the folders of their sources, so that a name does not depend on other folders.

    Parameters
    ----------
    sources : sequence of SourceName
    settings : Settings
        ``output``, ``table``, ``maps`` and ``keep`` name the results, or the folders of them.
    is_group : bool
        Whether there may be several sources another time.

    Yields
    ------
    (SourceName, Settings)

    Raises
    ------
    UsageError
        If a folder is needed, and the name cannot be that of one.
    """
    are_several = len(sources) > 1
    folders: dict[str, Path] = {}
    for name in ("output", "table", "maps"):
        path = getattr(settings, name)
        if path is not None and (
            are_several
            or (is_group and not _is_named_as_file(path))
            or (name == "output" and not path.suffix)
            or (name != "maps" and path.is_dir())
        ):
            _require_folder(path, name, len(sources))
            folders[name] = path
    stores = settings.keep if are_several or is_group else None
    if stores is not None and is_store_name(stores):
        raise UsageError(
            f"{option('keep', str(stores))}: there are {len(sources)} sources: "
            "give the name of a folder for their stores"
        )
    for source, stem in zip(sources, _stems(sources), strict=True):
        own: dict[str, Any] = {}
        subfolder = source.subfolder
        is_named_here = settings.skip_existing or subfolder != Path()
        if are_several or "output" in folders or (is_named_here and not settings.output):
            name = _output_name(source, stem, settings)
            own["output"] = folders.get("output", Path()) / subfolder / name
        if "table" in folders:
            own["table"] = folders["table"] / subfolder / f"{stem}.csv"
        if "maps" in folders:
            own["maps"] = folders["maps"] / subfolder / stem
        if stores is not None:
            own["keep"] = stores / subfolder / f"{stem}{STORE_SUFFIX}"
        yield source, dataclasses.replace(settings, **own)


def output_names(sources: Sequence[SourceName], options: Sequence[OutputOptions]) -> list[Path]:
    """Return the name of each source's output in a folder of results; no two are equal.

    Parameters
    ----------
    sources : sequence of SourceName
    options : sequence of OutputOptions
        Those of each source; ``codec`` is used.
    """
    return [
        source.subfolder / _output_name(source, stem, own)
        for source, stem, own in zip(sources, _stems(sources), options, strict=True)
    ]


def _stems(sources: Sequence[SourceName]) -> list[str]:
    """Return the name, without a suffix, of each source's results.

    No two results in one folder have the same name.
    """
    groups: dict[Path, list[int]] = {}
    for n, source in enumerate(sources):
        groups.setdefault(source.subfolder, []).append(n)
    stems = [""] * len(sources)
    for group in groups.values():
        distinct = _distinct_stems([sources[n] for n in group])
        for n, stem in zip(group, distinct, strict=True):
            stems[n] = stem
    return stems


def _distinct_stems(sources: Sequence[SourceName]) -> list[str]:
    """Return a stem for each source; no two are equal."""
    stems, paths = [one.stem for one in sources], [one.path for one in sources]
    ways = [
        stems,
        # a.mov and a.mkv must not share a name,
        [path.name for path in paths],
        # and files of one name in two folders must not either.
        [f"{path.absolute().parent.name}_{path.name}" for path in paths],
    ]
    ways = [[_short_stem(name) for name in way] for way in ways]
    counts = [Counter(way) for way in ways]
    # A dictionary keeps the order, and finds a name among many thousands at once.
    names: dict[str, None] = {}
    for n, path in enumerate(paths):
        single = (way[n] for way, times in zip(ways, counts, strict=True) if times[way[n]] == 1)
        # Names that are still equal are numbered.
        numbered = (_short_stem(f"{number}_{path.name}") for number in count(n + 1))
        names[next(name for name in chain(single, numbered) if name not in names)] = None
    return list(names)


def _short_stem(stem: str) -> str:
    """Return a stem to which the longest ending of a result can be added."""
    ending = f"_saliency{max((*codecs.SUFFIXES, *IMAGE_SUFFIXES), key=len)}"
    return shortened(stem, ending).removesuffix(ending)


def _output_name(source: SourceName, stem: str, options: OutputOptions) -> str:
    """Return the name of the output of one of many sources."""
    if source.kind == "url":
        is_photo = source.is_named_as_picture
    else:
        is_photo = source.kind == "file" and is_local(source) and _is_photo(source.path)
    return f"{stem}_saliency{'.png' if is_photo else codecs.suffix_for(options.codec)}"


def _is_photo(path: Path) -> bool:
    """Return whether a file is a photo; the error of one that cannot be read comes later."""
    try:
        return is_image(path)
    except VidsalError:
        return True


def is_local(source: SourceName) -> bool:
    """Return whether a source is a file on this machine; names that the system refuses are not.

    Parameters
    ----------
    source : SourceName
    """
    try:
        return source.kind in ("file", "pictures") and source.path.is_file()
    except OSError:
        return False


def _is_named_as_file(path: Path) -> bool:
    """Say whether a name ends as that of a file that vidsal writes."""
    return path.suffix.lower() in (*codecs.SUFFIXES, *IMAGE_SUFFIXES, ".csv", ".parquet")


def _require_folder(folder: Path, name: str, sources: int) -> None:
    """Check that a name can be that of a folder for results, which the first result makes.

    Raises
    ------
    UsageError
        If it is a file, is below one, has the name of one, or is not valid.
    """
    given = option(name, str(folder))
    try:
        if _is_named_as_file(folder) and not folder.exists():
            raise UsageError(f"{given}: there are {sources} sources: give the name of a folder")
        nearest = nearest_folder(folder / "result")
        fault = "" if nearest.is_dir() else f"{nearest} is a file"
    except OSError as error:
        fault = error.strerror or str(error)
    if fault:
        raise UsageError(f"{given} cannot be a folder for the results: {fault}")
