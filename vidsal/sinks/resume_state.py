"""The state of an interrupted run, stored with its finished segments."""

from dataclasses import dataclass, field

from vidsal.media.retiming import Timeline
from vidsal.saliency.normalization import Flicker
from vidsal.yuv import Picture, Yuv420


@dataclass(slots=True, eq=False)
class ResumeState:
    """State of a run after one of its frames.

    Attributes
    ----------
    stream : bytes
        A pickled `vidsal.saliency.state.StreamState`. It is pickled at once, because the
        analysis runs ahead of the sinks.
    timeline : Timeline of pictures, or None
        The pictures that are still to be encoded; ``None`` before the first.
    flicker : Flicker
        Change of the display scale so far.
    """

    stream: bytes = b""
    timeline: Timeline[Picture] | None = None
    flicker: Flicker = field(default_factory=Flicker)


# The classes that a pickled `ResumeState` may name; see `vidsal.runtime.safe_pickle`.
RESUME_CLASSES = (ResumeState, Timeline, Flicker, Yuv420)
