"""Pictures of several maps of one frame, side by side. Arrays in, arrays out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vidsal.image_ops import even, panel_size, shrink
from vidsal.render.draw import (
    draw_colour_bar,
    draw_marker,
    full_grid,
    grid,
    has_room,
    second_px,
    text_px,
    time_code,
)
from vidsal.render.overlay import colours, laid_over, signed_colours, signed_over
from vidsal.render.style import Style
from vidsal.render.text import line_px, width_px, write
from vidsal.runtime.opencv import cv2
from vidsal.types import Frame, Map, Rgb

MINUS = "\N{MINUS SIGN}"
# Stands between the figures of a note.
NOTE_GAP = "  "
# Largest standard deviation of values in [0, 1]: half of them are 0, half 1.
_LARGEST_DEVIATION = 0.5
# Colours of curves: after M. Okabe and K. Ito, "Color universal design", 2008, bright enough for a
# dark ground. One for each store after the first.
_CURVES = ((86, 180, 233), (240, 170, 40), (40, 190, 140), (240, 228, 66), (225, 140, 190))
_GROUND, _LINES = 20, 70


@dataclass(frozen=True, slots=True, eq=False)
class ComparedFrame:
    """The maps of several analyses of one frame.

    Attributes
    ----------
    frame : Frame
    maps : tuple of (h, w) float32 array
        On one scale, [0, 1]. Their sizes may differ.
    peaks : tuple of (float, float) or None
        The brightest place of each map, as shares of the sides.
    difference : (h, w) float32 array
        See `difference`.
    notes : tuple of str
        Figures of each map after the first, compared with the first.
    high : str
        The value that is shown as 1.
    """

    frame: Frame
    maps: tuple[Map, ...]
    peaks: tuple[tuple[float, float] | None, ...]
    difference: Map
    notes: tuple[str, ...]
    high: str = "1"


def difference(maps: Sequence[Map]) -> Map:
    """Return where maps of one frame differ.

    Parameters
    ----------
    maps : sequence of (h, w) float32 array
        Two or more, of one size, [0, 1].

    Returns
    -------
    (h, w) float32 array
        The second map minus the first, in [-1, 1]. With more than two maps their standard
        deviation at each place, in [0, 0.5]: one map shows the disagreement of all.
    """
    if len(maps) == 2:
        return np.asarray(maps[1] - maps[0], np.float32)
    return np.asarray(np.std(np.stack(maps), axis=0), np.float32)


def grid_shape(stores: int, size: tuple[int, int]) -> tuple[int, int]:
    """Return the rows and columns of the panels of a comparison.

    There is a panel for each analysis and one for the difference. An odd number of these is
    completed by the picture itself. The grid has no empty place, and its aspect is as near to that
    of a screen as it can be.

    Parameters
    ----------
    stores : int
        Number of analyses, 2 or more.
    size : (int, int)
        Height and width of the picture.

    Returns
    -------
    (int, int)
    """
    panels = stores + 1 + (stores + 1) % 2
    return full_grid(panels, size)


class ComparisonPicture:
    """Draws the frames of a comparison.

    Parameters
    ----------
    names : sequence of str
        Of the analyses.
    style : Style
        ``view``, ``colormap``, ``alpha``, ``annotate`` and ``width``.
    size : (int, int)
        Height and width of the frames.
    time_s : (n,) float64 array
        Times of all frames.
    curves : sequence of (n,) float64 array
        Correlation of each analysis after the first with the first one; NaN leaves a gap. With
        two frames or more they are drawn below the panels.
    """

    def __init__(
        self,
        names: Sequence[str],
        style: Style,
        size: tuple[int, int],
        time_s: NDArray[np.float64],
        curves: Sequence[NDArray[np.float64]],
    ) -> None:
        self._names, self._style = tuple(names), style
        rows, self._columns = grid_shape(len(names), size)
        self._panel = panel_size(size, self._columns, style.width)
        panel = np.empty((*self._panel, 3), np.uint8)
        self._is_annotated = style.annotate and has_room(panel)
        self._size = text_px(panel)
        self._strip: _Strip | None = None
        if self._is_annotated and len(time_s) > 1:
            width = self._panel[1] * self._columns
            self._strip = _Strip(width + width % 2, self._size, time_s, curves)
        self._has_input = rows * self._columns > len(names) + 1

    def draw(self, compared: ComparedFrame) -> Rgb:
        """Return the picture of a frame.

        Parameters
        ----------
        compared : ComparedFrame

        Returns
        -------
        (H2, W2, 3) uint8 array
            RGB with even sides.
        """
        rgb = compared.frame.resized(self._panel, shrink)
        style, panels = self._style, []
        for name, values, peak in zip(self._names, compared.maps, compared.peaks, strict=True):
            picture = laid_over(
                rgb, values, view=style.view, colormap=style.colormap, alpha=style.alpha
            )
            if self._is_annotated and peak:
                draw_marker(picture, peak)
            panels.append((name, picture))
        if self._has_input:
            panels.append(("input", rgb.copy()))
        panels.append(self._difference(rgb, compared.difference))
        if self._is_annotated:
            self._annotate([picture for _, picture in panels], compared)
        # Notes come before the labels and gutters, which belong to the grid.
        result = even(grid(panels, self._columns, annotate=style.annotate))
        if self._strip is None:
            return result
        return np.concatenate([result, self._strip.draw(compared.frame.time_s)])

    def _difference(self, rgb: Rgb, values: Map) -> tuple[str, Rgb]:
        """Return the panel of the difference with its label."""
        if len(self._names) == 2:
            first, second = self._names
            short = f"{second} {MINUS} {first}"
            labels = [f"difference: {short}", short, "difference"]
        else:
            labels = ["disagreement (standard deviation)", "disagreement"]
            values = values / np.float32(_LARGEST_DEVIATION)
        room = rgb.shape[1] - self._size
        return _first_that_fits(labels, self._size, room) or labels[-1], signed_over(rgb, values)

    def _annotate(self, pictures: Sequence[Rgb], compared: ComparedFrame) -> None:
        """Write time and figures into the panels, and draw the colour bars."""
        first, size, count = pictures[0], self._size, len(self._names)
        if self._style.view == "heat":
            draw_colour_bar(first, size, colours(self._style.colormap), ("0", compared.high))
        small, left, bottom = second_px(size), size // 2, first.shape[0] - size // 2
        if compared.frame.has_time:
            write(first, time_code(compared.frame.time_s), small, left=left, bottom=bottom)
        if count == 2:
            # The only difference has its figures itself.
            places, ends = pictures[-1:], [f"{MINUS}1", "0", "+1"]
            right, _ = draw_colour_bar(pictures[-1], size, signed_colours(), ends)
        else:
            places, ends = pictures[1:count], ["0", f"{_LARGEST_DEVIATION:g}"]
            right = first.shape[1]
            draw_colour_bar(pictures[-1], size, signed_colours()[127:], ends)
        for n, (picture, note) in enumerate(zip(places, compared.notes, strict=True)):
            begin = left
            if self._strip is not None:
                _draw_key(picture, _CURVES[n], small, bottom)
                begin += small
            # The first figures are the most important ones.
            parts = note.split(NOTE_GAP)
            notes = [NOTE_GAP.join(parts[:end]) for end in range(len(parts), 0, -1)]
            text = _first_that_fits(notes, small, right - size // 2 - begin)
            write(picture, text, small, left=begin, bottom=bottom)


def _first_that_fits(texts: Sequence[str], size: int, room: int) -> str:
    """Return the first text that is not wider than the room, or an empty one."""
    return next((text for text in texts if width_px(text, size) <= room), "")


def _draw_key(picture: Rgb, colour: tuple[int, int, int], small: int, bottom: int) -> None:
    """Draw a disk in the colour of a curve before a line of text."""
    centre = small, bottom - line_px(small) // 2
    for radius, filling in ((small // 3 + 1, (0, 0, 0)), (small // 3, colour)):
        cv2.circle(picture, centre, radius, filling, cv2.FILLED, cv2.LINE_AA)


class _Strip:
    """Curves of the correlation over time, and a cursor.

    Parameters
    ----------
    width, size : int
        Width of the strip, and height of the letters of a caption.
    time_s : (n,) float64 array
    curves : sequence of (n,) float64 array
    """

    def __init__(
        self,
        width: int,
        size: int,
        time_s: NDArray[np.float64],
        curves: Sequence[NDArray[np.float64]],
    ) -> None:
        self._time_s, self._curves, small = time_s, curves, second_px(size)
        low = min((float(np.nanmin(one)) for one in curves if not np.isnan(one).all()), default=0)
        self._low = min(0.0, math.floor(10 * low) / 10)
        height = 5 * size + 5 * size % 2
        self._left, self._right = width_px("CC  1", small) + size, width - size
        self._top, self._bottom = line_px(small) // 2 + 2, height - line_px(small) // 2 - 2
        self._ground = np.full((height, width, 3), _GROUND, np.uint8)
        self._draw_axis(small)
        for curve, colour in zip(curves, _CURVES, strict=False):
            self._draw_curve(curve, colour, max(1, size // 12))
        self._radius = max(3, size // 4)

    def draw(self, time_s: float) -> Rgb:
        """Return the strip with its cursor at a time.

        Parameters
        ----------
        time_s : float
            Seconds.
        """
        result = self._ground.copy()
        frame = int(np.searchsorted(self._time_s, time_s).clip(0, len(self._time_s) - 1))
        column = int(self._columns()[frame])
        cv2.line(result, (column, self._top), (column, self._bottom), (235, 235, 235), 1)
        for curve, colour in zip(self._curves, _CURVES, strict=False):
            if not np.isnan(curve[frame]):
                at = column, int(self._rows(curve[frame]))
                cv2.circle(result, at, self._radius + 1, (0, 0, 0), cv2.FILLED, cv2.LINE_AA)
                cv2.circle(result, at, self._radius, colour, cv2.FILLED, cv2.LINE_AA)
        return result

    def _columns(self) -> NDArray[np.float64]:
        begin_s, end_s = self._time_s[0], self._time_s[-1]
        share = (self._time_s - begin_s) / max(end_s - begin_s, 1e-9)
        return np.asarray(self._left + share * (self._right - self._left))

    def _rows(self, values: ArrayLike) -> NDArray[np.float64]:
        share = (np.asarray(values, np.float64) - self._low) / (1 - self._low)
        return np.asarray(self._bottom - share * (self._bottom - self._top))

    def _draw_axis(self, small: int) -> None:
        """Draw and label the lines of 1, of 0, and of the lowest value."""
        values = [1.0, 0.0, self._low]
        if self._rows(self._low) - self._rows(0) < line_px(small):
            # The lowest line would run into that of 0.
            values.pop()
        for value in values:
            row = int(self._rows(value))
            cv2.line(self._ground, (self._left, row), (self._right, row), (_LINES,) * 3, 1)
            text = "CC  1" if value == 1 else f"{value:g}".replace("-", MINUS)
            left = self._left - small // 2 - width_px(text, small)
            write(self._ground, text, small, left=left, top=row - line_px(small) // 2)

    def _draw_curve(
        self, curve: NDArray[np.float64], colour: tuple[int, int, int], line: int
    ) -> None:
        """Draw a curve with gaps where it is not defined."""
        points = np.stack([self._columns(), self._rows(curve)], axis=1)
        gaps = np.flatnonzero(np.isnan(curve))
        # Positions in sixteenths of a pixel.
        for part in np.split(points, np.unique([*gaps, *(gaps + 1)]).astype(int)):
            if len(part) and not np.isnan(part).any():
                fine = np.rint(16 * part).astype(np.int32)
                cv2.polylines(self._ground, [fine], False, colour, line, cv2.LINE_AA, 4)
