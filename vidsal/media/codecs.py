"""Codecs and containers of the video that is written, and ffmpeg's arguments for them."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache, partial
from math import ceil
from pathlib import Path
from typing import TypeVar

from vidsal.errors import UsageError, VidsalError, option
from vidsal.media import ffmpeg
from vidsal.settings import OutputOptions

log = logging.getLogger(__name__)

Options = TypeVar("Options", bound=OutputOptions)

# Codecs of each container, its default first. Combinations that few programs read are left out:
# ProRes in MP4, AV1 in MOV.
_CONTAINERS = {
    ".mp4": ("h264", "hevc", "av1", "vp9"),
    ".mov": ("h264", "hevc", "prores"),
    ".mkv": ("h264", "hevc", "av1", "vp9", "prores", "ffv1"),
    ".webm": ("vp9", "av1"),
    ".gif": ("gif",),
}
SUFFIXES = tuple(_CONTAINERS)

# Browsers show a GIF's frame for 10/100 s if its delay is below 2/100 s.
_FASTEST_GIF_FPS = Fraction(50)

# Ticks per second of an MP4 track, at least. Coarser ticks would round the start of the video where
# the audio begins earlier; finer ones overflow 32 bits in a video of hours.
_LEAST_TICKS = 10_000

# ffmpeg's names of the interfaces to graphics cards, the most common first.
_CARD_APIS = ("nvenc", "qsv", "videotoolbox", "amf", "vaapi")


@dataclass(frozen=True, slots=True)
class _Encoder:
    """One of ffmpeg's encoders.

    Attributes
    ----------
    name : str
        ffmpeg's name.
    quality_args : callable
        Quality, 0 to 100 -> ffmpeg's arguments.
    pixel_format : str
        Input format by ffmpeg's name; "vaapi" stands for NV12 on the card.
    """

    name: str
    quality_args: Callable[[int], list[str]]
    pixel_format: str = "yuv420p"


def _scaled(quality: int, worst: float, usual: float) -> float:
    """Return a quality on an encoder's own scale, where lower is better.

    0 maps to the scale's worst value, 80 to a value at which most people see no loss, and 100 lies
    on the same line. For x264 these are CRF 51, 18 and 9.75. CRF 9.75 takes two to three times the
    bytes of CRF 18.
    """
    return round(worst + (usual - worst) * quality / 80, 2)


def _x264(quality: int) -> list[str]:
    crf = f"{_scaled(quality, 51, 18):g}"
    # me=dia: diamond motion search instead of hexagon; on four clips 1 to 14 % less time, for files
    # of the same size, within 0.6 %, and the same error. partitions: inter-predicted 16 x 16 blocks
    # are not split; on three clips 15 to 25 % less time, the same error (SSIM), 2 to 12 % more
    # bytes. subme=1: less subpixel refinement; on four clips another 12 to 29 % less time, the same
    # error, 5 to 12 % more bytes.
    params = "me=dia:partitions=i8x8,i4x4:subme=1"
    return ["-preset", "veryfast", "-crf", crf, "-x264-params", params]


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
    """Return the ProRes profile for a quality from 0 to 100.

    Parameters
    ----------
    quality : int
        0 to 100.

    Returns
    -------
    int
        0 for Proxy, 1 for LT, 2 for Standard, 3 for HQ.
    """
    return min(quality // 25, 3)


def _prores(quality: int) -> list[str]:
    return ["-profile:v", str(prores_profile(quality)), "-vendor", "apl0"]


def _ffv1(_: int) -> list[str]:
    return ["-level", "3", "-g", "1", "-slices", "4", "-slicecrc", "1"]


# Software encoders of each codec. The first one that ffmpeg has is used.
_SOFTWARE = {
    "h264": (_Encoder("libx264", _x264),),
    "hevc": (_Encoder("libx265", _x265),),
    "av1": (
        _Encoder("libsvtav1", _svt), _Encoder("libaom-av1", _aom), _Encoder("librav1e", _rav1e),
    ),
    "vp9": (_Encoder("libvpx-vp9", _vpx),),
    "prores": (_Encoder("prores_ks", _prores, "yuv422p10le"),),
    # Lossless also means no conversion to YUV.
    "ffv1": (_Encoder("ffv1", _ffv1, "bgr0"),),
}  # fmt: skip


def _card_quality_args(api: str, codec: str, quality: int) -> list[str]:
    """Return the arguments that set the quality of a card's encoder."""
    level = round(_scaled(quality, 51, 20))
    # AV1's scale of quantizers has 255 steps, the others' 51.
    quantizer = level * 5 if codec == "av1" else level
    return {
        "nvenc": ["-rc", "vbr", "-cq", str(level), "-b:v", "0"],
        "qsv": ["-global_quality", str(max(1, level))],
        "videotoolbox": ["-q:v", str(max(1, quality * 3 // 4)), "-allow_sw", "0"],
        "amf": ["-rc", "cqp", "-qp_i", str(quantizer), "-qp_p", str(quantizer)],
        "vaapi": ["-rc_mode", "CQP", "-global_quality", str(quantizer)],
    }[api]


def _card_encoder(api: str, codec: str) -> _Encoder:
    pixel_format = {"qsv": "nv12", "vaapi": "vaapi"}.get(api, "yuv420p")
    return _Encoder(f"{codec}_{api}", partial(_card_quality_args, api, codec), pixel_format)


def software_encoders() -> list[str]:
    """Return ffmpeg's names of all encoders that run on the processor, those of H.264 first."""
    return [encoder.name for encoders in _SOFTWARE.values() for encoder in encoders]


def codec_of(path: Path, requested: str | None) -> str:
    """Return the codec of a video file that is written.

    Parameters
    ----------
    path : Path
        Its suffix names the container.
    requested : str or None
        Codec that the user asks for; ``None`` for the container's default.

    Returns
    -------
    str
        h264, hevc, av1, vp9, prores, ffv1 or gif.

    Raises
    ------
    UsageError
        If the suffix is not one of a video, or the container does not support the codec.
    """
    suffix = path.suffix.lower()
    supported = _CONTAINERS.get(suffix)
    if supported is None:
        raise UsageError(
            f"{option('output', str(path))}: a video is written as {_alternatives(SUFFIXES)}"
        )
    if requested is None:
        return supported[0]
    if requested not in supported:
        fitting = [one for one in SUFFIXES if requested in _CONTAINERS[one]]
        raise UsageError(
            f"{option('codec', requested)} is written as {_alternatives(fitting)}, not as {suffix}"
        )
    return requested


def _alternatives(names: Sequence[str]) -> str:
    """Return names as a list: "a, b or c"."""
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def suffix_for(codec: str | None) -> str:
    """Return the default suffix of a video: .mp4 if that container supports the codec.

    Parameters
    ----------
    codec : str or None
        ``None`` if the user asks for none.
    """
    return next(one for one in SUFFIXES if codec is None or codec in _CONTAINERS[one])


def rate_of(path: Path, fps: Fraction) -> Fraction:
    """Return the frame rate at which a file can show frames that come at `fps`.

    A GIF has at most 50 frames per second, other files any number.

    Parameters
    ----------
    path : Path
        Its suffix decides.
    fps : Fraction
        Frames per second.
    """
    return min(fps, _FASTEST_GIF_FPS) if path.suffix.lower() == ".gif" else fps


def intermediate(path: Path, options: Options) -> tuple[str, Options]:
    """Return suffix and options of the intermediate file, from which `path` is made at the end.

    The palette of a GIF is known only after the last frame, so its intermediate file is lossless.

    Parameters
    ----------
    path : Path
        File to write.
    options : OutputOptions or Settings

    Returns
    -------
    suffix : str
    options : OutputOptions or Settings
        The same as given, except for a GIF.

    Raises
    ------
    UsageError
        If the container does not support the codec.
    """
    if codec_of(path, options.codec) == "gif":
        return ".mkv", replace(options, codec="ffv1", hardware=False)
    return path.suffix, options


def require_encoder(path: Path, codec: str | None) -> None:
    """Check that ffmpeg can encode a file.

    Parameters
    ----------
    path : Path
    codec : str or None
        Codec that the user asks for; ``None`` for the container's default.

    Raises
    ------
    UsageError
        If the container does not support the codec.
    VidsalError
        If ffmpeg lacks an encoder for it.
    """
    resolved = codec_of(path, codec)
    _software("ffv1" if resolved == "gif" else resolved)


def input_pixel_format(codec: str) -> str:
    """Return the pixel format of the raw frames that ffmpeg gets: "rgb24" or "yuv420p".

    "yuv420p" is BT.709 in limited range, see `vidsal.yuv.Yuv420`. Codecs that keep more
    than 4:2:0 get RGB.
    """
    return "rgb24" if codec in ("prores", "ffv1") else "yuv420p"


def takes_yuv(path: Path, options: OutputOptions) -> bool:
    """Return whether pictures of an output are encoded from luma and chroma.

    Parameters
    ----------
    path : Path
        A video, or a picture, which is not.
    options : OutputOptions or Settings
        ``codec``.

    Raises
    ------
    UsageError
        If the container does not support the codec.
    """
    if path.suffix.lower() not in SUFFIXES:
        return False
    suffix, chosen = intermediate(path, options)
    return input_pixel_format(codec_of(path.with_suffix(suffix), chosen.codec)) == "yuv420p"


def encoder_args(
    size: tuple[int, int],
    fps: Fraction,
    path: Path,
    options: OutputOptions,
    *,
    is_left: bool = False,
) -> list[str]:
    """Return ffmpeg's arguments to encode raw frames from stdin to a video without audio.

    The frames have the format of `input_pixel_format`.

    Parameters
    ----------
    size : (int, int)
        (height, width) in pixels, both even.
    fps : Fraction
        Frames per second.
    path : Path
        File to write; for a GIF its intermediate file, see `intermediate`.
    options : OutputOptions or Settings
        ``codec``, ``quality`` and ``hardware``.
    is_left : bool
        See `vidsal.yuv.Yuv420`; without effect on RGB.

    Raises
    ------
    ValueError
        If `path` is a GIF.
    UsageError
        If the container does not support the codec.
    VidsalError
        If ffmpeg lacks an encoder for it.
    """
    codec = codec_of(path, options.codec)
    if codec == "gif":
        raise ValueError(f"path must be the intermediate file of a GIF, got {path}")
    encoder = None
    if options.hardware:
        encoder = _hardware(codec, size, options.quality, ffmpeg.executable())
    encoder = encoder or _software(codec)
    height, width = size
    return [
        "-f", "rawvideo", "-pix_fmt", input_pixel_format(codec), "-s", f"{width}x{height}",
        "-r", str(fps), "-i", "pipe:0",
        *_video_args(encoder, codec, options.quality, is_left=is_left),
        *container_args(path, codec, fps), ffmpeg.file_url(path),
    ]  # fmt: skip


def _video_args(encoder: _Encoder, codec: str, quality: int, *, is_left: bool = False) -> list[str]:
    """Return the arguments that convert, tag and encode frames."""
    args = ["-c:v", encoder.name, *encoder.quality_args(quality)]
    if encoder.pixel_format == "bgr0":
        return ["-vf", "format=bgr0", *args]
    is_on_card = encoder.pixel_format == "vaapi"
    # Players trust these tags; they name the matrix by which the frames were converted.
    tags = "setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709"
    filters = []
    if input_pixel_format(codec) == "rgb24":
        filters.append("scale=in_range=pc:out_range=tv:out_color_matrix=bt709")
    else:
        # Without this tag players assume that chroma samples lie on the left of 2 x 2 pixels.
        args += ["-chroma_sample_location", "left" if is_left else "center"]
    filters += [f"format={'nv12' if is_on_card else encoder.pixel_format}", tags]
    if is_on_card:
        filters.append("hwupload")
        args = ["-init_hw_device", "vaapi=card", "-filter_hw_device", "card", *args]
    return ["-vf", ",".join(filters), *args]


def container_args(path: Path, codec: str, fps: Fraction) -> list[str]:
    """Return ffmpeg's arguments for the container of a video, whether encoded or copied.

    Parameters
    ----------
    path : Path
        Its suffix names the container.
    codec : str
    fps : Fraction
        Frames per second.
    """
    if path.suffix.lower() not in (".mp4", ".mov"):
        return []
    # At 30000/1001 frames per second, each frame lasts 1001 ticks of 1/30000 s: exact, for hours.
    ticks = fps.numerator * ceil(_LEAST_TICKS / fps.numerator)
    args = ["-movflags", "+faststart", "-video_track_timescale", str(ticks)]
    # Apple's players need this name for HEVC.
    return [*args, "-tag:v", "hvc1"] if codec == "hevc" else args


def _software(codec: str) -> _Encoder:
    """Return the encoder of a codec that runs on the processor.

    Raises
    ------
    VidsalError
        If ffmpeg has none.
    """
    available = ffmpeg.encoders(ffmpeg.executable())
    for encoder in _SOFTWARE[codec]:
        if encoder.name in available:
            return encoder
    names = _alternatives([encoder.name for encoder in _SOFTWARE[codec]])
    raise VidsalError(
        f"this ffmpeg lacks the encoder for {option('codec', codec)} ({names}): "
        "choose another codec"
    )


# Cached, since a run with segments encodes many files.
@cache
def _hardware(codec: str, size: tuple[int, int], quality: int, program: str) -> _Encoder | None:
    """Return the first encoder on a graphics card that works at this size, if there is one."""
    encoders = [_card_encoder(api, codec) for api in _CARD_APIS]
    candidates = [one for one in encoders if one.name in ffmpeg.encoders(program)]
    name = option("hardware", True)
    for encoder in candidates:
        try:
            ffmpeg.convert(_trial_args(encoder, codec, size, quality))
        except VidsalError as error:
            log.info("%s: %s does not work on this machine: %s", name, encoder.name, error)
        else:
            log.info("%s: encoding with %s", name, encoder.name)
            return encoder
    tried = ", ".join(one.name for one in candidates) or f"this ffmpeg has none for {codec}"
    log.warning("%s: no hardware encoder works (%s); encoding on the processor", name, tried)
    return None


def _trial_args(encoder: _Encoder, codec: str, size: tuple[int, int], quality: int) -> list[str]:
    """Return ffmpeg's arguments to encode a few frames and discard them.

    ffmpeg lists encoders whether or not driver and card exist, and whatever sizes they support.
    """
    height, width = size
    pattern = f"testsrc2=size={width}x{height}:rate=25,format={input_pixel_format(codec)}"
    return [
        "-f", "lavfi", "-i", pattern, "-frames:v", "5",
        *_video_args(encoder, codec, quality), "-f", "null", "-",
    ]  # fmt: skip
