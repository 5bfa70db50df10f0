"""Manifests: rows with an output and options each."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from vidsal.batches.manifest import Row, read_manifest
from vidsal.errors import UsageError, VidsalError

RECORDS: list[dict[str, Any]] = [
    {"source": "a.mp4", "output": "x/a.mp4", "short-side": 128, "annotate": False},
    {"source": "s3://bucket/b.mp4", "fps": "30000/1001", "gain": 1.5},
]


def _written(path: Path) -> Path:
    """Write the same records in the format of a suffix."""
    columns = list(dict.fromkeys(name for record in RECORDS for name in record))
    if path.suffix == ".csv":
        lines = [",".join("" if record.get(name) is None else str(record[name]) for name in columns)
                 for record in RECORDS]  # fmt: skip
        path.write_text("\n".join([",".join(columns), *lines]) + "\n")
    elif path.suffix == ".jsonl":
        path.write_text("\n\n".join(map(json.dumps, RECORDS)))
    else:
        full = [{name: record.get(name) for name in columns} for record in RECORDS]
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(full), path)
    return path


@pytest.mark.parametrize("name", ["m.csv", "m.jsonl", "m.parquet"])
def test_all_formats_have_the_same_rows(name: str, tmp_path: Path) -> None:
    rows = read_manifest(_written(tmp_path / name))
    assert [(one.source, one.output, dict(one.options), one.error) for one in rows] == [
        (str(tmp_path / "a.mp4"), "x/a.mp4", {"short_side": 128, "annotate": False}, ""),
        ("s3://bucket/b.mp4", "", {"fps": Fraction(30000, 1001), "gain": 1.5}, ""),
    ]


def test_a_wrong_row_is_a_row_that_says_why(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("source,short_side\na.mp4,12\n,256\nb.mp4,256,7\nc.mp4,wide\nd.mp4,\n")
    rows = read_manifest(path)
    assert [one.place for one in rows] == [f"{path}, line {line}" for line in range(2, 7)]
    assert [one.error for one in rows] == [
        "short_side= must be 32 to 1024 pixels, got 12",
        "there is no source",
        "there are more cells than columns (['7'])",
        "short_side= must be a whole number, got 'wide'",
        "",
    ]
    lines = tmp_path / "m.jsonl"
    lines.write_text('{"source": "a.mp4"}\n{"source": \n[1]\n')
    good, broken, listed = read_manifest(lines)
    assert good == Row(str(tmp_path / "a.mp4"), f"{lines}, line 1")
    assert broken.error.startswith("this is not JSON")
    assert listed.error == "this is not a JSON object"


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("source,shortside", "'shortside' is not an option; did you mean 'short_side'"),
        ("source,overwrite", "'overwrite' is not an option of a row"),
        ("source,table", "'table' is not an option of a row"),
    ],
)
def test_an_unknown_column_stops_the_batch(header: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text(f"{header}\na.mp4,1\n")
    with pytest.raises(UsageError, match=message):
        read_manifest(path)


def test_a_manifest_must_be_readable(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("source\n")
    with pytest.raises(UsageError, match="there is no row"):
        read_manifest(tmp_path / "empty.csv")
    (tmp_path / "bad.parquet").write_text("no")
    for name in ("gone.csv", "bad.parquet"):
        with pytest.raises(VidsalError, match=f"{name} cannot be read as a manifest"):
            read_manifest(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("m.csv", "output\na.mp4\nb.mp4\n", "m.csv has no column source"),
        ("m.jsonl", '{"output": "a.mp4"}\n{\n', "m.jsonl has no column source"),
        ("m.csv", "source;output\na.mp4;b.mp4\n", "m.csv: separate columns by commas"),
    ],
)
def test_a_manifest_names_sources(name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=message):
        read_manifest(tmp_path / name)


def test_odd_sources_cost_their_own_row(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    sources = ["a\u2028b.mp4", "n\0l.mp4", 5, True, ["a.mp4"], "7"]
    lines = [json.dumps({"source": one}, ensure_ascii=False) for one in sources]
    path.write_text("\r\n".join(lines), encoding="utf-8")
    rows = read_manifest(path)
    assert [(one.source, one.error) for one in rows] == [
        (str(tmp_path / "a\u2028b.mp4"), ""),
        ("n\\0l.mp4", "the source holds a NUL"),
        (str(tmp_path / "5"), ""),
        ("True", "the source must be a text, got True"),
        ("['a.mp4']", "the source must be a text, got ['a.mp4']"),
        (str(tmp_path / "7"), ""),
    ]


def test_numbers_of_a_column_with_gaps_are_whole_numbers(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    columns: dict[str, Any] = {
        "source": ["a.mp4", "b.mp4", "c.mp4"],
        "short_side": pyarrow.array([128.0, float("nan"), None], from_pandas=False),
        "static_every": [float("nan"), 3.0, 1.5],
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    first, second, third = read_manifest(path)
    assert (dict(first.options), first.error) == ({"short_side": 128}, "")
    assert (dict(second.options), second.error) == ({"static_every": 3}, "")
    assert third.error == "static_every=: expected auto or a whole number, got 1.5"


def test_a_column_that_occurs_twice_stops_the_batch(tmp_path: Path) -> None:
    twice, spelled, table = (tmp_path / name for name in ("m.csv", "n.csv", "m.parquet"))
    # Spreadsheets add columns without a name.
    twice.write_text("source, source,short-side,,\na.mp4,b.mp4,128,,\n")
    spelled.write_text("source,short-side,short_side\na.mp4,128,256\n")
    record = {"source": "a.mp4", "short-side": 128, "short_side": 256}
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([record]), table)
    for path, column in ((twice, "source"), (spelled, "short_side"), (table, "short_side")):
        with pytest.raises(UsageError, match=f"{path.name}: the column '{column}' occurs 2 times"):
            read_manifest(path)
