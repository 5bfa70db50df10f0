"""Handling of Ctrl-C where something must first be finished."""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

# A second Ctrl-C within this time counts as the same one.
_REPEAT_S = 2.0
# Signals that ask a program to end.
ENDING = ("SIGINT", "SIGTERM", "SIGHUP")


@contextmanager
def on_first_interrupt(
    act: Callable[[], None],
    names: Sequence[str] = ("SIGINT",),
    *,
    when: Callable[[], bool] = lambda: True,
) -> Iterator[None]:
    """Call a function at the first signal in the block; a later signal interrupts as usual.

    Outside the main thread, which alone can handle signals, nothing changes.

    Parameters
    ----------
    act : callable
        Called between any two steps of the main thread, so it should do little.
    names : sequence of str
        Names of signals. Ignored signals (as under nohup), and signals that the system does not
        have, are left out.
    when : callable
        Returns whether the first signal calls the function. Otherwise it interrupts as usual.
    """
    acted_s: float | None = None

    def handle(number: int, usual: Any) -> None:
        nonlocal acted_s
        if acted_s is None and when():
            acted_s = time.monotonic()
            act()
        elif acted_s is None or time.monotonic() - acted_s >= _REPEAT_S:
            signal.signal(number, usual)
            signal.raise_signal(number)

    with _handled(handle, names):
        yield


@contextmanager
def deferred_interrupts(
    names: Sequence[str] = ENDING, *, when: Callable[[], bool] = lambda: True
) -> Iterator[None]:
    """Let signals that arrive in the block interrupt at its end.

    Outside the main thread, which alone can handle signals, nothing changes.

    Parameters
    ----------
    names : sequence of str
        Names of signals; see `on_first_interrupt`.
    when : callable
        Returns whether a signal has to wait. Otherwise it interrupts as usual.
    """
    arrived: list[int] = []

    def handle(number: int, usual: Any) -> None:
        if when():
            arrived.append(number)
        else:
            signal.signal(number, usual)
            signal.raise_signal(number)

    with _handled(handle, names):
        yield
    if arrived:
        signal.raise_signal(arrived[0])


@contextmanager
def _handled(handle: Callable[[int, Any], None], names: Sequence[str]) -> Iterator[None]:
    """Call a function with each signal of some names, and with its usual handler."""
    before: dict[int, Any] = {}
    try:
        for name in names:
            number = getattr(signal, name, None)  # Windows has no SIGHUP.
            # Handlers that Python did not set (None) could not be set again.
            if number is not None and signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.getsignal(number)
                signal.signal(number, lambda one, _: handle(one, before[one]))
    except ValueError:  # Not the main thread.
        yield
        return
    try:
        yield
    finally:
        for number, usual in before.items():
            signal.signal(number, usual)
