"""All that is remembered from one frame to the next.

An analysis that begins with the memory of another one goes on exactly where that one stood.
"""

import math
from dataclasses import dataclass, field

from vidsal.saliency.normalization import Flicker, Scale, Scales, ScaleState
from vidsal.saliency.scenes import PerScene, Scenes
from vidsal.saliency.targets import Lock
from vidsal.saliency.temporal import GradientAverage, SpeedAverage
from vidsal.types import Map, Prediction, Rgb


@dataclass(slots=True, eq=False)
class Memory:
    """What runs along a stream; everything starts empty, and most of it anew with each scene.

    Attributes
    ----------
    scenes : Scenes
        The colours by which a cut is told from a flash.
    small : (h, w, 3) uint8 array or None
        The last frame that was no flash, at working size: what the next one's motion is measured
        against; ``None`` before the first.
    before_s : float
        Time of that frame, in seconds.
    trails : PerScene of Trail
        Speeds along the flow.
    weights : PerScene of (h, w) float32 array
        How much each place knows of gradients, as it is planned.
    undrawn : int
        Frames since one drew gradients.
    looked_s : float
        When the network last said what it sees, in seconds.
    locks : PerScene of Lock
        The class that is explained.
    prediction : Prediction or None
        What the network saw last.
    histories : PerScene of History
        Gradients along the flow.
    scales : PerScene of Scales
        Which values are shown as 0 and 1.
    rings : PerScene of (float, float)
        The point that was marked last.
    """

    scenes: Scenes = field(default_factory=Scenes)
    small: Rgb | None = None
    before_s: float = 0.0
    trails: PerScene[SpeedAverage] = field(default_factory=PerScene)
    weights: PerScene[Map] = field(default_factory=PerScene)
    undrawn: int = 0
    looked_s: float = -math.inf
    locks: PerScene[Lock] = field(default_factory=PerScene)
    prediction: Prediction | None = None
    histories: PerScene[GradientAverage] = field(default_factory=PerScene)
    scales: PerScene[Scales] = field(default_factory=PerScene)
    rings: PerScene[tuple[float, float] | None] = field(default_factory=PerScene)


# The classes that a pickled `Memory` may name; see `vidsal.runtime.safe_pickle`.
MEMORY_CLASSES = (
    Memory, Flicker, GradientAverage, SpeedAverage, PerScene, Scenes, Prediction, Scale, Scales,
    ScaleState, Lock,
)  # fmt: skip
