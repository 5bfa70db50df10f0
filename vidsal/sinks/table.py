"""A CSV table with one row a frame."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from vidsal.frames import Rgb, Saliency, SourceInfo
from vidsal.fusion import centroid, peak
from vidsal.sink import Write, staged, writing

_TOP = 5
COLUMNS = (
    "index", "time_s", "model", "target", "target_probability",
    *(f"{what}_{n}" for n in range(1, _TOP + 1) for what in ("class", "probability")),
    "speed_median_px", "speed_p95_px",
    "camera_row_px", "camera_column_px", "camera_zoom", "camera_turn_deg", "camera_inlier_share",
    "cut", "peak_row_px", "peak_column_px", "centroid_row_px", "centroid_column_px",
)  # fmt: skip


def row(saliency: Saliency, info: SourceInfo, model_name: str | None) -> dict[str, Any]:
    """Return what a table says of one frame; a value that does not exist is left out.

    Speeds and camera movement are in working pixels a frame, points in pixels of the source.
    """
    seen, moved = saliency.prediction, saliency.movement
    values: dict[str, Any] = {
        "index": saliency.frame.index,
        "time_s": f"{saliency.frame.time_s:.6f}",
        "model": model_name or "none",
        "cut": int(saliency.is_cut),
        "speed_median_px": _number(np.median(moved.speed)),
        "speed_p95_px": _number(np.percentile(moved.speed, 95)),
        "camera_row_px": _number(moved.camera.shift_px[0]),
        "camera_column_px": _number(moved.camera.shift_px[1]),
        "camera_zoom": _number(moved.camera.zoom),
        "camera_turn_deg": _number(moved.camera.turn_deg),
    }
    if moved.camera.inlier_share is not None:
        values["camera_inlier_share"] = _number(moved.camera.inlier_share)
    if seen:
        values["target"] = seen.target_name
        values["target_probability"] = _number(seen.target_probability)
        for n, (name, p) in enumerate(zip(seen.names, seen.probabilities, strict=True), start=1):
            values |= {f"class_{n}": name, f"probability_{n}": _number(p)}
    for what, point in (("peak", peak(saliency.fused)), ("centroid", centroid(saliency.fused))):
        if point:
            values[f"{what}_row_px"] = f"{point[0] * info.height_px:.1f}"
            values[f"{what}_column_px"] = f"{point[1] * info.width_px:.1f}"
    return values


def _number(value: Any) -> str:
    """Return a number with five significant digits, the same on every machine."""
    return f"{float(value):.5g}"


@contextmanager
def table_sink(path: Path, info: SourceInfo, model_name: str | None) -> Iterator[Write]:
    """Lend a function that writes one row a frame."""
    with staged(path) as part, writing(path), part.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()

        def write(saliency: Saliency, picture: Rgb) -> None:
            with writing(path):
                table.writerow(row(saliency, info, model_name))
                # A full disk must show while the video can still be taken back.
                file.flush()

        yield write
