"""Several sources, in turn or in several processes: a failure does not stop the rest."""

import json
import logging
import os
import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from vidsal.errors import UsageError, VidsalError, one_line, option
from vidsal.pipeline import Outcome, process
from vidsal.result_names import is_local, with_own_names
from vidsal.runtime.atomic_write import write_text
from vidsal.runtime.progress import FilesBar, Progress, choose_progress
from vidsal.runtime.workers import News, Work, in_workers
from vidsal.settings import OutputOptions, Settings, SourceOptions, settings_of
from vidsal.settings.values import is_model_object
from vidsal.sources.resolve import SourceName, expand, parse_source
from vidsal.static.models import ModelChoice, Network

log = logging.getLogger(__name__)

# Seconds between two reports of a worker's progress.
_TELL_S = 0.2


def run_all(
    names: Sequence[str | int | Path] | str | int | Path,
    settings: Settings | None = None,
    *,
    progress: bool | Progress = True,
    tell: Callable[[Outcome], None] = lambda _: None,
    workers: int = 1,
) -> list[Outcome]:
    """Do what ``vidsal run`` does with many names.

    Parameters
    ----------
    names : sequence of str, int or Path
        See `vidsal.sources.resolve.expand`; a single name need not be in a list. With more than
        one source, the settings' ``output``, ``table`` and ``maps`` are folders, which are made.
        An ``output`` without a suffix is a folder for one source, too.
    settings : Settings, optional
    progress : bool or callable, optional
        True shows a bar for each source where stderr is a terminal, or in a notebook. A callable
        gets the results and their number, if known, and hands the results on.
    tell : callable
        Gets the outcome of each source as soon as it is known.
    workers : int
        Number of processes that work at a time, each at one source, with its share of threads and
        a network of its own. With 1, all is done in this process. With more, outcomes come as
        sources are done, and `progress` is True or False. A script needs
        ``if __name__ == "__main__":`` around the call, as for `multiprocessing`.

    Returns
    -------
    list of Outcome
        Names that mean nothing first, then the sources in their order. A failure says why; with
        ``skip_existing``, sources whose output exists are marked as skipped.

    Raises
    ------
    UsageError
        If the settings do not fit the sources, or `workers` is below 1.
    """
    settings = settings_of(settings)
    if workers < 1:
        raise UsageError(f"{option('workers')} must be 1 or more, got {workers}")
    if workers > 1 and is_model_object(settings.model):
        raise UsageError(
            f"{option('workers')}: workers load the network themselves: save the model, and give "
            "its path"
        )
    if workers > 1 and callable(progress):
        raise UsageError("a callable progress gets results, which stay in the workers: give True")
    # A string is a sequence of letters, too.
    names = [names] if isinstance(names, (str, int, Path)) else names
    network = Network(settings, progress=choose_progress(progress) is not None)
    nameless: list[Outcome] = []

    def failed(outcome: Outcome) -> None:
        nameless.append(outcome)
        tell(outcome)

    sources, is_group = _sources(names, settings, failed)
    files = frozenset(os.path.realpath(one.path) for one in sources if is_local(one))
    jobs = list(with_own_names(sources, settings, is_group=is_group))
    outputs = {os.path.realpath(own.output) for _, own in jobs if own.output}
    done: dict[int, Outcome] = {}
    tasks = []
    for n, (source, own) in enumerate(jobs):
        if settings.skip_existing and (skipped := _skipped(source, own, outputs)):
            done[n] = skipped
            tell(skipped)
        else:
            tasks.append(_Task(n, len(jobs), source, own))
    if min(workers, len(tasks)) > 1:
        _require_files(tasks)
        results = _in_workers(tasks, workers, network.choice, files, has_bar=progress is True)
    else:
        results = _in_turn(tasks, network, files, progress)
    with closing(results):
        for n, outcome in results:
            done[n] = outcome
            tell(outcome)
    return [*nameless, *(done[n] for n in sorted(done))]


@dataclass(frozen=True, slots=True)
class _Task:
    """A source, and the settings that name its own files."""

    number: int
    count: int
    source: SourceName
    settings: Settings

    def outcome(
        self, network: Network, files: Collection[str], progress: Progress | None
    ) -> Outcome:
        """Process the source, without replacing one of the files; a failure is an outcome."""
        name, output = self.source.display_name, self.settings.output
        # Another run may have written it in the meantime.
        if self.settings.skip_existing and output is not None and output.exists():
            log.info("skipped %s: %s exists", name, output)
            return Outcome(name, output=output, is_skipped=True)
        try:
            if self.count > 1:
                _require_apart(files, self.settings)
            return process(self.source, self.settings, network=network, progress=progress)
        except Exception as error:
            # The caller reports wrong usage, and unexpected errors, of the only source.
            is_worded = isinstance(error, VidsalError) and not isinstance(error, UsageError)
            if self.count == 1 and not is_worded:
                raise
            return self.failure(one_line(error))

    def failure(self, reason: str) -> Outcome:
        """Return the outcome of a source that cannot be processed."""
        return Outcome(self.source.display_name, error=reason)


def _in_turn(
    tasks: Sequence[_Task], network: Network, files: Collection[str], progress: bool | Progress
) -> Generator[tuple[int, Outcome], None, None]:
    """Yield the outcomes of sources that are processed one after the other."""
    for task in tasks:
        name = _short_name(task.source)
        label = f"{task.number + 1} of {task.count} {name}" if task.count > 1 else name
        yield task.number, task.outcome(network, files, choose_progress(progress, label=label))


def _require_files(tasks: Sequence[_Task]) -> None:
    """Raise `UsageError` if a source is live: Ctrl-C ends a recording, and a worker's task."""
    for task in tasks:
        if task.source.kind in ("camera", "stream"):
            raise UsageError(
                f"{option('workers')}: {task.source.display_name} is live: record it alone"
            )


def _in_workers(
    tasks: Sequence[_Task],
    workers: int,
    choice: ModelChoice,
    files: Collection[str],
    *,
    has_bar: bool,
) -> Generator[tuple[int, Outcome], None, None]:
    """Yield the outcomes of sources that several processes work at, as they come."""
    make_work, take = partial(_work, choice, files), partial(next, iter(tasks), None)
    bar = FilesBar(len(tasks), is_wanted=has_bar)
    count = min(workers, len(tasks))
    with closing(bar), closing(in_workers(make_work, take, count)) as events:
        for event in events:
            task = event.task
            if isinstance(event, News):
                bar.add(task.number, *event.value)
                continue
            bar.end(task.number)
            lost = f"{task.source.display_name}: its worker {event.death}, the result is missing"
            yield task.number, event.result or task.failure(lost)


def _work(choice: ModelChoice, files: Collection[str]) -> Work:
    """Return what a worker does with each task; it keeps its network from one to the next."""
    networks: list[Network] = []

    def work(task: _Task, say: Callable[[tuple[int, int | None]], None]) -> Outcome:
        if not networks:
            networks.append(Network(task.settings, choice=choice))
        return task.outcome(networks[0], files, partial(_counted, say=say))

    return work


def _counted(
    results: Iterable[Any], total: int | None, *, say: Callable[[tuple[int, int | None]], None]
) -> Iterator[Any]:
    """Yield results, and tell their number now and then."""
    told_s, untold = 0.0, 0
    for result in results:
        yield result
        untold += 1
        if time.monotonic() - told_s > _TELL_S:
            say((untold, total))
            told_s, untold = time.monotonic(), 0
    say((untold, total))


def write_summary(outcomes: Sequence[Outcome], path: Path) -> None:
    """Write the outcome of each source as JSON.

    Parameters
    ----------
    outcomes : sequence of Outcome
    path : Path
        An existing file is replaced.

    Raises
    ------
    VidsalError
        If it cannot be written.
    """
    write_text(path, json.dumps([one.as_json() for one in outcomes], indent=2) + "\n")


def _sources(
    names: Sequence[str | int | Path], options: SourceOptions, failed: Callable[[Outcome], None]
) -> tuple[list[SourceName], bool]:
    """Return the sources that names mean, and whether these may be several.

    A name that means nothing is an outcome.
    """
    sources: list[SourceName] = []
    is_group = len(names) > 1
    for name in names:
        try:
            meant = expand(name, is_sequence=options.sequence, is_recursive=options.recursive)
        except (VidsalError, OSError) as error:
            failed(Outcome(parse_source(name).display_name, error=one_line(error)))
            continue
        sources += meant
        is_group |= meant != [parse_source(name)] and not options.sequence
    return sources, is_group


def _short_name(source: SourceName) -> str:
    """Return the name of a source without its folder, for a progress bar."""
    return source.display_name if source.kind in ("camera", "stream") else source.path.name


def _skipped(source: SourceName, options: OutputOptions, outputs: set[str]) -> Outcome | None:
    """Return the outcome of a source that is to be left out, or None.

    Those are sources with an output, and outputs of an earlier run in the folder of the sources.
    """
    name = source.display_name
    if options.output is not None and options.output.exists():
        log.info("skipped %s: %s exists", name, options.output)
        return Outcome(name, output=options.output, is_skipped=True)
    if is_local(source) and os.path.realpath(source.path) in outputs:
        log.info("skipped %s: it is the output of another source", name)
        return Outcome(name, is_skipped=True)
    return None


def _require_apart(sources: Collection[str], options: OutputOptions) -> None:
    """Raise `UsageError` where a result would replace a source."""
    for name in ("output", "table"):
        path = getattr(options, name)
        if path is not None and os.path.realpath(path) in sources:
            raise UsageError(f"{option(name, str(path))} is one of the sources: give another name")
