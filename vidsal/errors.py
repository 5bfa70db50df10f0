"""Errors with messages that a user can act on. Only ``cli.py`` turns them into exit codes."""

import re


class VidsalError(Exception):
    """An expected failure. The message is one line: what failed, why, and what to do."""


class UsageError(VidsalError, ValueError):
    """An argument is wrong. The message names the argument, the expected and the given value."""


def flat(text: object) -> str:
    """Return a text in one line, without a terminal's colour codes.

    Parameters
    ----------
    text : object
        Converted with `str`.

    Returns
    -------
    str
        With each run of white space as one space.
    """
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", str(text)).split())


def one_line(error: BaseException, *, hint: str = "") -> str:
    """Return an error's message in one line, with the type of unexpected errors.

    Parameters
    ----------
    error : BaseException
    hint : str, optional
        Added in the brackets, for errors other than `VidsalError`.

    Returns
    -------
    str
        The message; for errors other than `VidsalError` followed by the type in brackets.
    """
    if isinstance(error, VidsalError):
        return flat(error)
    return f"{flat(error)} ({type(error).__name__}{hint})"


# Messages name options as their reader types them: Python's way unless the command line runs.
_names_flags = False


def name_options_as_flags() -> None:
    """Let messages say ``--short-side 256`` from now on, not ``short_side=256``."""
    global _names_flags
    _names_flags = True


def option(name: str, value: object = None) -> str:
    """Return an option, and a value of it, as the user would write them.

    >>> option("short_side", 256), option("overwrite", True), option("layout")
    ('short_side=256', 'overwrite=True', 'layout=')

    Parameters
    ----------
    name : str
        Name of the field of `vidsal.Settings`.
    value : object, optional
        ``True`` or ``False`` for an option that is switched on or off; by default the option alone.
    """
    if not _names_flags:
        return f"{name}=" if value is None else f"{name}={value!r}"
    if value is False:
        return flag(f"no_{name}")
    if value is None or value is True:
        return flag(name)
    # As it was typed: 5, not 5.0.
    return f"{flag(name)} {value:g}" if isinstance(value, float) else f"{flag(name)} {value}"


def flag(name: str) -> str:
    """Return an option as it is typed on the command line: ``short_side`` -> ``--short-side``.

    Parameters
    ----------
    name : str
        Name of the field of `vidsal.Settings`.
    """
    return "--" + name.replace("_", "-")
