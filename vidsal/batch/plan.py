"""From the rows of a batch to tasks: names of outputs, identities, and what is done already."""

import dataclasses
import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidsal.batch.manifest import Row, typed_rows
from vidsal.batch.places import Folder, is_address, matches, redacted
from vidsal.batch.receipts import (
    BEGUN,
    RECEIPTS,
    Result,
    identity,
    key_of,
    network_identity,
    read_receipt,
)
from vidsal.errors import UsageError, VidsalError, one_line, option
from vidsal.result_names import output_names
from vidsal.settings import Settings
from vidsal.settings.values import is_model_object
from vidsal.sources.resolve import SourceName, expand, parse_source
from vidsal.static.models import ModelChoice, check_target, choose
from vidsal.store.schema import SUFFIX as STORE_SUFFIX


@dataclass(frozen=True, slots=True)
class Task:
    """A source of a batch, and everything that is needed to work at it anywhere.

    Attributes
    ----------
    source : SourceName
        Its ``address`` is a path, a web address, or an address for fsspec.
    settings : Settings
        Without names of results.
    choice : ModelChoice
    output : str
        Name of the output in the folder of the results, with slashes.
    results : mapping of str to bool
        ``table`` and ``store``: whether these are written beside the output.
    identity : mapping of str to str
        See `vidsal.batch.receipts.identity`.
    key : str
        Name of the receipt.
    """

    source: SourceName
    settings: Settings
    choice: ModelChoice
    output: str
    results: Mapping[str, bool]
    identity: Mapping[str, str]
    key: str

    def failure(self, error: str, **about: Any) -> Result:
        """Return the result of a failure.

        Parameters
        ----------
        error : str
            One line.
        **about
            Other fields of `Result`.
        """
        return Result(self.source.display_name, "failed", error=error, key=self.key, **about)


def result_names(output: str, results: Mapping[str, bool]) -> list[str]:
    """Return the names of all results of a source: that of the output first.

    Parameters
    ----------
    output : str
        Name of the output in the folder of the results.
    results : mapping of str to bool
        See `Task`.
    """
    stem = output.removesuffix(Path(output).suffix)
    names = [output]
    if results.get("table"):
        names.append(f"{stem}.csv")
    if results.get("store"):
        names.append(f"{stem}{STORE_SUFFIX}")
    return names


def require_repeatable(settings: Settings) -> None:
    """Raise `UsageError` for settings whose result depends on the machine.

    Parameters
    ----------
    settings : Settings

    Raises
    ------
    UsageError
        If a second attempt, or another machine, could give another result.
    """
    if settings.static_every == "auto":
        raise UsageError(
            f"{option('static_every', 'auto')} depends on how fast a machine is just then, and "
            "results of a batch must not: give a number"
        )
    if settings.precision == "auto":
        raise UsageError(
            f"{option('precision', 'auto')} (a part of the preset fast) depends on a measurement, "
            "and results of a batch must not: give float32 or bfloat16"
        )
    if is_model_object(settings.model):
        raise UsageError(
            f"{option('model')}: a batch needs a model that workers can load: save it, and give "
            "its path"
        )


def asked_rows(names: Sequence[str], *, is_recursive: bool) -> Iterator[tuple[SourceName, Row]]:
    """Yield each source that names and manifests mean, with its row.

    A name that means nothing is a row with an error.

    Parameters
    ----------
    names : sequence of str
        Files, folders, globs, lists (.txt), manifests, and addresses.
    is_recursive : bool
        Whether the folders of a folder are searched as well.

    Raises
    ------
    UsageError
        If a manifest has an unknown column, or a source is live.
    VidsalError
        If a manifest cannot be read.
    """
    for row in typed_rows(names):
        try:
            found = [] if row.error else _meant(row.source, is_recursive=is_recursive)
        except (VidsalError, OSError) as error:
            row = dataclasses.replace(row, error=one_line(error))
            found = []
        if not found:
            yield _named(row.source or row.place), row
        if row.output and len(found) > 1:
            fault = f"{row.source} means {len(found)} sources, which need an output each"
            yield _named(row.source), dataclasses.replace(row, error=fault)
            continue
        for one in found:
            if one.kind in ("camera", "stream"):
                raise UsageError(f"{one.display_name} is live: vidsal live records it")
            yield one, row


def _meant(source: str, *, is_recursive: bool) -> list[SourceName]:
    """Return the sources that a name means."""
    if not is_address(source):
        found = expand(source, is_recursive=is_recursive)
        # A list may name addresses.
        return [_named(one.address) if is_address(one.address) else one for one in found]
    return [_named(one) for one in matches(source)]


def _named(source: str) -> SourceName:
    """Return the name of one source; nothing is looked for."""
    if not is_address(source):
        return parse_source(source)
    # The kind only serves the names of results; the file is fetched before it is opened.
    return SourceName("url", source, redacted(source), Path(posixpath.basename(source)))


def _failed(source: SourceName, row: Row, reason: str) -> Result:
    """Return the result of a row that is wrong."""
    return Result(source.display_name, "failed", error=_at(row, reason))


def _at(row: Row, reason: str) -> str:
    return f"{row.place}: {reason}" if row.place else reason


class Planner:
    """Turns rows into tasks, and into results where nothing is to be done.

    Parameters
    ----------
    out : Folder
    settings : Settings
        Those of the whole batch.
    results : mapping of str to bool
        See `Task`.
    retries_failed : bool
        Whether sources that failed in an earlier run are tasks again.
    progress : bool
        Show a progress bar if weights have to be downloaded.

    Raises
    ------
    UsageError, VidsalError
        If the network of the settings cannot be used.
    """

    def __init__(
        self,
        out: Folder,
        settings: Settings,
        results: Mapping[str, bool],
        *,
        retries_failed: bool,
        progress: bool = False,
    ) -> None:
        self._out, self._settings, self._results = out, settings, results
        self._retries_failed, self._progress = retries_failed, progress
        self._networks: dict[tuple[object, ...], tuple[ModelChoice, dict[str, str]]] = {}
        require_repeatable(settings)
        self._network(settings)
        # Two listings instead of two questions for each source.
        self._begun = set(out.names(BEGUN))
        self._receipts = {name.removesuffix(".json") for name in out.names(RECEIPTS)}

    def planned(self, asked: Iterable[tuple[SourceName, Row]]) -> Iterator[Task | Result]:
        """Yield a task, or a result, for each source, in order.

        Parameters
        ----------
        asked : iterable of (SourceName, Row)
            From `asked_rows`.
        """
        rows = list(asked)
        settings, faults = zip(*map(self._own_settings, rows), strict=True) if rows else ((), ())
        usual = output_names([source for source, _ in rows], settings)
        outputs = [
            row.output or name.as_posix() for (_, row), name in zip(rows, usual, strict=True)
        ]
        taken: dict[str, str] = {}
        planned: list[Task | Result] = []
        for (source, row), own, fault, output in zip(rows, settings, faults, outputs, strict=True):
            reason = fault or self._fault(source, output, taken)
            if reason:
                planned.append(_failed(source, row, reason))
                continue
            for name in result_names(output, self._results):
                taken[name] = source.display_name
            planned.append(self._task(source, own, output))
        own_outputs = {
            os.path.realpath(self._out.address(output))
            for one, output in zip(planned, outputs, strict=True)
            if self._was_written(one)
        }
        others = {self._place(source) for source, _ in rows} - own_outputs
        for (source, row), one, output in zip(rows, planned, outputs, strict=True):
            if self._place(source) in own_outputs:
                # An output of an earlier run, in the folder of the sources.
                yield Result(source.display_name, "skipped")
            elif isinstance(one, Task) and os.path.realpath(self._out.address(output)) in others:
                yield _failed(
                    source, row, f"the output {output} is one of the sources: give another name"
                )
            else:
                yield one

    def _was_written(self, planned: Task | Result) -> bool:
        """Say whether an earlier run of this batch may have written an output."""
        if isinstance(planned, Task):
            return planned.key in self._begun
        return planned.status == "skipped" and planned.output is not None

    def _own_settings(self, asked: tuple[SourceName, Row]) -> tuple[Settings, str]:
        """Return the settings of a row, and what is wrong with it."""
        _, row = asked
        if row.error:
            return self._settings, row.error
        try:
            settings = dataclasses.replace(self._settings, **row.options)
            require_repeatable(settings)
            self._network(settings)
        except VidsalError as error:
            return self._settings, one_line(error)
        return settings, ""

    def _fault(self, source: SourceName, output: str, taken: Mapping[str, str]) -> str:
        """Return why a source cannot have an output; an empty text if it can."""
        if Path(output).is_absolute() or "://" in output:
            return f"the output {output} must be relative to the folder of results"
        if os.path.realpath(self._out.address(output)) == self._place(source):
            return f"the output {output} is the source itself: give another name"
        for name in result_names(output, self._results):
            if name in taken:
                return f"the output {name} is that of {taken[name]}, too"
        return ""

    @staticmethod
    def _place(source: SourceName) -> str:
        """Return what two names of one file have in common."""
        is_file = source.kind == "file" and not is_address(source.address)
        return os.path.realpath(source.path) if is_file else source.address

    def _task(self, source: SourceName, settings: Settings, output: str) -> Task | Result:
        choice, network = self._network(settings)
        try:
            values = identity(source.address, output, settings, network, self._results)
        except VidsalError as error:
            return Result(source.display_name, "failed", error=one_line(error))
        key = key_of(values)
        task = Task(source, settings, choice, output, self._results, values, key)
        return self._earlier(task) or task

    def _earlier(self, task: Task) -> Result | None:
        """Return the result of a source that an earlier run has finished, else None."""
        receipt = read_receipt(self._out, task.key) if task.key in self._receipts else None
        if receipt is None:
            return None
        address = self._out.address(task.output)
        if receipt.get("status") == "done" and self._out.exists(task.output):
            return Result(
                task.source.display_name, "skipped", address, frames=int(receipt["frames"]),
                video_s=float(receipt["video_s"]), node=str(receipt["node"]), key=task.key,
            )  # fmt: skip
        if receipt.get("status") == "failed" and not self._retries_failed:
            return Result(
                task.source.display_name, "skipped", error=str(receipt["error"]), key=task.key
            )
        return None

    def _network(self, settings: Settings) -> tuple[ModelChoice, dict[str, str]]:
        """Return the network of some settings and its identity; each is looked for once."""
        wanted = (settings.model, settings.weights, settings.labels, settings.target)
        if wanted not in self._networks:
            check_target(settings)
            choice = choose(settings, progress=self._progress)
            self._networks[wanted] = choice, network_identity(choice, settings)
        return self._networks[wanted]
