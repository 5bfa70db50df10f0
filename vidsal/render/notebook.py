"""Pictures of one frame for notebooks: a PNG image, and a figure of all maps."""

from typing import TYPE_CHECKING, Any, cast

from vidsal.errors import VidsalError
from vidsal.render.draw import draw_saliency, static_label
from vidsal.render.style import Style
from vidsal.runtime.opencv import cv2
from vidsal.types import Saliency

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Wide enough to read the caption, small enough for a notebook with many frames.
_PNG_WIDTH_PX = 640
# Size of the figure's four panels, in inches.
_FIGURE_INCHES = (14.0, 3.2)


def png(saliency: Saliency) -> bytes:
    """Return the annotated overlay of a frame as a PNG file.

    Parameters
    ----------
    saliency : Saliency

    Returns
    -------
    bytes
        A picture of at most 640 pixels in width, drawn with the default options.
    """
    picture = draw_saliency(saliency, Style(width=_PNG_WIDTH_PX))
    _, encoded = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return bytes(encoded)


def plot(saliency: Saliency, ax: "Axes | None" = None) -> "Figure":
    """Plot a frame and its maps with matplotlib.

    Parameters
    ----------
    saliency : Saliency
    ax : matplotlib.axes.Axes, optional
        Draw the fused map alone into these axes. By default, a new figure shows four panels:
        input, static, motion and fused.

    Returns
    -------
    matplotlib.figure.Figure
        Maps are drawn at their own size, with values from 0 to 1. A ring marks the most salient
        point of the fused map. The last axes are those of the colour bar.

    Raises
    ------
    VidsalError
        If matplotlib is not installed.

    Notes
    -----
    A notebook shows a figure that is the last value of a cell twice; end the line with ``;``.
    """
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise VidsalError(
            'plot() needs matplotlib, which cannot be imported: run pip install "vidsal[plot]"'
        ) from error
    if ax is not None:
        figure = cast("Figure", ax.figure)
        panels = [ax]
    else:
        rgb = saliency.frame.rgb
        figure, axes = pyplot.subplots(1, 4, figsize=_FIGURE_INCHES, layout="constrained")
        source, *panels = axes
        _show(source, "input", rgb)
        # As in the quad layout, the picture is dimmed where there is no static map.
        static_picture = rgb // 3 if saliency.static is None else saliency.static
        _show(panels[0], static_label(saliency), static_picture)
        _show(panels[1], "motion", saliency.motion)
    image = _show(panels[-1], "fused", saliency.fused)
    if saliency.marker is not None:
        mark_point(panels[-1], saliency.marker, saliency.fused.shape)
    figure.colorbar(image, ax=panels, label="saliency", shrink=0.8)
    return figure


def _show(ax: "Axes", title: str, picture: Any) -> Any:
    """Show a picture or a map under a title."""
    ax.set_title(title)
    ax.set_axis_off()
    return ax.imshow(picture, cmap=Style().colormap, vmin=0, vmax=1)


def mark_point(ax: "Axes", point: tuple[float, float], size: tuple[int, ...]) -> None:
    """Mark a point of an image with a ring, white in black.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Axes with an image.
    point : (float, float)
        Row and column as shares of the picture.
    size : (int, int)
        Height and width of the image.
    """
    # Pixels of an image are centred at whole numbers.
    at = [point[1] * size[1] - 0.5], [point[0] * size[0] - 0.5]
    for colour, line in (("black", 3.0), ("white", 1.0)):
        ax.plot(*at, "o", ms=12, mfc="none", mec=colour, mew=line)
