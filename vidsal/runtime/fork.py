"""A clear error instead of a hang, where a process was forked after TensorFlow ran.

A forked process has the memory of its parent but not its threads. TensorFlow then waits for ever
for the threads of its pool. OpenCV makes its threads again.
"""

import os

from vidsal.errors import VidsalError

# By library, the process that used it first.
_first_users: dict[str, int] = {}


def require_own_threads(library: str) -> None:
    """Record that this process uses a library, and check that no parent has used it before.

    Parameters
    ----------
    library : str
        Its name, for the message.

    Raises
    ------
    VidsalError
        If this process was forked after its parent used the library.
    """
    if _first_users.setdefault(library, os.getpid()) != os.getpid():
        raise VidsalError(
            f"this process was forked after {library} ran, and {library} does not work in such a "
            'process: start processes with multiprocessing.get_context("spawn"), or fork before '
            "the first analysis"
        )
