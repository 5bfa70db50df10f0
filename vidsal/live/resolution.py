"""Choice of the working size that keeps up with a camera, with hysteresis. Pure maths."""

from typing import NamedTuple

# Factors of the requested size; maps of smaller sizes are too coarse.
_FACTORS = (1.0, 0.8, 0.6, 0.45)
# At least this share of the camera's rate counts as keeping up; below the second share the size is
# reduced sooner.
_KEEPS_UP, _FAR_BEHIND = 0.85, 0.6
# Time behind before the size is reduced, and time with spare capacity before it is increased.
_BEHIND_S, _SPARE_S = 2.0, 10.0
# Spare capacity: this share of the time is idle, which suffices for the next larger size.
_SPARE_SHARE = 0.55
# If a larger size is not held for a minute, the wait before the next try is multiplied by this
# factor, up to ten minutes, since the load of a machine changes.
_HELD_S, _BACKOFF, _LONGEST_WAIT_S = 60.0, 4, 600.0


class Size(NamedTuple):
    """A working size.

    Attributes
    ----------
    working_width : int
        Longer side of the maps in pixels.
    short_side : int
        Shorter side of the network's input in pixels.
    """

    working_width: int
    short_side: int

    def __str__(self) -> str:
        return f"{self.working_width}/{self.short_side}"


def sizes(working_width: int, short_side: int) -> list[Size]:
    """Return the sizes to choose from.

    Parameters
    ----------
    working_width, short_side : int
        The requested size in pixels.

    Returns
    -------
    list of Size
        The requested size first, without duplicates. Short sides are multiples of 32, as
        networks need them.
    """
    steps = [
        Size(
            max(32, round(working_width * factor / 2) * 2),
            max(32, round(short_side * factor / 32) * 32),
        )
        for factor in _FACTORS
    ]
    return list(dict.fromkeys(steps))


class SizeController:
    """Reduces the size by a step when rate or latency are not held, and increases it with patience.

    Parameters
    ----------
    steps : list of Size
        The largest first.
    latency_target_ms : float or None
        Latency to hold, in milliseconds; ``None`` to hold the camera's rate.
    """

    def __init__(self, steps: list[Size], latency_target_ms: float | None = None) -> None:
        self._steps, self._target_ms = steps, latency_target_ms
        self._index = 0
        # When the size last changed, and since when there is spare capacity.
        self._since_s: float | None = None
        self._spare_since_s: float | None = None
        self._wait_s = _SPARE_S
        self._has_increased = False

    @property
    def now(self) -> Size:
        """The size in use."""
        return self._steps[self._index]

    def update(
        self, time_s: float, *, fps_in: float, fps_out: float, latency_ms: float, busy: float
    ) -> Size:
        """Return the size to use from now on.

        Parameters
        ----------
        time_s : float
            Now.
        fps_in, fps_out : float
            Frames a second that arrive, and that are analysed.
        latency_ms : float
            Recent median in milliseconds.
        busy : float
            Share of the time in which the analysis does not wait for frames, 0..1.

        Returns
        -------
        Size
        """
        if self._since_s is None:
            self._since_s = time_s
        share = fps_out / fps_in if fps_in else 1.0
        is_behind = share < _KEEPS_UP if self._target_ms is None else latency_ms > self._target_ms
        settled_s = time_s - self._since_s
        if is_behind:
            self._spare_since_s = None
            # Rates cover the last two seconds: earlier ones belong to the size before.
            if settled_s >= _BEHIND_S * (1 if share < _FAR_BEHIND else 2):
                self._decrease(time_s, settled_s)
            return self.now
        if busy > 1 - _SPARE_SHARE or self._index == 0:
            self._spare_since_s = None
        elif self._spare_since_s is None:
            self._spare_since_s = time_s
        elif time_s - self._spare_since_s >= self._wait_s:
            self._index -= 1
            self._since_s, self._spare_since_s, self._has_increased = time_s, None, True
        return self.now

    def resume(self) -> None:
        """Restart all waits, after a time without analysis."""
        self._since_s = self._spare_since_s = None

    def _decrease(self, time_s: float, settled_s: float) -> None:
        if self._index + 1 < len(self._steps):
            self._index += 1
            if self._has_increased:
                # The last increase was not held for long, so the next one waits longer.
                is_short = settled_s < _HELD_S
                longer_s = min(self._wait_s * _BACKOFF, _LONGEST_WAIT_S)
                self._wait_s = longer_s if is_short else _SPARE_S
            self._has_increased = False
        self._since_s = time_s
