"""The options that decide how a picture is drawn."""

from typing import NamedTuple

from vidsal.settings import (
    Colormap,
    Fusion,
    FusionOptions,
    Layout,
    Method,
    PictureOptions,
    Settings,
    StaticOptions,
    View,
)


class Style(NamedTuple):
    """How a picture is drawn. The defaults are those of the options of the same names.

    Attributes
    ----------
    layout : {"overlay", "side-by-side", "map", "triptych", "quad", "strip"}
        The panels.
    colormap : str
        The colours of the map; see `vidsal.settings.PictureOptions`.
    alpha : float
        Opacity of the most salient regions, 0..1.
    annotate : bool
        Write class, time, model, colour bar and marker into the picture.
    boxes : float
        Draw boxes around the regions of the fused map above this value, 0..1; 0 draws none.
    method : str
        The method that the caption names.
    width : int
        Largest width of all panels together, in pixels; 0 keeps the size of the frame.
    fusion : {"gain", "sum", "max", "static", "motion"}
        The fusion that the captions name.
    has_prior : bool
        Whether the captions name the centre prior.
    view : {"heat", "contour", "reveal"}
        How a map is laid over the picture.
    has_status : bool
        Whether a line of a live view is written at the top, which captions leave free.
    """

    layout: Layout = PictureOptions.layout
    colormap: Colormap = PictureOptions.colormap
    alpha: float = PictureOptions.alpha
    annotate: bool = PictureOptions.annotate
    boxes: float = PictureOptions.boxes
    method: Method = StaticOptions.method
    width: int = PictureOptions.width
    fusion: Fusion = FusionOptions.fusion
    has_prior: bool = FusionOptions.centre_prior > 0
    view: View = PictureOptions.style
    has_status: bool = False

    @classmethod
    def of(cls, settings: Settings) -> "Style":
        """Return the style that the settings ask for.

        Parameters
        ----------
        settings : Settings
        """
        # Without a network, all ways to fuse are the same.
        fusion = FusionOptions.fusion if settings.model == "none" else settings.fusion
        return cls(
            settings.layout, settings.colormap, settings.alpha, settings.annotate,
            settings.boxes, settings.method, settings.width, fusion, settings.centre_prior > 0,
            settings.style,
        )  # fmt: skip
