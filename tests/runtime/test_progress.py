"""Progress bars: where they are shown, and their texts."""

import io
import logging
import os
import sys
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from vidsal.runtime.progress import (
    BarAwareHandler,
    bars_cleared,
    choose_progress,
    is_shown,
    phase,
    progress_bar,
    shortened,
)


class Terminal(io.StringIO):
    """A stderr that says that it is a terminal, and has no size."""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        raise OSError("no file")


def in_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Let stderr be a terminal; no fixture, since pytest sets stderr anew after those."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


def test_nothing_is_shown_where_stderr_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    items = [1, 2]
    assert progress_bar(items, 2) is items
    assert choose_progress(True) is None
    with phase("loading"):
        pass
    assert stream.getvalue() == ""
    monkeypatch.setattr(sys, "stderr", None)
    assert not is_shown()


def test_a_bar_says_the_source_the_count_and_the_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = in_terminal(monkeypatch)
    assert list(progress_bar(range(3), 3, label="2 of 9 clip.mp4")) == [0, 1, 2]
    assert "2 of 9 clip.mp4:" in terminal.getvalue()
    assert "| 0/3 [" in terminal.getvalue() and " frames/s]" in terminal.getvalue()
    # Nothing of it is left, and no line is wider than a terminal without a size is taken for.
    lines = terminal.getvalue().split("\r")
    assert lines[-2].strip() == lines[-1] == ""
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("columns", [0, 60])
def test_a_bar_is_as_wide_as_the_terminal_or_usual(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = in_terminal(monkeypatch)
    monkeypatch.setattr(Terminal, "fileno", lambda _: 2)
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((columns, 0)))
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("LINES", "24")
    list(progress_bar(range(3), 3))
    widest = max(map(len, terminal.getvalue().split("\r")))
    assert (70 <= widest <= 80) if columns == 0 else widest <= 60


def test_a_phase_is_shown_while_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = in_terminal(monkeypatch)
    with phase("loading ResNet50"):
        assert terminal.getvalue().strip() == "loading ResNet50 ..."
    assert terminal.getvalue().split("\r")[-2].strip() == ""


def test_lines_of_the_log_are_written_above_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = in_terminal(monkeypatch)
    logger = logging.getLogger("vidsal.test_progress")
    logger.propagate = False
    logger.handlers = [BarAwareHandler()]
    with phase("loading"):
        logger.warning("one line")
    lines = terminal.getvalue().split("\r")
    assert "one line\n" in lines
    assert lines.index("one line\n") > lines.index("loading ...")
    assert lines[-3] == "loading ..."


def test_clearing_bars_needs_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = in_terminal(monkeypatch)
    monkeypatch.delitem(sys.modules, "tqdm.std", raising=False)
    with bars_cleared():
        terminal.write("text")
    assert terminal.getvalue() == "text"


def test_a_callable_is_used_as_it_is() -> None:
    def mine(items: Iterable[Any], _: int | None) -> Iterable[Any]:
        return items

    assert choose_progress(mine) is mine
    assert choose_progress(False) is None


def test_a_notebook_shows_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    shell = SimpleNamespace(config={"IPKernelApp": {}})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert is_shown()
    assert list(progress_bar([1, 2], 2)) == [1, 2]
    # IPython in a terminal is not a notebook.
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert not is_shown()


def test_a_long_label_loses_its_middle() -> None:
    assert shortened("clip.mp4") == "clip.mp4"
    label = shortened("2 of 9 " + "x" * 50 + "_0001.mp4")
    assert len(label) == 32
    assert label.startswith("2 of 9 x") and label.endswith("x_0001.mp4") and "…" in label
