"""Measure the static half on this machine: speed, memory, start-up and, with data, quality.

    python scripts/bench_gradient.py --json bench.json
    python scripts/bench_gradient.py --data DIR --json bench.json   # the quality tables as well

Figures that are compared are measured in one process, one after the other, and given as ratios.
ResNet50 has random weights: it does the same arithmetic as a trained one. DIR holds
``gaze_video/``, ``davis2016/`` and ``osie/`` as the README describes them. The comparison with
tf-keras-vis runs where that is installed.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from bench_pipeline import machine, random_weights, steady_rate
from bench_quality import quality

import vidsal
from vidsal.runtime.prefetch import prefetch
from vidsal.saliency.stream import SaliencyStream
from vidsal.static.models import ModelChoice, load_tensorflow, open_static
from vidsal.types import Frame, Request, Rgb

# As the network is usually counted, forward and back. In the form that Keras publishes it takes
# 15.4, and with strides taken early 13.9: so a share of more than 1 is possible.
GFLOP_A_FRAME = 16.4
SIDE, BATCH, SAMPLES = 224, 16, 16
PLAIN = vidsal.Settings(model="resnet50", method="gradient", target="top1", batch=BATCH)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--data", type=Path, help="clips and photos with ground truth")
    parser.add_argument("--frames-per-clip", type=int, default=12)
    parser.add_argument("--skip-speed", action="store_true")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {"machine": machine(), "vidsal": vidsal.__version__}
    if not arguments.skip_speed:
        with tempfile.TemporaryDirectory() as folder:
            choice = ModelChoice("resnet50", random_weights(Path(folder) / "r.weights.h5"))
            figures |= {"start_up": start_up(choice), "speed": speed(choice)}
            figures["memory"] = memory(choice)
    if arguments.data:
        figures["quality"] = quality(arguments.data, arguments.frames_per_clip)
    print("\n".join(table(figures)))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def table(figures: dict[str, Any], path: str = "") -> Iterator[str]:
    """Yield the figures as lines, each with the way to it in the JSON."""
    for name, value in figures.items():
        here = f"{path} / {name}" if path else name
        if isinstance(value, dict):
            yield from table(value, here)
        else:
            yield f"{here:<66} {value}"


def best(work: Callable[[], Any], repeats: int) -> float:
    """Return the seconds of the quickest of several runs, after one that warms up."""
    return best_in_turn(work, rounds=repeats)[0]


def best_in_turn(*works: Callable[[], Any], rounds: int) -> list[float]:
    """Return the same of several works that take turns: a slow minute is one for all of them."""

    def took_s(work: Callable[[], Any]) -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    for work in works:
        work()
    return [min(times) for times in zip(*[map(took_s, works) for _ in range(rounds)], strict=True)]


def matrix_product(dtype: str) -> tuple[Callable[[], Any], float]:
    """Return a large matrix product, and how many GFLOP it is."""
    tf = load_tensorflow()
    size = 4096
    generator = tf.random.Generator.from_seed(0)
    left, right = (tf.cast(generator.normal((size, size)), dtype) for _ in range(2))
    product = tf.function(lambda a, b: tf.linalg.matmul(a, b))
    return lambda: product(left, right).numpy(), 2 * size**3 / 1e9


def pictures(count: int) -> Rgb:
    """Return frames of smooth noise that slides, (count, 224, 224, 3) uint8."""
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 256, (SIDE // 8, SIDE // 8 + count, 3), dtype=np.uint8)
    large = texture.repeat(8, axis=0).repeat(8, axis=1)
    return np.stack([large[:, 2 * n : 2 * n + SIDE] for n in range(count)])


def speed(choice: ModelChoice) -> dict[str, Any]:
    """Return frame rates and their ratios."""
    figures: dict[str, Any] = {}
    batch = pictures(BATCH)
    requests = [Request(n, 1) for n in range(BATCH)]
    for precision in ("float32", "bfloat16"):
        stage = open_static(choice, dataclasses.replace(PLAIN, precision=precision))
        assert stage is not None
        multiply, gflop = matrix_product(precision)
        product_s, gradients_s = best_in_turn(
            multiply, partial(stage.maps, batch, requests), rounds=8
        )
        product, rate = gflop / product_s, BATCH / gradients_s
        figures[precision] = {
            "matrix_product_gflops": round(product), "gradients_per_s": round(rate, 2),
            "share_of_matrix_product": round(rate * GFLOP_A_FRAME / product, 3),
        }  # fmt: skip
    ours = flow_smoothgrad_rate(choice)
    eager = eager_rate(choice, batch)
    figures["flow_smoothgrad_16"] = {"frames_per_s": round(ours, 3)}
    figures["eager_loop_smoothgrad_16"] = {
        "frames_per_s": round(eager, 4), "we_are_faster_by": round(ours / eager, 1),
    }  # fmt: skip
    theirs = tf_keras_vis_rate(choice, batch)
    if theirs:
        figures["tf_keras_vis_smoothgrad_16"] = {
            "frames_per_s": round(theirs, 4), "we_are_faster_by": round(ours / theirs, 1),
        }  # fmt: skip
    return figures


def flow_smoothgrad_rate(choice: ModelChoice) -> float:
    """Return the frames/s of the whole static half with its default method, flow included."""
    settings = vidsal.Settings(model="resnet50", batch=BATCH, samples=SAMPLES, short_side=SIDE)
    stage = open_static(choice, settings)
    frames = [Frame(rgb, n, n / 25) for n, rgb in enumerate(pictures(8 * BATCH))]
    times = []
    lead = partial(prefetch, depth=BATCH)
    for _ in SaliencyStream(stage, settings, batch=BATCH, read_ahead=lead).analyse(frames):
        times.append(time.perf_counter())
    return steady_rate(times)


def eager_rate(choice: ModelChoice, batch: Rgb) -> float:
    """Return the frames/s of the loop that tutorials show: a tape, a picture, one call at a time.

    SmoothGrad of 16 samples, each a call of its own.
    """
    tf = load_tensorflow()
    model = keras_model(choice)
    prepare = tf.keras.applications.resnet50.preprocess_input

    def one(rgb: Rgb) -> Any:
        total = 0
        for _ in range(SAMPLES):
            noisy = tf.cast(rgb[None], tf.float32) + tf.random.normal((1, *rgb.shape)) * 38.0
            with tf.GradientTape() as tape:
                tape.watch(noisy)
                logits = model(prepare(noisy), training=False)
                score = tf.reduce_max(logits, axis=-1)
            total += tf.reduce_max(tf.abs(tape.gradient(score, noisy)), axis=-1)
        return total / SAMPLES

    return 1 / best(lambda: one(batch[0]).numpy(), 3)


def tf_keras_vis_rate(choice: ModelChoice, batch: Rgb) -> float | None:
    """Return the frames/s of tf-keras-vis' SmoothGrad of 16 samples, or None without it."""
    try:
        from tf_keras_vis.saliency import Saliency
    except ImportError:
        return None
    tf = load_tensorflow()
    saliency = Saliency(keras_model(choice), clone=False)
    prepared = tf.keras.applications.resnet50.preprocess_input(batch.astype(np.float32))

    def one() -> Any:
        return saliency(
            lambda output: tf.reduce_max(output, axis=-1), prepared[:1],
            smooth_samples=SAMPLES, smooth_noise=0.15,
        )  # fmt: skip

    return 1 / best(one, 3)


def keras_model(choice: ModelChoice) -> Any:
    """Return ResNet50 as Keras makes it, neither folded nor traced."""
    tf = load_tensorflow()
    model = tf.keras.applications.ResNet50(weights=None, classifier_activation=None)
    model.load_weights(choice.weights)
    return model


def memory(choice: ModelChoice) -> dict[str, int]:
    """Return what a process of its own takes: TensorFlow alone, and at its peak with gradients."""
    code = """
import resource, sys, numpy as np, vidsal, psutil
from vidsal.frames import Request
from vidsal.static.models import ModelChoice, load_tensorflow, open_static
load_tensorflow()
alone = psutil.Process().memory_info().rss
settings = vidsal.Settings(model="resnet50", batch=16)
stage = open_static(ModelChoice("resnet50", sys.argv[1]), settings)
rgb = np.random.default_rng(0).integers(0, 256, (16, 224, 224, 3), np.uint8)
for _ in range(4):
    stage.maps(rgb, [Request(n, 1) for n in range(16)])
print(alone // 2**20, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 2**10)
"""
    alone, peak = (int(word) for word in _child(code, str(choice.weights)).split())
    return {"tensorflow_alone_mb": alone, "peak_mb": peak, "gradient_stage_mb": peak - alone}


def start_up(choice: ModelChoice) -> dict[str, float]:
    """Return seconds from the start of a process to TensorFlow's import, and to the first map.

    The better of two each: the first finds the files not yet in memory.
    """
    imported_s = min(_reached("import tensorflow") for _ in range(2))
    code = """
import sys, numpy as np, vidsal
from vidsal.frames import Request
from vidsal.static.models import ModelChoice, open_static
settings = vidsal.Settings(model="resnet50", batch=16)
stage = open_static(ModelChoice("resnet50", sys.argv[1]), settings)
rgb = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), np.uint8)
stage.maps(rgb, [Request(0, 16)])
"""
    map_s = min(_reached(code, str(choice.weights)) for _ in range(2))
    return {
        "import_tensorflow_s": round(imported_s, 2), "first_map_s": round(map_s, 2),
        "ours_s": round(map_s - imported_s, 2), "cores": psutil.cpu_count() or 0,
    }  # fmt: skip


def _reached(code: str, *arguments: str) -> float:
    """Return the seconds from the start of a process until it has come to the end of a code."""
    started = time.time()
    return float(_child(code + "\nimport time; print(time.time())", *arguments)) - started


def _child(code: str, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    ).stdout  # fmt: skip


if __name__ == "__main__":
    main()
