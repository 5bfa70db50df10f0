"""The kinds of preview, and the choice of one that works on this machine."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vidsal.errors import VidsalError, option
from vidsal.live.preview import Button, Preview
from vidsal.live.previews.web import open_page
from vidsal.live.previews.window import has_window, open_window
from vidsal.live.statistics import LiveStats
from vidsal.settings import PreviewKind
from vidsal.types import Rgb


class NoPreview:
    """Displays nothing and has no buttons."""

    draws_stats = False

    def show(self, picture: Rgb, stats: LiveStats) -> None:
        """Do nothing.

        Parameters
        ----------
        picture : (H, W, 3) uint8 array
            RGB.
        stats : LiveStats
            Statistics at this picture.
        """

    def pressed(self) -> list[Button]:
        """Return an empty list."""
        return []


@contextmanager
def open_preview(
    kind: PreviewKind, *, host: str, port: int, say: Callable[[str], None]
) -> Iterator[Preview]:
    """Lend a preview; by default a window if there is a display, else a web page.

    Parameters
    ----------
    kind : {"auto", "window", "web", "none"}
    host : str
    port : int
        Address of the web page.
    say : callable
        Gets a message with the URL of the page.

    Yields
    ------
    Preview

    Raises
    ------
    VidsalError
        If a window is requested and there is no display, or the page cannot be served.
    """
    is_window = kind in ("auto", "window") and has_window()
    if kind == "window" and not is_window:
        raise VidsalError(
            "no window can be opened: there is no display, or OpenCV is the headless build; "
            f"{option('preview', 'web')} shows a web page instead"
        )
    if kind == "none":
        yield NoPreview()
    elif is_window:
        with open_window() as window:
            yield window
    else:
        with open_page(host, port) as page:
            say(f"preview at {page.address}")
            yield page
