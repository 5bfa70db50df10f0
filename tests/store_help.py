"""Small stores for tests."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sink_help import make_saliency

import vidsal
from vidsal.cli import main
from vidsal.saliency.regions import peak
from vidsal.settings import Settings
from vidsal.sinks.kept import saved_settings
from vidsal.store.writer import store_sink
from vidsal.stored.analysis import StoredAnalysis, open_store
from vidsal.types import Map


def settings_of(**options: Any) -> Settings:
    given: dict[str, Any] = {
        "model": "lite0", "working_width": 96, "short_side": 64, "batch": 4,
        "keep": Path("s.vidsal"), "output": Path("o.mkv"), "codec": "ffv1", "quality": 100,
    }  # fmt: skip
    return Settings(**given | options)


def exit_code(*words: str) -> Any:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    return ended.value.code


def kept_run(source: Any, **options: Any) -> Path:
    """Analyse a source quickly, keep the analysis as s.vidsal, and return the source."""
    given: dict[str, Any] = {
        "model": "lite0", "working_width": 96, "short_side": 64, "batch": 4,
        "keep": Path("s.vidsal"), "output": Path("o.mkv"), "codec": "ffv1",
    }  # fmt: skip
    vidsal.run(source, Settings(**given | options), progress=False)
    return Path(source)


def store_of(fused: Sequence[Map], picture: tuple[int, int] = (48, 64)) -> StoredAnalysis:
    """Write a store of frames with these fused maps, 25 a second, and open it."""
    about = {
        "source": {"name": "nothing.mp4"}, "settings": saved_settings(Settings(model="none")),
        "fps": "25", "height_px": picture[0], "width_px": picture[1], "class_names": [],
    }  # fmt: skip
    with store_sink(Path("w.vidsal"), about) as sink:
        for n, values in enumerate(fused):
            sink.write(make_saliency(n, fused=values, peak=peak(values)))
    return open_store("w.vidsal")


def names_here() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def assert_alike(one: Any, two: Any, *, share: float = 2e-2) -> None:
    """Rounding may move a level of the map by one, and a line of a contour by a pixel.

    The steepest step between two colours of a map is six levels.
    """
    difference = np.abs(one - two)
    assert (difference > 6).mean() <= share
