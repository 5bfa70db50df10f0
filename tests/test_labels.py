"""Finding a class by what a person types."""

from __future__ import annotations

import pytest

from vidsal.errors import UsageError
from vidsal.static.labels import find_target, imagenet_classes


def test_classes_are_the_thousand_in_order() -> None:
    classes = imagenet_classes()
    assert [one.index for one in classes] == list(range(1000))
    assert len({one.wnid for one in classes}) == 1000
    assert classes[0].name == "tench" and classes[0].synonyms == ("tench", "Tinca tinca")
    assert classes[285].name == "Egyptian cat"
    assert classes[999].name == "toilet tissue"


@pytest.mark.parametrize("text", ["auto", "AUTO", " Auto "])
def test_auto_is_no_class(text: str) -> None:
    assert find_target(text) is None


def test_classes_are_found_by_index_and_wnid() -> None:
    for one in imagenet_classes()[::9]:
        assert find_target(str(one.index)) == one.index
        assert find_target(one.wnid) == one.index


def test_every_name_finds_its_class_or_says_which_are_meant() -> None:
    ambiguous = set()
    for one in imagenet_classes():
        try:
            assert find_target(one.name) == one.index, one.name
        except UsageError as error:
            assert f"{one.index} (" in str(error)
            ambiguous.add(one.name.lower())
    # These are all of them: names that ImageNet itself gives to two classes.
    assert ambiguous == {"crane", "maillot", "cardigan"}


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("Egyptian cat", 285),
        ("egyptian cat", 285),
        ("EGYPTIAN CAT", 285),
        ("egyptian_cat", 285),
        ("Egyptian-Cat", 285),
        ("  egyptian   cat ", 285),
        ("n02124075", 285),
        ("N02124075", 285),
        ("285", 285),
        ("0", 0),
        ("999", 999),
        ("007", 7),
        # By a lesser synonym.
        ("Tinca tinca", 0),
        ("white shark", 2),
        ("toilet paper", 999),
        # By a name with a hyphen in the table.
        ("Jack O' Lantern", 607),
        ("t shirt", 610),
    ],
)
def test_spellings(text: str, index: int) -> None:
    assert find_target(text) == index


def test_usual_name_wins_over_another_classs_synonym() -> None:
    # "missile" is 657's usual name and a synonym of 744, projectile.
    assert find_target("missile") == 657
    assert any("missile" in one.synonyms for one in imagenet_classes() if one.index == 744)


@pytest.mark.parametrize(
    ("text", "indices"),
    [("crane", (134, 517)), ("Maillot", (638, 639)), ("cardigan", (264, 474))],
)
def test_shared_names_are_refused_with_the_indices(text: str, indices: tuple[int, ...]) -> None:
    with pytest.raises(UsageError) as caught:
        find_target(text)
    message = str(caught.value)
    assert message.startswith(f"--target {text!r} is the name of several classes: take ")
    for index in indices:
        # Each is told with all its synonyms, which is how a person tells them apart.
        assert f"{index} ({', '.join(imagenet_classes()[index].synonyms)})" in message
        assert find_target(str(index)) == index


@pytest.mark.parametrize("text", ["-1", "1000", "-5", "123456"])
def test_numbers_outside_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=f"^--target must be 0 to 999, .*got {text}$"):
        find_target(text)


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("egyptain cat", "egyptian cat"),
        ("goldfsh", "goldfish"),
        ("Chihuaha", "chihuahua"),
        # A part of the name, as people would say it.
        ("cat", "tabby cat"),
        ("dog", "maltese dog"),
    ],
)
def test_near_misses_are_hinted_at(text: str, near: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_target(text)
    message = str(caught.value)
    assert message.startswith(f"--target {text!r} is not an ImageNet class; did you mean ")
    assert repr(near) in message
    assert message.count(" or ") <= 3
    assert find_target(near) is not None


@pytest.mark.parametrize("text", ["", "zzzzqq", "--5", "²", "٣", "1.5", "9" * 5000, "\n"])
def test_nonsense_is_refused_politely(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--target '.*is not an ImageNet class"):
        find_target(text)
