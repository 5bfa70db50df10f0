"""The command ``vidsal evaluate``: tables, files, errors."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from evaluation_help import (
    box_mask,
    write_photo,
    write_png,
    write_sequence,
)

from vidsal.evaluation.evaluate import evaluate
from vidsal.settings import Settings


def _vidsal(*arguments: str | Path, cwd: Path, code: int) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [sys.executable, "-m", "vidsal", "evaluate", *map(str, arguments)],
        cwd=cwd, env=dict(os.environ), capture_output=True, text=True, timeout=120,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done


def test_the_command_prints_the_tables_and_writes_them(data: Path, tmp_path: Path) -> None:
    write_sequence(data, frames=6)
    (tmp_path / "r.md").write_text("before")
    done = _vidsal(
        "data", "--models", "none", "--frames-per-clip", "2", "--seed", "5", "--working-width",
        "96", "--json", "r.json", "--markdown", "r.md", "--overwrite", cwd=tmp_path, code=0,
    )  # fmt: skip
    report = evaluate([data], Settings(model="none", working_width=96), frames_per_clip=2, seed=5)
    assert report.tables[0].frames == 2
    # The command names options as flags.
    assert report.about.endswith(", working_width=96")
    about = report.about.replace("working_width=96", "--working-width 96")
    report = dataclasses.replace(report, about=about)
    assert done.stdout.splitlines() == str(report).splitlines()
    assert done.stderr == ""
    read = json.loads((tmp_path / "r.json").read_text())
    assert read == json.loads(json.dumps(report.to_dict()))
    assert (tmp_path / "r.md").read_text() == "\n".join(report.markdown()).rstrip() + "\n"


def test_the_command_scores_other_programs_by_name(
    data: Path, theirs: Path, tmp_path: Path
) -> None:
    mask = box_mask(np.s_[10:30, 4:20])
    write_photo(data, "a", mask=mask)
    write_png(theirs / "a.png", mask)
    write_png(tmp_path / "worse" / "a.png", 255 - mask)
    done = _vidsal(
        "data", "--models", "none", "--against", "best one=theirs", "--against", "worst=worse",
        cwd=tmp_path, code=0,
    )  # fmt: skip
    best, worst = done.stdout.splitlines()[-2:]
    assert best.removeprefix("best one").split()[0] == "1.000"
    assert worst.removeprefix("worst").split()[0] == "0.000"


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        ([], 2, "give at least one folder of clips or photos with ground truth"),
        (["data", "--frames-per-clip", "0"], 2, "--frames-per-clip must be 1 or more, got 0"),
        (["data", "--against", "empty"], 2, "--against must be NAME=DIR, got 'empty'"),
        (["data", "--against", "=empty"], 2, "--against must be NAME=DIR, got '=empty'"),
        (["data", "--against", "it="], 2, "--against must be NAME=DIR, got 'it='"),
        (["data", "--against", "it=no"], 2, "it: no is not a folder"),
        (["data", "--against", "static=empty"], 2, "static is a row of vidsal's own: "
         "give empty another name"),
        (["data", "--json", "r", "--markdown", "r"], 2, "--json and --markdown both name r"),
        (["data", "--seed", "-1"], 2, "--seed must be 0 to 2147483647, got -1"),
        (["data", "--fusion", "blend"], 2, "Invalid value"),
        (["data", "--json", "there.json"], 1, "there.json exists: give another name, or "
         "--overwrite to replace it"),
        (["data", "--markdown", "there.json"], 1, "there.json exists: give another name, or "
         "--overwrite to replace it"),
        (["data", "--json", "there.json/r.json"], 1, "there.json/r.json: there.json is not a "
         "folder: give another name"),
        (["missing"], 1, "missing is not a folder"),
        (["empty"], 1, "empty has no clips or photos with ground truth: expected videos/ bes"),
        (["data", "--against", "it=empty"], 1, "it: 0 maps for frame a of a in empty, expected "),
    ],
)  # fmt: skip
def test_errors_are_one_line_and_an_exit_code(
    arguments: list[str], code: int, line: str, data: Path, tmp_path: Path
) -> None:
    write_photo(data, "a", mask=box_mask(np.s_[10:30, 4:20]))
    (tmp_path / "empty").mkdir()
    (tmp_path / "there.json").write_text("precious")
    done = _vidsal(
        *arguments, *(["--models", "none"] if arguments else []), cwd=tmp_path, code=code
    )
    assert done.stdout == ""
    message, *hint = done.stderr.splitlines()
    assert message.startswith(f"vidsal: {line}")
    assert hint == (["Try `vidsal evaluate --help`."] if code == 2 else [])
    assert (tmp_path / "there.json").read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "empty", "there.json"]
