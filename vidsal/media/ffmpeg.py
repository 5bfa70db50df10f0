"""The ffmpeg that imageio-ffmpeg brings: running it, and reading its words and its exit code."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Any

import imageio_ffmpeg

from vidsal.errors import VidsalError
from vidsal.media.truncation import readable_end

# ffmpeg is kept out of the terminal's process group: a Ctrl-C there is for vidsal, which decides
# whether the file is finished or removed.
APART: dict[str, Any] = {"start_new_session": True}
# Where imageio-ffmpeg keeps its own, which is new enough.
_BROUGHT_ALONG = Path(imageio_ffmpeg.__file__).parent
# Its exit code after a signal that it heeds, such as SIGTERM.
_TOLD_TO_END = 255
# Of what it writes, it tells errors only.
_QUIETLY = ("-hide_banner", "-loglevel", "error", "-y")


def executable() -> str:
    """Return the path of ffmpeg.

    Raises
    ------
    VidsalError
        If there is none, or one that is too old.
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
    if not Path(path).is_relative_to(_BROUGHT_ALONG):
        _require_new(path)
    return path


@cache
def _require_new(program: str) -> None:
    """Refuse an ffmpeg that does not know the newest option we need, by trying it."""
    try:
        process = subprocess.run(
            [program, "-v", "error", "-f", "lavfi", "-i", "nullsrc=size=16x16", "-frames:v", "1",
             "-enc_time_base", "demux", "-f", "null", "-"],
            stdin=subprocess.DEVNULL, capture_output=True, check=False, **APART,
        )  # fmt: skip
    except OSError as error:
        raise VidsalError(f"{program} cannot be used: {error.strerror}") from error
    if process.returncode:
        raise VidsalError(
            f"{program} cannot be used, it may be older than ffmpeg 6.1 "
            f"({last_words(process.stderr, process)}): pip install --force-reinstall "
            "imageio-ffmpeg, or set IMAGEIO_FFMPEG_EXE to the path of a newer one"
        )


@cache
def encoders(program: str) -> frozenset[str]:
    """Return the names of the encoders that an ffmpeg, given by its path, was built with.

    Raises
    ------
    VidsalError
        If it fails, with its last words.
    """
    process = subprocess.run(
        [program, "-hide_banner", "-encoders"],
        stdin=subprocess.DEVNULL, capture_output=True, check=False, **APART,
    )  # fmt: skip
    if process.returncode:
        raise VidsalError(f"ffmpeg failed: {last_words(process.stderr, process)}")
    text = process.stdout.decode(errors="replace")
    return frozenset(re.findall(r"^ [VAS][A-Z.]{5} (\S+)", text, re.MULTILINE))


def named(path: Path | str) -> str:
    """Return a path so that ffmpeg takes it for a file, whatever colons or dashes it has.

    The address of a stream is left as it is.
    """
    if isinstance(path, str) and "://" in path:
        return path
    return shortened(Path(path)) or f"file:{path}"


def shortened(path: Path) -> str | None:
    """Return libav's name of the part of a file that it can read, where that is not all of it."""
    end = readable_end(path)
    return None if end is None else f"subfile,,start,0,end,{end},,:{path.absolute()}"


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
            [executable(), *_QUIETLY, *arguments],
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
        except OSError as error:
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


def convert(arguments: list[str], *, folder: Path | None = None) -> None:
    """Run ffmpeg from files to files, in a folder if one is given.

    Raises
    ------
    VidsalError
        If it fails, with its last words.
    """
    process = subprocess.run(
        [executable(), *_QUIETLY, *arguments],
        stdin=subprocess.DEVNULL, capture_output=True, check=False, cwd=folder, **APART,
    )  # fmt: skip
    if process.returncode:
        raise VidsalError(f"ffmpeg failed: {last_words(process.stderr, process)}")


def ended_by(code: int) -> str:
    """Return what ended an ffmpeg that did not end by itself, from its exit code; else nothing."""
    if code < 0:
        return f"was ended by signal {-code}"
    return "was told to end" if code == _TOLD_TO_END else ""


def last_words(stderr: bytes, process: Any) -> str:
    """Return the line of ffmpeg's output that says most about its end."""
    lines = [line.strip() for line in stderr.decode(errors="replace").splitlines() if line.strip()]
    # SVT-AV1 tells its settings there, whatever it is asked.
    lines = [line for line in lines if not line.startswith("Svt[")]
    for line in lines:
        if "No space left" in line:
            return "no space left on the disk"
    if process.returncode is not None and process.returncode < 0:
        return f"it {ended_by(process.returncode)}"
    # What ffmpeg's own parts say is only what came of it: that they got nothing, and end.
    causes = [line for line in lines if not re.match(r"\[[va](ost|f)#|\[(out|fc)#", line)]
    said = (causes or lines or [f"exit code {process.returncode}"])[-1]
    return re.sub(r"^(\[[^]]* @ 0x\w+\] *)+", "", said)


def first_headers(path: Path | str) -> str:
    """Return ffmpeg's words on a file, and on each field in the headers of its first picture."""
    process = subprocess.run(
        [executable(), "-hide_banner", "-nostdin", "-i", named(path), "-map", "0:V:0",
         "-c", "copy", "-frames:v", "1", "-bsf:v", "trace_headers", "-f", "null", "-"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False,
        **APART,
    )  # fmt: skip
    return str(process.stderr, errors="replace")


def first_shown_s(path: Path | str) -> float | None:
    """Return when the first picture that can be decoded is shown, in the file's own seconds.

    None where there is none, or its time is not told.
    """
    process = subprocess.run(
        [executable(), "-v", "error", "-nostdin", "-copyts", "-i", named(path), "-map", "0:V:0",
         "-frames:v", "1", "-fps_mode", "passthrough", "-enc_time_base", "demux",
         "-f", "framecrc", "-"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False,
        **APART,
    )  # fmt: skip
    words = process.stdout.decode(errors="replace")
    tick = re.search(r"^#tb 0: *(\d+)/(\d+)", words, re.MULTILINE)
    shown = re.search(r"^0, *-?\d+, *(-?\d{1,18}),", words, re.MULTILINE)
    if tick is None or shown is None:
        return None
    return int(shown.group(1)) * int(tick.group(1)) / int(tick.group(2))


def list_packets(
    path: Path | str,
    take: Callable[[str], None],
    *,
    until_s: float | None = None,
    mends_times: bool = False,
    has_sound: bool = True,
) -> str:
    """Hand on ffmpeg's list of a file's packets, of its picture and its sound; return its words.

    ``-f framecrc`` writes a line a packet: stream, decoding and presentation time, duration, size,
    checksum, flags; before these, lines that begin with ``#`` tell of each stream.

    Parameters
    ----------
    path : Path or str
    take : callable
        Gets each line. A long file has more of them than should be held.
    until_s : float, optional
        Only the packets of the first so many seconds.
    mends_times : bool
        Let times that begin anew go on, and begin at 0.
    has_sound : bool
        With False the picture's alone.
    """
    as_they_are = [] if mends_times else ["-copyts"]
    sound = ["-map", "0:a:0?"] if has_sound else []
    part = [] if until_s is None else ["-t", f"{until_s:.6f}"]
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(
            [executable(), "-hide_banner", "-nostdin", *as_they_are, *part, "-i", named(path),
             # The upper case leaves covers and thumbnails out.
             "-map", "0:V:0?", *sound, "-c", "copy", "-f", "framecrc", "-"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=words, **APART,
        )  # fmt: skip
        assert process.stdout is not None
        try:
            for line in process.stdout:
                take(line.decode(errors="replace"))
        finally:
            process.kill()
            process.stdout.close()
            process.wait()
        words.seek(0)
        return words.read().decode(errors="replace")
