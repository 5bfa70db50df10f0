"""Measure how far the maps of a part are from those of one run, by the length of the warm-up.

    python scripts/check_split.py clip.mp4 --places 15 45 75 --warm 0 2 4 8 --model lite0
    python scripts/check_split.py film.mp4 --split 30                   # a batch against one run

The clip is analysed once as a whole. Then a part is analysed from each place, after each warm-up,
and its maps are compared with those of the whole: Pearson's correlation of the fused maps, the
mean and the lowest one of all frames, for the first second of the part and for the rest. The last
line compares the whole with another seed: the noise that a warm-up needs not beat.

With `--split` a whole film is processed by `vidsal batch` in parts of so many seconds, and by one
run, as pictures of the map without loss. Compared are the number of frames and their times, the
decoded sound, and the pictures: Pearson's correlation of each pair.

Measured figures are in docs/scale.md.
"""

import argparse
import dataclasses
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import vidsal
from vidsal.media import ffmpeg
from vidsal.types import Saliency


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("--places", type=float, nargs="+", default=[], help="seconds")
    parser.add_argument("--split", type=float, help="compare a batch with parts of so many seconds")
    parser.add_argument("--warm", type=float, nargs="+", default=[0, 2, 4, 8], help="seconds")
    parser.add_argument("--length", type=float, default=8, help="seconds of a part")
    parser.add_argument("--model", default="lite0")
    parser.add_argument("--short-side", type=int, default=256)
    arguments = parser.parse_args()
    if arguments.split:
        check_film(arguments.clip, arguments.split, arguments.model)
    if arguments.places:
        check_warm_up(arguments)


def check_film(clip: Path, split_s: float, model: str) -> None:
    """Compare a batch in parts with one run, and print."""
    with tempfile.TemporaryDirectory() as name:
        settings = vidsal.Settings(
            model=model, layout="map", colormap="grey", annotate=False, codec="ffv1"
        )
        whole = vidsal.run(clip, dataclasses.replace(settings, output=Path(name, "whole.mkv")))
        summary = vidsal.batch([clip], Path(name, "parts"), settings, split=split_s)
        (joined,) = (one for one in Path(name, "parts").iterdir() if one.is_file())
        print(summary.line())
        values, times_differ = [], 0
        with vidsal.open_video(whole) as one, vidsal.open_video(joined) as two:
            for first, second in zip(one, two, strict=True):
                values.append(correlation(first.rgb[..., 0], second.rgb[..., 0]))
                times_differ += abs(first.time_s - second.time_s) > 1e-6
        sounds = [sound_of(one) for one in (whole, joined)]
        print(f"{len(values)} frames each, {times_differ} at other times")
        print(f"sound {'equal' if sounds[0] == sounds[1] else 'DIFFERENT'}")
        print(f"correlation: mean, lowest: {line(values)}; 1 in {values.count(1.0)} frames")


def sound_of(path: Path) -> str:
    """Return a checksum of the decoded sound."""
    command = [
        ffmpeg.executable(),
        "-v",
        "error",
        "-i",
        str(path),
        "-map",
        "0:a?",
        "-f",
        "md5",
        "-",
    ]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def check_warm_up(arguments: argparse.Namespace) -> None:
    """Compare parts with the whole, by the length of the warm-up, and print."""
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


def correlation(one: NDArray[Any], other: NDArray[Any]) -> float:
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
