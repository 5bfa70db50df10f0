"""Scores of saliency maps against fixations and object masks, on folders of clips and photos.

A score is the mean over the frames of a clip, then the mean over clips. Its interval is a
bootstrap over clips. A seed decides which frames are scored.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vidsal._version import __version__
from vidsal.errors import UsageError, VidsalError, option
from vidsal.evaluation.arguments import (
    Progress,
    check_count,
    choices_of,
    one_or_more,
    with_progress,
)
from vidsal.evaluation.datasets import MIN_FIXATIONS, open_datasets
from vidsal.evaluation.excerpts import analyse_excerpts
from vidsal.evaluation.external_maps import external_folders
from vidsal.evaluation.report import EvaluationReport, counted
from vidsal.evaluation.scores import DatasetScores
from vidsal.settings import Fusion, Settings, settings_of
from vidsal.static.models import ModelChoice, check_target, choose, open_static
from vidsal.types import StaticStage

AnyPath = str | os.PathLike[str]


def evaluate(
    folders: AnyPath | Sequence[AnyPath],
    settings: Settings | None = None,
    *,
    models: Any = (),
    fusions: Fusion | Sequence[Fusion] = (),
    against: Mapping[str, AnyPath] | None = None,
    frames_per_clip: int = 12,
    seed: int = 0,
    progress: Progress | None = None,
) -> EvaluationReport:
    """Score saliency maps against what people look at and where objects are.

    Parameters
    ----------
    folders : path, or sequence of paths
        Datasets, or folders of datasets; see `vidsal.evaluation.datasets` for the layouts.
    settings : Settings, optional
        ``centre_prior`` has no effect: maps with the prior have rows of their own.
    models : str or Keras model, or sequence of these, optional
        Networks; by default that of the settings.
    fusions : str, or sequence of str, optional
        Ways to fuse; by default that of the settings.
    against : mapping of str to path, optional
        Folders with maps of other programs, by the names of their rows. The files are
        ``CLIP/NNNNN.png`` (number of the frame, or name of its file) or ``PHOTO.png``. For
        folders of ``vidsal run --maps``, which hold ``fused/NNNNNN.png``, the numbers are
        positions: ``CLIP`` or ``PHOTO`` is such a folder, or the path itself for a single clip.
    frames_per_clip : int
        Number of frames scored in each clip, one from each of as many equal parts.
    seed : int
        Decides which frame of each part.
    progress : callable, optional
        Gets the clips and their number, and yields the clips.

    Returns
    -------
    EvaluationReport
        One table for each dataset; ``str()`` of it prints them, `to_dict` returns the numbers.

    Raises
    ------
    UsageError
        If an argument is invalid: a folder of maps does not exist, its name is that of a row of
        vidsal's own, or two networks have the same name.
    VidsalError
        If there is nothing to score, or a file or network cannot be used.

    See Also
    --------
    faithfulness : Measures whether the static maps explain the network.

    Examples
    --------
    >>> report = evaluate("DATA", Settings(model="lite0"))  # doctest: +SKIP
    >>> print(report)  # doctest: +SKIP
    """
    settings = dataclasses.replace(settings_of(settings), centre_prior=0.0)
    check_count("frames_per_clip", frames_per_clip)
    paths = [Path(folder) for folder in one_or_more(folders, "folders")]
    external = external_folders(against or {})
    datasets = [dataset for path in paths for dataset in open_datasets(path)]
    collected = [
        DatasetScores(dataset, frames_per_clip, seed, external, is_only=len(datasets) == 1)
        for dataset in datasets
    ]
    ways = _fusions(settings, fusions)
    networks = _open_networks(settings, models, progress=progress is not None)
    for network in networks:
        label = f" ({network.name})" if len(networks) > 1 else ""
        _score_network(collected, network, ways, label, progress)
    tables = [table for scores in collected if (table := scores.table()).rows]
    if not tables:
        raise VidsalError(
            f"nothing to score: no frame has {MIN_FIXATIONS} fixations in the picture, or a mask "
            "with an object in it"
        )
    names = tuple(network.name for network in networks)
    has_network = any(network.stage is not None for network in networks)
    about = _about(settings, frames_per_clip, ways if has_network else [])
    return EvaluationReport(names, seed, tables, about)


class _Network(NamedTuple):
    """A network that is scored, with the settings that name it."""

    name: str
    stage: StaticStage | None
    settings: Settings


def _open_networks(settings: Settings, models: Any, *, progress: bool) -> list[_Network]:
    """Open all networks, before the first is scored: scoring may take an hour."""
    choices: dict[str, tuple[ModelChoice, Settings]] = {}
    for model in choices_of(models) or [settings.model]:
        own = dataclasses.replace(settings, model=model)
        check_target(own)
        choice = choose(own, progress=progress)
        name = choice.name or "none"
        if name in choices:
            raise UsageError(f"{option('models')} has two networks with the name {name}")
        choices[name] = choice, own
    return [
        _Network(name, open_static(choice, own), own) for name, (choice, own) in choices.items()
    ]


def _fusions(settings: Settings, fusions: Any) -> list[Fusion]:
    """Return the ways to fuse, checked and without repetition."""
    names = choices_of(fusions) or [settings.fusion]
    return list(dict.fromkeys(dataclasses.replace(settings, fusion=one).fusion for one in names))


def _score_network(
    collected: Sequence[DatasetScores],
    network: _Network,
    fusions: Sequence[Fusion],
    label: str,
    progress: Progress | None,
) -> None:
    """Add the scores of one network on all clips."""
    clips = [(scores, clip) for scores in collected for clip in scores.dataset.clips]
    for scores, clip in with_progress(clips, progress):
        numbers = scores.numbers[clip.name]
        for by_fusion in analyse_excerpts(clip, numbers, network.stage, network.settings, fusions):
            scores.add(clip, by_fusion, label)


def _about(settings: Settings, frames_per_clip: int, fusions: Sequence[Fusion]) -> str:
    """Return the version, and all options that decide the scores and are not at their defaults."""
    about = [f"vidsal {__version__}", f"{counted(frames_per_clip, 'frame')} a clip"]
    if fusions:
        about.append(f"fusion {' and '.join(fusions)} of gain {settings.gain:g}")
    changed = settings.changed(("Network", "Static map", "Motion", "Scale and fusion"))
    # These are given elsewhere in the report, or do not change the scores.
    elsewhere = ("model", "fusion", "gain", "seed", "batch")
    about += [
        option(name, str(value) if isinstance(value, Path) else value)
        for name, value in changed.items()
        if name not in elsewhere
    ]
    return ", ".join(about)
