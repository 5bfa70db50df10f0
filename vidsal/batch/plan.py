"""From the rows of a batch to tasks: names of outputs, identities, and what is done already."""

import dataclasses
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidsal.batch.manifest import Row, typed_rows
from vidsal.batch.places import Folder, is_address, matches, redacted
from vidsal.batch.receipts import (
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
            row = dataclasses.replace(row, error=_at(row, one_line(error)))
            found = []
        if not found:
            yield _named(row.source or row.place), row
        if row.output and len(found) > 1:
            fault = _at(row, f"{row.source} means {len(found)} sources, which need an output each")
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
        # One listing instead of a question for each source.
        self._receipts = {name.removesuffix(".json") for name in out.names(RECEIPTS)}

    def planned(self, asked: Iterable[tuple[SourceName, Row]]) -> Iterator[Task | Result]:
        """Yield a task, or a result, for each source, in order.

        Parameters
        ----------
        asked : iterable of (SourceName, Row)
            From `asked_rows`.
        """
        rows = list(asked)
        own: list[Settings] = []
        faults: list[str] = []
        for _, row in rows:
            settings, fault = self._settings, row.error
            if not fault:
                try:
                    settings = dataclasses.replace(self._settings, **row.options)
                    require_repeatable(settings)
                    self._network(settings)
                except VidsalError as error:
                    settings, fault = self._settings, _at(row, one_line(error))
            own.append(settings)
            faults.append(fault)
        names = output_names([source for source, _ in rows], own)
        taken: dict[str, str] = {}
        for (source, row), settings, fault, usual in zip(rows, own, faults, names, strict=True):
            output = row.output or usual.as_posix()
            if not fault and (Path(output).is_absolute() or "://" in output):
                fault = _at(row, f"the output {output} must be relative to the folder of results")
            if not fault and output in taken:
                fault = _at(row, f"the output {output} is that of {taken[output]}, too")
            if fault:
                yield Result(source.display_name, "failed", error=fault)
                continue
            taken[output] = source.display_name
            yield self._task(source, settings, output)

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
