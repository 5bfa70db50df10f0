"""Whether a file ends where its format says that it does, which ffmpeg tells of few formats."""

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

# Where a format's last mark is looked for: an Ogg page has 65,307 bytes at most, and some programs
# fill files up.
_TAIL = 1 << 16
_OGG_LAST = 4
# What MP4 and MOV files are made of.
_OUTERMOST = (
    b"ftyp", b"moov", b"mdat", b"moof", b"mfra", b"sidx", b"styp", b"free", b"skip", b"wide",
    b"udta", b"uuid", b"meta", b"emsg", b"prft",
)  # fmt: skip
# How the packs of an MPEG program stream begin.
_PACK = b"\0\0\1\xba"
# ASF's File Properties Object begins with this, and is one of the first.
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_BROADCAST = 1


def is_truncated(path: Path, format_name: str) -> bool:
    """Say whether a file ends before its format lets it.

    Parameters
    ----------
    path : Path
    format_name : str
        ffmpeg's, empty where it has none. Of formats that are not known here nothing is said.
    """
    check = _CHECKS.get(format_name)
    if check is None or not path.is_file():
        return False
    with path.open("rb") as file:
        return check(file, path.stat().st_size)


def _transport_stream(_: BinaryIO, size: int) -> bool:
    # Packets have 188 bytes, and 4 or 16 more in some recorders' files.
    return all(size % length for length in (188, 192, 204))


def _gif(file: BinaryIO, size: int) -> bool:
    return not _tail(file, size).rstrip(b"\0").endswith(b";")


def _riff(file: BinaryIO, size: int) -> bool:
    # Large files have several of these chunks; it is the first that is looked at.
    head = file.read(8)
    return len(head) == 8 and size - 8 < int(struct.unpack("<4xI", head)[0])


def _ogg(file: BinaryIO, size: int) -> bool:
    tail = _tail(file, size)
    page = tail[max(0, tail.rfind(b"OggS")) :]
    # Flags, of which one is of a stream's last page; how many parts there are, and their lengths.
    if len(page) < 27 or not page.startswith(b"OggS") or not page[5] & _OGG_LAST:
        return True
    lengths = page[27 : 27 + page[26]]
    return len(page) < 27 + page[26] + sum(lengths)


def _asf(file: BinaryIO, size: int) -> bool:
    head = file.read(_TAIL)
    # Its GUID and length, the file's GUID; then what is asked for, times, and flags.
    begin = head.find(_ASF_PROPERTIES) + 40
    if begin < 40 or begin + 52 > len(head):
        return False
    meant, flags = struct.unpack("<Q40xI", head[begin : begin + 52])
    return bool(size < meant and not flags & _ASF_BROADCAST)


def _boxes(file: BinaryIO, size: int) -> bool:
    ends = [begin + length for _, begin, length in _outermost(file, size)]
    return bool(ends) and ends[-1] > size


def _outermost(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind, begin and length of a file's boxes, the last of which may be cut off."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        length, kind = struct.unpack(">I4s", file.read(8))
        if length == 1:
            length = int.from_bytes(file.read(8), "big")
        if kind not in _OUTERMOST or length < 8:
            # What others put behind it, or a last box that says to go on to the end.
            return
        yield kind, at, length
        at += length


def readable_end(path: Path) -> int | None:
    """Return where an MP4 in fragments ends for ffmpeg; None where that is its own end.

    It refuses the whole of a file that is cut off within the head of a fragment, as that of a
    recorder which crashed may be.
    """
    if not path.is_file():
        return None
    size = path.stat().st_size
    with path.open("rb") as file:
        boxes = list(_outermost(file, size))
    if not boxes or b"moov" not in {kind for kind, _, _ in boxes}:
        return None
    kind, begin, length = boxes[-1]
    return begin if kind == b"moof" and begin + length > size else None


def _program_stream(file: BinaryIO, size: int) -> bool:
    # From the first head of a pack on, packets follow each other without a gap.
    file.seek(max(0, size - 2 * _TAIL))
    tail = file.read()
    at = tail.find(_PACK)
    while 0 <= at <= len(tail) - 4:
        kind = tail[at + 3]
        if tail[at : at + 3] != _PACK[:3] or kind < _PACK[3]:
            # Its end, or what nobody knows.
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
    "mpegts": _transport_stream, "mpeg": _program_stream, "gif": _gif, "avi": _riff, "ogg": _ogg,
    "asf": _asf,
    # A cut in the wrong place leaves ffmpeg no word for these.
    "mov": _boxes, "": _boxes,
}  # fmt: skip
