"""A table with one row for each frame, as CSV or Parquet."""

import csv
import json
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

from vidsal.errors import UsageError, VidsalError, option
from vidsal.runtime.atomic_write import atomic_write, writing
from vidsal.saliency.measures import FrameMeasures, measures_of
from vidsal.saliency.regions import Box
from vidsal.settings import Settings
from vidsal.settings.values import CLASS_ACTIVATION
from vidsal.types import TOP_CLASSES, Prediction, Saliency, Shown, SourceInfo

COLUMNS = (
    "frame", "time_s", "model", "precision", "method", "layer", "reduce",
    "target", "target_probability",
    *(f"{what}_{n}" for n in range(1, TOP_CLASSES + 1) for what in ("class", "probability")),
    "speed_median", "speed_p95",
    "camera_model", "camera_row_px", "camera_column_px", "camera_zoom", "camera_turn_deg",
    "camera_inlier_share",
    "cut", "fusion", "gain", "centre_prior", "static_share", "motion_share",
    "static_high", "motion_high", "fused_high",
    "peak_row_px", "peak_column_px", "marker_row_px", "marker_column_px",
    "centroid_row_px", "centroid_column_px", "boxes",
    "shown_unix_s", "latency_ms",
)  # fmt: skip
# The columns that hold texts, and those that hold whole numbers; all others hold numbers.
TEXTS = frozenset({
    "model", "precision", "method", "layer", "reduce", "target", "camera_model", "fusion", "boxes",
    *(f"class_{n}" for n in range(1, TOP_CLASSES + 1)),
})  # fmt: skip
WHOLE = frozenset({"frame", "cut"})
TABLE_SUFFIXES = (".csv", ".parquet")
# Rows of a group in a Parquet file, which is the least that is read at a time.
_GROUP = 1024


def row(
    measures: FrameMeasures, info: SourceInfo, settings: Settings, shown: Shown | None = None
) -> dict[str, Any]:
    """Return the row of one frame.

    Parameters
    ----------
    measures : FrameMeasures
    info : SourceInfo
        The source's size is the unit of points and boxes.
    settings : Settings
        ``method``, ``layer``, ``reduce``, ``fusion``, ``gain`` and ``centre_prior``.
    shown : Shown, optional
        When a live frame was displayed.

    Returns
    -------
    dict
        Values by column; a value that does not exist is left out. Speeds are in diagonals of the
        picture a second, camera movement in working pixels a frame, points and boxes in pixels
        of the source.
    """
    prediction = measures.prediction
    values: dict[str, Any] = {
        "frame": measures.frame,
        "time_s": f"{measures.time_s:.6f}",
        "model": (prediction.model_name if prediction else None) or "none",
        "cut": int(measures.is_cut),
    }
    values |= _prediction_values(prediction) if prediction else {}
    values |= _motion_values(measures) | _fusion_values(measures, settings)
    values |= _region_values(measures, info)
    if shown:
        values["shown_unix_s"] = f"{shown.unix_s:.3f}"
        values["latency_ms"] = f"{shown.latency_ms:.1f}"
    return values


def typed(values: Mapping[str, Any]) -> dict[str, str | int | float | None]:
    """Return a row with numbers where it has texts of numbers, for formats that keep types.

    Parameters
    ----------
    values : mapping
        From `row`, or a line of the CSV file.

    Returns
    -------
    dict
        All columns in order; ``None`` for a value that does not exist.
    """
    return {name: _typed(name, values.get(name)) for name in COLUMNS}


def _typed(name: str, value: Any) -> str | int | float | None:
    if value is None or value == "":
        return None
    return str(value) if name in TEXTS else int(value) if name in WHOLE else float(value)


def _prediction_values(prediction: Prediction) -> dict[str, str]:
    """Return the target and the top classes with their probabilities."""
    values = {
        "target": prediction.target_name,
        "target_probability": _number(prediction.target_probability),
    }
    if prediction.precision is not None:
        values["precision"] = prediction.precision
    classes = zip(prediction.names, prediction.probabilities, strict=True)
    for n, (name, probability) in enumerate(classes, start=1):
        values |= {f"class_{n}": name, f"probability_{n}": _number(probability)}
    return values


def _motion_values(measures: FrameMeasures) -> dict[str, str]:
    """Return the speeds and the camera motion."""
    camera = measures.camera
    centre = camera.at_centre(measures.map_size)
    values = {
        "speed_median": _number(measures.speed_median),
        "speed_p95": _number(measures.speed_p95),
        "camera_model": camera.model,
        "camera_row_px": _number(centre.rows_px),
        "camera_column_px": _number(centre.columns_px),
        "camera_zoom": _number(centre.zoom),
        "camera_turn_deg": _number(centre.turn_deg),
    }
    if camera.inlier_share is not None:
        values["camera_inlier_share"] = _number(camera.inlier_share)
    return values


def _fusion_values(measures: FrameMeasures, settings: Settings) -> dict[str, str]:
    """Return the method and the fusion with their parameters, and the display scales."""
    values = {
        "static_share": _number(1 - measures.motion_share),
        "motion_share": _number(measures.motion_share),
        "motion_high": _number(measures.motion_high),
        "fused_high": _number(measures.fused_high),
    }
    if measures.has_static:
        values |= {
            "method": settings.method,
            "layer": settings.differentiated_by,
            "reduce": "" if settings.method in CLASS_ACTIVATION else settings.reduce,
            "fusion": settings.fusion,
            "gain": _number(settings.gain),
            "centre_prior": _number(settings.centre_prior),
            "static_high": _number(measures.static_high),
        }
    return values


def _region_values(measures: FrameMeasures, info: SourceInfo) -> dict[str, str]:
    """Return the peak, the ring's place, the centroid, and the boxes around salient regions."""
    values = {}
    points = {"peak": measures.peak, "marker": measures.marker, "centroid": measures.centroid}
    for name, point in points.items():
        if point:
            values[f"{name}_row_px"] = f"{point[0] * info.height_px:.1f}"
            values[f"{name}_column_px"] = f"{point[1] * info.width_px:.1f}"
    if measures.boxes is not None:
        values["boxes"] = json.dumps([_in_pixels(box, info) for box in measures.boxes])
    return values


def _in_pixels(box: Box, info: SourceInfo) -> dict[str, float]:
    """Return a box in pixels of the source, as JSON has it."""
    return {
        "top": round(box.top * info.height_px),
        "left": round(box.left * info.width_px),
        "bottom": round(box.bottom * info.height_px),
        "right": round(box.right * info.width_px),
        "saliency": round(box.saliency, 4),
    }


def _number(value: Any) -> str:
    """Return a number with five significant digits, the same on every machine."""
    return f"{float(value):.5g}"


def claim_table(path: Path, suffixes: Collection[str] = TABLE_SUFFIXES) -> None:
    """Check before any work whether a table can have this name.

    Parameters
    ----------
    path : Path
    suffixes : collection of str
        Endings of the formats in which it can be written.

    Raises
    ------
    UsageError
        If its suffix is another one.
    VidsalError
        If pyarrow is missing, which writes .parquet.
    """
    if path.suffix.lower() not in suffixes:
        raise UsageError(
            f"{option('table', str(path))}: a table is written as {' or '.join(suffixes)}"
        )
    if _is_parquet(path):
        _load_parquet()


def deliver_table(table: Path, path: Path) -> None:
    """Write a finished CSV table to its final path, in the format of that.

    Parameters
    ----------
    table : Path
        A CSV file.
    path : Path

    Raises
    ------
    VidsalError
        If it cannot be written.
    """
    with atomic_write(path) as part, writing(path):
        if not _is_parquet(path):
            shutil.copyfile(table, part)
            return
        with table.open(newline="", encoding="utf-8") as file, closing(_ParquetRows(part)) as rows:
            for values in csv.DictReader(file):
                rows.write(values)


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet"


def _load_parquet() -> Any:
    """Import and return pyarrow, which is an extra, with its module of Parquet files."""
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise VidsalError(
            f"a table as .parquet needs pyarrow ({error}): pip install 'vidsal[data]', or pip "
            "install pyarrow"
        ) from error
    return pyarrow


class _Rows(Protocol):
    """An open table, to which rows are added. Errors are those of the system."""

    def write(self, values: Mapping[str, Any]) -> None: ...
    def close(self) -> None: ...


class _CsvRows:
    """A CSV file with a header."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", newline="", encoding="utf-8")
        self._table = csv.DictWriter(self._file, COLUMNS, lineterminator="\n")
        self._table.writeheader()

    def write(self, values: Mapping[str, Any]) -> None:
        self._table.writerow(values)
        # Reports a full disk before the video gets its final name.
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class _ParquetRows:
    """A Parquet file with typed columns, written a group of rows at a time."""

    def __init__(self, path: Path) -> None:
        self._arrow = _load_parquet()
        types = (self._arrow.string(), self._arrow.int64(), self._arrow.float64())
        text, whole, number = types
        self._schema = self._arrow.schema([
            (name, text if name in TEXTS else whole if name in WHOLE else number)
            for name in COLUMNS
        ])  # fmt: skip
        self._rows: list[dict[str, Any]] = []
        self._table = self._arrow.parquet.ParquetWriter(str(path), self._schema)

    def write(self, values: Mapping[str, Any]) -> None:
        self._rows.append(typed(values))
        if len(self._rows) == _GROUP:
            self._flush()

    def _flush(self) -> None:
        rows, self._rows = self._rows, []
        self._table.write_table(self._arrow.Table.from_pylist(rows, schema=self._schema))

    def close(self) -> None:
        with closing(self._table):
            self._flush()


class TableSink:
    """Writes one row for each frame to an open table.

    Parameters
    ----------
    path : Path
        Final path of the table, for messages.
    rows : an open table
    info : SourceInfo
    settings : Settings
        See `row`.
    """

    def __init__(self, path: Path, rows: _Rows, info: SourceInfo, settings: Settings) -> None:
        self._path, self._rows, self._info, self._settings = path, rows, info, settings

    def write(self, saliency: Saliency, shown: Shown | None = None) -> None:
        """Write the row of a frame.

        Parameters
        ----------
        saliency : Saliency
        shown : Shown, optional
            When a live frame was displayed.

        Raises
        ------
        VidsalError
            If it cannot be written.
        """
        measures = measures_of(saliency, self._settings.boxes)
        with writing(self._path):
            self._rows.write(row(measures, self._info, self._settings, shown))


@contextmanager
def table_sink(path: Path, info: SourceInfo, settings: Settings) -> Iterator[TableSink]:
    """Lend a sink that writes one row for each frame, as CSV or, by the suffix, as Parquet.

    Parameters
    ----------
    path : Path
    info : SourceInfo
    settings : Settings
        See `row`.

    Yields
    ------
    TableSink

    Raises
    ------
    VidsalError
        If the table cannot be written.
    """
    with atomic_write(path) as part:
        with writing(path):
            rows: _Rows = _ParquetRows(part) if _is_parquet(path) else _CsvRows(part)
        # `writing` does not enclose the block, whose errors have other causes.
        try:
            yield TableSink(path, rows, info, settings)
        finally:
            with writing(path):
                rows.close()
