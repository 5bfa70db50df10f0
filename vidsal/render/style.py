"""How a picture is to look."""

from typing import NamedTuple

from vidsal.settings import Colormap, Fusion, Layout, Method, Settings


class Style(NamedTuple):
    """How a picture is to look; see the options of the same names."""

    layout: Layout = "overlay"
    colormap: Colormap = "inferno"
    alpha: float = 0.7
    annotate: bool = True
    model_name: str | None = None
    boxes: float = 0.0
    has_time: bool = True
    method: Method = "smoothgrad"
    width: int = 0
    fusion: Fusion = "gain"
    has_prior: bool = False

    @classmethod
    def of(cls, settings: Settings, model_name: str | None, *, has_time: bool = True) -> "Style":
        """Return the style that the settings ask for; a photo has no time."""
        return cls(
            settings.layout, settings.colormap, settings.alpha, settings.annotate, model_name,
            settings.boxes, has_time, settings.method, settings.width,
            "gain" if settings.model == "none" else settings.fusion, settings.centre_prior > 0,
        )  # fmt: skip
