"""The order of steps, lost workers, parts and their join."""

from pathlib import Path

import pytest

from vidsal.batches.plan import Task
from vidsal.batches.receipts import Result
from vidsal.batches.schedule import ATTEMPTS, NetworkFault, Part, PartDone, Schedule, Step
from vidsal.errors import VidsalError
from vidsal.settings import Settings
from vidsal.sources.resolve import parse_source
from vidsal.static.models import ModelChoice


def _task(name: str) -> Task:
    choice = ModelChoice("none")
    return Task(parse_source(name), Settings(model="none"), choice, f"{name}.mp4", {}, {}, name)


def _done(name: str) -> Result:
    return Result(name, "done", node="here", key=name)


def _taken(schedule: Schedule) -> Step:
    step = schedule.take()
    assert step is not None
    return step


def _all_taken(schedule: Schedule) -> list[Step]:
    return list(iter(schedule.take, None))


def test_sources_come_in_order_and_once() -> None:
    schedule = Schedule([_task("a"), _task("b")])
    assert schedule.waiting == 2
    first, second = _all_taken(schedule)
    assert (first.task.key, second.task.key, schedule.waiting) == ("a", "b", 0)
    assert schedule.take() is None
    assert schedule.ended(first, _done("a")) == _done("a")
    # A second end of the same source, from a worker that was given up, counts no more.
    assert schedule.ended(first, _done("a")) is None


def test_a_schedule_that_drains_hands_out_no_more_and_takes_the_ends_of_what_runs() -> None:
    schedule = Schedule([_task("a"), _task("b")])
    running = _taken(schedule)
    schedule.drain()
    assert (schedule.take(), schedule.waiting, schedule.is_draining) == (None, 1, True)
    assert schedule.ended(running, _done("a")) == _done("a")
    assert (schedule.take(), schedule.waiting) == (None, 1)


def test_a_lost_step_is_next_and_given_up_after_some_attempts() -> None:
    schedule = Schedule([_task("a"), _task("b")])
    for attempt in range(1, ATTEMPTS):
        step = _taken(schedule)
        assert (step.task.key, step.attempt) == ("a", attempt)
        assert schedule.lost(step, "it was killed") is None
    failure = schedule.lost(_taken(schedule), "it was killed")
    assert failure is not None
    assert (failure.status, failure.attempts, failure.node) == ("failed", ATTEMPTS, "")
    assert failure.error == f"a: {ATTEMPTS} workers were lost at it: it was killed"
    assert _taken(schedule).task.key == "b"
    assert schedule.lost_workers == ATTEMPTS


def test_a_result_knows_of_attempts_that_were_lost() -> None:
    schedule = Schedule([_task("a")])
    schedule.lost(_taken(schedule), "")
    result = schedule.ended(_taken(schedule), _done("a"))
    assert result is not None and result.attempts == 2


def test_parts_come_before_other_sources_and_end_in_a_join() -> None:
    schedule = Schedule([_task("a"), _task("b")], is_splitting=True)
    step = _taken(schedule)
    assert step.kind == "split"
    parts = tuple(Part(n, 3, 0.0, 10.0 * n, 10.0 * (n + 1)) for n in range(3))
    assert schedule.ended(step, parts) is None
    steps = [_taken(schedule) for _ in range(3)]
    assert [one.part for one in steps] == list(parts)
    assert steps[1].label == f"{Path('a').name}, part 2 of 3"
    ends = [PartDone(5, 5, (48, 64), 1.0 + n, 2.0) for n in range(3)]
    for number in (2, 0, 1):
        assert schedule.ended(steps[number], ends[number]) is None
    join = _taken(schedule)
    assert (join.kind, join.task.key) == ("join", "a")
    assert join.parts == tuple(zip(parts, ends, strict=True))
    assert schedule.ended(join, _done("a")) == _done("a")
    # b is not worth a split.
    assert schedule.ended(_taken(schedule), ()) is None
    assert _taken(schedule).kind == "whole"


def test_a_join_that_lacks_parts_asks_for_them_and_in_the_end_for_one_run() -> None:
    schedule = Schedule([_task("a")], is_splitting=True)
    parts = tuple(Part(n, 2, 0.0, 10.0 * n, 10.0 * (n + 1)) for n in range(2))
    schedule.ended(_taken(schedule), parts)
    for _ in range(ATTEMPTS):
        steps = _all_taken(schedule)
        assert [one.part for one in steps] == list(parts)
        for step in steps:
            schedule.ended(step, PartDone(5, 5, (48, 64), 1.0, 2.0))
        join = _taken(schedule)
        assert join.kind == "join"
        assert schedule.ended(join, ()) is None
    assert [one.kind for one in _all_taken(schedule)] == ["whole"]


def test_a_network_fault_is_that_of_the_batch_unless_the_source_has_its_own() -> None:
    schedule = Schedule([_task("a"), _task("b")], own_networks={"a"})
    fault = NetworkFault(VidsalError("no weights"))
    result = schedule.ended(_taken(schedule), fault)
    assert result is not None
    assert (result.status, result.error, result.node) == ("failed", "no weights", "")
    with pytest.raises(VidsalError, match="no weights"):
        schedule.ended(_taken(schedule), fault)


def test_a_failed_part_fails_its_source_once() -> None:
    schedule = Schedule([_task("a"), _task("b")], is_splitting=True)
    schedule.ended(_taken(schedule), (Part(0, 2, 0, 0, 1), Part(1, 2, 0, 1, 2)))
    first, second = _taken(schedule), _taken(schedule)
    failure = Result("a", "failed", error="broken", node="here", key="a")
    assert schedule.ended(first, failure) == failure
    assert schedule.ended(second, failure) is None
    assert schedule.lost(second, "") is None
    assert _taken(schedule).task.key == "b"
