"""Pipes to and from other programs."""

import os
import sys

import pytest

from vidsal.runtime.pipes import PIPE_BYTES, enlarge


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell the size of a pipe")
def test_a_pipe_is_enlarged_where_that_is_permitted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import fcntl

    caplog.set_level("DEBUG", logger="vidsal")
    ends = os.pipe()
    with os.fdopen(ends[0], "rb") as reader, os.fdopen(ends[1], "wb"):
        before = fcntl.fcntl(reader, fcntl.F_GETPIPE_SZ)
        with monkeypatch.context() as refusing:
            refusing.setattr(fcntl, "fcntl", _refuse)
            enlarge(reader)
        assert fcntl.fcntl(reader, fcntl.F_GETPIPE_SZ) == before
        assert caplog.messages == ["pictures pass a pipe of the usual size: limit reached"]
        try:
            fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        except OSError:
            pytest.skip("this system refuses pipes of this size")
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, before)
        enlarge(reader)
        assert fcntl.fcntl(reader, fcntl.F_GETPIPE_SZ) == PIPE_BYTES


def _refuse(*_: object) -> int:
    raise PermissionError("limit reached")
