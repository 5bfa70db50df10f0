"""The table: exact rows, and empty cells for values that do not exist."""

import csv
import json
import math
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sink_help import FILM, make_info, make_saliency, names_in

from vidsal.errors import UsageError, VidsalError
from vidsal.motion.compensated import still
from vidsal.settings import Settings
from vidsal.sinks.table import COLUMNS, claim_table, table_sink
from vidsal.types import CameraMotion, Prediction, Saliency, Shown, SourceInfo

pytestmark = pytest.mark.usefixtures("own_folder")


def _rich() -> Saliency:
    speed = np.linspace(0, 1.91, 192, dtype=np.float32).reshape(12, 16)
    cos, sin = 1.25 * math.cos(math.radians(2)), 1.25 * math.sin(math.radians(2))
    # About the middle of the map, (7.5, 5.5), which goes 3.5 to the right and 1.25 up.
    about = np.array([[1, 0, -7.5], [0, 1, -5.5], [0, 0, 1]])
    turned = np.array([[cos, -sin, 3.5], [sin, cos, -1.25], [0, 0, 1]])
    matrix = (np.linalg.inv(about) @ turned @ about).astype(np.float32)
    # The table does not use the speed of this frame alone.
    wild = np.full((12, 16), 1e3, np.float32)
    fused = np.zeros((12, 16), np.float32)
    fused[2, 4] = 1.0
    fused[8, 12] = 0.5
    return make_saliency(
        7,
        time_s=1.0 / 3,
        fused=fused,
        static=fused / np.float32(3),
        movement=replace(still((12, 16)), speed=wild, camera=CameraMotion(matrix, "affine", 0.75)),
        speed=speed,
        prediction=Prediction(
            class_ids=(285, 281, 282, 287, 1),
            names=("Egyptian cat", "tabby, so to say", 'say "cat"', "lynx", "Sämann"),
            probabilities=(0.5, 0.25, 0.125, 0.0625, 1e-9),
            target_id=281,
            target_name="tabby, so to say",
            target_probability=0.25,
            model_name="ResNet50",
            precision="bfloat16",
        ),
        is_cut=True,
        motion_share=0.28125,
        static_high=1234567.0,
        motion_high=0.625,
        fused_high=0.000123456,
        peak=(2.5 / 12, 4.5 / 16),
        marker=(0.5, 0.25),
    )


def _table(
    path: Path,
    rows: Iterable[Saliency],
    *,
    info: SourceInfo | None = None,
    shown: Shown | None = None,
    **options: Any,
) -> list[dict[str, str]]:
    with table_sink(path, info or make_info(), Settings(**options)) as sink:
        for one in rows:
            sink.write(one, shown)
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_table_row_is_exact(tmp_path: Path) -> None:
    options: dict[str, Any] = {"fusion": "sum", "gain": 2.5, "centre_prior": 0.75, "boxes": 0.4}
    options["method"] = "integrated"
    (row,) = _table(
        tmp_path / "t.csv", [_rich()], shown=Shown(1_795_392_000.123456, 61.25), **options
    )
    assert tuple(row) == COLUMNS
    # Speeds are 0.0 to 1.91 in steps of 0.01: the median lies between the middle two.
    assert row == {
        "frame": "7", "time_s": "0.333333", "model": "ResNet50",
        "precision": "bfloat16", "method": "integrated",
        "layer": "input", "reduce": "norm",
        "target": "tabby, so to say", "target_probability": "0.25",
        "class_1": "Egyptian cat", "probability_1": "0.5",
        "class_2": "tabby, so to say", "probability_2": "0.25",
        "class_3": 'say "cat"', "probability_3": "0.125",
        "class_4": "lynx", "probability_4": "0.0625",
        "class_5": "Sämann", "probability_5": "1e-09",
        "speed_median": "0.955", "speed_p95": "1.8145",
        "camera_model": "affine", "camera_row_px": "-1.25", "camera_column_px": "3.5",
        "camera_zoom": "1.25", "camera_turn_deg": "2", "camera_inlier_share": "0.75",
        "cut": "1", "fusion": "sum", "gain": "2.5", "centre_prior": "0.75",
        "static_share": "0.71875", "motion_share": "0.28125",
        "static_high": "1.2346e+06", "motion_high": "0.625", "fused_high": "0.00012346",
        # The middle of cell (2, 4) of 12 x 16 in a picture of 48 x 64 pixels.
        "peak_row_px": "10.0", "peak_column_px": "18.0",
        "marker_row_px": "24.0", "marker_column_px": "16.0",
        # Two thirds of the way to it from the middle of cell (8, 12).
        "centroid_row_px": "18.0", "centroid_column_px": "28.7",
        # The two cells themselves, the hotter first.
        "boxes": '[{"top": 8, "left": 16, "bottom": 12, "right": 20, "saliency": 1.0}, '
        '{"top": 32, "left": 48, "bottom": 36, "right": 52, "saliency": 0.5}]',
        "shown_unix_s": "1795392000.123", "latency_ms": "61.2",
    }  # fmt: skip


@pytest.mark.parametrize(("height", "width"), [(48, 64), (1080, 1920), (33, 47)])
def test_boxes_are_in_pixels_of_the_source(height: int, width: int, tmp_path: Path) -> None:
    fused = np.full((12, 16), 0.125, np.float32)
    fused[1:4, 2:7], fused[6:11, 9:] = 0.75, 0.875
    fused[10, 15] = 1
    info = SourceInfo("source.mp4", height, width, FILM)
    given = [make_saliency(fused=fused), make_saliency(1)]
    rows = _table(tmp_path / "t.csv", given, info=info, boxes=0.7)
    found = json.loads(rows[0]["boxes"])
    # Rows and columns of the map, which has 12 x 16.
    expected = [((6, 9, 11, 16), (34 * 0.875 + 1) / 35), ((1, 2, 4, 7), 0.75)]
    for box, ((top, left, bottom, right), mean) in zip(found, expected, strict=True):
        assert box == {
            "top": round(top / 12 * height), "left": round(left / 16 * width),
            "bottom": round(bottom / 12 * height), "right": round(right / 16 * width),
            "saliency": pytest.approx(mean, abs=5e-5),
        }  # fmt: skip
    # An empty list for a frame without boxes, an empty cell if no boxes are requested.
    assert rows[1]["boxes"] == "[]"
    (row,) = _table(tmp_path / "u.csv", [make_saliency(fused=fused)], info=info)
    assert row["boxes"] == ""


def _parquet(path: Path, rows: Iterable[Saliency], **options: Any) -> Any:
    parquet = pytest.importorskip("pyarrow.parquet")
    with table_sink(path, make_info(), Settings(**options)) as sink:
        for one in rows:
            sink.write(one, Shown(1_795_392_000.123456, 61.25))
    return parquet.read_table(path)


def test_parquet_holds_the_rows_of_the_csv(tmp_path: Path) -> None:
    frames = [_rich(), make_saliency(8), _rich()]
    shown = Shown(1_795_392_000.123456, 61.25)
    found = _parquet(tmp_path / "t.parquet", frames, boxes=0.4)
    expected = _table(tmp_path / "t.csv", frames, shown=shown, boxes=0.4)
    assert tuple(found.column_names) == COLUMNS
    types = {field.name: str(field.type) for field in found.schema}
    assert (types["frame"], types["cut"], types["time_s"]) == ("int64", "int64", "double")
    assert (types["target"], types["boxes"], types["speed_p95"]) == ("string", "string", "double")
    for values, texts in zip(found.to_pylist(), expected, strict=True):
        for name, text in texts.items():
            kind = {"int64": int, "double": float, "string": str}[types[name]]
            assert values[name] == (kind(text) if text else None), name
    assert found["class_3"].to_pylist() == ['say "cat"', None, 'say "cat"']
    assert [one.name for one in tmp_path.iterdir() if one.suffix == ".part"] == []


def test_parquet_has_groups_of_rows_and_no_rows(tmp_path: Path) -> None:
    found = _parquet(tmp_path / "t.parquet", map(make_saliency, range(1030)))
    assert found["frame"].to_pylist() == list(range(1030))
    assert len(_parquet(tmp_path / "u.parquet", [])) == 0


def test_an_error_leaves_no_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    with (
        pytest.raises(KeyboardInterrupt),
        table_sink(tmp_path / "t.parquet", make_info(), Settings()) as sink,
    ):
        sink.write(make_saliency(0))
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_parquet_needs_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(VidsalError, match=r"needs pyarrow .*: pip install 'vidsal\[data\]'"):
        claim_table(tmp_path / "t.parquet")
    claim_table(tmp_path / "t.csv")
    with pytest.raises(UsageError, match=r"a table is written as \.csv or \.parquet"):
        claim_table(tmp_path / "t.xlsx")


def test_table_leaves_out_what_does_not_exist(tmp_path: Path) -> None:
    rows = _table(tmp_path / "t.csv", [make_saliency(n) for n in range(4)])
    assert [row["frame"] for row in rows] == ["0", "1", "2", "3"]
    assert [row["time_s"] for row in rows] == ["0.000000", "0.040000", "0.080000", "0.120000"]
    for row in rows:
        assert row["model"] == "none"
        assert row["cut"] == "0"
        assert row["camera_model"] == "none"
        assert row["camera_zoom"] == "1"
        empty = {name for name in COLUMNS if row[name] == ""}
        assert empty == {
            "target", "target_probability", *(f"class_{n}" for n in range(1, 6)),
            *(f"probability_{n}" for n in range(1, 6)), "camera_inlier_share",
            # Without a network there is no gradient and no fusion.
            "precision", "method", "layer", "reduce", "fusion", "gain", "centre_prior",
            "static_high",
            "peak_row_px", "peak_column_px", "marker_row_px", "marker_column_px",
            "centroid_row_px", "centroid_column_px", "boxes",
            # The source is not live.
            "shown_unix_s", "latency_ms",
        }  # fmt: skip


def test_table_names_every_column_once_in_order(tmp_path: Path) -> None:
    _table(tmp_path / "t.csv", [])
    text = (tmp_path / "t.csv").read_bytes().decode()
    assert text == (
        "frame,time_s,model,precision,method,layer,reduce,target,target_probability,class_1,probability_1,class_2,"
        "probability_2,class_3,probability_3,class_4,probability_4,class_5,probability_5,"
        "speed_median,speed_p95,camera_model,camera_row_px,camera_column_px,camera_zoom,"
        "camera_turn_deg,camera_inlier_share,cut,fusion,gain,centre_prior,static_share,"
        "motion_share,static_high,motion_high,fused_high,peak_row_px,peak_column_px,"
        "marker_row_px,marker_column_px,centroid_row_px,centroid_column_px,boxes,"
        "shown_unix_s,latency_ms\n"
    )


def test_table_of_a_failed_run_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    with pytest.raises(RuntimeError), table_sink(path, make_info(), Settings()) as sink:
        sink.write(make_saliency())
        raise RuntimeError
    assert names_in(tmp_path) == []
