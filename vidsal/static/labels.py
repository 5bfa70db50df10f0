"""The names of the ImageNet classes, and finding one by what a person types."""

import difflib
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from vidsal.errors import UsageError


@dataclass(frozen=True, slots=True)
class ImageNetClass:
    """One of the thousand classes.

    Attributes
    ----------
    index : int
        0..999, in the order of the network's outputs.
    wnid : str
        WordNet identifier, such as n02123045.
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
def imagenet_classes() -> tuple[ImageNetClass, ...]:
    """Return the classes of ILSVRC-2012 in the order of a network's outputs."""
    text = files("vidsal").joinpath("data/imagenet_classes.tsv").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.splitlines() if line)
    return tuple(
        ImageNetClass(int(index), wnid, tuple(name.strip() for name in names.split(",")))
        for index, wnid, names in rows
    )


def find_target(text: str) -> int | None:
    """Return the class that `text` means, or None for ``auto``.

    Parameters
    ----------
    text : str
        ``auto``, an index (``281``), a WordNet identifier or a name in any spelling of case,
        space, hyphen and underscore.

    Raises
    ------
    UsageError
        If there is no such class, with the nearest names; or if several share the name.
    """
    if _key(text) == "auto":
        return None
    classes = imagenet_classes()
    if re.fullmatch(r"-?[0-9]{1,9}", text):
        if 0 <= int(text) < len(classes):
            return int(text)
        raise UsageError(f"--target must be 0 to {len(classes) - 1}, a name or auto, got {text}")
    by_name: dict[str, list[ImageNetClass]] = {}
    for one in classes:
        for name in {_key(name) for name in (one.wnid, *one.synonyms)}:
            by_name.setdefault(name, []).append(one)
    found = by_name.get(_key(text), [])
    # The usual name of one class may be a lesser synonym of another: the usual one is meant.
    usual = [one for one in found if _key(one.name) == _key(text)]
    found = usual if len(usual) == 1 else found
    if len(found) == 1:
        return found[0].index
    if found:
        several = " or ".join(f"{one.index} ({', '.join(one.synonyms)})" for one in found)
        raise UsageError(f"--target {text!r} is the name of several classes: take {several}")
    near = difflib.get_close_matches(_key(text), by_name, n=3, cutoff=0.6)
    near += [name for name in by_name if _key(text) in name.split() and name not in near][:3]
    hint = f"; did you mean {' or '.join(repr(name) for name in near[:4])}?" if near else ""
    raise UsageError(f"--target {text!r} is not an ImageNet class{hint}")


def _key(name: str) -> str:
    return " ".join(name.lower().replace("_", " ").replace("-", " ").split())
