"""Helpers that make, read and compare unusual files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from conftest import run_ffmpeg

from vidsal.settings import Settings
from vidsal.sources import open_source
from vidsal.types import Frame, Rgb

# Words that make a file from the test picture, and its (height, width).
H264 = ["-c:v", "libx264", "-crf", "12"]
FRAMES = 12


def make(path: Path, args: list[str]) -> Path:
    picture = f"testsrc2=size=64x48:rate=25:duration={FRAMES / 25}"
    run_ffmpeg("-f", "lavfi", "-i", picture, *args, str(path))
    return path


def difference(one: Rgb, other: Rgb) -> float:
    """How far two pictures are apart, but for how sharply they were enlarged."""
    smooth = [cv2.blur(rgb, (5, 5)).astype(float) for rgb in (one, np.ascontiguousarray(other))]
    return float(np.abs(smooth[0] - smooth[1]).mean())


def read_whole(path: Path, **options: Any) -> list[Frame]:
    with open_source(path, Settings(**options)) as source:
        frames = list(source.frames())
        height, width = source.info.height_px, source.info.width_px
        assert source.findings().damaged == 0
        assert source.info.frame_count_hint == len(frames)
    assert {frame.rgb.shape for frame in frames} == {(height, width, 3)}
    assert [frame.index for frame in frames] == list(range(len(frames)))
    return frames


class EndsEarly:
    """A capture of OpenCV that ends after some frames."""

    def __init__(self, real: Callable[..., Any], after: int, *args: Any) -> None:
        self._capture, self._left = real(*args), after

    def grab(self) -> bool:
        self._left -= 1
        return self._left >= 0 and self._capture.grab()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._capture, name)
