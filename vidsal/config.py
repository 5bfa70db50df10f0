"""Options from a file in the current folder: ``vidsal.toml``, or a table of ``pyproject.toml``."""

import dataclasses
import logging
from pathlib import Path
from typing import Any

from vidsal.errors import UsageError
from vidsal.settings import LiveOptions, Settings, checked_option
from vidsal.settings.presets import preset_options

log = logging.getLogger(__name__)

_OWN_FILE = "vidsal.toml"
_PROJECT_FILE, _TABLE = "pyproject.toml", "[tool.vidsal]"


def read_config(folder: Path = Path()) -> dict[str, Any]:
    """Return the options that the config file of a folder sets.

    ``vidsal.toml`` holds options at its top level. Without that file, the table ``[tool.vidsal]``
    of ``pyproject.toml`` is read. A key is the name of an option, with hyphens or underscores:
    ``short-side = 320`` or ``short_side = 320``; ``preset`` is one, too.

    Parameters
    ----------
    folder : Path, optional
        The current folder by default.

    Returns
    -------
    dict of str
        Checked values by the names of the fields of `vidsal.Settings` and
        `vidsal.settings.LiveOptions`, and ``preset``.

    Raises
    ------
    UsageError
        If the file cannot be read, or a key or a value is wrong: the line names the file and key.
    """
    name, table = _table(folder)
    options: dict[str, Any] = {}
    for key, value in table.items():
        option = key.replace("-", "_")
        if option in options:
            raise UsageError(f"{name}: {key!r} is given twice")
        options[option] = _checked(name, key, value)
    if options:
        log.info("options from %s: %s", name, ", ".join(table))
    return options


def _table(folder: Path) -> tuple[str, dict[str, Any]]:
    """Return the name of the file and table that is read, and its content."""
    own, project = folder / _OWN_FILE, folder / _PROJECT_FILE
    if own.is_file():
        return str(own), _parsed(own)
    # Most files of this name say nothing about vidsal: they need not be parsed, or even be valid.
    if project.is_file() and b"vidsal" in project.read_bytes():
        table = _parsed(project).get("tool", {}).get("vidsal", {})
        return f"{project} {_TABLE}", table
    return "", {}


def _parsed(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file."""
    # This import takes a fortieth of the time of ``vidsal --help``.
    import tomllib

    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as TOML: {error}") from error


def _checked(name: str, key: str, value: Any) -> Any:
    """Return the value of a key as the type of its option."""
    option = key.replace("-", "_")
    known = [field.name for of in (Settings, LiveOptions) for field in dataclasses.fields(of)]
    try:
        if option == "preset":
            preset_options(value)
            return value
        if option in known:
            return checked_option(option, value)
    except UsageError as error:
        raise UsageError(f"{name}, key {key!r}: {error}") from error
    import difflib

    near = difflib.get_close_matches(option, [*known, "preset"], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise UsageError(f"{name}: there is no option {key!r}{hint}")
