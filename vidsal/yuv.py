"""Pictures in luma and chroma, as videos store them: YUV 4:2:0, BT.709, limited range. Pure maths.

They have half the bytes of RGB. A picture that stays in this form from decoder to encoder is
neither converted nor rounded twice.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vidsal.runtime.opencv import cv2
from vidsal.types import Rgb

# Weights of red and blue in luma.
BT601, BT709 = (0.299, 0.114), (0.2126, 0.0722)
# In limited range luma goes from 16 to 235, each chroma from 16 to 240, where 128 is neutral.
_GAINS, _OFFSETS = np.array([219, 224, 224]) / 255, np.array([16, 128, 128])
# Returns a plane at another (height, width).
Resize: TypeAlias = Callable[[NDArray[np.uint8], tuple[int, int]], NDArray[np.uint8]]


def rgb_to_yuv_matrix(red: float, blue: float) -> NDArray[np.float64]:
    """Return the matrix from RGB to luma, blue-difference and red-difference chroma.

    Parameters
    ----------
    red, blue : float
        Their weights in luma, such as `BT709`. The three weights add up to 1.

    Returns
    -------
    (3, 3) float64 array
        Full range: luma 0 to 1 and chroma -0.5 to 0.5, for RGB from 0 to 1.
    """
    luma = np.array([red, 1 - red - blue, blue])
    return np.stack([luma, ([0, 0, 1] - luma) / (1 - blue) / 2, ([1, 0, 0] - luma) / (1 - red) / 2])


# The last column is added.
_FROM_RGB = np.column_stack([_GAINS[:, None] * rgb_to_yuv_matrix(*BT709), _OFFSETS])
_INVERSE = np.linalg.inv(_FROM_RGB[:, :3])
_TO_RGB = np.column_stack([_INVERSE, -_INVERSE @ _OFFSETS])


@dataclass(frozen=True, slots=True, eq=False)
class Yuv420:
    """A picture in luma and chroma.

    Attributes
    ----------
    data : (H * W * 3 / 2,) uint8 array
        Luma (H, W), then blue-difference and red-difference chroma, (H/2, W/2) each.
    size_px : (int, int)
        (H, W), both even.
    is_left : bool
        Whether chroma samples lie on the left side of their 2 x 2 pixels, as in most videos, and
        not in the middle.

    References
    ----------
    ITU-R BT.709-6, "Parameter values for the HDTV standards", 2015, items 3.2 to 3.4 and 4.6.
    """

    data: NDArray[np.uint8]
    size_px: tuple[int, int]
    is_left: bool = False

    def __post_init__(self) -> None:
        height, width = self.size_px
        if height % 2 or width % 2:
            raise ValueError(f"picture must have even sides, got {height} x {width}")
        if self.data.shape != (height * width * 3 // 2,) or self.data.dtype != np.uint8:
            raise ValueError(
                f"{height} x {width} pixels need uint8 ({height * width * 3 // 2},), got "
                f"{self.data.dtype} {self.data.shape}"
            )

    @classmethod
    def empty(cls, size_px: tuple[int, int], *, is_left: bool = False) -> "Yuv420":
        """Return a picture whose planes are yet to be filled.

        Parameters
        ----------
        size_px : (int, int)
            Height and width, both even.
        is_left : bool
            See `Yuv420`.
        """
        return cls(np.empty(size_px[0] * size_px[1] * 3 // 2, np.uint8), size_px, is_left)

    @classmethod
    def of(cls, rgb: Rgb) -> "Yuv420":
        """Return an RGB picture in luma and chroma; chroma is averaged over 2 x 2 pixels.

        ffmpeg takes twice as long for the same conversion.

        Parameters
        ----------
        rgb : (H, W, 3) uint8 array
            With even sides.

        Raises
        ------
        ValueError
            If a side is odd.
        """
        height, width = rgb.shape[:2]
        picture = cls.empty((height, width))
        # Compute all three channels and keep one: OpenCV takes five times as long for one alone.
        cv2.extractChannel(cv2.transform(rgb, _FROM_RGB), 0, dst=picture.luma)
        small = cv2.resize(rgb, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        chroma = cv2.transform(small, _FROM_RGB)
        cv2.extractChannel(chroma, 1, dst=picture.blue)
        cv2.extractChannel(chroma, 2, dst=picture.red)
        return picture

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the same picture in RGB: (H, W, 3)."""
        return (*self.size_px, 3)

    @property
    def luma(self) -> NDArray[np.uint8]:
        """Luma, (H, W) uint8, 16..235; a view."""
        height, width = self.size_px
        return self.data[: height * width].reshape(height, width)

    @property
    def blue(self) -> NDArray[np.uint8]:
        """Blue-difference chroma, (H/2, W/2) uint8, 16..240; a view."""
        return self._chroma(0)

    @property
    def red(self) -> NDArray[np.uint8]:
        """Red-difference chroma, (H/2, W/2) uint8, 16..240; a view."""
        return self._chroma(1)

    @property
    def planes(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
        """Luma, blue-difference and red-difference chroma; views."""
        return self.luma, self.blue, self.red

    def _chroma(self, n: int) -> NDArray[np.uint8]:
        height, width = self.size_px
        quarter = height * width // 4
        begin = (4 + n) * quarter
        return self.data[begin : begin + quarter].reshape(height // 2, width // 2)

    def to_rgb(self) -> Rgb:
        """Return the picture in RGB, (H, W, 3) uint8; 2 x 2 pixels share their chroma."""
        return self.part(slice(0, self.size_px[0]), slice(0, self.size_px[1]))

    def part(self, rows: slice, columns: slice) -> Rgb:
        """Return a part of the picture in RGB, (h, w, 3) uint8.

        Parameters
        ----------
        rows, columns : slice
            With even ends inside the picture.
        """
        halves = _half(rows), _half(columns)
        blue, red = (_doubled(plane[halves]) for plane in (self.blue, self.red))
        return _to_rgb(self.luma[rows, columns], blue, red)

    def replace_part(self, rows: slice, columns: slice, part: "Yuv420") -> None:
        """Replace a part of the picture, in place.

        Parameters
        ----------
        rows, columns : slice
            With even ends inside the picture.
        part : Yuv420
            Of their size.
        """
        halves = _half(rows), _half(columns)
        self.luma[rows, columns] = part.luma
        self.blue[halves], self.red[halves] = part.blue, part.red

    def resized(self, size: tuple[int, int], resize: Resize) -> Rgb:
        """Return the picture in RGB at another size, without converting all of its pixels.

        Parameters
        ----------
        size : (int, int)
            Height and width.
        resize : callable
            Returns a plane at a size, such as `vidsal.image_ops.shrink`.

        Returns
        -------
        (height, width, 3) uint8 array
        """
        if size == self.size_px:
            return self.to_rgb()
        return _to_rgb(*(resize(plane, size) for plane in self.planes))

    def copy(self) -> "Yuv420":
        """Return a copy with planes of its own."""
        return Yuv420(self.data.copy(), self.size_px, self.is_left)


# A picture in one of its two forms.
Picture: TypeAlias = Rgb | Yuv420


def as_rgb(picture: Picture) -> Rgb:
    """Return a picture in RGB, (H, W, 3) uint8; the same array if it is RGB already.

    Parameters
    ----------
    picture : (H, W, 3) uint8 array, or Yuv420
    """
    return picture.to_rgb() if isinstance(picture, Yuv420) else picture


def added_levels(rgb: NDArray[np.float64], kept: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return what blending adds to each plane, from what it adds to red, green and blue.

    Where the RGB of a pixel becomes ``kept * RGB + added``, its luma and chroma do so, too. Their
    black is not 0, which is made up for.

    Parameters
    ----------
    rgb : (n, 3) float64 array
        What is added to RGB, 0..255.
    kept : (n, 1) float64 array
        The share of the picture that is kept, 0..1.

    Returns
    -------
    (n, 3) uint8 array
        For luma, blue-difference and red-difference chroma.
    """
    levels = rgb @ _FROM_RGB[:, :3].T + (1 - kept) * _OFFSETS
    return np.asarray(np.rint(levels), np.uint8)


def _half(span: slice) -> slice:
    return slice(span.start // 2, span.stop // 2)


def _doubled(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a plane with each value in a square of 2 x 2 pixels."""
    # A value and its copy are a number of 16 bits. This takes a fifth of the time of a resize.
    pairs = plane.astype(np.uint16) * np.uint16(257)
    return np.repeat(pairs.view(np.uint8), 2, axis=0)


def _to_rgb(luma: Any, blue: Any, red: Any) -> Rgb:
    """Return three planes of one size in RGB, (h, w, 3) uint8."""
    return np.asarray(cv2.transform(cv2.merge((luma, blue, red)), _TO_RGB), np.uint8)
