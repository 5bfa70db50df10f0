"""Several stored analyses of one source side by side, without network and optical flow."""

import dataclasses
import math
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from vidsal.analyser import ANALYSED_FRAMES, DECODED_FRAMES, name_of
from vidsal.errors import UsageError, VidsalError, flat, option
from vidsal.evaluation.agreement import COLUMNS, Agreement, Figures, figures
from vidsal.image_ops import shrink
from vidsal.media import codecs
from vidsal.render.comparison import (
    MINUS,
    NOTE_GAP,
    ComparedFrame,
    ComparisonPicture,
    difference,
    grid_shape,
)
from vidsal.render.draw import time_code
from vidsal.render.style import Style
from vidsal.rendering import results_of
from vidsal.runtime.allocation import keep_freed
from vidsal.runtime.atomic_write import shortened
from vidsal.runtime.prefetch import prefetch
from vidsal.runtime.progress import Progress, choose_progress
from vidsal.saliency.normalization import clipped, scaled
from vidsal.saliency.regions import peak
from vidsal.settings import Settings
from vidsal.settings.declaration import choice_message
from vidsal.settings.stored import compared_options
from vidsal.sinks import claim_outputs, picture_sink
from vidsal.sinks.base import PictureSink
from vidsal.sinks.figures_table import SUFFIXES, figures_table
from vidsal.sinks.image import IMAGE_SUFFIXES
from vidsal.sources.base import Source
from vidsal.store.labels import ALL_GROUPS, MOTION_GROUPS, labels_of
from vidsal.store.opening import lent_store
from vidsal.store.reader import Store
from vidsal.stored.source import (
    check_all,
    part_of,
    places_of,
    require_outside,
    require_same,
    stored_source,
)
from vidsal.types import Frame, Map, SourceInfo

Compared = Literal["fused", "static", "motion"]
# More panels beside each other would be too small to read.
MOST_STORES = 6


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """The result of `compare_stores`. ``str()`` returns its lines.

    Attributes
    ----------
    output : Path
        The video or picture that was written.
    map : str
        Kind of the compared maps.
    names : tuple of str
        Names of the analyses, as in the panels.
    agreements : tuple of Agreement
        Agreement of each further analysis with the first one, for each frame.
    """

    output: Path
    map: str
    names: tuple[str, ...]
    agreements: tuple[Agreement, ...]

    def lines(self) -> list[str]:
        """Return one line for each pair: mean figures, and the frame with the lowest agreement."""
        return [_line(one) for one in self.agreements]

    def __str__(self) -> str:
        """Return the lines as one text."""
        return "\n".join(self.lines())


def _line(agreement: Agreement) -> str:
    """Return the figures of a pair in one line."""
    # File names may contain line breaks.
    head = flat(f"{agreement.second} and {agreement.first}")
    lowest, frames = agreement.lowest, len(agreement.frame)
    if lowest is None:
        return f"{head}: no figures, one of the maps is flat everywhere"
    mean = agreement.mean
    text = (
        f"{head}: CC {mean.cc:.3f}, SIM {mean.sim:.3f}, brightest places "
        f"{mean.peak_distance:.3f} of the diagonal apart"
    )
    if frames == 1:
        return text
    defined = frames - agreement.undefined
    gap = f", {agreement.undefined} left out: a map is flat" if agreement.undefined else ""
    return (
        f"{text} (means of {defined} frames{gap}); least alike at "
        f"{time_code(float(agreement.time_s[lowest]))} (frame {agreement.frame[lowest]}, "
        f"CC {agreement.cc[lowest]:.3f})"
    )


def compare_stores(
    stores: Sequence[Store | str | Path],
    *,
    map: Compared = "fused",
    names: Sequence[str] | None = None,
    source: Any = None,
    progress: bool | Progress = True,
    **options: Any,
) -> Comparison:
    """Write a video or picture of stored analyses of one source, as ``vidsal compare`` does.

    TensorFlow is not loaded.

    Parameters
    ----------
    stores : sequence of Store, str or Path
        Two to six stores of the same frames of one source. A store is a folder or a zip file that
        ``vidsal run --keep`` wrote, or what `vidsal.open_store` returns.
    map : {"fused", "static", "motion"}
        Kind of the compared maps. Fused and static maps have the scales of their own analyses.
        Motion maps have a common scale, in diagonals of the picture per second.
    names : sequence of str, optional
        One name for each store; by default the settings in which the stores differ.
    source : str or path-like, optional
        The source, if it was moved.
    progress : bool or callable, optional
        As for `vidsal.run`.
    **options
        ``output``, ``table`` (.csv or .jsonl), ``overwrite``, ``start``, ``end``, ``duration``,
        ``style``, ``colormap``, ``alpha``, ``width``, ``annotate``, ``codec``, ``quality``,
        ``hardware`` and ``audio``, as in `vidsal.Settings`.

    Returns
    -------
    Comparison
        The file that was written, and the figures of each frame.

    Raises
    ------
    UsageError
        If an option is invalid.
    VidsalError
        If the stores do not have the same frames of one source, or a store or the source cannot be
        used. Then no output is left.
    """
    keep_freed()
    _check_arguments(stores, map)
    with ExitStack() as stack:
        opened = [stack.enter_context(lent_store(one)) for one in stores]
        _require_comparable(opened, map)
        if names is None:
            names = labels_of(opened, MOTION_GROUPS if map == "motion" else ALL_GROUPS)
        else:
            names = _checked_names(names, len(opened))
        return _written(opened, map, names, options, source, progress)


def _written(
    opened: list[Store],
    map: Compared,
    names: Sequence[str],
    options: dict[str, Any],
    source: Any,
    progress: bool | Progress,
) -> Comparison:
    """Write the comparison of opened stores."""
    first = opened[0]
    settings = _settings(first, options)
    part = _Part.of(first, settings)
    with stored_source(first, settings, source) as (part_source, pictures):
        info = part_source.info
        settings = _with_output(settings, info)
        for one in opened:
            require_outside(one, settings.output, settings.table)
        size = info.height_px, info.width_px
        output = claim_outputs(
            info, settings, grid_shape(len(opened), size), table_suffixes=SUFFIXES
        )
        job = _Job(opened, map, part, size, _highest_speeds(opened, part))
        agreements = _agreements(job, names, choose_progress(progress, label="comparing"))
        drawing = ComparisonPicture(
            names, Style.of(settings), size, part.time_s, [one.cc for one in agreements]
        )
        watch = choose_progress(progress, label=name_of(info.name))
        with (
            _sinks(info, settings, output, agreements) as sink,
            closing(_compared_frames(job, agreements, pictures, watch)) as frames,
        ):
            for compared in frames:
                sink.write(drawing.draw(compared), compared.frame.time_s)
    return Comparison(output, map, tuple(names), agreements)


@contextmanager
def _sinks(
    info: SourceInfo, settings: Settings, output: Path, agreements: Sequence[Agreement]
) -> Iterator[PictureSink]:
    """Write the table if one is requested, and lend the sink of the pictures."""
    with ExitStack() as stack:
        if settings.table is not None:
            table = stack.enter_context(figures_table(settings.table, COLUMNS))
            for row in chain.from_iterable(zip(*(one.rows() for one in agreements), strict=True)):
                table.write(row)
        # The innermost sink, because its completion can fail, and then no table must appear.
        yield stack.enter_context(picture_sink(output, info, settings))


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """The frames of a store from `begin` up to but excluding `end`: numbers and times."""

    begin: int
    end: int
    frame: NDArray[np.int64]
    time_s: NDArray[np.float64]

    @classmethod
    def of(cls, store: Store, settings: Settings) -> "_Part":
        """Return the frames in the time span of the settings."""
        begin, end = places_of(store, settings)
        numbers, times_s = store.array("frame"), store.array("time_s")
        return cls(begin, end, numbers[begin:end], times_s[begin:end])


class _Job(NamedTuple):
    """The compared maps: their stores and kind, the part, and the size of the pictures.

    `highest` has the speed that is shown as 1 in each frame, in diagonals per second.
    """

    stores: list[Store]
    map: Compared
    part: _Part
    size: tuple[int, int]
    highest: NDArray[np.float64]


class _Shown(NamedTuple):
    """A map as it is shown, [0, 1], and the position of its maximum."""

    values: Map
    peak: tuple[float, float] | None


def _check_arguments(stores: Sequence[Store | str | Path], map: Compared) -> None:
    """Raise `UsageError` unless this number of stores and this map can be compared."""
    if map not in get_args(Compared):
        raise UsageError(choice_message("map", map, get_args(Compared)))
    is_one = isinstance(stores, (str, Path, Store))
    if is_one or not 2 <= len(stores) <= MOST_STORES:
        count = 1 if is_one else len(stores)
        raise UsageError(f"a comparison needs 2 to {MOST_STORES} stores, got {count}")


def _require_comparable(stores: Sequence[Store], map: Compared) -> None:
    """Raise `VidsalError` unless all stores have the same frames, and all have the map."""
    for store in stores[1:]:
        _require_alike(stores[0], store)
    for store in stores:
        if map == "static" and store.settings.model == "none":
            raise VidsalError(
                f"{store.path} has no static map, since it was made without a network: "
                f"{option('map', 'fused')} and {option('map', 'motion')} compare the others"
            )


def _require_alike(first: Store, other: Store) -> None:
    """Raise `VidsalError` unless two stores have the same frames of one source."""
    one, two = first.about["source"], other.about["source"]
    if one.get("checksum") != two.get("checksum"):
        is_changed = ", which has changed in between" if one["name"] == two["name"] else ""
        raise VidsalError(
            f"{other.path} was made of {two['name']}, {first.path} of {one['name']}{is_changed}: "
            "only analyses of one source can be compared"
        )
    if not all(np.array_equal(first.array(name), other.array(name)) for name in _OF_FRAMES):
        raise VidsalError(
            f"{other.path} has {_extent(other)}, {first.path} has {_extent(first)}: run both with "
            f"the same {option('start')}, {option('end')} and {option('every')}"
        )


_OF_FRAMES = ("frame", "time_s")


def _extent(store: Store) -> str:
    times_s = store.array("time_s")
    return f"{len(store)} frames from {times_s[0]:g} to {times_s[-1]:g} s"


def _checked_names(names: Sequence[str], count: int) -> list[str]:
    """Return the given names; raise `UsageError` if they are invalid."""
    names = [one.strip() for one in (names.split(",") if isinstance(names, str) else names)]
    if len(names) != count or len({*names}) != count or not all(names):
        raise UsageError(
            f"{option('names')} must be {count} different names, one for each store, got "
            f"{', '.join(map(repr, names))}"
        )
    return names


def _settings(store: Store, options: dict[str, Any]) -> Settings:
    """Return settings: from the store for the source, from `options` for output and picture.

    Options that are not given have their defaults, because the options of the runs may differ.
    """
    known = {field.name: field.default for field in dataclasses.fields(Settings)}
    for name in options:
        if name not in compared_options():
            kind = "an option" if name not in known else "an option of a comparison"
            raise UsageError(f"{option(name)} is not {kind}")
    kept = ("start", "end", "duration")
    fresh = {name: known[name] for name in compared_options() if name not in kept}
    settings = dataclasses.replace(store.settings, **{**fresh, **options})
    return part_of(store, settings, options)


def _with_output(settings: Settings, info: SourceInfo) -> Settings:
    """Return the settings with the name of the output; the default is made of the source's name."""
    if settings.output is not None:
        return settings
    suffix = codecs.suffix_for(settings.codec) if info.fps else IMAGE_SUFFIXES[0]
    name = shortened(Path(info.name).stem, f"_comparison{suffix}")
    return dataclasses.replace(settings, output=Path(name))


def _agreements(job: _Job, names: Sequence[str], watch: Progress | None) -> tuple[Agreement, ...]:
    """Return the agreement of each store with the first one in each frame.

    The pictures of the source are not needed for this.
    """
    found: list[list[Figures]] = [[] for _ in job.stores[1:]]
    size = _common_size(job.stores)
    with prefetch(_maps_of_all(job), ANALYSED_FRAMES) as shown:
        for maps in watch(shown, len(job.part.frame)) if watch else shown:
            values = [shrink(one.values, size) for one in maps]
            for column, other, theirs in zip(found, maps[1:], values[1:], strict=True):
                column.append(figures(values[0], theirs, (maps[0].peak, other.peak), job.size))
    return tuple(
        Agreement.of(names[0], name, job.part.frame, job.part.time_s, column)
        for name, column in zip(names[1:], found, strict=True)
    )


def _compared_frames(
    job: _Job, agreements: Sequence[Agreement], pictures: Source, watch: Progress | None
) -> Generator[ComparedFrame, None, None]:
    """Yield the frames of the part with their maps."""
    first, part, count = job.stores[0], job.part, 0
    with (
        prefetch(pictures.frames(), DECODED_FRAMES) as frames,
        prefetch(_maps_of_all(job), ANALYSED_FRAMES) as shown,
    ):
        for frame in watch(frames, part.end) if watch else frames:
            n = count - part.begin
            if count == part.end < len(first):
                return
            count += 1
            if 0 <= n < len(part.frame):
                require_same(first, frame, int(part.frame[n]))
                yield _compared(job, frame, next(shown), [one.at(n) for one in agreements], n)
        check_all(first, pictures, count)


def _compared(
    job: _Job, frame: Frame, maps: Sequence[_Shown], found: Sequence[Figures], n: int
) -> ComparedFrame:
    """Return a frame with its maps and figures, as they are drawn."""
    size = _common_size(job.stores)
    high = "1" if job.map != "motion" else f"{job.highest[n]:.2f}/s"
    return ComparedFrame(
        frame=frame, maps=tuple(one.values for one in maps),
        peaks=tuple(one.peak for one in maps),
        difference=difference([shrink(one.values, size) for one in maps]),
        notes=tuple(_note(one) for one in found), high=high,
    )  # fmt: skip


def _note(found: Figures) -> str:
    """Return the figures of a frame as the text of a panel."""
    if math.isnan(found.cc):
        return "a map is flat"
    parts = (
        f"CC {found.cc:.2f}".replace("-", MINUS),
        f"SIM {found.sim:.2f}",
        f"peaks {found.peak_distance:.2f} apart",
    )
    return NOTE_GAP.join(parts)


def _common_size(stores: Sequence[Store]) -> tuple[int, int]:
    """Return the size of the smallest maps. Enlarged maps would not contain more."""
    return min((one.size for one in stores), key=math.prod)


def _maps_of_all(job: _Job) -> Iterator[tuple[_Shown, ...]]:
    """Yield the maps of all stores, frame by frame."""
    if job.map == "fused":
        each = [_fused_maps(one, job.part) for one in job.stores]
    elif job.map == "static":
        each = [_static_maps(one, job.part) for one in job.stores]
    else:
        each = [_motion_maps(one, job.part, job.highest) for one in job.stores]
    yield from zip(*each, strict=True)


def _fused_maps(store: Store, part: _Part) -> Iterator[_Shown]:
    """Yield the fused maps as they were shown, with their peaks from before clipping."""
    for frame in store.frames(part.begin, part.end, without=("gradient",)):
        yield _Shown(frame.fused, frame.peak)


def _static_maps(store: Store, part: _Part) -> Iterator[_Shown]:
    """Yield the static maps on the scales of their analysis. The scales are computed again.

    Static maps do not depend on the pictures, so blank pictures suffice.
    """
    blank = np.zeros((*store.size, 3), np.uint8)
    numbers = zip(store.array("frame"), store.array("time_s"), strict=True)
    frames = (Frame(blank, int(index), float(time_s)) for index, time_s in numbers)
    settings = dataclasses.replace(store.settings, fusion="static")
    for found in islice(results_of(store, frames, settings), part.begin, part.end):
        assert found.static is not None and found.gradient is not None
        yield _Shown(found.static, peak(found.gradient) if found.static.any() else None)


def _motion_maps(store: Store, part: _Part, highest: NDArray[np.float64]) -> Iterator[_Shown]:
    """Yield speeds on the common scale."""
    frames = store.frames(part.begin, part.end, without=("gradient", "fused"))
    for frame, high in zip(frames, highest, strict=True):
        values = clipped(scaled(frame.speed, low=0.0, high=float(high)))
        yield _Shown(values, peak(frame.speed))


def _highest_speeds(stores: Sequence[Store], part: _Part) -> NDArray[np.float64]:
    """Return the largest speed that an analysis showed as 1, for each frame.

    All analyses measure speeds in the same unit, so one scale fits all.
    """
    highs = [one.array("motion_high")[part.begin : part.end] for one in stores]
    return np.asarray(np.max(highs, axis=0), np.float64)
