"""The ffmpeg that imageio-ffmpeg brings: running it, and reading its words and its exit code."""

import re
import shutil
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import imageio_ffmpeg

from vidsal.errors import VidsalError

# ffmpeg is kept out of the terminal's process group: a Ctrl-C there is for vidsal, which decides
# whether the file is finished or removed.
APART: dict[str, Any] = {"start_new_session": True}


def executable() -> str:
    """Return the path of ffmpeg.

    Raises
    ------
    VidsalError
        If there is none.
    """
    try:
        path = shutil.which(str(imageio_ffmpeg.get_ffmpeg_exe()))
    except RuntimeError:
        path = None
    # IMAGEIO_FFMPEG_EXE is taken on trust by imageio-ffmpeg: it may name what is not there.
    if path is None:
        raise VidsalError(
            "ffmpeg was not found: pip install --force-reinstall imageio-ffmpeg, or set "
            "IMAGEIO_FFMPEG_EXE to its path"
        )
    return path


def named(path: Path | str) -> str:
    """Return a path so that ffmpeg takes it for a file, whatever colons or dashes it has.

    The address of a stream is left as it is.
    """
    return path if isinstance(path, str) and "://" in path else f"file:{path}"


class Encoder:
    """One ffmpeg process that reads raw frames from us and writes a file.

    Parameters
    ----------
    arguments : list of str
        All after the program's name.
    """

    def __init__(self, arguments: list[str]) -> None:
        # A file, not a pipe: nobody has to read along to keep ffmpeg from blocking.
        self._words: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [executable(), *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._words, **APART,
        )  # fmt: skip

    def write(self, data: Any) -> None:
        """Hand over bytes.

        Raises
        ------
        VidsalError
            If ffmpeg has ended, with its last words.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
        except (BrokenPipeError, OSError) as error:
            self._process.wait()
            raise self._failure() from error

    def finish(self) -> None:
        """Close the input, wait, and look at the exit code.

        Raises
        ------
        VidsalError
            If ffmpeg failed, with its last words.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except OSError as error:
            self._process.wait()
            raise self._failure() from error
        if self._process.wait() != 0:
            raise self._failure()

    def end(self) -> None:
        """Make sure that the process is gone, whatever state it is in."""
        if self._process.poll() is None:
            self._process.kill()
        if self._process.stdin is not None:
            # What was still to be flushed has no reader any more.
            with suppress(OSError):
                self._process.stdin.close()
        self._process.wait()
        self._words.close()

    def _failure(self) -> VidsalError:
        self._words.seek(0)
        return VidsalError(f"ffmpeg failed: {last_words(self._words.read(), self._process)}")


def convert(arguments: list[str]) -> None:
    """Run ffmpeg from files to files.

    Raises
    ------
    VidsalError
        If it fails, with its last words.
    """
    process = subprocess.run(
        [executable(), *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=False,
        **APART,
    )  # fmt: skip
    if process.returncode:
        raise VidsalError(f"ffmpeg failed: {last_words(process.stderr, process)}")


def last_words(stderr: bytes, process: Any) -> str:
    """Return the line of ffmpeg's output that says most about its end."""
    lines = [line.strip() for line in stderr.decode(errors="replace").splitlines() if line.strip()]
    for line in lines:
        if "No space left" in line:
            return "no space left on the disk"
    if process.returncode is not None and process.returncode < 0:
        return f"it was ended by signal {-process.returncode}"
    return lines[-1] if lines else f"exit code {process.returncode}"


@dataclass(frozen=True, slots=True)
class Probe:
    """What ffmpeg sees in a file.

    Attributes
    ----------
    size : (int, int) or None
        (height, width) in pixels; ``None`` without a picture stream. The cover of a piece of
        music is not one.
    audio_codec : str or None
        Of the first sound stream.
    picture_delay_s : float
        How long after the file's own beginning, which its sound may be at, the picture begins.
    """

    size: tuple[int, int] | None
    audio_codec: str | None
    picture_delay_s: float = 0.0


def probe(path: Path) -> Probe:
    """Return what ffmpeg sees in a file; nothing in it where ffmpeg cannot read it."""
    process = subprocess.run(
        [executable(), "-hide_banner", "-i", named(path)],
        stdin=subprocess.DEVNULL, capture_output=True, check=False, **APART,
    )  # fmt: skip
    text = process.stderr.decode(errors="replace")
    video = re.search(r"Stream #0.*: Video: (?!.*\(attached pic\)).*?, (\d+)x(\d+)[ ,].*", text)
    audio = re.search(r"Stream #0.*: Audio: (\w+)", text)
    begin = re.search(r"Duration: .*, start: (-?[\d.]+)", text)
    # Only named where it is not 0.
    shown = re.search(r", start (-?[\d.]+)", video.group(0)) if video else None
    return Probe(
        (int(video.group(2)), int(video.group(1))) if video else None,
        audio.group(1) if audio else None,
        max(0.0, float(shown.group(1)) - float(begin.group(1))) if shown and begin else 0.0,
    )


def packets(path: Path | str, until_s: float | None = None) -> tuple[list[str], str]:
    """Return ffmpeg's list of a file's packets, of its picture and its sound, and its words.

    Of those in its first `until_s` seconds, if that is given.

    ``-f framecrc`` writes a line a packet: stream, decoding and presentation time, duration, size,
    checksum, flags; before these, lines that begin with ``#`` tell of each stream.
    """
    part = [] if until_s is None else ["-t", f"{until_s:.6f}"]
    process = subprocess.run(
        [executable(), "-hide_banner", "-nostdin", "-copyts", *part, "-i", named(path),
         # The upper case leaves covers and thumbnails out.
         "-map", "0:V:0?", "-map", "0:a:0?", "-c", "copy", "-f", "framecrc", "-"],
        stdin=subprocess.DEVNULL, capture_output=True, check=False, **APART,
    )  # fmt: skip
    return (
        process.stdout.decode(errors="replace").splitlines(),
        process.stderr.decode(errors="replace"),
    )


def count_frames(path: Path) -> int:
    """Return how many picture packets a file holds, without decoding them."""
    process = subprocess.run(
        [executable(), "-hide_banner", "-i", named(path), "-map", "0:v:0", "-c", "copy",
         "-f", "null", "-"],
        stdin=subprocess.DEVNULL, capture_output=True, check=False, **APART,
    )  # fmt: skip
    counts = re.findall(rb"frame=\s*(\d+)", process.stderr)
    return int(counts[-1]) if counts and process.returncode == 0 else 0


def encoding(size: tuple[int, int], fps: Fraction, path: Path) -> list[str]:
    """Return the arguments that turn raw RGB frames on stdin into an MP4 that plays everywhere.

    H.264, yuv420p, BT.709 in limited range and tagged so, index at the front.

    Parameters
    ----------
    size : (int, int)
        (height, width), both even.
    fps : Fraction
    path : Path
    """
    height, width = size
    # The filter converts with the same matrix that the tags name; players trust the tags.
    to_video = (
        "scale=in_range=pc:out_range=tv:out_color_matrix=bt709,format=yuv420p,"
        "setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709"
    )
    return [
        "-hide_banner", "-loglevel", "error", "-y",
        "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(fps),
        "-i", "pipe:0",
        "-vf", to_video, "-c:v", "libx264", "-preset", "veryfast", "-crf", "18",
        "-movflags", "+faststart", named(path),
    ]  # fmt: skip


# What MP4 carries as it is, by ffmpeg's names; browsers may not play all of it, players do.
_MP4_SOUND = ("aac", "mp3", "ac3", "eac3", "alac", "opus", "flac")


def add_sound(
    picture: Path, sound: Path, codec: str, result: Path, *, start_s: float, duration_s: float
) -> None:
    """Write `result`: the picture of one file with the first sound of another.

    The sound is copied where MP4 can carry it, else encoded as AAC; the picture is copied.

    Parameters
    ----------
    picture, sound, result : Path
    codec : str
        Of the sound.
    start_s, duration_s : float
        Part of the sound, in its own time.

    Raises
    ------
    VidsalError
        If ffmpeg fails.
    """
    how = ["-c:a", "copy"] if codec in _MP4_SOUND else ["-c:a", "aac", "-b:a", "192k"]
    part = ["-ss", f"{start_s:.6f}"] if start_s > 0 else []
    part += ["-t", f"{duration_s:.6f}"]
    convert(
        ["-hide_banner", "-loglevel", "error", "-y", "-i", named(picture),
         *part, "-i", named(sound), "-map", "0:v:0", "-map", "1:a:0", "-c:v", "copy", *how,
         "-strict", "-2", "-movflags", "+faststart", named(result)]
    )  # fmt: skip
