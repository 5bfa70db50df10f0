"""vidsal shows, frame by frame, what stands out in a video.

>>> import vidsal
>>> for saliency in vidsal.analyse("clip.mp4", vidsal.Settings(model="lite0")):
...     print(saliency)  # doctest: +SKIP

Importing this package is light: all of its modules are imported on first use.
"""

from vidsal._version import __version__

# Not from typing: its import takes longer than that of this package. Type checkers know the name.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vidsal.analyser import Analyser, Analysis, analyse, draw
    from vidsal.batches.run import batch
    from vidsal.batches.summary import BatchSummary
    from vidsal.comparison import Comparison, compare_stores
    from vidsal.crop.reframe import CropPath
    from vidsal.cropping import crop_path, crop_store
    from vidsal.errors import UsageError, VidsalError
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
    from vidsal.rendering import render_store
    from vidsal.report.exports import export_store
    from vidsal.report.reports import report_store
    from vidsal.settings import Settings
    from vidsal.sinks.writer import VideoWriter
    from vidsal.sources.reader import VideoReader, open_video
    from vidsal.sources.resolve import Pictures
    from vidsal.stills import draw_stills
    from vidsal.stored.analysis import StoredAnalysis, open_store
    from vidsal.types import Frame, Motion, Prediction, Saliency

__all__ = [
    "Analyser",
    "Analysis",
    "BatchSummary",
    "Comparison",
    "CropPath",
    "Frame",
    "Motion",
    "Outcome",
    "Pictures",
    "Prediction",
    "Saliency",
    "Settings",
    "StoredAnalysis",
    "UsageError",
    "VideoReader",
    "VideoWriter",
    "VidsalError",
    "__version__",
    "analyse",
    "batch",
    "compare_stores",
    "crop_path",
    "crop_store",
    "draw",
    "draw_stills",
    "evaluate",
    "export_store",
    "faithfulness",
    "fuse",
    "motion_saliency",
    "open_store",
    "open_video",
    "optical_flow",
    "overlay",
    "render_store",
    "report_store",
    "run",
    "run_all",
    "static_saliency",
]

_HOMES = {
    "Analyser": "analyser",
    "Analysis": "analyser",
    "Comparison": "comparison",
    "CropPath": "crop.reframe",
    "BatchSummary": "batches.summary",
    "Frame": "types",
    "Motion": "types",
    "Outcome": "pipeline",
    "Pictures": "sources.resolve",
    "Prediction": "types",
    "Saliency": "types",
    "Settings": "settings",
    "StoredAnalysis": "stored.analysis",
    "UsageError": "errors",
    "VideoReader": "sources.reader",
    "VideoWriter": "sinks.writer",
    "VidsalError": "errors",
    "analyse": "analyser",
    "compare_stores": "comparison",
    "crop_path": "cropping",
    "crop_store": "cropping",
    "draw": "analyser",
    "draw_stills": "stills",
    "evaluate": "evaluation.evaluate",
    "export_store": "report.exports",
    "faithfulness": "evaluation.faithfulness",
    "fuse": "functional",
    "motion_saliency": "functional",
    "open_store": "stored.analysis",
    "open_video": "sources.reader",
    "optical_flow": "functional",
    "overlay": "functional",
    "render_store": "rendering",
    "report_store": "report.reports",
    "run": "pipeline",
    "run_all": "jobs",
    "batch": "batches.run",
    "static_saliency": "functional",
}


def __getattr__(name: str) -> "Any":
    if name not in _HOMES:
        raise AttributeError(f"module 'vidsal' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"vidsal.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
