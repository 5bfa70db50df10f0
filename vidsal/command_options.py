"""Options of the command line, made from the fields of `Settings` and `LiveOptions`."""

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any

from cyclopts import Group, Parameter, Token

from vidsal.config import read_config
from vidsal.settings.declaration import choices_of
from vidsal.settings.presets import preset_options
from vidsal.settings.values import (
    parse_aspect,
    parse_every,
    parse_model,
    parse_path,
    parse_rate,
    parse_time,
    parse_warmup,
)

Command = Callable[..., None]
# Options of a command, by the name of the field that each sets.
Options = dict[str, inspect.Parameter]

# Fields with these parsers get the typed text as it is.
_METAVARS = {
    parse_time: "TIME", parse_rate: "RATE", parse_path: "PATH", parse_warmup: "TIME",
    parse_every: "auto|INT", parse_model: "NAME|FILE", parse_aspect: "W:H",
}  # fmt: skip


def options_of(
    *classes: type,
    groups: Iterable[str] = (),
    without: Iterable[str] = (),
    defaults: Mapping[str, Any] | None = None,
) -> Options:
    """Return one option for each field of some classes of options.

    Parameters
    ----------
    classes : type
        `Settings` or another class of options of `vidsal.settings`.
    groups : iterable of str
        Groups whose fields are taken; all by default.
    without : iterable of str
        Fields that are left out.
    defaults : mapping of str
        Defaults that differ from the fields' own.
    """
    return {
        one.name: one.replace(default=(defaults or {}).get(one.name, one.default))
        for of in classes
        for group, one in _parameters(of)
        if (not groups or group in groups) and one.name not in without
    }


def with_options(options: Options) -> Callable[[Command], Command]:
    """Return a decorator that appends options to the signature of a command with ``**kwargs``.

    Parameters
    ----------
    options : dict of str to inspect.Parameter
        The added parameters, by name.
    """

    def extended(command: Command) -> Command:
        own = inspect.signature(command).parameters.values()
        kept = [one for one in own if one.kind is not inspect.Parameter.VAR_KEYWORD]
        signature = inspect.Signature(kept + list(options.values()))
        command.__signature__ = signature  # type: ignore[attr-defined]
        return command

    return extended


def merged(typed: Mapping[str, Any], known: Options, preset: str | None = None) -> dict[str, Any]:
    """Return the options of a command: typed ones, else those of the config file, else the preset.

    Parameters
    ----------
    typed : mapping of str
        Options of the command line.
    known : dict
        All options that the command has; others of the config file are for other commands.
    preset : str, optional
        Name of a preset; by default the one of the config file, if it names one.

    Raises
    ------
    UsageError
        If the config file or the preset is wrong.
    """
    config = read_config()
    name = preset or config.pop("preset", None)
    values = {**(preset_options(name) if name else {}), **config}
    # A typed option excludes its opposite, whichever file or preset sets that.
    for one, other in (("overwrite", "skip_existing"), ("skip_existing", "overwrite")):
        if typed.get(one):
            values.pop(other, None)
    return {**{name: values[name] for name in values if name in known}, **typed}


def _parameters(of: Any) -> Iterator[tuple[str, inspect.Parameter]]:
    """Yield an option for each field, with the name of its group."""
    groups: dict[str, Group] = {}
    for field in dataclasses.fields(of):
        name = field.metadata["group"]
        group = groups.setdefault(name, Group(name, sort_key=len(groups) + 1))
        metavar = _METAVARS.get(field.metadata["parse"])
        about = Parameter(
            help=field.metadata["help"],
            group=group,
            alias=field.metadata["short"],
            metavar=metavar,
            converter=_converter(field.type),
            # Only options that are on by default need an opposite.
            negative=None if field.default is True else (),
            show_default=False if field.default is False else None,
        )
        kind = (str if isinstance(field.default, str) else str | None) if metavar else field.type
        parameter = inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=Annotated[kind, about],
        )
        yield name, parameter


def _converter(kind: Any) -> Callable[[type, Sequence[Token]], Any] | None:
    if kind is int:
        return _whole_number
    return _text if choices_of(kind) else None


def _whole_number(_: type, tokens: Sequence[Token]) -> int:
    """Return a whole number; the parser itself would round others to one."""
    text = tokens[0].value
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise ValueError(f"expected a whole number, got {text!r}")
    return int(text)


def _text(_: type, tokens: Sequence[Token]) -> str:
    """Return one of several words unchecked: `Settings` checks it, and suggests another one."""
    return tokens[0].value
