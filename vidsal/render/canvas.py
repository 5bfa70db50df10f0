"""Pictures to draw on, in RGB or in luma and chroma."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np

from vidsal.types import Rgb
from vidsal.yuv import Picture, Yuv420

AnyPicture = TypeVar("AnyPicture", Rgb, Yuv420)


def empty_like(picture: AnyPicture, size: tuple[int, int]) -> AnyPicture:
    """Return a picture of the same kind, which is yet to be filled.

    Parameters
    ----------
    picture : (H, W, 3) uint8 array, or Yuv420
    size : (int, int)
        Height and width of the result.
    """
    if isinstance(picture, Yuv420):
        return Yuv420.empty(size, is_left=picture.is_left)
    return np.empty((*size, 3), np.uint8)


def paste(part: AnyPicture, picture: AnyPicture, corner: tuple[int, int]) -> None:
    """Copy a picture into a larger one of the same kind, in place.

    Parameters
    ----------
    part, picture : (H, W, 3) uint8 array, or Yuv420
    corner : (int, int)
        Top and left of the part in the picture; even for Yuv420.
    """
    rows, columns = (
        slice(first, first + side) for first, side in zip(corner, part.shape[:2], strict=True)
    )
    if isinstance(picture, Yuv420):
        picture.replace_part(rows, columns, part)
    else:
        picture[rows, columns] = part


@contextmanager
def drawing_on(picture: Picture, rows: slice, columns: slice) -> Iterator[Rgb]:
    """Lend a part of a picture in RGB; what is drawn on it is in the picture afterwards.

    Parameters
    ----------
    picture : (H, W, 3) uint8 array, or Yuv420
        It is changed.
    rows, columns : slice
        What lies outside of the picture is left out.

    Yields
    ------
    (h, w, 3) uint8 array
    """
    if not isinstance(picture, Yuv420):
        yield picture[rows, columns]
        return
    (top, bottom, _), (left, right, _) = (
        span.indices(side) for span, side in zip((rows, columns), picture.size_px, strict=True)
    )
    high, wide = max(0, bottom - top), max(0, right - left)
    if not high * wide:
        yield np.empty((high, wide, 3), np.uint8)
        return
    # Whole squares of 2 x 2 pixels, which share their chroma.
    whole = _even(top, bottom), _even(left, right)
    rgb = picture.part(*whole)
    yield rgb[top % 2 :, left % 2 :][:high, :wide]
    picture.replace_part(*whole, Yuv420.of(rgb))


def _even(first: int, last: int) -> slice:
    """Return the smallest span with even ends around another one."""
    return slice(first - first % 2, last + last % 2)
