"""Measure what a media file holds: every packet is listed, none is decoded.

A header's claims of duration, rate and number of frames are often wrong; the timestamps of the
packets are not. Listing them costs as much as reading the file.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidsal.media import banner, ffmpeg
from vidsal.media.frame_rate import USUAL_FPS, measure_rate, snap_rate
from vidsal.media.headers import allows_fields, reordered_frames
from vidsal.media.packets import Packets, Stream, without_leaps
from vidsal.media.truncation import is_truncated

# Video of at most this height and below this width is of standard definition (BT.601). VP8 has the
# colors of BT.601 at any size, by its specification.
_SD_HEIGHT_PX, _HD_WIDTH_PX = 576, 1280
_BT601_CODECS = ("vp8",)
# All streams may end this much before the container's duration; a larger gap means that the file
# is truncated.
_SHORT_S, _SHORT_SHARE = 1.0, 0.02
# Packets are stored before they are shown or heard, so this much more than the wanted part is read.
MARGIN_S = 5.0
# A last frame is not shown for longer than this, except while there is sound.
_LONGEST_FRAME_S = 60.0
# In streams of these codecs, the last packet before a restart of the timestamps comes after the
# first packets behind it. ffmpeg would repair the restart twice.
_LATE_CODECS = ("ac3", "eac3")
# Codecs whose frames may be shown in another order than they are stored.
_REORDERING_CODECS = (
    "h264", "hevc", "vvc", "mpeg4", "mpeg2video", "mpeg1video", "vc1", "wmv3", "cavs", "svq3",
)  # fmt: skip
# Codecs of television, where interlaced and progressive frames alternate.
TELEVISION_CODECS = ("mpeg2video", "vc1")


@dataclass(frozen=True, slots=True, eq=False)
class VideoStream:
    """The video stream of a file; the cover of a piece of music is not one.

    Attributes
    ----------
    codec : str
        ffmpeg's name.
    coded_px : (int, int)
        (height, width) before rotation and sample aspect ratio are applied.
    rotation_deg : int
        Counter-clockwise rotation for display: 0, 90, 180 or 270.
    sample_aspect : Fraction
        Width of a pixel over its height.
    is_hdr : bool
        Whether the transfer function is PQ or HLG.
    missing_hdr_tags : tuple of str
        Color tags that an HDR stream lacks, by the names of ffmpeg's filter ``setparams``.
    lacks_matrix : bool
        Whether a high-definition stream does not name its color matrix. Players then use BT.709.
        Decoders use BT.601 by default.
    is_interlaced : bool
        Whether the stream is known to be interlaced.
    times_s : (n,) float64 array
        Presentation time of each packet, in increasing order, in the file's own time.
    has_times : bool
        Whether the file has presentation times. Otherwise `times_s` come from decoding times, or
        from a constant rate.
    rate : Fraction
        Frames per second: exact if constant, else that of the most frequent step.
    is_variable : bool
        Whether the frames come at uneven times.
    is_in_storage_order : bool
        Whether the presentation times increase in the order of storage. They are wrong if the
        frames are reordered.
    hidden_s : (m,) float64 array
        Times of frames that are decoded and not shown, as an edit list of the file says.
    shown_from_s : float
        Frames before this time are not shown, either; ``-inf`` in formats without edit lists.
    has_leap : bool
        Whether the file's times leap by hours somewhere. `times_s` are without the leap.
    end_s : float
        When the last frame ends, in the file's own time.
    corrupt_packets : int
        Packets that are known to be incomplete.
    ends_corrupt : bool
        Whether the last packet is one of these.
    restarts : bool
        Whether the file's timestamps restart somewhere. `times_s` are then repaired by ffmpeg, so
        that they increase from 0.
    repaired_alone : bool
        Whether ffmpeg repairs them without reading the audio stream.
    has_wide_gamut : bool
        Whether the primaries are wider than those of BT.709 and BT.601, such as BT.2020.
    is_bt709_yuv420 : bool
        Whether the pictures are 8-bit YUV 4:2:0 in limited range by the BT.709 matrix, named or
        implied.
    """

    codec: str
    coded_px: tuple[int, int]
    rotation_deg: int
    sample_aspect: Fraction
    is_hdr: bool
    missing_hdr_tags: tuple[str, ...]
    lacks_matrix: bool
    is_interlaced: bool
    times_s: NDArray[np.float64]
    has_times: bool
    rate: Fraction
    is_variable: bool
    end_s: float
    corrupt_packets: int
    ends_corrupt: bool
    restarts: bool = False
    repaired_alone: bool = False
    is_in_storage_order: bool = False
    has_leap: bool = False
    hidden_s: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    shown_from_s: float = -math.inf
    has_wide_gamut: bool = False
    is_bt709_yuv420: bool = False

    @property
    def frames(self) -> int:
        """Number of frames in the file, decodable or not."""
        return len(self.times_s)

    @property
    def offsets_s(self) -> NDArray[np.float64]:
        """Seconds from the first frame to each, (n,) float64."""
        return np.asarray(self.times_s - self.times_s[0])

    @property
    def upright_px(self) -> tuple[int, int]:
        """(height, width) for display: rotated, and with square pixels."""
        height, width = square_size(*self.coded_px, self.sample_aspect)
        return (width, height) if self.rotation_deg in (90, 270) else (height, width)


@dataclass(frozen=True, slots=True)
class AudioStream:
    """The first audio stream of a file.

    Attributes
    ----------
    codec : str
        ffmpeg's name.
    begin_s, end_s : float
        In the file's own time.
    restarts : bool
        Whether the file's timestamps restart somewhere, as in recordings that were put one after
        the other. `begin_s` and `end_s` are then repaired by ffmpeg, so that they increase from 0.
    leaps : tuple of (float, float)
        See `vidsal.media.packets.without_leaps`. `begin_s` and `end_s` are without these leaps.
    """

    codec: str
    begin_s: float
    end_s: float
    restarts: bool = False
    leaps: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Media:
    """What a file holds.

    Attributes
    ----------
    picture : VideoStream or None
    sound : AudioStream or None
    begin_s : float
        Start of the file's own time.
    duration_s : float or None
        The container's claim.
    is_truncated : bool
        Whether the file ends too early.
    lacks_index : bool
        Whether the file cannot be read because its index is missing.
    unusable_audio : str
        Codec of an audio stream that cannot be used because timestamps restart; else empty.
    """

    picture: VideoStream | None
    sound: AudioStream | None
    begin_s: float
    duration_s: float | None
    is_truncated: bool
    lacks_index: bool
    unusable_audio: str = ""


def inspect(path: Path | str, *, until_s: float | None = None) -> Media:
    """Return what a file holds; nothing if ffmpeg cannot read it.

    Parameters
    ----------
    path : Path or str
    until_s : float, optional
        Read only the first `until_s` seconds. Whether the container's duration is right is then
        not checked.

    Returns
    -------
    Media

    Raises
    ------
    VidsalError
        If ffmpeg is missing.
    """
    packets, stderr = _list_packets(path, until_s)
    text = banner.input_banner(stderr)
    format_name = banner.format_name(text)
    begin_s, duration_s = banner.container_times(text)
    # Transport streams may jump to any time after an interruption, or where two were joined.
    restarts = packets.has_restart or (format_name == "mpegts" and packets.has_jump)
    unusable = packets.audio_codec if restarts and packets.audio_codec in _LATE_CODECS else ""
    if restarts:
        packets, begin_s, duration_s = Packets(), 0.0, None
        ffmpeg.list_packets(
            path, packets.add_line, until_s=until_s, repairs_times=True, has_audio=not unusable
        )
    elif format_name == "mov":
        # ffmpeg does not mark all frames that the edit list leaves out.
        packets.hide_before(begin_s)
    picture, sound = _streams(packets, text, restarts=restarts)
    if picture and picture.has_times and format_name == "mov" and not restarts:
        picture = replace(picture, shown_from_s=min(begin_s, float(picture.times_s[0])))
    if picture and not picture.has_times and not restarts:
        picture = _shifted(picture, ffmpeg.first_frame_s(path))
    ends_early = (
        banner.reports_truncation(stderr)
        or (picture is not None and picture.ends_corrupt)
        or is_truncated(Path(path), format_name)
        or (duration_s is not None and until_s is None and not (picture and picture.has_leap)
            and _falls_short(picture, sound, text, begin_s + duration_s, duration_s))
    )  # fmt: skip
    return Media(
        picture, sound, begin_s, duration_s, ends_early, banner.lacks_index(stderr), unusable
    )


def _list_packets(path: Path | str, until_s: float | None) -> tuple[Packets, str]:
    """Return the packets of a file, and ffmpeg's stderr."""
    packets = Packets()
    stderr = ffmpeg.list_packets(path, packets.add_line, until_s=until_s)
    if not packets.streams and banner.has_audio(banner.input_banner(stderr)):
        # An audio stream that is declared and has no packets prevents any list.
        packets = Packets()
        ffmpeg.list_packets(path, packets.add_line, until_s=until_s, has_audio=False)
    return packets, stderr


def _shifted(picture: VideoStream, begin_s: float | None) -> VideoStream:
    """Return a video stream whose first frame is shown at `begin_s`."""
    if begin_s is None:
        return picture
    shift_s = begin_s - float(picture.times_s[0])
    return replace(picture, times_s=picture.times_s + shift_s, end_s=picture.end_s + shift_s)


def _falls_short(
    picture: VideoStream | None,
    sound: AudioStream | None,
    text: str,
    end_s: float,
    duration_s: float,
) -> bool:
    """Return whether all streams end long before the container's end."""
    ends_s = [one.end_s for one in (picture, sound) if one]
    # The duration may be that of subtitles, or of a second audio stream.
    are_all = banner.count_streams(text) == len(ends_s)
    return (
        bool(ends_s) and are_all and max(ends_s) < end_s - max(_SHORT_S, _SHORT_SHARE * duration_s)
    )


def read_headers(path: Path | str, picture: VideoStream) -> str:
    """Return the headers of the first packets, as text; empty if the codec has none of interest.

    Parameters
    ----------
    path : Path or str
    picture : VideoStream
        The video stream of that file.
    """
    return ffmpeg.trace_headers(path) if picture.codec in ("h264", "hevc") else ""


def may_be_interlaced(picture: VideoStream, headers: str) -> bool:
    """Return whether a video stream may contain interlaced frames, whatever its first frames are.

    Parameters
    ----------
    picture : VideoStream
    headers : str
        Its headers; see `read_headers`.
    """
    if picture.is_interlaced or picture.codec in TELEVISION_CODECS:
        return True
    return picture.codec == "h264" and allows_fields(headers)


def may_be_reordered(picture: VideoStream, headers: str) -> bool | None:
    """Return whether frames may be shown in another order than they are stored.

    Parameters
    ----------
    picture : VideoStream
    headers : str
        Its headers; see `read_headers`.

    Returns
    -------
    bool or None
        ``None`` if only decoded frames can tell.
    """
    if picture.codec not in _REORDERING_CODECS or picture.frames < 3:
        return False
    if picture.codec not in ("h264", "hevc"):
        return None
    count = reordered_frames(headers)
    return None if count is None else count > 0


def _streams(
    packets: Packets, text: str, *, restarts: bool
) -> tuple[VideoStream | None, AudioStream | None]:
    """Return video stream and audio stream from the list of packets and ffmpeg's banner."""
    # ffmpeg can show a text file as a terminal would; that is not a video.
    if banner.format_name(text) == "tty":
        return None, None
    picture = sound = None
    for header, stream in _of_type(packets, "audio"):
        if np.isfinite(stream.show_ticks).any():
            sound = _audio_stream(header, stream, restarts=restarts)
    for header, stream in _of_type(packets, "video"):
        audio_end_s = sound.end_s if sound else -math.inf
        picture = _video_stream(header, stream, text, audio_end_s, restarts=restarts)
    if picture and restarts:
        picture = replace(picture, restarts=True, repaired_alone=sound is None)
    return picture, sound


def _of_type(packets: Packets, media_type: str) -> Iterator[tuple[dict[str, str], Stream]]:
    for number, stream in packets.streams.items():
        header = packets.headers.get(number, {})
        if header.get("media_type") == media_type:
            yield header, stream


def _audio_stream(header: dict[str, str], stream: Stream, *, restarts: bool) -> AudioStream:
    tick_s = float(Fraction(header["tb"]))
    ticks, leaps = without_leaps(np.array(stream.show_ticks), tick_s)
    begins_s = ticks * tick_s
    ends_s = begins_s + np.array(stream.duration_ticks) * tick_s
    begin_s, end_s = float(np.nanmin(begins_s)), float(np.nanmax(ends_s))
    return AudioStream(header["codec_id"], begin_s, end_s, restarts, tuple(leaps))


def square_size(height_px: int, width_px: int, aspect: Fraction) -> tuple[int, int]:
    """Return the size at which pixels are square. No side becomes smaller.

    Parameters
    ----------
    height_px, width_px : int
    aspect : Fraction
        Width of a pixel over its height.

    Returns
    -------
    (int, int)
        (height, width) in pixels.
    """
    if aspect >= 1:
        return height_px, round(width_px * aspect)
    return round(height_px / aspect), width_px


def _video_stream(
    header: dict[str, str], stream: Stream, text: str, audio_end_s: float, *, restarts: bool
) -> VideoStream | None:
    """Return the video stream from its packets and ffmpeg's banner."""
    coded_px = banner.frame_size(header.get("dimensions", ""))
    line, details = banner.video_stream(text)
    if not coded_px or not line:
        return None
    tick_s, claimed = Fraction(header["tb"]), banner.claimed_fps(line)
    timing = _timing(stream, tick_s, USUAL_FPS if claimed is None else snap_rate(claimed))
    last_s = _last_duration_s(timing, tick_s, audio_end_s)
    is_untagged = lacks_matrix(coded_px, header["codec_id"], line)
    return VideoStream(
        codec=header["codec_id"],
        coded_px=coded_px,
        rotation_deg=banner.rotation_deg(details),
        sample_aspect=banner.sample_aspect(header.get("sar", "")),
        is_hdr=banner.is_hdr(line),
        missing_hdr_tags=banner.missing_hdr_tags(line),
        lacks_matrix=is_untagged,
        is_interlaced=banner.is_interlaced(line),
        times_s=timing.ticks * float(tick_s),
        has_times=timing.are_given,
        rate=timing.rate,
        is_variable=timing.is_variable,
        end_s=float(timing.ticks[-1] * tick_s) + last_s,
        corrupt_packets=stream.count_corrupt(is_joined=restarts),
        ends_corrupt=bool(stream.is_corrupt[-1]),
        is_in_storage_order=timing.are_given and stream.is_in_storage_order,
        has_leap=timing.has_leap,
        hidden_s=np.sort(np.array(stream.hidden_ticks)) * float(tick_s),
        has_wide_gamut=banner.has_wide_gamut(line),
        is_bt709_yuv420=banner.is_bt709_yuv420(line, is_implied=is_untagged),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Timing:
    """When the frames of a stream are shown: times and last duration in ticks, and their rate."""

    ticks: NDArray[np.float64]
    last_duration: float
    are_given: bool
    rate: Fraction
    is_variable: bool
    has_leap: bool = False


def _timing(stream: Stream, tick_s: Fraction, claimed: Fraction) -> _Timing:
    """Return the times of the frames, and their rate, given the rate that the header claims."""
    ticks, durations, are_given = stream.in_display_order(float(tick_s))
    rate, is_variable = claimed, False
    if ticks is None:
        # Streams without timestamps are shown at a constant rate.
        known = [one for one in stream.show_ticks if math.isfinite(one)]
        count = len(stream.show_ticks)
        ticks = min(known, default=0.0) + np.arange(count) / float(rate * tick_s)
        return _Timing(ticks, float(durations[-1]), are_given, rate, is_variable)
    ticks, leaps = without_leaps(ticks, float(tick_s))
    if len(ticks) > 1:
        rate, is_variable = measure_rate(ticks, tick_s, claimed=claimed)
    return _Timing(
        ticks, float(durations[-1]), are_given and not leaps, rate, is_variable, bool(leaps)
    )


def _last_duration_s(timing: _Timing, tick_s: Fraction, audio_end_s: float) -> float:
    """Return how long the last frame is shown, in seconds."""
    last_s = float(timing.last_duration * tick_s)
    # The duration of the last packet is often too short, and sometimes absurd.
    longest_s = max(_LONGEST_FRAME_S, audio_end_s - float(timing.ticks[-1] * tick_s) + _SHORT_S)
    last_s = last_s if last_s < longest_s else 0.0
    if len(timing.ticks) > 1 or not last_s:
        # The rate of a single frame is only a rounded claim, so its duration counts instead.
        last_s = max(last_s, float(1 / timing.rate))
    return last_s


def lacks_matrix(coded_px: tuple[int, int], codec: str, line: str) -> bool:
    """Return whether a high-definition stream does not name its color matrix.

    Parameters
    ----------
    coded_px : (int, int)
        (height, width) in pixels.
    codec : str
        ffmpeg's name.
    line : str
        The line of the stream in ffmpeg's banner.
    """
    is_sd = coded_px[0] <= _SD_HEIGHT_PX and coded_px[1] < _HD_WIDTH_PX
    return not is_sd and codec not in _BT601_CODECS and banner.lacks_color_matrix(line)
