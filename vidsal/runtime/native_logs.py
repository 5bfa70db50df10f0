"""The log lines of native libraries, kept off the terminal and sent to vidsal's log."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)

# Environment variables that silence each library.
_TENSORFLOW = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1"}
_OPENCV = {
    "OPENCV_LOG_LEVEL": "SILENT",
    "OPENCV_FFMPEG_LOGLEVEL": "-8",
    "OPENCV_VIDEOIO_DEBUG": "0",
}


def quiet_tensorflow() -> None:
    """Set the environment variables that silence TensorFlow, which reads them at its import.

    Variables that the user has set stay. After TensorFlow's import nothing is set.
    """
    if "tensorflow" not in sys.modules:
        _set_defaults(_TENSORFLOW)


def quiet_opencv() -> None:
    """Set the environment variables that silence OpenCV and libav; the user's own ones stay."""
    _set_defaults(_OPENCV)


def _set_defaults(variables: dict[str, str]) -> None:
    """Set environment variables that are not set yet."""
    for name, value in variables.items():
        os.environ.setdefault(name, value)


@contextmanager
def native_stderr_logged(*, when: bool = True) -> Iterator[None]:
    """Send the stderr of native code to the log, as debug messages.

    This redirects the file descriptor, because C++ does not use ``sys.stderr``. It therefore suits
    short blocks in which no other code writes to stderr.

    Parameters
    ----------
    when : bool
        With False nothing is redirected. The same holds without a stderr, or without disk space
        for a temporary file.
    """
    if not when or sys.stderr is None:
        yield
        return
    # Its import delays `vidsal --help`.
    import tempfile

    sys.stderr.flush()
    try:
        redirected, original = tempfile.TemporaryFile(), os.dup(2)  # noqa: SIM115
    except OSError as error:
        log.debug("stderr is not redirected: %s", error)
        yield
        return
    with redirected:
        try:
            os.dup2(redirected.fileno(), 2)
            yield
        finally:
            os.dup2(original, 2)
            os.close(original)
            redirected.seek(0)
            for line in redirected.read().decode(errors="replace").splitlines():
                log.debug("%s", line)
