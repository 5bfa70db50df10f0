"""What the tests of the stream share: settings, scenes, and fakes in the place of a network."""

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
# What the fastest thing in `clip` does by itself, (-4, 2) pixels a frame, in diagonals a second.
SQUARE = float(np.hypot(4, 2) * FPS / np.hypot(90, 160))
TEXTURE = (90, 160)
BRIGHTNESS = BrightnessStage()

# Fixed scales are of the map's energy; numbers were worked out for this contrast and gain.
PLAIN = Settings(working_width=160, short_side=64, contrast=2.0, gain=2.0)
PLAIN_WITH = {
    scale: dataclasses.replace(PLAIN, scale=scale)
    for scale in ("stable", "frame", "minmax", "fixed:0,140,0,0.5")
}
BARE = Settings(working_width=160, short_side=64, smooth=0, contrast=1, scale="frame", gain=2.0)


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


class Remembered:
    """A scale's memory: a mean of roots over three seconds, the first of which stood for 0.25 s."""

    def __init__(self) -> None:
        self.total = self.weight = 0.0

    def after(self, value: float, seconds: float) -> float:
        """What it holds once a value has come, so many seconds after the one before."""
        kept = float(np.exp(-seconds / 3)) if self.weight else 0.0
        new = 1 - kept if self.weight else 1 - float(np.exp(-0.25 / 3))
        self.total = kept * self.total + new * value**0.5
        self.weight = kept * self.weight + new
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
    """Its map of a frame is drawn by a function of the request, at the size of the maps."""

    def __init__(self, draw: Callable[[Request], Map], **options: Any) -> None:
        super().__init__(**options)
        self._draw = draw

    def maps(self, rgb: Rgb, requests: Sequence[Request]) -> Map:
        self.requests.append(list(requests))
        size = rgb.shape[1:3]
        return np.stack([image_ops.shrink(self._draw(one), size) for one in requests])


def bump(row: float, column: float, sigma: float = 6.0) -> Map:
    """A hot spot; (row, column) in pixels of a 90 x 160 map, centres at whole numbers."""
    rows, columns = np.mgrid[: TEXTURE[0], : TEXTURE[1]]
    squares = (rows - row) ** 2 + (columns - column) ** 2
    return np.asarray(np.exp(-squares / (2 * sigma**2)), np.float32)


def place_px(values: Map) -> tuple[float, float]:
    """The centroid of a map in pixels (row, column), centres at whole numbers."""
    found = centroid(values)
    assert found is not None
    return found[0] * values.shape[0] - 0.5, found[1] * values.shape[1] - 0.5


class Voting(BrightnessStage):
    """Sees in the n-th picture that it is shown the n-th class of a list."""

    def __init__(self, votes: Sequence[int], target: Target) -> None:
        super().__init__(("a", "b", "c"), target=target)
        self._votes = votes

    def predict(self, rgb: Rgb) -> Map:
        votes = self._votes[len(self.looked_at) :][: len(rgb)]
        self.looked_at.extend(rgb)
        return 0.2 + 0.4 * np.eye(3, dtype=np.float32)[list(votes)]


def flash_of(kind: str) -> Rgb:
    """A picture with nothing in common with those of `clip`."""
    noise = np.random.default_rng(0).integers(0, 64, (90, 160, 3), np.uint8)
    return {"white": 255 - noise // 32, "black": noise // 32, "other": noise + np.uint8(192)}[kind]
