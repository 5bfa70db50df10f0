"""Pictures that are drawn in luma and chroma: those of RGB, but for rounding."""

from dataclasses import replace

import numpy as np
import pytest
from render_help import BARE, LAYOUTS, noise, random_map, saliency_of

from vidsal.image_ops import smoothed
from vidsal.render.draw import draw_for_video, draw_saliency
from vidsal.render.style import Style
from vidsal.types import Frame, Rgb, Saliency
from vidsal.yuv import Yuv420, as_rgb


def _smooth(size: tuple[int, int]) -> Rgb:
    """Return a picture whose squares of 2 x 2 pixels have nearly one colour each."""
    rgb = noise(size).astype(np.float32)
    planes = [smoothed(np.ascontiguousarray(rgb[..., n]), 0.05) for n in range(3)]
    stretched = (np.stack(planes, axis=-1) - 127) * 6 + 127
    return np.clip(stretched, 0, 255).astype(np.uint8)


def _pair(size: tuple[int, int]) -> tuple[Saliency, Saliency]:
    """Return the saliency of one picture: the frame in luma and chroma, and in RGB."""
    planes = Yuv420.of(_smooth(size))
    fused = smoothed(random_map((size[0] // 4, size[1] // 4), 3), 0.05)
    fused = (fused - fused.min()) / (fused.max() - fused.min())
    in_rgb = saliency_of(planes.to_rgb(), fused)
    place = in_rgb.frame.index, in_rgb.frame.time_s
    return replace(in_rgb, frame=Frame.of_yuv(planes, *place)), in_rgb


@pytest.mark.parametrize("style", [
    Style(), BARE, Style("side-by-side"), Style("side-by-side", annotate=False),
    Style(boxes=0.6), Style(colormap="turbo", alpha=1.0),
])  # fmt: skip
def test_the_picture_is_that_of_rgb(style: Style) -> None:
    in_yuv, in_rgb = _pair((360, 640))
    drawn, expected = draw_for_video(in_yuv, style), draw_saliency(in_rgb, style)
    assert isinstance(drawn, Yuv420) and drawn.shape == expected.shape
    reference = Yuv420.of(expected)
    for plane, other in zip(drawn.planes, reference.planes, strict=True):
        difference = np.abs(plane.astype(int) - other)
        assert difference.mean() < 0.6
        # Letters and lines of an odd place share their chroma with what is beside them.
        assert np.percentile(difference, 99) <= 3 and difference.max() <= 24


def test_a_frame_in_rgb_gives_the_same_picture() -> None:
    in_yuv, in_rgb = _pair((240, 320))
    one, other = draw_for_video(in_yuv, Style()), draw_for_video(in_rgb, Style())
    assert isinstance(one, Yuv420) and isinstance(other, Yuv420)
    difference = np.abs(one.data.astype(int) - other.data)
    assert difference.max() <= 2 and difference.mean() < 0.5


def test_the_frame_is_not_drawn_on() -> None:
    in_yuv, _ = _pair((240, 320))
    planes = in_yuv.frame.yuv
    assert isinstance(planes, Yuv420)
    before = planes.data.copy()
    for layout in ("overlay", "side-by-side"):
        draw_for_video(in_yuv, Style(layout))
    assert np.array_equal(planes.data, before)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("view", ["heat", "contour", "reveal"])
def test_what_does_not_fit_is_drawn_in_rgb(layout: str, view: str) -> None:
    in_yuv, in_rgb = _pair((240, 320))
    style = Style(layout, view=view)  # type: ignore[arg-type]
    drawn = draw_for_video(in_yuv, style)
    if view == "heat" and layout in ("overlay", "side-by-side"):
        assert isinstance(drawn, Yuv420)
    else:
        assert not isinstance(drawn, Yuv420)
        assert np.array_equal(drawn, draw_saliency(in_rgb, style))


def test_odd_sides_and_scaled_panels_are_drawn_in_rgb() -> None:
    odd = saliency_of(noise((33, 48)), random_map((8, 12), 1))
    assert np.array_equal(as_rgb(draw_for_video(odd, BARE)), draw_saliency(odd, BARE))
    in_yuv, in_rgb = _pair((240, 320))
    narrow = Style(width=160)
    drawn = as_rgb(draw_for_video(in_yuv, narrow))
    assert np.array_equal(drawn, draw_saliency(in_yuv, narrow))
    assert np.abs(drawn.astype(int) - draw_saliency(in_rgb, narrow)).mean() < 1


def test_a_box_leaves_what_is_inside_and_outside_of_it() -> None:
    # Levels that no RGB has, which a conversion would change.
    planes = Yuv420(np.full(240 * 320 * 3 // 2, 250, np.uint8), (240, 320))
    fused = np.zeros((60, 80), np.float32)
    fused[15:45, 20:60] = 0.02
    saliency = replace(saliency_of(planes.to_rgb(), fused), frame=Frame.of_yuv(planes, 0, 0.0))
    drawn = draw_for_video(saliency, BARE._replace(boxes=0.01))
    assert isinstance(drawn, Yuv420)
    differs = drawn.luma != 250
    assert differs[58:63, 80:240].any() and differs[60:180, 78:83].any()
    assert not differs[66:174, 90:230].any()
    assert not differs[:54].any() and not differs[186:].any() and not differs[:, :72].any()
