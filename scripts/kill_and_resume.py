"""Kill `vidsal run --resume` at random moments, and see that what comes out is the same as ever.

    python scripts/kill_and_resume.py CLIP [--kills 10] [--seed 0] [--model none] [OPTION ...]

One run is left alone. Others are killed with SIGKILL at moments drawn from its length, and gone on
with by the same command; one that ends before its moment comes is compared with the first, and
the next begins anew. Compared are the decoded pictures, the decoded sound, the table and the maps.
The exit code is 1 where anything differs.

Needs PyAV (``pip install av``). A clip of less than two segments, 10 s, tells little.
"""

import argparse
import hashlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import av

# The programme's start takes up to so much of a run's length; killing it then tests nothing.
_START_S = 0.5


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison that a command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="none")
    parser.add_argument("--suffix", default=".mp4", help="of the video that is written")
    # What else there is are options of vidsal run.
    asked, options = parser.parse_known_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        words = ["--model", asked.model, *options]
        commands = [
            _command(asked.clip, Path(folder), name, asked.suffix, words)
            for name in ("whole", "killed")
        ]
        return _compare(commands[0], commands[1], random.Random(asked.seed), asked.kills)


class _Command:
    """A command line, and the files that it writes."""

    def __init__(self, words: list[str], output: Path, table: Path, maps: Path) -> None:
        self.words, self.output, self.table, self.maps = words, output, table, maps

    @property
    def parts(self) -> Path:
        """The folder of finished segments."""
        return self.output.with_name(self.output.name + ".parts")

    def segments(self) -> int:
        """How many finished segments are kept."""
        return sum(one.name.isdigit() for one in self.parts.glob("*"))

    def remove(self) -> None:
        """Remove what was written."""
        self.output.unlink()
        self.table.unlink()
        shutil.rmtree(self.maps)


def _command(clip: Path, folder: Path, name: str, suffix: str, options: list[str]) -> _Command:
    output, table, maps = folder / f"{name}{suffix}", folder / f"{name}.csv", folder / name
    words = [sys.executable, "-m", "vidsal", "run", str(clip), "--resume", "-o", str(output)]
    words += ["--table", str(table), "--maps", str(maps), *options]
    return _Command(words, output, table, maps)


def _compare(whole: _Command, killed: _Command, rng: random.Random, kills: int) -> int:
    began = time.perf_counter()
    subprocess.run(whole.words, check=True, stdout=subprocess.DEVNULL)
    length_s = time.perf_counter() - began
    expected = dict(_contents(whole))
    pictures = sum(1 for name in expected if name.startswith("picture"))
    print(f"left alone: {length_s:.1f} s, {pictures} pictures, {len(expected)} things to compare")
    print("| kill | after, s | segments before | after it |\n|---|---|---|---|")
    done, differing, is_begun = 0, 0, False
    # The last round is left alone, so that what was begun is seen to its end.
    while done < kills or is_begun:
        before = killed.segments()
        moment_s = rng.uniform(_START_S, length_s) if done < kills else None
        began = time.perf_counter()
        code = _run(killed, moment_s)
        if code is None:
            done += 1
            print(f"| {done} | {moment_s:.1f} | {before} | {killed.segments()} |", flush=True)
            # A process may be killed after its work, too.
            is_begun = killed.parts.exists() or not killed.output.exists()
            if is_begun:
                continue
        elif code:
            print(f"vidsal ended with exit code {code}")
            return 1
        if not is_begun and code is not None:
            # The first run may have been slow: it loads everything from the disk.
            length_s = min(length_s, time.perf_counter() - began)
        is_begun = False
        differing += _differ(expected, dict(_contents(killed)))
        left = sorted(one.name for one in killed.output.parent.glob(f"*{killed.output.name}?*"))
        differing += len(left)
        print(f"| | whole, {differing} differences | left behind: {len(left)} | |", flush=True)
        killed.remove()
    return int(bool(differing))


def _run(command: _Command, moment_s: float | None) -> int | None:
    """Run a command, killed at a moment; return its exit code, or None where it was killed."""
    process = subprocess.Popen(
        command.words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        _, words = process.communicate(timeout=moment_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return None
    if process.returncode:
        print(words, file=sys.stderr)
    return process.returncode


def _contents(command: _Command) -> Iterator[tuple[str, str]]:
    """Yield a name and a checksum for each picture, the sound, the table and each map."""
    with av.open(str(command.output)) as file:
        for n, frame in enumerate(file.decode(file.streams.video[0])):
            pixels = frame.to_ndarray(format="rgb24").tobytes()
            yield f"picture {n}", f"{frame.pts} {hashlib.sha256(pixels).hexdigest()}"
    with av.open(str(command.output)) as file:
        sound = hashlib.sha256()
        for stream in file.streams.audio[:1]:
            for part in file.decode(stream):
                sound.update(f"{part.pts}".encode() + part.to_ndarray().tobytes())
        yield "sound", sound.hexdigest()
    yield "table", hashlib.sha256(command.table.read_bytes()).hexdigest()
    for path in sorted(command.maps.rglob("*.png")):
        yield str(path.relative_to(command.maps)), hashlib.sha256(path.read_bytes()).hexdigest()


def _differ(expected: dict[str, str], found: dict[str, str]) -> int:
    """Return how many things differ, and print the first of them."""
    names = [one for one in {**expected, **found} if expected.get(one) != found.get(one)]
    if names:
        print(f"differing: {len(names)}, such as {', '.join(names[:3])}")
    return len(names)


if __name__ == "__main__":
    sys.exit(main())
