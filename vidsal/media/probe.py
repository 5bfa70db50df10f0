"""What a media file holds, measured: every packet is looked at, none is decoded.

A header's claims of length, rate and number of frames are often wrong; the packets' own times are
not. Reading them costs what reading the file costs.
"""

import math
import re
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidsal.media import ffmpeg
from vidsal.media.frame_rate import USUAL_FPS, measured_rate, snapped
from vidsal.media.packets import Packets, Stream
from vidsal.media.truncation import is_truncated

# Transfer functions of high dynamic range, by ffmpeg's names: PQ and HLG.
_HDR = ("smpte2084", "arib-std-b67")
# The three names that it gives the colours of such pictures: matrix, primaries and transfer.
_HDR_NAMES = r"\b([\w-]+)/([\w-]+)/(?:smpte2084|arib-std-b67)\b"
# What ffmpeg says of files that end before they should, and of those whose index would come last.
_CUT_OFF = ("partial file", "ended prematurely", "truncated")
_NO_INDEX = "moov atom not found"
# Of these rows or fewer, and of fewer columns, pictures are of standard definition; and so are, by
# its own standard, the colours of this codec whatever their size.
_HD_PX = 576, 1280
_OF_BT601 = ("vp8",)
# How ffmpeg's names of pixels begin that are no luma and chroma, and its names of standards.
_NO_YUV = r"[0x]?(rgb|bgr|argb|abgr|gbr|gray|ya\d|pal8|mono|xyz|bayer|none)"
_UNKNOWN = {"unknown", "reserved"}
_STANDARDS = "bt|smpte|fcc|ycgco|ictcp|gbr|ipt|chroma"
# All streams may end so much before the container says; what is missing beyond that was there once.
_SHORT_S, _SHORT = 1.0, 0.02
# More of a part than is asked for is looked at: packets are stored before they are shown, or heard.
BEYOND_S = 5.0
# No last frame is shown for longer, but where there is sound to it.
_LONGEST_S = 60.0
# Of these the last packet before a time that begins anew comes after the first ones behind it, and
# ffmpeg would mend twice.
_LATE = ("ac3", "eac3")
# Codecs whose pictures may be of either kind, and often change from one to the other.
_FROM_TELEVISION = ("mpeg2video", "vc1")


@dataclass(frozen=True, slots=True, eq=False)
class VideoStream:
    """The video stream of a file; the cover of a piece of music is not one.

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
    untold : tuple of str
        What an HDR picture does not say of its colours, by the names of ffmpeg's ``setparams``.
    lacks_matrix : bool
        Whether it is of high definition, and does not say by which matrix its colours were made.
        Players then take BT.709's, and decoders left to themselves BT.601's.
    is_interlaced : bool
        Whether it is known to be of half pictures, two of which come at once.
    times_s : (n,) float64 array
        Presentation time of each packet, in order, in the file's own time.
    has_times : bool
        Whether these are the file's; else they were made of when packets are decoded, or of an
        even pace.
    rate : Fraction
        Frames a second: exact where constant, else the usual step's.
    is_variable : bool
        Whether frames come at uneven times.
    end_s : float
        When the last frame is over, in the file's own time.
    damaged : int
        Packets that are known to be incomplete.
    is_cut_off : bool
        Whether the last packet is one of these.
    restarts : bool
        Whether the file's own time begins anew somewhere; `times_s` go on, as ffmpeg mends them.
    mends_alone : bool
        Whether that is done without a look at the sound.
    """

    codec: str
    coded_px: tuple[int, int]
    rotation_deg: int
    sample_aspect: Fraction
    is_hdr: bool
    untold: tuple[str, ...]
    lacks_matrix: bool
    is_interlaced: bool
    times_s: NDArray[np.float64]
    has_times: bool
    rate: Fraction
    is_variable: bool
    end_s: float
    damaged: int
    is_cut_off: bool
    restarts: bool = False
    mends_alone: bool = False

    @property
    def frames(self) -> int:
        """How many pictures the file holds, decodable or not."""
        return len(self.times_s)

    @property
    def offsets_s(self) -> NDArray[np.float64]:
        """Seconds from the first frame to each, (n,) float64."""
        return np.asarray(self.times_s - self.times_s[0])

    @property
    def upright_px(self) -> tuple[int, int]:
        """(height, width) as it is meant to be seen: turned, and with square pixels."""
        height, width = square_size(*self.coded_px, self.sample_aspect)
        return (width, height) if self.rotation_deg in (90, 270) else (height, width)


@dataclass(frozen=True, slots=True)
class AudioStream:
    """The first audio stream of a file.

    Attributes
    ----------
    codec : str
        By ffmpeg's name.
    begin_s, end_s : float
        In the file's own time.
    restarts : bool
        Whether the file's own time begins anew somewhere, as that of recordings put one after the
        other does; `begin_s` and `end_s` are times that go on, from 0, as ffmpeg mends them.
    """

    codec: str
    begin_s: float
    end_s: float
    restarts: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Media:
    """What a file holds.

    Attributes
    ----------
    picture : VideoStream or None
    sound : AudioStream or None
    begin_s : float
        What the file's own time begins at.
    duration_s : float or None
        The container's claim.
    is_cut_off : bool
        Whether the file ends before it should.
    lacks_index : bool
        Whether it is a file that cannot be read for want of its index.
    lost_sound : str
        The codec of a sound that is there, and cannot be followed where the file's time begins
        anew; else empty.
    """

    picture: VideoStream | None
    sound: AudioStream | None
    begin_s: float
    duration_s: float | None
    is_cut_off: bool
    lacks_index: bool
    lost_sound: str = ""


def inspect(path: Path | str, *, until_s: float | None = None) -> Media:
    """Return what a file holds; nothing where ffmpeg cannot read it.

    Parameters
    ----------
    path : Path or str
    until_s : float, optional
        Seconds after its beginning that are looked at; then nothing is known of its end.
    """
    packets = Packets()
    words = ffmpeg.list_packets(path, packets.take, until_s=until_s)
    banner = words.partition("Stream mapping:")[0]
    if not packets.streams and "Audio:" in banner:
        # Beside a sound that is declared and never comes nothing can be listed.
        packets = Packets()
        ffmpeg.list_packets(path, packets.take, until_s=until_s, has_sound=False)
    begin_s, duration_s = _about(banner)
    # The first of several names, such as those of MP4.
    named = re.search(r"^Input #0, (\w+)", banner, re.MULTILINE)
    format_name = named.group(1) if named else ""
    # Transport streams count on from anywhere: after an interruption, or where two were joined.
    has_restarted = packets.restart or (format_name == "mpegts" and packets.leap)
    lost = packets.sound_codec if has_restarted and packets.sound_codec in _LATE else ""
    if has_restarted:
        packets, begin_s, duration_s = Packets(), 0.0, None
        ffmpeg.list_packets(
            path, packets.take, until_s=until_s, mends_times=True, has_sound=not lost
        )
    picture, sound = _streams(packets, banner, is_joined=has_restarted)
    if has_restarted:
        picture = picture and replace(picture, restarts=True, mends_alone=sound is None)
        sound = sound and replace(sound, restarts=True)
    elif picture and not picture.has_times:
        picture = _moved(picture, ffmpeg.first_shown_s(path))
    # A file's name and its tags are in ffmpeg's words, too: only what it says itself counts.
    said = "\n".join(line for line in words.splitlines() if re.match(r"\[.+ @ \w+\]", line))
    is_cut_off = (
        any(one in said for one in _CUT_OFF)
        or (picture is not None and picture.is_cut_off)
        or is_truncated(Path(path), format_name)
        or (duration_s is not None and until_s is None
            and _falls_short(picture, sound, banner, begin_s + duration_s, duration_s))
    )  # fmt: skip
    return Media(picture, sound, begin_s, duration_s, is_cut_off, _NO_INDEX in said, lost)


def _moved(picture: VideoStream, begin_s: float | None) -> VideoStream:
    """Return a picture stream that begins when its first picture is shown."""
    if begin_s is None:
        return picture
    late_s = begin_s - float(picture.times_s[0])
    return replace(picture, times_s=picture.times_s + late_s, end_s=picture.end_s + late_s)


def _falls_short(
    picture: VideoStream | None,
    sound: AudioStream | None,
    banner: str,
    end_s: float,
    duration_s: float,
) -> bool:
    """Say whether all streams end long before the container says."""
    ends_s = [one.end_s for one in (picture, sound) if one]
    # Subtitles or a second sound may be what lasts as long as that.
    are_all = len(re.findall(r"Stream #0", banner)) == len(ends_s)
    return bool(ends_s) and are_all and max(ends_s) < end_s - max(_SHORT_S, _SHORT * duration_s)


def may_be_interlaced(path: Path | str, picture: VideoStream) -> bool:
    """Say whether interlaced pictures may come, whatever the first ones are."""
    if picture.is_interlaced or picture.codec in _FROM_TELEVISION:
        return True
    if picture.codec != "h264":
        return False
    return (
        re.search(r"frame_mbs_only_flag .*= 0$", ffmpeg.first_headers(path), re.MULTILINE)
        is not None
    )


def _streams(
    packets: Packets, banner: str, *, is_joined: bool
) -> tuple[VideoStream | None, AudioStream | None]:
    """Return the picture and the sound from the list of packets and ffmpeg's words."""
    picture = sound = None
    # Text is no video, though ffmpeg can show it as a terminal would.
    if re.search(r"^Input #0, tty", banner, re.MULTILINE):
        return None, None
    kinds = {number: packets.heads.get(number, {}) for number in packets.streams}
    for number, stream in packets.streams.items():
        kind = kinds[number]
        if kind.get("media_type") == "audio" and np.isfinite(stream.times).any():
            tick_s = float(Fraction(kind["tb"]))
            begins = np.array(stream.times) * tick_s
            ends = begins + np.array(stream.lasts) * tick_s
            sound = AudioStream(kind["codec_id"], float(np.nanmin(begins)), float(np.nanmax(ends)))
    for number, stream in packets.streams.items():
        if kinds[number].get("media_type") == "video":
            heard_s = sound.end_s if sound else -math.inf
            picture = _picture(kinds[number], stream, banner, heard_s, is_joined=is_joined)
    return picture, sound


def square_size(height_px: int, width_px: int, aspect: Fraction) -> tuple[int, int]:
    """Return the (height, width) at which pixels of an aspect are square; none are taken away."""
    if aspect >= 1:
        return height_px, round(width_px * aspect)
    return round(height_px / aspect), width_px


def _about(banner: str) -> tuple[float, float | None]:
    """Return the container's begin and claimed duration, in seconds."""
    # At the beginning of a line, where no tag can be.
    begin = re.search(r"^  Duration: .*?start: (-?[\d.]+)", banner, re.MULTILINE)
    length = re.search(r"^  Duration: (\d+):(\d+):([\d.]+)", banner, re.MULTILINE)
    seconds = None
    if length:
        hours, minutes, rest = length.groups()
        seconds = int(hours) * 3600 + int(minutes) * 60 + float(rest)
    return float(begin.group(1)) if begin else 0.0, seconds


def _picture(
    head: dict[str, str], packets: Stream, banner: str, heard_s: float, *, is_joined: bool
) -> VideoStream | None:
    """Return the picture stream from the list of its packets and ffmpeg's words.

    `heard_s` is when the sound ends, `is_joined` whether these are several recordings.
    """
    size = re.fullmatch(r"(\d+)x(\d+)", head.get("dimensions", ""))
    stream = re.search(r"Stream #0.*?: Video: (?!.*\(attached pic\)).*", banner)
    said = stream.group(0) if stream else ""
    if not size or not said:
        return None
    coded_px = int(size.group(2)), int(size.group(1))
    claimed = re.search(r" ([\d.]+k?) fps", said)
    # What is said of this stream, up to the next one; the name of a tag has spaces behind it.
    about = banner[banner.index(said) :].partition("\n  Stream #")[0]
    turned = re.search(r"^ +[\w ]*\w: rotation of (-?[\d.]+) degrees", about, re.MULTILINE)
    tick = Fraction(head["tb"])
    rate = snapped(Fraction(claimed.group(1).replace("k", "000"))) if claimed else USUAL_FPS
    ticks, lasts, has_times = packets.in_order(float(tick))
    is_variable = False
    if ticks is None:
        # Streams without times of their own are shown at an even pace.
        known = [one for one in packets.times if math.isfinite(one)]
        ticks = min(known, default=0.0) + np.arange(len(packets.times)) / float(rate * tick)
    elif len(ticks) > 1:
        rate, is_variable = measured_rate(ticks, tick, claimed=rate)
    last_s = float(lasts[-1] * tick)
    # What is said of the last frame's duration is often too little, and sometimes absurd.
    longest_s = max(_LONGEST_S, heard_s - float(ticks[-1] * tick) + _SHORT_S)
    last_s = last_s if last_s < longest_s else 0.0
    if len(ticks) > 1 or not last_s:
        # Of a single frame the rate is a claim, rounded, and the length is all that is known.
        last_s = max(last_s, float(1 / rate))
    return VideoStream(
        codec=head["codec_id"],
        coded_px=coded_px,
        rotation_deg=round(float(turned.group(1)) / 90) * 90 % 360 if turned else 0,
        sample_aspect=_aspect(head.get("sar", "")),
        is_hdr=any(f"/{name}" in said or f"{name}," in said for name in _HDR),
        untold=_untold(said),
        lacks_matrix=_lacks_matrix(coded_px, head["codec_id"], said),
        is_interlaced=re.search(r"\b(top|bottom) (coded )?first", said) is not None,
        times_s=ticks * float(tick),
        has_times=has_times,
        rate=rate,
        is_variable=is_variable,
        end_s=float(ticks[-1] * tick) + last_s,
        damaged=packets.damaged(is_joined=is_joined),
        is_cut_off=bool(packets.corrupt[-1]),
    )


def _untold(said: str) -> tuple[str, ...]:
    """Return what an HDR picture does not say of its colours."""
    names = re.search(_HDR_NAMES, said)
    if names is None:
        return ()
    both = zip(("colorspace", "color_primaries"), names.groups(), strict=True)
    return tuple(what for what, name in both if name in _UNKNOWN)


def _lacks_matrix(coded_px: tuple[int, int], codec: str, said: str) -> bool:
    """Say whether nothing is said of the matrix that made a large picture's luma and chroma of RGB.

    "bgra" has none, "yuv420p(tv, progressive)" does not tell; others have "bt709" there where all
    is of one standard, or three names, "bt709/unknown/unknown", of which the matrix is the first.
    """
    is_small = coded_px[0] <= _HD_PX[0] and coded_px[1] < _HD_PX[1]
    pixels = re.search(r", (\w+)(?:\(([^)]*)\))?(?=,| |$)", said.partition("Video: ")[2])
    if is_small or codec in _OF_BT601 or pixels is None or re.match(_NO_YUV, pixels.group(1)):
        return False
    names = [
        part.partition("/")[0]
        for part in (pixels.group(2) or "").split(", ")
        if "/" in part or re.match(_STANDARDS, part)
    ]
    return set(names) <= _UNKNOWN


def _aspect(said: str) -> Fraction:
    """Return the aspect of a pixel; one that is unknown or absurd is a square."""
    match = re.fullmatch(r"(\d+)/(\d+)", said)
    if not match or "0" in match.groups():
        return Fraction(1)
    aspect = Fraction(int(match.group(1)), int(match.group(2)))
    return aspect if Fraction(1, 10) <= aspect <= 10 else Fraction(1)
