"""Pictures that are drawn of a stored analysis again."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import cv2
import imageio.v3 as iio
import numpy as np
import pytest
from conftest import BrightnessStage, MakeClip
from store_help import assert_alike, exit_code, names_here, settings_of

import vidsal
from vidsal.analyser import source_opener
from vidsal.commands import stores
from vidsal.errors import UsageError, VidsalError
from vidsal.rendering import render_store, results_of
from vidsal.settings import Layout, Settings, View
from vidsal.settings.stored import redrawn_options
from vidsal.store.opening import open_store
from vidsal.store.reader import Store
from vidsal.store.schema import levels_of, values_of

zarr = pytest.importorskip("zarr")

pytestmark = pytest.mark.usefixtures("here")


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


def test_the_command_has_the_options_that_can_be_redrawn() -> None:
    assert {"layout", "style", "gain", "contrast", "start", "output"} <= {*redrawn_options()}
    assert not {"samples", "model", "every", "keep", "resume", "smooth"} & {*redrawn_options()}
    assert stores._RENDER.keys() == {*redrawn_options()}
