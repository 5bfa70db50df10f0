"""Pipes to and from other programs."""

import logging
import sys
from typing import IO

log = logging.getLogger(__name__)

# A picture of 1280 x 720 passes a usual pipe of 64 KiB in 43 parts, and this one in 3. Both
# programs are woken for each part.
PIPE_BYTES = 1 << 20


def enlarge(pipe: IO[bytes]) -> None:
    """Enlarge a pipe to 1 MiB where the system can, and permits it.

    Parameters
    ----------
    pipe : file
        One of its ends.
    """
    if sys.platform == "linux":
        import fcntl

        try:
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        except OSError as error:
            # Users without privileges share a bounded amount of memory for pipes.
            log.debug("pictures pass a pipe of the usual size: %s", error)
