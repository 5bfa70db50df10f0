"""Share of the saliency in a region over time, and concentration of the saliency.

Pure maths on the maps of a store.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidsal.errors import UsageError
from vidsal.saliency.concentration import gini
from vidsal.store.reader import Store
from vidsal.types import Map

Mask = NDArray[np.bool_]
# (left, top, right, bottom) in pixels of the source; the right and bottom edges lie outside.
PixelBox = Sequence[float]


class Within(NamedTuple):
    """Saliency in a region, one value for each frame; ``pandas.DataFrame(found._asdict())``.

    Attributes
    ----------
    frame : (frames,) int64 array
        Numbers in the source.
    time_s : (frames,) float64 array
        Seconds.
    area : (frames,) float64 array
        Share of the picture that the region covers, 0..1.
    share : (frames,) float64 array
        Share of the fused map's sum that lies in the region, 0..1; NaN for a map of zeros.
    ratio : (frames,) float64 array
        Mean of the fused map in the region divided by its mean in the picture, that is `share` /
        `area`: 1 for chance. NaN where the region is empty.
    has_peak : (frames,) bool array
        Whether the most salient point lies in the region.
    """

    frame: NDArray[np.int64]
    time_s: NDArray[np.float64]
    area: NDArray[np.float64]
    share: NDArray[np.float64]
    ratio: NDArray[np.float64]
    has_peak: NDArray[np.bool_]


def concentration(store: Store) -> NDArray[np.float64]:
    """Return how concentrated saliency is in each frame.

    Parameters
    ----------
    store : Store

    Returns
    -------
    (frames,) float64 array
        0..1, see `vidsal.saliency.concentration.gini`; NaN for a map of zeros.

    Raises
    ------
    VidsalError
        If the store is damaged.
    """
    return np.array([gini(one) for one in store.maps("fused")])


def within(store: Store, place: Mask | PixelBox) -> Within:
    """Return how much of the fused map lies in a region, for each frame.

    Parameters
    ----------
    store : Store
    place : (H, W) or (frames, H, W) bool array, or (left, top, right, bottom)
        A mask of the whole picture at any size, a mask for each frame, or a box in pixels of the
        source. Partly covered cells of the map count by their covered share.

    Returns
    -------
    Within

    Raises
    ------
    UsageError
        If the place has none of these forms, or a box lies outside the picture.
    VidsalError
        If the store is damaged.
    """
    picture = int(store.about["height_px"]), int(store.about["width_px"])
    is_mask = isinstance(place, np.ndarray) and place.ndim > 1
    if is_mask:
        places = _masks(np.asarray(place), len(store), store.size)
    else:
        places = _boxes(place, picture, len(store), store.size)
    sums = np.array([
        (np.mean(cover), np.vdot(fused.astype(np.float64), cover), fused.sum(dtype=np.float64))
        for fused, cover in zip(store.maps("fused"), places, strict=True)
    ])  # fmt: skip
    area, inside, total = sums.T
    # A map of zeros has no share, and an empty region has no mean.
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(total > 0, inside / total, np.nan)
        ratio = np.where(area > 0, share / area, np.nan)
    peaks = store.array("peak")
    if is_mask:
        has_peak = _in_masks(np.asarray(place), peaks)
    else:
        left, top, right, bottom = (float(one) for one in place)
        rows, columns = (peaks * picture).T
        has_peak = (top <= rows) & (rows < bottom) & (left <= columns) & (columns < right)
    return Within(store.array("frame"), store.array("time_s"), area, share, ratio, has_peak)


def cover_of_mask(mask: Mask, size: tuple[int, int]) -> Map:
    """Return the share of each cell of a map that a mask covers.

    Parameters
    ----------
    mask : (H, W) bool array
        A mask of the whole picture.
    size : (int, int)
        Height and width of the map.

    Returns
    -------
    (h, w) float32 array
        0..1.
    """
    rows, columns = (
        overlaps(np.arange(side) / side, np.arange(1, side + 1) / side, cells)
        for side, cells in zip(mask.shape, size, strict=True)
    )
    return np.asarray(rows @ mask.astype(np.float32) @ columns.T, np.float32)


def cover_of_box(box: PixelBox, picture: tuple[int, int], size: tuple[int, int]) -> Map:
    """Return the share of each cell of a map that a box covers.

    Parameters
    ----------
    box : (left, top, right, bottom)
        In pixels; the area outside the picture is ignored.
    picture, size : (int, int)
        Height and width of the picture in pixels, and of the map.

    Returns
    -------
    (h, w) float32 array
        0..1.
    """
    left, top, right, bottom = box
    rows = overlaps([top / picture[0]], [bottom / picture[0]], size[0])
    columns = overlaps([left / picture[1]], [right / picture[1]], size[1])
    return rows @ columns.T


def overlaps(begins: Any, ends: Any, cells: int) -> Map:
    """Divide [0, 1] into equal cells; return the share of each cell that lies in each interval.

    Parameters
    ----------
    begins, ends : (n,) float arrays
    cells : int

    Returns
    -------
    (cells, n) float32 array
        0..1.
    """
    edges = np.arange(cells + 1) / cells
    low = np.maximum(edges[:-1, None], np.asarray(begins, np.float64)[None])
    high = np.minimum(edges[1:, None], np.asarray(ends, np.float64)[None])
    return np.asarray(np.clip(high - low, 0, None) * cells, np.float32)


def _masks(masks: NDArray[Any], frames: int, size: tuple[int, int]) -> Iterator[Map]:
    """Yield the cover of the mask of each frame."""
    if masks.dtype != np.bool_:
        raise UsageError(f"a mask must be bool, got {masks.dtype}: give mask > 0")
    if masks.ndim > 3 or masks.size == 0:
        raise UsageError(f"a mask must be (H, W) or (frames, H, W), got {masks.shape}")
    if masks.ndim == 3 and len(masks) != frames:
        raise UsageError(f"there are {frames} frames, but {len(masks)} masks: give one for each")
    if masks.ndim == 2:
        return iter([cover_of_mask(masks, size)] * frames)
    return (cover_of_mask(mask, size) for mask in masks)


def _boxes(box: Any, picture: tuple[int, int], frames: int, size: tuple[int, int]) -> Iterator[Map]:
    """Yield the cover of a box for each frame."""
    try:
        left, top, right, bottom = (float(one) for one in box)
    except (TypeError, ValueError) as error:
        raise UsageError(
            "a place is a bool mask, or a box (left, top, right, bottom), got "
            + " ".join(repr(box).split())[:60]
        ) from error
    is_seen = max(left, 0) < min(right, picture[1]) and max(top, 0) < min(bottom, picture[0])
    if not is_seen:
        raise UsageError(
            f"the box {left:g}, {top:g}, {right:g}, {bottom:g} (left, top, right, bottom) covers "
            f"nothing of a picture of {picture[1]} x {picture[0]} pixels"
        )
    return iter([cover_of_box((left, top, right, bottom), picture, size)] * frames)


def _in_masks(masks: Mask, points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return whether the point of each frame lies in its mask; False for a missing point."""
    is_known = np.asarray(np.isfinite(points).all(axis=1))
    height, width = masks.shape[-2:]
    rows, columns = (np.where(is_known[:, None], points, 0) * (height, width)).astype(int).T
    each = np.broadcast_to(masks, (len(points), height, width))
    found = each[np.arange(len(points)), rows, columns]
    return np.asarray(found & is_known)
