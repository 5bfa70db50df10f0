"""The schema of a store: its arrays, and the conversion of maps to whole numbers. Pure maths."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidsal.errors import VidsalError
from vidsal.types import Map

# The number changes when an array changes its meaning. Stores with another number cannot be read.
SCHEMA = 2
# The endings of a store's name: for a folder, and for a zip file.
SUFFIX, ZIP_SUFFIX = ".vidsal", ".vidsal.zip"
# Events of a frame in its scene, by their numbers in the array "event"; see
# `vidsal.saliency.scenes.SceneDetector`.
EVENTS = ("first", "same", "flash", "return", "rejoin", "cut", "recut")
# Models of the camera's motion, by their numbers in the array "camera_model".
CAMERAS = ("none", "median", "similarity", "affine", "homography")
# Maps of a store, with the largest number in each. Each map also has an array of its scales.
# Pictures are drawn from the first two maps. The fused map is stored for readers.
MAPS = {"gradient": 32767, "speed": 32767, "fused": 255}


class Column(NamedTuple):
    """An array with one value per frame: its name, type, and the names of its axes after time."""

    name: str
    dtype: str
    sides: tuple[str, ...] = ()


COLUMNS = (
    Column("frame", "int64"), Column("time_s", "float64"), Column("event", "uint8"),
    *(Column(f"{name}_scale", "float32") for name in MAPS),
    Column("camera", "float32", ("camera_row", "camera_column")),
    Column("camera_model", "uint8"), Column("camera_inlier_share", "float64"),
    Column("class_id", "int32", ("rank",)),
    Column("probability", "float64", ("rank",)),
    Column("target_id", "int32"), Column("target_probability", "float64"),
    Column("prediction_row", "int32"),
    Column("static_high", "float64"), Column("motion_high", "float64"),
    Column("fused_high", "float64"), Column("motion_share", "float64"),
    Column("speed_median", "float64"), Column("speed_p95", "float64"),
    Column("peak", "float64", ("side",)), Column("marker", "float64", ("side",)),
    Column("centroid", "float64", ("side",)),
)  # fmt: skip
# Values of each prediction. They have their own axis, because networks classify only a few frames
# per second. A frame's "prediction_row" is an index on this axis. float16 keeps three digits.
PREDICTIONS = (Column("class_probability", "float16", ("class",)), Column("predicted_s", "float64"))
PREDICTION_ARRAYS = tuple(column.name for column in PREDICTIONS)
# The arrays that a store may have.
ARRAYS = (*MAPS, *(column.name for column in COLUMNS), *PREDICTION_ARRAYS)


def length_of(name: str, about: dict[str, Any]) -> int:
    """Return the length of an array's first axis.

    Parameters
    ----------
    name : str
    about : dict
        The attributes of the store.
    """
    return int(about["predictions" if name in PREDICTION_ARRAYS else "frames"])


def is_store_name(path: Path) -> bool:
    """Return whether a name has the ending of a store.

    Parameters
    ----------
    path : Path
    """
    return path.name.lower().endswith((SUFFIX, ZIP_SUFFIX))


def stem_of(path: Path) -> str:
    """Return the name of a store without its ending.

    Parameters
    ----------
    path : Path
    """
    name = path.name
    ending = next((one for one in (ZIP_SUFFIX, SUFFIX) if name.lower().endswith(one)), "")
    return name[: len(name) - len(ending)]


def is_zip(path: Path) -> bool:
    """Return whether a store of this name is a zip file.

    Parameters
    ----------
    path : Path
    """
    return path.name.lower().endswith(ZIP_SUFFIX)


def levels_of(values: Map, top: int) -> tuple[NDArray[np.int16], float]:
    """Return a map as whole numbers, and their scale.

    Parameters
    ----------
    values : (h, w) float32 array
        Values of any sign.
    top : int
        The whole number for the largest magnitude, up to 32767.

    Returns
    -------
    levels : (h, w) int16 array
        Rounded to the nearest.
    scale : float
        The values are `levels` x `scale`. 0 for a map of zeros.
    """
    scale = np.float32(float(np.abs(values).max(initial=0.0)) / top)
    # The scale of a map with subnormal values is 0, too.
    if not scale > 0:
        return np.zeros(values.shape, np.int16), 0.0
    return np.clip(np.rint(values / scale), -top, top).astype(np.int16), float(scale)


def values_of(levels: NDArray[np.int16], scale: float) -> Map:
    """Return a map from its whole numbers.

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
        The number of the schema in the store.
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
    raise VidsalError(
        f"{path} is not a store that this vidsal can read (schema {found}): run the analysis again"
    )
