"""Faithfulness of maps, with networks whose evidence is known."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vidsal.errors import UsageError, VidsalError
from vidsal.evaluation import deletion_insertion
from vidsal.evaluation import faithfulness as module
from vidsal.evaluation.faithfulness import faithfulness
from vidsal.evaluation.report import FaithfulnessReport, write_json
from vidsal.settings import Settings
from vidsal.types import Map, Request, Rgb, Target

SIZE = (64, 96)
LITE0 = Settings(model="lite0")


class _LooksAt:
    """A network whose class is as likely as one corner is detailed.

    Honest maps mark this corner, others the opposite one.
    """

    names = ("detail", "none")
    input_size: tuple[int, int] | None = SIZE
    target = Target(is_locked=True)
    precision: str | None = None
    is_decided = True

    def __init__(self, *, honest: bool) -> None:
        self._honest = honest
        self.asked: list[int | None] = []
        self.frames: list[int] = []

    def predict(self, rgb: Rgb) -> Map:
        detail = np.abs(np.diff(rgb[:, :24, :24].astype(np.float32), axis=2)).mean(axis=(1, 2, 3))
        seen = np.clip(0.5 + detail / 400, 0, 0.99)
        return np.stack([seen, 1 - seen], axis=1).astype(np.float32)

    def maps(self, rgb: Rgb, requests: Sequence[Request]) -> Map:
        self.asked += [request.class_id for request in requests]
        self.frames += [request.frame for request in requests]
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


def _measured(photo: Path, monkeypatch: pytest.MonkeyPatch, *, honest: bool) -> FaithfulnessReport:
    stage = _LooksAt(honest=honest)
    other = _LooksAt(honest=not honest)
    # It predicts another class, but its maps explain the class of the trained network.
    monkeypatch.setattr(other, "predict", lambda rgb: 1 - stage.predict(rgb))
    monkeypatch.setattr(
        module, "open_static", lambda *_, random_share=0.0: other if random_share else stage
    )
    report = faithfulness([photo], LITE0)
    assert stage.asked == other.asked == [0]
    return report


def test_a_map_of_the_evidence_is_faithful(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_map_of_other_pixels_is_not_faithful(
    photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = _measured(photo, monkeypatch, honest=False)
    assert report.rows["vidsal"].difference.mean < report.rows["random"].difference.mean
    # The maps of the re-initialised network mark the opposite corner.
    assert report.randomised.mean < 0.2


class _Follows(_LooksAt):
    """A network whose maps are the brightness of the picture, mirrored, or of the place alone."""

    def __init__(self, kind: str) -> None:
        super().__init__(honest=True)
        self._kind, self.input_size = kind, None

    def maps(self, rgb: Rgb, requests: Sequence[Request]) -> Map:
        if self._kind == "place":
            ramp = np.linspace(0, 1, rgb.shape[2], dtype=np.float32)
            return np.broadcast_to(ramp, rgb.shape[:3]).copy()
        bright = np.asarray(rgb.mean(axis=-1) / 255, np.float32)
        return bright if self._kind == "picture" else bright[..., ::-1].copy()


@pytest.mark.parametrize(
    ("trained", "random", "same", "displaced"),
    [
        # The sources are brighter on the right, on the left, and on the left. So each map and that
        # of the source before it are alike once, and mirror images twice.
        ("picture", "picture", 1, -1 / 3),
        ("picture", "mirrored", -1, 1 / 3),
        # Both follow the place, so that the other source's map is the same.
        ("place", "place", 1, 1),
    ],
)
def test_maps_of_other_sources_show_the_effect_of_the_place(
    trained: str,
    random: str,
    same: float,
    displaced: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from PIL import Image

    names = []
    for n, (is_flipped, width) in enumerate([(False, 96), (True, 96), (True, 160)]):
        row = np.linspace(0, 255, width).astype(np.uint8)[:: -1 if is_flipped else 1]
        names.append(tmp_path / f"{n}.png")
        Image.fromarray(np.tile(row[None, :, None], (64, 1, 3))).save(names[-1])

    def opened(*_: object, random_share: float = 0.0) -> _Follows:
        return _Follows(random if random_share else trained)

    monkeypatch.setattr(module, "open_static", opened)
    report = faithfulness(names, LITE0)
    assert report.randomised.mean == pytest.approx(same, abs=0.02)
    assert report.displaced is not None
    assert report.displaced.mean == pytest.approx(displaced, abs=0.02)
    assert f"  with its map of another source: {report.displaced.mean:.3f} [" in str(report)
    assert report.to_dict()["displaced"]["mean"] == report.displaced.mean
    assert faithfulness(names[0], LITE0).displaced is None


class _Unsure(_LooksAt):
    """A network whose class is more likely in pictures with fewer details."""

    def predict(self, rgb: Rgb) -> Map:
        detail = np.abs(np.diff(rgb.astype(np.float32), axis=2)).mean(axis=(1, 2, 3))
        seen = np.clip(0.95 - detail / 200, 0.5, 1)
        return np.stack([seen, 1 - seen], axis=1).astype(np.float32)


def test_a_part_explains_at_most_the_full_picture(
    photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = _Unsure(honest=True)
    monkeypatch.setattr(module, "open_static", lambda *_, **__: stage)
    report = faithfulness([photo], LITE0)
    for row in report.rows.values():
        assert (row.deletion.mean, row.insertion.mean) == (1.0, 1.0)


def test_the_report_as_text_and_json(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = _measured(photo, monkeypatch, honest=True)
    lines = str(report).splitlines()
    assert lines == report.lines()
    assert lines[0].startswith("EfficientNet-Lite0, 1 picture, top class explained, ")
    assert [line.split()[0] for line in lines[2:6]] == list(report.rows)
    assert f"{report.rows['vidsal'].insertion.mean:.3f}" in lines[2]
    write_json(report, tmp_path / "report.json")
    read = json.loads((tmp_path / "report.json").read_text())
    assert read == report.to_dict()
    for name, interval in (("mean", 0), ("low", 1), ("high", 2)):
        assert (
            read["rows"]["edges"]["difference"][name] == report.rows["edges"].difference[interval]
        )
        assert read["randomised"][name] == report.randomised[interval]
    assert read["rows"]["vidsal"]["behind"] is None
    assert (read["model"], read["explained"]) == ("EfficientNet-Lite0", "top class")


def test_a_single_source_needs_no_list(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = _measured(photo, monkeypatch, honest=True)
    monkeypatch.setattr(module, "open_static", lambda *_, **__: _LooksAt(honest=True))
    for source in (photo, str(photo)):
        alone = faithfulness(source, LITE0)
        assert alone.pictures == 1
        assert alone.rows == report.rows


def test_the_progress_gets_every_source_once(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "open_static", lambda *_, **__: _LooksAt(honest=True))
    passed: list[Any] = []

    def progress(items: Iterable[Any], total: int | None) -> Iterable[Any]:
        passed.append(total)
        for item in items:
            passed.append(item)
            yield item

    assert faithfulness([photo, photo], LITE0, progress=progress).pictures == 2
    assert passed == [2, photo, photo]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"settings": Settings(model="none")}, "model='none' has no static map to measure: use a"),
        ({"sources": []}, "sources must be a path or a sequence of paths, got an empty sequence"),
        ({"sources": 0}, "sources must be a path or a sequence of paths, got 0"),
        ({"settings": "lite0"}, "settings: expected vidsal.Settings, such as "),
        ({"frames_per_clip": 0}, "frames_per_clip= must be 1 or more, got 0"),
    ],
)
def test_invalid_arguments_are_one_line(
    arguments: dict[str, Any], line: str, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "open_static", lambda *_, **__: pytest.fail("too late"))
    with pytest.raises(UsageError) as caught:
        faithfulness(**{"sources": [photo], "settings": LITE0, **arguments})
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_sources_are_opened_before_the_network(
    photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "choose", lambda *_, **__: pytest.fail("too late"))
    with pytest.raises(VidsalError, match=r"^no\.mp4: "):
        faithfulness([photo, "no.mp4"], LITE0)


def test_frames_are_evenly_spaced(sample_media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = _LooksAt(honest=True)
    other = _LooksAt(honest=True)
    monkeypatch.setattr(
        module, "open_static", lambda *_, random_share=0.0: other if random_share else stage
    )
    clip = sample_media / "moving_square.mp4"
    assert faithfulness(clip, LITE0, frames_per_clip=3).pictures == 3
    assert stage.frames == other.frames == [15, 45, 75]


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
def test_one_class_is_explained(
    target: str, explained: str, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets: list[str] = []

    def opened(_: object, settings: Settings, *, random_share: float = 0.0) -> _LooksAt:
        targets.append(settings.target)
        return _LooksAt(honest=True)

    monkeypatch.setattr(module, "open_static", opened)
    faithfulness(photo, Settings(model="lite0", target=target))
    # The trained network, and the one with random weights.
    assert targets == [explained, explained]


def test_the_protocol_of_rise_in_closed_form() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
    way = deletion_insertion.PROTOCOLS["rise"]
    assert (way.side_px, way.steps, way.is_relative) == (224, 28, False)
    # 8 x 224 pixels a step.
    ranked = deletion_insertion.ranks(np.random.default_rng(1).random((224, 224), np.float32))
    first = deletion_insertion.between(rgb, way.emptied(rgb), ranked, way.steps)[0]
    assert (first != rgb).any(axis=-1).sum() == pytest.approx(1792, abs=3)
    assert (way.emptied(rgb) == [124, 116, 104]).all()
    # The Gaussian of 11 x 11 pixels and sigma 5, with the mean colour around the picture.
    x = np.arange(-5, 6)
    kernel = np.exp(-(x**2) / (2 * 5.0**2))
    kernel /= kernel.sum()
    mean = np.array([123.675, 116.28, 103.53])
    padded = np.pad(rgb - mean, ((5, 5), (5, 5), (0, 0)))
    rows = sum(kernel[n] * padded[n : n + 224] for n in range(11))
    soft = sum(kernel[n] * rows[:, n : n + 224] for n in range(11)) + mean
    assert np.abs(way.begun(rgb) - soft).max() < 0.51


def test_rise_squashes_to_its_size_and_measures_plain_probabilities(
    photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = _LooksAt(honest=True)
    monkeypatch.setattr(stage, "input_size", None)
    sizes = set[tuple[int, ...]]()
    predict = stage.predict

    def halved(rgb: Rgb) -> Map:
        sizes.add(rgb.shape[1:])
        return np.asarray(predict(rgb) / 2, np.float32)

    monkeypatch.setattr(stage, "predict", halved)
    monkeypatch.setattr(module, "open_static", lambda *_, random_share=0.0: stage)
    report = faithfulness([photo], LITE0, protocol="rise")
    assert sizes == {(224, 224, 3)} and report.protocol == "rise"
    assert 0 < report.rows["vidsal"].insertion.mean < 0.5
    assert "published for ResNet50: RISE 0.108, 0.727" in str(report)
    monkeypatch.setattr(stage, "input_size", SIZE)
    with pytest.raises(UsageError, match="needs a network for pictures of 224x224"):
        faithfulness([photo], LITE0, protocol="rise")
    with pytest.raises(UsageError, match="protocol= must be one of vidsal, rise, got 'mine'"):
        faithfulness([photo], LITE0, protocol="mine")  # type: ignore[arg-type]


@pytest.mark.slow
def test_more_random_layers_change_the_map_more(sample_media: Path) -> None:
    report = faithfulness([sample_media / "cat.jpg"], LITE0, cascade=True)
    assert list(report.cascade) == [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0]
    means = [one.mean for one in report.cascade.values()]
    assert means[-1] == report.randomised.mean < max(means) < 1
    assert "in the last 50 % of its layers" in str(report)
