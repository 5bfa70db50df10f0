"""The fusion stage: scales both maps, fuses them, and reads regions off the result."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import NamedTuple

from vidsal.saliency.fusion import centre_prior, fuse, motion_share
from vidsal.saliency.guided_filter import guided_filter
from vidsal.saliency.normalization import (
    DisplayScale,
    ScaledMap,
    SceneScales,
    clipped,
    contrasted,
    scale_modes,
)
from vidsal.saliency.regions import calm_corner, peak, stabilized_peak
from vidsal.saliency.state import FusionState
from vidsal.saliency.static_stage import StaticMap
from vidsal.settings import AnalysisOptions
from vidsal.types import Corner, Map, Saliency

# A scene in which no object is faster than this, in diagonals of the picture per second, is quiet.
# The flow of such a scene is mostly noise (0.003 to 0.02 on clips of a still camera), and a real
# object would take half a minute to cross the picture.
QUIET_SPEED = 0.03
# When motion ends, the fused map falls to a fifth of what its scale remembers. Its most salient
# region is shown at this or more, in the upper half of the colours.
_FAINTEST = 0.6


class _Fused(NamedTuple):
    """A fused map.

    `unclipped` keeps the heights above 1; `values` is clipped to [0, 1]. `high` is the value shown
    as 1, `share` the part that motion contributed.
    """

    unclipped: Map
    values: Map
    high: float
    share: float


def _first_corner() -> Corner:
    return "bottom-left"


class FusionStage:
    """Brings both maps to their scales, fuses them, and scales the result.

    Parameters
    ----------
    options : AnalysisOptions
    state : FusionState
        The state to start from; it is updated with each frame.
    """

    def __init__(self, options: AnalysisOptions, state: FusionState) -> None:
        self._options, self._state = options, state

    def run(self, items: Iterable[StaticMap]) -> Iterator[Saliency]:
        """Yield one `Saliency` for each frame.

        Parameters
        ----------
        items : iterable of StaticMap
            Static maps of consecutive frames.

        Yields
        ------
        Saliency
            Its maps are (h, w) float32, [0, 1].
        """
        markers, corners = self._state.markers, self._state.corners
        for item in items:
            event = item.motion.event
            has_static = item.values is not None
            scales = self._state.scales.at(event, partial(self._scales, has_static=has_static))
            last = markers.at(event, lambda: None)
            corner = corners.at(event, _first_corner)
            saliency = self._saliency(item, scales, last, corner)
            # A frame in which nothing stands out keeps the last marker.
            markers.now, corners.now = saliency.marker or last, saliency.caption_corner
            yield saliency

    def _scales(self, *, has_static: bool) -> SceneScales:
        """Return the scales that a scene begins with."""
        static, motion, fused = scale_modes(self._options.scale, has_static=has_static)
        return SceneScales(
            DisplayScale(static),
            DisplayScale(motion, floor=QUIET_SPEED),
            DisplayScale(fused, faintest=_FAINTEST),
        )

    def _saliency(
        self,
        item: StaticMap,
        scales: SceneScales,
        last: tuple[float, float] | None,
        corner: Corner,
    ) -> Saliency:
        motion, time_s = item.motion, item.motion.frame.time_s
        # The first frame of a scene has no motion yet. It must not set the scale of the motion
        # map, or of the fused map.
        speed = scales.motion(motion.speed, time_s, include=not motion.is_first)
        static = None if item.values is None else scales.static(item.values, time_s)
        contrast = None if static is None else self._contrasted(static.values, static)
        if static is None or contrast is None or self._options.fusion == "motion":
            fused = self._motion_only(speed)
        else:
            fused = self._fused(item, scales, static, contrast, speed)
        top = peak(fused.unclipped)
        return Saliency(
            frame=motion.frame, static=None if contrast is None else clipped(contrast),
            motion=clipped(speed.values), fused=fused.values, movement=motion.movement,
            speed=motion.speed, prediction=item.prediction, is_cut=motion.is_cut,
            motion_share=fused.share, static_high=static.high if static else 0.0,
            motion_high=speed.high, fused_high=fused.high, peak=top,
            marker=stabilized_peak(fused.unclipped, top, last),
            gradient=item.values, event=motion.event,
            caption_corner=calm_corner(fused.values, corner),
        )  # fmt: skip

    def _motion_only(self, speed: ScaledMap) -> _Fused:
        """Return the motion map as the result; its own scale already keeps still scenes dark."""
        values = self._weighted(clipped(speed.values))
        return _Fused(self._weighted(speed.values), values, speed.high, 1.0)

    def _fused(
        self,
        item: StaticMap,
        scales: SceneScales,
        static: ScaledMap,
        contrast: Map,
        speed: ScaledMap,
    ) -> _Fused:
        options, motion = self._options, item.motion
        moving = clipped(speed.values)
        amplified = None
        if options.fusion == "gain" and options.gain and moving.any():
            # Moving objects end at edges of the picture; the smoothing of gradients crossed them.
            reach_px = options.smooth * max(static.values.shape)
            sharp = guided_filter(static.values, motion.small, reach_px)
            amplified = self._contrasted(sharp, static)
        # Clipped only after the fusion: motion has to select among the peaks.
        both = fuse(contrast, moving, method=options.fusion, gain=options.gain, amplified=amplified)
        both = self._weighted(both)
        share = motion_share(self._weighted(contrast), both)
        if speed.is_first and options.fusion != "static" and options.gain:
            # The fused maps of a scene before its first motion must not set the scale.
            scales.fused.forget()
        result = scales.fused(both, motion.frame.time_s, include=not motion.is_first)
        return _Fused(result.values, clipped(result.values), static.high * result.high, share)

    def _contrasted(self, values: Map, static: ScaledMap) -> Map:
        return contrasted(values, self._options.contrast, strength=static.strength)

    def _weighted(self, values: Map) -> Map:
        """Return a map multiplied by the centre prior, where one is wanted."""
        strength = self._options.centre_prior
        return values * centre_prior(values.shape, strength) if strength else values
