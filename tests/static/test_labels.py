"""Find a class by the text that a person types."""

from __future__ import annotations

from pathlib import Path

import pytest

from vidsal.errors import UsageError, VidsalError
from vidsal.static.labels import find_target, imagenet_classes, numbered, read_labels
from vidsal.types import Target


def test_classes_are_the_thousand_in_order() -> None:
    classes = imagenet_classes()
    assert [one.index for one in classes] == list(range(1000))
    assert len({one.wnid for one in classes}) == 1000
    assert classes[0].name == "tench" and classes[0].synonyms == ("tench", "Tinca tinca")
    assert classes[285].name == "Egyptian cat"
    assert classes[999].name == "toilet tissue"


@pytest.mark.parametrize("text", ["auto", "AUTO", " Auto "])
def test_auto_is_the_five_largest(text: str) -> None:
    assert find_target(text) == Target(top=5)
    # With few classes, fewer are summed: the sum over all classes is constant.
    assert [find_target(text, numbered(n)).top for n in (2, 3, 9, 10, 24, 25)] == [1, 1, 1, 2, 4, 5]


@pytest.mark.parametrize(
    ("text", "top"), [("top1", 1), ("TOP5", 5), ("top 12", 12), ("Top-999", 999), ("top_7", 7)]
)
def test_top_n_is_the_sum_of_so_many(text: str, top: int) -> None:
    assert find_target(text) == Target(top=top)


@pytest.mark.parametrize("text", ["top0", "top1000", "top 999999"])
def test_no_more_scores_than_classes(text: str) -> None:
    with pytest.raises(UsageError, match=f"^target= takes top1 to top999, got {text}$"):
        find_target(text)
    with pytest.raises(UsageError, match=r"^target= takes top1 to top2, got top3$"):
        find_target("top3", numbered(3))


@pytest.mark.parametrize("text", ["lock", "Lock", " LOCK "])
def test_lock_is_chosen_along_the_stream(text: str) -> None:
    assert find_target(text) == Target(is_locked=True)


def test_classes_are_found_by_index_and_wnid() -> None:
    for one in imagenet_classes()[::9]:
        assert find_target(str(one.index)) == Target(class_id=one.index)
        assert find_target(one.wnid) == Target(class_id=one.index)


def test_every_name_finds_its_class_or_says_which_are_meant() -> None:
    ambiguous = set()
    for one in imagenet_classes():
        try:
            assert find_target(one.name) == Target(class_id=one.index), one.name
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
    assert find_target(text) == Target(class_id=index)


def test_usual_name_wins_over_another_classs_synonym() -> None:
    # "missile" is 657's usual name and a synonym of 744, projectile.
    assert find_target("missile") == Target(class_id=657)
    assert any("missile" in one.synonyms for one in imagenet_classes() if one.index == 744)


@pytest.mark.parametrize(
    ("text", "indices"),
    [("crane", (134, 517)), ("Maillot", (638, 639)), ("cardigan", (264, 474))],
)
def test_shared_names_are_refused_with_the_indices(text: str, indices: tuple[int, ...]) -> None:
    with pytest.raises(UsageError) as caught:
        find_target(text)
    message = str(caught.value)
    assert message.startswith(f"target={text!r} is the name of several classes: take ")
    for index in indices:
        # Each is listed with all its synonyms, so that a person can distinguish them.
        assert f"{index} ({', '.join(imagenet_classes()[index].synonyms)}, the " in message
        assert find_target(str(index)) == Target(class_id=index)


@pytest.mark.parametrize("text", ["-1", "1000", "-5", "123456"])
def test_numbers_outside_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=f"^target= must be 0 to 999, .*got {text}$"):
        find_target(text)


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("egyptain cat", "Egyptian cat"),
        ("goldfsh", "goldfish"),
        ("Chihuaha", "Chihuahua"),
        # A part of the name, in plain language.
        ("cat", "tabby"),
        ("dog", "Maltese dog"),
    ],
)
def test_near_misses_are_hinted_at(text: str, near: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_target(text)
    message = str(caught.value)
    assert message.startswith(f"target={text!r} is not a class of this network; did you mean ")
    assert repr(near) in message
    assert message.count(" or ") <= 3
    assert find_target(near).class_id is not None


@pytest.mark.parametrize("text", ["", "zzzzqq", "--5", "²", "٣", "1.5", "9" * 5000, "\n"])
def test_nonsense_is_refused_politely(text: str) -> None:
    with pytest.raises(UsageError, match=r"^target='.*is not a class of this network"):
        find_target(text)


# A network's own classes


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_labels_of_a_file(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_text("cat, house cat\n\n  dog  \nÉléphant\n", encoding=encoding)
    classes = read_labels(path)
    assert [one.index for one in classes] == [0, 1, 2]
    assert [one.synonyms for one in classes] == [("cat", "house cat"), ("dog",), ("Éléphant",)]
    assert find_target("House-Cat", classes) == Target(class_id=0)
    assert find_target("éléphant", classes) == Target(class_id=2)
    assert find_target("2", classes) == Target(class_id=2)
    with pytest.raises(
        UsageError, match=r"^target= must be 0 to 2, a name, auto, lock or topN, got 3$"
    ):
        find_target("3", classes)
    with pytest.raises(UsageError, match=r"not a class of this network; did you mean 'dog'"):
        find_target("dgo", classes)
    # The names that everybody knows are not this network's.
    with pytest.raises(UsageError, match="not a class of this network"):
        find_target("tench", classes)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "has no names: write one on each line$"),
        (b"\n \n", "has no names: write one on each line$"),
        (b"\xff\xfe", ""),
    ],
)
def test_labels_that_are_none(content: bytes, why: str, tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes(content)
    with pytest.raises(VidsalError, match=why or "cannot be read") as caught:
        read_labels(path)
    assert str(caught.value).startswith(f"labels='{path}' ") and "\n" not in str(caught.value)
    with pytest.raises(VidsalError, match="cannot be read"):
        read_labels(tmp_path / "missing.txt")


def test_classes_without_names_are_numbered() -> None:
    assert [one.name for one in numbered(2)] == ["class 0", "class 1"]
    assert find_target("class 1", numbered(2)) == Target(class_id=1)
