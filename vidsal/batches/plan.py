"""From the rows of a batch to tasks: names of outputs, identities, and finished sources."""

import dataclasses
import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vidsal.batches.addresses import MissingPackageError, is_address, matches, place, redacted
from vidsal.batches.manifest import Row, typed_rows
from vidsal.batches.places import FileState, Folder
from vidsal.batches.receipts import (
    BEGUN,
    PRIVATE,
    Result,
    files_of,
    identity,
    is_whole,
    key_of,
    network_identity,
    place_key,
    read_receipts,
)
from vidsal.errors import UsageError, VidsalError, one_line, option
from vidsal.result_names import output_names, require_output_format
from vidsal.settings import Settings
from vidsal.settings.values import is_model_object
from vidsal.sources.resolve import SourceName, expand, parse_source
from vidsal.static.models import ModelChoice, check_target, choose
from vidsal.store.schema import SUFFIX as STORE_SUFFIX


@dataclass(frozen=True, slots=True)
class Task:
    """A source of a batch, with everything that a worker on any machine needs to process it.

    Attributes
    ----------
    source : SourceName
        Its ``address`` is a path, a web address, or an address for fsspec.
    settings : Settings
        They contain no names of results.
    choice : ModelChoice
    output : str
        Name of the output in the folder of the results, with slashes.
    results : mapping of str to bool
        ``table`` and ``keep``: whether each of them is written beside the output.
    identity : mapping of str to str
        See `vidsal.batches.receipts.identity`.
    key : str
        Name of the receipt.
    place_key : str
        See `vidsal.batches.receipts.place_key`.
    own_files : frozenset of str
        Names of the files that an earlier run of this task has written.
    earlier_files : mapping of str to FileState
        Files of the same names that a run with the same options has written when the source had
        another content; in their states at that time.
    replaced : frozenset of str
        Keys of the receipts of other tasks that have written the same files.
    """

    source: SourceName
    settings: Settings
    choice: ModelChoice
    output: str
    results: Mapping[str, bool]
    identity: Mapping[str, str]
    key: str
    place_key: str = ""
    own_files: frozenset[str] = frozenset()
    earlier_files: Mapping[str, FileState] = field(default_factory=dict)
    replaced: frozenset[str] = frozenset()

    @property
    def names(self) -> dict[str, str]:
        """Names of all results in the folder of the results, by option."""
        return result_names(self.output, self.results)

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


def result_names(output: str, results: Mapping[str, bool]) -> dict[str, str]:
    """Return the names of all results of a source by option, the output first.

    Parameters
    ----------
    output : str
        Name of the output in the folder of the results.
    results : mapping of str to bool
        See `Task`.
    """
    stem = output.removesuffix(Path(output).suffix)
    endings = {"table": ".csv", "keep": STORE_SUFFIX}
    others = {name: f"{stem}{ending}" for name, ending in endings.items() if results.get(name)}
    return {"output": output, **others}


def normal_output(output: str) -> str:
    """Return the normalised spelling of an output's name.

    Parameters
    ----------
    output : str
        Relative to the folder of the results.

    Examples
    --------
    >>> normal_output("./day1//cam.mp4")
    'day1/cam.mp4'
    """
    return output if "://" in output else posixpath.normpath(output.replace(os.sep, "/"))


def name_fault(output: str) -> str:
    """Return why an output cannot have a name; an empty text if it can.

    Parameters
    ----------
    output : str
        From `normal_output`.
    """
    if "\0" in output:
        return "the name of the output holds a NUL"
    if Path(output).is_absolute() or "://" in output:
        return f"the output {output} must be relative to the folder of results"
    first = output.partition("/")[0]
    if first in ("", ".", ".."):
        return f"the output {output} must lie in the folder of results"
    if first.casefold() == PRIVATE:
        return f"the output {output} must not lie in {PRIVATE}, which holds the receipts"
    return ""


def _place(source: SourceName) -> str:
    """Return the canonical name of a source: the same for all its names."""
    is_file = source.kind == "file" or is_address(source.address)
    return place(source.address) if is_file else source.address


def require_repeatable(settings: Settings) -> None:
    """Raise `UsageError` if the result of these settings depends on the machine.

    Parameters
    ----------
    settings : Settings

    Raises
    ------
    UsageError
        If a second attempt, or another machine, could give a different result.
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
    """Yield each source that names and manifests refer to, with its row.

    A name without any source gives a row with an error.

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
        If a manifest cannot be read, or a package for addresses is missing.
    """
    for row in typed_rows(names):
        try:
            found = [] if row.error else _meant(row.source, is_recursive=is_recursive)
        except MissingPackageError:
            raise
        except (VidsalError, OSError, ValueError) as error:
            # A list may contain a name that the operating system rejects.
            row = dataclasses.replace(row, error=one_line(error))
            found = []
        if not found:
            yield _named(row.source or row.place), row
        if row.output and len(found) > 1:
            fault = f"{redacted(row.source)} means {len(found)} sources, which need an output each"
            yield _named(row.source), dataclasses.replace(row, error=fault)
            continue
        for one in found:
            if one.kind in ("camera", "stream"):
                raise UsageError(f"{one.display_name} is live: vidsal live records it")
            yield one, row


def _meant(source: str, *, is_recursive: bool) -> list[SourceName]:
    """Return the sources that a name refers to."""
    if not is_address(source):
        found = expand(source, is_recursive=is_recursive)
        # A list may contain addresses.
        return [
            _named(address) if is_address(address) else one
            for one in found
            for address in (matches(one.address) if is_address(one.address) else [one.address])
        ]
    return [_named(one) for one in matches(source)]


def _named(source: str) -> SourceName:
    """Return the name of one source, without a search for the file."""
    if not is_address(source):
        return parse_source(source)
    # The kind is used only for the names of results; the file is fetched before it is opened.
    return SourceName("url", source, redacted(source), Path(posixpath.basename(source)))


def _format_fault(source: SourceName, output: str, settings: Settings) -> str:
    """Return why a source cannot be written as a file of this name; an empty text if it can."""
    try:
        require_output_format(source, output, settings)
    except UsageError as error:
        return str(error)
    return ""


def _failed(source: SourceName, row: Row, reason: str) -> Result:
    """Return the result of an invalid row."""
    return Result(source.display_name, "failed", error=_at(row, reason))


def _at(row: Row, reason: str) -> str:
    return f"{row.place}: {reason}" if row.place else reason


class Planner:
    """Turns rows into tasks, or into results if there is nothing to do.

    Parameters
    ----------
    out : Folder
    settings : Settings
        Settings of the whole batch.
    results : mapping of str to bool
        See `Task`.
    retries_failed : bool
        Whether sources that failed in an earlier run become tasks again.
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
        # One listing instead of one request for each source.
        self._begun = set(out.names(BEGUN))
        self._receipts = read_receipts(out)
        self._files = {key: files_of(receipt) for key, receipt in self._receipts.items()}
        # Some systems do not distinguish names by case.
        self._writers: dict[str, set[tuple[str, str]]] = {}
        for key, files in self._files.items():
            for name in files:
                self._writers.setdefault(name.casefold(), set()).add((name, key))

    def planned(self, asked: Iterable[tuple[SourceName, Row]]) -> Iterator[Task | Result]:
        """Yield a task or a result for each source, in order.

        Files that earlier runs have written into the folder of the results are left out.

        Parameters
        ----------
        asked : iterable of (SourceName, Row)
            From `asked_rows`.
        """
        written = self._places(name for files in self._files.values() for name in files)
        rows = [(source, row) for source, row in asked if _place(source) not in written]
        settings, faults = zip(*map(self._own_settings, rows), strict=True) if rows else ((), ())
        # Rows with an output of their own have no effect on the names of others.
        unnamed = [n for n, (_, row) in enumerate(rows) if not row.output]
        names = output_names([rows[n][0] for n in unnamed], [settings[n] for n in unnamed])
        usual = dict(zip(unnamed, names, strict=True))
        outputs = [
            normal_output(row.output or usual[n].as_posix()) for n, (_, row) in enumerate(rows)
        ]
        taken: dict[str, tuple[str, bool]] = {}
        planned: list[Task | Result] = []
        for (source, row), own, fault, output in zip(rows, settings, faults, outputs, strict=True):
            reason = fault or self._fault(source, output, taken, is_given=bool(row.output))
            if row.output and not reason:
                reason = _format_fault(source, output, own)
            if reason:
                planned.append(_failed(source, row, reason))
                continue
            for name in result_names(output, self._results).values():
                taken[name.casefold()] = source.display_name, bool(row.output)
            planned.append(self._task(source, own, output))
        # For a task that was begun, the output may exist without a receipt.
        begun = [one for one in planned if isinstance(one, Task) and one.key in self._begun]
        own_outputs = written | self._places(name for one in begun for name in one.names.values())
        places = [_place(source) for source, _ in rows]
        others = set(places) - own_outputs
        for (source, row), one, source_place in zip(rows, planned, places, strict=True):
            if source_place in own_outputs:
                # The source is an output of an earlier run in the folder of the sources.
                continue
            if isinstance(one, Task) and (name := self._name_among(one, others)):
                yield _failed(
                    source, row, f"the output {name} is one of the sources: give another name"
                )
            else:
                yield one

    def _places(self, names: Iterable[str]) -> set[str]:
        """Return the canonical names of files in the folder of the results."""
        return {place(self._out.address(name)) for name in set(names)}

    def _name_among(self, task: Task, places: set[str]) -> str:
        """Return the name of a result that lies at one of `places`; an empty text if none does."""
        names = task.names.values()
        return next((name for name in names if place(self._out.address(name)) in places), "")

    def _own_settings(self, asked: tuple[SourceName, Row]) -> tuple[Settings, str]:
        """Return the settings of a row, and an error message if the row is invalid."""
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

    def _fault(
        self,
        source: SourceName,
        output: str,
        taken: Mapping[str, tuple[str, bool]],
        *,
        is_given: bool,
    ) -> str:
        """Return why a source cannot have an output; an empty text if it can.

        `taken` maps each name in lower case to its source and to whether a manifest gave the name.
        """
        if fault := name_fault(output):
            return fault
        for name in result_names(output, self._results).values():
            if place(self._out.address(name)) == _place(source):
                return f"the output {name} is the source itself: give another name"
        for name in result_names(output, self._results).values():
            other, is_other_given = taken.get(name.casefold(), ("", False))
            # Default names always differ, sometimes only in case.
            if other and (is_given or is_other_given):
                return f"the output {name} is that of {other}, too"
        return ""

    def _task(self, source: SourceName, settings: Settings, output: str) -> Task | Result:
        choice, network = self._network(settings)
        try:
            values = identity(source.address, output, settings, network, self._results)
        except VidsalError as error:
            return Result(source.display_name, "failed", error=one_line(error))
        key = key_of(values)
        names = result_names(output, self._results).values()
        others = {
            (name, other, writer)
            for name in names
            for other, writer in self._writers.get(name.casefold(), ())
            if writer != key and self._out.is_same_file(name, other)
        }
        own_place = place_key(_place(source), values)
        task = Task(
            source, settings, choice, output, self._results, values, key, own_place,
            own_files=frozenset(self._files.get(key, ())),
            earlier_files={
                name: self._files[writer][other]
                for name, other, writer in others
                if self._receipts[writer].get("place") == own_place
            },
            replaced=frozenset(writer for *_, writer in others),
        )  # fmt: skip
        return self._earlier(task) or task

    def _earlier(self, task: Task) -> Result | None:
        """Return the result of a source that an earlier run has finished, otherwise None."""
        receipt = self._receipts.get(task.key)
        if receipt is None:
            return None
        if receipt.get("status") == "done" and is_whole(self._out, receipt, task.names.values()):
            return Result(
                task.source.display_name, "skipped", self._out.address(task.output),
                frames=int(receipt["frames"]), video_s=float(receipt["video_s"]),
                node=str(receipt["node"]), key=task.key,
            )  # fmt: skip
        if receipt.get("status") == "failed" and not self._retries_failed:
            return Result(
                task.source.display_name, "skipped", error=str(receipt["error"]), key=task.key
            )
        return None

    def _network(self, settings: Settings) -> tuple[ModelChoice, dict[str, str]]:
        """Return the network of some settings and its identity; each is searched for once."""
        wanted = (settings.model, settings.weights, settings.labels, settings.target)
        if wanted not in self._networks:
            check_target(settings)
            choice = choose(settings, progress=self._progress)
            self._networks[wanted] = choice, network_identity(choice, settings)
        return self._networks[wanted]
