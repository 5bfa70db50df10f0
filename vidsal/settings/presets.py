"""Presets: options that go together, by one name."""

from typing import Any, Literal

from vidsal.errors import UsageError, flag
from vidsal.settings.declaration import choice_message

Preset = Literal["talk", "report", "fast"]
# Options that go together. Options of a command line or a config file win over them, one by one.
PRESETS: dict[Preset, dict[str, Any]] = {
    # One slide: the input beside the result, as wide as a Full HD projector shows.
    "talk": {"layout": "side-by-side", "width": 1920, "quality": 90},
    # A figure and its numbers: how both halves make the fused map, regions as boxes, one CSV file
    # a source in the current folder, and more samples for maps with less noise.
    "report": {"layout": "quad", "width": 1920, "boxes": 0.5, "samples": 32, "table": "."},
    # What costs time and hardly any truth: the arithmetic that is faster here
    # (in bfloat16 gaze NSS 1.942 instead of 1.950, DAVIS max-F .744 instead of .746).
    "fast": {"precision": "auto", "predict_every": 1.0},
}  # fmt: skip


def preset_options(name: str) -> dict[str, Any]:
    """Return the options that a preset stands for.

    Parameters
    ----------
    name : str
        Name of the preset.

    Raises
    ------
    UsageError
        If there is no preset of this name.
    """
    if name not in PRESETS:
        raise UsageError(choice_message("preset", name, PRESETS))
    return dict(PRESETS[name])


def preset_help() -> str:
    """Return the options of each preset, as flags of the command line."""
    described = [
        f"{name} ({', '.join(f'{flag(key)} {value}' for key, value in options.items())})"
        for name, options in PRESETS.items()
    ]
    return f"Options that go together: {'; '.join(described)}. Options that are given win."
