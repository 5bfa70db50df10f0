"""The kinds of preview, and which of them can be had here."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vidsal.errors import VidsalError
from vidsal.live.preview import Button, Preview
from vidsal.live.previews.web import open_page
from vidsal.live.previews.window import has_window, open_window
from vidsal.live.statistics import LiveStats
from vidsal.settings import PreviewKind
from vidsal.types import Rgb


class NoPreview:
    """Nothing to see, nothing to press."""

    def show(self, picture: Rgb, figures: LiveStats) -> None:
        pass

    def pressed(self) -> list[Button]:
        return []


@contextmanager
def open_preview(
    kind: PreviewKind, *, host: str, port: int, say: Callable[[str], None]
) -> Iterator[Preview]:
    """Lend a preview: a window where there is a display, else a page.

    Parameters
    ----------
    kind : {"auto", "window", "web", "none"}
    host, port : str, int
        Of the page.
    say : callable
        Gets the address of the page.

    Raises
    ------
    VidsalError
        If a window is asked for and there is no display, or the page cannot be served.
    """
    is_window = kind in ("auto", "window") and has_window()
    if kind == "window" and not is_window:
        raise VidsalError(
            "no window can be shown here: there is no display, or OpenCV is the headless build; "
            "--preview web shows a page instead"
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
