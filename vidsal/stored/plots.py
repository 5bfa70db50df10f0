"""Plots of a stored analysis with matplotlib, which is an extra."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from vidsal.errors import UsageError, VidsalError
from vidsal.saliency.scenes import CUTS
from vidsal.store.reader import Classes, Store
from vidsal.store.schema import EVENTS
from vidsal.stored.within import concentration

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curve = Literal["classes", "motion", "concentration"]

# Size of a figure: its width, and the height of each curve, in inches.
_WIDTH_INCHES, _CURVE_INCHES = 9.0, 1.9
# A grey that does not compete with curves.
_CUT_COLOUR = "0.45"
# Longest name in a legend, in letters. Longer names are cut, so that the curves keep most of the
# width.
_LONGEST_NAME = 24


def load_pyplot() -> Any:
    """Import and return matplotlib's pyplot.

    Raises
    ------
    VidsalError
        If it is missing.
    """
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise VidsalError(
            f"plot() needs matplotlib ({error}): pip install 'vidsal[plot]', or pip install "
            "matplotlib"
        ) from error
    return pyplot


def plot_curves(
    store: Store,
    curves: Curve | Sequence[Curve] | None,
    classes: Classes | None,
    ax: "Axes | Sequence[Axes] | None",
) -> "Figure":
    """Plot curves of a store over time, each in separate axes.

    Parameters
    ----------
    store : Store
    curves, classes, ax
        See `vidsal.stored.analysis.StoredAnalysis.plot`.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    UsageError
        If a curve or class does not exist, or the number of axes is not that of the curves.
    VidsalError
        If matplotlib is missing, or the store is damaged.
    """
    pyplot = load_pyplot()
    from matplotlib.ticker import PercentFormatter

    chosen = _chosen(store, curves)
    if ax is None:
        size = (_WIDTH_INCHES, _CURVE_INCHES * len(chosen) + 0.6)
        figure: Figure
        figure, grid = pyplot.subplots(
            len(chosen), sharex=True, squeeze=False, figsize=size, layout="constrained"
        )
        panels = list(grid[:, 0])
        model = store.about.get("model_name")
        panels[0].set_title(", ".join(filter(None, (store.source_name, model))), loc="left")
    else:
        panels = list(np.atleast_1d(np.asarray(ax, object)))
        figure = cast("Figure", panels[0].figure)
    if len(panels) != len(chosen):
        raise UsageError(f"there are {len(chosen)} curves, but {len(panels)} axes in ax=")
    times = store.array("time_s")
    cuts_s = times[np.isin(store.array("event"), [EVENTS.index(one) for one in CUTS])]
    if len(cuts_s) and ax is None:
        panels[0].set_title("dashed: scene cut", loc="right", color=_CUT_COLOUR, fontsize="small")
    for name, panel in zip(chosen, panels, strict=True):
        if name == "classes":
            _plot_classes(panel, store, times, classes)
        else:
            _DRAWN[name](panel, store, times)
        for time_s in cuts_s:
            panel.axvline(time_s, color=_CUT_COLOUR, lw=0.8, ls=(0, (4, 3)), zorder=0)
        panel.margins(x=0.01)
        panel.yaxis.set_major_formatter(PercentFormatter(1))
        panel.spines[["top", "right"]].set_visible(False)
    panels[-1].set_xlabel("time (s)")
    figure.align_ylabels(panels)
    return figure


def _chosen(store: Store, curves: Curve | Sequence[Curve] | None) -> list[Curve]:
    """Return the requested curves, or all curves that the store has."""
    known = get_args(Curve)
    if curves is None:
        return [one for one in known if one != "classes" or store.class_names]
    chosen = [curves] if isinstance(curves, str) else list(curves)
    for one in chosen:
        if one not in known:
            raise UsageError(f"curves= must be of {', '.join(known)}, got {one!r}")
    if "classes" in chosen and not store.class_names:
        raise UsageError(f"{store.path} has no classes: it was made without a network")
    if not chosen:
        raise UsageError(f"curves= is empty: name some of {', '.join(known)}")
    return chosen


def _plot_classes(
    ax: "Axes",
    store: Store,
    times: NDArray[np.float64],
    classes: Classes | None,
) -> None:
    """Plot probabilities. They are constant between two predictions."""
    chosen = store.class_ids(classes)
    values = store.probabilities(chosen)
    for n, one in enumerate(chosen):
        name = store.class_names[one]
        short = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
        # A single frame has no line.
        ax.plot(times, values[:, n], label=short, drawstyle="steps-post", marker=_marker(times))
    ax.set_ylim(0, min(1.0, 1.1 * float(np.nanmax(values, initial=0.01))))
    ax.set_ylabel("probability")
    if chosen:
        # The legend is beside the curves, because no place within the axes is free in all videos.
        ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0, frameon=False)


def _plot_motion(ax: "Axes", store: Store, times: NDArray[np.float64]) -> None:
    _plot_share(ax, times, store.array("motion_share"), "share of motion\nin the map")
    ax.set_ylim(0, 1)


def _plot_concentration(ax: "Axes", store: Store, times: NDArray[np.float64]) -> None:
    _plot_share(ax, times, concentration(store), "concentration\n(Gini coefficient)")
    ax.set_ylim(0, 1)


def _plot_share(
    ax: "Axes", times: NDArray[np.float64], values: NDArray[np.float64], label: str
) -> None:
    ax.plot(times, values, color="tab:blue", marker=_marker(times))
    ax.set_ylabel(label)


def _marker(times: NDArray[np.float64]) -> str:
    return "o" if len(times) == 1 else ""


_DRAWN: dict[str, Callable[["Axes", Store, NDArray[np.float64]], None]] = {
    "motion": _plot_motion, "concentration": _plot_concentration,
}  # fmt: skip
