"""The scores of all kinds of maps on one dataset."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidsal import image_ops
from vidsal.evaluation import metrics
from vidsal.evaluation.bootstrap import Interval, bootstrap
from vidsal.evaluation.datasets import MIN_FIXATIONS, Clip, Dataset, Truth, sampled, warn_skipped
from vidsal.evaluation.external_maps import find_maps, read_maps
from vidsal.evaluation.report import Table
from vidsal.runtime.opencv import cv2
from vidsal.saliency.fusion import centre_prior
from vidsal.saliency.normalization import DisplayScale, clipped
from vidsal.settings import Fusion
from vidsal.types import Map, Saliency


class DatasetScores:
    """Collects the scores on one dataset.

    Parameters
    ----------
    dataset : Dataset
    frames_per_clip : int
        Number of frames to score in each clip.
    seed : int
        Decides which frames.
    external : mapping of str to Path
        Folders of other programs' maps, by the names of their rows.
    is_only : bool
        Whether there is no other dataset.

    Attributes
    ----------
    dataset : Dataset
    numbers : dict of str to list of int
        The frames to score of each clip.

    Raises
    ------
    VidsalError
        If a map of another program is missing.
    """

    def __init__(
        self,
        dataset: Dataset,
        frames_per_clip: int,
        seed: int,
        external: Mapping[str, Path],
        *,
        is_only: bool = True,
    ) -> None:
        self.dataset = dataset
        self.numbers: dict[str, list[int]] = {}
        # Only fixations are kept: the densities and masks of all frames need too much memory.
        self._points: dict[str, list[NDArray[np.float64]]] = {}
        for clip in dataset.clips:
            truths = sampled(clip, frames_per_clip, seed)
            self.numbers[clip.name] = list(truths)
            self._points[clip.name] = [
                truth.points for truth in truths.values() if truth.points is not None
            ]
        warn_skipped(dataset.name, [name for name, frames in self.numbers.items() if not frames])
        # Found before the first clip is scored: scoring may take an hour.
        is_only_clip = is_only and len(dataset.clips) == 1
        self._external = {
            (clip.name, number): find_maps(external, clip, number, is_only_clip=is_only_clip)
            for clip in dataset.clips
            for number in self.numbers[clip.name]
        }
        # By row, metric and clip.
        self._scores: dict[str, dict[str, dict[str, list[float]]]] = {}
        # By row and clip.
        self._curves: dict[str, dict[str, list[metrics.OverlapCurves]]] = {}
        self._scored: set[tuple[str, int]] = set()

    def add(self, clip: Clip, by_fusion: Mapping[Fusion, Saliency], label: str) -> None:
        """Score the maps of one frame.

        Parameters
        ----------
        clip : Clip
        by_fusion : mapping of str to Saliency
            The saliency of the frame, for each way to fuse.
        label : str
            Distinguishes the rows of this network from those of others.
        """
        saliency = next(iter(by_fusion.values()))
        number = saliency.frame.index
        truth = clip.truth(number)
        others = self._points_of_others(clip.name) if truth.points is not None else None
        # Maps that do not depend on the network are scored with the first network only.
        is_first = (clip.name, number) not in self._scored
        files = self._external[clip.name, number] if is_first else {}
        maps = chain(_own_maps(by_fusion, clip, label), read_maps(files, saliency.fused.shape))
        for row, values in maps:
            if not is_first and label not in row:
                continue
            scores = dict(_fixation_scores(values, truth, others))
            if _has_object(truth):
                masked, curves = _mask_scores(values, truth)
                scores |= masked
                self._curves.setdefault(row, {}).setdefault(clip.name, []).append(curves)
            for metric, score in scores.items():
                clips = self._scores.setdefault(row, {}).setdefault(metric, {})
                clips.setdefault(clip.name, []).append(score)
        self._scored.add((clip.name, number))

    def table(self) -> Table:
        """Return the means over clips, with their intervals."""
        rows = {
            row: {
                metric: bootstrap([float(np.mean(scores)) for scores in clips.values()])
                for metric, clips in by_metric.items()
            }
            for row, by_metric in self._scores.items()
        }
        for row, curves in self._curves.items():
            rows[row] |= at_best_threshold(curves)
        clips = len({clip for clip, _ in self._scored})
        are_photos = all(clip.is_photo for clip in self.dataset.clips)
        return Table(self.dataset.name, clips, len(self._scored), are_photos, rows)

    def _points_of_others(self, clip: str) -> NDArray[np.float64]:
        """Return the fixations on the other clips."""
        points = [one for name, each in self._points.items() if name != clip for one in each]
        return np.concatenate([np.zeros((0, 2)), *points])


def _own_maps(
    by_fusion: Mapping[Fusion, Saliency], clip: Clip, label: str
) -> Iterator[tuple[str, Map]]:
    """Yield vidsal's own maps of a frame, with the names of their rows."""
    saliency = next(iter(by_fusion.values()))
    prior = centre_prior(saliency.fused.shape)
    yield "centre prior", prior
    if not clip.is_photo:
        speed = np.sqrt((saliency.movement.backward**2).sum(axis=-1))
        yield "raw flow", clipped(DisplayScale("frame")(speed, 0.0).values)
        yield "compensated flow", saliency.motion
    if saliency.static is None:
        return
    yield f"static{label}", saliency.static
    for fusion, fused in by_fusion.items():
        row = f"fused{label}" if len(by_fusion) == 1 else f"fused by {fusion}{label}"
        yield row, fused.fused
        yield f"{row} x centre prior", fused.fused * prior


def _has_object(truth: Truth) -> bool:
    """Say whether there is a mask with an object and something else."""
    return truth.mask is not None and bool(truth.mask.any()) and not truth.mask.all()


def _mask_scores(values: Map, truth: Truth) -> tuple[dict[str, float], metrics.OverlapCurves]:
    """Return the score of a map in each metric of masks, and its curves."""
    mask = truth.mask
    assert mask is not None
    large = np.asarray(cv2.resize(values, mask.shape[::-1]), np.float32)
    curves = metrics.overlap_curves(large, mask)
    scores = {
        "pixel AUC": metrics.pixel_auc(large, mask),
        "max-F": float(curves.f.max()),
        "S-measure": metrics.s_measure(large, mask),
        "pointing": metrics.pointing(large, mask),
        "MAE": metrics.mean_absolute_error(large, mask),
    }
    return scores, curves


def at_best_threshold(
    curves: Mapping[str, Sequence[metrics.OverlapCurves]],
) -> dict[str, Interval]:
    """Return max-F as the papers define it, and J at the same threshold.

    The F-measure at each threshold is averaged over all frames; its largest value is max-F. One
    threshold for all frames gives less than the best one of each frame.

    Parameters
    ----------
    curves : mapping of str to sequence of OverlapCurves
        Those of the frames of each clip.

    Returns
    -------
    dict of str to Interval
        ``max-F of mean`` and ``J``: means over all frames, with intervals over clips.
    """
    frames = [one for clip in curves.values() for one in clip]
    best = int(np.mean([one.f for one in frames], axis=0).argmax())
    found = {}
    for n, name in enumerate(("max-F of mean", "J")):
        by_clip = [float(np.mean([one[n][best] for one in clip])) for clip in curves.values()]
        mean = float(np.mean([one[n][best] for one in frames]))
        found[name] = bootstrap(by_clip)._replace(mean=mean)
    return found


def _fixation_scores(
    values: Map, truth: Truth, others: NDArray[np.float64] | None
) -> Iterator[tuple[str, float]]:
    """Yield the score of a map in each metric of fixations, if there are enough of them."""
    points = truth.points
    if points is None or len(points) < MIN_FIXATIONS:
        return
    yield "NSS", metrics.nss(values, points)
    yield "AUC-Judd", metrics.auc_judd(values, points)
    if others is not None and len(others):
        yield "sAUC", metrics.shuffled_auc(values, points, others)
    height, width = values.shape
    if truth.density is None:
        density = metrics.density(points, (height, width))
    else:
        density = image_ops.shrink(truth.density, (height, width))
    yield "CC", metrics.cc(values, density)
    yield "SIM", metrics.similarity(values, density)
    yield "KL", metrics.kl(values, density)
