"""Measure a whole run of vidsal and its parts on this machine.

    python scripts/bench_pipeline.py                                  # 720p, ResNet50
    python scripts/bench_pipeline.py --frames 200 --memory-frames 0   # the frame rate only
    python scripts/bench_pipeline.py --model none --memory-frames 20020
    python scripts/bench_pipeline.py --clip FILE                      # your own footage

It prints three results:

- The frame rate of `vidsal run`, and that of gradient calls alone with the same batch and input
  size. Both are measured in one process, one after the other. On a machine with other load, only
  their ratio is meaningful.
- The time of each stage, each in a thread of its own.
- The resident memory of a run, early and late in a long clip.

The clip is a generated, moving test picture. `--grain` adds noise, which is hard to decode, to
track and to encode. The patterns jump, which needs more gradients than most footage does. ResNet50
has random weights, which need the same arithmetic as trained ones. `--clip` replaces the clip of
the timed run. Memory is always measured on a generated clip.

Needs psutil.
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

# Numbers of the frames at which memory is compared.
EARLY, LATE = 500, 3000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=320, help="frames of the timed run")
    parser.add_argument(
        "--memory-frames", type=int, default=LATE + 20,
        help="frames of the run that measures memory; 0 skips it",
    )  # fmt: skip
    parser.add_argument("--model", choices=["resnet50", "lite0", "none"], default="resnet50")
    parser.add_argument("--batch", type=int, default=16, help="frames per network call")
    parser.add_argument("--grain", action="store_true", help="add noise to the picture")
    parser.add_argument("--clip", type=Path, help="video for the timed run")
    arguments = parser.parse_args()
    print(machine())
    logging.basicConfig(format="  %(message)s")
    logging.getLogger("vidsal").setLevel(logging.INFO)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = None
        if arguments.model == "resnet50":
            weights = random_weights(folder / "resnet50.weights.h5")
        settings = vidsal.Settings(
            model=arguments.model, weights=weights, batch=arguments.batch, overwrite=True,
            output=folder / "out.mp4",
        )  # fmt: skip
        clip = arguments.clip or make_clip(
            folder / "clip.mp4", arguments.frames, grain=arguments.grain
        )
        print_rates(clip, settings, arguments.frames)
        if arguments.memory_frames:
            frames = arguments.memory_frames
            print_memory(make_clip(folder / "long.mp4", frames, grain=arguments.grain), settings)


def print_rates(clip: Path, settings: vidsal.Settings, frames: int) -> None:
    """Time the gradient calls alone and a run over some frames of a clip; print both rates."""
    with open_source(clip, settings) as source:
        size, fps = (source.info.height_px, source.info.width_px), source.info.fps
    if fps is None:
        raise SystemExit(f"{clip} is not a video; --clip needs a video file")
    gradient_rate = None if settings.model == "none" else gradient_call_rate(settings, size)
    rate, _ = timed_run(clip, dataclasses.replace(settings, duration=float(frames / fps)))
    ratio = ""
    if gradient_rate:
        print(f"gradient calls alone, batch {settings.batch}: {gradient_rate:6.2f} frames/s")
        ratio = f", {rate / gradient_rate:.0%} of the gradient calls' rate"
    print(f"vidsal run, {size[1]}x{size[0]}: {rate:6.2f} frames/s{ratio}", flush=True)


def print_memory(clip: Path, settings: vidsal.Settings) -> None:
    """Run over a clip, and print the resident memory early and late in it."""
    _, rss_mib = timed_run(clip, settings)
    last = len(rss_mib) - 1
    early, late = min(last, EARLY), min(last, max(LATE, len(rss_mib) - 20))
    print(
        f"resident memory: {rss_mib[early]:.0f} MiB at frame {early}, "
        f"{rss_mib[late]:.0f} MiB at frame {late}"
    )


def machine() -> str:
    """Return the number of cores, the processor and the Python version."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        models = [line for line in lines if line.startswith("model name")]
        name = models[0].split(":", 1)[1].strip() if models else name
    return f"{psutil.cpu_count()} cores, {name}, Python {platform.python_version()}"


def random_weights(path: Path) -> Path:
    """Write ResNet50 weights as Keras initialises them; return the path."""
    import keras

    keras.utils.set_random_seed(0)
    keras.applications.ResNet50(weights=None, classifier_activation=None).save_weights(path)
    return path


def make_clip(path: Path, frames: int, *, grain: bool) -> Path:
    """Write a 1280x720 clip of a moving test picture, 30 frames per second; return the path."""
    noise = "noise=alls=12:allf=t," if grain else ""
    source = f"testsrc2=size=1280x720:rate=30,{noise}trim=end_frame={frames}"
    ffmpeg.convert(
        ["-f", "lavfi", "-i", source, "-c:v", "libx264",
         "-preset", "ultrafast", "-pix_fmt", "yuv420p", str(path)]
    )  # fmt: skip
    return path


def gradient_call_rate(settings: vidsal.Settings, size: tuple[int, int], repeats: int = 6) -> float:
    """Return the median frames/s of gradient calls on a prepared batch, after one warm-up call."""
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
    """Return the frames/s of a run.

    Results arrive in bursts, one per network call. The rate is measured from the end of one burst
    to the end of another one. Measured from within a burst, it would count frames without the call
    that made them. The first bursts are ignored: other stages work ahead while TensorFlow traces
    the network.

    Parameters
    ----------
    times : list of float
        Arrival time of each result in seconds.

    Returns
    -------
    float
        Frames per second.
    """
    gaps = np.diff(times)
    mean_gap = (times[-1] - times[0]) / (len(times) - 1)
    ends = [n for n, gap in enumerate(gaps) if gap > 4 * mean_gap]
    first, last = (ends[2], ends[-1]) if len(ends) > 4 else (len(times) // 4, len(times) - 1)
    return (last - first) / (times[last] - times[first])


def timed_run(clip: Path, settings: vidsal.Settings) -> tuple[float, list[float]]:
    """Return the frames/s of a run, and its resident memory at each frame in MiB."""
    process = psutil.Process()
    times: list[float] = []
    rss_mib: list[float] = []

    def record(items: Iterable[Any], total: int | None) -> Iterator[Any]:
        for item in items:
            times.append(time.perf_counter())
            rss_mib.append(process.memory_info().rss / 2**20)
            yield item

    vidsal.run(clip, settings, progress=record)
    return steady_rate(times), rss_mib


if __name__ == "__main__":
    main()
