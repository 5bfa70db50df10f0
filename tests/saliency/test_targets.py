"""The lock of the target class, and the prediction with its names."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from vidsal.saliency.targets import TargetLock, prediction
from vidsal.types import Target


def _locked(votes: list[int], rate: float) -> list[int | None]:
    """The locked class after each vote."""
    lock, held = TargetLock(), []
    for number, vote in enumerate(votes):
        lock = lock.after(number / rate, vote)
        held.append(lock.class_id)
    return held


@pytest.mark.parametrize("rate", [4, 25])
def test_one_class_is_locked_at_once(rate: int) -> None:
    assert _locked([7] * 3 * rate, rate) == [7] * 3 * rate


@pytest.mark.parametrize("rate", [4, 25])
def test_the_first_seconds_majority_is_taken(rate: int) -> None:
    votes = [1] + [2] * (rate - 1) + [2, 1] * rate
    held = _locked(votes, rate)
    assert held[0] == 1
    assert set(held[rate - 1 :]) == {2}


@pytest.mark.parametrize("rate", [4, 25])
def test_flicker_changes_nothing(rate: int) -> None:
    votes = [1] * (2 * rate) + [2] + [1] * rate + [2] * (rate - 1) + [1] * rate
    assert set(_locked(votes, rate)) == {1}


@pytest.mark.parametrize("rate", [4, 25])
def test_a_second_of_another_class_changes_it(rate: int) -> None:
    votes = [1] * (2 * rate) + [2] * (2 * rate)
    held = _locked(votes, rate)
    change = held.index(2)
    # The old class was last on top at vote 2 rate - 1.
    assert (change - (2 * rate - 1)) / rate == pytest.approx(1, abs=1.5 / rate)
    assert set(held[change:]) == {2}


def test_it_changes_to_that_seconds_majority() -> None:
    votes = [1] * 50 + [2, 3, 3] * 20
    assert _locked(votes, 25)[-1] == 3


@pytest.mark.parametrize(
    "options", [{}, {"top": 1, "class_id": 2}, {"top": 1, "is_locked": True},
              {"class_id": 0, "is_locked": True}]
)  # fmt: skip
def test_exactly_one_target_is_set(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="exactly one"):
        Target(**options)  # type: ignore[arg-type]


def test_prediction_lists_classes_and_target() -> None:
    probabilities = np.array([0.1, 0.4, 0.05, 0.2, 0.15, 0.1], np.float32)
    names = tuple("abcdef")
    seen = prediction(probabilities, names, None)
    assert seen.class_ids == (1, 3, 4, 0, 5)
    assert seen.names == tuple("bdeaf")
    assert seen.probabilities == pytest.approx((0.4, 0.2, 0.15, 0.1, 0.1))
    assert (seen.target_id, seen.target_name) == (1, "b")
    several = prediction(probabilities, names, None, top=3)
    assert (several.target_id, several.target_name) == (None, "top 3")
    assert several.target_probability == pytest.approx(0.75)
    chosen = prediction(probabilities, names, 2)
    assert (chosen.target_id, chosen.target_name) == (2, "c")
    assert chosen.target_probability == pytest.approx(0.05)
    assert chosen.class_ids == seen.class_ids


@pytest.mark.parametrize("rate", [4, 12.5, 24, 25, 30, 1000])
@pytest.mark.parametrize("start_s", [0.0, 0.1, 3601.7])
def test_it_changes_exactly_a_second_after_the_first_other_vote(
    rate: float, start_s: float
) -> None:
    # Rounding of times such as 47 / 30 does not matter.
    before, second = round(3 * rate), math.ceil(rate)
    lock, held = TargetLock(), []
    for number in range(before + second + 5):
        lock = lock.after(start_s + number / rate, 1 if number < before else 2)
        held.append(lock.class_id)
    assert held == [1] * (before + second) + [2] * 5


@pytest.mark.parametrize("rate", [4, 24, 25, 30])
def test_only_the_first_seconds_votes_count_at_first(rate: int) -> None:
    quarter = rate // 4
    first = [1] * quarter + [2] * (rate - quarter)
    held = _locked(first + [1, 2] * rate, rate)
    # Class 2 leads once it has more votes than class 1.
    assert held == [1] * (2 * quarter) + [2] * (3 * rate - 2 * quarter)


@pytest.mark.parametrize("rate", [4, 25])
def test_the_second_of_disagreement_votes(rate: int) -> None:
    # Class 2 at both ends, class 3 for most of the second between.
    held = _locked([1] * (2 * rate) + [2] + [3] * (rate - 1) + [2], rate)
    assert held == [1] * (3 * rate) + [3]


def test_one_vote_for_the_locked_class_restarts_the_second() -> None:
    assert _locked([1] * 8 + [2] * 4 + [1] + [2] * 5, 4) == [1] * 17 + [2]


@pytest.mark.parametrize("rate", [4, 25])
def test_after_the_first_second_a_majority_alone_changes_nothing(rate: int) -> None:
    assert set(_locked([1] * rate + ([2] * (rate - 1) + [1]) * 6, rate)) == {1}


def test_only_the_last_second_is_remembered() -> None:
    lock = TargetLock()
    for number in range(1000):
        lock = lock.after(number / 25, number % 3)
    # A second has 25 votes, and the vote at its beginning stays.
    assert len(lock.votes) == 26
    assert lock.votes[0][0] == pytest.approx(lock.votes[-1][0] - 1)


def test_a_lock_is_immutable() -> None:
    one = TargetLock().after(0.0, 1)
    one.after(0.5, 2)
    assert one == TargetLock(1, ((0.0, 1),), 0.0)
    assert TargetLock().class_id is None


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=12))
@examples(deadline=None)
def test_most_likely_first(values: list[float]) -> None:
    p = np.array(values, np.float32)
    seen = prediction(p, tuple(map(str, range(len(p)))), None)
    assert len(seen.class_ids) == len(seen.names) == len(seen.probabilities) == min(5, len(p))
    assert list(seen.probabilities) == sorted(p.tolist(), reverse=True)[:5]
    assert all(p[k] == value for k, value in zip(seen.class_ids, seen.probabilities, strict=True))
    assert seen.names == tuple(str(k) for k in seen.class_ids)
