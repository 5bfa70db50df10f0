"""The command line: words to `Settings`, errors to one line and an exit code.

0 done, 1 a failure, 2 wrong usage, 130 interrupted. The output's path goes to stdout, all else to
stderr.
"""

import codecs
import dataclasses
import inspect
import io
import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

from cyclopts import App, CycloptsError, Group, Parameter, Token

from vidsal._version import __version__
from vidsal.errors import UsageError, VidsalError, flat, name_options_as_flags, one_line
from vidsal.runtime.native_logs import quiet_opencv, quiet_tensorflow
from vidsal.settings import (
    Fusion,
    LiveOptions,
    Settings,
    parse_every,
    parse_path,
    parse_rate,
    parse_time,
    parse_warmup,
)

if TYPE_CHECKING:
    from vidsal.pipeline import Outcome

log = logging.getLogger(__name__)

app = App(
    name="vidsal",
    help="Shows, frame by frame, what stands out in a video: where a classifier's gradients and "
    "moving objects are, as a heatmap video.",
    version=__version__,
    help_format="plaintext",
    # main() words the errors and sets the exit codes.
    print_error=False,
    exit_on_error=False,
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a command line and leave with its exit code."""
    name_options_as_flags()
    quiet_tensorflow()
    quiet_opencv()
    _ready_streams()
    sys.exit(_run(sys.argv[1:] if arguments is None else arguments))


def _run(arguments: list[str]) -> int:
    verbose = "--verbose" in arguments
    _end_as_on_ctrl_c("SIGTERM", "SIGHUP")
    try:
        app(arguments)
    except (CycloptsError, UsageError) as error:
        _say(f"{flat(error)}\nTry `vidsal {_command(arguments)}--help`.")
        return 2
    except KeyboardInterrupt as error:
        # A run that can be gone on with says so.
        _say(str(error) or "interrupted")
        return 130
    except BrokenPipeError:
        return 1  # There is nobody to tell.
    except Exception as error:
        if verbose:
            raise
        _say(one_line(error, hint="; --verbose shows where"))
        return 1
    return 0


def _end_as_on_ctrl_c(*names: str) -> None:
    """Remove what was begun when told to end, too, and when the terminal is closed."""

    def end(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    for name in names:
        number = getattr(signal, name, None)  # Windows has no SIGHUP.
        # What is ignored stays so, as under nohup.
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, end)


def _ready_streams() -> None:
    """Make both streams usable: where one is closed, and for any name that a file can have."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Bytes that are no text are printed as they are; what an older encoding lacks, by number.
        is_utf8 = codecs.lookup(sys.stdout.encoding).name == "utf-8"
        sys.stdout.reconfigure(errors="surrogateescape" if is_utf8 else "backslashreplace")


def _say(text: str) -> None:
    # A closed terminal takes no words, and there is nobody to tell of that.
    with suppress(OSError):
        print(f"vidsal: {text}", file=sys.stderr, flush=True)


def _print(text: str) -> None:
    """Print a result.

    Raises
    ------
    BrokenPipeError
        If whoever read it has left.
    VidsalError
        If it cannot be written for another reason.
    """
    try:
        print(text, flush=True)
    except OSError as error:
        # What is in the buffer yet would fail once more at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise
        why = error.strerror or str(error)
        raise VidsalError(f"standard output cannot be written to: {why}") from error


def _command(arguments: list[str]) -> str:
    """Return the subcommand of a command line, with a space behind it."""
    names = [word for word in arguments[:1] if word in _COMMANDS]
    return names[0] + " " if names else ""


def _tell_idle(settings: Settings, typed: Mapping[str, Any]) -> None:
    """Say which of the options that were typed change nothing."""
    for line in settings.idle(typed):
        log.warning("%s", line)


def _log_to_stderr(verbose: bool) -> None:
    """Show vidsal's own warnings as lines of this program; everything under --verbose."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("vidsal: %(message)s"))
    logger = logging.getLogger("vidsal")
    logger.handlers = [handler]
    logger.setLevel(logging.DEBUG if verbose else logging.WARNING)


Command = Callable[..., None]
_COMMANDS = ("run", "live", "evaluate", "faithfulness", "models", "doctor")
# What a field parses by itself comes to it as the word that was typed.
_METAVARS = {
    parse_time: "TIME", parse_rate: "RATE", parse_path: "PATH", parse_warmup: "TIME",
    parse_every: "auto|INT",
}  # fmt: skip
# The groups of options that matter where maps are measured and nothing is drawn.
_MEASURED = ("Part of the source", "Network", "Static map", "Motion")


def _from_settings(
    only: tuple[str, ...] = (),
    without: tuple[str, ...] = (),
    defaults: Mapping[str, Any] | None = None,
    also: type | None = None,
) -> Callable[[Command], Command]:
    """Give a command one option for each field of `Settings`, or of some groups of them.

    Those of `also` come before them.
    """
    own_defaults = defaults or {}
    known = [*(_options(also) if also else ()), *_options(Settings)]

    def with_options(command: Command) -> Command:
        own = inspect.signature(command).parameters.values()
        kept = [one for one in own if one.kind is not inspect.Parameter.VAR_KEYWORD]
        command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            kept
            + [
                one.replace(default=own_defaults.get(one.name, one.default))
                for group, one in known
                if (not only or group in only) and one.name not in without
            ]
        )
        return command

    return with_options


def _whole(_: type, tokens: Sequence[Token]) -> int:
    """Return a whole number; left to itself the parser rounds others to one."""
    word = tokens[0].value
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", word):
        raise ValueError(f"expected a whole number, got {word!r}")
    return int(word)


def _options(of: type) -> Iterator[tuple[str, inspect.Parameter]]:
    """Yield an option for each field, as that declares it, with its group."""
    groups: dict[str, Group] = {}
    for field in dataclasses.fields(of):
        name = field.metadata["group"]
        group = groups.setdefault(name, Group(name, sort_key=len(groups) + 1))
        metavar = _METAVARS.get(field.metadata["parse"])
        kind = str | None if metavar else field.type
        about = Parameter(
            help=field.metadata["help"],
            group=group,
            alias=field.metadata["short"],
            metavar=metavar,
            converter=_whole if kind is int else None,
            # Only what is on by default needs a word that switches it off.
            negative=None if field.default is True else (),
        )
        option = inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=Annotated[kind, about],
        )
        yield name, option


@app.command
@_from_settings()
def run(
    *sources: Annotated[
        str,
        Parameter(
            help="Video files, photos, folders, quoted globs, lists (.txt), the number of a "
            "camera, or the address of a file or stream."
        ),
    ],
    summary: Annotated[
        Path | None, Parameter(help="Also write what became of each source as JSON.")
    ] = None,
    verbose: Annotated[bool, Parameter(help="Say more.", negative=())] = False,
    **options: Any,
) -> None:
    """Write the annotated heatmap video of a video or camera, or the heatmap of a photo."""
    _log_to_stderr(verbose)
    settings = Settings(**options)
    if not sources:
        raise UsageError("give at least one video, photo, folder or camera")
    from vidsal.jobs import run_all, write_summary
    from vidsal.runtime.atomic_write import claim

    if summary is not None:
        if summary.suffix.lower() != ".json":
            raise UsageError(f"--summary {summary}: a summary is a .json file")
        claim(summary, overwrite=settings.overwrite)
    told = _Told()
    try:
        run_all(sources, settings, progress=_progress_bar, tell=told.take)
    finally:
        if summary is not None and told.outcomes:
            write_summary(told.outcomes, summary)
    _tell_idle(settings, options)
    failed = sum(one.error is not None for one in told.outcomes)
    if failed and len(told.outcomes) > 1:
        _say(f"{failed} of {len(told.outcomes)} sources failed")
    if failed or told.is_untold:
        raise SystemExit(1)


class _Told:
    """What became of each source, told as it comes.

    Attributes
    ----------
    outcomes : list of Outcome
    is_untold : bool
        Whether a result could not be printed.
    """

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.is_untold = False

    def take(self, outcome: "Outcome") -> None:
        """Print an output's path, or why there is none."""
        self.outcomes.append(outcome)
        if outcome.error is not None:
            _say(outcome.error)
            return
        # Neither is a reason not to work on the others.
        try:
            _print(str(outcome.output))
        except BrokenPipeError:
            pass
        except VidsalError as error:
            self.is_untold = True
            _say(str(error))


# What can be had of frames that come now, and once: no other part of time, no other order.
_NOT_LIVE = ("maps", "resume", "audio", "start", "end", "every", "strict", "sequence", "batch")
# Chosen for speed: a map that is late is worth less than a coarser one.
_LIVE = {"static_every": "auto", "flow": "dis", "samples": 8}


@app.command
@_from_settings(without=_NOT_LIVE, defaults=_LIVE, also=LiveOptions)
def live(
    source: Annotated[
        str,
        Parameter(help="The number of a camera, its path, or a stream: rtsp, http, udp, tcp://."),
    ] = "0",
    /,
    *,
    verbose: Annotated[bool, Parameter(help="Say more.", negative=())] = False,
    **options: Any,
) -> None:
    """Show a camera or stream with its saliency as it happens; -o records it in real time."""
    _log_to_stderr(verbose)
    # What is not typed does not come here, whatever the help says is its default.
    own = {field.name for field in dataclasses.fields(LiveOptions)} & options.keys()
    wishes = LiveOptions(**{name: options.pop(name) for name in own})
    settings = Settings(batch=1, **{**_LIVE, **options})
    from vidsal.live.session import live as run_live

    summary = run_live(source, settings, wishes, say=_say)
    _tell_idle(settings, options)
    _say(summary.line())
    if summary.files:
        _print("\n".join(summary.files))


@app.command
@_from_settings(_MEASURED)
def faithfulness(
    *sources: Annotated[str, Parameter(help="Photos and videos.")],
    frames: Annotated[int, Parameter(help="Frames taken from each video.")] = 4,
    summary: Annotated[Path | None, Parameter(help="Also write the figures as JSON.")] = None,
    overwrite: Annotated[bool, Parameter(help="Replace a summary.", negative=())] = False,
    verbose: Annotated[bool, Parameter(help="Say more.", negative=())] = False,
    **options: Any,
) -> None:
    """Measure whether the static maps explain the network: deletion, insertion, random weights."""
    _log_to_stderr(verbose)
    settings = Settings(**options)
    if not sources:
        raise UsageError("give at least one photo or video")
    if frames < 1:
        raise UsageError(f"--frames must be 1 or more, got {frames}")
    _tell_idle(settings, options)
    from vidsal.evaluation.faithfulness import faithfulness as measure
    from vidsal.evaluation.report import write_json
    from vidsal.runtime.atomic_write import claim

    if summary is not None:
        claim(summary, overwrite=overwrite)

    report = measure(sources, settings, frames_per_clip=frames)
    if summary is not None:
        write_json(report, summary)
    _print("\n".join(report.lines()))


@app.command
@_from_settings(
    (*_MEASURED[1:], "Scale and fusion"), without=("model", "fusion", "centre_prior", "seed")
)
def evaluate(
    *folders: Annotated[
        Path, Parameter(help="Clips or photos with ground truth; see the README for layouts.")
    ],
    models: Annotated[list[str], Parameter(help="Networks.", consume_multiple=True, negative=())]
    | None = None,
    fusion: Annotated[
        list[Fusion],
        Parameter(help="Ways to fuse both halves.", consume_multiple=True, negative=()),
    ]
    | None = None,
    against: Annotated[
        list[str],
        Parameter(
            help="NAME=DIR: also score another program's maps (CLIP/NNNNN.png, PHOTO.png).",
            negative=(),
        ),
    ]
    | None = None,
    frames_per_clip: Annotated[int, Parameter(help="Frames scored in each clip.")] = 12,
    seed: Annotated[int, Parameter(help="Which frames are scored, and the noise.")] = 0,
    json: Annotated[Path | None, Parameter(help="Also write the scores as JSON.")] = None,
    markdown: Annotated[Path | None, Parameter(help="Also write the tables as Markdown.")] = None,
    overwrite: Annotated[bool, Parameter(help="Replace files.", negative=())] = False,
    verbose: Annotated[bool, Parameter(help="Say more.", negative=())] = False,
    **options: Any,
) -> None:
    """Score the maps against what people look at, and where objects are."""
    _log_to_stderr(verbose)
    settings = Settings(seed=seed, **options)
    if not folders:
        raise UsageError(
            "give at least one folder of clips or photos with ground truth, before --models and "
            "--fusion, which take all words that follow them"
        )
    if frames_per_clip < 1:
        raise UsageError(f"--frames-per-clip must be 1 or more, got {frames_per_clip}")
    if json is not None and json == markdown:
        raise UsageError(f"--json and --markdown both name {json}")
    theirs = _named_folders(against or [])
    # Which network --preprocess is for is not in the settings.
    _tell_idle(settings, {name: options[name] for name in options if name != "preprocess"})
    from vidsal.evaluation.evaluate import evaluate as score
    from vidsal.evaluation.report import write_report
    from vidsal.runtime.atomic_write import claim

    for path in (json, markdown):
        if path is not None:
            claim(path, overwrite=overwrite)
    report = score(
        folders, settings, models=models or (), fusions=fusion or (), against=theirs,
        frames_per_clip=frames_per_clip, seed=seed, progress=partial(_progress_bar, unit="clip"),
    )  # fmt: skip
    write_report(report, json_path=json, markdown_path=markdown)
    _print("\n".join(report.lines()))


def _named_folders(words: list[str]) -> dict[str, Path]:
    """Return the folders of ``NAME=DIR`` by their names."""
    folders: dict[str, Path] = {}
    for word in words:
        name, _, folder = word.partition("=")
        if not name or not folder:
            raise UsageError(f"--against must be NAME=DIR, got {word!r}")
        if name in folders:
            raise UsageError(f"--against: two folders are called {name}")
        folders[name] = Path(folder)
    return folders


@app.command
def models() -> None:
    """List the networks that can be used, and whether their weights are here."""
    from vidsal.doctor import model_lines

    _print("\n".join(model_lines()))


@app.command
def doctor() -> None:
    """Show what vidsal finds on this machine: one screen for a bug report."""
    from vidsal.doctor import report

    lines = list(report())
    _print("\n".join(lines))
    if any(" PROBLEM: " in line for line in lines):
        raise VidsalError("PROBLEM marks what has to be put right")


def _progress_bar(items: Iterable[Any], total: int | None, unit: str = "frame") -> Iterable[Any]:
    """Show frames, rate and remaining time on stderr while `items` pass."""
    from tqdm import tqdm

    bar: Iterable[Any] = tqdm(
        items,
        total=total,
        unit=unit,
        file=sys.stderr,
        dynamic_ncols=True,
        leave=False,
        disable=None,
    )
    return bar
