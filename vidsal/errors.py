"""What can go wrong, in words a user can act on. Only ``cli.py`` turns them into exit codes."""

import re


class VidsalError(Exception):
    """The world did not play along: one line that says what failed and what to do about it."""


class UsageError(VidsalError, ValueError):
    """An argument is wrong: the line names the argument, what was expected and what came."""


def flat(text: object) -> str:
    """Return a text in one line, without a terminal's colours."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", str(text)).split())


def one_line(error: BaseException, *, hint: str = "") -> str:
    """Return what an error says in one line; one that nobody worded says what it is, and a hint."""
    if isinstance(error, VidsalError):
        return flat(error)
    return f"{flat(error)} ({type(error).__name__}{hint})"
