"""Work in other processes, one task at a time in each. If a worker dies, only its task is lost."""

import logging
import logging.handlers
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from vidsal.errors import VidsalError
from vidsal.runtime.cores import usable_cores

# Seconds that a worker has to remove its unfinished files before it is killed.
_GRACE_S = 10.0


@dataclass(frozen=True, slots=True)
class Done:
    """The end of a task.

    Attributes
    ----------
    task : object
    result : object
        Return value of the work.
    death : str
        How the worker died, such as "was killed by signal 9". Empty if the work returned.
    """

    task: Any
    result: Any = None
    death: str = ""


@dataclass(frozen=True, slots=True)
class News:
    """A message of a worker about its current task.

    Attributes
    ----------
    task : object
    value : object
        The argument of ``say``.
    """

    task: Any
    value: Any


# Does a task. The second argument is a function that sends news to the first process. If the work
# has a method `close`, the worker calls it at its end.
Work = Callable[[Any, Callable[[Any], None]], Any]


def in_workers(
    make_work: Callable[[], Work], take: Callable[[], Any | None], count: int
) -> Generator[Done | News, None, None]:
    """Do tasks in separate processes; yield news, and the end of each task as it arrives.

    The processes share the cores: the libraries of each process use a share of the threads.

    Processes are started with "spawn", so that they share nothing with this process. Messages that
    they log under "vidsal" are logged here. At the end, or when the generator is closed, no worker
    is left. An interrupted task gets KeyboardInterrupt, and has some seconds to remove its files.

    Parameters
    ----------
    make_work : callable
        Returns the work. It is called once in each worker, and must be importable there.
    take : callable
        Returns the next argument of the work, which must be picklable, or None if none is ready
        now. It is called again after each end of a task. When it returns None and no worker has a
        task, the work is over.
    count : int
        Number of processes, at most.

    Yields
    ------
    Done or News

    Raises
    ------
    VidsalError
        If workers cannot start, as in a script without ``if __name__ == "__main__":``.
    """
    with closing(_Pool(make_work, count)) as pool:
        while True:
            pool.feed(take)
            if not pool.is_busy:
                return
            yield from pool.events()


class _Pool:
    """A limited number of workers. Each one does a task, or waits for one."""

    def __init__(self, make_work: Callable[[], Work], count: int) -> None:
        self._make_work, self._count = make_work, count
        self._threads = max(1, usable_cores() // max(1, count))
        self._workers: dict[Any, _Worker] = {}

    @property
    def is_busy(self) -> bool:
        """Whether a worker has a task."""
        return any(one.is_busy for one in self._workers.values())

    def feed(self, take: Callable[[], Any | None]) -> None:
        """Give tasks to waiting workers, and to new ones."""
        idle = [one for one in self._workers.values() if not one.is_busy]
        while idle or len(self._workers) < self._count:
            if (task := take()) is None:
                return
            worker = idle.pop() if idle else _Worker(self._make_work, self._threads)
            self._workers[worker.connection] = worker
            worker.begin(task)

    def events(self) -> Iterator[Done | News]:
        """Wait for messages of workers; yield news and ends of tasks."""
        for connection in wait(list(self._workers)):
            worker = self._workers[connection]
            try:
                kind, value = worker.connection.recv()
            except (EOFError, OSError):
                del self._workers[connection]
                if worker.is_busy:
                    yield Done(worker.task, death=worker.death())
                continue
            if kind == "ready":
                worker.is_ready = True
            elif kind == "log":
                logging.getLogger(value.name).handle(value)
            elif kind == "news":
                yield News(worker.task, value)
            else:
                worker.is_busy = False
                yield Done(worker.task, value)

    def close(self) -> None:
        """End all workers. Their current tasks are interrupted."""
        for worker in self._workers.values():
            worker.dismiss()
        deadline_s = time.monotonic() + _GRACE_S
        for worker in self._workers.values():
            worker.end(deadline_s)


class _Worker:
    """One process, and its current or last task."""

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
        self.task: Any = None
        self.is_busy = self.is_ready = False

    def begin(self, task: Any) -> None:
        """Send a task to the process."""
        self.task, self.is_busy = task, True
        # A dead worker is noticed when its answer is read.
        with suppress(OSError):
            self.connection.send(task)

    def death(self) -> str:
        """Wait until the process has ended; return how it ended.

        Raises
        ------
        VidsalError
            If it never began to work.
        """
        self.end(time.monotonic() + _GRACE_S)
        code = self._process.exitcode
        how = f"ended with exit code {code}"
        if code is not None and code < 0:
            how = f"was killed by signal {-code}"
        if not self.is_ready:
            raise VidsalError(
                f"workers cannot start: the first one {how}. A script needs "
                'if __name__ == "__main__": around what it does'
            )
        return how

    def dismiss(self) -> None:
        """Ask the process to end, even in the middle of a task."""
        if self.is_busy and self._process.is_alive():
            self._process.terminate()
        elif not self.is_busy:
            self.connection.close()

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

    Only the first process handles Ctrl-C, and it tells the other processes. Before these can
    receive messages, Ctrl-C would end them with a traceback.
    """
    added = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ |= added
    before: Any = None
    # Signal handlers can be set only in the main thread.
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
    """Do tasks until the other side closes the connection. Runs in the worker."""
    if hasattr(os, "setsid"):
        # With this the signal of a closed terminal also reaches only the first process.
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
    """Turn the first request to end, or the death of the first process, into KeyboardInterrupt."""

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
    """Send log messages to the first process."""

    class Sending(logging.handlers.QueueHandler):
        def enqueue(self, record: logging.LogRecord) -> None:
            send(record)

    logger = logging.getLogger("vidsal")
    logger.handlers = [Sending(None)]  # type: ignore[arg-type]
    logger.setLevel(level)


def prepare_worker(threads: int) -> None:
    """Prepare a process that works beside others. `thread_variables` must be set before.

    Parameters
    ----------
    threads : int
        Number of threads for OpenCV.
    """
    from vidsal.runtime.allocation import keep_freed
    from vidsal.runtime.opencv import cv2

    keep_freed()
    cv2.setNumThreads(threads)


def thread_variables(threads: int) -> dict[str, str]:
    """Return the environment variables that limit the threads of libraries.

    Parameters
    ----------
    threads : int
        At least 1.
    """
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
    return dict.fromkeys(names, str(threads))
