"""How a live source is stopped, which has no end of its own."""

from collections.abc import Iterator
from contextlib import contextmanager

from vidsal.runtime.interrupts import ENDING, on_first_interrupt
from vidsal.sources.base import Source


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
    with on_first_interrupt(source.stop, ENDING):
        yield
