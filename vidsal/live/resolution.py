"""The working size that keeps up with a camera: a few steps, taken with patience. Pure maths."""

from typing import NamedTuple

# Of the sizes asked for: full, then smaller until the maps get too coarse.
_STEPS = (1.0, 0.8, 0.6, 0.45)
# A share of the camera's rate that counts as kept up with, and one so far below that it is not
# waited for long.
_KEPT, _FAR = 0.85, 0.6
# A smaller size is taken after this long behind, a larger one after this long with room to spare.
_BEHIND_S, _SPARE_S = 2.0, 10.0
# Room to spare: this share of the time is left over, enough for the next larger size.
_SPARE = 0.55
# A larger size that could not be held for a minute is tried again only after this many times the
# wait; that never gets longer than ten minutes, since a machine's load is not for ever.
_HELD_S, _MORE_PATIENCE, _LONGEST_S = 60.0, 4, 600.0


class Size(NamedTuple):
    """Pixels: the longer side of the maps, and the shorter side of the network's input."""

    working_width: int
    short_side: int

    def __str__(self) -> str:
        return f"{self.working_width}/{self.short_side}"


def sizes(working_width: int, short_side: int) -> list[Size]:
    """Return the sizes to choose from, the one asked for first; multiples of 32 for the network."""
    steps = [
        Size(
            max(32, round(working_width * step / 2) * 2),
            max(32, round(short_side * step / 32) * 32),
        )
        for step in _STEPS
    ]
    return list(dict.fromkeys(steps))


class Sizing:
    """The size in use: one step down when the rate, or the latency, is not held; up with patience.

    Parameters
    ----------
    steps : list of Size
        The largest first.
    latency_target_ms : float or None
        Hold this latency; ``None`` to hold the camera's rate.
    """

    def __init__(self, steps: list[Size], latency_target_ms: float | None = None) -> None:
        self._steps, self._target_ms = steps, latency_target_ms
        self._place = 0
        self._since_s: float | None = None
        self._spare_since_s: float | None = None
        self._patience_s = _SPARE_S
        self._is_tried = False

    @property
    def now(self) -> Size:
        """The size in use."""
        return self._steps[self._place]

    def after(
        self, time_s: float, *, fps_in: float, fps_out: float, latency_ms: float, busy: float
    ) -> Size:
        """Take in how things go; return the size to use from now on.

        Parameters
        ----------
        time_s : float
            Now.
        fps_in, fps_out : float
            Frames a second that come, and that are done.
        latency_ms : float
            Recent median.
        busy : float
            Share of the time that the analysis works rather than waits, 0..1.
        """
        if self._since_s is None:
            self._since_s = time_s
        share = fps_out / fps_in if fps_in else 1.0
        is_behind = share < _KEPT if self._target_ms is None else latency_ms > self._target_ms
        settled_s = time_s - self._since_s
        if is_behind:
            self._spare_since_s = None
            # Rates are of the last two seconds: sooner, they are of the size before.
            if settled_s >= _BEHIND_S * (1 if share < _FAR else 2):
                self._down(time_s, settled_s)
            return self.now
        if busy > 1 - _SPARE or self._place == 0:
            self._spare_since_s = None
        elif self._spare_since_s is None:
            self._spare_since_s = time_s
        elif time_s - self._spare_since_s >= self._patience_s:
            self._place -= 1
            self._since_s, self._spare_since_s, self._is_tried = time_s, None, True
        return self.now

    def resume(self) -> None:
        """Begin to wait anew: nothing was to be done for a while."""
        self._since_s = self._spare_since_s = None

    def _down(self, time_s: float, settled_s: float) -> None:
        if self._place + 1 < len(self._steps):
            self._place += 1
            if self._is_tried:
                # Whoever has to go back at once was too hasty.
                is_hasty = settled_s < _HELD_S
                longer_s = min(self._patience_s * _MORE_PATIENCE, _LONGEST_S)
                self._patience_s = longer_s if is_hasty else _SPARE_S
            self._is_tried = False
        self._since_s = time_s
