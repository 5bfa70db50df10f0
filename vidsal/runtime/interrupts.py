"""What Ctrl-C does while something runs that should first come to an end."""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

# A second Ctrl-C within this time counts as the same one.
_REPEAT_S = 2.0


@contextmanager
def on_first_interrupt(
    act: Callable[[], None],
    names: Sequence[str] = ("SIGINT",),
    *,
    when: Callable[[], bool] = lambda: True,
) -> Iterator[None]:
    """Let the first signal in the block call a function; a later one interrupts as usual.

    Outside the main thread, which alone may handle signals, nothing changes.

    Parameters
    ----------
    act : callable
        Called between any two steps of the main thread, so it should do little.
    names : sequence of str
        Names of signals. Those that a system lacks, and ignored ones (as under nohup), are left
        out.
    when : callable
        Returns whether the first signal calls the function. Otherwise it interrupts as usual.
    """
    acted_s: float | None = None
    before: dict[int, Any] = {}

    def handle(number: int, _: object) -> None:
        nonlocal acted_s
        if acted_s is None and when():
            acted_s = time.monotonic()
            act()
        elif acted_s is None or time.monotonic() - acted_s >= _REPEAT_S:
            signal.signal(number, before[number])
            signal.raise_signal(number)

    try:
        for name in names:
            number = getattr(signal, name, None)  # Windows has no SIGHUP.
            # Handlers that Python did not set (None) could not be set again.
            if number is not None and signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, handle)
    except ValueError:  # Not the main thread.
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
