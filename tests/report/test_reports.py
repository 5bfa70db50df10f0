"""The page of a stored analysis: its numbers, its pictures, and what it refuses."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import html
import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import imageio.v3 as iio
import numpy as np
import pytest
from report_help import FPS, SCENE, data_of, keep, make_film

import vidsal
from vidsal.cli import main
from vidsal.errors import UsageError, VidsalError
from vidsal.media import probe
from vidsal.report import reports
from vidsal.report.paths import pages_of
from vidsal.report.pictures import strip_of
from vidsal.report.summary import summary_of
from vidsal.runtime.atomic_write import beside
from vidsal.store.opening import open_store
from vidsal.store.reader import Store

pytest.importorskip("zarr")
# File names hold no slash.
NAME = "a <script>alert('x')<script> & \"ü\" 東京.mp4"
FRAMES = 2 * SCENE


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_film(tmp_path_factory.mktemp("film") / NAME)


@pytest.fixture(scope="module")
def store(film: Path) -> Store:
    return open_store(keep(film, film.parent))


@pytest.fixture(scope="module")
def page(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return vidsal.report_store(store.path, tmp_path_factory.mktemp("page") / "report.html")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def video_in(page: Path) -> bytes:
    """Return the embedded video."""
    found = re.search(r'id="film">(.*?)</script>', page.read_text(encoding="utf-8"))
    assert found is not None
    return base64.b64decode(found[1])


def picture_of(url: str) -> Any:
    head, _, data = url.partition(",")
    assert head == "data:image/jpeg;base64"
    return iio.imread(io.BytesIO(base64.b64decode(data))).astype(int)


def test_the_numbers_are_those_of_the_store(page: Path, store: Store) -> None:
    data = data_of(page)
    assert data["frame"] == store.array("frame").tolist()
    assert data["time_s"] == pytest.approx(store.array("time_s"))
    assert data["end_s"] == pytest.approx(2 * SCENE / FPS)
    frames = list(store)
    moving = [n for n in range(FRAMES) if n not in (0, SCENE)]
    curves = {name: np.array(values, float) for name, values in data["curves"].items()}
    for name in ("speed_p99", "moving_share"):
        assert np.flatnonzero(np.isnan(curves[name])).tolist() == [0, SCENE]
    expected = [np.percentile(frames[n].speed, 99) for n in moving]
    assert curves["speed_p99"][moving] == pytest.approx(expected, rel=1e-4)
    expected = [(frames[n].speed > 0.03).mean() for n in moving]
    assert curves["moving_share"][moving] == pytest.approx(expected, rel=1e-4)
    fused = np.sort(frames[12].fused, axis=None).astype(float)
    ranks = np.arange(1, fused.size + 1)
    by_definition = (2 * ranks - fused.size - 1) @ fused / (fused.size * fused.sum())
    assert curves["concentration"][12] == pytest.approx(by_definition, rel=1e-4)
    chosen = store.top_classes(5)
    assert [one["name"] for one in data["classes"]] == list(chosen.values())
    for one, values in zip(data["classes"], store.probabilities(list(chosen)).T, strict=True):
        assert one["probability"] == pytest.approx(values, rel=1e-4)
    assert [one["begin_s"] for one in data["scenes"]] == pytest.approx([0, SCENE / FPS])
    assert data["moments"] and data["has_frames"]


def test_the_video_is_that_of_the_source_with_its_heat(page: Path, store: Store) -> None:
    Path("v.mp4").write_bytes(video_in(page))
    picture = probe.inspect("v.mp4").picture
    assert picture is not None
    assert (picture.frames, picture.upright_px, float(picture.rate)) == (FRAMES, (108, 192), FPS)
    assert data_of(page)["film"] == {"url": "", "shift_s": 0}
    video = iio.imread("v.mp4").astype(int)
    run = vidsal.render_store(store.path, output=Path("r.mkv"), codec="ffv1", annotate=False)
    error = np.abs(video - iio.imread(run).astype(int)).mean()
    # Without heat it would be another one.
    source = iio.imread(store.about["source"]["name"]).astype(int)
    assert error < 7 < 14 < np.abs(video - source).mean()


def test_pictures_of_scenes_and_moments(page: Path, store: Store) -> None:
    data = data_of(page)
    video = iio.imread(io.BytesIO(video_in(page)), extension=".mp4").astype(int)
    assert {one["scene"] for one in data["strip"]} == {1, 2}
    ends = [one["end_s"] for one in data["strip"]]
    assert [one["begin_s"] for one in data["strip"]] == pytest.approx([0, *ends[:-1]])
    places = [one["place"] for one in data["strip"]]
    for cell, begin, end in zip(data["strip"], [0, *ends], ends, strict=False):
        assert begin <= data["time_s"][cell["place"]] < end
        assert np.abs(picture_of(cell["picture"]) - video[cell["place"]]).mean() < 10
    assert places == sorted(places) and len(places) == 12
    assert {one["place"] for one in data["moments"]} == {int(one) for one in data["stills"]}
    for place, url in data["stills"].items():
        assert np.abs(picture_of(url) - video[int(place)]).mean() < 10


def test_names_cannot_become_markup(page: Path, store: Store) -> None:
    text = page.read_text(encoding="utf-8")
    assert "<script>alert" not in text and "<b>dark</b>" not in text
    name = Path(store.about["source"]["name"]).name
    assert f"<h1>{html.escape(name)}</h1>" in text
    data = data_of(page)
    assert data["name"] == name
    assert "<b>dark</b>" in [one["name"] for one in data["classes"]]
    # Folders are of no concern to those who see the page.
    assert str(store.path.parent) not in text
    # Only the parts of the page may run, and nothing may be fetched.
    policy = html.unescape(re.search(r'Security-Policy" content="(.*?)"', text)[1])  # type: ignore[index]
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in scripts]
    assert policy.startswith("default-src 'none'; script-src " + " ".join(
        f"'sha256-{one}'" for one in hashes
    ) + ";")  # fmt: skip
    assert len(hashes) == 2 and "https:" not in policy
    assert not re.findall(r'(?:src|href)="(?!data:)', text)


def test_folders_in_options_are_not_shown(film: Path, tmp_path: Path) -> None:
    labels = tmp_path / "secret" / "names.txt"
    labels.parent.mkdir()
    labels.write_text("one\ntwo\n")
    store = keep(film, tmp_path, labels=labels, duration=0.2, gain=2.0)
    page = vidsal.report_store(store)
    settings = dict(data_of(page)["settings"])
    assert settings["--labels"] == "names.txt" and settings["--gain"] == "2.0"
    assert settings["--model"] == "lite0"
    assert "secret" not in page.read_text(encoding="utf-8")
    assert page.name == f"{store.stem}_report.html"


def test_a_video_that_is_too_large_lies_beside_the_page(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(reports, "_LARGEST_EMBEDDED", 1000)
    page = vidsal.report_store(store.path, "a b.html")
    assert data_of(page)["film"]["url"] == "a%20b_video.mp4"
    assert probe.inspect("a b_video.mp4").picture.frames == FRAMES  # type: ignore[union-attr]
    assert "it is written beside the report, as a b_video.mp4" in caplog.text
    assert sorted(path.name for path in Path().iterdir()) == ["a b.html", "a b_video.mp4"]


def test_no_embed(store: Store) -> None:
    page = vidsal.report_store(store.path, "r.html", embed=False)
    assert video_in(page) == b"" and Path("r_video.mp4").stat().st_size > 1000
    Path("r.html").unlink()
    with pytest.raises(VidsalError, match=r"r_video\.mp4 exists"):
        vidsal.report_store(store.path, "r.html", embed=False)
    assert not Path("r.html").exists()


def test_an_embedded_video_needs_no_name_of_its_own(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("r_video.mp4").write_text("mine")
    page = vidsal.report_store(store.path, "r.html")
    assert data_of(page)["film"]["url"] == "" and len(video_in(page)) > 1000
    # One that is too large takes a free name, so that no work is lost.
    monkeypatch.setattr(reports, "_LARGEST_EMBEDDED", 1000)
    page.unlink()
    page = vidsal.report_store(store.path, "r.html")
    assert data_of(page)["film"]["url"] == "r_video_002.mp4"
    assert probe.inspect("r_video_002.mp4").picture.frames == FRAMES  # type: ignore[union-attr]
    assert Path("r_video.mp4").read_text() == "mine"


@pytest.mark.parametrize("is_moved", [False, True])
def test_a_report_never_replaces_its_source(film: Path, tmp_path: Path, is_moved: bool) -> None:
    source = tmp_path / "clip_video.mp4"
    shutil.copy(film, source)
    path = keep(source, tmp_path, model="none", duration=0.2)
    given: dict[str, Any] = {"embed": False, "overwrite": True}
    if is_moved:
        (tmp_path / "new").mkdir()
        source = source.rename(tmp_path / "new" / source.name)
        given["source"] = source
    page = source.with_name("clip.html")
    with pytest.raises(VidsalError, match=r"clip_video\.mp4 is the source itself: give another"):
        vidsal.report_store(path, page, **given)
    assert source.read_bytes() == film.read_bytes() and not page.exists()
    # Its video in the page has no name.
    assert video_in(vidsal.report_store(path, page, **given | {"embed": True}))
    assert source.read_bytes() == film.read_bytes()


def test_a_page_never_replaces_a_picture_of_its_source(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    iio.imwrite(tmp_path / "p.png", rgb)
    path = keep(tmp_path / "p.png", tmp_path, model="none")
    (tmp_path / "page.html").symlink_to(tmp_path / "p.png")
    with pytest.raises(VidsalError, match=r"p\.png is the source itself"):
        vidsal.report_store(path, tmp_path / "page.html", overwrite=True)
    assert np.array_equal(iio.imread(tmp_path / "p.png"), rgb)


def test_a_linked_video(store: Store, film: Path) -> None:
    heat = next(film.parent.glob("*_heat.mp4"))
    Path("pages").mkdir()
    shutil.copy(heat, "ü #1.mp4")
    page = vidsal.report_store(store.path, "pages/r.html", video="ü #1.mp4")
    assert data_of(page)["film"] == {"url": "../%C3%BC%20%231.mp4", "shift_s": 0}
    assert video_in(page) == b"" and [one.name for one in Path("pages").iterdir()] == ["r.html"]


def test_the_video_of_a_part_begins_with_it(film: Path, tmp_path: Path) -> None:
    store = keep(film, tmp_path, start=0.8, duration=0.8, model="none")
    assert data_of(vidsal.report_store(store))["film"]["shift_s"] == -0.8
    heat = next(tmp_path.glob("*_heat.mp4"))
    page = vidsal.report_store(store, "b.html", video=heat)
    assert data_of(page)["film"]["shift_s"] == pytest.approx(-0.8)
    # The source itself has its own time.
    page = vidsal.report_store(store, "c.html", video=film)
    assert data_of(page)["film"]["shift_s"] == pytest.approx(0)


def test_a_linked_video_has_to_fit(store: Store, make_clip: Any) -> None:
    short = make_clip(frames=10)
    with pytest.raises(VidsalError, match=r"lasts 0\.4 s, and 2\.4 s were analysed"):
        vidsal.report_store(store.path, "r.html", video=short)
    with pytest.raises(VidsalError, match="there is no such file"):
        vidsal.report_store(store.path, "r.html", video="none.mp4")
    assert list(Path().iterdir()) == []


def test_without_its_source_a_page_shows_the_maps(
    film: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    moved = tmp_path / "moved.mp4"
    shutil.copy(film, moved)
    path = keep(moved, tmp_path)
    moved.rename(tmp_path / "elsewhere.mp4")
    page = vidsal.report_store(path)
    assert "source=; the report shows the maps alone" in caplog.text
    data = data_of(page)
    assert data["film"] is None and "maps alone" in data["notes"][0]
    store = open_store(path)
    cell = data["strip"][4]
    grey = picture_of(cell["picture"]).mean(axis=-1)
    fused = store[cell["place"]].fused
    small = grey[::2, ::2][: fused.shape[0], : fused.shape[1]]
    assert np.corrcoef(small.ravel(), fused[: small.shape[0], : small.shape[1]].ravel())[0, 1] > 0.9
    again = vidsal.report_store(path, "b.html", source=tmp_path / "elsewhere.mp4")
    assert data_of(again)["film"] and not data_of(again)["notes"]
    with pytest.raises(VidsalError, match="is not the source"):
        vidsal.report_store(path, "c.html", source=next(tmp_path.glob("*_heat.mp4")))
    assert not Path("c.html").exists()


def test_a_photo_has_its_picture_and_no_time(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    iio.imwrite(tmp_path / "p.png", rgb)
    page = vidsal.report_store(keep(tmp_path / "p.png", tmp_path))
    data = data_of(page)
    assert data["is_photo"] and data["film"] is None
    assert data["scenes"] == data["moments"] == data["strip"] == []
    assert data["curves"]["speed_p99"] == [None]
    assert picture_of(data["stills"]["0"]).shape == (48, 64, 3)
    with pytest.raises(UsageError, match=r"p\.png is a photo"):
        vidsal.report_store(tmp_path / "p.vidsal", "b.html", video="v.mp4")
    assert [path.name for path in Path().iterdir()] == ["p_report.html"]


def test_without_a_network_there_are_no_classes(film: Path, tmp_path: Path) -> None:
    data = data_of(vidsal.report_store(keep(film, tmp_path, model="none")))
    assert data["classes"] == []
    assert dict(data["facts"])["network"] == "motion only, no network"
    assert all(one["class_name"] == "" for one in data["scenes"])


def test_a_single_frame(film: Path, tmp_path: Path) -> None:
    data = data_of(vidsal.report_store(keep(film, tmp_path, duration=0.03)))
    assert dict(data["facts"])["frames"] == "1 frame at 25 fps"
    assert dict(data["facts"])["duration"] == "0.04 s"
    assert len(data["scenes"]) == len(data["strip"]) == 1 and data["moments"] == []
    assert data["curves"]["speed_p99"] == [None] and data["curves"]["concentration"][0] > 0


@pytest.mark.skipif(sys.platform != "linux", reason="names there are text")
def test_a_name_of_bytes_that_are_no_text(film: Path, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9.mp4")
    shutil.copy(film, odd)
    keep(odd, tmp_path, model="none", duration=0.2, keep=tmp_path / "s.vidsal")
    data = data_of(vidsal.report_store(tmp_path / "s.vidsal", "r.html", video=odd))
    assert data["name"] == "caf\ufffd.mp4"
    assert data["film"]["url"].endswith("caf%E9.mp4")


def test_an_index_leads_to_the_reports(
    film: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stores = tmp_path / "stores"
    (stores / "day <1>").mkdir(parents=True)
    one = keep(film, stores, model="none", duration=0.4)
    shutil.copytree(one, stores / "day <1>" / "b.vidsal")
    with pytest.raises(UsageError, match="video= is for one store"):
        vidsal.report_store(stores, video="x.mp4")
    index = vidsal.report_store(stores, "site/index.html")
    text = index.read_text(encoding="utf-8")
    links = [html.unescape(one) for one in re.findall(r'<a href="(.*?)">', text)]
    assert len(links) == 2 and "day%20%3C1%3E/b_report.html" in links
    for link in links:
        assert data_of(index.parent / unquote(link))["name"] == film.name
    assert '<span class="dim">day &lt;1&gt;/b</span>' in text and "<script" not in text
    assert text.count("data:image/jpeg") == 2
    # One that cannot be read costs itself alone.
    (stores / "day <1>" / "b.vidsal" / "speed" / "zarr.json").unlink()
    (stores / "day <1>" / "b.vidsal" / "zarr.json").write_text("{")
    with pytest.raises(VidsalError, match=r"1 of 2 stores in .* have no report"):
        vidsal.report_store(stores, "other/index.html")
    assert "b.vidsal is damaged" in caplog.text
    assert Path("other/index.html").read_text(encoding="utf-8").count("<a href") == 1


def card_texts(index: Path) -> list[list[str]]:
    """Return the texts of each card: source, store, what differs, facts."""
    cards = re.findall(r"<li>.*?</li>", index.read_text(encoding="utf-8"), re.DOTALL)
    return [
        [html.unescape(one) for one in re.findall(r"<(?:strong|span.*?)>(.*?)</", card)]
        for card in cards
    ]


def test_stores_of_one_name_have_pages_of_their_own(film: Path, tmp_path: Path) -> None:
    stores = tmp_path / "stores"
    for name, length in (("one.vidsal", 0.2), ("one.vidsal.zip", 0.4), ("one_002.vidsal", 0.6)):
        keep(film, tmp_path, model="none", duration=length, keep=stores / name, overwrite=True)
    index = vidsal.report_store(stores, embed=False)
    links = re.findall(r'<a href="(.*?)">', index.read_text(encoding="utf-8"))
    assert [len(data_of(stores / one)["frame"]) for one in links] == [5, 10, 15]
    assert len({data_of(stores / one)["film"]["url"] for one in links}) == 3
    assert [one[1] for one in card_texts(index)] == ["one.vidsal", "one.vidsal.zip", "one_002"]


def test_no_page_is_the_index_or_differs_in_case_alone(tmp_path: Path) -> None:
    stores = [tmp_path / f"{name}.vidsal" for name in ("A", "a", "b", 300 * "l", 300 * "l" + "m")]
    found = pages_of(stores, tmp_path, Path("site/b_report.html"))
    assert [one.name for one in found.values()][:3] == [
        "A_report.html", "a_002_report.html", "b_002_report.html"
    ]  # fmt: skip
    videos = {beside(one, "_video.mp4").name.casefold() for one in found.values()}
    assert len(videos) == 5 and max(map(len, videos)) <= 240


def test_cards_tell_analyses_of_one_clip_apart(film: Path, tmp_path: Path) -> None:
    stores = tmp_path / "stores"
    given: dict[str, Any] = {"model": "none", "duration": 0.2, "overwrite": True}
    for name, flow in (("a", "farneback"), ("b", "dis"), ("c", "dis")):
        keep(film, tmp_path, keep=stores / f"{name}.vidsal", flow=flow, **given)
    iio.imwrite(tmp_path / "d.png", np.zeros((48, 64, 3), np.uint8))
    keep(tmp_path / "d.png", stores, model="none")
    texts = card_texts(vidsal.report_store(stores))
    assert [one[:3] for one in texts] == [
        [film.name, "a", "flow farneback"], [film.name, "b", "flow dis"],
        [film.name, "c", "flow dis"], ["d.png", "d", ""],
    ]  # fmt: skip


def test_faults_leave_nothing(store: Store, here: Path) -> None:
    with pytest.raises(VidsalError, match=r"none\.vidsal is not a store"):
        vidsal.report_store("none.vidsal")
    (here.parent / "empty").mkdir()
    with pytest.raises(VidsalError, match="empty has no stores"):
        vidsal.report_store(here.parent / "empty")
    with pytest.raises(UsageError, match=r"r\.pdf'?: a report is written as \.html"):
        vidsal.report_store(store.path, "r.pdf")
    with pytest.raises(UsageError, match="lies in the store"):
        vidsal.report_store(store.path, store.path / "r.html")
    assert list(here.iterdir()) == []
    Path("r.html").write_text("mine")
    with pytest.raises(VidsalError, match=r"r\.html exists"):
        vidsal.report_store(store.path, "r.html")
    assert Path("r.html").read_text() == "mine"


def test_nothing_is_left_of_an_interrupted_report(
    store: Store, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(items: Any, _: Any) -> Any:
        for n, item in enumerate(items):
            if n == 20:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        vidsal.report_store(store.path, "r.html", progress=interrupted)
    assert list(here.iterdir()) == []


def test_a_long_film_has_as_many_pictures_as_can_be_seen(store: Store) -> None:
    summary = summary_of(store)
    scenes = tuple(
        dataclasses.replace(
            summary.scenes[0], number=n + 1, first=n % 58, stop=n % 58 + 2,
            begin_s=n * 0.01, end_s=(n + 1) * 0.01 + (n % 2) * 0.001,
        )
        for n in range(400)
    )  # fmt: skip
    strip = strip_of(dataclasses.replace(summary, scenes=scenes, end_s=4.0))
    assert len(strip) == 400
    pictured = [cell.scene for cell in strip if cell.still]
    assert len(pictured) == 150 and all(number % 2 == 0 for number in pictured)


def test_the_command_loads_no_tensorflow(store: Store) -> None:
    code = (
        "import sys; from vidsal.cli import main\n"
        f"try: main(['report', {str(store.path)!r}, '-o', 'r.html'])\n"
        "except SystemExit as e: print(e.code, {'tensorflow', 'keras'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["r.html", "0 set()"]


def test_the_command_refuses_in_one_line(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["report", str(store.path), "-o", "r.txt"])
    assert ended.value.code == 2
    assert "--output r.txt: a report is written as .html" in capsys.readouterr().err
