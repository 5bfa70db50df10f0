"""Helpers for tests of the pipeline."""

import csv
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from vidsal.settings import Settings
from vidsal.types import Rgb

# No failure may take longer than this to end a run; most take a tenth of it.
SOON_S = 5.0


def pipeline_settings(**options: Any) -> Settings:
    given: dict[str, Any] = {
        "model": "none", "working_width": 64, "samples": 16, "static_every": 1, "sizes": "1",
    }  # fmt: skip
    return Settings(**given | options)


def names_left() -> list[str]:
    """All that is in the run's folder, hidden or not."""
    return sorted(str(path) for path in Path().rglob("*"))


def decoded_video(path: Path) -> tuple[int, Fraction, tuple[int, int], list[Rgb]]:
    """Frames, rate, size and pictures of a video as PyAV has them."""
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        pictures = [frame.to_ndarray(format="rgb24") for frame in file.decode(stream)]
        assert stream.frames == len(pictures)
        return stream.frames, stream.average_rate, (stream.height, stream.width), pictures


def table_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
