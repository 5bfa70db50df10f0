"""How concentrated a map is: closed forms and the definition."""

from __future__ import annotations

import numpy as np
import pytest

from vidsal.saliency.concentration import gini


def test_gini_of_an_even_map_is_0_and_of_one_pixel_nearly_1() -> None:
    single = np.zeros((40, 25), np.float32)
    single[3, 7] = 0.7
    assert gini(np.full((40, 25), 0.3, np.float32)) == pytest.approx(0, abs=1e-12)
    assert gini(single) == pytest.approx(1 - 1 / 1000)
    # Half of the pixels have everything, evenly.
    half = np.zeros((40, 25), np.float32)
    half[::2] = 0.4
    assert gini(half) == pytest.approx(0.5)
    assert np.isnan(gini(np.zeros((4, 4), np.float32)))


def test_gini_is_half_the_relative_mean_difference() -> None:
    values = np.random.default_rng(0).random((20, 15), np.float32)
    differences = np.abs(values.reshape(-1, 1) - values.reshape(1, -1)).mean()
    assert gini(values) == pytest.approx(differences / (2 * values.mean()), rel=1e-5)
    # It does not depend on the scale, nor on the places.
    assert gini(values * np.float32(4)) == gini(values[::-1].T) == gini(values)
