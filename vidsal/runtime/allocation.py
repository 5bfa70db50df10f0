"""What becomes of memory that is not needed any more, kept out of the way where it only costs."""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

# glibc's names for its settings: how much may lie free, and what is not taken from there but comes
# from the system and goes back at once. More than this it does not accept for the latter.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_FREE_BYTES, _LARGE_BYTES = 1 << 29, 1 << 25


@contextmanager
def gc_paused(*, for_good: bool = False) -> Iterator[None]:
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


@cache
def keep_freed() -> bool:
    """Let the memory of freed pictures stay with the process, and say whether that can be had.

    As glibc is set up, it goes back to the system and comes anew, page by page, for the next
    picture: a twentieth of the time of a run without a network. Other C libraries are left alone.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_TRIM_THRESHOLD, _FREE_BYTES) and mallopt(_MMAP_THRESHOLD, _LARGE_BYTES))
