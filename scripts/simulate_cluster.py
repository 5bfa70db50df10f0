"""Simulate batches on clusters of 10 to 1,000 nodes: time, efficiency, and the effect of splitting.

    python scripts/simulate_cluster.py
    python scripts/simulate_cluster.py --hours 100000 --nodes 100 1000 --split 600
    python scripts/simulate_cluster.py --set mean_life_h=4 slow_share=0.1

A discrete-event simulation. A head node hands tasks to slots, one at a time. Nodes fail after
exponential times, which costs what runs on them, and come back later; some nodes are slow. Files
have lognormal lengths. Service times are processor seconds that docs/benchmarks.md has measured;
the assumptions are printed. Efficiency is the processor time of the bare work as a share of what
all slots have until the end.
"""

import argparse
import dataclasses
import heapq
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

_NODES = (10, 30, 100, 300, 1000)


@dataclass(frozen=True)
class Assumptions:
    """What a simulation takes for granted.

    Attributes
    ----------
    slots_per_node : int
        Workers of a node, one for each core.
    cpu_per_video : float
        Processor seconds for a second of video: 43.9 ms a frame of 1280x720, 25 frames a second.
    start_s : float
        Seconds until a new worker can work: imports, and loading the network.
    task_s : float
        Seconds that each task costs beyond its frames: opening the file, verification, receipt.
    warm_s : float
        Seconds of video that a part analyses before its own.
    join_per_video : float
        Processor seconds for joining a second of video.
    dispatch_s : float
        Seconds that the head node needs for each task, one after the other.
    mean_life_h : float
        Mean hours between two failures of a node; infinite for none.
    replace_s : float
        Seconds until a failed node is replaced.
    slow_share, slow_speed : float
        Share of the nodes that are slow, and their speed.
    median_s, sigma : float
        Lengths of files: the median in seconds, and the standard deviation of the logarithm.
    """

    slots_per_node: int = 16
    cpu_per_video: float = 1.10
    start_s: float = 20.0
    task_s: float = 2.0
    warm_s: float = 4.0
    join_per_video: float = 0.01
    dispatch_s: float = 0.005
    mean_life_h: float = 24.0
    replace_s: float = 180.0
    slow_share: float = 0.02
    slow_speed: float = 0.5
    median_s: float = 600.0
    sigma: float = 1.0


@dataclass(frozen=True)
class Task:
    """Something that a slot does at a time.

    Attributes
    ----------
    seconds : float
        Processor time at full speed.
    file : int
        The file it belongs to.
    """

    seconds: float
    file: int


@dataclass(frozen=True)
class Outcome:
    """What a simulation found.

    Attributes
    ----------
    makespan_s : float
        Seconds until the last task has ended.
    lost_s : float
        Processor seconds of work that failures destroyed.
    failures : int
        Number of failures of nodes.
    """

    makespan_s: float
    lost_s: float
    failures: int


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=10_000, help="hours of video")
    parser.add_argument("--nodes", type=int, nargs="+", default=_NODES)
    parser.add_argument("--split", type=float, default=600, help="seconds of a part")
    parser.add_argument("--price", type=float, default=0.015, help="of a core and hour")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", dest="changes")
    arguments = parser.parse_args()
    assumed = changed(Assumptions(), arguments.changes)
    for name, value in dataclasses.asdict(assumed).items():
        print(f"{name:<16}{value:g}")
    rng = np.random.default_rng(arguments.seed)
    lengths_s = file_lengths(arguments.hours, assumed, rng)
    bare_s = sum(lengths_s) * assumed.cpu_per_video
    longest_h = max(lengths_s) / 3600
    print(f"{len(lengths_s)} files, {sum(lengths_s) / 3600:.0f} h, the longest {longest_h:.1f} h")
    print(f"{bare_s / 3600:.0f} core hours of bare work")
    print("\nnodes  files      hours  efficiency  failures  lost core h    cost")
    for nodes in arguments.nodes:
        for split_s in (math.inf, arguments.split):
            parts, joins = tasks_of(lengths_s, split_s, assumed)
            done = simulate(parts, joins, nodes, assumed, np.random.default_rng(arguments.seed))
            slots = nodes * assumed.slots_per_node
            kind = "whole" if math.isinf(split_s) else f"{split_s:g} s"
            cost = slots * done.makespan_s / 3600 * arguments.price
            print(
                f"{nodes:5}  {kind:<8}{done.makespan_s / 3600:8.2f}  "
                f"{efficiency(bare_s, slots, done):10.3f}  {done.failures:8}  "
                f"{done.lost_s / 3600:11.1f}  {cost:6.0f}", flush=True,
            )  # fmt: skip


def changed(assumed: Assumptions, words: Sequence[str]) -> Assumptions:
    """Return assumptions with other values, given as ``NAME=VALUE``."""
    values = dataclasses.asdict(assumed)
    for word in words:
        name, _, value = word.partition("=")
        if name not in values:
            raise SystemExit(f"there is no assumption {name}: there are {', '.join(values)}")
        values[name] = type(values[name])(value)
    return Assumptions(**values)


def file_lengths(hours: float, assumed: Assumptions, rng: np.random.Generator) -> list[float]:
    """Return lengths of files in seconds that are so many hours in all."""
    mean_s = assumed.median_s * math.exp(assumed.sigma**2 / 2)
    drawn = rng.lognormal(math.log(assumed.median_s), assumed.sigma, round(hours * 3600 / mean_s))
    scaled: list[float] = (drawn * hours * 3600 / drawn.sum()).tolist()
    return scaled


def tasks_of(
    lengths_s: Sequence[float], split_s: float, assumed: Assumptions
) -> tuple[list[Task], dict[int, Task]]:
    """Return the tasks that files begin with, and the joins of those that are split."""
    tasks, joins = [], {}
    for file, length_s in enumerate(lengths_s):
        # As vidsal does: the last part is up to half as long again as the others.
        parts = max(1, math.floor(length_s / split_s + 0.5)) if math.isfinite(split_s) else 1
        seconds = length_s / parts * assumed.cpu_per_video + assumed.task_s
        warm_s = assumed.warm_s * assumed.cpu_per_video
        tasks += [Task(seconds + (warm_s if part else 0.0), file) for part in range(parts)]
        if parts > 1:
            joins[file] = Task(length_s * assumed.join_per_video + assumed.task_s, file)
    return tasks, joins


def efficiency(bare_s: float, slots: int, done: Outcome) -> float:
    """Return the bare work as a share of the processor time of all slots until the end."""
    return bare_s / (slots * done.makespan_s)


class _Node:
    """A machine: its speed, its slots, and how often it has failed."""

    def __init__(self, speed: float) -> None:
        self.speed, self.life = speed, 0
        # What runs: the task and its beginning, by the slot's number.
        self.running: dict[int, tuple[Task, float]] = {}


def simulate(
    tasks: Sequence[Task],
    joins: dict[int, Task],
    nodes: int,
    assumed: Assumptions,
    rng: np.random.Generator,
) -> Outcome:
    """Return what happens to tasks on a cluster.

    Parameters
    ----------
    tasks : sequence of Task
        In the order in which they begin.
    joins : dict of int to Task
        What follows when all tasks of a file have ended.
    nodes : int
    assumed : Assumptions
    rng : numpy.random.Generator
    """
    slow = rng.random(nodes) < assumed.slow_share
    machines = [_Node(assumed.slow_speed if is_slow else 1.0) for is_slow in slow]
    waiting = deque(tasks)
    joins = dict(joins)
    left = dict.fromkeys(joins, 0)
    for task in tasks:
        if task.file in left:
            left[task.file] += 1
    unended = len(tasks) + len(joins)
    idle: deque[tuple[int, int, int]] = deque()
    events: list[tuple[float, int, str, int, int, int]] = []
    order = count()

    def push(time_s: float, kind: str, node: int, slot: int = 0) -> None:
        heapq.heappush(events, (time_s, next(order), kind, node, slot, machines[node].life))

    def begin_life(node: int, time_s: float) -> None:
        for slot in range(assumed.slots_per_node):
            push(time_s + assumed.start_s, "free", node, slot)
        if math.isfinite(assumed.mean_life_h):
            push(time_s + rng.exponential(assumed.mean_life_h * 3600), "fail", node)

    for node in range(nodes):
        begin_life(node, 0.0)
    head_free_s, now_s, lost_s, failures = 0.0, 0.0, 0.0, 0
    while unended:
        now_s, _, kind, node, slot, life = heapq.heappop(events)
        machine = machines[node]
        if kind == "back":
            begin_life(node, now_s)
            continue
        if life != machine.life:
            continue
        if kind == "fail":
            failures += 1
            machine.life += 1
            for task, began_s in machine.running.values():
                lost_s += max(0.0, now_s - began_s)
                waiting.appendleft(task)
            machine.running.clear()
            push(now_s + assumed.replace_s, "back", node)
        elif kind == "end":
            task, _ = machine.running.pop(slot)
            unended -= 1
            if task.file in left:
                left[task.file] -= 1
                if left[task.file] == 0 and task.file in joins:
                    waiting.appendleft(joins.pop(task.file))
        if kind != "fail":
            idle.append((node, slot, machine.life))
        while waiting and idle:
            node, slot, life = idle.popleft()
            if machines[node].life != life:
                continue
            head_free_s = max(head_free_s, now_s) + assumed.dispatch_s
            task = waiting.popleft()
            machines[node].running[slot] = task, head_free_s
            push(head_free_s + task.seconds / machines[node].speed, "end", node, slot)
    return Outcome(now_s, lost_s, failures)


if __name__ == "__main__":
    main()
