"""Crop windows of stored analyses: data, rendered crops, previews, the command."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import BrightnessStage, MakeClip

import vidsal
from vidsal.cli import main
from vidsal.cropping import crop_path, crop_store
from vidsal.errors import UsageError, VidsalError
from vidsal.render.crop_window import crop_preview
from vidsal.settings import Settings
from vidsal.sources import open_source
from vidsal.static import models
from vidsal.static.models import ModelChoice
from vidsal.store.opening import open_store
from vidsal.types import Rgb

zarr = pytest.importorskip("zarr")
SIZE = (108, 192)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder beside the clips."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def keep(clip: Any, **options: Any) -> None:
    """Write a store of a clip."""
    given: dict[str, Any] = {
        "model": "lite0", "working_width": 96, "short_side": 64, "batch": 4,
        "keep": Path("s.vidsal"), "output": Path("heat.mkv"), "codec": "ffv1", "overwrite": True,
    }  # fmt: skip
    vidsal.run(clip, Settings(**given | options))


def spot_frames(columns: list[int], *, background: int = 20) -> list[Rgb]:
    """A bright disc, whose map is its brightness, on a dark picture with some texture."""
    rng = np.random.default_rng(0)
    dark = np.repeat(rng.integers(background, background + 8, (*SIZE, 1), np.uint8), 3, axis=2)
    row, column = np.mgrid[: SIZE[0], : SIZE[1]]
    frames = []
    for at in columns:
        frame = dark.copy()
        frame[(row - 54) ** 2 + (column - at) ** 2 < 14**2] = (240, 250, 230)
        frames.append(frame)
    return frames


def write_clip(path: Path, frames: list[Rgb]) -> Path:
    with vidsal.VideoWriter(path, 25, Settings(codec="ffv1")) as video:
        for frame in frames:
            video.write(frame)
    return path


# Columns of a disc that moves, and after a cut to a lighter picture stands still.
COLUMNS = [round(at) for at in np.linspace(30, 160, 50)] + [120] * 20


@pytest.fixture(scope="module")
def analysed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the clip of the disc and its store."""
    folder = tmp_path_factory.mktemp("spots")
    dark, light = spot_frames(COLUMNS[:50]), spot_frames(COLUMNS[50:], background=110)
    write_clip(folder / "spots.mkv", [*dark, *light])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(models, "choose", lambda *_, **__: ModelChoice("lite0"))
        patched.setattr(models, "open_static", lambda *_: BrightnessStage())
        keep(folder / "spots.mkv", keep=folder / "s.vidsal", output=folder / "heat.mkv")
    return folder


@pytest.fixture
def spots(analysed: Path, here: Path) -> Path:
    """The clip of the disc; a copy of its store lies in the working folder."""
    shutil.copytree(analysed / "s.vidsal", here / "s.vidsal")
    return analysed / "spots.mkv"


def read_csv(name: str) -> list[dict[str, str]]:
    with Path(name).open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_window_holds_the_disc_and_leaps_with_the_cut(spots: Path) -> None:
    path = crop_path("s.vidsal", "9:16")
    assert repr(path) == "CropPath(9:16, 60x108 of 192x108, 70 frames, 2 scenes)"
    assert path.modes == ("pan", "still") and path.scene.tolist() == [0] * 50 + [1] * 20
    for n, column in enumerate(COLUMNS):
        assert path.left[n] < column < path.left[n] + 60, n
    # The pan has one velocity; in pixels it is rounded.
    assert np.ptp(np.diff(path.offset_px[:50])) < 1e-9
    assert np.abs(path.left - path.offset_px).max() <= 0.5
    assert np.ptp(path.left[50:]) == 0 and path.left[50] + 30 == pytest.approx(120, abs=8)
    assert path.top.tolist() == [0] * 70
    assert path.held[:50].min() > 0.8 and path.held.max() <= 1
    top, left, bottom, right = path.boxes[25]
    assert (top + bottom) / 2 == pytest.approx(54, abs=4)
    assert (left + right) / 2 == pytest.approx(COLUMNS[25], abs=8)


def test_of_an_aspect_wider_than_the_picture_it_moves_down(spots: Path) -> None:
    path = crop_path(open_store("s.vidsal"), "4:1")
    assert (path.height, path.width) == (48, 192)
    assert path.left.tolist() == [0] * 70
    # The disc is in the middle of the picture's height.
    assert path.top + 24 == pytest.approx(54, abs=6)
    whole = crop_path("s.vidsal", "16:9")
    assert (whole.height, whole.width) == SIZE and set(whole.modes) == {"still"}
    assert whole.held == pytest.approx(1)


def test_the_files_have_the_values_of_the_arrays(spots: Path) -> None:
    path = crop_path("s.vidsal", "1:1", share=0.5)
    for name in ("w.csv", "w.json"):
        assert crop_store("s.vidsal", aspect="1:1", share=0.5, path=name) == [Path(name)]
    data = json.loads(Path("w.json").read_text())
    # Its folder is of no concern.
    assert {name: value for name, value in data.items() if name != "frames"} == {
        "schema": 1, "source": "spots.mkv", "source_width": 192, "source_height": 108, "fps": "25",
        "aspect": "1:1", "width": 108, "height": 108, "box_share": 0.5, "max_speed": 0.5,
        "max_acceleration": 0.5,
    }  # fmt: skip
    table = read_csv("w.csv")
    assert len(table) == len(data["frames"]) == len(path) == 70
    for n, (one, two) in enumerate(zip(table, data["frames"], strict=True)):
        assert {name: str(value) for name, value in two.items()} == one
        assert (two["frame"], two["time_s"]) == (n, pytest.approx(n / 25))
        assert (two["left"], two["top"]) == (path.left[n], path.top[n])
        assert (two["scene"], two["mode"]) == (path.scene[n] + 1, path.modes[path.scene[n]])
        assert two["held"] == pytest.approx(path.held[n], abs=1e-4)
        assert [two["box_top"], two["box_left"]] == pytest.approx(path.boxes[n, :2], abs=0.1)
        assert two["box_left"] + two["box_width"] == pytest.approx(path.boxes[n, 3], abs=0.1)


def test_the_pixels_are_those_of_the_source(spots: Path) -> None:
    options: dict[str, Any] = {"codec": "ffv1", "output": "c.mkv", "path": "c.csv"}
    assert crop_store("s.vidsal", **options) == [Path("c.mkv"), Path("c.csv")]
    source, crop = iio.imread(spots), iio.imread("c.mkv")
    assert crop.shape == (70, 108, 60, 3)
    for frame, cut, row in zip(source, crop, read_csv("c.csv"), strict=True):
        left = int(row["left"])
        assert np.array_equal(frame[:, left : left + 60], cut)


def test_a_part_has_the_windows_of_the_whole(spots: Path, brightness: BrightnessStage) -> None:
    crop_store("s.vidsal", codec="ffv1", output="c.mkv")
    crop_store("s.vidsal", codec="ffv1", output="p.mkv", path="p.csv", start=0.4, end=0.8)
    assert np.array_equal(iio.imread("c.mkv")[10:20], iio.imread("p.mkv"))
    crop_store("s.vidsal", path="w.csv")
    crop_store("s.vidsal", path="d.csv", start=0.4, end=0.8)
    whole = read_csv("w.csv")
    assert len(whole) == 70 and read_csv("p.csv") == read_csv("d.csv") == whole[10:20]
    with pytest.raises(UsageError, match=r"has no frame from 0\.41 to 0\.42 s"):
        crop_store("s.vidsal", path="e.csv", start=0.41, end=0.42)
    found = crop_path("s.vidsal", start=0.4, end="0:00.8")
    assert found.frame.tolist() == list(range(10, 20)) and found.scene.tolist() == [0] * 10
    assert repr(found) == "CropPath(9:16, 60x108 of 192x108, 10 frames, 1 scenes)"
    assert np.array_equal(found.left, crop_path("s.vidsal").left[10:20])
    # Scenes keep their numbers, with which their modes are found.
    tail = crop_path("s.vidsal", start=2.4)
    assert len(tail) == len(tail.boxes) == 10 and tail.scene.tolist() == [1] * 10
    assert tail.modes[1] == "still"
    with pytest.raises(UsageError, match="name a part of it"):
        crop_store("s.vidsal", output="q.mkv", start=99.0)
    keep(spots, every=2, start=0.2)
    crop_store("s.vidsal", codec="ffv1", output="e.mkv", path="e.csv")
    assert [int(row["frame"]) for row in read_csv("e.csv")][:3] == [5, 7, 9]
    left = int(read_csv("e.csv")[3]["left"])
    assert np.array_equal(iio.imread("e.mkv")[3], iio.imread(spots)[11][:, left : left + 60])


def test_a_preview_shows_the_whole_picture(spots: Path) -> None:
    crop_store("s.vidsal", codec="ffv1", output="v.mkv", preview=True)
    shown, source = iio.imread("v.mkv"), iio.imread(spots)
    assert shown.shape == source.shape
    left = int(crop_path("s.vidsal").left[60])
    inside = np.s_[4:-4, left + 4 : left + 56]
    assert np.array_equal(shown[60][inside], source[60][inside])
    outside = np.s_[:, : left - 4]
    assert np.abs(shown[60][outside] - 0.35 * source[60][outside]).max() <= 0.5


def test_the_line_of_a_preview_lies_in_the_window() -> None:
    rgb = np.full((49, 81, 3), 200, np.uint8)
    shown = crop_preview(rgb, (0, 20, 48, 46))
    assert shown.shape == (50, 82, 3) and (rgb == 200).all()
    assert (shown[24, [20, 45]] == 255).all() and (shown[[0, 47], 30] == 255).all()
    assert (shown[24, [0, 80]] == 70).all() and (shown[24, 30] == 200).all()


def test_sound_is_kept(make_clip: MakeClip) -> None:
    keep(make_clip("loud.mp4", frames=20, size=SIZE, sound="aac"), model="none")
    for name, audio in (("c.mp4", True), ("mute.mp4", False)):
        crop_store("s.vidsal", output=name, audio=audio)
        with open_source(name, Settings()) as source:
            assert (source.info.height_px, source.info.width_px) == (108, 60)
            assert (source.info.sound is not None) == audio


def test_a_photo(brightness: BrightnessStage) -> None:
    rgb = spot_frames([150])[0]
    iio.imwrite("p.png", rgb)
    keep("p.png", output=Path("heat.png"), codec=None)
    crop_store("s.vidsal", output="c.png", path="c.json")
    (row,) = json.loads(Path("c.json").read_text())["frames"]
    assert row["mode"] == "still" and row["left"] < 136 and row["left"] + 60 > 164
    assert np.array_equal(iio.imread("c.png"), rgb[:, row["left"] : row["left"] + 60])


def test_where_nothing_is_salient_values_are_missing(tmp_path: Path) -> None:
    write_clip(tmp_path / "black.mkv", [np.zeros((*SIZE, 3), np.uint8)] * 5)
    keep(tmp_path / "black.mkv", model="none")
    for name in ("b.csv", "b.json"):
        crop_store("s.vidsal", path=name)
    row, frame = read_csv("b.csv")[2], json.loads(Path("b.json").read_text())["frames"][2]
    assert row["held"] == row["box_left"] == "" and row["left"] == "66"
    assert frame["held"] is frame["box_width"] is None


def test_no_source_is_needed_for_the_data(make_clip: MakeClip) -> None:
    clip = make_clip(frames=5, size=SIZE)
    keep(clip, model="none")
    moved = clip.rename(clip.with_name("moved.mp4"))
    crop_store("s.vidsal", path="w.csv")
    with pytest.raises(
        VidsalError, match="is missing: give the new place of the source with source="
    ):
        crop_store("s.vidsal", output="c.mp4")
    crop_store("s.vidsal", output="c.mp4", source=moved)
    assert len(iio.imread("c.mp4")) == len(read_csv("w.csv")) == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"give a video to write \(output=\), a file for the data \(path=\), or both"),
        ({"path": "w.txt"}, r"path='w\.txt': the data is written as \.csv or \.json"),
        ({"path": "w.csv", "preview": True}, r"preview=True needs a video to write \(output=\)"),
        ({"path": "s.vidsal/w.csv"}, r"lies in the store s\.vidsal: give another name"),
        ({"output": "s.vidsal/c.mp4"}, r"lies in the store s\.vidsal"),
        ({"output": "c.mp4", "aspect": "0:1"}, "aspect=: expected W:H or WxH"),
        ({"output": "c.mp4", "aspect": "1:90"}, "fewer than 16 on a side"),
        ({"output": "c.mp4", "colormap": "turbo"}, "colormap= is not an option of a crop"),
        ({"output": "c.png"}, r"c\.png"),
        ({"output": "c.mp4", "quality": 101}, "quality= must be 0 to 100"),
    ],
)
def test_wrong_options_are_one_line(spots: Path, options: dict[str, Any], message: str) -> None:
    before = sorted(Path().iterdir())
    with pytest.raises(UsageError, match=message):
        crop_store("s.vidsal", **options)
    assert sorted(Path().iterdir()) == before


def test_files_are_replaced_only_where_that_is_asked_for(spots: Path) -> None:
    Path("c.mp4").write_text("mine")
    Path("w.csv").write_text("mine")
    given: list[dict[str, Any]] = [
        {"output": "c.mp4"}, {"path": "w.csv"}, {"output": "d.mp4", "path": "w.csv"},
    ]  # fmt: skip
    for options in given:
        with pytest.raises(VidsalError, match="exists: give another name"):
            crop_store("s.vidsal", **options)
    assert Path("c.mp4").read_text() == Path("w.csv").read_text() == "mine"
    assert not Path("d.mp4").exists()
    crop_store("s.vidsal", output="c.mp4", path="w.csv", overwrite=True)
    assert len(read_csv("w.csv")) == 70 and len(iio.imread("c.mp4")) == 70


def test_nothing_is_left_of_a_crop_that_fails(spots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    before = sorted(Path().iterdir())
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("vidsal.cropping._picture", interrupted)
        crop_store("s.vidsal", output="c.mp4", path="w.csv")
    assert sorted(Path().iterdir()) == before


def test_the_command(make_clip: MakeClip, capsys: pytest.CaptureFixture[str]) -> None:
    keep(make_clip(frames=5, size=SIZE), model="none")

    def exit_code(*words: str) -> Any:
        with pytest.raises(SystemExit) as ended:
            main(["crop", "s.vidsal", *words])
        return ended.value.code

    assert exit_code("--aspect", "4x5", "-o", "c.mp4", "--path", "w.json") == 0
    assert capsys.readouterr().out.split() == ["c.mp4", "w.json"]
    assert json.loads(Path("w.json").read_text())["width"] == 86
    assert exit_code("-o", "c.mp4") == 1
    assert "c.mp4 exists" in capsys.readouterr().err
    assert exit_code() == 2
    assert "give a video to write (--output), a file for the data (--path)" in (
        capsys.readouterr().err
    )
    assert exit_code("--aspect", "tall", "-o", "d.mp4") == 2
    assert "--aspect: expected W:H or WxH, such as 9:16 or 1080x1920" in capsys.readouterr().err
