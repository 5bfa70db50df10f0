"""Stores for reports: a clip with a cut, analysed without a network's weights."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import BrightnessStage, run_ffmpeg

import vidsal
from vidsal.settings import Settings
from vidsal.static import models
from vidsal.static.models import ModelChoice

# Two scenes of 30 frames each, at 25 a second.
SCENE, FPS = 30, 25


def make_film(path: Path) -> Path:
    """Encode two scenes of moving pictures."""
    length_s = SCENE / FPS
    pictures = ("testsrc2", "mandelbrot")
    inputs = [
        word
        for name in pictures
        for word in ("-f", "lavfi", "-t", f"{length_s}", "-i", f"{name}=size=192x108:rate={FPS}")
    ]
    run_ffmpeg(
        *inputs, "-filter_complex", "[0][1]concat=n=2", "-c:v", "libx264", "-preset", "veryfast",
        "-crf", "12", "-pix_fmt", "yuv420p", str(path),
    )  # fmt: skip
    return path


def keep(source: Path, folder: Path, **options: Any) -> Path:
    """Analyse a source with brightness in place of a network's maps; return its store."""
    store = folder / f"{source.stem}.vidsal"
    given: dict[str, Any] = {
        "model": "lite0", "working_width": 96, "short_side": 64, "batch": 4, "keep": store,
        "output": folder / f"{source.stem}_heat{'.png' if source.suffix == '.png' else '.mp4'}",
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patched:
        if given.get("model") != "none" and options.get("model") != "none":
            names = ("<b>dark</b>", 'a "bright" & ünusual class')
            stage = BrightnessStage(names)
            patched.setattr(models, "choose", lambda *_, **__: ModelChoice("lite0"))
            patched.setattr(models, "open_static", lambda *_: stage)
        vidsal.run(source, Settings(**given | options))
    return store


def data_of(page: Path) -> dict[str, Any]:
    """Return the JSON of a report."""
    found = re.search(
        r'<script type="application/json" id="data">(.*?)</script>',
        page.read_text(encoding="utf-8"), re.DOTALL,
    )  # fmt: skip
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data
