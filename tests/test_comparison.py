"""Stored analyses of one source side by side: the video, its figures, and what is refused."""

from __future__ import annotations

import csv
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import BrightnessStage, MakeClip
from numpy.typing import NDArray

import vidsal
from vidsal.cli import main
from vidsal.commands import stores
from vidsal.comparison import compare_stores
from vidsal.errors import UsageError, VidsalError
from vidsal.saliency.normalization import contrasted, upper_end
from vidsal.settings import Settings
from vidsal.settings.stored import compared_options
from vidsal.store.opening import open_store

zarr = pytest.importorskip("zarr")

SIZE, MAPS, FRAMES = (108, 192), (54, 96), 10
LOSSLESS: dict[str, Any] = {"output": Path("c.mkv"), "codec": "ffv1", "quality": 100}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder beside the clips."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def clip(make_clip: MakeClip) -> Path:
    return make_clip(frames=FRAMES, size=SIZE)


def keep(clip: Path, name: str, **options: Any) -> Path:
    """Analyse a clip, without a network unless one is given, and return its store."""
    given = {"model": "none", "working_width": MAPS[1], "short_side": 64, **options}
    path = Path(f"{name}.vidsal")
    output = Path(f"{name}.png" if clip.suffix == ".png" else f"{name}.mkv")
    vidsal.run(clip, Settings(**given, keep=path, output=output), progress=False)
    return path


def copied(store: Path, name: str) -> Path:
    """Return a copy of a store under another name."""
    return Path(shutil.copytree(store, f"{name}.vidsal"))


def blob(row: float, column: float, size: tuple[int, int] = MAPS) -> NDArray[np.float64]:
    """A Gaussian of 1 at a pixel, with a standard deviation of a 32nd of the width."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    sigma = size[1] / 32
    return np.asarray(np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * sigma**2)))


def paint(store: Path, row: int, column: int) -> None:
    """Replace the fused maps of a store by a blob."""
    group = zarr.open_group(str(store), mode="r+")
    size = group["fused"].shape[1:]
    values: dict[str, Any] = {
        "fused": np.rint(255 * blob(row, column, size)).astype(np.int16),
        "fused_scale": np.float32(1 / 255),
        "peak": np.array([(row + 0.5) / size[0], (column + 0.5) / size[1]], np.float32),
    }
    for name, value in values.items():
        group[name][:] = np.stack([value] * FRAMES)


def panels(picture: NDArray[Any], rows: int = 2, columns: int = 2) -> list[NDArray[Any]]:
    """The panels of a picture without annotation, without the gutters between them."""
    height, width = SIZE
    return [
        picture[r * height + 2 : (r + 1) * height - 2, c * width + 2 : (c + 1) * width - 2]
        for r in range(rows)
        for c in range(columns)
    ]


def test_two_equal_stores_do_not_differ(clip: Path) -> None:
    one = keep(clip, "one")
    copied(one, "two")
    found = compare_stores([one, "two.vidsal"], **LOSSLESS, annotate=False)
    assert found.names == ("one", "two") and found.output == Path("c.mkv")
    (agreement,) = found.agreements
    # The first frame has no motion: its map is flat, and nothing can be said about it.
    assert agreement.undefined == 1 and np.isnan(agreement.cc[0])
    assert agreement.cc[1:] == pytest.approx(np.ones(FRAMES - 1))
    assert agreement.sim[1:] == pytest.approx(np.ones(FRAMES - 1))
    assert np.array_equal(agreement.peak_distance[1:], np.zeros(FRAMES - 1))
    video, source = iio.imread("c.mkv"), iio.imread(clip)
    assert video.shape == (FRAMES, 2 * SIZE[0], 2 * SIZE[1], 3)
    for picture, rgb in zip(video, source, strict=True):
        first, second, plain, difference = panels(picture)
        assert np.array_equal(first, second)
        assert np.abs(plain.astype(int) - rgb[2:-2, 2:-2]).max() <= 2
        # Grey everywhere, and not flat: the dim picture.
        assert np.ptp(difference, axis=-1).max() == 0
        assert difference.std() > 5


def test_a_shifted_blob_is_as_far_away_as_it_was_shifted(clip: Path) -> None:
    one = keep(clip, "one")
    two = copied(one, "two")
    paint(one, 27, 30)
    paint(two, 27, 66)
    (agreement,) = compare_stores([one, two], **LOSSLESS, annotate=False).agreements
    diagonal = math.hypot(*SIZE)
    # 36 pixels of the maps are 72 of the picture.
    assert agreement.peak_distance == pytest.approx(np.full(FRAMES, 72 / diagonal))
    expected = np.corrcoef([blob(27, column).ravel() for column in (30, 66)])[0, 1]
    assert agreement.cc == pytest.approx(np.full(FRAMES, expected), abs=1e-3)
    # They do not overlap.
    assert agreement.sim.max() < 1e-3
    picture = iio.imread("c.mkv")[5].astype(int)
    difference = panels(picture)[3]
    red, _, blue = np.moveaxis(difference, -1, 0)
    # The first is blue where it is higher, the second orange.
    assert np.unravel_index(np.argmax(blue - red), red.shape)[1] == pytest.approx(60, abs=3)
    assert np.unravel_index(np.argmax(red - blue), red.shape)[1] == pytest.approx(132, abs=3)
    assert np.ptp(difference[:, 94:98], axis=-1).max() <= 2


def test_panels_show_the_maps_of_the_run(clip: Path) -> None:
    """Each panel is what vidsal run draws."""
    one, two = keep(clip, "one"), keep(clip, "two", flow="dis", gain=0.5)
    compare_stores([one, two], **LOSSLESS, annotate=False, colormap="turbo")
    video = iio.imread("c.mkv")
    options: dict[str, Any] = {"colormap": "turbo", "annotate": False}
    for n, store in enumerate((one, two)):
        out = vidsal.render_store(store, output=Path(f"r{n}.mkv"), codec="ffv1", **options)
        for picture, alone in zip(video, iio.imread(out), strict=True):
            # Rounding of the stored map may move a level by one, which is up to six in colour.
            assert (np.abs(panels(picture)[n].astype(int) - alone[2:-2, 2:-2]) > 6).mean() < 0.02


def test_maps_of_other_sizes_are_brought_to_the_smaller_one(clip: Path) -> None:
    one, two = keep(clip, "one"), keep(clip, "two", working_width=64)
    paint(one, 20, 40)
    paint(two, 13, 26)
    (agreement,) = compare_stores([one, two], **LOSSLESS).agreements
    assert agreement.first == "working width 96" and agreement.second == "working width 64"
    # Pixels of the two sizes have no common middles: the blobs are up to half a pixel apart.
    assert 0.97 < agreement.mean.cc < 1
    apart = math.hypot(20.5 / 54 - 13.5 / 36, (40.5 / 96 - 26.5 / 64) * 16 / 9) / math.hypot(
        1, 16 / 9
    )
    assert agreement.mean.peak_distance == pytest.approx(apart, rel=1e-3)


def test_speeds_have_one_scale(clip: Path) -> None:
    """A map of twice the speeds is twice as high, whatever scales the analyses had."""
    one = keep(clip, "one")
    two = copied(one, "two")
    group = zarr.open_group(str(two), mode="r+")
    group["speed_scale"][:] = 2 * group["speed_scale"][:]
    group["motion_high"][:] = 2 * group["motion_high"][:]
    found = compare_stores([one, two], map="motion", **LOSSLESS, annotate=False)
    # Twice the map is the same pattern, where it is not clipped.
    assert found.agreements[0].mean.cc > 0.95
    difference = panels(iio.imread("c.mkv")[5].astype(int))[3]
    assert (difference[..., 0] - difference[..., 2]).max() > 80
    # Each analysis on its own scale would show no difference.
    compare_stores([one, two], **LOSSLESS, annotate=False, overwrite=True)
    assert np.ptp(panels(iio.imread("c.mkv")[5])[3], axis=-1).max() == 0


@pytest.mark.parametrize("contrast", [1.0, 3.0])
def test_static_maps_are_those_of_their_analyses(
    clip: Path, brightness: BrightnessStage, contrast: float
) -> None:
    one = keep(clip, "one", model="lite0", contrast=contrast)
    two = keep(clip, "two", model="lite0", contrast=contrast, smooth=0.1)
    found = compare_stores([one, two], map="static", **LOSSLESS)
    assert found.names == ("smooth 0.02", "smooth 0.1")
    shown = []
    for store in map(open_store, (one, two)):
        frame, high = store[7], float(store.array("static_high")[7])
        assert frame.gradient is not None
        values = contrasted(
            frame.gradient / high, contrast, strength=upper_end(frame.gradient) / high
        )
        shown.append(np.minimum(values, 1).ravel())
    assert found.agreements[0].cc[7] == pytest.approx(np.corrcoef(shown)[0, 1], abs=1e-3)


def test_a_part_has_the_figures_of_the_whole(clip: Path) -> None:
    one, two = keep(clip, "one"), keep(clip, "two", flow="dis")
    (whole,) = compare_stores([one, two], **LOSSLESS, annotate=False).agreements
    given = LOSSLESS | {"output": Path("p.mkv")}
    (part,) = compare_stores([one, two], **given, annotate=False, start=0.12, end=0.28).agreements
    assert part.frame.tolist() == [3, 4, 5, 6]
    assert np.array_equal(part.cc, whole.cc[3:7])
    assert np.array_equal(iio.imread("p.mkv"), iio.imread("c.mkv")[3:7])


def test_names_that_are_no_text_are_drawn_and_printed_in_one_line(clip: Path) -> None:
    one, two = keep(clip, "one"), keep(clip, "by\udcff")
    found = compare_stores([one, two], **LOSSLESS, table=Path("t.csv"))
    assert found.names == ("one", "by\udcff")
    assert "one,by\\udcff," in Path("t.csv").read_text(encoding="utf-8")
    assert iio.imread("c.mkv").shape[0] == FRAMES
    given = LOSSLESS | {"output": Path("d.mkv")}
    (line,) = compare_stores([one, two], **given, names=["a\nb", "q\udcff\n"]).lines()
    assert line.startswith("q\udcff and a b: CC")


def test_the_table_has_a_row_for_each_frame_and_pair(clip: Path) -> None:
    stores = [keep(clip, name, flow=name) for name in ("dis", "farneback")]
    stores.append(keep(clip, "still", flow="dis", camera="none"))
    found = compare_stores(stores, **LOSSLESS, table=Path("t.csv"), names=["a", "b", "c, d"])
    rows = list(csv.DictReader(Path("t.csv").read_text().splitlines()))
    assert [*rows[0]] == ["frame", "time_s", "first", "second", "cc", "sim", "peak_distance"]
    assert len(rows) == 2 * FRAMES
    assert [row["second"] for row in rows[:4]] == ["b", "c, d", "b", "c, d"]
    assert (rows[0]["cc"], rows[0]["peak_distance"]) == ("", "")
    last = found.agreements[1]
    assert float(rows[-1]["cc"]) == pytest.approx(last.cc[-1], abs=1e-6)
    assert float(rows[-1]["time_s"]) == pytest.approx((FRAMES - 1) / 25, abs=1e-6)
    compare_stores(stores, output=Path("d.mp4"), table=Path("t.jsonl"))
    lines = [json.loads(line) for line in Path("t.jsonl").read_text().splitlines()]
    assert len(lines) == 2 * FRAMES and lines[0]["cc"] is None
    assert lines[-1]["sim"] == pytest.approx(last.sim[-1], abs=1e-6)


def test_three_stores_show_where_they_disagree(clip: Path) -> None:
    one = keep(clip, "one")
    stores = [one, *(copied(one, name) for name in ("two", "three"))]
    for store, column in zip(stores, (24, 24, 72), strict=True):
        paint(store, 27, column)
    found = compare_stores(stores, **LOSSLESS, annotate=False)
    assert [one.mean.peak_distance > 0 for one in found.agreements] == [False, True]
    *_, disagreement = panels(iio.imread("c.mkv")[5].astype(int))
    warm = disagreement[..., 0] - disagreement[..., 2]
    # Two of three have the first blob, one the second: both differ by one against two.
    assert warm[52, 46] == pytest.approx(warm[52, 142], abs=25)
    assert warm[52, 46] > 100 and np.abs(warm[:, 90:98]).max() <= 2


def test_the_curve_lies_below_the_panels(clip: Path) -> None:
    one, two = keep(clip, "one"), keep(clip, "two", flow="dis")
    compare_stores([one, two], **LOSSLESS)
    video = iio.imread("c.mkv")
    assert video.shape[1] > 2 * SIZE[0] and video.shape[1] % 2 == 0
    strips = video[:, 2 * SIZE[0] :].astype(int)
    cursors = [int(np.argmax((strip.min(axis=-1) > 200).sum(axis=0))) for strip in strips]
    steps = np.diff(cursors)
    assert (steps > 0).all() and np.ptp(steps) <= 1


def test_photos(here: Path, brightness: BrightnessStage) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    iio.imwrite("p.png", rgb)
    one = keep(Path("p.png"), "one", model="lite0")
    two = keep(Path("p.png"), "two", model="lite0", contrast=1.0)
    found = compare_stores([one, two])
    assert found.output == Path("p_comparison.png")
    # One picture has no curve.
    assert iio.imread("p_comparison.png").shape == (2 * SIZE[0], 2 * SIZE[1], 3)
    assert str(found).startswith("contrast 1 and contrast 3.5: CC 0.")
    assert "least alike" not in str(found)
    with pytest.raises(UsageError, match="a photo, which has no time"):
        compare_stores([one, two], output=Path("q.png"), start=0.0, end=1.0)


def test_no_tensorflow_is_loaded(clip: Path) -> None:
    keep(clip, "one")
    code = (
        "import sys, vidsal; from pathlib import Path\n"
        "vidsal.compare_stores(['one.vidsal'] * 2, output=Path('n.mkv'), progress=False)\n"
        "print({'tensorflow', 'keras'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_other_sources_and_other_frames_are_refused(clip: Path, make_clip: MakeClip) -> None:
    one = keep(clip, "one")
    two = keep(make_clip("other.mp4", frames=FRAMES, size=SIZE, picture="testsrc"), "two")
    with pytest.raises(VidsalError, match=r"two\.vidsal was made of .*other\.mp4, one\.vidsal of"):
        compare_stores([one, two], **LOSSLESS)
    part = keep(clip, "part", start=0.2)
    with pytest.raises(VidsalError, match=r"part\.vidsal has 5 frames from 0\.2 to 0\.36 s, one"):
        compare_stores([one, part], **LOSSLESS)
    third = keep(clip, "third", every=3)
    with pytest.raises(VidsalError, match=r"4 frames from 0 to 0\.36 s, one\.vidsal has 10 f"):
        compare_stores([one, third], **LOSSLESS)
    with pytest.raises(VidsalError, match=r"one\.vidsal has no static map"):
        compare_stores([one, one], map="static", **LOSSLESS)
    assert not Path("c.mkv").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": ["a"]}, r"names= must be 2 different names, one for each store, got 'a'$"),
        ({"names": ["a", " a"]}, "must be 2 different names"),
        ({"names": "a,"}, "must be 2 different names"),
        ({"map": "fuesd"}, "map= must be one of fused, static, motion, got 'fuesd'; did you mean"),
        ({"layout": "quad"}, "layout= is not an option of a comparison"),
        ({"gain": 1.0}, "gain= is not an option of a comparison"),
        ({"nothing": 1}, "nothing= is not an option$"),
        ({"table": Path("t.txt")}, r"a table is written as \.csv or \.jsonl"),
        ({"table": Path("c.mkv")}, "both name c.mkv"),
        ({"output": Path("one.vidsal/c.mkv")}, r"lies in the store one\.vidsal"),
        ({"start": 9.0}, "holds 0 to 0.36 s of its source"),
        ({"start": 0.21, "end": 0.22}, "has no frame from 0.21 to 0.22 s"),
    ],
)  # fmt: skip
def test_wrong_options_are_one_line(clip: Path, options: dict[str, Any], message: str) -> None:
    one = keep(clip, "one")
    with pytest.raises(UsageError, match=message):
        compare_stores([one, one], **LOSSLESS | options)
    assert sorted(path.name for path in Path().iterdir()) == ["one.mkv", "one.vidsal"]


@pytest.mark.parametrize("stores", [[], ["a.vidsal"], "a.vidsal", ["a.vidsal"] * 7])
def test_the_number_of_stores(stores: Any) -> None:
    count = 1 if isinstance(stores, str) else len(stores)
    with pytest.raises(UsageError, match=f"a comparison needs 2 to 6 stores, got {count}"):
        compare_stores(stores)


def test_nothing_is_left_of_a_comparison_that_fails(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, drawn = keep(clip, "one"), []

    def failing(self: Any, compared: Any) -> Any:
        drawn.append(compared)
        if len(drawn) == 5:
            raise KeyboardInterrupt
        return np.zeros((64, 64, 3), np.uint8)

    monkeypatch.setattr("vidsal.comparison.ComparisonPicture.draw", failing)
    with pytest.raises(KeyboardInterrupt):
        compare_stores([one, one], **LOSSLESS, table=Path("t.csv"))
    assert sorted(path.name for path in Path().iterdir()) == ["one.mkv", "one.vidsal"]


def test_pictures_are_decoded_once(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vidsal.sources.video import VideoSource

    one, frames, decoded = keep(clip, "one"), VideoSource.frames, []

    def counted(self: Any) -> Any:
        for frame in frames(self):
            decoded.append(frame.index)
            yield frame

    monkeypatch.setattr(VideoSource, "frames", counted)
    compare_stores([one] * 4, **LOSSLESS)
    assert decoded == list(range(FRAMES))


def exit_code(*words: str) -> Any:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    return ended.value.code


def test_the_command(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep(clip, "one"), keep(clip, "two", flow="dis")
    words = ["compare", "one.vidsal", "two.vidsal", "--names", "A,B", "-o", "c.gif"]
    assert exit_code(*words, "--table", "t.jsonl", "--start", "0.04") == 0
    out, err = capsys.readouterr()
    assert out == "c.gif\n"
    assert err.startswith("vidsal: B and A: CC 0.") and "least alike at 0:00." in err
    assert exit_code(*words) == 1
    assert "c.gif exists: give another name, or --overwrite" in capsys.readouterr().err
    assert exit_code("compare", "one.vidsal") == 2
    assert "a comparison needs 2 to 6 stores, got 1" in capsys.readouterr().err
    assert exit_code("compare", "one.vidsal", "none.vidsal") == 1
    assert "none.vidsal is not a store" in capsys.readouterr().err


def test_the_command_has_the_options_of_a_comparison() -> None:
    assert {"output", "overwrite", "start", "end", "style", "colormap", "width"} <= {
        *compared_options()
    }
    assert not {"layout", "gain", "fusion", "contrast", "maps", "boxes"} & {*compared_options()}
    assert {"output", "table", *stores._COMPARE} == {*compared_options()}
