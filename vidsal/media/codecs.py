"""Which codec goes into which container, and the arguments that make ffmpeg write it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from math import ceil
from pathlib import Path

from vidsal.errors import UsageError, VidsalError
from vidsal.media import ffmpeg
from vidsal.settings import Settings

log = logging.getLogger(__name__)

# What each container carries; the first is what its suffix is known for. Others would be written
# by some programs and read by few: ProRes in MP4, AV1 in MOV.
_CARRIES = {
    ".mp4": ("h264", "hevc", "av1", "vp9"),
    ".mov": ("h264", "hevc", "prores"),
    ".mkv": ("h264", "hevc", "av1", "vp9", "prores", "ffv1"),
    ".webm": ("vp9", "av1"),
    ".gif": ("gif",),
}
SUFFIXES = tuple(_CARRIES)

# Browsers show frames of a GIF that stand for less than 2/100 s for 10/100 s.
_FASTEST_GIF = Fraction(50)

# A track's times are whole ticks. Coarser ones than this would round the start of the picture
# where sound begins before it; finer ones overflow 32 bits in a video of hours.
_TICKS = 10_000

# ffmpeg's names of the ways to a graphics card, the likeliest first.
_CARDS = ("nvenc", "qsv", "videotoolbox", "amf", "vaapi")


@dataclass(frozen=True, slots=True)
class _Encoder:
    """One of ffmpeg's encoders.

    Attributes
    ----------
    name : str
        ffmpeg's.
    words : callable
        Quality, 0 to 100 -> its arguments.
    pixels : str
        What it is fed, by ffmpeg's name; "vaapi" stands for NV12 on the card.
    """

    name: str
    words: Callable[[int], list[str]]
    pixels: str = "yuv420p"


def _scaled(quality: int, worst: float, usual: float) -> float:
    """Return a quality on an encoder's own scale, where less is better.

    0 is the scale's worst, 80 what shows no loss to most people, and 100 lies on the same line:
    for x264 CRF 51, 18 and 9.75, the last of which takes two to three times the bytes of 18.
    """
    return round(worst + (usual - worst) * quality / 80, 2)


def _x264(quality: int) -> list[str]:
    crf = f"{_scaled(quality, 51, 18):g}"
    # A diamond instead of a hexagon to search for motion in: on four clips 1 to 14 % less time, for
    # files of the same size, within 0.6 %, and the same error. Predicted blocks of 16 pixels stay
    # whole: on three clips 15 to 25 % less time, the same error (SSIM), and 2 to 12 % more bytes.
    # Motion is refined less: on four clips again 12 to 29 %, the same error, 5 to 12 % more bytes.
    words = "me=dia:partitions=i8x8,i4x4:subme=1"
    return ["-preset", "veryfast", "-crf", crf, "-x264-params", words]


def _x265(quality: int) -> list[str]:
    crf = f"{_scaled(quality, 51, 20):g}"
    return ["-preset", "veryfast", "-crf", crf, "-x265-params", "log-level=error"]


def _svt(quality: int) -> list[str]:
    return ["-preset", "8", "-crf", str(round(_scaled(quality, 63, 24)))]


def _aom(quality: int) -> list[str]:
    crf = str(round(_scaled(quality, 63, 24)))
    return ["-cpu-used", "6", "-row-mt", "1", "-b:v", "0", "-crf", crf]


def _rav1e(quality: int) -> list[str]:
    return ["-speed", "8", "-qp", str(round(_scaled(quality, 255, 80)))]


def _vpx(quality: int) -> list[str]:
    crf = str(round(_scaled(quality, 63, 24)))
    return ["-deadline", "good", "-cpu-used", "4", "-row-mt", "1", "-b:v", "0", "-crf", crf]


def prores_profile(quality: int) -> int:
    """Return the number of ProRes' Proxy, LT, standard or HQ: all the choice there is."""
    return min(quality // 25, 3)


def _prores(quality: int) -> list[str]:
    return ["-profile:v", str(prores_profile(quality)), "-vendor", "apl0"]


def _ffv1(_: int) -> list[str]:
    return ["-level", "3", "-g", "1", "-slices", "4", "-slicecrc", "1"]


# The first that the ffmpeg at hand has is taken.
_SOFTWARE = {
    "h264": (_Encoder("libx264", _x264),),
    "hevc": (_Encoder("libx265", _x265),),
    "av1": (
        _Encoder("libsvtav1", _svt), _Encoder("libaom-av1", _aom), _Encoder("librav1e", _rav1e),
    ),
    "vp9": (_Encoder("libvpx-vp9", _vpx),),
    "prores": (_Encoder("prores_ks", _prores, "yuv422p10le"),),
    # As it was drawn: without loss is also without conversion.
    "ffv1": (_Encoder("ffv1", _ffv1, "bgr0"),),
}  # fmt: skip


def _card_words(card: str, codec: str, quality: int) -> list[str]:
    """Return the arguments that ask a card's encoder for a quality."""
    level = round(_scaled(quality, 51, 20))
    # AV1's own scale of quantizers has 255 steps where the others' have 51.
    step = level * 5 if codec == "av1" else level
    return {
        "nvenc": ["-rc", "vbr", "-cq", str(level), "-b:v", "0"],
        "qsv": ["-global_quality", str(max(1, level))],
        "videotoolbox": ["-q:v", str(max(1, quality * 3 // 4)), "-allow_sw", "0"],
        "amf": ["-rc", "cqp", "-qp_i", str(step), "-qp_p", str(step)],
        "vaapi": ["-rc_mode", "CQP", "-global_quality", str(step)],
    }[card]


def _card_encoder(card: str, codec: str) -> _Encoder:
    pixels = {"qsv": "nv12", "vaapi": "vaapi"}.get(card, "yuv420p")
    return _Encoder(f"{codec}_{card}", lambda quality: _card_words(card, codec, quality), pixels)


def software_encoders() -> list[str]:
    """Return ffmpeg's names of all encoders that run on the processor, H.264's first."""
    return [one.name for each in _SOFTWARE.values() for one in each]


def codec_of(path: Path, settings: Settings) -> str:
    """Return the codec of a file's picture: h264, hevc, av1, vp9, prores, ffv1 or gif.

    Raises
    ------
    UsageError
        If the suffix is not one of a video, or its container does not carry the codec.
    """
    suffix = path.suffix.lower()
    carried = _CARRIES.get(suffix)
    if carried is None:
        raise UsageError(f"--output {path}: a video is written as {_listed(SUFFIXES)}")
    if settings.codec is None:
        return carried[0]
    if settings.codec not in carried:
        fitting = _listed([one for one in SUFFIXES if settings.codec in _CARRIES[one]])
        raise UsageError(f"--codec {settings.codec} goes into {fitting}, not into {suffix}")
    return settings.codec


def _listed(words: tuple[str, ...] | list[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def suffix_for(codec: str | None) -> str:
    """Return the suffix of a video that nobody named: .mp4 wherever that carries the codec."""
    return next(one for one in SUFFIXES if codec is None or codec in _CARRIES[one])


def rate_of(path: Path, fps: Fraction) -> Fraction:
    """Return the rate at which a file shows frames that come at `fps`."""
    return min(fps, _FASTEST_GIF) if path.suffix.lower() == ".gif" else fps


def silent(path: Path, settings: Settings) -> tuple[str, Settings]:
    """Return suffix and settings of the file that frames go to before `path` is made of it.

    The best palette of a GIF is known only after the last frame, so frames wait for it on disk,
    without loss.
    """
    if codec_of(path, settings) == "gif":
        return ".mkv", replace(settings, codec="ffv1", hardware=False)
    return path.suffix, settings


def require_encoder(path: Path, settings: Settings) -> None:
    """Say before any work whether `path` can be encoded.

    Raises
    ------
    UsageError
        If the container does not carry the codec.
    VidsalError
        If the ffmpeg at hand has no encoder.
    """
    suffix, chosen = silent(path, settings)
    _software(codec_of(path.with_suffix(suffix), chosen))


def fed(codec: str) -> str:
    """Return what frames are brought to before ffmpeg gets them: "rgb24", or "yuv420p" of BT.709.

    See `vidsal.media.color.yuv420`; what holds more than that is fed with all there is.
    """
    return "rgb24" if codec in ("prores", "ffv1") else "yuv420p"


def arguments(size: tuple[int, int], fps: Fraction, path: Path, settings: Settings) -> list[str]:
    """Return ffmpeg's arguments that turn raw frames on stdin into a video without sound.

    The frames are as `fed` says.

    Parameters
    ----------
    size : (int, int)
        (height, width) in pixels, both even.
    fps : Fraction
    path : Path
        What to write; for a GIF, the file that comes before it, see `silent`.
    settings : Settings
        ``codec``, ``quality`` and ``hardware``.

    Raises
    ------
    UsageError
        If the container does not carry the codec.
    VidsalError
        If ffmpeg has no encoder for it.
    """
    codec = codec_of(path, settings)
    if codec == "gif":
        raise ValueError(f"frames do not go into a GIF at once (see silent), got {path}")
    encoder = None
    if settings.hardware:
        encoder = _hardware(codec, size, settings.quality, ffmpeg.executable())
    encoder = encoder or _software(codec)
    height, width = size
    return [
        "-f", "rawvideo", "-pix_fmt", fed(codec), "-s", f"{width}x{height}", "-r", str(fps),
        "-i", "pipe:0",
        *_encoded(encoder, codec, settings.quality),
        *container(path, codec, fps), ffmpeg.named(path),
    ]  # fmt: skip


def _encoded(encoder: _Encoder, codec: str, quality: int) -> list[str]:
    """Return how frames are converted, tagged and encoded."""
    words = ["-c:v", encoder.name, *encoder.words(quality)]
    if encoder.pixels == "bgr0":
        return ["-vf", "format=bgr0", *words]
    is_on_card = encoder.pixels == "vaapi"
    # Players trust the tags, which name the matrix that the frames are converted by.
    tags = "setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709"
    filters = []
    if fed(codec) == "rgb24":
        filters.append("scale=in_range=pc:out_range=tv:out_color_matrix=bt709")
    else:
        # What is said of none is taken to lie on the left of its two by two pixels.
        words += ["-chroma_sample_location", "center"]
    filters += [f"format={'nv12' if is_on_card else encoder.pixels}", tags]
    if is_on_card:
        filters.append("hwupload")
        words = ["-init_hw_device", "vaapi=card", "-filter_hw_device", "card", *words]
    return ["-vf", ",".join(filters), *words]


def container(path: Path, codec: str, fps: Fraction) -> list[str]:
    """Return the arguments of a container that holds a codec at a rate, encoded or copied."""
    if path.suffix.lower() not in (".mp4", ".mov"):
        return []
    # Of 30000/1001 frames a second each lasts 1001 ticks of 1/30000 s: exact, for hours.
    ticks = fps.numerator * ceil(_TICKS / fps.numerator)
    words = ["-movflags", "+faststart", "-video_track_timescale", str(ticks)]
    # Apple's players take HEVC under no other name.
    return [*words, "-tag:v", "hvc1"] if codec == "hevc" else words


def _software(codec: str) -> _Encoder:
    """Return the encoder of a codec that runs on the processor.

    Raises
    ------
    VidsalError
        If the ffmpeg at hand has none.
    """
    there = ffmpeg.encoders(ffmpeg.executable())
    for encoder in _SOFTWARE[codec]:
        if encoder.name in there:
            return encoder
    names = _listed([one.name for one in _SOFTWARE[codec]])
    raise VidsalError(f"this ffmpeg has no encoder for --codec {codec} ({names}): take another")


# Asked once a run: a resumed one encodes many files.
@cache
def _hardware(codec: str, size: tuple[int, int], quality: int, program: str) -> _Encoder | None:
    """Return the first encoder on a graphics card that really encodes, at this size."""
    named = [_card_encoder(card, codec) for card in _CARDS]
    candidates = [one for one in named if one.name in ffmpeg.encoders(program)]
    for encoder in candidates:
        try:
            ffmpeg.convert(_trial(encoder, codec, size, quality))
        except VidsalError as error:
            log.info("--hardware: %s does not work here: %s", encoder.name, error)
        else:
            log.info("--hardware: %s encodes", encoder.name)
            return encoder
    tried = ", ".join(one.name for one in candidates) or f"no encoder for {codec} in this ffmpeg"
    log.warning("--hardware: nothing works here (%s), so the processor encodes", tried)
    return None


def _trial(encoder: _Encoder, codec: str, size: tuple[int, int], quality: int) -> list[str]:
    """Return the arguments that encode a few frames and throw them away.

    That an encoder is listed says nothing of drivers and cards, nor of the sizes these take.
    """
    height, width = size
    picture = f"testsrc2=size={width}x{height}:rate=25,format={fed(codec)}"
    return [
        "-f", "lavfi", "-i", picture, "-frames:v", "5",
        *_encoded(encoder, codec, quality), "-f", "null", "-",
    ]  # fmt: skip
