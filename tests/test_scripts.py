"""The set-up scripts and the files outside the package, where no network is needed."""

import ast
import importlib
import os
import pkgutil
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


def test_shell_scripts_are_all_listed_here() -> None:
    shell_scripts = {
        str(path.relative_to(ROOT))
        for folder in ("scripts", ".ci")
        for path in (ROOT / folder).iterdir()
        if path.is_file() and path.suffix in ("", ".sh")
    }
    assert shell_scripts == SCRIPTS.keys()


@needs_sh
@pytest.mark.parametrize(("script", "shell"), SCRIPTS.items())
def test_shell_parses_the_script(script: str, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    done = subprocess.run([shell, "-n", ROOT / script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("script", [*SCRIPTS, ".github/workflows/ci.yml"])
def test_scripts_name_no_package_index(script: str) -> None:
    text = (ROOT / script).read_text()
    assert not re.search(r"://|--(extra-)?index-url|--find-links|\.(org|com|net|io)\b", text)


def test_version_of_project_and_package_are_equal() -> None:
    assert PROJECT["version"] == vidsal.__version__


def test_readme_describes_every_sample_file() -> None:
    folder = ROOT / "sample_media"
    readme = (folder / "README.md").read_text()
    files = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert {"chinchilla.mp4", "moving_square.mp4", "cat.jpg", "README.md"} <= files
    missing = {name for name in files - {"README.md"} if f"\n## {name}\n" not in readme}
    assert missing == set()


def test_workflow_runs_every_supported_python() -> None:
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    assert set(re.findall(r'"(3\.\d+)"', workflow)) == supported_pythons()


def supported_pythons() -> set[str]:
    """Return the minor versions that ``requires-python`` allows."""
    limits = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PROJECT["requires-python"])
    assert limits is not None
    return {f"3.{minor}" for minor in range(int(limits[1]), int(limits[2]))}


def fake_python(tmp_path: Path, version: str, *, has_venv: bool = True) -> Path:
    """Write a program that answers the set-up script like a Python of a version."""
    python = tmp_path / "python"
    python.write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        f'*version_info*) echo "{version}" ;;\n'
        f"*ensurepip*) exit {0 if has_venv else 1} ;;\n"
        '*) echo "called: $*" >&2; exit 9 ;;\n'
        "esac\n"
    )
    python.chmod(0o755)
    return python


def run_test_script(tmp_path: Path, python: Path) -> list[str]:
    """Run ``scripts/test`` with a Python that makes it fail; return the lines of stderr."""
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
def test_set_up_accepts_supported_pythons(tmp_path: Path, minor: int) -> None:
    version = f"3.{minor}"
    lines = run_test_script(tmp_path, fake_python(tmp_path, version))
    if version in supported_pythons():
        assert lines[0] == f"called: -m venv --clear {tmp_path}/venv"
    else:
        assert lines == [
            f"vidsal: {tmp_path}/python is Python {version}; vidsal needs Python 3.11 to 3.13; "
            "set PYTHON to another one"
        ]


@needs_sh
def test_set_up_without_venv_says_what_to_install(tmp_path: Path) -> None:
    (line,) = run_test_script(tmp_path, fake_python(tmp_path, "3.12", has_venv=False))
    assert "apt install python3-venv" in line


@needs_sh
def test_set_up_keeps_a_folder_that_is_not_an_environment(tmp_path: Path) -> None:
    kept = tmp_path / "venv" / "precious.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    (line,) = run_test_script(tmp_path, fake_python(tmp_path, "3.12"))
    assert line.endswith("exists and is not a virtual environment: remove it or set VIDSAL_VENV")
    assert kept.read_text() == "mine"


@needs_sh
def test_set_up_without_python_says_so(tmp_path: Path) -> None:
    lines = run_test_script(tmp_path, tmp_path / "none")
    assert lines == [
        f"vidsal: PYTHON={tmp_path}/none does not run; vidsal needs Python 3.11 to 3.13; "
        "set PYTHON to another one"
    ]


@pytest.mark.parametrize("arguments", [["run", "sample_media/cat.jpg"], ["doctor"]])
def test_without_opencv_one_line_says_what_to_install(tmp_path: Path, arguments: list[str]) -> None:
    # The error of opencv-python on a server without X libraries.
    reason = "libGL.so.1: cannot open shared object file"
    (tmp_path / "cv2.py").write_text(f"raise ImportError({reason!r})\n")
    done = subprocess.run(
        [sys.executable, "-m", "vidsal", *arguments],
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


def test_names_of_vidsal_in_scripts_and_texts_exist() -> None:
    # For mypy each name of the package exists, since it imports names on first use.
    suffixes = {".py", ".md", ".rst", ".ipynb"}
    files = [ROOT / "README.md", ROOT / "CHANGELOG.md"]
    for folder in ("scripts", "docs", "vidsal"):
        files += [path for path in (ROOT / folder).rglob("*") if path.suffix in suffixes]
    known = {*vidsal.__all__, *(one.name for one in pkgutil.iter_modules(vidsal.__path__))}
    known |= {"toml", "css"}  # Files of these names.
    found = {
        (path.name, name)
        for path in files
        for name in re.findall(r"(?<![\w./-])vidsal\.([A-Za-z_]\w*)", path.read_text())
    }
    assert len(found) > 100
    assert sorted(one for one in found if one[1] not in known) == []


def test_code_for_child_processes_imports_existing_names() -> None:
    # mypy does not read code in strings.
    tree = ast.parse((ROOT / "scripts" / "bench_gradient.py").read_text())
    strings = [
        node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
    ]
    codes = [text for text in strings if isinstance(text, str) and "from vidsal." in text]
    imports = [
        node
        for code in codes
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.ImportFrom)
    ]
    assert (len(codes), len(imports)) == (2, 4)
    for node in imports:
        module = importlib.import_module(str(node.module))
        assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


@pytest.mark.parametrize(("drawing_s", "second_call"), [(0.01, 1), (0.01, 7), (0.0001, 1)])
def test_steady_rate_of_bursts_is_the_rate_of_the_calls(
    drawing_s: float, second_call: int, load_script: LoadScript
) -> None:
    # Each call of 16 frames takes 1 s. The first call takes 10 s and gives `second_call` frames.
    times = []
    for n in range(200):
        call = 0 if n < second_call else 1 + (n - second_call) // 16
        within = n if call == 0 else (n - second_call) % 16
        times.append(10 + call + within * drawing_s)
    assert load_script("bench_turns").steady_rate(times) == pytest.approx(16, rel=1e-3)
    even = [5 + n / 60 for n in range(200)]
    assert load_script("bench_turns").steady_rate(even) == pytest.approx(60)


def test_the_rate_of_slots_is_timed_from_their_first_tasks(
    load_script: LoadScript, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = load_script("bench_batch").Ends()
    times_s = iter([5.0, 6.0, 9.0, 11.0, 13.5])
    monkeypatch.setattr("time.perf_counter", lambda: next(times_s))
    for _ in range(5):
        ends.tell(None)
    assert (ends.span_s(5, 1), ends.span_s(5, 2)) == (8.5, 7.5)
    with pytest.raises(AssertionError, match="5 of 6 tasks"):
        ends.span_s(6, 1)
