"""From a video without sound to the file that was asked for: sound, palette, and a look at it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from vidsal.errors import VidsalError
from vidsal.media import codecs, ffmpeg, probe
from vidsal.runtime.atomic_write import atomic_write, beside, free_names, temporary_sibling, writing
from vidsal.settings import Settings
from vidsal.types import SoundPart, SourceInfo

log = logging.getLogger(__name__)

# What each container carries as it is, by ffmpeg's names. Browsers may not play all of it,
# players do.
_COPIED = {
    ".mp4": ("aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"),
    ".mov": ("aac", "mp3", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s16be", "pcm_s24le",
             "pcm_s24be", "pcm_s32le", "pcm_s32be", "pcm_f32le"),
    ".mkv": ("aac", "mp3", "mp2", "ac3", "eac3", "dts", "truehd", "alac", "flac", "opus",
             "vorbis", "wavpack", "tta", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le"),
    ".webm": ("opus", "vorbis"),
}  # fmt: skip

# A container's times are multiples of this, in seconds; MP4 and MOV have the exact ones.
_TICK_S = {".mkv": 1e-3, ".webm": 1e-3, ".gif": 1e-2}
_EXACT_S = 1e-5

# Sound begins and ends with whole packets, of up to 120 ms (Opus), and decoders want one before
# the first that is heard.
_PACKETS_S = 0.25
# A decoder needs the packet before: the last part of each is half of the next.
_BEFORE_S = 0.03
# Shorter than the packet of any codec: no sound.
_LEAST_S = 0.002
# Places that can be jumped to may be as far apart as this before the jump is worth nothing.
_SEEK_S = 1.0


@dataclass(frozen=True, slots=True)
class Meant:
    """What the picture of a finished file has to be.

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
class _Heard:
    """The sound that belongs to a video.

    Attributes
    ----------
    part : SoundPart
    file_begin_s : float
        What the time stamps of its file begin at.
    begin_s, end_s : float
        Of what is there of the part, after the part's own beginning.
    restarts : bool
        Whether the file's own time begins anew somewhere.
    """

    part: SoundPart
    file_begin_s: float
    begin_s: float
    end_s: float
    restarts: bool = False

    @property
    def origin_s(self) -> float:
        """Where the part begins, in the time of its file."""
        return self.file_begin_s + self.part.begin_s


class SoundError(VidsalError):
    """The picture of a file is well, and its sound is not."""


@contextmanager
def keeping_picture(part: Path, final: Path) -> Iterator[None]:
    """Keep a finished picture where its sound fails: it may be the work of hours.

    Parameters
    ----------
    part : Path
        The silent video.
    final : Path
        What was to be made of it; the picture alone gets a free name like this one.

    Raises
    ------
    SoundError
        The one of the block, with that name.
    """
    try:
        yield
    except SoundError as error:
        if not part.exists():
            raise
        with writing(final):
            (silent,) = free_names(beside(final, f".silent{final.suffix}"))
            part.replace(silent)
        raise SoundError(f"{error}; the picture alone is in {silent}") from error


def finish(
    part: Path,
    final: Path,
    info: SourceInfo,
    settings: Settings,
    meant: Meant,
    *,
    name: Path | None = None,
) -> None:
    """Make the file that was asked for of a silent video, check it, and give it its name.

    Parameters
    ----------
    part : Path
        The silent video, as `encoding.silent` says; it may be moved.
    final : Path
    info : SourceInfo
        Of the source; its sound is added.
    settings : Settings
    meant : Meant
    name : Path, optional
        What people call it, where that is not `final`.

    Raises
    ------
    SoundError
        If the sound cannot be added as it was meant. The silent video is still there.
    VidsalError
        If ffmpeg fails, or the picture is not what was meant. Nothing new is at `final`, whatever
        is raised.
    """
    codec, name = codecs.codec_of(final, settings.codec), name or final
    heard = None
    if settings.audio and info.sound and codec != "gif":
        heard = _heard(info.sound)
    with atomic_write(final) as whole:
        if codec == "gif":
            with temporary_sibling(final, ".palette.png") as palette:
                _as_gif(part, palette, whole)
        elif heard is None:
            with writing(final):
                part.replace(whole)
        if heard:
            seen = _with_sound(part, heard, whole, name, codec, meant.fps)
        else:
            seen = probe.inspect(whole)
        _check_picture(seen, name, codec, meant)
        _check_sound(seen, name, heard)


def _as_gif(part: Path, palette: Path, result: Path) -> None:
    """Write a GIF with the 256 colours that serve all of its frames best.

    An ordered pattern makes the colours between: other than spread errors, it stands still where
    the picture does.
    """
    source = ["-i", ffmpeg.file_url(part)]
    ffmpeg.convert([*source, "-vf", "palettegen", "-update", "1", ffmpeg.file_url(palette)])
    ffmpeg.convert(
        [*source, "-i", ffmpeg.file_url(palette),
         "-lavfi", "paletteuse=dither=bayer:bayer_scale=3:diff_mode=rectangle",
         ffmpeg.file_url(result)]
    )  # fmt: skip


def _heard(part: SoundPart) -> _Heard | None:
    """Return what there is of a part of a file's sound; None if it is silent throughout."""
    # Of a short part of a long file, the rest is of no interest.
    until_s = (
        part.begin_s + part.duration_s + probe.MARGIN_S if part.duration_s is not None else None
    )
    file = probe.inspect(part.path, until_s=until_s)
    if file.sound is None:
        log.warning("%s: its sound cannot be read, so the video has none", part.path)
        return None
    origin_s = file.begin_s + part.begin_s
    begin_s = max(0.0, file.sound.begin_s - origin_s)
    end_s = file.sound.end_s - origin_s
    if part.duration_s is not None:
        end_s = min(end_s, part.duration_s)
    if end_s - begin_s < _LEAST_S:
        return None
    return _Heard(part, file.begin_s, begin_s, end_s, file.sound.restarts)


def _with_sound(
    part: Path, heard: _Heard, result: Path, name: Path, codec: str, fps: Fraction
) -> probe.Media:
    """Write the picture of one file with the sound of another; both keep their times.

    Returns
    -------
    Media
        What the result holds.

    Raises
    ------
    SoundError
        If neither a copy of the sound nor a new encoding can be had.
    """
    suffix = name.suffix.lower()
    around = codecs.container_args(name, codec, fps)
    if heard.part.codec in _COPIED[suffix] and not heard.restarts:
        try:
            ffmpeg.convert(_joined(part, heard, _copied(heard.part), around, result))
            seen = probe.inspect(result)
            _check_sound(seen, name, heard)
            return seen
        except VidsalError as error:
            log.info("the sound of %s is encoded anew: %s", heard.part.path, error)
    encoded = _encoded(heard, suffix)
    try:
        try:
            ffmpeg.convert(_joined(part, heard, encoded, around, result))
        except VidsalError as error:
            log.info("the sound of %s is mixed down: %s", heard.part.path, error)
            # Encoders do not know every order of speakers.
            ffmpeg.convert(_joined(part, heard, [*encoded, "-ac", "2"], around, result))
    except VidsalError as error:
        raise SoundError(
            f"the sound of {heard.part.path} cannot be added (--no-audio leaves it out): {error}"
        ) from error
    return probe.inspect(result)


def _joined(
    part: Path, heard: _Heard, sound: list[str], around: list[str], result: Path
) -> list[str]:
    """Return ffmpeg's arguments for a picture and a sound in one file.

    Time stamps are taken as they are (``-copyts``) and moved by known amounts. Left to itself
    ffmpeg lets some formats, such as MPEG-TS, begin with the stream that is used, not with the
    first of the file, and sound that begins after the picture would come too early.

    Times that begin anew it has to mend. It does so by all streams that are used, as where the
    picture came from: so that is read beside the sound, and goes nowhere. Moved by more than some
    seconds they would be mended back, so it is the samples that are moved (`_encoded`).
    """
    jump_s = heard.part.begin_s - _SEEK_S
    jump = ["-ss", f"{jump_s:.6f}"] if jump_s > 0 else []
    # What lies before the part is cut off by packets or samples below.
    moved = ["-noaccurate_seek", "-itsoffset", f"{-heard.origin_s:.6f}", *jump, "-vn"]
    times, alone, unseen = ["-copyts"], moved, list[str]()
    if heard.restarts:
        times, alone, unseen = [], [], ["-map", "1:V:0", "-c", "copy", "-f", "null", "-"]
    return [
        *times,
        "-itsoffset", f"{heard.part.picture_at_s:.6f}", "-i", ffmpeg.file_url(part),
        *alone, "-sn", "-dn", "-i", ffmpeg.file_url(heard.part.path),
        # Chapters would keep the times of the whole source.
        "-map", "0:v:0", "-map", "1:a:0", "-map_chapters", "-1",
        "-c:v", "copy", *sound, "-strict", "-2", *around, ffmpeg.file_url(result), *unseen,
    ]  # fmt: skip


def _copied(part: SoundPart) -> list[str]:
    """Return the arguments that copy the packets of a part, and one before it."""
    drop = f"lt((pts+duration)*tb,-{_BEFORE_S})"
    if part.duration_s is not None:
        drop += f"+gte(pts*tb,{part.duration_s:.6f})"
    return ["-c:a", "copy", "-bsf:a", f"noise=drop='{drop}'"]


def _encoded(heard: _Heard, suffix: str) -> list[str]:
    """Return the arguments that encode the samples of a part."""
    part = heard.part
    until = "" if part.duration_s is None else f":end={part.duration_s:.6f}"
    filters = f"atrim=start=0{until},aresample=async=1000:min_hard_comp=0.02"
    if heard.restarts:
        filters = f"asetpts=PTS-{heard.origin_s:.6f}/TB,{filters}"
    if suffix == ".webm":
        # Opus has no other orders of speakers.
        filters += ",aformat=channel_layouts=7.1|5.1|stereo|mono"
        return ["-af", filters, "-c:a", "libopus", "-b:a", "160k"]
    return ["-af", filters, "-c:a", "aac", "-b:a", "192k"]


def _check_picture(seen: probe.Media, name: Path, codec: str, meant: Meant) -> None:
    """Raise `VidsalError`, naming both, if a file's picture is not what was meant."""
    length_s = float(meant.frames / meant.fps)
    wanted = _told(meant.frames, meant.size, codec, meant.fps, length_s)
    picture = seen.picture
    if picture is None:
        raise VidsalError(f"{name} came out wrong: {wanted} were meant, no picture is in it")
    found_s = picture.end_s - float(picture.times_s[0])
    tick_s = _TICK_S.get(name.suffix.lower(), _EXACT_S)
    is_whole = (picture.frames, picture.coded_px, picture.codec) == (
        meant.frames, meant.size, codec,
    )  # fmt: skip
    # Frames at their times, and an end in time, are an exact rate and a right length. Both the
    # last frame's time and its length are rounded to ticks.
    if (
        not is_whole
        or np.abs(picture.offsets_s - np.arange(meant.frames) / float(meant.fps)).max() > tick_s
        or abs(found_s - length_s) > 2 * tick_s
    ):
        found = _told(picture.frames, picture.coded_px, picture.codec, picture.rate, found_s)
        raise VidsalError(f"{name} came out wrong: {wanted} were meant, {found} are in it")


def _told(frames: int, size: tuple[int, int], codec: str, fps: Fraction, length_s: float) -> str:
    return f"{frames} frames of {size[1]}x{size[0]} ({codec}, {fps} a second, {length_s:.3f} s)"


def _check_sound(seen: probe.Media, name: Path, heard: _Heard | None) -> None:
    """Raise `SoundError`, naming both, if a file's sound is not what was meant."""
    if heard is None or seen.sound is None or seen.picture is None:
        if (heard is None) != (seen.sound is None):
            meant, found = ("none", "some") if heard is None else ("some", "none")
            raise SoundError(
                f"{name} came out wrong: {meant} of the source's sound was meant, {found} is in it"
            )
        return
    # Times after the first frame is shown: that is what picture and sound have in common.
    first_s, at_s = float(seen.picture.times_s[0]), heard.part.picture_at_s
    meant_s = heard.begin_s - at_s, heard.end_s - at_s
    found_s = seen.sound.begin_s - first_s, seen.sound.end_s - first_s
    if max(abs(a - b) for a, b in zip(meant_s, found_s, strict=True)) > _PACKETS_S:
        raise SoundError(
            f"{name} came out wrong: sound from {meant_s[0]:.2f} to {meant_s[1]:.2f} s of the "
            f"picture was meant, from {found_s[0]:.2f} to {found_s[1]:.2f} s is in it"
        )
