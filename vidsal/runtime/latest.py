"""The newest item of a thread, for live sources and previews, which must not fall behind.

`prefetch` keeps every item and lets its producer wait. Here the newest item replaces older ones
(the one before it may wait once), and neither side waits for the other. Only this module and
``prefetch.py`` import ``threading``.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Generic, TypeVar

T = TypeVar("T")
U = TypeVar("U")

# Time limit in seconds for a thread to end. A driver may hang in a read for longer; then the daemon
# thread ends with the process and does not delay it.
_JOIN_S = 12.0
# Interval at which a waiting main thread checks for Ctrl-C, on systems where a lock blocks it.
_POLL_S = 0.2


class Slot(Generic[T]):
    """A slot for one item between the thread that runs an iterator and the consumer.

    Parameters
    ----------
    drops : bool
        Replace an item that was not taken; with False the iterator waits instead.
    spare : bool
        Keep the item before the newest one, too, for once: of two that wait, the older one is taken
        first, unless two waited last time as well. So a short delay drops nothing, and a consumer
        that is too slow still gets the newest.

    Attributes
    ----------
    seen : int
        Number of items that the iterator yielded.
    dropped : int
        Number of items that a newer one replaced before they were taken.
    """

    def __init__(self, *, drops: bool, spare: bool = False) -> None:
        self._drops, self._places = drops, 2 if spare else 1
        self._changed = threading.Condition()
        # Empty, or the newest item, or the two newest.
        self._waiting: list[T] = []
        self._was_behind = False
        self._is_done = self._is_stopped = False
        self._error: BaseException | None = None
        self.seen = self.dropped = 0

    @property
    def is_over(self) -> bool:
        """Whether the items have ended, and the last one, or their error, was taken."""
        with self._changed:
            return self._is_done and not self._waiting and self._error is None

    def take(self, timeout_s: float) -> T | None:
        """Return the newest item, or None if none comes in time or the items have ended.

        Parameters
        ----------
        timeout_s : float
            Longest wait in seconds.

        Raises
        ------
        BaseException
            The error of the iterator, as the same object, after its last item.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_done, timeout_s)
            if self._waiting:
                self._changed.notify_all()
                is_behind = len(self._waiting) > 1
                if is_behind and self._was_behind:
                    self.dropped += 1
                    del self._waiting[0]
                self._was_behind = is_behind
                return self._waiting.pop(0)
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            return None

    def __iter__(self) -> Iterator[T]:
        while not self.is_over:
            item = self.take(_POLL_S)
            if item is not None:
                yield item
            elif self._is_stopped:
                return

    def run(self, items: Iterable[T]) -> None:
        """Put items into the slot until they end, fail, or `stop` is called; the thread's work.

        Parameters
        ----------
        items : iterable
            Closed at the end, if it can be.
        """
        error: BaseException | None = None
        try:
            iterator = iter(items)
            while self._has_room():
                item = next(iterator, None)
                if item is None:
                    break
                self._put(item)
        except BaseException as failure:
            error = failure
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()
            with self._changed:
                self._is_done, self._error = True, error
                self._changed.notify_all()

    def stop(self) -> None:
        """End `run` after its present item."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    def _has_room(self) -> bool:
        """Wait until the next item may be asked for; return False if there is none to ask for."""
        with self._changed:
            if not self._drops:
                self._changed.wait_for(lambda: self._is_stopped or not self._waiting)
            return not self._is_stopped

    def _put(self, item: T) -> None:
        with self._changed:
            self.seen += 1
            if len(self._waiting) == self._places:
                self.dropped += 1
                del self._waiting[0]
            self._waiting.append(item)
            self._changed.notify_all()


@contextmanager
def newest(items: Iterable[T], *, drops: bool = True, spare: bool = False) -> Iterator[Slot[T]]:
    """Run an iterator in a thread of its own and yield the slot with its newest item.

    Leaving the ``with`` block stops the iterator after its present item, closes it, and joins.

    Parameters
    ----------
    items : iterable
        Consumed by the thread only; an item None ends it.
    drops : bool
        With False no item is dropped: each is asked for after the one before it was taken.
    spare : bool
        See `Slot`.

    Yields
    ------
    Slot
    """
    slot: Slot[T] = Slot(drops=drops, spare=spare)
    with background_thread(partial(slot.run, items), name="newest", stop=slot.stop):
        yield slot


class Latest(Generic[T, U]):
    """The latest value for any number of threads, which read it at their own speed.

    Parameters
    ----------
    make : callable
        Turns a value into what the threads get. It runs once for a value, when the first thread
        asks for it.
    """

    def __init__(self, make: Callable[[T], U]) -> None:
        self._changed = threading.Condition()
        self._value: T | None = None
        self._number = 0
        self._make = make
        self._making = threading.Lock()
        self._made: tuple[int, U | None] = (0, None)

    def put(self, value: T) -> None:
        """Replace the value.

        Parameters
        ----------
        value : object
        """
        with self._changed:
            self._value, self._number = value, self._number + 1
            self._changed.notify_all()

    def after(self, number: int, timeout_s: float) -> tuple[int, U | None]:
        """Return a value newer than that of a number, as `make` returns it, with its own number.

        If none comes in time, return the last one again, with the same number.

        Parameters
        ----------
        number : int
            As a former call returned it; 0 at first.
        timeout_s : float
            Longest wait in seconds.

        Returns
        -------
        number : int
        value : object or None
            ``None`` before the first value.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._number > number, timeout_s)
        with self._making:
            # A newer value may have come meanwhile.
            with self._changed:
                newest, value = self._number, self._value
            if value is not None and self._made[0] < newest:
                self._made = (newest, self._make(value))
            return self._made


@contextmanager
def background_thread(
    work: Callable[[], object], *, name: str = "background", stop: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Run a function in a thread while the block runs; stop it and join afterwards.

    Parameters
    ----------
    work : callable
    name : str
        Name of the thread, without "vidsal-".
    stop : callable
        Makes `work` return. Not needed if the block itself does so.
    """
    thread = threading.Thread(target=work, name=f"vidsal-{name}", daemon=True)
    try:
        # Inside the try block, because Ctrl-C may come as soon as the thread runs.
        thread.start()
        yield
    finally:
        stop()
        if thread.is_alive():
            thread.join(_JOIN_S)
