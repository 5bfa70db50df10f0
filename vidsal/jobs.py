"""Several sources, one after the other: what fails does not stop the rest."""

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from vidsal import encoding
from vidsal.errors import UsageError, VidsalError
from vidsal.outcome import Outcome
from vidsal.pipeline import Progress, process
from vidsal.settings import Settings
from vidsal.sink import write_text
from vidsal.sources.image import is_image
from vidsal.sources.names import What, expand
from vidsal.static.models import Network


def run_all(
    words: Sequence[str | int | Path],
    settings: Settings | None = None,
    *,
    progress: Progress[Any] | None = None,
    tell: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome]:
    """Do what ``vidsal run`` does with many names.

    Parameters
    ----------
    words : sequence of str, int or Path
        See `vidsal.sources.names.expand`. With more than one source, the settings' ``output``,
        ``table`` and ``maps`` are folders.
    settings : Settings, optional
    progress : callable, optional
        As in `vidsal.run`.
    tell : callable
        Gets the outcome of each source when it is there.

    Returns
    -------
    list of Outcome
        In the order of the names; a source that failed says why.

    Raises
    ------
    UsageError
        If the settings do not fit so many sources.
    """
    settings = settings or Settings()
    network = Network(settings, progress=progress is not None)
    outcomes: list[Outcome] = []

    def done(outcome: Outcome) -> None:
        outcomes.append(outcome)
        tell(outcome)

    sources = _sources(words, settings, done)
    for source, own in _each(sources, settings):
        try:
            done(process(source, own, network=network, progress=progress))
        except VidsalError as error:
            if isinstance(error, UsageError) and len(sources) == 1:
                raise
            done(Outcome(str(source), error=" ".join(str(error).split())))
    return outcomes


def write_summary(outcomes: Sequence[Outcome], path: Path) -> None:
    """Write what became of each source as JSON."""
    write_text(path, json.dumps([one.as_json() for one in outcomes], indent=2) + "\n")


def _sources(
    words: Sequence[str | int | Path], settings: Settings, failed: Callable[[Outcome], None]
) -> list[What]:
    """Return what all words mean; one that means nothing has failed."""
    sources: list[What] = []
    for word in words:
        try:
            sources += expand(word, is_sequence=settings.sequence)
        except VidsalError as error:
            failed(Outcome(str(word), error=str(error)))
    return sources


def _each(sources: Sequence[What], settings: Settings) -> Iterator[tuple[What, Settings]]:
    """Yield each source with the settings that name its own files."""
    if len(sources) <= 1:
        yield from ((source, settings) for source in sources)
        return
    folders = {name: getattr(settings, name) for name in ("output", "table", "maps")}
    for name, folder in folders.items():
        if folder is not None:
            _make(folder, f"--{name}")
    stems = Counter(Path(str(source)).stem for source in sources)
    for source in sources:
        path = Path(str(source))
        # a.mov and a.mkv are not to end at one name.
        stem = path.stem if stems[path.stem] == 1 else path.name
        own = {
            "output": (folders["output"] or Path()) / _output_name(source, stem, settings),
            "table": folders["table"] and folders["table"] / f"{stem}.csv",
            "maps": folders["maps"] and folders["maps"] / stem,
        }
        yield source, dataclasses.replace(settings, **own)


def _output_name(source: What, stem: str, settings: Settings) -> str:
    """Return what the output of one of many sources is called."""
    is_photo = isinstance(source, (str, Path)) and Path(source).is_file() and is_image(Path(source))
    return f"{stem}_saliency{'.png' if is_photo else encoding.suffix_for(settings.codec)}"


def _make(folder: Path, option: str) -> None:
    """Make a folder for the files of many sources, if it is not there.

    Raises
    ------
    UsageError
        If it is a file, or cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{option} must name a folder where there are several sources: {folder}: "
            f"{error.strerror or error}"
        ) from error
