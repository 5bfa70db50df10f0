"""New pictures of a stored analysis, without network and optical flow."""

import dataclasses
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

from vidsal import image_ops
from vidsal.analyser import ANALYSED_FRAMES, DECODED_FRAMES
from vidsal.errors import UsageError, option
from vidsal.media import codecs
from vidsal.motion.compensated import still
from vidsal.pipeline import Outcome, drawing_for
from vidsal.runtime.allocation import keep_freed
from vidsal.runtime.prefetch import prefetch
from vidsal.runtime.progress import Progress, choose_progress
from vidsal.saliency.fusion_stage import FusionStage
from vidsal.saliency.motion_stage import FrameMotion
from vidsal.saliency.scenes import SceneEvent
from vidsal.saliency.state import FusionState
from vidsal.saliency.static_stage import StaticMap
from vidsal.settings import FusionOptions, Settings
from vidsal.settings.stored import redrawn_options
from vidsal.sinks import claim_outputs, open_sinks
from vidsal.sinks.image import IMAGE_SUFFIXES
from vidsal.store.opening import lent_store
from vidsal.store.reader import Store, point_of
from vidsal.stored.source import check_all, part_of, require_outside, stored_source, with_stored
from vidsal.types import Frame, Saliency


def render_store(
    store: Store | str | Path,
    *,
    source: Any = None,
    progress: bool | Progress = True,
    **options: Any,
) -> Path:
    """Write a new video or picture of a stored analysis, as ``vidsal render`` does.

    TensorFlow is not loaded. With the options of the analysis the result is the same as before.

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
        Options of output, part, scale, fusion and picture, and ``contrast``, by their names in
        `vidsal.Settings`. Other options keep the values of the analysis.

    Returns
    -------
    Path
        The file that was written.

    Raises
    ------
    UsageError
        If an option is invalid, or was fixed by the analysis.
    VidsalError
        If the store or the source cannot be used. Then no output is left.
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
    """Do the same as `render_store`, and return the outcome.

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
        # The codec of the run may not be possible in another container.
        settings = dataclasses.replace(settings, codec=None)
    chosen = choose_progress(progress, label=opened.source_name) or (lambda results, _: results)
    begin_s, end_s = settings.part_s
    require_outside(opened, settings.output, settings.table, settings.maps)
    with stored_source(opened, settings, source) as (part, pictures):
        info = part.info
        output = claim_outputs(info, settings)
        draw = drawing_for(output, settings)
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
                    sinks.write(saliency, draw(saliency))
                    written += 1
            else:
                # This check comes before the outputs get their final names.
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
    """Return the options, after checking that the analysis did not fix any of them.

    Parameters
    ----------
    options : dict
        By their names in `vidsal.Settings`.

    Raises
    ------
    UsageError
        If it did fix one.
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
    """Return the settings of a store with changed options, which the analysis did not fix.

    Parameters
    ----------
    store : Store
    options : dict
        By their names in `vidsal.Settings`.

    Raises
    ------
    UsageError
        If an option is invalid, or the analysis fixed it, or the part is not in the store.
    """
    settings = dataclasses.replace(store.settings, **require_redrawn(options))
    return part_of(store, settings, options)


def results_of(store: Store, frames: Iterable[Frame], settings: Settings) -> Iterator[Saliency]:
    """Yield the saliency of frames from their stored maps, scaled and fused again.

    Parameters
    ----------
    store : Store
    frames : iterable of Frame
        All analysed frames, in order.
    settings : Settings

    Raises
    ------
    VidsalError
        If the store lacks a frame, or has a different frame.
    """
    results = FusionStage(settings, FusionState()).run(_static_maps(store, frames))
    if not _is_fused_alike(settings, store.settings):
        yield from results
        return
    # Use the points of the run. Maps are rounded in a store. If two positions have about the same
    # value, rounding could select the other one.
    points = zip(store.array("peak"), store.array("marker"), strict=True)
    for saliency, (peak, marker) in zip(results, points, strict=False):
        yield dataclasses.replace(saliency, peak=point_of(peak), marker=point_of(marker))


def _is_fused_alike(one: Settings, other: Settings) -> bool:
    """Return whether two settings scale and fuse in the same way."""
    names = (*(field.name for field in dataclasses.fields(FusionOptions)), "contrast")
    return all(getattr(one, name) == getattr(other, name) for name in names)


def _static_maps(store: Store, frames: Iterable[Frame]) -> Iterator[StaticMap]:
    """Yield the stored maps of frames in the form of the static stage."""
    size, scene = store.size, None
    # The stored fused maps are not needed, because the maps are fused again.
    for frame, found in with_stored(store, frames, without=("fused",)):
        # During a flash the scene stays that of the frame before it.
        if scene is None or found.event != "flash":
            scene = frame.resized(size, image_ops.shrink)
        movement = dataclasses.replace(still(size), camera=found.camera)
        event = cast(SceneEvent, found.event)
        motion = FrameMotion(frame, scene, movement, found.speed, event)
        yield StaticMap(motion, found.gradient, found.prediction)
