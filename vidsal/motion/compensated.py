"""Dynamic saliency: optical flow, the camera's own movement, and what is left of the one without
the other. Pure maths on grey pictures of working size.
"""

from functools import partial

import numpy as np

from vidsal.image_ops import smoothed
from vidsal.motion.camera import camera_flow, camera_motion, reversed_motion, steady
from vidsal.motion.flow import optical_flow, require_alike, rough_flow
from vidsal.motion.warp import forward_backward_consistent
from vidsal.runtime.prefetch import Begin
from vidsal.settings import Camera, Flow
from vidsal.types import Map, Motion, Rgb

# Standard deviation of the light smoothing of the speed, as a share of the longer side.
_SMOOTH = 0.02


def still(size: tuple[int, int], *, known: bool = False) -> Motion:
    """Return no motion: of a frame that has nothing before it, or, `known`, that stands still."""
    nowhere, past = np.zeros((*size, 2), np.float32), np.full(size, known, np.float32)
    return Motion(nowhere, nowhere, past, np.zeros(size, np.float32), steady())


def measure(
    previous: Rgb,
    current: Rgb,
    *,
    model: Camera = "auto",
    how: Flow = "farneback",
    begin: Begin[Map] | None = None,
) -> Motion:
    """Return what moved between two grey pictures, the camera's own movement taken off.

    Parameters
    ----------
    previous, current : (h, w) uint8 array
        Grey pictures of one size.
    model : {"auto", "homography", "affine", "median", "none"}
        See `camera_motion`.
    how : {"farneback", "dis"}
        See `optical_flow`.
    begin : callable, optional
        Finds the flow there at the same time as the flow back: see
        `vidsal.runtime.prefetch.helper`.

    Returns
    -------
    Motion
        All zero for identical pictures.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    require_alike(previous, current)
    forward = partial(rough_flow, previous, current, how=how)
    found = begin(forward) if begin else forward
    backward = optical_flow(current, previous, how=how)
    flow = found()
    known = forward_backward_consistent(backward, flow)
    # The way back is the finer one, so the camera's is found from that.
    back = camera_motion(backward, model=model)
    own = backward - camera_flow(back, current.shape[:2])
    # A point that is lost is no evidence that something moves there.
    speed = np.sqrt(own[..., 0] ** 2 + own[..., 1] ** 2) * known
    return Motion(flow, backward, known, smoothed(speed, _SMOOTH), reversed_motion(back))


def diagonals_a_second(speed: Map, seconds: float) -> Map:
    """Return a speed in diagonals of the picture a second, from pixels in so many seconds.

    So it depends neither on the working size nor on the frame rate.
    """
    return np.asarray(speed / np.float32(np.hypot(*speed.shape) * seconds), np.float32)
