"""The steps of a batch on a Ray cluster: one actor per slot. Ray is imported here, on first use.

The first process plans and assigns steps. An actor keeps its network from one step to the next.
If an actor is lost, another one begins its step again.
"""

import dataclasses
import hashlib
import logging
import math
import os
import signal
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from vidsal.batches.places import Folder, LocalFolder, is_address
from vidsal.batches.plan import Task
from vidsal.batches.receipts import Result, network_files
from vidsal.batches.schedule import PartDone, Schedule, Step, Value
from vidsal.batches.work import Say, Worker
from vidsal.errors import UsageError, VidsalError, flat, one_line, option
from vidsal.runtime.atomic_write import atomic_write, writing
from vidsal.runtime.native_logs import native_stderr_logged
from vidsal.runtime.workers import prepare_worker, thread_variables, usable_cores

log = logging.getLogger(__name__)

# Seconds between two queries for the list of nodes.
_LOOK_S = 2.0
# Seconds within which the head node must accept a connection.
_CONNECT_S = 5.0
# Number of actors that may fail to start one after the other. Then the batch gives up, or waits if
# other actors work. A node that dies takes several actors with it.
_FAILED_STARTS = 5
# Length of this wait in seconds.
_REST_S = 60.0
# Seconds without any actor after which the batch reports that it waits.
_PATIENCE_S = 60.0
# Environment variable that says whether Ray sends and requires a token.
_AUTH_MODE = "RAY_AUTH_MODE"
# Seconds that actors have at the end to remove fetched files.
_GRACE_S = 5.0


@dataclass(frozen=True, slots=True)
class RayOptions:
    """Options of a batch on a cluster.

    Attributes
    ----------
    address : str
        ``local`` starts a cluster of this machine, ``auto`` joins the cluster that runs here, any
        other value is the address of a head node.
    cpus, gpus : float
        Resources that an actor reserves. Its libraries use as many threads as it has CPUs.
    slots : int or None
        Number of actors. By default as many as the nodes have room for; it changes when nodes
        join or leave.
    """

    address: str
    cpus: float = 1
    gpus: float = 0
    slots: int | None = None

    def __post_init__(self) -> None:
        if not self.cpus > 0:
            raise UsageError(f"{option('cpus_per_actor')} must be above 0, got {self.cpus:g}")
        if self.gpus < 0:
            raise UsageError(f"{option('gpus_per_actor')} must be 0 or more, got {self.gpus:g}")
        if self.slots is not None and self.slots < 1:
            raise UsageError(f"{option('slots')} must be 1 or more, got {self.slots}")

    @property
    def threads(self) -> int:
        """Number of threads of an actor."""
        return max(1, int(self.cpus))


def imported_ray(address: str) -> Any:
    """Import Ray, set its environment variables for an address, and return it.

    Parameters
    ----------
    address : str
        See `RayOptions`.

    Raises
    ------
    VidsalError
        If it is missing.
    """
    # vidsal sends no usage statistics. A value that the user has set stays.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address == "local":
        # With this value Ray binds only to the loopback address, on every system, and not only on
        # those that the variable names.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    try:
        import ray
    except ImportError as error:
        raise VidsalError(
            f'{option("ray", address)} needs Ray: pip install "vidsal[ray]"'
        ) from error
    return ray


def require_usable(ray: Any, options: RayOptions) -> None:
    """Check quickly, before anything is created, that a cluster can be used.

    Ray itself waits for a node that does not answer, and for CPUs that never become available.

    Parameters
    ----------
    ray : module
    options : RayOptions

    Raises
    ------
    UsageError
        If an actor needs more CPUs or GPUs than a cluster of this machine has.
    VidsalError
        If there is no cluster, its head node does not answer, or it rejects this machine's token.
    """
    if ray.is_initialized():
        return
    if options.address == "local":
        for name, wanted, count, unit in (
            ("cpus_per_actor", options.cpus, usable_cores(), "CPUs"),
            ("gpus_per_actor", options.gpus, _local_gpus() if options.gpus else 0, "GPUs"),
        ):
            if wanted > count:
                raise UsageError(
                    f"{option(name, wanted)} is more than the {count} {unit} that "
                    f"{option('ray', 'local')} has here"
                )
        return
    try:
        named = urlsplit(f"//{options.address.rpartition('//')[2]}")
        host, port = named.hostname, named.port
    except ValueError as error:
        raise UsageError(f"{option('ray', options.address)}: {error}") from error
    if host and port:
        try:
            socket.create_connection((host, port), _CONNECT_S).close()
        except OSError as error:
            raise VidsalError(
                f"{option('ray', options.address)}: nothing answers there; `ray start --head` "
                f"starts a cluster and says its address: {one_line(error)}"
            ) from error
    _auth_mode(ray, options.address)


def _local_gpus() -> int:
    """Return the number of GPUs that Ray finds on this machine."""
    from ray._private.accelerators import get_accelerator_manager_for_resource

    gpus = get_accelerator_manager_for_resource("GPU")
    if gpus is None:
        return 0
    count: int = gpus.get_current_node_num_accelerators()
    # None if the environment, such as CUDA_VISIBLE_DEVICES, hides no GPU.
    visible = gpus.get_current_process_visible_accelerator_ids()
    return count if visible is None else min(count, len(visible))


def _auth_mode(ray: Any, address: str) -> str | None:
    """Return the value of RAY_AUTH_MODE that a cluster needs; None leaves the choice to Ray.

    Ray sends this machine's token only to a cluster that it found itself, even if that one uses
    no tokens. Then the actors cannot answer. Here the cluster is asked first without the token.

    Raises
    ------
    VidsalError
        If there is no cluster, or it rejects the token.
    """
    if address == "local" or "://" in address:
        return None
    try:
        from ray._private.services import canonicalize_bootstrap_address

        tokens = ray._raylet.AuthenticationTokenLoader.instance()
        has_token = tokens.has_token(ignore_auth_mode=True)
        refused = ray.exceptions.AuthenticationError
    except (ImportError, AttributeError, TypeError):
        return None  # Older versions have no tokens.
    logging.getLogger("ray").setLevel(logging.ERROR)
    given = os.environ.get(_AUTH_MODE)
    try:
        head = canonicalize_bootstrap_address(address)
        if head is None or "://" in head:
            return None
        for mode in ("disabled", "token") if given is None else (given,):
            if mode.lower() == "token" and not has_token:
                break  # Ray would abort the process.
            # Ray logs each rejected request on stderr.
            with _auth_mode_set(ray, mode), native_stderr_logged(), suppress(refused):
                ray._raylet.GcsClient(address=head)
                return mode
    except Exception as error:
        raise _unusable(address, error) from error
    if given is not None and given.lower() != "token":
        raise VidsalError(
            f"{option('ray', address)}: this cluster needs a token, but {_AUTH_MODE} is {given!r}: "
            "unset it"
        )
    why = "rejects the token of this machine" if has_token else "needs a token, and none is here"
    raise VidsalError(
        f"{option('ray', address)}: this cluster {why}: copy ~/.ray/auth_token from its head node, "
        "or set RAY_AUTH_TOKEN_PATH to such a file"
    )


@contextmanager
def _auth_mode_set(ray: Any, mode: str | None) -> Iterator[None]:
    """Set RAY_AUTH_MODE, where a mode is given, and restore it afterwards."""
    if mode is None:
        yield
        return
    before = os.environ.get(_AUTH_MODE)
    os.environ[_AUTH_MODE] = mode
    _read_again(ray)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_AUTH_MODE, None)
        else:
            os.environ[_AUTH_MODE] = before
        _read_again(ray)


def _read_again(ray: Any) -> None:
    """Let Ray read RAY_AUTH_MODE and the token again.

    While Ray knows a token, this process rejects a cluster without one, whatever the mode.
    """
    ray._raylet.Config.initialize("")
    ray._raylet.AuthenticationTokenLoader.instance().reset_cache()


def _unusable(address: str, error: Exception) -> VidsalError:
    return VidsalError(
        f"{option('ray', address)}: there is no Ray cluster that can be used; `ray start --head` "
        f"starts one, and {option('ray', 'local')} needs none: {one_line(error)}"
    )


@contextmanager
def _own_handlers(ray: Any) -> Iterator[None]:
    """Keep the program's handlers of signals while Ray connects.

    Ray replaces the handler of SIGTERM. Its handlers end the process with exit code 1 and a stack
    trace. Without a handler of the program they stay, because they end a local cluster.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    inner = ray._private
    before: dict[int, Any] = {}
    delayed: list[int] = []

    def handle(number: int, frame: Any) -> None:
        if inner.worker._global_node is None:
            before[number](number, frame)
        else:
            # An exception within Ray's native code makes the process crash at its end.
            delayed.append(number)

    is_own = signal.getsignal(signal.SIGTERM) not in (signal.SIG_DFL, None)
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP.
        if number is not None and callable(signal.getsignal(number)):
            before[number] = signal.signal(number, handle)
    try:
        with (
            _replaced(inner.utils, "set_sigterm_handler", lambda _: None, when=is_own),
            _replaced(inner.ray_constants, "RAY_DISABLE_FAILURE_SIGNAL_HANDLER", True, when=is_own),
        ):
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for number in delayed[:1]:
        signal.raise_signal(number)


@contextmanager
def _replaced(owner: Any, name: str, value: object, *, when: bool) -> Iterator[None]:
    """Replace an attribute in a block, if it exists."""
    if not when or not hasattr(owner, name):
        yield
        return
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Lend Ray, connected to a cluster. An existing connection is used and stays open.

    Parameters
    ----------
    address : str
        See `RayOptions`.

    Yields
    ------
    module

    Raises
    ------
    VidsalError
        If Ray is missing, or there is no cluster.
    """
    ray = imported_ray(address)
    if ray.is_initialized():
        yield ray
        return
    given: dict[str, Any] = {
        "address": address, "namespace": "vidsal", "log_to_driver": False,
        "logging_level": logging.ERROR,
    }  # fmt: skip
    if address == "local":
        given |= {"num_cpus": usable_cores(), "include_dashboard": False}
    with _auth_mode_set(ray, _auth_mode(ray, address)):
        try:
            try:
                with _own_handlers(ray):
                    ray.init(**given)
            except Exception as error:
                raise _unusable(address, error) from error
            yield ray
        finally:
            # An interrupt while Ray connects leaves processes, too.
            ray.shutdown()


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
