"""Score static maps against gaze, object masks and the network itself.

`bench_gradient.py --data DIR` imports this module; it is not a command. Nothing is tuned: each row
uses the default settings except for what its name says.
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
    "plain gradient": dataclasses.replace(LITE0, method="gradient", static_every=1),
    "SmoothGrad 12": dataclasses.replace(LITE0, fresh=12, static_every=1),
    "flow SmoothGrad 12": LITE0,
}


class Window(NamedTuple):
    """A scored frame (the last one), the frames before it, and the ground truth of the clip."""

    clip: str
    frames: list[Frame]
    truth: Truth


def quality(data: Path, frames_per_clip: int) -> dict[str, Any]:
    """Return the tables of scores by name, and print them.

    Parameters
    ----------
    data : pathlib.Path
        Folder of data sets in the layouts that `vidsal evaluate` reads. Faithfulness uses the
        photos in ``osie/images``.
    frames_per_clip : int
        Scored frames of each clip.

    Returns
    -------
    dict
        Gaze, mask, stability and faithfulness scores by the name of the row.
    """
    scored = list(windows(data, frames_per_clip))
    tables: dict[str, Any] = {"windows": len(scored)}
    for name, settings in ROWS.items():
        tables[name] = scores_of(scored, settings)
        print(name, tables[name], flush=True)
    photos = sorted((data / "osie" / "images").iterdir())
    tables["bfloat16 against float32"] = precision_agreement(photos[:12])
    print("bfloat16 against float32", tables["bfloat16 against float32"], flush=True)
    report = faithfulness(photos, LITE0)
    print(report, flush=True)
    return tables | {"faithfulness": report.to_dict()}


def scores_of(scored: list[Window], settings: vidsal.Settings) -> dict[str, float]:
    """Return the scores of one method, each the mean over clips of the mean over frames."""
    stage = open_static(choose(settings), settings)
    assert stage is not None
    has_memory = settings.method == "smoothgrad" and settings.fresh < settings.samples
    values: dict[str, dict[str, list[float]]] = {}
    for window in scored:
        # A method without memory uses the last two frames only.
        frames = window.frames if has_memory else window.frames[-2:]
        previous, last = list(SaliencyStream(stage, settings, batch=16).analyse(frames))[-2:]
        assert last.static is not None
        scores = dict(truth_scores(last.static, window.truth))
        scores["change per frame"] = change(previous, last)
        scores["samples per frame"] = _samples_per_frame(frames, settings, stage)
        for name, score in scores.items():
            values.setdefault(name, {}).setdefault(window.clip, []).append(score)
    return {
        name: round(float(np.mean([np.mean(each) for each in clips.values()])), 4)
        for name, clips in values.items()
    }


def truth_scores(static: Map, truth: Truth) -> Iterator[tuple[str, float]]:
    """Yield the name and value of each score that the ground truth of a frame allows."""
    if truth.points is not None:
        yield "gaze NSS", nss(static, truth.points)
        yield "gaze AUC", auc_judd(static, truth.points)
    if truth.mask is not None:
        height, width = static.shape
        mask = cv2.resize(truth.mask.astype(np.uint8), (width, height))
        yield "mask AUC", pixel_auc(static, np.asarray(mask) > 0)


def precision_agreement(photos: list[Path]) -> dict[str, float]:
    """Return the correlation of maps in float32 and bfloat16: Pearson's r, mean and lowest."""
    figures = {}
    for name, base in (("one gradient", ROWS["plain gradient"]), ("SmoothGrad 12", LITE0)):
        stages = [
            open_static(choose(base), dataclasses.replace(base, precision=precision))
            for precision in ("float32", "bfloat16")
        ]
        for smooth in (0.0, base.smooth):
            values = [
                _correlation([
                    image_ops.smoothed(photo_map(path, number, stage, base), smooth)
                    for stage in stages if stage is not None
                ])
                for number, path in enumerate(photos)
            ]  # fmt: skip
            key = f"{name}, {'smoothed' if smooth else 'raw'}"
            figures[f"{key}, mean"] = round(float(np.mean(values)), 3)
            figures[f"{key}, lowest"] = round(min(values), 3)
    return figures


def photo_map(path: Path, number: int, stage: StaticStage, settings: vidsal.Settings) -> Map:
    """Return the static map of a photo; its number sets the noise of its samples."""
    with open_source(path, settings) as source:
        (frame,) = source.frames()
    rgb = network_picture(frame, stage, settings.short_side)
    samples = settings.samples if settings.method != "gradient" else 1
    static: Map = stage.maps(rgb[None], [Request(number, samples)])[0]
    return static


def _correlation(maps: list[Map]) -> float:
    """Return Pearson's correlation of two maps."""
    first, second = maps
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def change(before: Saliency, after: Saliency) -> float:
    """Return the mean absolute difference of two successive maps.

    The earlier map is first warped to the later frame along the optical flow.
    """
    assert before.static is not None and after.static is not None
    previous, current = (
        image_ops.grey(image_ops.shrink(each.frame.rgb, each.motion.shape))
        for each in (before, after)
    )
    warped = warp(before.static, optical_flow(current, previous))
    return float(np.abs(after.static - warped).mean())


class _CountingStage:
    """A static stage that counts the requested samples and returns constant maps."""

    def __init__(self, stage: StaticStage) -> None:
        self.names, self.target, self.input_size = stage.names, stage.target, stage.input_size
        self.precision, self.is_decided = stage.precision, True
        self.samples = 0

    def predict(self, rgb: Any) -> Map:
        return np.full((len(rgb), len(self.names)), 1 / len(self.names), np.float32)

    def maps(self, rgb: Any, requests: Any) -> Map:
        self.samples += sum(request.samples for request in requests)
        return np.ones(rgb.shape[:3], np.float32)


def _samples_per_frame(frames: list[Frame], settings: vidsal.Settings, stage: StaticStage) -> float:
    """Return the mean number of gradient samples per frame after the first frame."""
    counting = _CountingStage(stage)
    for number, _ in enumerate(SaliencyStream(counting, settings, batch=1).analyse(frames)):
        if number == 0:
            counting.samples = 0
    return counting.samples / (len(frames) - 1)


def windows(folder: Path, count: int) -> Iterator[Window]:
    """Yield windows that end with randomly drawn frames (seed 0) of each clip, `count` per clip."""
    for dataset in open_datasets(folder):
        for clip in dataset.clips:
            if clip.is_photo:
                continue
            truths = sampled(clip, count, seed=0)
            frames = _shrunk(list(clip.frames()))
            for number, truth in truths.items():
                yield Window(clip.name, frames[max(0, number - HISTORY) : number + 1], truth)


def _shrunk(frames: list[Frame]) -> list[Frame]:
    """Return frames of at most 480 px on the short side, so that a clip fits in memory.

    Neither the network nor the optical flow uses larger frames.
    """
    small = []
    for frame in frames:
        height, width = frame.rgb.shape[:2]
        factor = min(1.0, 480 / min(height, width))
        size = round(height * factor), round(width * factor)
        small.append(Frame(image_ops.shrink(frame.rgb, size), frame.index, frame.time_s))
    return small
