"""The steps of a batch on this machine: in this process, or in several."""

from collections.abc import Callable, Generator
from contextlib import closing
from functools import partial
from typing import Any

from vidsal.batches.places import Folder
from vidsal.batches.receipts import Result
from vidsal.batches.schedule import Schedule
from vidsal.batches.work import Say, Worker
from vidsal.runtime.workers import News, in_workers


def in_turn(
    schedule: Schedule, make_worker: Callable[[], Worker], say: Say
) -> Generator[Result, None, None]:
    """Process the sources in this process, one after the other, and yield their results.

    Parameters
    ----------
    schedule : Schedule
    make_worker : callable
    say : callable
        Is called with the seconds of video that were analysed.
    """
    with closing(make_worker()) as worker:
        while (step := schedule.take()) is not None:
            if result := schedule.ended(step, worker.do(step, say)):
                yield result


def in_processes(
    schedule: Schedule, make_worker: Callable[[], Worker], say: Say, count: int
) -> Generator[Result, None, None]:
    """Process the sources in several processes, and yield their results as they arrive.

    Parameters
    ----------
    schedule : Schedule
    make_worker : callable
        Must be picklable.
    say : callable
        Is called with the seconds of video that were analysed.
    count : int
        Number of processes, at most.
    """
    with closing(in_workers(partial(_Work, make_worker), schedule.take, count)) as events:
        for event in events:
            if isinstance(event, News):
                say(event.value)
                continue
            if event.death:
                result = schedule.lost(event.task, f"the last one {event.death}")
            else:
                result = schedule.ended(event.task, event.result)
            if result:
                yield result


class _Work:
    """Does each step that a process receives, with one worker, until it is closed."""

    def __init__(self, make_worker: Callable[[], Worker]) -> None:
        self._worker = make_worker()

    def __call__(self, step: Any, say: Callable[[Any], None]) -> Any:
        return self._worker.do(step, say)

    def close(self) -> None:
        """Remove the last fetched file."""
        self._worker.close()


def make_local_worker(out: Folder, is_overwriting: bool, split_s: float | None) -> Worker:
    """Return a worker that shares the disk of the first process.

    Parameters
    ----------
    out : Folder
    is_overwriting : bool
    split_s : float or None
        See `vidsal.batches.work.Worker`.
    """
    return Worker(out, is_overwriting=is_overwriting, split_s=split_s)
