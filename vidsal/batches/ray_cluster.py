"""The steps of a batch on a Ray cluster: one actor per slot. Ray is imported here, on first use.

The first process plans and assigns steps. An actor keeps its network from one step to the next.
If an actor is lost, another one begins its step again.
"""

import dataclasses
import hashlib
import logging
import math
import os
import socket
import tempfile
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vidsal.batches.addresses import is_address
from vidsal.batches.places import Folder, LocalFolder
from vidsal.batches.plan import Task
from vidsal.batches.ray_connection import RayOptions, connected
from vidsal.batches.receipts import Result, network_files
from vidsal.batches.schedule import PartDone, Schedule, Step, Value
from vidsal.batches.work import Say, Worker
from vidsal.errors import VidsalError, flat, one_line, option
from vidsal.runtime.atomic_write import atomic_write, writing
from vidsal.runtime.workers import prepare_worker, thread_variables

log = logging.getLogger(__name__)

# Seconds between two queries for the list of nodes.
_LOOK_S = 2.0
# Number of actors that may fail to start one after the other. Then the batch gives up, or waits if
# other actors work. A node that dies takes several actors with it.
_FAILED_STARTS = 5
# Length of this wait in seconds.
_REST_S = 60.0
# Seconds without any actor after which the batch reports that it waits.
_PATIENCE_S = 60.0
# Seconds that actors have at the end to remove fetched files.
_GRACE_S = 5.0


@dataclass(frozen=True, slots=True)
class SharedFile:
    """A file of a network in Ray's object store.

    Attributes
    ----------
    name, sha256 : str
    content : ObjectRef of (n,) uint8 array
    """

    name: str
    sha256: str
    content: Any


def shared_files(ray: Any, tasks: Iterable[Task]) -> dict[str, SharedFile]:
    """Put the files of the tasks' networks into the object store. Each is sent to a node once.

    Parameters
    ----------
    ray : module
    tasks : iterable of Task

    Returns
    -------
    dict of str to SharedFile
        Keys are the paths on this machine.
    """
    paths: dict[Path, None] = {}
    for task in tasks:
        paths |= dict.fromkeys(network_files(task.choice, task.settings).values())
    shared = {}
    for path in paths:
        content = path.read_bytes()
        reference = ray.put(np.frombuffer(content, np.uint8))
        shared[str(path)] = SharedFile(path.name, _sha256(content), reference)
    return shared


class Slot:
    """The actor: does one step at a time, on the machine where it runs.

    Parameters
    ----------
    out : Folder
    is_overwriting : bool
    split_s : float or None
        Length of parts.
    files : mapping of str to SharedFile
        See `shared_files`.
    threads : int
    level : int
        Lowest level of the messages that are sent to the first process.
    """

    def __init__(
        self,
        out: Folder,
        is_overwriting: bool,
        split_s: float | None,
        files: Mapping[str, SharedFile],
        threads: int,
        level: int,
    ) -> None:
        import ray

        prepare_worker(threads)
        self._files = files
        node = f"{socket.gethostname()}/{ray.get_runtime_context().get_node_id()[:8]}"
        self._worker = Worker(
            out, is_overwriting=is_overwriting, split_s=split_s, localised=self._localised,
            node=node,
        )  # fmt: skip
        self._messages: list[tuple[int, str]] = []
        logger = logging.getLogger("vidsal")
        logger.handlers = [_Collecting(self._messages)]
        logger.setLevel(level)

    def ready(self) -> bool:
        """Return as soon as the actor can work."""
        return True

    def do(self, step: Step) -> tuple[Value, list[tuple[int, str]]]:
        """Do a step; return its value and the messages that it logged.

        Parameters
        ----------
        step : Step
        """
        self._messages.clear()
        return self._worker.do(step, lambda _: None), list(self._messages)

    def close(self) -> None:
        """Remove fetched files."""
        self._worker.close()

    def _localised(self, path: Path) -> Path:
        """Return the path of a network's file on this machine."""
        import ray

        return local_copy(path, self._files[str(path)], ray.get)


def local_copy(path: Path, shared: SharedFile, get: Callable[[Any], Any]) -> Path:
    """Return the path of a file on this machine: a file of the same name and content, or a copy.

    The copy stays in the folder for temporary files, so that other workers of the machine find it.

    Parameters
    ----------
    path : Path
        Path of the file on the first machine.
    shared : SharedFile
    get : callable
        Returns the (n,) uint8 array of ``shared.content``.

    Raises
    ------
    VidsalError
        If the copy cannot be written.
    """
    folder = Path(tempfile.gettempdir()) / f"vidsal-models-{_user()}" / shared.sha256
    copy = folder / shared.name
    # Other users may write to the folder for temporary files, so a file there is checked, too.
    for there in (path, copy):
        with suppress(OSError):
            if _sha256(there.read_bytes()) == shared.sha256:
                return there
    with atomic_write(copy) as part, writing(copy):
        part.write_bytes(get(shared.content).tobytes())
    return copy


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _user() -> str:
    """Return a name that separates the files of different users of a machine."""
    return str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")


class _Collecting(logging.Handler):
    """Collects messages for the first process."""

    def __init__(self, messages: list[tuple[int, str]]) -> None:
        super().__init__()
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        self._messages.append((record.levelno, record.getMessage()))


@dataclass(slots=True, eq=False)
class _Actor:
    """An actor, and the step that it does."""

    handle: Any
    step: Step | None = None
    is_ready: bool = False


def on_ray(
    schedule: Schedule,
    tasks: Iterable[Task],
    out: Folder,
    say: Say,
    options: RayOptions,
    *,
    is_overwriting: bool,
    split_s: float | None,
) -> Generator[Result, None, None]:
    """Process the sources on a cluster, and yield their results as they arrive.

    Parameters
    ----------
    schedule : Schedule
    tasks : iterable of Task
        All tasks of the schedule.
    out : Folder
        Each node must be able to reach it.
    say : callable
        Is called with the seconds of video of each step that has ended.
    options : RayOptions
    is_overwriting : bool
        Whether outputs of other runs may be replaced.
    split_s : float or None
        Length of parts, if long sources are split.

    Raises
    ------
    VidsalError
        If Ray is missing, there is no cluster, or actors cannot start.
    """
    names = {task.key: out.address(task.output) for task in tasks}
    if isinstance(out, LocalFolder):
        out = LocalFolder(out.path.absolute())
    with connected(options.address) as ray:
        arguments = (
            out, is_overwriting, split_s, shared_files(ray, tasks), options.threads,
            logging.getLogger("vidsal").getEffectiveLevel(),
        )  # fmt: skip
        cluster = _Cluster(ray, schedule, options, arguments)
        with closing(cluster):
            while True:
                cluster.fill()
                if not cluster.is_working:
                    break
                for value in cluster.wait():
                    if isinstance(value, Result):
                        # Nodes work with absolute paths; the user knows the paths as given.
                        output = names[value.key] if value.output is not None else None
                        yield dataclasses.replace(value, output=output)
                    if isinstance(value, PartDone) or value.parts == 1:
                        # The seconds of a split source were already counted for each part.
                        say(value.video_s)


class _Cluster:
    """The actors of a batch."""

    def __init__(
        self, ray: Any, schedule: Schedule, options: RayOptions, arguments: tuple[Any, ...]
    ) -> None:
        self._ray, self._schedule, self._options = ray, schedule, options
        self._arguments = [ray.put(one) for one in arguments]
        self._run, self._made = uuid.uuid4().hex[:6], 0
        self._actors: list[_Actor] = []
        # The actors that work, by the references of their pending answers.
        self._pending: dict[Any, _Actor] = {}
        self._failed_starts, self._rest_until_s = 0, -math.inf
        self._has_started, self._began_s = False, time.monotonic()
        self._looked_s, self._room = -_LOOK_S, 0

    @property
    def is_working(self) -> bool:
        """Whether to wait for an actor that has a step, or that starts and will get one."""
        if any(one.step is not None for one in self._actors):
            return True
        schedule = self._schedule
        return bool(self._pending) and schedule.waiting > 0 and not schedule.is_draining

    def fill(self) -> None:
        """Give steps to idle actors, and start actors where there is room for more."""
        if self._schedule.is_draining:
            return
        for actor in self._actors:
            if actor.is_ready and actor.step is None:
                step = self._schedule.take()
                if step is None:
                    return
                self._begin(actor, step)
        wanted = self._wanted() - len(self._actors)
        if wanted > 0 and time.monotonic() >= self._rest_until_s:
            # Counting the steps takes time, and usually there is no room for more actors.
            starting = sum(not one.is_ready for one in self._actors)
            for _ in range(min(wanted, self._schedule.waiting - starting)):
                self._start()

    def wait(self) -> Iterator[Result | PartDone]:
        """Wait for a moment; yield the results of parts and sources that arrived."""
        ready, others = self._ray.wait(list(self._pending), num_returns=1, timeout=_LOOK_S / 2)
        if ready and others:
            ready += self._ray.wait(others, num_returns=len(others), timeout=0)[0]
        self._warn_of_waiting()
        for reference in ready:
            actor = self._pending.pop(reference)
            step, actor.step = actor.step, None
            try:
                answer = self._ray.get(reference)
            except self._ray.exceptions.RayTaskError as error:
                # A step returns a result even if it fails, so this is an error in vidsal.
                assert step is not None
                answer = step.task.failure(one_line(error.cause or error), node="?"), []
            except self._ray.exceptions.RayError as error:
                self._actors.remove(actor)
                if result := self._lost(actor, step, error):
                    yield result
                continue
            if step is None:
                actor.is_ready = self._has_started = True
                self._failed_starts = 0
                continue
            value, messages = answer
            for level, text in messages:
                log.log(level, "%s", text)
            result = self._schedule.ended(step, value)
            if result:
                yield result
            elif isinstance(value, PartDone):
                yield value

    def _warn_of_waiting(self) -> None:
        """Warn once if no actor starts: the cluster may have no room for one."""
        if not self._has_started and time.monotonic() - self._began_s > _PATIENCE_S:
            self._began_s = math.inf
            log.warning(
                "no worker has started for a minute: has a node %g free CPUs and %g free GPUs?",
                self._options.cpus, self._options.gpus,
            )  # fmt: skip

    def close(self) -> None:
        """End all actors."""
        idle = [one for one in self._actors if one.is_ready and one.step is None]
        with suppress(Exception):
            closing = [one.handle.close.remote() for one in idle]
            if closing:
                self._ray.wait(closing, num_returns=len(closing), timeout=_GRACE_S)
        for actor in self._actors:
            with suppress(Exception):
                self._ray.kill(actor.handle)
        self._actors.clear()
        self._pending.clear()

    def _wanted(self) -> int:
        """Return the number of actors that the cluster has room for, at least 1."""
        if self._options.slots is not None:
            return self._options.slots
        if time.monotonic() - self._looked_s >= _LOOK_S:
            self._looked_s = time.monotonic()
            cpus, gpus = self._options.cpus, self._options.gpus
            self._room = 0
            for node in self._ray.nodes():
                if node["Alive"]:
                    has = node["Resources"]
                    room = int(has.get("CPU", 0) / cpus)
                    self._room += min(room, int(has.get("GPU", 0) / gpus)) if gpus else room
        return max(1, self._room)

    def _start(self) -> None:
        options = self._options
        self._made += 1
        handle = (
            self._ray.remote(Slot)
            .options(
                name=f"vidsal {self._run} slot {self._made}", num_cpus=options.cpus,
                num_gpus=options.gpus, max_restarts=0, max_task_retries=0,
                scheduling_strategy="SPREAD",
                runtime_env={"env_vars": thread_variables(options.threads)},
            )
            .remote(*self._arguments)
        )  # fmt: skip
        actor = _Actor(handle)
        self._actors.append(actor)
        self._pending[handle.ready.remote()] = actor

    def _begin(self, actor: _Actor, step: Step) -> None:
        actor.step = dataclasses.replace(step, task=_absolute(step.task))
        reference = actor.handle.do.options(name=f"vidsal: {step.label}").remote(actor.step)
        self._pending[reference] = actor

    def _lost(self, actor: _Actor, step: Step | None, error: Exception) -> Result | None:
        """Handle the loss of an actor; return a failure if its step is given up."""
        # The first sentence of the error. The rest contains IDs of actors and processes.
        reason = flat(error).partition(" class_name:")[0].partition(". ")[0][:200].rstrip(".")
        if step is not None:
            log.warning("a worker was lost at %s: %s", step.label, reason)
            return self._schedule.lost(step, reason)
        self._failed_starts += 1
        if self._failed_starts < _FAILED_STARTS:
            return None
        if not any(one.is_ready for one in self._actors):
            raise VidsalError(
                f"workers cannot start on the cluster: is vidsal {option('ray')} installed on its "
                f"nodes? {reason}"
            )
        log.warning(
            "%d workers in turn could not start; the next try is in %.0f s: %s",
            self._failed_starts, _REST_S, reason,
        )  # fmt: skip
        self._failed_starts, self._rest_until_s = 0, time.monotonic() + _REST_S
        return None


def _absolute(task: Task) -> Task:
    """Return the task with a source path that is valid in any working directory."""
    source = task.source
    if source.kind != "file" or is_address(source.address):
        return task
    path = source.path.absolute()
    return dataclasses.replace(
        task, source=dataclasses.replace(source, address=str(path), path=path)
    )
