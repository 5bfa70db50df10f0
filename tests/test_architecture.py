"""The architecture: imports point down only, and heavy libraries are imported late."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import vidsal

PACKAGE = Path(__file__).parent.parent / "vidsal"

# Every wing may import these, and itself.
GROUND = {"errors", "types", "settings", "runtime", "_version"}

# Other wings that each wing may import; see docs/architecture.md.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "_version": set(),
    "types": set(),
    "settings": set(),
    "runtime": set(),
    "image_ops": set(),
    "yuv": set(),
    "media": set(),
    "static": set(),
    "motion": {"image_ops"},
    "sources": {"media", "yuv"},
    "saliency": {"image_ops", "motion"},
    "render": {"image_ops", "motion", "saliency", "yuv"},
    "store": {"saliency", "static"},
    "crop": {"saliency"},
    "sinks": {"image_ops", "media", "saliency", "store", "yuv"},
    "evaluation": {"image_ops", "saliency", "sources", "static"},
    "live": {"render", "saliency", "sinks", "sources", "static"},
    "analyser": {"image_ops", "render", "saliency", "sources", "static", "yuv"},
    "functional": {"analyser", "image_ops", "motion", "render", "saliency", "sources"},
    "pipeline": {"analyser", "media", "saliency", "sinks", "sources", "static", "yuv"},
    "stored": {"analyser", "pipeline", "render", "saliency", "sinks", "sources", "store"},
    "rendering": {
        "analyser",
        "image_ops",
        "media",
        "motion",
        "pipeline",
        "saliency",
        "sinks",
        "store",
        "stored",
    },
    "stills": {"analyser", "image_ops", "render", "rendering", "sinks", "store", "stored"},
    "report": {
        "analyser",
        "image_ops",
        "media",
        "render",
        "saliency",
        "sinks",
        "sources",
        "store",
        "stored",
    },
    "comparison": {
        "analyser",
        "evaluation",
        "image_ops",
        "media",
        "render",
        "rendering",
        "saliency",
        "sinks",
        "sources",
        "store",
        "stored",
    },
    "cropping": {"analyser", "crop", "render", "sinks", "sources", "store", "stored"},
    "result_names": {"media", "sinks", "sources", "store"},
    "jobs": {"pipeline", "result_names", "sources", "static"},
    "batches": {
        "analyser",
        "image_ops",
        "media",
        "pipeline",
        "result_names",
        "saliency",
        "sinks",
        "sources",
        "static",
        "store",
    },
    "doctor": {"media", "static"},
    "config": set(),
    "command_options": {"config"},
    "commands": {
        "batches",
        "command_options",
        "comparison",
        "cropping",
        "doctor",
        "evaluation",
        "jobs",
        "live",
        "pipeline",
        "rendering",
        "report",
        "static",
        "stills",
        "store",
    },
    "cli": {"commands"},
    "__main__": {"cli"},
}
# The ground floor may import less than it offers.
ONLY: dict[str, set[str]] = {
    "errors": set(),
    "_version": set(),
    "types": set(),
    "settings": {"errors"},
    "runtime": {"errors", "types"},
}
# A wing may import only these modules of another one.
PARTS: dict[tuple[str, str], set[str]] = {
    ("sinks", "saliency"): {"saliency.measures", "saliency.normalization", "saliency.regions"},
    ("store", "saliency"): {"saliency.measures", "saliency.regions", "saliency.scenes"},
    ("store", "static"): {"static.labels"},
}


def _name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_name(path): path for path in PACKAGE.rglob("*.py")}


def imported(code: str) -> set[str]:
    """The vidsal modules that code imports anywhere, as deep as they are named."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the wing"
            if (node.module or "").split(".")[0] == "vidsal":
                base = (node.module or "").removeprefix("vidsal").lstrip(".")
                for alias in node.names:
                    deeper = f"{base}.{alias.name}".lstrip(".")
                    found.add(deeper if deeper in MODULES else base)
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            found |= {one.removeprefix("vidsal").lstrip(".") for one in names if _is_own(one)}
    return found


def _is_own(module: str) -> bool:
    return module.split(".")[0] == "vidsal"


def forbidden(name: str, code: str) -> set[str]:
    """The imports of a module against the table of wings."""
    wing = name.split(".")[0]
    allowed = ONLY.get(wing, GROUND) | MAY_IMPORT[wing] | {wing}
    found = set()
    for other in imported(code):
        target = other.split(".")[0]
        parts = PARTS.get((wing, target))
        if target not in allowed or (parts is not None and other not in parts):
            found.add(other or "vidsal/__init__.py")
    return found


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_follow_the_table_of_wings(name: str) -> None:
    if not name:
        return  # Importing vidsal hands the public names on; nothing imports it.
    assert not forbidden(name, MODULES[name].read_text(encoding="utf-8")), name


@pytest.mark.parametrize(
    ("name", "statement", "found"),
    [
        ("saliency.stream", "from vidsal.static.gradient import GradientStage", "static.gradient"),
        ("saliency.stream", "from vidsal import pipeline", "pipeline"),
        ("runtime.prefetch", "import vidsal.settings", "settings"),
        ("sinks.table", "from vidsal.saliency.stream import SaliencyStream", "saliency.stream"),
        ("evaluation.report", "import vidsal", "vidsal/__init__.py"),
        ("motion.flow", "def f():\n    from vidsal.media import ffmpeg", "media.ffmpeg"),
    ],
)
def test_an_import_against_the_table_is_found(name: str, statement: str, found: str) -> None:
    assert forbidden(name, statement) == {found}


def test_no_module_is_on_a_circle_of_imports() -> None:
    arrows = {
        name: imported(path.read_text(encoding="utf-8")) & set(MODULES)
        for name, path in MODULES.items()
        if name
    }
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join((*way, name))
        if name not in done:
            for other in sorted(arrows.get(name, set()) - {name}):
                visit(other, (*way, name))
            done.add(name)

    for name in sorted(arrows):
        visit(name, ())


def test_only_three_modules_use_threads() -> None:
    for name, path in MODULES.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        named = {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
        } | {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        if name not in ("runtime.prefetch", "runtime.latest", "runtime.workers"):
            assert not named & {"threading", "queue", "concurrent.futures"}, name


@pytest.mark.parametrize(
    ("statement", "banned"),
    [
        ("import vidsal; vidsal.Settings()", {"numpy", "cv2", "tensorflow"}),
        ("import vidsal; assert 'draw' in dir(vidsal)", {"numpy", "cv2", "tensorflow"}),
        ("import vidsal.cli", {"numpy", "cv2", "tensorflow"}),
        ("import vidsal.pipeline, vidsal.saliency.stream", {"tensorflow", "keras"}),
    ],
)
def test_imports_stay_light(statement: str, banned: set[str]) -> None:
    code = f"{statement}; import sys; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "vidsal" in result.stdout.split()
    assert not banned & set(result.stdout.split())


def test_every_public_name_is_listed_and_there() -> None:
    assert {*vidsal.__all__, "settings"} <= set(dir(vidsal))
    for name in {*vidsal.__all__} - {"__version__"}:
        assert getattr(vidsal, name).__name__ == name
    with pytest.raises(AttributeError, match="module 'vidsal' has no attribute 'drow'"):
        _ = vidsal.drow
