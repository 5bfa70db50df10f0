"""The order of the steps of a batch, and what follows each step. No I/O, no processes."""

import dataclasses
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from vidsal.batches.plan import Task
from vidsal.batches.receipts import Result
from vidsal.errors import VidsalError, one_line

# A step is given up after this many lost workers, because the source itself may kill workers.
ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a split source.

    Attributes
    ----------
    number, count : int
        Number of the part, from 0, and total number of parts.
    warm_s : float
        Time at which the analysis begins. Frames before `begin_s` are not written.
    begin_s, end_s : float
        Time span of the written frames (`end_s` excluded), in seconds from the first frame of the
        source. The last part ends with the source, at an infinite time.
    pictures : int or None
        Number of pictures that the part must have; ``None`` for the last one.
    """

    number: int
    count: int
    warm_s: float
    begin_s: float
    end_s: float
    pictures: int | None = None

    @property
    def name(self) -> str:
        """A name that is unique among the parts of the source, for all lengths of parts."""
        return f"{self.warm_s:.6f}_{self.begin_s:.6f}_{self.end_s:.6f}"


@dataclass(frozen=True, slots=True)
class PartDone:
    """The result of a part.

    Attributes
    ----------
    frames, pictures : int
        Number of frames that were analysed and written, and number of pictures in its video.
    size : (int, int)
        (height, width) of the pictures.
    video_s, seconds : float
        Duration of its pictures, and duration of the work.
    """

    frames: int
    pictures: int
    size: tuple[int, int]
    video_s: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Step:
    """A unit of work that one worker does at a time.

    Attributes
    ----------
    task : Task
    kind : {"whole", "split", "part", "join"}
        Process a whole source, decide where it is split, process a part, join the parts.
    attempt : int
        From 1.
    part : Part or None
        For the kind "part".
    parts : tuple of (Part, PartDone)
        For the kind "join".
    """

    task: Task
    kind: Literal["whole", "split", "part", "join"] = "whole"
    attempt: int = 1
    part: Part | None = None
    parts: tuple[tuple[Part, PartDone], ...] = ()

    @property
    def label(self) -> str:
        """A short name for dashboards and messages."""
        name = self.task.source.path.name
        if self.part is not None:
            return f"{name}, part {self.part.number + 1} of {self.part.count}"
        return name if self.kind == "whole" else f"{name}, {self.kind}"


@dataclass(frozen=True, slots=True)
class NetworkFault:
    """A network that cannot be opened. This is not the fault of the source.

    Attributes
    ----------
    error : VidsalError
    """

    error: VidsalError


@dataclass(frozen=True, slots=True)
class FolderFault:
    """A receipt that cannot be written. The same would happen to each other source.

    Attributes
    ----------
    error : VidsalError
    """

    error: VidsalError


# The value of a step: the parts of a source (empty if it is processed in one run), the result of a
# part, the result of the source, or the reason why there is no network or no receipt.
Value = tuple[Part, ...] | PartDone | Result | NetworkFault | FolderFault


class Schedule:
    """The steps of a batch.

    Parameters
    ----------
    tasks : iterable of Task
    is_splitting : bool
        Whether long sources are split.
    own_networks : collection of str
        Keys of the tasks that do not use the network of the whole batch.

    Attributes
    ----------
    lost_workers : int
        Number of lost workers so far.
    has_begun : bool
        Whether `take` has returned a step.
    is_draining : bool
        Whether `take` returns no more steps.
    """

    def __init__(
        self,
        tasks: Iterable[Task],
        *,
        is_splitting: bool = False,
        own_networks: Collection[str] = (),
    ) -> None:
        kind: Literal["split", "whole"] = "split" if is_splitting else "whole"
        self._waiting = deque(Step(task, kind) for task in tasks)
        self._parts: dict[str, dict[int, tuple[Part, PartDone]]] = {}
        self._own_networks = own_networks
        self._attempts: dict[str, int] = {}
        self._ended: set[str] = set()
        self.lost_workers = 0
        self.has_begun = self.is_draining = False

    @property
    def waiting(self) -> int:
        """Number of steps that are ready now."""
        return sum(map(self._is_wanted, self._waiting))

    def _is_wanted(self, step: Step) -> bool:
        """Return whether the source of a step still needs the step."""
        is_over = step.task.key in self._ended
        return not is_over and (step.kind != "part" or step.task.key in self._parts)

    def take(self) -> Step | None:
        """Return the next step, or None if no step is ready now or the batch is ending."""
        while self._waiting and not self.is_draining:
            step = self._waiting.popleft()
            if self._is_wanted(step):
                self.has_begun = True
                return step
        return None

    def drain(self) -> None:
        """Return no more steps from `take`. The running steps are the last ones."""
        self.is_draining = True

    def ended(self, step: Step, value: Value) -> Result | None:
        """Record the end of a step; return the result of its source if it is known now.

        Parameters
        ----------
        step : Step
        value : tuple of Part, PartDone, Result, NetworkFault or FolderFault
            Value of the step. A part gives a `Result` only if it fails. A join gives an empty
            tuple if a part is missing.

        Raises
        ------
        VidsalError
            If the network of the whole batch cannot be opened. All other sources would fail, too.
        """
        task = step.task
        if task.key in self._ended:
            return None
        if isinstance(value, FolderFault):
            raise value.error
        if isinstance(value, NetworkFault):
            if task.key not in self._own_networks:
                raise value.error
            value = task.failure(one_line(value.error))
        if isinstance(value, Result):
            self._ended.add(task.key)
            attempts = max(value.attempts, self._attempts.get(task.key, 1))
            return dataclasses.replace(value, attempts=attempts)
        if isinstance(value, PartDone):
            assert step.part is not None
            done = self._parts.get(task.key)
            if done is None:
                return None
            done[step.part.number] = step.part, value
            if len(done) == step.part.count:
                parts = tuple(done[number] for number in sorted(done))
                self._waiting.appendleft(Step(task, "join", parts=parts))
            return None
        if step.kind == "join":
            self._ask_again(step)
            return None
        if not value:
            if step.kind == "split" or self._parts.pop(task.key, None) is not None:
                self._waiting.appendleft(Step(task))
            return None
        self._parts[task.key] = {}
        # A source that was begun is finished before the next one begins.
        self._waiting.extendleft(Step(task, "part", part=part) for part in reversed(value))
        return None

    def _ask_again(self, join: Step) -> None:
        """Repeat the parts of a join that lacked a part; after too many attempts use one run."""
        task = join.task
        attempt = self._attempts[task.key] = self._attempts.get(task.key, 1) + 1
        if attempt > ATTEMPTS:
            self._waiting.appendleft(Step(task))
            return
        self._parts[task.key] = {}
        # Parts that still exist take almost no time.
        self._waiting.extendleft(Step(task, "part", part=part) for part, _ in reversed(join.parts))

    def lost(self, step: Step, why: str) -> Result | None:
        """Record the loss of a worker; return a failure if its step is given up.

        Parameters
        ----------
        step : Step
        why : str
            What happened to the worker, such as "was killed by signal 9".
        """
        self.lost_workers += 1
        task = step.task
        if task.key in self._ended:
            return None
        if step.attempt >= ATTEMPTS:
            self._ended.add(task.key)
            error = f"{task.source.display_name}: {step.attempt} workers were lost at it: {why}"
            return task.failure(error, attempts=step.attempt)
        attempt = step.attempt + 1
        self._attempts[task.key] = max(attempt, self._attempts.get(task.key, 1))
        self._waiting.appendleft(dataclasses.replace(step, attempt=attempt))
        return None
