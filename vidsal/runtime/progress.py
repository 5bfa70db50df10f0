"""Progress bars on stderr: frames with rate and remaining time, and phases without a count.

They are shown on a terminal and in a notebook, and nowhere else.
"""

import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

# Gets the results and how many there may be; hands the results on.
Progress = Callable[[Iterable[Any], int | None], Iterable[Any]]

# Columns that a bar takes on a terminal that reports no size, as serial consoles and some editors.
_USUAL_COLUMNS, _USUAL_ROWS = 80, 24
# Characters of a file's name in a bar: 80 columns have room for the figures as well.
_LABEL = 32


def progress_bar(
    items: Iterable[Any], total: int | None, *, unit: str = "frames", label: str = ""
) -> Iterable[Any]:
    """Return `items` with a bar that shows how many have passed, their rate and the time left.

    Parameters
    ----------
    items : iterable
    total : int or None
        Number of items, if known; the bar may end at another one.
    unit : str
        What the items are, in the plural.
    label : str
        Text before the bar, such as ``2 of 9 clip.mp4``; a long one is shortened in its middle.

    Returns
    -------
    iterable
        The same items; where nothing is shown, `items` itself.
    """
    if not is_shown():
        return items
    bar: Iterable[Any] = _tqdm()(
        items, total=total, unit=f" {unit}", desc=shortened(label), leave=False, **_size()
    )
    return bar


@contextmanager
def phase(label: str) -> Iterator[None]:
    """Show a text on stderr while a block runs whose duration is not known.

    Parameters
    ----------
    label : str
        The text, without the dots that follow it.
    """
    if not is_shown():
        yield
        return
    bar = _tqdm()(total=1, desc=label, bar_format="{desc} ...", leave=False, **_size())
    try:
        yield
    finally:
        bar.close()


class FilesBar:
    """A bar of the frames of several files that are worked on at a time.

    How many frames there are is known of files that have begun; the others are taken to be as long
    in the mean.

    Parameters
    ----------
    files : int
        Number of files.
    is_wanted : bool
        Without, nothing is shown.
    """

    def __init__(self, files: int, *, is_wanted: bool = True) -> None:
        self._files = files
        self._ended: set[int] = set()
        self._expected: dict[int, int] = {}
        self._bar: Any = None
        if is_wanted and is_shown():
            self._bar = _tqdm()(total=None, unit=" frames", leave=False, **_size())
            self._label()

    def add(self, file: int, frames: int, expected: int | None) -> None:
        """Add frames of a file.

        Parameters
        ----------
        file : int
            Its number.
        frames : int
            How many more are done.
        expected : int or None
            How many the file may have in all.
        """
        if self._bar is None:
            return
        if expected is not None:
            self._expected[file] = expected
            mean = sum(self._expected.values()) / len(self._expected)
            self._bar.total = round(mean * self._files)
        self._bar.update(frames)

    def end(self, file: int) -> None:
        """Count a file that is done.

        Parameters
        ----------
        file : int
            Its number.
        """
        self._ended.add(file)
        self._label()

    def close(self) -> None:
        """Take the bar off the terminal."""
        if self._bar is not None:
            self._bar.close()

    def _label(self) -> None:
        if self._bar is not None:
            self._bar.set_description(f"{len(self._ended)} of {self._files} files")


def choose_progress(
    wanted: "bool | Progress", *, unit: str = "frames", label: str = ""
) -> Progress | None:
    """Return the function that shows progress, or ``None`` where nothing is to be shown.

    Parameters
    ----------
    wanted : bool or callable
        True for `progress_bar` where stderr is a terminal, or in a notebook; False for none. A
        callable gets the items and their number, if known, and hands the items on.
    unit, label : str
        See `progress_bar`.
    """
    if callable(wanted):
        return wanted
    return partial(progress_bar, unit=unit, label=label) if wanted and is_shown() else None


def is_shown() -> bool:
    """Say whether stderr is a terminal, or this is a notebook."""
    return _is_notebook() or (sys.stderr is not None and sys.stderr.isatty())


def shortened(label: str) -> str:
    """Return a label of at most 32 characters, the middle of a longer one left out.

    Parameters
    ----------
    label : str
        Text of any length.
    """
    if len(label) <= _LABEL:
        return label
    half = (_LABEL - 1) // 2
    return f"{label[: _LABEL - 1 - half]}…{label[-half:]}"


class BarAwareHandler(logging.StreamHandler[Any]):
    """A log handler that writes its lines above the bars that are shown."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line.

        Parameters
        ----------
        record : logging.LogRecord
            The record to write.
        """
        with bars_cleared():
            super().emit(record)


@contextmanager
def bars_cleared() -> Iterator[None]:
    """Take the bars off the terminal while a block writes to it, and draw them again."""
    # No bar is shown before this module is loaded.
    std = sys.modules.get("tqdm.std")
    if std is None or sys.stderr is None:
        yield
        return
    with std.tqdm.external_write_mode(file=sys.stderr):
        yield


def _is_notebook() -> bool:
    """Say whether IPython's kernel runs this code; it is not imported to find out."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython and hasattr(ipython, "get_ipython") else None
    return "IPKernelApp" in getattr(shell, "config", {})


def _tqdm() -> Any:
    """Return tqdm's class for a notebook or a terminal."""
    if not _is_notebook():
        from tqdm import tqdm

        return tqdm
    with warnings.catch_warnings():
        # Without ipywidgets it warns, and draws its bar as text.
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm as notebook_tqdm

    return notebook_tqdm


def _size() -> dict[str, Any]:
    """Return how wide a bar is: as wide as the terminal, also when that changes."""
    if _is_notebook():
        return {}
    try:
        columns = os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):
        columns = 0
    if columns:
        return {"file": sys.stderr, "dynamic_ncols": True}
    return {"file": sys.stderr, "ncols": _USUAL_COLUMNS, "nrows": _USUAL_ROWS}
