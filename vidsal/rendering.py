"""New pictures of a stored analysis: no network, no optical flow."""

import dataclasses
import math
import os
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast

import numpy as np

from vidsal import image_ops
from vidsal.analyser import ANALYSED_FRAMES, DECODED_FRAMES, draw, name_of, source_opener
from vidsal.errors import UsageError, VidsalError, option
from vidsal.media import codecs
from vidsal.motion.compensated import still
from vidsal.pipeline import Outcome, check_count
from vidsal.runtime.allocation import keep_freed
from vidsal.runtime.prefetch import prefetch
from vidsal.runtime.progress import Progress, choose_progress
from vidsal.saliency.fusion_stage import FusionStage
from vidsal.saliency.motion_stage import FrameMotion
from vidsal.saliency.scenes import SceneEvent
from vidsal.saliency.state import FusionState
from vidsal.saliency.static_stage import StaticMap
from vidsal.settings import FusionOptions, Settings, redrawn_options
from vidsal.sinks import claim_outputs, open_sinks
from vidsal.sinks.fingerprint import source_identity
from vidsal.sinks.image import IMAGE_SUFFIXES
from vidsal.sources.base import Source
from vidsal.sources.resolve import Pictures
from vidsal.store.reader import Store, StoredFrame, lent_store, point_of
from vidsal.types import Frame, Saliency


def render_store(
    store: Store | str | Path,
    *,
    source: Any = None,
    progress: bool | Progress = True,
    **options: Any,
) -> Path:
    """Write a new video, or picture, of a stored analysis, as ``vidsal render`` does.

    TensorFlow is not loaded. With the options of the analysis the result is that of the analysis.

    Parameters
    ----------
    store : Store, str or Path
        A store (folder or zip file) that ``vidsal run --keep`` wrote, or what
        `vidsal.open_store` returns.
    source : str or path-like, optional
        The source, if it does not lie where it was.
    progress : bool or callable, optional
        As for `vidsal.run`.
    **options
        Options of output, part, scale, fusion and picture, and ``contrast``, by their names in
        `vidsal.Settings`; the others stay as they were.

    Returns
    -------
    Path
        The file that was written.

    Raises
    ------
    UsageError
        If an option is invalid, or is one that the analysis decided.
    VidsalError
        If the store or the source cannot be used. No output is left then.
    """
    outcome = process_store(store, options, source=source, progress=progress)
    assert outcome.output is not None
    return outcome.output


def process_store(
    store: Store | str | Path,
    options: dict[str, Any],
    *,
    source: Any = None,
    progress: bool | Progress = True,
) -> Outcome:
    """Write what `render_store` writes, and return the outcome.

    Parameters
    ----------
    store : Store, str or Path
    options : dict
        By their names in `vidsal.Settings`.
    source : str or path-like, optional
    progress : bool or callable, optional

    Raises
    ------
    UsageError, VidsalError
        See `render_store`.
    """
    keep_freed()
    with lent_store(store) as opened:
        return _write_pictures(opened, options, source, progress)


def _write_pictures(
    opened: Store, options: dict[str, Any], source: Any, progress: bool | Progress
) -> Outcome:
    """Write new pictures of a store, and return the outcome."""
    began_s = time.perf_counter()
    settings = redrawn(opened, options)
    if opened.about["fps"] and settings.output and settings.output.suffix in IMAGE_SUFFIXES:
        raise UsageError(
            f"{option('output', str(settings.output))}: a picture of a video is that of a time, or "
            f"a contact sheet: add {option('at', 2.5)} or {option('sheet', 12)}"
        )
    if "output" in options and "codec" not in options:
        # The codec of the run may not fit another container.
        settings = dataclasses.replace(settings, codec=None)
    where = _place_of(opened) if source is None else source
    chosen = choose_progress(progress, label=name_of(where)) or (lambda results, _: results)
    begin_s, end_s = settings.part_s
    require_outside(opened, settings.output, settings.table, settings.maps)
    with stored_source(opened, settings, where) as (part, pictures):
        info = part.info
        output = claim_outputs(info, settings)
        count, written = 0, 0
        with (
            open_sinks(info, settings, output) as sinks,
            prefetch(pictures.frames(), DECODED_FRAMES) as frames,
            prefetch(results_of(opened, frames, settings), ANALYSED_FRAMES) as results,
        ):
            for saliency in chosen(results, len(opened)):
                if saliency.frame.time_s >= end_s:
                    break
                count += 1
                if saliency.frame.time_s >= begin_s:
                    sinks.write(saliency, draw(saliency, settings))
                    written += 1
            else:
                # Before the outputs get their final names.
                check_all(opened, pictures, count)
        found = pictures.findings()
    return Outcome(
        source=info.name, output=output, frames=written, decoded=count, left_out=found.left_out,
        damaged=found.damaged, is_cut_off=found.is_cut_off, decoder=found.decoder,
        model=opened.about.get("model_name") or "none", height_px=info.height_px,
        width_px=info.width_px, fps=info.fps and codecs.rate_of(output, info.fps),
        seconds=time.perf_counter() - began_s,
    )  # fmt: skip


def require_redrawn(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options, after checking that the analysis did not decide one of them.

    Parameters
    ----------
    options : dict
        By their names in `vidsal.Settings`.

    Raises
    ------
    UsageError
        If it did.
    """
    known = {field.name for field in dataclasses.fields(Settings)}
    for name in options:
        if name not in known:
            raise UsageError(f"{name}= is not an option")
        if name not in redrawn_options():
            raise UsageError(
                f"{option(name)} cannot be changed: the analysis is done. Run it again with "
                "another value"
            )
    return options


def redrawn(store: Store, options: dict[str, Any]) -> Settings:
    """Return the settings of a store with other options, which the analysis did not decide.

    Parameters
    ----------
    store : Store
    options : dict
        By their names in `vidsal.Settings`.

    Raises
    ------
    UsageError
        If an option is invalid, or the analysis decided it, or the part is not in the store.
    """
    settings = dataclasses.replace(store.settings, **require_redrawn(options))
    return part_of(store, settings, options)


def check_all(store: Store, source: Source, count: int) -> None:
    """Check that no frames of a store or of its source are lost.

    Parameters
    ----------
    store : Store
    source : Source
        It has been read to its end.
    count : int
        How many of its frames were used.

    Raises
    ------
    VidsalError
        If some are.
    """
    check_count(source, count)
    if count != len(store):
        raise VidsalError(f"{store.path} has {len(store)} frames, its source {count}")


def part_of(store: Store, settings: Settings, options: dict[str, Any]) -> Settings:
    """Return settings with the part that is asked for, which lies in the stored one.

    Parameters
    ----------
    store : Store
    settings : Settings
    options : dict
        The options that were given, by name: ``start``, ``end`` and ``duration`` matter here.

    Raises
    ------
    UsageError
        If it does not.
    """
    first_s, last_s = store.settings.part_s
    # As the settings have read them: an option may be "1:00".
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


def places_of(store: Store, settings: Settings) -> tuple[int, int]:
    """Return the places in a store of the first frame of a part, and of the first one behind it.

    Parameters
    ----------
    store : Store
    settings : Settings
        The part that is wanted, see `part_of`.

    Raises
    ------
    UsageError
        If no frame lies in it.
    """
    begin_s, end_s = settings.part_s
    if settings.part_s == store.settings.part_s:
        return 0, len(store)
    begin, end = np.searchsorted(store.array("time_s"), (begin_s, end_s)).tolist()
    if begin == end:
        raise UsageError(f"{store.path} has no frame from {begin_s:g} to {end_s:g} s")
    return begin, end


def _sum(begin_s: float, lasts_s: float | None) -> float | None:
    return None if lasts_s is None else begin_s + lasts_s


def _place_of(store: Store) -> Any:
    """Return the source of a store: where it lies now, else where it lay."""
    if store.source is not None:
        return store.source
    stored = store.about["source"]
    name = stored["name"]
    # A source that was no file is refused later, for this reason.
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


def frame_of_store(store: Store, frame: StoredFrame) -> Frame:
    """Return a frame of a store's source, decoded again.

    Parameters
    ----------
    store : Store
    frame : StoredFrame

    Raises
    ------
    VidsalError
        If the source is missing, is another one, or lacks the frame.
    """
    # Times are rounded, hence the millisecond.
    start_s = max(0.0, frame.time_s - 1e-3)
    settings = dataclasses.replace(
        store.settings, start=start_s or None, end=None, duration=None, every=1
    )
    with source_of(store, settings) as opened:
        found = next((one for one in opened.frames() if one.index >= frame.frame), None)
    if found is None or found.index != frame.frame:
        raise VidsalError(f"{store.path}: its source has no frame {frame.frame}")
    return found


def require_outside(store: Store, *paths: Path | None) -> None:
    """Check that no result would lie in a store.

    Parameters
    ----------
    store : Store
    *paths : Path or None

    Raises
    ------
    UsageError
        If one does.
    """
    for path in filter(None, paths):
        # Path.resolve fails for a link to itself; os.path.realpath does not.
        if Path(os.path.realpath(path)).is_relative_to(os.path.realpath(store.path)):
            raise UsageError(f"{path} lies in the store {store.path}: give another name")


@contextmanager
def stored_source(
    store: Store, settings: Settings, where: Any = None
) -> Iterator[tuple[Source, Source]]:
    """Lend the source of a part of a store, after checking that it is the same.

    Parameters
    ----------
    store : Store
    settings : Settings
        The part that is wanted, see `part_of`.
    where : str or path-like, optional
        The source, if it does not lie where it was.

    Yields
    ------
    part, pictures : Source
        The first knows the sound and the length of the part. The second has all frames that were
        analysed, so that a part looks as it does in the whole. For the whole they are one.

    Raises
    ------
    VidsalError
        If the source is missing, cannot be read, or is another one.
    """
    is_part = settings.part_s != store.settings.part_s
    with (
        source_of(store, settings, where) as part,
        source_of(store, store.settings, where) if is_part else nullcontext(part) as pictures,
    ):
        yield part, pictures


@contextmanager
def source_of(store: Store, settings: Settings, where: Any = None) -> Iterator[Source]:
    """Lend the source of a store, after checking that it is the same.

    Parameters
    ----------
    store : Store
    settings : Settings
        Which part of it to read, and how.
    where : str or path-like, optional
        The source, if it does not lie where it was.

    Yields
    ------
    Source

    Raises
    ------
    VidsalError
        If it is missing, cannot be read again, or is another one.
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


def results_of(store: Store, frames: Iterable[Frame], settings: Settings) -> Iterator[Saliency]:
    """Yield the saliency of frames from their stored maps, scaled and fused anew.

    Parameters
    ----------
    store : Store
    frames : iterable of Frame
        All that were analysed, in order.
    settings : Settings

    Raises
    ------
    VidsalError
        If the store lacks a frame, or has another one.
    """
    results = FusionStage(settings, FusionState()).run(_static_maps(store, frames))
    if not _is_fused_alike(settings, store.settings):
        yield from results
        return
    # The points of the run. Maps are rounded in a store, and where two places are about as high,
    # rounding would choose another one.
    points = zip(store.array("peak"), store.array("marker"), strict=True)
    for saliency, (peak, marker) in zip(results, points, strict=False):
        yield dataclasses.replace(saliency, peak=point_of(peak), marker=point_of(marker))


def _is_fused_alike(one: Settings, other: Settings) -> bool:
    """Return whether two runs with these settings scale and fuse in the same way."""
    names = (*(field.name for field in dataclasses.fields(FusionOptions)), "contrast", "smooth")
    return all(getattr(one, name) == getattr(other, name) for name in names)


def _static_maps(store: Store, frames: Iterable[Frame]) -> Iterator[StaticMap]:
    """Yield the stored maps of frames, as the static stage yields them."""
    size, scene = store.size, None
    # The maps are fused anew.
    for frame, found in with_stored(store, frames, without=("fused",)):
        # In a flash the scene is the frame before it.
        if scene is None or found.event != "flash":
            scene = image_ops.shrink(frame.rgb, size)
        movement = dataclasses.replace(still(size), camera=found.camera)
        event = cast(SceneEvent, found.event)
        motion = FrameMotion(frame, scene, movement, found.speed, event)
        yield StaticMap(motion, found.gradient, found.prediction)


def with_stored(
    store: Store, frames: Iterable[Frame], *, without: Collection[str] = ()
) -> Iterator[tuple[Frame, StoredFrame]]:
    """Yield frames with their stored results.

    Parameters
    ----------
    store : Store
    frames : iterable of Frame
        All that were analysed, in order.
    without : collection of str
        Maps that are not read, see `Store.frames`.

    Yields
    ------
    (Frame, StoredFrame)

    Raises
    ------
    VidsalError
        If the store lacks a frame, or has another one.
    """
    stored = store.frames(without=without)
    for frame in frames:
        found = next(stored, None)
        if found is None or found.frame != frame.index:
            raise VidsalError(
                f"{store.path} and its source do not fit: frame {frame.index} is not the next one"
            )
        yield frame, found
