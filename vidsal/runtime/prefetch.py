"""Threads: an iterator that runs ahead of its consumer, and work whose result is needed later.

Only this module and ``latest.py``, for live sources, import ``threading``, ``queue`` or
``concurrent.futures``.
"""

import atexit
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from queue import Empty, Full, Queue
from typing import Any, TypeVar

T = TypeVar("T")

_END = object()
# Interval at which a waiting side checks whether the other one has ended. Leaving the block feels
# immediate, and the checks cost nothing.
_POLL_S = 0.05
# Seconds that the end of the program waits for a thread, which is in the middle of an item.
_JOIN_S = 10.0


class _Failure:
    """An error on its way through the queue."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


@contextmanager
def prefetch(items: Iterable[T], depth: int) -> Iterator[Iterator[T]]:
    """Iterate over `items` in a thread of its own, at most `depth` items ahead.

    Order is kept. An error in `items` reaches the consumer as the same object, after the items
    that came before it. Leaving the ``with`` block, for whatever reason, stops the thread, closes
    `items` if it is a generator, and joins. The end of the program stops the thread, too.

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
    ahead = _Ahead(items, depth)
    try:
        # Inside the try block, because Ctrl-C may come as soon as the thread runs.
        ahead.thread.start()
        yield ahead.consume()
    finally:
        ahead.stop.set()
        if ahead.thread.is_alive():
            ahead.thread.join()


def begin(work: Callable[[], T], *, name: str) -> Callable[[], T]:
    """Begin some work in a thread; return a function that waits for its result.

    The end of the program does not wait for the thread.

    Parameters
    ----------
    work : callable
    name : str
        Name of the thread, without "vidsal-".

    Returns
    -------
    callable
        It returns what `work` returned, or raises its error, as often as it is called.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name=f"vidsal-{name}", daemon=True).start()
    return future.result


class _Ahead:
    """The items that a thread has made and its consumer has not yet taken."""

    def __init__(self, items: Iterable[Any], depth: int) -> None:
        self._items = items
        self._queue: Queue[Any] = Queue(maxsize=depth)
        self.stop = threading.Event()
        # A program that ends with an unfinished iterator must not wait for the thread, which waits
        # for the iterator: `_end_all` stops it.
        self.thread = threading.Thread(target=self._produce, name="vidsal-prefetch", daemon=True)
        _open.add(self)

    def _produce(self) -> None:
        """Fill the queue until the items end, fail, or are no longer wanted."""
        try:
            for item in self._items:
                if not self._put(item):
                    return
            self._put(_END)
        except BaseException as error:
            self._put(_Failure(error))
        finally:
            _close(self._items)

    def consume(self) -> Iterator[Any]:
        """Yield the items that the thread produces."""
        while True:
            try:
                # A timeout lets the main thread receive Ctrl-C on every system.
                item = self._queue.get(timeout=_POLL_S)
            except Empty:
                if self.thread.is_alive() or not self._queue.empty():
                    continue
                if _is_ending.is_set():
                    # A daemon thread must not take this for the end of the items.
                    raise RuntimeError("the program ends") from None
                return
            if item is _END:
                return
            if isinstance(item, _Failure):
                raise item.error
            yield item

    def _put(self, item: Any) -> bool:
        """Wait for a place in the queue; return whether the item was taken."""
        while not (self.stop.is_set() or _is_ending.is_set()):
            try:
                self._queue.put(item, timeout=_POLL_S)
                return True
            except Full:
                continue
        return False


_open: "weakref.WeakSet[_Ahead]" = weakref.WeakSet()
_is_ending = threading.Event()


# Called after the threads of the program have ended, except for daemons.
@atexit.register
def _end_all() -> None:
    """Stop all threads at the end of the program, and let them close what they read."""
    _is_ending.set()
    for ahead in list(_open):
        if ahead.thread.is_alive():
            ahead.thread.join(_JOIN_S)


def _close(items: Any) -> None:
    """Close a generator, so that it releases its resources in the thread that used them."""
    close = getattr(items, "close", None)
    if close is not None:
        close()
