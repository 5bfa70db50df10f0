"""Measure class-score gradients: speed, memory, start-up time and, with data, quality.

    python scripts/bench_gradient.py --json bench.json
    python scripts/bench_gradient.py --data DIR --json bench.json   # adds the quality tables

Compared figures are measured in turn in one process and reported as ratios. ResNet50 has random
weights, which need the same arithmetic as trained ones. DIR holds the data sets ``gaze_video/``,
``davis2016/`` and ``osie/`` in the layouts that ``vidsal evaluate`` reads. tf-keras-vis is
measured where it is installed.

Needs the extra ``bench``.
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
from bench_pipeline import machine, random_weights
from bench_quality import quality
from bench_turns import steady_rate

import vidsal
from vidsal.runtime.prefetch import prefetch
from vidsal.saliency.stream import SaliencyStream
from vidsal.settings import Precision
from vidsal.static.models import ModelChoice, load_tensorflow, open_static
from vidsal.types import Frame, Request, Rgb

# The usual count for ResNet50, forward and backward pass. The form that Keras publishes needs
# 15.4, and 13.9 with early striding. A share above 1 is therefore possible.
GFLOP_PER_FRAME = 16.4
SIDE, BATCH, SAMPLES = 224, 16, 16
# A frame of 16:9 at the default short side.
WIDE = (256, 448)
PLAIN = vidsal.Settings(model="resnet50", method="gradient", target="top1", batch=BATCH)

# Both run in a process of their own: sys.argv[1] is the weights file.
MEMORY_CODE = """
import resource, sys, numpy as np, vidsal, psutil
from vidsal.static.models import ModelChoice, load_tensorflow, open_static
from vidsal.types import Request
load_tensorflow()
baseline = psutil.Process().memory_info().rss
settings = vidsal.Settings(model="resnet50", batch=16)
stage = open_static(ModelChoice("resnet50", sys.argv[1]), settings)
rgb = np.random.default_rng(0).integers(0, 256, (16, 224, 224, 3), np.uint8)
for _ in range(4):
    stage.maps(rgb, [Request(n, 1) for n in range(16)])
print(baseline // 2**20, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 2**10)
"""
FIRST_MAP_CODE = """
import sys, numpy as np, vidsal
from vidsal.static.models import ModelChoice, open_static
from vidsal.types import Request
settings = vidsal.Settings(model="resnet50", batch=16)
stage = open_static(ModelChoice("resnet50", sys.argv[1]), settings)
rgb = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), np.uint8)
stage.maps(rgb, [Request(0, 16)])
"""


def main() -> None:
    """Measure, print the figures and write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--data", type=Path, help="folder of data sets with ground truth")
    parser.add_argument(
        "--frames-per-clip", type=int, default=12, help="scored frames per clip (default: 12)"
    )
    parser.add_argument(
        "--skip-speed", action="store_true", help="measure quality only; needs --data"
    )
    arguments = parser.parse_args()
    figures: dict[str, Any] = {"machine": machine(), "vidsal": vidsal.__version__}
    if not arguments.skip_speed:
        with tempfile.TemporaryDirectory() as folder:
            choice = ModelChoice("resnet50", random_weights(Path(folder) / "r.weights.h5"))
            figures |= {"start_up": start_up(choice), "speed": speed(choice)}
            figures["memory"] = memory(choice)
    if arguments.data:
        figures["quality"] = quality(arguments.data, arguments.frames_per_clip)
    print("\n".join(flattened(figures)))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def flattened(figures: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield one line per figure: its path in the JSON and its value."""
    for name, value in figures.items():
        path = f"{prefix} / {name}" if prefix else name
        if isinstance(value, dict):
            yield from flattened(value, path)
        else:
            yield f"{path:<66} {value}"


def shortest_s(function: Callable[[], Any], repeats: int) -> float:
    """Return the shortest duration of several calls, in seconds, after one warm-up call."""
    return shortest_in_turn_s(function, rounds=repeats)[0]


def shortest_in_turn_s(*functions: Callable[[], Any], rounds: int) -> list[float]:
    """Return the shortest duration of each function, in seconds.

    The functions take turns, so that other load on the machine affects all of them alike.
    """

    def duration_s(function: Callable[[], Any]) -> float:
        start = time.perf_counter()
        function()
        return time.perf_counter() - start

    for function in functions:
        function()
    durations = [map(duration_s, functions) for _ in range(rounds)]
    return [min(times) for times in zip(*durations, strict=True)]


def matrix_product(dtype: str) -> tuple[Callable[[], Any], float]:
    """Return a function that multiplies two 4096 x 4096 matrices, and its number of GFLOP."""
    tf = load_tensorflow()
    size = 4096
    generator = tf.random.Generator.from_seed(0)
    left, right = (tf.cast(generator.normal((size, size)), dtype) for _ in range(2))
    product = tf.function(lambda a, b: tf.linalg.matmul(a, b))
    return lambda: product(left, right).numpy(), 2 * size**3 / 1e9


def pictures(count: int) -> Rgb:
    """Return frames of blocky noise that moves by 2 px per frame, (count, 224, 224, 3) uint8."""
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 256, (SIDE // 8, SIDE // 8 + count, 3), dtype=np.uint8)
    large = texture.repeat(8, axis=0).repeat(8, axis=1)
    return np.stack([large[:, 2 * n : 2 * n + SIDE] for n in range(count)])


def speed(choice: ModelChoice) -> dict[str, Any]:
    """Return frame rates and their ratios."""
    batch = pictures(BATCH)
    figures: dict[str, Any] = {
        precision: gradient_speed(choice, batch, precision) for precision in ("float32", "bfloat16")
    }
    vidsal_rate = flow_smoothgrad_rate(choice)
    lite0 = ModelChoice("lite0")
    figures["by_layer"] = {
        f"{one.name} {precision}": layer_speed(one, precision)
        for one in (lite0, choice)
        for precision in ("float32", "bfloat16")
    }
    figures["flow_smoothgrad_16"] = {"frames_per_s": round(vidsal_rate, 3)}
    others = {
        "eager_loop_smoothgrad_16": eager_rate(choice, batch),
        "tf_keras_vis_smoothgrad_16": tf_keras_vis_rate(choice, batch),
    }
    for name, rate in others.items():
        if rate is not None:
            figures[name] = {
                "frames_per_s": round(rate, 4), "vidsal_is_faster_by": round(vidsal_rate / rate, 1),
            }  # fmt: skip
    return figures


def gradient_speed(choice: ModelChoice, batch: Rgb, precision: Precision) -> dict[str, float]:
    """Return the rate of plain gradients, and its share of what a matrix product reaches."""
    stage = open_static(choice, dataclasses.replace(PLAIN, precision=precision))
    assert stage is not None
    requests = [Request(n, 1) for n in range(BATCH)]
    multiply, gflop = matrix_product(precision)
    product_s, gradients_s = shortest_in_turn_s(
        multiply, partial(stage.maps, batch, requests), rounds=8
    )
    gflops, rate = gflop / product_s, BATCH / gradients_s
    return {
        "matrix_product_gflops": round(gflops), "gradients_per_s": round(rate, 2),
        "share_of_matrix_product": round(rate * GFLOP_PER_FRAME / gflops, 3),
    }  # fmt: skip


def layer_speed(choice: ModelChoice, precision: Precision) -> dict[str, Any]:
    """Return the rate of noisy gradients by the default layer and by the picture, in turn.

    The share of the matrix product counts the operations of each graph itself.
    """
    height, width = WIDE
    rgb = np.random.default_rng(0).integers(0, 256, (BATCH, height, width, 3), np.uint8)
    requests = [Request(n, 1) for n in range(BATCH)]
    multiply, gflop = matrix_product(precision)
    stages: dict[str, Any] = {}
    for layer in ("auto", "input"):
        settings = vidsal.Settings(model="lite0", batch=BATCH, layer=layer, precision=precision)
        stages[layer] = open_static(choice, settings)
    runs = [partial(stage.maps, rgb, requests) for stage in stages.values()]
    product_s, *times_s = shortest_in_turn_s(multiply, *runs, rounds=6)
    figures: dict[str, Any] = {}
    for (layer, stage), duration_s in zip(stages.items(), times_s, strict=True):
        work = gflop_of(stage)
        share = BATCH * work / duration_s / (gflop / product_s)
        figures[layer] = {
            "layer": "+".join(stage.chosen_layers(height, width)),
            "gradients_per_s": round(BATCH / duration_s, 2), "gflop": round(work, 2),
            "share_of_matrix_product": round(share, 3),
        }  # fmt: skip
    figures["auto_is_faster_by"] = round(times_s[1] / times_s[0], 2)
    return figures


def gflop_of(stage: Any) -> float:
    """Return the billions of operations that a row of a stage's gradient graph needs.

    Multiplications and additions of convolutions and matrix products, forwards and backwards.
    """
    total = 0.0
    graph = next(graph for key, graph in stage._graphs.items() if key[0] == "maps").graph
    for operation in graph.get_operations():
        kind = operation.type
        is_back = kind.endswith("BackpropInput")
        if kind not in ("Conv2D", "DepthwiseConv2dNative", "MatMul") and not is_back:
            continue
        # The forward output, or its derivative, has one product of the kernel's size at each place.
        maps = operation.inputs[2] if is_back else operation.outputs[0]
        kernel = operation.inputs[1].shape.as_list()
        if kind == "MatMul":
            total += 2.0 * kernel[0] * kernel[1]
            continue
        rows, columns, channels = maps.shape.as_list()[1:]
        inputs = 1 if "Depthwise" in kind else kernel[2]
        total += 2.0 * rows * columns * channels * kernel[0] * kernel[1] * inputs
    return total / 1e9


def flow_smoothgrad_rate(choice: ModelChoice) -> float:
    """Return the frames/s of static saliency with its default method, optical flow included."""
    settings = vidsal.Settings(
        model="resnet50", batch=BATCH, samples=SAMPLES, short_side=SIDE, static_every=1
    )
    stage = open_static(choice, settings)
    frames = [Frame(rgb, n, n / 25) for n, rgb in enumerate(pictures(8 * BATCH))]
    times = []
    read_ahead = partial(prefetch, depth=BATCH)
    for _ in SaliencyStream(stage, settings, batch=BATCH, read_ahead=read_ahead).analyse(frames):
        times.append(time.perf_counter())
    return steady_rate(times)


def eager_rate(choice: ModelChoice, batch: Rgb) -> float:
    """Return the frames/s of SmoothGrad as tutorials write it.

    An eager loop draws 16 samples per picture. Each sample is one call with a gradient tape.
    """
    tf = load_tensorflow()
    model = keras_model(choice)
    prepare = tf.keras.applications.resnet50.preprocess_input

    def smoothgrad(rgb: Rgb) -> Any:
        total = 0
        for _ in range(SAMPLES):
            noisy = tf.cast(rgb[None], tf.float32) + tf.random.normal((1, *rgb.shape)) * 38.0
            with tf.GradientTape() as tape:
                tape.watch(noisy)
                logits = model(prepare(noisy), training=False)
                score = tf.reduce_max(logits, axis=-1)
            total += tf.reduce_max(tf.abs(tape.gradient(score, noisy)), axis=-1)
        return total / SAMPLES

    return 1 / shortest_s(lambda: smoothgrad(batch[0]).numpy(), 3)


def tf_keras_vis_rate(choice: ModelChoice, batch: Rgb) -> float | None:
    """Return the frames/s of SmoothGrad (16 samples) in tf-keras-vis, or None without it."""
    try:
        from tf_keras_vis.saliency import Saliency
    except ImportError:
        return None
    tf = load_tensorflow()
    saliency = Saliency(keras_model(choice), clone=False)
    prepared = tf.keras.applications.resnet50.preprocess_input(batch.astype(np.float32))

    def smoothgrad() -> Any:
        return saliency(
            lambda output: tf.reduce_max(output, axis=-1), prepared[:1],
            smooth_samples=SAMPLES, smooth_noise=0.15,
        )  # fmt: skip

    return 1 / shortest_s(smoothgrad, 3)


def keras_model(choice: ModelChoice) -> Any:
    """Return ResNet50 as Keras builds it: batch normalisation is not folded, no graph is traced."""
    tf = load_tensorflow()
    model = tf.keras.applications.ResNet50(weights=None, classifier_activation=None)
    model.load_weights(choice.weights)
    return model


def memory(choice: ModelChoice) -> dict[str, int]:
    """Return the memory of a process in MiB: with TensorFlow alone, and its peak with gradients."""
    output = _run_python(MEMORY_CODE, str(choice.weights))
    baseline, peak = (int(number) for number in output.split())
    return {"tensorflow_alone_mb": baseline, "peak_mb": peak, "gradient_stage_mb": peak - baseline}


def start_up(choice: ModelChoice) -> dict[str, float]:
    """Return the time from the start of a process to TensorFlow's import and to the first map.

    Each is the shorter of two runs: the first run may read its files from the disk.
    """
    imported_s = min(_process_s("import tensorflow") for _ in range(2))
    map_s = min(_process_s(FIRST_MAP_CODE, str(choice.weights)) for _ in range(2))
    return {
        "import_tensorflow_s": round(imported_s, 2), "first_map_s": round(map_s, 2),
        "vidsal_s": round(map_s - imported_s, 2), "cores": psutil.cpu_count() or 0,
    }  # fmt: skip


def _process_s(code: str, *arguments: str) -> float:
    """Return the seconds from the start of a Python process to the last line of its code."""
    start_s = time.time()
    return float(_run_python(code + "\nimport time; print(time.time())", *arguments)) - start_s


def _run_python(code: str, *arguments: str) -> str:
    """Run code in a new Python process; return what it prints on stdout."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    ).stdout  # fmt: skip


if __name__ == "__main__":
    main()
