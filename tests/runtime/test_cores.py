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


@pytest.mark.parametrize(
    ("usable", "before", "within"), [(1, 2, 1), (2, 2, 1), (3, 3, 1), (8, 8, 4), (8, 2, 2)]
)
def test_opencv_has_half_of_the_cores_within_the_block(
    usable: int, before: int, within: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cores, "usable_cores", lambda: usable)
    cv2.setNumThreads(before)
    with cores.half_for_opencv():
        assert cv2.getNumThreads() == within
    assert cv2.getNumThreads() == before
    with pytest.raises(KeyError), cores.half_for_opencv():
        raise KeyError
    assert cv2.getNumThreads() == before
