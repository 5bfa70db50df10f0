"""Folders of clips and photos with ground truth, as the evaluation reads them.

Four layouts are known, by what is in the folder:

``videos/CLIP.*`` and ``fixations/CLIP.csv``
    with columns x, y, first_frame, last_frame: a fixation is on the frames from first to last.
``images/NAME.*`` and ``fixations/NAME.csv`` or ``masks/NAME.png``
    with columns x, y; a mask is white on the object.
``CLIP/frames/NNNNN.*`` and ``CLIP/masks/NNNNN.png``
    the frames of a clip as pictures, named in their order.
``video/NNN.*`` and ``annotation/NNNN/fixation/NNNN.png``, ``annotation/NNNN/maps/NNNN.png``
    as DHF1K comes: frames are numbered from 1, a map is a density of fixations.

Coordinates are pixels of the picture, origin top left; frames are numbered from 0.
"""

import csv
import logging
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidsal.errors import VidsalError
from vidsal.runtime.opencv import cv2
from vidsal.settings import Settings
from vidsal.sources import open_source
from vidsal.sources.decoders import resized
from vidsal.sources.image import is_image
from vidsal.types import Frame, Map, SourceInfo

log = logging.getLogger(__name__)

# What a sequence of pictures is taken to run at, for want of a rate of its own.
_FPS = 24
# Before this a viewer still looks at the middle, whatever is there.
_SETTLED_S = 0.5
# With fewer fixations than this a frame's scores are mostly chance.
FIXATIONS = 8
# Frames of a part that are looked at for one with fixations enough.
_TRIES = 20


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What is known of one frame; the fields that its data has.

    Attributes
    ----------
    points : (n, 2) float array or None
        Fixations as shares (row, column) of the picture, [0, 1).
    density : (H, W) float32 array or None
        Given density of fixations, of any scale; where there is none, points make one.
    mask : (H, W) bool array or None
        The object.
    """

    points: NDArray[np.float64] | None = None
    density: Map | None = None
    mask: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip, or a photo: its frames, and the truth about some of them.

    Attributes
    ----------
    name : str
        Also what files of other programs' maps are looked for by.
    stems : sequence of str, or None
        Names of the frames where they are files of their own.
    numbers : sequence of int
        The frames that something is known of, in order.
    frames : callable
        Opens the clip and yields its frames.
    truth : callable
        From a frame's number to what is known of it.
    first : int
        Number of the first frame in other programs' file names.
    is_photo : bool
        Whether it is a photo: one frame, and no motion.
    """

    name: str
    stems: list[str] | None
    numbers: list[int]
    frames: Callable[[], Iterator[Frame]]
    truth: Callable[[int], Truth]
    first: int = 0
    is_photo: bool = False


@dataclass(frozen=True, slots=True)
class Dataset:
    """A folder of clips with one kind of truth.

    Attributes
    ----------
    name : str
    clips : list of Clip
        In the order of their names.
    """

    name: str
    clips: list[Clip]


def open_datasets(folder: Path) -> list[Dataset]:
    """Return the datasets in a folder: itself, or those of its folders that are ones.

    Raises
    ------
    VidsalError
        If there are none, or a file in one cannot be read.
    """
    if not folder.is_dir():
        raise VidsalError(f"{folder} is not a folder")
    found = [one for path in [folder, *_folders(folder)] if (one := _dataset(path))]
    if not found:
        raise VidsalError(
            f"{folder} holds no clips or photos with ground truth: expected videos/ beside "
            "fixations/, images/ beside fixations/ or masks/, CLIP/frames beside CLIP/masks, or "
            "DHF1K's video/ beside annotation/"
        )
    return found


def sampled(clip: Clip, count: int, seed: int) -> dict[int, Truth]:
    """Return the truth about some frames of a clip: one from each of `count` equal parts.

    Parameters
    ----------
    clip : Clip
    count : int
    seed : int
        Which frame of each part; frames with few fixations are passed over.
    """
    # The first frame of a clip has no motion.
    numbers = clip.numbers if clip.is_photo else [one for one in clip.numbers if one]
    rng = np.random.default_rng([seed, *os.fsencode(clip.name)])
    chosen: dict[int, Truth] = {}
    for part in np.array_split(np.array(numbers), min(count, len(numbers)) or 1):
        for number in rng.permutation(part)[:_TRIES].tolist():
            truth = clip.truth(number)
            has_gaze = truth.points is not None and len(truth.points) >= FIXATIONS
            if has_gaze or (truth.mask is not None and truth.mask.any()):
                chosen[number] = truth
                break
    return dict(sorted(chosen.items()))


def _dataset(folder: Path) -> Dataset | None:
    """Return the clips of a folder in one of the known layouts, or None."""
    if (folder / "annotation").is_dir() and (folder / "video").is_dir():
        found = {path: _dhf1k_clip(path, folder) for path in _files(folder / "video")}
    elif (folder / "fixations").is_dir() and (folder / "videos").is_dir():
        found = {path: _video_clip(path, folder) for path in _files(folder / "videos")}
    elif (folder / "images").is_dir():
        found = {path: _photo(path, folder) for path in _pictures(folder / "images")}
    else:
        found = {path: _sequence(path) for path in _folders(folder) if (path / "masks").is_dir()}
    clips = [clip for clip in found.values() if clip and clip.numbers]
    tell_left_out(folder.name, [path.name for path, one in found.items() if one not in clips])
    names = Counter(clip.name for clip in clips)
    for name, count in names.items():
        if count > 1:
            raise VidsalError(f"{folder} holds two clips called {name}: give each its own name")
    return Dataset(folder.resolve().name, clips) if clips else None


def tell_left_out(dataset: str, names: Sequence[str]) -> None:
    """Warn of clips that cannot be scored."""
    if names:
        few = ", ".join(names[:3]) + (" and others" if len(names) > 3 else "")
        log.warning(
            "%s: %d left out, of which nothing is known that can be used: %s",
            dataset, len(names), few,
        )  # fmt: skip


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and path.name[0] != ".")


def _pictures(folder: Path) -> list[Path]:
    return [path for path in _files(folder) if is_image(path)]


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir())


def _video_clip(path: Path, folder: Path) -> Clip | None:
    """Return a video with a table of fixations, if it has one."""
    table = folder / "fixations" / f"{path.stem}.csv"
    if not table.is_file():
        return None
    rows = _fixations(table, "x", "y", "first_frame", "last_frame")
    info = _info(path)

    def truth(number: int) -> Truth:
        on = (rows[:, 2] <= number) & (number <= rows[:, 3])
        return Truth(points=_shares(rows[on], (info.height_px, info.width_px)))

    # A look at the screen may outlast the clip.
    last = int(rows[:, 3].max(initial=-1))
    numbers = range(_settled(info), min(last, (info.frame_count_hint or last + 1) - 1) + 1)
    return Clip(path.stem, None, list(numbers), partial(_frames, path), truth)


def _dhf1k_clip(path: Path, folder: Path) -> Clip | None:
    """Return a video of DHF1K; its folder's name is its number, written with more zeros."""
    about = [
        one
        for one in _folders(folder / "annotation")
        if path.stem.isdecimal() and one.name.isdecimal() and int(one.name) == int(path.stem)
    ]
    points, maps = (
        {
            int(one.stem) - 1: one
            for numbered in about[:1]
            for one in sorted((numbered / kind).glob("*.png"))
            if one.stem.isdecimal()
        }
        for kind in ("fixation", "maps")
    )

    def truth(number: int) -> Truth:
        fixated = _grey(points[number]) > 0
        shares = (np.argwhere(fixated) + 0.5) / fixated.shape
        density = _grey(maps[number]).astype(np.float32) if number in maps else None
        return Truth(points=shares, density=density)

    if not points:
        return None
    settled = _settled(_info(path))
    numbers = sorted(number for number in points if number >= settled)
    return Clip(path.stem, None, numbers, partial(_frames, path), truth, first=1)


def _photo(path: Path, folder: Path) -> Clip | None:
    """Return a photo with a table of fixations, a mask, or both."""
    table, mask = folder / "fixations" / f"{path.stem}.csv", folder / "masks" / f"{path.stem}.png"
    if not (table.is_file() or mask.is_file()):
        return None

    def truth(_: int) -> Truth:
        points = None
        if table.is_file():
            info = _info(path)
            points = _shares(_fixations(table, "x", "y"), (info.height_px, info.width_px))
        return Truth(points=points, mask=_grey(mask) > 127 if mask.is_file() else None)

    return Clip(path.stem, [path.stem], [0], partial(_frames, path), truth, is_photo=True)


def _sequence(folder: Path) -> Clip:
    """Return a folder of frames with masks of the same names."""
    pictures = _pictures(folder / "frames") if (folder / "frames").is_dir() else []
    masks = {path.stem: path for path in _files(folder / "masks")}

    def frames() -> Iterator[Frame]:
        size = None
        for number, path in enumerate(pictures):
            for frame in _frames(path):
                size = size or (frame.rgb.shape[0], frame.rgb.shape[1])
                # Motion is measured between frames of one size.
                yield Frame(resized(frame.rgb, size), number, number / _FPS)

    numbers = [number for number, path in enumerate(pictures) if path.stem in masks]
    return Clip(
        folder.name, [path.stem for path in pictures], numbers, frames,
        lambda number: Truth(mask=_grey(masks[pictures[number].stem]) > 127),
    )  # fmt: skip


def _info(path: Path) -> SourceInfo:
    with open_source(path, Settings()) as source:
        return source.info


def _frames(path: Path) -> Iterator[Frame]:
    with open_source(path, Settings()) as source:
        yield from source.frames()


def _settled(info: SourceInfo) -> int:
    """Return the first frame whose gaze tells something."""
    return math.ceil(_SETTLED_S * float(info.fps or _FPS))


def _fixations(table: Path, *columns: str) -> NDArray[np.float64]:
    """Return columns of a CSV file as (n, columns) float64; rows with a nan or inf are left out.

    Raises
    ------
    VidsalError
        If one is missing, or holds something that is not a number.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = [[float(row[name]) for name in columns] for row in csv.DictReader(file)]
    except KeyError as error:
        raise VidsalError(f"{table} has no column {error.args[0]}") from error
    except (ValueError, TypeError, csv.Error, OSError) as error:
        raise VidsalError(f"{table} cannot be read as a table of fixations: {error}") from error
    numbers = np.array(rows, np.float64).reshape(-1, len(columns))
    return numbers[np.isfinite(numbers).all(axis=1)]


def _shares(rows: NDArray[np.float64], size: tuple[Any, ...]) -> NDArray[np.float64]:
    """Return points (x, y, ...) in pixels as shares (row, column), those in the picture."""
    points = rows[:, 1::-1] / np.array(size[:2], np.float64)
    return points[((points >= 0) & (points < 1)).all(axis=1)]


def read_map(path: Path) -> Map:
    """Return a grey picture of eight or sixteen bits: (H, W) float32, its largest value 1.

    Raises
    ------
    VidsalError
        If it cannot be read as a picture.
    """
    # What counts is the order and the proportion.
    values = _grey(path, depth=cv2.IMREAD_ANYDEPTH).astype(np.float32)
    return np.asarray(values / np.float32(max(1, values.max(initial=1))), np.float32)


def _grey(path: Path, *, depth: int = 0) -> NDArray[Any]:
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE | depth)
    if picture is None:
        raise VidsalError(f"{path} cannot be read as a picture")
    return np.asarray(picture)
