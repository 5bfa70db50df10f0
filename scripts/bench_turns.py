"""One turn of a benchmark: a child process that measures one thing and prints it as JSON.

`bench_pipeline.py` starts it with the folder of the version to measure first on Python's path; it
is not a command. Of vidsal, a run uses only what each version has had: `vidsal.run` and `Settings`.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

# Takes results and their number, and hands the results on.
Watch = Callable[[Iterable[Any], int | None], Iterator[Any]]
# Processor time is read at every so many frames: it takes a millisecond.
_READ_EVERY = 16


@dataclass
class Turn:
    """What one child measured.

    Attributes
    ----------
    rate : float
        Frames per second, without the start.
    cpu_ms : dict of str to float
        Milliseconds of processor time a frame, by who used it, without the start: ``network`` and
        ``opencv`` (their pools of threads), ``vidsal`` (all other threads, which also do a part of
        the network's work), and ``ffmpeg``.
    stages : list of str
        Lines of the table of stages, the start included.
    rss_mib : list of float
        Resident memory at each frame.
    """

    rate: float
    cpu_ms: dict[str, float] = field(default_factory=dict)
    stages: list[str] = field(default_factory=list)
    rss_mib: list[float] = field(default_factory=list)


class Threads:
    """Processor time of this process by pool of threads, and of its child processes.

    Only Linux tells threads apart; elsewhere all are "vidsal". OpenCV's pool is started first and
    TensorFlow's after it, so that the threads are known by when they appeared.
    """

    def __init__(self, *, has_network: bool) -> None:
        self._pools: dict[str, set[str]] = {}
        before = _thread_ids()
        import cv2

        noise = np.zeros((720, 1280, 3), np.uint8)
        cv2.GaussianBlur(noise, (0, 0), 3)
        cv2.resize(noise, (320, 180), interpolation=cv2.INTER_AREA)
        self._pools["opencv"] = _thread_ids() - before
        if not has_network:
            return
        before = _thread_ids()
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        import tensorflow as tf

        image = tf.ones((8, 64, 64, 16))
        tf.function(lambda x: tf.nn.conv2d(x, tf.ones((3, 3, 16, 16)), 1, "SAME"))(image)
        self._pools["network"] = _thread_ids() - before

    def used_s(self) -> dict[str, float]:
        """Return the seconds of processor time so far, by pool."""
        whole = psutil.Process()
        used = dict.fromkeys(("network", "opencv", "vidsal", "ffmpeg"), 0.0)
        mine = whole.cpu_times()
        used["vidsal"] = mine.user + mine.system
        for name, ids in self._pools.items():
            used[name] = sum(map(_thread_s, ids))
            used["vidsal"] -= used[name]
        # Children that have ended count, too.
        used["ffmpeg"] = mine.children_user + mine.children_system
        for child in whole.children(recursive=True):
            try:
                times = child.cpu_times()
            except psutil.NoSuchProcess:
                continue
            used["ffmpeg"] += times.user + times.system
        return used


def _thread_ids() -> set[str]:
    folder = Path("/proc/self/task")
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def _thread_s(thread: str) -> float:
    try:
        line = Path(f"/proc/self/task/{thread}/stat").read_text()
    except OSError:
        return 0.0
    user, system = line.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


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


def timed_run(clip: str, options: dict[str, Any]) -> Turn:
    """Return the rate, the processor time by pool and the memory of `vidsal run`."""
    threads = Threads(has_network=options["model"] != "none")
    import vidsal

    settings = vidsal.Settings(**options)
    return _timed(threads, lambda watch: vidsal.run(clip, settings, progress=watch))


def timed_render(store: str, options: dict[str, Any]) -> Turn:
    """Return the same of `vidsal render`."""
    threads = Threads(has_network=False)
    import vidsal

    return _timed(threads, lambda watch: vidsal.render_store(store, progress=watch, **options))


def _timed(threads: Threads, work: Callable[[Watch], Any]) -> Turn:
    """Return what a work measured that hands its results to a watcher."""
    import logging

    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("vidsal").addHandler(handler)
    logging.getLogger("vidsal").setLevel(logging.INFO)
    process = psutil.Process()
    times: list[float] = []
    rss_mib: list[float] = []
    used: list[tuple[int, dict[str, float]]] = []

    def record(items: Iterable[Any], total: int | None) -> Iterator[Any]:
        for n, item in enumerate(items):
            times.append(time.perf_counter())
            rss_mib.append(process.memory_info().rss / 2**20)
            if n % _READ_EVERY == 0:
                used.append((n, threads.used_s()))
            yield item

    work(record)
    # The first quarter includes the start.
    (first, before), (last, after) = used[len(used) // 4], used[-1]
    each_ms = {
        name: 1000 * (after[name] - before[name]) / max(1, last - first)
        for name in before
    }  # fmt: skip
    heads = [n for n, line in enumerate(lines) if line.startswith("stage ")]
    stages = lines[heads[-1] :] if heads else []
    return Turn(steady_rate(times), each_ms, stages, rss_mib)


def bare_calls(size: tuple[int, int], options: dict[str, Any], repeats: int = 8) -> Turn:
    """Return the median rate of gradient calls on a prepared batch, after two that warm up."""
    import vidsal
    from vidsal.saliency.static_stage import network_size
    from vidsal.static.models import choose, open_static
    from vidsal.types import Request

    settings = vidsal.Settings(**options)
    stage = open_static(choose(settings), settings)
    assert stage is not None
    height, width = stage.input_size or network_size(*size, settings.short_side)
    shape = (settings.batch, height, width, 3)
    batch = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    requests = [Request(n, 1) for n in range(settings.batch)]
    times = []
    for _ in range(repeats + 2):
        began_s = time.perf_counter()
        stage.maps(batch, requests)
        times.append(time.perf_counter() - began_s)
    return Turn(settings.batch / float(np.median(times[2:])))


def naive_loop(clip: str, options: dict[str, Any], seconds: float = 12.0) -> Turn:
    """Return the rate of the loop that a tutorial would write, over the first seconds of work.

    ResNet50, one eager tape call for each frame, by the pixels; flow at the picture's full size;
    both maps scaled by their maximum and added; OpenCV draws and writes.
    """
    import cv2

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import tensorflow as tf

    model = keras.applications.ResNet50(weights=None, classifier_activation=None)
    prepare = keras.applications.resnet50.preprocess_input
    capture = cv2.VideoCapture(clip)
    width, height = (
        int(capture.get(one)) for one in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
    )
    writer = cv2.VideoWriter(
        str(Path(options["output"]).with_suffix(".avi")), cv2.VideoWriter.fourcc(*"mp4v"), 25,
        (width, height),
    )  # fmt: skip
    empty: Any = None
    before: Any = None
    times: list[float] = []
    began_s = time.perf_counter()
    while time.perf_counter() - began_s < seconds:
        came, frame = capture.read()
        if not came:
            break
        grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        if before is None:
            before = grey
        pixels = cv2.cvtColor(cv2.resize(frame, (224, 224)), cv2.COLOR_BGR2RGB)
        point = tf.constant(pixels[None].astype(np.float32))
        with tf.GradientTape() as tape:
            tape.watch(point)
            score = tf.reduce_max(model(prepare(point), training=False))
        static = np.abs(tape.gradient(score, point).numpy()[0]).max(axis=-1)
        flow = cv2.calcOpticalFlowFarneback(before, grey, empty, 0.5, 3, 15, 3, 5, 1.2, 0)
        dynamic = np.linalg.norm(flow, axis=-1)
        static = cv2.resize(static, (width, height))
        fused = static / max(static.max(), 1e-9) + dynamic / max(dynamic.max(), 1e-9)
        heat = cv2.applyColorMap((127 * fused).astype(np.uint8), cv2.COLORMAP_JET)
        writer.write(cv2.addWeighted(frame, 0.5, heat, 0.5, 0))
        before = grey
        times.append(time.perf_counter())
    writer.release()
    # The first two frames include the start of TensorFlow.
    return Turn((len(times) - 3) / (times[-1] - times[2]))


def main() -> None:
    """Do what the JSON on the command line says, and print the result."""
    job = json.loads(sys.argv[1])
    kind = job.pop("kind")
    kinds: dict[str, Any] = {
        "run": timed_run,
        "render": timed_render,
        "bare": bare_calls,
        "naive": naive_loop,
    }
    turn = kinds[kind](**job)
    print(json.dumps(asdict(turn)))


if __name__ == "__main__":
    main()
