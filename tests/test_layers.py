"""The architecture: imports point down only, and nothing heavy comes unasked."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import vidsal

PACKAGE = Path(__file__).parent.parent / "vidsal"

# From the top down; a module may import only from lines below its own.
LAYERS = [
    ["__main__"],
    ["cli"],
    ["live"],
    ["doctor", "evaluation", "faithfulness", "jobs"],
    ["pipeline"],
    ["datasets", "report", "adaptive", "previews", "recording"],
    ["preview"],
    ["sources", "stream", "sinks", "static.models", "render"],
    ["parts", "identity", "stopping", "steps"],
    ["source", "sink", "static", "media", "encoding", "lettering"],
    ["ffmpeg", "memory", "packets", "downloads"],
    ["endings"],
    [
        "motion",
        "accumulate",
        "cuts",
        "scaling",
        "fusion",
        "outlines",
        "targets",
        "pace",
        "metrics",
        "curves",
    ],
    ["figures", "sizing"],
    ["warp", "yuv", "intervals", "timeline", "rates", "timing", "outcome"],
    ["frames", "settings", "prefetch", "newest", "opencv", "quiet", "garbage"],
    ["errors"],
]


def _name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_name(path): path for path in PACKAGE.rglob("*.py") if _name(path)}


def _layer(name: str) -> int:
    """The line of a module, or of the nearest package that has one."""
    while True:
        for number, line in enumerate(LAYERS):
            if name in line:
                return number
        assert "." in name, f"{name} is in no layer: add it to LAYERS and to the README"
        name = name.rpartition(".")[0]


def _imports(path: Path) -> set[str]:
    """The vidsal modules that a file imports anywhere, as deep as they are named."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vidsal"):
            base = (node.module or "").removeprefix("vidsal").lstrip(".")
            for alias in node.names:
                deeper = f"{base}.{alias.name}".lstrip(".")
                found.add(deeper if deeper in MODULES else base)
        elif isinstance(node, ast.Import):
            found |= {a.name.removeprefix("vidsal.") for a in node.names if "vidsal." in a.name}
    return found - {""}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_point_down(name: str) -> None:
    package = name.split(".")[0]
    for other in _imports(MODULES[name]):
        within = other.split(".")[0] == package
        assert within or _layer(name) < _layer(other), f"{name} must not import {other}"


def test_only_prefetch_and_newest_know_threads() -> None:
    for name, path in MODULES.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        named = {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
        } | {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        if name not in ("prefetch", "newest"):
            assert not named & {"threading", "queue", "concurrent.futures"}, name


@pytest.mark.parametrize(
    ("statement", "banned"),
    [
        ("import vidsal; vidsal.Settings()", {"numpy", "cv2", "tensorflow"}),
        ("import vidsal; assert 'draw' in dir(vidsal)", {"numpy", "cv2", "tensorflow"}),
        ("import vidsal.cli", {"numpy", "cv2", "tensorflow"}),
        ("import vidsal.pipeline, vidsal.stream", {"tensorflow", "keras"}),
    ],
)
def test_imports_stay_light(statement: str, banned: set[str]) -> None:
    code = f"{statement}; import sys; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "vidsal" in result.stdout.split()
    assert not banned & set(result.stdout.split())


def test_every_public_name_is_listed_and_there() -> None:
    assert {*vidsal.__all__, "__version__", "settings"} <= set(dir(vidsal))
    for name in vidsal.__all__:
        assert getattr(vidsal, name).__name__ == name
    with pytest.raises(AttributeError, match="module 'vidsal' has no attribute 'drow'"):
        _ = vidsal.drow
