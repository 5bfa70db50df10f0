"""Names that a person may have meant."""

import pytest

from vidsal.static.labels import imagenet_classes
from vidsal.static.suggestions import (
    classes_with_word,
    did_you_mean,
    suggest,
    suggest_classes,
    told_apart,
)


def test_kinds_of_a_word_come_before_other_names_with_it() -> None:
    found = [one.synonyms[0] for one in classes_with_word("Cat", imagenet_classes())]
    assert found == [
        "tiger cat", "Persian cat", "Siamese cat", "Egyptian cat", "Madagascar cat", "tabby",
        "lesser panda",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", " ", "ca", "zzz", "[", "cat("])
def test_parts_of_words_are_no_words(text: str) -> None:
    assert classes_with_word(text, imagenet_classes()) == []


def test_several_words_are_found_in_a_row() -> None:
    found = [one.index for one in classes_with_word("great_white-SHARK", imagenet_classes())]
    assert found == [2]


@pytest.mark.parametrize(
    ("text", "first"),
    [("dog", "Maltese dog"), ("goldfsh", "goldfish"), ("car", "freight car"), ("egyptian cta",
     "Egyptian cat")],
)  # fmt: skip
def test_whole_words_come_before_similar_spellings(text: str, first: str) -> None:
    names = suggest_classes(text, imagenet_classes())
    assert names[0] == first
    assert len(names) == len(set(names)) <= 6


@pytest.mark.parametrize(
    ("text", "names"),
    [("lite", ["lite0"]), ("LITE-0", ["lite0"]), ("vgg", ["VGG19", "VGG16"]), ("zzz", []),
     ("", [])],
)  # fmt: skip
def test_names_of_networks(text: str, names: list[str]) -> None:
    assert suggest(text, ["lite0", "VGG16", "VGG19", "Xception"]) == names


def test_classes_of_one_name_are_told_apart() -> None:
    cranes = [imagenet_classes()[134], imagenet_classes()[517]]
    assert told_apart(cranes) == "134 (crane, the bird) or 517 (crane, the machine)"


@pytest.mark.parametrize(
    ("names", "text"),
    [([], ""), (["a"], "; did you mean 'a'?"), (["a", "b"], "; did you mean 'a' or 'b'?"),
     (["a", "b", "c"], "; did you mean 'a', 'b' or 'c'?")],
)  # fmt: skip
def test_end_of_a_message(names: list[str], text: str) -> None:
    assert did_you_mean(names) == text
