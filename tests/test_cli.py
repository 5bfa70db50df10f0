"""The command line as its users meet it: exit codes, stdout, stderr, files, and time."""

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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import av
import imageio_ffmpeg
import psutil
import pytest
from conftest import MakeClip, run_ffmpeg
from PIL import Image
from sink_help import names_in

import vidsal
from vidsal.sources.capture import camera_fault

# A shared machine is slower and noisier than the one that the limits are meant for.
SLACK = 2.0 if os.environ.get("CI") else 1.0
_NOISE = ("TF_CPP_MIN_LOG_LEVEL", "TF_ENABLE_ONEDNN_OPTS", "OPENCV_LOG_LEVEL", "PYTHONWARNINGS")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """An empty folder to run in."""
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


def _environment(**others: str) -> dict[str, str]:
    """The environment of a person who has set none of the variables that quiet libraries."""
    kept = {name: value for name, value in os.environ.items() if name not in _NOISE}
    return kept | others


def _vidsal(
    *words: str | Path, cwd: Path, env: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "vidsal", *map(str, words)],
        cwd=cwd, env=dict(env or _environment()), capture_output=True, text=True, timeout=120,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def _said(stderr: str) -> list[str]:
    """The lines on stderr that are not the progress bar's."""
    lines = [line.strip() for line in stderr.replace("\r", "\n").splitlines()]
    return [line for line in lines if line and not re.search(r"\| \d+/|\d+frame|frame/s", line)]


# Bad input.


def _audio(folder: Path) -> str:
    run_ffmpeg("-f", "lavfi", "-i", "sine=440:duration=1", "-c:a", "aac", str(folder / "audio.mp4"))
    return "../audio.mp4"


def _named(folder: Path, name: str, content: str | None) -> str:
    path = folder / name
    if content is None:
        path.mkdir()
    else:
        path.write_text(content)
    return f"../{name}"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten frames, 25 a second."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    picture = ["-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25", "-frames:v", "10"]
    run_ffmpeg(*picture, "-c:v", "libx264", str(path))
    return path


def _source(kind: str, folder: Path) -> str:
    if kind == "folder":
        return _named(folder, "folder", None)
    if kind == "empty":
        return _named(folder, "empty.mp4", "")
    if kind == "text":
        return _named(folder, "text.mp4", "These are words.\n" * 50)
    if kind == "audio":
        return _audio(folder)
    return {"missing": "missing.mp4", "no camera": "99"}[kind]


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("missing", "missing.mp4: there is no such file"),
        ("folder", "../folder: there is no video or picture in this folder"),
        ("empty", "../empty.mp4 is an empty file"),
        ("text", "../text.mp4 is not a video or picture that can be read"),
        ("audio", "../audio.mp4 holds sound but no moving picture"),
        ("no camera", f"camera 99 cannot be used: {camera_fault('99')}"),
    ],
)
def test_bad_source_is_one_line_and_exit_code_1(
    kind: str, line: str, tmp_path: Path, here: Path
) -> None:
    done = _vidsal("run", _source(kind, tmp_path), "--model", "none", cwd=here)
    assert done.returncode == 1
    assert done.stdout == ""
    (said,) = done.stderr.splitlines()
    assert said.startswith(f"vidsal: {line}")
    assert names_in(here) == []


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["-o", "no/o.mp4"], "no is not a folder that exists: make it first"),
        (["-o", "file/o.mp4"], "file is not a folder that exists: make it first"),
        (["-o", "there.mp4"], "there.mp4 exists: give another name, or --overwrite to replace it"),
        (["--table", "no/t.csv"], "no is not a folder that exists: make it first"),
        (["--table", "t.csv"], "t.csv exists: give another name, or --overwrite to replace it"),
        (["--maps", "file"], "file is a file: give the name of a folder for the maps"),
        (["-o", "CLIP", "--overwrite"], "CLIP is the source itself"),
        (["--start", "5"], "--start 5 s is after the last frame of CLIP"),
    ],
)
def test_bad_output_is_one_line_and_exit_code_1(
    words: list[str], line: str, clip: Path, here: Path
) -> None:
    before = clip.read_bytes()
    (here / "file").write_text("a file")
    (here / "there.mp4").write_text("precious")
    (here / "t.csv").write_text("a table")
    words = [word.replace("CLIP", str(clip)) for word in words]
    done = _vidsal("run", clip, "--model", "none", *words, cwd=here)
    assert done.returncode == 1
    assert done.stdout == ""
    (said,) = done.stderr.splitlines()
    assert said.startswith(f"vidsal: {line}".replace("CLIP", str(clip)))
    assert names_in(here) == ["file", "t.csv", "there.mp4"]
    assert (here / "there.mp4").read_text() == "precious"
    assert clip.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--target", "egyptian cta"], r"--target egyptian cta is not a class of this network; "
         r"did you mean 'egyptian cat'"),
        (["--target", "1000"], "--target must be 0 to 999, a name, auto, lock or topN, got 1000"),
        (["--no-such-option"], 'Unknown option: "?--no-such-option'),
        (["--layout", "round"], '.*"round".*--layout.*"side-by-side"'),
        (["--model", "resnet51"], "--model resnet51 is not in keras.applications; did you mean "
         "ResNet50 or "),
        (["--model", "no such"], "--model no such is neither auto, resnet50, lite0, none, a name "
         "in keras.applications, nor a file that ends in .keras or .h5"),
        (["--static-every", "0"], "--static-every must be auto or a whole number of 1 or more"),
        (["--static-every", "often"], "--static-every: expected auto or a whole number, got"),
        (["--static-every", "1.5"], r"--static-every: expected auto or a whole number, got '1\.5'"),
        (["--every", "2.5"], r".*--every: expected a whole number, got '2\.5'"),
        (["--seed", "1e3"], ".*--seed: expected a whole number, got '1e3'"),
        (["--fresh", "5", "--samples", "4"], "--fresh must be at most --samples, got 5 of 4"),
        (["--every", "x"], ".*--every: expected a whole number, got 'x'"),
        (["--every", "0"], "--every must be a whole number of 1 or more, got 0"),
        (["--start", "-5"], "--start: a time is seconds or HH:MM:SS, not negative .* got '-5'"),
        (["--start=-5"], "--start: a time is seconds or HH:MM:SS, not negative .* got '-5'"),
        (["--end", "-0:01"], "--end: a time is seconds or HH:MM:SS, not negative"),
        (["--duration", "0"], r"--duration must be a time above 0, got 0"),
        (["--start", "3", "--end", "2"], r"--end must come after --start, got 2\.0 <= 3\.0"),
        (["--flow", "lucas"], '.*"lucas".*--flow.*"farneback".*"dis"'),
        (["--fusion", "product"], '.*"product".*--fusion.*"gain".*"sum".*"max"'),
        (["--camera", "similarity"], '.*"similarity".*--camera.*"homography".*"affine"'),
        (["--scale", "fixed"], "--scale: expected stable, frame, minmax or fixed:LO,HI .*'fixed'"),
        (["--scale", "fixed:2,1"], "--scale: expected .* with LO below HI, got 'fixed:2,1'"),
        (["--centre-prior", "1.5"], r"--centre-prior must be 0 to 1, got 1\.5"),
        (["--boxes", "50"], r"--boxes must be 0 to 1, got 50"),
        (["-o", "o.avi"], r"--output o\.avi: a video is written as \.mp4"),
        (["-o", "o.png"], r"--output o\.png: a video is written as \.mp4"),
        (["--maps", "clip_saliency.mp4"], "--output and --maps both name clip_saliency.mp4"),
        (["--table", "t.xlsx"], r"--table t\.xlsx: a table is written as \.csv"),
        (["--output", ""], "--output: expected a name, got an empty one"),
        (["--table", ""], "--table: expected a name, got an empty one"),
        (["--batch", "257"], "--batch must be 1 to 256, got 257"),
        (["--fps", "100000"], "--fps: a rate is 0.01 to 1000 frames a second"),
        (["--weights", "w.h5"], "--weights is not for --model none"),
        (["--extra"], "Unknown option: .*--extra"),
        (["-o"], ".*-o.* requires an argument"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line_with_a_hint_and_exit_code_2(
    words: list[str], line: str, clip: Path, here: Path
) -> None:
    model = [] if "--model" in words else ["--model", "none"]
    done = _vidsal("run", clip, *model, *words, cwd=here)
    assert done.returncode == 2
    assert done.stdout == ""
    said, hint = done.stderr.splitlines()
    assert re.match(f"vidsal: {line}", said)
    assert hint == "Try `vidsal run --help`."
    assert names_in(here) == []


def test_options_that_changed_nothing_are_told(clip: Path, here: Path) -> None:
    done = _vidsal("run", clip, "--model", "none", "--samples", "4", "--end", "0.2", cwd=here)
    assert (done.returncode, done.stdout) == (0, "clip_saliency.mp4\n")
    assert _said(done.stderr) == ["vidsal: --samples: without effect with --model none"]


@pytest.mark.parametrize(
    ("words", "line", "hint"),
    [
        (["frobnicate"], 'vidsal: Unknown command "frobnicate"', "Try `vidsal --help`."),
        (["run"], "vidsal: give at least one video, photo", "Try `vidsal run --help`."),
        (["models", "x"], "vidsal: Unused Tokens", "Try `vidsal models --help`."),
        (
            ["evaluate"],
            "vidsal: give at least one folder of clips",
            "Try `vidsal evaluate --help`.",
        ),
        (
            ["evaluate", ".", "--against", "theirs"],
            "vidsal: --against must be NAME=DIR, got 'theirs'",
            "Try `vidsal evaluate --help`.",
        ),
    ],
)
def test_wrong_command_is_exit_code_2(words: list[str], line: str, hint: str, here: Path) -> None:
    done = _vidsal(*words, cwd=here)
    assert (done.returncode, done.stdout) == (2, "")
    said, tried = done.stderr.splitlines()
    assert said.startswith(line)
    assert tried == hint


def test_a_failure_in_the_middle_is_one_line_and_leaves_nothing(
    make_clip: MakeClip, here: Path
) -> None:
    # An ffmpeg that answers when it is asked about a file, and fails when it is to write one.
    fake = here.parent / "ffmpeg"
    real = shutil.which(imageio_ffmpeg.get_ffmpeg_exe())
    assert real
    fake.write_text(
        f'#!/bin/sh\ncase "$*" in *libx264*) ;; *) exec \'{real}\' "$@" ;; esac\n'
        "echo 'the encoder is broken' >&2\nexit 3\n"
    )
    fake.chmod(0o755)
    environment = _environment(IMAGEIO_FFMPEG_EXE=str(fake))
    done = _vidsal(
        "run", make_clip(frames=100), "--model", "none", "--table", "t.csv", cwd=here,
        env=environment,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert _said(done.stderr) == ["vidsal: ffmpeg failed: the encoder is broken"]
    assert names_in(here) == []


def test_an_ffmpeg_that_is_not_there_is_one_line(clip: Path, here: Path) -> None:
    environment = _environment(IMAGEIO_FFMPEG_EXE=str(here / "no-ffmpeg"))
    done = _vidsal("run", clip, "--model", "none", cwd=here, env=environment)
    assert (done.returncode, done.stdout) == (1, "")
    (said,) = _said(done.stderr)
    assert said.startswith("vidsal: ffmpeg was not found: pip install")
    assert names_in(here) == []


def test_an_ffmpeg_that_is_too_old_is_one_line(clip: Path, here: Path) -> None:
    fake = here.parent / "ffmpeg"
    fake.write_text("#!/bin/sh\necho 'Invalid encoder timebase' >&2\nexit 1\n")
    fake.chmod(0o755)
    environment = _environment(IMAGEIO_FFMPEG_EXE=str(fake))
    done = _vidsal("run", clip, "--model", "none", cwd=here, env=environment)
    assert (done.returncode, done.stdout) == (1, "")
    (said,) = _said(done.stderr)
    assert said.startswith(
        f"vidsal: {fake} cannot be used, it may be older than ffmpeg 6.1 (Invalid encoder timebase)"
    )
    assert names_in(here) == []


# Good runs.


def _no_tensorflow(folder: Path) -> dict[str, str]:
    """An environment in which importing TensorFlow or Keras is an error."""
    banned = "import sys\nfor name in ('tensorflow', 'keras'):\n    sys.modules[name] = None\n"
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(banned)
    return _environment(PYTHONPATH=str(folder / "site"))


def test_ban_of_tensorflow_works(tmp_path: Path) -> None:
    code = "import vidsal.static.lite0"
    done = subprocess.run(
        [sys.executable, "-c", code], env=_no_tensorflow(tmp_path), capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "ModuleNotFoundError" in done.stderr


def test_run_prints_the_path_alone_and_needs_no_tensorflow(
    clip: Path, tmp_path: Path, here: Path
) -> None:
    environment = _no_tensorflow(tmp_path)
    done = _vidsal("run", clip, "--model", "none", cwd=here, env=environment)
    assert (done.returncode, done.stdout) == (0, "clip_saliency.mp4\n")
    assert _said(done.stderr) == []
    with av.open(str(here / "clip_saliency.mp4")) as file:
        assert file.streams.video[0].frames == 10
    assert names_in(here) == ["clip_saliency.mp4"]
    # A second time it is kept; asked to, it is replaced.
    again = _vidsal("run", clip, "--model", "none", cwd=here, env=environment)
    assert again.returncode == 1
    assert "clip_saliency.mp4 exists" in again.stderr
    more = _vidsal(
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
    done = _vidsal(
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
    last = _said(done.stderr)[-1]
    match = re.fullmatch(
        r"vidsal: flicker: the display's scale changed by (\d+\.\d\d) % a frame", last
    )
    assert match
    assert flicker > 0.02 and float(match[1]) == pytest.approx(flicker, abs=0.006)


def test_motion_and_scale_are_as_asked_for(sample_media: Path, here: Path) -> None:
    clip = sample_media / "moving_square.mp4"
    done = _vidsal(
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
    environment = _environment(
        KERAS_HOME=str(tmp_path / "keras"), HTTPS_PROXY=dead, https_proxy=dead, NO_PROXY="",
        no_proxy="",
    )  # fmt: skip
    photo = sample_media / "cat.jpg"
    done = _vidsal("run", photo, "-o", "o.png", "--table", "t.csv", cwd=here, env=environment)
    assert (done.returncode, done.stdout) == (0, "o.png\n")
    # No line of TensorFlow's, absl's, oneDNN's or Keras' either.
    assert _said(done.stderr) == [
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
    environment = _environment(
        KERAS_HOME=str(here.parent / "keras"), HTTPS_PROXY=dead, https_proxy=dead, NO_PROXY="",
        no_proxy="",
    )  # fmt: skip
    done = _vidsal("run", clip, "--model", "resnet50", cwd=here, env=environment)
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
    words = ["run", str(clip), "--model", "none", "--table", "t.csv", "--maps", "maps"]
    process = subprocess.Popen(
        [sys.executable, "-m", "vidsal", *words],
        cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=_environment(),
    )  # fmt: skip
    end_s = time.monotonic() + 60
    try:
        # The table's file appears earlier, while ffmpeg is still asked about the sound.
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
    assert _said(stderr) == ["vidsal: interrupted"]
    assert names_in(here) == []
    assert programs and not any(one.is_running() for one in programs)
    # It takes a tenth of a second; a machine that others share may stand still for some.
    assert took_s < 15


# Where the words go.

_posix = pytest.mark.skipif(sys.platform == "win32", reason="a shell of another kind")


def _through_shell(words: str, here: Path, *sources: Path) -> "subprocess.CompletedProcess[str]":
    """Run a shell's line in which $V is vidsal, and $1, $2 are the sources."""
    return subprocess.run(
        ["sh", "-c", f'V="$PYTHON -m vidsal"; {words}', "sh", *map(str, sources)],
        cwd=here, env=_environment(PYTHON=sys.executable), capture_output=True, timeout=120,
        encoding="utf-8", errors="surrogateescape", stdin=subprocess.DEVNULL,
    )  # fmt: skip


@_posix
def test_a_reader_that_leaves_does_not_end_the_work(clip: Path, here: Path) -> None:
    other = here.parent / "other.mp4"
    shutil.copy(clip, other)
    words = "{ $V run --model none --summary s.json $1 $2; echo $? >rc; } | true"
    done = _through_shell(words, here, clip, other)
    assert (_said(done.stderr), (here / "rc").read_text()) == ([], "0\n")
    assert [one["error"] for one in json.loads((here / "s.json").read_text())] == [None, None]
    assert names_in(here) == ["clip_saliency.mp4", "other_saliency.mp4", "rc", "s.json"]


@_posix
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_stdout_is_said_and_the_work_is_done(clip: Path, here: Path) -> None:
    other = here.parent / "another.mp4"
    shutil.copy(clip, other)
    done = _through_shell("$V run --model none $1 $2 >/dev/full", here, clip, other)
    why = "vidsal: standard output cannot be written to: No space left on device"
    assert (done.returncode, _said(done.stderr)) == (1, [why])
    assert names_in(here) == ["another_saliency.mp4", "clip_saliency.mp4"]
    done = _through_shell("$V models >/dev/full", here)
    assert (done.returncode, _said(done.stderr)) == (1, [why])


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
    words = "PYTHONIOENCODING=ascii $V run --model none --summary s.json $1 $2"
    done = _through_shell(words, here, odd, clip)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "\\u0142\\u0105_saliency.mp4\nclip_saliency.mp4\n"
    assert len(json.loads((here / "s.json").read_text())) == 2


# The other commands, and what is fast.


def test_models_lists_every_model(tmp_path: Path, here: Path) -> None:
    environment = _no_tensorflow(tmp_path) | {"KERAS_HOME": str(tmp_path / "keras")}
    done = _vidsal("models", cwd=here, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    choices = [line[:10].strip() for line in lines]
    assert choices == ["resnet50", "lite0", "a name", "a file", "none", "auto"]
    file = tmp_path / "keras" / "models" / "resnet50_weights_tf_dim_ordering_tf_kernels.h5"
    assert lines[0].endswith(f"weights missing: downloaded at first use to {file}")
    assert "bundled, always usable" in lines[1]
    # A file of that name with other content is not the weights.
    file.parent.mkdir(parents=True)
    file.write_text("not the weights")
    assert "weights missing" in _vidsal("models", cwd=here, env=environment).stdout


def test_doctor_is_one_screen(tmp_path: Path, here: Path) -> None:
    done = _vidsal("doctor", cwd=here, env=_environment(KERAS_HOME=str(tmp_path / "keras")))
    assert (done.returncode, done.stderr) == (0, "")
    found = dict(re.split(r"\s+", line, maxsplit=1) for line in done.stdout.splitlines())
    assert list(found) == [
        "vidsal", "Python", "OpenCV", "ffmpeg", "encoders", "TensorFlow", "weights", "cameras",
    ]  # fmt: skip
    assert found["vidsal"] == vidsal.__version__
    assert found["Python"].startswith(".".join(map(str, sys.version_info[:3])))
    assert re.match(r"\d+\.\d+\.\d+, windows: \S+", found["OpenCV"])
    assert re.match(r"ffmpeg version \S+ at /", found["ffmpeg"])
    assert "libx264" in found["encoders"]
    assert re.search(r"\d+\.\d+\.\d+, Keras 3\.\S+, devices: .*CPU:0", found["TensorFlow"])
    assert "resnet50 not in the cache" in found["weights"]
    assert found["weights"].endswith("lite0 bundled")
    assert "PROBLEM" not in done.stdout


def test_doctor_goes_on_after_a_problem(tmp_path: Path, here: Path) -> None:
    environment = _no_tensorflow(tmp_path) | {"IMAGEIO_FFMPEG_EXE": str(here / "no-ffmpeg")}
    done = _vidsal("doctor", cwd=here, env=environment)
    found = dict(re.split(r"\s+", line, maxsplit=1) for line in done.stdout.splitlines())
    wrong = {name for name, answer in found.items() if answer.startswith("PROBLEM: ")}
    assert wrong == {"ffmpeg", "encoders", "TensorFlow"}
    assert "ffmpeg was not found" in found["ffmpeg"]
    assert len(found) == 8
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


def test_version(here: Path) -> None:
    done = _vidsal("--version", cwd=here)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{vidsal.__version__}\n", "")


def test_help_names_every_option(here: Path) -> None:
    done = _vidsal("run", "--help", cwd=here, env=_environment(COLUMNS="100"))
    assert (done.returncode, done.stderr) == (0, "")
    for name in vidsal.Settings.__dataclass_fields__:
        assert f"--{name.replace('_', '-')}" in done.stdout
    # Nothing else is on by default, so nothing else can be switched off.
    assert re.findall(r"--no-[a-z-]+", done.stdout) == ["--no-audio", "--no-annotate"]


@pytest.mark.parametrize("words", [["models"], ["--help"]])
def test_a_reader_who_has_left_is_no_traceback(words: list[str], here: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "vidsal", *words],
            cwd=here, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60,
        )  # fmt: skip
    finally:
        os.close(writing)
    assert done.returncode == 1
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("words", "code", "limit_s"),
    [(["--help"], 0, 0.5), (["run", "--help"], 0, 0.5), (["run", "missing.mp4"], 1, 1.0)],
)
def test_quick_answers(words: list[str], code: int, limit_s: float, here: Path) -> None:
    times_s = []
    for _ in range(5):
        begin_s, begin_cpu_s = time.monotonic(), _cpu_of_children_s()
        assert _vidsal(*words, cwd=here).returncode == code
        # On a machine with other things to do, only the processor's time tells what we need.
        wall_s, cpu_s = time.monotonic() - begin_s, _cpu_of_children_s() - begin_cpu_s
        # Windows does not count it.
        times_s.append(min(wall_s, cpu_s or wall_s))
        if times_s[-1] < limit_s / 2:
            break
    assert min(times_s) < limit_s * SLACK


def _cpu_of_children_s() -> float:
    """Processor time that the processes we started, and that have ended, took."""
    times = os.times()
    return times.children_user + times.children_system
