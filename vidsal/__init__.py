"""vidsal shows, frame by frame, what stands out in a video.

>>> import vidsal
>>> for saliency in vidsal.analyse("clip.mp4", vidsal.Settings(model="lite0")):
...     print(saliency.frame.time_s, saliency.fused.mean())  # doctest: +SKIP

Importing this package is light; what is heavy comes when it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vidsal._version import __version__
from vidsal.errors import UsageError, VidsalError
from vidsal.settings import Settings

if TYPE_CHECKING:
    from vidsal.analyser import Analyser, Analysis, analyse, draw
    from vidsal.pipeline import run
    from vidsal.sources.resolve import Pictures
    from vidsal.types import Frame, Motion, Prediction, Saliency

__all__ = [
    "Frame",
    "Motion",
    "Pictures",
    "Prediction",
    "Saliency",
    "Settings",
    "UsageError",
    "VidsalError",
    "__version__",
    "analyse",
    "draw",
    "run",
]

_HOMES = {
    "Frame": "types",
    "Motion": "types",
    "Pictures": "sources.resolve",
    "Prediction": "types",
    "Saliency": "types",
    "analyse": "analyser",
    "draw": "analyser",
    "run": "pipeline",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vidsal' has no attribute {name!r}")
    return getattr(import_module(f"vidsal.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
