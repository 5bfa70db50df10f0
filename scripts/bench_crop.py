"""Measure how much of what matters a crop window holds: masks of objects, and fixations.

    python scripts/bench_crop.py DATA --stores DIR
    python scripts/bench_crop.py DATA --stores DIR --aspect 1:1

DATA holds datasets in the layouts that `vidsal evaluate` reads. A store of each clip is written
into DIR with EfficientNet-Lite0, once. A score is the mean over frames, then over clips: the share
of the mask's pixels, or of the frame's fixations, inside the window. The rows:

centre      a window in the middle
each frame  the best window of each frame by the maps, without regard to its neighbours
vidsal      the path of `vidsal crop`
truth, path the path that the same rules find on the masks or fixations instead of the maps
truth       the best window of each frame by the masks or fixations: no window holds more

Speeds are in sides of the picture per second. The script fails if a path breaks its bounds.
"""

import argparse
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import vidsal
from vidsal.crop.path import MAX_ACCELERATION, MAX_SPEED, scene_path
from vidsal.crop.window import held, mass, profile
from vidsal.evaluation.datasets import MIN_FIXATIONS, Clip, Truth, open_datasets

Floats = NDArray[np.float64]
# Columns or rows of the profiles of masks and fixations; positions that are tried in one frame.
_BINS, _POSITIONS = 1000, 301


class Row(NamedTuple):
    """The score of one clip, and the largest speed and acceleration within its scenes."""

    score: float
    speed: float
    acceleration: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--stores", type=Path, required=True)
    parser.add_argument("--aspect", default="9:16")
    arguments = parser.parse_args()
    for dataset in open_datasets(arguments.data):
        tables: dict[str, dict[str, Row]] = {}
        for clip in (one for one in dataset.clips if not one.is_photo):
            store = stored(clip, arguments.stores / dataset.name / f"{clip.name}.vidsal")
            for name, row in rows(clip, store, arguments.aspect).items():
                tables.setdefault(name, {})[clip.name] = row
        for name, clips in tables.items():
            scores = " ".join(f"{clip} {100 * row.score:.0f}" for clip, row in clips.items())
            mean = float(np.mean([row.score for row in clips.values()]))
            speed = max(row.speed for row in clips.values())
            acceleration = max(row.acceleration for row in clips.values())
            print(
                f"{dataset.name:12} {name:12} {100 * mean:5.1f} %  max speed {speed:6.2f}/s, "
                f"acceleration {acceleration:8.2f}/s2  ({scores})",
                flush=True,
            )


def stored(clip: Clip, path: Path) -> vidsal.StoredAnalysis:
    """Return the stored analysis of a clip, which is made if it is missing."""
    if not path.exists():
        times = [frame.time_s for _, frame in zip(range(2), clip.frames(), strict=False)]
        settings = vidsal.Settings(
            model="lite0", keep=path, output=path.with_suffix(".mp4"), overwrite=True,
            fps=Fraction(round(1 / (times[1] - times[0]))),
        )  # fmt: skip
        vidsal.run((frame.rgb for frame in clip.frames()), settings)
    return vidsal.open_store(path)


def rows(clip: Clip, store: vidsal.StoredAnalysis, aspect: str) -> dict[str, Row]:
    """Return the row of each way to place the window."""
    found = vidsal.crop_path(store, aspect)
    axis = 1 if found.width < found.source_width else 0
    side = (found.source_height, found.source_width)[axis]
    length = (found.height, found.width)[axis] / side
    truths = truth_profiles(clip, len(found), axis)
    maps = np.array([
        profile(mass(one.fused, one.speed, float(high)), axis)
        for one, high in zip(store, store.array("motion_high"), strict=True)
    ])  # fmt: skip
    ideal = np.zeros(len(found))
    for scene in range(len(found.modes)):
        part = found.scene == scene
        ideal[part] = scene_path(truths[part], found.time_s[part], length).positions
    ways = {
        "centre": np.full(len(found), (1 - length) / 2),
        "each frame": best_of_each(maps, length),
        "vidsal": found.offset_px / side,
        "truth, path": ideal,
        "truth": best_of_each(truths, length),
    }
    is_scored = truths.any(axis=1)
    result = {}
    for name, way in ways.items():
        shares = held(truths, way[:, None], length)[is_scored]
        result[name] = Row(float(shares.mean()), *limits(way, found))
    own = result["vidsal"]
    # Times of frames are rounded in some files.
    if own.speed > MAX_SPEED * 1.01 or own.acceleration > MAX_ACCELERATION * 1.05:
        raise SystemExit(f"{clip.name}: the path is too fast: {own}")
    return result


def truth_profiles(clip: Clip, count: int, axis: int) -> Floats:
    """Return the masks' pixels, or the fixations, along the axis; zero where there are none."""
    profiles = np.zeros((count, _BINS))
    for number in clip.numbers:
        if number < count:
            profiles[number] = truth_profile(clip.truth(number), axis)
    return profiles


def truth_profile(truth: Truth, axis: int) -> Floats:
    """Return what is known of one frame along the axis."""
    if truth.mask is not None:
        pixels = profile(truth.mask.astype(np.float32), axis)
        before = np.concatenate([[0], np.cumsum(pixels)])
        bounds = np.linspace(0, len(pixels), _BINS + 1)
        return np.diff(np.interp(bounds, np.arange(len(before)), before))
    assert truth.points is not None
    if len(truth.points) < MIN_FIXATIONS:
        return np.zeros(_BINS)
    return np.histogram(truth.points[:, axis], _BINS, (0, 1))[0].astype(np.float64)


def best_of_each(profiles: Floats, length: float) -> Floats:
    """Return the window of each frame that holds most; in the middle where nothing is."""
    places = np.linspace(0, 1 - length, _POSITIONS)
    best = places[held(profiles, places, length).argmax(axis=1)]
    return np.where(profiles.any(axis=1), best, (1 - length) / 2)


def limits(way: Floats, found: vidsal.CropPath) -> tuple[float, float]:
    """Return the largest speed and acceleration within scenes."""
    speed = acceleration = 0.0
    for scene in range(len(found.modes)):
        part = found.scene == scene
        speeds = np.diff(way[part]) / np.diff(found.time_s[part])
        changes = np.diff(speeds) / np.diff(found.time_s[part])[1:]
        speed = max(speed, float(np.abs(speeds).max(initial=0)))
        acceleration = max(acceleration, float(np.abs(changes).max(initial=0)))
    return speed, acceleration


if __name__ == "__main__":
    main()
