"""Shared by the tests of the stream: settings, scenes, and fakes in place of a network."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any

import numpy as np
from conftest import BrightnessStage

from vidsal import image_ops
from vidsal.saliency.regions import centroid
from vidsal.saliency.stream import SaliencyStream
from vidsal.settings import Settings
from vidsal.types import Frame, Map, Request, Rgb, Saliency, StaticStage, Target

FPS = 25
# Speed of the square in `clip` after camera compensation: (-4, 2) pixels per frame, in diagonals
# per second.
SQUARE = float(np.hypot(4, 2) * FPS / np.hypot(90, 160))
TEXTURE = (90, 160)
BRIGHTNESS = BrightnessStage()

# The numbers of the fixed scale suit the maps of `BrightnessStage` with this contrast and gain.
PLAIN = Settings(
    working_width=160, short_side=64, contrast=2.0, gain=2.0, samples=16, static_every=1
)
PLAIN_WITH = {
    scale: dataclasses.replace(PLAIN, scale=scale)
    for scale in ("stable", "frame", "minmax", "fixed:0,140,0,0.5")
}
BARE = Settings(
    working_width=160, short_side=64, smooth=0, contrast=1, scale="frame", gain=2.0, samples=16,
    static_every=1,
)  # fmt: skip


def frames_of(pictures: Sequence[Rgb], first: int = 0) -> list[Frame]:
    return [Frame(rgb, first + n, (first + n) / FPS) for n, rgb in enumerate(pictures)]


def analyse_frames(
    frames: Iterable[Frame], static: StaticStage | None, settings: Settings, **options: Any
) -> Generator[Saliency, None, None]:
    """Analyse frames with a new stream; the options are those of `SaliencyStream`."""
    return SaliencyStream(static, settings, **options).analyse(frames)


def analysed(
    frames: Sequence[Frame],
    settings: Settings = PLAIN,
    *,
    static: StaticStage | None = BRIGHTNESS,
    batch: int = 4,
) -> list[Saliency]:
    return list(analyse_frames(iter(frames), static, settings, batch=batch))


class RunningAverage:
    """The average of a scale: of square roots, over 3 s; the first value counts for 0.25 s."""

    def __init__(self) -> None:
        self.total = self.weight = 0.0

    def after(self, value: float, seconds: float) -> float:
        """Return the average after a value that comes `seconds` after the last one."""
        decay = float(np.exp(-seconds / 3)) if self.weight else 0.0
        new = 1 - decay if self.weight else 1 - float(np.exp(-0.25 / 3))
        self.total = decay * self.total + new * value**0.5
        self.weight = decay * self.weight + new
        return float((self.total / self.weight) ** 2)


def assert_same(one: Saliency, other: Saliency) -> None:
    assert one.static is not None and other.static is not None
    assert np.array_equal(one.static, other.static)
    assert np.array_equal(one.motion, other.motion)
    assert np.array_equal(one.fused, other.fused)
    assert np.array_equal(one.speed, other.speed)
    for name in ("flow", "backward", "known"):
        assert np.array_equal(getattr(one.movement, name), getattr(other.movement, name))
    for name in ("motion_share", "static_high", "motion_high", "fused_high", "peak", "marker"):
        assert getattr(one, name) == getattr(other, name)


class Placed(BrightnessStage):
    """Its maps come from a function of the request, and are resized to the network's input."""

    def __init__(self, draw: Callable[[Request], Map], **options: Any) -> None:
        super().__init__(**options)
        self._draw = draw

    def maps(self, rgb: Rgb, requests: Sequence[Request]) -> Map:
        self.requests.append(list(requests))
        size = rgb.shape[1:3]
        return np.stack([image_ops.shrink(self._draw(one), size) for one in requests])


def bump(row: float, column: float, sigma: float = 6.0) -> Map:
    """Return a hot spot at (row, column) of a 90 x 160 map; pixel centres at whole numbers."""
    rows, columns = np.mgrid[: TEXTURE[0], : TEXTURE[1]]
    squares = (rows - row) ** 2 + (columns - column) ** 2
    return np.asarray(np.exp(-squares / (2 * sigma**2)), np.float32)


def place_px(values: Map) -> tuple[float, float]:
    """Return the centroid of a map in pixels (row, column); pixel centres at whole numbers."""
    centre = centroid(values)
    assert centre is not None
    return centre[0] * values.shape[0] - 0.5, centre[1] * values.shape[1] - 0.5


class Voting(BrightnessStage):
    """Predicts the n-th class of a list for the n-th picture."""

    def __init__(self, votes: Sequence[int], target: Target) -> None:
        super().__init__(("a", "b", "c"), target=target)
        self._votes = votes

    def predict(self, rgb: Rgb) -> Map:
        votes = self._votes[len(self.looked_at) :][: len(rgb)]
        self.looked_at.extend(rgb)
        return 0.2 + 0.4 * np.eye(3, dtype=np.float32)[list(votes)]


def flash_of(kind: str) -> Rgb:
    """Return a picture that has no colours in common with `clip`."""
    noise = np.random.default_rng(0).integers(0, 64, (90, 160, 3), np.uint8)
    return {"white": 255 - noise // 32, "black": noise // 32, "other": noise + np.uint8(192)}[kind]
