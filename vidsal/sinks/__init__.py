"""The kinds of sink, and the sinks of a run as one."""

import logging
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from vidsal.errors import UsageError, VidsalError, option
from vidsal.media import codecs
from vidsal.runtime.atomic_write import claim, resolve_symlink, shortened, writing
from vidsal.settings import OutputOptions, Settings
from vidsal.sinks.base import AllSinks, PictureSink, SaliencySink
from vidsal.sinks.checkpoint import RESULT, checkpoint_folder
from vidsal.sinks.disk_space import require_space
from vidsal.sinks.image import IMAGE_SUFFIXES, image_sink
from vidsal.sinks.kept import description
from vidsal.sinks.maps import claim_folder, maps_sink
from vidsal.sinks.table import TABLE_SUFFIXES, claim_table, table_sink
from vidsal.sinks.video import video_sink
from vidsal.store.writer import StoreSink, claim_store, store_sink
from vidsal.types import SourceInfo

log = logging.getLogger(__name__)


def output_path(info: SourceInfo, options: OutputOptions) -> Path:
    """Return the path of the output: the one asked for, or one made from the source's name.

    Parameters
    ----------
    info : SourceInfo
    options : OutputOptions
        ``output`` and ``codec``.

    Returns
    -------
    Path
        For a symbolic link, the path that it leads to.

    Raises
    ------
    UsageError
        If the suffix or the codec does not fit the output.
    """
    return resolve_symlink(_unresolved_output_path(info, options))


def _unresolved_output_path(info: SourceInfo, options: OutputOptions) -> Path:
    """Return the path of the output before symbolic links are resolved."""
    if options.output is None:
        stem = info.name.replace(" ", "") if info.is_live else Path(info.name).stem
        suffix = codecs.suffix_for(options.codec) if info.fps else IMAGE_SUFFIXES[0]
        return Path(shortened(stem, f"_saliency{suffix}"))
    if info.fps:
        codecs.codec_of(options.output, options.codec)
    elif options.output.suffix.lower() not in IMAGE_SUFFIXES:
        raise UsageError(
            f"{option('output', str(options.output))}: a photo is written as "
            f"{' or '.join(IMAGE_SUFFIXES)}"
        )
    return options.output


def claim_outputs(
    info: SourceInfo,
    settings: Settings,
    panels: tuple[int, int] | None = None,
    *,
    table_suffixes: Collection[str] = TABLE_SUFFIXES,
) -> Path:
    """Check the paths of all outputs, and the free disk space, before any work.

    Parameters
    ----------
    info : SourceInfo
    settings : Settings
    panels : (int, int), optional
        Rows and columns of panels of the picture; by default those of the layout.
    table_suffixes : collection of str
        Endings of the formats in which the table can be written.

    Returns
    -------
    Path
        The path of the picture or video, see `output_path`.

    Raises
    ------
    UsageError
        If a suffix or the codec does not fit, or two outputs have the same path.
    VidsalError
        If a file exists and may not be replaced, a folder is not writable or cannot be made, the
        encoder, or the library for .parquet, is missing, or the disk has too little space.
    """
    output = output_path(info, settings)
    if settings.resume and info.fps:
        with writing(checkpoint_folder(output)):
            has_result = (checkpoint_folder(output) / RESULT).is_dir()
        # An interrupted run may already have moved some of its results there.
        settings = replace(settings, overwrite=settings.overwrite or has_result)
    for path in filter(None, (output, settings.table)):
        claim(path, overwrite=settings.overwrite)
        if not info.is_live:
            require_apart(info.name, path, info.files)
    _require_distinct({
        "output": output, "table": settings.table, "maps": settings.maps,
        "keep": settings.keep,
    })  # fmt: skip
    if settings.table:
        claim_table(settings.table, table_suffixes)
    if settings.maps:
        claim_folder(settings.maps, overwrite=settings.overwrite)
    if settings.keep:
        for path in filter(None, (output, settings.table, settings.maps)):
            if Path(os.path.realpath(path)).is_relative_to(os.path.realpath(settings.keep)):
                raise UsageError(f"{path} lies in the store {settings.keep}: give another name")
        claim_store(settings.keep, overwrite=settings.overwrite)
    if info.fps:
        codecs.require_encoder(output, settings.codec)
        require_space(output, info, settings, panels)
    return output


def require_apart(name: str, path: Path, files: Iterable[str | Path] = ()) -> None:
    """Raise `VidsalError` if a file to write is the source, or one of its files.

    Parameters
    ----------
    name : str
        Name of the source.
    path : Path
        The file to write. Links are followed.
    files : iterable of str or Path
        The files that are read, if they differ from the file of the name.

    Raises
    ------
    VidsalError
    """
    for one in (name, *files):
        if _is_same_file(path, one):
            what = "the source itself" if one == name else "a file of the source"
            raise VidsalError(f"{path} is {what}: give another name")


def _is_same_file(path: Path, other: str | Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:
        # One is missing, or has a name that no file can have, such as a long address.
        return False


def _require_distinct(paths: dict[str, Path | None]) -> None:
    """Raise `UsageError` if two options, given by their names, have the same path."""
    names: dict[str, str] = {}
    for name, path in paths.items():
        # Path.resolve fails for a link to itself; os.path.realpath does not.
        if path and (other := names.setdefault(os.path.realpath(path), name)) != name:
            raise UsageError(f"{option(other)} and {option(name)} both name {path}")


@contextmanager
def picture_sink(path: Path, info: SourceInfo, options: OutputOptions) -> Iterator[PictureSink]:
    """Lend the sink of a run's pictures: a video, or an image for a photo.

    Parameters
    ----------
    path : Path
    info : SourceInfo
        ``fps`` is ``None`` for a photo.
    options : OutputOptions

    Yields
    ------
    PictureSink

    Raises
    ------
    VidsalError
        If the file cannot be written.
    """
    with video_sink(path, info, options) if info.fps else image_sink(path) as sink:
        yield sink


@contextmanager
def open_sinks(
    info: SourceInfo, settings: Settings, output: Path, class_names: tuple[str, ...] = ()
) -> Iterator[AllSinks]:
    """Lend the sinks that the settings ask for as one.

    The picture sink is the innermost context: its completion can fail, and then none of the
    other files appears either.

    Parameters
    ----------
    info : SourceInfo
    settings : Settings
    output : Path
        Path of the picture or video.
    class_names : tuple of str
        Names of the network's classes, for a store.

    Yields
    ------
    AllSinks

    Raises
    ------
    VidsalError
        If an output cannot be written.
    """
    with ExitStack() as stack:
        sinks: list[SaliencySink] = []
        store: StoreSink | None = None
        if settings.table:
            sinks.append(stack.enter_context(table_sink(settings.table, info, settings)))
        if settings.maps:
            sinks.append(stack.enter_context(maps_sink(settings.maps)))
        if settings.keep:
            about = description(info, settings, class_names)
            store = stack.enter_context(store_sink(settings.keep, about))
            sinks.append(store)
        yield AllSinks(sinks, stack.enter_context(picture_sink(output, info, settings)))
        # Its last block is large: a full disk must be found before the picture has its name.
        if store:
            store.finish()
