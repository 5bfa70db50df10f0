"""Keeping native libraries' chatter off the terminal, without losing it."""

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)

_TENSORFLOW = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1"}
_OPENCV = {
    "OPENCV_LOG_LEVEL": "SILENT",
    "OPENCV_FFMPEG_LOGLEVEL": "-8",
    "OPENCV_VIDEOIO_DEBUG": "0",
}


def quiet_tensorflow() -> None:
    """Ask TensorFlow for silence before it is imported, which is when it reads what was asked.

    A user's own wish wins, and so does a program that has it imported already.
    """
    if "tensorflow" not in sys.modules:
        _ask(_TENSORFLOW)


def quiet_opencv() -> None:
    """Ask OpenCV and libav for silence; a user's own wish wins."""
    _ask(_OPENCV)


def _ask(wishes: dict[str, str]) -> None:
    for name, value in wishes.items():
        os.environ.setdefault(name, value)


@contextmanager
def native_stderr_logged(*, when: bool = True) -> Iterator[None]:
    """Send what native code writes to stderr to the log, as debug messages.

    Works on the file descriptor, since C++ does not know of ``sys.stderr``; so it is for short
    stretches in which nobody else writes there.

    Parameters
    ----------
    when : bool
        With False nothing is changed; nor where there is no stderr, or no room for what it gets.
    """
    if not when or sys.stderr is None:
        yield
        return
    sys.stderr.flush()
    try:
        words, kept = tempfile.TemporaryFile(), os.dup(2)  # noqa: SIM115
    except OSError as error:
        log.debug("stderr is left as it is: %s", error)
        yield
        return
    with words:
        try:
            os.dup2(words.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            words.seek(0)
            for line in words.read().decode(errors="replace").splitlines():
                log.debug("%s", line)
