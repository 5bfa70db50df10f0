"""The schema of a store: its arrays, and how maps become whole numbers. Pure maths."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidsal.errors import VidsalError
from vidsal.types import Map

# Stores of another number cannot be read: it changes when an array changes its meaning.
SCHEMA = 1
# How the name of a store ends: that of a folder, and that of one zip file.
SUFFIX, ZIP_SUFFIX = ".vidsal", ".vidsal.zip"
# Places of a frame in its scene, by their numbers in the array "event"; see
# `vidsal.saliency.scenes.SceneDetector`.
EVENTS = ("first", "same", "flash", "return", "rejoin", "cut", "recut")
# Models of the camera's motion, by their numbers in the array "camera_model".
CAMERAS = ("none", "median", "similarity", "affine", "homography")
# Maps of a store, each with an array of its scales, and the largest number in them. Pictures are
# drawn of the first two; the fused map is there to be read.
MAPS = {"gradient": 32767, "speed": 32767, "fused": 255}


class Column(NamedTuple):
    """One value a frame: the array's name, type, and the sides of each value beside time."""

    name: str
    dtype: str
    sides: tuple[tuple[str, int], ...] = ()


COLUMNS = (
    Column("index", "int64"), Column("time_s", "float64"), Column("event", "uint8"),
    *(Column(f"{name}_scale", "float32") for name in MAPS),
    Column("camera", "float32", (("camera_row", 3), ("camera_column", 3))),
    Column("camera_model", "uint8"), Column("camera_inlier_share", "float32"),
    Column("class_id", "int32", (("rank", 5),)),
    Column("probability", "float32", (("rank", 5),)),
    Column("target_id", "int32"), Column("target_probability", "float32"),
    Column("static_high", "float32"), Column("motion_high", "float32"),
    Column("fused_high", "float32"), Column("motion_share", "float32"),
    Column("peak", "float32", (("side", 2),)),
)  # fmt: skip


def is_store_name(path: Path) -> bool:
    """Return whether a name ends as that of a store.

    Parameters
    ----------
    path : Path
    """
    return path.name.lower().endswith((SUFFIX, ZIP_SUFFIX))


def is_zip(path: Path) -> bool:
    """Return whether a store of this name is one file.

    Parameters
    ----------
    path : Path
    """
    return path.name.lower().endswith(ZIP_SUFFIX)


def levels_of(values: Map, top: int) -> tuple[NDArray[np.int16], float]:
    """Return a map as whole numbers, and the value of one of them.

    Parameters
    ----------
    values : (h, w) float32 array
        Of any sign.
    top : int
        The number of the largest magnitude, up to 32767.

    Returns
    -------
    levels : (h, w) int16 array
        Rounded to the nearest.
    scale : float
        `levels` x scale are the values. 0 for a map of zeros.
    """
    scale = np.float32(float(np.abs(values).max(initial=0.0)) / top)
    # The scale of a subnormal map is 0, too.
    if not scale > 0:
        return np.zeros(values.shape, np.int16), 0.0
    return np.clip(np.rint(values / scale), -top, top).astype(np.int16), float(scale)


def values_of(levels: NDArray[np.int16], scale: float) -> Map:
    """Return the map of whole numbers.

    Parameters
    ----------
    levels : (h, w) int16 array
    scale : float
        See `levels_of`.

    Returns
    -------
    (h, w) float32 array
    """
    return np.asarray(levels * np.float32(scale), np.float32)


def require_schema(found: object, path: object) -> None:
    """Raise `VidsalError` if a store has another schema.

    Parameters
    ----------
    found : object
        The number that the store names.
    path : object
        The store, for the message.

    Raises
    ------
    VidsalError
    """
    if found == SCHEMA:
        return
    if isinstance(found, int) and found > SCHEMA:
        raise VidsalError(f"{path} was written by a newer vidsal (schema {found}): update vidsal")
    raise VidsalError(f"{path} is not a store that this vidsal can read (schema {found})")
