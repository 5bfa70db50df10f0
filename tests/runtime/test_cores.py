"""OpenCV's share of the cores."""

from collections.abc import Iterator

import pytest

from vidsal.runtime import cores
from vidsal.runtime.opencv import cv2


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    before = cv2.getNumThreads()
    yield
    cv2.setNumThreads(before)


def test_there_is_a_core() -> None:
    assert cores.usable_cores() >= 1


@pytest.mark.parametrize(("before", "within"), [(1, 1), (2, 1), (3, 1), (8, 4)])
def test_opencv_has_half_of_its_threads_within_the_block(before: int, within: int) -> None:
    cv2.setNumThreads(before)
    with cores.half_for_opencv():
        assert cv2.getNumThreads() == within
    assert cv2.getNumThreads() == before
    with pytest.raises(KeyError), cores.half_for_opencv():
        raise KeyError
    assert cv2.getNumThreads() == before


@pytest.mark.parametrize("ends_first", [0, 1])
def test_blocks_that_overlap_leave_what_was_before_the_first(ends_first: int) -> None:
    cv2.setNumThreads(4)
    blocks = [cores.half_for_opencv() for _ in range(2)]
    for block in blocks:
        block.__enter__()
        assert cv2.getNumThreads() == 2
    blocks[ends_first].__exit__(None, None, None)
    assert cv2.getNumThreads() == 2
    blocks[1 - ends_first].__exit__(None, None, None)
    assert cv2.getNumThreads() == 4
