"""Parsers of what ffmpeg prints: text in, values out. Pure functions.

ffmpeg describes a file in its banner on stderr (``Input #0, ...``, ``Duration: ...``,
``Stream #0:0: Video: ...``). The muxer ``framecrc`` writes one line per packet to stdout.
"""

import math
import re
from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple

# Transfer functions of high dynamic range: PQ and HLG.
_HDR_TRANSFERS = ("smpte2084", "arib-std-b67")
# Color matrix, primaries and transfer of an HDR stream.
_HDR_COLORS = r"\b([\w-]+)/([\w-]+)/(?:smpte2084|arib-std-b67)\b"
# Pixel formats without luma and chroma begin like this.
_NO_YUV = r"[0x]?(rgb|bgr|argb|abgr|gbr|gray|ya\d|pal8|mono|xyz|bayer|none)"
# Names of color standards begin like this.
_COLOR_STANDARDS = "bt|smpte|fcc|ycgco|ictcp|gbr|ipt|chroma"
_UNKNOWN = {"unknown", "reserved"}
# Primaries that are shown like those of sRGB.
_NARROW_PRIMARIES = {"bt709", "bt470m", "bt470bg", "smpte170m", "smpte240m", *_UNKNOWN}
# The components that a line names, and its level at ``-loglevel level+info``.
_LEVEL = r"^((?:\[[^]]* @ \w+\] )*)\[(\w+)\] "
_ERROR_LEVELS = ("error", "fatal", "panic")

# Messages about a truncated file, and about an MP4 file whose index was never written.
_TRUNCATED = ("partial file", "ended prematurely", "truncated")
_NO_INDEX = "moov atom not found"
_CORRUPT_FRAME = b"corrupt decoded frame"
_DISK_FULL = "No space left"
# Causes of a failed connection. ffmpeg prints them before "Error opening input".
_CONNECTION_ERRORS = (
    "already in use", "refused", "not known", "No address associated", "No route to host",
    "unreachable", "401 Unauthorized", "403 Forbidden", "404 Not Found", "Permission denied",
    "Protocol not found",
)  # fmt: skip
_TIMEOUTS = (": Input/output error", "timed out")

# Flags of a packet. Without flags it is a key frame.
_KEY, _CORRUPT, _DISCARDED = 1, 2, 4
# Presentation time that stands for "unknown" (AV_NOPTS_VALUE).
_NO_TIME = -(2**63)


class Packet(NamedTuple):
    """One packet of a ``framecrc`` list.

    Attributes
    ----------
    stream : int
        Number of its stream.
    decode_ticks, show_ticks : float
        Decoding and presentation time in units of the stream's time base, NaN if unknown.
    duration_ticks : float
        In the same unit, NaN if unknown.
    is_key, is_corrupt, is_discarded : bool
        Flags of the packet. Players do not show discarded packets.
    """

    stream: int
    decode_ticks: float
    show_ticks: float
    duration_ticks: float
    is_key: bool
    is_corrupt: bool
    is_discarded: bool


def error_cause(stderr: str) -> str:
    """Return the line of ffmpeg's errors that names the cause, without the component's address.

    Encoders and muxers of a pipeline report only consequences (``[out#0/mp4 @ 0x55b] Nothing was
    written``). Their lines count only if there is no other line.

    Parameters
    ----------
    stderr : str

    Returns
    -------
    str
        Empty if ffmpeg printed nothing.
    """
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    # SVT-AV1 prints its settings to stderr at any log level.
    lines = [line for line in lines if not line.startswith("Svt[")]
    causes = [line for line in lines if not re.match(r"\[[va](ost|f)#|\[(out|fc)#", line)]
    return re.sub(r"^(\[[^]]* @ 0x\w+\] *)+", "", (causes or lines or [""])[-1])


def is_disk_full(stderr: str) -> bool:
    """Return whether ffmpeg failed for want of disk space.

    Parameters
    ----------
    stderr : str
        Output of ffmpeg.
    """
    return _DISK_FULL in stderr


def connection_error(stderr: str) -> str:
    """Return why ffmpeg could not read a network stream, without user names and passwords.

    Parameters
    ----------
    stderr : str

    Returns
    -------
    str
        Empty if the sender was silent until the timeout.
    """
    lines = re.sub(r"//[^/\s]*@", "//", stderr.strip()).splitlines()
    # The first line names the cause, later lines name its consequences.
    for line in lines:
        if any(error in line for error in _CONNECTION_ERRORS):
            return line.rpartition(": ")[2]
    if not lines or lines[-1].endswith(_TIMEOUTS):
        return ""
    return lines[-1].rpartition(": ")[2]


def without_levels(stderr: str) -> str:
    """Return what ffmpeg prints at ``-loglevel level+info``, without the level of each line.

    Parameters
    ----------
    stderr : str
        Output of ffmpeg with a level on each line.
    """
    return re.sub(_LEVEL, r"\1", stderr, flags=re.MULTILINE)


def only_errors(stderr: str) -> str:
    """Return the errors in what ffmpeg prints at ``-loglevel level+info``, without their level.

    Parameters
    ----------
    stderr : str
        Output of ffmpeg with a level on each line.
    """
    levels = ((line, re.match(_LEVEL, line)) for line in stderr.splitlines())
    errors = (line for line, level in levels if level and level.group(2) in _ERROR_LEVELS)
    return without_levels("\n".join(errors))


def count_corrupt_frames(lines: Iterable[bytes]) -> int:
    """Return how many frames ffmpeg decoded in spite of corrupt data.

    Parameters
    ----------
    lines : iterable of bytes
        Output at the log level ``repeat+warning``. It has one line per corrupt frame.
    """
    return sum(_CORRUPT_FRAME in line for line in lines)


def reports_truncation(stderr: str) -> bool:
    """Return whether ffmpeg found that the file ends too early.

    Parameters
    ----------
    stderr : str
        Output of ffmpeg.
    """
    messages = _messages(stderr)
    return any(text in messages for text in _TRUNCATED)


def lacks_index(stderr: str) -> bool:
    """Return whether ffmpeg cannot read an MP4 file because its index is missing.

    Parameters
    ----------
    stderr : str
        Output of ffmpeg.
    """
    return _NO_INDEX in _messages(stderr)


def _messages(stderr: str) -> str:
    """Return the lines of ffmpeg's components; others may be the file's name or its tags."""
    return "\n".join(line for line in stderr.splitlines() if re.match(r"\[.+ @ \w+\]", line))


def encoder_names(text: str) -> frozenset[str]:
    """Return the names of the encoders in the output of ``ffmpeg -encoders``.

    Parameters
    ----------
    text : str
        Output of ``ffmpeg -encoders``.
    """
    return frozenset(re.findall(r"^ [VAS][A-Z.]{5} ([\w-]+)", text, re.MULTILINE))


def version(text: str) -> str:
    """Return program and version, such as "ffmpeg version 7.1", from ``ffmpeg -version``.

    Parameters
    ----------
    text : str
        Output of ``ffmpeg -version``.
    """
    return " ".join(text.splitlines()[0].split()[:3])


# The banner of an input.


def input_banner(stderr: str) -> str:
    """Return the part of stderr that describes the input, not the output.

    Parameters
    ----------
    stderr : str
        Output of ffmpeg.
    """
    return stderr.partition("Stream mapping:")[0]


def format_name(banner: str) -> str:
    """Return ffmpeg's name of the container, the first one of several; empty if unknown.

    Parameters
    ----------
    banner : str
        ffmpeg's description of a file, as it prints it for ``-i``.
    """
    match = re.search(r"^Input #0, (\w+)", banner, re.MULTILINE)
    return match.group(1) if match else ""


def container_times(banner: str) -> tuple[float, float | None]:
    """Return start time and duration as the container claims them.

    Parameters
    ----------
    banner : str

    Returns
    -------
    (float, float or None)
        Start and duration in seconds. The start is 0 if unknown, the duration ``None``.
    """
    # Tags are indented further, so they cannot match.
    start = re.search(r"^  Duration: .*?start: (-?[\d.]+)", banner, re.MULTILINE)
    length = re.search(r"^  Duration: (\d+):(\d+):([\d.]+)", banner, re.MULTILINE)
    duration_s = None
    if length:
        hours, minutes, seconds = length.groups()
        duration_s = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    return float(start.group(1)) if start else 0.0, duration_s


def count_streams(banner: str) -> int:
    """Return the number of streams, subtitles and data included.

    Parameters
    ----------
    banner : str
        ffmpeg's description of a file, as it prints it for ``-i``.
    """
    return banner.count("Stream #0")


def has_audio(banner: str) -> bool:
    """Return whether the file declares an audio stream.

    Parameters
    ----------
    banner : str
        ffmpeg's description of a file, as it prints it for ``-i``.
    """
    return "Audio:" in banner


def video_stream(banner: str) -> tuple[str, str]:
    """Return the line of the first video stream, and the lines below it that belong to it.

    Covers and thumbnails (``attached pic``) are not video streams.

    Parameters
    ----------
    banner : str

    Returns
    -------
    (str, str)
        Line and details (tags, side data). Both are empty if there is no video stream.
    """
    match = re.search(r"Stream #0.*?: Video: (?!.*\(attached pic\)).*", banner)
    if match is None:
        return "", ""
    line, _, details = banner[match.start() :].partition("\n  Stream #")[0].partition("\n")
    return line, details


# The line of a video stream, and its details.


def claimed_fps(line: str) -> Fraction | None:
    """Return the frame rate of a stream line, in frames per second.

    Parameters
    ----------
    line : str
        Description of a video stream, as in ffmpeg's banner.
    """
    match = re.search(r" ([\d.]+k?) fps", line)
    return Fraction(match.group(1).replace("k", "000")) if match else None


def base_fps(line: str) -> Fraction | None:
    """Return the frame rate that can express all times of a stream line, in frames per second.

    Parameters
    ----------
    line : str
        Description of a video stream, as in ffmpeg's banner.
    """
    match = re.search(r" ([\d.]+k?) tbr", line)
    return Fraction(match.group(1).replace("k", "000")) if match else None


def codec(line: str) -> str:
    """Return ffmpeg's name of the codec of a stream line, such as "h264"; empty if unknown.

    Parameters
    ----------
    line : str
        Description of a video stream, as in ffmpeg's banner.
    """
    match = re.search(r"Video: (\w+)", line)
    return match.group(1) if match else ""


def coded_size(line: str) -> tuple[int, int] | None:
    """Return (height, width) in pixels of a stream line; None if no picture was decoded yet.

    Parameters
    ----------
    line : str
        Description of a video stream, as in ffmpeg's banner.
    """
    match = re.search(r", (\d+)x(\d+)\b", line)
    return (int(match.group(2)), int(match.group(1))) if match else None


def rotation_deg(details: str) -> int:
    """Return the counter-clockwise rotation of a display matrix: 0, 90, 180 or 270 degrees.

    Parameters
    ----------
    details : str
        Lines below the description of a stream in ffmpeg's banner.
    """
    # The name of a tag is followed by spaces, so a tag cannot match.
    match = re.search(r"^ +[\w ]*\w: rotation of (-?[\d.]+) degrees", details, re.MULTILINE)
    return round(float(match.group(1)) / 90) * 90 % 360 if match else 0


def is_interlaced(line: str) -> bool:
    """Return whether a stream line names a field order, such as "top first".

    Parameters
    ----------
    line : str
        Description of a video stream, as in ffmpeg's banner.
    """
    return re.search(r"\b(top|bottom) (coded )?first", line) is not None


def is_progressive(line: str) -> bool:
    """Return whether a stream line calls the pictures progressive.

    Parameters
    ----------
    line : str
        Description of a video stream, as in ffmpeg's banner.
    """
    return re.search(r"\bprogressive\)", line) is not None


def is_hdr(line: str) -> bool:
    """Return whether the transfer function of a stream line is PQ or HLG.

    Parameters
    ----------
    line : str
        Description of a video stream, as in ffmpeg's banner.
    """
    return any(f"/{name}" in line or f"{name}," in line for name in _HDR_TRANSFERS)


def color_tags(line: str) -> dict[str, str]:
    """Return the color tags of a stream line.

    Parameters
    ----------
    line : str

    Returns
    -------
    dict of str to str
        Values of ``range``, ``colorspace``, ``color_primaries`` and ``color_trc``, which are the
        names of ffmpeg's filter ``setparams``. Tags that are unknown are missing.
    """
    tags = {}
    for part in _pixel_format(line)[1]:
        if part in ("tv", "pc"):
            tags["range"] = part
        elif "/" in part or re.match(_COLOR_STANDARDS, part):
            # One name stands for all three.
            values = part.split("/") if "/" in part else [part] * 3
            tags |= dict(zip(("colorspace", "color_primaries", "color_trc"), values, strict=True))
    return {name: value for name, value in tags.items() if value not in _UNKNOWN}


def has_wide_gamut(line: str) -> bool:
    """Return whether the primaries of a stream line are wider than those of sRGB, as BT.2020's.

    Parameters
    ----------
    line : str
        Description of a video stream, as in ffmpeg's banner.
    """
    return color_tags(line).get("color_primaries", "unknown") not in _NARROW_PRIMARIES


def is_bt709_yuv420(line: str, *, is_implied: bool) -> bool:
    """Return whether a stream has 8-bit YUV 4:2:0 pictures in limited range, by the BT.709 matrix.

    Parameters
    ----------
    line : str
        Description of a video stream, as in ffmpeg's banner.
    is_implied : bool
        Whether the matrix is BT.709 if the stream does not name it.
    """
    pixels, tags = _pixel_format(line)[0], color_tags(line)
    matrix = tags.get("colorspace", "bt709" if is_implied else "unknown")
    return pixels == "yuv420p" and tags.get("range", "tv") == "tv" and matrix == "bt709"


def missing_hdr_tags(line: str) -> tuple[str, ...]:
    """Return which color tags an HDR stream lacks.

    Parameters
    ----------
    line : str

    Returns
    -------
    tuple of str
        Some of ``colorspace`` and ``color_primaries``, which are the names of ffmpeg's filter
        ``setparams``.
    """
    match = re.search(_HDR_COLORS, line)
    if match is None:
        return ()
    tags = zip(("colorspace", "color_primaries"), match.groups(), strict=True)
    return tuple(tag for tag, value in tags if value in _UNKNOWN)


def lacks_color_matrix(line: str) -> bool:
    """Return whether a stream has luma and chroma, and does not say by which matrix.

    "bgra" has no chroma. "yuv420p(tv, progressive)" lacks the matrix. "yuv420p(tv, bt709)" has one
    name for the whole standard. "yuv420p(bt709/unknown/unknown)" names the matrix first.

    Parameters
    ----------
    line : str
    """
    pixels, _ = _pixel_format(line)
    return (
        re.match(_NO_YUV, pixels) is None and bool(pixels) and "colorspace" not in color_tags(line)
    )


def _pixel_format(line: str) -> tuple[str, list[str]]:
    """Return pixel format of a stream line, and what stands in brackets behind it."""
    match = re.search(r", (\w+)(?:\(([^)]*)\))?(?=,| |$)", line.partition("Video: ")[2])
    return (match.group(1), (match.group(2) or "").split(", ")) if match else ("", [])


def changed_size(log: str) -> tuple[int, int] | None:
    """Return the new (height, width) if a log says that the decoded pictures have changed.

    Parameters
    ----------
    log : str
    """
    sizes = re.findall(r"because video parameters changed to .*?, (\d+)x(\d+)", log)
    return (int(sizes[-1][1]), int(sizes[-1][0])) if sizes else None


# Lists of packets and frames.


def packet_header(line: str) -> tuple[int, str, str] | None:
    """Return stream number, name and value of a header line such as ``#tb 0: 1/25``.

    Parameters
    ----------
    line : str
        Line of a ``framecrc`` list.

    Returns
    -------
    tuple of int, str and str, or None
        None if the line has another form.
    """
    match = re.match(r"#(\w+) (\d+): *(.*)", line)
    return (int(match.group(2)), match.group(1), match.group(3).strip()) if match else None


def packet(line: str) -> Packet | None:
    """Return the packet of a line of a ``framecrc`` list; None if the line has another form.

    Parameters
    ----------
    line : str
        Line of a ``framecrc`` list.
    """
    cells = [cell.strip() for cell in line.split(",")]
    if len(cells) < 6 or not cells[0].isdecimal():
        return None
    flags = next((int(cell[2:], 16) for cell in cells[6:] if cell.startswith("F=")), _KEY)
    return Packet(
        int(cells[0]), _ticks(cells[1]), _ticks(cells[2]), _ticks(cells[3]),
        bool(flags & _KEY), bool(flags & _CORRUPT), bool(flags & _DISCARDED),
    )  # fmt: skip


def _ticks(cell: str) -> float:
    return float(cell) if re.fullmatch(r"-?\d{1,18}", cell) else math.nan


def first_time_s(packets: str) -> float | None:
    """Return the presentation time of the first packet of stream 0, in seconds.

    Parameters
    ----------
    packets : str
        A ``framecrc`` list.

    Returns
    -------
    float or None
        ``None`` if there is no packet, or its time is unknown.
    """
    tick = re.search(r"^#tb 0: *(\d+)/(\d+)", packets, re.MULTILINE)
    first = re.search(r"^0, *-?\d+, *(-?\d{1,18}),", packets, re.MULTILINE)
    if tick is None or first is None:
        return None
    return int(first.group(1)) * int(tick.group(1)) / int(tick.group(2))


def frame_time_s(line: str) -> float:
    """Return the time of a frame, in seconds, from a line ``{pts} {tb}``; NaN if unknown.

    Parameters
    ----------
    line : str
        A line that ``-stats_enc_pre_fmt "{pts} {tb}"`` writes, such as ``3003 1/90000``.
    """
    ticks, _, tick = line.strip().partition(" ")
    if not ticks or int(ticks) == _NO_TIME:
        return math.nan
    return float(int(ticks) * Fraction(tick))


def frame_size(text: str) -> tuple[int, int] | None:
    """Return (height, width) in pixels from a size such as ``64x48``, which is width x height.

    Parameters
    ----------
    text : str

    Returns
    -------
    tuple of int, or None
        None if the text has another form.
    """
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    return (int(match.group(2)), int(match.group(1))) if match else None


def sample_aspect(text: str) -> Fraction:
    """Return the width of a pixel over its height, from a ratio such as ``4/3``.

    Parameters
    ----------
    text : str
        Two integers and a slash.

    Returns
    -------
    Fraction
        1 if the ratio is unknown, or outside of 1/10 to 10.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or "0" in match.groups():
        return Fraction(1)
    aspect = Fraction(int(match.group(1)), int(match.group(2)))
    return aspect if Fraction(1, 10) <= aspect <= 10 else Fraction(1)
