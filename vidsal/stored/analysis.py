"""What a library user gets of a store: its arrays, and data frames of it."""

from pathlib import Path
from typing import TYPE_CHECKING

from vidsal.store.reader import Store, stored_group
from vidsal.stored.table import data_frame

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
