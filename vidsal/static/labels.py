"""The names of the ImageNet classes, and finding one by what a person types."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from vidsal.errors import UsageError, VidsalError
from vidsal.static.suggestions import did_you_mean, folded, suggest_classes, told_apart
from vidsal.types import Target

# What auto explains: the five largest scores together find what people look at better than the
# largest alone (README, "What was measured").
_AUTO_TOP = 5


@dataclass(frozen=True, slots=True)
class NamedClass:
    """One of a network's classes.

    Attributes
    ----------
    index : int
        From 0, in the order of the network's outputs.
    wnid : str
        WordNet identifier, such as n02123045, where the classes have one.
    synonyms : tuple of str
        Names, the usual one first.
    """

    index: int
    wnid: str
    synonyms: tuple[str, ...]

    @property
    def name(self) -> str:
        """The usual name."""
        return self.synonyms[0]


@cache
def imagenet_classes() -> tuple[NamedClass, ...]:
    """Return the classes of ILSVRC-2012 in the order of a network's outputs."""
    text = files("vidsal").joinpath("data/imagenet_classes.tsv").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.splitlines() if line)
    return tuple(_class(int(index), wnid, names) for index, wnid, names in rows)


def find_target(text: str, classes: Sequence[NamedClass] | None = None) -> Target:
    """Return what is to be explained.

    Parameters
    ----------
    text : str
        ``auto`` (``top5``; of fewer than 25 classes a fifth of them, ``top1`` at least),
        ``top1``, ``topN``, ``lock``, an index (``281``), a WordNet identifier, or a name
        in any spelling of case, space, hyphen and underscore.
    classes : sequence of NamedClass, optional
        The network's classes; ImageNet's by default.

    Raises
    ------
    UsageError
        If there is no such class, with the nearest names; or if several share the name.
    """
    classes = imagenet_classes() if classes is None else classes
    if folded(text) == "auto":
        # The sum of all scores, or of nearly all, says nothing of any of them.
        return Target(top=max(1, min(_AUTO_TOP, len(classes) // _AUTO_TOP)))
    if folded(text) == "lock":
        return Target(is_locked=True)
    if (top := summed(text)) is not None:
        if 1 <= top < len(classes):
            return Target(top=top)
        raise UsageError(f"--target top1 to top{len(classes) - 1} are possible, got {text}")
    if re.fullmatch(r"-?[0-9]{1,9}", text):
        if 0 <= int(text) < len(classes):
            return Target(class_id=int(text))
        raise UsageError(
            f"--target must be 0 to {len(classes) - 1}, a name, auto, lock or topN, got {text}"
        )
    return Target(class_id=_find_class(text, classes).index)


def summed(text: str) -> int | None:
    """Return how many of the largest scores a target is the sum of, or None where it is none."""
    if folded(text) == "auto":
        return _AUTO_TOP
    top = re.fullmatch(r"top ?([0-9]{1,6})", folded(text))
    return int(top[1]) if top else None


def _find_class(text: str, classes: Sequence[NamedClass]) -> NamedClass:
    """Return the class of a name."""
    by_name: dict[str, list[NamedClass]] = {}
    for one in classes:
        for name in {folded(name) for name in (one.wnid, *one.synonyms)}:
            by_name.setdefault(name, []).append(one)
    found = by_name.get(folded(text), [])
    # The usual name of one class may be a lesser synonym of another: the usual one is meant.
    usual = [one for one in found if folded(one.name) == folded(text)]
    found = usual if len(usual) == 1 else found
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(
            f"--target {text!r} is the name of several classes: take {told_apart(found)}"
        )
    hint = did_you_mean(suggest_classes(text, classes))
    raise UsageError(f"--target {text!r} is not a class of this network{hint}")


def read_labels(path: Path) -> tuple[NamedClass, ...]:
    """Return the classes of a file with one name, or several separated by commas, a line.

    Raises
    ------
    VidsalError
        If the file cannot be read or is empty.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise VidsalError(f"--labels {path} cannot be read: {error}") from error
    named = [line.strip() for line in lines if line.strip()]
    if not named:
        raise VidsalError(f"--labels {path} holds no names")
    return tuple(_class(index, f"class{index}", names) for index, names in enumerate(named))


def numbered(count: int) -> tuple[NamedClass, ...]:
    """Return classes that have no names but their numbers."""
    return tuple(_class(index, f"class{index}", f"class {index}") for index in range(count))


def _class(index: int, wnid: str, names: str) -> NamedClass:
    return NamedClass(index, wnid, tuple(name.strip() for name in names.split(",")))
