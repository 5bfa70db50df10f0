"""Names of classes, and the search for a class by name."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from numbers import Integral
from pathlib import Path
from typing import Any

from vidsal.errors import UsageError, VidsalError, option
from vidsal.static.suggestions import did_you_mean, folded, suggest_classes, told_apart
from vidsal.types import Target

# Number of classes of the target auto. The sum of the five largest scores predicts where people
# look better than the largest score alone (docs/benchmarks.md, "Which score").
_AUTO_TOP = 5


@dataclass(frozen=True, slots=True)
class NamedClass:
    """One of a network's classes.

    Attributes
    ----------
    index : int
        0-based, in the order of the network's outputs.
    wnid : str
        WordNet identifier, such as n02123045; for other classes ``class0`` and so on.
    synonyms : tuple of str
        Names of the class; the first one is shown.
    """

    index: int
    wnid: str
    synonyms: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name that is shown: the first of the synonyms."""
        return self.synonyms[0]


@cache
def imagenet_classes() -> tuple[NamedClass, ...]:
    """Return the 1000 classes of ILSVRC-2012 in the order of a network's outputs."""
    text = files("vidsal").joinpath("data/imagenet_classes.tsv").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.splitlines() if line)
    return tuple(_class(int(index), wnid, names) for index, wnid, names in rows)


def find_target(text: str, classes: Sequence[NamedClass] | None = None) -> Target:
    """Return the target that a text describes.

    Parameters
    ----------
    text : str
        ``auto`` (``top5``; with fewer than 25 classes a fifth of them, at least ``top1``),
        ``top1``, ``topN``, ``lock``, an index (``281``), a WordNet identifier, or a name.
        Case, space, hyphen and underscore are ignored.
    classes : sequence of NamedClass, optional
        The network's classes; ImageNet's by default.

    Raises
    ------
    UsageError
        If there is no such class (the message has the nearest names), or if several have the name.
    """
    classes = imagenet_classes() if classes is None else classes
    if folded(text) == "auto":
        # The sum of all, or nearly all, scores does not explain any class.
        return Target(top=max(1, min(_AUTO_TOP, len(classes) // _AUTO_TOP)))
    if folded(text) == "lock":
        return Target(is_locked=True)
    if (top := summed(text)) is not None:
        if 1 <= top < len(classes):
            return Target(top=top)
        raise UsageError(f"{option('target')} takes top1 to top{len(classes) - 1}, got {text}")
    if re.fullmatch(r"-?[0-9]{1,9}", text):
        if 0 <= int(text) < len(classes):
            return Target(class_id=int(text))
        raise UsageError(
            f"{option('target')} must be 0 to {len(classes) - 1}, a name, auto, lock or topN, "
            f"got {text}"
        )
    return Target(class_id=find_class(text, classes).index)


def summed(text: str) -> int | None:
    """Return N for the target ``topN`` (5 for ``auto``), and None for any other target.

    Parameters
    ----------
    text : str
        Value of the option ``target``.
    """
    if folded(text) == "auto":
        return _AUTO_TOP
    top = re.fullmatch(r"top ?([0-9]{1,6})", folded(text))
    return int(top[1]) if top else None


def find_class(text: str, classes: Sequence[NamedClass], asked: str = "") -> NamedClass:
    """Return the class with a name.

    Parameters
    ----------
    text : str
        A name or a WordNet identifier. Case, space, hyphen and underscore are ignored.
    classes : sequence of NamedClass
    asked : str
        Start of messages; by default they name the option ``target``.

    Raises
    ------
    UsageError
        If there is no such class (the message has the nearest names), or if several have the name.
    """
    asked = asked or option("target", text)
    by_name: dict[str, list[NamedClass]] = {}
    for one in classes:
        for name in {folded(name) for name in (one.wnid, *one.synonyms)}:
            by_name.setdefault(name, []).append(one)
    matches = by_name.get(folded(text), [])
    # The first name of one class may be a later synonym of another class. The class with the first
    # name is chosen.
    first = [one for one in matches if folded(one.name) == folded(text)]
    matches = first if len(first) == 1 else matches
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UsageError(f"{asked} is the name of several classes: take {told_apart(matches)}")
    hint = did_you_mean(suggest_classes(text, classes))
    raise UsageError(f"{asked} is not a class of this network{hint}")


def read_labels(path: Path) -> tuple[NamedClass, ...]:
    """Return the classes of a text file with one class on each line.

    Parameters
    ----------
    path : Path
        UTF-8. A line has one name, or several separated by commas; empty lines are ignored.

    Raises
    ------
    VidsalError
        If the file cannot be read or is empty.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise VidsalError(f"{option('labels', str(path))} cannot be read: {error}") from error
    filled = [line.strip() for line in lines if line.strip()]
    if not filled:
        raise VidsalError(f"{option('labels', str(path))} has no names: write one on each line")
    return tuple(_class(index, f"class{index}", names) for index, names in enumerate(filled))


def numbered(count: int) -> tuple[NamedClass, ...]:
    """Return `count` classes that are named after their numbers: "class 0" and so on.

    Parameters
    ----------
    count : int
        Number of classes.
    """
    return tuple(_class(index, f"class{index}", f"class {index}") for index in range(count))


def no_and_yes() -> tuple[NamedClass, NamedClass]:
    """Return the classes "no" and "yes" of a network with one output."""
    return _class(0, "class0", "no"), _class(1, "class1", "yes")


def with_negative(positive: NamedClass) -> tuple[NamedClass, NamedClass]:
    """Return the classes "not NAME" and "NAME" of a network with one output and one label.

    Parameters
    ----------
    positive : NamedClass
        The class of the label.
    """
    names = positive.synonyms
    return NamedClass(0, "class0", (f"not {names[0]}",)), NamedClass(1, "class1", names)


def _class(index: int, wnid: str, names: str) -> NamedClass:
    return NamedClass(index, wnid, tuple(name.strip() for name in names.split(",")))


def class_number(named: int | str, names: Sequence[str]) -> int:
    """Return the number of a class of a network.

    Parameters
    ----------
    named : int or str
        The number itself, or a name; for ImageNet's classes also a WordNet identifier or another
        of their names.
    names : sequence of str
        Names of the network's classes.

    Raises
    ------
    UsageError
        If there is no such class. The message has the nearest names.
    """
    if isinstance(named, str):
        return find_class(named, _named(tuple(names)), asked=repr(named)).index
    number: Any = named
    is_whole = isinstance(number, Integral) and not isinstance(number, bool)
    if not is_whole or not 0 <= number < len(names):
        raise UsageError(
            f"a class is a name, or a number from 0 to {len(names) - 1}, got {named!r}"
        )
    return int(number)


def _named(names: tuple[str, ...]) -> Sequence[NamedClass]:
    """Return the classes of these names; ImageNet's have further names."""
    known = imagenet_classes()
    if names == tuple(one.name for one in known):
        return known
    return [NamedClass(n, f"class{n}", (name,)) for n, name in enumerate(names)]
