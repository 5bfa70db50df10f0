"""The crop window of every frame as CSV or JSON. Arrays in, text out."""

import csv
import io
import json
import math
from collections.abc import Iterator
from typing import Any

from vidsal.crop.path import MAX_ACCELERATION, MAX_SPEED
from vidsal.crop.reframe import CropPath

# The number changes when a value changes its meaning.
SCHEMA = 1
COLUMNS = (
    "frame", "time_s", "scene", "mode", "left", "top", "width", "height", "held",
    "box_left", "box_top", "box_width", "box_height",
)  # fmt: skip


def rows(path: CropPath) -> Iterator[dict[str, Any]]:
    """Yield the values of each frame by column.

    Parameters
    ----------
    path : CropPath

    Yields
    ------
    dict
        Scenes count from 1. ``held`` and the box are ``None`` where nothing is salient.
    """
    for n in range(len(path)):
        scene = int(path.scene[n])
        top, left, bottom, right = path.boxes[n].tolist()
        box = (left, top, right - left, bottom - top)
        values: tuple[Any, ...] = (
            int(path.frame[n]), round(float(path.time_s[n]), 6), scene + 1,
            path.modes[scene],
            int(path.left[n]), int(path.top[n]), path.width, path.height,
            _rounded(float(path.held[n]), 4), *(_rounded(one, 1) for one in box),
        )  # fmt: skip
        yield dict(zip(COLUMNS, values, strict=True))


def as_csv(path: CropPath) -> str:
    """Return the windows as CSV, with an empty field for a value that does not exist.

    Parameters
    ----------
    path : CropPath
    """
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(rows(path))
    return text.getvalue()


def as_json(path: CropPath, *, source: str, fps: str | None) -> str:
    """Return the windows as JSON, with ``null`` for a value that does not exist.

    Parameters
    ----------
    path : CropPath
    source : str
        Name of the source.
    fps : str or None
        Frame rate of the source; ``None`` for a photo.
    """
    about = {
        "schema": SCHEMA, "source": source, "source_width": path.source_width,
        "source_height": path.source_height, "fps": fps, "aspect": path.aspect,
        "width": path.width, "height": path.height, "box_share": path.share,
        "max_speed": MAX_SPEED, "max_acceleration": MAX_ACCELERATION,
    }  # fmt: skip
    lines = ",\n".join(json.dumps(row) for row in rows(path))
    # One line for each frame: readable and small.
    return f'{json.dumps(about, indent=1)[:-2]},\n "frames": [\n{lines}\n]}}\n'


def _rounded(value: float, digits: int) -> float | None:
    return None if math.isnan(value) else round(value, digits)
