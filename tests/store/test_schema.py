"""How maps become whole numbers, and which stores can be read."""

import numpy as np
import pytest

from vidsal.errors import VidsalError
from vidsal.store.schema import SCHEMA, levels_of, require_schema, values_of


@pytest.mark.parametrize("top", [255, 4095, 32767])
@pytest.mark.parametrize("highest", [1e-30, 3e-6, 1.0, 7e4, 1e30])
def test_a_map_is_kept_to_half_a_step(highest: float, top: int) -> None:
    values = np.random.default_rng(0).random((9, 16), np.float32) * np.float32(highest)
    values[0, 0], values[1, 1] = highest, 0
    levels, scale = levels_of(values, top)
    assert levels.dtype == np.int16 and levels.max() == top and levels[1, 1] == 0
    found = values_of(levels, scale)
    assert found.dtype == np.float32
    assert np.abs(found - values).max() <= 0.51 * highest / top


@pytest.mark.parametrize("value", [0.0, 1e-45])
def test_a_map_of_nothing_is_zero(value: float) -> None:
    levels, scale = levels_of(np.full((3, 4), value, np.float32), 4095)
    assert scale == 0 and not levels.any() and not values_of(levels, scale).any()


def test_stores_of_other_schemas_are_refused() -> None:
    require_schema(SCHEMA, "a.vidsal")
    with pytest.raises(VidsalError, match=r"newer vidsal \(schema 99\): update"):
        require_schema(99, "a.vidsal")
    for other in (0, None, "1"):
        with pytest.raises(VidsalError, match="not a store that this vidsal can read"):
            require_schema(other, "a.vidsal")
