"""The command line: from its words to a command, and from errors to one line and an exit code.

Exit codes: 0 done, 1 a failure, 2 wrong usage, 130 interrupted. The output's path goes to stdout,
everything else to stderr.
"""

import codecs
import difflib
import io
import os
import signal
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

from cyclopts import CycloptsError

from vidsal.commands import app
from vidsal.commands.program import say
from vidsal.errors import UsageError, flat, name_options_as_flags, one_line
from vidsal.runtime.native_logs import quiet_opencv, quiet_tensorflow

# Words that are not sources at the place of a command; the last one is of completion scripts.
_OPTIONS_OF_VIDSAL = ("--help", "-h", "--version", "--install-completion", "__complete")


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a command line and leave with its exit code.

    Parameters
    ----------
    arguments : list of str, optional
        Those of the process by default.
    """
    name_options_as_flags()
    quiet_tensorflow()
    quiet_opencv()
    _prepare_streams()
    sys.exit(_run(sys.argv[1:] if arguments is None else arguments))


def _run(arguments: list[str]) -> int:
    is_verbose = "--verbose" in arguments or "-v" in arguments
    interrupts = _Interrupts()
    interrupts.install("SIGINT", "SIGTERM", "SIGHUP")
    command = _command(arguments)
    try:
        _refuse_pipes(arguments)
        app(_with_command(arguments))
    except (CycloptsError, UsageError) as error:
        if not interrupts.happened:
            say(f"{flat(error)}\nTry `vidsal {command}--help`.")
            return 2
    except KeyboardInterrupt as error:
        # An interrupted run with --resume says how to continue.
        interrupts.happened = str(error) or interrupts.happened or "interrupted"
    except BrokenPipeError:
        return 1  # Nobody reads the output.
    except Exception as error:
        if not interrupts.happened:
            if is_verbose:
                raise
            say(one_line(error, hint="; --verbose shows where"))
            return 1
    if interrupts.happened:
        say(interrupts.happened)
        return 130
    return 0


class _Interrupts:
    """Ctrl-C, a request to end, and a closed terminal: each raises KeyboardInterrupt.

    Imports of native libraries turn that into an ImportError, so it is also remembered.

    Attributes
    ----------
    happened : str
        The line to print, empty before the first interrupt.
    """

    happened = ""

    def install(self, *names: str) -> None:
        """Handle signals of some names, where they are not ignored, as under nohup."""
        for name in names:
            number = getattr(signal, name, None)  # Windows has no SIGHUP.
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._raise)

    def _raise(self, *_: object) -> NoReturn:
        self.happened = "interrupted"
        raise KeyboardInterrupt


def _with_command(arguments: list[str]) -> list[str]:
    """Return a command line with ``run`` before its first word, if that is no command.

    Raises
    ------
    UsageError
        If the first word is most probably a misspelt command.
    """
    if not arguments or arguments[0] in (*app, *_OPTIONS_OF_VIDSAL):
        return arguments
    first = arguments[0]
    is_a_word = first.isalpha() and not Path(first).exists()
    if is_a_word:
        near = difflib.get_close_matches(first.lower(), _commands(), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"{first!r} is neither a command nor a file or folder here{hint}")
    return ["run", *arguments]


def _commands() -> list[str]:
    return [name for name in app if not name.startswith("-")]


def _command(arguments: list[str]) -> str:
    """Return the command of a command line, with a space behind it."""
    first = arguments[0] if arguments else ""
    if first in _commands():
        return f"{first} "
    return "" if not first or first in _OPTIONS_OF_VIDSAL or first.isalpha() else "run "


def _prepare_streams() -> None:
    """Make both streams usable where one is closed, and for every name that a file can have."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Bytes of a name that are no text are printed unchanged; characters that an older encoding
        # lacks are printed as escapes.
        is_utf8 = codecs.lookup(sys.stdout.encoding).name == "utf-8"
        sys.stdout.reconfigure(errors="surrogateescape" if is_utf8 else "backslashreplace")


def _refuse_pipes(arguments: Sequence[str]) -> None:
    """Raise `UsageError` for the name ``-``."""
    for before, argument in pairwise(["", *arguments]):
        if argument == "-" and before in ("-o", "--output"):
            raise UsageError(f"{before} -: vidsal does not write to pipes: give the name of a file")
        if argument == "-":
            raise UsageError(
                "-: vidsal does not read pipes: write the video to a file first, or serve it as a "
                "stream and give its address, such as udp://127.0.0.1:9000"
            )
