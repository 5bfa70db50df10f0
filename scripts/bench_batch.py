"""Compare the rate of a batch with that of plain runs, on this machine.

    python scripts/bench_batch.py                       # one slot, in this process and on Ray
    python scripts/bench_batch.py --slots 2             # two slots against two plain runs

One slot: tasks of 20 s of 1280x720, one after the other. `vidsal.run` does the same clips in the
same process, with a network that is loaded before the clock starts, as a slot has one after its
first task. Two slots: two processes of plain `vidsal run` at a time against two slots of a local
Ray cluster; starts count for both, and the cluster's own start does not, as a cluster runs already.
Turns alternate. Run it on a quiet machine: it says so if the load is above 1.

Needs Ray for the turns on a cluster.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import vidsal
from vidsal.media import ffmpeg
from vidsal.pipeline import process
from vidsal.static.models import Network

# A load above this many processes makes the figures worthless.
_QUIET = 1.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slots", type=int, default=1, choices=[1, 2])
    parser.add_argument("--tasks", type=int, default=3, help="clips of each turn")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each kind")
    parser.add_argument("--seconds", type=float, default=20, help="length of a clip")
    parser.add_argument("--model", default="lite0")
    arguments = parser.parse_args()
    if os.getloadavg()[0] > _QUIET:
        print(f"the load is {os.getloadavg()[0]:.1f}: figures of a busy machine are not right")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = [made(folder / f"{n}.mp4", arguments.seconds, n) for n in range(arguments.tasks)]
        settings = vidsal.Settings(model=arguments.model, overwrite=True)
        measure = in_one_slot if arguments.slots == 1 else in_two_slots
        measure(clips, settings, arguments.rounds, folder)


def made(path: Path, seconds: float, number: int) -> Path:
    """Write a clip of a moving test picture with grain, 25 frames per second; return its path."""
    source = f"testsrc2=size=1280x720:rate=25,noise=alls=8:allf=t:all_seed={number}"
    ffmpeg.convert(
        ["-f", "lavfi", "-i", source, "-t", str(seconds), "-c:v", "libx264", "-preset",
         "ultrafast", "-pix_fmt", "yuv420p", str(path)]
    )  # fmt: skip
    return path


def in_one_slot(
    clips: Sequence[Path], settings: vidsal.Settings, rounds: int, folder: Path
) -> None:
    """Compare plain runs with a batch in this process, and with a slot of a cluster."""
    network = Network(settings)
    process(clips[0], with_output(settings, folder / "warm.mp4"), network=network)

    def plain() -> float:
        began_s = time.perf_counter()
        for clip in clips:
            process(clip, with_output(settings, folder / "plain.mp4"), network=network)
        return time.perf_counter() - began_s

    # The first task of each batch loads a network, which is no overhead of a task.
    def batch(place: Path, **options: object) -> float:
        given = [clips[0].with_name("first.mp4"), *clips]
        given[0].write_bytes(clips[0].read_bytes())
        out = Path(tempfile.mkdtemp(dir=place))
        summary = vidsal.run_batch(given, out, settings, progress=False, **options)  # type: ignore[arg-type]
        assert summary.totals["done"] == len(given), summary.results
        return sum(one.seconds for one in summary.results[1:])

    turns: dict[str, Callable[[], float]] = {
        "plain runs": plain,
        "batch in this process": lambda: batch(folder),
        "batch on a slot of Ray": lambda: batch(
            folder, ray="local", slots=1, cpus_per_actor=os.cpu_count() or 1
        ),
    }
    report(turns, rounds)


def in_two_slots(
    clips: Sequence[Path], settings: vidsal.Settings, rounds: int, folder: Path
) -> None:
    """Compare two plain runs at a time with two slots of a cluster."""
    import ray

    halves = [clips[::2], clips[1::2]]

    def plain() -> float:
        began_s = time.perf_counter()
        command = [sys.executable, "-m", "vidsal", "run", "--model", settings.model_name]
        processes = [
            subprocess.Popen(
                [*command, *map(str, half), "-o", str(folder / f"plain{n}"), "--overwrite"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
            for n, half in enumerate(halves)
        ]  # fmt: skip
        assert [one.wait() for one in processes] == [0, 0]
        return time.perf_counter() - began_s

    def batch() -> float:
        began_s = time.perf_counter()
        out = Path(tempfile.mkdtemp(dir=folder))
        summary = vidsal.run_batch(clips, out, settings, ray="local", slots=2, progress=False)
        assert summary.totals["done"] == len(clips), summary.results
        return time.perf_counter() - began_s

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        report({"two plain runs": plain, "two slots": batch}, rounds)
    finally:
        ray.shutdown()


def with_output(settings: vidsal.Settings, output: Path) -> vidsal.Settings:
    """Return settings that write to a file."""
    import dataclasses

    return dataclasses.replace(settings, output=output)


def report(turns: dict[str, Callable[[], float]], rounds: int) -> None:
    """Run the turns alternately; print the medians, and the ratios to the first kind."""
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(rounds):
        for name, turn in turns.items():
            seconds[name].append(turn())
    first = next(iter(turns))
    for name, measured in seconds.items():
        ratios = sorted(a / b for a, b in zip(seconds[first], measured, strict=True))
        print(
            f"{name:<24}{statistics.median(measured):7.1f} s   "
            f"{100 * statistics.median(ratios):5.1f} % of the rate of {first} "
            f"({100 * ratios[0]:.1f} to {100 * ratios[-1]:.1f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
