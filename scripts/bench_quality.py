"""Score static maps against gaze, masks and the network itself; part of bench_gradient.py.

Nothing is tuned here: the settings are the defaults, but for what a row's name says.
"""

import csv
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import vidsal
from vidsal import accumulate, motion
from vidsal.faithfulness import measure
from vidsal.frames import Frame, Map, Request, Saliency, StaticStage
from vidsal.metrics import auc_judd, nss, pixel_auc
from vidsal.opencv import cv2
from vidsal.sources import open_source
from vidsal.static.models import choose, open_static
from vidsal.stream import analyse_frames, network_picture

LITE0 = vidsal.Settings(model="lite0")
# Frames before the one that is scored: three times the memory of 16 samples.
HISTORY = 24
LEAST_FIXATIONS = 8
ROWS = {
    "plain gradient": dataclasses.replace(LITE0, method="gradient"),
    "SmoothGrad 16": dataclasses.replace(LITE0, fresh=16),
    "flow SmoothGrad 16": LITE0,
}


class Window(NamedTuple):
    """A frame that is scored, and those before it; the truth is points or a mask."""

    clip: str
    frames: list[Frame]
    points: NDArray[np.float64] | None = None
    mask: NDArray[np.bool_] | None = None


def quality(data: Path, frames_per_clip: int) -> dict[str, Any]:
    """Return the tables: gaze, masks, steadiness, faithfulness."""
    windows = [*gaze_windows(data / "gaze_video", frames_per_clip),
               *mask_windows(data / "davis2016", max(2, frames_per_clip // 3))]  # fmt: skip
    tables: dict[str, Any] = {"windows": len(windows)}
    for name, settings in ROWS.items():
        tables[name] = row(windows, settings)
        print(name, tables[name], flush=True)
    photos = sorted((data / "osie" / "images").iterdir())
    tables["bfloat16 against float32"] = precision_agreement(photos[:12])
    print("bfloat16 against float32", tables["bfloat16 against float32"], flush=True)
    report = measure(photos, LITE0)
    print("\n".join(report.lines()), flush=True)
    return tables | {"faithfulness": report.as_json()}


def row(windows: list[Window], settings: vidsal.Settings) -> dict[str, float]:
    """Return the scores of one way of making static maps: means over clips."""
    stage = open_static(choose(settings), settings)
    assert stage is not None
    remembers = settings.method == "smoothgrad" and settings.fresh < settings.samples
    scores: dict[str, dict[str, list[float]]] = {}

    def score(kind: str, clip: str, value: float) -> None:
        scores.setdefault(kind, {}).setdefault(clip, []).append(value)

    for window in windows:
        # Without a memory only the last two frames play a part.
        frames = window.frames if remembers else window.frames[-2:]
        before, last = list(analyse_frames(frames, stage, settings, batch=16))[-2:]
        assert last.static is not None
        if window.points is not None:
            score("gaze NSS", window.clip, nss(last.static, window.points))
            score("gaze AUC", window.clip, auc_judd(last.static, window.points))
        if window.mask is not None:
            height, width = last.static.shape
            small = cv2.resize(window.mask.astype(np.uint8), (width, height))
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
                    rgb = network_picture(frame.rgb, stage, base)
                    request = Request(number, base.samples if base.method != "gradient" else 1)
                    maps.append(motion.smoothed(stage.maps(rgb[None], [request])[0], smooth))
                values.append(float(np.corrcoef(maps[0].ravel(), maps[1].ravel())[0, 1]))
            key = f"{name}, {'smoothed' if smooth else 'raw'}"
            figures[f"{key}, mean"] = round(float(np.mean(values)), 3)
            figures[f"{key}, lowest"] = round(min(values), 3)
    return figures


def change(before: Saliency, after: Saliency) -> float:
    """Return how much a map differs from the one before it, moved to where it should be now."""
    assert before.static is not None and after.static is not None
    old, new = (motion.grey(motion.shrink(one.frame.rgb, one.motion.shape))
                for one in (before, after))  # fmt: skip
    carried = accumulate.carried(before.static, motion.optical_flow(new, old))
    return float(np.abs(after.static - carried).mean())


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
    for number, _ in enumerate(analyse_frames(frames, counting, settings, batch=1)):
        if number == 0:
            counting.samples = 0
    return counting.samples / (len(frames) - 1)


def gaze_windows(folder: Path, count: int) -> Iterator[Window]:
    """Yield evenly spaced frames of each clip with the fixations on them."""
    for path in sorted((folder / "videos").iterdir()):
        rows = list(csv.DictReader((folder / "fixations" / f"{path.stem}.csv").open()))
        with open_source(path, LITE0) as source:
            info, frames = source.info, _kept_small(list(source.frames()))
        first = max(HISTORY, int(0.5 * float(info.fps or 25)) + 1)
        for number in np.linspace(first, len(frames) - 1, count).astype(int):
            points = np.array(
                [
                    (float(r["y"]) / info.height_px, float(r["x"]) / info.width_px)
                    for r in rows
                    if int(r["first_frame"]) <= number <= int(r["last_frame"])
                ]
            ).reshape(-1, 2)
            points = points[((points >= 0) & (points < 1)).all(axis=1)]
            if len(points) >= LEAST_FIXATIONS:
                yield Window(path.stem, frames[number - HISTORY : number + 1], points=points)


def mask_windows(folder: Path, count: int) -> Iterator[Window]:
    """Yield evenly spaced frames of each sequence with the object's mask."""
    for sequence in sorted(folder.iterdir()):
        paths = sorted((sequence / "frames").iterdir())
        frames = []
        for number, path in enumerate(paths):
            with open_source(path, LITE0) as source:
                frames += [Frame(frame.rgb, number, number / 24) for frame in source.frames()]
        for number in np.linspace(len(paths) // 2, len(paths) - 1, count).astype(int):
            mask = cv2.imread(str(sequence / "masks" / f"{paths[number].stem}.png"), 0)
            yield Window(sequence.name, frames[: number + 1], mask=np.asarray(mask) > 127)


def _kept_small(frames: list[Frame]) -> list[Frame]:
    """Return frames no larger than the network and the flow need, so that a clip fits in memory."""
    kept = []
    for frame in frames:
        height, width = frame.rgb.shape[:2]
        factor = min(1.0, 480 / min(height, width))
        size = round(height * factor), round(width * factor)
        kept.append(Frame(motion.shrink(frame.rgb, size), frame.index, frame.time_s))
    return kept
