"""Work in other processes, one task at a time in each: a worker that dies costs its own task."""

import logging
import logging.handlers
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from vidsal.errors import VidsalError

# Seconds that a worker gets to remove its unfinished files, before it is killed.
_GRACE_S = 10.0


@dataclass(frozen=True, slots=True)
class Done:
    """The end of a task.

    Attributes
    ----------
    number : int
        Number of the task, from 0.
    result : object
        What the work returned.
    death : str
        How the worker ended instead, such as "was killed by signal 9"; usually empty.
    """

    number: int
    result: Any = None
    death: str = ""


@dataclass(frozen=True, slots=True)
class News:
    """What a worker said about a task that it is at.

    Attributes
    ----------
    number : int
        Number of the task, from 0.
    value : object
        The argument of ``say``.
    """

    number: int
    value: Any


# Does a task; gets a function that sends news to the first process. If it has a method `close`, the
# worker calls that at its end.
Work = Callable[[Any, Callable[[Any], None]], Any]


def in_workers(
    make_work: Callable[[], Work], tasks: Sequence[Any], count: int
) -> Generator[Done | News, None, None]:
    """Do tasks in processes of their own; yield news, and the end of each task as it comes.

    The processes share the cores: the libraries of each use its share of threads.

    Processes are started afresh ("spawn"), so that they share nothing with this one. What they log
    under "vidsal" is logged here. At the end, or when the generator is closed, no worker is left: a
    task that is interrupted gets KeyboardInterrupt, and some seconds to remove its files.

    Parameters
    ----------
    make_work : callable
        Returns the work; called once in each worker. It must be importable there.
    tasks : sequence
        Arguments of the work; must be picklable.
    count : int
        Number of processes, at most one for each task.

    Yields
    ------
    Done or News

    Raises
    ------
    VidsalError
        If workers cannot start, as in a script without ``if __name__ == "__main__":``.
    """
    waiting = list(enumerate(tasks))[::-1]
    workers: dict[Connection, _Worker] = {}
    processes = min(count, len(tasks))
    threads = max(1, usable_cores() // max(1, processes))

    def start() -> None:
        worker = _Worker(make_work, threads)
        workers[worker.connection] = worker
        worker.begin(*waiting.pop())

    try:
        for _ in range(processes):
            start()
        while workers:
            for connection in wait(list(workers)):
                worker = workers[connection]  # type: ignore[index]
                try:
                    kind, value = worker.connection.recv()
                except (EOFError, OSError):
                    death = worker.death()
                    if not worker.is_ready:
                        raise VidsalError(
                            f"workers cannot start: the first one {death}. A script needs "
                            'if __name__ == "__main__": around what it does'
                        ) from None
                    yield Done(worker.number, death=death)
                    del workers[worker.connection]
                    if waiting:
                        start()
                    continue
                if kind == "ready":
                    worker.is_ready = True
                elif kind == "log":
                    logging.getLogger(value.name).handle(value)
                elif kind == "news":
                    yield News(worker.number, value)
                else:
                    yield Done(worker.number, value)
                    if waiting:
                        worker.begin(*waiting.pop())
                    else:
                        workers.pop(worker.connection).end(time.monotonic() + _GRACE_S)
    finally:
        for worker in workers.values():
            worker.interrupt()
        deadline_s = time.monotonic() + _GRACE_S
        for worker in workers.values():
            worker.end(deadline_s)


class _Worker:
    """One process, and the task that it is at."""

    def __init__(self, make_work: Callable[[], Work], threads: int) -> None:
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        level = logging.getLogger("vidsal").getEffectiveLevel()
        self._process: BaseProcess = context.Process(
            target=_serve,
            args=(make_work, threads, theirs, level),
            name="vidsal-worker",
            daemon=False,
        )
        with _inherited(thread_variables(threads)):
            self._process.start()
        theirs.close()
        self.number = -1
        self.is_ready = False

    def begin(self, number: int, task: Any) -> None:
        """Send a task."""
        self.number = number
        # A worker that has died is noticed where its answer is read.
        with suppress(OSError):
            self.connection.send(task)

    def death(self) -> str:
        """Wait until the process has ended; return how it did."""
        self.end(time.monotonic() + _GRACE_S)
        code = self._process.exitcode
        if code is not None and code < 0:
            return f"was killed by signal {-code}"
        return f"ended with exit code {code}"

    def interrupt(self) -> None:
        """Ask the process to end at once."""
        if self._process.is_alive():
            self._process.terminate()

    def end(self, deadline_s: float) -> None:
        """Wait until the process has ended; kill it if it does not in time."""
        with suppress(OSError):
            self.connection.close()
        self._process.join(max(0.1, deadline_s - time.monotonic()))
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


@contextmanager
def _inherited(variables: Mapping[str, str]) -> Generator[None, None, None]:
    """Let a process that is started in the block inherit variables, and ignore Ctrl-C.

    Ctrl-C is for the first process, which tells the others. Until they can listen, they would die
    of it with a traceback.
    """
    added = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ |= added
    before: Any = None
    # Signals can be set in the main thread alone.
    with suppress(ValueError):
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)
        for name in added:
            os.environ.pop(name, None)


def _serve(make_work: Callable[[], Work], threads: int, connection: Connection, level: int) -> None:
    """Do tasks until the other side closes the connection; runs in the worker."""
    if hasattr(os, "setsid"):
        # A closed terminal reaches the first process alone, too.
        os.setsid()
    _interrupt_when_asked()
    lock = threading.Lock()

    def send(kind: str, value: Any) -> None:
        with lock, suppress(OSError):
            connection.send((kind, value))

    _log_through(lambda record: send("log", record), level)
    with suppress(KeyboardInterrupt, EOFError):
        prepare_worker(threads)
        work = make_work()
        try:
            send("ready", None)
            while True:
                task = connection.recv()
                send("done", work(task, lambda value: send("news", value)))
        finally:
            getattr(work, "close", lambda: None)()


def _interrupt_when_asked() -> None:
    """Turn a request to end into KeyboardInterrupt, once; make one if the first process dies."""

    def interrupt(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    first = parent_process()
    assert first is not None

    def watch() -> None:
        wait([first.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="vidsal-watch", daemon=True).start()


def _log_through(send: Callable[[logging.LogRecord], None], level: int) -> None:
    """Send what is logged to the first process."""

    class Sending(logging.handlers.QueueHandler):
        def enqueue(self, record: logging.LogRecord) -> None:
            send(record)

    logger = logging.getLogger("vidsal")
    logger.handlers = [Sending(None)]  # type: ignore[arg-type]
    logger.setLevel(level)


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def prepare_worker(threads: int) -> None:
    """Prepare a process that works at tasks beside others; `thread_variables` were set before.

    Parameters
    ----------
    threads : int
        Threads that OpenCV uses.
    """
    from vidsal.runtime.allocation import keep_freed
    from vidsal.runtime.opencv import cv2

    keep_freed()
    cv2.setNumThreads(threads)


def thread_variables(threads: int) -> dict[str, str]:
    """Return the variables by which libraries use so many threads each.

    Parameters
    ----------
    threads : int
        At least 1.
    """
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
    return dict.fromkeys(names, str(threads))
