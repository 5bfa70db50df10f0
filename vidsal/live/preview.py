"""What every preview is: somewhere to show the picture, with buttons. The kinds are in
``previews/``."""

from typing import Literal, Protocol, get_args

from vidsal.live.statistics import LiveStats
from vidsal.types import Rgb

Button = Literal["quit", "pause", "layout", "record", "snapshot", "target"]
BUTTONS: tuple[Button, ...] = get_args(Button)

# The same on the keyboard of a window and of a page.
KEYS: dict[str, Button] = {
    "q": "quit", "\x1b": "quit", " ": "pause", "l": "layout", "r": "record", "s": "snapshot",
    "t": "target",
}  # fmt: skip


class Preview(Protocol):
    """A place where the newest picture is seen; showing never waits for whoever looks."""

    def show(self, picture: Rgb, figures: LiveStats) -> None:
        """Show a picture, (H, W, 3) uint8 RGB, and how things go."""

    def pressed(self) -> list[Button]:
        """Return what was pressed since the last call; a closed window is "quit"."""
