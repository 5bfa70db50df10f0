"""Run vidsal on mutated files: each run must write a valid output or a one-line error.

    python scripts/fuzz.py [--count 500] [--seed 0] [--workers 2] [FILE ...]

A mutation truncates a file, flips or overwrites bytes, removes or repeats a part, or replaces the
first bytes by those of another file. Each run is a process of its own, as a user would start it. A
run must not leave other files or processes behind. The exit code is 1 if any run breaks a rule.

Needs psutil.
"""

import argparse
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from vidsal.media.probe import inspect

ROOT = Path(__file__).resolve().parent.parent
# vidsal keeps this file, and names it in the error, if it cannot add the sound to a whole picture.
SILENT_OUTPUT = "out.silent.mp4"
LIMIT_S = 20.0

Mutation = Callable[[bytearray, random.Random, bytes], bytearray]


def truncate(data: bytearray, rng: random.Random, _: bytes) -> bytearray:
    """Remove the end."""
    return data[: rng.randrange(len(data) + 1)]


def flip_bits(data: bytearray, rng: random.Random, _: bytes) -> bytearray:
    """Flip 1 to 1000 bits anywhere."""
    for _n in range(rng.choice([1, 10, 100, 1000])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return data


def overwrite_part(data: bytearray, rng: random.Random, _: bytes) -> bytearray:
    """Overwrite up to 4096 successive bytes with random ones."""
    start, length = rng.randrange(len(data)), rng.choice([4, 64, 4096])
    data[start : start + length] = rng.randbytes(min(length, len(data) - start))
    return data


def corrupt_header(data: bytearray, rng: random.Random, _: bytes) -> bytearray:
    """Set up to 16 of the first 1024 bytes to extreme values."""
    for _n in range(rng.choice([1, 4, 16])):
        data[rng.randrange(min(len(data), 1024))] = rng.choice([0, 1, 127, 128, 255])
    return data


def remove_part(data: bytearray, rng: random.Random, _: bytes) -> bytearray:
    """Remove up to 5000 successive bytes."""
    start = rng.randrange(len(data))
    del data[start : start + rng.choice([1, 188, 5000])]
    return data


def repeat_part(data: bytearray, rng: random.Random, _: bytes) -> bytearray:
    """Insert a copy of up to 5000 successive bytes before them."""
    start = rng.randrange(len(data))
    part = data[start : start + 5000]
    data[start:start] = part
    return data


def replace_header(data: bytearray, rng: random.Random, other: bytes) -> bytearray:
    """Replace the first bytes by those of another file."""
    length = rng.choice([8, 64, 1024])
    data[:length] = other[:length]
    return data


MUTATIONS: list[Mutation] = [
    truncate, flip_bits, overwrite_part, corrupt_header, remove_part, repeat_part, replace_header,
]  # fmt: skip


def main() -> int:
    """Run all files, print the broken rules, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "files", nargs="*", type=Path, help="files to mutate (default: the sample clips)"
    )
    parser.add_argument("--count", type=int, default=500, help="number of runs")
    parser.add_argument("--seed", type=int, default=0, help="seed of the mutations")
    parser.add_argument("--workers", type=int, default=2, help="runs at the same time")
    options = parser.parse_args()
    files = options.files or sorted((ROOT / "sample_media").glob("*.mp4"))
    with tempfile.TemporaryDirectory() as folder:
        cases = [
            write_mutated(files, Path(folder), number, options.seed)
            for number in range(options.count)
        ]
        with ThreadPoolExecutor(options.workers) as pool:
            results = list(pool.map(lambda case: run(*case), enumerate(path for path, _ in cases)))
    for number, ((_, description), (outcome, problem)) in enumerate(
        zip(cases, results, strict=True)
    ):
        if outcome == "BROKEN":
            print(f"{number}: {description}: {problem}")
    outcomes = Counter(outcome for outcome, _ in results)
    print(", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items())))
    processes = [process.pid for process in psutil.Process().children(recursive=True)]
    if processes:
        print(f"processes left behind: {processes}")
    return 1 if outcomes["BROKEN"] or processes else 0


def write_mutated(files: list[Path], folder: Path, number: int, seed: int) -> tuple[Path, str]:
    """Write the mutated file of a run; return its path, and the source and names of mutations."""
    rng = random.Random(f"{seed} {number}")
    source, other = rng.choice(files), rng.choice(files)
    mutations = rng.sample(MUTATIONS, rng.choice([1, 1, 2]))
    data = bytearray(source.read_bytes())
    for mutate in mutations:
        data = mutate(data, rng, other.read_bytes()) if data else data
    run_folder = folder / str(number)
    run_folder.mkdir()
    path = run_folder / f"in{source.suffix}"
    path.write_bytes(data)
    return path, f"{source.name}: {', '.join(mutate.__name__ for mutate in mutations)}"


def run(number: int, path: Path) -> tuple[str, str]:
    """Run vidsal on a file, and remove the file's folder.

    Returns
    -------
    outcome : str
        "written", "one line", or "BROKEN" if the run breaks a rule.
    problem : str
        The broken rule; empty if there is none.
    """
    # Every fourth run uses --strict.
    strict = ["--strict"] if number % 4 == 3 else []
    start_s = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "vidsal", "run", path.name, "--model", "none", "-o", "out.mp4",
             *strict, "--end", "2"],
            cwd=path.parent, capture_output=True, text=True, timeout=3 * LIMIT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "BROKEN", f"did not end within {3 * LIMIT_S:g} s"
    problem = broken_rule(path, done, time.monotonic() - start_s)
    shutil.rmtree(path.parent)
    if problem:
        return "BROKEN", problem
    return ("written" if done.returncode == 0 else "one line"), ""


def broken_rule(path: Path, done: "subprocess.CompletedProcess[str]", duration_s: float) -> str:
    """Return which rule a finished run breaks; empty if none."""
    outputs = sorted(file.name for file in path.parent.iterdir() if file != path)
    errors = [line for line in done.stderr.splitlines() if line.startswith("vidsal: ")]
    end = done.stderr[-300:]
    if "Traceback" in done.stderr or re.search(r"\(\w+(Error|Exception);", done.stderr):
        return f"traceback, or an error without a message: {end}"
    if "without a reason" in done.stderr:
        return f"lost frames: {end}"
    if duration_s > LIMIT_S:
        return f"took {duration_s:.1f} s"
    if done.returncode == 0:
        return broken_output(path.parent, outputs)
    # Exit code 2 is right as well: a file may turn into a photo, and -o out.mp4 needs a video.
    if done.returncode not in (1, 2) or not errors:
        return f"exit code {done.returncode}, stderr {end!r}"
    is_silent_output = outputs == [SILENT_OUTPUT] and SILENT_OUTPUT in errors[-1]
    if outputs and not (is_silent_output and inspect(path.parent / SILENT_OUTPUT).picture):
        return f"exit code {done.returncode}, left {outputs}"
    return ""


def broken_output(folder: Path, outputs: list[str]) -> str:
    """Return what is wrong with the output of a successful run; empty if nothing is."""
    picture = inspect(folder / outputs[0]).picture if outputs == ["out.mp4"] else None
    if picture is None:
        return f"exit code 0 with {outputs}"
    if picture.is_variable or picture.frames < 1:
        return "exit code 0, but the output has no constant frame rate"
    return ""


if __name__ == "__main__":
    sys.exit(main())
