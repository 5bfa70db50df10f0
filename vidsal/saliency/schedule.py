"""How often gradients are drawn, so that a stream keeps up with its source. Pure maths."""

import math

from vidsal.settings import Every

# A map without new gradients for longer than this is out of date.
_LONGEST_S = 1.0
# Weight of a new measurement in the moving average: one slow group does not decide.
_NEW_WEIGHT = 0.3


class GradientSchedule:
    """The step between frames that draw gradients, fixed or adapted to the measured cost.

    Parameters
    ----------
    every : int or "auto"
        A fixed step, at least 1, or the smallest step that reaches `fps`.
    fps : float or None
        Frames per second to keep up with; without it, "auto" draws on each frame.

    Attributes
    ----------
    every : int
        The current step, at least 1.
    """

    def __init__(self, every: Every, fps: float | None = None) -> None:
        self._is_auto = every == "auto" and fps is not None
        self._fps = fps or 0.0
        self._gradient_s: float | None = None
        self._other_s = 0.0
        self._is_warm = False
        self.every = 1 if every == "auto" else every

    def restart(self) -> None:
        """Ignore the next group, whose time may include tracing for a new target or size."""
        self._is_warm = False

    def add(self, frames: int, sampled: int, gradients_s: float, total_s: float) -> None:
        """Add the time of one group of frames, and adapt the step.

        Parameters
        ----------
        frames : int
            Frames in the group, at least 1.
        sampled : int
            Number of these that drew gradients.
        gradients_s, total_s : float
            Seconds spent on gradients, and on everything.
        """
        if not self._is_auto or not sampled:
            return
        if not self._is_warm:
            # The time of the first group includes the tracing of the graph.
            self._is_warm = True
            return
        gradient_s, other_s = gradients_s / sampled, (total_s - gradients_s) / frames
        if self._gradient_s is None:
            self._gradient_s, self._other_s = gradient_s, other_s
        self._gradient_s += _NEW_WEIGHT * (gradient_s - self._gradient_s)
        self._other_s += _NEW_WEIGHT * (other_s - self._other_s)
        spare_s = 1 / self._fps - self._other_s
        longest = max(1, round(_LONGEST_S * self._fps))
        needed = math.ceil(self._gradient_s / spare_s) if spare_s > 0 else longest
        self.every = min(max(1, needed), longest)
