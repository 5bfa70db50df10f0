"""Memory that is not needed any more, kept out of the way."""

import gc
import platform

import numpy as np
import pytest

from vidsal.runtime.allocation import gc_paused, keep_freed


@pytest.mark.parametrize("was_on", [True, False])
def test_off_within_and_as_it_was_afterwards(was_on: bool) -> None:
    (gc.enable if was_on else gc.disable)()
    try:
        with gc_paused():
            assert not gc.isenabled()
        assert gc.isenabled() is was_on
        with pytest.raises(KeyError), gc_paused():
            raise KeyError
        assert gc.isenabled() is was_on
    finally:
        gc.enable()


def test_what_stays_for_good_is_not_looked_at_again() -> None:
    before = gc.get_freeze_count()
    with gc_paused():
        pass
    assert gc.get_freeze_count() == before
    kept: list[object] = []
    with gc_paused(for_good=True):
        kept.append([])
    try:
        assert gc.get_freeze_count() > before + 1000
        assert not any(one is kept for one in gc.get_objects())
    finally:
        gc.unfreeze()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left alone")
def test_the_memory_of_a_freed_picture_is_there_for_the_next() -> None:
    resource = pytest.importorskip("resource")

    def faults_of_a_picture() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        np.ones((720, 1280, 3), np.uint8)
        return int(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

    assert keep_freed()
    faults_of_a_picture()
    # It has 675 pages.
    assert faults_of_a_picture() < 100


def test_without_glibc_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    keep_freed.cache_clear()
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    assert not keep_freed()
    keep_freed.cache_clear()
