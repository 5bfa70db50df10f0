"""How a live source is stopped, which has no end of its own."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from vidsal.sources.base import Source

# Signals that end a live recording; Windows has none for a closed terminal.
_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]
# A second Ctrl-C within this time counts as the same one.
_REPEAT_S = 2.0


@contextmanager
def stopped_after(source: Source) -> Iterator[None]:
    """Stop a source at the end of the block, so that threads that wait for its frames end.

    Parameters
    ----------
    source : Source
    """
    try:
        yield
    finally:
        source.stop()


@contextmanager
def stopped_by_ctrl_c(source: Source) -> Iterator[None]:
    """Make the first Ctrl-C stop a live source; a later one interrupts as usual.

    So the recording is kept. SIGTERM and SIGHUP (a closed terminal) do the same. For other sources,
    and outside the main thread, nothing changes.

    Parameters
    ----------
    source : Source
    """
    if not source.info.is_live:
        yield
        return
    stopped_s: float | None = None
    before: dict[int, Any] = {}

    def stop(number: int, _: object) -> None:
        nonlocal stopped_s
        if stopped_s is None:
            stopped_s = time.monotonic()
            source.stop()
        elif time.monotonic() - stopped_s >= _REPEAT_S:
            signal.signal(number, before[number])
            signal.raise_signal(number)

    try:
        for number in _SIGNALS:
            # Ignored signals stay ignored, as under nohup. Handlers not set by Python (None) stay.
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, stop)
    except ValueError:  # Not the main thread, which alone may handle signals.
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
