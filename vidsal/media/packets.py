"""ffmpeg's list of a file's packets, taken in line by line, and what their times tell."""

import math
import re
from array import array
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

# More packets than this never have one time, one after the other.
_SAME = 8
# So far apart, as ffmpeg takes it, neighbours are not of one count.
_LEAP_S = 10.0
# No recording pauses for so long; the times of transport streams begin anew after 26 hours.
_ABSURD_S = 6 * 3600.0
# Both streams leap within so many seconds.
_TOGETHER_S = 1.0
# So many pictures at most are decoded before one that is shown earlier: H.264 and HEVC have 16.
_REORDERED = 17
# Up to this share of the pictures may have the time of another one, as some recorders' slips have.
_DOUBLES = 0.05
# Flags of ffmpeg's packets; where none are told, they are those of a picture that needs no other.
_KEY, _CORRUPT, _DISCARDED = 1, 2, 4


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """The packets of one stream; times in units of its time base, nan where not known."""

    times: "array[float]" = field(default_factory=lambda: array("d"))
    decoded: "array[float]" = field(default_factory=lambda: array("d"))
    lasts: "array[float]" = field(default_factory=lambda: array("d"))
    corrupt: bytearray = field(default_factory=bytearray)
    is_key: bytearray = field(default_factory=bytearray)

    def damaged(self, *, is_joined: bool) -> int:
        """Return how many packets are known to be incomplete.

        Where recordings were put one after the other, ffmpeg takes one of the last two of each for
        such a one: the count that transport streams keep breaks off there. The next recording
        begins with a picture that needs no other.
        """
        places = np.flatnonzero(np.frombuffer(self.corrupt, np.uint8))
        return sum(not (is_joined and any(self.is_key[n + 1 : n + 3])) for n in places.tolist())

    def in_order(
        self, tick_s: float
    ) -> tuple[NDArray[np.float64] | None, NDArray[np.float64], bool]:
        """Return the times of packets as they are shown, how long each lasts, and if that is told.

        Times of decoding stand in for those that are missing, as in AVI: there are as many of them,
        as far apart. None where these do not do either.
        """
        lasts, decoded = np.array(self.lasts), np.array(self.decoded)
        times = _without_slips(np.array(self.times), decoded, tick_s)
        known = np.isfinite(times)
        if known.all() and len(np.unique(times)) >= (1 - _DOUBLES) * len(times):
            order = np.argsort(times, kind="stable")
            return times[order], lasts[order], True
        if len(decoded) > 1 and np.isfinite(decoded).all() and (np.diff(decoded) > 0).all():
            first = times[known].min() if known.any() else decoded[0]
            return decoded - decoded[0] + first, lasts, False
        return None, np.zeros(len(times)), False


class Packets:
    """ffmpeg's list of packets, taken in line by line.

    Attributes
    ----------
    heads : dict of int to dict of str to str
        What the list says of each stream.
    streams : dict of int to Stream
    """

    def __init__(self) -> None:
        self.heads: dict[int, dict[str, str]] = {}
        self.streams: dict[int, Stream] = {}

    @property
    def restart(self) -> bool:
        """Whether times run backwards: ffmpeg lists those at the time they fell back from.

        Of packets shorter than a container's tick, too, several may have one time. Pictures are
        shown in another order than they are stored in: of these the times of decoding tell.
        """
        return any(
            any(len(list(same)) > _SAME for _, same in groupby(self._stored(number)))
            for number in self.streams
        )

    def _stored(self, number: int) -> "array[float]":
        """Return times that go up in the order of a stream's packets."""
        is_sound = self.heads.get(number, {}).get("media_type") == "audio"
        return self.streams[number].times if is_sound else self.streams[number].decoded

    @property
    def sound_codec(self) -> str:
        """ffmpeg's name of the sound's codec; empty where there is none."""
        heads = [self.heads.get(number, {}) for number in self.streams]
        codecs = [one.get("codec_id", "") for one in heads if one.get("media_type") == "audio"]
        return codecs[0] if codecs else ""

    @property
    def leap(self) -> bool:
        """Whether the times of picture and sound leap together: nobody is to wait for that long.

        Of one of them alone it may be that there was nothing to see, or to hear; but not for hours,
        as it seems where the first time of all is wrong.
        """
        leaps = []
        for number, stream in self.streams.items():
            tick_s = float(Fraction(self.heads.get(number, {}).get("tb", "0")))
            times_s = np.sort(stream.times) * tick_s
            steps_s = np.diff(times_s)
            if (steps_s > _ABSURD_S).any():
                return True
            leaps.append(times_s[:-1][steps_s > _LEAP_S])
        return len(leaps) == 2 and any(
            abs(one - other) < _TOGETHER_S for one in leaps[0] for other in leaps[1]
        )

    def take(self, line: str) -> None:
        """Take in a line."""
        if line.startswith("#"):
            if match := re.match(r"#(\w+) (\d+): *(.*)", line):
                name, number, value = match.groups()
                self.heads.setdefault(int(number), {})[name] = value.strip()
            return
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) < 6 or not cells[0].isdecimal():
            return
        told = [int(cell[2:], 16) for cell in cells[6:] if cell.startswith("F=")]
        flags = told[0] if told else _KEY
        if flags & _DISCARDED:
            return
        stream = self.streams.setdefault(int(cells[0]), Stream())
        stream.times.append(_number(cells[2]))
        stream.decoded.append(_number(cells[1]))
        stream.lasts.append(max(0.0, _number(cells[3])))
        stream.corrupt.append(bool(flags & _CORRUPT))
        stream.is_key.append(bool(flags & _KEY))


def _without_slips(
    times: NDArray[np.float64], decoded: NDArray[np.float64], tick_s: float
) -> NDArray[np.float64]:
    """Return times of packets, but for those that cannot be: these are put where others lie.

    No picture is shown before it is decoded, nor after more than so many others are; a wrong bit
    would have one shown an hour later, and all that lies between as a still.

    Parameters
    ----------
    times, decoded : (n,) float64 array
        In the order in which packets are stored.
    tick_s : float
        Their unit, in seconds.
    """
    if len(times) < 3 or not (np.isfinite(times).all() and np.isfinite(decoded).all()):
        return times
    steps = np.diff(decoded)
    if steps[0] * tick_s > _ABSURD_S:
        # Of the first one, both times are wrong together.
        decoded = np.append(decoded[1] - np.median(steps), decoded[1:])
    far = _LEAP_S / tick_s
    # Towards the end so many others do not come: the last slide may be shown long after all.
    rest = np.full(min(len(decoded), _REORDERED), decoded[-1] + _ABSURD_S / tick_s)
    later = np.append(decoded[_REORDERED:], rest)
    is_slip = (times < decoded - far) | (times > later + far)
    return np.where(is_slip, decoded + np.median(times - decoded), times)


def _number(cell: str) -> float:
    return float(cell) if re.fullmatch(r"-?\d{1,18}", cell) else math.nan
