"""Estimates of the disk space that a run needs."""

import math
import os
import shutil
from pathlib import Path

from vidsal.errors import VidsalError
from vidsal.image_ops import panel_size, working_size
from vidsal.media import codecs
from vidsal.runtime.atomic_write import nearest_folder
from vidsal.settings import PANELS, Settings
from vidsal.sinks.checkpoint import checkpoint_folder
from vidsal.types import SourceInfo

# Bits a pixel at quality 80. For H.264 a little more than a film clip takes at CRF 18 (0.24,
# measured). At the same error, with the presets used here, HEVC and AV1 take 0.85 of that and VP9
# as much. FFV1 halves the 24 bits of RGB; a GIF keeps six of its eight.
_BITS_PER_PX = {"h264": 0.3, "hevc": 0.26, "av1": 0.26, "vp9": 0.3, "ffv1": 12.0, "gif": 6.0}
# ProRes has fixed bit rates: Apple's for 1920x1080 at 29.97 frames a second, by profile. In
# standard definition it takes 1.7 times as many bits a pixel.
_PRORES_BITS_PER_PX = tuple(mbit * 1e6 / (1920 * 1080 * 29.97) for mbit in (45, 102, 147, 220))
_SD_PX, _SD_FACTOR = 720 * 576, 1.7
# Bytes a pixel of each compressed map of a store: about the most that film clips took. Measured on
# four of 20 to 50 frames a second: 1.4 to 1.5, 0.9 to 1.3 and 0.3 to 0.5.
_STORE_BYTES_PER_PX = {"gradient": 1.5, "speed": 1.35, "fused": 0.5}
# The bit rate of x264 doubles every six steps of CRF, which are 15 steps of quality.
_QUALITY_PER_DOUBLING = 15
# Bit rate of encoded audio, as bytes a second; copied audio is seldom larger.
_AUDIO_BYTES_S = 192_000 / 8


def require_space(
    output: Path, info: SourceInfo, settings: Settings, panels: tuple[int, int] | None = None
) -> None:
    """Check before any work that the disks have space for a video, its maps and its store.

    Nothing is checked for a source of unknown duration.

    Parameters
    ----------
    output : Path
        Path of the video.
    info : SourceInfo
    settings : Settings
    panels : (int, int), optional
        Rows and columns of panels; by default those of the layout.

    Raises
    ------
    VidsalError
        If there is less free space than the estimate.
    """
    done, store = 0, store_bytes(info, settings) if settings.keep else 0
    beside_output = video_bytes(output, info, settings, panels)
    if settings.resume:
        beside_output += store
        # The finished segments of an interrupted run are on the disk already.
        files = checkpoint_folder(output).rglob("*")
        done = sum(one.stat().st_size for one in files if one.is_file())
    needs = {nearest_folder(output): max(0, beside_output - done)}
    if settings.maps:
        maps = settings.maps if settings.maps.exists() else nearest_folder(settings.maps)
        needs[maps] = needs.get(maps, 0) + maps_bytes(info, settings)
    if settings.keep:
        folder = nearest_folder(settings.keep)
        needs[folder] = needs.get(folder, 0) + store
    # Folders on one disk share its space.
    disks: dict[int, tuple[Path, int]] = {}
    for folder, needed in needs.items():
        disk = folder.stat().st_dev
        first, before = disks.get(disk, (folder, 0))
        disks[disk] = (first, before + needed)
    for folder, needed in disks.values():
        free = shutil.disk_usage(folder).free
        if needed > free:
            raise VidsalError(
                f"about {_size_text(needed)} are needed in {os.fspath(folder.absolute())}, "
                f"{_size_text(free)} are free: make room, or write to another disk"
            )


def video_bytes(
    output: Path, info: SourceInfo, settings: Settings, panels: tuple[int, int] | None = None
) -> int:
    """Return an estimate of the space that a video takes while it is made.

    The estimate is the number of pixels times the codec's typical bits a pixel. Audio is added
    from a silent video, and a GIF is made from a lossless one; both files exist until the result
    is complete, so both count. So do segments.

    Parameters
    ----------
    output : Path
    info : SourceInfo
    settings : Settings
    panels : (int, int), optional
        Rows and columns of panels; by default those of the layout.

    Returns
    -------
    int
        Bytes; 0 if the duration is unknown.
    """
    length_s = _length_s(info)
    if length_s is None or info.fps is None:
        return 0
    codec = codecs.codec_of(output, settings.codec)
    rows, columns = panels or PANELS[settings.layout]
    panel_px = math.prod(panel_size((info.height_px, info.width_px), columns, settings.width))
    frame_px = panel_px * rows * columns
    pixels = frame_px * length_s * float(codecs.rate_of(output, info.fps))
    size = pixels * _bits_per_px(codec, settings.quality, frame_px) / 8
    silent = pixels * _BITS_PER_PX["ffv1"] / 8 if codec == "gif" else size
    if codec == "gif":
        size += silent
    elif info.sound and settings.audio:
        size += silent + length_s * _AUDIO_BYTES_S
    return int(size + silent if settings.resume else size)


def maps_bytes(info: SourceInfo, settings: Settings) -> int:
    """Return an upper bound of the space that the maps take: 16 bits a pixel, uncompressed.

    Parameters
    ----------
    info : SourceInfo
    settings : Settings

    Returns
    -------
    int
        Bytes; 0 if the duration is unknown.
    """
    frames = _frames(info)
    if frames is None:
        return 0
    longer = max(info.height_px, info.width_px)
    pixels = settings.working_width**2 * min(info.height_px, info.width_px) / longer
    kinds = 2 if settings.model == "none" else 3
    return int(pixels * 2 * kinds * frames)


def store_bytes(info: SourceInfo, settings: Settings) -> int:
    """Return an estimate of the space that a store takes: measured bytes a pixel of its maps.

    Parameters
    ----------
    info : SourceInfo
    settings : Settings

    Returns
    -------
    int
        Bytes; 0 if the duration is unknown.
    """
    frames = _frames(info)
    if frames is None:
        return 0
    pixels = math.prod(working_size(info.height_px, info.width_px, settings.working_width))
    bytes_px = sum(_STORE_BYTES_PER_PX.values())
    if settings.model == "none":
        bytes_px -= _STORE_BYTES_PER_PX["gradient"]
    return int(pixels * bytes_px * frames)


def _frames(info: SourceInfo) -> float | None:
    """Return the number of frames that are analysed; None if it is unknown."""
    length_s = _length_s(info)
    if length_s is None or info.fps is None:
        return None
    return info.frame_count_hint or length_s * float(info.fps)


def _bits_per_px(codec: str, quality: int, frame_px: int) -> float:
    """Return the typical bits a pixel of a codec, for frames of so many pixels."""
    if codec == "prores":
        bits = _PRORES_BITS_PER_PX[codecs.prores_profile(quality)]
        return bits * (_SD_FACTOR if frame_px <= _SD_PX else 1)
    if codec in ("ffv1", "gif"):
        return _BITS_PER_PX[codec]
    return _BITS_PER_PX[codec] * float(2 ** ((quality - 80) / _QUALITY_PER_DOUBLING))


def _length_s(info: SourceInfo) -> float | None:
    """Return the duration of a source; None if it is unknown."""
    if info.is_live:
        return None
    if info.duration_s is None and info.frame_count_hint and info.fps:
        return float(info.frame_count_hint / info.fps)
    return info.duration_s


def _size_text(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
