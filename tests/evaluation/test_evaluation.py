"""The evaluation, on tiny folders of clips and photos whose scores are known."""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import BrightnessStage, run_ffmpeg
from numpy.typing import NDArray
from stream_help import analyse_frames

from vidsal.errors import UsageError, VidsalError
from vidsal.evaluation import evaluate as evaluation
from vidsal.evaluation import metrics
from vidsal.evaluation.bootstrap import bootstrap
from vidsal.evaluation.datasets import Clip, Truth
from vidsal.evaluation.evaluate import evaluate
from vidsal.evaluation.report import Report
from vidsal.saliency.fusion import centre_prior
from vidsal.settings import Fusion, Settings
from vidsal.static.models import ModelChoice
from vidsal.types import Frame, Map, Request, Rgb, Saliency

SIZE = (72, 96)
SIDE = 24
ALL = 1000
GAZE = ["NSS", "AUC-Judd", "sAUC", "CC", "SIM", "KL"]
MASKS = ["pixel AUC", "max-F", "S-measure", "pointing", "MAE"]

Grey = NDArray[np.uint8]
Points = NDArray[np.float64]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder for a dataset."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A folder for another program's maps."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    return folder


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> BrightnessStage:
    """What any network is replaced by: the picture's brightness."""
    brightness = BrightnessStage()

    def opened(choice: ModelChoice, _: Settings) -> BrightnessStage | None:
        return None if choice.key == "none" else brightness

    monkeypatch.setattr(evaluation, "open_static", opened)
    return brightness


def _settings(**options: Any) -> Settings:
    given: dict[str, Any] = {"model": "none", "working_width": 96}
    return Settings(**given | options)


def _png(path: Path, picture: NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture)


def _texture(rng: np.random.Generator, size: tuple[int, int], low: int, high: int) -> Rgb:
    small = rng.integers(low, high, (size[0] // 4 + 1, size[1] // 4 + 1, 3), np.uint8)
    return np.asarray(cv2.resize(small, size[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


def _pictures(
    frames: int, *, speed: int = 2, pan: int = 0, top: int = 24, left: int = 8, seed: int = 0
) -> Iterator[tuple[Rgb, Grey]]:
    """A bright square on a dark ground, and where it is; they move so many pixels a frame."""
    rng = np.random.default_rng(seed)
    ground = _texture(rng, (SIZE[0], SIZE[1] + pan * frames), 20, 110)
    square = _texture(rng, (SIDE, SIDE), 150, 250)
    for n in range(frames):
        picture, mask = ground[:, pan * n :][:, : SIZE[1]].copy(), np.zeros(SIZE, np.uint8)
        inside = np.s_[top : top + SIDE, left + speed * n : left + speed * n + SIDE]
        picture[inside], mask[inside] = square, 255
        yield picture, mask


def _sequence(folder: Path, name: str = "a", *, frames: int = 25, **how: int) -> list[Grey]:
    """Write such a clip as pictures; its masks are also returned."""
    masks = []
    for n, (picture, mask) in enumerate(_pictures(frames, **how)):
        _png(folder / name / "frames" / f"{n:05d}.png", picture[..., ::-1])
        _png(folder / name / "masks" / f"{n:05d}.png", mask)
        masks.append(mask)
    return masks


def _video(
    folder: Path, name: str, pictures: Iterable[Rgb], rows: Iterable[str], rate: int
) -> None:
    """Write a video without loss, and its table of fixations."""
    for part in ("videos", "fixations"):
        (folder / part).mkdir(exist_ok=True)
    (folder / "fixations" / f"{name}.csv").write_text(
        "\n".join(["x,y,first_frame,last_frame", *rows])
    )
    raw = folder.parent / f"raw {name}"
    for n, picture in enumerate(pictures):
        _png(raw / f"{n:05d}.png", picture[..., ::-1])
    run_ffmpeg(
        "-framerate", str(rate), "-i", str(raw / "%05d.png"), "-c:v", "ffv1",
        str(folder / "videos" / f"{name}.mkv"),
    )  # fmt: skip


def _photo(
    folder: Path, name: str, *, mask: Grey | None = None, points: Points | None = None
) -> None:
    """Write a dark photo, 48 x 64, that is bright on its mask, if it has one."""
    picture = np.full((48, 64, 3), 30, np.uint8)
    if mask is not None:
        picture[mask > 0] = 220
        _png(folder / "masks" / f"{name}.png", mask)
    if points is not None:
        table = folder / "fixations" / f"{name}.csv"
        table.parent.mkdir(parents=True, exist_ok=True)
        rows = "".join(f"{column * 64},{row * 48}\n" for row, column in points)
        table.write_text("x,y\n" + rows)
    _png(folder / "images" / f"{name}.png", picture)


def _box(inside: tuple[slice, slice], size: tuple[int, int] = (48, 64)) -> Grey:
    mask = np.zeros(size, np.uint8)
    mask[inside] = 255
    return mask


def _around(row: float, column: float, *, count: int = 12) -> Points:
    """Fixations around a place."""
    return np.random.default_rng(0).normal((row, column), 0.03, (count, 2))


def _mean(report: Report, row: str, measure: str) -> float:
    (table,) = report.tables
    return table.rows[row][measure].mean


def _rows(report: Report) -> list[str]:
    (table,) = report.tables
    return list(table.rows)


# Scores that are known.


def test_a_moving_square_is_where_the_motion_is(data: Path) -> None:
    masks = _sequence(data)
    report = evaluate([data], _settings(), frames_per_clip=ALL)
    assert _rows(report) == ["centre prior", "raw flow", "compensated flow"]
    (table,) = report.tables
    # A clip's first frame has no motion, and is not scored.
    assert (table.dataset, table.clips, table.frames) == ("data", 1, 24)
    # Farneback overshoots a little ahead of an edge; where flow must come back, that is taken off.
    for row, pointing in (("raw flow", 0.75), ("compensated flow", 0.9)):
        assert list(table.rows[row]) == MASKS
        assert _mean(report, row, "pixel AUC") > 0.96
        assert _mean(report, row, "pointing") > pointing
        assert _mean(report, row, "MAE") < 0.2
    # The working size is the clip's, so this row is known to the last digit.
    prior = centre_prior(SIZE)
    for name, measure in {
        "pixel AUC": metrics.pixel_auc, "max-F": metrics.max_f, "S-measure": metrics.s_measure,
        "pointing": metrics.pointing, "MAE": metrics.mean_absolute_error,
    }.items():  # fmt: skip
        expected = np.mean([measure(prior, mask > 0) for mask in masks[1:]])
        assert _mean(report, "centre prior", name) == pytest.approx(expected)


def test_where_the_camera_follows_the_square_its_own_motion_is_taken_off(data: Path) -> None:
    _sequence(data, speed=0, pan=2, left=36)
    report = evaluate([data], _settings(), frames_per_clip=6)
    # The ground moves and the square does not: flow as it is has it the wrong way round.
    assert _mean(report, "raw flow", "pixel AUC") < 0.1
    assert _mean(report, "compensated flow", "pixel AUC") > 0.95
    assert _mean(report, "compensated flow", "pointing") == 1


def test_maps_are_scored_at_the_size_of_the_mask(data: Path) -> None:
    masks = _sequence(data, frames=8)
    scores = [_mean(evaluate([data], _settings()), "compensated flow", name) for name in MASKS]
    for n, mask in enumerate(masks):
        large = cv2.resize(mask, None, fx=3, fy=3, interpolation=cv2.INTER_NEAREST)
        _png(data / "a" / "masks" / f"{n:05d}.png", large)
    report = evaluate([data], _settings())
    assert _mean(report, "compensated flow", "pixel AUC") > 0.93
    for name, score in zip(MASKS, scores, strict=True):
        assert _mean(report, "compensated flow", name) == pytest.approx(score, abs=0.02)


def test_gaze_on_a_moving_square_is_met_by_motion(data: Path) -> None:
    for name, top in (("a", 8), ("b", 40)):
        pictures, masks = zip(*_pictures(36, top=top, seed=top, speed=1), strict=True)
        rows = []
        for n, mask in enumerate(masks):
            inside = np.argwhere(mask)
            for row, column in np.random.default_rng(n).choice(inside, 10):
                rows.append(f"{column + 0.5},{row + 0.5},{n},{n}")
        _video(data, name, pictures, rows, 25)
    report = evaluate([data], _settings(), frames_per_clip=5)
    (table,) = report.tables
    assert (table.clips, table.frames) == (2, 10)
    assert list(table.rows["compensated flow"]) == GAZE
    for row in ("raw flow", "compensated flow"):
        for measure, least in {"NSS": 1.5, "AUC-Judd": 0.9, "sAUC": 0.95, "CC": 0.5}.items():
            assert _mean(report, row, measure) > least > _mean(report, "centre prior", measure)
        assert _mean(report, row, "KL") < 1.8 < _mean(report, "centre prior", "KL")
        assert _mean(report, row, "SIM") > 0.22 > _mean(report, "centre prior", "SIM")
    # Both squares are equally far from the middle, which so earns nothing.
    assert _mean(report, "centre prior", "sAUC") == pytest.approx(0.5, abs=0.02)


def test_a_photo_has_no_motion_and_a_bright_object_is_found(
    data: Path, stage: BrightnessStage
) -> None:
    _photo(data, "a", mask=_box(np.s_[4:20, 6:22]))
    report = evaluate([data], _settings(model="lite0"))
    assert _rows(report) == ["centre prior", "static", "fused", "fused x centre prior"]
    assert report.models == ("EfficientNet-Lite0",)
    assert _mean(report, "static", "pixel AUC") > 0.99
    assert _mean(report, "static", "pointing") == 1
    # Without motion the fused map is the static one, and the middle is far from this object.
    for measure in MASKS:
        same = pytest.approx(_mean(report, "static", measure), abs=0.01)
        assert _mean(report, "fused", measure) == same
    assert _mean(report, "centre prior", "pixel AUC") < 0.7
    assert _mean(report, "fused x centre prior", "pixel AUC") < _mean(report, "fused", "pixel AUC")
    assert stage.asked == [Request(0, 16, 1)]
    without = evaluate([data], _settings())
    assert _rows(without) == ["centre prior"]
    assert without.models == ("none",)


def test_each_way_to_fuse_has_its_rows(data: Path, stage: BrightnessStage) -> None:
    _sequence(data, frames=12)
    ways: list[Fusion] = ["gain", "motion", "static"]
    settings = _settings(model="lite0", scale="frame")
    report = evaluate([data], settings, fusions=ways, frames_per_clip=3)
    fused = [name for way in ways for name in (f"fused by {way}", f"fused by {way} x centre prior")]
    assert _rows(report) == ["centre prior", "raw flow", "compensated flow", "static", *fused]
    # Each frame is shown to the network once, however often it is fused.
    frames = [request.frame for request in stage.asked]
    assert frames == list(range(len(frames)))
    # One half alone is that half.
    for way, half in (("motion", "compensated flow"), ("static", "static")):
        for measure in MASKS:
            same = pytest.approx(_mean(report, half, measure), abs=0.005)
            assert _mean(report, f"fused by {way}", measure) == same
    one = evaluate([data], _settings(model="lite0", scale="frame", fusion="motion"),
                   frames_per_clip=3)  # fmt: skip
    assert _rows(one)[4:] == ["fused", "fused x centre prior"]
    assert _mean(one, "fused", "MAE") == _mean(report, "fused by motion", "MAE")
    assert _mean(one, "fused", "MAE") != _mean(report, "fused by gain", "MAE")


def test_several_networks_have_rows_of_their_own(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Darkness(BrightnessStage):
        """The opposite."""

        def maps(self, rgb: Rgb, requests: Sequence[Request]) -> Map:
            return 255 - super().maps(rgb, requests)

    stages = {"lite0": BrightnessStage(), "MobileNet": Darkness(), "none": None}
    monkeypatch.setattr(evaluation, "open_static", lambda choice, _: stages[choice.key])
    _sequence(data, frames=8)
    report = evaluate([data], _settings(), models=["lite0", "MobileNet", "none"])
    light, dark = " (EfficientNet-Lite0)", " (MobileNet)"
    assert report.models == ("EfficientNet-Lite0", "MobileNet", "none")
    assert _rows(report) == [
        "centre prior", "raw flow", "compensated flow",
        f"static{light}", f"fused{light}", f"fused{light} x centre prior",
        f"static{dark}", f"fused{dark}", f"fused{dark} x centre prior",
    ]  # fmt: skip
    assert _mean(report, f"static{light}", "pixel AUC") > 0.9
    assert _mean(report, f"static{dark}", "pixel AUC") < 0.1
    alone = evaluate([data], _settings())
    assert _mean(alone, "raw flow", "MAE") == _mean(report, "raw flow", "MAE")
    assert report.tables[0].frames == alone.tables[0].frames == 7


@pytest.mark.parametrize("models", [["lite0", "lite0"], ["none", "lite0", "none"]])
def test_two_networks_of_one_name_are_not_one_row(
    models: list[str], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "open_static", lambda *_: pytest.fail("too late"))
    _sequence(data, frames=8)
    with pytest.raises(UsageError, match="two of them are called"):
        evaluate([data], _settings(), models=models)


def test_all_networks_are_opened_before_a_clip_is_scored(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "_analysed", lambda *_: pytest.fail("too late"))
    _sequence(data, frames=8)
    with pytest.raises(UsageError, match=r"'foo' is not in keras\.applications"):
        evaluate([data], _settings(), models=["none", "foo"])


def test_a_report_tells_the_settings_that_decide(data: Path) -> None:
    _sequence(data, frames=6)
    settings = dataclasses.replace(_settings(), flow="dis", camera="median", gain=2)
    report = evaluate([data], settings, frames_per_clip=1, fusions=["sum", "gain", "sum"])
    assert "1 frame a clip" in report.head
    assert "--flow dis, --camera median" in report.head
    # Without a network nothing is fused.
    assert "fusion" not in report.head and "gain" not in report.head


def test_the_bundled_network_looks_at_the_cat(data: Path, sample_media: Path) -> None:
    picture = np.full((240, 320, 3), 128, np.uint8)
    inside = np.s_[16:136, 176:304]
    cat = cv2.imread(str(sample_media / "cat.jpg"))
    assert cat is not None
    picture[inside] = cv2.resize(cat, (128, 120), interpolation=cv2.INTER_AREA)
    _png(data / "images" / "cat.png", picture)
    _png(data / "masks" / "cat.png", _box(inside, (240, 320)))
    report = evaluate([data], Settings(model="lite0", samples=4, short_side=160))
    assert _mean(report, "static", "pixel AUC") > 0.9
    assert _mean(report, "static", "pointing") == 1
    assert _mean(report, "centre prior", "pixel AUC") < 0.75


# Which frames, and what is analysed for them.


def test_the_same_seed_gives_the_same_report(data: Path) -> None:
    _sequence(data)
    reports = [evaluate([data], _settings(), frames_per_clip=2, seed=seed) for seed in (0, 0, 1, 2)]
    first, again, *others = [_mean(one, "centre prior", "MAE") for one in reports]
    assert first == again
    assert reports[0].as_json() == reports[1].as_json()
    assert any(other != first for other in others)
    assert [one.seed for one in reports] == [0, 0, 1, 2]


def test_spans_that_touch_are_one() -> None:
    spans = evaluation._spans
    assert spans([]) == []
    assert spans([3, 7]) == [(0, 7)]
    assert spans([30, 40, 100]) == [(6, 40), (76, 100)]
    # 26 frames on, the history of one begins right behind the frame after the other.
    assert spans([30, 56]) == [(6, 56)]
    assert spans([30, 57]) == [(6, 30), (33, 57)]


def _frames(count: int) -> list[Frame]:
    pictures = (picture for picture, _ in _pictures(count, speed=1))
    return [Frame(picture, n, n / 25) for n, picture in enumerate(pictures)]


def _analysed(
    frames: Sequence[Frame], wanted: Iterable[int], stage: BrightnessStage | None
) -> dict[int, Saliency]:
    clip = Clip("a", None, [], lambda: iter(frames), lambda _: Truth())
    truths = dict.fromkeys(wanted, Truth())
    found = evaluation._analysed(clip, truths, stage, _settings(batch=4), ["gain"])
    return {one["gain"].frame.index: one["gain"] for one in found}


def test_a_scored_frame_is_what_a_run_on_the_whole_clip_makes_of_it() -> None:
    frames = _frames(28)
    whole = list(analyse_frames(frames, BrightnessStage(), _settings(), batch=4))
    found = _analysed(frames, [3, 11, 24], BrightnessStage())
    assert list(found) == [3, 11, 24]
    for number, one in found.items():
        expected = whole[number]
        assert one.static is not None
        assert expected.static is not None
        np.testing.assert_array_equal(one.static, expected.static)
        np.testing.assert_array_equal(one.motion, expected.motion)
        np.testing.assert_array_equal(one.fused, expected.fused)
        assert one.motion.max() == 1
    # Where the frames before it play no part, it is something else.
    lone = _analysed(frames[23:], [24], BrightnessStage())[24]
    assert np.abs(lone.motion - whole[24].motion).max() > 0.05


def test_the_speed_after_a_history_of_a_second_is_that_of_the_whole_clip() -> None:
    frames = _frames(32)
    whole = list(analyse_frames(frames, None, _settings(), batch=1))[31].speed
    found = _analysed(frames, [31], None)[31].speed
    short = _analysed(frames[29:], [31], None)[31].speed
    assert whole.max() > 0.1
    np.testing.assert_allclose(found, whole, atol=2e-3 * float(whole.max()))
    assert np.abs(short - whole).max() > 0.05 * whole.max()


def test_only_scored_frames_and_their_histories_are_analysed() -> None:
    stage = BrightnessStage()
    assert list(_analysed(_frames(64), [2, 60], stage)) == [2, 60]
    assert [request.frame for request in stage.asked] == [0, 1, 2, 3, *range(36, 62)]


# Other programs' maps.


def test_maps_equal_to_the_masks_score_best(data: Path, theirs: Path) -> None:
    for n, mask in enumerate(_sequence(data, frames=6)):
        # By number, however it is written; one is larger, one darker, one has 16 bits.
        shown: NDArray[Any] = mask
        if n == 2:
            shown = cv2.resize(mask, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
        elif n == 3:
            shown = mask // 3
        elif n == 4:
            shown = mask * np.uint16(200)
        _png(theirs / "a" / f"{n:03d}.png", shown)
    _png(theirs / "a" / "99.png", 255 - mask)
    against = {"theirs": theirs, "again": theirs}
    report = evaluate([data], _settings(), against=against, frames_per_clip=ALL)
    assert _rows(report)[-2:] == ["theirs", "again"]
    for measure in MASKS:
        best = 0 if measure == "MAE" else 1
        assert _mean(report, "theirs", measure) == pytest.approx(best, abs=1e-6)
        assert _mean(report, "again", measure) == _mean(report, "theirs", measure)


def test_maps_equal_to_the_density_score_best(data: Path, theirs: Path) -> None:
    for name, place in (("a", (0.3, 0.3)), ("b", (0.6, 0.8))):
        points = _around(*place)
        _photo(data, name, points=points)
        density = metrics.density(points, (48, 64))
        _png(theirs / f"{name}.png", np.asarray(density / density.max() * 65535, np.uint16))
    report = evaluate([data], _settings(working_width=64), against={"theirs": theirs})
    assert list(report.tables[0].rows["theirs"]) == GAZE
    for measure, best in {"CC": 1, "SIM": 1, "KL": 0, "sAUC": 1}.items():
        assert _mean(report, "theirs", measure) == pytest.approx(best, abs=2e-3)
    for measure, least in {"NSS": 3.0, "AUC-Judd": 0.95}.items():
        assert _mean(report, "theirs", measure) > least


def test_maps_of_videos_are_named_by_the_number_of_the_frame(data: Path, theirs: Path) -> None:
    for n in range(16):
        # What is looked at is in row n, and so is what the map of frame n shows.
        _png(theirs / "a" / f"{n}.png", _box(np.s_[n : n + 1, :], SIZE))
    rows = [f"{x},{n}.5,{n},{n}" for n in range(16) for x in range(4, 90, 8)]
    _video(data, "a", (picture for picture, _ in _pictures(16)), rows, 10)
    report = evaluate([data], _settings(), against={"theirs": theirs}, frames_per_clip=ALL)
    (table,) = report.tables
    # The first half second, five frames, is left out.
    assert (table.clips, table.frames) == (1, 11)
    # Of 72 rows 71 lie below the lit one, which ties with itself.
    assert _mean(report, "theirs", "AUC-Judd") == pytest.approx(71.5 / 72)


def test_a_given_density_is_what_maps_are_compared_with(data: Path, theirs: Path) -> None:
    given = np.tile(np.arange(64, dtype=np.uint8) * 4, (48, 1))
    (data / "video").mkdir()
    run_ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=size=64x48:rate=10", "-frames:v", "8", "-c:v", "ffv1",
        str(data / "video" / "1.mkv"),
    )  # fmt: skip
    for n in range(1, 9):
        _png(data / "annotation" / "0001" / "fixation" / f"{n}.png", _box(np.s_[3:6, 3:6]))
        _png(data / "annotation" / "0001" / "maps" / f"{n}.png", given)
        _png(theirs / "1" / f"{n:04d}.png", given)
    report = evaluate([data], _settings(working_width=64), against={"theirs": theirs})
    assert report.tables[0].frames == 3
    for measure, best in {"CC": 1, "SIM": 1, "KL": 0}.items():
        assert _mean(report, "theirs", measure) == pytest.approx(best, abs=1e-5)
    # The fixations themselves are elsewhere.
    assert _mean(report, "theirs", "NSS") < -1


def test_maps_of_photos_are_found_by_name_and_by_number(data: Path, theirs: Path) -> None:
    left, right = _box(np.s_[10:30, 4:20]), _box(np.s_[10:30, 40:60])
    for name, mask in (("cat", left), ("007", right)):
        _photo(data, name, mask=mask)
    _png(theirs / "cat.png", left)
    _png(theirs / "7.png", right)
    report = evaluate([data], _settings(working_width=64), against={"theirs": theirs})
    assert _mean(report, "theirs", "pixel AUC") == 1


def test_a_larger_map_is_averaged(data: Path, theirs: Path) -> None:
    mask = _box(np.s_[10:30, 4:20])
    _photo(data, "a", mask=mask)
    # One pixel of 64 is lit, in the corner of what becomes one.
    large = np.zeros((8 * 48, 8 * 64), np.uint8)
    large[::8, ::8] = mask
    _png(theirs / "a.png", large)
    report = evaluate([data], _settings(working_width=64), against={"theirs": theirs})
    assert _mean(report, "theirs", "pixel AUC") == 1


@pytest.mark.parametrize("what", ["missing", "twice", "no clip"])
def test_a_map_that_is_not_there_once_is_one_line(what: str, data: Path, theirs: Path) -> None:
    for n, mask in enumerate(_sequence(data, "bear", frames=4)):
        _png(theirs / "bear" / f"{n}.png", mask)
    count, frame = 0, "00002"
    if what == "missing":
        (theirs / "bear" / "2.png").unlink()
    elif what == "twice":
        count = 2
        _png(theirs / "bear" / "002.png", mask)
    else:
        (theirs / "bear").rename(theirs / "dog")
        frame = "00001"
    with pytest.raises(VidsalError) as caught:
        evaluate([data], _settings(), against={"name of row": theirs}, frames_per_clip=ALL)
    assert str(caught.value).startswith(
        f"name of row: {count} maps for frame {frame} of bear in {theirs / 'bear'}, expected one"
    )
    assert "\n" not in str(caught.value)


def test_a_map_that_cannot_be_read_is_one_line(data: Path, theirs: Path) -> None:
    _photo(data, "a", mask=_box(np.s_[10:30, 4:20]))
    (theirs / "a.png").write_text("no picture")
    with pytest.raises(VidsalError) as caught:
        evaluate([data], _settings(), against={"theirs": theirs})
    assert str(caught.value) == f"{theirs / 'a.png'} cannot be read as a picture"


# Over frames and clips.


def test_fixations_of_other_clips_alone_are_what_is_shuffled(data: Path, theirs: Path) -> None:
    # Where a photo is looked at its map is bright, and where the other one is, dark; the first
    # one's is brightest where nobody looks.
    maps = {"a": _box(np.s_[:, :32]) // 2, "b": _box(np.s_[:, 32:])}
    maps["a"][:4] = 255
    for name, column in (("a", 0.25), ("b", 0.75)):
        _photo(data, name, points=_around(0.5, column))
        _png(theirs / f"{name}.png", maps[name])
    report = evaluate([data], _settings(working_width=64), against={"theirs": theirs})
    # With their own fixations among the others it would be 0.75.
    assert _mean(report, "theirs", "sAUC") == 1
    assert _mean(report, "theirs", "AUC-Judd") < 0.8
    # Alone, a photo has no others.
    (data / "images" / "b.png").unlink()
    alone = evaluate([data], _settings(working_width=64), against={"theirs": theirs})
    assert list(alone.tables[0].rows["theirs"]) == [name for name in GAZE if name != "sAUC"]


def test_the_interval_is_over_clips(data: Path, theirs: Path) -> None:
    # Pixel AUCs of 1, 0 and 0.5.
    mask = _box(np.s_[10:30, 4:20])
    for name, shown in {"a": mask, "b": 255 - mask, "c": np.zeros_like(mask)}.items():
        _photo(data, name, mask=mask)
        _png(theirs / f"{name}.png", shown)
    report = evaluate([data], _settings(working_width=64), against={"theirs": theirs})
    score = report.tables[0].rows["theirs"]["pixel AUC"]
    # Of 27 resamples one has nothing but 0 and one nothing but 1: 3.7 % each.
    assert score == bootstrap([1.0, 0.0, 0.5]) == (0.5, 0, 1)


def test_a_clip_weighs_the_same_however_many_frames_are_scored(data: Path, theirs: Path) -> None:
    for name, count, is_right in (("long", 9, True), ("short", 3, False)):
        for n, mask in enumerate(_sequence(data, name, frames=count)):
            _png(theirs / name / f"{n}.png", mask if is_right else 255 - mask)
    report = evaluate([data], _settings(), against={"theirs": theirs}, frames_per_clip=ALL)
    (table,) = report.tables
    assert (table.clips, table.frames) == (2, 8 + 2)
    assert table.rows["theirs"]["pixel AUC"] == bootstrap([1.0, 0.0])
    assert table.rows["theirs"]["pixel AUC"].mean == 0.5
    assert table.title == "data: 10 frames of 2 clips"


def test_each_dataset_has_a_table_of_its_own(data: Path) -> None:
    _sequence(data / "objects", frames=4)
    _photo(data / "photos", "a", points=_around(0.5, 0.5))
    report = evaluate([data], _settings())
    assert [table.dataset for table in report.tables] == ["objects", "photos"]
    first, second = (table.rows["centre prior"] for table in report.tables)
    assert list(first) == MASKS
    assert list(second) == [name for name in GAZE if name != "sAUC"]
    # Folders of one dataset each, in the order in which they are given.
    each = evaluate([data / "photos", data / "objects"], _settings())
    assert [table.rows for table in each.tables] == [table.rows for table in report.tables[::-1]]


def test_the_progress_gets_every_clip_once(data: Path) -> None:
    for name in ("a", "b", "c"):
        _sequence(data, name, frames=3)
    passed: list[Any] = []
    totals: list[int | None] = []

    def progress(items: Iterable[Any], total: int | None) -> Iterable[Any]:
        totals.append(total)
        for item in items:
            passed.append(item)
            yield item

    report = evaluate([data], _settings(), progress=progress)
    assert (len(passed), totals) == (3, [3])
    assert report.tables[0].clips == 3


@pytest.mark.parametrize("what", ["few fixations", "empty masks", "first frame"])
def test_nothing_to_score_is_one_line(what: str, data: Path) -> None:
    if what == "few fixations":
        _photo(data, "a", points=_around(0.5, 0.5, count=7))
    else:
        _sequence(data, frames=4)
        for path in sorted((data / "a" / "masks").iterdir())[1:]:
            path.unlink()
            if what == "empty masks":
                _png(path, np.zeros(SIZE, np.uint8))
    with pytest.raises(VidsalError, match=r"^nothing to score: .*$") as caught:
        evaluate([data], _settings())
    assert "\n" not in str(caught.value)


# The report.


def test_every_measure_says_where_good_is(data: Path) -> None:
    for name, place in (("a", 0.3), ("b", 0.7)):
        _photo(data, name, mask=_box(np.s_[9:30, 4:20]), points=_around(0.5, place))
    (table,) = evaluate([data], _settings()).tables
    heads = [cell.strip() for cell in table.markdown()[2].strip("|").split("|")][1:]
    assert [head[:-2] for head in heads] == GAZE + MASKS
    assert [head[-1] for head in heads] == list("↑↑↑↑↑↓↑↑↑↑↓")


# The command line.


def _vidsal(*words: str | Path, cwd: Path, code: int) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [sys.executable, "-m", "vidsal", "evaluate", *map(str, words)],
        cwd=cwd, env=dict(os.environ), capture_output=True, text=True, timeout=120,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done


def test_the_command_prints_the_tables_and_writes_them(data: Path, tmp_path: Path) -> None:
    _sequence(data, frames=6)
    (tmp_path / "r.md").write_text("before")
    done = _vidsal(
        "data", "--models", "none", "--frames-per-clip", "2", "--seed", "5", "--working-width",
        "96", "--json", "r.json", "--markdown", "r.md", "--overwrite", cwd=tmp_path, code=0,
    )  # fmt: skip
    report = evaluate([data], _settings(seed=5), frames_per_clip=2, seed=5)
    assert report.tables[0].frames == 2
    assert done.stdout.splitlines() == report.lines()
    assert done.stderr == ""
    read = json.loads((tmp_path / "r.json").read_text())
    assert read == json.loads(json.dumps(report.as_json()))
    assert (tmp_path / "r.md").read_text() == "\n".join(report.markdown()).rstrip() + "\n"


def test_the_command_scores_other_programs_by_name(
    data: Path, theirs: Path, tmp_path: Path
) -> None:
    mask = _box(np.s_[10:30, 4:20])
    _photo(data, "a", mask=mask)
    _png(theirs / "a.png", mask)
    _png(tmp_path / "worse" / "a.png", 255 - mask)
    done = _vidsal(
        "data", "--models", "none", "--against", "best one=theirs", "--against", "worst=worse",
        cwd=tmp_path, code=0,
    )  # fmt: skip
    best, worst = done.stdout.splitlines()[-2:]
    assert best.removeprefix("best one").split()[0] == "1.000"
    assert worst.removeprefix("worst").split()[0] == "0.000"


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        ([], 2, "give at least one folder of clips or photos with ground truth"),
        (["data", "--frames-per-clip", "0"], 2, "--frames-per-clip must be 1 or more, got 0"),
        (["data", "--against", "empty"], 2, "--against must be NAME=DIR, got 'empty'"),
        (["data", "--against", "=empty"], 2, "--against must be NAME=DIR, got '=empty'"),
        (["data", "--against", "it="], 2, "--against must be NAME=DIR, got 'it='"),
        (["data", "--against", "it=no"], 2, "it: no is not a folder"),
        (["data", "--against", "static=empty"], 2, "static is a row of vidsal's own: "
         "give empty another name"),
        (["data", "--json", "r", "--markdown", "r"], 2, "--json and --markdown both name r"),
        (["data", "--seed", "-1"], 2, "--seed must be 0 to 2147483647, got -1"),
        (["data", "--fusion", "blend"], 2, "Invalid value"),
        (["data", "--json", "there.json"], 1, "there.json exists: give another name, or "
         "--overwrite to replace it"),
        (["data", "--markdown", "there.json"], 1, "there.json exists: give another name, or "
         "--overwrite to replace it"),
        (["data", "--json", "no/r.json"], 1, "no is not a folder that exists: make it first"),
        (["missing"], 1, "missing is not a folder"),
        (["empty"], 1, "empty holds no clips or photos with ground truth: expected videos/ bes"),
        (["data", "--against", "it=empty"], 1, "it: 0 maps for frame a of a in empty, expected "),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_and_an_exit_code(
    words: list[str], code: int, line: str, data: Path, tmp_path: Path
) -> None:
    _photo(data, "a", mask=_box(np.s_[10:30, 4:20]))
    (tmp_path / "empty").mkdir()
    (tmp_path / "there.json").write_text("precious")
    done = _vidsal(*words, *(["--models", "none"] if words else []), cwd=tmp_path, code=code)
    assert done.stdout == ""
    said, *hint = done.stderr.splitlines()
    assert said.startswith(f"vidsal: {line}")
    assert hint == (["Try `vidsal evaluate --help`."] if code == 2 else [])
    assert (tmp_path / "there.json").read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "empty", "there.json"]
