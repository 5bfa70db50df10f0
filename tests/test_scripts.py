"""The set-up scripts and the files beside the package: what can be held without a network."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from conftest import LoadScript

import vidsal

ROOT = Path(__file__).parents[1]
SCRIPTS = {
    "scripts/setup.sh": "sh",
    "scripts/demo": "sh",
    "scripts/docs": "sh",
    "scripts/test": "sh",
    ".ci/run": "bash",
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

needs_sh = pytest.mark.skipif(shutil.which("sh") is None, reason="a POSIX shell runs the scripts")


def test_every_shell_script_is_known_here() -> None:
    found = {
        str(path.relative_to(ROOT))
        for folder in ("scripts", ".ci")
        for path in (ROOT / folder).iterdir()
        if path.is_file() and path.suffix in ("", ".sh")
    }
    assert found == SCRIPTS.keys()


@needs_sh
@pytest.mark.parametrize(("script", "shell"), SCRIPTS.items())
def test_a_shell_can_read_the_script(script: str, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    done = subprocess.run([shell, "-n", ROOT / script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("script", [*SCRIPTS, ".github/workflows/ci.yml"])
def test_scripts_leave_the_package_index_to_the_machine(script: str) -> None:
    text = (ROOT / script).read_text()
    assert not re.search(r"://|--(extra-)?index-url|--find-links|\.(org|com|net|io)\b", text)


def test_the_version_is_the_same_everywhere() -> None:
    assert PROJECT["version"] == vidsal.__version__


def test_every_sample_file_has_its_origin_told() -> None:
    folder = ROOT / "sample_media"
    about = (folder / "README.md").read_text()
    files = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert {"chinchilla.mp4", "moving_square.mp4", "cat.jpg", "README.md"} <= files
    missing_hdr_tags = {name for name in files - {"README.md"} if f"\n## {name}\n" not in about}
    assert missing_hdr_tags == set()


def test_the_workflow_runs_every_python_that_is_supported() -> None:
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    assert set(re.findall(r'"(3\.\d+)"', workflow)) == supported_pythons()


def supported_pythons() -> set[str]:
    """Return what ``requires-python`` says, minor version by minor version."""
    limits = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PROJECT["requires-python"])
    assert limits is not None
    return {f"3.{minor}" for minor in range(int(limits[1]), int(limits[2]))}


def stand_in(tmp_path: Path, version: str, *, has_venv: bool = True) -> Path:
    """Write a program that answers set-up's questions as a Python of that version would."""
    python = tmp_path / "python"
    python.write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        f'*version_info*) echo "{version}" ;;\n'
        f"*ensurepip*) exit {0 if has_venv else 1} ;;\n"
        '*) echo "asked: $*" >&2; exit 9 ;;\n'
        "esac\n"
    )
    python.chmod(0o755)
    return python


def run_test_script(tmp_path: Path, python: Path) -> list[str]:
    """Run ``scripts/test`` with a Python that is of no use to it; return the lines of stderr."""
    done = subprocess.run(
        ["sh", ROOT / "scripts" / "test"],
        cwd=tmp_path,
        env={**os.environ, "PYTHON": str(python), "VIDSAL_VENV": str(tmp_path / "venv")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    return done.stderr.splitlines()


@needs_sh
@pytest.mark.parametrize("minor", range(8, 17))
def test_set_up_accepts_the_pythons_that_the_project_does(tmp_path: Path, minor: int) -> None:
    version = f"3.{minor}"
    lines = run_test_script(tmp_path, stand_in(tmp_path, version))
    if version in supported_pythons():
        assert lines[0] == f"asked: -m venv --clear {tmp_path}/venv"
    else:
        assert lines == [
            f"vidsal: {tmp_path}/python is Python {version}; vidsal needs Python 3.11 to 3.13 "
            "(PYTHON=... names another)"
        ]


@needs_sh
def test_set_up_says_what_to_install_where_venv_is_missing(tmp_path: Path) -> None:
    (line,) = run_test_script(tmp_path, stand_in(tmp_path, "3.12", has_venv=False))
    assert "apt install python3-venv" in line


@needs_sh
def test_set_up_never_empties_a_folder_that_is_no_environment(tmp_path: Path) -> None:
    kept = tmp_path / "venv" / "precious.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    (line,) = run_test_script(tmp_path, stand_in(tmp_path, "3.12"))
    assert line.endswith("is not a virtual environment: remove it or set VIDSAL_VENV")
    assert kept.read_text() == "mine"


@needs_sh
def test_set_up_says_so_where_there_is_no_python(tmp_path: Path) -> None:
    lines = run_test_script(tmp_path, tmp_path / "none")
    assert lines == [
        f"vidsal: PYTHON={tmp_path}/none cannot be run; vidsal needs Python 3.11 to 3.13"
    ]


@pytest.mark.parametrize("words", [["run", "sample_media/cat.jpg"], ["doctor"]])
def test_without_opencv_a_line_says_what_to_install(tmp_path: Path, words: list[str]) -> None:
    # What opencv-python does on a server without X libraries.
    reason = "libGL.so.1: cannot open shared object file"
    (tmp_path / "cv2.py").write_text(f"raise ImportError({reason!r})\n")
    done = subprocess.run(
        [sys.executable, "-m", "vidsal", *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 1
    assert "Traceback" not in output
    lines = [line for line in output.splitlines() if reason in line]
    assert lines
    assert all("pip install opencv-python-headless" in line for line in lines)


@pytest.mark.parametrize(
    ("drawing_s", "begins"), [(0.01, [0, 1]), (0.01, [0, 7]), (0.0001, [0, 1])]
)
def test_the_rate_of_bursts_is_that_of_the_calls(
    drawing_s: float, begins: list[int], load_script: LoadScript
) -> None:
    # A call of 16 frames takes a second, whenever its first result comes; the first one takes ten.
    times = []
    for n in range(200):
        call = 0 if n < begins[1] else 1 + (n - begins[1]) // 16
        within = n if call == 0 else (n - begins[1]) % 16
        times.append(10 + call + within * drawing_s)
    assert load_script("bench_pipeline").steady_rate(times) == pytest.approx(16, rel=1e-3)
    even = [5 + n / 60 for n in range(200)]
    assert load_script("bench_pipeline").steady_rate(even) == pytest.approx(60)
