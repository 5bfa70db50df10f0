"""Saliency maps of other programs, read from PNG files."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from vidsal import image_ops
from vidsal.errors import UsageError, VidsalError
from vidsal.evaluation.datasets import Clip, read_map
from vidsal.types import Map

# Names that the rows of vidsal's own maps begin with.
OWN_ROWS = ("centre prior", "raw flow", "compensated flow", "static", "fused")


def external_folders(against: Mapping[str, str | os.PathLike[str]]) -> dict[str, Path]:
    """Return the folders of other programs' maps, by the names of their rows.

    Parameters
    ----------
    against : mapping of str to path

    Raises
    ------
    UsageError
        If a name is that of a row of vidsal's own, or a folder does not exist.
    """
    folders = {name: Path(folder) for name, folder in against.items()}
    for name, folder in folders.items():
        if name.startswith(tuple(f"{row} " for row in OWN_ROWS)) or name in OWN_ROWS:
            raise UsageError(f"{name} is a row of vidsal's own: give {folder} another name")
        if not folder.is_dir():
            raise UsageError(f"{name}: {folder} is not a folder")
    return folders


def find_maps(folders: Mapping[str, Path], clip: Clip, number: int) -> dict[str, Path]:
    """Return the files with the maps of one frame, by the names of their rows.

    Parameters
    ----------
    folders : mapping of str to Path
    clip : Clip
    number : int
        The frame.

    Raises
    ------
    VidsalError
        If a folder does not have exactly one map for the frame.
    """
    return dict(_found(folders, clip, number))


def _found(folders: Mapping[str, Path], clip: Clip, number: int) -> Iterator[tuple[str, Path]]:
    for name, folder in folders.items():
        stem = clip.stems[number] if clip.stems else str(number + clip.first)
        inside = folder if clip.is_photo else folder / clip.name
        files = [path for path in inside.glob("*.png") if _is_same_frame(path.stem, stem)]
        if len(files) != 1:
            raise VidsalError(
                f"{name}: {len(files)} maps for frame {stem} of {clip.name} in {inside}, "
                "expected one PNG file with the number or name of the frame"
            )
        yield name, files[0]


def read_maps(files: Mapping[str, Path], size: tuple[int, ...]) -> Iterator[tuple[str, Map]]:
    """Yield maps at the working size, with the names of their rows.

    Parameters
    ----------
    files : mapping of str to Path
    size : (int, int)
        Height and width.

    Yields
    ------
    (str, (h, w) float32 array)

    Raises
    ------
    VidsalError
        If a file cannot be read.
    """
    for name, path in files.items():
        yield name, image_ops.shrink(read_map(path), (size[0], size[1]))


def _is_same_frame(stem: str, other: str) -> bool:
    """Say whether two file names mean the same frame: equal texts, or equal numbers."""
    return stem == other or (stem.isdecimal() and other.isdecimal() and int(stem) == int(other))
