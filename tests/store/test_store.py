"""Stores: what they hold, their names, classes, and faults."""

from __future__ import annotations

import dataclasses
import json
import shutil
import zipfile
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import BrightnessStage, MakeClip
from store_help import assert_alike, exit_code, names_here, settings_of, store_of

import vidsal
from vidsal.errors import UsageError, VidsalError
from vidsal.render.draw import draw_saliency
from vidsal.rendering import render_store
from vidsal.settings import Settings
from vidsal.sinks.kept import saved_settings
from vidsal.static import models
from vidsal.static.labels import imagenet_classes
from vidsal.store.opening import open_store
from vidsal.store.reader import Store
from vidsal.types import Map, Rgb

zarr = pytest.importorskip("zarr")

pytestmark = pytest.mark.usefixtures("here")


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


@pytest.mark.parametrize("command", ["render", "crop", "report", "export", "compare"])
def test_help_names_both_kinds_of_stores(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(command, "--help") == 0
    plural = "s" if command == "compare" else ""
    words = f"(folder{plural} or zip file{plural}) that vidsal run --keep wrote"
    assert words in " ".join(capsys.readouterr().out.replace("│", " ").split())


def test_nothing_is_left_of_a_run_that_fails(
    make_clip: MakeClip, brightness: BrightnessStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, drawn = make_clip(frames=40), []

    def failing(saliency: Any, style: Any) -> Any:
        # The first chunk is written by then.
        if saliency.frame.index == 35:
            raise RuntimeError
        drawn.append(saliency)
        return draw_saliency(saliency, style)

    monkeypatch.setattr("vidsal.analyser.draw_saliency", failing)
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


def test_saved_settings_give_the_settings_back() -> None:
    settings = Settings(
        model="lite0", start=1.5, fps=Fraction(30000, 1001), scale="fixed:0,1", static_every="auto",
        labels=Path("names.txt"), output=Path("x.mp4"), table=Path("t.csv"), overwrite=True,
    )  # fmt: skip
    saved = saved_settings(settings)
    again = Settings(**saved)
    assert again == dataclasses.replace(settings, output=None, table=None, overwrite=False)


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
