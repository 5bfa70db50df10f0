"""The header of a HEIF or AVIF photo: its size, rotation, colours, and where its data end.

A HEIF file stores items: a photo of a phone is a grid of tiles of 512 x 512. A decoder of video
shows one tile, and a decoder of pictures fills the tiles that a truncated file lacks. So the header
is compared with the decoded picture. ISO/IEC 14496-12 and 23008-12 define the boxes.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from vidsal.errors import VidsalError

# Major brands of files with a still picture. Sequences have "msf1", "hevc", "hevx" or "avis".
_STILL = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2", b"miaf", b"avif", b"avci", b"jpeg")
# Most bytes of a header that are read.
_LARGEST = 2**26
# ITU-T H.273: the file does not say.
_UNSPECIFIED = 2


@dataclass(frozen=True, slots=True)
class HeifHeader:
    """The header of a HEIF or AVIF photo.

    Attributes
    ----------
    format : {"HEIF", "AVIF"}
        Pillow's name of the format.
    size_px : (int, int) or None
        Upright height and width of the photo; ``None`` if the header has no size.
    is_turned : bool
        Whether the header rotates or mirrors the photo. An EXIF orientation alone has no effect in
        these formats.
    primaries, transfer : int
        Colour codes of ITU-T H.273; 2 if the header has none.
    end : int
        Offset in the file where its last item ends, in bytes.
    """

    format: Literal["HEIF", "AVIF"]
    size_px: tuple[int, int] | None = None
    is_turned: bool = False
    primaries: int = _UNSPECIFIED
    transfer: int = _UNSPECIFIED
    end: int = 0


def is_still(path: Path) -> bool:
    """Return whether a file begins as a HEIF or AVIF photo does; sequences are videos.

    Parameters
    ----------
    path : Path
        A file that exists.
    """
    with path.open("rb") as file:
        start = file.read(12)
    return start[4:8] == b"ftyp" and start[8:] in _STILL


def read_header(path: Path) -> HeifHeader:
    """Return the header of a HEIF or AVIF photo.

    Parameters
    ----------
    path : Path
        A file for which `is_still` holds.

    Raises
    ------
    VidsalError
        If the header is corrupt, or the file ends before the data of the photo do.
    """
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            top = dict(_top_boxes(file, size))
        header = _parsed(top[b"ftyp"], dict(_boxes(top[b"meta"][4:])))
    except (struct.error, LookupError, ValueError, ArithmeticError) as error:
        raise VidsalError(f"{path} is a corrupt picture: its header cannot be read") from error
    if header.end > size:
        raise VidsalError(f"{path} is a truncated picture: {size} of {header.end} bytes are there")
    return header


def _top_boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield (type, content) of the boxes "ftyp" and "meta" of a file."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        length, kind, large = struct.unpack(">I4sQ", file.read(16).ljust(16, b"\0"))
        head = 16 if length == 1 else 8
        length = large if length == 1 else length or size - at
        if length < head:
            return
        if kind in (b"ftyp", b"meta") and length <= _LARGEST:
            file.seek(at + head)
            yield kind, file.read(length - head)
        at += length


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (type, content) of the boxes in a box."""
    at = 0
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if length == 0:
            length = len(data) - at
        if not 8 <= length <= len(data) - at:
            raise ValueError("a box is longer than the one that holds it")
        yield kind, data[at + 8 : at + length]
        at += length


def _parsed(brands: bytes, meta: dict[bytes, bytes]) -> HeifHeader:
    """Return the header in the contents of the boxes "ftyp" and "meta"."""
    properties = dict(_boxes(meta[b"iprp"]))
    listed = list(_boxes(properties[b"ipco"]))
    pitm = meta[b"pitm"]
    (primary,) = struct.unpack_from(">I" if pitm[0] else ">H", pitm, 4)
    height, width = 0, 0
    is_turned = False
    primaries = transfer = _UNSPECIFIED
    # The file lists transformations in the order in which they are applied.
    for index in _associated(properties[b"ipma"], primary):
        kind, content = listed[index - 1]
        if kind == b"ispe":
            width, height = struct.unpack_from(">II", content, 4)
        elif kind == b"clap":
            sides = struct.unpack_from(">IIII", content)
            width, height = sides[0] // sides[1], sides[2] // sides[3]
        elif kind == b"irot":
            is_turned |= content[0] & 3 != 0
            if content[0] & 1:
                height, width = width, height
        elif kind == b"imir":
            is_turned = True
        elif kind == b"colr" and content[:4] == b"nclx":
            primaries, transfer = struct.unpack_from(">HH", content, 4)
    is_av1 = any(kind == b"av1C" for kind, _ in listed)
    return HeifHeader(
        "AVIF" if is_av1 and b"avif" in brands else "HEIF",
        (height, width) if height and width else None,
        is_turned, primaries, transfer, _end(meta[b"iloc"]),
    )  # fmt: skip


def _associated(ipma: bytes, item: int) -> list[int]:
    """Return the 1-based numbers of the properties of an item, in their order."""
    is_long_id, is_wide = ipma[0] > 0, ipma[3] & 1
    (count,) = struct.unpack_from(">I", ipma, 4)
    at = 8
    for _ in range(count):
        (number,) = struct.unpack_from(">I" if is_long_id else ">H", ipma, at)
        at += 4 if is_long_id else 2
        entries = ipma[at]
        at += 1
        values = struct.unpack_from(f">{entries}{'H' if is_wide else 'B'}", ipma, at)
        at += entries * (2 if is_wide else 1)
        if number == item:
            mask = 0x7FFF if is_wide else 0x7F
            return [value & mask for value in values if value & mask]
    return []


def _end(iloc: bytes) -> int:
    """Return the offset in the file where the last item ends."""
    version = iloc[0]
    offset_size, length_size = iloc[4] >> 4, iloc[4] & 15
    base_size, index_size = iloc[5] >> 4, iloc[5] & 15 if version else 0
    at, end = 6, 0

    def take(size: int) -> int:
        nonlocal at
        at += size
        if at > len(iloc):
            raise ValueError("the list of items is cut")
        return int.from_bytes(iloc[at - size : at])

    for _ in range(take(2 if version < 2 else 4)):
        take(2 if version < 2 else 4)
        # Items may also lie in the header, or in other items.
        is_in_file = not version or take(2) & 15 == 0
        is_in_file &= take(2) == 0
        base = take(base_size)
        for _ in range(take(2)):
            take(index_size)
            offset, length = take(offset_size), take(length_size)
            if is_in_file:
                end = max(end, base + offset + length)
    return end
