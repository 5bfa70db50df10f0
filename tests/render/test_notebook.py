"""Pictures for notebooks: the PNG image decodes to the overlay, the figure shows the maps."""

from __future__ import annotations

import sys
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image
from render_help import noise, random_map, saliency_of

from vidsal.errors import VidsalError
from vidsal.render.draw import draw_saliency
from vidsal.render.notebook import plot, png
from vidsal.render.style import Style
from vidsal.types import Map, Rgb, Saliency

SIZE = 120, 160


@pytest.fixture
def saliency() -> Saliency:
    """A frame with three different maps."""
    static, motion, fused = (random_map((24, 32), seed) for seed in (1, 2, 3))
    base = saliency_of(
        noise(SIZE), fused, static=static, motion=motion, name="hen", model_name="net", time_s=1.5
    )
    return replace(base, marker=(0.25, 0.75))


# PNG


def decoded(data: bytes) -> Rgb:
    picture = Image.open(BytesIO(data))
    assert picture.format == "PNG"
    return np.asarray(picture)


def test_the_png_is_the_annotated_overlay(saliency: Saliency) -> None:
    picture = decoded(png(saliency))
    assert np.array_equal(picture, draw_saliency(saliency, Style()))
    assert not np.array_equal(picture, draw_saliency(saliency, Style(annotate=False)))


def test_the_png_is_at_most_640_pixels_wide(saliency: Saliency) -> None:
    wide = replace(saliency, frame=replace(saliency.frame, rgb=noise((720, 1280))))
    picture = decoded(png(wide))
    assert picture.shape == (360, 640, 3)
    assert np.array_equal(picture, draw_saliency(wide, Style(width=640)))


# Figure


@pytest.fixture
def pyplot() -> Any:
    """Matplotlib without a window; closes the figures of a test."""
    pytest.importorskip("matplotlib").use("Agg")
    from matplotlib import pyplot

    # Those of programs that other tests run.
    pyplot.close("all")
    yield pyplot
    pyplot.close("all")


def shown(ax: Any) -> Map:
    """The array that axes show."""
    (image,) = ax.images
    return np.asarray(image.get_array())


def test_the_figure_shows_input_static_motion_and_fused(saliency: Saliency, pyplot: Any) -> None:
    figure = plot(saliency)
    *panels, bar = figure.axes
    assert [ax.get_title() for ax in panels] == ["input", "static", "motion", "fused"]
    for ax, values in zip(
        panels,
        (saliency.frame.rgb, saliency.static, saliency.motion, saliency.fused),
        strict=True,
    ):
        assert values is not None
        assert np.array_equal(shown(ax), values)
    for ax in panels[1:]:
        assert ax.images[0].get_clim() == (0, 1)
        assert ax.images[0].get_cmap().name == "inferno"
    assert bar.get_ylabel() == "saliency"
    assert tuple(bar.get_ylim()) == (0, 1)
    assert pyplot.get_fignums() == [figure.number]
    figure.savefig(BytesIO())


def test_the_marker_is_in_the_fused_panel(saliency: Saliency, pyplot: Any) -> None:
    *_, fused, _ = plot(saliency).axes
    for line in fused.lines:
        # The shares (row, column) of a map of 24 x 32, whose first pixel is centred at 0.
        assert np.asarray(line.get_xydata()).tolist() == [[0.75 * 32 - 0.5, 0.25 * 24 - 0.5]]
    assert len(fused.lines) == 2
    axes = plot(replace(saliency, marker=None)).axes
    assert not any(ax.lines for ax in axes[:4])


def test_without_a_network_the_static_panel_is_the_dimmed_picture(
    saliency: Saliency, pyplot: Any
) -> None:
    figure = plot(replace(saliency, static=None, prediction=None))
    _, static, motion, *_ = figure.axes
    assert static.get_title() == "static: no network"
    assert np.array_equal(shown(static), saliency.frame.rgb // 3)
    assert np.array_equal(shown(motion), saliency.motion)
    figure.savefig(BytesIO())


def test_given_axes_get_the_fused_map(saliency: Saliency, pyplot: Any) -> None:
    figure, (first, second) = pyplot.subplots(1, 2)
    assert plot(saliency, ax=second) is figure
    assert not first.images
    assert np.array_equal(shown(second), saliency.fused)
    assert len(second.lines) == 2
    # One more: the colour bar.
    assert len(figure.axes) == 3
    assert pyplot.get_fignums() == [figure.number]


def test_missing_matplotlib_is_one_line(
    saliency: Saliency, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(VidsalError) as caught:
        plot(saliency)
    assert str(caught.value) == (
        'plot() needs matplotlib, which cannot be imported: run pip install "vidsal[plot]"'
    )
