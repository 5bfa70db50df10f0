"""The table of a run, made from its store."""

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from vidsal.errors import VidsalError
from vidsal.sinks.table import COLUMNS, TEXTS, WHOLE, row, typed
from vidsal.store.reader import Store
from vidsal.types import SourceInfo

if TYPE_CHECKING:
    from pandas import DataFrame


def load_pandas() -> Any:
    """Import and return pandas, which is an extra.

    Raises
    ------
    VidsalError
        If pandas is missing.
    """
    try:
        import pandas
    except ImportError as error:
        raise VidsalError(
            f"tables in Python need pandas ({error}): pip install 'vidsal[data]', or pip install "
            "pandas"
        ) from error
    return pandas


def data_frame(store: Store) -> "DataFrame":
    """Return the table of the run that wrote a store, one row for each frame.

    Parameters
    ----------
    store : Store

    Returns
    -------
    pandas.DataFrame
        Columns as in `vidsal.sinks.table`: texts, int64 and float64.

    Raises
    ------
    VidsalError
        If pandas is missing, or the store is damaged.
    """
    pandas, settings, info = load_pandas(), store.settings, source_info(store)
    rows = [typed(row(one, info, settings)) for one in store.measures(settings.boxes)]
    columns = {name: [values[name] for values in rows] for name in COLUMNS}
    types = {name: "str" if name in TEXTS else np.int64 if name in WHOLE else np.float64
             for name in COLUMNS}  # fmt: skip
    return pandas.DataFrame({  # type: ignore[no-any-return]
        name: pandas.Series(values, dtype=types[name]) for name, values in columns.items()
    })  # fmt: skip


def source_info(store: Store) -> SourceInfo:
    """Return the information about the source that a store contains.

    Parameters
    ----------
    store : Store
    """
    about = store.about
    fps = about["fps"] and Fraction(about["fps"])
    return SourceInfo(about["source"]["name"], about["height_px"], about["width_px"], fps)
