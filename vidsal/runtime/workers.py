"""Work in other processes, one task at a time in each: a worker that dies costs its own task."""

import logging
import logging.handlers
import os
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

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


# Does a task; gets a function that sends news to the first process.
Work = Callable[[Any, Callable[[Any], None]], Any]


def in_workers(
    make_work: Callable[[], Work], tasks: Sequence[Any], count: int
) -> Generator[Done | News, None, None]:
    """Do tasks in processes of their own; yield news, and the end of each task as it comes.

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
    """
    waiting = list(enumerate(tasks))[::-1]
    workers: dict[Connection, _Worker] = {}
    try:
        for _ in range(min(count, len(tasks))):
            worker = _Worker(make_work)
            workers[worker.connection] = worker
            worker.begin(*waiting.pop())
        while workers:
            for connection in wait(list(workers)):
                worker = workers[connection]  # type: ignore[index]
                try:
                    kind, value = worker.connection.recv()
                except (EOFError, OSError):
                    yield Done(worker.number, death=worker.death())
                    del workers[worker.connection]
                    if waiting:
                        worker = _Worker(make_work)
                        workers[worker.connection] = worker
                        worker.begin(*waiting.pop())
                    continue
                if kind == "log":
                    logging.getLogger(value.name).handle(value)
                elif kind == "news":
                    yield News(worker.number, value)
                else:
                    yield Done(worker.number, value)
                    if waiting:
                        worker.begin(*waiting.pop())
                    else:
                        workers.pop(worker.connection).end()
    finally:
        for worker in workers.values():
            worker.interrupt()
        for worker in workers.values():
            worker.end()


class _Worker:
    """One process, and the task that it is at."""

    def __init__(self, make_work: Callable[[], Work]) -> None:
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        level = logging.getLogger("vidsal").getEffectiveLevel()
        self._process: BaseProcess = context.Process(
            target=_serve, args=(make_work, theirs, level), name="vidsal-worker", daemon=False
        )
        self._process.start()
        theirs.close()
        self.number = -1

    def begin(self, number: int, task: Any) -> None:
        """Send a task."""
        self.number = number
        # A worker that has died is noticed where its answer is read.
        with suppress(OSError):
            self.connection.send(task)

    def death(self) -> str:
        """Return how the process ended."""
        self._process.join(_GRACE_S)
        code = self._process.exitcode
        if code is not None and code < 0:
            return f"was killed by signal {-code}"
        return f"ended with exit code {code}"

    def interrupt(self) -> None:
        """Ask the process to end at once."""
        if self._process.is_alive():
            self._process.terminate()

    def end(self) -> None:
        """Wait until the process has ended; kill it if it does not."""
        with suppress(OSError):
            self.connection.close()
        self._process.join(_GRACE_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _serve(make_work: Callable[[], Work], connection: Connection, level: int) -> None:
    """Do tasks until the other side closes the connection; runs in the worker."""
    if hasattr(os, "setsid"):
        # Ctrl-C reaches the first process alone, which then tells the workers.
        os.setsid()
    _interrupt_when_asked()
    lock = threading.Lock()

    def send(kind: str, value: Any) -> None:
        with lock, suppress(OSError):
            connection.send((kind, value))

    _log_through(lambda record: send("log", record), level)
    with suppress(KeyboardInterrupt, EOFError):
        work = make_work()
        while True:
            task = connection.recv()
            send("done", work(task, lambda value: send("news", value)))


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


@contextmanager
def share_of_threads(threads: int) -> Generator[None, None, None]:
    """Let libraries that are loaded in the block use so many threads each.

    Parameters
    ----------
    threads : int
        At least 1.
    """
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ |= dict.fromkeys(names, str(threads))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
