"""Reports of evaluations: for a terminal, as JSON, as Markdown."""

import json
from pathlib import Path

import pytest

from vidsal.evaluation.bootstrap import Interval
from vidsal.evaluation.report import EvaluationReport, Table, write_report


@pytest.fixture
def report() -> EvaluationReport:
    """Two tables whose cells are hard to align."""
    gaze = {
        "centre prior": {"NSS": Interval(-0.512, -1.613, -0.414), "KL": Interval(12.3, 9.8, 14.9)},
        "fused by gain x centre prior": {"NSS": Interval(1.25, 1.0, 1.5)},
    }
    masks = {"raw flow": {"pixel AUC": Interval(0.5, 0.25, 0.75), "MAE": Interval(0, 0, 0)}}
    tables = [Table("eyes", 2, 9, False, gaze), Table("objects", 4, 4, True, masks)]
    return EvaluationReport(("ResNet50", "none"), 3, tables)


def test_columns_of_the_terminal_are_aligned(report: EvaluationReport) -> None:
    assert report.lines()[0] == "ResNet50, none; mean [95 % interval over clips], seed 3"
    tables = [["", *table.lines()] for table in report.tables]
    assert report.lines()[1:] == [line for lines in tables for line in lines]
    for table in report.tables:
        title, header, *lines = table.lines()
        assert title == table.title
        assert {len(line) for line in lines} == {len(header)}
        for line, (row, scores) in zip(lines, table.rows.items(), strict=True):
            assert line.startswith(f"{row} ")
            for measure, score in scores.items():
                end = header.index(measure) + len(measure)
                cell = f" {score.mean:.3f} [{score.low:.2f}, {score.high:.2f}]"
                assert line[:end].endswith(cell)
    # Metrics without a score have empty cells.
    assert report.tables[0].lines()[3].rstrip().endswith("1.250 [1.00, 1.50]")


def test_a_printed_report_is_its_lines(report: EvaluationReport) -> None:
    assert str(report) == "\n".join(report.lines())
    for table in report.tables:
        assert str(table) == "\n".join(table.lines())
        assert str(table) in str(report)


def test_the_report_as_json_has_every_score(report: EvaluationReport, tmp_path: Path) -> None:
    write_report(report, json_path=tmp_path / "r.json", markdown_path=None)
    read = json.loads((tmp_path / "r.json").read_text())
    assert read["models"] == ["ResNet50", "none"]
    assert read["seed"] == 3
    assert read == json.loads(json.dumps(report.to_dict()))
    for one, table in zip(read["tables"], report.tables, strict=True):
        assert (one["dataset"], one["clips"], one["frames"]) == (
            table.dataset, table.clips, table.frames,
        )  # fmt: skip
        scores = {
            row: {name: Interval(**value) for name, value in measures.items()}
            for row, measures in one["rows"].items()
        }
        assert scores == table.rows
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]


def _parsed(text: str) -> list[list[str]]:
    lines = text.splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_report_as_markdown_is_one_table_a_dataset(
    report: EvaluationReport, tmp_path: Path
) -> None:
    write_report(report, json_path=None, markdown_path=tmp_path / "r.md")
    text = (tmp_path / "r.md").read_text(encoding="utf-8")
    assert text.endswith("|\n")
    head, first, one, second, two = text.rstrip().split("\n\n")
    assert head == report.lines()[0]
    assert (first, second) == (
        "**eyes: 9 frames of 2 clips**", "**objects: 4 photos**",
    )  # fmt: skip
    assert _parsed(one) == [
        ["map", "NSS ↑", "KL ↓"],
        ["---", "---", "---"],
        ["centre prior", "-0.512 [-1.61, -0.41]", "12.300 [9.80, 14.90]"],
        ["fused by gain x centre prior", "1.250 [1.00, 1.50]", ""],
    ]
    assert _parsed(two) == [
        ["map", "pixel AUC ↑", "MAE ↓"],
        ["---", "---", "---"],
        ["raw flow", "0.500 [0.25, 0.75]", "0.000 [0.00, 0.00]"],
    ]


def test_one_clip_has_no_interval_and_a_name_may_have_a_bar() -> None:
    table = Table("eyes", 1, 9, False, {"a|b": {"NSS": Interval(1.25, 1.25, 1.25)}})
    assert table.lines()[-1].split() == ["a|b", "1.250"]
    assert table.markdown()[-1] == "| a\\|b | 1.250 |"
