"""The program: its name and help, its streams, and what all commands share."""

import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

from cyclopts import App, Parameter

from vidsal._version import __version__
from vidsal.errors import VidsalError
from vidsal.runtime.progress import BarAwareHandler, bars_cleared
from vidsal.settings import Settings
from vidsal.settings.stored import CropOptions

log = logging.getLogger(__name__)

app = App(
    name="vidsal",
    help="Shows, frame by frame, what stands out in a video: where a classifier's gradients and "
    "moving objects are, as a heatmap video. `vidsal FILE` is short for `vidsal run FILE`.",
    help_epilogue=(
        "Examples:\n"
        "  vidsal clip.mp4                  write clip_saliency.mp4\n"
        "  vidsal photo.jpg -o heat.png     write the heatmap of a photo\n"
        "  vidsal live 0                    watch the first camera\n"
        "  vidsal run --help                all options"
    ),
    version=__version__,
    help_format="plaintext",
    # main() prints the errors and sets the exit codes.
    print_error=False,
    exit_on_error=False,
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)

Verbose = Annotated[bool, Parameter(alias="-v", help="Say more.", negative=(), show_default=False)]
Overwrite = Annotated[bool, Parameter(help="Replace files.", negative=(), show_default=False)]


def say(text: str) -> None:
    """Print a message to stderr; a closed terminal is no error.

    Parameters
    ----------
    text : str
    """
    with suppress(OSError), bars_cleared():
        print(f"vidsal: {text}", file=sys.stderr, flush=True)


def print_result(text: str) -> None:
    """Print a result to stdout.

    Parameters
    ----------
    text : str

    Raises
    ------
    BrokenPipeError
        If the reader has closed the pipe.
    VidsalError
        If it cannot be written for another reason.
    """
    try:
        with bars_cleared():
            print(text, flush=True)
    except OSError as error:
        # Otherwise the text that is still in the buffer would fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise
        why = error.strerror or str(error)
        raise VidsalError(f"standard output cannot be written to: {why}") from error


def warn_of_idle(settings: Settings | CropOptions, typed: Sequence[str]) -> None:
    """Say which of the typed options change nothing.

    Parameters
    ----------
    settings : Settings or CropOptions
    typed : sequence of str
        Names of options.
    """
    for line in settings.idle(typed):
        log.warning("%s", line)


def log_to_stderr(verbose: bool) -> None:
    """Print warnings of vidsal's own as lines of this program; with --verbose everything.

    Parameters
    ----------
    verbose : bool
    """
    handler = BarAwareHandler()
    handler.setFormatter(logging.Formatter("vidsal: %(message)s"))
    logger = logging.getLogger("vidsal")
    logger.handlers = [handler]
    logger.setLevel(logging.DEBUG if verbose else logging.WARNING)
