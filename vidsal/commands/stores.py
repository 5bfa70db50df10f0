"""Commands on stored analyses: render, compare, crop, report, export."""

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from vidsal.command_options import options_of, with_options
from vidsal.commands.program import (
    Overwrite,
    Verbose,
    app,
    log_to_stderr,
    print_result,
    say,
    warn_of_idle,
)
from vidsal.settings import Settings
from vidsal.settings.stored import CropOptions, compared_options, redrawn_options

MovedSource = Annotated[str | None, Parameter(help="The source, if it does not lie where it was.")]
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
    source: MovedSource = None,
    verbose: Verbose = False,
    **options: Any,
) -> None:
    """Draw another video or picture of a stored analysis, without computing it again."""
    log_to_stderr(verbose)
    # Options of a config file are ignored: options that are not given keep their stored values.
    from vidsal.rendering import process_store, redrawn
    from vidsal.store.opening import open_store

    with open_store(store) as opened:
        warn_of_idle(redrawn(opened, options), list(options))
        if at is not None or sheet is not None:
            from vidsal.stills import draw_stills

            drawn: Path | None = draw_stills(opened, at=at, sheet=sheet, source=source, **options)
        else:
            drawn = process_store(opened, options, source=source).output
    print_result(str(drawn))


_COMPARE = {name: one for name, one in options_of(Settings).items() if name in compared_options()}
# The command declares these two options itself.
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
    source: MovedSource = None,
    verbose: Verbose = False,
    **options: Any,
) -> None:
    """Show stored analyses of one source side by side, with their difference and its figures."""
    log_to_stderr(verbose)
    from vidsal.comparison import compare_stores

    paths = {"output": output, "table": table}
    options |= {name: path for name, path in paths.items() if path is not None}
    # Options of a config file are ignored, as for render.
    done = compare_stores(
        stores, map=map, names=None if names is None else names.split(","), source=source, **options
    )
    for line in done.lines():
        say(line)
    print_result(str(done.output))


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
    source: MovedSource = None,
    verbose: Verbose = False,
    **options: Any,
) -> None:
    """Cut a stored analysis' source to another aspect, around what stands out."""
    log_to_stderr(verbose)
    from vidsal.cropping import crop_store

    own = {field.name for field in fields(CropOptions)}
    chosen = CropOptions(**{name: options[name] for name in own & options.keys()})
    warn_of_idle(chosen, [*options, *([] if source is None else ["source"])])
    print_result("\n".join(map(str, crop_store(store, source=source, **options))))


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
    source: MovedSource = None,
    overwrite: Overwrite = False,
    verbose: Verbose = False,
) -> None:
    """Write a page that shows a stored analysis: video, scenes, curves, strongest moments."""
    log_to_stderr(verbose)
    from vidsal.report.reports import report_store

    page = report_store(store, output, source=source, video=video, embed=embed, overwrite=overwrite)
    print_result(str(page))


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
    log_to_stderr(verbose)
    from vidsal.report.exports import export_store

    print_result("\n".join(map(str, export_store(store, files, overwrite=overwrite))))
