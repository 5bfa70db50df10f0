"""The state that runs along a stream, one part for each stage.

All of it starts empty, and most of it starts anew with each scene. A stream that starts from the
state of another one continues exactly where that one stopped.
"""

import math
from dataclasses import dataclass, field

from vidsal.saliency.normalization import DisplayScale, Flicker, ScaleState, SceneScales
from vidsal.saliency.scenes import PerScene, SceneDetector
from vidsal.saliency.targets import TargetLock
from vidsal.saliency.temporal import GradientAverage, SpeedAverage
from vidsal.types import Corner, Map, Prediction, Rgb


@dataclass(slots=True, eq=False)
class MotionState:
    """State of `vidsal.saliency.motion_stage.MotionStage`.

    Attributes
    ----------
    scenes : SceneDetector
        Recent colour histograms, which tell a cut from a flash.
    reference : (h, w, 3) uint8 array or None
        The last frame outside a flash, at working size. The motion of the next frame is measured
        against it. ``None`` before the first frame.
    reference_s : float
        Time of that frame, in seconds.
    speeds : PerScene of SpeedAverage
        Speeds averaged along the flow.
    """

    scenes: SceneDetector = field(default_factory=SceneDetector)
    reference: Rgb | None = None
    reference_s: float = 0.0
    speeds: PerScene[SpeedAverage] = field(default_factory=PerScene)


@dataclass(slots=True, eq=False)
class SamplingState:
    """State of `vidsal.saliency.sampling.SamplingStage`.

    Attributes
    ----------
    weights : PerScene of (h, w) float32 array
        Number of gradient samples that each pixel will have averaged.
    position : int
        Number of frames so far.
    """

    weights: PerScene[Map] = field(default_factory=PerScene)
    position: int = 0


@dataclass(slots=True, eq=False)
class StaticState:
    """State of `vidsal.saliency.static_stage.StaticMapStage`.

    Attributes
    ----------
    predicted_s : float
        Time of the last frame that the network classified, in seconds.
    prediction : Prediction or None
        The result.
    locks : PerScene of TargetLock
        The class that ``target="lock"`` explains.
    averages : PerScene of GradientAverage
        Gradient maps averaged along the flow.
    """

    predicted_s: float = -math.inf
    prediction: Prediction | None = None
    locks: PerScene[TargetLock] = field(default_factory=PerScene)
    averages: PerScene[GradientAverage] = field(default_factory=PerScene)


@dataclass(slots=True, eq=False)
class FusionState:
    """State of `vidsal.saliency.fusion_stage.FusionStage`.

    Attributes
    ----------
    scales : PerScene of SceneScales
        The values that are displayed as 0 and 1.
    markers : PerScene of (float, float)
        The point that was marked last.
    corners : PerScene of str
        The corner that captions are written into.
    """

    scales: PerScene[SceneScales] = field(default_factory=PerScene)
    markers: PerScene[tuple[float, float] | None] = field(default_factory=PerScene)
    corners: PerScene[Corner] = field(default_factory=PerScene)


@dataclass(slots=True, eq=False)
class StreamState:
    """State of a whole stream; each stage changes its own part and no other.

    Attributes
    ----------
    motion : MotionState
    sampling : SamplingState
    static : StaticState
    fusion : FusionState
    """

    motion: MotionState = field(default_factory=MotionState)
    sampling: SamplingState = field(default_factory=SamplingState)
    static: StaticState = field(default_factory=StaticState)
    fusion: FusionState = field(default_factory=FusionState)


# The classes that a pickled `StreamState` may name; see `vidsal.runtime.safe_pickle`.
STATE_CLASSES = (
    StreamState, MotionState, SamplingState, StaticState, FusionState, Flicker, GradientAverage,
    SpeedAverage, PerScene, SceneDetector, Prediction, DisplayScale, SceneScales, ScaleState,
    TargetLock,
)  # fmt: skip
