"""The names of results, where one run has several sources. Paths in, paths out."""

import dataclasses
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
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
    """Return a stem for each source; no two are equal.

    The stem of a source does not depend on the order of the sources, or on sources whose files
    have other names. If a source occurs several times, its second stem has the number 2.
    """
    keys = [_key(one) for one in sources]
    different = dict(zip(keys, sources, strict=True))
    lengths = _lengths(different)
    bases = [_name(one, lengths[key]) for key, one in zip(keys, sources, strict=True)]
    taken, times = set(bases), Counter[str]()
    stems = []
    for one, key, base in zip(sources, keys, bases, strict=True):
        times[base] += 1
        stem = base
        if times[base] > 1:
            # With the suffix of the source, because 2_clip.mp4 may be a source, too.
            full = _name(one, max(lengths[key], 1))
            numbered = (_short_stem(f"{number}_{full}") for number in count(times[base]))
            stem = next(name for name in numbered if name not in taken)
            taken.add(stem)
        stems.append(stem)
    return stems


def _lengths(sources: Mapping[str, SourceName]) -> dict[str, int]:
    """Return the length of each source's name, see `_name`, at which the names differ.

    Names that are equal at their greatest length stay equal.
    """
    lengths = dict.fromkeys(sources, 0)
    names = {key: _name(one, 0) for key, one in sources.items()}
    longest = {key: 1 + len(_folders(one)) for key, one in sources.items()}
    while True:
        groups: dict[str, list[str]] = {}
        for key, name in names.items():
            groups.setdefault(name, []).append(key)
        extended = []
        for group in groups.values():
            extendable = [key for key in group if lengths[key] < longest[key]]
            if len(group) > 1 and extendable:
                shortest = min(lengths[key] for key in extendable)
                extended += [key for key in extendable if lengths[key] == shortest]
        if not extended:
            return lengths
        for key in extended:
            lengths[key] += 1
            names[key] = _name(sources[key], lengths[key])


def _name(source: SourceName, length: int) -> str:
    """Return a stem for a source: of length 0 ``clip``, of 1 ``clip.mp4``, of 2 ``day1_clip.mp4``.

    Each further unit of length adds the name of a folder.
    """
    if length == 0:
        return _short_stem(source.stem)
    folders = _folders(source)
    return _short_stem("_".join([*folders[len(folders) - length + 1 :], source.path.name]))


def _key(source: SourceName) -> str:
    """Return a text that is the same for a file's relative and absolute paths."""
    return os.path.normpath(source.path.absolute()) if source.kind == "file" else source.address


def _folders(source: SourceName) -> list[str]:
    """Return the names of the folders that a source lies in; those of a web address, too."""
    if source.kind == "url":
        # Not from the address, which may hold a password.
        folders = source.display_name.partition("://")[2].replace(":", "-").split("/")[:-1]
    elif source.kind == "file":
        folders = list(Path(_key(source)).parent.parts[1:])
    else:
        folders = []
    return [name for name in folders if name]


def _short_stem(stem: str) -> str:
    """Return a stem to which the longest ending of a result can be added."""
    ending = f"_saliency{max((*codecs.SUFFIXES, *IMAGE_SUFFIXES), key=len)}"
    return shortened(stem, ending).removesuffix(ending)


def _output_name(source: SourceName, stem: str, options: OutputOptions) -> str:
    """Return the name of the output of one of many sources."""
    suffix = ".png" if _is_photo(source) else codecs.suffix_for(options.codec)
    return f"{stem}_saliency{suffix}"


def _is_photo(source: SourceName) -> bool:
    """Return whether a source is a photo; the error of one that cannot be read comes later."""
    if source.kind == "url":
        return source.is_named_as_picture
    try:
        return source.kind == "file" and is_local(source) and is_image(source.path)
    except VidsalError:
        return True


def require_output_format(source: SourceName, output: str, options: OutputOptions) -> None:
    """Check that a source can be written as a file with a given name.

    Only files of this machine are checked, because other sources would have to be opened.

    Parameters
    ----------
    source : SourceName
    output : str
        Name of the output.
    options : OutputOptions
        ``codec`` is used.

    Raises
    ------
    UsageError
        If the suffix or the codec does not fit.
    """
    if not is_local(source):
        return
    suffix = Path(output).suffix.lower()
    if not _is_photo(source):
        codecs.codec_of(Path(output), options.codec)
    elif suffix not in IMAGE_SUFFIXES:
        suffixes = " or ".join(IMAGE_SUFFIXES)
        raise UsageError(f"{option('output', output)}: a photo is written as {suffixes}")


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
