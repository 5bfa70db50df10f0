"""The README and the pages of docs/: commands, programs, links and tables are true."""

import doctest
import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeClip
from test_architecture import MAY_IMPORT

import vidsal
from vidsal.commands import app
from vidsal.settings import LiveOptions, Settings
from vidsal.settings.presets import PRESETS
from vidsal.settings.stored import CropOptions

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
NOTEBOOK = ROOT / "docs" / "guide" / "notebook.ipynb"
MOST_LINES = 170


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of a page in one language."""
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    """Return the arguments of every ``vidsal`` command of a page."""
    lines = "".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
    split = [shlex.split(line, comments=True) for line in lines]
    return [one[1:] for one in split if one[:1] == ["vidsal"]]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


COMMANDS = [
    pytest.param(arguments, id=f"{name_of(page)}: {shlex.join(arguments)}")
    for page in PAGES
    for arguments in commands(page)
]
# Each of the longer pages loads a network of its own.
PROGRAMS = [
    pytest.param(page, id=name_of(page), marks=[] if page == README else pytest.mark.slow)
    for page in PAGES
    if blocks(page, "python")
]


def with_command(arguments: list[str]) -> list[str]:
    """Return a command line with ``run`` where the first word is a source."""
    known = [name for name in app if not name.startswith("-")]
    return arguments if arguments[0] in known or arguments[0][0] == "-" else ["run", *arguments]


def test_the_readme_is_a_front_door() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


@pytest.mark.parametrize("arguments", COMMANDS)
def test_every_command_is_valid(arguments: list[str]) -> None:
    _, bound, unused = app.parse_args(
        with_command(arguments), print_error=False, exit_on_error=False
    )
    assert not unused
    # `vidsal evaluate` takes a list of fusions where `Settings` takes one.
    values = {name: value for name, value in bound.kwargs.items() if not isinstance(value, list)}
    own = CropOptions if arguments[0] == "crop" else LiveOptions
    for options in (Settings, own):
        known = options.__dataclass_fields__.keys() & values.keys()
        options(**{name: values[name] for name in known})


@pytest.mark.slow
def test_the_commands_of_the_readme_run_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ROOT / "sample_media", tmp_path / "sample_media")
    monkeypatch.chdir(tmp_path)
    listed = [with_command(one) for one in commands(README) if "live" not in one]
    assert len(listed) >= 6
    for arguments in listed:
        before = set(tmp_path.iterdir())
        if arguments[0] == "run":
            # The bundled network and a part of the clip: weights of ResNet50 are a download.
            short = ["--duration", "3"] if arguments[1].endswith(".mp4") else []
            app([*arguments, "--model", "lite0", *short])
        else:
            app(arguments)
        assert set(tmp_path.iterdir()) > before, arguments


@pytest.fixture
def example_folder(make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a folder with the files that the programs of the pages name."""
    make_clip("clip.mp4", frames=5).replace(tmp_path / "clip.mp4")
    shutil.copy(ROOT / "sample_media" / "cat.jpg", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PROGRAMS)
def test_the_programs_of_a_page_run_one_after_the_other(page: Path, example_folder: Path) -> None:
    names: dict[str, Any] = {}
    for code in blocks(page, "python"):
        exec(compile(code, name_of(page), "exec"), names)
    if "VideoWriter" in page.read_text(encoding="utf-8"):
        with vidsal.open_video("out.mp4") as video:
            assert len(list(video)) == 5


def test_the_slide_loop_is_the_same_everywhere() -> None:
    loop = blocks(README, "python")[0]
    assert "vidsal.open_video" in loop
    for page in (ROOT / "docs" / "index.md", ROOT / "docs" / "guide" / "library.md"):
        assert loop in blocks(page, "python"), page


def test_the_examples_of_public_docstrings_run(example_folder: Path) -> None:
    finder, runner = doctest.DocTestFinder(), doctest.DocTestRunner()
    examples = [
        example
        for name in vidsal.__all__
        if callable(getattr(vidsal, name))
        for example in finder.find(getattr(vidsal, name), name)
    ]
    for example in examples:
        assert runner.run(example).failed == 0, example.name
    assert runner.tries > 0


@pytest.mark.parametrize("page", [pytest.param(one, id=name_of(one)) for one in PAGES])
def test_every_link_leads_to_a_file(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in link and not link.startswith("#"):
            assert (page.parent / link.partition("#")[0]).exists(), link


def test_the_map_of_wings_is_the_table_that_imports_are_checked_against() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (nothing|`[^|]*`) \|", page, re.MULTILINE)
    written = {wing: set(re.findall(r"`(\w+)`", others)) for wing, others in rows}
    assert written == MAY_IMPORT, "update the table in docs/architecture.md"


def test_the_architecture_names_files_that_exist() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:\w+/)*\w+\.py)`", page)) - {"tests/test_architecture.py"}
    missing = {
        name for name in named if not (ROOT / "vidsal" / name.removeprefix("vidsal/")).exists()
    }
    assert len(named) > 30
    assert missing == set()


def test_presets_are_described_as_they_are() -> None:
    page = (ROOT / "docs" / "guide" / "command_line.md").read_text(encoding="utf-8")
    for name, options in PRESETS.items():
        flags = " ".join(f"--{key.replace('_', '-')} {value}" for key, value in options.items())
        assert f"| `{name}` |" in page
        assert f"`{flags}`" in page


def test_the_notebook_is_stored_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(code) > 5
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)


@pytest.mark.parametrize("name", sorted({*vidsal.__all__} - {"__version__"}))
def test_every_public_name_is_in_the_reference(name: str) -> None:
    page = (ROOT / "docs" / "reference" / "index.rst").read_text(encoding="utf-8")
    assert re.search(rf"^   {name}$", page, re.MULTILINE)
