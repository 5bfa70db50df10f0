"""How an option is declared, described, and checked against its declaration."""

import dataclasses
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Collection
from typing import Any, Literal, TypeVar, get_args, get_origin

from vidsal.errors import UsageError, option

T = TypeVar("T")
# Other names that people type for the values of an option.
_OTHER_NAMES = {
    "h265": "hevc", "x265": "hevc", "avc": "h264", "x264": "h264", "av01": "av1", "aom": "av1",
    "vp09": "vp9", "gray": "grey", "jet": "turbo", "vanilla": "gradient",
}  # fmt: skip


def declare(
    default: Any,
    help: str,
    *,
    check: Callable[[Any], bool] | None = None,
    expected: str = "",
    parse: Callable[[Any], Any] | None = None,
    short: str | None = None,
) -> Any:
    """Return the field of an option, for the body of a class of options.

    Parameters
    ----------
    default : object
    help : str
        The option in the help of the command line, in the README and in docstrings.
    check : callable, optional
        Says whether a value is valid; it sees every value but ``None``.
    expected : str, optional
        What `check` accepts, for the message of a failure.
    parse : callable, optional
        Turns what is typed into the value.
    short : str, optional
        Second name on the command line.
    """
    metadata = {"help": help, "check": check, "expected": expected}
    metadata |= {"parse": parse, "short": short}
    return dataclasses.field(default=default, metadata=metadata)


def group(name: str) -> Callable[[type[T]], type[T]]:
    """Return a decorator that lists the fields of a class of options under a name.

    Parameters
    ----------
    name : str
        Heading in the help of the command line.
    """

    def named(options: type[T]) -> type[T]:
        for field in dataclasses.fields(options):  # type: ignore[arg-type]
            field.metadata = {"group": name, **field.metadata}  # type: ignore[assignment]
        return options

    return named


def documented(options: type[T]) -> type[T]:
    """Add the declared options to the docstring of their class, as its parameters.

    Parameters
    ----------
    options : type
        A class of options.
    """
    about, raises, what = inspect.cleandoc(options.__doc__ or "").partition("Raises\n")
    fields = "\n".join(map(_described, dataclasses.fields(options)))  # type: ignore[arg-type]
    options.__doc__ = f"{about}Parameters\n----------\n{fields}\n\n{raises}{what}"
    return options


class Options:
    """A group of options: each field is checked when an object is made."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            object.__setattr__(self, field.name, checked(field, getattr(self, field.name)))


def choices_of(annotation: Any) -> tuple[str, ...]:
    """Return the values of an option with a fixed set of words, such as ``--layout``, else ().

    Parameters
    ----------
    annotation : type
        Annotation of a field of `Settings`.
    """
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    kinds = [one for one in get_args(annotation) if one is not type(None)]
    return choices_of(kinds[0]) if len(kinds) == 1 else ()


def choice_message(name: str, value: Any, choices: Collection[str]) -> str:
    """Return the error message for a value that an option with some choices does not take.

    >>> choice_message("colormap", "jet", ["inferno", "turbo"])
    "colormap= must be one of inferno, turbo, got 'jet'; did you mean turbo?"

    Parameters
    ----------
    name : str
        Name of the field of `Settings`.
    value : object
    choices : collection of str
    """
    near = _meant(value, choices)
    hint = f"; did you mean {near}?" if near else ""
    return f"{option(name)} must be one of {', '.join(choices)}, got {value!r}{hint}"


def checked(field: Any, value: Any) -> Any:
    """Return a value as the type of its option.

    Parameters
    ----------
    field : dataclasses.Field
        From `declare`.
    value : object

    Raises
    ------
    UsageError
        If the option cannot take it.
    """
    if value is None:
        if field.default is None:
            return None
        raise UsageError(f"{option(field.name)} needs a value")
    rule = field.metadata
    value = _plain(value)
    try:
        if rule["parse"]:
            value = rule["parse"](value)
    except (UsageError, TypeError) as error:
        raise UsageError(f"{option(field.name)}: {error}") from None
    choices = choices_of(field.type)
    if choices and value not in choices:
        raise UsageError(choice_message(field.name, value, choices))
    is_number = isinstance(field.default, (int, float)) and not rule["parse"]
    if is_number and not _same_kind(value, field.default):
        kind = {bool: "true or false", int: "a whole number", float: "a number"}
        raise UsageError(f"{option(field.name)} must be {kind[type(field.default)]}, got {value!r}")
    if rule["check"] and not rule["check"](value):
        raise UsageError(f"{option(field.name)} must be {rule['expected']}, got {value}")
    return value


def _described(field: Any) -> str:
    """Return one option as numpydoc has a parameter."""
    default = "optional" if field.default is None else f"default {field.default!r}"
    # No wider than the declaration, once pydoc has indented it.
    help_lines = textwrap.wrap(field.metadata["help"], 88)
    return "\n    ".join([f"{field.name} : {_kind(field.type)}, {default}", *help_lines])


def _kind(annotation: Any) -> str:
    """Return a type in words: ``int or {'auto'}``."""
    if get_origin(annotation) is Literal:
        return "{" + ", ".join(map(repr, get_args(annotation))) + "}"
    if annotation is Any:
        return "Keras model"
    kinds = [one for one in get_args(annotation) if one is not type(None)]
    return " or ".join(map(_kind, kinds)) or annotation.__name__


def _meant(value: Any, choices: Collection[str]) -> str:
    """Return the word that a wrong one may stand for, or an empty text."""
    word = re.sub(r"[\s_.]+", "", str(value).lower())
    names = {choice.replace("-", ""): choice for choice in choices}
    other = _OTHER_NAMES.get(word, "")
    if other in choices:
        return other
    with_part = [choice for choice in choices if word in choice.split("-")]
    if with_part:
        return with_part[0]
    import difflib

    near = difflib.get_close_matches(word.replace("-", ""), names, n=1, cutoff=0.6)
    return names[near[0]] if near else ""


def _plain(value: Any) -> Any:
    """Return a number of NumPy's as Python's own; where there is one, NumPy is loaded."""
    numpy = sys.modules.get("numpy")
    return value.item() if numpy and isinstance(value, numpy.generic) else value


def _same_kind(value: Any, default: bool | int | float) -> bool:
    """Say whether a number may stand where `default` stands; True is not the number 1."""
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    return isinstance(value, int) or (isinstance(default, float) and isinstance(value, float))
