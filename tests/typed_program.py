"""A user's program: ``mypy --strict`` checks it against the built wheel."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import vidsal


def heatmaps(pictures: list[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    """Return pictures with their saliency drawn over them."""
    settings = vidsal.Settings(model="none", layout="overlay")
    with vidsal.Analyser(settings).frames(pictures, fps=25) as analysis:
        return [analysis_picture(saliency) for saliency in analysis]


def analysis_picture(saliency: vidsal.Saliency) -> NDArray[np.uint8]:
    """Return the overlay of one frame."""
    static: NDArray[np.float32] | None = saliency.static
    fused = saliency.fused if static is None else vidsal.fuse(static, saliency.motion)
    return vidsal.overlay(saliency.frame.rgb, fused, colormap="viridis")


def rewrite(source: Path, target: Path) -> float:
    """Write a heatmap video with a loop of its own; return its duration in seconds."""
    frame: vidsal.Frame | None = None
    with vidsal.open_video(source) as video, vidsal.VideoWriter(target, video.fps) as writer:
        for frame in video:
            writer.write(frame.rgb)
    return 0.0 if frame is None else frame.time_s


def report(source: Path) -> list[str]:
    """Return the likeliest class of each frame, and the path of the written video."""
    lines = []
    for saliency in vidsal.analyse(source):
        prediction: vidsal.Prediction | None = saliency.prediction
        lines.append(prediction.names[0] if prediction else "none")
    try:
        lines.append(str(vidsal.run(source, vidsal.Settings(layout="quad"))))
    except vidsal.VidsalError as error:
        lines.append(str(error))
    outcomes: list[vidsal.Outcome] = vidsal.run_all([source])
    return lines + [outcome.source for outcome in outcomes]


def halves(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the motion map of two pictures, weighted by the static map."""
    flow: NDArray[np.float32] = vidsal.optical_flow(one, other)
    assert flow.shape[-1] == 2
    return vidsal.static_saliency(other) * vidsal.motion_saliency(one, other)
