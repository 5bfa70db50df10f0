"""The cores of the processor, and OpenCV's share of them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


# Numbers of OpenCV's threads at the beginning of the blocks that are open, the first one's first.
_before: list[int] = []


@contextmanager
def half_for_opencv() -> Iterator[None]:
    """Let OpenCV use half of its threads within the block; blocks may overlap.

    The stages of a run work at the same time, beside ffmpeg. Where all cores are busy, a picture
    that OpenCV divides waits for the thread that gets its core last (two cores: 4 % less time
    without a network).
    """
    from vidsal.runtime.opencv import cv2

    _before.append(cv2.getNumThreads())
    cv2.setNumThreads(max(1, _before[0] // 2))
    try:
        yield
    finally:
        # Whichever block ends last takes the number from before the first one.
        before = _before.pop()
        if not _before:
            cv2.setNumThreads(before)
