"""A folder of maps: 16-bit grey PNG files, one a frame and kind."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vidsal.errors import VidsalError
from vidsal.runtime.atomic_write import claim, shortened, writing
from vidsal.types import Map, Saliency

KINDS = ("static", "motion", "fused")
_NAME = re.compile(r"\d{6,}\.png")


def claim_folder(path: Path, *, overwrite: bool) -> None:
    """Say before any work whether maps can go to the folder `path`.

    Raises
    ------
    VidsalError
        If it is a file, or holds maps that are to be kept, or cannot be written to.
    """
    if path.exists() and not path.is_dir():
        raise VidsalError(f"{path} is a file: give the name of a folder for the maps")
    for kind in KINDS:
        there = list((path / kind).glob("*"))
        if there and not overwrite:
            raise VidsalError(
                f"{path / kind} is not empty: give another folder, or --overwrite to replace maps"
            )
        # --overwrite is leave to replace what vidsal wrote, and nothing else.
        foreign = [one.name for one in there if not _NAME.fullmatch(one.name) or one.is_dir()]
        if foreign:
            raise VidsalError(
                f"{path / kind} holds other files than maps ({foreign[0]}): give another folder"
            )
    # A name inside a folder that exists, or beside where it will be: either asks about writing.
    claim(path / ".maps" if path.exists() else path, overwrite=True)


def sixteen_bit(values: Map) -> NDArray[np.uint16]:
    """Return a map of [0, 1] as uint16, 0..65535."""
    return np.asarray(np.rint(values * np.float32(65535)), np.uint16)


class MapsSink:
    """Writes the maps of each frame into a folder that gets its final name later."""

    def __init__(self, folder: Path, part: Path) -> None:
        self._folder, self._part = folder, part

    def write(self, saliency: Saliency) -> None:
        """Write the maps of a frame; the file's number is the frame's index.

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
                    # Not through imageio: a Ctrl-C inside its writer prints a traceback.
                    Image.fromarray(sixteen_bit(values)).save(path)


@contextmanager
def maps_sink(folder: Path) -> Iterator[MapsSink]:
    """Lend a sink that writes ``static/``, ``motion/`` and ``fused/`` ``NNNNNN.png``.

    All files go into a folder beside the final one first.
    """
    part = folder.with_name(shortened(f".{folder.name}", f".{os.getpid()}.part"))
    try:
        yield MapsSink(folder, part)
        with writing(folder):
            remove_maps(folder)
            put_maps(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def remove_maps(folder: Path) -> None:
    """Remove what an earlier run put there, and nothing else."""
    for kind in KINDS:
        for one in (folder / kind).glob("*"):
            if _NAME.fullmatch(one.name):
                one.unlink()


def put_maps(part: Path, folder: Path) -> None:
    """Move every map of `part` to its final place."""
    for kind in KINDS:
        if (part / kind).exists():
            (folder / kind).mkdir(parents=True, exist_ok=True)
            for one in (part / kind).iterdir():
                # The folder may be on another disk than what leads to it.
                shutil.move(one, folder / kind / one.name)
