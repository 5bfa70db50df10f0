"""Collect ffmpeg's packet list of a file, and judge the timestamps in it."""

from array import array
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from vidsal.media import banner

# No stream has more successive packets than this with the same time.
_MOST_EQUAL = 8
# ffmpeg takes neighbours that are further apart than this for a timestamp discontinuity.
_JUMP_S = 10.0
# No recording pauses for longer. The timestamps of transport streams wrap around after 26 hours.
_LONGEST_PAUSE_S = 6 * 3600.0
# Jumps of video and audio within this time are one discontinuity.
_SIMULTANEOUS_S = 1.0
# A frame is shown after at most this many frames that are decoded later: 16 in H.264 and HEVC.
_REORDERED = 17
# Up to this share of the frames may have the time of another frame: some recorders' errors.
_MOST_DUPLICATES = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """The packets of one stream, in the order in which the file stores them.

    Attributes
    ----------
    show_ticks, decode_ticks : array of float64
        Presentation and decoding times in units of the stream's time base, NaN if unknown.
    duration_ticks : array of float64
        At least 0, in the same unit.
    is_corrupt, is_key : bytearray
        1 for packets that are incomplete, and for key frames.
    hidden_ticks : array of float64
        Presentation times of packets that are decoded and not shown, as an edit list says. They
        are in none of the other attributes.
    """

    show_ticks: "array[float]" = field(default_factory=lambda: array("d"))
    decode_ticks: "array[float]" = field(default_factory=lambda: array("d"))
    duration_ticks: "array[float]" = field(default_factory=lambda: array("d"))
    is_corrupt: bytearray = field(default_factory=bytearray)
    is_key: bytearray = field(default_factory=bytearray)
    hidden_ticks: "array[float]" = field(default_factory=lambda: array("d"))

    @property
    def is_in_storage_order(self) -> bool:
        """Whether the presentation times increase from packet to packet."""
        return bool((np.diff(np.array(self.show_ticks)) > 0).all())

    def add(self, packet: banner.Packet) -> None:
        """Append a packet.

        Parameters
        ----------
        packet : Packet
            The next packet of this stream; its times are in ticks of the stream's time base.
        """
        self.show_ticks.append(packet.show_ticks)
        self.decode_ticks.append(packet.decode_ticks)
        self.duration_ticks.append(max(0.0, packet.duration_ticks))
        self.is_corrupt.append(packet.is_corrupt)
        self.is_key.append(packet.is_key)

    def hide_before(self, ticks: float) -> None:
        """Move the packets that are shown before a time to `hidden_ticks`, unless that is all.

        Parameters
        ----------
        ticks : float
            Time in ticks of the stream's time base.
        """
        early = [n for n, one in enumerate(self.show_ticks) if one < ticks]
        if len(early) == len(self.show_ticks):
            return
        self.hidden_ticks.extend(self.show_ticks[n] for n in early)
        for n in reversed(early):
            for one in (self.show_ticks, self.decode_ticks, self.duration_ticks):
                del one[n]
            del self.is_corrupt[n], self.is_key[n]

    def count_corrupt(self, *, is_joined: bool) -> int:
        """Return how many packets are known to be incomplete.

        Parameters
        ----------
        is_joined : bool
            Whether the file consists of several recordings. ffmpeg marks one of the last two
            packets of each as corrupt, since the packet counter of the transport stream breaks off
            there. A marked packet just before a key frame is then not counted.
        """
        places = np.flatnonzero(np.frombuffer(self.is_corrupt, np.uint8))
        return sum(not (is_joined and any(self.is_key[n + 1 : n + 3])) for n in places.tolist())

    def in_display_order(
        self, tick_s: float
    ) -> tuple[NDArray[np.float64] | None, NDArray[np.float64], bool]:
        """Return the packets' times and durations in the order of display.

        Decoding times replace missing presentation times, as in AVI: there are as many of them,
        at the same distances.

        Parameters
        ----------
        tick_s : float
            The stream's time base, in seconds.

        Returns
        -------
        times : (n,) float64 array or None
            In ticks. ``None`` if the decoding times are unusable, too.
        durations : (n,) float64 array
            In ticks.
        are_given : bool
            Whether the file has presentation times.
        """
        durations, decode = np.array(self.duration_ticks), np.array(self.decode_ticks)
        times = _without_outliers(np.array(self.show_ticks), decode, tick_s)
        known = np.isfinite(times)
        if known.all() and len(np.unique(times)) >= (1 - _MOST_DUPLICATES) * len(times):
            order = np.argsort(times, kind="stable")
            return times[order], durations[order], True
        if len(decode) > 1 and np.isfinite(decode).all() and (np.diff(decode) > 0).all():
            first = times[known].min() if known.any() else decode[0]
            return decode - decode[0] + first, durations, False
        return None, np.zeros(len(times)), False


class Packets:
    """The packets of a file, collected from ffmpeg's list line by line.

    Attributes
    ----------
    headers : dict of int to dict of str to str
        What the list says of each stream: ``tb`` (time base), ``media_type``, ``codec_id`` ...
    streams : dict of int to Stream
    """

    def __init__(self) -> None:
        self.headers: dict[int, dict[str, str]] = {}
        self.streams: dict[int, Stream] = {}

    def add_line(self, line: str) -> None:
        """Add a line of the list.

        Parameters
        ----------
        line : str
            Line of a ``framecrc`` list: a header, a packet, or neither.
        """
        if line.startswith("#"):
            if header := banner.packet_header(line):
                number, name, value = header
                self.headers.setdefault(number, {})[name] = value
            return
        packet = banner.packet(line)
        if packet is None:
            return
        if not packet.is_discarded:
            self.streams.setdefault(packet.stream, Stream()).add(packet)
        elif packet.stream in self.streams or self._is_video(packet.stream):
            stream = self.streams.setdefault(packet.stream, Stream())
            stream.hidden_ticks.append(packet.show_ticks)

    def _is_video(self, number: int) -> bool:
        return self.headers.get(number, {}).get("media_type") == "video"

    def hide_before(self, begin_s: float) -> None:
        """Count video packets that are shown before a time as discarded.

        Parameters
        ----------
        begin_s : float
            In the file's own time.
        """
        for number, stream in self.streams.items():
            if self._is_video(number):
                tick_s = float(Fraction(self.headers[number]["tb"]))
                stream.hide_before(begin_s / tick_s - 0.5)

    @property
    def has_restart(self) -> bool:
        """Whether timestamps run backwards somewhere.

        ffmpeg lists such packets at the last time before that, so many packets have the same time.
        A few may also have the same time if they are shorter than a tick.
        """
        return any(
            any(len(list(equal)) > _MOST_EQUAL for _, equal in groupby(self._increasing(number)))
            for number in self.streams
        )

    def _increasing(self, number: int) -> "array[float]":
        """Return times that increase in the order of storage: video frames are reordered."""
        is_audio = self.headers.get(number, {}).get("media_type") == "audio"
        stream = self.streams[number]
        return stream.show_ticks if is_audio else stream.decode_ticks

    @property
    def audio_codec(self) -> str:
        """The audio codec by ffmpeg's name; empty without an audio stream."""
        headers = [self.headers.get(number, {}) for number in self.streams]
        codecs = [one.get("codec_id", "") for one in headers if one.get("media_type") == "audio"]
        return codecs[0] if codecs else ""

    @property
    def has_jump(self) -> bool:
        """Whether the times of video and audio jump ahead together.

        A gap in one stream alone may be real: nothing to see, or nothing to hear. A gap of hours is
        not real in any stream. It also appears where the very first time is wrong.
        """
        jumps = []
        for number, stream in self.streams.items():
            tick_s = float(Fraction(self.headers.get(number, {}).get("tb", "0")))
            times_s = np.sort(stream.show_ticks) * tick_s
            steps_s = np.diff(times_s)
            if (steps_s > _LONGEST_PAUSE_S).any():
                return True
            jumps.append(times_s[:-1][steps_s > _JUMP_S])
        return len(jumps) == 2 and any(
            abs(one - other) < _SIMULTANEOUS_S for one in jumps[0] for other in jumps[1]
        )


def without_leaps(
    times: NDArray[np.float64], tick_s: float
) -> tuple[NDArray[np.float64], list[tuple[float, float]]]:
    """Return times without leaps of hours, and these leaps.

    Parameters
    ----------
    times : (n,) float64 array
        In increasing order, in ticks; NaN where unknown.
    tick_s : float
        Seconds per tick.

    Returns
    -------
    times : (n,) float64 array
        Instead of each leap there is the median step.
    leaps : list of (float, float)
        First time after each leap, and what it is too large by: all but the median step. In
        seconds.
    """
    known = times[np.isfinite(times)]
    steps = np.diff(known)
    (before,) = np.nonzero(steps * tick_s > _LONGEST_PAUSE_S)
    leaps = [(known[n + 1], steps[n] - np.median(steps)) for n in before]
    mended = times
    for after, excess in leaps:
        mended = np.where(times >= after, mended - excess, mended)
    return mended, [(float(after * tick_s), float(excess * tick_s)) for after, excess in leaps]


def _without_outliers(
    times: NDArray[np.float64], decode: NDArray[np.float64], tick_s: float
) -> NDArray[np.float64]:
    """Return presentation times with impossible ones replaced by decoding times plus an offset.

    A frame is not shown before it is decoded, and not after more than `_REORDERED` later frames
    are decoded. One wrong bit would show a frame an hour later, and a still until then.

    Parameters
    ----------
    times, decode : (n,) float64 array
        In the order of storage.
    tick_s : float
        Their unit, in seconds.
    """
    if len(times) < 3 or not (np.isfinite(times).all() and np.isfinite(decode).all()):
        return times
    steps = np.diff(decode)
    if steps[0] * tick_s > _LONGEST_PAUSE_S:
        # Both times of the first packet are wrong.
        decode = np.append(decode[1] - np.median(steps), decode[1:])
    far = _JUMP_S / tick_s
    # The last frames have fewer frames after them, and the last slide may really be shown late.
    rest = np.full(min(len(decode), _REORDERED), decode[-1] + _LONGEST_PAUSE_S / tick_s)
    later = np.append(decode[_REORDERED:], rest)
    is_outlier = (times < decode - far) | (times > later + far)
    return np.where(is_outlier, decode + np.median(times - decode), times)
