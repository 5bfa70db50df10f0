"""Changes of the light between two frames: lamps that flicker, clouds, automatic exposure.

A change of the light scales the whole picture by one factor, also after gamma correction, because
the power of a product is the product of the powers. Optical flow takes it for motion. Pure maths.
"""

import numpy as np

from vidsal.image_ops import percentile
from vidsal.motion.warp import warp
from vidsal.runtime.opencv import cv2
from vidsal.types import Map, Rgb

# Smaller changes of brightness do not disturb the flow, and motion itself changes the median.
_SMALLEST_CHANGE = 0.02
# Levels between these are not clipped, and not so dark that rounding dominates their ratio.
_DARKEST, _BRIGHTEST = 16, 250
# For pictures with sides above this, only every second pixel of every second row is read. The
# medians of a quarter of the pixels are as good.
_LARGE_PX, _STEP_PX = 64, 2
# With fewer pixels than this no statement about the whole picture is possible.
_FEWEST_PIXELS = 100
# Clipped highlights keep their level while the rest changes. Where the light has changed, motion
# counts only if it explains the picture much better than a still scene does: its error is at most
# this share of the error without it, plus some levels of noise. Measured on a photo under a lamp
# that flickers by 12 %, with clipped highlights: 95th percentile of the speed .256 diagonals per
# second without this test, .048 with it. If each pair of DAVIS frames were tested, the pixel AUC
# of the speed would fall from .896 to .870, and max-F would rise from .516 to .566.
_ERROR_SHARE, _NOISE_LEVELS = 0.3, 6.0
# Side of the square in pixels over which errors are averaged.
_WINDOW_PX = 9


def brightness_ratio(previous: Rgb, current: Rgb) -> float:
    """Return the factor by which the light changed.

    Light changes both the median of the pixels' ratios and the ratio of the pictures' medians.
    Motion of objects or of the camera strongly changes at most one of the two. So the value nearer
    to 1 is used.

    Parameters
    ----------
    previous, current : (h, w) uint8 array
        Grey pictures of one size.

    Returns
    -------
    float
        Brightness of `current` divided by that of `previous`; 1 if the change is below 2 %, or
        if too few pixels are neither dark nor clipped.
    """
    if min(previous.shape) > _LARGE_PX:
        previous, current = (one[::_STEP_PX, ::_STEP_PX] for one in (previous, current))
    usable = (previous > _DARKEST) & (previous < _BRIGHTEST)
    usable &= (current > _DARKEST) & (current < _BRIGHTEST)
    if np.count_nonzero(usable) < _FEWEST_PIXELS:
        return 1.0
    before, now = previous[usable], current[usable]
    of_medians = percentile(now, 50) / percentile(before, 50)
    if not _is_change(of_medians):
        # The other ratio could only be nearer to 1.
        return 1.0
    of_pixels = percentile(np.divide(now, before, dtype=np.float32), 50)
    if (of_pixels > 1) != (of_medians > 1):
        return 1.0
    ratio = min(of_pixels, of_medians, key=lambda one: abs(np.log(one)))
    return ratio if _is_change(ratio) else 1.0


def _is_change(ratio: float) -> bool:
    return abs(ratio - 1) > _SMALLEST_CHANGE


def equalized(previous: Rgb, current: Rgb, ratio: float) -> tuple[Rgb, Rgb]:
    """Return both pictures under the darker of the two lights, so that nothing is clipped.

    Parameters
    ----------
    previous, current : (h, w) uint8 array
    ratio : float
        From `brightness_ratio`.
    """
    if ratio > 1:
        return previous, _scaled(current, 1 / ratio)
    return (_scaled(previous, ratio), current) if ratio < 1 else (previous, current)


def _scaled(picture: Rgb, factor: float) -> Rgb:
    return np.asarray(np.rint(picture * np.float32(factor)), np.uint8)


def is_explained(previous: Rgb, current: Rgb, backward: Map, still: Map) -> Map:
    """Return where the flow explains the current picture much better than a still scene does.

    Parameters
    ----------
    previous, current : (h, w) uint8 array
        Grey pictures under one light.
    backward : (h, w, 2) float32 array
        Flow from `current` to `previous`, pixels, columns first.
    still : (h, w, 2) float32 array
        The part of this flow that the camera causes.

    Returns
    -------
    (h, w) float32 array
        1 where the motion is supported, 0 elsewhere.
    """
    before, now = previous.astype(np.float32), current.astype(np.float32)
    errors = (
        cv2.blur(np.abs(now - warp(before, flow)), (_WINDOW_PX, _WINDOW_PX))
        for flow in (backward, still)
    )
    with_motion, without = errors
    return np.asarray(with_motion <= _ERROR_SHARE * without + _NOISE_LEVELS, np.float32)
