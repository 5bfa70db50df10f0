"""An ffmpeg process that reads a live stream: its pictures in a pipe, its log in a file."""

import os
import re
import subprocess
import tempfile
import time
from contextlib import suppress
from typing import IO

from vidsal.media import banner, ffmpeg
from vidsal.runtime.pipes import enlarge

# ffmpeg's log is emptied when it exceeds this size, since a stream may last for days.
_LOG_BYTES = 1 << 20
# How often ffmpeg's log is read until it has what is waited for.
_LOG_POLL_S = 0.005


class LiveFfmpeg:
    """An ffmpeg process that writes pictures to its stdout, and its log to a file.

    Parameters
    ----------
    arguments : list of str
    stdin : file or int
        As for `subprocess.Popen`.

    Attributes
    ----------
    stdout : file
        The end of the pipe from which the pictures are read.
    """

    def __init__(self, arguments: list[str], *, stdin: IO[bytes] | int) -> None:
        # ffmpeg appends, wherever this file is read.
        self._stderr: IO[bytes] = tempfile.TemporaryFile("a+b")  # noqa: SIM115
        self._read_bytes = 0
        self._process = subprocess.Popen(
            [ffmpeg.executable(), *arguments],
            stdin=stdin, stdout=subprocess.PIPE, stderr=self._stderr,
            **ffmpeg.OWN_SESSION,
        )  # fmt: skip
        assert self._process.stdout is not None
        self.stdout: IO[bytes] = self._process.stdout
        enlarge(self.stdout)

    def log(self) -> str:
        """Return what ffmpeg has printed."""
        return banner.without_levels(self._text())

    def new_log(self) -> str:
        """Return the lines that ffmpeg has printed since the last call; empty a long log."""
        size = os.fstat(self._stderr.fileno()).st_size
        if size == self._read_bytes:
            return ""
        self._stderr.seek(self._read_bytes)
        lines, end, _ = self._stderr.read().rpartition(b"\n")
        self._read_bytes += len(lines) + len(end)
        if size > _LOG_BYTES:
            self._stderr.truncate(0)
            self._read_bytes = 0
        return banner.without_levels(lines.decode(errors="replace"))

    def wait_for(self, pattern: re.Pattern[str]) -> None:
        """Wait until the log has a text, or ffmpeg has ended.

        Parameters
        ----------
        pattern : re.Pattern
        """
        while self._process.poll() is None and not pattern.search(self.log()):
            time.sleep(_LOG_POLL_S)

    def write_stdin(self, text: str) -> None:
        """Write a text to ffmpeg's stdin, and close it.

        Parameters
        ----------
        text : str
        """
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.write(text.encode())
        self._close_stdin()

    def failure(self) -> str:
        """Return why ffmpeg ended, once it has; empty if no sender was found."""
        self._close_stdin()
        self._process.wait()
        return banner.connection_error(banner.only_errors(self._text()))

    def kill(self) -> None:
        """End ffmpeg."""
        if self._process.poll() is None:
            self._process.kill()

    def close(self) -> None:
        """End ffmpeg and close its pipes."""
        self.kill()
        self._close_stdin()
        self.stdout.close()
        self._process.wait()
        with suppress(OSError):
            self._stderr.close()

    def _text(self) -> str:
        self._stderr.seek(0)
        return self._stderr.read().decode(errors="replace")

    def _close_stdin(self) -> None:
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
