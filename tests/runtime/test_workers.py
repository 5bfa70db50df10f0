"""Tasks in processes of their own: order, news, logs, deaths and interruptions."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from vidsal.errors import VidsalError
from vidsal.runtime.workers import Done, News, in_workers


def one_by_one(tasks: Iterable[Any]) -> Callable[[], Any | None]:
    """Return what gives one task at a time, and None after the last."""
    return partial(next, iter(tasks), None)


def squares() -> Callable[[Any, Callable[[Any], None]], Any]:
    """Return a work that a worker imports from here."""
    served = []

    def work(task: int, say: Callable[[Any], None]) -> tuple[int, int, int]:
        served.append(task)
        say(f"at {task}")
        logging.getLogger("vidsal.test").warning("task %d", task)
        return task**2, os.getpid(), len(served)

    return work


def deadly(folder: Path) -> Callable[[Any, Callable[[Any], None]], Any]:
    def work(task: str, _: Callable[[Any], None]) -> str:
        if task == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if task == "leave":
            os._exit(3)
        if task == "wait":
            try:
                (folder / "begun").touch()
                time.sleep(60)
            finally:
                (folder / "cleaned").touch()
        return task

    return work


def test_each_task_is_done_once_in_other_processes(caplog: pytest.LogCaptureFixture) -> None:
    events = list(in_workers(squares, one_by_one(range(7)), 2))
    done = {one.task: one.result for one in events if isinstance(one, Done)}
    assert {task: result[0] for task, result in done.items()} == {n: n**2 for n in range(7)}
    pids = {result[1] for result in done.values()}
    assert len(pids) == 2 and os.getpid() not in pids
    # A worker keeps what it made from one task to the next.
    assert sorted(result[2] for result in done.values())[-1] >= 4
    news = {(one.task, one.value) for one in events if isinstance(one, News)}
    assert news == {(n, f"at {n}") for n in range(7)}
    assert sorted(caplog.messages) == [f"task {n}" for n in range(7)]


@pytest.mark.parametrize(("task", "death"), [
    ("die", "was killed by signal 9"), ("leave", "ended with exit code 3"),
])  # fmt: skip
def test_a_worker_that_dies_costs_its_own_task(tmp_path: Path, task: str, death: str) -> None:
    if task == "die" and not hasattr(signal, "SIGKILL"):
        pytest.skip("no such signal here")
    events = [
        one
        for one in in_workers(partial(deadly, tmp_path), one_by_one(["a", task, "b", "c"]), 2)
        if isinstance(one, Done)
    ]
    assert sorted((one.task, one.result, one.death) for one in events if one.task != task) == [
        ("a", "a", ""), ("b", "b", ""), ("c", "c", ""),
    ]  # fmt: skip
    (lost,) = (one for one in events if one.task == task)
    assert (lost.result, lost.death) == (None, death)


def test_tasks_that_become_ready_later_are_done_by_the_same_workers() -> None:
    waiting, done = [2, 3], []

    def take() -> int | None:
        return waiting.pop() if waiting else None

    for event in in_workers(squares, take, 2):
        if isinstance(event, Done):
            done.append((event.task, event.result[0]))
            if len(done) == 2:
                # No worker is at a task now, and none was ready a moment ago.
                waiting.extend([4, 5])
    assert sorted(done) == [(2, 4), (3, 9), (4, 16), (5, 25)]


def test_closing_interrupts_what_runs(tmp_path: Path) -> None:
    events = in_workers(partial(deadly, tmp_path), one_by_one(["a", "wait"]), 2)
    with contextlib.closing(events):
        next(events)
        deadline = time.monotonic() + 30
        while not (tmp_path / "begun").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        began_s = time.monotonic()
    assert (tmp_path / "cleaned").exists()
    assert time.monotonic() - began_s < 8


def _environment() -> Callable[[Any, Callable[[Any], None]], Any]:
    return lambda task, _: os.environ.get(task)


@pytest.mark.parametrize(("count", "share"), [(1, "6"), (2, "3"), (5, "1")])
def test_workers_share_the_cores_and_inherit_variables_that_are_not_set(
    monkeypatch: pytest.MonkeyPatch, count: int, share: str
) -> None:
    monkeypatch.setattr("vidsal.runtime.workers.usable_cores", lambda: 6)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    names = ["OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"]
    found = {
        one.task: one.result
        for one in in_workers(_environment, one_by_one(names), count)
        if isinstance(one, Done)
    }
    assert found == {"OMP_NUM_THREADS": "7", "TF_NUM_INTRAOP_THREADS": share}
    assert "TF_NUM_INTRAOP_THREADS" not in os.environ


def _broken() -> Any:
    raise SystemExit(5)


def test_workers_that_cannot_start_are_one_error() -> None:
    with pytest.raises(VidsalError, match="cannot start: the first one ended with exit code 5"):
        list(in_workers(_broken, one_by_one(range(50)), 2))


def test_workers_end_with_the_first_process(tmp_path: Path) -> None:
    if not hasattr(signal, "SIGKILL"):
        pytest.skip("no such signal here")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from functools import partial; from pathlib import Path\n"
        "from test_workers import deadly\n"
        "from vidsal.runtime.workers import in_workers\n"
        "if __name__ == '__main__':\n"
        "    list(in_workers(partial(deadly, Path(sys.argv[2])), iter(['wait']).__next__, 1))\n"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    process = subprocess.Popen([sys.executable, script, Path(__file__).parent, tmp_path])
    try:
        assert _appears(tmp_path / "begun")
    finally:
        process.kill()
        process.wait()
    assert _appears(tmp_path / "cleaned")


def _appears(path: Path) -> bool:
    deadline_s = time.monotonic() + 30
    while not path.exists() and time.monotonic() < deadline_s:
        time.sleep(0.05)
    return path.exists()
