"""Whether the disk has room for what a run will write."""

import math
import os
import shutil
from pathlib import Path

from vidsal.errors import VidsalError
from vidsal.media import codecs
from vidsal.settings import PANELS, Settings, panel_px
from vidsal.sinks.checkpoint import folder_of
from vidsal.types import SourceInfo

# Bits a pixel at quality 80. For H.264 a little more than a clip of film takes at CRF 18 (0.24,
# measured); at the same error, with the presets used here, HEVC and AV1 take 0.85 of that and VP9
# as much. FFV1 halves the 24 bits of RGB, a GIF leaves six of its eight.
_BITS = {"h264": 0.3, "hevc": 0.26, "av1": 0.26, "vp9": 0.3, "ffv1": 12.0, "gif": 6.0}
# ProRes has fixed rates: Apple's for 1920x1080 at 29.97 a second, by profile. Pictures of
# standard definition have 1.7 times as many bits a pixel.
_PRORES_BITS = tuple(mbit * 1e6 / (1920 * 1080 * 29.97) for mbit in (45, 102, 147, 220))
_SMALL_PX, _SMALL = 720 * 576, 1.7
# The rate of x264 doubles every six steps of CRF, which are 15 steps of quality.
_DOUBLING = 15
# Sound as it is encoded here; a copied one is seldom more.
_SOUND_BYTES_S = 192_000 / 8


def require_space(output: Path, info: SourceInfo, settings: Settings) -> None:
    """Say before any work whether a video, and its maps, have room where they go.

    A source whose length is not known may take any room, so nothing is said of it.

    Raises
    ------
    VidsalError
        If there is less room than is likely to be needed.
    """
    done = 0
    if settings.resume:
        # What an interrupted run has finished is on the disk already.
        done = sum(one.stat().st_size for one in folder_of(output).rglob("*") if one.is_file())
    needs = {output.parent: max(0, video_bytes(output, info, settings) - done)}
    if settings.maps:
        maps = _existing(settings.maps)
        needs[maps] = needs.get(maps, 0) + maps_bytes(info, settings)
    # Folders on one disk share its room.
    disks: dict[int, tuple[Path, int]] = {}
    for folder, needed in needs.items():
        disk = folder.stat().st_dev
        first, before = disks.get(disk, (folder, 0))
        disks[disk] = (first, before + needed)
    for folder, needed in disks.values():
        free = shutil.disk_usage(folder).free
        if needed > free:
            raise VidsalError(
                f"about {_told(needed)} are needed in {os.fspath(folder.absolute())}, "
                f"{_told(free)} are free: make room, or write to another disk"
            )


def video_bytes(output: Path, info: SourceInfo, settings: Settings) -> int:
    """Return about how much room a video takes while it is made; 0 if nobody knows.

    Pixels times the codec's usual bits a pixel. Sound is added, and a GIF drawn, from a file that
    is still there when the result is whole: both count. So do segments, which stay until then.
    """
    length_s = _length_s(info)
    if length_s is None or info.fps is None:
        return 0
    codec = codecs.codec_of(output, settings.codec)
    panels = math.prod(PANELS[settings.layout])
    size_px = panel_px((info.height_px, info.width_px), settings.layout, settings.width)
    a_frame = math.prod(size_px) * panels
    pixels = a_frame * length_s * float(codecs.rate_of(output, info.fps))
    size = pixels * _bits(codec, settings.quality, a_frame) / 8
    silent = pixels * _BITS["ffv1"] / 8 if codec == "gif" else size
    if codec == "gif":
        size += silent
    elif info.sound and settings.audio:
        size += silent + length_s * _SOUND_BYTES_S
    return int(size + silent if settings.resume else size)


def maps_bytes(info: SourceInfo, settings: Settings) -> int:
    """Return at most how much room the maps take: 16 bits a pixel, which PNG makes less of."""
    length_s = _length_s(info)
    if length_s is None or info.fps is None:
        return 0
    longer = max(info.height_px, info.width_px)
    pixels = settings.working_width**2 * min(info.height_px, info.width_px) / longer
    kinds = 2 if settings.model == "none" else 3
    frames = info.frame_count_hint or length_s * float(info.fps)
    return int(pixels * 2 * kinds * frames)


def _bits(codec: str, quality: int, pixels: int) -> float:
    """Return how many bits a pixel of a picture of so many pixels usually takes."""
    if codec == "prores":
        return _PRORES_BITS[codecs.prores_profile(quality)] * (_SMALL if pixels <= _SMALL_PX else 1)
    if codec in ("ffv1", "gif"):
        return _BITS[codec]
    return _BITS[codec] * float(2 ** ((quality - 80) / _DOUBLING))


def _length_s(info: SourceInfo) -> float | None:
    if info.is_live:
        return None
    if info.duration_s is None and info.frame_count_hint and info.fps:
        return float(info.frame_count_hint / info.fps)
    return info.duration_s


def _existing(folder: Path) -> Path:
    """Return a folder, or the one in which it will be made."""
    return folder if folder.exists() else folder.parent


def _told(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
