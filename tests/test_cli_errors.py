"""Wrong usage and failures at the command line: one line, and an exit code."""

import re
import shutil
from pathlib import Path

import imageio_ffmpeg
import pytest
from cli_help import clean_environment, empty_folder, messages, small_clip, vidsal
from conftest import MakeClip, run_ffmpeg
from sink_help import names_in

from vidsal.sources.capture import camera_fault


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """An empty folder to run in."""
    return empty_folder(tmp_path)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten frames, 25 a second."""
    return small_clip(tmp_path_factory)


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
    done = vidsal("run", _source(kind, tmp_path), "--model", "none", cwd=here)
    assert done.returncode == 1
    assert done.stdout == ""
    (said,) = done.stderr.splitlines()
    assert said.startswith(f"vidsal: {line}")
    assert names_in(here) == []


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["-o", "file/o.mp4"], "file/o.mp4: file is not a folder: give another name"),
        (["-o", "there.mp4"], "there.mp4 exists: give another name, or --overwrite to replace it"),
        (["--table", "file/no/t.csv"], "file/no/t.csv: file is not a folder: give another name"),
        (["--table", "t.csv"], "t.csv exists: give another name, or --overwrite to replace it"),
        (["--maps", "file"], "file is a file: give the name of a folder for the maps"),
        (["-o", "CLIP", "--overwrite"], "CLIP is the source itself"),
        (["--start", "5"], "--start 5 is after the last frame of CLIP"),
    ],
)
def test_bad_output_is_one_line_and_exit_code_1(
    arguments: list[str], line: str, clip: Path, here: Path
) -> None:
    before = clip.read_bytes()
    (here / "file").write_text("a file")
    (here / "there.mp4").write_text("precious")
    (here / "t.csv").write_text("a table")
    arguments = [word.replace("CLIP", str(clip)) for word in arguments]
    done = vidsal("run", clip, "--model", "none", *arguments, cwd=here)
    assert done.returncode == 1
    assert done.stdout == ""
    (said,) = done.stderr.splitlines()
    assert said.startswith(f"vidsal: {line}".replace("CLIP", str(clip)))
    assert names_in(here) == ["file", "t.csv", "there.mp4"]
    assert (here / "there.mp4").read_text() == "precious"
    assert clip.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--target", "egyptian cta"], r"--target egyptian cta is not a class of this network; "
         r"did you mean 'Egyptian cat'"),
        (["--target", "1000"], "--target must be 0 to 999, a name, auto, lock or topN, got 1000"),
        (["--no-such-option"], 'Unknown option: "?--no-such-option'),
        (["--layout", "round"], "--layout must be one of overlay, side-by-side, .*, got 'round'"),
        (["--model", "resnet51"], "--model resnet51 is not in keras.applications; did you mean "
         "'ResNet50', "),
        (["--model", "no such"], "--model no such is not a network: expected auto, resnet50, "
         "lite0, none, a name in keras.applications, or a file that ends in .keras or .h5"),
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
        (["--flow", "lucas"], "--flow must be one of farneback, dis, got 'lucas'$"),
        (["--fusion", "product"], "--fusion must be one of gain, sum, max, .*, got 'product'"),
        (["--codec", "h265"], "--codec must be one of h264, .*, got 'h265'; did you mean hevc"),
        (["--colormap", "infrno"], "--colormap must be .*, got 'infrno'; did you mean inferno"),
        (["--target", "cat"], "--target cat is not .*; did you mean 'tiger cat', .*'tabby'"),
        (["--target", "crane"], r"--target crane is the name of several classes: take 134 "
         r"\(crane, the bird\) or 517 \(crane, the machine\)$"),
        (["--overwrite", "--skip-existing"], "--overwrite and --skip-existing exclude each"),
        (["--preset", "slides"], "--preset must be one of talk, report, fast, got 'slides'"),
        (["-o", "-"], "-o -: vidsal does not write to pipes: give the name of a file"),
        (["-"], "-: vidsal does not read pipes: write the video to a file first, or serve it as a "
         "stream and give its address, such as udp://127"),
        (["--camera", "round"], "--camera must be one of auto, homography, .*, got 'round'"),
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
    arguments: list[str], line: str, clip: Path, here: Path
) -> None:
    # A target is for a network only.
    model = ["--model", "lite0" if "--target" in arguments else "none"]
    model = [] if "--model" in arguments else model
    done = vidsal("run", clip, *model, *arguments, cwd=here)
    assert done.returncode == 2
    assert done.stdout == ""
    said, hint = done.stderr.splitlines()
    assert re.match(f"vidsal: {line}", said)
    assert hint == "Try `vidsal run --help`."
    assert names_in(here) == []


@pytest.mark.parametrize("options", [[], ["--resume"]])
def test_missing_folders_of_results_are_made(options: list[str], clip: Path, here: Path) -> None:
    results = ["-o", "a/b/o.mp4", "--table", "t/o.csv", "--maps", "m/maps", "--summary", "s/s.json"]
    done = vidsal("run", clip, "--model", "none", *results, *options, cwd=here)
    assert (done.returncode, done.stdout, messages(done.stderr)) == (0, "a/b/o.mp4\n", [])
    assert {"a/b/o.mp4", "t/o.csv", "m/maps/motion/000000.png", "s/s.json"} <= set(names_in(here))


def test_a_run_that_cannot_begin_makes_no_folder(clip: Path, here: Path) -> None:
    (here / "t.csv").write_text("precious")
    done = vidsal("run", clip, "--model", "none", "-o", "a/b/o.mp4", "--table", "t.csv", cwd=here)
    assert done.returncode == 1
    assert names_in(here) == ["t.csv"]


def test_options_that_changed_nothing_are_told(clip: Path, here: Path) -> None:
    done = vidsal("run", clip, "--model", "none", "--samples", "4", "--end", "0.2", cwd=here)
    assert (done.returncode, done.stdout) == (0, "clip_saliency.mp4\n")
    assert messages(done.stderr) == ["vidsal: --samples: without effect with --model none"]


def test_a_target_is_without_effect_where_no_network_is(clip: Path, here: Path) -> None:
    done = vidsal("run", clip, "--model", "none", "--target", "cat", "--end", "0.2", cwd=here)
    assert (done.returncode, done.stdout) == (0, "clip_saliency.mp4\n")
    assert messages(done.stderr) == ["vidsal: --target: without effect with --model none"]
    (here / "vidsal.toml").write_text("model = 'none'\ntarget = 'cat'\n")
    done = vidsal("run", clip, "--end", "0.2", "--overwrite", cwd=here)
    assert (done.returncode, messages(done.stderr)) == (0, [])


@pytest.mark.parametrize(
    ("arguments", "line", "hint"),
    [
        (
            ["frobnicate"],
            "vidsal: 'frobnicate' is neither a command nor a file or folder here",
            "Try `vidsal --help`.",
        ),
        (
            ["evalute", "clips"],
            "vidsal: 'evalute' is neither a command nor a file or folder here; did you mean "
            "'evaluate'?",
            "Try `vidsal --help`.",
        ),
        (["clip.mp4", "--colour"], "vidsal: Unknown option: --colour", "Try `vidsal run --help`."),
        (["live", "-"], "vidsal: -: vidsal does not read pipes", "Try `vidsal live --help`."),
        (["run"], "vidsal: give at least one video, photo", "Try `vidsal run --help`."),
        (["models", "lite0", "x"], "vidsal: Unused Tokens", "Try `vidsal models --help`."),
        (["models", "--layers"], "vidsal: --layers needs a network", "Try `vidsal models --help`."),
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
def test_wrong_command_is_exit_code_2(
    arguments: list[str], line: str, hint: str, here: Path
) -> None:
    done = vidsal(*arguments, cwd=here)
    assert (done.returncode, done.stdout) == (2, "")
    said, tried = done.stderr.splitlines()
    assert said.startswith(line)
    assert tried == hint


def test_a_failure_in_the_middle_is_one_line_and_leaves_nothing(
    make_clip: MakeClip, here: Path
) -> None:
    # An ffmpeg that can describe a file, but fails to write one.
    fake = here.parent / "ffmpeg"
    real = shutil.which(imageio_ffmpeg.get_ffmpeg_exe())
    assert real
    fake.write_text(
        f'#!/bin/sh\ncase "$*" in *libx264*) ;; *) exec \'{real}\' "$@" ;; esac\n'
        "echo 'the encoder is broken' >&2\nexit 3\n"
    )
    fake.chmod(0o755)
    environment = clean_environment(IMAGEIO_FFMPEG_EXE=str(fake))
    done = vidsal(
        "run", make_clip(frames=100), "--model", "none", "--table", "t.csv", cwd=here,
        env=environment,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert messages(done.stderr) == ["vidsal: ffmpeg failed: the encoder is broken"]
    assert names_in(here) == []


def test_an_ffmpeg_that_is_not_there_is_one_line(clip: Path, here: Path) -> None:
    environment = clean_environment(IMAGEIO_FFMPEG_EXE=str(here / "no-ffmpeg"))
    done = vidsal("run", clip, "--model", "none", cwd=here, env=environment)
    assert (done.returncode, done.stdout) == (1, "")
    (said,) = messages(done.stderr)
    assert said.startswith("vidsal: ffmpeg was not found: pip install")
    assert names_in(here) == []


def test_an_ffmpeg_that_is_too_old_is_one_line(clip: Path, here: Path) -> None:
    fake = here.parent / "ffmpeg"
    fake.write_text("#!/bin/sh\necho 'Invalid encoder timebase' >&2\nexit 1\n")
    fake.chmod(0o755)
    environment = clean_environment(IMAGEIO_FFMPEG_EXE=str(fake))
    done = vidsal("run", clip, "--model", "none", cwd=here, env=environment)
    assert (done.returncode, done.stdout) == (1, "")
    (said,) = messages(done.stderr)
    assert said.startswith(
        f"vidsal: {fake} cannot be used, it may be older than ffmpeg 6.1 (Invalid encoder timebase)"
    )
    assert names_in(here) == []
