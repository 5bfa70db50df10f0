"""Arithmetic of the network, and its cost on the machine at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from keras_help import model_of, saved

from vidsal.errors import UsageError, VidsalError
from vidsal.settings import Settings
from vidsal.static import precision
from vidsal.static.models import choose, open_static
from vidsal.types import Map, Request, Rgb, Target


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


class _Timed:
    """A stage whose calls take a given time, in either arithmetic."""

    names, target, input_size = ("one",), Target(top=1), None
    is_decided = True

    def __init__(self, precision: str, seconds: float, maps: Map, clock: list[float]) -> None:
        self.precision, self._seconds, self._maps, self._clock = precision, seconds, maps, clock
        self.calls = 0

    def maps(self, rgb: Rgb, requests: list[Request]) -> Map:
        self.calls += 1
        self._clock[0] += self._seconds
        return self._maps[: len(rgb)]

    def predict(self, rgb: Rgb) -> Map:
        return np.ones((len(rgb), 1), np.float32)

    def aimed(self, target: Target) -> _Timed:
        return self


@pytest.mark.parametrize(
    ("layer_s", "seconds", "is_alike", "chosen", "opened"),
    [
        (1.0, 1.0, True, "float32", 1),  # a layer of it is no faster: nothing is tried
        (0.7, 1.0, True, "bfloat16", 2),
        (0.7, 1.6, True, "float32", 2),  # the network is not
        (0.7, 1.0, False, "float32", 2),
    ],
)
def test_auto_takes_what_is_quicker_and_alike(
    layer_s: float, seconds: float, is_alike: bool, chosen: str, opened: int,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    clock = [0.0]
    monkeypatch.setattr("vidsal.static.precision.time.perf_counter", lambda: clock[0])
    monkeypatch.setattr(
        precision, "_derivative_s", {"float32": 1.0, "bfloat16": layer_s}.__getitem__
    )
    rng = np.random.default_rng(0)
    usual = rng.random((3, 32, 56), np.float32)
    other = usual + np.float32(0.02) * rng.random((3, 32, 56), np.float32)
    stages = {
        "float32": _Timed("float32", 2.0, usual, clock),
        "bfloat16": _Timed(
            "bfloat16", seconds, other if is_alike else usual[:, ::-1].copy(), clock
        ),
    }
    was_opened = []

    def opened_stage(arithmetic: str) -> Any:
        was_opened.append(arithmetic)
        return stages[arithmetic]

    stage = precision.QuickerStage(opened_stage)
    rgb, requests = np.zeros((3, 64, 96, 3), np.uint8), [Request(n, 1) for n in range(3)]
    with caplog.at_level("INFO", "vidsal"):
        stage.maps(rgb, requests)
        # A photo is one call.
        assert (stage.precision, was_opened) == ("float32", ["float32"])
        stage.maps(rgb, requests)
    assert (stage.precision, len(was_opened)) == (chosen, opened)
    assert any(line.startswith(f"precision {chosen}") for line in caplog.messages)
    calls = {name: one.calls for name, one in stages.items()}
    assert np.array_equal(stage.maps(rgb, requests), stages[chosen].maps(rgb, requests))
    assert stages[chosen].calls == calls[chosen] + 2
    assert len(was_opened) == opened


def test_a_map_of_one_value_proves_nothing() -> None:
    flat, other = np.zeros((8, 8), np.float32), np.zeros((8, 8), np.float32)
    assert precision._likeness(flat, other) == 0
    other[2, 2] = 1
    assert precision._likeness(flat, other) == 0
    assert precision._likeness(other, 3 * other) == pytest.approx(1)


def test_auto_waits_for_a_picture_with_a_map(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_derivative_s", {"float32": 1.0, "bfloat16": 0.5}.__getitem__)
    clock = [0.0]
    monkeypatch.setattr("vidsal.static.precision.time.perf_counter", lambda: clock[0])
    maps = np.zeros((2, 32, 56), np.float32)
    seconds = {"float32": 2.0, "bfloat16": 1.0}

    def opened_stage(arithmetic: str) -> Any:
        return _Timed(arithmetic, seconds[arithmetic], maps, clock)

    stage = precision.QuickerStage(opened_stage)
    rgb, requests = np.zeros((2, 64, 96, 3), np.uint8), [Request(n, 1) for n in range(2)]
    for _ in range(4):
        stage.maps(rgb, requests)
        assert (stage.precision, stage.is_decided) == ("float32", False)
    maps[:] = np.random.default_rng(0).random(maps.shape)
    stage.maps(rgb, requests)
    assert (stage.precision, stage.is_decided) == ("bfloat16", True)


def test_a_network_that_fails_in_bfloat16_stays_in_float32(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(precision, "_derivative_s", {"float32": 1.0, "bfloat16": 0.5}.__getitem__)
    usual = _Timed("float32", 1.0, np.random.default_rng(0).random((1, 8, 8), np.float32), [0.0])

    def opened_stage(arithmetic: str) -> Any:
        if arithmetic == "bfloat16":
            raise VidsalError("mine cannot take pictures")
        return usual

    stage = precision.QuickerStage(opened_stage)
    rgb, requests = np.zeros((1, 16, 16, 3), np.uint8), [Request(0, 1)]
    with caplog.at_level("INFO", "vidsal"):
        for _ in range(3):
            assert stage.maps(rgb, requests).any()
    assert (stage.precision, stage.is_decided) == ("float32", True)
    assert [one for one in caplog.messages if "cannot be used in bfloat16 (mine" in one]


def test_auto_opens_the_network_and_says_its_arithmetic(tmp_path: Path) -> None:
    path = str(saved(model_of("none"), tmp_path / "mine.keras"))
    settings = Settings(model=path, precision="auto")
    stage: Any = open_static(choose(settings), settings)
    assert stage.precision == "float32"
    rgb = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    plain: Any = open_static(choose(settings), Settings(model=path))
    requests = [Request(n, 1) for n in range(2)]
    assert np.array_equal(stage.maps(rgb, requests), plain.maps(rgb, requests))
    stage.maps(rgb, requests)
    assert stage.is_decided
    assert stage.aimed(stage.target).precision == stage.precision


def test_auto_cannot_be_resumed() -> None:
    with pytest.raises(UsageError, match="give float32 or bfloat16"):
        Settings(precision="auto", resume=True)
