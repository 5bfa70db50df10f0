"""vidsal shows, frame by frame, what stands out in a video.

>>> import vidsal
>>> for saliency in vidsal.analyse("clip.mp4", vidsal.Settings(model="lite0")):
...     print(saliency)  # doctest: +SKIP

Importing this package is light: heavy modules are imported on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vidsal._version import __version__
from vidsal.errors import UsageError, VidsalError
from vidsal.settings import Settings

if TYPE_CHECKING:
    from vidsal.analyser import Analyser, Analysis, analyse, draw
    from vidsal.evaluation.evaluate import evaluate
    from vidsal.evaluation.faithfulness import faithfulness
    from vidsal.functional import (
        fuse,
        motion_saliency,
        optical_flow,
        overlay,
        static_saliency,
    )
    from vidsal.jobs import run_all
    from vidsal.pipeline import Outcome, run
    from vidsal.sinks.writer import VideoWriter
    from vidsal.sources.reader import VideoReader, open_video
    from vidsal.sources.resolve import Pictures
    from vidsal.types import Frame, Motion, Prediction, Saliency

__all__ = [
    "Analyser",
    "Analysis",
    "Frame",
    "Motion",
    "Outcome",
    "Pictures",
    "Prediction",
    "Saliency",
    "Settings",
    "UsageError",
    "VideoReader",
    "VideoWriter",
    "VidsalError",
    "__version__",
    "analyse",
    "draw",
    "evaluate",
    "faithfulness",
    "fuse",
    "motion_saliency",
    "open_video",
    "optical_flow",
    "overlay",
    "run",
    "run_all",
    "static_saliency",
]

_HOMES = {
    "Analyser": "analyser",
    "Analysis": "analyser",
    "Frame": "types",
    "Motion": "types",
    "Outcome": "pipeline",
    "Pictures": "sources.resolve",
    "Prediction": "types",
    "Saliency": "types",
    "VideoReader": "sources.reader",
    "VideoWriter": "sinks.writer",
    "analyse": "analyser",
    "draw": "analyser",
    "evaluate": "evaluation.evaluate",
    "faithfulness": "evaluation.faithfulness",
    "fuse": "functional",
    "motion_saliency": "functional",
    "open_video": "sources.reader",
    "optical_flow": "functional",
    "overlay": "functional",
    "run": "pipeline",
    "run_all": "jobs",
    "static_saliency": "functional",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vidsal' has no attribute {name!r}")
    return getattr(import_module(f"vidsal.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
