"""The scenes of a stored analysis, from the places of its frames. Pure maths."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def scene_numbers(events: Sequence[str]) -> NDArray[np.int64]:
    """Return the scene of each frame.

    A flash belongs to the scene that it interrupts, so that a window does not jump for it.

    Parameters
    ----------
    events : sequence of str
        Places of consecutive frames in their scenes, see `vidsal.saliency.scenes.SceneDetector`.

    Returns
    -------
    (n,) int64 array
        From 0; each scene is a run of frames.
    """
    starts: list[int] = []
    # Numbers of starts before the last cut, and before the last recut.
    before_cut = before_recut = 1
    for n, event in enumerate(events):
        if event == "cut":
            before_cut = len(starts)
        elif event == "recut":
            before_recut = len(starts)
        elif event == "return":
            del starts[before_cut:]
        elif event == "rejoin":
            del starts[before_recut:]
        if event in ("first", "cut", "recut") or not starts:
            starts.append(n)
    begins = np.zeros(len(events), np.int64)
    begins[starts[1:]] = 1
    return np.cumsum(begins, dtype=np.int64)
