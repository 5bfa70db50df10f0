"""How often gradients are drawn, so that a stream keeps up with its source. Pure maths."""

import math

from vidsal.settings import Every

# A map that is carried for longer than this says what was, not what is.
_LONGEST_S = 1.0
# Share of a new measurement in what is remembered: a few groups, so that one slow one does not
# decide.
_NEW = 0.3


class GradientSchedule:
    """The step between frames that draw gradients: fixed, or as large as it has to be.

    Parameters
    ----------
    every : int or "auto"
    fps : float or None
        Rate to keep up with; without one, "auto" draws on every frame.
    """

    def __init__(self, every: Every, fps: float | None = None) -> None:
        self._is_auto = every == "auto" and fps is not None
        self._fps = fps or 0.0
        self._drawing_s: float | None = None
        self._other_s = 0.0
        self._is_warm = False
        self.every = 1 if every == "auto" else every

    def restart(self) -> None:
        """Take no notice of the next group: another target, or size, may have to be traced."""
        self._is_warm = False

    def add(self, frames: int, drawn: int, drawing_s: float, all_s: float) -> None:
        """Take in what a group of frames cost, and choose the next step.

        Parameters
        ----------
        frames : int
            In the group, at least 1.
        drawn : int
            Of these, how many drew gradients.
        drawing_s, all_s : float
            Seconds spent on gradients, and on everything.
        """
        if not self._is_auto or not drawn:
            return
        if not self._is_warm:
            # It also traces the graph, which says nothing of the next.
            self._is_warm = True
            return
        drawing_s, other_s = drawing_s / drawn, (all_s - drawing_s) / frames
        if self._drawing_s is None:
            self._drawing_s, self._other_s = drawing_s, other_s
        self._drawing_s += _NEW * (drawing_s - self._drawing_s)
        self._other_s += _NEW * (other_s - self._other_s)
        spare_s = 1 / self._fps - self._other_s
        longest = max(1, round(_LONGEST_S * self._fps))
        wanted = math.ceil(self._drawing_s / spare_s) if spare_s > 0 else longest
        self.every = min(max(1, wanted), longest)
