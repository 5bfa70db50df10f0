"""Run the ffmpeg of imageio-ffmpeg, and report its failures."""

import os
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
from vidsal.media import banner
from vidsal.media.truncation import readable_end
from vidsal.runtime.pipes import enlarge

# ffmpeg stays out of the terminal's process group, so that Ctrl-C reaches only vidsal. vidsal then
# decides whether to finish or to remove the file.
OWN_SESSION: dict[str, Any] = {"start_new_session": True}
# A recording that was cut, or a faulty encoder, need not place a header before the first picture.
_FIRST_PACKETS = ("-map", "0:V:0", "-c", "copy", "-frames:v", "16")
# imageio-ffmpeg's own ffmpeg is new enough.
_BUNDLED = Path(imageio_ffmpeg.__file__).parent
# Exit code after a signal that ffmpeg handles, such as SIGTERM.
_TERMINATED = 255
# Print errors only, and overwrite the output.
_GLOBAL_ARGS = ("-hide_banner", "-loglevel", "error", "-y")


def executable() -> str:
    """Return the path of ffmpeg.

    Raises
    ------
    VidsalError
        If ffmpeg is missing or too old.
    """
    try:
        path = shutil.which(str(imageio_ffmpeg.get_ffmpeg_exe()))
    except RuntimeError:
        path = None
    # imageio-ffmpeg does not check IMAGEIO_FFMPEG_EXE, which may name a missing file.
    if path is None:
        raise VidsalError(
            "ffmpeg was not found: pip install --force-reinstall imageio-ffmpeg, or set "
            "IMAGEIO_FFMPEG_EXE to its path"
        )
    if not Path(path).is_relative_to(_BUNDLED):
        _check_version(path)
    return path


@cache
def _check_version(program: str) -> None:
    """Raise `VidsalError` if an ffmpeg does not know the newest option that vidsal uses."""
    try:
        process = _run(
            program,
            ["-v", "error", "-f", "lavfi", "-i", "nullsrc=size=16x16", "-frames:v", "1",
             "-enc_time_base", "demux", "-f", "null", "-"],
        )  # fmt: skip
    except OSError as error:
        raise VidsalError(f"{program} cannot be used: {error.strerror}") from error
    if process.returncode:
        raise VidsalError(
            f"{program} cannot be used, it may be older than ffmpeg 6.1 "
            f"({failure_reason(process.stderr, process.returncode)}): pip install "
            "--force-reinstall imageio-ffmpeg, or set IMAGEIO_FFMPEG_EXE to the path of a newer one"
        )


def filters_from_stdin(program: str) -> list[str]:
    """Return the arguments by which ffmpeg reads the video filters of an output from its stdin.

    It reads them after it has opened and described its inputs.

    Parameters
    ----------
    program : str
        Path of ffmpeg.
    """
    if reads_options(program):
        return ["-/filter:v", "pipe:0"]
    return ["-filter_script:v", "pipe:0"]


def reads_options(program: str) -> bool:
    """Return whether an ffmpeg reads ``-/option FILE``: version 7.0 or newer.

    Parameters
    ----------
    program : str
        Path of ffmpeg.
    """
    return Path(program).is_relative_to(_BUNDLED) or _is_at_least_7(program)


@cache
def _is_at_least_7(program: str) -> bool:
    number = banner.version(_run(program, ["-version"]).stdout.decode(errors="replace"))
    # Builds between versions are named by their date or commit, and are newer.
    return not number.rpartition(" ")[2].lstrip("n").startswith("6.")


@cache
def encoders(program: str) -> frozenset[str]:
    """Return the names of the encoders in an ffmpeg build.

    Parameters
    ----------
    program : str
        Path of ffmpeg.

    Raises
    ------
    VidsalError
        If ffmpeg fails, with the reason.
    """
    process = _run(program, ["-hide_banner", "-encoders"])
    _check_exit(process)
    return banner.encoder_names(process.stdout.decode(errors="replace"))


def _run(
    program: str, args: list[str], *, folder: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run ffmpeg to its end, in a folder if one is given; keep stdout and stderr."""
    return subprocess.run(
        [program, *args],
        stdin=subprocess.DEVNULL, capture_output=True, check=False, cwd=folder, **OWN_SESSION,
    )  # fmt: skip


def _check_exit(process: subprocess.CompletedProcess[bytes]) -> None:
    """Raise `VidsalError` if ffmpeg failed."""
    if process.returncode:
        raise VidsalError(f"ffmpeg failed: {failure_reason(process.stderr, process.returncode)}")


def file_url(path: Path | str) -> str:
    """Return the URL by which ffmpeg reads or writes a file, whatever colons or dashes it has.

    The URL of a stream is returned unchanged.

    Parameters
    ----------
    path : Path or str
        Path of a file, or URL of a stream.
    """
    if isinstance(path, str) and "://" in path:
        return path
    return readable_part_url(Path(path)) or f"file:{path}"


def readable_part_url(path: Path) -> str | None:
    """Return libav's URL for the readable part of a truncated file; None if all is readable.

    Parameters
    ----------
    path : Path
        A media file.
    """
    end = readable_end(path)
    return None if end is None else f"subfile,,start,0,end,{end},,:{path.absolute()}"


class Encoder:
    """An ffmpeg process that reads raw frames from its stdin and writes a file.

    Parameters
    ----------
    args : list of str
        Arguments after the program's name.
    """

    def __init__(self, args: list[str]) -> None:
        # A file instead of a pipe: ffmpeg would block on a full pipe that nobody reads.
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [executable(), *_GLOBAL_ARGS, *args],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._stderr, **OWN_SESSION,
        )  # fmt: skip
        assert self._process.stdin is not None
        enlarge(self._process.stdin)

    def write(self, data: Any) -> None:
        """Write bytes to ffmpeg's stdin.

        Parameters
        ----------
        data : bytes-like
            In the format that the encoder was started for.

        Raises
        ------
        VidsalError
            If ffmpeg has ended, with the reason.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
        except OSError as error:
            self._process.wait()
            raise self._failure() from error

    def finish(self) -> None:
        """Close ffmpeg's stdin, wait for its end, and check its exit code.

        Raises
        ------
        VidsalError
            If ffmpeg failed, with the reason.
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
        """Kill ffmpeg if it still runs, and release its files."""
        if self._process.poll() is None:
            self._process.kill()
        if self._process.stdin is not None:
            # Buffered data has no reader any more.
            with suppress(OSError):
                self._process.stdin.close()
        self._process.wait()
        self._stderr.close()

    def _failure(self) -> VidsalError:
        self._stderr.seek(0)
        reason = failure_reason(self._stderr.read(), self._process.returncode)
        return VidsalError(f"ffmpeg failed: {reason}")


def convert(args: list[str], *, folder: Path | None = None) -> None:
    """Run ffmpeg from files to files.

    Parameters
    ----------
    args : list of str
        Arguments after the program's name.
    folder : Path, optional
        Working directory of ffmpeg.

    Raises
    ------
    VidsalError
        If ffmpeg fails, with the reason.
    """
    _check_exit(_run(executable(), [*_GLOBAL_ARGS, *args], folder=folder))


def termination(exit_code: int) -> str:
    """Return how a signal ended ffmpeg, such as "was killed by signal 9"; empty if none did.

    Parameters
    ----------
    exit_code : int
        Exit status of the process; negative for a signal.
    """
    if exit_code < 0:
        return f"was killed by signal {-exit_code}"
    return "was terminated" if exit_code == _TERMINATED else ""


def failure_reason(stderr: bytes, exit_code: int) -> str:
    """Return why ffmpeg failed, in one line.

    Parameters
    ----------
    stderr : bytes
        What ffmpeg printed there.
    exit_code : int
        Negative for a signal.
    """
    text = stderr.decode(errors="replace")
    if banner.is_disk_full(text):
        return "no space left on the disk"
    if exit_code < 0:
        return f"it {termination(exit_code)}"
    return banner.error_cause(text) or f"exit code {exit_code}"


def header_trace(bitstream_filter: str = "trace_headers", *, option: str = "-bsf:v") -> list[str]:
    """Return the arguments of an output that logs each field in the headers of some video packets.

    The first of these packets is that of the first key frame.

    Parameters
    ----------
    bitstream_filter : str
        By default H.264 and HEVC are supported. ``null`` logs nothing and supports all codecs.
    option : str
        ``-/bsf:v`` if `bitstream_filter` is a file with the filter's name; see `reads_options`.
    """
    # The usual null output needs pictures whose size is known.
    return [*_FIRST_PACKETS, option, bitstream_filter, "-f", "framecrc", "-y", os.devnull]


def first_packets(path: str) -> list[str]:
    """Return the arguments of an output with the packets that `header_trace` reads.

    Parameters
    ----------
    path : str
        File to write, an MPEG transport stream: it need not know the size of the pictures.
    """
    # The first packet may lack a time, which this container needs.
    times = ("-bsf:v", "setts=ts=N/25/TB")
    return [*_FIRST_PACKETS, *times, "-flush_packets", "1", "-f", "mpegts", "-y", path]


def trace_headers(path: Path | str) -> str:
    """Return ffmpeg's log with each field in the headers of a file's first video packets.

    A recording that was cut need not begin with a header.

    Parameters
    ----------
    path : Path or str
        A video file, or the URL of a stream.
    """
    process = _run(
        executable(),
        ["-hide_banner", "-nostdin", "-i", file_url(path), *header_trace()],
    )
    return process.stderr.decode(errors="replace")


def first_frame_s(path: Path | str) -> float | None:
    """Return the presentation time of the first frame that can be decoded.

    Parameters
    ----------
    path : Path or str

    Returns
    -------
    float or None
        Seconds in the file's own time. ``None`` if there is no frame, or its time is unknown.
    """
    process = _run(
        executable(),
        ["-v", "error", "-nostdin", "-copyts", "-i", file_url(path), "-map", "0:V:0",
         "-frames:v", "1", "-fps_mode", "passthrough", "-enc_time_base", "demux",
         "-f", "framecrc", "-"],
    )  # fmt: skip
    return banner.first_time_s(process.stdout.decode(errors="replace"))


def list_packets(
    path: Path | str,
    add_line: Callable[[str], None],
    *,
    until_s: float | None = None,
    repairs_times: bool = False,
    has_audio: bool = True,
) -> str:
    """List the packets of a file's video stream and audio stream; return ffmpeg's stderr.

    ``-f framecrc`` writes one line per packet: stream, decoding and presentation time, duration,
    size, checksum, flags. Lines that begin with ``#`` describe the streams and come first.

    Parameters
    ----------
    path : Path or str
    add_line : callable
        Gets each line. The list of a long file is too large to keep.
    until_s : float, optional
        List only the first `until_s` seconds.
    repairs_times : bool
        Let ffmpeg repair timestamps that restart, so that they increase from 0.
    has_audio : bool
        With ``False`` only the video stream is listed.
    """
    times = [] if repairs_times else ["-copyts"]
    audio = ["-map", "0:a:0?"] if has_audio else []
    part = [] if until_s is None else ["-t", f"{until_s:.6f}"]
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            [executable(), "-hide_banner", "-nostdin", *times, *part, "-i", file_url(path),
             # The upper case V leaves out covers and thumbnails.
             "-map", "0:V:0?", *audio, "-c", "copy", "-f", "framecrc", "-"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, **OWN_SESSION,
        )  # fmt: skip
        assert process.stdout is not None
        try:
            for line in process.stdout:
                add_line(line.decode(errors="replace"))
        finally:
            process.kill()
            process.stdout.close()
            process.wait()
        stderr.seek(0)
        return stderr.read().decode(errors="replace")
