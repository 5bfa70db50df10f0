"""Measure how far the maps of a part are from those of one run, by the length of the warm-up.

    python scripts/check_split.py clip.mp4 --places 15 45 75 --warm 0 2 4 8 --model lite0

The clip is analysed once as a whole. Then a part is analysed from each place, after each warm-up,
and its maps are compared with those of the whole: Pearson's correlation of the fused maps, the
mean and the lowest one of all frames, for the first second of the part and for the rest. The last
line compares the whole with another seed: the noise that a warm-up needs not beat.

Measured figures are in docs/scale.md.
"""

import argparse
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import vidsal
from vidsal.types import Saliency


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("--places", type=float, nargs="+", required=True, help="seconds")
    parser.add_argument("--warm", type=float, nargs="+", default=[0, 2, 4, 8], help="seconds")
    parser.add_argument("--length", type=float, default=8, help="seconds of a part")
    parser.add_argument("--model", default="lite0")
    parser.add_argument("--short-side", type=int, default=256)
    arguments = parser.parse_args()
    settings = vidsal.Settings(
        model=arguments.model, short_side=arguments.short_side, working_width=160, static_every=2,
        end=max(arguments.places) + arguments.length,
    )  # fmt: skip
    with vidsal.analyse(arguments.clip, settings) as analysis:
        fps = analysis.info.fps
    if fps is None:
        raise SystemExit(f"{arguments.clip} is a photo, which has no parts")
    # A warm-up begins at a frame at which one run draws gradients.
    step_s = float(2 / fps)
    whole = maps_of(arguments.clip, settings)
    print("warm-up   first second: mean  lowest   later: mean  lowest")
    for warm_s in arguments.warm:
        first, later = [], []
        for place_s in arguments.places:
            start_s = max(0.0, int((place_s - warm_s) / step_s) * step_s - step_s / 4)
            part = dataclasses.replace(
                settings, start=start_s or None, end=place_s + arguments.length
            )
            correlations = compared(maps_of(arguments.clip, part), whole, place_s)
            first += [value for time_s, value in correlations if time_s < 1]
            later += [value for time_s, value in correlations if time_s >= 1]
        print(f"{warm_s:5.1f} s  {line(first)}  {line(later)}", flush=True)
    other = maps_of(arguments.clip, dataclasses.replace(settings, seed=1))
    seeds = [value for place_s in arguments.places for _, value in compared(other, whole, place_s)]
    print(f"another seed: {line(seeds)}")


def maps_of(clip: Path, settings: vidsal.Settings) -> dict[float, NDArray[np.float16]]:
    """Return the fused map of each frame by its time."""
    found: Iterator[Saliency] = vidsal.analyse(clip, settings)
    return {round(one.frame.time_s, 3): one.fused.astype(np.float16) for one in found}


def compared(
    maps: dict[float, NDArray[np.float16]], whole: dict[float, NDArray[np.float16]], place_s: float
) -> list[tuple[float, float]]:
    """Return the times after a place, and the correlations of the maps with those of the whole."""
    return [
        (time_s - place_s, correlation(one, whole[time_s]))
        for time_s, one in maps.items()
        if time_s >= place_s - 1e-3 and time_s in whole
    ]


def correlation(one: NDArray[np.float16], other: NDArray[np.float16]) -> float:
    """Return Pearson's correlation of two maps; 1 for two flat ones."""
    a, b = one.astype(np.float64).ravel(), other.astype(np.float64).ravel()
    if a.std() == 0 or b.std() == 0:
        return float(a.std() == b.std())
    return float(np.corrcoef(a, b)[0, 1])


def line(values: list[float]) -> str:
    """Return the mean and the lowest of some values as text."""
    return f"{np.mean(values):.4f}  {np.min(values):.4f}" if values else "-"


if __name__ == "__main__":
    main()
