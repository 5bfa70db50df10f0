"""Maps scored against what people look at and where objects are, on folders of clips and photos.

A score is the mean over a clip's frames, then the mean over clips; its interval is a bootstrap
over clips. Which frames are scored is drawn from a seed, never chosen.
"""

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile, tee
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import vidsal
from vidsal import metrics, motion
from vidsal.datasets import FIXATIONS, Clip, Dataset, Truth, open_datasets, sampled
from vidsal.errors import VidsalError
from vidsal.frames import Map, Saliency, StaticStage
from vidsal.fusion import centre_prior
from vidsal.intervals import Interval, bootstrap
from vidsal.opencv import cv2
from vidsal.scaling import Scale, clipped
from vidsal.settings import Fusion, Settings
from vidsal.sink import staged, writing
from vidsal.static.models import check_target, choose, open_static
from vidsal.stream import fused, halves

Progress = Callable[[Iterable[Any], int | None], Iterable[Any]]
# How to name a row, and its maps.
Rows = Iterator[tuple[str, Map]]

# Frames before a scored one that are analysed for its sake: three times the memory of 16 samples.
_HISTORY = 24
_GAZE: dict[str, str] = {
    "NSS": "↑", "AUC-Judd": "↑", "sAUC": "↑", "CC": "↑", "SIM": "↑", "KL": "↓",
}  # fmt: skip
_MASKS: dict[str, str] = {
    "pixel AUC": "↑", "max-F": "↑", "S-measure": "↑", "pointing": "↑", "MAE": "↓",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Table:
    """The scores on one dataset.

    Attributes
    ----------
    dataset : str
    clips, frames : int
        How many were scored.
    are_photos : bool
        Whether the clips are photos.
    rows : dict of str to dict of str to Interval
        For each kind of map, its score in each measure.
    """

    dataset: str
    clips: int
    frames: int
    are_photos: bool
    rows: dict[str, dict[str, Interval]]

    def markdown(self) -> list[str]:
        """Return the table as Markdown, an arrow beside each measure where good is."""
        names = list(dict.fromkeys(name for row in self.rows.values() for name in row))
        heads = [f"{name} {(_GAZE | _MASKS)[name]}" for name in names]
        lines = [f"**{self.title}**", "", f"| map | {' | '.join(heads)} |"]
        lines.append("| --- |" + " --- |" * len(heads))
        for row, scores in self.rows.items():
            cells = [_cell(scores[name]) if name in scores else "" for name in names]
            lines.append(f"| {row} | {' | '.join(cells)} |")
        return lines

    def lines(self) -> list[str]:
        """Return the table for a terminal."""
        names = list(dict.fromkeys(name for row in self.rows.values() for name in row))
        width = max(len(row) for row in self.rows)
        lines = [self.title, " " * width + "".join(f"{name:>23}" for name in names)]
        for row, scores in self.rows.items():
            cells = [_cell(scores[name]) if name in scores else "" for name in names]
            lines.append(f"{row:<{width}}" + "".join(f"{cell:>23}" for cell in cells))
        return lines

    @property
    def title(self) -> str:
        """What was scored, in words."""
        if self.are_photos:
            return f"{self.dataset}: {_counted(self.clips, 'photo')}"
        return f"{self.dataset}: {_counted(self.frames, 'frame')} of {_counted(self.clips, 'clip')}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _cell(value: Interval) -> str:
    return f"{value.mean:.3f} [{value.low:.2f}, {value.high:.2f}]"


@dataclass(frozen=True, slots=True)
class Report:
    """The tables of all datasets, and what was evaluated.

    Attributes
    ----------
    models : tuple of str
    seed : int
    tables : list of Table
    about : str
        What else decides the scores, in words.
    """

    models: tuple[str, ...]
    seed: int
    tables: list[Table]
    about: str = ""

    @property
    def head(self) -> str:
        """What was evaluated, in words."""
        about = f" ({self.about})" if self.about else ""
        names = ", ".join(self.models)
        return f"{names}{about}; mean [95 % interval over clips], seed {self.seed}"

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON has it."""
        report = dataclasses.asdict(self)
        for table, wanted in zip(report["tables"], self.tables, strict=True):
            table["rows"] = {
                row: {name: value._asdict() for name, value in scores.items()}
                for row, scores in wanted.rows.items()
            }
        return report

    def lines(self) -> list[str]:
        """Return the report for a terminal."""
        return [self.head] + [line for table in self.tables for line in ("", *table.lines())]

    def markdown(self) -> list[str]:
        """Return the report as Markdown."""
        return [self.head, ""] + [line for table in self.tables for line in (*table.markdown(), "")]


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
    VidsalError
        If there is nothing to score, or a file or network cannot be used.
    """
    # The prior has a row of its own.
    settings = dataclasses.replace(settings or Settings(), centre_prior=0.0)
    datasets = [dataset for folder in folders for dataset in open_datasets(folder)]
    truths = {
        id(clip): sampled(clip, frames_per_clip, seed) for one in datasets for clip in one.clips
    }
    judges = [
        _Judge(dataset, {clip.name: truths[id(clip)] for clip in dataset.clips}, against or {})
        for dataset in datasets
    ]
    ways = list(fusions) or [settings.fusion]
    names = []
    for model in models or [settings.model]:
        chosen = dataclasses.replace(settings, model=model)
        check_target(chosen)
        choice = choose(chosen)
        names.append(choice.name or "none")
        static = open_static(choice, chosen)
        label = f" ({choice.name})" if len(models) > 1 else ""
        work = [(judge, clip) for judge in judges for clip in judge.dataset.clips]
        for judge, clip in progress(work, len(work)) if progress else work:
            for fused_by in _analysed(clip, truths[id(clip)], static, chosen, ways):
                judge.score(clip, fused_by, label)
    tables = [table for judge in judges if (table := judge.table()).rows]
    if not tables:
        raise VidsalError(
            f"nothing to score: no frame has {FIXATIONS} fixations in the picture, or a mask with "
            "an object in it"
        )
    about = (
        f"vidsal {vidsal.__version__}, {frames_per_clip} frames a clip, fusion "
        f"{' and '.join(ways)} of gain {settings.gain:g}"
    )
    return Report(tuple(names), seed, tables, about)


def _analysed(
    clip: Clip,
    wanted: Mapping[int, Truth],
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
        copies = tee(halves(span, static, settings, batch=settings.batch), len(ways))
        each = [
            fused(copy, dataclasses.replace(settings, fusion=way))
            for copy, way in zip(copies, ways, strict=True)
        ]
        for saliencies in zip(*each, strict=True):
            if saliencies[0].frame.index in wanted:
                yield dict(zip(ways, saliencies, strict=True))


def _spans(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Return the first and last frames to analyse; spans that would touch are one."""
    spans: list[tuple[int, int]] = []
    for number in numbers:
        first = max(0, number - _HISTORY)
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
        yield "raw flow", clipped(Scale("frame")(raw, 0.0))
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
        self,
        dataset: Dataset,
        truths: Mapping[str, Mapping[int, Truth]],
        against: Mapping[str, Path],
    ) -> None:
        self.dataset = dataset
        self._truths = truths
        self._against = against
        # By row, measure and clip.
        self._scores: dict[str, dict[str, dict[str, list[float]]]] = {}
        self._seen: set[tuple[str, int]] = set()

    def score(self, clip: Clip, fused_by: Mapping[Fusion, Saliency], label: str) -> None:
        """Take in the maps of one frame."""
        one = next(iter(fused_by.values()))
        number = one.frame.index
        truth = self._truths[clip.name][number]
        others = self._others(clip) if truth.points is not None else None
        rows = [*_rows(fused_by, clip, label), *self._theirs(clip, number, one.fused.shape)]
        for row, values in rows:
            # What does not depend on the network is scored with the first one only.
            if (clip.name, number) in self._seen and label not in row:
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

    def _others(self, clip: Clip) -> NDArray[np.float64]:
        """Return the fixations on the other clips."""
        points = [
            truth.points
            for name, truths in self._truths.items()
            if name != clip.name
            for truth in truths.values()
            if truth.points is not None
        ]
        return np.concatenate([np.zeros((0, 2)), *points])

    def _theirs(self, clip: Clip, number: int, size: tuple[int, ...]) -> Rows:
        """Yield the maps that other programs made of a frame."""
        for name, folder in self._against.items():
            stem = clip.stems[number] if clip.stems else str(number + clip.first)
            inside = folder if clip.is_photo else folder / clip.name
            found = [path for path in inside.glob("*.png") if _is_same(path.stem, stem)]
            if len(found) != 1:
                raise VidsalError(
                    f"{name}: {len(found)} maps for frame {stem} of {clip.name} in {inside}, "
                    "expected one PNG file with the number or name of the frame"
                )
            picture = cv2.imread(str(found[0]), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
            if picture is None:
                raise VidsalError(f"{found[0]} cannot be read as a picture")
            # Eight bits or sixteen: what counts is the order and the proportion.
            values = np.asarray(picture, np.float32) / np.float32(max(1, picture.max()))
            yield name, motion.shrink(np.asarray(values, np.float32), (size[0], size[1]))


def _is_same(one: str, other: str) -> bool:
    """Say whether two file names are of one frame: equal, or the same number."""
    return one == other or (one.isdigit() and other.isdigit() and int(one) == int(other))


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
            else motion.shrink(truth.density.astype(np.float32), (height, width))
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


def write_report(report: Report, *, json_path: Path | None, markdown_path: Path | None) -> None:
    """Write a report as JSON, as Markdown, or both."""
    texts = {
        json_path: json.dumps(report.as_json(), indent=2),
        markdown_path: "\n".join(report.markdown()).rstrip(),
    }
    for path, text in texts.items():
        if path is not None:
            with staged(path) as part, writing(path):
                part.write_text(text + "\n", encoding="utf-8")
