"""All that is remembered from one frame to the next, and that memory as bytes and back.

An analysis that begins with the memory of another one goes on exactly where that one stood.
"""

import io
import math
import pickle
from dataclasses import dataclass, field
from typing import Any, TypeVar

from vidsal.accumulate import History, Trail
from vidsal.cuts import PerScene, Scenes
from vidsal.errors import VidsalError
from vidsal.frames import Map, Prediction, Rgb
from vidsal.scaling import Flicker, Scale, Scales, ScaleState
from vidsal.targets import Lock
from vidsal.timeline import Timeline

T = TypeVar("T")


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
    trails: PerScene[Trail] = field(default_factory=PerScene)
    weights: PerScene[Map] = field(default_factory=PerScene)
    undrawn: int = 0
    looked_s: float = -math.inf
    locks: PerScene[Lock] = field(default_factory=PerScene)
    prediction: Prediction | None = None
    histories: PerScene[History] = field(default_factory=PerScene)
    scales: PerScene[Scales] = field(default_factory=PerScene)
    rings: PerScene[tuple[float, float] | None] = field(default_factory=PerScene)


@dataclass(slots=True, eq=False)
class Standing:
    """Where a run stands after one of its frames.

    Attributes
    ----------
    memory : bytes
        A frozen `Memory`: the analysis may be further already.
    timeline : Timeline of (H, W, 3) uint8 arrays or None
        Which pictures are still to be shown; ``None`` before the first.
    flicker : Flicker
    """

    memory: bytes = b""
    timeline: Timeline[Rgb] | None = None
    flicker: Flicker = field(default_factory=Flicker)


# What frozen bytes may name: a file that somebody gave us must not run anything.
_OWN = (
    Memory, Standing, Timeline, Flicker, History, Trail, PerScene, Scenes, Prediction, Scale,
    Scales, ScaleState, Lock,
)  # fmt: skip
_NUMPY = {
    ("numpy", "ndarray"), ("numpy", "dtype"),
    ("numpy._core.multiarray", "_reconstruct"), ("numpy._core.numeric", "_frombuffer"),
}  # fmt: skip


def frozen(what: Memory | Standing) -> bytes:
    """Return a memory as bytes, which what happens to it later does not touch."""
    return pickle.dumps(what, protocol=5)


def thawed(data: bytes, kind: type[T]) -> T:
    """Return what `frozen` made bytes of.

    Parameters
    ----------
    data : bytes
    kind : type
        `Memory` or `Standing`.

    Raises
    ------
    VidsalError
        If the bytes are something else, or name anything that a memory does not hold.
    """
    try:
        what = _OnlyMemory(io.BytesIO(data)).load()
    except VidsalError:
        raise
    except Exception as error:  # Damaged bytes fail in any way there is.
        raise VidsalError(f"what was remembered cannot be read ({type(error).__name__})") from error
    if not isinstance(what, kind):
        raise VidsalError(f"a {kind.__name__} was expected, got a {type(what).__name__}")
    return what


class _OnlyMemory(pickle.Unpickler):
    """Reads memories and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        for one in _OWN:
            if (module, name) == (one.__module__, one.__qualname__):
                return one
        if (module, name) in _NUMPY:
            return super().find_class(module, name)
        raise VidsalError(f"what was remembered names {module}.{name}, which is no part of it")
