"""Arithmetic of the network, and its cost on the machine at hand."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from keras_help import model_of, saved

from vidsal.settings import Settings
from vidsal.static import precision
from vidsal.static.models import choose, open_static
from vidsal.types import Request


@pytest.mark.slow
def test_bfloat16_shows_what_float32_shows(sample_media: Path) -> None:
    bgr = cv2.imread(str(sample_media / "cat.jpg"))
    assert bgr is not None
    rgb = np.ascontiguousarray(cv2.resize(bgr, (160, 160), interpolation=cv2.INTER_AREA)[..., ::-1])
    maps, seen = [], []
    for arithmetic in ("float32", "bfloat16"):
        settings = Settings(model="lite0", precision=arithmetic, samples=8)
        stage = open_static(choose(settings), settings)
        assert stage is not None
        (one,) = stage.maps(rgb[None].astype(np.uint8), [Request(0, 8)])
        assert one.dtype == np.float32 and np.isfinite(one).all()
        maps.append(one.ravel())
        (p,) = stage.predict(rgb[None].astype(np.uint8))
        assert p.dtype == np.float32
        seen.append(p)
    correlation = float(np.corrcoef(np.stack(maps))[0, 1])
    assert 0.7 < correlation < 0.99999
    assert seen[0].argmax() == seen[1].argmax()
    assert np.abs(seen[0] - seen[1]).max() < 0.15


@pytest.mark.parametrize(("seconds", "is_slower"), [(6.0, True), (1.5, False), (0.5, False)])
def test_arithmetic_that_a_machine_lacks_is_told(
    seconds: float, is_slower: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr(
        precision, "_derivative_s", {"float32": 1.0, "bfloat16": seconds}.__getitem__
    )
    path = str(saved(model_of("none"), tmp_path / "mine.keras"))
    for chosen in ("float32", "bfloat16"):
        caplog.clear()
        settings = Settings(model=path, precision=chosen)
        open_static(choose(settings), settings)
        warned = [one for one in caplog.messages if "slower than float32" in one]
        assert len(warned) == (is_slower and chosen == "bfloat16")


def test_more_work_takes_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    small = precision._derivative_s("float32")
    monkeypatch.setattr(precision, "_LAYER", (16, 56, 56, 128))
    # 64 times the arithmetic.
    assert precision._derivative_s("float32") > 2 * small > 0
