"""Arguments that `evaluate` and `faithfulness` share."""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from vidsal.errors import UsageError, option

T = TypeVar("T")
# Gets items and their number, and yields the items while it shows progress.
Progress = Callable[[Iterable[Any], int | None], Iterable[Any]]


def one_or_more(given: Any, name: str) -> list[Any]:
    """Return the items of a sequence; a single name or path becomes a list of one.

    Parameters
    ----------
    given : str, path-like, or iterable of these
    name : str
        Name of the argument, for the message.

    Raises
    ------
    UsageError
        If it is neither, or has no items.
    """
    if isinstance(given, (str, os.PathLike)):
        return [given]
    items = list(given) if isinstance(given, Iterable) else []
    if not items or not all(isinstance(item, (str, os.PathLike)) for item in items):
        kind = "an empty sequence" if items == [] and isinstance(given, Iterable) else repr(given)
        raise UsageError(f"{name} must be a path or a sequence of paths, got {kind}")
    return items


def choices_of(given: Any) -> list[Any]:
    """Return the items of a sequence; a single choice becomes a list of one.

    Parameters
    ----------
    given : str, Keras model, or sequence of these
    """
    is_sequence = isinstance(given, Sequence) and not isinstance(given, str)
    return list(given) if is_sequence else [given]


def check_count(name: str, count: int) -> None:
    """Raise unless a number of frames is at least 1.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    count : int

    Raises
    ------
    UsageError
        If it is smaller.
    """
    if count < 1:
        raise UsageError(f"{option(name)} must be 1 or more, got {count}")


def with_progress(items: Sequence[T], progress: Progress | None) -> Iterable[T]:
    """Return items that report progress while they are iterated.

    Parameters
    ----------
    items : sequence
    progress : callable or None
        See `Progress`.
    """
    return progress(items, len(items)) if progress else items
