"""Compare the rate of a batch with that of plain runs, on this machine.

    python scripts/bench_batch.py                       # one slot, in this process and on Ray
    python scripts/bench_batch.py --slots 2             # two slots against two plain runs

Each slot does clips of 20 s of 1280x720, one after the other. What counts is the wall time from the
end of the first clip of each slot to the end of the last clip of all. Starts, and loading networks,
are over by then if clips are not much shorter. What a task costs outside the work itself counts:
handing out steps, receipts, moving files. The same is measured of plain runs.

One slot: `vidsal.run_all` in this process, against a batch in this process and one on a slot of a
local Ray cluster. Two slots: two processes of `vidsal run` at a time, against two slots of a local
Ray cluster; all four have half of the threads. Turns alternate. Run it on a quiet machine: it says
so if the load is above 1.

Needs Ray for the turns on a cluster.
"""

import argparse
import dataclasses
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
from vidsal.runtime.cores import usable_cores
from vidsal.runtime.workers import thread_variables

# A load above this many processes makes the figures worthless.
_QUIET = 1.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slots", type=int, default=1, choices=[1, 2])
    parser.add_argument("--tasks", type=int, default=3, help="clips of each slot that are timed")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each kind")
    parser.add_argument("--seconds", type=float, default=20, help="length of a clip")
    parser.add_argument("--model", default="lite0")
    arguments = parser.parse_args()
    if os.getloadavg()[0] > _QUIET:
        print(f"the load is {os.getloadavg()[0]:.1f}: figures of a busy machine are not right")
    count = (arguments.tasks + 1) * arguments.slots
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = [made(folder / f"{n}.mp4", arguments.seconds, n) for n in range(count)]
        settings = vidsal.Settings(model=arguments.model)
        if arguments.slots == 1:
            turns: dict[str, Callable[[], float]] = {
                "plain runs": lambda: plain(clips, settings, new(folder)),
                "batch in this process": lambda: batch(clips, settings, new(folder)),
                "batch on a slot of Ray": lambda: batch_on_ray(clips, settings, new(folder), 1),
            }
        else:
            turns = {
                "two plain runs": lambda: two_plain(clips, settings, new(folder)),
                "two slots of Ray": lambda: batch_on_ray(clips, settings, new(folder), 2),
            }
        report(turns, arguments.rounds)


def made(path: Path, seconds: float, number: int) -> Path:
    """Write a clip of a moving test picture with grain, 25 frames per second; return its path."""
    source = f"testsrc2=size=1280x720:rate=25,noise=alls=8:allf=t:all_seed={number}"
    ffmpeg.convert(
        ["-f", "lavfi", "-i", source, "-t", str(seconds), "-c:v", "libx264", "-preset",
         "ultrafast", "-pix_fmt", "yuv420p", str(path)]
    )  # fmt: skip
    return path


def new(folder: Path) -> Path:
    """Return a new folder."""
    return Path(tempfile.mkdtemp(dir=folder))


class Ends:
    """When tasks ended."""

    def __init__(self) -> None:
        self._times_s: list[float] = []

    def tell(self, _: object) -> None:
        """Take the end of a task."""
        self._times_s.append(time.perf_counter())

    def span_s(self, tasks: int, slots: int) -> float:
        """Return the seconds from the end of the first task of each slot to the last end."""
        assert len(self._times_s) == tasks, f"{len(self._times_s)} of {tasks} tasks were told of"
        return self._times_s[-1] - self._times_s[slots - 1]


def plain(clips: Sequence[Path], settings: vidsal.Settings, out: Path) -> float:
    """Return the time of what ``vidsal run`` does, in this process."""
    ends = Ends()
    own = dataclasses.replace(settings, output=out)
    outcomes = vidsal.run_all(clips, own, progress=False, tell=ends.tell)
    assert not any(one.error for one in outcomes), outcomes
    return ends.span_s(len(clips), 1)


def batch(
    clips: Sequence[Path], settings: vidsal.Settings, out: Path, slots: int = 1, **options: object
) -> float:
    """Return the time of a batch."""
    ends = Ends()
    summary = vidsal.batch(
        clips, out, settings, progress=False, tell=ends.tell, **options  # type: ignore[arg-type]
    )  # fmt: skip
    assert summary.totals["done"] == len(clips), summary.results
    return ends.span_s(len(clips), slots)


def batch_on_ray(clips: Sequence[Path], settings: vidsal.Settings, out: Path, slots: int) -> float:
    """Return the time of a batch on a local cluster, whose slots share all cores."""
    cpus = max(1, usable_cores() // slots)
    return batch(clips, settings, out, slots, ray="local", cpus_per_actor=cpus)


def two_plain(clips: Sequence[Path], settings: vidsal.Settings, out: Path) -> float:
    """Return the time of two processes of ``vidsal run``, each with half of the clips."""
    ends = Ends()
    # Unbuffered: each prints the name of an output when that is written.
    command = [sys.executable, "-u", "-m", "vidsal", "run", "--model", settings.model_name]
    environment = os.environ | thread_variables(max(1, usable_cores() // 2))
    reading, writing = os.pipe()
    processes = [
        subprocess.Popen(
            [*command, *map(str, half), "-o", str(out / f"{n}")],
            stdout=writing, stderr=subprocess.DEVNULL, env=environment,
        )
        for n, half in enumerate([clips[::2], clips[1::2]])
    ]  # fmt: skip
    os.close(writing)
    with os.fdopen(reading) as lines:
        for line in lines:
            ends.tell(line)
    assert [one.wait() for one in processes] == [0, 0]
    return ends.span_s(len(clips), 2)


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
