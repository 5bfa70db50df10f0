"""The slot of one: the newest wins, nothing waits for the slower side, nothing is left behind."""

import threading
import time
from collections.abc import Iterator
from functools import partial

import pytest
from conftest import until

from vidsal.runtime.latest import Latest, Slot, background_thread, newest


class Source:
    """Yields numbers when the test releases them; records the requests and its end."""

    def __init__(self) -> None:
        self.let = threading.Semaphore(0)
        self.asked = 0
        self.is_closed = False

    def items(self, count: int = 1000) -> Iterator[int]:
        try:
            for number in range(count):
                self.asked += 1
                while not self.let.acquire(timeout=0.01):
                    pass
                yield number
        finally:
            self.is_closed = True

    def give(self, count: int) -> None:
        for _ in range(count):
            self.let.release()


def test_the_newest_wins_and_the_rest_is_counted() -> None:
    source = Source()
    with newest(source.items()) as slot:
        source.give(10)
        until(lambda: slot.seen == 10)
        assert slot.take(1) == 9
        assert (slot.seen, slot.dropped) == (10, 9)
        source.give(1)
        assert slot.take(1) == 10
        assert (slot.seen, slot.dropped) == (11, 9)
        assert slot.take(0.01) is None
        source.give(1)  # Lets the thread out of its wait.
    assert source.is_closed


def test_without_dropping_an_item_is_begun_only_when_the_last_one_was_taken() -> None:
    source = Source()
    source.give(100)
    with newest(source.items(), drops=False) as slot:
        until(lambda: slot.seen == 1)
        time.sleep(0.03)
        assert source.asked == 1
        assert [slot.take(1) for _ in range(5)] == [0, 1, 2, 3, 4]
        assert slot.dropped == 0


def test_iterating_ends_with_the_items() -> None:
    with newest(iter("abc"), drops=False) as slot:
        assert list(slot) == ["a", "b", "c"]
        assert slot.is_over


def test_an_error_comes_as_the_same_object_after_the_last_item() -> None:
    error = RuntimeError("pulled")

    def items() -> Iterator[int]:
        yield 7
        raise error

    with newest(items()) as slot:
        assert slot.take(1) == 7
        with pytest.raises(RuntimeError) as caught:
            slot.take(1)
        assert caught.value is error
        assert slot.is_over

    with newest(items()) as slot, pytest.raises(RuntimeError):
        list(slot)


def test_what_failed_is_not_over_before_somebody_knows() -> None:
    def pull() -> int:
        raise RuntimeError("pulled")

    with newest(pull() for _ in range(1)) as slot:
        time.sleep(0.1)  # The taker is slow: the thread is done by now.
        assert not slot.is_over
        with pytest.raises(RuntimeError, match="pulled"):
            slot.take(0)
        assert slot.is_over


def test_a_slow_taker_gets_items_no_older_than_one_period() -> None:
    """Latency does not grow: after any wait, the taken item has just arrived."""

    def clock() -> Iterator[float]:
        while True:
            time.sleep(0.005)
            yield time.monotonic()

    with newest(clock()) as slot:
        ages = []
        for _ in range(8):
            time.sleep(0.05)
            stamp = slot.take(1)
            assert stamp is not None
            ages.append(time.monotonic() - stamp)
        assert sorted(ages)[4] < 0.03
        assert slot.dropped >= 8


def test_leaving_early_closes_the_items_and_joins() -> None:
    source = Source()
    source.give(1000)
    with newest(source.items(), drops=False):
        pass
    assert source.is_closed


def test_an_interrupt_while_the_thread_begins_ends_it(interrupted_start: None) -> None:
    source = Source()
    source.give(1000)
    with pytest.raises(KeyboardInterrupt), newest(source.items(), drops=False):
        pass
    assert source.is_closed


def test_the_latest_value_reaches_every_reader_once() -> None:
    made: list[str] = []

    def make(value: str) -> str:
        made.append(value)
        return value.upper()

    latest = Latest(make)
    assert latest.after(0, 0.01) == (0, None)
    latest.put("a")
    latest.put("b")
    assert latest.after(0, 0.01) == (2, "B")
    assert latest.after(2, 0.01) == (2, "B")

    def later() -> None:
        time.sleep(0.03)
        latest.put("c")

    with background_thread(later):
        assert latest.after(2, 5) == (3, "C")
    # Made once for all readers, and never for an item that nobody read.
    assert made == ["b", "c"]


def test_a_spare_place_bridges_one_delay_and_the_newest_wins_after_two() -> None:
    slot: Slot[int] = Slot(drops=True, spare=True)
    arriving = threading.Semaphore(0)

    def items() -> Iterator[int]:
        for number in range(9):
            arriving.acquire()
            yield number

    def come(count: int) -> None:
        seen = slot.seen + count
        arriving.release(count)
        until(lambda: slot.seen == seen)

    with background_thread(partial(slot.run, items()), stop=slot.stop):
        come(1)
        assert slot.take(1) == 0
        # Two came during a delay, and the next one while the older of them was in work.
        come(2)
        assert slot.take(1) == 1
        assert slot.take(1) == 2
        come(2)
        assert (slot.take(1), slot.dropped) == (3, 0)
        come(1)
        # Behind for the second time: that is no delay, so that the older one is dropped.
        assert (slot.take(1), slot.dropped) == (5, 1)
        # Of three, one has no place, and the consumer is still behind.
        come(3)
        assert (slot.take(1), slot.dropped) == (8, 3)
        assert slot.take(0.05) is None
    assert slot.is_over
