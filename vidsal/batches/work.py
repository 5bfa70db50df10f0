"""Processing of one source of a batch, in any process and on any machine."""

import dataclasses
import errno
import json
import logging
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from vidsal.batches.addresses import fetch, is_address
from vidsal.batches.places import Folder
from vidsal.batches.plan import Task
from vidsal.batches.receipts import (
    BEGUN,
    PARTS,
    STAGING,
    Result,
    is_whole,
    read_receipt,
    write_receipt,
)
from vidsal.batches.schedule import FolderFault, NetworkFault, Part, PartDone, Step, Value
from vidsal.batches.splitting import (
    UnevenPartError,
    join_parts,
    parts_of,
    require_splittable,
    write_part,
)
from vidsal.errors import UsageError, VidsalError, one_line, option
from vidsal.pipeline import Outcome, process
from vidsal.settings import Settings
from vidsal.sources.resolve import SourceLike
from vidsal.static.models import ModelChoice, Network

log = logging.getLogger(__name__)

# A file of a finished part that has the values of `PartDone`.
_RECORD = "part.json"
# Seconds between two reports of a worker's progress.
_TELL_S = 0.5
# Is called with the seconds of video that were analysed since the last call.
Say = Callable[[float], None]
# Returns the local copy of a file on the first machine; see `Worker`.
Localised = Callable[[Path], Path]


class Worker:
    """Processes one source after the other; keeps its network and the last fetched file.

    Parameters
    ----------
    out : Folder
        The folder of the results.
    is_overwriting : bool
        Whether outputs of other runs may be replaced.
    split_s : float, optional
        Length of parts, if long sources are split.
    localised : callable, optional
        Returns the local copy of a network's file. Needed if workers do not share a disk.
    node : str, optional
        Name of the machine.
    """

    def __init__(
        self,
        out: Folder,
        *,
        is_overwriting: bool,
        split_s: float | None = None,
        localised: Localised = lambda path: path,
        node: str = "",
    ) -> None:
        self._node, self._split_s = node or socket.gethostname(), split_s
        self._out, self._is_overwriting, self._localised = out, is_overwriting, localised
        self._network: tuple[object, Network] | None = None
        self._fetched: tuple[str, Path] | None = None

    def close(self) -> None:
        """Remove the last fetched file."""
        if self._fetched is not None:
            shutil.rmtree(self._fetched[1].parent, ignore_errors=True)
            self._fetched = None

    def do(self, step: Step, say: Say) -> Value:
        """Do a step of a batch.

        Parameters
        ----------
        step : Step
        say : callable
            Is called with the seconds of video that were analysed.

        Returns
        -------
        tuple of Part, PartDone, Result, NetworkFault or FolderFault
            A failure of the source is also returned as a `Result`.
        """
        about: dict[str, Any] = {"node": self._node, "attempts": step.attempt}
        began_s = time.perf_counter()
        try:
            if step.attempt > 1 and (earlier := self._earlier(step.task)):
                # The lost worker had already finished the source.
                return dataclasses.replace(earlier, attempts=step.attempt)
            if step.kind == "split":
                return self.split(step.task)
            if step.kind == "part":
                assert step.part is not None
                return self.part(step.task, step.part, say)
            result = self.join(step) if step.kind == "join" else self.whole(step.task, say)
            if not result:
                return ()
        except NetworkError as error:
            assert isinstance(error.__cause__, VidsalError)
            return NetworkFault(error.__cause__)
        except Exception as error:
            seconds = time.perf_counter() - began_s
            failure = step.task.failure(one_line(error), seconds=seconds, **about)
            if isinstance(error, Refused) or _is_disk_full(error):
                # Without a receipt the next run tries again, because the source may be valid.
                return failure
            return self._finished(step.task, failure)
        seconds = time.perf_counter() - began_s + sum(done.seconds for _, done in step.parts)
        return self._finished(step.task, dataclasses.replace(result, seconds=seconds, **about))

    def whole(self, task: Task, say: Say) -> Result:
        """Process a source in one run.

        Parameters
        ----------
        task : Task
        say : callable
            Is called with the seconds of video that were analysed.
        """
        network = self.opened_network(task)
        self.claim(task)
        with self.local_source(task) as source, self.staging() as folder:
            settings = self.own_settings(task, folder)
            with _real_names(task, source, folder, self._out):
                outcome = process(
                    source, settings, network=network,
                    progress=partial(counted, say=say),
                )  # fmt: skip
            self.deliver(task, folder)
        return Result(
            task.source.display_name, "done", self._out.address(task.output),
            frames=outcome.frames, video_s=_video_s(outcome), key=task.key,
        )  # fmt: skip

    def split(self, task: Task) -> tuple[Part, ...]:
        """Return the parts of a source; none if it must be processed in one run.

        Parameters
        ----------
        task : Task
        """
        self.opened_network(task)
        self.claim(task)
        assert self._split_s is not None
        with self.local_source(task) as source:
            path = source if isinstance(source, Path) else task.source.path
            try:
                if not path.is_file():
                    raise VidsalError("it is not a file on this machine")
                # The options of a manifest's row are first checked here.
                require_splittable(task.settings, self._split_s, has_stores=False)
                return parts_of(path, task.settings, self._split_s)
            except VidsalError as error:
                # One run can process the source, or reports what is wrong with it.
                name = task.source.display_name
                log.info("%s is processed in one run: %s", name, one_line(error))
                return ()

    def part(self, task: Task, part: Part, say: Say) -> PartDone | tuple[()]:
        """Process a part of a source, unless an earlier run has finished it.

        Parameters
        ----------
        task : Task
        part : Part
        say : callable
            Is called with the seconds of video that were analysed.

        Returns
        -------
        PartDone or tuple
            An empty tuple if the source cannot be joined from parts.
        """
        place = f"{PARTS}/{task.key}/{part.name}"
        record = f"{place}/{_RECORD}"
        if self._out.exists(record):
            values = json.loads(self._out.read(record))
            return PartDone(**values | {"size": tuple(values["size"])})
        network = self.opened_network(task)
        with self.local_source(task) as source, self.staging() as folder:
            settings = self.own_settings(task, folder)
            try:
                with _real_names(task, source, folder, self._out):
                    done = write_part(
                        source, settings, part, network, folder,
                        lambda results: counted(results, None, say=say),
                    )  # fmt: skip
            except UnevenPartError as error:
                log.info("%s is processed in one run: %s", task.source.display_name, error)
                return ()
            with _refused():
                for file in folder.iterdir():
                    self._out.deliver(file, f"{place}/{file.name}")
                self._out.write(record, json.dumps(dataclasses.asdict(done)).encode())
        return done

    def join(self, step: Step) -> Result | tuple[()]:
        """Write the results of a source from the results of its parts.

        Parameters
        ----------
        step : Step

        Returns
        -------
        Result or tuple
            An empty tuple if a part is missing.
        """
        task = step.task
        for part, _ in step.parts:
            if not self._out.exists(f"{PARTS}/{task.key}/{part.name}/{_RECORD}"):
                return ()
        with self.local_source(task) as source, self.staging() as folder:
            settings = self.own_settings(task, folder)
            found = []
            for number, (part, done) in enumerate(step.parts):
                place = f"{PARTS}/{task.key}/{part.name}"
                copies = folder / f"{number}"
                copies.mkdir()
                names = [name for name in self._out.names(place) if name != _RECORD]
                local = [self._out.local(f"{place}/{name}", copies) for name in names]
                found.append((local[0].parent, done))
            with _real_names(task, source, folder, self._out):
                join_parts(source, settings, found, folder)
            self.deliver(task, folder)
        return Result(
            task.source.display_name, "done", self._out.address(task.output),
            frames=sum(done.frames for _, done in step.parts),
            video_s=sum(done.video_s for _, done in step.parts),
            parts=len(step.parts), key=task.key,
        )  # fmt: skip

    def claim(self, task: Task) -> None:
        """Check that the outputs may be written, and mark them as outputs of this task.

        Parameters
        ----------
        task : Task

        Raises
        ------
        Refused
            If an output exists that another run has written.
        """
        mark = f"{BEGUN}/{task.key}"
        # If the mark exists, the outputs are of an attempt that ended before it wrote its receipt.
        if not self._out.exists(mark):
            for name in task.names.values():
                if not self._may_replace(task, name):
                    why = "exists and is not of this batch"
                    if task.replaced:
                        why = "is the result of other options, or of another source"
                    raise Refused(
                        f"{self._out.address(name)} {why}: give another folder, or "
                        f"{option('overwrite', True)} to replace it"
                    )
            with _refused():
                self._out.write(mark, b"")

    def _may_replace(self, task: Task, name: str) -> bool:
        """Return whether an output may be written, although a file may have its name."""
        if self._is_overwriting or name in task.own_files:
            return True
        state = self._out.state(name)
        if state is None:
            return not self._out.exists(name)
        earlier = task.earlier_files.get(name)
        return earlier is not None and state.is_same(earlier)

    def _finished(self, task: Task, result: Result) -> Result | FolderFault:
        """Write the receipt of a result, and return the result."""
        files = task.names.values() if result.status == "done" else task.own_files
        try:
            write_receipt(
                self._out, result, task.identity, place_key=task.place_key, files=files,
                replaced=task.replaced,
            )  # fmt: skip
        except (VidsalError, OSError) as error:
            return FolderFault(VidsalError(one_line(error)))
        self._out.remove(f"{BEGUN}/{task.key}")
        if self._split_s is not None:
            # Remove the parts after the receipt is written. If this worker is lost before, another
            # worker still finds them.
            self._out.remove(f"{PARTS}/{task.key}")
        return result

    def _earlier(self, task: Task) -> Result | None:
        """Return the result of a task if its receipt says that it is done."""
        receipt = read_receipt(self._out, task.key) or {}
        if receipt.get("status") != "done":
            return None
        if not is_whole(self._out, receipt, task.names.values()):
            return None
        names = {one.name for one in dataclasses.fields(Result)} & receipt.keys()
        return Result(**{name: receipt[name] for name in names})

    @contextmanager
    def local_source(self, task: Task) -> Iterator[SourceLike]:
        """Lend a source that can be opened on this machine.

        A fetched file stays until the next one is fetched, because the parts of a split source
        need it one after the other. So a worker keeps at most one file.

        Parameters
        ----------
        task : Task

        Yields
        ------
        SourceName or Path
        """
        address = task.source.address
        if not is_address(address):
            yield task.source
            return
        if self._fetched is None or self._fetched[0] != address:
            self.close()
            folder = Path(tempfile.mkdtemp(prefix="vidsal-"))
            try:
                self._fetched = address, fetch(address, folder)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
        yield self._fetched[1]

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """Lend a folder for unfinished results, and remove it at the end."""
        with _refused():
            folder = self._out.staging(STAGING)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def own_settings(self, task: Task, folder: Path) -> Settings:
        """Return the settings of a task, changed to write its results into a folder.

        Parameters
        ----------
        task : Task
        folder : Path
        """
        written: dict[str, Any] = {
            name: folder / Path(path).name for name, path in task.names.items()
        }
        return dataclasses.replace(self._with_labels(task.settings), overwrite=True, **written)

    def deliver(self, task: Task, folder: Path) -> None:
        """Move the results of a task to their final names; the output comes last.

        Parameters
        ----------
        task : Task
        folder : Path
            Folder from `staging`.
        """
        with _refused():
            for name in reversed(task.names.values()):
                self._out.deliver(folder / Path(name).name, name)

    def network(self, task: Task) -> Network:
        """Return the network of a task; the last network is kept.

        Parameters
        ----------
        task : Task
        """
        settings = task.settings
        wanted = task.choice, network_options(settings)
        if self._network is None or self._network[0] != wanted:
            # Two networks at the same time may not fit into memory.
            self._network = None
            own = self._with_labels(settings)
            self._network = wanted, Network(own, choice=self._choice(task.choice))
        return self._network[1]

    def opened_network(self, task: Task) -> Network:
        """Open the network of a task and return it.

        Parameters
        ----------
        task : Task

        Raises
        ------
        NetworkError
            If it cannot be opened.
        """
        try:
            network = self.network(task)
            _require_layers(network.stage, task.settings)
        except VidsalError as error:
            raise NetworkError from error
        return network

    def _with_labels(self, settings: Settings) -> Settings:
        """Return the settings with a file of class names that is on this machine."""
        if settings.labels is None:
            return settings
        return dataclasses.replace(settings, labels=self._localised(settings.labels))

    def _choice(self, choice: ModelChoice) -> ModelChoice:
        """Return a network choice with files that are on this machine."""
        if choice.is_own:
            return ModelChoice(str(self._localised(Path(choice.key))))
        weights = choice.weights
        return dataclasses.replace(
            choice, weights=None if weights is None else self._localised(weights)
        )


class NetworkError(Exception):
    """A network cannot be opened; ``__cause__`` has the reason."""


class Refused(VidsalError):
    """The results of a source cannot be written. This is not the fault of the source."""


@contextmanager
def _refused() -> Iterator[None]:
    """Turn errors of the folder of the results into `Refused`."""
    try:
        yield
    except (VidsalError, OSError) as error:
        raise Refused(one_line(error)) from error


def _is_disk_full(error: BaseException | None) -> bool:
    """Return whether a full disk is the reason of an error."""
    while error is not None:
        number = getattr(error, "errno", None)
        # ffmpeg reports it as a text.
        if number in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _require_layers(stage: Any, settings: Settings) -> None:
    """Raise `UsageError` if a network lacks the layers that settings name."""
    if stage is None or settings.layer == "auto":
        return
    # The layers do not depend on the input size, but the network may reject a size.
    size = stage.input_size or (settings.short_side, settings.short_side)
    try:
        stage.chosen_layers(*size)
    except UsageError:
        raise
    except VidsalError:
        log.debug("the layers are not known before the first picture")


def network_options(settings: Settings) -> tuple[tuple[str, object], ...]:
    """Return the options in which networks differ.

    Parameters
    ----------
    settings : Settings
    """
    changed = settings.changed(("Network", "Static map"))
    return tuple(sorted(changed.items(), key=lambda item: item[0]))


@contextmanager
def _real_names(task: Task, source: SourceLike, folder: Path, out: Folder) -> Iterator[None]:
    """Replace paths in errors with the names of source and output that the user knows."""
    try:
        yield
    except VidsalError as error:
        text = str(error).replace(str(folder / Path(task.output).name), out.address(task.output))
        # Only a fetched copy has another name than its source.
        if isinstance(source, Path):
            text = text.replace(str(source), task.source.display_name)
        raise VidsalError(text) from error


def _video_s(outcome: Outcome) -> float:
    """Return the duration of an outcome in seconds of video; 0 for a photo."""
    return float(outcome.frames / outcome.fps) if outcome.fps else 0.0


def counted(results: Iterable[Any], _: int | None, *, say: Say) -> Iterator[Any]:
    """Yield results, and report their seconds of video from time to time.

    Parameters
    ----------
    results : iterable of Saliency or (Saliency, bytes)
    say : callable
    """
    told_at, told_s, now_s = time.monotonic(), None, 0.0
    for result in results:
        frame = getattr(result, "frame", None)
        if frame is not None:
            now_s = frame.time_s
            told_s = now_s if told_s is None else told_s
        yield result
        if told_s is not None and time.monotonic() - told_at > _TELL_S:
            say(now_s - told_s)
            told_at, told_s = time.monotonic(), now_s
    if told_s is not None:
        say(now_s - told_s)
