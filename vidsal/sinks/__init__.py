"""The kinds of sink, and all of a run's sinks as one."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from vidsal.errors import UsageError, VidsalError
from vidsal.media import codecs
from vidsal.runtime.atomic_write import claim, resolve_symlink, shortened, writing
from vidsal.settings import Settings
from vidsal.sinks.base import AllSinks, PictureSink, SaliencySink
from vidsal.sinks.checkpoint import RESULT, folder_of
from vidsal.sinks.disk_space import require_space
from vidsal.sinks.image import IMAGE_SUFFIXES, image_sink
from vidsal.sinks.maps import claim_folder, maps_sink
from vidsal.sinks.table import table_sink
from vidsal.sinks.video import video_sink
from vidsal.types import SourceInfo


def output_path(info: SourceInfo, settings: Settings) -> Path:
    """Return where the picture or video goes: as asked, or a name made from the source's.

    A link to another place means that place.

    Raises
    ------
    UsageError
        If the suffix, or the codec, does not fit what will be written.
    """
    return resolve_symlink(_named(info, settings))


def _named(info: SourceInfo, settings: Settings) -> Path:
    """Return the name that was asked for, or made, whatever it leads to."""
    if settings.output is None:
        stem = info.name.replace(" ", "") if info.is_live else Path(info.name).stem
        suffix = codecs.suffix_for(settings.codec) if info.fps else IMAGE_SUFFIXES[0]
        return Path(shortened(stem, f"_saliency{suffix}"))
    if info.fps:
        codecs.codec_of(settings.output, settings.codec)
    elif settings.output.suffix.lower() not in IMAGE_SUFFIXES:
        raise UsageError(
            f"--output {settings.output}: a photo is written as {' or '.join(IMAGE_SUFFIXES)}"
        )
    return settings.output


def claim_outputs(info: SourceInfo, settings: Settings) -> Path:
    """Check every name a run will write to, before any work; return the output's path.

    Raises
    ------
    VidsalError
        If something is in the way.
    """
    output = output_path(info, settings)
    if settings.resume and info.fps:
        with writing(folder_of(output)):
            is_made = (folder_of(output) / RESULT).is_dir()
        # Then an interrupted run was about to put its results there, or has in part.
        settings = replace(settings, overwrite=settings.overwrite or is_made)
    files = [path for path in (output, settings.table) if path]
    for path in files:
        claim(path, overwrite=settings.overwrite)
        source = Path(info.name)
        if not info.is_live and path.exists() and source.exists() and path.samefile(source):
            raise VidsalError(f"{path} is the source itself: give another name")
    places: dict[str, str] = {}
    wanted = {"--output": output, "--table": settings.table, "--maps": settings.maps}
    for option, place in wanted.items():
        # Unlike Path.resolve, realpath is not at a loss where a link leads to itself.
        if place and (other := places.setdefault(os.path.realpath(place), option)) != option:
            raise UsageError(f"{other} and {option} both name {place}")
    if settings.table and settings.table.suffix.lower() != ".csv":
        raise UsageError(f"--table {settings.table}: a table is written as .csv")
    if settings.maps:
        claim_folder(settings.maps, overwrite=settings.overwrite)
    if info.fps:
        codecs.require_encoder(output, settings.codec)
        require_space(output, info, settings)
    return output


@contextmanager
def picture_sink(path: Path, info: SourceInfo, settings: Settings) -> Iterator[PictureSink]:
    """Lend the sink of a run's pictures: a video, or an image for a photo."""
    with video_sink(path, info, settings) if info.fps else image_sink(path) as sink:
        yield sink


@contextmanager
def open_sinks(info: SourceInfo, settings: Settings, output: Path) -> Iterator[AllSinks]:
    """Lend the sinks that the settings ask for as one.

    The picture sink is innermost: it is the one whose completion can fail, and then none of the
    other files appears either.
    """
    with ExitStack() as stack:
        sinks: list[SaliencySink] = []
        if settings.table:
            sinks.append(stack.enter_context(table_sink(settings.table, info, settings)))
        if settings.maps:
            sinks.append(stack.enter_context(maps_sink(settings.maps)))
        yield AllSinks(sinks, stack.enter_context(picture_sink(output, info, settings)))
