"""A run that keeps its analysis, and pictures that are drawn of it again."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
import zipfile
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast, get_args

import cv2
import imageio.v3 as iio
import numpy as np
import pytest
from conftest import BrightnessStage, MakeClip
from store_help import store_of

import vidsal
from vidsal import cli
from vidsal.analyser import source_opener
from vidsal.cli import main
from vidsal.errors import UsageError, VidsalError
from vidsal.rendering import render_store, results_of
from vidsal.settings import Layout, Settings, View, redrawn_options
from vidsal.static import models
from vidsal.static.labels import imagenet_classes
from vidsal.store.reader import Store, open_store, saved_settings
from vidsal.store.schema import levels_of, values_of
from vidsal.types import Map, Rgb

zarr = pytest.importorskip("zarr")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder beside the clips."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def settings_of(**options: Any) -> Settings:
    given: dict[str, Any] = {
        "model": "lite0", "working_width": 96, "short_side": 64, "batch": 4,
        "keep": Path("s.vidsal"), "output": Path("o.mkv"), "codec": "ffv1", "quality": 100,
    }  # fmt: skip
    return Settings(**given | options)


NAMES = ("dark", "bright", "cat", "crane", "crane", "zebra", "wool", "wall")


class ChangingStage(BrightnessStage):
    """Classes whose probabilities change with each prediction."""

    def __init__(self) -> None:
        super().__init__(NAMES)
        self.given: list[Any] = []
        self._rng = np.random.default_rng(0)

    def predict(self, rgb: Rgb) -> Map:
        made = self._rng.dirichlet(np.full(len(NAMES), 0.3), len(rgb)).astype(np.float32)
        self.given.extend(made)
        return made


@pytest.fixture
def changing(brightness: BrightnessStage, monkeypatch: pytest.MonkeyPatch) -> ChangingStage:
    stage = ChangingStage()
    monkeypatch.setattr(models, "open_static", lambda *_: stage)
    return stage


@pytest.fixture
def kept(make_clip: MakeClip, brightness: BrightnessStage) -> Path:
    """A clip of 40 frames whose analysis is kept; it is large enough for captions."""
    clip = make_clip(frames=40, size=(108, 192))
    vidsal.run(clip, settings_of())
    assert len(brightness.pictures) > 0
    return clip


def test_a_rendering_is_the_run(kept: Path, brightness: BrightnessStage) -> None:
    calls = len(brightness.pictures)
    out = render_store("s.vidsal", output=Path("again.mkv"), codec="ffv1", table=Path("t.csv"))
    one, two = (iio.imread(path).astype(int) for path in ("o.mkv", out))
    assert one.shape == two.shape
    assert_alike(one, two)
    # The network was not asked, and all frames are in the table.
    assert len(brightness.pictures) == calls
    assert len(Path("t.csv").read_text().splitlines()) == 41


@pytest.mark.parametrize("layout", get_args(Layout))
@pytest.mark.parametrize("colormap", ["inferno", "turbo", "grey"])
def test_other_pictures_are_those_of_a_run_with_these_options(
    kept: Path, layout: Layout, colormap: Any
) -> None:
    _assert_same(kept, layout=layout, colormap=colormap)


@pytest.mark.parametrize(
    "options",
    [
        *({"style": view} for view in get_args(View)),
        {"fusion": "sum"}, {"fusion": "motion"}, {"gain": 0.5}, {"scale": "frame"},
        {"centre_prior": 1.0}, {"contrast": 1.5}, {"contrast": 0.5}, {"boxes": 0.3}, {"width": 64},
        {"scale": "fixed:0,100"},
    ],
)  # fmt: skip
def test_other_options_are_those_of_a_run(kept: Path, options: dict[str, Any]) -> None:
    _assert_same(kept, **options)


def is_flat(values: Any) -> bool:
    return bool(np.ptp(values) == 0)


def assert_alike(one: Any, two: Any, *, share: float = 2e-2) -> None:
    """Rounding may move a level of the map by one, and a line of a contour by a pixel.

    The steepest step between two colours of a map is six levels.
    """
    difference = np.abs(one - two)
    assert (difference > 6).mean() <= share


def _assert_same(clip: Path, **options: Any) -> None:
    store = open_store("s.vidsal")
    changed = dataclasses.replace(store.settings, **options)
    with source_opener(clip, changed)() as source, vidsal.analyse(clip, changed) as direct:
        found = results_of(store, source.frames(), changed)
        for one, two in zip(direct, found, strict=True):
            first, second = (vidsal.draw(each, changed).astype(int) for each in (one, two))
            # On the plateau of this network's maps, rounding may choose another pixel for the ring.
            is_moved = one.marker != two.marker
            is_lines = is_moved or changed.style == "contour" or changed.boxes
            assert_alike(first, second, share=2e-2 if is_lines else 1e-3)
            if two.peak and not is_flat(one.fused):
                row, column = (
                    int(at * side) for at, side in zip(two.peak, one.fused.shape, strict=True)
                )
                assert one.fused[row, column] >= one.fused.max() - 1e-3
            # Half of one of the 256 levels that are drawn.
            assert np.abs(one.fused - two.fused).max() <= 0.5 / 255
            assert one.is_cut == two.is_cut and one.fused_high == pytest.approx(
                two.fused_high, rel=1e-3
            )
            assert one.motion_share == pytest.approx(two.motion_share, abs=1e-3)
            assert one.frame.index == two.frame.index
            assert one.prediction == two.prediction and one.event == two.event
            assert one.movement.camera.model == two.movement.camera.model


def test_a_store_holds_what_the_analysis_gives(kept: Path) -> None:
    store = open_store("s.vidsal")
    assert len(store) == 40 and store.size == (54, 96)
    assert repr(store) == "Store('s.vidsal', 40 frames, maps 96x54)"
    assert store.settings == dataclasses.replace(settings_of(), keep=None, output=None)
    direct = list(vidsal.analyse(kept, store.settings))
    for one, two, three in zip(direct, store, map(store.__getitem__, range(40)), strict=True):
        assert (
            (one.frame.index, one.frame.time_s)
            == (two.frame, two.time_s)
            == (three.frame, two.time_s)
        )
        assert one.gradient is not None and two.gradient is not None and two.fused is not None
        assert np.abs(one.gradient - two.gradient).max() <= one.gradient.max() / 8000
        assert np.abs(one.speed - two.speed).max() <= max(one.speed.max(), 1e-9) / 8000
        assert np.abs(one.fused - two.fused).max() <= 1 / 500
        assert np.array_equal(two.speed, three.speed)
    assert np.array_equal(store.array("frame"), np.arange(40))
    assert store.array("fused_high")[7] == pytest.approx(direct[7].fused_high)
    with pytest.raises(IndexError):
        store[40]
    with pytest.raises(VidsalError, match="no array 'nothing'"):
        store.array("nothing")


def test_plain_zarr_reads_it(kept: Path) -> None:
    group = zarr.open_group("s.vidsal", mode="r")
    assert group.attrs["schema"] == 2 and group.attrs["frames"] == 40
    assert group["speed"].shape == (40, 54, 96)
    assert group["speed"].metadata.dimension_names == ("frame", "row", "column")
    values = group["gradient"][3] * group["gradient_scale"][3]
    assert values == pytest.approx(open_store("s.vidsal")[3].gradient)


def test_a_part_is_that_of_the_whole(kept: Path) -> None:
    out = render_store("s.vidsal", output=Path("p.mkv"), codec="ffv1", start=0.4, end=0.8)
    whole, part = (iio.imread(path).astype(int) for path in ("o.mkv", out))
    assert len(part) == 10
    assert_alike(whole[10:20], part)
    render_store("s.vidsal", output=Path("q.mkv"), codec="ffv1", start=0.4, duration=0.4)
    assert np.array_equal(iio.imread("q.mkv"), iio.imread(out))
    for start, end in ((99.0, None), (0.4, 0.3)):
        with pytest.raises(UsageError):
            render_store("s.vidsal", output=Path("r.mkv"), start=start, end=end)
    assert not Path("r.mkv").exists()


def test_a_part_of_a_part(kept: Path) -> None:
    vidsal.run(kept, settings_of(start=0.4, duration=0.8, overwrite=True))
    render_store("s.vidsal", output=Path("p.mkv"), codec="ffv1", end=0.8)
    whole, part = (iio.imread(path).astype(int) for path in ("o.mkv", "p.mkv"))
    assert (len(whole), len(part)) == (20, 10)
    assert_alike(whole[:10], part)
    with pytest.raises(UsageError, match=r"holds 0.4 to 1.16 s of its source"):
        render_store("s.vidsal", output=Path("q.mkv"), start=0.2)


def test_every_second_frame(kept: Path) -> None:
    vidsal.run(kept, settings_of(every=2, overwrite=True))
    assert len(open_store("s.vidsal")) == 20
    render_store("s.vidsal", output=Path("p.mkv"), codec="ffv1")
    assert_alike(*(iio.imread(path).astype(int) for path in ("o.mkv", "p.mkv")))
    with pytest.raises(UsageError, match="cannot be changed"):
        render_store("s.vidsal", output=Path("q.mkv"), every=1)


def test_a_moved_source(kept: Path) -> None:
    moved = kept.rename(kept.with_name("moved.mp4"))
    with pytest.raises(VidsalError, match="is missing: give the new place of the source"):
        render_store("s.vidsal", output=Path("p.mp4"))
    out = render_store("s.vidsal", source=moved, output=Path("p.mkv"), codec="ffv1")
    assert_alike(*(iio.imread(path).astype(int) for path in ("o.mkv", out)))
    assert sorted(path.name for path in Path().iterdir()) == ["o.mkv", "p.mkv", "s.vidsal"]


def test_cuts_and_flashes(brightness: BrightnessStage, tmp_path: Path) -> None:
    """Two scenes, with a flash of one frame in the second."""
    rng = np.random.default_rng(0)
    scenes = [
        np.asarray(
            cv2.resize(rng.integers(low, low + 90, (9, 16, 3), np.uint8), (192, 108)), np.uint8
        )
        for low in (10, 150)
    ]
    frames = [np.roll(scenes[n >= 14], 2 * n, axis=1) for n in range(30)]
    frames[20] = np.full_like(frames[20], 255)
    with vidsal.VideoWriter(tmp_path / "scenes.mkv", 25, Settings(codec="ffv1")) as video:
        for frame in frames:
            video.write(frame)
    vidsal.run(tmp_path / "scenes.mkv", settings_of())
    store = open_store("s.vidsal")
    assert [one.event for one in store][12:22:2] == ["same", "cut", "same", "same", "flash"]
    _assert_same(tmp_path / "scenes.mkv")


def test_maps_with_signs(kept: Path) -> None:
    values = np.random.default_rng(0).normal(0, 1, (9, 16)).astype(np.float32)
    levels, scale = levels_of(values, 32767)
    assert np.abs(values_of(levels, scale) - values).max() < 1e-4


def test_no_tensorflow_is_loaded(kept: Path) -> None:
    code = (
        "import sys, vidsal; from pathlib import Path\n"
        "vidsal.render_store('s.vidsal', output=Path('n.mkv'), progress=False)\n"
        "print({'tensorflow', 'keras'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_another_source_is_refused(kept: Path, make_clip: MakeClip) -> None:
    other = make_clip("other.mp4", frames=39)
    with pytest.raises(VidsalError, match=r"is not the source that s\.vidsal was made of"):
        render_store("s.vidsal", source=other, output=Path("p.mp4"))
    assert not Path("p.mp4").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 3}, "cannot be changed: the analysis is done"),
        ({"model": "none"}, "cannot be changed"), ({"resume": True}, "cannot be changed"),
        ({"nothing": 1}, "nothing= is not an option"), ({"layout": "grid"}, "must be one of"),
    ],
)  # fmt: skip
def test_what_the_analysis_decided_stays(kept: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        render_store("s.vidsal", output=Path("p.mp4"), **options)


def _chunks(name: str) -> list[Path]:
    return [path for path in Path("s.vidsal", name, "c").rglob("*") if path.is_file()]


@pytest.mark.parametrize("place", [0.01, 0.3, 0.6, 0.99])
def test_a_flipped_bit_is_an_error(kept: Path, place: float) -> None:
    (chunk, *_) = _chunks("gradient")
    data = bytearray(chunk.read_bytes())
    data[int(place * len(data))] ^= 4
    chunk.write_bytes(bytes(data))
    with pytest.raises(VidsalError, match=r"s\.vidsal is damaged: gradient cannot be read"):
        render_store("s.vidsal", output=Path("p.mp4"))
    assert not Path("p.mp4").exists()


def test_faults_of_a_store_are_one_line(kept: Path) -> None:
    with pytest.raises(VidsalError, match=r"nothing\.vidsal is not a store"):
        open_store("nothing.vidsal")
    group = zarr.open_group("s.vidsal", mode="r+")
    group.attrs["schema"] = 3
    with pytest.raises(VidsalError, match="written by a newer vidsal"):
        open_store("s.vidsal")
    group.attrs.update({"schema": 2, "is_complete": False})
    with pytest.raises(VidsalError, match="was not completed"):
        open_store("s.vidsal")
    group.attrs["is_complete"] = True
    _chunks("speed")[0].unlink()
    with pytest.raises(VidsalError, match=r"s\.vidsal is damaged: speed lacks frames"):
        open_store("s.vidsal")
    Path("s.vidsal/zarr.json").write_text("{")
    with pytest.raises(VidsalError, match="is damaged: its description"):
        open_store("s.vidsal")


@pytest.mark.parametrize(
    "name", ["source", "settings", "frames", "predictions", "height_px", "fps"]
)
def test_a_missing_attribute_is_one_line(name: str) -> None:
    store_of([np.zeros((4, 8), np.float32)])
    described = json.loads(Path("w.vidsal/zarr.json").read_text())
    value = described["attributes"].pop(name)
    for wrong in ({}, {name: 0.5}):
        described["attributes"] |= wrong
        Path("w.vidsal/zarr.json").write_text(json.dumps(described))
        with pytest.raises(
            VidsalError, match=rf"w\.vidsal is damaged: its attribute '{name}' is missing or wrong"
        ):
            open_store("w.vidsal")
    described["attributes"] |= {name: value, "source": {}}
    Path("w.vidsal/zarr.json").write_text(json.dumps(described))
    with pytest.raises(VidsalError, match="the name of its source is missing"):
        open_store("w.vidsal")


@pytest.mark.parametrize("name", ["time_s", "fused", "speed", "peak"])
def test_a_missing_array_is_one_line(name: str) -> None:
    store_of([np.zeros((4, 8), np.float32)])
    shutil.rmtree(f"w.vidsal/{name}")
    # The file that describes all arrays still names it.
    described = json.loads(Path("w.vidsal/zarr.json").read_text())
    described["consolidated_metadata"]["metadata"].pop(name)
    Path("w.vidsal/zarr.json").write_text(json.dumps(described))
    with pytest.raises(VidsalError, match=rf"w\.vidsal is damaged: its array '{name}' is missing"):
        open_store("w.vidsal")


def test_an_option_of_another_version_is_named() -> None:
    store_of([np.zeros((4, 8), np.float32)])
    group = zarr.open_group("w.vidsal", mode="r+")
    group.attrs["settings"] = {"model": "none", "foo": 3}
    store = open_store("w.vidsal")
    with pytest.raises(
        VidsalError,
        match=r"^w\.vidsal was written by another version of vidsal, whose option 'foo' ",
    ):
        _ = store.settings


@pytest.mark.parametrize("place", [slice(1, 3), "frame", 1.5, True, None])
def test_a_place_is_a_whole_number(place: Any) -> None:
    store = store_of([np.zeros((4, 8), np.float32)] * 3)
    with pytest.raises(TypeError, match=r"takes the place of a frame, as store\[12\], got"):
        store[place]
    assert store[-1].frame == store[cast(int, np.int64(2))].frame == 2


def test_an_open_store_is_taken_and_stays_open(make_clip: MakeClip) -> None:
    clip = make_clip(frames=8, size=(108, 192))
    vidsal.run(clip, settings_of(model="none", keep=Path("z.vidsal.zip")))
    moved = clip.rename(clip.with_name("moved.mp4"))
    given: dict[str, Any] = {"progress": False}
    with vidsal.open_store("z.vidsal.zip", source=moved) as store:
        vidsal.render_store(store, output=Path("p.mkv"), codec="ffv1", **given)
        vidsal.draw_stills(store, at=0.1, output=Path("still.png"), **given)
        vidsal.compare_stores([store, "z.vidsal.zip"], output=Path("c.mkv"), **given)
        vidsal.crop_store(store, output=Path("crop.mkv"), **given)
        vidsal.report_store(store, "r.html", **given)
        vidsal.export_store(store, ["e.csv"])
        assert len(vidsal.crop_path(store)) == 8
        # zarr opens a closed file anew where it can.
        assert store._group.store._is_open and store[3].frame == 3
    assert_alike(*(iio.imread(path).astype(int) for path in ("o.mkv", "p.mkv")))
    made = {"p.mkv", "still.png", "c.mkv", "crop.mkv", "r.html", "e.csv"}
    assert made <= {*names_here()}
    with pytest.raises(VidsalError, match="is missing: give the new place"):
        vidsal.render_store("z.vidsal.zip", output=Path("q.mkv"), **given)


@pytest.mark.parametrize("command", ["render", "crop", "report", "export", "compare"])
def test_help_names_both_kinds_of_stores(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(command, "--help") == 0
    plural = "s" if command == "compare" else ""
    words = f"(folder{plural} or zip file{plural}) that vidsal run --keep wrote"
    assert words in " ".join(capsys.readouterr().out.replace("│", " ").split())


def test_options_without_effect_are_named(
    make_clip: MakeClip, capsys: pytest.CaptureFixture[str]
) -> None:
    vidsal.run(make_clip(frames=3), settings_of(model="none"))
    for words in (["-o", "p.mkv"], ["--at", "0", "-o", "p.png"]):
        assert exit_code("render", "s.vidsal", "--fusion", "static", *words) == 0
        assert capsys.readouterr().err.count("--fusion: without effect with --model none") == 1
        assert exit_code("render", "s.vidsal", "--overwrite", *words) == 0
        assert "without effect" not in capsys.readouterr().err
    words = ["--source", "clip.mp4", "--codec", "ffv1", "--path", "w.csv"]
    assert exit_code("crop", "s.vidsal", "--aspect", "1:1", *words) == 0
    error = capsys.readouterr().err
    assert "--source, --codec: without effect without --output" in error
    assert exit_code("crop", "s.vidsal", "--aspect", "1:1", "--share", "0.5", "-o", "c.mp4") == 0
    error = capsys.readouterr().err
    assert "--share: without effect without --path" in error and "--output" not in error


def test_nothing_is_left_of_a_run_that_fails(
    make_clip: MakeClip, brightness: BrightnessStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, drawn = make_clip(frames=40), []

    def failing(saliency: Any, settings: Any) -> Any:
        # The first chunk is written by then.
        if saliency.frame.index == 35:
            raise RuntimeError
        drawn.append(saliency)
        return vidsal.draw(saliency, settings)

    monkeypatch.setattr("vidsal.pipeline.draw", failing)
    with pytest.raises(RuntimeError):
        vidsal.run(clip, settings_of())
    assert len(drawn) == 35 and list(Path().iterdir()) == []


def test_names_of_stores(make_clip: MakeClip, brightness: BrightnessStage) -> None:
    clip = make_clip(frames=3)
    for name in ("s.zarr", "s.zip", "s", "vidsal.zip"):
        with pytest.raises(
            VidsalError, match=r"ends in \.vidsal \(a folder\) or \.vidsal\.zip \(one file\)"
        ):
            vidsal.run(clip, settings_of(keep=Path(name)))
    Path("s.vidsal").mkdir()
    with pytest.raises(VidsalError, match="exists and is no store"):
        vidsal.run(clip, settings_of(overwrite=True))
    shutil.rmtree("s.vidsal")
    vidsal.run(clip, settings_of())
    with pytest.raises(VidsalError, match=r"s\.vidsal exists"):
        vidsal.run(clip, settings_of(output=Path("p.mkv")))
    vidsal.run(clip, settings_of(overwrite=True))
    for inside in ({"output": Path("s.vidsal/o.mkv")}, {"table": Path("s.vidsal/t.csv")}):
        with pytest.raises(UsageError, match=r"lies in the store s\.vidsal"):
            vidsal.run(clip, settings_of(overwrite=True, **inside))
    Path("s.vidsal/mine.txt").touch()
    with pytest.raises(VidsalError, match=r"holds other files than those of a store \(mine"):
        vidsal.run(clip, settings_of(overwrite=True))


def test_several_sources_have_a_store_each(
    make_clip: MakeClip, brightness: BrightnessStage
) -> None:
    clips: list[str | int | Path] = [make_clip(f"{name}.mp4", frames=3) for name in "ab"]
    vidsal.run_all(clips, settings_of(output=Path("out"), codec=None, keep=Path("stores")))
    assert sorted(path.name for path in Path("stores").iterdir()) == ["a.vidsal", "b.vidsal"]
    for name in ("s.vidsal", "s.vidsal.zip"):
        with pytest.raises(UsageError, match="give the name of a folder for their stores"):
            vidsal.run_all(
                clips,
                settings_of(output=Path("out"), codec=None, overwrite=True, keep=Path(name)),
            )


def test_a_store_in_one_file(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vidsal.run(kept, settings_of(keep=Path("z.vidsal.zip"), output=Path("z.mkv")))
    assert names_here() == ["o.mkv", "s.vidsal", "z.mkv", "z.vidsal.zip"]
    with zipfile.ZipFile("z.vidsal.zip") as archive:
        assert {one.compress_type for one in archive.infolist()} == {zipfile.ZIP_STORED}
        files = {one: archive.read(one) for one in archive.namelist()}
    assert files == {
        path.relative_to("s.vidsal").as_posix(): path.read_bytes()
        for path in Path("s.vidsal").rglob("*")
        if path.is_file()
    }
    with open_store("z.vidsal.zip") as packed:
        store = open_store("s.vidsal")
        assert repr(packed) == "Store('z.vidsal.zip', 40 frames, maps 96x54)"
        assert np.array_equal(packed.array("speed"), store.array("speed"))
        assert np.array_equal(packed[33].speed, store[33].speed)
    assert exit_code("render", "z.vidsal.zip", "-o", "p.mkv", "--codec", "ffv1") == 0
    assert_alike(*(iio.imread(path).astype(int) for path in ("o.mkv", "p.mkv")))
    # As for a folder: an earlier one is replaced only if that is wanted, other files never.
    capsys.readouterr()
    with pytest.raises(VidsalError, match=r"z\.vidsal\.zip exists: give another name"):
        vidsal.run(kept, settings_of(keep=Path("z.vidsal.zip"), output=Path("y.mkv")))
    vidsal.run(kept, settings_of(keep=Path("z.vidsal.zip"), duration=0.4, overwrite=True))
    assert len(open_store("z.vidsal.zip")) == 10
    Path("z.vidsal.zip").write_text("mine")
    Path("f.vidsal").write_text("mine")
    Path("s.vidsal").rename("g.vidsal.zip")
    for name in ("z.vidsal.zip", "f.vidsal", "g.vidsal.zip"):
        with pytest.raises(VidsalError, match=f"{name} exists and is no store"):
            vidsal.run(kept, settings_of(keep=Path(name), overwrite=True))
    with pytest.raises(VidsalError, match=r"z\.vidsal\.zip is damaged: it is not a whole zip file"):
        open_store("z.vidsal.zip")


@pytest.mark.parametrize("place", ["gradient/c/0/0/0", "zarr.json", "frame/c/0", "end"])
def test_a_damaged_file_is_one_line(
    place: str, make_clip: MakeClip, brightness: BrightnessStage
) -> None:
    vidsal.run(make_clip(frames=5), settings_of(keep=Path("z.vidsal.zip")))
    data = bytearray(Path("z.vidsal.zip").read_bytes())
    with zipfile.ZipFile("z.vidsal.zip") as file:
        # Behind the header of the member, or in the list of members.
        at = len(data) - 70 if place == "end" else file.getinfo(place).header_offset + 50
    Path("z.vidsal.zip").write_bytes(bytes(data[:at] + bytes(64) + data[at + 64 :]))
    with pytest.raises(VidsalError, match=r"z\.vidsal\.zip is damaged"):
        store = open_store("z.vidsal.zip")
        for name in [*store._group.array_keys()]:
            store.array(name)
    Path("z.vidsal.zip").write_bytes(bytes(data[:at]))
    with pytest.raises(VidsalError, match=r"z\.vidsal\.zip is damaged: it is not a whole zip file"):
        open_store("z.vidsal.zip")


def test_a_photo(brightness: BrightnessStage) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    iio.imwrite("p.png", rgb)
    vidsal.run("p.png", settings_of(output=Path("o.png"), codec=None))
    render_store("s.vidsal", output=Path("q.png"))
    assert_alike(iio.imread("o.png").astype(int), iio.imread("q.png").astype(int))


def test_photos_beside_videos_are_drawn_again(
    make_clip: MakeClip, capsys: pytest.CaptureFixture[str]
) -> None:
    """The options of time are meant for the videos of a folder."""
    rgb = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    Path("in").mkdir()
    iio.imwrite("in/p.png", rgb)
    make_clip(frames=20).rename("in/v.mp4")
    words = ["--start", "0.2", "--duration", "0.2", "--every", "2", "--fps", "25"]
    options = ["--model", "none", "--working-width", "64", "--keep", "stores", "-o", "out"]
    assert exit_code("run", "in", *words, *options) == 0
    assert open_store("stores/p.vidsal").about["settings"].keys() == {"model", "working_width"}
    assert open_store("stores/v.vidsal").settings.duration == 0.2
    for name, suffix in (("p", ".png"), ("v", ".mp4")):
        assert exit_code("render", f"stores/{name}.vidsal", "-o", f"{name}{suffix}") == 0
        one, two = (
            iio.imread(path).astype(int)
            for path in (f"out/{name}_saliency{suffix}", f"{name}{suffix}")
        )
        assert one.shape == two.shape
        assert_alike(one, two)
    capsys.readouterr()
    assert exit_code("render", "stores/p.vidsal", "--duration", "1", "-o", "q.png") == 2
    assert "p.png is a photo, which has no time" in capsys.readouterr().err


@pytest.mark.parametrize("pattern", ["frames/*.png", "*.png", "list.txt", "frames/a*.png"])
def test_a_sequence_of_pictures_is_drawn_again_as_typed(
    pattern: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path() if pattern == "*.png" else Path("frames")
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    names = [folder / f"{'ab'[n > 2]}{n}.png" for n in range(5)]
    for name in names:
        iio.imwrite(name, rng.integers(0, 256, (48, 64, 3), np.uint8))
    # Another picture, of which the pattern knows nothing.
    shutil.copyfile(names[0], folder / "z.jpg")
    Path("list.txt").write_text("\n".join(name.as_posix() for name in names))
    words = ["--sequence", "--model", "none", "--keep", "s.vidsal", "-o", "o.mkv"]
    codec = ["--codec", "ffv1", "--working-width", "64"]
    assert exit_code("run", pattern, *words, *codec) == 0
    # The store may be drawn from any place.
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert exit_code("render", "../s.vidsal", "-o", "p.mkv", "--codec", "ffv1") == 0
    one, two = (iio.imread(path).astype(int) for path in ("../o.mkv", "p.mkv"))
    assert one.shape == two.shape
    assert len(one) == (3 if pattern == "frames/a*.png" else 5)
    assert_alike(one, two)
    Path("..", names[1]).unlink()
    capsys.readouterr()
    assert exit_code("render", "../s.vidsal", "-o", "q.mkv") == 1
    error = capsys.readouterr().err
    assert f"{names[1].name}, of which" in error and "is missing" in error


def test_rendering_reads_no_array_that_it_does_not_use(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, names = Store._read, set()

    def noted(self: Store, name: str, first: int, last: int) -> Any:
        names.add(name)
        return read(self, name, first, last)

    monkeypatch.setattr(Store, "_read", noted)
    render_store("s.vidsal", output=Path("p.mkv"))
    assert {"gradient", "speed", "speed_scale"} <= names
    assert not names & {"fused", "fused_scale", "static_high"}
    frame = next(open_store("s.vidsal").frames(without=("fused", "gradient")))
    assert frame.fused.size == 0 and frame.gradient is None and frame.speed.shape == (54, 96)


def test_a_run_without_a_network(make_clip: MakeClip) -> None:
    clip = make_clip(frames=5)
    vidsal.run(clip, settings_of(model="none"))
    frame = open_store("s.vidsal")[2]
    assert frame.gradient is None and frame.prediction is None
    render_store("s.vidsal", output=Path("n.mkv"), codec="ffv1")
    assert_alike(*(iio.imread(path).astype(int) for path in ("o.mkv", "n.mkv")))


def names_here() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


@pytest.mark.parametrize("predict_every", [0.0, 0.28, 0.5])
def test_the_probabilities_of_all_classes_are_kept(
    make_clip: MakeClip, changing: ChangingStage, predict_every: float
) -> None:
    clip = make_clip(frames=40)
    vidsal.run(clip, settings_of(predict_every=predict_every))
    store = open_store("s.vidsal")
    given = np.stack(changing.given)
    # 25 frames a second: each frame, each seventh, and after each half second.
    starts = {0.0: range(40), 0.28: range(0, 40, 7), 0.5: range(0, 40, 13)}[predict_every]
    assert len(given) == len(starts)
    assert store.array("predicted_s") == pytest.approx(np.array(starts) / 25)
    rows = store.array("prediction_row")
    assert np.array_equal(rows, np.searchsorted([*starts], np.arange(40), side="right") - 1)
    found = store.probabilities(range(len(NAMES)))
    assert found.shape == (40, len(NAMES)) and found.dtype == np.float32
    assert found == pytest.approx(given[rows], rel=2**-11, abs=1e-7)
    # By name, in any order; the five best are as exact as the network gave them.
    assert np.array_equal(store.probabilities(["Zebra", 2]), found[:, [NAMES.index("zebra"), 2]])
    best = store.array("probability")
    assert np.array_equal(best, -np.sort(-given[rows], axis=1)[:, :5])
    # The classes that were best once, by their highest probability.
    top = store.top_classes()
    ranked = np.argsort(-given.max(axis=0))
    assert list(top) == ranked[:6].tolist() and [*top.values()] == [NAMES[n] for n in top]
    assert list(store.top_classes(2)) == ranked[:2].tolist()
    assert np.array_equal(store.probabilities(), found[:, list(top)])


def test_classes_that_a_store_lacks(make_clip: MakeClip, changing: ChangingStage) -> None:
    clip = make_clip(frames=3)
    vidsal.run(clip, settings_of())
    store = open_store("s.vidsal")
    with pytest.raises(UsageError, match=r"'zebrah' is not a class of this .*did you mean 'z"):
        store.probabilities(["zebrah"])
    for wrong in (8, -1, True, 2.5):
        with pytest.raises(UsageError, match=f"a name, or a number from 0 to 7, got {wrong}"):
            store.probabilities([wrong])  # type: ignore[list-item]
    # One class needs no list.
    for one in ("zebra", 5):
        assert np.array_equal(store.probabilities(one), store.probabilities([*np.arange(5, 6)]))
    with pytest.raises(UsageError, match=r"'crane' is the name of several .*: take 3 .* or 4"):
        store.probabilities(["crane"])


def test_a_store_without_a_network_has_no_classes(make_clip: MakeClip) -> None:
    vidsal.run(make_clip(frames=3), settings_of(model="none"))
    nothing = open_store("s.vidsal")
    assert nothing.class_names == () and nothing.top_classes() == {}
    assert nothing.probabilities().shape == (3, 0)
    with pytest.raises(UsageError, match="has no classes: it was made without a network"):
        nothing.probabilities(["zebra"])


def test_names_of_imagenet() -> None:
    names = [one.name for one in imagenet_classes()]
    store = Store(Path("x.vidsal"), SimpleNamespace(attrs={"class_names": names}))
    assert store.class_id("tabby cat") == store.class_id("n02123045") == store.class_id(281) == 281
    with pytest.raises(UsageError, match="the bird"):
        store.class_id("crane")


def test_a_cut_of_the_probabilities_is_noticed(kept: Path) -> None:
    _chunks("class_probability")[0].unlink()
    with pytest.raises(VidsalError, match="damaged: class_probability lacks frames"):
        open_store("s.vidsal")


def exit_code(*words: str) -> Any:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    return ended.value.code


def test_the_command_draws_it_again(
    make_clip: MakeClip, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = make_clip(frames=5)
    words = ["--model", "none", "--keep", "s.vidsal", "-o", "a.mp4"]
    assert exit_code("run", str(clip), *words) == 0
    assert exit_code("render", "s.vidsal", "--style", "contour", "-o", "b.gif") == 0
    assert capsys.readouterr().out.split() == ["a.mp4", "b.gif"]
    assert exit_code("render", "s.vidsal", "-o", "b.gif") == 1
    assert "b.gif exists" in capsys.readouterr().err
    assert exit_code("render", "none.vidsal") == 1
    assert "none.vidsal is not a store" in capsys.readouterr().err


def test_saved_settings_give_the_settings_back() -> None:
    settings = Settings(
        model="lite0", start=1.5, fps=Fraction(30000, 1001), scale="fixed:0,1", static_every="auto",
        labels=Path("names.txt"), output=Path("x.mp4"), table=Path("t.csv"), overwrite=True,
    )  # fmt: skip
    saved = saved_settings(settings)
    again = Settings(**saved)
    assert again == dataclasses.replace(settings, output=None, table=None, overwrite=False)


def test_the_command_has_the_options_that_can_be_redrawn() -> None:
    assert {"layout", "style", "gain", "contrast", "start", "output"} <= {*redrawn_options()}
    assert not {"samples", "model", "every", "keep", "resume", "smooth"} & {*redrawn_options()}
    assert cli._RENDER.keys() == {*redrawn_options()}


def test_an_interrupted_exchange_of_stores_keeps_the_old_one(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def interrupted(self: Path, target: Any) -> Path:
        if str(self).endswith(".part"):
            raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Path, "rename", interrupted)
        vidsal.run(kept, settings_of(overwrite=True, duration=0.4))
    assert len(open_store("s.vidsal")) == 40
