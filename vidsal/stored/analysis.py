"""The store as the library returns it: its arrays, and data frames of them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vidsal.store.opening import stored_group
from vidsal.store.reader import Classes, Store
from vidsal.stored.picture import AnalysedFrame, analysed
from vidsal.stored.plots import Curve, plot_curves
from vidsal.stored.table import data_frame
from vidsal.stored.within import Mask, PixelBox, Within, concentration, within

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame


class StoredAnalysis(Store):
    """A stored analysis as data. Values are read only on request.

    `open_store` returns it. See `vidsal.store.reader.Store` for the attributes.

    Parameters
    ----------
    path : Path
    group : zarr.Group
    source : str or path-like, optional
        The source, if it was moved; only pictures of frames need it.
    """

    def table(self) -> "DataFrame":
        """Return the table of the run.

        Returns
        -------
        pandas.DataFrame
            One row for each frame, with the columns and values of ``--table``. Only ``boxes`` may
            differ: they are computed again from the fused map, which is stored in 256 levels.
            ``cut`` is 0 or 1. Missing numbers are NaN, missing texts are missing values.

        Raises
        ------
        VidsalError
            If pandas is missing, or the store is damaged.
        """
        return data_frame(self)

    def within(self, place: Mask | PixelBox) -> Within:
        """Return how much of the saliency lies in a region, for each frame.

        Parameters
        ----------
        place : (H, W) or (frames, H, W) bool array, or (left, top, right, bottom)
            A mask of the whole picture at any size, a mask for each frame, or a box in pixels of
            the source.

        Returns
        -------
        Within
            Arrays ``frame``, ``time_s``, ``area``, ``share`` (of the fused map's sum, 0..1),
            ``ratio`` (mean inside divided by mean of the picture) and ``has_peak``.
            ``pandas.DataFrame(found._asdict())`` is a table of them.

        Raises
        ------
        UsageError
            If the place has none of these forms, or a box lies outside the picture.
        VidsalError
            If the store is damaged.
        """
        return within(self, place)

    def concentration(self) -> NDArray[np.float64]:
        """Return how concentrated saliency is, as `vidsal.saliency.concentration.gini` defines it.

        Returns
        -------
        (frames,) float64 array
            0..1: 0 for an even map, near 1 for one bright place; NaN for a map of zeros.

        Raises
        ------
        VidsalError
            If the store is damaged.
        """
        return concentration(self)

    def plot(
        self,
        curves: Curve | Sequence[Curve] | None = None,
        *,
        classes: Classes | None = None,
        ax: "Axes | Sequence[Axes] | None" = None,
    ) -> "Figure":
        """Plot curves over time, one below the other; dashed lines mark scene cuts.

        Parameters
        ----------
        curves : {"classes", "motion", "concentration"} or several, optional
            Probabilities of classes, the share of motion in the fused map, and `concentration`.
            All by default.
        classes : int, str, or sequence of them, optional
            Classes as in `probabilities`.
        ax : matplotlib.axes.Axes or several, optional
            Draw into these axes, one for each curve; by default into a new figure.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        UsageError
            If a curve or class does not exist, or the number of axes is not that of the curves.
        VidsalError
            If matplotlib is missing, or the store is damaged.

        Notes
        -----
        A notebook shows a figure twice if it is the last value of a cell. End the line with ``;``.
        """
        return plot_curves(self, curves, classes, ax)

    def __getitem__(self, number: int) -> AnalysedFrame:
        """Return the results of a frame by its position in the store, from 0.

        Raises
        ------
        IndexError, TypeError, VidsalError
            See `vidsal.store.reader.Store`.
        """
        return analysed(super().__getitem__(number), self)

    def __iter__(self) -> Iterator[AnalysedFrame]:
        for frame in super().__iter__():
            yield analysed(frame, self)


def open_store(path: str | Path, *, source: Any = None) -> StoredAnalysis:
    """Open the stored analysis of a source, without TensorFlow.

    Parameters
    ----------
    path : str or Path
        A store (folder or zip file) that ``vidsal run --keep`` wrote.
    source : str or path-like, optional
        The source, if it was moved; only pictures of frames need it.

    Returns
    -------
    StoredAnalysis
        ``len(store)``, ``store[12]``, and an iterator over its frames.

    Raises
    ------
    VidsalError
        If it is not a store, is incomplete, was written by another version, or zarr is missing.
    """
    return StoredAnalysis(Path(path), stored_group(path), source)
