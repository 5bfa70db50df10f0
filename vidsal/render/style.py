"""How a picture is to look."""

from typing import NamedTuple

from vidsal.settings import Colormap, Fusion, Layout, Method, Settings


class Style(NamedTuple):
    """How a picture is to look; see the options of the same names."""

    layout: Layout = "overlay"
    colormap: Colormap = "inferno"
    alpha: float = 0.7
    annotate: bool = True
    boxes: float = 0.0
    method: Method = "smoothgrad"
    width: int = 0
    fusion: Fusion = "gain"
    has_prior: bool = False

    @classmethod
    def of(cls, settings: Settings) -> "Style":
        """Return the style that the settings ask for."""
        return cls(
            settings.layout, settings.colormap, settings.alpha, settings.annotate,
            settings.boxes, settings.method, settings.width,
            "gain" if settings.model == "none" else settings.fusion, settings.centre_prior > 0,
        )  # fmt: skip
