"""The state of a stream, pickled and restored; other pickles run nothing."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vidsal.errors import VidsalError
from vidsal.runtime.safe_pickle import dumps, loads
from vidsal.saliency.normalization import DisplayScale, SceneScales
from vidsal.saliency.state import STATE_CLASSES, StreamState
from vidsal.saliency.targets import TargetLock
from vidsal.saliency.temporal import GradientAverage, SpeedAverage
from vidsal.types import Prediction


def _full() -> StreamState:
    rng = np.random.default_rng(0)
    values = rng.random((4, 6)).astype(np.float32)
    state = StreamState()
    state.motion.reference = rng.integers(0, 256, (4, 6, 3), np.uint8)
    state.motion.reference_s = 1 / 3
    state.motion.scenes.event(values, None, 0.0)
    state.motion.speeds.now = SpeedAverage(values, 0.1)
    state.sampling.weights.now = values * 2
    state.sampling.position = 2
    state.static.predicted_s = 0.24
    state.static.locks.now = TargetLock().after(0.1, 7)
    state.static.prediction = Prediction((7,), ("cat",), (0.25,), 7, "cat", 0.25)
    state.static.averages.now = GradientAverage(values, values[::-1])
    scales = SceneScales(
        DisplayScale("stable"), DisplayScale("stable", floor=0.03), DisplayScale("fixed:0,1")
    )
    scales.static(values, 0.04)
    state.fusion.scales.now = scales
    return state


def _restored(data: bytes) -> StreamState:
    return loads(data, StreamState, STATE_CLASSES)


def test_a_state_is_restored_as_it_was() -> None:
    state = _full()
    back = _restored(dumps(state))
    assert state.motion.reference is not None and back.motion.reference is not None
    assert np.array_equal(back.motion.reference, state.motion.reference)
    assert back.motion.reference.dtype == np.uint8
    assert back.motion.reference_s == 1 / 3
    assert (back.sampling.position, back.static.predicted_s) == (2, 0.24)
    assert back.static.prediction == state.static.prediction
    assert back.static.locks.now == state.static.locks.now
    assert back.motion.speeds.now and state.motion.speeds.now
    assert np.array_equal(back.motion.speeds.now.total, state.motion.speeds.now.total)
    assert back.static.averages.now and state.static.averages.now
    assert np.array_equal(back.static.averages.now.weight, state.static.averages.now.weight)
    assert dumps(back) == dumps(_restored(dumps(back)))


def test_a_restored_scale_remembers_the_maps_before() -> None:
    state = _full()
    back = _restored(dumps(state))
    assert back.fusion.scales.now and state.fusion.scales.now
    other = np.full((4, 6), 3, np.float32)
    one, expected = (
        scales.static(other, 1.0) for scales in (back.fusion.scales.now, state.fusion.scales.now)
    )
    assert np.array_equal(one.values, expected.values)
    assert one.high == expected.high > 0
    # The first map, whose values are at most 1, still counts: a new scale would end at 3.
    assert expected.high < 3 and not expected.is_first


def test_a_pickle_is_a_copy_of_the_state() -> None:
    state = _full()
    data = dumps(state)
    assert state.sampling.weights.now is not None
    state.sampling.weights.now *= 0
    state.sampling.position = 9
    back = _restored(data)
    assert back.sampling.weights.now is not None and back.sampling.weights.now.any()
    assert back.sampling.position == 2


class _Touching:
    """Makes a folder when plain pickle loads it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_a_function_in_a_pickle_is_not_called(tmp_path: Path) -> None:
    state = _full()
    state.static.prediction = _Touching(tmp_path / "made")  # type: ignore[assignment]
    with pytest.raises(VidsalError, match=r"names (posix|nt)\.mkdir, which is not allowed"):
        _restored(pickle.dumps(state))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "name", ["numpy.load", "builtins.eval", "vidsal.runtime.safe_pickle.pickle.loads"]
)
def test_names_of_other_modules_are_refused(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    data = f"c{module}\n{attribute}\n.".encode()
    with pytest.raises(VidsalError, match="which is not allowed"):
        _restored(data)


def test_other_and_corrupt_pickles_are_refused() -> None:
    with pytest.raises(VidsalError, match="a StreamState was expected, got a dict"):
        _restored(pickle.dumps({}))
    for corrupt in (b"", b"\x80", dumps(_full())[:-40]):
        with pytest.raises(VidsalError, match="is corrupt"):
            _restored(corrupt)
