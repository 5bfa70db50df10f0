"""xarray opens a store as it is."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from conftest import BrightnessStage, MakeClip
from store_help import kept_run

import vidsal

pytest.importorskip("zarr")
xarray = pytest.importorskip("xarray")
pytestmark = pytest.mark.usefixtures("own_folder")


def test_xarray_opens_a_store(make_clip: MakeClip, brightness: BrightnessStage) -> None:
    kept_run(make_clip(frames=12), predict_every=0.2)
    store = vidsal.open_store("s.vidsal")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = xarray.open_zarr("s.vidsal")
    assert {"frame", "time_s", "predicted_s"} == set(data.coords)
    assert data.sizes["frame"] == 12 and data.sizes["prediction"] == 3
    # A frame's number is its label; none is taken for a missing value.
    assert data.frame.values.tolist() == list(range(12)) and data.frame.dtype == np.int64
    assert data.event.dtype == np.uint8
    for name in ("gradient", "speed"):
        maps = (data[name] * data[f"{name}_scale"]).transpose("frame", "row", "column")
        assert np.allclose(maps.values, [getattr(one, name) for one in store], rtol=1e-6)
    assert np.array_equal(data.sel(frame=7).peak.values, np.asarray(store[7].peak))
    shown = data.class_probability.isel(prediction=data.prediction_row)
    assert np.array_equal(shown.values, store.probabilities([0, 1]).astype(np.float16))
    assert data.attrs["class_names"] == ["dark", "bright"]


def test_zarr_metadata_is_in_one_file(make_clip: MakeClip) -> None:
    kept_run(make_clip(frames=3), model="none")
    assert "consolidated_metadata" in Path("s.vidsal/zarr.json").read_text()
