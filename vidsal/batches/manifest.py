"""Lists of sources with an output and options for each: CSV, JSON lines or Parquet."""

import csv
import dataclasses
import difflib
import io
import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vidsal.batches.addresses import is_address, is_own_address, redacted
from vidsal.errors import UsageError, VidsalError, flat
from vidsal.settings import Settings, checked_option

SUFFIXES = (".csv", ".jsonl", ".ndjson", ".parquet")
# Options of the whole batch, and options that name files. `output` has its own column.
WHOLE_BATCH = (
    "output", "overwrite", "skip_existing", "resume", "table", "maps", "keep", "sequence",
    "recursive", "trust_model", "batch",
)  # fmt: skip
# Key for the error message of a record. No column can have this name.
_FAULT = "\0fault"
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True, slots=True)
class Row:
    """A source of a batch as the user requested it.

    Attributes
    ----------
    source : str
        A name or an address.
    place : str
        Position of the row, for messages: ``clips.csv, line 3``; empty for a typed name.
    output : str
        Name of its output, relative to the folder of the results; empty for the default name.
    options : mapping of str
        Checked values by the names of the fields of `vidsal.Settings`.
    error : str
        Why the row cannot be used; empty if it can.
    """

    source: str
    place: str = ""
    output: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""


def is_manifest(name: str) -> bool:
    """Return whether a file with this name is a manifest.

    Parameters
    ----------
    name : str
    """
    return Path(name).suffix.lower() in SUFFIXES


def read_manifest(path: Path) -> list[Row]:
    """Return the rows of a manifest.

    A row needs a ``source``, relative to the manifest, and may have an ``output``. Each further
    column is an option of `vidsal.Settings`. An empty cell, or NaN, leaves the value of the whole
    batch.

    Parameters
    ----------
    path : Path
        Its name ends in .csv, .jsonl, .ndjson or .parquet.

    Returns
    -------
    list of Row
        An invalid row has an `error`.

    Raises
    ------
    UsageError
        If a column is not an option or occurs twice, or the column ``source`` or all rows are
        missing.
    VidsalError
        If the file cannot be read.
    """
    try:
        records = list(_RECORDS[path.suffix.lower()](path))
    except UsageError:
        raise
    except (OSError, ValueError, csv.Error) as error:
        raise VidsalError(f"{path} cannot be read as a manifest: {flat(error)}") from error
    if not records:
        raise UsageError(f"{path}: there is no row in this manifest")
    _require_known((name for _, record in records for name in record), path)
    return [_row(record, f"{path}, line {line}", path.parent) for line, record in records]


def _csv_records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    text = path.read_text(encoding="utf-8-sig")
    rows = csv.DictReader(io.StringIO(text, newline=""), restkey="", strict=True)
    _require_different(map(str.strip, rows.fieldnames or ()), path)
    for row in rows:
        cells = {str(name).strip(): value for name, value in row.items()}
        extra = cells.pop("", None)
        if extra:
            cells[_FAULT] = f"there are more cells than columns ({flat(extra)})"
        yield rows.line_num, {name: _word(value) for name, value in cells.items()}


def _word(cell: str | None) -> str | None:
    return None if cell is None or not cell.strip() else cell.strip()


def _json_records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            record = {_FAULT: f"this is not JSON: {error}"}
        if not isinstance(record, dict):
            record = {_FAULT: "this is not a JSON object"}
        yield number, record


def _parquet_records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise VidsalError(f'{path}: Parquet needs pyarrow: pip install "vidsal[data]"') from error
    table = parquet.read_table(path)
    _require_different(table.column_names, path)
    yield from enumerate(table.to_pylist(), start=1)


_RECORDS = {
    ".csv": _csv_records, ".jsonl": _json_records, ".ndjson": _json_records,
    ".parquet": _parquet_records,
}  # fmt: skip


def _require_different(columns: Iterable[str], path: Path) -> None:
    """Raise `UsageError` if a column occurs twice. Columns without a name may do so."""
    counts = Counter(column.replace("-", "_") for column in columns if column)
    for column, times in counts.items():
        if times > 1:
            raise UsageError(f"{path}: the column {column!r} occurs {times} times")


def _require_known(columns: Iterable[str], path: Path) -> None:
    """Raise `UsageError` if a column is not an option of a row, or there is no ``source``."""
    fields = {one.name for one in dataclasses.fields(Settings)} - set(WHOLE_BATCH)
    known = {"source", "output", _FAULT, *fields}
    columns = dict.fromkeys(columns)
    if any(mark in column for column in columns for mark in ";\t"):
        raise UsageError(f"{path}: separate columns by commas")
    for column in columns:
        if column.replace("-", "_") not in known:
            near = difflib.get_close_matches(column.replace("-", "_"), known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            whose = " of a row" if column.replace("-", "_") in WHOLE_BATCH else ""
            raise UsageError(f"{path}: column {column!r} is not an option{whose}{hint}")
    # Lines that are not records have no columns. Each of them becomes a row with an error.
    if "source" not in columns and set(columns) != {_FAULT}:
        raise UsageError(f"{path} has no column source, which names a file, folder or address")


def _row(record: Mapping[str, Any], place: str, folder: Path) -> Row:
    """Return the row of a record. An invalid record gives a row with an error."""
    values = {name.replace("-", "_"): value for name, value in record.items()}
    values = {name: value for name, value in values.items() if not _is_empty(value)}
    given = values.pop("source", "")
    source = str(given)
    if "\0" in source:
        return Row(source.replace("\0", "\\0"), place, error="the source holds a NUL")
    if _FAULT in values or not source:
        reason = values.get(_FAULT, "there is no source")
        return Row(source, place, error=str(reason))
    if isinstance(given, bool) or not isinstance(given, (str, int)):
        return Row(source, place, error=f"the source must be a text, got {given!r}")
    if "://" not in source:
        # A number is a file name here, because batches do not support cameras.
        is_number = source.isdecimal()
        source = f"{folder}{os.sep}{source}" if is_number else str(folder / source)
    output = str(values.pop("output", ""))
    options: dict[str, Any] = {}
    for name, value in values.items():
        try:
            options[name] = checked_option(name, _typed(name, value))
        except UsageError as error:
            return Row(source, place, output, error=str(error))
    return Row(source, place, output, options)


def _is_empty(value: Any) -> bool:
    """Return whether a cell has no value. Parquet files of pandas have NaN in such cells."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def _typed(name: str, value: Any) -> Any:
    """Convert the text of a cell to the type of its option; return other values unchanged.

    A column of whole numbers with an empty cell is read as floats from Parquet. They become whole
    numbers again.
    """
    default = Settings.__dataclass_fields__[name].default
    is_whole_number = isinstance(default, int) and not isinstance(default, bool)
    if is_whole_number and isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, str) or Settings.__dataclass_fields__[name].metadata["parse"]:
        return value
    if isinstance(default, bool):
        return _WORDS.get(value.lower(), value)
    for kind in (int, float):
        if isinstance(default, kind):
            try:
                return kind(value)
            except ValueError:
                continue
    return value


def typed_rows(names: Iterable[str]) -> Iterator[Row]:
    """Yield the rows of typed names. Manifests among them are read.

    Parameters
    ----------
    names : iterable of str

    Raises
    ------
    UsageError, VidsalError
        See `read_manifest`. Also raised for a manifest at an address.
    """
    for name in names:
        shown = redacted(name)
        if is_manifest(shown) and (is_address(name) or is_own_address(name)):
            raise UsageError(f"{shown}: a manifest must be a local file: copy it first")
        if is_manifest(name):
            yield from read_manifest(Path(name))
        else:
            yield Row(name)
