"""The summary of a batch: totals and one row for each source, as JSON and as a table."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from vidsal.batches.places import Folder
from vidsal.batches.progress import clock_text
from vidsal.batches.receipts import PRIVATE, Result
from vidsal.errors import option


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """Summary of a batch.

    Attributes
    ----------
    results : tuple of Result
        One for each source, in the order of the sources.
    seconds : float
        Duration of the run.
    lost_workers : int
        Number of lost workers.
    is_interrupted : bool
        Whether sources are missing because of Ctrl-C.
    path : str
        Path or address of the summary as a JSON file.
    """

    results: tuple[Result, ...]
    seconds: float
    lost_workers: int = 0
    is_interrupted: bool = False
    path: str = ""

    def count(self, status: str) -> int:
        """Return the number of sources with a status.

        Parameters
        ----------
        status : {"done", "failed", "skipped"}
        """
        return sum(one.status == status for one in self.results)

    @property
    def failed_before(self) -> int:
        """Number of sources that are skipped because they failed in an earlier run."""
        return sum(one.status == "skipped" and one.error is not None for one in self.results)

    @property
    def totals(self) -> dict[str, Any]:
        """Counts and sums of this run. Skipped sources add only to the count of skipped sources."""
        worked = [one for one in self.results if one.status != "skipped"]
        return {
            "sources": len(self.results), "done": self.count("done"),
            "failed": self.count("failed"), "skipped": self.count("skipped"),
            "failed_before": self.failed_before,
            "frames": sum(one.frames for one in worked),
            "video_s": round(sum(one.video_s for one in worked), 3),
            "work_s": round(sum(one.seconds for one in worked), 3),
            "seconds": round(self.seconds, 3),
            "nodes": sorted({one.node for one in worked if one.node}),
            "lost_workers": self.lost_workers, "is_interrupted": self.is_interrupted,
        }  # fmt: skip

    def line(self) -> str:
        """Return the totals as one line."""
        totals = self.totals
        skipped = totals["skipped"] - totals["failed_before"]
        earlier = []
        if skipped:
            earlier.append(f"{skipped} done before")
        if totals["failed_before"]:
            again = option("retry_failed", True)
            earlier.append(f"{totals['failed_before']} failed before ({again} tries again)")
        if not self.results and not self.is_interrupted:
            return "nothing to do: there is no source (results of earlier runs are not sources)"
        if not totals["done"] and not totals["failed"] and not self.is_interrupted:
            return f"nothing to do: {', '.join(earlier)}"
        video_s, seconds = totals["video_s"], max(self.seconds, 1e-9)
        parts = [f"{totals['done']} done", f"{totals['failed']} failed", *earlier]
        if self.lost_workers:
            parts.append(f"{self.lost_workers} workers lost")
        return (
            f"{totals['sources']} sources: {', '.join(parts)}; {clock_text(video_s)} of video in "
            f"{clock_text(seconds)} ({video_s / seconds:.2f} x real time)"
        )


def write_summary(
    out: Folder,
    results: Sequence[Result],
    seconds: float,
    *,
    lost_workers: int,
    is_interrupted: bool,
) -> BatchSummary:
    """Write a summary into the folder of the results, and return it.

    The table is Parquet where pyarrow is installed, else CSV.

    Parameters
    ----------
    out : Folder
    results : sequence of Result
    seconds : float
        Duration of the run.
    lost_workers : int
    is_interrupted : bool
        See `BatchSummary`.

    Raises
    ------
    VidsalError
        If the summary cannot be written.
    """
    path = out.address(f"{PRIVATE}/summary.json")
    summary = BatchSummary(tuple(results), seconds, lost_workers, is_interrupted, path)
    rows = [one.as_json() for one in results]
    text = json.dumps({"totals": summary.totals, "results": rows}, indent=2) + "\n"
    name, table = _table(results)
    for other in ("summary.parquet", "summary.csv"):
        if other != name:
            out.remove(f"{PRIVATE}/{other}")
    out.write(f"{PRIVATE}/{name}", table)
    out.write(f"{PRIVATE}/summary.json", text.encode())
    return summary


def _table(results: Sequence[Result]) -> tuple[str, bytes]:
    """Return the name and the content of the table."""
    columns = [one.name for one in fields(Result)]
    rows = [one.as_json() for one in results]
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError:
        text = io.StringIO(newline="")
        table = csv.DictWriter(text, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        return "summary.csv", text.getvalue().encode()
    kinds: dict[Any, Any] = {int: pyarrow.int64(), float: pyarrow.float64()}
    schema = pyarrow.schema(
        [(one.name, kinds.get(one.type, pyarrow.string())) for one in fields(Result)]
    )
    content = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows, schema=schema), content)
    return "summary.parquet", content.getvalue()
