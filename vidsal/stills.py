"""Single frames of a stored analysis: one picture, or a contact sheet."""

import dataclasses
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from vidsal.analyser import ANALYSED_FRAMES, DECODED_FRAMES, draw
from vidsal.errors import UsageError, option
from vidsal.image_ops import even
from vidsal.render.draw import full_grid, grid
from vidsal.rendering import redrawn, results_of
from vidsal.runtime.allocation import keep_freed
from vidsal.runtime.atomic_write import claim, resolve_symlink, shortened
from vidsal.runtime.prefetch import prefetch
from vidsal.runtime.progress import Progress, choose_progress
from vidsal.settings import PANELS, Settings
from vidsal.settings.values import parse_time
from vidsal.sinks import require_apart
from vidsal.sinks.image import IMAGE_SUFFIXES, image_sink
from vidsal.store.opening import lent_store
from vidsal.store.reader import Store
from vidsal.store.schema import stem_of
from vidsal.stored.source import require_outside, source_of
from vidsal.types import Rgb, Saliency

# Options of videos, and of results other than a picture.
_NOT_OF_STILLS = ("table", "maps", "codec", "quality", "hardware", "audio")
# Default width of a contact sheet: the width of a screen.
_SHEET_PX = 1920
# Smallest width of a frame of a sheet.
_LEAST_PX = 64
# Largest number of frames. More would be too small to read on a screen.
_MOST = 100


def draw_stills(
    store: Store | str | Path,
    *,
    at: float | str | Sequence[float | str] | None = None,
    sheet: int | None = None,
    source: Any = None,
    progress: bool | Progress = True,
    **options: Any,
) -> Path:
    """Write frames of a stored analysis as one picture, as ``vidsal render --at`` does.

    Each frame looks the same as in the video of the whole.

    Parameters
    ----------
    store : Store, str or Path
        A store (folder or zip file) that ``vidsal run --keep`` wrote, or what
        `vidsal.open_store` returns.
    at : float, str, or sequence of them, optional
        Times of the source, in seconds or as ``1:02.5``. Several times give a contact sheet.
    sheet : int, optional
        Make a contact sheet of this many frames, at equal distances.
    source : str or path-like, optional
        The source, if it was moved.
    progress : bool or callable, optional
        As for `vidsal.run`.
    **options
        As for `render_store`. ``output`` must end in .png or .jpg.

    Returns
    -------
    Path
        The file that was written.

    Raises
    ------
    UsageError
        If an option is invalid, or a time lies outside the analysis.
    VidsalError
        If the store or the source cannot be used. Then no output is left.
    """
    keep_freed()
    with lent_store(store) as opened:
        stored = opened.settings
        for name in _NOT_OF_STILLS:
            if options.get(name) is not None:
                raise UsageError(f"{option(name)} is not for single frames")
        settings = redrawn(opened, options)
        places = _places(opened, settings, at, sheet, options)
        output = _output(opened, settings, "still" if sheet is None else "sheet")
        require_outside(opened, output)
        size = int(opened.about["height_px"]), int(opened.about["width_px"])
        columns = _columns(len(places), size, settings)
        settings = _with_width(settings, len(places), size[1], columns)
        watch = choose_progress(progress, label=opened.source_name)
        with source_of(opened, stored, source) as pictures:
            require_apart(pictures.info.name, output, pictures.info.files)
            claim(output, overwrite=settings.overwrite)
            with (
                prefetch(pictures.frames(), DECODED_FRAMES) as frames,
                prefetch(results_of(opened, frames, settings), ANALYSED_FRAMES) as results,
            ):
                needed = islice(results, max(places) + 1)
                shown = watch(needed, max(places) + 1) if watch else needed
                picture = _sheet(shown, places, columns, settings)
        with image_sink(output) as sink:
            sink.write(picture, 0.0)
    return output


def _places(
    store: Store, settings: Settings, at: Any, sheet: int | None, part: dict[str, Any]
) -> list[int]:
    """Return the positions in the store of the frames to draw."""
    if (at is None) == (sheet is None):
        raise UsageError(f"give either {option('at')} or {option('sheet')}")
    times = store.array("time_s")
    if sheet is not None:
        begin, end = (int(one) for one in np.searchsorted(times, settings.part_s))
        most = min(_MOST, end - begin)
        if type(sheet) is not int or not 1 <= sheet <= most:
            raise UsageError(
                f"{option('sheet', sheet)}: a contact sheet has 1 to {most} of these frames"
            )
        # The middle of each of `sheet` equal parts.
        return [begin + int((n + 0.5) * (end - begin) / sheet) for n in range(sheet)]
    if {"start", "end", "duration"} & part.keys():
        raise UsageError(f"{option('start')} and {option('end')} are for {option('sheet')}")
    wanted = at.split(",") if isinstance(at, str) else list(at) if np.ndim(at) else [at]
    if not 1 <= len(wanted) <= _MOST:
        raise UsageError(f"{option('at')}: 1 to {_MOST} times, got {len(wanted)}")
    return [_place_at(times, one) for one in wanted]


def _place_at(times: Any, wanted: Any) -> int:
    """Return the position of the frame that is shown at a time."""
    try:
        time_s = parse_time(wanted)
    except UsageError as error:
        raise UsageError(f"{option('at')}: {error}") from None
    assert time_s is not None
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    # Times are rounded, so a millisecond is tolerated.
    if not times[0] - 1e-3 <= time_s < times[-1] + step + 1e-3:
        raise UsageError(
            f"{option('at', wanted)}: the analysis has {times[0]:g} to {times[-1]:g} s"
        )
    return max(0, int(np.searchsorted(times, time_s + 1e-3, side="right")) - 1)


def _output(store: Store, settings: Settings, kind: str) -> Path:
    """Return the path of the picture."""
    if settings.output is None:
        return Path(shortened(stem_of(store.path), f"_{kind}{IMAGE_SUFFIXES[0]}"))
    if settings.output.suffix.lower() not in IMAGE_SUFFIXES:
        raise UsageError(
            f"{option('output', str(settings.output))}: frames are written as "
            f"{' or '.join(IMAGE_SUFFIXES)}"
        )
    return resolve_symlink(settings.output)


def _columns(count: int, size: tuple[int, int], settings: Settings) -> int:
    """Return the number of columns of a contact sheet. A column has all panels of the layout."""
    rows, columns = PANELS[settings.layout]
    return full_grid(count, (size[0] * rows, size[1] * columns))[1]


def _with_width(settings: Settings, count: int, width_px: int, columns: int) -> Settings:
    """Return settings with the width of one frame of a contact sheet."""
    if count == 1:
        return settings
    whole_px = width_px * PANELS[settings.layout][1] * columns
    sheet_px = settings.width or min(_SHEET_PX, whole_px)
    if sheet_px < _LEAST_PX * columns:
        raise UsageError(
            f"{count} frames in {columns} columns need {option('width', _LEAST_PX * columns)} or "
            f"more, got {sheet_px}"
        )
    return dataclasses.replace(settings, width=sheet_px // columns)


def _sheet(
    results: Iterable[Saliency], places: Sequence[int], columns: int, settings: Settings
) -> Rgb:
    """Return the frames at some positions of the results, in their order, in one picture."""
    drawn: dict[int, Rgb] = {}
    wanted = set(places)
    for place, saliency in enumerate(results):
        if place in wanted:
            drawn[place] = draw(saliency, settings)
    panels = [("", drawn[place]) for place in places]
    return panels[0][1] if len(panels) == 1 else even(grid(panels, columns, annotate=False))
