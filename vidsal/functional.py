"""Each half alone: arrays in, arrays out.

These functions keep no state between calls, but for the network of `static_saliency`, which stays
loaded. `vidsal.Analyser` analyses whole videos better: it averages along the optical flow and
keeps scales steady.
"""

from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from vidsal import image_ops
from vidsal.analyser import Analyser
from vidsal.errors import UsageError
from vidsal.motion import compensated, flow
from vidsal.render.overlay import laid_over
from vidsal.saliency import fusion
from vidsal.saliency.fusion_stage import QUIET_SPEED
from vidsal.saliency.normalization import DisplayScale, clipped
from vidsal.settings import (
    Camera,
    Colormap,
    Flow,
    Fusion,
    FusionOptions,
    MotionOptions,
    PictureOptions,
    Settings,
    View,
    checked_option,
    settings_of,
)
from vidsal.sources.arrays import as_rgb
from vidsal.types import Map, Rgb

# OpenCV interpolates in no picture with a longer side.
_FLOW_PX = 2**15 - 2


def static_saliency(
    rgb: Any, settings: Settings | None = None, *, analyser: Analyser | None = None
) -> Map:
    """Return the static saliency of a picture: where the class score depends on it.

    The mean gradient of the class score by layers of the network over noisy copies of the picture,
    smoothed and scaled; `settings` may choose the pixels or another method.

    Parameters
    ----------
    rgb : (H, W, 3) uint8 array or PIL image
        RGB, red first.
    settings : Settings, optional
        ``model``, ``target``, ``layer``, ``method``, ``samples`` and others. The network
        of the last settings stays loaded for the next call.
    analyser : Analyser, optional
        Use its network and settings instead of `settings`.

    Returns
    -------
    (h, w) float32 array
        [0, 1], at working size: the longer side has ``settings.working_width`` pixels.

    Raises
    ------
    UsageError
        If the picture or the settings are invalid, or the settings name no network.
    VidsalError
        If the network cannot be loaded.

    References
    ----------
    D. Smilkov et al., "SmoothGrad: removing noise by adding noise", 2017.
    https://arxiv.org/abs/1706.03825
    """
    if analyser is None:
        analyser = _analyser_of(settings_of(settings))
    static = analyser.photo(rgb).static
    if static is None:
        raise UsageError("static_saliency needs a network: model='none' has no static map")
    return static


@lru_cache(maxsize=1)
def _analyser_of(settings: Settings) -> Analyser:
    return Analyser(settings)


def optical_flow(previous: Any, current: Any, *, method: Flow = MotionOptions.flow) -> Map:
    """Return dense optical flow from one picture to the next.

    Parameters
    ----------
    previous, current : (H, W, 3) uint8 arrays, (H, W) uint8 arrays or PIL images
        RGB or grey, of one size.
    method : {"farneback", "dis"}
        Farneback, or dense inverse search.

    Returns
    -------
    (H, W, 2) float32 array
        ``[..., 0]`` columns, ``[..., 1]`` rows, in pixels: the point (row, column) of `previous`
        is at (row + ``[..., 1]``, column + ``[..., 0]``) of `current`.

    Raises
    ------
    UsageError
        If a picture is invalid or has a side above 32,766 pixels, or the sizes differ.

    References
    ----------
    G. Farneback, "Two-frame motion estimation based on polynomial expansion", SCIA 2003.
    https://doi.org/10.1007/3-540-45103-X_50
    """
    checked_option("flow", method)
    first, second = _grey_pair(previous, current)
    if max(first.shape) > _FLOW_PX:
        height, width = first.shape
        raise UsageError(
            f"optical flow takes pictures with sides up to {_FLOW_PX} pixels, got {width}x{height}"
        )
    return flow.optical_flow(first, second, method=method)


def motion_saliency(
    previous: Any,
    current: Any,
    *,
    fps: float = 25.0,
    flow: Flow = MotionOptions.flow,
    camera: Camera = MotionOptions.camera,
    working_width: int = MotionOptions.working_width,
) -> Map:
    """Return the motion saliency of a picture: the speed of objects after camera compensation.

    Parameters
    ----------
    previous, current : (H, W, 3) uint8 arrays, (H, W) uint8 arrays or PIL images
        RGB or grey, of one size.
    fps : float
        Pictures per second. Slow motion is not scaled up: in a scene slower than 0.03 diagonals
        of the picture per second the map stays below 1.
    flow : {"farneback", "dis"}
        Optical flow.
    camera : {"auto", "homography", "affine", "median", "none"}
        Model of the camera's own movement.
    working_width : int
        Longer side of the map in pixels.

    Returns
    -------
    (h, w) float32 array
        [0, 1] for `current`, at working size.

    Raises
    ------
    UsageError
        If a picture is invalid, the sizes differ, or `fps` is not above 0.
    """
    for name, value in (("flow", flow), ("camera", camera), ("working_width", working_width)):
        checked_option(name, value)
    if not isinstance(fps, (int, float, Fraction)) or not fps > 0:
        raise UsageError(f"fps must be a number above 0, got {fps!r}")
    first, second = _grey_pair(previous, current)
    size = image_ops.working_size(second.shape[0], second.shape[1], working_width)
    small = (image_ops.shrink(one, size) for one in (first, second))
    motion = compensated.measure(*small, model=camera, method=flow)
    speed = compensated.diagonals_per_second(motion.speed, 1 / float(fps))
    return clipped(DisplayScale("frame", floor=QUIET_SPEED)(speed, 0.0).values)


def fuse(
    static: Map,
    motion: Map,
    *,
    method: Fusion = FusionOptions.fusion,
    gain: float = FusionOptions.gain,
) -> Map:
    """Return both maps fused and scaled.

    Parameters
    ----------
    static, motion : (h, w) float arrays
        [0, 1], of one size.
    method : {"gain", "sum", "max", "static", "motion"}
        S + gain x D x S, S + gain x D, the larger of S and gain x D, S alone, D alone.
    gain : float
        Weight of motion, at least 0.

    Returns
    -------
    (h, w) float32 array
        [0, 1]; the 99.8th percentile becomes 1.

    Raises
    ------
    UsageError
        If the maps are invalid, or their sizes differ.
    """
    checked_option("fusion", method)
    checked_option("gain", gain)
    one, other = _map(static, "static"), _map(motion, "motion")
    if one.shape != other.shape:
        raise UsageError(f"static is {one.shape}, but motion is {other.shape}")
    both = fusion.fuse(one, other, method=method, gain=gain)
    return clipped(DisplayScale("frame")(both, 0.0).values)


def overlay(
    rgb: Any,
    saliency_map: Map,
    *,
    style: View = PictureOptions.style,
    colormap: Colormap = PictureOptions.colormap,
    alpha: float = PictureOptions.alpha,
) -> Rgb:
    """Return a picture with a saliency map drawn over it.

    With "heat" the opacity of a pixel is ``alpha`` times the smoothstep s² (3 - 2 s) of its
    saliency s.

    Parameters
    ----------
    rgb : (H, W, 3) uint8 array or PIL image
        RGB, red first.
    saliency_map : (h, w) float array
        [0, 1], of any size; it is resized to the picture.
    style : {"heat", "contour", "reveal"}
        Colours; lines at 0.25, 0.5, 0.75 and 0.9; or what does not stand out dark and grey.
    colormap : {"inferno", "magma", "plasma", "viridis", "cividis", "turbo", "grey"}
        Colours of the map.
    alpha : float
        Opacity of the most salient regions with "heat", 0..1. Regions of value 0 stay unchanged.

    Returns
    -------
    (H, W, 3) uint8 array

    Raises
    ------
    UsageError
        If the picture or the map is invalid.
    """
    # Less than half of one of the 256 levels that are drawn.
    values = _map(saliency_map, "saliency_map", tolerance=1e-3)
    picture = as_rgb(rgb, "rgb")
    colormap, alpha = checked_option("colormap", colormap), checked_option("alpha", alpha)
    view = checked_option("style", style)
    return laid_over(picture, values, view=view, colormap=colormap, alpha=float(alpha))


def _grey_pair(previous: Any, current: Any) -> tuple[Rgb, Rgb]:
    """Return two pictures in grey, or raise `UsageError`."""
    first, second = _grey(previous, "previous"), _grey(current, "current")
    if first.shape != second.shape:
        raise UsageError(f"previous is {first.shape}, but current is {second.shape}")
    return first, second


def _grey(picture: Any, name: str) -> Rgb:
    is_grey = isinstance(picture, np.ndarray) and picture.ndim == 2
    if is_grey and picture.dtype == np.uint8:
        return np.ascontiguousarray(picture)
    return image_ops.grey(as_rgb(picture, name))


def _map(values: Any, name: str, *, tolerance: float = 1e-6) -> Map:
    """Return a map as float32 in [0, 1], or raise `UsageError`; rounding may exceed the range."""
    array = np.asarray(values)
    if array.ndim != 2 or array.dtype.kind != "f" or not array.size:
        raise UsageError(
            f"{name} must be a (h, w) float array, got {array.dtype} {array.shape}: convert it "
            "first"
        )
    low, high = float(array.min()), float(array.max())
    if not (low >= -tolerance and high <= 1 + tolerance):
        raise UsageError(f"{name} must be in [0, 1], got {low:g} to {high:g}: normalise it first")
    return np.ascontiguousarray(np.clip(array, 0, 1), np.float32)
