"""Which names a person may have meant: names that hold the typed word first, then similar ones."""

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Protocol

# Classes of ImageNet that share their usual name with another one.
_KINDS = {
    "n02012849": "the bird",
    "n03126707": "the machine",
    "n02113186": "the dog",
    "n02963159": "the jacket",
    "n03710637": "the tights of a dancer",
    "n03710721": "the swimsuit",
}
# Share of equal letters from which two names are alike.
_ALIKE = 0.6


class Named(Protocol):
    """A class of a network, as `vidsal.static.labels.NamedClass` is one."""

    @property
    def index(self) -> int:
        """Number of the network's output, from 0."""

    @property
    def wnid(self) -> str:
        """WordNet identifier."""

    @property
    def synonyms(self) -> tuple[str, ...]:
        """Names, the usual one first."""


def folded(name: str) -> str:
    """Return a name in small letters, its hyphens and underscores as single spaces.

    Parameters
    ----------
    name : str
        Name of a class, network or option.
    """
    return " ".join(name.lower().replace("_", " ").replace("-", " ").split())


def classes_with_word(text: str, classes: Sequence[Named]) -> list[Named]:
    """Return the classes that have a word, or several in a row, in one of their names.

    Parameters
    ----------
    text : str
        Whole words, in any spelling of case, hyphen and underscore: ``cat`` is not in "polecat".
    classes : sequence of Named

    Returns
    -------
    list of Named
        Those whose usual name ends in the word, which are kinds of it (Egyptian cat), come first;
        then those with such a synonym (tabby cat); then all others.
    """
    word = re.compile(rf"\b{re.escape(folded(text))}\b")

    def rank(one: Named) -> int | None:
        names = [folded(name) for name in one.synonyms]
        if not folded(text) or not any(map(word.search, names)):
            return None
        ends = [name.endswith(folded(text)) for name in names]
        return 0 if ends[0] else 1 if any(ends) else 2

    ranked = [(place, one.index, one) for one in classes if (place := rank(one)) is not None]
    return [one for *_, one in sorted(ranked, key=lambda item: item[:2])]


def suggest_classes(text: str, classes: Sequence[Named], *, at_most: int = 6) -> list[str]:
    """Return usual names of classes that may be meant, the most likely first.

    Classes that have the whole word in a name come before those with a similar name.

    Parameters
    ----------
    text : str
        The typed text, which is not the name of a class.
    classes : sequence of Named
    at_most : int
        How many to return.
    """
    names = [one.synonyms[0] for one in classes_with_word(text, classes)]
    by_name = {folded(name): name for one in classes for name in one.synonyms}
    names += [by_name[one] for one in _alike(text, by_name)]
    return list(dict.fromkeys(names))[:at_most]


def suggest(text: str, names: Iterable[str], *, at_most: int = 3) -> list[str]:
    """Return names that may be meant: those with the typed words first, then similar ones.

    Parameters
    ----------
    text : str
        The typed text, which equals none of `names`.
    names : iterable of str
    at_most : int
        How many to return.
    """
    by_name = {folded(name): name for name in names}
    word = re.compile(rf"\b{re.escape(folded(text))}\b")
    whole = [by_name[one] for one in by_name if folded(text) and word.search(one)]
    return list(dict.fromkeys([*whole, *(by_name[one] for one in _alike(text, by_name))]))[:at_most]


def did_you_mean(names: Sequence[str]) -> str:
    """Return the end of an error message: ``; did you mean 'a', 'b' or 'c'?``, or nothing.

    Parameters
    ----------
    names : sequence of str
        The suggestions, the best one first.
    """
    quoted = [repr(name) for name in names]
    if not quoted:
        return ""
    listed = " or ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)
    return f"; did you mean {listed}?"


def told_apart(classes: Sequence[Named]) -> str:
    """Return several classes of one name with their indices: ``134 (crane, the bird) or ...``.

    Parameters
    ----------
    classes : sequence of Named
        Classes that share a name.
    """
    return " or ".join(f"{one.index} ({described(one)})" for one in classes)


def described(one: Named) -> str:
    """Return all names of a class, and its kind if another class has the same usual name.

    Parameters
    ----------
    one : Named
    """
    kind = _KINDS.get(one.wnid)
    return ", ".join([*one.synonyms, *([kind] if kind else [])])


def _alike(text: str, names: Iterable[str]) -> list[str]:
    """Return the names spelled most like a text, of several words also like one of them."""
    return difflib.get_close_matches(folded(text), list(names), n=3, cutoff=_ALIKE)
