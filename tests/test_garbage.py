"""The garbage collector, kept out of the way."""

import gc

import pytest

from vidsal.garbage import uncollected


@pytest.mark.parametrize("was_on", [True, False])
def test_off_within_and_as_it_was_afterwards(was_on: bool) -> None:
    (gc.enable if was_on else gc.disable)()
    try:
        with uncollected():
            assert not gc.isenabled()
        assert gc.isenabled() is was_on
        with pytest.raises(KeyError), uncollected():
            raise KeyError
        assert gc.isenabled() is was_on
    finally:
        gc.enable()


def test_what_stays_for_good_is_not_looked_at_again() -> None:
    before = gc.get_freeze_count()
    with uncollected():
        pass
    assert gc.get_freeze_count() == before
    kept: list[object] = []
    with uncollected(for_good=True):
        kept.append([])
    try:
        assert gc.get_freeze_count() > before + 1000
        assert not any(one is kept for one in gc.get_objects())
    finally:
        gc.unfreeze()
