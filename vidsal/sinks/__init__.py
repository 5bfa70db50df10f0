"""The kinds of sink, and all of a run's sinks as one."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from vidsal.errors import UsageError, VidsalError
from vidsal.media import codecs
from vidsal.runtime.atomic_write import claim, resolve_symlink, writing
from vidsal.settings import Settings
from vidsal.sinks.base import Write
from vidsal.sinks.checkpoint import RESULT, folder_of
from vidsal.sinks.disk_space import require_space
from vidsal.sinks.image import IMAGE_SUFFIXES, image_sink
from vidsal.sinks.maps import claim_folder, maps_sink
from vidsal.sinks.table import table_sink
from vidsal.sinks.video import video_sink
from vidsal.types import Rgb, Saliency, SourceInfo


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
        return Path(f"{stem}_saliency{suffix}")
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
def open_sinks(
    info: SourceInfo, settings: Settings, output: Path, model_name: str | None
) -> Iterator[Write]:
    """Lend one function that writes a frame to all that a run writes.

    The picture or video is innermost: it is the one whose finishing can fail, and then none of
    the others appears either.
    """
    with ExitStack() as stack:
        writes: list[Write] = []
        if settings.table:
            writes.append(
                stack.enter_context(table_sink(settings.table, info, model_name, settings))
            )
        if settings.maps:
            writes.append(stack.enter_context(maps_sink(settings.maps)))
        main = video_sink(output, info, settings) if info.fps else image_sink(output)
        writes.append(stack.enter_context(main))

        def write(saliency: Saliency, picture: Rgb) -> None:
            for one in writes:
                one(saliency, picture)

        yield write
