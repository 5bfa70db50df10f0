"""Detect truncated files by their format's own end marks and lengths.

ffmpeg reports truncation for few formats only.
"""

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

# The end mark of a format is searched in this many bytes: an Ogg page has up to 65,307 bytes, and
# some programs append padding.
_TAIL = 1 << 16
# Flag of the last page of an Ogg stream.
_OGG_LAST = 4
# Types of the top-level boxes of MP4 and MOV files.
_TOP_LEVEL_BOXES = (
    b"ftyp", b"moov", b"mdat", b"moof", b"mfra", b"sidx", b"styp", b"free", b"skip", b"wide",
    b"udta", b"uuid", b"meta", b"emsg", b"prft",
)  # fmt: skip
# Start code of a pack in an MPEG program stream.
_PACK = b"\0\0\1\xba"
# GUID of ASF's File Properties Object, which is one of the first objects.
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_BROADCAST = 1


def is_truncated(path: Path, format_name: str) -> bool:
    """Return whether a file ends before its format allows it.

    Parameters
    ----------
    path : Path
    format_name : str
        ffmpeg's name of the container; empty if ffmpeg cannot read the file.

    Returns
    -------
    bool
        ``False`` for formats that cannot be checked, and for paths that are not files.
    """
    check = _CHECKS.get(format_name)
    if check is None or not path.is_file():
        return False
    with path.open("rb") as file:
        return check(file, path.stat().st_size)


def _is_cut_transport_stream(_: BinaryIO, size: int) -> bool:
    # Packets have 188 bytes; some recorders add 4 or 16.
    return all(size % length for length in (188, 192, 204))


def _is_cut_gif(file: BinaryIO, size: int) -> bool:
    return not _tail(file, size).rstrip(b"\0").endswith(b";")


def _is_cut_riff(file: BinaryIO, size: int) -> bool:
    # Large files have several RIFF chunks; only the first is checked.
    head = file.read(8)
    return len(head) == 8 and size - 8 < int(struct.unpack("<4xI", head)[0])


def _is_cut_ogg(file: BinaryIO, size: int) -> bool:
    tail = _tail(file, size)
    page = tail[max(0, tail.rfind(b"OggS")) :]
    # Byte 5 has the flags. Byte 26 has the number of segments, and their lengths follow.
    if len(page) < 27 or not page.startswith(b"OggS") or not page[5] & _OGG_LAST:
        return True
    lengths = page[27 : 27 + page[26]]
    return len(page) < 27 + page[26] + sum(lengths)


def _is_cut_asf(file: BinaryIO, size: int) -> bool:
    head = file.read(_TAIL)
    # The object's GUID and length and the file's GUID come first, then file size, times, flags.
    begin = head.find(_ASF_PROPERTIES) + 40
    if begin < 40 or begin + 52 > len(head):
        return False
    declared_size, flags = struct.unpack("<Q40xI", head[begin : begin + 52])
    return bool(size < declared_size and not flags & _ASF_BROADCAST)


def _is_cut_boxes(file: BinaryIO, size: int) -> bool:
    ends = [begin + length for _, begin, length in _top_level_boxes(file, size)]
    return bool(ends) and ends[-1] > size


def _top_level_boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, begin and length of a file's boxes; the last one may be truncated."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        length, kind = struct.unpack(">I4s", file.read(8))
        if length == 1:
            length = int.from_bytes(file.read(8), "big")
        if kind not in _TOP_LEVEL_BOXES or length < 8:
            # Data of another program, or a last box that extends to the end of the file.
            return
        yield kind, at, length
        at += length


def readable_end(path: Path) -> int | None:
    """Return up to where ffmpeg can read a fragmented MP4 file that was truncated.

    ffmpeg refuses the whole file if it ends within the head of a fragment (``moof``), as after a
    crash of the recorder.

    Parameters
    ----------
    path : Path

    Returns
    -------
    int or None
        Bytes from the beginning. ``None`` if ffmpeg reads the file as it is.
    """
    if not path.is_file():
        return None
    size = path.stat().st_size
    with path.open("rb") as file:
        boxes = list(_top_level_boxes(file, size))
    if not boxes or b"moov" not in {kind for kind, _, _ in boxes}:
        return None
    kind, begin, length = boxes[-1]
    return begin if kind == b"moof" and begin + length > size else None


def _is_cut_program_stream(file: BinaryIO, size: int) -> bool:
    # From the first pack header on, packets follow each other without a gap.
    file.seek(max(0, size - 2 * _TAIL))
    tail = file.read()
    at = tail.find(_PACK)
    while 0 <= at <= len(tail) - 4:
        kind = tail[at + 3]
        if tail[at : at + 3] != _PACK[:3] or kind < _PACK[3]:
            # The end code of the stream, or unknown data.
            return False
        head = tail[at : at + 14]
        if kind == _PACK[3]:
            is_mpeg2 = len(head) > 4 and head[4] >> 6 == 1
            length = 14 + (head[13] & 7 if len(head) > 13 else 0) if is_mpeg2 else 12
        else:
            length = 6 + int.from_bytes(head[4:6], "big")
        at += length
    return at > len(tail)


def _tail(file: BinaryIO, size: int) -> bytes:
    file.seek(max(0, size - _TAIL))
    return file.read()


_CHECKS: dict[str, Callable[[BinaryIO, int], bool]] = {
    "mpegts": _is_cut_transport_stream, "mpeg": _is_cut_program_stream, "gif": _is_cut_gif,
    "avi": _is_cut_riff, "ogg": _is_cut_ogg, "asf": _is_cut_asf,
    # ffmpeg may not recognise an MP4 or MOV file that is cut in the wrong place.
    "mov": _is_cut_boxes, "": _is_cut_boxes,
}  # fmt: skip
