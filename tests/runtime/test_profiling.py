"""The seconds of each stage, measured with a simulated clock."""

from collections.abc import Iterator

import numpy as np
import pytest
from conftest import BrightnessStage

from vidsal.runtime.profiling import Stages
from vidsal.types import Request


class Clock:
    """A clock that is advanced by hand."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_the_time_until_an_item_is_there_is_its_stages() -> None:
    clock = Clock()
    stages = Stages(clock)
    closed = []

    def made() -> Iterator[int]:
        try:
            for n in range(5):
                clock.now_s += 2
                yield n
        finally:
            closed.append(True)

    items = stages.items("made", made())
    for _ in range(3):
        next(items)
        clock.now_s += 10
    items.close()  # type: ignore[attr-defined]
    assert closed == [True]
    assert stages.spent_s("made") == 6
    assert stages.spent_s("other") == 0
    assert list(stages.items("all", iter("abc"))) == ["a", "b", "c"]


def test_what_is_inside_a_stage_is_not_its_own() -> None:
    clock = Clock()
    stages = Stages(clock)

    def network() -> None:
        clock.now_s += 3

    def made() -> Iterator[None]:
        clock.now_s += 2
        stages.calls("network", network)
        yield

    list(stages.items("all", made(), inside=("network", "never")))
    assert (stages.spent_s("all"), stages.spent_s("network")) == (2, 3)


def test_work_is_counted_even_if_it_fails() -> None:
    clock = Clock()
    stages = Stages(clock)

    def fails() -> None:
        clock.now_s += 3
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        stages.calls("fails", fails)
    assert stages.spent_s("fails") == 3


def test_a_timed_network_is_that_network() -> None:
    clock, stage = Clock(), BrightnessStage()
    stages = Stages(clock)
    timed = stages.static("network", stage)
    assert timed is not None
    assert (timed.names, timed.target, timed.input_size) == (
        stage.names, stage.target, stage.input_size,
    )  # fmt: skip
    rgb = np.full((2, 4, 5, 3), 7, np.uint8)
    requests = [Request(0, 1), Request(1, 1)]
    np.testing.assert_array_equal(timed.maps(rgb, requests), np.full((2, 4, 5), 7))
    np.testing.assert_array_equal(timed.predict(rgb), stage.predict(rgb))
    assert stages.static("network", None) is None


def test_the_table_says_milliseconds_and_shares() -> None:
    clock, processor = Clock(), Clock()
    stages = Stages(clock, processor)

    def works() -> None:
        clock.now_s += 1.5
        processor.now_s += 0.6

    stages.calls("draw", works)
    clock.now_s = 6.0
    head, draw, whole = stages.lines(frames=3)
    assert head.split() == ["stage", "ms", "a", "frame", "processor", "of", "the", "time"]
    assert draw.split() == ["draw", "500.00", "200.00", "25%"]
    assert whole.split() == ["all", "2000.00", "0.50", "/s"]
