"""Frames of stored analyses as pictures and contact sheets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import MakeClip
from store_help import kept_run

import vidsal
from vidsal import UsageError, VidsalError
from vidsal.analyser import draw
from vidsal.rendering import results_of
from vidsal.settings import Settings
from vidsal.stills import draw_stills
from vidsal.store.opening import open_store
from vidsal.stored.source import source_of
from vidsal.types import Rgb, Saliency


@pytest.fixture
def kept(make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Rgb]:
    """Return the pictures of a stored analysis of 24 frames at 25 a second, 's.vidsal'."""
    monkeypatch.chdir(tmp_path)
    clip = make_clip(frames=24, size=(96, 128))
    kept_run(clip, model="none")
    store = open_store("s.vidsal")
    with source_of(store, store.settings) as source:
        found = list(results_of(store, source.frames(), store.settings))
    return [draw(one, store.settings) for one in found]


@pytest.mark.parametrize(
    ("at", "place"),
    [(0, 0), ("0.2", 5), (0.219, 5), ("0:00.24", 6), (0.92, 23), ("0.95", 23), ([0.4], 10)],
)
def test_a_still_is_the_frame_that_is_shown_at_its_time(
    kept: list[Rgb], at: Any, place: int
) -> None:
    output = draw_stills("s.vidsal", at=at)
    assert output == Path("s_still.png")
    assert np.array_equal(iio.imread(output), kept[place])


def test_several_times_are_a_sheet_in_their_order(kept: list[Rgb]) -> None:
    output = draw_stills("s.vidsal", at="0.8,0,0.4,0.4", output=Path("x.png"), annotate=False)
    sheet = iio.imread(output)
    assert sheet.shape == (192, 256, 3)
    bare = [draw_stills("s.vidsal", at=at, output=Path(f"{at}.png"), annotate=False)
            for at in (0.8, 0, 0.4)]  # fmt: skip
    cells = [sheet[:96, :128], sheet[:96, 128:], sheet[96:, :128], sheet[96:, 128:]]
    for cell, one in zip(cells, [*bare, bare[2]], strict=True):
        # Black lines part the panels.
        assert np.array_equal(cell[2:-2, 2:-2], iio.imread(one)[2:-2, 2:-2])


@pytest.mark.parametrize(
    ("count", "part", "places"),
    [(1, {}, [12]), (4, {}, [3, 9, 15, 21]), (24, {}, range(24)),
     (2, {"start": 0.4, "end": 0.8}, [12, 17])],
)  # fmt: skip
def test_the_frames_of_a_sheet_are_equally_far_apart(
    kept: list[Rgb], monkeypatch: pytest.MonkeyPatch, count: int, part: dict[str, Any], places: Any
) -> None:
    drawn: list[int] = []

    def noted(one: Saliency, settings: Settings) -> Rgb:
        drawn.append(one.frame.index)
        return draw(one, settings)

    monkeypatch.setattr("vidsal.stills.draw", noted)
    sheet = iio.imread(draw_stills("s.vidsal", sheet=count, **part))
    assert drawn == list(places)
    assert sheet.shape[0] * sheet.shape[1] == pytest.approx(96 * 128 * count, rel=0.05)


@pytest.mark.parametrize(("width", "expected"), [(0, 512), (300, 300)])
def test_the_width_is_that_of_the_sheet(kept: list[Rgb], width: int, expected: int) -> None:
    sheet = iio.imread(draw_stills("s.vidsal", sheet=16, width=width))
    assert sheet.shape[1] == pytest.approx(expected, abs=8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give either at= or sheet="),
        ({"at": 1, "sheet": 2}, "give either at= or sheet="),
        ({"at": 0.97}, "at=0.97: the analysis has 0 to 0.92 s"),
        ({"at": "0.1,x"}, "at=: a time is seconds or HH:MM:SS"),
        ({"at": []}, "at=: 1 to 100 times, got 0"),
        ({"sheet": 0}, "sheet=0: a contact sheet has 1 to 24 of these frames"),
        ({"sheet": 2.5}, "sheet=2.5: a contact sheet has 1 to 24"),
        ({"sheet": 24, "width": 300}, "need width=384 or more, got 300"),
        ({"at": 0, "start": 0.2}, "start= and end= are for sheet="),
        ({"at": 0, "table": Path("t.csv")}, "table= is not for single frames"),
        ({"at": 0, "output": Path("s.vidsal/x.png")}, "lies in the store s.vidsal"),
        ({"sheet": 25}, "sheet=25: a contact sheet has 1 to 24 of these frames"),
        ({"at": 0, "output": Path("a.mp4")}, r"output=.a.mp4.: frames are written as .png"),
        ({"at": 0, "samples": 3}, "samples= cannot be changed"),
    ],
)
def test_bad_requests_are_one_line(kept: list[Rgb], options: dict[str, Any], message: str) -> None:
    before = sorted(Path().iterdir())
    with pytest.raises(UsageError, match=message) as caught:
        draw_stills("s.vidsal", **options)
    assert "\n" not in str(caught.value)
    assert sorted(Path().iterdir()) == before


def test_a_picture_is_not_replaced_unasked(kept: list[Rgb]) -> None:
    Path("a.png").write_bytes(b"mine")
    with pytest.raises(VidsalError, match="exists"):
        draw_stills("s.vidsal", at=0, output=Path("a.png"))
    assert Path("a.png").read_bytes() == b"mine"
    draw_stills("s.vidsal", at=0, output=Path("a.png"), overwrite=True)
    assert np.array_equal(iio.imread("a.png"), kept[0])


def test_a_rendered_picture_of_a_video_needs_a_time(kept: list[Rgb]) -> None:
    with pytest.raises(UsageError, match=r"add at=2.5 or sheet=12"):
        vidsal.render_store("s.vidsal", output=Path("a.png"))


def test_the_source_is_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    iio.imwrite("photo.png", np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8))
    before = Path("photo.png").read_bytes()
    kept_run("photo.png", model="none", output=Path("heat.png"), codec=None)
    with pytest.raises(VidsalError, match="is the source itself"):
        draw_stills("s.vidsal", at=0, output=Path("photo.png"), overwrite=True)
    with pytest.raises(UsageError, match=r"lies in the store s\.vidsal"):
        vidsal.render_store("s.vidsal", output=Path("s.vidsal/x.png"))
    assert Path("photo.png").read_bytes() == before
