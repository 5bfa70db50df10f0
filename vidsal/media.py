"""What a media file holds, measured: every packet is looked at, none is decoded.

A header's claims of length, rate and number of frames are often wrong; the packets' own times are
not. Reading them costs what reading the file costs.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidsal import ffmpeg

# What frames of a stream without times, and rate, are shown at.
USUAL_FPS = Fraction(25)
# Beyond this a claimed rate is a time base, not a rate.
FASTEST_FPS = 1000
# Rates that cameras and standards have; a measured rate this near to one of them is that one.
_STANDARD = (
    Fraction(24000, 1001), Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(30),
    Fraction(48), Fraction(50), Fraction(60000, 1001), Fraction(60), Fraction(120),
)  # fmt: skip
_NEAR = 2e-4
# Nobody sees more frames a second than this, and no common player shows them.
_MOST_SHOWN = 120
# Transfer functions of high dynamic range, by ffmpeg's names: PQ and HLG.
_HDR = ("smpte2084", "arib-std-b67")
# What ffmpeg says of files that end before they should.
_CUT_OFF = ("partial file", "ended prematurely", "truncat", "unexpected end", "invalid data found")


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """The picture stream of a file; the cover of a piece of music is not one.

    Attributes
    ----------
    codec : str
        By ffmpeg's name.
    coded_px : (int, int)
        (height, width) before rotation and sample aspect are honoured.
    rotation_deg : int
        What the picture has to be turned by, counter-clockwise: 0, 90, 180 or 270.
    sample_aspect : Fraction
        Width of a pixel over its height.
    is_hdr : bool
        Whether its transfer function is PQ or HLG.
    times_s : (n,) float64 array
        Presentation time of each packet, in order, in the file's own time.
    rate : Fraction
        Frames a second: exact where constant, else the usual step's.
    is_variable : bool
        Whether frames come at uneven times.
    end_s : float
        When the last frame is over, in the file's own time.
    damaged : int
        Packets that are known to be incomplete.
    """

    codec: str
    coded_px: tuple[int, int]
    rotation_deg: int
    sample_aspect: Fraction
    is_hdr: bool
    times_s: NDArray[np.float64]
    rate: Fraction
    is_variable: bool
    end_s: float
    damaged: int

    @property
    def frames(self) -> int:
        """How many pictures the file holds, decodable or not."""
        return len(self.times_s)

    @property
    def upright_px(self) -> tuple[int, int]:
        """(height, width) as it is meant to be seen: turned, and with square pixels."""
        height, width = self.coded_px
        # Pixels are added, never taken away.
        if self.sample_aspect >= 1:
            width = round(width * self.sample_aspect)
        else:
            height = round(height / self.sample_aspect)
        return (width, height) if self.rotation_deg in (90, 270) else (height, width)


@dataclass(frozen=True, slots=True)
class Sound:
    """The first sound stream of a file.

    Attributes
    ----------
    codec : str
        By ffmpeg's name.
    begin_s, end_s : float
        In the file's own time.
    """

    codec: str
    begin_s: float
    end_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Media:
    """What a file holds.

    Attributes
    ----------
    picture : Picture or None
    sound : Sound or None
    begin_s : float
        What the file's own time begins at.
    duration_s : float or None
        The container's claim.
    is_cut_off : bool
        Whether the file ends before it should.
    """

    picture: Picture | None
    sound: Sound | None
    begin_s: float
    duration_s: float | None
    is_cut_off: bool


def inspect(path: Path | str) -> Media:
    """Return what a file holds; nothing where ffmpeg cannot read it."""
    packets, words = ffmpeg.packets(path)
    banner = words.partition("Stream mapping:")[0]
    kinds = _kinds(packets)
    rows = _rows(packets)
    begin, duration = _about(banner)
    picture = sound = None
    for number, head in kinds.items():
        own = rows.get(number)
        if own is None:
            continue
        if head.get("media_type") == "video":
            picture = _picture(head, own, banner)
        elif head.get("media_type") == "audio":
            times, lasts, _ = own
            begins, ends = times * head["tb"], (times + lasts) * head["tb"]
            sound = Sound(head["codec_id"], float(np.nanmin(begins)), float(np.nanmax(ends)))
    has_words = any(one in words.lower() for one in _CUT_OFF)
    return Media(picture, sound, begin, duration, has_words)


def _kinds(lines: Iterable[str]) -> dict[int, dict[str, Any]]:
    """Return what the head of ffmpeg's list of packets says of each stream."""
    kinds: dict[int, dict[str, Any]] = {}
    for line in lines:
        if match := re.fullmatch(r"#(\w+) (\d+): *(.*)", line):
            name, number, value = match.groups()
            kinds.setdefault(int(number), {})[name] = Fraction(value) if name == "tb" else value
        elif not line.startswith("#"):
            break
    return kinds


def _rows(
    lines: Iterable[str],
) -> dict[int, tuple[NDArray[np.float64], NDArray[np.float64], int]]:
    """Return presentation times and durations of each stream's packets, and how many are corrupt.

    In units of the stream's time base; a time that is not known is nan.
    """
    times: dict[int, list[float]] = {}
    lasts: dict[int, list[float]] = {}
    damaged: dict[int, int] = {}
    for line in lines:
        if line.startswith("#"):
            continue
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) < 6 or not cells[0].isdigit():
            continue
        number = int(cells[0])
        times.setdefault(number, []).append(_number(cells[2]))
        lasts.setdefault(number, []).append(max(0.0, _number(cells[3])))
        flags = [cell for cell in cells[6:] if cell.startswith("F=")]
        damaged[number] = damaged.get(number, 0) + any(int(one[2:], 16) & 2 for one in flags)
    return {one: (np.array(times[one]), np.array(lasts[one]), damaged[one]) for one in times}


def _number(cell: str) -> float:
    return float(cell) if re.fullmatch(r"-?\d{1,18}", cell) else math.nan


def _about(banner: str) -> tuple[float, float | None]:
    """Return the container's begin and claimed duration, in seconds."""
    begin = re.search(r"Duration: .*?start: (-?[\d.]+)", banner)
    length = re.search(r"Duration: (\d+):(\d+):([\d.]+)", banner)
    seconds = None
    if length:
        hours, minutes, rest = length.groups()
        seconds = int(hours) * 3600 + int(minutes) * 60 + float(rest)
    return float(begin.group(1)) if begin else 0.0, seconds


def _picture(
    head: dict[str, Any],
    rows: tuple[NDArray[np.float64], NDArray[np.float64], int],
    banner: str,
) -> Picture | None:
    """Return the picture stream from the list of its packets and ffmpeg's words."""
    size = re.fullmatch(r"(\d+)x(\d+)", head.get("dimensions", ""))
    stream = re.search(r"Stream #0.*?: Video: (?!.*\(attached pic\)).*", banner)
    said = stream.group(0) if stream else ""
    if not size or not said:
        return None
    claimed = re.search(r" ([\d.]+k?) fps", said)
    turned = re.search(r"rotation of (-?[\d.]+) degrees", banner[banner.index(said) :])
    times, lasts, damaged = rows
    tick = head["tb"]
    rate = snapped(Fraction(claimed.group(1).replace("k", "000"))) if claimed else USUAL_FPS
    is_variable = False
    known = np.isfinite(times)
    if known.all() and len(np.unique(times)) == len(times):
        order = np.argsort(times)
        ticks, lasts = times[order], lasts[order]
        if len(ticks) > 1:
            rate, is_variable = measured_rate(ticks, tick, claimed=rate)
    else:
        # Streams without times of their own are shown at an even pace.
        ticks = np.arange(len(times)) / float(rate * tick)
        lasts = np.zeros(len(times))
    last = lasts[-1] * tick if 0 < lasts[-1] * tick < 60 else 1 / rate
    return Picture(
        codec=head["codec_id"],
        coded_px=(int(size.group(2)), int(size.group(1))),
        rotation_deg=round(float(turned.group(1)) / 90) * 90 % 360 if turned else 0,
        sample_aspect=_aspect(head.get("sar", "")),
        is_hdr=any(f"/{name}" in said or f"{name}," in said for name in _HDR),
        times_s=ticks * float(tick),
        rate=rate,
        is_variable=is_variable,
        end_s=float(ticks[-1] * tick + last),
        damaged=damaged,
    )


def _aspect(said: str) -> Fraction:
    """Return the aspect of a pixel; one that is unknown or absurd is a square."""
    match = re.fullmatch(r"(\d+)/(\d+)", said)
    if not match or "0" in match.groups():
        return Fraction(1)
    aspect = Fraction(int(match.group(1)), int(match.group(2)))
    return aspect if Fraction(1, 10) <= aspect <= 10 else Fraction(1)


def measured_rate(
    ticks: NDArray[np.float64], tick_s: Fraction, *, claimed: Fraction
) -> tuple[Fraction, bool]:
    """Return the rate of frames at some times, and whether these are uneven.

    Parameters
    ----------
    ticks : (n,) float64 array
        At least two times, growing, in units of `tick_s`.
    tick_s : Fraction
        Seconds.
    claimed : Fraction
        Rate of the header; where it agrees with the times, it is more exact.
    """
    steps = np.diff(ticks)
    if (steps == steps[0]).all():
        exact = 1 / (Fraction(int(steps[0])) * tick_s)
        return (_standard(exact) or min(exact, Fraction(FASTEST_FPS))), False
    mean = 1 / (Fraction(int(ticks[-1] - ticks[0]), len(steps)) * tick_s)
    for rate in (claimed, mean):
        step = float(1 / (rate * tick_s))
        # Times are whole ticks, so each is up to one off; a drift is no rounding.
        if np.abs(ticks - ticks[0] - np.arange(len(ticks)) * step).max() <= max(1.0, 0.02 * step):
            return snapped(rate), False
    usual = Fraction(float(np.median(steps))) * tick_s
    return min(snapped(1 / usual), Fraction(_MOST_SHOWN)), True


def snapped(rate: Fraction | float) -> Fraction:
    """Return a rate as the fraction it stands for: 29.97002997 is 30000/1001.

    A rate that is none (0, infinite, or as high as a time base) becomes 25.
    """
    if not math.isfinite(rate) or not 0 < rate <= FASTEST_FPS:
        return USUAL_FPS
    return _standard(Fraction(rate)) or Fraction(rate).limit_denominator(1001)


def _standard(rate: Fraction) -> Fraction | None:
    """Return the standard rate that a rate stands for, if there is one."""
    near = min(_STANDARD, key=lambda one: abs(one - rate))
    return near if abs(near - rate) <= near * Fraction(_NEAR) else None
