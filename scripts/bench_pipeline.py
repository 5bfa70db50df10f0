"""Measure a whole run of vidsal and its parts on this machine.

    python scripts/bench_pipeline.py                                    # 720p, Lite0
    python scripts/bench_pipeline.py --model resnet50 --naive
    python scripts/bench_pipeline.py --clip FILE --against eec49bc      # another commit
    python scripts/bench_pipeline.py --against-options static_every=2   # other options
    python scripts/bench_pipeline.py --model none --memory-frames 20020
    python scripts/bench_pipeline.py --model none --render              # drawing a store again
    python scripts/bench_pipeline.py --size 3840x2160 --rounds 1        # where the time goes

Each turn is a process of its own, and turns alternate: this version, its bare gradient calls, the
other version or the other options, the naive loop, and again. The medians of the rates are printed,
and the ratios of turns of one round, which load on the machine changes least. For each run the
processor time of a frame is printed: that of the network's threads, of OpenCV's, of vidsal's own
and of ffmpeg, and the table of stages.

The clip is a generated, moving test picture. `--grain` adds noise, which is hard to decode, to
track and to encode. The patterns jump, which needs more gradients than most footage does. ResNet50
has random weights, which need the same arithmetic as trained ones.

Needs psutil.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from vidsal.media import ffmpeg
from vidsal.settings import Settings
from vidsal.sources import open_source

ROOT = Path(__file__).parents[1]
TURN = Path(__file__).with_name("bench_turns.py")
# Numbers of the frames at which memory is compared.
EARLY, LATE = 500, 3000
# Name of the turns that the others are compared with.
HERE = "vidsal run"


class Job(NamedTuple):
    """One kind of turn: its name, the version's folder, and what the child is told."""

    name: str
    folder: Path
    orders: dict[str, Any]


def main() -> None:
    """Measure and print."""
    arguments = parsed()
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        options: dict[str, Any] = {
            "model": arguments.model, "batch": arguments.batch, "overwrite": True,
            "output": str(folder / "out.mp4"),
        }  # fmt: skip
        if arguments.model == "resnet50":
            options["weights"] = str(random_weights(folder / "resnet50.weights.h5"))
        options |= with_values(arguments.options)
        clip = prepared_clip(arguments, folder)
        with open_source(clip, Settings()) as source:
            size, fps = (source.info.height_px, source.info.width_px), source.info.fps
        if fps is None:
            raise SystemExit(f"{clip} is not a video; --clip needs a video file")
        options["duration"] = float(arguments.frames / fps)
        turns = jobs(arguments, clip, size, options, folder)
        rounds = [{job.name: turn(job) for job in turns} for _ in range(arguments.rounds)]
        for line in report(rounds):
            print(line, flush=True)
        if arguments.memory_frames:
            long = make_clip(folder / "long.mp4", arguments.memory_frames, arguments.grain)
            del options["duration"]
            done = turn(Job(HERE, ROOT, {"kind": "run", "clip": str(long), "options": options}))
            print(memory_line(done["rss_mib"]))


def parsed() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=320, help="frames of each timed run")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each kind")
    parser.add_argument("--model", choices=["resnet50", "lite0", "none"], default="lite0")
    parser.add_argument("--batch", type=int, default=16, help="frames per network call")
    parser.add_argument("--options", nargs="*", default=[], metavar="NAME=VALUE",
                        help="options of vidsal run, such as static_every=2")  # fmt: skip
    parser.add_argument("--against", metavar="COMMIT", help="a commit to compare with")
    parser.add_argument("--against-options", nargs="*", default=[], metavar="NAME=VALUE",
                        help="options to compare with, added to --options")  # fmt: skip
    parser.add_argument("--naive", action="store_true", help="time a tutorial's loop, too")
    parser.add_argument("--render", action="store_true", help="time vidsal render, too")
    parser.add_argument("--clip", type=Path, help="video for the timed runs")
    parser.add_argument("--size", metavar="WxH", help="scale the clip to this size")
    parser.add_argument("--grain", action="store_true", help="add noise to the made picture")
    parser.add_argument(
        "--memory-frames", type=int, default=0, help="frames of a run that measures memory"
    )
    return parser.parse_args()


def with_values(words: list[str]) -> dict[str, Any]:
    """Return options of ``NAME=VALUE``; a value that is JSON is read as such."""
    options: dict[str, Any] = {}
    for word in words:
        name, _, value = word.partition("=")
        try:
            options[name] = json.loads(value)
        except json.JSONDecodeError:
            options[name] = value
    return options


def jobs(
    arguments: argparse.Namespace, clip: Path, size: tuple[int, int], options: dict[str, Any],
    folder: Path,
) -> list[Job]:  # fmt: skip
    """Return the turns of a round, in their order."""
    run = {"kind": "run", "clip": str(clip)}
    turns = [Job(HERE, ROOT, {**run, "options": options})]
    if arguments.model != "none":
        turns.append(
            Job("gradient calls alone", ROOT, {"kind": "bare", "size": size, "options": options})
        )
    if arguments.against:
        other = checked_out(arguments.against, folder)
        turns.append(Job(arguments.against, other, {**run, "options": options}))
    if arguments.against_options:
        others = options | with_values(arguments.against_options)
        name = " ".join(arguments.against_options)
        turns.append(Job(name, ROOT, {**run, "options": others}))
    if arguments.render:
        kept = options | {"keep": str(folder / "clip.vidsal")}
        turn(Job("vidsal run --keep", ROOT, {**run, "options": kept}))
        drawn = {"output": str(folder / "drawn.mp4"), "overwrite": True}
        orders = {"kind": "render", "store": kept["keep"], "options": drawn}
        turns.append(Job("vidsal render", ROOT, orders))
    if arguments.naive:
        turns.append(Job("naive loop", ROOT, {**run, "kind": "naive", "options": options}))
    return turns


def checked_out(commit: str, folder: Path) -> Path:
    """Return a folder with the files of a commit."""
    target = folder / "other"
    if not target.exists():
        target.mkdir()
        archive = subprocess.run(
            ["git", "-C", ROOT, "archive", commit, "vidsal"], check=True, capture_output=True
        )
        subprocess.run(["tar", "-x", "-C", target], input=archive.stdout, check=True)
    return target


def turn(job: Job) -> dict[str, Any]:
    """Let a child process do a turn; return what it measured."""
    done = subprocess.run(
        [sys.executable, TURN, json.dumps(job.orders)], check=False, capture_output=True,
        env=os.environ | {"PYTHONPATH": str(job.folder)}, text=True, cwd=job.folder,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{job.name}: {done.stderr[-2000:]}")
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def report(rounds: list[dict[str, dict[str, Any]]]) -> list[str]:
    """Return the lines of the rates, their ratios, and the processor time of a frame."""
    lines = []
    for name in rounds[0]:
        rates = [one[name]["rate"] for one in rounds]
        line = f"{name:<28}{statistics.median(rates):8.2f} frames/s"
        if name != HERE:
            ratios = sorted(one[HERE]["rate"] / one[name]["rate"] for one in rounds)
            span = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
            line += f"   {HERE}: {statistics.median(ratios):.2f} x ({span})"
        lines.append(line)
    for name in rounds[0]:
        spent = [one[name]["cpu_ms"] for one in rounds]
        if not spent[0]:
            continue
        each = {who: statistics.median(one[who] for one in spent) for who in spent[0]}
        parts = ", ".join(f"{who} {ms:.1f}" for who, ms in each.items())
        lines.append(f"processor time a frame, {name}: {sum(each.values()):.1f} ms ({parts})")
    return [*lines, *rounds[-1][HERE]["stages"]]


def memory_line(rss_mib: list[float]) -> str:
    """Return the resident memory early and late in a run, as text."""
    last = len(rss_mib) - 1
    early, late = min(last, EARLY), min(last, max(LATE, len(rss_mib) - 20))
    return (
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
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    keras.utils.set_random_seed(0)
    keras.applications.ResNet50(weights=None, classifier_activation=None).save_weights(path)
    return path


def prepared_clip(arguments: argparse.Namespace, folder: Path) -> Path:
    """Return the clip of the timed runs: a file, scaled if asked for, or a made picture."""
    clip: Path = arguments.clip or make_clip(folder / "clip.mp4", arguments.frames, arguments.grain)
    if not arguments.size:
        return clip.absolute()
    width, _, height = arguments.size.partition("x")
    scaled = folder / "scaled.mp4"
    ffmpeg.convert(
        ["-i", str(clip.absolute()), "-frames:v", str(arguments.frames), "-an",
         "-vf", f"scale={width}:{height}", "-c:v", "libx264", "-preset", "veryfast",
         "-crf", "16", str(scaled)]
    )  # fmt: skip
    return scaled


def make_clip(path: Path, frames: int, grain: bool) -> Path:
    """Write a 1280x720 clip of a moving test picture, 30 frames per second; return the path."""
    noise = "noise=alls=12:allf=t," if grain else ""
    source = f"testsrc2=size=1280x720:rate=30,{noise}trim=end_frame={frames}"
    ffmpeg.convert(
        ["-f", "lavfi", "-i", source, "-c:v", "libx264",
         "-preset", "ultrafast", "-pix_fmt", "yuv420p", str(path)]
    )  # fmt: skip
    return path


if __name__ == "__main__":
    main()
