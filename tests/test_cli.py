"""The command line as its users meet it: exit codes, stdout, stderr, files, interrupts."""

import csv
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import psutil
import pytest
from cli_help import clean_environment, empty_folder, messages, no_tensorflow, small_clip, vidsal
from conftest import MakeClip
from PIL import Image
from sink_help import names_in


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """An empty folder to run in."""
    return empty_folder(tmp_path)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten frames, 25 a second."""
    return small_clip(tmp_path_factory)


# Good runs.


def test_ban_of_tensorflow_works(tmp_path: Path) -> None:
    code = "import vidsal.static.lite0"
    done = subprocess.run(
        [sys.executable, "-c", code], env=no_tensorflow(tmp_path), capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "ModuleNotFoundError" in done.stderr


def test_run_prints_the_path_alone_and_needsno_tensorflow(
    clip: Path, tmp_path: Path, here: Path
) -> None:
    environment = no_tensorflow(tmp_path)
    done = vidsal("run", clip, "--model", "none", cwd=here, env=environment)
    assert (done.returncode, done.stdout) == (0, "clip_saliency.mp4\n")
    assert messages(done.stderr) == []
    with av.open(str(here / "clip_saliency.mp4")) as file:
        assert file.streams.video[0].frames == 10
    assert names_in(here) == ["clip_saliency.mp4"]
    # The output is kept by default, and replaced with --overwrite.
    again = vidsal("run", clip, "--model", "none", cwd=here, env=environment)
    assert again.returncode == 1
    assert "clip_saliency.mp4 exists" in again.stderr
    more = vidsal(
        "run", clip, "--model", "none", "--overwrite", "--every", "5", "--layout", "quad",
        "--end", "0:00.3", "--table", "t.csv", "--maps", "maps", cwd=here, env=environment,
    )  # fmt: skip
    assert (more.returncode, more.stdout) == (0, "clip_saliency.mp4\n")
    with av.open(str(here / "clip_saliency.mp4")) as file:
        stream = file.streams.video[0]
        assert (stream.frames, stream.average_rate) == (2, 5)
        assert (stream.height, stream.width) == (96, 128)
    assert {"t.csv", "maps/fused/000005.png"} < set(names_in(here))


def test_verbose_ends_with_how_much_the_display_flickers(sample_media: Path, here: Path) -> None:
    done = vidsal(
        "run", sample_media / "moving_square.mp4", "--model", "none", "--verbose", "--table",
        "t.csv", "--end", "0.4", "--scale", "frame", cwd=here,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "moving_square_saliency.mp4\n")
    with (here / "t.csv").open(newline="") as file:
        highs = [float(row["fused_high"]) for row in csv.DictReader(file)]
    # The first frame has no motion, and nothing to be compared with.
    assert highs[0] == 0.03
    changes = [abs(b - a) / a for a, b in itertools.pairwise(highs[1:])]
    flicker = 100 * sum(changes) / len(changes)
    last = messages(done.stderr)[-1]
    match = re.fullmatch(
        r"vidsal: flicker: the display scale changed by (\d+\.\d\d) % a frame", last
    )
    assert match
    assert flicker > 0.02 and float(match[1]) == pytest.approx(flicker, abs=0.006)


def test_motion_and_scale_are_as_asked_for(sample_media: Path, here: Path) -> None:
    clip = sample_media / "moving_square.mp4"
    done = vidsal(
        "run", clip, "--end", "0.4", "--model", "none", "--flow", "dis", "--camera", "homography",
        "--scale", "fixed:0,0.25", "--boxes", "0.5", "--table", "t.csv", cwd=here,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "moving_square_saliency.mp4\n")
    with (here / "t.csv").open(newline="") as file:
        first, *rows = csv.DictReader(file)
    assert (first["camera_model"], first["boxes"]) == ("none", "[]")
    assert {row["camera_model"] for row in rows} == {"homography"}
    assert {row["motion_high"] for row in rows} == {"0.25"}
    # One box, around the square, which begins at (225, 42) and moves by (-2, 1).
    for n, row in enumerate(rows, start=1):
        (box,) = json.loads(row["boxes"])
        sides = [box["left"], box["top"], box["right"], box["bottom"]]
        square = [225 - 2 * n, 42 + n, 273 - 2 * n, 90 + n]
        assert sides == pytest.approx(square, abs=16)
        assert box["saliency"] > 0.8


def test_photo_by_auto_without_network_is_quiet_but_for_one_line(
    sample_media: Path, tmp_path: Path, here: Path
) -> None:
    # Nothing listens at this proxy, which is how a machine without network looks from here.
    dead = "http://127.0.0.1:9"
    environment = clean_environment(
        KERAS_HOME=str(tmp_path / "keras"), HTTPS_PROXY=dead, https_proxy=dead, NO_PROXY="",
        no_proxy="",
    )  # fmt: skip
    photo = sample_media / "cat.jpg"
    done = vidsal("run", photo, "-o", "o.png", "--table", "t.csv", cwd=here, env=environment)
    assert (done.returncode, done.stdout) == (0, "o.png\n")
    # No line of TensorFlow's, absl's, oneDNN's or Keras' either.
    assert messages(done.stderr) == [
        "vidsal: using the bundled EfficientNet-Lite0: ResNet50's weights are unavailable"
    ]
    with (here / "t.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["model"], row["class_1"]) == ("EfficientNet-Lite0", "Egyptian cat")
    with Image.open(here / "o.png") as image:
        assert image.size == (452, 300)
    assert names_in(here) == ["o.png", "t.csv"]


def test_resnet50_without_network_is_one_line(clip: Path, here: Path) -> None:
    dead = "http://127.0.0.1:9"
    environment = clean_environment(
        KERAS_HOME=str(here.parent / "keras"), HTTPS_PROXY=dead, https_proxy=dead, NO_PROXY="",
        no_proxy="",
    )  # fmt: skip
    done = vidsal("run", clip, "--model", "resnet50", cwd=here, env=environment)
    assert (done.returncode, done.stdout) == (1, "")
    (said,) = done.stderr.splitlines()
    assert said.startswith("vidsal: ResNet50's ImageNet weights are not at ")
    assert "(Connection refused)" in said
    assert "--weights FILE, or use --model lite0." in said
    assert names_in(here) == []


# Interrupts.


@contextmanager
def _begun(clip: Path, here: Path) -> Iterator["subprocess.Popen[str]"]:
    """Start a run that takes long, and lend it once ffmpeg writes its part of a file."""
    arguments = ["run", str(clip), "--model", "none", "--table", "t.csv", "--maps", "maps"]
    process = subprocess.Popen(
        [sys.executable, "-m", "vidsal", *arguments],
        cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=clean_environment(),
    )  # fmt: skip
    end_s = time.monotonic() + 60
    try:
        # The file of the table appears earlier, while ffmpeg still reads the audio.
        while not list(here.glob(".clip_saliency.*")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end_s
            time.sleep(0.02)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_interrupt_removes_the_unfinished_output(
    name: str, make_clip: MakeClip, here: Path
) -> None:
    clip = make_clip(size=(360, 640), frames=600, sound="aac", options=["-preset", "ultrafast"])
    with _begun(clip, here) as process:
        programs = psutil.Process(process.pid).children()
        time.sleep(0.2)
        process.send_signal(getattr(signal, name))
        begin_s = time.monotonic()
        stdout, stderr = process.communicate(timeout=30)
        took_s = time.monotonic() - begin_s
    assert process.returncode == 130
    assert stdout == ""
    assert messages(stderr) == ["vidsal: interrupted"]
    assert names_in(here) == []
    assert programs and not any(one.is_running() for one in programs)
    # It takes a tenth of a second, but a shared machine may pause for seconds.
    assert took_s < 15


# Where the arguments go

_posix = pytest.mark.skipif(sys.platform == "win32", reason="a shell of another kind")


def _through_shell(
    arguments: str, here: Path, *sources: Path
) -> "subprocess.CompletedProcess[str]":
    """Run a shell's line in which $V is vidsal, and $1, $2 are the sources."""
    return subprocess.run(
        ["sh", "-c", f'V="$PYTHON -m vidsal"; {arguments}', "sh", *map(str, sources)],
        cwd=here, env=clean_environment(PYTHON=sys.executable), capture_output=True, timeout=120,
        encoding="utf-8", errors="surrogateescape", stdin=subprocess.DEVNULL,
    )  # fmt: skip


@_posix
def test_a_reader_that_leaves_does_not_end_the_work(clip: Path, here: Path) -> None:
    other = here.parent / "other.mp4"
    shutil.copy(clip, other)
    arguments = "{ $V run --model none --summary s.json $1 $2; echo $? >rc; } | true"
    done = _through_shell(arguments, here, clip, other)
    assert (messages(done.stderr), (here / "rc").read_text()) == ([], "0\n")
    assert [one["error"] for one in json.loads((here / "s.json").read_text())] == [None, None]
    assert names_in(here) == ["clip_saliency.mp4", "other_saliency.mp4", "rc", "s.json"]


@_posix
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_stdout_is_said_and_the_work_is_done(clip: Path, here: Path) -> None:
    other = here.parent / "another.mp4"
    shutil.copy(clip, other)
    done = _through_shell("$V run --model none $1 $2 >/dev/full", here, clip, other)
    why = "vidsal: standard output cannot be written to: No space left on device"
    assert (done.returncode, messages(done.stderr)) == (1, [why])
    assert names_in(here) == ["another_saliency.mp4", "clip_saliency.mp4"]
    done = _through_shell("$V models >/dev/full", here)
    assert (done.returncode, messages(done.stderr)) == (1, [why])


@_posix
def test_closed_streams_are_no_error(clip: Path, here: Path) -> None:
    done = _through_shell("$V run --model none -o a.mp4 $1 2>&-", here, clip)
    assert (done.returncode, done.stdout, done.stderr) == (0, "a.mp4\n", "")
    done = _through_shell("$V run --model none -o b.mp4 $1 >&- 2>&- <&-", here, clip)
    assert done.returncode == 0
    done = _through_shell("$V run gone.mp4 >&- 2>&-", here)
    assert done.returncode == 1
    assert names_in(here) == ["a.mp4", "b.mp4"]


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes")
def test_a_name_of_any_bytes_is_printed_as_it_is(clip: Path, here: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    shutil.copy(clip, here.parent / f"{name}.mp4")
    done = _through_shell("$V run --model none $1", here, here.parent / f"{name}.mp4")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{name}_saliency.mp4\n", "")
    assert [os.fsdecode(path.name) for path in here.iterdir()] == [f"{name}_saliency.mp4"]


@_posix
def test_a_name_that_stdout_has_no_letters_for_ends_nothing(clip: Path, here: Path) -> None:
    odd = here.parent / "łą.mp4"
    shutil.copy(clip, odd)
    arguments = "PYTHONIOENCODING=ascii $V run --model none --summary s.json $1 $2"
    done = _through_shell(arguments, here, odd, clip)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "\\u0142\\u0105_saliency.mp4\nclip_saliency.mp4\n"
    assert len(json.loads((here / "s.json").read_text())) == 2
