"""The results of `evaluate` and `faithfulness`: for a terminal, as Markdown, as JSON."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vidsal.evaluation.bootstrap import Interval
from vidsal.runtime.atomic_write import write_text

# Whether high or low scores are good in each metric.
_GOOD = {
    "NSS": "↑", "AUC-Judd": "↑", "sAUC": "↑", "CC": "↑", "SIM": "↑", "KL": "↓",
    "pixel AUC": "↑", "max-F": "↑", "max-F of mean": "↑", "J": "↑", "S-measure": "↑",
    "pointing": "↑", "MAE": "↓",
}  # fmt: skip
# Deletion and insertion by the protocol of RISE, from V. Petsiuk, A. Das, K. Saenko, BMVC 2018,
# table 2: ImageNet's validation set.
_RISE = ("RISE 0.108, 0.727 (deletion, insertion)", "Grad-CAM 0.123, 0.677", "LIME 0.122, 0.694")


@dataclass(frozen=True, slots=True)
class Table:
    """The scores on one dataset.

    Attributes
    ----------
    dataset : str
    clips, frames : int
        Numbers of clips and frames that were scored.
    are_photos : bool
        Whether the clips are photos.
    rows : dict of str to dict of str to Interval
        For each kind of map, its score in each metric.
    """

    dataset: str
    clips: int
    frames: int
    are_photos: bool
    rows: dict[str, dict[str, Interval]]

    def markdown(self) -> list[str]:
        """Return the lines of the table in Markdown; an arrow shows where good scores are."""
        heads = [f"{name} {_GOOD[name]}" for name in self._metrics]
        lines = [f"**{self.title}**", "", f"| map | {' | '.join(heads)} |"]
        lines.append("| --- |" + " --- |" * len(heads))
        return lines + [
            f"| {row.replace('|', chr(92) + '|')} | {' | '.join(cells)} |"
            for row, cells in self._cells()
        ]

    def lines(self) -> list[str]:
        """Return the lines of the table for a terminal."""
        width = max(len(row) for row in self.rows)
        lines = [self.title, " " * width + "".join(f"{name:>23}" for name in self._metrics)]
        return lines + [
            f"{row:<{width}}" + "".join(f"{cell:>23}" for cell in cells)
            for row, cells in self._cells()
        ]

    def __str__(self) -> str:
        """Return the table for a terminal."""
        return "\n".join(self.lines())

    @property
    def title(self) -> str:
        """Name of the dataset, with the numbers of frames and clips."""
        if self.are_photos:
            return f"{self.dataset}: {counted(self.clips, 'photo')}"
        return f"{self.dataset}: {counted(self.frames, 'frame')} of {counted(self.clips, 'clip')}"

    @property
    def _metrics(self) -> list[str]:
        """The metrics of all rows."""
        found = {name for row in self.rows.values() for name in row}
        return [name for name in _GOOD if name in found]

    def _cells(self) -> Iterator[tuple[str, list[str]]]:
        """Yield the name and the cells of each row; metrics without a score have empty cells."""
        for row, scores in self.rows.items():
            cells = [
                _cell(scores[name], self.clips, digits=2) if name in scores else ""
                for name in self._metrics
            ]
            yield row, cells


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """The result of `vidsal.evaluate`. ``str()`` of it gives the tables for a terminal.

    Attributes
    ----------
    models : tuple of str
        Names of the networks.
    seed : int
        Decides which frames are scored.
    tables : list of Table
        One for each dataset.
    about : str
        The version, and options that decide the scores.
    """

    models: tuple[str, ...]
    seed: int
    tables: list[Table]
    about: str = ""

    @property
    def head(self) -> str:
        """The evaluated data in one line."""
        about = f" ({self.about})" if self.about else ""
        names = ", ".join(self.models)
        return f"{names}{about}; mean [95 % interval over clips], seed {self.seed}"

    def to_dict(self) -> dict[str, Any]:
        """Return the report as a dictionary that `json.dumps` takes.

        Returns
        -------
        dict
            The fields of the report; each interval has ``mean``, ``low`` and ``high``.
        """
        report = dataclasses.asdict(self)
        for table, source in zip(report["tables"], self.tables, strict=True):
            table["rows"] = {
                row: {name: score._asdict() for name, score in scores.items()}
                for row, scores in source.rows.items()
            }
        return report

    def lines(self) -> list[str]:
        """Return the lines of the report for a terminal."""
        return [self.head] + [line for table in self.tables for line in ("", *table.lines())]

    def __str__(self) -> str:
        """Return the report for a terminal."""
        return "\n".join(self.lines())

    def markdown(self) -> list[str]:
        """Return the lines of the report in Markdown."""
        return [self.head, ""] + [line for table in self.tables for line in (*table.markdown(), "")]


@dataclass(frozen=True, slots=True)
class FaithfulnessRow:
    """The scores of one kind of map.

    Attributes
    ----------
    deletion, insertion : Interval
        Area under the curve of the class's probability, as a share of the probability in the
        full picture, at most 1. Low deletion and high insertion are good.
    difference : Interval
        Insertion minus deletion of each picture.
    behind : Interval or None
        By how much the difference is larger for the vidsal map, picture by picture; ``None`` for
        the vidsal map itself.
    """

    deletion: Interval
    insertion: Interval
    difference: Interval
    behind: Interval | None = None


@dataclass(frozen=True, slots=True)
class FaithfulnessReport:
    """The result of `vidsal.faithfulness`. ``str()`` of it gives the table for a terminal.

    Attributes
    ----------
    model : str
        Name of the network.
    explained : str
        The class whose probability was measured, or "top class": the most likely class of each
        picture.
    pictures : int
        Number of photos and frames.
    rows : dict of str to FaithfulnessRow
        The vidsal map, then the controls.
    randomised : Interval
        Spearman's correlation between the map and the map of the same network with random
        weights; near 0 is good.
    protocol : str
        ``vidsal`` or ``rise``.
    cascade : dict of float to Interval
        The same correlation where only this share of the layers is random, from the last layer
        backwards; empty unless it was asked for.
    displaced : Interval or None
        The correlation between the map of one source and the random network's map of another. The
        two show different things: what agrees is an effect of the place in the picture, such as
        the padding of borders, and of the way people take pictures. ``None`` for a single source.
    """

    model: str
    explained: str
    pictures: int
    rows: dict[str, FaithfulnessRow]
    randomised: Interval
    protocol: str = "vidsal"
    cascade: dict[float, Interval] = field(default_factory=dict)
    displaced: Interval | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the report as a dictionary that `json.dumps` takes.

        Returns
        -------
        dict
            The fields of the report; each interval has ``mean``, ``low`` and ``high``.
        """
        rows = {
            name: {part: one and one._asdict() for part, one in dataclasses.asdict(row).items()}
            for name, row in self.rows.items()
        }
        randomised = self.randomised._asdict()
        displaced = self.displaced and self.displaced._asdict()
        cascade = {f"{share:g}": one._asdict() for share, one in self.cascade.items()}
        return dataclasses.asdict(self) | {
            "rows": rows, "randomised": randomised, "displaced": displaced, "cascade": cascade,
        }  # fmt: skip

    def lines(self) -> list[str]:
        """Return the lines of the report for a terminal."""
        head = ("map", "deletion", "insertion", "insertion - deletion", "vidsal's is larger by")
        pictures = counted(self.pictures, "picture")
        about = f"{self.model}, {pictures}, {self.explained} explained"
        lines = [f"{about}, each by itself; mean [95 % interval over pictures]", _line(head)]
        for name, row in self.rows.items():
            scores = (row.deletion, row.insertion, row.difference, row.behind)
            cells = (_cell(one, self.pictures, digits=3) if one else "" for one in scores)
            lines.append(_line((name, *cells)))
        if self.protocol == "rise":
            lines += [f"published for ResNet50: {row}" for row in _RISE]
        correlation = _cell(self.randomised, self.pictures, digits=3)
        lines.append(f"rank correlation with the re-initialised network: {correlation}")
        if self.displaced:
            cell = _cell(self.displaced, self.pictures, digits=3)
            lines.append(f"  with its map of another source: {cell}")
        for share, one in self.cascade.items():
            cell = _cell(one, self.pictures, digits=3)
            lines.append(
                f"  with random weights in the last {100 * share:.0f} % of its layers: {cell}"
            )
        return lines

    def __str__(self) -> str:
        """Return the report for a terminal."""
        return "\n".join(self.lines())


def counted(count: int, noun: str) -> str:
    """Return a number with its noun, whose plural ends in s.

    Parameters
    ----------
    count : int
    noun : str
        In the singular.
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _line(cells: Sequence[str]) -> str:
    return f"{cells[0]:<9}" + "".join(f"{cell:>24}" for cell in cells[1:]).rstrip()


def _cell(score: Interval, samples: int, *, digits: int) -> str:
    """Return a mean and its interval; a single sample has no interval."""
    interval = f" [{score.low:.{digits}f}, {score.high:.{digits}f}]" if samples > 1 else ""
    return f"{score.mean:.3f}{interval}"


def write_report(
    report: EvaluationReport, *, json_path: Path | None, markdown_path: Path | None
) -> None:
    """Write the report of an evaluation as JSON, as Markdown, or both.

    Parameters
    ----------
    report : EvaluationReport
    json_path, markdown_path : Path or None
        ``None`` writes no such file.

    Raises
    ------
    VidsalError
        If a file cannot be written.
    """
    if json_path is not None:
        write_json(report, json_path)
    if markdown_path is not None:
        write_text(markdown_path, "\n".join(report.markdown()).rstrip() + "\n")


def write_json(report: EvaluationReport | FaithfulnessReport, path: Path) -> None:
    """Write a report as JSON.

    Parameters
    ----------
    report : EvaluationReport or FaithfulnessReport
    path : Path

    Raises
    ------
    VidsalError
        If the file cannot be written.
    """
    write_text(path, json.dumps(report.to_dict(), indent=2) + "\n")
