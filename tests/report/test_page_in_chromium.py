"""Reports in a browser: seeking, curves, keys, and no request to anywhere.

Chromium is found on PATH, or by the environment variable CHROMIUM. Builds without H.264 get the
same video as VP9.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import load_script, run_ffmpeg
from report_help import FPS, SCENE, data_of, keep, make_film

import vidsal
from vidsal.store.opening import open_store
from vidsal.store.reader import Store

pytest.importorskip("zarr")
# Windows has no such pipe.
pytest.importorskip("fcntl")
from chromium_help import Page, chromium

BROWSER = load_script("play_in_chromium").find_browser()
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="Chromium was not found: set CHROMIUM to its path"),
]
VIDEO = "document.querySelector('video')"
FRAME_S = 1 / FPS
KINDS = ("speed_p99", "moving_share", "camera_speed", "concentration")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("film")


@pytest.fixture(scope="module")
def store(folder: Path) -> Store:
    return open_store(keep(make_film(folder / "a <b>film.mp4"), folder))


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    assert BROWSER is not None
    with chromium(BROWSER) as lent:
        yield lent


@pytest.fixture(scope="module")
def report(store: Store, folder: Path, page: Page) -> Path:
    """A report whose video this browser can play."""
    path = vidsal.report_store(store.path, folder / "report.html")
    page.open(path)
    page.wait(f"{VIDEO}.readyState >= 2 || {VIDEO}.error !== null")
    if page.value(f"{VIDEO}.error === null"):
        return path
    webm = folder / "film.webm"
    run_ffmpeg(
        "-i", str(next(folder.glob("*_heat.mp4"))), "-c:v", "libvpx-vp9", "-b:v", "1M", str(webm)
    )
    return vidsal.report_store(store.path, folder / "vp9.html", video=webm)


@pytest.fixture
def opened(report: Path, page: Page) -> Page:
    page.open(report)
    page.wait(f"{VIDEO}.readyState >= 2")
    return page


def time_of(page: Page) -> float:
    """Return the time of the video, once a seek has ended."""
    page.wait(f"!{VIDEO}.seeking")
    return float(page.value(f"{VIDEO}.currentTime"))


def clock_of(page: Page) -> str:
    return str(page.value("document.getElementById('clock').textContent"))


def test_a_click_on_a_curve_shows_its_time(opened: Page) -> None:
    plots = "document.querySelectorAll('.u-over')"
    assert opened.value(f"{plots}.length") == 5
    for number, share in ((0, 0.25), (4, 0.75)):
        opened.click(f"{plots}[{number}]", x=share)
        assert time_of(opened) == pytest.approx(share * 2 * SCENE * FRAME_S, abs=FRAME_S)
    assert clock_of(opened).startswith("0:01.8")


def test_the_curves_are_drawn_and_follow_the_video(opened: Page, report: Path) -> None:
    # Pixels of each canvas that are not empty: more than the axes alone would have.
    drawn = opened.value(
        "[...document.querySelectorAll('.uplot canvas')].map(c => c.getContext('2d')"
        ".getImageData(0, 0, c.width, c.height).data.filter((v, n) => n % 4 == 3 && v).length)"
    )
    assert len(drawn) == 5 and min(drawn) > 5000
    heads = "[...document.querySelectorAll('.playhead')].map(e => parseFloat(e.style.left))"
    assert opened.value(heads) == [0] * 6
    opened.value(f"{VIDEO}.currentTime = 1.22")
    assert time_of(opened) == pytest.approx(1.22)
    opened.wait(f"{heads}.every(left => Math.abs(left - 50) < 2)")
    shown = "document.querySelector('#values dd').textContent"
    number = int(opened.value("document.getElementById('frame').textContent").split()[1])
    opened.press("ArrowRight")
    assert opened.value(shown) == f"{data_of(report)['curves']['speed_p99'][number + 1]:.3f}"


@pytest.mark.parametrize(
    ("kind", "values", "labels"),
    [
        # The noise of a still camera stays at the bottom.
        ("camera_speed", [0.00006, 0.00012], {"0", "0.05"}),
        ("speed_p99", [0.0, 0.1157], {"0", "0.06"}),
        ("speed_p99", [0.0, 3.21], {"0", "2"}),
    ],
)
def test_numbers_on_an_axis_are_short(
    page: Page, report: Path, kind: str, values: list[float], labels: set[str]
) -> None:
    data = data_of(report)
    data["curves"] = {kind: (values * len(data["frame"]))[: len(data["frame"])]}
    data["curves"] |= {one: [None] * len(data["frame"]) for one in KINDS if one != kind}
    data["classes"] = []
    text = report.read_text(encoding="utf-8")
    found = re.search(r'id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    changed = report.with_name(f"axis_{kind}.html")
    new = json.dumps(data).replace("<", "\\u003c")
    changed.write_text(text[: found.start(1)] + new + text[found.end(1) :], encoding="utf-8")
    # A canvas has no text that could be read; before the page runs, its function is replaced.
    added = page.call("Page.addScriptToEvaluateOnNewDocument", source=(
        "window.drawn = []; const fill = CanvasRenderingContext2D.prototype.fillText;"
        "CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {"
        " window.drawn.push(String(text)); return fill.call(this, text, ...rest); };"
    ))  # fmt: skip
    try:
        page.open(changed)
        page.wait("window.drawn.length > 2")
        drawn = page.value("window.drawn")
    finally:
        page.call("Page.removeScriptToEvaluateOnNewDocument", identifier=added["identifier"])
    # Times have colons.
    assert {one for one in drawn if ":" not in one} == labels


def test_a_click_on_a_scene_or_a_moment_shows_it(opened: Page, report: Path) -> None:
    data = data_of(report)
    cells = [n for n, one in enumerate(data["strip"]) if one["scene"] == 2]
    # The strip is as wide as the curves below it.
    boxes = opened.value(
        "['#strip', '#strip button:last-of-type', '.u-over'].map(e => "
        "document.querySelector(e).getBoundingClientRect()).map(b => [b.left, b.right])"
    )
    assert boxes[0] == pytest.approx(boxes[2], abs=1)
    assert boxes[1][1] == pytest.approx(boxes[0][1], abs=1)
    opened.click(f"document.querySelectorAll('#strip button')[{cells[0]}]")
    assert time_of(opened) == pytest.approx(SCENE * FRAME_S, abs=FRAME_S)
    assert opened.value("document.getElementById('frame').textContent") == f"frame {SCENE}"
    moment = data["moments"][0]
    opened.click("document.querySelector('#moments button')")
    assert time_of(opened) == pytest.approx(moment["time_s"], abs=FRAME_S)
    opened.click("document.querySelector('#table-scenes tbody tr:nth-child(2) button')")
    assert time_of(opened) == pytest.approx(SCENE * FRAME_S, abs=FRAME_S)


def test_keys(opened: Page, report: Path) -> None:
    opened.press("ArrowRight")
    assert time_of(opened) == pytest.approx(1.5 * FRAME_S, abs=0.5 * FRAME_S)
    assert opened.value("document.getElementById('frame').textContent") == "frame 1"
    opened.press("l")
    assert time_of(opened) == pytest.approx(1 + 1.5 * FRAME_S, abs=0.5 * FRAME_S)
    opened.press("j")
    opened.press("ArrowLeft")
    assert time_of(opened) == pytest.approx(0.5 * FRAME_S, abs=0.5 * FRAME_S)
    opened.press("]")
    assert opened.value("document.getElementById('frame').textContent") == f"frame {SCENE}"
    opened.press("[")
    assert opened.value("document.getElementById('frame').textContent") == "frame 0"
    opened.press("m")
    first = data_of(report)["moments"][0]["frame"]
    assert opened.value("document.getElementById('frame').textContent") == f"frame {first}"
    opened.press(" ")
    opened.wait(f"!{VIDEO}.paused && {VIDEO}.currentTime > 0.2")
    opened.press("k")
    assert opened.value(f"{VIDEO}.paused")


def test_a_table_is_sorted_by_its_heads(opened: Page) -> None:
    head = "document.querySelectorAll('#table-scenes thead button')[3]"
    column = (
        "[...document.querySelectorAll('#table-scenes tbody td:nth-child(4)')]"
        ".map(e => +e.textContent)"
    )
    opened.click(head)
    rising = opened.value(column)
    assert rising == sorted(rising) and rising[0] < rising[1]
    assert opened.value(f"{head}.parentElement.getAttribute('aria-sort')") == "ascending"
    opened.click(head)
    assert opened.value(column) == rising[::-1]


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_requested_and_nothing_is_wrong(
    page: Page, report: Path, width: int, dark: bool
) -> None:
    page.open(report, width=width, dark=dark)
    page.wait(f"{VIDEO}.readyState >= 2")
    own = {report.resolve().as_uri(), (report.parent / "film.webm").resolve().as_uri()}
    assert page.errors == [] and {*page.requests} <= own
    assert page.value("document.documentElement.scrollWidth") == width
    ground = page.value("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(17, 18, 19)" if dark else "rgb(253, 253, 252)")
    assert page.value("document.querySelector('h1').textContent") == "a <b>film.mp4"
    assert page.value("document.querySelectorAll('h1 b, #seen b b, .legend b').length") == 0
    unnamed = "[...document.querySelectorAll('button')].filter(e => !(e.textContent.trim()"
    assert page.value(f"{unnamed} || e.getAttribute('aria-label'))).length") == 0
    assert page.value("[...document.images].every(e => e.hasAttribute('alt'))")


def test_the_focus_is_visible(opened: Page) -> None:
    opened.value(f"{VIDEO}.focus()")
    opened.press("Tab")
    outline = opened.value(
        "document.querySelector('#strip button').focus(),"
        "getComputedStyle(document.activeElement).outlineStyle"
    )
    assert outline == "solid"


def test_a_linked_video_plays(page: Page, report: Path, store: Store, folder: Path) -> None:
    suffix = "webm" if report.name == "vp9.html" else "mp4"
    video = folder / "ü #1" / f"v.{suffix}"
    video.parent.mkdir()
    source = folder / "film.webm" if suffix == "webm" else next(folder.glob("*_heat.mp4"))
    video.write_bytes(source.read_bytes())
    path = vidsal.report_store(store.path, folder / "linked.html", video=video)
    page.open(path)
    page.wait(f"{VIDEO}.readyState >= 2")
    page.press("]")
    assert time_of(page) == pytest.approx(SCENE * FRAME_S, abs=FRAME_S)
    assert page.errors == []
    video.unlink()
    page.open(path)
    page.wait("document.querySelector('.note') !== null")
    assert "cannot be played" in page.value("document.querySelector('.note').textContent")


def test_without_a_video_the_curves_show_stills(
    page: Page, folder: Path, store: Store, tmp_path: Path
) -> None:
    gone = make_film(tmp_path / "gone.mp4")
    path = keep(gone, tmp_path, model="none")
    gone.unlink()
    report = vidsal.report_store(path, tmp_path / "maps.html")
    page.open(report)
    picture = "document.querySelector('#screen img').src"
    before = page.value(picture)
    page.click("document.querySelector('.u-over')", x=0.7)
    assert page.value(picture) != before
    page.press("ArrowRight")
    page.press(" ")
    assert clock_of(page).startswith("0:01.7") and page.errors == []


def test_an_index_and_a_photo(page: Page, tmp_path: Path) -> None:
    import imageio.v3 as iio
    import numpy as np

    rgb: Any = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    iio.imwrite(tmp_path / "p.png", rgb)
    keep(tmp_path / "p.png", tmp_path)
    index = vidsal.report_store(tmp_path)
    page.open(index)
    page.wait("document.images[0].naturalWidth > 0")
    assert page.errors == []
    page.click("document.querySelector('.cards a')")
    page.wait("document.querySelector('#screen img')?.naturalWidth === 64")
    assert page.value("document.getElementById('time').hidden")
    assert page.errors == []
