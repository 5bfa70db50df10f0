"""Datasets of clips and photos with ground truth.

A folder may have one of four layouts:

``videos/CLIP.*`` and ``fixations/CLIP.csv``
    The columns are x, y, first_frame, last_frame. A fixation lasts from its first to its last
    frame.
``images/NAME.*`` and ``fixations/NAME.csv`` or ``masks/NAME.png``
    The columns are x, y. A mask is white on the object.
``CLIP/frames/NNNNN.*`` and ``CLIP/masks/NNNNN.png``
    The frames of a clip are pictures, named in their order.
``video/NNN.*`` and ``annotation/NNNN/fixation/NNNN.png``, ``annotation/NNNN/maps/NNNN.png``
    The layout of DHF1K: frames are numbered from 1, a map is a density of fixations.

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
from vidsal.sources.resolve import natural_order
from vidsal.types import Frame, Map, SourceInfo

log = logging.getLogger(__name__)

# Assumed rate of a sequence of pictures, which has no rate of its own.
_FPS = 24
# Fixations in this time after the start are not scored: viewers still look at the centre.
_SKIPPED_S = 0.5
# With fewer fixations, the scores of a frame are mostly chance.
MIN_FIXATIONS = 8
# Number of frames of a part that are tried, until one has enough fixations.
_TRIES = 20


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """The ground truth of one frame; fields without data are ``None``.

    Attributes
    ----------
    points : (n, 2) float array or None
        Fixations as shares (row, column) of the picture, [0, 1).
    density : (H, W) float32 array or None
        Density of fixations that comes with the dataset, at any scale.
    mask : (H, W) bool array or None
        ``True`` on the object.
    """

    points: NDArray[np.float64] | None = None
    density: Map | None = None
    mask: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip or photo, with the ground truth of some of its frames.

    Attributes
    ----------
    name : str
        Also the name of the folder with maps of other programs.
    stems : list of str or None
        File names of the frames, without suffix; ``None`` if the frames are in one file.
    numbers : list of int
        The frames with ground truth, in order.
    frames : callable
        Opens the clip and yields its frames.
    truth : callable
        Returns the ground truth of a frame, given its number.
    first : int
        Number of the first frame in file names of other programs.
    is_photo : bool
        Whether it is a photo: one frame, without motion.
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
    """A folder of clips with one kind of ground truth.

    Attributes
    ----------
    name : str
    clips : list of Clip
        In order of their names.
    """

    name: str
    clips: list[Clip]


def open_datasets(folder: Path) -> list[Dataset]:
    """Return the datasets in a folder: the folder itself, and its subfolders.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    VidsalError
        If there are none, or a file cannot be read.
    """
    if not folder.is_dir():
        raise VidsalError(f"{folder} is not a folder")
    datasets = [one for path in [folder, *_folders(folder)] if (one := _dataset(path))]
    if not datasets:
        raise VidsalError(
            f"{folder} has no clips or photos with ground truth: expected videos/ beside "
            "fixations/, images/ beside fixations/ or masks/, CLIP/frames beside CLIP/masks, or "
            "DHF1K's video/ beside annotation/"
        )
    return datasets


def sampled(clip: Clip, count: int, seed: int) -> dict[int, Truth]:
    """Return the frames of a clip to score, with their ground truth, by their numbers.

    Parameters
    ----------
    clip : Clip
    count : int
        Number of equal parts of the clip; one frame of each is scored.
    seed : int
        Decides which frame of each part. Frames with fewer than `MIN_FIXATIONS` fixations and
        without a mask are skipped.

    Returns
    -------
    dict of int to Truth
        In order.
    """
    # The first frame of a clip has no motion and is not scored.
    numbers = clip.numbers if clip.is_photo else [one for one in clip.numbers if one]
    rng = np.random.default_rng([seed, *os.fsencode(clip.name)])
    chosen: dict[int, Truth] = {}
    for part in np.array_split(np.array(numbers), min(count, len(numbers)) or 1):
        for number in rng.permutation(part)[:_TRIES].tolist():
            truth = clip.truth(number)
            has_fixations = truth.points is not None and len(truth.points) >= MIN_FIXATIONS
            if has_fixations or (truth.mask is not None and truth.mask.any()):
                chosen[number] = truth
                break
    return dict(sorted(chosen.items()))


def _dataset(folder: Path) -> Dataset | None:
    """Return the dataset of a folder, or None if it has none of the layouts."""
    if (folder / "annotation").is_dir() and (folder / "video").is_dir():
        clips = {path: _dhf1k_clip(path, folder) for path in _files(folder / "video")}
    elif (folder / "fixations").is_dir() and (folder / "videos").is_dir():
        clips = {path: _video_clip(path, folder) for path in _files(folder / "videos")}
    elif (folder / "images").is_dir():
        clips = {path: _photo(path, folder) for path in _pictures(folder / "images")}
    else:
        clips = {path: _sequence(path) for path in _folders(folder) if (path / "masks").is_dir()}
    usable = [clip for clip in clips.values() if clip and clip.numbers]
    warn_skipped(folder.name, [path.name for path, clip in clips.items() if clip not in usable])
    for name, count in Counter(clip.name for clip in usable).items():
        if count > 1:
            raise VidsalError(f"{folder} has two clips with the name {name}: rename one of them")
    return Dataset(folder.resolve().name, usable) if usable else None


def warn_skipped(dataset: str, names: Sequence[str]) -> None:
    """Log a warning about clips without usable ground truth.

    Parameters
    ----------
    dataset : str
    names : sequence of str
        Names of the clips; without any, nothing is logged.
    """
    if names:
        few = ", ".join(names[:3]) + (" and others" if len(names) > 3 else "")
        log.warning("%s: %d skipped, no usable ground truth: %s", dataset, len(names), few)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and path.name[0] != ".")


def _pictures(folder: Path) -> list[Path]:
    return [path for path in _files(folder) if is_image(path)]


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir())


def _video_clip(path: Path, folder: Path) -> Clip | None:
    """Return a video with its table of fixations, or None if it has no table."""
    table = folder / "fixations" / f"{path.stem}.csv"
    if not table.is_file():
        return None
    rows = _fixations(table, "x", "y", "first_frame", "last_frame")
    info = _info(path)

    def truth(number: int) -> Truth:
        is_during = (rows[:, 2] <= number) & (number <= rows[:, 3])
        return Truth(points=_shares(rows[is_during], (info.height_px, info.width_px)))

    # A fixation may end after the clip.
    last = int(rows[:, 3].max(initial=-1))
    numbers = range(_first_scored(info), min(last, (info.frame_count_hint or last + 1) - 1) + 1)
    return Clip(path.stem, None, list(numbers), partial(_frames, path), truth)


def _dhf1k_clip(path: Path, folder: Path) -> Clip | None:
    """Return a video of DHF1K, or None if it has no annotation.

    The folder of its annotation has the same number, with more zeros.
    """
    annotations = [
        one
        for one in _folders(folder / "annotation")
        if path.stem.isdecimal() and one.name.isdecimal() and int(one.name) == int(path.stem)
    ]
    points, maps = (
        {
            int(one.stem) - 1: one
            for annotation in annotations[:1]
            for one in sorted((annotation / kind).glob("*.png"))
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
    first = _first_scored(_info(path))
    numbers = sorted(number for number in points if number >= first)
    return Clip(path.stem, None, numbers, partial(_frames, path), truth, first=1)


def _photo(path: Path, folder: Path) -> Clip | None:
    """Return a photo with its fixations and mask, or None if it has neither."""
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
    """Return a clip of pictures, with masks of the same names."""
    pictures = _pictures(folder / "frames") if (folder / "frames").is_dir() else []
    # The order of ``vidsal run --sequence``.
    pictures = natural_order(pictures)
    masks = {path.stem: path for path in _files(folder / "masks")}

    def frames() -> Iterator[Frame]:
        size = None
        for number, path in enumerate(pictures):
            for frame in _frames(path):
                size = size or (frame.rgb.shape[0], frame.rgb.shape[1])
                # Optical flow needs frames of one size.
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


def _first_scored(info: SourceInfo) -> int:
    """Return the number of the first frame that is scored."""
    return math.ceil(_SKIPPED_S * float(info.fps or _FPS))


def _fixations(table: Path, *columns: str) -> NDArray[np.float64]:
    """Return columns of a CSV file as (n, columns) float64, without rows that have a NaN or inf.

    Raises
    ------
    VidsalError
        If a column is missing or has values that are not numbers.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = [[float(row[name]) for name in columns] for row in csv.DictReader(file)]
    except KeyError as error:
        raise VidsalError(
            f"{table} has no column {error.args[0]}: expected {', '.join(columns)}"
        ) from error
    except (ValueError, TypeError, csv.Error, OSError) as error:
        raise VidsalError(f"{table} cannot be read as a table of fixations: {error}") from error
    numbers = np.array(rows, np.float64).reshape(-1, len(columns))
    return numbers[np.isfinite(numbers).all(axis=1)]


def _shares(rows: NDArray[np.float64], size: tuple[Any, ...]) -> NDArray[np.float64]:
    """Return the points (x, y, ...) inside the picture, in pixels, as shares (row, column)."""
    points = rows[:, 1::-1] / np.array(size[:2], np.float64)
    return points[((points >= 0) & (points < 1)).all(axis=1)]


def read_map(path: Path) -> Map:
    """Read a saliency map from a grey picture of 8 or 16 bits.

    Parameters
    ----------
    path : Path

    Returns
    -------
    (H, W) float32 array
        0..1; the largest value is 1. The metrics do not depend on the scale.

    Raises
    ------
    VidsalError
        If the file cannot be read as a picture.
    """
    values = _grey(path, depth=cv2.IMREAD_ANYDEPTH).astype(np.float32)
    return np.asarray(values / np.float32(max(1, values.max(initial=1))), np.float32)


def _grey(path: Path, *, depth: int = 0) -> NDArray[Any]:
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE | depth)
    if picture is None:
        raise VidsalError(f"{path} cannot be read as a picture")
    return np.asarray(picture)
