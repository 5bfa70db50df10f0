"""Parsers of the headers in H.264 and HEVC packets: text in, values out. Pure functions.

The text is what ffmpeg's bitstream filter ``trace_headers`` logs: one line for each field.
"""

import re
from fractions import Fraction
from typing import NamedTuple

_SLICE_HEADER = re.compile(r"\] Slice (?:Segment )?Header")


class DisplayOrientation(NamedTuple):
    """How coded pictures are turned for display.

    Attributes
    ----------
    rotation_deg : int
        Counter-clockwise, after the flips: 0, 90, 180 or 270 degrees.
    is_flipped_horizontally, is_flipped_vertically : bool
        Whether left and right, or top and bottom, are exchanged.
    """

    rotation_deg: int
    is_flipped_horizontally: bool
    is_flipped_vertically: bool


def allows_fields(headers: str) -> bool:
    """Return whether headers allow interlaced frames (H.264) or say that they code fields (HEVC).

    Parameters
    ----------
    headers : str
        Output of the bitstream filter ``trace_headers`` for H.264 or HEVC.
    """
    pattern = r"\b(?:frame_mbs_only_flag .*= 0|field_seq_flag .*= 1)$"
    return re.search(pattern, headers, re.MULTILINE) is not None


def has_left_chroma(headers: str) -> bool:
    """Return whether chroma samples lie on the left of 2 x 2 pixels, as they do by default.

    Parameters
    ----------
    headers : str
        Output of the bitstream filter ``trace_headers`` for H.264 or HEVC; empty for other codecs.

    References
    ----------
    ITU-T H.264, figure E-1; ITU-T H.265, figure E.1.
    """
    places = re.findall(r"\bchroma_sample_loc_type_top_field .*= (\d)$", headers, re.MULTILINE)
    return set(places) <= {"0"}


def coded_fps(headers: str) -> Fraction | None:
    """Return the frame rate that headers state, in frames per second.

    Parameters
    ----------
    headers : str
        Output of the bitstream filter ``trace_headers`` for H.264 or HEVC.

    Returns
    -------
    Fraction or None
        ``None`` if the headers do not say it.
    """
    pattern = r"\b(vps_|vui_)?(num_units_in_tick|time_scale) .*= (\d+)$"
    found = re.findall(pattern, headers, re.MULTILINE)
    values = {name: int(value) for _, name, value in found}
    if not values.get("num_units_in_tick") or not values.get("time_scale"):
        return None
    rate = Fraction(values["time_scale"], values["num_units_in_tick"])
    # H.264, whose names have no prefix, counts fields.
    return rate if found[0][0] else rate / 2


def reordered_frames(headers: str) -> int | None:
    """Return how many frames may be decoded before a frame and shown after it.

    Parameters
    ----------
    headers : str
        Output of the bitstream filter ``trace_headers`` for H.264 or HEVC.

    Returns
    -------
    int or None
        ``None`` if the headers do not say it.
    """
    pattern = r"(?:max_num_reorder_frames|sps_max_num_reorder_pics\[\d+\]) .*= (\d+)$"
    if counts := re.findall(pattern, headers, re.MULTILINE):
        return max(map(int, counts))
    # H.264 without reordering: the order of display is the order of decoding, or there are no
    # B-frames (Baseline).
    in_order = r"(?:pic_order_cnt_type .*= 2|profile_idc .*= 66)$"
    return 0 if re.search(in_order, headers, re.MULTILINE) else None


def display_orientation(headers: str) -> DisplayOrientation | None:
    """Return how the headers of an H.264 or HEVC packet ask to turn the pictures.

    Parameters
    ----------
    headers : str
        Output of the bitstream filter ``trace_headers``.

    Returns
    -------
    DisplayOrientation or None
        ``None`` if the pictures are shown as they are.
    """
    message = headers.partition("] Display Orientation")[2]
    found = dict(re.findall(r"\b(\w+) +[01]+ = (\d+)$", message, re.MULTILINE)[:4])
    if not message or found.get("display_orientation_cancel_flag") == "1":
        return None
    orientation = DisplayOrientation(
        round(int(found.get("anticlockwise_rotation", 0)) / 2**14) * 90 % 360,
        found.get("hor_flip") == "1",
        found.get("ver_flip") == "1",
    )
    return orientation if any(orientation) else None


def late_orientation(headers: str) -> DisplayOrientation | None:
    """Return how headers ask to turn the pictures, if they do so after the first picture.

    Parameters
    ----------
    headers : str
        Output of the bitstream filter ``trace_headers``.
    """
    first = _SLICE_HEADER.search(headers)
    if first is None or display_orientation(headers[: first.start()]) is not None:
        return None
    return display_orientation(headers[first.end() :])
