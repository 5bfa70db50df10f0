"""The cores of the processor, and OpenCV's share of them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def half_for_opencv() -> Iterator[None]:
    """Let OpenCV use at most half of the cores within the block.

    The stages of a run work at the same time, beside ffmpeg. Where all cores are busy, a picture
    that OpenCV divides waits for the thread that gets its core last (two cores: 4 % less time
    without a network, and 0.5 more frames a second of a live stream of 1280 x 720).
    """
    from vidsal.runtime.opencv import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(max(1, min(before, usable_cores() // 2)))
    try:
        yield
    finally:
        cv2.setNumThreads(before)
