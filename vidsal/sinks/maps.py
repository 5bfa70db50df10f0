"""A folder of saliency maps as 16-bit grey PNG files."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vidsal.errors import VidsalError, option
from vidsal.runtime.atomic_write import claim, shortened, writing
from vidsal.types import Map, Saliency

KINDS = ("static", "motion", "fused")
_FILE_NAME = re.compile(r"\d{6,}\.png")


def claim_folder(path: Path, *, overwrite: bool) -> None:
    """Check before any work whether maps can be written to a folder.

    Parameters
    ----------
    path : Path
    overwrite : bool
        Whether maps of an earlier run may be replaced. Other files are never replaced.

    Raises
    ------
    VidsalError
        If the folder is a file, holds maps that must be kept or files that are not maps, or is
        not writable.
    """
    if path.exists() and not path.is_dir():
        raise VidsalError(f"{path} is a file: give the name of a folder for the maps")
    for kind in KINDS:
        files = list((path / kind).glob("*"))
        if files and not overwrite:
            raise VidsalError(
                f"{path / kind} is not empty: give another folder, or {option('overwrite', True)} "
                "to replace maps"
            )
        foreign = [one.name for one in files if not _FILE_NAME.fullmatch(one.name) or one.is_dir()]
        if foreign:
            raise VidsalError(
                f"{path / kind} holds other files than maps ({foreign[0]}): give another folder"
            )
    # `claim` tries to write beside the path it gets: in the folder, or where it will be made.
    claim(path / ".maps" if path.exists() else path, overwrite=True)


def sixteen_bit(values: Map) -> NDArray[np.uint16]:
    """Return a map as 16-bit integers.

    Parameters
    ----------
    values : (h, w) float32 array
        [0, 1].

    Returns
    -------
    (h, w) uint16 array
        0..65535, rounded to the nearest.
    """
    return np.asarray(np.rint(values * np.float32(65535)), np.uint16)


class MapsSink:
    """Writes the maps of each frame to a temporary folder.

    Parameters
    ----------
    folder : Path
        The final folder, for messages.
    part : Path
        The temporary folder.
    """

    def __init__(self, folder: Path, part: Path) -> None:
        self._folder, self._part = folder, part

    def write(self, saliency: Saliency) -> None:
        """Write the maps of a frame; the frame's index becomes the name of the files.

        Parameters
        ----------
        saliency : Saliency
            Its maps, (h, w) float32 in [0, 1].

        Raises
        ------
        VidsalError
            If they cannot be written.
        """
        for kind in KINDS:
            values = getattr(saliency, kind)
            if values is not None:
                path = self._part / kind / f"{saliency.frame.index:06d}.png"
                with writing(self._folder):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    # imageio's writer prints a traceback if Ctrl-C comes while it writes.
                    Image.fromarray(sixteen_bit(values)).save(path)


@contextmanager
def maps_sink(folder: Path) -> Iterator[MapsSink]:
    """Lend a sink that writes ``static/``, ``motion/`` and ``fused/`` ``NNNNNN.png``.

    All files go to a temporary folder beside the final one first. They replace the maps of an
    earlier run when the block ends well.

    Parameters
    ----------
    folder : Path

    Yields
    ------
    MapsSink

    Raises
    ------
    VidsalError
        If the maps cannot be written.
    """
    part = folder.with_name(shortened(f".{folder.name}", f".{os.getpid()}.part"))
    try:
        yield MapsSink(folder, part)
        with writing(folder):
            remove_maps(folder)
            move_maps(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def remove_maps(folder: Path) -> None:
    """Remove the maps of an earlier run, and no other file.

    Parameters
    ----------
    folder : Path
        The folder that the maps were written to.
    """
    for kind in KINDS:
        for one in (folder / kind).glob("*"):
            if _FILE_NAME.fullmatch(one.name):
                one.unlink()


def move_maps(part: Path, folder: Path) -> None:
    """Move all maps from one folder to another one, which may be on another disk.

    Parameters
    ----------
    part : Path
        Folder to take the maps from.
    folder : Path
        Folder to move them to.
    """
    for kind in KINDS:
        if (part / kind).exists():
            (folder / kind).mkdir(parents=True, exist_ok=True)
            for one in (part / kind).iterdir():
                shutil.move(one, folder / kind / one.name)
