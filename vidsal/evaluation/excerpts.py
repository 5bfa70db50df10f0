"""The scored frames of a clip, analysed with the frames that precede them."""

import dataclasses
from collections.abc import Collection, Iterator, Sequence
from itertools import takewhile, tee

from vidsal.evaluation.datasets import Clip
from vidsal.saliency.fusion_stage import FusionStage
from vidsal.saliency.state import FusionState
from vidsal.saliency.stream import SaliencyStream
from vidsal.settings import Fusion, Settings
from vidsal.types import Saliency, StaticStage

# Number of frames before a scored one that are analysed: twice the memory of 12 samples that are
# drawn on every second frame, after a full set at the first.
HISTORY = 24


def excerpts(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Return the parts of a clip to analyse, for frames to score.

    Parameters
    ----------
    numbers : sequence of int
        Frames to score, in order.

    Returns
    -------
    list of (int, int)
        First and last frame of each part: the last one is scored and is preceded by `HISTORY`
        frames or one more, if there are as many. Parts that would touch are joined.
    """
    parts: list[tuple[int, int]] = []
    for n, number in enumerate(numbers):
        # Where a gradient is drawn on every second frame, half of the scored frames draw one and
        # half carry the map of the frame before.
        first = max(0, number - HISTORY - n % 2)
        # Each part reads one frame more than its last.
        if parts and first <= parts[-1][1] + 2:
            first = parts.pop()[0]
        parts.append((first, number))
    return parts


def analyse_excerpts(
    clip: Clip,
    numbers: Collection[int],
    static: StaticStage | None,
    settings: Settings,
    fusions: Sequence[Fusion],
) -> Iterator[dict[Fusion, Saliency]]:
    """Yield the saliency of the frames to score.

    Parameters
    ----------
    clip : Clip
    numbers : collection of int
        Frames to score, in order.
    static : StaticStage or None
    settings : Settings
    fusions : sequence of str
        Ways to fuse.

    Yields
    ------
    dict of str to Saliency
        The saliency of one frame, for each way to fuse.
    """
    frames = clip.frames()
    for first, last in excerpts(list(numbers)):
        part = takewhile(
            # One frame more than is scored: the next frame tells a flash from a cut.
            lambda frame, last=last: frame.index <= last + 1,  # type: ignore[misc]
            (frame for frame in frames if frame.index >= first),
        )
        stream = SaliencyStream(static, settings, batch=settings.batch)
        # The network runs once, however many ways to fuse there are.
        copies = tee(stream.static_maps(part), len(fusions))
        fused = [
            FusionStage(dataclasses.replace(settings, fusion=fusion), FusionState()).run(copy)
            for copy, fusion in zip(copies, fusions, strict=True)
        ]
        for saliencies in zip(*fused, strict=True):
            if saliencies[0].frame.index in numbers:
                yield dict(zip(fusions, saliencies, strict=True))
