"""Keeping native libraries' chatter off the terminal, without losing it."""

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)


@contextmanager
def native_stderr_logged(*, when: bool = True) -> Iterator[None]:
    """Send what native code writes to stderr to the log, as debug messages.

    Works on the file descriptor, since C++ does not know of ``sys.stderr``; so it is for short
    stretches in which nobody else writes there.

    Parameters
    ----------
    when : bool
        With False nothing is changed; nor where there is no stderr.
    """
    if not when or sys.stderr is None:
        yield
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile() as words:
        kept = os.dup(2)
        try:
            os.dup2(words.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            words.seek(0)
            for line in words.read().decode(errors="replace").splitlines():
                log.debug("%s", line)
