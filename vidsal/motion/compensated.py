"""Motion of objects: optical flow minus the flow that the camera causes.

Pure maths on grey pictures of working size.
"""

import numpy as np

from vidsal.image_ops import as_map, smoothed
from vidsal.motion.camera import camera_motion, camera_shifts, reversed_motion, steady
from vidsal.motion.flow import TwoWayFlow, require_same_shape
from vidsal.motion.lighting import brightness_ratio, equalized, is_explained
from vidsal.motion.warp import forward_backward_consistent, squared_length
from vidsal.runtime.opencv import cv2
from vidsal.settings import Camera, Flow
from vidsal.types import Map, Motion, Rgb

# Standard deviation of the smoothing of the speed, as a share of the longer side.
_SMOOTH = 0.02


def still(size: tuple[int, int], *, known: bool = False) -> Motion:
    """Return a motion of zero everywhere, with a camera that stands still.

    Parameters
    ----------
    size : (int, int)
        Height and width.
    known : bool
        Whether each point is visible in the previous frame. ``False`` for a frame without a
        previous one.
    """
    zero, past = np.zeros((*size, 2), np.float32), np.full(size, known, np.float32)
    return Motion(zero, zero, past, np.zeros(size, np.float32), steady())


def measure(
    previous: Rgb,
    current: Rgb,
    *,
    model: Camera = "auto",
    method: Flow = "farneback",
) -> Motion:
    """Return the motion between two grey pictures, compensated for the camera.

    Parameters
    ----------
    previous, current : (h, w) uint8 array
        Grey pictures of one size.
    model : {"auto", "homography", "affine", "median", "none"}
        Camera model, see `vidsal.motion.camera.camera_motion`.
    method : {"farneback", "dis"}
        Optical flow, see `vidsal.motion.flow.optical_flow`.

    Returns
    -------
    Motion
        Flow, backward flow and speed are zero for identical pictures.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    return MotionMeter(model=model, method=method).between(previous, current)


class MotionMeter:
    """Measures the motion between each picture of a video and the one before it.

    What was computed for a picture serves for both of its pairs. The results do not depend on it.
    An object serves one thread.

    Parameters
    ----------
    model : {"auto", "homography", "affine", "median", "none"}
    method : {"farneback", "dis"}
        See `measure`.
    """

    def __init__(self, *, model: Camera = "auto", method: Flow = "farneback") -> None:
        self._model, self._flow = model, TwoWayFlow(method)

    def between(self, previous: Rgb, current: Rgb) -> Motion:
        """Return the motion between two grey pictures; see `measure`."""
        require_same_shape(previous, current)
        # Light is not motion.
        ratio = brightness_ratio(previous, current)
        previous, current = equalized(previous, current, ratio)
        flow, backward = self._flow.between(previous, current)
        known = forward_backward_consistent(backward, flow)
        # The camera is fitted to the backward flow, because that one has the full size.
        camera = camera_motion(backward, model=self._model)
        still_scene = camera_shifts(camera, current.shape[:2])
        # Planes, because NumPy is slow on channels that alternate.
        own = (
            as_map(one) - shift for one, shift in zip(cv2.split(backward), still_scene, strict=True)
        )
        # A point without a counterpart in the previous frame is not evidence of motion.
        speed = np.sqrt(squared_length(*own))
        speed *= known
        if ratio != 1:
            speed *= is_explained(previous, current, backward, as_map(cv2.merge(still_scene)))
        return Motion(flow, backward, known, smoothed(speed, _SMOOTH), reversed_motion(camera))


def diagonals_per_second(speed: Map, seconds: float) -> Map:
    """Return a speed in a unit that depends neither on the working size nor on the frame rate.

    Parameters
    ----------
    speed : (h, w) float32 array
        Pixels per frame.
    seconds : float
        Time between the two frames, above 0.

    Returns
    -------
    (h, w) float32 array
        Diagonals of the picture per second.
    """
    return np.asarray(speed / np.float32(np.hypot(*speed.shape) * seconds), np.float32)
