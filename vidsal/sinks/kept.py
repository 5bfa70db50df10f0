"""Description of a run in its store, besides the values of the frames."""

import dataclasses
import json
import logging
from typing import Any

from vidsal.settings import Settings
from vidsal.sinks.fingerprint import source_identity
from vidsal.types import SourceInfo

log = logging.getLogger(__name__)

# Options of a run that are not saved in its store.
_NOT_SAVED = ("output", "table", "maps", "keep", "overwrite", "skip_existing", "resume")
# Options for the videos of a folder. They have no effect on its photos.
_NOT_OF_PHOTOS = ("start", "end", "duration", "every", "fps", "sequence")


def description(
    info: SourceInfo, settings: Settings, class_names: tuple[str, ...]
) -> dict[str, Any]:
    """Return the values that apply to all frames of a run: its source and its settings.

    Parameters
    ----------
    info : SourceInfo
    settings : Settings
    class_names : tuple of str
        Names of the network's classes; empty without a network.

    Raises
    ------
    VidsalError
        If a file of the source cannot be read.
    """
    source = source_identity(info)
    if "checksum" not in source:
        log.warning("%s is no file: its store can be read, but not drawn again", info.name)
    return {
        "source": source,
        "settings": saved_settings(settings, is_photo=info.fps is None),
        "fps": None if info.fps is None else str(info.fps),
        "height_px": info.height_px,
        "width_px": info.width_px,
        "class_names": list(class_names),
    }


def saved_settings(settings: Settings, *, is_photo: bool = False) -> dict[str, Any]:
    """Return the options of a run that differ from their defaults, for JSON.

    Options that name the results, or say what happens to earlier results, are left out.

    Parameters
    ----------
    settings : Settings
    is_photo : bool
        Also leave out the options of time, because they affect only videos.
    """
    left_out = (*_NOT_SAVED, *(_NOT_OF_PHOTOS if is_photo else ()))
    values: dict[str, Any] = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if field.name == "model":
            value = settings.model_name
        if value != field.default and field.name not in left_out:
            is_plain = isinstance(value, (bool, int, float, str))
            values[field.name] = value if is_plain else str(value)
    json.dumps(values)
    return values
