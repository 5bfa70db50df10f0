"""From a silent video to the requested file: audio, palette, and verification."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from vidsal.errors import VidsalError, option
from vidsal.media import codecs, ffmpeg, probe
from vidsal.runtime.atomic_write import atomic_write, beside, free_names, temporary_sibling, writing
from vidsal.settings import OutputOptions
from vidsal.types import SoundPart, SourceInfo

log = logging.getLogger(__name__)

# Audio codecs that are copied into each container, by ffmpeg's names. Players play all of them,
# browsers may not.
_COPIED_CODECS = {
    ".mp4": ("aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"),
    ".mov": ("aac", "mp3", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s16be", "pcm_s24le",
             "pcm_s24be", "pcm_s32le", "pcm_s32be", "pcm_f32le"),
    ".mkv": ("aac", "mp3", "mp2", "ac3", "eac3", "dts", "truehd", "alac", "flac", "opus",
             "vorbis", "wavpack", "tta", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le"),
    ".webm": ("opus", "vorbis"),
}  # fmt: skip

# Timestamps of a container are multiples of this, in seconds. MP4 and MOV have exact ones.
_TICK_S = {".mkv": 1e-3, ".webm": 1e-3, ".gif": 1e-2}
_EXACT_S = 1e-5

# Audio begins and ends with whole packets, of up to 120 ms (Opus), and decoders need one packet
# before the first that is heard.
_PACKET_TOLERANCE_S = 0.25
# Packets that end this long before the part, or later, are kept: a decoder needs the previous
# packet, because the last half of each packet overlaps with the next one.
_PREROLL_S = 0.03
# Shorter than the packet of any codec: no audio.
_SHORTEST_AUDIO_S = 0.002
# A leap is longer than six hours, so that this long before it nothing is heard.
_LEAP_MARGIN_S = 3600.0
# Seek this much earlier than the part begins: seek points may be this far apart.
_SEEK_MARGIN_S = 1.0


@dataclass(frozen=True, slots=True)
class ExpectedPicture:
    """The expected video stream of a finished file.

    Attributes
    ----------
    frames : int
    size : (int, int)
        (height, width) in pixels.
    fps : Fraction
    """

    frames: int
    size: tuple[int, int]
    fps: Fraction


@dataclass(frozen=True, slots=True)
class _Audio:
    """The audio that belongs to a video.

    Attributes
    ----------
    part : SoundPart
    file_begin_s : float
        First timestamp of its file.
    begin_s, end_s : float
        Begin and end of the audio that exists, in seconds after the beginning of the part.
    restarts : bool
        Whether the timestamps of the file restart somewhere.
    leaps : tuple of (float, float)
        See `vidsal.media.packets.without_leaps`; in the file's own time.
    """

    part: SoundPart
    file_begin_s: float
    begin_s: float
    end_s: float
    restarts: bool = False
    leaps: tuple[tuple[float, float], ...] = ()

    @property
    def origin_s(self) -> float:
        """Timestamp at which the part begins."""
        return self.file_begin_s + self.part.begin_s


class AudioError(VidsalError):
    """The picture of a file is complete, but its audio is not."""


@contextmanager
def keeping_picture(silent: Path, final: Path) -> Iterator[None]:
    """Keep the finished picture if the block fails to add audio: it may be the work of hours.

    Parameters
    ----------
    silent : Path
        The silent video.
    final : Path
        The requested file. The silent video gets a similar name that is free.

    Raises
    ------
    AudioError
        The error of the block, with the name of the silent video.
    """
    try:
        yield
    except AudioError as error:
        if not silent.exists():
            raise
        with writing(final):
            (kept,) = free_names(beside(final, f".silent{final.suffix}"))
            silent.replace(kept)
        raise AudioError(f"{error}; the picture without audio is in {kept}") from error


def finish(
    silent: Path,
    final: Path,
    info: SourceInfo,
    options: OutputOptions,
    expected: ExpectedPicture,
    *,
    display_path: Path | None = None,
) -> None:
    """Make the requested file from a silent video, verify it, and give it its name.

    Parameters
    ----------
    silent : Path
        The silent video in the format of `vidsal.media.codecs.silent`; it may be moved.
    final : Path
    info : SourceInfo
        Describes the source, whose audio is added.
    options : OutputOptions
        ``codec`` and ``audio``.
    expected : ExpectedPicture
    display_path : Path, optional
        The name in messages, and the one whose suffix names the container; by default `final`.

    Raises
    ------
    AudioError
        If the audio cannot be added, or is not the expected one. The silent video still exists.
    VidsalError
        If ffmpeg fails, or the picture is not the expected one. After any error `final` is
        unchanged.
    """
    codec, name = codecs.codec_of(final, options.codec), display_path or final
    audio = None
    if options.audio and info.sound and codec != "gif":
        audio = _find_audio(info.sound)
    with atomic_write(final) as part:
        if codec == "gif":
            with temporary_sibling(final, ".palette.png") as palette:
                _convert_to_gif(silent, palette, part)
        elif audio is None:
            with writing(final):
                silent.replace(part)
        if audio:
            media = _add_audio(silent, audio, part, name, codec, expected.fps)
        else:
            media = probe.inspect(part)
        _verify_picture(media, name, codec, expected)
        _verify_audio(media, name, audio)


def _convert_to_gif(silent: Path, palette: Path, result: Path) -> None:
    """Write a GIF with the best 256 colours for all of its frames.

    Dithering is ordered: unlike error diffusion it does not flicker where the picture stands
    still.
    """
    source = ["-i", ffmpeg.file_url(silent)]
    ffmpeg.convert([*source, "-vf", "palettegen", "-update", "1", ffmpeg.file_url(palette)])
    ffmpeg.convert(
        [*source, "-i", ffmpeg.file_url(palette),
         "-lavfi", "paletteuse=dither=bayer:bayer_scale=3:diff_mode=rectangle",
         ffmpeg.file_url(result)]
    )  # fmt: skip


def _find_audio(part: SoundPart) -> _Audio | None:
    """Return the audio that exists in a part of a file; None if there is none."""
    # A short part of a long file needs no look at the rest.
    until_s = (
        part.begin_s + part.duration_s + probe.MARGIN_S if part.duration_s is not None else None
    )
    file = probe.inspect(part.path, until_s=until_s)
    if file.sound is None:
        log.warning("%s: its audio cannot be read, so the video has none", part.path)
        return None
    origin_s = file.begin_s + part.begin_s
    begin_s = max(0.0, file.sound.begin_s - origin_s)
    end_s = file.sound.end_s - origin_s
    if part.duration_s is not None:
        end_s = min(end_s, part.duration_s)
    if end_s - begin_s < _SHORTEST_AUDIO_S:
        return None
    return _Audio(part, file.begin_s, begin_s, end_s, file.sound.restarts, file.sound.leaps)


def _add_audio(
    silent: Path, audio: _Audio, result: Path, name: Path, codec: str, fps: Fraction
) -> probe.Media:
    """Write the picture of one file with the audio of another; both keep their times.

    Returns
    -------
    Media
        The contents of the result.

    Raises
    ------
    AudioError
        If the audio can neither be copied nor encoded.
    """
    suffix, source = name.suffix.lower(), audio.part.path
    container_args = codecs.container_args(name, codec, fps)
    if audio.part.codec in _COPIED_CODECS[suffix] and not (audio.restarts or audio.leaps):
        try:
            copy_args = _copy_args(audio.part)
            ffmpeg.convert(_mux_args(silent, audio, copy_args, container_args, result))
            media = probe.inspect(result)
            _verify_audio(media, name, audio)
            return media
        except VidsalError as error:
            log.info("the audio of %s is encoded again: %s", source, error)
    encode_args = _encode_args(audio, suffix)
    try:
        try:
            ffmpeg.convert(_mux_args(silent, audio, encode_args, container_args, result))
        except VidsalError as error:
            log.info("the audio of %s is mixed down: %s", source, error)
            # Encoders do not support every channel layout.
            stereo_args = [*encode_args, "-ac", "2"]
            ffmpeg.convert(_mux_args(silent, audio, stereo_args, container_args, result))
    except VidsalError as error:
        raise AudioError(
            f"the audio of {source} cannot be added ({option('audio', False)} leaves it out): "
            f"{error}"
        ) from error
    return probe.inspect(result)


def _mux_args(
    silent: Path, audio: _Audio, audio_args: list[str], container_args: list[str], result: Path
) -> list[str]:
    """Return ffmpeg's arguments for a picture and audio in one file.

    ``-copyts`` keeps timestamps, which are then moved by known amounts. Without it, ffmpeg lets
    some formats, such as MPEG-TS, begin with the selected stream instead of the first stream of
    the file, and audio that begins after the picture would come too early.

    Timestamps that restart must be mended. ffmpeg mends them by all selected streams, as it did
    for the picture, so the source's picture is read beside the audio and discarded. Timestamps
    moved by more than some seconds would be mended back, so the samples are moved instead, see
    `_encode_args`.
    """
    seek_s = audio.part.begin_s - _SEEK_MARGIN_S
    # Times of the part are without leaps, those of the file with them.
    seek_args = ["-ss", f"{seek_s:.6f}"] if seek_s > 0 and not audio.leaps else []
    # `_copy_args` and `_encode_args` cut off what lies before the part.
    input_args = ["-noaccurate_seek", "-itsoffset", f"{-audio.origin_s:.6f}", *seek_args, "-vn"]
    global_args, discarded_args = ["-copyts"], list[str]()
    if audio.restarts:
        global_args, input_args = [], []
        discarded_args = ["-map", "1:V:0", "-c", "copy", "-f", "null", "-"]
    return [
        *global_args,
        "-itsoffset", f"{audio.part.picture_at_s:.6f}", "-i", ffmpeg.file_url(silent),
        *input_args, "-sn", "-dn", "-i", ffmpeg.file_url(audio.part.path),
        # Chapters would keep the times of the whole source.
        "-map", "0:v:0", "-map", "1:a:0", "-map_chapters", "-1",
        "-c:v", "copy", *audio_args, "-strict", "-2", *container_args, ffmpeg.file_url(result),
        *discarded_args,
    ]  # fmt: skip


def _copy_args(part: SoundPart) -> list[str]:
    """Return the arguments that copy the packets of a part, and one before it."""
    drop = f"lt((pts+duration)*tb,-{_PREROLL_S})"
    if part.duration_s is not None:
        drop += f"+gte(pts*tb,{part.duration_s:.6f})"
    return ["-c:a", "copy", "-bsf:a", f"noise=drop='{drop}'"]


def _encode_args(audio: _Audio, suffix: str) -> list[str]:
    """Return the arguments that encode the samples of a part."""
    part = audio.part
    until = "" if part.duration_s is None else f":end={part.duration_s:.6f}"
    filters = f"atrim=start=0{until},aresample=async=1000:min_hard_comp=0.02"
    if audio.restarts:
        filters = f"asetpts=PTS-{audio.origin_s:.6f}/TB,{filters}"
    if audio.leaps:
        excess = "+".join(
            f"gte(T,{after_s - audio.origin_s - _LEAP_MARGIN_S:.6f})*{excess_s:.6f}"
            for after_s, excess_s in audio.leaps
        )
        filters = f"asetpts='PTS-({excess})/TB',{filters}"
    if suffix == ".webm":
        # Opus supports no other channel layouts.
        filters += ",aformat=channel_layouts=7.1|5.1|stereo|mono"
        return ["-af", filters, "-c:a", "libopus", "-b:a", "160k"]
    return ["-af", filters, "-c:a", "aac", "-b:a", "192k"]


def _verify_picture(media: probe.Media, name: Path, codec: str, expected: ExpectedPicture) -> None:
    """Raise `VidsalError` if a file's picture is not the expected one."""
    length_s = float(expected.frames / expected.fps)
    wanted = _summary(expected.frames, expected.size, codec, expected.fps, length_s)
    picture = media.picture
    if picture is None:
        raise VidsalError(f"{name}: verification failed: expected {wanted}, found no picture")
    found_s = picture.end_s - float(picture.times_s[0])
    tick_s = _TICK_S.get(name.suffix.lower(), _EXACT_S)
    is_same = (picture.frames, picture.coded_px, picture.codec) == (
        expected.frames, expected.size, codec,
    )  # fmt: skip
    # Timestamps and length imply the rate. The time of the last frame and its duration are both
    # rounded to ticks.
    if (
        not is_same
        or np.abs(picture.offsets_s - np.arange(expected.frames) / float(expected.fps)).max()
        > tick_s
        or abs(found_s - length_s) > 2 * tick_s
    ):
        found = _summary(picture.frames, picture.coded_px, picture.codec, picture.rate, found_s)
        raise VidsalError(f"{name}: verification failed: expected {wanted}, found {found}")


def _summary(frames: int, size: tuple[int, int], codec: str, fps: Fraction, length_s: float) -> str:
    return f"{frames} frames of {size[1]}x{size[0]} ({codec}, {fps} a second, {length_s:.3f} s)"


def _verify_audio(media: probe.Media, name: Path, audio: _Audio | None) -> None:
    """Raise `AudioError` if a file's audio is not the expected one."""
    if audio is None or media.sound is None or media.picture is None:
        if (audio is None) != (media.sound is None):
            wanted, found = ("no", "some") if audio is None else ("some", "no")
            raise AudioError(
                f"{name}: verification failed: expected {wanted} audio of the source, found "
                f"{found} audio"
            )
        return
    # Times after the first frame, which both files have in common.
    first_s, at_s = float(media.picture.times_s[0]), audio.part.picture_at_s
    wanted_s = audio.begin_s - at_s, audio.end_s - at_s
    found_s = media.sound.begin_s - first_s, media.sound.end_s - first_s
    if max(abs(a - b) for a, b in zip(wanted_s, found_s, strict=True)) > _PACKET_TOLERANCE_S:
        raise AudioError(
            f"{name}: verification failed: expected audio from {wanted_s[0]:.2f} to "
            f"{wanted_s[1]:.2f} s of the picture, found {found_s[0]:.2f} to {found_s[1]:.2f} s"
        )
