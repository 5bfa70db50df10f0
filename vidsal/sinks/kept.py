"""What a store says of its run, beside the values of the frames."""

import logging
from typing import Any

from vidsal.settings import Settings
from vidsal.sinks.fingerprint import source_identity
from vidsal.store.reader import saved_settings
from vidsal.types import SourceInfo

log = logging.getLogger(__name__)


def description(
    info: SourceInfo, settings: Settings, class_names: tuple[str, ...]
) -> dict[str, Any]:
    """Return what holds for all frames of a run: its source and its settings.

    Parameters
    ----------
    info : SourceInfo
    settings : Settings
    class_names : tuple of str
        Of the network; empty without one.

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
