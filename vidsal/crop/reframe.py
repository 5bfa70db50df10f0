"""The crop window and the smallest box of every frame of a source. Pure maths."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from vidsal.crop.boxes import MassBox, smallest_box
from vidsal.crop.path import Mode, scene_path
from vidsal.crop.window import held, mass, profile, window_size
from vidsal.saliency.scenes import scene_numbers
from vidsal.types import Map


@dataclass(frozen=True, slots=True, eq=False)
class CropPath:
    """The crop window of each of n frames, in pixels of the source.

    Attributes
    ----------
    aspect : str
        The requested aspect, such as "9:16".
    share : float
        The share of saliency that `boxes` hold.
    source_height, source_width : int
        Size of the source.
    height, width : int
        Size of the window, the same in all frames.
    frame : (n,) int64 array
        Numbers of the frames in the source.
    time_s : (n,) float64 array
    scene : (n,) int64 array
        The scene of each frame, from 0: an index of `modes`. In a part, scenes keep the numbers of
        the whole. Files count scenes from 1.
    modes : tuple of str
        The mode of each scene: "still", "pan" (constant velocity) or "follow" (smooth).
    left, top : (n,) int64 array
        The window's first column and row.
    offset_px : (n,) float64 array
        The position before it is rounded to pixels, along the axis in which the window can move.
    held : (n,) float64 array
        Share of the saliency of the fused map that the window holds, 0..1; NaN where the map is
        zero.
    boxes : (n, 4) float64 array
        Top, left, bottom and right of the smallest box that holds `share`; NaN where the map is
        zero.
    """

    aspect: str
    share: float
    source_height: int
    source_width: int
    height: int
    width: int
    frame: NDArray[np.int64]
    time_s: NDArray[np.float64]
    scene: NDArray[np.int64]
    modes: tuple[Mode, ...]
    left: NDArray[np.int64]
    top: NDArray[np.int64]
    offset_px: NDArray[np.float64]
    held: NDArray[np.float64]
    boxes: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.frame)

    def part(self, begin: int, end: int) -> "CropPath":
        """Return the windows of consecutive frames; scenes keep their numbers.

        Parameters
        ----------
        begin, end : int
            Positions of frames, from 0; `end` is excluded.
        """
        arrays = {
            name: getattr(self, name)[begin:end]
            for name in ("frame", "time_s", "scene", "left", "top", "offset_px", "held", "boxes")
        }
        return replace(self, **arrays)

    def __repr__(self) -> str:
        return (
            f"CropPath({self.aspect}, {self.width}x{self.height} of {self.source_width}x"
            f"{self.source_height}, {len(self)} frames, {len({*self.scene.tolist()})} scenes)"
        )


class Reframing:
    """Collects the mass and the smallest box of each frame, and then places the window.

    Parameters
    ----------
    size : (int, int)
        Height and width of the source in pixels.
    aspect : str
        Width to height, such as "9:16".
    share : float
        Share of saliency that the smallest boxes hold, above 0, at most 1.

    Raises
    ------
    UsageError
        If the window is too small.
    """

    def __init__(self, size: tuple[int, int], aspect: str, share: float) -> None:
        self._size, self._aspect, self._share = size, aspect, share
        width, _, height = aspect.partition(":")
        self._window = window_size(size, Fraction(width) / Fraction(height))
        # A window of the largest size has the height or the width of the picture.
        self._axis = 1 if size[1] - self._window[1] > size[0] - self._window[0] else 0
        self._profiles: list[NDArray[np.float32]] = []
        self._fused: list[NDArray[np.float32]] = []
        self._boxes: list[MassBox | None] = []

    def add(self, fused: Map, speed: Map, motion_high: float) -> None:
        """Take the maps of the next frame.

        Parameters
        ----------
        fused : (h, w) float32 array
            0..1.
        speed : (h, w) float32 array
            At least 0.
        motion_high : float
            The speed that is shown as 1.
        """
        weights = mass(fused, speed, motion_high)
        # float32 halves the memory: there is one number for each column of each frame of a film.
        self._profiles.append(profile(weights, self._axis).astype(np.float32))
        self._fused.append(profile(fused, self._axis).astype(np.float32))
        self._boxes.append(smallest_box(fused, self._share))

    def path(
        self, frame: NDArray[np.int64], time_s: NDArray[np.float64], events: Sequence[str]
    ) -> CropPath:
        """Return the window of each frame that was added.

        Parameters
        ----------
        frame : (n,) int64 array
            Numbers of the frames.
        time_s : (n,) float64 array
        events : sequence of str
            Their events in their scenes, see `vidsal.saliency.scenes.SceneDetector`.
        """
        (height, width), window = self._size, self._window
        side = self._size[self._axis]
        length = window[self._axis] / side
        scene = scene_numbers(events)
        profiles, offset_px = np.array(self._profiles), np.zeros(len(frame))
        modes: list[Mode] = []
        for number in range(int(scene.max(initial=-1)) + 1):
            part = scene == number
            found = scene_path(profiles[part], time_s[part], length)
            modes.append(found.mode)
            offset_px[part] = side * found.positions
        placed = np.clip(np.rint(offset_px).astype(np.int64), 0, side - window[self._axis])
        # Across the movement, one pixel is left if the side is odd.
        across = np.zeros_like(placed)
        fused = np.array(self._fused)
        share = held(fused, (placed / side)[:, None], length)[:, 0]
        share[~fused.any(axis=1)] = np.nan
        nothing = (np.nan,) * 4
        boxes = np.array([nothing if one is None else one[:4] for one in self._boxes], np.float64)
        return CropPath(
            aspect=self._aspect, share=self._share, source_height=height, source_width=width,
            height=window[0], width=window[1], frame=frame, time_s=time_s, scene=scene,
            modes=tuple(modes), left=placed if self._axis else across,
            top=across if self._axis else placed, offset_px=offset_px, held=share,
            boxes=boxes.reshape(-1, 4) * (height, width, height, width),
        )  # fmt: skip
