"""Maps scored against what people look at and where objects are, on folders of clips and photos.

A score is the mean over a clip's frames, then the mean over clips; its interval is a bootstrap
over clips. Which frames are scored is drawn from a seed, never chosen.
"""

import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, takewhile, tee
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidsal import image_ops
from vidsal._version import __version__
from vidsal.errors import UsageError, VidsalError
from vidsal.evaluation import metrics
from vidsal.evaluation.bootstrap import bootstrap
from vidsal.evaluation.datasets import (
    FIXATIONS,
    Clip,
    Dataset,
    Truth,
    open_datasets,
    read_map,
    sampled,
    tell_left_out,
)
from vidsal.evaluation.report import Report, Table, counted
from vidsal.runtime.opencv import cv2
from vidsal.saliency.fusion import centre_prior
from vidsal.saliency.fusion_stage import FusionStage
from vidsal.saliency.normalization import DisplayScale, clipped
from vidsal.saliency.state import FusionState
from vidsal.saliency.stream import SaliencyStream
from vidsal.settings import Fusion, Settings, flag
from vidsal.static.models import ModelChoice, check_target, choose, open_static
from vidsal.types import Map, Saliency, StaticStage

Progress = Callable[[Iterable[Any], int | None], Iterable[Any]]
# How to name a row, and its maps.
Rows = Iterator[tuple[str, Map]]

# Frames before a scored one that are analysed for its sake: three times the memory of 16 samples.
HISTORY = 24
# What rows of our own begin with.
_ROWS = ("centre prior", "raw flow", "compensated flow", "static", "fused")


def evaluate(
    folders: Sequence[Path],
    settings: Settings | None = None,
    *,
    models: Sequence[str] = (),
    fusions: Sequence[Fusion] = (),
    against: Mapping[str, Path] | None = None,
    frames_per_clip: int = 12,
    seed: int = 0,
    progress: Progress | None = None,
) -> Report:
    """Score the maps on every dataset in some folders.

    Parameters
    ----------
    folders : sequence of Path
        See `vidsal.datasets`.
    settings : Settings, optional
    models : sequence of str, optional
        Networks; by default the one of the settings.
    fusions : sequence of str, optional
        Ways to fuse; by default the one of the settings.
    against : mapping of str to Path, optional
        Folders of other programs' maps, ``CLIP/NNNNN.png`` (the frame's number, or its file's
        name) or ``PHOTO.png``, by the name of their row.
    frames_per_clip : int
        Each from another one of so many equal parts of the clip.
    seed : int
        Which frame of each part.
    progress : callable, optional
        Gets the clips and their number, and hands the clips on.

    Raises
    ------
    UsageError
        If a folder of maps is none, or its name is that of a row of vidsal's own; if two
        networks are called alike.
    VidsalError
        If there is nothing to score, or a file or network cannot be used.
    """
    # The prior has a row of its own.
    settings = dataclasses.replace(settings or Settings(), centre_prior=0.0)
    against = against or {}
    _check_names(against)
    judges = [
        _Judge(dataset, frames_per_clip, seed, against)
        for folder in folders
        for dataset in open_datasets(folder)
    ]
    # After the data: weights may have to be downloaded.
    networks = _networks(settings, models, with_bar=progress is not None)
    ways = list(dict.fromkeys(fusions)) or [settings.fusion]
    # All of them now: the last one may be scored in an hour.
    stages = {name: open_static(choice, own) for name, (choice, own) in networks.items()}
    for name, static in stages.items():
        _, chosen = networks[name]
        label = f" ({name})" if len(networks) > 1 else ""
        work = [(judge, clip) for judge in judges for clip in judge.dataset.clips]
        for judge, clip in progress(work, len(work)) if progress else work:
            for fused_by in _analysed(clip, judge.numbers[clip.name], static, chosen, ways):
                judge.score(clip, fused_by, label)
    tables = [table for judge in judges if (table := judge.table()).rows]
    if not tables:
        raise VidsalError(
            f"nothing to score: no frame has {FIXATIONS} fixations in the picture, or a mask with "
            "an object in it"
        )
    about = [f"vidsal {__version__}", f"{counted(frames_per_clip, 'frame')} a clip"]
    if any(stage is not None for stage in stages.values()):
        about.append(f"fusion {' and '.join(ways)} of gain {settings.gain:g}")
    about += [f"{flag(name)} {value}" for name, value in _deciding(settings).items()]
    return Report(tuple(networks), seed, tables, ", ".join(about))


def _networks(
    settings: Settings, models: Sequence[str], *, with_bar: bool
) -> dict[str, tuple[ModelChoice, Settings]]:
    """Return the networks to be scored, and the settings of each, by what their rows say."""
    networks: dict[str, tuple[ModelChoice, Settings]] = {}
    for model in models or [settings.model]:
        own = dataclasses.replace(settings, model=model)
        check_target(own)
        choice = choose(own, progress=with_bar)
        name = choice.name or "none"
        if name in networks:
            raise UsageError(f"--models {' '.join(models)}: two of them are called {name}")
        networks[name] = choice, own
    return networks


def _deciding(settings: Settings) -> dict[str, Any]:
    """Return what else decides the scores and is not at its default."""
    changed = settings.changed(("Network", "Static map", "Motion", "Scale and fusion"))
    told = ("model", "fusion", "gain", "seed", "batch")
    return {name: value for name, value in changed.items() if name not in told}


def _check_names(against: Mapping[str, Path]) -> None:
    """Raise `UsageError` unless each folder of maps can have a row under its name."""
    for name, folder in against.items():
        if name.startswith(tuple(f"{row} " for row in _ROWS)) or name in _ROWS:
            raise UsageError(f"{name} is a row of vidsal's own: give {folder} another name")
        if not folder.is_dir():
            raise UsageError(f"{name}: {folder} is not a folder")


def _analysed(
    clip: Clip,
    wanted: Collection[int],
    static: StaticStage | None,
    settings: Settings,
    ways: Sequence[Fusion],
) -> Iterator[dict[Fusion, Saliency]]:
    """Yield what vidsal makes of the wanted frames, fused in each way, from those before them."""
    frames = clip.frames()
    for first, last in _spans(list(wanted)):
        span = takewhile(
            # One more than is wanted: only what comes next tells a flash from a cut.
            lambda frame, last=last: frame.index <= last + 1,  # type: ignore[misc]
            (frame for frame in frames if frame.index >= first),
        )
        stream = SaliencyStream(static, settings, batch=settings.batch)
        copies = tee(stream.static_maps(span), len(ways))
        each = [
            FusionStage(dataclasses.replace(settings, fusion=way), FusionState()).run(copy)
            for copy, way in zip(copies, ways, strict=True)
        ]
        for saliencies in zip(*each, strict=True):
            if saliencies[0].frame.index in wanted:
                yield dict(zip(ways, saliencies, strict=True))


def _spans(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Return the first and last frames to analyse; spans that would touch are one."""
    spans: list[tuple[int, int]] = []
    for number in numbers:
        first = max(0, number - HISTORY)
        if spans and first <= spans[-1][1] + 2:
            first = spans.pop()[0]
        spans.append((first, number))
    return spans


def _rows(fused_by: Mapping[Fusion, Saliency], clip: Clip, label: str) -> Rows:
    """Yield the maps that are scored, each with the name of its row."""
    one = next(iter(fused_by.values()))
    prior = centre_prior(one.fused.shape)
    yield "centre prior", prior
    if not clip.is_photo:
        raw = np.sqrt((one.movement.backward**2).sum(axis=-1))
        yield "raw flow", clipped(DisplayScale("frame")(raw, 0.0).values)
        yield "compensated flow", one.motion
    if one.static is None:
        return
    yield f"static{label}", one.static
    for way, saliency in fused_by.items():
        name = f"fused{label}" if len(fused_by) == 1 else f"fused by {way}{label}"
        yield name, saliency.fused
        yield f"{name} x centre prior", saliency.fused * prior


class _Judge:
    """The scores on one dataset, as they come."""

    def __init__(
        self, dataset: Dataset, frames_per_clip: int, seed: int, against: Mapping[str, Path]
    ) -> None:
        self.dataset = dataset
        self.numbers: dict[str, list[int]] = {}
        # Of the truth only this is kept: a density or a mask is a picture, of each frame.
        self._points: dict[str, list[NDArray[np.float64]]] = {}
        for clip in dataset.clips:
            truths = sampled(clip, frames_per_clip, seed)
            self.numbers[clip.name] = list(truths)
            self._points[clip.name] = [
                truth.points for truth in truths.values() if truth.points is not None
            ]
        left_out = [name for name, numbers in self.numbers.items() if not numbers]
        tell_left_out(dataset.name, left_out)
        # All of them now: the last one may be scored in an hour.
        self._theirs = {
            (clip.name, number): dict(_their_files(against, clip, number))
            for clip in dataset.clips
            for number in self.numbers[clip.name]
        }
        # By row, measure and clip.
        self._scores: dict[str, dict[str, dict[str, list[float]]]] = {}
        self._seen: set[tuple[str, int]] = set()

    def score(self, clip: Clip, fused_by: Mapping[Fusion, Saliency], label: str) -> None:
        """Take in the maps of one frame."""
        one = next(iter(fused_by.values()))
        number = one.frame.index
        truth = clip.truth(number)
        others = self._others(clip.name) if truth.points is not None else None
        # What does not depend on the network is scored with the first one only.
        is_first = (clip.name, number) not in self._seen
        theirs = self._theirs[clip.name, number] if is_first else {}
        for row, values in chain(_rows(fused_by, clip, label), _read(theirs, one.fused.shape)):
            if not is_first and label not in row:
                continue
            for name, value in _measured(values, truth, others):
                clips = self._scores.setdefault(row, {}).setdefault(name, {})
                clips.setdefault(clip.name, []).append(value)
        self._seen.add((clip.name, number))

    def table(self) -> Table:
        """Return the means of all that was taken in."""
        rows = {
            row: {
                name: bootstrap([float(np.mean(values)) for values in clips.values()])
                for name, clips in measures.items()
            }
            for row, measures in self._scores.items()
        }
        clips = len({clip for clip, _ in self._seen})
        are_photos = all(clip.is_photo for clip in self.dataset.clips)
        return Table(self.dataset.name, clips, len(self._seen), are_photos, rows)

    def _others(self, clip: str) -> NDArray[np.float64]:
        """Return the fixations on the other clips."""
        points = [one for name, each in self._points.items() if name != clip for one in each]
        return np.concatenate([np.zeros((0, 2)), *points])


def _their_files(
    against: Mapping[str, Path], clip: Clip, number: int
) -> Iterator[tuple[str, Path]]:
    """Yield the maps that other programs made of a frame, or raise `VidsalError` for a lack."""
    for name, folder in against.items():
        stem = clip.stems[number] if clip.stems else str(number + clip.first)
        inside = folder if clip.is_photo else folder / clip.name
        found = [path for path in inside.glob("*.png") if _is_same(path.stem, stem)]
        if len(found) != 1:
            raise VidsalError(
                f"{name}: {len(found)} maps for frame {stem} of {clip.name} in {inside}, "
                "expected one PNG file with the number or name of the frame"
            )
        yield name, found[0]


def _read(files: Mapping[str, Path], size: tuple[int, ...]) -> Rows:
    """Yield maps from their files, by their names."""
    for name, path in files.items():
        yield name, image_ops.shrink(read_map(path), (size[0], size[1]))


def _is_same(one: str, other: str) -> bool:
    """Say whether two file names are of one frame: equal, or the same number."""
    return one == other or (one.isdecimal() and other.isdecimal() and int(one) == int(other))


def _measured(
    values: Map, truth: Truth, others: NDArray[np.float64] | None
) -> Iterator[tuple[str, float]]:
    """Yield the scores of one map in each measure that its truth allows."""
    if truth.points is not None and len(truth.points) >= FIXATIONS:
        points = truth.points
        yield "NSS", metrics.nss(values, points)
        yield "AUC-Judd", metrics.auc_judd(values, points)
        if others is not None and len(others):
            yield "sAUC", metrics.shuffled_auc(values, points, others)
        height, width = values.shape
        density = (
            metrics.density(points, (height, width))
            if truth.density is None
            else image_ops.shrink(truth.density, (height, width))
        )
        yield "CC", metrics.cc(values, density)
        yield "SIM", metrics.similarity(values, density)
        yield "KL", metrics.kl(values, density)
    if truth.mask is not None and truth.mask.any() and not truth.mask.all():
        mask = truth.mask
        large = np.asarray(cv2.resize(values, mask.shape[::-1]), np.float32)
        yield "pixel AUC", metrics.pixel_auc(large, mask)
        yield "max-F", metrics.max_f(large, mask)
        yield "S-measure", metrics.s_measure(large, mask)
        yield "pointing", metrics.pointing(large, mask)
        yield "MAE", metrics.mean_absolute_error(large, mask)
