"""The only import of zarr, which is an extra."""

import warnings
from pathlib import Path
from typing import Any

from vidsal.errors import VidsalError


def load_zarr() -> Any:
    """Import and return zarr.

    Raises
    ------
    VidsalError
        If zarr is missing.
    """
    try:
        import zarr
    except ImportError as error:
        raise VidsalError(
            f"stores need zarr ({error}): pip install 'vidsal[store]', or pip install 'zarr>=3'"
        ) from error
    if int(zarr.__version__.split(".")[0]) < 3:
        raise VidsalError(f"stores need zarr 3, this is {zarr.__version__}: pip install 'zarr>=3'")
    return zarr


def consolidate(folder: Path) -> None:
    """Write one file that describes all arrays of a store. xarray looks for it.

    This file is not part of the specification yet. This does no harm, because each array keeps its
    own description.

    Parameters
    ----------
    folder : Path
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        load_zarr().consolidate_metadata(str(folder))
