"""The numbers of one frame, of which tables and stores are made. Pure maths."""

from dataclasses import dataclass

from vidsal.image_ops import percentile
from vidsal.saliency.regions import Box, boxes, centroid
from vidsal.types import CameraMotion, Prediction, Saliency


@dataclass(frozen=True, slots=True)
class FrameMeasures:
    """What is known of a frame without its picture and maps.

    Attributes
    ----------
    frame : int
        The frame's number in its source.
    time_s : float
    is_cut, has_static : bool
        Whether a new scene begins here, and whether there is a static map.
    prediction : Prediction or None
    map_size : (int, int)
        Height and width of the maps, to which the camera motion refers.
    camera : CameraMotion
    speed_median, speed_p95 : float
        Of the speed of objects, in diagonals of the picture a second.
    motion_share, static_high, motion_high, fused_high : float
        See `vidsal.types.Saliency`.
    peak, marker, centroid : (float, float) or None
        Row and column as shares of the sides.
    boxes : tuple of Box or None
        Regions above a level; ``None`` if none were asked for.
    """

    frame: int
    time_s: float
    is_cut: bool
    has_static: bool
    prediction: Prediction | None
    map_size: tuple[int, int]
    camera: CameraMotion
    speed_median: float
    speed_p95: float
    motion_share: float
    static_high: float
    motion_high: float
    fused_high: float
    peak: tuple[float, float] | None
    marker: tuple[float, float] | None
    centroid: tuple[float, float] | None
    boxes: tuple[Box, ...] | None = None


def measures_of(saliency: Saliency, box_level: float = 0.0) -> FrameMeasures:
    """Return the numbers of a frame.

    Parameters
    ----------
    saliency : Saliency
    box_level : float
        Boxes enclose the regions of the fused map at or above this level; 0 for no boxes.
    """
    height, width = saliency.motion.shape
    return FrameMeasures(
        frame=saliency.frame.index, time_s=saliency.frame.time_s, is_cut=saliency.is_cut,
        has_static=saliency.static is not None, prediction=saliency.prediction,
        map_size=(height, width), camera=saliency.movement.camera,
        speed_median=percentile(saliency.speed, 50),
        speed_p95=percentile(saliency.speed, 95),
        motion_share=saliency.motion_share, static_high=saliency.static_high,
        motion_high=saliency.motion_high, fused_high=saliency.fused_high,
        peak=saliency.peak, marker=saliency.marker, centroid=centroid(saliency.fused),
        boxes=tuple(boxes(saliency.fused, box_level)) if box_level else None,
    )  # fmt: skip
