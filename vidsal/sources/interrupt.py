"""How a source that has no end of its own is brought to one."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from vidsal.sources.base import Source

# What ends a live recording; a terminal that is closed is nothing that Windows tells of.
_ENDS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
# Whoever presses Ctrl-C twice within so long means it once.
_NERVOUS_S = 2.0


@contextmanager
def stopped_after(source: Source) -> Iterator[None]:
    """Stop a source with the block: then whoever waits for its frames ends as well."""
    try:
        yield
    finally:
        source.stop()


@contextmanager
def stopped_by_ctrl_c(source: Source) -> Iterator[None]:
    """Let Ctrl-C be the end of a live recording, which is kept; a later one is an interrupt.

    The same goes for being told to end, and for a terminal that is closed.
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
        elif time.monotonic() - stopped_s >= _NERVOUS_S:
            signal.signal(number, before[number])
            signal.raise_signal(number)

    try:
        for number in _ENDS:
            # What is ignored stays so, as under nohup; what did not come from Python is not ours.
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, stop)
    except ValueError:  # Not the main thread: Ctrl-C is somebody else's business.
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
