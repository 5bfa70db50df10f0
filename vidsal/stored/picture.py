"""A frame of a stored analysis, with its picture if the source is found."""

import logging
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, cast

from vidsal.errors import VidsalError
from vidsal.render.notebook import mark_point
from vidsal.render.overlay import laid_over, map_picture
from vidsal.store.reader import Store, StoredFrame
from vidsal.stored.plots import load_pyplot
from vidsal.stored.source import frame_of_store
from vidsal.types import Rgb

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

# Width of a figure, and the height of its title, in inches.
_WIDTH_INCHES, _TITLE_INCHES = 8.0, 0.35


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class AnalysedFrame(StoredFrame):
    """A frame of a store that can be plotted; see `vidsal.store.reader.StoredFrame`.

    Attributes
    ----------
    store : Store
        The store that contains the frame.
    """

    store: Store

    def __repr__(self) -> str:
        return f"AnalysedFrame({', '.join(self._facts())})"

    def picture(self) -> Rgb:
        """Return the frame of the source, decoded again.

        Returns
        -------
        (H, W, 3) uint8 array
            RGB, red first.

        Raises
        ------
        VidsalError
            If the source is missing, has another content, or cannot be read.
        """
        return frame_of_store(self.store, self).rgb

    def plot(self, ax: "Axes | None" = None) -> "Figure":
        """Plot the picture with its fused map as a heatmap; the map alone if the source is missing.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Draw into these axes; by default into a new figure.

        Returns
        -------
        matplotlib.figure.Figure
            A ring marks the most salient point.

        Raises
        ------
        VidsalError
            If matplotlib is missing.
        """
        pyplot = load_pyplot()
        shown, note = self._shown()
        height, width = shown.shape[:2]
        if ax is None:
            size = _WIDTH_INCHES, _WIDTH_INCHES * height / width + _TITLE_INCHES
            ax = cast("Axes", pyplot.subplots(figsize=size, layout="constrained")[1])
        ax.imshow(shown)
        if self.peak:
            mark_point(ax, self.peak, (height, width))
        ax.set_title(", ".join(self._facts()) + note, loc="left")
        ax.set_axis_off()
        return cast("Figure", ax.figure)

    def _shown(self) -> tuple[Rgb, str]:
        """Return the picture with its map, or the map alone with a note that says so."""
        look = self.store.settings
        try:
            rgb = self.picture()
        except VidsalError as error:
            log.warning("the map is shown alone: %s", error)
            alone = map_picture(self.fused, self.fused.shape, colormap=look.colormap)
            return alone, "\nthe map alone: the source cannot be read"
        drawn = laid_over(
            rgb, self.fused, view=look.style, colormap=look.colormap, alpha=look.alpha
        )
        return drawn, ""

    def _facts(self) -> list[str]:
        """Return facts that identify the frame, and the class that the network predicts."""
        facts = [self.store.source_name, f"frame {self.frame}", f"{self.time_s:.2f} s"]
        if self.prediction:
            facts.append(f"{self.prediction.names[0]} {self.prediction.probabilities[0]:.0%}")
        return facts


def analysed(frame: StoredFrame, store: Store) -> AnalysedFrame:
    """Return a frame of a store that can be plotted.

    Parameters
    ----------
    frame : StoredFrame
    store : Store
        The store that contains the frame.
    """
    values = {one.name: getattr(frame, one.name) for one in fields(StoredFrame)}
    return AnalysedFrame(**values, store=store)
