"""A memory as bytes and back; bytes that are something else run nothing."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vidsal.errors import VidsalError
from vidsal.runtime.safe_pickle import dumps, loads
from vidsal.saliency.normalization import Scale, Scales
from vidsal.saliency.state import MEMORY_CLASSES, Memory
from vidsal.saliency.targets import Lock
from vidsal.saliency.temporal import GradientAverage, SpeedAverage
from vidsal.types import Prediction


def _full() -> Memory:
    rng = np.random.default_rng(0)
    values = rng.random((4, 6)).astype(np.float32)
    memory = Memory(small=rng.integers(0, 256, (4, 6, 3), np.uint8), before_s=1 / 3, undrawn=2)
    memory.scenes.verdict(values, None, 0.0)
    memory.trails.now = SpeedAverage(values, 0.1)
    memory.weights.now = values * 2
    memory.looked_s = 0.24
    memory.locks.now = Lock().after(0.1, 7)
    memory.prediction = Prediction((7,), ("cat",), (0.25,), 7, "cat", 0.25)
    memory.histories.now = GradientAverage(values, values[::-1])
    scales = Scales(Scale("stable"), Scale("stable", floor=0.03), Scale("fixed:0,1"))
    scales.static(values, 0.04)
    memory.scales.now = scales
    return memory


def test_a_memory_comes_back_as_it_was() -> None:
    memory = _full()
    back = loads(dumps(memory), Memory, MEMORY_CLASSES)
    assert memory.small is not None and back.small is not None
    assert np.array_equal(back.small, memory.small) and back.small.dtype == np.uint8
    assert (back.before_s, back.undrawn, back.looked_s) == (1 / 3, 2, 0.24)
    assert back.prediction == memory.prediction and back.locks.now == memory.locks.now
    assert back.trails.now and memory.trails.now and memory.histories.now
    assert np.array_equal(back.trails.now.total, memory.trails.now.total)
    assert np.array_equal(back.histories.now.weight, memory.histories.now.weight)  # type: ignore[union-attr]
    assert back.scales.now and memory.scales.now
    assert back.scales.now.static.high == memory.scales.now.static.high > 0
    other = np.full((4, 6), 3, np.float32)
    assert np.array_equal(back.scales.now.static(other, 1.0), memory.scales.now.static(other, 1.0))
    assert dumps(back) == dumps(loads(dumps(back), Memory, MEMORY_CLASSES))


def test_bytes_keep_what_was_when_they_were_made() -> None:
    memory = _full()
    data = dumps(memory)
    assert memory.weights.now is not None
    memory.weights.now *= 0
    memory.undrawn = 9
    back = loads(data, Memory, MEMORY_CLASSES)
    assert back.weights.now is not None and back.weights.now.any() and back.undrawn == 2


class _Touching:
    """Makes a file when it is unpickled by somebody who trusts it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_nothing_else_is_run(tmp_path: Path) -> None:
    memory = _full()
    memory.prediction = _Touching(tmp_path / "made")  # type: ignore[assignment]
    with pytest.raises(VidsalError, match=r"names (posix|nt)\.mkdir, which is no part of it"):
        loads(pickle.dumps(memory), Memory, MEMORY_CLASSES)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "name", ["numpy.load", "builtins.eval", "vidsal.runtime.safe_pickle.pickle.loads"]
)
def test_names_that_only_look_alike_are_refused(name: str) -> None:
    module, _, word = name.rpartition(".")
    data = f"c{module}\n{word}\n.".encode()
    with pytest.raises(VidsalError, match="which is no part of it"):
        loads(data, Memory, MEMORY_CLASSES)


def test_what_is_no_memory_is_refused() -> None:
    with pytest.raises(VidsalError, match="a Memory was expected, got a dict"):
        loads(pickle.dumps({}), Memory, MEMORY_CLASSES)
    for damaged in (b"", b"\x80", dumps(_full())[:-40]):
        with pytest.raises(VidsalError, match="cannot be read"):
            loads(damaged, Memory, MEMORY_CLASSES)
