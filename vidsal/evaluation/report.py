"""What an evaluation found, and how it is shown: in a terminal, as Markdown, as JSON."""

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidsal.evaluation.bootstrap import Interval
from vidsal.runtime.atomic_write import write_text

# Where good is, for each measure.
_GOOD = {
    "NSS": "↑", "AUC-Judd": "↑", "sAUC": "↑", "CC": "↑", "SIM": "↑", "KL": "↓",
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
        heads = [f"{name} {_GOOD[name]}" for name in self._measures]
        lines = [f"**{self.title}**", "", f"| map | {' | '.join(heads)} |"]
        lines.append("| --- |" + " --- |" * len(heads))
        return lines + [
            f"| {row.replace('|', chr(92) + '|')} | {' | '.join(cells)} |"
            for row, cells in self._cells()
        ]

    def lines(self) -> list[str]:
        """Return the table for a terminal."""
        width = max(len(row) for row in self.rows)
        lines = [self.title, " " * width + "".join(f"{name:>23}" for name in self._measures)]
        return lines + [
            f"{row:<{width}}" + "".join(f"{cell:>23}" for cell in cells)
            for row, cells in self._cells()
        ]

    @property
    def title(self) -> str:
        """What was scored, in words."""
        if self.are_photos:
            return f"{self.dataset}: {counted(self.clips, 'photo')}"
        return f"{self.dataset}: {counted(self.frames, 'frame')} of {counted(self.clips, 'clip')}"

    @property
    def _measures(self) -> list[str]:
        """The measures of any row, in the order of their coming."""
        return list(dict.fromkeys(name for row in self.rows.values() for name in row))

    def _cells(self) -> Iterator[tuple[str, list[str]]]:
        """Yield each row's name and what stands in it, nothing where a measure does not apply."""
        for row, scores in self.rows.items():
            yield (
                row,
                [
                    _cell(scores[name], self.clips) if name in scores else ""
                    for name in self._measures
                ],
            )


def counted(count: int, what: str) -> str:
    """Return a number with its noun, which has a plural in s."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _cell(value: Interval, clips: int) -> str:
    # Of one clip there is no interval.
    between = f" [{value.low:.2f}, {value.high:.2f}]" if clips > 1 else ""
    return f"{value.mean:.3f}{between}"


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


def write_report(report: Report, *, json_path: Path | None, markdown_path: Path | None) -> None:
    """Write a report as JSON, as Markdown, or both."""
    texts = {
        json_path: json.dumps(report.as_json(), indent=2),
        markdown_path: "\n".join(report.markdown()).rstrip(),
    }
    for path, text in texts.items():
        if path is not None:
            write_text(path, text + "\n")
