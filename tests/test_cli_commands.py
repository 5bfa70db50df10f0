"""Commands other than run, help texts, and start-up time."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_help import clean_environment, empty_folder, messages, no_tensorflow, small_clip, vidsal
from sink_help import names_in

from vidsal._version import __version__
from vidsal.settings import Settings


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """An empty folder to run in."""
    return empty_folder(tmp_path)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten frames, 25 a second."""
    return small_clip(tmp_path_factory)


# The other commands, and start-up time


def test_models_lists_every_model(tmp_path: Path, here: Path) -> None:
    environment = no_tensorflow(tmp_path) | {"KERAS_HOME": str(tmp_path / "keras")}
    done = vidsal("models", cwd=here, env=environment)
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
    assert "weights missing" in vidsal("models", cwd=here, env=environment).stdout


def test_doctor_is_one_screen(tmp_path: Path, here: Path) -> None:
    done = vidsal("doctor", cwd=here, env=clean_environment(KERAS_HOME=str(tmp_path / "keras")))
    assert (done.returncode, done.stderr) == (0, "")
    found = dict(re.split(r"\s+", line, maxsplit=1) for line in done.stdout.splitlines())
    assert list(found) == [
        "vidsal", "Python", "OpenCV", "ffmpeg", "encoders", "TensorFlow", "weights", "cameras",
    ]  # fmt: skip
    assert found["vidsal"] == __version__
    assert found["Python"].startswith(".".join(map(str, sys.version_info[:3])))
    assert re.match(r"\d+\.\d+\.\d+, windows: \S+", found["OpenCV"])
    assert re.match(r"ffmpeg version \S+ at /", found["ffmpeg"])
    assert "libx264" in found["encoders"]
    assert re.search(r"\d+\.\d+\.\d+, Keras 3\.\S+, devices: .*CPU:0", found["TensorFlow"])
    assert "resnet50 not in the cache" in found["weights"]
    assert found["weights"].endswith("lite0 bundled")
    assert "PROBLEM" not in done.stdout


def test_doctor_goes_on_after_a_problem(tmp_path: Path, here: Path) -> None:
    environment = no_tensorflow(tmp_path) | {"IMAGEIO_FFMPEG_EXE": str(here / "no-ffmpeg")}
    done = vidsal("doctor", cwd=here, env=environment)
    found = dict(re.split(r"\s+", line, maxsplit=1) for line in done.stdout.splitlines())
    wrong = {name for name, answer in found.items() if answer.startswith("PROBLEM: ")}
    assert wrong == {"ffmpeg", "encoders", "TensorFlow"}
    assert "ffmpeg was not found" in found["ffmpeg"]
    assert len(found) == 8
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


def test_the_package_imports_nothing_before_it_is_used(here: Path) -> None:
    code = (
        "import sys; before = set(sys.modules); import vidsal; "
        "print(sorted(name for name in set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=Path(__file__).parents[1], capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip
    assert done.stdout == "['vidsal', 'vidsal._version']\n", done.stderr


def test_version(here: Path) -> None:
    done = vidsal("--version", cwd=here)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{__version__}\n", "")


def test_help_names_every_option(here: Path) -> None:
    done = vidsal("run", "--help", cwd=here, env=clean_environment(COLUMNS="100"))
    assert (done.returncode, done.stderr) == (0, "")
    for name in Settings.__dataclass_fields__:
        assert f"--{name.replace('_', '-')}" in done.stdout
    # Nothing else is on by default, so nothing else can be switched off.
    assert re.findall(r"--no-[a-z-]+", done.stdout) == [
        "--no-audio",
        "--no-mirror",
        "--no-annotate",
    ]


@pytest.mark.parametrize("arguments", [["models"], ["--help"]])
def test_a_reader_who_has_left_is_no_traceback(arguments: list[str], here: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "vidsal", *arguments],
            cwd=here, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60,
        )  # fmt: skip
    finally:
        os.close(writing)
    assert done.returncode == 1
    assert done.stderr == ""


@pytest.fixture(scope="module")
def reference_s(tmp_path_factory: pytest.TempPathFactory) -> float:
    """Time of the imports of NumPy and OpenCV, which tells how fast the machine is."""
    command, folder = [sys.executable, "-c", "import cv2, numpy"], tmp_path_factory.mktemp("empty")
    return min(
        _seconds(lambda: subprocess.run(command, cwd=folder, check=True, timeout=60))
        for _ in range(3)
    )


# Limits are seconds, on a slower machine multiples of the reference.
@pytest.mark.parametrize(
    ("arguments", "code", "limit_s", "multiple"),
    [
        (["--help"], 0, 0.3, 2),
        (["run", "--help"], 0, 0.3, 3),
        (["run", "missing.mp4"], 1, 0.6, 4.5),
    ],
)
def test_quick_answers(
    arguments: list[str], code: int, limit_s: float, multiple: float, reference_s: float, here: Path
) -> None:
    def answer() -> None:
        assert vidsal(*arguments, cwd=here).returncode == code

    times_s: list[float] = []
    while len(times_s) < 5 and (not times_s or min(times_s) > limit_s / 2):
        times_s.append(_seconds(answer))
    assert min(times_s) < max(limit_s, multiple * reference_s)


@pytest.mark.parametrize(
    ("arguments", "unused"),
    [
        (["--help"], {"cv2", "numpy", "PIL", "tempfile", "tqdm", "tomllib", "vidsal.jobs"}),
        (["run", "missing.mp4"], {"tensorflow", "imageio", "requests", "ssl", "tqdm"}),
    ],
)
def test_quick_answers_import_only_what_they_need(
    arguments: list[str], unused: set[str], here: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "vidsal", *arguments],
        cwd=here, env=clean_environment(), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "vidsal.cli" in imported
    assert imported & unused == set()


def _seconds(work: Callable[[], object]) -> float:
    """Return the processor time of the processes that a function starts, or its duration."""
    begin_s, begin_cpu_s = time.monotonic(), _cpu_of_children_s()
    work()
    # On a machine with other things to do, only the processor's time tells what we need.
    wall_s, cpu_s = time.monotonic() - begin_s, _cpu_of_children_s() - begin_cpu_s
    # Windows does not count it.
    return min(wall_s, cpu_s or wall_s)


def _cpu_of_children_s() -> float:
    """Processor time that the processes we started, and that have ended, took."""
    times = os.times()
    return times.children_user + times.children_system


# Words, completion, and options of files.


@pytest.mark.parametrize("arguments", [["CLIP", "--model", "none"], ["--model", "none", "CLIP"]])
def test_a_file_without_a_command_is_run(arguments: list[str], clip: Path, here: Path) -> None:
    given = [str(clip) if one == "CLIP" else one for one in arguments]
    done = vidsal(*given, "-o", "new/", cwd=here)
    assert (done.returncode, done.stdout) == (0, "new/clip_saliency.mp4\n")
    skipped = vidsal(*given, "-o", "new/", "--skip-existing", cwd=here)
    assert (skipped.returncode, skipped.stdout) == (0, "")
    assert messages(skipped.stderr) == ["vidsal: skipped: new/clip_saliency.mp4 exists"]


def test_classes_are_listed_with_their_indices(here: Path) -> None:
    done = vidsal("classes", "tabby", cwd=here)
    assert (done.returncode, done.stdout, done.stderr) == (0, " 281  tabby, tabby cat\n", "")
    cranes = vidsal("classes", "crane", cwd=here).stdout
    assert cranes == " 134  crane, the bird\n 517  crane, the machine\n"
    lines = vidsal("classes", cwd=here).stdout.splitlines()
    assert len(lines) == 1000
    assert lines[0] == "   0  tench, Tinca tinca"
    (here / "names.txt").write_text("cat, house cat\ndog\n")
    own = vidsal("classes", "--labels", "names.txt", cwd=here)
    assert own.stdout == "   0  cat, house cat\n   1  dog\n"
    none = vidsal("classes", "tabbi", cwd=here)
    assert (none.returncode, none.stdout) == (1, "")
    assert none.stderr == (
        "vidsal: no class has the word 'tabbi' in its name; did you mean 'tabby' or 'taxi'?\n"
    )


@pytest.mark.parametrize(("shell", "startup"), [("bash", ".bashrc"), ("zsh", ".zshrc")])
def test_completion_is_installed_into_the_shells_folder(
    shell: str, startup: str, tmp_path: Path, here: Path
) -> None:
    home = clean_environment(HOME=str(tmp_path), XDG_DATA_HOME=str(tmp_path / "data"))
    for name in ("ZSH", "ZSH_CUSTOM"):
        home.pop(name, None)
    done = vidsal("--install-completion", "--shell", shell, cwd=here, env=home)
    assert done.returncode == 0, done.stderr
    file = tmp_path / startup
    assert done.stderr == (
        f"vidsal: completion is installed, and {file} is changed to load it: open a new terminal "
        "to use it\n"
    )
    assert "completion" in file.read_text()
    again = vidsal("--install-completion", "--shell", shell, cwd=here, env=home)
    assert again.stderr == "vidsal: completion is installed: open a new terminal to use it\n"
    script = Path(done.stdout.strip())
    assert script.is_relative_to(tmp_path)
    assert "--skip-existing" in script.read_text()


def test_the_config_file_is_said_with_v(clip: Path, here: Path) -> None:
    (here / "vidsal.toml").write_text("model = 'none'\nlayout = 'quad'\n")
    done = vidsal("run", clip, "-v", "--layout", "map", cwd=here)
    assert (done.returncode, done.stdout) == (0, "clip_saliency.mp4\n")
    assert messages(done.stderr)[0] == "vidsal: options from vidsal.toml: model, layout"
    (here / "vidsal.toml").write_text("lay-out = 'quad'\n")
    wrong = vidsal("run", clip, cwd=here)
    assert wrong.returncode == 2
    assert wrong.stderr.splitlines()[0] == (
        "vidsal: vidsal.toml: there is no option 'lay-out'; did you mean 'layout'?"
    )


@pytest.mark.parametrize(
    "command",
    ["run", "live", "evaluate", "faithfulness", "models", "classes", "doctor", ""],
)
def test_help_of_each_command_has_examples(command: str, here: Path) -> None:
    done = vidsal(*command.split(), "--help", cwd=here)
    assert done.returncode == 0
    _, _, examples = done.stdout.partition("\nExamples:\n")
    assert f"  vidsal {command}" in examples


_INTERRUPTED_IMPORT = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
signal.signal(signal.SIGINT, signal.default_int_handler)
from vidsal.__main__ import main
sys.argv = ["vidsal", *{arguments!r}]
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("vidsal.cli", ""),
        ("vidsal.errors", ""),
        ("vidsal.settings", ""),
        ("cyclopts", ""),
        ("cv2", "vidsal: interrupted\n"),
        ("numpy.linalg", "vidsal: interrupted\n"),
        ("tensorflow", "vidsal: interrupted\n"),
        ("keras", "vidsal: interrupted\n"),
    ],
)
def test_an_interrupt_while_a_module_is_imported_prints_no_traceback(
    name: str, said: str, sample_media: Path, here: Path
) -> None:
    arguments = ["run", str(sample_media / "cat.jpg"), "--model", "lite0"]
    code = _INTERRUPTED_IMPORT.format(name=name, arguments=arguments)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=here, env=clean_environment(), capture_output=True,
        text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (130, "", said)
    assert names_in(here) == []
