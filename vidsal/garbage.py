"""Python's garbage collector, out of the way where it only costs."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected(*, for_good: bool = False) -> Iterator[None]:
    """Leave the collector off for a while, and as it was afterwards.

    Importing TensorFlow and tracing a graph make a great many objects that stay; looking through
    all of them again and again is a fifth of the time that it takes.

    Parameters
    ----------
    for_good : bool
        What there is by then is never looked at again: for modules, which stay to the end.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if for_good:
            gc.freeze()
        if was_on:
            gc.enable()
