"""The table of a stored analysis against that of the run."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import BrightnessStage, MakeClip
from store_help import kept_run

import vidsal
from vidsal.errors import VidsalError
from vidsal.sinks.table import COLUMNS, TEXTS, WHOLE

pytest.importorskip("zarr")
pd = pytest.importorskip("pandas")
pytestmark = pytest.mark.usefixtures("own_folder")


def as_csv(path: Path) -> Any:
    """A table as pandas reads it, its texts as texts."""
    types: dict[str, Any] = {**dict.fromkeys(TEXTS, "str"), **dict.fromkeys(WHOLE, "int64")}
    return pd.read_csv(path, dtype=types)


@pytest.mark.parametrize(
    "options",
    [
        {}, {"predict_every": 0}, {"method": "gradcam"}, {"fusion": "sum", "centre_prior": 0.5},
        {"camera": "none"}, {"every": 3, "start": 0.2}, {"target": "lock"},
    ],
    ids=str,
)  # fmt: skip
def test_it_is_the_table_of_the_run(
    make_clip: MakeClip, brightness: BrightnessStage, options: dict[str, Any]
) -> None:
    kept_run(make_clip(frames=40), table=Path("t.csv"), **options)
    found, expected = vidsal.open_store("s.vidsal").table(), as_csv(Path("t.csv"))
    assert tuple(found.columns) == COLUMNS and len(found) == len(expected) > 10
    pd.testing.assert_frame_equal(found, expected, check_exact=True, check_dtype=False)
    assert found["frame"].dtype == np.int64 and found["speed_p95"].dtype == np.float64
    assert found["target"].notna().all() and found["boxes"].isna().all()


def test_without_a_network_columns_are_missing(make_clip: MakeClip) -> None:
    kept_run(make_clip(frames=5), model="none", table=Path("t.csv"))
    found = vidsal.open_store("s.vidsal").table()
    pd.testing.assert_frame_equal(found, as_csv(Path("t.csv")), check_exact=True, check_dtype=False)
    assert found["static_high"].isna().all() and (found["model"] == "none").all()


def test_boxes_are_found_anew(make_clip: MakeClip, brightness: BrightnessStage) -> None:
    kept_run(make_clip(frames=12), table=Path("t.csv"), boxes=0.5)
    found, expected = vidsal.open_store("s.vidsal").table(), as_csv(Path("t.csv"))
    pd.testing.assert_frame_equal(
        found.drop(columns="boxes"), expected.drop(columns="boxes"), check_dtype=False
    )
    pairs = list(zip(found["boxes"].map(eval), expected["boxes"].map(eval), strict=True))
    assert any(expected for _, expected in pairs)
    for boxes, wanted in pairs:
        assert len(boxes) == len(wanted)
        for one, other in zip(boxes, wanted, strict=True):
            # A pixel at the threshold may be in or out.
            assert one == pytest.approx(other, abs=1)


def test_no_tensorflow_is_loaded(make_clip: MakeClip, brightness: BrightnessStage) -> None:
    kept_run(make_clip(frames=3))
    code = (
        "import sys, vidsal; table = vidsal.open_store('s.vidsal').table()\n"
        "print(len(table), {'tensorflow', 'keras'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "3 set()"


def test_a_missing_pandas_is_one_line(make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch) -> None:
    kept_run(make_clip(frames=3), model="none")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(VidsalError, match=r"need pandas .*: pip install 'vidsal\[data\]'"):
        vidsal.open_store("s.vidsal").table()
