"""Where an interrupted run stands, as it is kept beside its finished segments."""

from dataclasses import dataclass, field

from vidsal.media.retiming import Timeline
from vidsal.saliency.normalization import Flicker
from vidsal.types import Rgb


@dataclass(slots=True, eq=False)
class ResumeState:
    """State of a run after one of its frames.

    Attributes
    ----------
    stream : bytes
        A pickled `vidsal.saliency.state.StreamState`; the analysis may already be further.
    timeline : Timeline of (H, W, 3) uint8 arrays or None
        The pictures that are still to be shown; ``None`` before the first.
    flicker : Flicker
    """

    stream: bytes = b""
    timeline: Timeline[Rgb] | None = None
    flicker: Flicker = field(default_factory=Flicker)


# The classes that a pickled `ResumeState` may name; see `vidsal.runtime.safe_pickle`.
RESUME_CLASSES = (ResumeState, Timeline, Flicker)
