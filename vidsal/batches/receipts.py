"""Receipts: one small file for each source that is done or failed. They avoid repeated work.

::

    OUT/.vidsal/
        lock                    locked by the batch that works in this folder
        receipts/<key>.json     a source that is done or failed
        begun/<key>             a source whose outputs may exist without a receipt
        staging/                unfinished results
        parts/<key>/            finished parts of a split source, until they are joined
        summary.json  summary.csv or .parquet
"""

import dataclasses
import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vidsal.batches.addresses import content_key, is_address
from vidsal.batches.places import FileState, Folder
from vidsal.errors import VidsalError
from vidsal.settings import Settings
from vidsal.settings.values import is_saved
from vidsal.sinks.fingerprint import checksum, option_values
from vidsal.static.models import ModelChoice

PRIVATE = ".vidsal"
RECEIPTS, BEGUN, STAGING, PARTS = (
    f"{PRIVATE}/{name}" for name in ("receipts", "begun", "staging", "parts")
)
# Options that have no effect on the results. If an option names a file, the identity contains the
# content of the file, not its path.
_IRRELEVANT = (
    "output", "overwrite", "skip_existing", "resume", "recursive", "sequence", "trust_model",
    "batch", "table", "maps", "keep", "model", "weights", "labels",
)  # fmt: skip

Status = Literal["done", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Result:
    """Outcome of one source of a batch.

    Attributes
    ----------
    source : str
        Name of the source, without passwords.
    status : {"done", "failed", "skipped"}
        A source is skipped if an earlier run has finished it, or failed at it.
    output : str or None
        The file that was written; ``None`` after a failure.
    error : str or None
        The reason of a failure, in one line.
    frames : int
        Number of analysed frames.
    video_s : float
        Duration of these frames in seconds of video.
    seconds : float
        Duration of the work, all parts of a split source together.
    node : str
        Name of the machine.
    attempts : int
        How often the work was begun; more than 1 if a worker was lost.
    parts : int
        Number of parts that the source was split into.
    key : str
        Name of the receipt, without a suffix; empty if there is no receipt.
    """

    source: str
    status: Status
    output: str | None = None
    error: str | None = None
    frames: int = 0
    video_s: float = 0.0
    seconds: float = 0.0
    node: str = ""
    attempts: int = 1
    parts: int = 1
    key: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the result as a dictionary for JSON."""
        rounded = {"video_s": round(self.video_s, 3), "seconds": round(self.seconds, 3)}
        return dataclasses.asdict(self) | rounded


def network_identity(choice: ModelChoice, settings: Settings) -> dict[str, str]:
    """Return the identity of a network: its name, and checksums of its files.

    Parameters
    ----------
    choice : ModelChoice
    settings : Settings

    Raises
    ------
    VidsalError
        If a file cannot be read.
    """
    values = {"network": str(choice.name)}
    for name, path in network_files(choice, settings).items():
        try:
            values[f"checksum of {name}"] = checksum([path], has_names=False)
        except OSError as error:
            raise VidsalError(f"{path} cannot be read: {error.strerror}") from error
    return values


def network_files(choice: ModelChoice, settings: Settings) -> dict[str, Path]:
    """Return the files of a network by their kinds: ``weights``, ``model``, ``labels``.

    Parameters
    ----------
    choice : ModelChoice
    settings : Settings
    """
    saved = Path(choice.key) if is_saved(choice.key) else None
    files = {"weights": choice.weights, "model": saved, "labels": settings.labels}
    return {name: path for name, path in files.items() if path is not None}


def identity(
    source: str,
    output: str,
    settings: Settings,
    network: Mapping[str, str],
    results: Mapping[str, bool],
) -> dict[str, str]:
    """Return everything that decides what is written for a source.

    The size of a network call and the number of workers or machines are not part of it.

    Parameters
    ----------
    source : str
        Path or address. A local file keeps its identity if it is moved or renamed.
    output : str
        Name of the output in the folder of the results.
    settings : Settings
    network : mapping of str to str
        From `network_identity`.
    results : mapping of str to bool
        Which results are written beside the output.

    Raises
    ------
    VidsalError
        If the file at an address cannot be found.
    """
    wanted = {name: str(is_wanted) for name, is_wanted in results.items()}
    return {
        "source": source_key(source), "output": output, **network, **wanted,
        **option_values(settings, without={*_IRRELEVANT, *settings.idle_names}),
    }  # fmt: skip


def source_key(source: str) -> str:
    """Return a text that changes with the content of a source; with its name if it is not a file.

    The name of a web address may hold a password, so the text is a checksum of it.

    Parameters
    ----------
    source : str
        Path or address.

    Raises
    ------
    VidsalError
        If the file at an address cannot be found.
    """
    if is_address(source):
        return content_key(source)
    try:
        return checksum([Path(source)], has_names=False)
    except (OSError, ValueError):
        return hashlib.sha256(source.encode(errors="surrogatepass")).hexdigest()


def key_of(values: Mapping[str, str]) -> str:
    """Return the name of a receipt.

    Parameters
    ----------
    values : mapping of str to str
        From `identity`.
    """
    text = json.dumps(dict(values), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def place_key(place: str, values: Mapping[str, str]) -> str:
    """Return a key of the name and options of a source. It does not depend on its content.

    If only the content changes, the results are replaced.

    Parameters
    ----------
    place : str
        Canonical name of the source, see `vidsal.batches.addresses.place`.
    values : mapping of str to str
        From `identity`.
    """
    return key_of({**values, "source": place})


def read_receipt(out: Folder, key: str) -> dict[str, Any] | None:
    """Return a receipt; ``None`` if it is missing or cannot be read.

    Parameters
    ----------
    out : Folder
    key : str
        See `key_of`.
    """
    try:
        receipt = json.loads(out.read(f"{RECEIPTS}/{key}.json"))
    except (OSError, ValueError, VidsalError):
        return None
    return receipt if isinstance(receipt, dict) else None


def read_receipts(out: Folder) -> dict[str, dict[str, Any]]:
    """Return all readable receipts, without identities, by their keys.

    Parameters
    ----------
    out : Folder
    """
    found = {}
    for name in out.names(RECEIPTS):
        key = name.removesuffix(".json")
        if receipt := read_receipt(out, key):
            receipt.pop("identity", None)
            found[key] = receipt
    return found


def files_of(receipt: Mapping[str, Any]) -> dict[str, FileState]:
    """Return the files that a receipt names, and their states when they were written.

    Parameters
    ----------
    receipt : mapping of str
        From `read_receipt`.
    """
    files = receipt.get("files")
    try:
        return {name: FileState(**state) for name, state in (files or {}).items()}
    except (AttributeError, TypeError):
        return {}


def is_whole(out: Folder, receipt: Mapping[str, Any], names: Iterable[str]) -> bool:
    """Return whether results exist in the state that a receipt records.

    Parameters
    ----------
    out : Folder
    receipt : mapping of str
        From `read_receipt`.
    names : iterable of str
        Names of results in the folder.
    """
    then = files_of(receipt)
    for name in names:
        state = out.state(name) if name in then else None
        if state is None or not state.is_same(then[name]):
            return False
    return True


def write_receipt(
    out: Folder,
    result: Result,
    values: Mapping[str, str],
    *,
    place_key: str,
    files: Iterable[str] = (),
    replaced: Collection[str] = (),
) -> None:
    """Write the receipt of a source that is done or failed.

    Parameters
    ----------
    out : Folder
    result : Result
        Its ``key`` must be set.
    values : mapping of str to str
        From `identity`.
    place_key : str
        From `place_key`.
    files : iterable of str
        Names of the results of a source that is done; after a failure the names from its earlier
        runs.
    replaced : collection of str
        Keys of receipts of other runs that name these files. When the source is done, these
        receipts are removed, because the files that they describe no longer exist.

    Raises
    ------
    VidsalError
        If it cannot be written.
    """
    if result.status == "done":
        for key in replaced:
            out.remove(f"{RECEIPTS}/{key}.json")
    states = {name: state._asdict() for name in sorted(files) if (state := out.state(name))}
    about = {"files": states, "place": place_key, "identity": dict(values)}
    content = result.as_json() | about
    out.write(f"{RECEIPTS}/{result.key}.json", (json.dumps(content, indent=2) + "\n").encode())
