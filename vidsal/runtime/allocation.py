"""Garbage collection and the allocator, set so that they cost less time."""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

# glibc's numbers for M_TRIM_THRESHOLD, the free bytes that a process may keep, and
# M_MMAP_THRESHOLD, the size from which a block comes from the system and returns to it when freed.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
# The second number is the largest that glibc accepts for M_MMAP_THRESHOLD.
_TRIM_BYTES, _MMAP_BYTES = 1 << 29, 1 << 25


@contextmanager
def gc_paused(*, for_good: bool = False) -> Iterator[None]:
    """Switch the garbage collector off within the block, and restore its state afterwards.

    Importing TensorFlow and tracing a graph create many objects that stay. The collector scans
    them again and again, which is a fifth of the time of both.

    Parameters
    ----------
    for_good : bool
        Exclude all objects that exist at the end of the block from later collections. This suits
        imported modules, which stay until the process ends.
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
    """Keep the memory of freed pictures in the process; return whether that works here.

    By default glibc returns it to the system, which maps it again, page by page, for the next
    picture: a twentieth of the time of a run without a network. Other C libraries stay unchanged.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_TRIM_THRESHOLD, _TRIM_BYTES) and mallopt(_MMAP_THRESHOLD, _MMAP_BYTES))
