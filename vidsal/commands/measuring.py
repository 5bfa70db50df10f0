"""Commands that measure maps: faithfulness, evaluate."""

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from vidsal.command_options import merged, options_of, with_options
from vidsal.commands.program import (
    Overwrite,
    Verbose,
    app,
    log_to_stderr,
    print_result,
    warn_of_idle,
)
from vidsal.errors import UsageError
from vidsal.runtime.progress import choose_progress
from vidsal.settings import (
    Fusion,
    Settings,
)

# The groups of options for commands that measure maps and draw nothing.
_MEASURED = ("Network", "Static map", "Motion")

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
    log_to_stderr(verbose)
    settings = Settings(**merged(options, _FAITHFULNESS))
    if not sources:
        raise UsageError("give at least one photo or video")
    if frames < 1:
        raise UsageError(f"--frames must be 1 or more, got {frames}")
    # The seed also determines the random weights.
    warn_of_idle(settings, [name for name in options if name != "seed"])
    from vidsal.evaluation.faithfulness import faithfulness as measure
    from vidsal.evaluation.report import write_json
    from vidsal.runtime.atomic_write import claim

    if summary is not None:
        claim(summary, overwrite=overwrite)

    report = measure(sources, settings, frames_per_clip=frames, protocol=protocol, cascade=cascade)
    if summary is not None:
        write_json(report, summary)
    print_result("\n".join(report.lines()))


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
    log_to_stderr(verbose)
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
    # --preprocess applies to the network of --models, which the settings do not contain.
    warn_of_idle(settings, [name for name in options if name != "preprocess"])
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
    print_result("\n".join(report.lines()))


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
