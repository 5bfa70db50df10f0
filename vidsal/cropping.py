"""The crop window of a stored analysis, and the source cropped to it."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from vidsal.analyser import DECODED_FRAMES
from vidsal.crop.reframe import CropPath, Reframing
from vidsal.crop.table import as_csv, as_json
from vidsal.errors import UsageError, option
from vidsal.render.crop_window import crop_preview
from vidsal.runtime.atomic_write import atomic_write, claim, writing
from vidsal.runtime.prefetch import prefetch
from vidsal.runtime.progress import Progress, choose_progress
from vidsal.settings import Settings
from vidsal.settings.stored import CropOptions
from vidsal.sinks import claim_outputs, picture_sink
from vidsal.sources.base import Source
from vidsal.store.opening import lent_store
from vidsal.store.reader import Store
from vidsal.stored.source import (
    check_all,
    part_of,
    places_of,
    require_outside,
    require_same,
    source_of,
)
from vidsal.types import Frame, Rgb

# Options of `Settings` that a crop also accepts.
ENCODING = ("overwrite", "codec", "quality", "hardware", "audio", "start", "end", "duration")


def crop_path(
    store: Store | str | Path,
    aspect: str = "9:16",
    *,
    share: float = 0.8,
    start: float | str | None = None,
    end: float | str | None = None,
    progress: bool | Progress = False,
) -> CropPath:
    """Return the position of a crop window in each frame of a stored analysis.

    Parameters
    ----------
    store : Store, str or Path
        A store (folder or zip file) that ``vidsal run --keep`` wrote, or what
        `vidsal.open_store` returns.
    aspect : str
        Width to height of the window, such as "9:16", "1:1" or "1080x1920".
    share : float
        Share of a frame's saliency that its smallest box contains, above 0, at most 1.
    start, end : float or str, optional
        The part of the source that is returned, as in `vidsal.Settings`. The window moves in the
        same way as in the whole.
    progress : bool or callable
        As for `vidsal.run`.

    Returns
    -------
    CropPath
        Window and smallest box of each frame, in pixels of the source.

    Raises
    ------
    UsageError
        If an option is invalid, or the window would be too small.
    VidsalError
        If the store cannot be read.
    """
    options = CropOptions(aspect=aspect, share=share)
    times: dict[str, Any] = {"start": start, "end": end}
    given = {name: time for name, time in times.items() if time is not None}
    with lent_store(store) as opened:
        wanted = dataclasses.replace(opened.settings, **given)
        places = places_of(opened, part_of(opened, wanted, given))
        return _whole_path(opened, options, progress).part(*places)


def _whole_path(opened: Store, options: CropOptions, progress: bool | Progress) -> CropPath:
    """Return the window in each frame of a store."""
    chosen = choose_progress(progress, label=opened.path.name) or (lambda frames, _: frames)
    size = int(opened.about["height_px"]), int(opened.about["width_px"])
    reframing, events = Reframing(size, options.aspect, options.share), []
    highs = opened.array("motion_high")
    frames = opened.frames(without=("gradient",))
    for n, stored in enumerate(chosen(frames, len(opened))):
        reframing.add(stored.fused, stored.speed, float(highs[n]))
        events.append(stored.event)
    return reframing.path(opened.array("frame"), opened.array("time_s"), events)


def crop_store(
    store: Store | str | Path,
    *,
    source: Any = None,
    progress: bool | Progress = True,
    **options: Any,
) -> list[Path]:
    """Write the crop of a stored analysis, its data, or both, as ``vidsal crop`` does.

    Parameters
    ----------
    store : Store, str or Path
        A store (folder or zip file) that ``vidsal run --keep`` wrote, or what
        `vidsal.open_store` returns.
    source : str or path-like, optional
        The source, if it was moved.
    progress : bool or callable, optional
        As for `vidsal.run`.
    **options
        ``output`` (a video, or for a photo a picture), ``aspect``, ``path`` (.csv or .json),
        ``share`` and ``preview``; and as in `vidsal.Settings` ``overwrite``, ``codec``,
        ``quality``, ``hardware``, ``audio``, ``start``, ``end`` and ``duration``.

    Returns
    -------
    list of Path
        The files that were written.

    Raises
    ------
    UsageError
        If an option is invalid, or neither ``output`` nor ``path`` is given.
    VidsalError
        If the store or the source cannot be used. Then no file is left.
    """
    known = {field.name for field in dataclasses.fields(CropOptions)}
    if unknown := [name for name in options if name not in known and name not in ENCODING]:
        raise UsageError(f"{unknown[0]}= is not an option of a crop")
    own = CropOptions(**{name: options.pop(name) for name in known & options.keys()})
    with lent_store(store) as opened:
        _check_names(own)
        require_outside(opened, own.output, own.path)
        settings = dataclasses.replace(
            opened.settings, **{"codec": None} | options, output=own.output, layout="overlay",
            width=0,
        )  # fmt: skip
        settings = part_of(opened, settings, options)
        if own.path is not None:
            claim(own.path, overwrite=settings.overwrite)
        if own.output is None:
            places = places_of(opened, settings)
            found = _whole_path(opened, own, progress)
            with _data_file(opened, own.path, found.part(*places)):
                pass
        else:
            with source_of(opened, settings, source) as pictures:
                _write_pictures(opened, pictures, own, settings, progress)
    return [path for path in (own.output, own.path) if path is not None]


def _write_pictures(
    store: Store,
    source: Source,
    options: CropOptions,
    settings: Settings,
    progress: bool | Progress,
) -> None:
    """Write the window of each frame of a source, and the data if it is requested."""
    output = claim_outputs(source.info, settings)
    places = places_of(store, settings)
    found = _whole_path(store, options, progress)
    chosen = choose_progress(progress, label=output.name) or (lambda frames, _: frames)
    # The pictures are completed first. If this fails, no data file appears.
    with (
        _data_file(store, options.path, found.part(*places)),
        picture_sink(output, source.info, settings) as sink,
    ):
        count = 0
        with prefetch(source.frames(), DECODED_FRAMES) as frames:
            for frame in chosen(frames, source.info.frame_count_hint):
                sink.write(_picture(frame, store, found, options), frame.time_s)
                count += 1
        if settings.part_s == store.settings.part_s:
            check_all(store, source, count)


def _check_names(options: CropOptions) -> None:
    """Raise `UsageError` if there is nothing to write, or the name of a file is invalid."""
    if options.path is None and options.output is None:
        raise UsageError(
            f"give a video to write ({option('output')}), a file for the data ({option('path')}), "
            "or both"
        )
    if options.path is not None and options.path.suffix.lower() not in (".csv", ".json"):
        raise UsageError(
            f"{option('path', str(options.path))}: the data is written as .csv or .json"
        )
    if options.output is None and options.preview:
        raise UsageError(f"{option('preview', True)} needs a video to write ({option('output')})")


@contextmanager
def _data_file(store: Store, path: Path | None, found: CropPath) -> Iterator[None]:
    """Write the data of a path when the block ends without error; without `path` write nothing."""
    if path is None:
        yield
        return
    if path.suffix.lower() == ".csv":
        text = as_csv(found)
    else:
        text = as_json(found, source=store.source_name, fps=store.about["fps"])
    with atomic_write(path) as part:
        with writing(path):
            part.write_text(text, encoding="utf-8")
        yield


def _picture(frame: Frame, store: Store, path: CropPath, options: CropOptions) -> Rgb:
    """Return the content of the window of a frame, or the whole picture with the window.

    Raises
    ------
    VidsalError
        If the store lacks the frame.
    """
    # Frames are stored in the order of their numbers.
    n = int(np.searchsorted(path.frame, frame.index))
    require_same(store, frame, int(path.frame[n]) if n < len(path) else None)
    top, left = int(path.top[n]), int(path.left[n])
    bottom, right = top + path.height, left + path.width
    if options.preview:
        return crop_preview(frame.rgb, (top, left, bottom, right))
    return frame.rgb[top:bottom, left:right].copy()
