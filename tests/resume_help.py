"""Shared by the tests of resumed runs: a fake network, runs that break, comparison of outputs."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from conftest import BrightnessStage
from PIL import Image

import vidsal
from vidsal import analyser, pipeline
from vidsal.settings import Settings
from vidsal.static import models
from vidsal.static.models import ModelChoice
from vidsal.types import Map, Request, Rgb, Target
from vidsal.yuv import Picture

CHECKPOINT = Path("o.mp4.parts")


class Voting(BrightnessStage):
    """Its top class depends on the picture, its maps on the request."""

    def __init__(self) -> None:
        super().__init__(tuple("abcde"), target=Target(is_locked=True))

    def predict(self, rgb: Rgb) -> Map:
        super().predict(rgb)
        return np.asarray(np.eye(5)[rgb.sum(axis=(1, 2, 3)) // 1000 % 5], np.float32)

    def maps(self, rgb: Rgb, requests: Sequence[Request]) -> Map:
        noise = [np.random.default_rng((one.frame, one.samples)) for one in requests]
        drawn = np.stack([one.random(rgb.shape[1:3], np.float32) for one in noise])
        return np.asarray(super().maps(rgb, requests) * (0.5 + drawn), np.float32)


def use_voting_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Voting:
    """Run in an own folder, in segments of four frames, with a fake network."""
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    stage = Voting()
    monkeypatch.setattr(pipeline, "_SEGMENT_S", Fraction(4, 25))
    monkeypatch.setattr(models, "choose", lambda *_, **__: ModelChoice("lite0"))
    monkeypatch.setattr(models, "open_static", lambda *_: stage)
    return stage


def resumable(output: str = "o.mp4", **options: Any) -> Settings:
    stem = Path(output).stem
    given: dict[str, Any] = {
        "resume": True, "batch": 4, "working_width": 64, "short_side": 32, "static_every": 1,
        "output": Path(output),
        "table": Path(f"{stem}.csv"), "maps": Path(f"{stem} maps"),
    }  # fmt: skip
    return Settings(**given | options)


def names_here() -> set[str]:
    return {one.name for one in Path().iterdir()}


def pictures_of(path: Path) -> list[tuple[float, Rgb]]:
    with av.open(str(path)) as file:
        return [(one.time, one.to_ndarray(format="rgb24")) for one in file.decode(video=0)]


def audio_of(path: Path) -> list[tuple[int, bytes]]:
    with av.open(str(path)) as file:
        return [(one.pts, one.to_ndarray().tobytes()) for one in file.decode(audio=0)]


def assert_equal_outputs(one: str, other: str) -> None:
    """Check that two runs wrote the same video, table and maps."""
    pictures, others = pictures_of(Path(one)), pictures_of(Path(other))
    assert [time for time, _ in pictures] == [time for time, _ in others]
    assert all((a == b).all() for (_, a), (_, b) in zip(pictures, others, strict=True))
    stems = Path(one).stem, Path(other).stem
    tables = [Path(f"{stem}.csv").read_text() for stem in stems]
    assert tables[0] == tables[1]
    maps = [sorted(Path(f"{stem} maps").rglob("*.png")) for stem in stems]
    assert len(maps[0]) == 3 * (tables[0].count("\n") - 1)
    for path, twin in zip(*maps, strict=True):
        assert (path.parent.name, path.name) == (twin.parent.name, twin.name)
        with Image.open(path) as image, Image.open(twin) as again:
            assert (np.asarray(image) == np.asarray(again)).all()


@contextmanager
def broken_drawing(
    monkeypatch: pytest.MonkeyPatch, after: int, error: BaseException | None = None
) -> Iterator[None]:
    """Let drawing fail after so many frames."""
    calls = itertools.count()

    def draw(real: Callable[..., Picture], *arguments: Any) -> Picture:
        if next(calls) == after:
            raise error or RuntimeError("broken")
        return real(*arguments)

    with monkeypatch.context() as patch:
        # In luma and chroma, or in RGB, as the file needs it.
        for name in ("draw_for_video", "draw_saliency"):
            patch.setattr(analyser, name, partial(draw, getattr(analyser, name)))
        yield


def run_interrupted(
    clip: Path, settings: Settings, after: Sequence[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run until it breaks after so many frames, again and again, and at last to the end."""
    for frames in after:
        with broken_drawing(monkeypatch, frames), pytest.raises(RuntimeError, match="broken"):
            vidsal.run(clip, settings)
    vidsal.run(clip, settings)
