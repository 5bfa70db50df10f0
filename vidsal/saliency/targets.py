"""What is explained: which class, chosen by whom, and for how long. Pure maths."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidsal.types import TOP_CLASSES, Prediction

# A class is kept until it was not on top for this long, and chosen by what was seen in it.
_LOCK_S = 1.0
# Seconds between two votes, at most: a majority takes some.
LOCK_EVERY_S = 0.25


@dataclass(frozen=True, slots=True)
class TargetLock:
    """The class that is explained, held against the flicker of the top class.

    The first second's majority is taken, and changes only after a second in which it was never on
    top, to the majority of that second.

    Attributes
    ----------
    class_id : int or None
        ``None`` before the first vote.
    votes : tuple of (float, int)
        Time in seconds and top class of the last second.
    since_s : float
        When the first vote of the scene came.
    """

    class_id: int | None = None
    votes: tuple[tuple[float, int], ...] = ()
    since_s: float = 0.0

    def after(self, time_s: float, top_id: int) -> "TargetLock":
        """Return the lock after `top_id` was on top at `time_s`."""
        since_s = self.since_s if self.votes else time_s
        # Times are rounded quotients: a second is one to a microsecond.
        begin_s = time_s - _LOCK_S + 1e-6
        # One vote older than the window stays: it is what was seen at the window's beginning.
        old = [vote for vote in self.votes if vote[0] <= begin_s]
        new = [vote for vote in self.votes if vote[0] > begin_s]
        votes = (*old[-1:], *new, (time_s, top_id))
        seen = Counter(class_id for _, class_id in votes)
        settling = since_s > begin_s
        if self.class_id is None or settling or self.class_id not in seen:
            return TargetLock(seen.most_common(1)[0][0], votes, since_s)
        return TargetLock(self.class_id, votes, since_s)


def prediction(
    probabilities: NDArray[np.float32],
    names: tuple[str, ...],
    target_id: int | None,
    *,
    top: int = 1,
) -> Prediction:
    """Return in words what a network sees.

    Parameters
    ----------
    probabilities : (classes,) float32 array
        Softmax, 0..1.
    names : tuple of str
        Of the classes.
    target_id : int or None
        The class that is explained; ``None`` for the most likely ones.
    top : int
        How many of these.
    """
    ranked = np.argsort(-probabilities, kind="stable")
    target = int(ranked[0]) if target_id is None and top == 1 else target_id
    explained = ranked[:top] if target is None else [target]
    seen = ranked[:TOP_CLASSES]
    return Prediction(
        class_ids=tuple(int(i) for i in seen),
        names=tuple(names[i] for i in seen),
        probabilities=tuple(float(probabilities[i]) for i in seen),
        target_id=target,
        target_name=f"top {top}" if target is None else names[target],
        target_probability=float(probabilities[explained].sum()),
    )
