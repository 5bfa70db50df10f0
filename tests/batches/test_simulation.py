"""The simulation of clusters: cases with a known answer."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from conftest import load_script

script: Any = load_script("simulate_cluster")
# Nothing fails, nothing is slow, and nothing costs time but the tasks.
PLAIN = dataclasses.replace(
    script.Assumptions(), slots_per_node=3, start_s=7.0, task_s=0.0, dispatch_s=0.0,
    mean_life_h=math.inf, slow_share=0.0,
)  # fmt: skip


def _tasks(*seconds: float) -> list[Any]:
    return [script.Task(one, file) for file, one in enumerate(seconds)]


def _done(tasks: list[Any], nodes: int, assumed: Any, joins: Any = None, rng: Any = None) -> Any:
    return script.simulate(tasks, joins or {}, nodes, assumed, rng or np.random.default_rng(0))


@pytest.mark.parametrize(("tasks", "nodes"), [(1, 1), (12, 2), (13, 2), (100, 4)])
def test_equal_tasks_take_whole_rounds(tasks: int, nodes: int) -> None:
    done = _done(_tasks(*[10.0] * tasks), nodes, PLAIN)
    assert done == script.Outcome(7.0 + 10.0 * math.ceil(tasks / (3 * nodes)), 0.0, 0)


def test_a_head_node_hands_out_one_task_at_a_time() -> None:
    assumed = dataclasses.replace(PLAIN, dispatch_s=0.5)
    # Tasks that are shorter than a dispatch: the head is the limit.
    assert _done(_tasks(*[0.0] * 40), 10, assumed).makespan_s == pytest.approx(7.0 + 40 * 0.5)
    assert _done(_tasks(100.0, 100.0), 1, assumed).makespan_s == pytest.approx(7.0 + 1.0 + 100.0)


def test_slow_nodes_take_their_time() -> None:
    assumed = dataclasses.replace(PLAIN, slow_share=1.0, slow_speed=0.25)
    assert _done(_tasks(10.0), 1, assumed).makespan_s == 7.0 + 40.0


def test_a_join_follows_the_last_part_of_its_file() -> None:
    parts = [script.Task(10.0, 0), script.Task(30.0, 0), script.Task(20.0, 0)]
    joins = {0: script.Task(5.0, 0)}
    assert _done(parts, 1, PLAIN, joins).makespan_s == 7.0 + 30.0 + 5.0


class _Failing:
    """Random numbers by which the first node fails once, and no other one does."""

    def __init__(self, after_s: float) -> None:
        self._lives_s = iter([after_s])

    def random(self, count: int) -> Any:
        return np.ones(count)

    def exponential(self, _: float) -> float:
        return next(self._lives_s, math.inf)


def test_a_failure_costs_what_runs_and_the_time_until_the_node_is_back() -> None:
    assumed = dataclasses.replace(PLAIN, slots_per_node=1, mean_life_h=1.0, replace_s=11.0)
    # 7 + 50 s: the second task has run for 20 s when the node fails.
    done = _done(_tasks(50.0, 50.0), 1, assumed, rng=_Failing(77.0))
    assert done == script.Outcome(77.0 + 11.0 + 7.0 + 50.0, 20.0, 1)


def test_tasks_have_the_work_of_their_files() -> None:
    assumed = dataclasses.replace(PLAIN, cpu_per_video=2.0, task_s=3.0, warm_s=4.0)
    tasks, joins = script.tasks_of([1000.0, 100.0], math.inf, assumed)
    assert [one.seconds for one in tasks] == [2003.0, 203.0] and joins == {}
    tasks, joins = script.tasks_of([1000.0, 100.0], 250.0, assumed)
    assert [one.seconds for one in tasks] == [503.0, 511.0, 511.0, 511.0, 203.0]
    assert joins == {0: script.Task(1000 * assumed.join_per_video + 3.0, 0)}


def test_a_hundred_nodes_are_used_well_if_long_files_are_split() -> None:
    assumed = script.Assumptions()
    lengths_s = script.file_lengths(10_000, assumed, np.random.default_rng(0))
    assert sum(lengths_s) == pytest.approx(10_000 * 3600)
    bare_s, shares = sum(lengths_s) * assumed.cpu_per_video, []
    for split_s in (math.inf, 600.0):
        tasks, joins = script.tasks_of(lengths_s, split_s, assumed)
        done = _done(tasks, 100, assumed, joins)
        shares.append(script.efficiency(bare_s, 100 * assumed.slots_per_node, done))
        assert done.failures > 5
    whole, split = shares
    assert split >= 0.9 and whole < 0.5
