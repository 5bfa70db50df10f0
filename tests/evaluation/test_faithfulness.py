"""Faithfulness, measured on a network whose reasons are known."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from vidsal.errors import VidsalError
from vidsal.evaluation import faithfulness
from vidsal.settings import Settings
from vidsal.static.models import ModelChoice
from vidsal.types import Map, Request, Rgb, Target

SIZE = (64, 96)


class _LooksAt:
    """A network that sees its class as far as one corner is detailed, and maps that say where."""

    names = ("detail", "none")
    input_size = SIZE
    target = Target(is_locked=True)

    def __init__(self, *, honest: bool) -> None:
        self._honest = honest
        self.asked: list[int | None] = []

    def predict(self, rgb: Rgb) -> Map:
        detail = np.abs(np.diff(rgb[:, :24, :24].astype(np.float32), axis=2)).mean(axis=(1, 2, 3))
        seen = np.clip(0.5 + detail / 400, 0, 0.99)
        return np.stack([seen, 1 - seen], axis=1).astype(np.float32)

    def maps(self, rgb: Rgb, requests: Sequence[Request]) -> Map:
        self.asked += [request.class_id for request in requests]
        maps = np.zeros(rgb.shape[:3], np.float32)
        corner = np.s_[:, :24, :24] if self._honest else np.s_[:, -24:, -24:]
        maps[corner] = 1
        return maps


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    from PIL import Image

    path = tmp_path / "photo.png"
    noise = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    Image.fromarray(noise).save(path)
    return path


def _measured(photo: Path, monkeypatch: pytest.MonkeyPatch, *, honest: bool) -> faithfulness.Report:
    stage = _LooksAt(honest=honest)
    other = _LooksAt(honest=not honest)
    # What it sees is something else, but it is asked about the same.
    monkeypatch.setattr(other, "predict", lambda rgb: 1 - stage.predict(rgb))
    monkeypatch.setattr(
        faithfulness, "open_static", lambda *_, trained=True: stage if trained else other
    )
    report = faithfulness.measure([photo], Settings(model="lite0"), choice=ModelChoice("lite0"))
    assert stage.asked == other.asked == [0]
    return report


def test_a_map_of_the_reason_is_faithful(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = _measured(photo, monkeypatch, honest=True)
    ours = report.rows["vidsal"]
    assert list(report.rows) == ["vidsal", "random", "centre", "edges"]
    for name, row in report.rows.items():
        if name != "vidsal":
            assert ours.difference.mean > row.difference.mean
            assert row.behind is not None
            assert row.behind.mean == pytest.approx(
                ours.difference.mean - row.difference.mean, abs=1e-9
            )
    assert ours.behind is None
    assert report.pictures == 1


def test_a_map_of_something_else_is_not(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = _measured(photo, monkeypatch, honest=False)
    assert report.rows["vidsal"].difference.mean < report.rows["random"].difference.mean
    # The re-initialised stand-in looks at the opposite corner.
    assert report.randomised.mean < 0.2


class _Unsure(_LooksAt):
    """It is the surer of its class the fewer details there are anywhere: of a part, surest."""

    def predict(self, rgb: Rgb) -> Map:
        detail = np.abs(np.diff(rgb.astype(np.float32), axis=2)).mean(axis=(1, 2, 3))
        seen = np.clip(0.95 - detail / 200, 0.5, 1)
        return np.stack([seen, 1 - seen], axis=1).astype(np.float32)


def test_a_part_explains_no_more_than_all(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = _Unsure(honest=True)
    monkeypatch.setattr(faithfulness, "open_static", lambda *_, **__: stage)
    report = faithfulness.measure([photo], Settings(model="lite0"), choice=ModelChoice("lite0"))
    for row in report.rows.values():
        assert (row.deletion.mean, row.insertion.mean) == (1.0, 1.0)


def test_the_report_as_text_and_json(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = _measured(photo, monkeypatch, honest=True)
    lines = report.lines()
    assert lines[0].startswith("EfficientNet-Lite0, 1 picture, top class explained, ")
    assert [line.split()[0] for line in lines[2:6]] == list(report.rows)
    assert f"{report.rows['vidsal'].insertion.mean:.3f}" in lines[2]
    faithfulness.write_json(report, tmp_path / "report.json")
    read = json.loads((tmp_path / "report.json").read_text())
    for name, interval in (("mean", 0), ("low", 1), ("high", 2)):
        assert (
            read["rows"]["edges"]["difference"][name] == report.rows["edges"].difference[interval]
        )
        assert read["randomised"][name] == report.randomised[interval]
    assert read["rows"]["vidsal"]["behind"] is None
    assert (read["model"], read["explained"]) == ("EfficientNet-Lite0", "top class")


def test_no_network_has_nothing_to_be_faithful_to(photo: Path) -> None:
    with pytest.raises(VidsalError, match="none"):
        faithfulness.measure([photo], Settings(model="none"))


def test_frames_are_taken_evenly(make_clip: object, sample_media: Path) -> None:
    clip = sample_media / "moving_square.mp4"
    frames = list(faithfulness._sampled(clip, Settings(), 3))
    assert [frame.index for frame in frames] == [15, 45, 75]


@pytest.mark.parametrize(
    ("target", "explained"),
    [
        ("auto", "lock"),
        ("top3", "lock"),
        ("Top 3", "lock"),
        ("TOP-10", "lock"),
        ("281", "281"),
        ("lock", "lock"),
        ("tabby", "tabby"),
    ],
)
def test_one_class_is_explained(target: str, explained: str) -> None:
    assert faithfulness._about_one_class(Settings(target=target)).target == explained
