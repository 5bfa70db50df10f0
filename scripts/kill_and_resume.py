"""Kill `vidsal run --resume` at random moments, and compare the outputs with an undisturbed run.

    python scripts/kill_and_resume.py CLIP [--kills 10] [--seed 0] [--model none] [--keep]
                                           [OPTION ...]

The first run is not disturbed. Then the same command is started again and again, and killed with
SIGKILL at random moments of the first run's duration. Each start resumes the killed run. A run that
ends before its moment is compared with the first one, and the next start begins anew. The script
compares the decoded pictures, the decoded sound, the table and the maps, and with --keep the files
of the store. The exit code is 1 if anything differs. Unknown options are passed on to `vidsal run`.

Needs PyAV (``pip install av``). A clip should have at least two segments, 10 s.
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

# Start-up takes up to this long. A kill during start-up tests nothing.
_START_UP_S = 0.5


def main(arguments: Sequence[str] | None = None) -> int:
    """Kill and resume runs, and compare their outputs.

    Parameters
    ----------
    arguments : sequence of str, optional
        Command-line arguments; default: those of the process.

    Returns
    -------
    int
        0 if all outputs are equal, else 1.
    """
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("--kills", type=int, default=10, help="number of kills")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments")
    parser.add_argument("--model", default="none")
    parser.add_argument("--suffix", default=".mp4", help="suffix of the output video")
    parser.add_argument("--keep", action="store_true", help="keep stores, and compare them")
    options, run_options = parser.parse_known_args(arguments)
    run_options = ["--model", options.model, *run_options]
    with tempfile.TemporaryDirectory() as folder:
        reference, killed = (
            _Command(
                options.clip, Path(folder) / f"{name}{options.suffix}", run_options,
                is_kept=options.keep,
            )
            for name in ("reference", "killed")
        )  # fmt: skip
        return _compare(reference, killed, random.Random(options.seed), options.kills)


class _Command:
    """A command line of `vidsal run --resume`, and the files that it writes."""

    def __init__(self, clip: Path, output: Path, options: list[str], *, is_kept: bool) -> None:
        self.output = output
        self.table, self.maps = output.with_suffix(".csv"), output.with_suffix("")
        self.store = output.with_suffix(".vidsal") if is_kept else None
        self.arguments = [
            sys.executable, "-m", "vidsal", "run", str(clip), "--resume", "-o", str(output),
            "--table", str(self.table), "--maps", str(self.maps),
            *(["--keep", str(self.store)] if self.store else []), *options,
        ]  # fmt: skip

    @property
    def parts(self) -> Path:
        """The folder of finished segments."""
        return self.output.with_name(self.output.name + ".parts")

    def segments(self) -> int:
        """Return the number of finished segments in the folder."""
        return sum(path.name.isdigit() for path in self.parts.glob("*"))

    def leftovers(self) -> list[Path]:
        """Return temporary files beside the output."""
        names = [self.output.name, *([self.store.name] if self.store else [])]
        return [one for name in names for one in self.output.parent.glob(f"*{name}?*")]

    def remove(self) -> None:
        """Remove the outputs."""
        self.output.unlink()
        self.table.unlink()
        shutil.rmtree(self.maps)
        if self.store:
            shutil.rmtree(self.store)


def _compare(reference: _Command, killed: _Command, rng: random.Random, kills: int) -> int:
    """Run one command undisturbed, kill and resume the other; return the exit code."""
    start_s = time.perf_counter()
    subprocess.run(reference.arguments, check=True, stdout=subprocess.DEVNULL)
    duration_s = time.perf_counter() - start_s
    expected = dict(_checksums(reference))
    pictures = sum(1 for name in expected if name.startswith("picture"))
    print(f"undisturbed: {duration_s:.1f} s, {pictures} pictures, {len(expected)} items to compare")
    print("| kill | after, s | segments before | segments after |\n|---|---|---|---|")
    kill_count, differences, is_resumed = 0, 0, False
    # The last run is not killed, so that the script compares its output as well.
    while kill_count < kills or is_resumed:
        segments_before = killed.segments()
        kill_after_s = rng.uniform(_START_UP_S, duration_s) if kill_count < kills else None
        start_s = time.perf_counter()
        code = _run(killed, kill_after_s)
        if code is None:
            kill_count += 1
            print(
                f"| {kill_count} | {kill_after_s:.1f} | {segments_before} | {killed.segments()} |",
                flush=True,
            )
            # A kill may also come after the output is complete.
            is_unfinished = killed.parts.exists() or not killed.output.exists()
            if is_unfinished:
                is_resumed = True
                continue
        elif code:
            print(f"vidsal ended with exit code {code}")
            return 1
        elif not is_resumed:
            # The first run may be slower, since it reads the program from the disk.
            duration_s = min(duration_s, time.perf_counter() - start_s)
        is_resumed = False
        differences += _count_differences(expected, dict(_checksums(killed)))
        leftovers = len(killed.leftovers())
        differences += leftovers
        print(f"| | complete, {differences} differences | left behind: {leftovers} | |", flush=True)
        killed.remove()
    return int(differences > 0)


def _run(command: _Command, kill_after_s: float | None) -> int | None:
    """Run a command, and kill it after some seconds; return its exit code, None if killed."""
    process = subprocess.Popen(
        command.arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        _, stderr = process.communicate(timeout=kill_after_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return None
    if process.returncode:
        print(stderr, file=sys.stderr)
    return process.returncode


def _checksums(command: _Command) -> Iterator[tuple[str, str]]:
    """Yield names and checksums of the pictures, the sound, the table, the maps and the store."""
    with av.open(str(command.output)) as file:
        for n, frame in enumerate(file.decode(file.streams.video[0])):
            pixels = frame.to_ndarray(format="rgb24").tobytes()
            yield f"picture {n}", f"{frame.pts} {hashlib.sha256(pixels).hexdigest()}"
    with av.open(str(command.output)) as file:
        sound = hashlib.sha256()
        for stream in file.streams.audio[:1]:
            for frame in file.decode(stream):
                sound.update(f"{frame.pts}".encode() + frame.to_ndarray().tobytes())
        yield "sound", sound.hexdigest()
    yield "table", hashlib.sha256(command.table.read_bytes()).hexdigest()
    for path in sorted(command.maps.rglob("*.png")):
        yield str(path.relative_to(command.maps)), hashlib.sha256(path.read_bytes()).hexdigest()
    if store := command.store:
        for path in sorted(one for one in store.rglob("*") if one.is_file()):
            yield f"store {path.relative_to(store)}", hashlib.sha256(path.read_bytes()).hexdigest()


def _count_differences(expected: dict[str, str], actual: dict[str, str]) -> int:
    """Return the number of items that differ, and print the first three."""
    names = [name for name in {**expected, **actual} if expected.get(name) != actual.get(name)]
    if names:
        print(f"{len(names)} items differ, for example {', '.join(names[:3])}")
    return len(names)


if __name__ == "__main__":
    sys.exit(main())
