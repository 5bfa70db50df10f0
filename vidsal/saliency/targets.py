"""The class whose score is explained: lock against flicker, and its prediction. Pure maths."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidsal.types import TOP_CLASSES, Prediction

# A locked class changes only after it was not the top class for this long.
_LOCK_S = 1.0
# Longest time between two votes, in seconds: a majority needs several.
LOCK_EVERY_S = 0.25


@dataclass(frozen=True, slots=True)
class TargetLock:
    """The class that is explained, held against flicker of the top class.

    During the first second it is the majority of the top classes so far. Later it changes only
    after a second in which it was never the top class, to the majority of that second.

    Attributes
    ----------
    class_id : int or None
        Index of the class; ``None`` before the first vote.
    votes : tuple of (float, int)
        Time in seconds and top class, over the last second.
    since_s : float
        Time of the first vote in the scene, in seconds.
    """

    class_id: int | None = None
    votes: tuple[tuple[float, int], ...] = ()
    since_s: float = 0.0

    def after(self, time_s: float, top_id: int) -> "TargetLock":
        """Return the lock after one more vote.

        Parameters
        ----------
        time_s : float
            Time of the frame in seconds.
        top_id : int
            Its top class.
        """
        since_s = self.since_s if self.votes else time_s
        # Times are rounded quotients, hence the microsecond.
        window_begin_s = time_s - _LOCK_S + 1e-6
        # The last vote before the window stays: it is the top class at the beginning of the window.
        old = [vote for vote in self.votes if vote[0] <= window_begin_s]
        new = [vote for vote in self.votes if vote[0] > window_begin_s]
        votes = (*old[-1:], *new, (time_s, top_id))
        counts = Counter(class_id for _, class_id in votes)
        is_first_second = since_s > window_begin_s
        if self.class_id is None or is_first_second or self.class_id not in counts:
            return TargetLock(counts.most_common(1)[0][0], votes, since_s)
        return TargetLock(self.class_id, votes, since_s)


def prediction(
    probabilities: NDArray[np.float32],
    names: tuple[str, ...],
    target_id: int | None,
    *,
    top: int = 1,
) -> Prediction:
    """Return the most likely classes and the explained one, with their names.

    Parameters
    ----------
    probabilities : (classes,) float32 array
        One frame's probabilities, 0..1.
    names : tuple of str
        Names of the classes.
    target_id : int or None
        Index of the class that is explained; ``None`` for the most likely ones.
    top : int
        With `target_id` ``None``, the number of classes that are explained together.

    Returns
    -------
    Prediction
        Its `target_id` is ``None`` when several classes are explained together.
    """
    ranked = np.argsort(-probabilities, kind="stable")
    target = int(ranked[0]) if target_id is None and top == 1 else target_id
    explained = ranked[:top] if target is None else [target]
    listed = ranked[:TOP_CLASSES]
    return Prediction(
        class_ids=tuple(int(i) for i in listed),
        names=tuple(names[i] for i in listed),
        probabilities=tuple(float(probabilities[i]) for i in listed),
        target_id=target,
        target_name=f"top {top}" if target is None else names[target],
        target_probability=float(probabilities[explained].sum()),
        all_probabilities=probabilities,
    )
