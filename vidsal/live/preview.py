"""The interface of previews; the kinds are in ``previews/``."""

from typing import Literal, Protocol, get_args

from vidsal.live.statistics import LiveStats
from vidsal.types import Rgb

Button = Literal["quit", "pause", "layout", "record", "snapshot", "target"]
BUTTONS: tuple[Button, ...] = get_args(Button)

# Keys of the window; the page has the same ones.
KEYS: dict[str, Button] = {
    "q": "quit", "\x1b": "quit", " ": "pause", "l": "layout", "r": "record", "s": "snapshot",
    "t": "target",
}  # fmt: skip


class Preview(Protocol):
    """Displays the newest picture, without blocking, and has buttons.

    Attributes
    ----------
    draws_stats : bool
        Whether pictures need the statistics on them, as there is no other place for them.
    """

    draws_stats: bool

    def show(self, picture: Rgb, stats: LiveStats) -> None:
        """Display a picture and the statistics.

        Parameters
        ----------
        picture : (H, W, 3) uint8 array
            RGB.
        stats : LiveStats
        """

    def pressed(self) -> list[Button]:
        """Return the buttons pressed since the last call; a closed window counts as "quit"."""
