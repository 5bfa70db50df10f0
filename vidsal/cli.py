"""The command line: arguments to `Settings`, errors to one line and an exit code.

Exit codes: 0 done, 1 a failure, 2 wrong usage, 130 interrupted. The output's path goes to stdout,
everything else to stderr.
"""

import codecs
import difflib
import io
import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

from cyclopts import App, CycloptsError, Parameter

from vidsal._version import __version__
from vidsal.command_options import merged, options_of, with_options
from vidsal.errors import UsageError, VidsalError, flat, name_options_as_flags, one_line
from vidsal.runtime.native_logs import quiet_opencv, quiet_tensorflow
from vidsal.runtime.progress import BarAwareHandler, bars_cleared, choose_progress
from vidsal.settings import (
    CropOptions,
    Fusion,
    LiveOptions,
    Settings,
    compared_options,
    redrawn_options,
)
from vidsal.settings.presets import preset_help

if TYPE_CHECKING:
    from vidsal.batch.receipts import Result
    from vidsal.pipeline import Outcome

log = logging.getLogger(__name__)

app = App(
    name="vidsal",
    help="Shows, frame by frame, what stands out in a video: where a classifier's gradients and "
    "moving objects are, as a heatmap video. `vidsal FILE` is short for `vidsal run FILE`.",
    help_epilogue=(
        "Examples:\n"
        "  vidsal clip.mp4                  write clip_saliency.mp4\n"
        "  vidsal photo.jpg -o heat.png     write the heatmap of a photo\n"
        "  vidsal live 0                    watch the first camera\n"
        "  vidsal run --help                all options"
    ),
    version=__version__,
    help_format="plaintext",
    # main() words the errors and sets the exit codes.
    print_error=False,
    exit_on_error=False,
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)
# Words that are not sources at the place of a command; the last one is of completion scripts.
_OPTIONS_OF_VIDSAL = ("--help", "-h", "--version", "--install-completion", "__complete")

Verbose = Annotated[bool, Parameter(alias="-v", help="Say more.", negative=(), show_default=False)]
Overwrite = Annotated[bool, Parameter(help="Replace files.", negative=(), show_default=False)]


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a command line and leave with its exit code.

    Parameters
    ----------
    arguments : list of str, optional
        Those of the process by default.
    """
    name_options_as_flags()
    quiet_tensorflow()
    quiet_opencv()
    _prepare_streams()
    sys.exit(_run(sys.argv[1:] if arguments is None else arguments))


def _run(arguments: list[str]) -> int:
    is_verbose = "--verbose" in arguments or "-v" in arguments
    interrupts = _Interrupts()
    interrupts.install("SIGINT", "SIGTERM", "SIGHUP")
    command = _command(arguments)
    try:
        _refuse_pipes(arguments)
        app(_with_command(arguments))
    except (CycloptsError, UsageError) as error:
        if not interrupts.happened:
            _say(f"{flat(error)}\nTry `vidsal {command}--help`.")
            return 2
    except KeyboardInterrupt as error:
        # An interrupted run with --resume says how to continue.
        interrupts.happened = str(error) or interrupts.happened or "interrupted"
    except BrokenPipeError:
        return 1  # Nobody reads the output.
    except Exception as error:
        if not interrupts.happened:
            if is_verbose:
                raise
            _say(one_line(error, hint="; --verbose shows where"))
            return 1
    if interrupts.happened:
        _say(interrupts.happened)
        return 130
    return 0


class _Interrupts:
    """Ctrl-C, a request to end, and a closed terminal: each raises KeyboardInterrupt.

    Imports of native libraries turn that into an ImportError, so it is also remembered.

    Attributes
    ----------
    happened : str
        The line to print, empty before the first interrupt.
    """

    happened = ""

    def install(self, *names: str) -> None:
        """Handle signals of some names, where they are not ignored, as under nohup."""
        for name in names:
            number = getattr(signal, name, None)  # Windows has no SIGHUP.
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._raise)

    def _raise(self, *_: object) -> NoReturn:
        self.happened = "interrupted"
        raise KeyboardInterrupt


def _with_command(arguments: list[str]) -> list[str]:
    """Return a command line with ``run`` before its first word, if that is no command.

    Raises
    ------
    UsageError
        If the first word is most probably a misspelt command.
    """
    if not arguments or arguments[0] in (*app, *_OPTIONS_OF_VIDSAL):
        return arguments
    first = arguments[0]
    is_a_word = first.isalpha() and not Path(first).exists()
    if is_a_word:
        near = difflib.get_close_matches(first.lower(), _commands(), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"{first!r} is neither a command nor a file or folder here{hint}")
    return ["run", *arguments]


def _commands() -> list[str]:
    return [name for name in app if not name.startswith("-")]


def _command(arguments: list[str]) -> str:
    """Return the command of a command line, with a space behind it."""
    first = arguments[0] if arguments else ""
    if first in _commands():
        return f"{first} "
    return "" if not first or first in _OPTIONS_OF_VIDSAL or first.isalpha() else "run "


def _prepare_streams() -> None:
    """Make both streams usable where one is closed, and for every name that a file can have."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Bytes of a name that are no text are printed unchanged; characters that an older encoding
        # lacks are printed as escapes.
        is_utf8 = codecs.lookup(sys.stdout.encoding).name == "utf-8"
        sys.stdout.reconfigure(errors="surrogateescape" if is_utf8 else "backslashreplace")


def _say(text: str) -> None:
    """Print a message to stderr; a closed terminal is no error."""
    with suppress(OSError), bars_cleared():
        print(f"vidsal: {text}", file=sys.stderr, flush=True)


def _print(text: str) -> None:
    """Print a result.

    Raises
    ------
    BrokenPipeError
        If the reader has closed the pipe.
    VidsalError
        If it cannot be written for another reason.
    """
    try:
        with bars_cleared():
            print(text, flush=True)
    except OSError as error:
        # Text that is still in the buffer would fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise
        why = error.strerror or str(error)
        raise VidsalError(f"standard output cannot be written to: {why}") from error


def _warn_of_idle(settings: Settings | CropOptions, typed: Sequence[str]) -> None:
    """Say which of the typed options change nothing."""
    for line in settings.idle(typed):
        log.warning("%s", line)


def _log_to_stderr(verbose: bool) -> None:
    """Print warnings of vidsal's own as lines of this program; with --verbose everything."""
    handler = BarAwareHandler()
    handler.setFormatter(logging.Formatter("vidsal: %(message)s"))
    logger = logging.getLogger("vidsal")
    logger.handlers = [handler]
    logger.setLevel(logging.DEBUG if verbose else logging.WARNING)


def _refuse_pipes(arguments: Sequence[str]) -> None:
    """Raise `UsageError` for the name ``-``."""
    for before, argument in pairwise(["", *arguments]):
        if argument == "-" and before in ("-o", "--output"):
            raise UsageError(f"{before} -: vidsal does not write to pipes: give the name of a file")
        if argument == "-":
            raise UsageError(
                "-: vidsal does not read pipes: write the video to a file first, or serve it as a "
                "stream and give its address, such as udp://127.0.0.1:9000"
            )


# The groups of options that matter where maps are measured and nothing is drawn.
_MEASURED = ("Network", "Static map", "Motion")
_RUN = options_of(Settings)


@app.command(
    help_epilogue=(
        "Examples:\n"
        "  vidsal run clip.mp4 photo.jpg            write clip_saliency.mp4 and "
        "photo_saliency.png\n"
        "  vidsal run clip.mp4 --target 'tabby'     explain one class\n"
        "  vidsal run clip.mp4 --layout quad --start 1:00 --duration 10\n"
        "  vidsal run clip.mp4 --model none         motion only, without a network\n"
        "  vidsal run footage/ -o heatmaps/ --recursive --skip-existing\n"
        "  vidsal run talk.mov --preset talk -o slide.mp4\n\n"
        "Options may also stand in vidsal.toml, or in [tool.vidsal] of pyproject.toml, in the "
        "current folder: short-side = 320."
    )
)
@with_options(_RUN)
def run(
    *sources: Annotated[
        str,
        Parameter(
            help="Video files, photos, folders, quoted globs, lists (.txt), the number of a "
            "camera, or the address of a file or stream."
        ),
    ],
    preset: Annotated[str | None, Parameter(help=preset_help(), metavar="talk|report|fast")] = None,
    summary: Annotated[
        Path | None, Parameter(help="Also write the outcome of each source as JSON.")
    ] = None,
    workers: Annotated[
        int,
        Parameter(
            help="Processes that work at a time, each at one source, with its share of threads."
        ),
    ] = 1,
    verbose: Verbose = False,
    **options: Any,
) -> None:
    """Write the annotated heatmap video of a video or camera, or the heatmap of a photo."""
    _log_to_stderr(verbose)
    settings = Settings(**merged(options, _RUN, preset))
    if not sources:
        raise UsageError("give at least one video, photo, folder or camera")
    from vidsal.jobs import run_all, write_summary
    from vidsal.runtime.atomic_write import claim
    from vidsal.static.models import check_target

    if summary is not None:
        if summary.suffix.lower() != ".json":
            raise UsageError(f"--summary {summary}: a summary is a .json file")
        claim(summary, overwrite=settings.overwrite)
    check_target(settings)
    _warn_of_idle(settings, list(options))
    report = _Report()
    try:
        run_all(sources, settings, tell=report.take, workers=workers)
    finally:
        if summary is not None and report.outcomes:
            write_summary(report.outcomes, summary)
    report.close()


class _Report:
    """Prints the outcome of each source as soon as it is known.

    Attributes
    ----------
    outcomes : list of Outcome
    is_incomplete : bool
        Whether a result could not be printed.
    """

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.is_incomplete = False

    def take(self, outcome: "Outcome") -> None:
        """Print an output's path, or why there is none."""
        self.outcomes.append(outcome)
        if outcome.error is not None:
            _say(outcome.error)
        if outcome.error is not None or outcome.is_skipped:
            return
        # A failed print is no reason to leave out the other sources.
        try:
            _print(str(outcome.output))
        except BrokenPipeError:
            pass
        except VidsalError as error:
            self.is_incomplete = True
            _say(str(error))

    def close(self) -> None:
        """Print counts of several sources.

        Raises
        ------
        SystemExit
            With exit code 1 if a source failed, or a result could not be printed.
        """
        count = len(self.outcomes)
        failed = sum(one.error is not None for one in self.outcomes)
        skipped = sum(one.is_skipped for one in self.outcomes)
        if skipped and count == 1:
            _say(f"skipped: {self.outcomes[0].output} exists")
        elif skipped:
            _say(f"{skipped} of {count} sources skipped: their outputs exist")
        if failed and count > 1:
            _say(f"{failed} of {count} sources failed")
        if failed or self.is_incomplete:
            raise SystemExit(1)


# A batch names its results itself, and its receipts do what these options do.
_NOT_BATCH = ("output", "skip_existing", "resume", "table", "maps", "keep", "sequence")
_BATCH = options_of(Settings, without=_NOT_BATCH)


@app.command(
    help_epilogue=(
        "Examples:\n"
        "  vidsal batch footage/ -o heatmaps/ --recursive\n"
        "  vidsal batch clips.csv -o heatmaps/ --tables --workers 2\n"
        "  vidsal batch 's3://bucket/*.mp4' -o s3://bucket/heatmaps --ray auto\n"
        "The same command again does only what is missing."
    )
)
@with_options(_BATCH)
def batch(
    *sources: Annotated[
        str,
        Parameter(
            help="Video files, photos, folders, quoted globs, lists (.txt), addresses, and "
            "manifests (.csv, .jsonl, .parquet) with the columns source, output and options."
        ),
    ],
    output: Annotated[
        str, Parameter(alias="-o", help="Folder of the results, or its address.", metavar="DIR")
    ],
    workers: Annotated[
        int,
        Parameter(
            help="Processes that work at a time, each at one source, with its share of threads."
        ),
    ] = 1,
    ray: Annotated[
        str | None,
        Parameter(
            help="Work on a Ray cluster: local (started for this run), auto (the one that runs "
            "here), or the address of its head node.",
            metavar="ADDRESS|auto|local",
        ),
    ] = None,
    cpus_per_actor: Annotated[
        float, Parameter(help="CPUs that each worker of the cluster reserves and uses.")
    ] = 1.0,
    gpus_per_actor: Annotated[
        float, Parameter(help="GPUs that each worker of the cluster reserves.")
    ] = 0.0,
    slots: Annotated[
        int | None,
        Parameter(help="Workers on the cluster; default: as many as its nodes have room for."),
    ] = None,
    split: Annotated[
        str | None,
        Parameter(
            help="Split longer videos into parts of about this length, which several workers "
            "process at a time: seconds or HH:MM:SS.",
            metavar="TIME",
        ),
    ] = None,
    tables: Annotated[
        bool,
        Parameter(help="Write a CSV table beside each output.", negative=(), show_default=False),
    ] = False,
    stores: Annotated[
        bool,
        Parameter(
            help="Keep the analysis beside each output, for `vidsal render`.",
            negative=(),
            show_default=False,
        ),
    ] = False,
    retry_failed: Annotated[
        bool,
        Parameter(
            help="Also do sources that failed in an earlier run.", negative=(), show_default=False
        ),
    ] = False,
    preset: Annotated[str | None, Parameter(help=preset_help(), metavar="talk|report|fast")] = None,
    verbose: Verbose = False,
    **options: Any,
) -> None:
    """Write the heatmap videos of many sources, with receipts: nothing is done twice."""
    _log_to_stderr(verbose)
    settings = Settings(**merged(options, _BATCH, preset))
    if not sources:
        raise UsageError("give at least one video, photo, folder, address or manifest")
    from vidsal.batch.run import run_batch

    _warn_of_idle(settings, list(options))
    summary = run_batch(
        sources, output, settings, workers=workers, ray=ray, cpus_per_actor=cpus_per_actor,
        gpus_per_actor=gpus_per_actor, slots=slots, split=split, tables=tables, stores=stores,
        retry_failed=retry_failed, tell=_tell_of_batch,
    )  # fmt: skip
    _say(summary.line())
    _say(f"summary: {summary.path}")
    if summary.count("failed") or summary.failed_before:
        raise SystemExit(1)


def _tell_of_batch(result: "Result") -> None:
    """Print an output's path, or why there is none."""
    if result.status == "failed":
        _say(str(result.error))
    elif result.status == "done":
        # A closed pipe is no reason to leave out the other sources.
        with suppress(BrokenPipeError):
            _print(str(result.output))


_REDRAWN = frozenset(redrawn_options())
_RENDER = {name: one for name, one in options_of(Settings).items() if name in _REDRAWN}


@app.command(
    help_epilogue=(
        "Examples:\n"
        "  vidsal run clip.mp4 --keep clip.vidsal            compute once\n"
        "  vidsal render clip.vidsal --colormap turbo -o turbo.mp4\n"
        "  vidsal render clip.vidsal --style reveal --layout side-by-side -o reveal.mp4\n"
        "  vidsal render clip.vidsal --start 3 --end 5 -o part.gif\n"
        "  vidsal render clip.vidsal --at 2.5 -o still.png   one frame\n"
        "  vidsal render clip.vidsal --sheet 12 -o sheet.png twelve of them\n"
        "Options that are not given stay as they were."
    )
)
@with_options(_RENDER)
def render(
    store: Annotated[
        str, Parameter(help="Store (folder or zip file) that vidsal run --keep wrote.")
    ],
    /,
    *,
    at: Annotated[
        str | None,
        Parameter(
            metavar="TIME",
            help="Write the frame at this time as a picture; several times, separated by commas, "
            "make a contact sheet.",
        ),
    ] = None,
    sheet: Annotated[
        int | None,
        Parameter(metavar="N", help="Write a contact sheet of N frames, at equal distances."),
    ] = None,
    source: Annotated[
        str | None, Parameter(help="The source, if it does not lie where it was.")
    ] = None,
    verbose: Verbose = False,
    **options: Any,
) -> None:
    """Draw another video or picture of a stored analysis, without computing it again."""
    _log_to_stderr(verbose)
    # Not those of a config file: options that are not given stay as they were.
    from vidsal.rendering import process_store, redrawn
    from vidsal.store.reader import open_store

    with open_store(store) as opened:
        _warn_of_idle(redrawn(opened, options), list(options))
        if at is not None or sheet is not None:
            from vidsal.stills import draw_stills

            drawn: Path | None = draw_stills(opened, at=at, sheet=sheet, source=source, **options)
        else:
            drawn = process_store(opened, options, source=source).output
    _print(str(drawn))


_COMPARE = {name: one for name, one in options_of(Settings).items() if name in compared_options()}
# The command words these two itself.
for _name in ("output", "table"):
    _COMPARE.pop(_name)


@app.command(
    help_epilogue=(
        "Examples:\n"
        "  vidsal run clip.mp4 --keep a.vidsal -o a.mp4\n"
        "  vidsal run clip.mp4 --method gradcam --keep b.vidsal -o b.mp4\n"
        "  vidsal compare a.vidsal b.vidsal                  write clip_comparison.mp4\n"
        "  vidsal compare a.vidsal b.vidsal --map static --table figures.csv -o ab.mp4\n"
        "  vidsal compare [abc].vidsal --names one,two,three --width 1280 -o abc.mp4"
    )
)
@with_options(_COMPARE)
def compare(
    *stores: Annotated[
        str,
        Parameter(
            help="Two to six stores (folders or zip files) that vidsal run --keep wrote, of one "
            "source."
        ),
    ],
    map: Annotated[
        Literal["fused", "static", "motion"], Parameter(help="The map that is compared.")
    ] = "fused",
    names: Annotated[
        str | None,
        Parameter(
            help="Names of the stores, separated by commas. Default: what their options differ in."
        ),
    ] = None,
    output: Annotated[
        str | None,
        Parameter(
            alias="-o",
            metavar="PATH",
            help="File to write: .mp4, .mov, .mkv, .webm or .gif for a video, .png or .jpg for a "
            "photo. Default: <name>_comparison.mp4 or .png in the current folder.",
        ),
    ] = None,
    table: Annotated[
        str | None,
        Parameter(
            metavar="PATH",
            help="Also write the figures of each frame: correlation, histogram intersection and "
            "distance of the brightest places (.csv, or .jsonl).",
        ),
    ] = None,
    source: Annotated[
        str | None, Parameter(help="The source, if it does not lie where it was.")
    ] = None,
    verbose: Verbose = False,
    **options: Any,
) -> None:
    """Show stored analyses of one source side by side, with their difference and its figures."""
    _log_to_stderr(verbose)
    from vidsal.comparison import compare_stores

    paths = {"output": output, "table": table}
    options |= {name: path for name, path in paths.items() if path is not None}
    # Not those of a config file, as for render.
    done = compare_stores(
        stores, map=map, names=None if names is None else names.split(","), source=source, **options
    )
    for line in done.lines():
        _say(line)
    _print(str(done.output))


_ENCODING = (
    "overwrite", "codec", "quality", "hardware", "audio", "start", "end", "duration",
)  # fmt: skip
_CROP = options_of(CropOptions) | {
    name: one for name, one in options_of(Settings).items() if name in _ENCODING
}


@app.command(
    help_epilogue=(
        "Examples:\n"
        "  vidsal run clip.mp4 --keep clip.vidsal            compute once\n"
        "  vidsal crop clip.vidsal --aspect 9:16 -o tall.mp4\n"
        "  vidsal crop clip.vidsal --aspect 9:16 -o preview.mp4 --preview\n"
        "  vidsal crop clip.vidsal --aspect 1:1 --path windows.csv    the data alone"
    )
)
@with_options(_CROP)
def crop(
    store: Annotated[
        str, Parameter(help="Store (folder or zip file) that vidsal run --keep wrote.")
    ],
    /,
    *,
    source: Annotated[
        str | None, Parameter(help="The source, if it does not lie where it was.")
    ] = None,
    verbose: Verbose = False,
    **options: Any,
) -> None:
    """Cut a stored analysis' source to another aspect, around what stands out."""
    _log_to_stderr(verbose)
    from vidsal.cropping import crop_store

    own = {field.name for field in fields(CropOptions)}
    chosen = CropOptions(**{name: options[name] for name in own & options.keys()})
    _warn_of_idle(chosen, [*options, *([] if source is None else ["source"])])
    _print("\n".join(map(str, crop_store(store, source=source, **options))))


@app.command(
    help_epilogue=(
        "Examples:\n"
        "  vidsal run clip.mp4 --keep clip.vidsal            compute once\n"
        "  vidsal report clip.vidsal                         write clip_report.html\n"
        "  vidsal report clip.vidsal --video clip_saliency.mp4 -o clip.html\n"
        "  vidsal report stores/ -o reports/index.html       a report each, and an index"
    )
)
def report(
    store: Annotated[
        str,
        Parameter(
            help="Store (folder or zip file) that vidsal run --keep wrote, or a folder of several "
            "of these."
        ),
    ],
    /,
    *,
    output: Annotated[
        Path | None,
        Parameter(
            alias="-o",
            help="HTML file to write. Default: <name>_report.html in the current folder; of "
            "several stores index.html in their folder.",
        ),
    ] = None,
    video: Annotated[
        Path | None,
        Parameter(help="Link this video, such as that of the run, in place of a small one."),
    ] = None,
    embed: Annotated[
        bool,
        Parameter(help="Put the small video into the page, up to 16 MB; else it lies beside it."),
    ] = True,
    source: Annotated[
        str | None, Parameter(help="The source, if it does not lie where it was.")
    ] = None,
    overwrite: Overwrite = False,
    verbose: Verbose = False,
) -> None:
    """Write a page that shows a stored analysis: video, scenes, curves, strongest moments."""
    _log_to_stderr(verbose)
    from vidsal.report.reports import report_store

    page = report_store(store, output, source=source, video=video, embed=embed, overwrite=overwrite)
    _print(str(page))


@app.command(
    help_epilogue=(
        "Examples:\n"
        "  vidsal export clip.vidsal chapters.vtt            chapters for a web page\n"
        "  vidsal export clip.vidsal chapters.ffmeta         chapters for ffmpeg\n"
        "  vidsal export clip.vidsal scenes.csv scenes.json  scenes and moments\n"
        "  vidsal export clip.vidsal cut.otio cut.edl        for video editors"
    )
)
def export(
    store: Annotated[
        str, Parameter(help="Store (folder or zip file) that vidsal run --keep wrote.")
    ],
    *files: Annotated[
        Path,
        Parameter(
            help="Files to write, whose endings name the formats: .vtt, .ffmeta, .csv, "
            ".json, .otio, .edl."
        ),
    ],
    overwrite: Overwrite = False,
    verbose: Verbose = False,
) -> None:
    """Write the scenes and strongest moments of a stored analysis for other programs."""
    _log_to_stderr(verbose)
    from vidsal.report.exports import export_store

    _print("\n".join(map(str, export_store(store, files, overwrite=overwrite))))


# A live source has one pass, in its own order, and no other part of time.
_NOT_LIVE = (
    "maps", "resume", "audio", "start", "end", "every", "strict", "sequence", "batch",
    "recursive", "skip_existing", "keep",
)  # fmt: skip
# Chosen for speed: late maps are worth less than coarse ones.
_LIVE_DEFAULTS = {"static_every": "auto", "flow": "dis", "samples": 8, "precision": "auto"}
_LIVE = options_of(LiveOptions, Settings, without=_NOT_LIVE, defaults=_LIVE_DEFAULTS)


@app.command(
    help_epilogue=(
        "Examples:\n"
        "  vidsal live                                 the first camera, in a window or a page\n"
        "  vidsal live rtsp://192.0.2.7/stream1        a network camera\n"
        "  vidsal live 0 -o session.mp4 --duration 60  record one minute\n"
        "  vidsal live 0 --preview web --host 0.0.0.0  a page for other machines"
    )
)
@with_options(_LIVE)
def live(
    source: Annotated[
        str,
        Parameter(help="The number of a camera, its path, or a stream: rtsp, http, udp, tcp://."),
    ] = "0",
    /,
    *,
    verbose: Verbose = False,
    **options: Any,
) -> None:
    """Show a camera or stream with its saliency as it happens; -o records it in real time."""
    _log_to_stderr(verbose)
    values = merged(options, _LIVE)
    names = LiveOptions.__dataclass_fields__.keys()
    live_options = LiveOptions(**{name: values.pop(name) for name in names & values.keys()})
    # Only typed options come as arguments, whatever the help shows as their defaults.
    settings = Settings(batch=1, **{**_LIVE_DEFAULTS, **values})
    from vidsal.live.session import live as run_live

    summary = run_live(source, settings, live_options, say=_say)
    _warn_of_idle(settings, list(options))
    _say(summary.line())
    if summary.files:
        _print("\n".join(summary.files))


_FAITHFULNESS = options_of(Settings, groups=("Part of the source", *_MEASURED))
_FAITHFULNESS.pop("recursive")


@app.command(
    help_epilogue=(
        "Examples:\n"
        "  vidsal faithfulness cat.jpg dog.jpg --model lite0\n"
        "  vidsal faithfulness clip.mp4 --frames 8 --summary scores.json\n"
        "  vidsal faithfulness photos/*.jpg --protocol rise    beside published figures"
    )
)
@with_options(_FAITHFULNESS)
def faithfulness(
    *sources: Annotated[str, Parameter(help="Photos and videos.")],
    frames: Annotated[int, Parameter(help="Frames taken from each video.")] = 4,
    protocol: Annotated[
        Literal["vidsal", "rise"],
        Parameter(help="How deletion and insertion are measured; rise: as RISE's paper does."),
    ] = "vidsal",
    cascade: Annotated[
        bool, Parameter(help="Also randomise the last layers alone.", negative=())
    ] = False,
    summary: Annotated[Path | None, Parameter(help="Also write the figures as JSON.")] = None,
    overwrite: Overwrite = False,
    verbose: Verbose = False,
    **options: Any,
) -> None:
    """Measure whether the static maps explain the network: deletion, insertion, random weights."""
    _log_to_stderr(verbose)
    settings = Settings(**merged(options, _FAITHFULNESS))
    if not sources:
        raise UsageError("give at least one photo or video")
    if frames < 1:
        raise UsageError(f"--frames must be 1 or more, got {frames}")
    # The seed also makes the random weights.
    _warn_of_idle(settings, [name for name in options if name != "seed"])
    from vidsal.evaluation.faithfulness import faithfulness as measure
    from vidsal.evaluation.report import write_json
    from vidsal.runtime.atomic_write import claim

    if summary is not None:
        claim(summary, overwrite=overwrite)

    report = measure(sources, settings, frames_per_clip=frames, protocol=protocol, cascade=cascade)
    if summary is not None:
        write_json(report, summary)
    _print("\n".join(report.lines()))


_EVALUATE = options_of(
    Settings, groups=(*_MEASURED, "Scale and fusion"),
    without=("model", "fusion", "centre_prior", "seed"),
)  # fmt: skip


@app.command(
    help_epilogue=(
        "Examples:\n"
        "  vidsal evaluate data/clips --models resnet50 lite0\n"
        "  vidsal evaluate data/photos --markdown scores.md --against other=maps/"
    )
)
@with_options(_EVALUATE)
def evaluate(
    *folders: Annotated[
        Path, Parameter(help="Clips or photos with ground truth; the guide describes the layouts.")
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
            help="NAME=DIR: also score another program's maps (CLIP/NNNNN.png, PHOTO.png), or "
            "those of vidsal run --maps.",
            negative=(),
        ),
    ]
    | None = None,
    frames_per_clip: Annotated[int, Parameter(help="Frames scored in each clip.")] = 12,
    seed: Annotated[int, Parameter(help="Which frames are scored, and the noise.")] = 0,
    json: Annotated[Path | None, Parameter(help="Also write the scores as JSON.")] = None,
    markdown: Annotated[Path | None, Parameter(help="Also write the tables as Markdown.")] = None,
    overwrite: Overwrite = False,
    verbose: Verbose = False,
    **options: Any,
) -> None:
    """Score the maps against what people look at, and where objects are."""
    _log_to_stderr(verbose)
    settings = Settings(seed=seed, **merged(options, _EVALUATE))
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
    # --models names the network that --preprocess is for, and the settings do not.
    _warn_of_idle(settings, [name for name in options if name != "preprocess"])
    from vidsal.evaluation.evaluate import evaluate as score
    from vidsal.evaluation.report import write_report
    from vidsal.runtime.atomic_write import claim

    for path in (json, markdown):
        if path is not None:
            claim(path, overwrite=overwrite)
    report = score(
        folders, settings, models=models or (), fusions=fusion or (), against=theirs,
        frames_per_clip=frames_per_clip, seed=seed, progress=choose_progress(True, unit="clips"),
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


@app.command(
    help_epilogue="Examples:\n"
    "  vidsal models                    networks\n"
    "  vidsal models lite0              the layers that --layer auto and the strides stand for\n"
    "  vidsal models lite0 --layers     all layers, for --layer\n"
    "  vidsal run clip.mp4 --model lite0"
)
def models(
    name: Annotated[str, Parameter(help="Network or saved model whose layers are listed.")] = "",
    /,
    *,
    layers: Annotated[bool, Parameter(help="List all layers.", negative=())] = False,
    trust_model: Annotated[
        bool, Parameter(help="Load a file that contains Lambda layers.", negative=())
    ] = False,
) -> None:
    """List the networks that can be used, or the layers of one."""
    from vidsal.doctor import layer_lines, model_lines

    if layers and not name:
        raise UsageError("--layers needs a network: vidsal models lite0 --layers")
    if not name:
        _print("\n".join(model_lines()))
        return
    from vidsal.static.models import network_layers

    settings = Settings(model=name, trust_model=trust_model)
    _print("\n".join(layer_lines(*network_layers(settings), shows_all=layers)))


@app.command(
    help_epilogue="Examples:\n"
    "  vidsal classes cat                     classes with the word cat, and their indices\n"
    "  vidsal classes                         all 1000 classes of ImageNet\n"
    "  vidsal classes --labels names.txt      classes of your own network\n"
    "  vidsal run clip.mp4 --target 281       explain class 281, tabby"
)
def classes(
    word: Annotated[str, Parameter(help="Only classes with this word in a name.")] = "",
    /,
    *,
    labels: Annotated[
        Path | None, Parameter(help="Class names of a saved model, one a line.")
    ] = None,
) -> None:
    """List the names of classes with their indices, for --target."""
    from vidsal.static.labels import imagenet_classes, read_labels
    from vidsal.static.suggestions import (
        classes_with_word,
        described,
        did_you_mean,
        suggest_classes,
    )

    known = imagenet_classes() if labels is None else read_labels(labels)
    chosen = classes_with_word(word, known) if word else known
    if not chosen:
        hint = did_you_mean(suggest_classes(word, known))
        raise VidsalError(f"no class has the word {word!r} in its name{hint}")
    _print("\n".join(f"{one.index:>4}  {described(one)}" for one in chosen))


@app.command(help_epilogue="Examples:\n  vidsal doctor\n  vidsal doctor > report.txt")
def doctor() -> None:
    """Show what vidsal finds on this machine: one screen for a bug report."""
    from vidsal.doctor import report

    lines = list(report())
    _print("\n".join(lines))
    if any(" PROBLEM: " in line for line in lines):
        raise VidsalError("PROBLEM marks what has to be put right")


@app.command(
    name="--install-completion",
    help_epilogue="Examples:\n"
    "  vidsal --install-completion\n"
    "  vidsal --install-completion --shell zsh",
)
def install_completion(
    *,
    shell: Annotated[
        Literal["bash", "zsh", "fish", "powershell"] | None,
        Parameter(help="Default: the shell that vidsal is started from."),
    ] = None,
) -> None:
    """Let the shell complete commands, options and file names."""
    from cyclopts.completion.detect import ShellDetectionError, detect_shell

    try:
        used = shell or detect_shell()
        startup = Path.home() / _STARTUP_FILES[used] if used in _STARTUP_FILES else None
        before = _bytes_in(startup)
        path = app.install_completion(shell=used)
    except ShellDetectionError as error:
        raise UsageError(
            "the shell is not known: give --shell bash, zsh, fish or powershell"
        ) from error
    except OSError as error:
        raise VidsalError(f"cannot write {error.filename}: {error.strerror}") from error
    _print(str(path))
    if _bytes_in(startup) != before:
        loaded = f", and {startup} is changed to load it"
    elif used == "powershell":
        loaded = ", and your PowerShell profile loads it"
    else:
        loaded = ""
    _say(f"completion is installed{loaded}: open a new terminal to use it")


# Files of the home folder to which the installation adds a line.
_STARTUP_FILES = {"bash": ".bashrc", "zsh": ".zshrc"}


def _bytes_in(path: Path | None) -> bytes:
    """Return what is in a file, nothing where there is none."""
    return path.read_bytes() if path is not None and path.exists() else b""
