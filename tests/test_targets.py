"""What is explained, and for how long."""

import numpy as np
import pytest

from vidsal.frames import Target
from vidsal.targets import Lock, prediction


def _held(votes: list[int], rate: float) -> list[int | None]:
    """The locked class after each vote."""
    lock, held = Lock(), []
    for number, vote in enumerate(votes):
        lock = lock.after(number / rate, vote)
        held.append(lock.class_id)
    return held


@pytest.mark.parametrize("rate", [4, 25])
def test_one_class_is_locked_at_once(rate: int) -> None:
    assert _held([7] * 3 * rate, rate) == [7] * 3 * rate


@pytest.mark.parametrize("rate", [4, 25])
def test_the_first_seconds_majority_is_taken(rate: int) -> None:
    votes = [1] + [2] * (rate - 1) + [2, 1] * rate
    held = _held(votes, rate)
    assert held[0] == 1
    assert set(held[rate - 1 :]) == {2}


@pytest.mark.parametrize("rate", [4, 25])
def test_flicker_changes_nothing(rate: int) -> None:
    votes = [1] * (2 * rate) + [2] + [1] * rate + [2] * (rate - 1) + [1] * rate
    assert set(_held(votes, rate)) == {1}


@pytest.mark.parametrize("rate", [4, 25])
def test_a_second_of_another_class_changes_it(rate: int) -> None:
    votes = [1] * (2 * rate) + [2] * (2 * rate)
    held = _held(votes, rate)
    change = held.index(2)
    # The old class was last on top at vote 2 rate - 1.
    assert (change - (2 * rate - 1)) / rate == pytest.approx(1, abs=1.5 / rate)
    assert set(held[change:]) == {2}


def test_it_changes_to_that_seconds_majority() -> None:
    votes = [1] * 50 + [2, 3, 3] * 20
    assert _held(votes, 25)[-1] == 3


@pytest.mark.parametrize(
    "words", [{}, {"top": 1, "class_id": 2}, {"top": 1, "is_locked": True},
              {"class_id": 0, "is_locked": True}]
)  # fmt: skip
def test_exactly_one_thing_is_meant(words: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="exactly one"):
        Target(**words)  # type: ignore[arg-type]


def test_prediction_in_words() -> None:
    probabilities = np.array([0.1, 0.4, 0.05, 0.2, 0.15, 0.1], np.float32)
    names = tuple("abcdef")
    seen = prediction(probabilities, names, None)
    assert seen.class_ids == (1, 3, 4, 0, 5)
    assert seen.names == tuple("bdeaf")
    assert seen.probabilities == pytest.approx((0.4, 0.2, 0.15, 0.1, 0.1))
    assert (seen.target_id, seen.target_name) == (1, "b")
    chosen = prediction(probabilities, names, 2)
    assert (chosen.target_id, chosen.target_name) == (2, "c")
    assert chosen.target_probability == pytest.approx(0.05)
    assert chosen.class_ids == seen.class_ids
