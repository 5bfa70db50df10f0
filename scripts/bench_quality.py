"""Score static maps against gaze, masks and the network itself; part of bench_gradient.py.

Nothing is tuned here: the settings are the defaults, but for what a row's name says.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import vidsal
from vidsal import image_ops
from vidsal.evaluation.datasets import Truth, open_datasets, sampled
from vidsal.evaluation.excerpts import HISTORY
from vidsal.evaluation.faithfulness import faithfulness
from vidsal.evaluation.metrics import auc_judd, nss, pixel_auc
from vidsal.motion.flow import optical_flow
from vidsal.motion.warp import warp
from vidsal.runtime.opencv import cv2
from vidsal.saliency.static_stage import network_picture
from vidsal.saliency.stream import SaliencyStream
from vidsal.sources import open_source
from vidsal.static.models import choose, open_static
from vidsal.types import Frame, Map, Request, Saliency, StaticStage

LITE0 = vidsal.Settings(model="lite0")
ROWS = {
    "plain gradient": dataclasses.replace(LITE0, method="gradient"),
    "SmoothGrad 16": dataclasses.replace(LITE0, fresh=16),
    "flow SmoothGrad 16": LITE0,
}


class Window(NamedTuple):
    """A frame that is scored, and those before it."""

    clip: str
    frames: list[Frame]
    truth: Truth


def quality(data: Path, frames_per_clip: int) -> dict[str, Any]:
    """Return the tables: gaze, masks, steadiness, faithfulness."""
    scored = list(windows(data, frames_per_clip))
    tables: dict[str, Any] = {"windows": len(scored)}
    for name, settings in ROWS.items():
        tables[name] = row(scored, settings)
        print(name, tables[name], flush=True)
    photos = sorted((data / "osie" / "images").iterdir())
    tables["bfloat16 against float32"] = precision_agreement(photos[:12])
    print("bfloat16 against float32", tables["bfloat16 against float32"], flush=True)
    report = faithfulness(photos, LITE0)
    print(report, flush=True)
    return tables | {"faithfulness": report.to_dict()}


def row(scored: list[Window], settings: vidsal.Settings) -> dict[str, float]:
    """Return the scores of one way of making static maps: means over clips."""
    stage = open_static(choose(settings), settings)
    assert stage is not None
    remembers = settings.method == "smoothgrad" and settings.fresh < settings.samples
    scores: dict[str, dict[str, list[float]]] = {}

    def score(kind: str, clip: str, value: float) -> None:
        scores.setdefault(kind, {}).setdefault(clip, []).append(value)

    for window in scored:
        # Without a memory only the last two frames play a part.
        frames = window.frames if remembers else window.frames[-2:]
        before, last = list(SaliencyStream(stage, settings, batch=16).analyse(frames))[-2:]
        assert last.static is not None
        points, mask = window.truth.points, window.truth.mask
        if points is not None:
            score("gaze NSS", window.clip, nss(last.static, points))
            score("gaze AUC", window.clip, auc_judd(last.static, points))
        if mask is not None:
            height, width = last.static.shape
            small = cv2.resize(mask.astype(np.uint8), (width, height))
            score("mask AUC", window.clip, pixel_auc(last.static, np.asarray(small) > 0))
        score("change a frame", window.clip, change(before, last))
        score("samples a frame", window.clip, _samples(frames, settings, stage))
    return {
        kind: round(float(np.mean([np.mean(values) for values in clips.values()])), 4)
        for kind, clips in scores.items()
    }


def precision_agreement(photos: list[Path]) -> dict[str, float]:
    """Return Pearson's correlation of the maps in both precisions: lowest and mean over photos."""
    figures = {}
    for name, base in (("one gradient", ROWS["plain gradient"]), ("SmoothGrad 16", LITE0)):
        stages = [
            open_static(choose(base), dataclasses.replace(base, precision=precision))
            for precision in ("float32", "bfloat16")
        ]
        for smooth in (0.0, base.smooth):
            values = []
            for number, path in enumerate(photos):
                with open_source(path, base) as source:
                    (frame,) = source.frames()
                maps = []
                for stage in stages:
                    assert stage is not None
                    rgb = network_picture(frame.rgb, stage, base.short_side)
                    request = Request(number, base.samples if base.method != "gradient" else 1)
                    maps.append(image_ops.smoothed(stage.maps(rgb[None], [request])[0], smooth))
                values.append(float(np.corrcoef(maps[0].ravel(), maps[1].ravel())[0, 1]))
            key = f"{name}, {'smoothed' if smooth else 'raw'}"
            figures[f"{key}, mean"] = round(float(np.mean(values)), 3)
            figures[f"{key}, lowest"] = round(min(values), 3)
    return figures


def change(before: Saliency, after: Saliency) -> float:
    """Return how much a map differs from the one before it, moved to where it should be now."""
    assert before.static is not None and after.static is not None
    old, new = (image_ops.grey(image_ops.shrink(one.frame.rgb, one.motion.shape))
                for one in (before, after))  # fmt: skip
    moved = warp(before.static, optical_flow(new, old))
    return float(np.abs(after.static - moved).mean())


class _Counting:
    """A static stage that counts what is asked of it and draws nothing."""

    def __init__(self, stage: StaticStage) -> None:
        self.names, self.target, self.input_size = stage.names, stage.target, stage.input_size
        self.samples = 0

    def predict(self, rgb: Any) -> Map:
        return np.full((len(rgb), len(self.names)), 1 / len(self.names), np.float32)

    def maps(self, rgb: Any, requests: Any) -> Map:
        self.samples += sum(one.samples for one in requests)
        return np.ones(rgb.shape[:3], np.float32)


def _samples(frames: list[Frame], settings: vidsal.Settings, stage: StaticStage) -> float:
    """Return the gradients drawn a frame after the first."""
    counting = _Counting(stage)
    for number, _ in enumerate(SaliencyStream(counting, settings, batch=1).analyse(frames)):
        if number == 0:
            counting.samples = 0
    return counting.samples / (len(frames) - 1)


def windows(folder: Path, count: int) -> Iterator[Window]:
    """Yield some frames of each clip, each with those before it and what is known of it."""
    for dataset in open_datasets(folder):
        for clip in dataset.clips:
            if clip.is_photo:
                continue
            truths = sampled(clip, count, seed=0)
            frames = _kept_small(list(clip.frames()))
            for number, truth in truths.items():
                yield Window(clip.name, frames[max(0, number - HISTORY) : number + 1], truth)


def _kept_small(frames: list[Frame]) -> list[Frame]:
    """Return frames no larger than the network and the flow need, so that a clip fits in memory."""
    kept = []
    for frame in frames:
        height, width = frame.rgb.shape[:2]
        factor = min(1.0, 480 / min(height, width))
        size = round(height * factor), round(width * factor)
        kept.append(Frame(image_ops.shrink(frame.rgb, size), frame.index, frame.time_s))
    return kept
