"""The stream from frames to saliency: lazy generators and the little state that runs along.

Never imports TensorFlow: the static half comes in as a plain callable, batch of RGB in, batch of
gradient maps out. So all of this runs in tests with a two-line fake.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from vidsal import cuts, motion
from vidsal.frames import Frame, Map, Prediction, Rgb, Saliency, StaticStage
from vidsal.fusion import fuse
from vidsal.opencv import cv2
from vidsal.scaling import ScaleState, to_unit
from vidsal.settings import Settings

# A scene in which nothing moves faster than this, in working pixels a frame, is quiet: what flow
# finds there is mostly noise (measured on clips of a still camera: 0.05 to 0.3).
_QUIET_PX = 0.5
# The sides of a network's input are multiples of this, its total stride, so that no border of the
# picture is lost to rounding on the way down.
_STRIDE_PX = 32
# No picture is so long that the network's input may be longer than this many short sides.
_LONGEST = 4


@dataclass(slots=True)
class _Scene:
    """All that is remembered from one frame to the next; begins anew at a scene cut."""

    grey: Rgb | None = None
    static_scale: ScaleState = field(default_factory=ScaleState)
    motion_scale: ScaleState = field(default_factory=ScaleState)


def analyse_frames(
    frames: Iterable[Frame], static: StaticStage | None, settings: Settings, *, batch: int
) -> Iterator[Saliency]:
    """Yield one `Saliency` a frame, in order.

    Parameters
    ----------
    frames : iterable of Frame
        All of one size.
    static : callable or None
        The static stage; ``None`` for motion alone.
    settings : Settings
    batch : int
        Frames handed to the static stage in one call, and so the frames held at a time.
    """
    scene, colours = _Scene(), None
    for group in batched(frames, batch):
        maps, predictions = _static_maps(group, static, settings)
        for frame, static_map, prediction in zip(group, maps, predictions, strict=True):
            small = motion.shrink(frame.rgb, _working_size(frame.rgb, settings))
            before, colours = colours, cuts.histogram(small)
            is_cut = cuts.is_cut(before, colours)
            if is_cut:
                scene = _Scene()
            yield _combined(frame, small, static_map, prediction, scene, is_cut, settings)


def batched(items: Iterable[Frame], size: int) -> Iterator[list[Frame]]:
    """Yield lists of `size` items, the last one shorter."""
    iterator = iter(items)
    while group := list(islice(iterator, size)):
        yield group


def network_size(height_px: int, width_px: int, short_px: int) -> tuple[int, int]:
    """Return the (height, width) of the network's input: the picture's aspect in whole strides."""
    factor = short_px / min(height_px, width_px)

    def side(pixels: int) -> int:
        strides = round(min(pixels * factor, short_px * _LONGEST) / _STRIDE_PX)
        return max(1, strides) * _STRIDE_PX

    return side(height_px), side(width_px)


def _working_size(rgb: Rgb, settings: Settings) -> tuple[int, int]:
    return motion.working_size(rgb.shape[0], rgb.shape[1], settings.working_width)


def _static_maps(
    group: list[Frame], static: StaticStage | None, settings: Settings
) -> tuple[list[Map | None], list[Prediction | None]]:
    """Return the unscaled gradient map at working size and the prediction of each frame."""
    if static is None:
        return [None] * len(group), [None] * len(group)
    height, width = group[0].rgb.shape[:2]
    size = network_size(height, width, settings.short_side)
    result = static(np.stack([motion.shrink(frame.rgb, size) for frame in group]))
    height, width = _working_size(group[0].rgb, settings)
    maps: list[Map | None] = []
    for one in result.maps:
        resized = cv2.resize(one, (width, height), interpolation=cv2.INTER_AREA)
        maps.append(motion.smoothed(np.asarray(resized, np.float32), settings.smooth))
    return maps, list(result.predictions)


def _combined(
    frame: Frame,
    small: Rgb,
    static_map: Map | None,
    prediction: Prediction | None,
    scene: _Scene,
    is_cut: bool,
    settings: Settings,
) -> Saliency:
    """Return the saliency of one frame, and move the scene on to it."""
    grey = motion.grey(small)
    is_first = scene.grey is None
    moved = (
        motion.still(grey.shape)
        if scene.grey is None
        else motion.measure(scene.grey, grey, model=settings.camera)
    )
    scene.grey = grey
    moving, motion_scale = to_unit(
        moved.speed, scene.motion_scale, time_s=frame.time_s, mode=settings.scale, floor=_QUIET_PX
    )
    # That a first frame has nothing before it says nothing of how fast its scene moves.
    if not is_first:
        scene.motion_scale = motion_scale
    if static_map is not None:
        static_map, scene.static_scale = to_unit(
            static_map, scene.static_scale, time_s=frame.time_s, mode=settings.scale
        )
    fused = fuse(static_map, moving, gain=settings.gain)
    return Saliency(frame, static_map, moving, fused, moved, prediction, is_cut)
