"""`evaluate` on small clips and photos with known scores."""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import BrightnessStage
from evaluation_help import (
    ALL,
    GAZE,
    MASKS,
    SIZE,
    box_mask,
    mean_of,
    plain_settings,
    points_around,
    rows_of,
    square_clip,
    write_photo,
    write_png,
    write_sequence,
    write_video,
)

from vidsal.errors import UsageError, VidsalError
from vidsal.evaluation import evaluate as evaluation
from vidsal.evaluation import metrics
from vidsal.evaluation.bootstrap import bootstrap
from vidsal.evaluation.evaluate import evaluate
from vidsal.saliency.fusion import centre_prior
from vidsal.settings import Fusion, Settings
from vidsal.static.models import ModelChoice
from vidsal.types import Map, Request, Rgb


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> BrightnessStage:
    """Replaces any network: its map is the brightness of the picture."""
    brightness = BrightnessStage()

    def opened(choice: ModelChoice, _: Settings) -> BrightnessStage | None:
        return None if choice.key == "none" else brightness

    monkeypatch.setattr(evaluation, "open_static", opened)
    return brightness


# Known scores.


def test_a_moving_square_is_where_the_motion_is(data: Path) -> None:
    masks = write_sequence(data)
    report = evaluate([data], plain_settings(), frames_per_clip=ALL)
    assert rows_of(report) == ["centre prior", "raw flow", "compensated flow"]
    (table,) = report.tables
    # The first frame of a clip has no motion and is not scored.
    assert (table.dataset, table.clips, table.frames) == ("data", 1, 24)
    # Farneback overshoots slightly ahead of an edge; the forward-backward check removes that.
    for row, pointing in (("raw flow", 0.75), ("compensated flow", 0.9)):
        assert set(table.rows[row]) == set(MASKS)
        assert mean_of(report, row, "pixel AUC") > 0.96
        assert mean_of(report, row, "pointing") > pointing
        assert mean_of(report, row, "MAE") < 0.2
    # The working size is that of the clip, so this row is known exactly.
    prior = centre_prior(SIZE)
    for name, measure in {
        "pixel AUC": metrics.pixel_auc, "max-F": metrics.max_f, "S-measure": metrics.s_measure,
        "pointing": metrics.pointing, "MAE": metrics.mean_absolute_error,
    }.items():  # fmt: skip
        expected = np.mean([measure(prior, mask > 0) for mask in masks[1:]])
        assert mean_of(report, "centre prior", name) == pytest.approx(expected)


def test_camera_motion_that_follows_the_square_is_compensated(data: Path) -> None:
    write_sequence(data, speed=0, pan=2, left=36)
    report = evaluate([data], plain_settings(), frames_per_clip=6)
    # The background moves and the square does not: raw flow is the opposite of the mask.
    assert mean_of(report, "raw flow", "pixel AUC") < 0.1
    assert mean_of(report, "compensated flow", "pixel AUC") > 0.95
    assert mean_of(report, "compensated flow", "pointing") == 1


def test_maps_are_scored_at_the_size_of_the_mask(data: Path) -> None:
    masks = write_sequence(data, frames=8)
    scores = [
        mean_of(evaluate([data], plain_settings()), "compensated flow", name) for name in MASKS
    ]
    for n, mask in enumerate(masks):
        large = cv2.resize(mask, None, fx=3, fy=3, interpolation=cv2.INTER_NEAREST)
        write_png(data / "a" / "masks" / f"{n:05d}.png", large)
    report = evaluate([data], plain_settings())
    assert mean_of(report, "compensated flow", "pixel AUC") > 0.93
    for name, score in zip(MASKS, scores, strict=True):
        assert mean_of(report, "compensated flow", name) == pytest.approx(score, abs=0.02)


def test_motion_predicts_fixations_on_a_moving_square(data: Path) -> None:
    for name, top in (("a", 8), ("b", 40)):
        pictures, masks = zip(*square_clip(36, top=top, seed=top, speed=1), strict=True)
        rows = []
        for n, mask in enumerate(masks):
            inside = np.argwhere(mask)
            for row, column in np.random.default_rng(n).choice(inside, 10):
                rows.append(f"{column + 0.5},{row + 0.5},{n},{n}")
        write_video(data, name, pictures, rows, 25)
    report = evaluate([data], plain_settings(), frames_per_clip=5)
    (table,) = report.tables
    assert (table.clips, table.frames) == (2, 10)
    assert list(table.rows["compensated flow"]) == GAZE
    for row in ("raw flow", "compensated flow"):
        for measure, least in {"NSS": 1.5, "AUC-Judd": 0.9, "sAUC": 0.95, "CC": 0.5}.items():
            assert mean_of(report, row, measure) > least > mean_of(report, "centre prior", measure)
        assert mean_of(report, row, "KL") < 1.8 < mean_of(report, "centre prior", "KL")
        assert mean_of(report, row, "SIM") > 0.22 > mean_of(report, "centre prior", "SIM")
    # Both squares have the same distance from the centre, so the prior scores chance.
    assert mean_of(report, "centre prior", "sAUC") == pytest.approx(0.5, abs=0.02)


def test_a_photo_has_no_motion_and_its_bright_object_is_salient(
    data: Path, stage: BrightnessStage
) -> None:
    write_photo(data, "a", mask=box_mask(np.s_[4:20, 6:22]))
    report = evaluate([data], plain_settings(model="lite0"))
    assert rows_of(report) == ["centre prior", "static", "fused", "fused x centre prior"]
    assert report.models == ("EfficientNet-Lite0",)
    assert mean_of(report, "static", "pixel AUC") > 0.99
    assert mean_of(report, "static", "pointing") == 1
    # Without motion the fused map is the static one; the object is far from the centre.
    for measure in MASKS:
        same = pytest.approx(mean_of(report, "static", measure), abs=0.01)
        assert mean_of(report, "fused", measure) == same
    assert mean_of(report, "centre prior", "pixel AUC") < 0.7
    assert mean_of(report, "fused x centre prior", "pixel AUC") < mean_of(
        report, "fused", "pixel AUC"
    )
    assert stage.asked == [Request(0, 16, 1)]
    without = evaluate([data], plain_settings())
    assert rows_of(without) == ["centre prior"]
    assert without.models == ("none",)


def test_each_way_to_fuse_has_its_rows(data: Path, stage: BrightnessStage) -> None:
    write_sequence(data, frames=12)
    ways: list[Fusion] = ["gain", "motion", "static"]
    settings = plain_settings(model="lite0", scale="frame")
    report = evaluate([data], settings, fusions=ways, frames_per_clip=3)
    fused = [name for way in ways for name in (f"fused by {way}", f"fused by {way} x centre prior")]
    assert rows_of(report) == ["centre prior", "raw flow", "compensated flow", "static", *fused]
    # The network sees each frame once, however many ways to fuse there are.
    frames = [request.frame for request in stage.asked]
    assert frames == list(range(len(frames)))
    # A fusion of one map alone is that map.
    for way, half in (("motion", "compensated flow"), ("static", "static")):
        for measure in MASKS:
            same = pytest.approx(mean_of(report, half, measure), abs=0.005)
            assert mean_of(report, f"fused by {way}", measure) == same
    one = evaluate([data], plain_settings(model="lite0", scale="frame", fusion="motion"),
                   frames_per_clip=3)  # fmt: skip
    assert rows_of(one)[4:] == ["fused", "fused x centre prior"]
    assert mean_of(one, "fused", "MAE") == mean_of(report, "fused by motion", "MAE")
    assert mean_of(one, "fused", "MAE") != mean_of(report, "fused by gain", "MAE")


def test_several_networks_have_rows_of_their_own(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Darkness(BrightnessStage):
        """The opposite."""

        def maps(self, rgb: Rgb, requests: Sequence[Request]) -> Map:
            return 255 - super().maps(rgb, requests)

    stages = {"lite0": BrightnessStage(), "MobileNet": Darkness(), "none": None}
    monkeypatch.setattr(evaluation, "open_static", lambda choice, _: stages[choice.key])
    write_sequence(data, frames=8)
    report = evaluate([data], plain_settings(), models=["lite0", "MobileNet", "none"])
    light, dark = " (EfficientNet-Lite0)", " (MobileNet)"
    assert report.models == ("EfficientNet-Lite0", "MobileNet", "none")
    assert rows_of(report) == [
        "centre prior", "raw flow", "compensated flow",
        f"static{light}", f"fused{light}", f"fused{light} x centre prior",
        f"static{dark}", f"fused{dark}", f"fused{dark} x centre prior",
    ]  # fmt: skip
    assert mean_of(report, f"static{light}", "pixel AUC") > 0.9
    assert mean_of(report, f"static{dark}", "pixel AUC") < 0.1
    alone = evaluate([data], plain_settings())
    assert mean_of(alone, "raw flow", "MAE") == mean_of(report, "raw flow", "MAE")
    assert report.tables[0].frames == alone.tables[0].frames == 7


@pytest.mark.parametrize("models", [["lite0", "lite0"], ["none", "lite0", "none"]])
def test_two_networks_with_one_name_are_an_error(
    models: list[str], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "open_static", lambda *_: pytest.fail("too late"))
    write_sequence(data, frames=8)
    with pytest.raises(UsageError, match="models= has two networks with the name"):
        evaluate([data], plain_settings(), models=models)


def test_all_networks_are_opened_before_a_clip_is_scored(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "analyse_excerpts", lambda *_: pytest.fail("too late"))
    write_sequence(data, frames=8)
    with pytest.raises(UsageError, match=r"'foo' is not in keras\.applications"):
        evaluate([data], plain_settings(), models=["none", "foo"])


def test_a_report_has_the_options_that_decide_the_scores(data: Path) -> None:
    write_sequence(data, frames=6)
    settings = dataclasses.replace(plain_settings(), flow="dis", camera="median", gain=2)
    report = evaluate([data], settings, frames_per_clip=1, fusions=["sum", "gain", "sum"])
    assert "1 frame a clip" in report.head
    assert "flow='dis', camera='median'" in report.head
    # Without a network, the way to fuse does not matter.
    assert "fusion" not in report.head and "gain" not in report.head


def test_the_bundled_network_looks_at_the_cat(data: Path, sample_media: Path) -> None:
    picture = np.full((240, 320, 3), 128, np.uint8)
    inside = np.s_[16:136, 176:304]
    cat = cv2.imread(str(sample_media / "cat.jpg"))
    assert cat is not None
    picture[inside] = cv2.resize(cat, (128, 120), interpolation=cv2.INTER_AREA)
    write_png(data / "images" / "cat.png", picture)
    write_png(data / "masks" / "cat.png", box_mask(inside, (240, 320)))
    report = evaluate([data], Settings(model="lite0", samples=4, short_side=160))
    assert mean_of(report, "static", "pixel AUC") > 0.9
    assert mean_of(report, "static", "pointing") == 1
    assert mean_of(report, "centre prior", "pixel AUC") < 0.75


# Over frames and clips.


def test_shuffled_auc_uses_the_fixations_of_other_clips_only(data: Path, theirs: Path) -> None:
    # The map of a photo is bright at its fixations and dark at those of the other photo. The first
    # map is brightest where there are no fixations.
    maps = {"a": box_mask(np.s_[:, :32]) // 2, "b": box_mask(np.s_[:, 32:])}
    maps["a"][:4] = 255
    for name, column in (("a", 0.25), ("b", 0.75)):
        write_photo(data, name, points=points_around(0.5, column))
        write_png(theirs / f"{name}.png", maps[name])
    report = evaluate([data], plain_settings(working_width=64), against={"theirs": theirs})
    # If its own fixations were among the others, it would be 0.75.
    assert mean_of(report, "theirs", "sAUC") == 1
    assert mean_of(report, "theirs", "AUC-Judd") < 0.8
    # A single photo has no others.
    (data / "images" / "b.png").unlink()
    alone = evaluate([data], plain_settings(working_width=64), against={"theirs": theirs})
    assert list(alone.tables[0].rows["theirs"]) == [name for name in GAZE if name != "sAUC"]


def test_the_interval_is_over_clips(data: Path, theirs: Path) -> None:
    # Pixel AUCs of 1, 0 and 0.5.
    mask = box_mask(np.s_[10:30, 4:20])
    for name, shown in {"a": mask, "b": 255 - mask, "c": np.zeros_like(mask)}.items():
        write_photo(data, name, mask=mask)
        write_png(theirs / f"{name}.png", shown)
    report = evaluate([data], plain_settings(working_width=64), against={"theirs": theirs})
    score = report.tables[0].rows["theirs"]["pixel AUC"]
    # One of 27 resamples has only 0 and one has only 1: 3.7 % each.
    assert score == bootstrap([1.0, 0.0, 0.5]) == (0.5, 0, 1)


def test_a_clip_weighs_the_same_however_many_frames_are_scored(data: Path, theirs: Path) -> None:
    for name, count, is_right in (("long", 9, True), ("short", 3, False)):
        for n, mask in enumerate(write_sequence(data, name, frames=count)):
            write_png(theirs / name / f"{n}.png", mask if is_right else 255 - mask)
    report = evaluate([data], plain_settings(), against={"theirs": theirs}, frames_per_clip=ALL)
    (table,) = report.tables
    assert (table.clips, table.frames) == (2, 8 + 2)
    assert table.rows["theirs"]["pixel AUC"] == bootstrap([1.0, 0.0])
    assert table.rows["theirs"]["pixel AUC"].mean == 0.5
    assert table.title == "data: 10 frames of 2 clips"


def test_each_dataset_has_a_table_of_its_own(data: Path) -> None:
    write_sequence(data / "objects", frames=4)
    write_photo(data / "photos", "a", points=points_around(0.5, 0.5))
    report = evaluate([data], plain_settings())
    assert [table.dataset for table in report.tables] == ["objects", "photos"]
    first, second = (table.rows["centre prior"] for table in report.tables)
    assert set(first) == set(MASKS)
    assert list(second) == [name for name in GAZE if name != "sAUC"]
    # Folders of one dataset each keep the given order.
    each = evaluate([data / "photos", data / "objects"], plain_settings())
    assert [table.rows for table in each.tables] == [table.rows for table in report.tables[::-1]]


def test_the_progress_gets_every_clip_once(data: Path) -> None:
    for name in ("a", "b", "c"):
        write_sequence(data, name, frames=3)
    passed: list[Any] = []
    totals: list[int | None] = []

    def progress(items: Iterable[Any], total: int | None) -> Iterable[Any]:
        totals.append(total)
        for item in items:
            passed.append(item)
            yield item

    report = evaluate([data], plain_settings(), progress=progress)
    assert (len(passed), totals) == (3, [3])
    assert report.tables[0].clips == 3


@pytest.mark.parametrize("what", ["few fixations", "empty masks", "first frame"])
def test_nothing_to_score_is_one_line(what: str, data: Path) -> None:
    if what == "few fixations":
        write_photo(data, "a", points=points_around(0.5, 0.5, count=7))
    else:
        write_sequence(data, frames=4)
        for path in sorted((data / "a" / "masks").iterdir())[1:]:
            path.unlink()
            if what == "empty masks":
                write_png(path, np.zeros(SIZE, np.uint8))
    with pytest.raises(VidsalError, match=r"^nothing to score: .*$") as caught:
        evaluate([data], plain_settings())
    assert "\n" not in str(caught.value)


# Arguments and the report.


def test_a_single_folder_model_and_fusion_need_no_list(data: Path, stage: BrightnessStage) -> None:
    write_sequence(data, frames=6)
    settings = plain_settings(model="none")
    listed = evaluate([data], settings, models=["lite0"], fusions=["max"], frames_per_clip=2)
    for folder in (data, str(data)):
        one = evaluate(folder, settings, models="lite0", fusions="max", frames_per_clip=2)
        assert one == listed
    assert listed.models == ("EfficientNet-Lite0",)
    assert "fusion max of gain 6" in listed.about


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"folders": []}, "folders must be a path or a sequence of paths, got an empty sequence"),
        ({"folders": 3}, "folders must be a path or a sequence of paths, got 3"),
        ({"folders": [3]}, "folders must be a path or a sequence of paths, got [3]"),
        ({"settings": "lite0"}, "settings: expected vidsal.Settings, such as "),
        ({"frames_per_clip": 0}, "frames_per_clip= must be 1 or more, got 0"),
        ({"fusions": ["gain", "blend"]}, "fusion= must be one of gain, sum, max, static, motion"),
        ({"against": {"static": "."}}, "static is a row of vidsal's own: give . another name"),
        ({"against": {"other": "no"}}, "other: no is not a folder"),
    ],
)
def test_invalid_arguments_are_one_line(
    arguments: dict[str, Any], line: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "open_static", lambda *_: pytest.fail("too late"))
    write_sequence(data, frames=4)
    with pytest.raises(UsageError) as caught:
        evaluate(**{"folders": [data], **arguments})
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_every_metric_shows_where_good_scores_are(data: Path) -> None:
    for name, place in (("a", 0.3), ("b", 0.7)):
        write_photo(data, name, mask=box_mask(np.s_[9:30, 4:20]), points=points_around(0.5, place))
    (table,) = evaluate([data], plain_settings()).tables
    heads = [cell.strip() for cell in table.markdown()[2].strip("|").split("|")][1:]
    assert [head[:-2] for head in heads] == GAZE + MASKS
    assert [head[-1] for head in heads] == list("↑↑↑↑↑↓↑↑↑↑↑↑↓")
