"""``vidsal batch``: many sources, with receipts."""

from contextlib import suppress
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
from vidsal.errors import UsageError
from vidsal.settings import Settings
from vidsal.settings.presets import preset_help

if TYPE_CHECKING:
    from vidsal.batches.receipts import Result


# A batch names its results itself, and its receipts have the function of these options.
_NOT_BATCH = ("output", "skip_existing", "resume", "table", "maps", "keep", "sequence")
_BATCH = options_of(Settings, without=_NOT_BATCH)
# A preset or a config file may ask for a table.
_KNOWN = options_of(Settings, without=set(_NOT_BATCH) - {"table"})


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
    preset: Annotated[
        str | None,
        Parameter(
            help=f"{preset_help()} In a batch --table means --tables.", metavar="talk|report|fast"
        ),
    ] = None,
    verbose: Verbose = False,
    **options: Any,
) -> None:
    """Write the heatmap videos of many sources, with receipts: nothing is done twice."""
    log_to_stderr(verbose)
    values = merged(options, _KNOWN, preset)
    tables = values.pop("table", None) is not None or tables
    settings = Settings(**values)
    if not sources:
        raise UsageError("give at least one video, photo, folder, address or manifest")
    from vidsal.batches import run

    warn_of_idle(settings, list(options))
    summary = run.batch(
        sources, output, settings, workers=workers, ray=ray, cpus_per_actor=cpus_per_actor,
        gpus_per_actor=gpus_per_actor, slots=slots, split=split, tables=tables, stores=stores,
        retry_failed=retry_failed, tell=_tell_of_batch,
    )  # fmt: skip
    say(summary.line())
    say(f"summary: {summary.path}")
    if summary.count("failed") or summary.failed_before:
        raise SystemExit(1)


def _tell_of_batch(result: "Result") -> None:
    """Print an output's path, or why there is none."""
    if result.status == "failed":
        say(str(result.error))
    elif result.status == "done":
        # A closed pipe must not stop the other sources.
        with suppress(BrokenPipeError):
            print_result(str(result.output))
