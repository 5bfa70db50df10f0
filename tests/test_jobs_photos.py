"""Photos among several sources, and names of outputs that would be too long."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import MakeClip
from PIL import Image

from vidsal.errors import UsageError, VidsalError
from vidsal.jobs import run_all
from vidsal.pipeline import run
from vidsal.runtime.atomic_write import shortened
from vidsal.settings import Settings
from vidsal.sources import open_source
from vidsal.sources.resolve import SourceName, expand

# Characters of two bytes: 251 bytes, and 255 with the suffix.
LONG = "é" * 125 + "a"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a folder for sources."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    return tmp_path


def _settings(**options: Any) -> Settings:
    return Settings(model="none", working_width=64, annotate=False, **options)


def _photo(path: Path) -> Path:
    rgb = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    Image.fromarray(rgb).save(path)
    return path


OPTIONS = [{"duration": 0.1}, {"start": 0.1}, {"end": 0.1}, {"every": 2}, {"fps": 10}]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("kind", ["folder", "glob", "list"])
def test_options_of_time_are_ignored_for_photos_of_a_folder(
    kind: str, options: dict[str, Any], here: Path, make_clip: MakeClip
) -> None:
    make_clip("clip.mp4", frames=10).rename(here / "in" / "clip.mp4")
    _photo(here / "in" / "photo.png")
    (here / "all.txt").write_text("in/clip.mp4\nin/photo.png\n")
    name = {"folder": "in", "glob": "in/*", "list": "all.txt"}[kind]
    outcomes = run_all([name], _settings(output=Path("out"), **options))
    assert [one.error for one in outcomes] == [None, None]
    assert outcomes[0].frames < 10
    assert outcomes[1].frames == 1


@pytest.mark.parametrize("options", OPTIONS)
def test_options_of_time_are_refused_for_a_photo_that_is_named(
    options: dict[str, Any], here: Path
) -> None:
    path = _photo(here / "in" / "photo.png")
    with pytest.raises(UsageError, match="is a photo, which has no time"):
        open_source(path, _settings(**options))
    (name,) = expand("in")
    assert name == SourceName("file", "in/photo.png", "in/photo.png", Path("in/photo.png"))
    with open_source(name, _settings(**options)) as source:
        assert source.info.fps is None


def test_the_default_name_of_an_output_is_shortened(here: Path, make_clip: MakeClip) -> None:
    photo = _photo(here / "in" / f"{LONG}.png")
    assert len(photo.name.encode()) == 255
    assert run(photo, _settings(), progress=False) == Path(f"{'é' * 113}_saliency.png")
    clip = make_clip("clip.mp4", frames=4).rename(here / "in" / f"{LONG}.mp4")
    assert run(clip, _settings(resume=True), progress=False) == Path(f"{'é' * 113}_saliency.mp4")
    assert sorted(one.name for one in here.glob("*.*")) == [
        f"{'é' * 113}_saliency.mp4", f"{'é' * 113}_saliency.png",
    ]  # fmt: skip


def test_shortened_names_of_several_sources_differ(here: Path) -> None:
    for ending in "ab":
        _photo(here / "in" / f"{LONG[:-1]}{ending}.png")
    settings = _settings(output=Path("out"), table=Path("tables"), maps=Path("maps"))
    outcomes = run_all(["in"], settings)
    assert [one.error for one in outcomes] == [None, None]
    for folder in ("out", "tables", "maps"):
        names = [one.name for one in (here / folder).iterdir()]
        assert len(set(names)) == 2
        assert all(len(name.encode()) <= 240 for name in names)


@pytest.mark.parametrize("letter", ["a", "é", "猫", "🐈"])
def test_a_shortened_name_keeps_characters_and_ending(letter: str) -> None:
    name = shortened(letter * 300, "_saliency.png")
    assert len(name.encode()) <= 240
    assert name.removesuffix("_saliency.png") == letter * (227 // len(letter.encode()))
    assert shortened(letter, "_saliency.png") == f"{letter}_saliency.png"


def test_a_picture_that_cannot_be_read_does_not_stop_the_others(here: Path) -> None:
    _photo(here / "in" / "b.png")
    (here / "in" / "a.jpg").write_bytes(b"8BPS" + bytes(100))
    outcomes = run_all(["in"], _settings(output=Path("out")))
    assert outcomes[0].error is not None
    assert "is a Photoshop picture, which cannot be read" in outcomes[0].error
    assert outcomes[1].error is None
    with pytest.raises(VidsalError, match="Photoshop"):
        run(here / "in" / "a.jpg", _settings(), progress=False)
