"""Dense optical flow between two grey pictures. Pure maths."""

from typing import Any

import numpy as np

from vidsal.image_ops import shrink
from vidsal.motion.farneback import Pyramid, displacement, expanded
from vidsal.runtime.opencv import cv2
from vidsal.settings import Flow
from vidsal.types import Map, Rgb

# The patches of dense inverse search do not fit into a smaller picture.
_DIS_PX = 16


def optical_flow(previous: Rgb, current: Rgb, *, method: Flow = "farneback") -> Map:
    """Return dense optical flow from `previous` to `current`.

    Parameters
    ----------
    previous, current : (h, w) uint8 array
        Grey pictures of one size.
    method : {"farneback", "dis"}
        Polynomial expansion, or dense inverse search. Pictures with a side below 16 pixels always
        use Farneback.

    Returns
    -------
    (h, w, 2) float32 array
        [..., 0] columns, [..., 1] rows, pixels. The point (row, column) of `previous` is at
        (row + [..., 1], column + [..., 0]) of `current`. All zero for identical pictures.

    Raises
    ------
    ValueError
        If the shapes differ.

    References
    ----------
    G. Farneback, "Two-frame motion estimation based on polynomial expansion", SCIA 2003.
    https://doi.org/10.1007/3-540-45103-X_50
    T. Kroeger et al., "Fast optical flow using dense inverse search", ECCV 2016.
    https://doi.org/10.1007/978-3-319-46493-0_29
    """
    require_same_shape(previous, current)
    if np.array_equal(previous, current):
        return np.zeros((*current.shape, 2), np.float32)
    if _searches(method, current):
        return _dense_inverse_search(previous, current)
    return displacement(expanded(previous), expanded(current))


def require_same_shape(previous: Rgb, current: Rgb) -> None:
    """Raise an error unless two pictures have the same shape.

    Parameters
    ----------
    previous, current : array

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if previous.shape != current.shape:
        raise ValueError(
            f"flow needs two pictures of one shape, got {previous.shape} and {current.shape}"
        )


def _searches(method: Flow, picture: Rgb) -> bool:
    return method == "dis" and min(picture.shape) >= _DIS_PX


def _dense_inverse_search(previous: Rgb, current: Rgb) -> Map:
    # A new object for each call: it holds buffers, and streams may run in several threads.
    dis: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(dis.calc(previous, current, None), np.float32)


class TwoWayFlow:
    """Optical flow of pairs of pictures in both directions.

    The expansion of the last picture serves for the next pair, too, if that begins with it. An
    object serves one thread.

    Parameters
    ----------
    method : {"farneback", "dis"}
        See `optical_flow`.
    """

    def __init__(self, method: Flow = "farneback") -> None:
        self._method = method
        self._kept: tuple[Rgb, Pyramid] | None = None

    def between(self, previous: Rgb, current: Rgb) -> tuple[Map, Map]:
        """Return the flow from `previous` to `current`, and the flow back.

        Parameters
        ----------
        previous, current : (h, w) uint8 array
            Grey pictures of one size.

        Returns
        -------
        flow : (h, w, 2) float32 array
            Columns first, in pixels. Found at half the size, if both sides then have 32 pixels or
            more, at a quarter of the cost: it serves to check the other one, and a check by flow
            of the full size does not improve the motion maps.
        backward : (h, w, 2) float32 array
            From `current` to `previous`, as `optical_flow` finds it.

        Raises
        ------
        ValueError
            If the shapes differ.
        """
        require_same_shape(previous, current)
        if np.array_equal(previous, current):
            flow, backward = np.zeros((2, *current.shape, 2), np.float32)
            return flow, backward
        if _searches(self._method, current):
            return _rough_search(previous, current), _dense_inverse_search(current, previous)
        before, now = self._expanded(previous), expanded(current)
        # A copy: the caller may write into its array.
        self._kept = current.copy(), now
        return displacement(before, now, is_rough=True), displacement(now, before)

    def _expanded(self, picture: Rgb) -> Pyramid:
        if self._kept is not None and np.array_equal(self._kept[0], picture):
            return self._kept[1]
        return expanded(picture)


def _rough_search(previous: Rgb, current: Rgb) -> Map:
    """Return the flow that dense inverse search finds at half the size, in pixels of the full."""
    height, width = current.shape
    size = (height + 1) // 2, (width + 1) // 2
    small = optical_flow(shrink(previous, size), shrink(current, size), method="dis")
    factors = np.array([width / size[1], height / size[0]], np.float32)
    return shrink(small * factors, (height, width))
