"""What a library user gets of a store: its arrays, and data frames of it."""

from pathlib import Path
from typing import TYPE_CHECKING

from vidsal.store.reader import Store, stored_group
from vidsal.stored.table import data_frame
from vidsal.stored.within import Mask, PixelBox, Within, within

if TYPE_CHECKING:
    from pandas import DataFrame


class StoredAnalysis(Store):
    """A stored analysis as data; nothing is read before it is asked for.

    `open_store` returns it. See `vidsal.store.reader.Store` for the attributes.
    """

    def table(self) -> "DataFrame":
        """Return the table of the run.

        Returns
        -------
        pandas.DataFrame
            One row for each frame, with the columns and values of ``--table``. Only ``boxes`` may
            differ: they are found anew in the fused map, which is kept in 256 levels. ``cut`` is 0
            or 1. Missing numbers are NaN, missing texts missing values.

        Raises
        ------
        VidsalError
            If pandas is missing, or the store is damaged.
        """
        return data_frame(self)

    def within(self, place: Mask | PixelBox) -> Within:
        """Return how much of the saliency lies in a place, frame by frame.

        Parameters
        ----------
        place : (H, W) or (frames, H, W) bool array, or (left, top, right, bottom)
            A mask of the whole picture at any size, a mask for each frame, or a box in pixels of
            the source.

        Returns
        -------
        Within
            Arrays ``frame``, ``time_s``, ``area``, ``share`` (of the fused map's sum, 0..1),
            ``ratio`` (mean inside by mean of the picture) and ``has_peak``.
            ``pandas.DataFrame(found._asdict())`` is a table of them.

        Raises
        ------
        UsageError
            If the place is none of these, or a box lies outside the picture.
        VidsalError
            If the store is damaged.
        """
        return within(self, place)


def open_store(path: str | Path) -> StoredAnalysis:
    """Open the stored analysis of a source, without TensorFlow.

    Parameters
    ----------
    path : str or Path
        A folder that ``vidsal run --keep`` wrote.

    Returns
    -------
    StoredAnalysis
        ``len(store)``, ``store[12]``, and an iterator over its frames.

    Raises
    ------
    VidsalError
        If it is no such folder, was not completed, was written by another version, or zarr is
        missing.
    """
    return StoredAnalysis(Path(path), stored_group(path))
