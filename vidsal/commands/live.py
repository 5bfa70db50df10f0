"""``vidsal live``: a camera or stream as it happens."""

from typing import Annotated, Any

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
from vidsal.settings import (
    LiveOptions,
    Settings,
)

# A live source has one pass in its own order, and a part of it cannot be chosen.
_NOT_LIVE = (
    "maps", "resume", "audio", "start", "end", "every", "strict", "sequence", "batch",
    "recursive", "skip_existing", "keep",
)  # fmt: skip
# Chosen for speed: a coarse map is better than a late map.
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
    log_to_stderr(verbose)
    values = merged(options, _LIVE)
    names = LiveOptions.__dataclass_fields__.keys()
    live_options = LiveOptions(**{name: values.pop(name) for name in names & values.keys()})
    # Only typed options arrive as arguments, even if the help shows defaults for others.
    settings = Settings(batch=1, **{**_LIVE_DEFAULTS, **values})
    from vidsal.live.session import live as run_live

    summary = run_live(source, settings, live_options, say=say)
    warn_of_idle(settings, list(options))
    say(summary.line())
    if summary.files:
        print_result("\n".join(summary.files))
