"""The whole pipeline: what a run writes."""

import json
import logging
import threading
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import BrightnessStage, LoadScript, MakeClip, ThreadsSeen
from PIL import Image
from pipeline_help import decoded_video, names_left, pipeline_settings, table_rows

import vidsal
from vidsal import analyser, pipeline
from vidsal.render.draw import draw_for_video
from vidsal.render.style import Style
from vidsal.settings import Settings
from vidsal.sinks.maps import sixteen_bit
from vidsal.types import Rgb, Saliency, SourceInfo
from vidsal.yuv import Picture

# No failure may take longer than this to end a run; most take a tenth of it.
SOON_S = 5.0


@pytest.fixture(autouse=True)
def _in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    out = tmp_path / "out"
    out.mkdir()
    monkeypatch.chdir(out)
    return out


# Outputs


@pytest.mark.parametrize(
    ("layout", "size"),
    [("overlay", (180, 320)), ("side-by-side", (180, 640)), ("quad", (360, 640))],
)
def test_synthetic_clip_keeps_count_rate_and_size(
    layout: str, size: tuple[int, int], sample_media: Path
) -> None:
    out = vidsal.run(sample_media / "moving_square.mp4", pipeline_settings(layout=layout))
    assert out == Path("moving_square_saliency.mp4")
    count, rate, found, _ = decoded_video(out)
    assert (count, rate, found) == (90, Fraction(30), size)
    assert names_left() == ["moving_square_saliency.mp4"]


def test_what_stands_out_is_the_square(sample_media: Path, load_script: LoadScript) -> None:
    truth = load_script("make_synthetic_clip")
    clip = sample_media / "moving_square.mp4"
    vidsal.run(clip, pipeline_settings(table=Path("t.csv"), working_width=320))
    rows = table_rows(Path("t.csv"))
    assert [int(row["frame"]) for row in rows] == list(range(90))
    assert [float(row["time_s"]) for row in rows] == pytest.approx(
        [n / 30 for n in range(90)], abs=1e-6
    )
    # The first frame has nothing before it to have moved from.
    assert (rows[0]["speed_p95"], rows[0]["motion_high"]) == ("0", "0.03")
    assert rows[0]["camera_model"] == "none"
    assert rows[0]["peak_row_px"] == ""
    inside = 0
    # The square's own movement over the pan, in diagonals a second.
    speed = np.hypot(4, 2) * 30 / np.hypot(180, 320)
    for row in rows[1:]:
        left, top, right, bottom = truth.square_box(int(row["frame"]))
        x, y = float(row["peak_column_px"]), float(row["peak_row_px"])
        inside += left - 6 <= x <= right + 6 and top - 6 <= y <= bottom + 6
        # The background moves by (2, -1): that is the camera.
        assert float(row["camera_column_px"]) == pytest.approx(2, abs=0.3)
        assert float(row["camera_row_px"]) == pytest.approx(-1, abs=0.3)
        assert row["camera_model"] == "similarity"
        assert float(row["motion_high"]) == pytest.approx(speed, rel=0.08)
        assert row["fused_high"] == row["motion_high"]
        assert float(row["speed_median"]) < 0.05 * speed
    assert inside >= 0.95 * 89


def test_analyse_is_what_run_writes(sample_media: Path, brightness: BrightnessStage) -> None:
    clip, part = sample_media / "moving_square.mp4", {"start": 0.5, "end": 1.0, "every": 2}
    vidsal.run(clip, pipeline_settings(maps=Path("maps"), **part))
    results = list(vidsal.analyse(clip, pipeline_settings(**part)))
    assert [one.frame.index for one in results] == list(range(15, 30, 2))
    for one in results:
        for kind in ("static", "motion", "fused"):
            with Image.open(Path("maps") / kind / f"{one.frame.index:06d}.png") as image:
                assert (np.asarray(image) == sixteen_bit(getattr(one, kind))).all()
    assert max(float(one.motion.max()) for one in results) == 1
    assert len(list(Path("maps").rglob("*.png"))) == 3 * len(results)


def test_run_returns_the_output_that_exists_where_that_is_asked_for(make_clip: MakeClip) -> None:
    clip = make_clip(frames=3)
    settings = Settings(model="none", output=Path("o.mp4"), skip_existing=True)
    assert vidsal.run(clip, settings) == Path("o.mp4")
    written = Path("o.mp4").read_bytes()
    assert vidsal.run(clip, settings) == Path("o.mp4")
    outcome = pipeline.process(clip, settings)
    assert (outcome.output, outcome.is_skipped, outcome.frames) == (Path("o.mp4"), True, 0)
    assert Path("o.mp4").read_bytes() == written


@pytest.mark.parametrize(
    ("size", "working_width", "wanted", "expected"),
    [((720, 1280), 320, 16, 16), ((720, 1280), 320, 32, 19), ((1080, 1920), 320, 16, 11),
     ((1080, 1920), 1920, 16, 4), ((2160, 3840), 320, 16, 4), ((90, 160), 320, 256, 161),
     ((90, 160), 320, 1, 4)],
)  # fmt: skip
def test_small_frames_wait_in_greater_number(
    size: tuple[int, int], working_width: int, wanted: int, expected: int
) -> None:
    """As many as 100 MB hold, with 3 bytes a pixel and 40 a pixel of the maps; at least four."""
    info = SourceInfo("clip", *size, Fraction(25))
    assert analyser.frames_ahead(info, working_width, wanted) == expected


def test_output_is_the_same_without_threads(
    make_clip: MakeClip, brightness: BrightnessStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(frames=40)
    options = {"layout": "quad", "batch": 7}
    vidsal.run(clip, pipeline_settings(output="ahead.mp4", table="ahead.csv", **options))
    monkeypatch.setattr(pipeline, "DECODED_FRAMES", 0)
    monkeypatch.setattr(pipeline, "frames_ahead", lambda *_: 0)
    threads = set()
    real = draw_for_video

    def draw(*args: Any) -> Picture:
        threads.add(threading.current_thread().name)
        return real(*args)

    monkeypatch.setattr(analyser, "draw_for_video", draw)
    vidsal.run(clip, pipeline_settings(output="alone.mp4", table="alone.csv", **options))
    assert threads == {threading.current_thread().name}
    ahead, alone = decoded_video(Path("ahead.mp4")), decoded_video(Path("alone.mp4"))
    assert ahead[:3] == alone[:3]
    assert (np.stack(ahead[3]) == np.stack(alone[3])).all()
    assert Path("ahead.csv").read_text() == Path("alone.csv").read_text()


def test_opencv_has_half_of_its_threads_during_a_run(
    make_clip: MakeClip, four_opencv_threads: ThreadsSeen
) -> None:
    seen = four_opencv_threads(analyser, "draw_for_video")
    vidsal.run(make_clip(frames=3), pipeline_settings())
    assert seen == {2}


def test_frames_are_batched_and_none_is_lost(
    make_clip: MakeClip, brightness: BrightnessStage
) -> None:
    results = list(vidsal.analyse(make_clip(frames=20), pipeline_settings(batch=8)))
    # All samples of the first frame are a call by themselves.
    assert [len(pictures) for pictures in brightness.pictures] == [1, 8, 8, 3]
    assert [one.frame.index for one in results] == list(range(20))
    assert all(one.prediction and one.prediction.target_name == "bright" for one in results)


def test_photo_is_the_one_frame_case(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (61, 83, 3), np.uint8)
    Image.fromarray(rgb).save(tmp_path / "photo.png")
    out = vidsal.run(tmp_path / "photo.png", pipeline_settings(annotate=False, table=Path("t.csv")))
    assert out == Path("photo_saliency.png")
    # Nothing moves in a still and no network looks: the picture itself, its odd sides padded.
    with Image.open(out) as image:
        assert (np.asarray(image) == np.pad(rgb, ((0, 1), (0, 1), (0, 0)), mode="edge")).all()
    (row,) = table_rows(Path("t.csv"))
    assert (row["frame"], row["time_s"], row["cut"]) == ("0", "0.000000", "0")
    assert names_left() == ["photo_saliency.png", "t.csv"]


def test_draw_is_the_picture_that_run_writes(
    make_clip: MakeClip, tmp_path: Path, brightness: BrightnessStage
) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (121, 160, 3), np.uint8)
    Image.fromarray(rgb).save(tmp_path / "photo.png")
    settings = pipeline_settings(layout="side-by-side", colormap="viridis", boxes=0.5)
    out = vidsal.run(tmp_path / "photo.png", settings)
    (saliency,) = vidsal.analyse(tmp_path / "photo.png", settings)
    # The caption has the network's name, which the settings do not have, and no time.
    assert saliency.prediction is not None
    assert saliency.prediction.model_name == "EfficientNet-Lite0"
    assert not saliency.frame.has_time
    picture = vidsal.draw(saliency, settings)
    assert picture.shape == (122, 320, 3) and picture.dtype == np.uint8
    with Image.open(out) as image:
        assert (picture == np.asarray(image)).all()
    # Without settings, the defaults apply.
    assert vidsal.draw(saliency).shape == (122, 160, 3)
    assert (vidsal.draw(saliency) == vidsal.draw(saliency, Settings())).all()
    (frame,) = vidsal.analyse(make_clip(frames=1), settings)
    assert frame.frame.has_time


def test_the_frame_of_a_photo_has_no_time(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = []

    def draw(saliency: Saliency, style: Style) -> Rgb:
        frames.append(saliency.frame)
        return saliency.frame.rgb

    for name in ("draw_saliency", "draw_for_video"):
        monkeypatch.setattr(analyser, name, draw)
    Image.new("RGB", (64, 48)).save(tmp_path / "photo.png")
    vidsal.run(tmp_path / "photo.png", pipeline_settings())
    vidsal.run(make_clip("a.mp4", frames=1), pipeline_settings())
    assert [frame.has_time for frame in frames] == [False, True]


def test_photo_shows_where_the_static_map_is(tmp_path: Path, brightness: BrightnessStage) -> None:
    rgb = np.full((120, 160, 3), 20, np.uint8)
    rgb[30:50, 100:130] = 240
    Image.fromarray(rgb).save(tmp_path / "photo.png")
    vidsal.run(
        tmp_path / "photo.png", pipeline_settings(annotate=False, table=Path("t.csv"), smooth=0.0)
    )
    with Image.open("photo_saliency.png") as image:
        changed = np.abs(np.asarray(image).astype(int) - rgb).max(axis=-1)
    assert changed[35:45, 105:125].min() > 10
    assert changed[80:, :60].max() <= 2
    (row,) = table_rows(Path("t.csv"))
    assert 30 <= float(row["peak_row_px"]) <= 50
    assert 100 <= float(row["peak_column_px"]) <= 130
    assert row["class_1"] == "bright"
    assert (row["fusion"], row["gain"], row["centre_prior"]) == ("gain", "6", "0")
    assert (row["static_share"], row["motion_share"], row["boxes"]) == ("1", "0", "")
    assert float(row["fused_high"]) == pytest.approx(float(row["static_high"]), rel=1e-3)


def test_boxes_are_in_the_picture_and_in_the_table(
    tmp_path: Path, brightness: BrightnessStage
) -> None:
    rgb = np.full((120, 160, 3), 20, np.uint8)
    rgb[30:50, 100:130] = 200
    Image.fromarray(rgb).save(tmp_path / "photo.png")
    options: dict[str, Any] = {"annotate": False, "smooth": 0.0, "alpha": 0.0, "working_width": 160}
    vidsal.run(tmp_path / "photo.png", pipeline_settings(table=Path("t.csv"), boxes=0.5, **options))
    (row,) = table_rows(Path("t.csv"))
    (box,) = json.loads(row["boxes"])
    sides = [box["top"], box["left"], box["bottom"], box["right"]]
    assert sides == pytest.approx([30, 100, 50, 130], abs=2)
    assert 0.5 < box["saliency"] <= 1
    with Image.open("photo_saliency.png") as image:
        rows, columns = np.nonzero((np.asarray(image) == 255).all(axis=-1))
    # White where the table says, and nowhere else.
    assert [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1] == sides
    assert len(rows) == 2 * (sides[2] - sides[0] + sides[3] - sides[1]) - 4


def test_flicker_is_told_at_the_end(
    make_clip: MakeClip, brightness: BrightnessStage, caplog: pytest.LogCaptureFixture
) -> None:
    clip = make_clip(frames=14, options=["-vf", "negate=enable='gte(n,7)'"])
    with caplog.at_level(logging.INFO, logger="vidsal"):
        vidsal.run(clip, pipeline_settings(table=Path("t.csv"), scale="frame"))
    rows = table_rows(Path("t.csv"))
    assert [row["cut"] for row in rows] == ["0"] * 7 + ["1"] + ["0"] * 6
    highs = np.array([float(row["fused_high"]) for row in rows])
    changes = np.abs(np.diff(highs)) / highs[:-1]
    # Changes by a cut, or by the first motion after a start, are not flicker.
    flicker = 100 * np.delete(changes, [0, 6, 7]).mean()
    assert abs(flicker - 100 * changes.mean()) > 0.1
    (said,) = [one.getMessage() for one in caplog.records if "flicker" in one.getMessage()]
    assert said.startswith("flicker: the display scale changed by ")
    # The table has five digits of each.
    assert float(said.split()[-4]) == pytest.approx(flicker, abs=0.02)


def test_the_bundled_network_sees_the_cat(sample_media: Path) -> None:
    settings = Settings(model="lite0", target="top1", table=Path("t.csv"))
    vidsal.run(sample_media / "cat.jpg", settings)
    (row,) = table_rows(Path("t.csv"))
    assert row["model"] == "EfficientNet-Lite0"
    assert row["class_1"] == row["target"] == "Egyptian cat"
    assert row["probability_1"] == row["target_probability"]
    assert 0.3 < float(row["probability_1"]) < 1
    with Image.open("cat_saliency.png") as image:
        assert image.size == (452, 300)


@pytest.mark.slow
def test_same_seed_same_output_and_batches_do_not_matter(sample_media: Path) -> None:
    clip = sample_media / "moving_square.mp4"

    def maps(**options: Any) -> Any:
        settings = Settings(
            model="lite0", short_side=64, samples=4, end=0.25, working_width=160, **options
        )
        return np.stack(
            [one.static for one in vidsal.analyse(clip, settings) if one.static is not None]
        )

    whole = maps()
    assert len(whole) == 8 and whole.max() == 1
    assert np.array_equal(maps(), whole)
    assert maps(batch=3) == pytest.approx(whole, abs=1e-4)
    # Another seed is another noise, and the same picture.
    other = maps(seed=1)
    assert np.abs(other - whole).max() > 0.02
    assert np.corrcoef(other.ravel(), whole.ravel())[0, 1] > 0.5


def test_progress_gets_every_result_and_the_number_of_them(make_clip: MakeClip) -> None:
    reported: list[Any] = []

    def progress(items: Iterable[Any], total: int | None) -> Iterator[Any]:
        reported.append(total)
        for item in items:
            reported.append(item.frame.index)
            yield item

    vidsal.run(make_clip(frames=6), pipeline_settings(), progress=progress)
    assert reported == [6, 0, 1, 2, 3, 4, 5]
