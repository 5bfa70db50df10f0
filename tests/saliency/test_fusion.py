"""Fusion, share of motion and centre prior in closed form."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from vidsal.saliency.fusion import centre_prior, fuse, motion_share
from vidsal.settings import Fusion
from vidsal.types import Map

UNIT = npst.arrays(np.float32, (4, 5), elements=st.floats(0, 1, width=32))
# Static maps are not clipped before the fusion.
OPEN = npst.arrays(np.float32, (4, 5), elements=st.floats(0, 8, width=32))


def _map(*rows: list[float]) -> Map:
    return np.array(rows, np.float32)


def test_motion_amplifies_the_static_map() -> None:
    static = _map([0.0, 0.25, 0.5, 0.5], [0.5, 0.9, 1.0, 0.1])
    motion = _map([1.0, 1.0, 0.0, 0.5], [1.0, 1.0, 1.0, 1.0])
    # Not clipped: motion selects among the peaks.
    expected = _map([0.0, 0.5, 0.5, 0.75], [1.0, 1.8, 2.0, 0.2])
    assert fuse(static, motion, gain=1.0) == pytest.approx(expected, abs=1e-6)
    assert np.array_equal(fuse(static, motion), fuse(static, motion, method="gain", gain=1.0))
    expected = _map([0.0, 0.75, 0.5, 1.0], [1.5, 2.7, 3.0, 0.3])
    assert fuse(static, motion, gain=2.0) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("gain", [0.0, 0.25 * 1.5, 0.5, 2 * 3.0]),
        ("sum", [2.0, 0.25 + 0.5, 0.5, 2 + 2.0]),
        ("max", [2.0, 0.5, 0.5, 2.0]),
        ("static", [0.0, 0.25, 0.5, 2.0]),
        ("motion", [1.0, 0.25, 0.0, 1.0]),
    ],
)
def test_each_method_in_closed_form(method: Fusion, expected: list[float]) -> None:
    assert method in get_args(Fusion)
    static, motion = _map([0.0, 0.25, 0.5, 2.0]), _map([1.0, 0.25, 0.0, 1.0])
    kept = static.copy(), motion.copy()
    fused = fuse(static, motion, method=method, gain=2.0)
    assert fused.dtype == np.float32
    assert fused == pytest.approx(_map(expected), abs=1e-6)
    fused[:] = 9
    assert np.array_equal(static, kept[0]) and np.array_equal(motion, kept[1])


def test_motion_may_amplify_another_map() -> None:
    static, motion = _map([0.5, 0.5, 0.0, 2.0]), _map([1.0, 0.5, 1.0, 0.0])
    sharp = _map([0.0, 1.0, 0.25, 9.0])
    fused = fuse(static, motion, gain=2.0, amplified=sharp)
    assert fused == pytest.approx(_map([0.5, 1.5, 0.5, 2.0]), abs=1e-6)
    # The other methods do not amplify anything.
    for method in get_args(Fusion):
        if method != "gain":
            alone = fuse(static, motion, method=method, gain=2.0)
            assert np.array_equal(
                fuse(static, motion, method=method, gain=2.0, amplified=sharp), alone
            )
    with pytest.raises(ValueError, match=r"amplified \(1, 2\)"):
        fuse(static, motion, amplified=sharp[:, :2])


@pytest.mark.parametrize("method", ["gain", "sum", "max", "static"])
@given(static=OPEN, gain=st.floats(0, 100))
@settings(deadline=None)
def test_no_motion_is_the_identity(method: Fusion, static: Map, gain: float) -> None:
    assert np.array_equal(fuse(static, np.zeros_like(static), method=method, gain=gain), static)


@pytest.mark.parametrize("method", ["gain", "sum", "max", "static"])
@given(static=OPEN, motion=UNIT)
@settings(deadline=None)
def test_no_gain_is_the_identity(method: Fusion, static: Map, motion: Map) -> None:
    assert np.array_equal(fuse(static, motion, method=method, gain=0.0), static)


@given(static=OPEN, motion=UNIT, gain=st.floats(0, 100))
@settings(deadline=None)
def test_fusion_stays_between_the_static_and_the_amplified_map(
    static: Map, motion: Map, gain: float
) -> None:
    kept = static.copy(), motion.copy()
    fused = fuse(static, motion, gain=gain)
    assert fused.dtype == np.float32
    assert (fused >= static).all() and (fused <= static * np.float32(1.001 + gain)).all()
    exact = static.astype(np.float64) * (1 + gain * motion.astype(np.float64))
    assert fused == pytest.approx(exact, rel=1e-5, abs=1e-5)
    assert np.array_equal(static, kept[0]) and np.array_equal(motion, kept[1])


@pytest.mark.parametrize("method", get_args(Fusion))
def test_maps_of_two_sizes_are_refused(method: Fusion) -> None:
    with pytest.raises(ValueError, match=r"got static \(2, 3\), motion \(1, 3\)"):
        fuse(np.zeros((2, 3), np.float32), np.zeros((1, 3), np.float32), method=method)


def test_share_of_motion_in_closed_form() -> None:
    static, motion = _map([1.0, 1.0, 0.5, 0.0]), _map([1.0, 0.0, 0.5, 1.0])
    # The sum is 3 + 1 + 1; the gain added 2 + 0 + 0.5.
    assert motion_share(static, fuse(static, motion, gain=2.0)) == pytest.approx(2.5 / 5)
    assert motion_share(static, fuse(static, motion, method="sum")) == pytest.approx(2.5 / 5)
    assert motion_share(static, fuse(static, motion, method="max")) == pytest.approx(1 / 3.5)
    # In (1, 0, 0.5, 1), only the last value is not in the static map.
    assert motion_share(static, fuse(static, motion, method="motion")) == pytest.approx(1 / 2.5)
    assert motion_share(static, static) == 0
    assert motion_share(0 * static, motion) == 1
    assert motion_share(0 * static, 0 * motion) == 0


@given(static=OPEN, motion=UNIT, gain=st.floats(0, 100))
@settings(deadline=None)
def test_share_of_motion_is_a_share(static: Map, motion: Map, gain: float) -> None:
    for method in get_args(Fusion):
        assert 0 <= motion_share(static, fuse(static, motion, method=method, gain=gain)) <= 1


def test_share_of_even_motion_in_closed_form() -> None:
    static = np.random.default_rng(0).random((30, 40), dtype=np.float32)
    even = np.full_like(static, 0.5)
    share = motion_share(static, fuse(static, even, gain=3.0))
    assert share == pytest.approx(1.5 / 2.5, rel=1e-6)


@pytest.mark.parametrize("size", [(91, 161), (45, 45), (161, 31)])
@pytest.mark.parametrize("options", [{}, {"deviation": 0.5}])
def test_centre_prior_is_a_gaussian_of_both_sides(
    size: tuple[int, int], options: dict[str, float]
) -> None:
    prior = centre_prior(size, **options)
    assert prior.shape == size and prior.dtype == np.float32
    rows, columns = ((np.arange(side) + 0.5) / side - 0.5 for side in size)
    deviation = options.get("deviation", 0.17)
    expected = np.exp(-(rows[:, None] ** 2 + columns[None] ** 2) / (2 * deviation**2))
    assert prior == pytest.approx(expected, abs=1e-6)
    middle = size[0] // 2, size[1] // 2
    assert prior[middle] == 1 == prior.max() and (prior == 1).sum() == 1
    # It is separable: the middle row and column have the standard deviations.
    assert prior == pytest.approx(np.outer(prior[:, middle[1]], prior[middle[0]]), abs=1e-6)
    assert np.array_equal(prior, prior[::-1]) and np.array_equal(prior, prior[:, ::-1])
    assert centre_prior(size[::-1], **options) == pytest.approx(prior.T, abs=1e-7)


def test_strength_mixes_the_centre_prior_with_ones() -> None:
    full = centre_prior((30, 50), 1.0)
    assert np.array_equal(centre_prior((30, 50), 0.0), np.ones((30, 50)))
    for strength in (0.25, 0.5):
        mixed = centre_prior((30, 50), strength)
        assert mixed == pytest.approx(1 - strength + strength * full, abs=1e-6)
