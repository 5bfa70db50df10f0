"""Metrics on maps whose scores can be worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidsal.metrics import auc_judd, nss, pixel_auc

ONE_HOT = np.zeros((4, 5), np.float32)
ONE_HOT[1, 2] = 1
ON_IT = np.array([[1.5 / 4, 2.5 / 5]])
OFF_IT = np.array([[0.0, 0.0], [3.9 / 4, 4.9 / 5]])


def test_nss_in_closed_form() -> None:
    # Mean 1/20, deviation sqrt(1/20 - 1/400).
    deviation = np.sqrt(1 / 20 - 1 / 400)
    assert nss(ONE_HOT, ON_IT) == pytest.approx((1 - 1 / 20) / deviation)
    assert nss(ONE_HOT, OFF_IT) == pytest.approx((-1 / 20) / deviation)
    assert nss(np.full((3, 3), 0.7, np.float32), OFF_IT) == 0


def test_nss_does_not_depend_on_unit_or_offset() -> None:
    saliency = np.random.default_rng(0).random((9, 16), dtype=np.float32)
    points = np.random.default_rng(1).random((20, 2))
    assert nss(3 * saliency + 5, points) == pytest.approx(nss(saliency, points), abs=1e-5)


def test_auc_in_closed_form() -> None:
    # Of 20 pixels 19 lie below the hot one, which ties with itself.
    assert auc_judd(ONE_HOT, ON_IT) == pytest.approx(19.5 / 20)
    # A cold point ties with 19 and lies below one.
    assert auc_judd(ONE_HOT, OFF_IT) == pytest.approx(9.5 / 20)
    assert auc_judd(np.ones((4, 4), np.float32), OFF_IT) == 0.5


def test_pixel_auc_in_closed_form() -> None:
    mask = np.zeros((2, 2), bool)
    mask[0] = True
    assert pixel_auc(np.array([[4, 3], [2, 1]], np.float32), mask) == 1
    assert pixel_auc(np.array([[1, 2], [3, 4]], np.float32), mask) == 0
    # 4 beats 3 and 1; 2 beats 1 alone: three pairs of four.
    assert pixel_auc(np.array([[4, 2], [3, 1]], np.float32), mask) == 0.75
    assert pixel_auc(np.ones((2, 2), np.float32), mask) == 0.5


@pytest.mark.parametrize("fill", [True, False])
def test_pixel_auc_needs_both_sides(fill: bool) -> None:
    with pytest.raises(ValueError, match="inside and outside"):
        pixel_auc(ONE_HOT, np.full(ONE_HOT.shape, fill))


@given(st.integers(0, 2**32 - 1))
def test_only_the_order_matters_to_areas(seed: int) -> None:
    rng = np.random.default_rng(seed)
    saliency = rng.random((6, 7), dtype=np.float32)
    points = rng.random((5, 2))
    mask = rng.random((6, 7)) > 0.5
    mask[0, 0], mask[0, 1] = True, False
    squashed = np.sqrt(saliency)
    assert auc_judd(squashed, points) == pytest.approx(auc_judd(saliency, points), abs=0.03)
    assert pixel_auc(1 - saliency, mask) == pytest.approx(1 - pixel_auc(saliency, mask))
