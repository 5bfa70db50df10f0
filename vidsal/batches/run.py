"""Run many sources as one batch, from their names to the summary."""

import logging
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vidsal.batches.local import in_processes, in_turn, make_local_worker
from vidsal.batches.places import Folder, LocalFolder, RemoteFolder, folder_at
from vidsal.batches.plan import Planner, Task, asked_rows
from vidsal.batches.progress import BatchProgress
from vidsal.batches.receipts import PARTS, PRIVATE, STAGING, Result, write_receipt
from vidsal.batches.schedule import Schedule
from vidsal.batches.splitting import require_splittable
from vidsal.batches.summary import BatchSummary, write_summary
from vidsal.batches.work import Say, network_options
from vidsal.errors import UsageError, option
from vidsal.runtime.interrupts import deferred_interrupts, on_first_interrupt
from vidsal.runtime.progress import is_shown
from vidsal.settings import Settings, settings_of
from vidsal.settings.values import parse_time
from vidsal.sinks.checkpoint import exclusive_folder

if TYPE_CHECKING:
    from vidsal.batches.ray_connection import RayOptions

log = logging.getLogger(__name__)

# Options of `Settings` that a batch sets itself.
NOT_FOR_BATCHES = (
    "output", "skip_existing", "resume", "table", "maps", "keep", "sequence",
)  # fmt: skip


def batch(
    sources: Sequence[str | Path] | str | Path,
    output: str | Path,
    settings: Settings | None = None,
    *,
    workers: int = 1,
    ray: str | None = None,
    cpus_per_actor: float = 1,
    gpus_per_actor: float = 0,
    slots: int | None = None,
    split: float | str | None = None,
    tables: bool = False,
    stores: bool = False,
    retry_failed: bool = False,
    progress: bool = True,
    tell: Callable[[Result], None] = lambda _: None,
) -> BatchSummary:
    """Write the annotated videos of many sources, and receipts, as ``vidsal batch`` does.

    A second call with the same sources and options processes only what is missing.

    Parameters
    ----------
    sources : sequence of str or Path
        Files, folders, globs, lists (.txt), manifests (.csv, .jsonl, .parquet), web addresses,
        and addresses for fsspec. A single name can be given without a list.
    output : str or Path
        Path or address of the folder of the results.
    settings : Settings, optional
        Options of all sources; a manifest may change them for one source.
    workers : int
        Number of processes that work at a time, each on one source. A script needs
        ``if __name__ == "__main__":`` around the call, as for `multiprocessing`.
    ray : str, optional
        Work on a Ray cluster: ``"local"`` starts one of this machine, ``"auto"`` joins the one
        that runs here, any other value is an address. Each node must have vidsal, and must reach
        the sources and the folder of the results under the same names.
    cpus_per_actor, gpus_per_actor : float
        Resources that a worker reserves on its node. Its libraries use as many threads as CPUs.
    slots : int, optional
        Number of workers on the cluster; by default as many as the cluster has room for.
    split : float or str, optional
        Split videos that are longer than this, in seconds or HH:MM:SS, into parts of about this
        length. Several workers process the parts at a time. A part begins at a cut if one is near.
    tables, stores : bool
        Also write a table, or store the analysis, beside each output.
    retry_failed : bool
        Also process the sources that failed in an earlier run.
    progress : bool
        Show progress on stderr.
    tell : callable
        Is called with the result of each source as soon as it is known.

    Returns
    -------
    BatchSummary
        A source that fails is a result. It raises no error.

    Raises
    ------
    UsageError
        If an option or a column of a manifest is invalid.
    VidsalError
        If the network cannot be used, the results cannot be written, or another batch uses the
        folder.
    KeyboardInterrupt
        After Ctrl-C, if sources are left. After the first Ctrl-C the running sources are
        finished; a second one aborts them. The summary of the finished sources is written.
    """
    settings = settings_of(settings)
    names = [str(sources)] if isinstance(sources, (str, Path)) else [str(one) for one in sources]
    out = folder_at(output)
    split_s = parse_time(split)
    _require_usable(settings, out, workers=workers, ray=ray, stores=stores)
    if split_s is not None:
        require_splittable(settings, split_s, has_stores=stores)
    how = _How(
        out, workers, _ray_options(ray, cpus_per_actor, gpus_per_actor, slots), split_s,
        settings.overwrite, network_options(settings),
    )  # fmt: skip
    # Invalid options are reported before the folder is created.
    asked = list(asked_rows(names, is_recursive=settings.recursive))
    planner = Planner(
        out, settings, {"table": tables, "keep": stores}, retries_failed=retry_failed,
        progress=progress and is_shown(),
    )  # fmt: skip
    alone = exclusive_folder(out.path / PRIVATE) if isinstance(out, LocalFolder) else nullcontext()
    with alone:
        found = list(planner.planned(asked))
        shown = BatchProgress(len(found), is_wanted=progress, say=log.warning)
        with closing(shown):
            return _worked_at(found, how, shown, tell)


@dataclass(frozen=True, slots=True)
class _How:
    """Options that say who processes the sources of a batch, and how."""

    out: Folder
    workers: int
    cluster: "RayOptions | None"
    split_s: float | None
    is_overwriting: bool
    network_options: tuple[tuple[str, object], ...]


def _worked_at(
    found: Sequence[Task | Result], how: _How, shown: BatchProgress, tell: Callable[[Result], None]
) -> BatchSummary:
    """Do all tasks and write the summary. After Ctrl-C the summary is written, too."""
    tasks = [one for one in found if isinstance(one, Task)]
    by_key = {one.key: one for one in tasks}
    schedule = Schedule(
        tasks, is_splitting=how.split_s is not None,
        own_networks={
            one.key for one in tasks if network_options(one.settings) != how.network_options
        },
    )  # fmt: skip
    collected = _Collected(found, shown, tell)
    is_interrupted = True
    try:
        results = _results(schedule, tasks, how, shown.add)
        # While nothing has begun, as when a cluster starts, the first Ctrl-C interrupts at once.
        drained = on_first_interrupt(partial(_drain, schedule), when=lambda: schedule.has_begun)
        with drained, closing(results):
            for result in results:
                if not result.node:
                    # The workers of this source were lost, so none of them wrote the receipt.
                    task = by_key[result.key]
                    write_receipt(how.out, result, task.identity, place_key=task.place_key)
                collected.take(result)
        if schedule.is_draining and schedule.waiting:
            raise KeyboardInterrupt
        is_interrupted = False
    finally:
        with deferred_interrupts():
            _clean(how, collected.results)
            summary = write_summary(
                how.out, collected.results, shown.elapsed_s, lost_workers=schedule.lost_workers,
                is_interrupted=is_interrupted,
            )  # fmt: skip
        if isinstance(sys.exception(), KeyboardInterrupt):
            raise KeyboardInterrupt(
                f"interrupted: {len(summary.results)} of {len(found)} sources are done or "
                f"failed, no other left a file; the same command continues ({summary.path})"
            )
    return summary


def _clean(how: _How, results: Sequence[Result]) -> None:
    """Remove unfinished results, and the parts of sources that failed."""
    if isinstance(how.out, LocalFolder):
        # Workers stage results for other folders on their own disks.
        how.out.remove(STAGING)
    if how.split_s is not None:
        for result in results:
            if result.status == "failed" and result.key:
                # Other workers may have finished parts after the failure.
                how.out.remove(f"{PARTS}/{result.key}")


def _drain(schedule: Schedule) -> None:
    """Begin no further steps, and log this. Running steps are finished."""
    schedule.drain()
    # The signal may arrive at any moment, also while a message is written.
    with suppress(RuntimeError):
        log.warning("Ctrl-C: what runs ends first, nothing else begins; Ctrl-C again drops it")


def _require_usable(
    settings: Settings, out: Folder, *, workers: int, ray: str | None, stores: bool
) -> None:
    """Raise `UsageError` for options that a batch does not support, alone or together."""
    for name in NOT_FOR_BATCHES:
        value = getattr(settings, name)
        if value != Settings.__dataclass_fields__[name].default:
            raise UsageError(f"{option(name, value)} is not for a batch")
    if workers < 1:
        raise UsageError(f"{option('workers')} must be 1 or more, got {workers}")
    if workers > 1 and ray is not None:
        raise UsageError(f"{option('workers')} is not for {option('ray')}: give {option('slots')}")
    if isinstance(out, RemoteFolder):
        if out.root.startswith("memory:") and (workers > 1 or ray is not None):
            raise UsageError(f"{out.root}: other processes do not share this memory: give a folder")
        if stores:
            raise UsageError(f"{option('stores', True)} needs a local folder for the results")


def _ray_options(
    address: str | None, cpus: float, gpus: float, slots: int | None
) -> "RayOptions | None":
    """Return the options of a cluster; None without one. Without one Ray is not imported."""
    if address is None:
        for name, value in (
            ("cpus_per_actor", cpus != 1),
            ("gpus_per_actor", gpus),
            ("slots", slots),
        ):
            if value:
                raise UsageError(f"{option(name)} needs {option('ray')}")
        return None
    from vidsal.batches.ray_connection import RayOptions, imported_ray, require_usable

    options = RayOptions(address, cpus, gpus, slots)
    # Ray may be missing. Check this before anything is created.
    require_usable(imported_ray(address), options)
    return options


def _results(
    schedule: Schedule, tasks: Sequence[Task], how: _How, say: Say
) -> Generator[Result, None, None]:
    """Yield the results of all sources as they arrive."""
    if how.cluster is not None and tasks:
        from vidsal.batches.ray_cluster import on_ray

        return on_ray(
            schedule, tasks, how.out, say, how.cluster, is_overwriting=how.is_overwriting,
            split_s=how.split_s,
        )  # fmt: skip
    make_worker = partial(make_local_worker, how.out, how.is_overwriting, how.split_s)
    # A split source keeps several workers busy.
    workers = how.workers if how.split_s is not None else min(how.workers, len(tasks))
    if workers <= 1:
        return in_turn(schedule, make_worker, say)
    return in_processes(schedule, make_worker, say, workers)


class _Collected:
    """The results of a batch, in the order of its sources."""

    def __init__(
        self, found: Sequence[Task | Result], shown: BatchProgress, tell: Callable[[Result], None]
    ) -> None:
        self._shown, self._tell = shown, tell
        self._numbers: dict[str, int] = {}
        self._results: dict[int, Result] = {}
        for number, one in enumerate(found):
            if isinstance(one, Task):
                self._numbers[one.key] = number
            else:
                self._take(number, one)

    @property
    def results(self) -> list[Result]:
        """The results that are known so far."""
        return [self._results[number] for number in sorted(self._results)]

    def take(self, result: Result) -> None:
        """Take the result of a task."""
        self._take(self._numbers[result.key], result)

    def _take(self, number: int, result: Result) -> None:
        self._results[number] = result
        self._shown.end(result)
        self._tell(result)
