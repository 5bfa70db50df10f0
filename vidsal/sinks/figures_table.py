"""A table of figures, as CSV or as JSON lines."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from vidsal.runtime.atomic_write import atomic_write, writing

SUFFIXES = (".csv", ".jsonl")


class FiguresTable:
    """Writes rows of numbers and texts to an open file.

    Parameters
    ----------
    path : Path
        Final path: its suffix names the format, and messages name it.
    file : text file
    columns : sequence of str
    """

    def __init__(self, path: Path, file: IO[str], columns: Sequence[str]) -> None:
        self._path, self._file = path, file
        self._csv = None
        if path.suffix.lower() == ".csv":
            self._csv = csv.DictWriter(file, columns, lineterminator="\n")
            self._csv.writeheader()

    def write(self, row: Mapping[str, Any]) -> None:
        """Write a row.

        Parameters
        ----------
        row : mapping of str
            Values by column; ``None`` is an empty cell, and null in JSON.

        Raises
        ------
        VidsalError
            If it cannot be written.
        """
        # Microseconds, and more digits than figures of maps in 256 levels have.
        plain = {
            name: round(value, 6) if isinstance(value, float) else value
            for name, value in row.items()
        }
        with writing(self._path):
            if self._csv:
                self._csv.writerow(plain)
            else:
                self._file.write(json.dumps(plain, ensure_ascii=False) + "\n")


@contextmanager
def figures_table(path: Path, columns: Sequence[str]) -> Iterator[FiguresTable]:
    """Lend a table that appears under its name when the block ends well.

    Parameters
    ----------
    path : Path
        Its suffix is one of `SUFFIXES`.
    columns : sequence of str

    Yields
    ------
    FiguresTable

    Raises
    ------
    VidsalError
        If it cannot be written.
    """
    with atomic_write(path) as part:
        with writing(path):
            # Names of stores may have bytes that are no text.
            file = part.open("w", newline="", encoding="utf-8", errors="backslashreplace")
        # `writing` does not enclose the block, whose errors have other causes.
        try:
            with writing(path):
                table = FiguresTable(path, file, columns)
            yield table
        finally:
            with writing(path):
                file.close()
