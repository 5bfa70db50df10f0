"""The command line of live: errors in one line, defaults, and the summary."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vidsal import commands, errors
from vidsal.live import session
from vidsal.live.statistics import Summary
from vidsal.settings import LiveOptions, Settings


def _vidsal(*args: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "vidsal", *args], cwd=folder, capture_output=True, text=True,
        timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_what_cannot_be_is_one_line_and_an_exit_code(tmp_path: Path) -> None:
    wrong = {
        ("live", "--port", "99999"): "--port must be 0 to 65535",
        ("live", "--warmup", "long"): "--warmup: expected seconds, or frames such as 30f",
        ("live", "--static-every", "0"): "--static-every must be auto or",
        ("live", "--start", "3"): "--start",
    }
    for args, said in wrong.items():
        result = _vidsal(*args, folder=tmp_path)
        assert result.returncode == 2
        assert said in result.stderr
        assert "Try `vidsal live --help`" in result.stderr
    result = _vidsal("live", "987", "--model", "none", "--preview", "none", folder=tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith("vidsal: camera 987 cannot be used: ")
    assert len(result.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_defaults_of_live_are_told_and_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Restored afterwards: the command line lets messages name options as flags.
    monkeypatch.setattr(errors, "_names_flags", False)
    text = " ".join(_vidsal("live", "--help", folder=tmp_path).stdout.replace("│", " ").split())
    for default in ("[default: auto]", "[default: dis]", "[default: 8]", "[default: 8300]"):
        assert default in text
    known: list[tuple[str, Settings, LiveOptions]] = []

    def run(source: str, settings: Settings, options: LiveOptions, **_: Any) -> Summary:
        known.append((source, settings, options))
        return Summary(9, 6, 3, 2.0, 40.0, 80.0, ("a.mp4",))

    monkeypatch.setattr(session, "live", run)
    commands.app(["live", "--warmup", "2", "--samples", "4"])
    source, settings, options = known[0]
    assert source == "0"
    assert (settings.static_every, settings.flow, settings.samples) == ("auto", "dis", 4)
    assert settings.batch == 1
    assert (options.warmup, options.host) == ((2.0, 0), "127.0.0.1")
    said = capsys.readouterr()
    assert said.out == "a.mp4\n"
    assert said.err == (
        "vidsal: 2.0 s: 9 frames seen, 6 analysed (3.0 a second), 3 dropped; latency 40 ms, "
        "95 % below 80 ms\n"
    )
