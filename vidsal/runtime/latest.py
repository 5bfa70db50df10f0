"""The newest of what a thread brings, for what must not fall behind: a camera, a picture on show.

Beside ``prefetch.py`` the only module that imports ``threading``. Where `prefetch` keeps every item
and lets its producer wait, here the newest item wins and nobody waits for the slower side.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Generic, TypeVar

T = TypeVar("T")
U = TypeVar("U")

# How long a thread may take to end once it was told to; a driver that hangs in a read for longer is
# left to the end of the process, which it does not hold up.
_LEAVE_S = 12.0
# A waiting main thread looks for Ctrl-C so often, on systems where a lock keeps it from that.
_POLL_S = 0.2


class Slot(Generic[T]):
    """A slot of one between the thread that runs an iterator and whoever takes from it.

    Attributes
    ----------
    seen : int
        Items that came.
    dropped : int
        Of these, those that a newer one replaced before they were taken.
    is_over : bool
        Whether the items have ended, and the last one was taken, or the error that ended them.
    """

    def __init__(self, *, drops: bool) -> None:
        self._drops = drops
        self._changed = threading.Condition()
        self._held: list[T] = []
        self._is_done = self._is_left = False
        self._error: BaseException | None = None
        self.seen = self.dropped = 0

    @property
    def is_over(self) -> bool:
        with self._changed:
            # An error that nobody has received is still to come.
            return self._is_done and not self._held and self._error is None

    def take(self, timeout_s: float) -> T | None:
        """Return the newest item, or None where none came in time or will come any more.

        Raises
        ------
        BaseException
            What the items raised, as the same object, after the item that came before it.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._held or self._is_done, timeout_s)
            if self._held:
                self._changed.notify_all()
                return self._held.pop()
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            return None

    def __iter__(self) -> Iterator[T]:
        while not self.is_over:
            item = self.take(_POLL_S)
            if item is not None:
                yield item
            elif self._is_left:
                return

    def run(self, items: Iterable[T]) -> None:
        """Put items in until they end, fail, or nobody wants them: the thread's work."""
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

    def leave(self) -> None:
        """Say that nothing more is wanted."""
        with self._changed:
            self._is_left = True
            self._changed.notify_all()

    def _has_room(self) -> bool:
        """Wait for what may be asked for next; an item that nobody may drop is not begun early."""
        with self._changed:
            if not self._drops:
                self._changed.wait_for(lambda: self._is_left or not self._held)
            return not self._is_left

    def _put(self, item: T) -> None:
        with self._changed:
            self.seen += 1
            self.dropped += len(self._held)
            self._held[:] = [item]
            self._changed.notify_all()


@contextmanager
def newest(items: Iterable[T], *, drops: bool = True) -> Iterator[Slot[T]]:
    """Run an iterator in a thread of its own and lend the slot that holds its newest item.

    Leaving the ``with`` block lets the iterator end after the item it is at, closes it, and joins.

    Parameters
    ----------
    items : iterable
        Consumed by the thread only; None in it is its end.
    drops : bool
        With False nothing is dropped: an item is asked for only once the one before it was taken.

    Yields
    ------
    Slot
    """
    slot: Slot[T] = Slot(drops=drops)
    with beside(partial(slot.run, items), name="newest", leave=slot.leave):
        yield slot


class Latest(Generic[T, U]):
    """The latest value of something that any number of threads follow, each at its own speed.

    Parameters
    ----------
    make : callable
        Turns a value into what the threads get: once, when the first of them asks for it.
    """

    def __init__(self, make: Callable[[T], U]) -> None:
        self._changed = threading.Condition()
        self._value: T | None = None
        self._number = 0
        self._make = make
        self._making = threading.Lock()
        self._made: tuple[int, U | None] = (0, None)

    def put(self, value: T) -> None:
        """Replace the value."""
        with self._changed:
            self._value, self._number = value, self._number + 1
            self._changed.notify_all()

    def after(self, number: int, timeout_s: float) -> tuple[int, U | None]:
        """Return what is made of a value newer than that of this number, and its own number.

        Where none comes in time, the number is the same again, and what was made of the last one.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._number > number, timeout_s)
        with self._making:
            # By now there may be a newer one.
            with self._changed:
                newest, value = self._number, self._value
            if value is not None and self._made[0] < newest:
                self._made = (newest, self._make(value))
            return self._made


@contextmanager
def beside(
    work: Callable[[], object], *, name: str = "beside", leave: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Run a function in a thread while the block runs.

    `leave` tells it to end, unless whoever leaves the block has done so.
    """
    thread = threading.Thread(target=work, name=f"vidsal-{name}", daemon=True)
    try:
        # Within the block: Ctrl-C may come once the thread runs, and before that is known here.
        thread.start()
        yield
    finally:
        leave()
        if thread.is_alive():
            thread.join(_LEAVE_S)
