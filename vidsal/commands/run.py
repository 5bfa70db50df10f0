"""``vidsal run``: sources to outputs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from vidsal.command_options import merged, options_of, with_options
from vidsal.commands.program import (
    Verbose,
    app,
    log_to_stderr,
    print_result,
    say,
    warn_of_idle,
)
from vidsal.errors import UsageError, VidsalError
from vidsal.settings import (
    Settings,
)
from vidsal.settings.presets import preset_help

if TYPE_CHECKING:
    from vidsal.pipeline import Outcome


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
    log_to_stderr(verbose)
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
    warn_of_idle(settings, list(options))
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
            say(outcome.error)
        if outcome.error is not None or outcome.is_skipped:
            return
        # A failed print must not stop the other sources.
        try:
            print_result(str(outcome.output))
        except BrokenPipeError:
            pass
        except VidsalError as error:
            self.is_incomplete = True
            say(str(error))

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
            say(f"skipped: {self.outcomes[0].output} exists")
        elif skipped:
            say(f"{skipped} of {count} sources skipped: their outputs exist")
        if failed and count > 1:
            say(f"{failed} of {count} sources failed")
        if failed or self.is_incomplete:
            raise SystemExit(1)
