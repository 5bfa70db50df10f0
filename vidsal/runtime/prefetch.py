"""Threads: an iterator that runs ahead of its consumer, and a helper for parallel work.

Only this module and ``latest.py``, for live sources, import ``threading``, ``queue`` or
``concurrent.futures``.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import Empty, Full, Queue
from typing import Any, TypeVar

T = TypeVar("T")
# Begins some work; returns a function that waits for its result, or raises its error.
Begin = Callable[[Callable[[], T]], Callable[[], T]]

_END = object()
# Interval at which a waiting side checks whether the other one has ended. Leaving the block feels
# immediate, and the checks cost nothing.
_POLL_S = 0.05


class _Failure:
    """An error on its way through the queue."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


@contextmanager
def prefetch(items: Iterable[T], depth: int) -> Iterator[Iterator[T]]:
    """Iterate over `items` in a thread of its own, at most `depth` items ahead.

    Order is kept. An error in `items` reaches the consumer as the same object, after the items
    that came before it. Leaving the ``with`` block, for whatever reason, stops the thread, closes
    `items` if it is a generator, and joins.

    Parameters
    ----------
    items : iterable
        Consumed by the thread only.
    depth : int
        Number of items that may wait. With 0 there is no thread, and the output is the same.

    Yields
    ------
    iterator
        The items.

    Raises
    ------
    ValueError
        If `depth` is negative.
    """
    if depth < 0:
        raise ValueError(f"depth must be 0 or more, got {depth}")
    if depth == 0:
        try:
            yield iter(items)
        finally:
            _close(items)
        return
    queue: Queue[Any] = Queue(maxsize=depth)
    stop = threading.Event()
    thread = threading.Thread(target=_produce, args=(items, queue, stop), name="vidsal-prefetch")
    try:
        # Inside the try block, because Ctrl-C may come as soon as the thread runs.
        thread.start()
        yield _consume(queue, thread)
    finally:
        stop.set()
        if thread.is_alive():
            thread.join()


@contextmanager
def helper(name: str) -> Iterator[Begin[Any]]:
    """Yield a function that begins work in one thread, one task after the other.

    Parameters
    ----------
    name : str
        Name of the thread, without "vidsal-".

    Yields
    ------
    callable
        See `Begin`.
    """
    with ThreadPoolExecutor(1, f"vidsal-{name}") as thread:
        yield lambda work: thread.submit(work).result


def _produce(items: Iterable[Any], queue: "Queue[Any]", stop: threading.Event) -> None:
    """Fill the queue until the items end, fail, or `stop` is set."""
    try:
        for item in items:
            if not _put(queue, item, stop):
                return
        _put(queue, _END, stop)
    except BaseException as error:
        _put(queue, _Failure(error), stop)
    finally:
        _close(items)


def _put(queue: "Queue[Any]", item: Any, stop: threading.Event) -> bool:
    """Wait for a place in the queue; return whether the item was taken."""
    while not stop.is_set():
        try:
            queue.put(item, timeout=_POLL_S)
            return True
        except Full:
            continue
    return False


def _consume(queue: "Queue[Any]", thread: threading.Thread) -> Iterator[Any]:
    """Yield the items that the thread produced."""
    while True:
        try:
            # A timeout lets the main thread receive Ctrl-C on every system.
            item = queue.get(timeout=_POLL_S)
        except Empty:
            if not thread.is_alive() and queue.empty():
                return
            continue
        if item is _END:
            return
        if isinstance(item, _Failure):
            raise item.error
        yield item


def _close(items: Any) -> None:
    """Close a generator, so that it releases its resources in the thread that used them."""
    close = getattr(items, "close", None)
    if close is not None:
        close()
