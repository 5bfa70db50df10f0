"""Helpers for tests of the command line: a process, its environment, and its messages."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from conftest import run_ffmpeg

_NOISE = ("TF_CPP_MIN_LOG_LEVEL", "TF_ENABLE_ONEDNN_OPTS", "OPENCV_LOG_LEVEL", "PYTHONWARNINGS")


def clean_environment(**others: str) -> dict[str, str]:
    """The environment without the variables that silence libraries."""
    kept = {name: value for name, value in os.environ.items() if name not in _NOISE}
    return kept | others


def no_tensorflow(folder: Path) -> dict[str, str]:
    """An environment in which importing TensorFlow or Keras is an error."""
    banned = "import sys\nfor name in ('tensorflow', 'keras'):\n    sys.modules[name] = None\n"
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(banned)
    paths = [str(folder / "site"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return clean_environment(PYTHONPATH=os.pathsep.join(paths))


def vidsal(
    *arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run a command line to its end."""
    return subprocess.run(
        [sys.executable, "-m", "vidsal", *map(str, arguments)],
        cwd=cwd, env=dict(env or clean_environment()), capture_output=True, text=True, timeout=120,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def messages(stderr: str) -> list[str]:
    """The lines on stderr that are not the progress bar's."""
    lines = [line.strip() for line in stderr.replace("\r", "\n").splitlines()]
    return [line for line in lines if line and not re.search(r"\| \d+/|\d+ frames|frames/s", line)]


def empty_folder(parent: Path) -> Path:
    """Make an empty folder to run in."""
    folder = parent / "here"
    folder.mkdir()
    return folder


def small_clip(factory: pytest.TempPathFactory) -> Path:
    """Make a clip of ten frames, 25 a second."""
    path = factory.mktemp("clip") / "clip.mp4"
    picture = ["-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25", "-frames:v", "10"]
    run_ffmpeg(*picture, "-c:v", "libx264", str(path))
    return path
