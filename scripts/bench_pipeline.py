"""Measure a whole run against its parts, on this machine, and print it.

    python scripts/bench_pipeline.py                     # 720p, ResNet50 with random weights
    python scripts/bench_pipeline.py --frames 200 --memory-frames 0   # the quick part only
    python scripts/bench_pipeline.py --model none --memory-frames 20020
    python scripts/bench_pipeline.py --clip FILE      # on footage of yours

Three things are printed: the frame rate of `vidsal run` beside that of the bare gradient call at
the same batch and input size, measured in the same process one after the other (so only their ratio
says something on a noisy machine); where the time goes, stage by stage, in threads of their own;
and the resident memory of a run early and late in a long clip.

The clip is made here: a moving test picture (`--grain` adds noise to it, which is hard to decode,
to follow and to encode). Its patterns jump, which costs more gradients than most footage does. With
random weights a network does the same arithmetic as with trained ones. `--clip` takes the place of
the made clip in the timed run; memory is always measured on a made one.
"""

import argparse
import dataclasses
import logging
import platform
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

import vidsal
from vidsal.media import ffmpeg
from vidsal.saliency.static_stage import network_size
from vidsal.sources import open_source
from vidsal.static.models import ModelChoice, open_static
from vidsal.types import Request

EARLY, LATE = 500, 3000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=320, help="frames of the timed run")
    parser.add_argument("--memory-frames", type=int, default=LATE + 20, help="0 leaves it out")
    parser.add_argument("--model", choices=["resnet50", "lite0", "none"], default="resnet50")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--grain", action="store_true", help="noise on the picture")
    parser.add_argument("--clip", type=Path, help="time a run on this video, or a part of it")
    arguments = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        weights = None
        if arguments.model == "resnet50":
            weights = random_weights(Path(folder) / "resnet50.weights.h5")
        settings = vidsal.Settings(
            model=arguments.model, weights=weights, batch=arguments.batch, overwrite=True,
            output=Path(folder) / "out.mp4",
        )  # fmt: skip
        logging.basicConfig(format="  %(message)s")
        logging.getLogger("vidsal").setLevel(logging.INFO)
        clip = arguments.clip or make_clip(
            Path(folder) / "clip.mp4", arguments.frames, grain=arguments.grain
        )
        with open_source(clip, settings) as source:
            size, fps = (source.info.height_px, source.info.width_px), source.info.fps
        if fps is None:
            parser.error(f"--clip {clip} is no video")
        bare = None if arguments.model == "none" else bare_rate(settings, size)
        part = dataclasses.replace(settings, duration=float(arguments.frames / fps))
        whole, _ = timed_run(clip, part)
        if bare:
            print(f"bare gradient call, batch {settings.batch}: {bare:6.2f} frames/s")
        share = f", {whole / bare:.0%} of it" if bare else ""
        label = f"vidsal run, {size[1]}x{size[0]}:"
        print(f"{label:<29} {whole:6.2f} frames/s{share}", flush=True)
        if arguments.memory_frames:
            frames = arguments.memory_frames
            clip = make_clip(Path(folder) / "long.mp4", frames, grain=arguments.grain)
            _, sizes = timed_run(clip, settings)
            early, late = (min(len(sizes) - 1, n) for n in (EARLY, max(LATE, frames - 20)))
            print(
                f"resident memory: {sizes[early]:.0f} MB at frame {early}, "
                f"{sizes[late]:.0f} MB at frame {late}"
            )


def machine() -> str:
    """Return what the figures were measured on."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [x for x in cpuinfo.read_text().splitlines() if x.startswith("model name")]
        name = models[0].split(":", 1)[1].strip() if models else name
    return f"{psutil.cpu_count()} cores, {name}, Python {platform.python_version()}"


def random_weights(path: Path) -> Path:
    """Write ResNet50 weights as Keras initialises them, and return where."""
    import keras

    keras.utils.set_random_seed(0)
    keras.applications.ResNet50(weights=None, classifier_activation=None).save_weights(path)
    return path


def make_clip(path: Path, frames: int, *, grain: bool) -> Path:
    """Write a 1280x720 clip of a moving picture, and return where."""
    noise = "noise=alls=12:allf=t," if grain else ""
    source = f"testsrc2=size=1280x720:rate=30,{noise}trim=end_frame={frames}"
    ffmpeg.convert(
        ["-f", "lavfi", "-i", source, "-c:v", "libx264",
         "-preset", "ultrafast", "-pix_fmt", "yuv420p", str(path)]
    )  # fmt: skip
    return path


def bare_rate(settings: vidsal.Settings, size: tuple[int, int], repeats: int = 6) -> float:
    """Return the frames/s of gradient calls on ready batches, after the first one."""
    plain = dataclasses.replace(settings, method="gradient", target="top1")
    stage = open_static(ModelChoice(settings.model, settings.weights), plain)
    assert stage is not None
    height, width = network_size(*size, settings.short_side)
    shape = (settings.batch, height, width, 3)
    batch = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    requests = [Request(n, 1) for n in range(settings.batch)]
    stage.maps(batch, requests)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        stage.maps(batch, requests)
        times.append(time.perf_counter() - start)
    return settings.batch / float(np.median(times))


def steady_rate(times: list[float]) -> float:
    """Return the frames/s of a run, from when its results came.

    They come in bursts, a call of the network at a time, so it is measured from the end of a burst
    to the end of another: from within one on, a call would be left out whose frames are counted.
    The first bursts are left out; while the network is traced, much is found ahead of it.
    """
    gaps = np.diff(times)
    usual = (times[-1] - times[0]) / (len(times) - 1)
    ends = [n for n, gap in enumerate(gaps) if gap > 4 * usual]
    first, last = (ends[2], ends[-1]) if len(ends) > 4 else (len(times) // 4, len(times) - 1)
    return (last - first) / (times[last] - times[first])


def timed_run(clip: Path, settings: vidsal.Settings) -> tuple[float, list[float]]:
    """Return the frames/s of a run, and its memory at each frame."""
    process = psutil.Process()
    times: list[float] = []
    sizes: list[float] = []

    def watch(items: Iterable[Any], total: int | None) -> Iterator[Any]:
        for item in items:
            times.append(time.perf_counter())
            sizes.append(process.memory_info().rss / 2**20)
            yield item

    vidsal.run(clip, settings, progress=watch)
    return steady_rate(times), sizes


if __name__ == "__main__":
    main()
