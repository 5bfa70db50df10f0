"""Commands that show what there is: models, classes, doctor, completion."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from vidsal.commands.program import (
    app,
    print_result,
    say,
)
from vidsal.errors import UsageError, VidsalError
from vidsal.settings import (
    Settings,
)


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
        print_result("\n".join(model_lines()))
        return
    from vidsal.static.models import network_layers

    settings = Settings(model=name, trust_model=trust_model)
    print_result("\n".join(layer_lines(*network_layers(settings), shows_all=layers)))


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
    print_result("\n".join(f"{one.index:>4}  {described(one)}" for one in chosen))


@app.command(help_epilogue="Examples:\n  vidsal doctor\n  vidsal doctor > report.txt")
def doctor() -> None:
    """Show what vidsal finds on this machine: one screen for a bug report."""
    from vidsal.doctor import report

    lines = list(report())
    print_result("\n".join(lines))
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
    print_result(str(path))
    if _bytes_in(startup) != before:
        loaded = f", and {startup} is changed to load it"
    elif used == "powershell":
        loaded = ", and your PowerShell profile loads it"
    else:
        loaded = ""
    say(f"completion is installed{loaded}: open a new terminal to use it")


# Files in the home folder to which the installation adds a line.
_STARTUP_FILES = {"bash": ".bashrc", "zsh": ".zshrc"}


def _bytes_in(path: Path | None) -> bytes:
    """Return what is in a file, nothing where there is none."""
    return path.read_bytes() if path is not None and path.exists() else b""
