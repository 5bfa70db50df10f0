"""Feed vidsal mutated files: each ends in a valid output or one line, and leaves nothing behind.

    python scripts/fuzz.py [--count 500] [--seed 0] [--workers 2] [FILE ...]

Files are truncated, have bytes flipped or overwritten, parts swapped, removed, doubled, or the head
of another file. Each runs as its own process, as a user's would. Exit code 1 if any broke a rule.
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
# A whole picture whose sound cannot be added stays, and the line names it.
KEPT = "out.silent.mp4"
LIMIT_S = 20.0


def truncated(data: bytearray, rng: random.Random, _: bytes) -> bytearray:
    return data[: rng.randrange(len(data) + 1)]


def flipped(data: bytearray, rng: random.Random, _: bytes) -> bytearray:
    for _n in range(rng.choice([1, 10, 100, 1000])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return data


def overwritten(data: bytearray, rng: random.Random, _: bytes) -> bytearray:
    at, length = rng.randrange(len(data)), rng.choice([4, 64, 4096])
    data[at : at + length] = rng.randbytes(min(length, len(data) - at))
    return data


def head_hurt(data: bytearray, rng: random.Random, _: bytes) -> bytearray:
    for _n in range(rng.choice([1, 4, 16])):
        data[rng.randrange(min(len(data), 1024))] = rng.choice([0, 1, 127, 128, 255])
    return data


def cut_out(data: bytearray, rng: random.Random, _: bytes) -> bytearray:
    at = rng.randrange(len(data))
    del data[at : at + rng.choice([1, 188, 5000])]
    return data


def doubled(data: bytearray, rng: random.Random, _: bytes) -> bytearray:
    at = rng.randrange(len(data))
    part = data[at : at + 5000]
    data[at:at] = part
    return data


def head_swapped(data: bytearray, rng: random.Random, other: bytes) -> bytearray:
    length = rng.choice([8, 64, 1024])
    data[:length] = other[:length]
    return data


MUTATIONS: list[Callable[[bytearray, random.Random, bytes], bytearray]] = [
    truncated, flipped, overwritten, head_hurt, cut_out, doubled, head_swapped,
]  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    files = options.files or sorted((ROOT / "sample_media").glob("*.mp4"))
    with tempfile.TemporaryDirectory() as folder:
        jobs = [
            (number, mutated(files, Path(folder), number, options.seed))
            for number in range(options.count)
        ]
        with ThreadPoolExecutor(options.workers) as pool:
            results = list(pool.map(lambda job: judged(*job), jobs))
    kinds = Counter(kind for kind, _ in results)
    for (number, (name, how)), (kind, why) in zip(jobs, results, strict=True):
        if kind == "BROKEN":
            print(f"{number}: {name.name} ({how}): {why}")
    print(", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())))
    left = [one.pid for one in psutil.Process().children(recursive=True)]
    if left:
        print(f"processes left: {left}")
    return 1 if kinds["BROKEN"] or left else 0


def mutated(files: list[Path], folder: Path, number: int, seed: int) -> tuple[Path, str]:
    """Write the `number`-th mutated file, and say what was done to it."""
    rng = random.Random(f"{seed} {number}")
    source, other = rng.choice(files), rng.choice(files)
    how = rng.sample(MUTATIONS, rng.choice([1, 1, 2]))
    data = bytearray(source.read_bytes())
    for one in how:
        data = one(data, rng, other.read_bytes()) if data else data
    here = folder / str(number)
    here.mkdir()
    path = here / f"in{source.suffix}"
    path.write_bytes(data)
    return path, f"{source.name}: {', '.join(one.__name__ for one in how)}"


def judged(number: int, job: tuple[Path, str]) -> tuple[str, str]:
    """Run one file; return whether the rules were kept, and what was wrong otherwise."""
    path, _ = job
    # Every fourth file through the strict way.
    strict = ["--strict"] if number % 4 == 3 else []
    began_s = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "vidsal", "run", path.name, "--model", "none", "-o", "out.mp4",
             *strict, "--end", "2"],
            cwd=path.parent, capture_output=True, text=True, timeout=3 * LIMIT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "BROKEN", "hangs"
    took_s = time.monotonic() - began_s
    left = sorted(one.name for one in path.parent.iterdir() if one != path)
    said = [line for line in done.stderr.splitlines() if line.startswith("vidsal: ")]
    wrong = ""
    if "Traceback" in done.stderr or re.search(r"\(\w+(Error|Exception);", done.stderr):
        wrong = "traceback, or an error without words of its own: " + done.stderr[-300:]
    elif took_s > LIMIT_S:
        wrong = f"took {took_s:.1f} s"
    elif done.returncode == 0:
        if left not in (["out.mp4"],) or not (found := inspect(path.parent / left[0]).picture):
            wrong = f"exit 0 with {left}"
        elif found.is_variable or found.frames < 1:
            wrong = "exit 0 with an output of no constant rate"
    # A photo is no video, which -o out.mp4 is for: wrong usage.
    elif done.returncode not in (1, 2) or not said:
        wrong = f"exit {done.returncode}, said {done.stderr[-300:]!r}"
    elif left and not (left == [KEPT] and KEPT in said[-1] and inspect(path.parent / KEPT).picture):
        wrong = f"exit {done.returncode}, left {left}"
    shutil.rmtree(path.parent)
    if wrong:
        return "BROKEN", wrong
    return ("written" if done.returncode == 0 else "one line"), ""


if __name__ == "__main__":
    sys.exit(main())
