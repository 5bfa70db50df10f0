"""Shared by the tests of the sinks: frames to write, and readers of the results."""

import time
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import psutil

import vidsal
from vidsal.motion.compensated import still
from vidsal.settings import Settings
from vidsal.sinks.video import video_sink
from vidsal.types import Frame, Map, Rgb, Saliency, SoundPart, SourceInfo

FILM = Fraction(24000, 1001)


def make_saliency(
    index: int = 0,
    *,
    time_s: float | None = None,
    size: tuple[int, int] = (48, 64),
    static: Map | None = None,
    motion: Map | None = None,
    fused: Map | None = None,
    **others: Any,
) -> Saliency:
    """A result of black pictures and empty maps, except for the given parts."""
    zeros = np.zeros((12, 16), np.float32)
    frame = Frame(np.zeros((*size, 3), np.uint8), index, index / 25 if time_s is None else time_s)
    values: dict[str, Any] = {
        "movement": still((12, 16)),
        "speed": zeros,
        "prediction": None,
        "is_cut": False,
        "motion_share": 0.0,
        "static_high": 0.0,
        "motion_high": 0.0,
        "fused_high": 0.0,
        "peak": None,
        "marker": None,
    } | others
    return Saliency(
        frame=frame,
        static=static,
        motion=zeros if motion is None else motion,
        fused=zeros if fused is None else fused,
        **values,
    )


def make_info(fps: Fraction | None = FILM, **others: Any) -> SourceInfo:
    """A video of the size of these frames."""
    return SourceInfo("source.mp4", 48, 64, fps, **others)


def make_picture(seed: int, size: tuple[int, int] = (48, 64)) -> Rgb:
    """A picture of blocks of colour, so that chroma at half size loses nothing."""
    blocks = np.random.default_rng(seed).integers(0, 256, (size[0] // 16, size[1] // 16, 3))
    return np.ascontiguousarray(np.kron(blocks, np.ones((16, 16, 1))), np.uint8)


def rgb_of(frame: Any) -> Rgb:
    """RGB of a frame by the formulas of BT.709 in limited range, and nothing else."""
    if frame.format.name in ("bgr0", "gbrp", "0rgb"):
        return np.asarray(frame.to_ndarray(format="rgb24"))
    is_deep = frame.format.name == "yuv422p10le"
    planes = [np.frombuffer(one, "<u2" if is_deep else "u1") for one in frame.planes]
    lines = [one.line_size // (2 if is_deep else 1) for one in frame.planes]
    step = 4 if is_deep else 1
    height, width = frame.height, frame.width
    rows = height if is_deep else height // 2
    luma = planes[0].reshape(-1, lines[0])[:height, :width] / step
    chroma = [
        (one.reshape(-1, line)[:rows, : width // 2] / step - 128) * 255 / 224
        for one, line in zip(planes[1:], lines[1:], strict=True)
    ]
    blue, red = (one.repeat(2, 1).repeat(height // rows, 0) for one in chroma)
    luma = (luma - 16) * 255 / 219
    r, b = luma + 1.5748 * red, luma + 1.8556 * blue
    g = (luma - 0.2126 * r - 0.0722 * b) / 0.7152
    return np.asarray(np.clip(np.rint(np.stack([r, g, b], axis=-1)), 0, 255), np.uint8)


def write_video(path: Path, pictures: Iterable[Rgb], info: SourceInfo, **options: Any) -> None:
    """Write frames at the rate that the source has."""
    assert info.fps is not None
    with video_sink(path, info, Settings(**options)) as sink:
        for index, picture in enumerate(pictures):
            sink.write(picture, float(index / info.fps))


def names_in(folder: Path) -> list[str]:
    """All that is in a folder, hidden or not."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def boxes_of(data: bytes) -> list[str]:
    """The names of an MP4 file's outermost boxes, in order."""
    names, place = [], 0
    while place < len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        names.append(data[place + 4 : place + 8].decode())
        if size == 1:
            size = int.from_bytes(data[place + 8 : place + 16], "big")
        assert size >= 8
        place += size
    return names


def run_vidsal(clip: Path, output: Path, **options: Any) -> Path:
    """Run the program without a network."""
    return vidsal.run(clip, Settings(model="none", output=output, **options))


def write_with_sound(
    sound: SoundPart,
    output: Path,
    *,
    frames: int = 25,
    fps: Fraction = Fraction(25),
    **options: Any,
) -> Path:
    """Write a video whose source has this sound."""
    pictures = (make_picture(n % 5) for n in range(frames))
    write_video(output, pictures, make_info(fps, sound=sound), **options)
    return output


def our_ffmpeg() -> psutil.Process:
    """The one ffmpeg that runs for us."""
    (process,) = (one for one in psutil.Process().children() if "ffmpeg" in one.name())
    return process


def kill_ffmpeg() -> None:
    """End it, and wait until it has ended; who started it is left to collect its exit code."""
    process = our_ffmpeg()
    process.kill()
    while process.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.005)
