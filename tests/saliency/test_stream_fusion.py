"""Fusion stage: scales, speeds, fusion, peak and marker along the stream."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, get_args

import numpy as np
import pytest
from conftest import BrightnessStage, LoadScript, scene_of
from stream_help import (
    BARE,
    PLAIN,
    PLAIN_WITH,
    SQUARE,
    TEXTURE,
    Placed,
    RunningAverage,
    analysed,
    bump,
    frames_of,
)

from vidsal import image_ops
from vidsal.saliency.guided_filter import guided_filter
from vidsal.settings import Fusion, Settings
from vidsal.types import Frame, Map, Request, Rgb, Saliency

# Scale


def test_the_scale_of_motion_begins_with_the_first_motion(
    clip: list[Rgb], other_clip: list[Rgb]
) -> None:
    # The first frame of a scene has no motion. If its zero counted, all motion of the next seconds
    # would be displayed as fast.
    pictures = frames_of(clip[:4] + other_clip[:4])
    stable = analysed(pictures, PLAIN_WITH["stable"])
    alone = analysed(pictures, PLAIN_WITH["frame"])
    for n in (1, 5):
        assert np.array_equal(stable[n].motion, alone[n].motion)
    # Even motion, even scale.
    for n in (2, 3, 6, 7):
        assert stable[n].motion == pytest.approx(alone[n].motion, abs=0.05)


@pytest.mark.parametrize("still", [1, 4, 40])
def test_a_still_start_leaves_room_for_the_first_movements(clip: list[Rgb], still: int) -> None:
    # As when a recorder doubles its first picture, or the scene begins still.
    late = analysed(frames_of([clip[0]] * still + clip[:5]), PLAIN)
    # Noise of the still frames is not amplified,
    assert all(one.motion_high == pytest.approx(0.03) for one in late[:still])
    # and motion is not clipped for long, although the speeds rise for a while: they are means along
    # the flow.
    first = late[still + 1]
    assert first.motion_high > 0.15
    assert (first.motion == 1).mean() < 0.01
    assert all((one.fused == 1).mean() < 0.05 for one in late[still + 1 :])


class Pattern(BrightnessStage):
    """Its maps are one random pattern, times the strength of the frame."""

    def __init__(self, strengths: Sequence[float], shape: tuple[int, int] = (64, 128)) -> None:
        super().__init__()
        self.strengths = strengths
        self._pattern = np.random.default_rng(0).random(shape).astype(np.float32)
        # A speck smaller than the percentile of a scale is much brighter than the rest.
        self._pattern[10:12, 10:12] = 5

    def maps(self, rgb: Rgb, requests: Sequence[Request]) -> Map:
        return np.stack([self._pattern * np.float32(self.strengths[r.frame]) for r in requests])

    def shown_with(self, smooth: float) -> Map:
        """Return the pattern at working size, smoothed."""
        return image_ops.smoothed(image_ops.shrink(self._pattern, (90, 160)), smooth)

    @property
    def shown(self) -> Map:
        """The pattern, smoothed as in `ONCE`."""
        return self.shown_with(0.01)


# Without accumulation, so that only the scales depend on earlier frames.
ONCE = dataclasses.replace(PLAIN, method="gradient", smooth=0.01, contrast=1.0)


def sharp(static: Map, result: Saliency) -> Map:
    """Return the map that motion amplifies, with the settings of `ONCE`."""
    return guided_filter(static, image_ops.shrink(result.frame.rgb, (90, 160)), 0.01 * 160)


def test_scales_average_over_the_times_of_the_frames(clip: list[Rgb]) -> None:
    times_s = [0.0, 0.04, 0.5, 2.5, 2.6, 9.0]
    strengths = [1.0, 3.0, 0.2, 5.0, 1.0, 2.0]
    # Some steps skip a frame, so that the speed changes too.
    pictures = [clip[n] for n in (0, 1, 3, 4, 4, 7)]
    frames = [Frame(rgb, n, times_s[n]) for n, rgb in enumerate(pictures)]
    stage = Pattern(strengths)
    results = analysed(frames, ONCE, static=stage)
    static, moving, fused = RunningAverage(), RunningAverage(), RunningAverage()
    for n, result in enumerate(results):
        fast = max(0.03, float(np.percentile(result.speed, 99.8)))
        seconds = times_s[n] - times_s[n - 1] if n else 0.0
        bright = strengths[n] * float(np.percentile(stage.shown, 99.8))
        static_end = static.after(bright, seconds)
        # The averages of motion and fused map begin one frame later, with the first motion.
        motion_end = moving.after(fast, seconds) if n else fast
        assert result.motion == pytest.approx(np.clip(result.speed / motion_end, 0, 1), abs=1e-5)
        assert result.static_high == pytest.approx(static_end, rel=1e-5)
        assert result.motion_high == pytest.approx(motion_end, rel=1e-5)
        on_scale = strengths[n] * stage.shown / static_end
        assert result.static == pytest.approx(np.clip(on_scale, 0, 1), abs=1e-5)
        # The fused map is not clipped before scaling, and has its own running average.
        both = on_scale + 2 * result.motion * sharp(on_scale, result)
        high = float(np.percentile(both, 99.8))
        fused_end = fused.after(high, seconds) if n else high
        # A faint map is shown at 0.6.
        fused_end = min(fused_end, high / 0.6)
        assert result.fused == pytest.approx(np.clip(both / fused_end, 0, 1), abs=1e-5)
        assert result.fused_high == pytest.approx(static_end * fused_end, rel=1e-5)


def test_a_fixed_scale_does_not_depend_on_earlier_frames(clip: list[Rgb]) -> None:
    stage = Pattern([9.0, 8.0, 9.0, 8.0, 1.0, 2.0, 0.5, 1.0, 3.0, 1.0])
    settings = dataclasses.replace(ONCE, scale="fixed:0.25,1.5,0.1,0.5", fusion="sum")
    whole = analysed(frames_of(clip), settings, static=stage)
    late = analysed(frames_of(clip[4:], first=4), settings, static=stage)
    for one, other in zip(whole[4:], late, strict=True):
        assert one.static is not None and other.static is not None
        assert np.array_equal(one.static, other.static)
    for n, result in enumerate(whole):
        assert (result.static_high, result.motion_high, result.fused_high) == (1.5, 0.5, 1.5)
        assert result.motion == pytest.approx(np.clip((result.speed - 0.1) / 0.4, 0, 1), abs=1e-6)
        on_scale = np.maximum(stage.strengths[n] * stage.shown - 0.25, 0) / 1.25
        assert result.static == pytest.approx(np.clip(on_scale, 0, 1), abs=1e-5)
        expected = np.clip(on_scale + 2 * result.motion, 0, 1)
        assert result.fused == pytest.approx(expected, abs=1e-5)
    # With a running average, the same frame looks different after other frames.
    stable = dataclasses.replace(settings, scale="stable")
    one = analysed(frames_of(clip), stable, static=stage)[5]
    other = analysed(frames_of(clip[4:], first=4), stable, static=stage)[1]
    assert one.static is not None and other.static is not None
    assert one.static.mean() < 0.5 * other.static.mean()


def test_without_a_network_a_fixed_scale_applies_to_the_speed(clip: list[Rgb]) -> None:
    settings = dataclasses.replace(PLAIN, scale="fixed:0.1,0.5")
    results = analysed(frames_of(clip), settings, static=None)
    for n, result in enumerate(results):
        assert (result.motion_high, result.fused_high) == (0.5, 0.5)
        assert (result.motion.max() == 1) == (n > 0)
        assert result.motion == pytest.approx(np.clip((result.speed - 0.1) / 0.4, 0, 1), abs=1e-6)
        assert np.array_equal(result.fused, result.motion)


def test_two_fixed_numbers_apply_to_the_static_map(clip: list[Rgb]) -> None:
    fixed, stable = (
        analysed(frames_of(clip), dataclasses.replace(PLAIN, scale=scale, contrast=contrast))
        for scale, contrast in (("fixed:30,170", 2.0), ("stable", 1.0))
    )
    for one, other in zip(fixed, stable, strict=True):
        assert np.array_equal(one.motion, other.motion)
        assert (one.static_high, one.motion_high) == (170, other.motion_high)
        assert one.static is not None and other.static is not None
        dim = other.static < 1
        assert 0.1 < np.median(one.static) < 0.9
        # The numbers apply to the gradient map, before the contrast of 2.
        expected = (other.static * other.static_high - 30) / 140
        assert one.static[dim] == pytest.approx(np.clip(expected, 0, 1)[dim] ** 2, abs=1e-5)


def test_noise_of_a_still_scene_is_not_amplified(clip: list[Rgb]) -> None:
    rng = np.random.default_rng(0)
    noisy = [
        np.clip(clip[0] + rng.normal(0, 1.0, clip[0].shape), 0, 255).astype(np.uint8)
        for _ in range(5)
    ]
    for result in analysed(frames_of(noisy))[1:]:
        assert result.speed.max() > 0
        assert result.motion == pytest.approx(np.clip(result.speed / 0.03, 0, 1), abs=1e-6)
        assert result.motion_high == pytest.approx(0.03, rel=1e-9)
        assert np.percentile(result.motion, 90) < 0.5


# Speed


def _speeds(load_script: LoadScript, fps: int, longer_px: int = 160) -> list[Saliency]:
    """Analyse 0.6 s of a square that moves by (-50, 50) px/s over a pan of (50, 0) px/s.

    Then the picture stands still for 0.2 s.
    """
    step = 50 // fps
    count = round(0.6 * fps)
    _, pictures = scene_of(
        load_script, background_velocity=(step, 0), square_velocity=(-step, step),
        square_start=(110, 20), frame_count=count,
    )  # fmt: skip
    pictures += [pictures[-1]] * round(0.2 * fps)
    frames = [Frame(rgb, n, n / fps) for n, rgb in enumerate(pictures)]
    settings = Settings(working_width=longer_px, short_side=64)
    return analysed(frames, settings, static=None)


@pytest.mark.parametrize(("fps", "longer_px"), [(25, 160), (50, 160), (25, 120)])
def test_speed_is_in_diagonals_per_second_at_every_rate_and_size(
    load_script: LoadScript, fps: int, longer_px: int
) -> None:
    results = _speeds(load_script, fps, longer_px)
    moving = round(0.6 * fps)
    # After camera compensation, the square moves by (-100, 50) in a picture of 90 x 160.
    truth = np.hypot(100, 50) / np.hypot(90, 160)
    left = 110 - 50 * (moving - 1) / fps
    top = 20 + 50 * (moving - 1) / fps
    factor = longer_px / 160
    inside = np.s_[
        round((top + 10) * factor) : round((top + 22) * factor),
        round((left + 10) * factor) : round((left + 22) * factor),
    ]
    speed = results[moving - 1].speed
    assert np.median(speed[inside]) == pytest.approx(truth, rel=0.1)
    assert np.median(speed) < 0.03 * truth
    # When the motion ends, its speed decays with a time constant of 0.12 s.
    decay = np.exp(-1 / fps / 0.12)
    for n in range(moving, len(results)):
        later = n - moving + 1
        left_over = decay**later * (1 - decay ** (moving - 1)) / (1 - decay**n)
        assert results[n].speed == pytest.approx(left_over * speed, abs=1e-5)
        assert not results[n].movement.speed.any()
    assert left_over == pytest.approx(np.exp(-0.2 / 0.12), rel=0.02)


def test_skipped_frames_do_not_change_the_speed(clip: list[Rgb]) -> None:
    whole = analysed(frames_of(clip))
    frames = frames_of(clip)
    for subset in (frames[::2], frames[:2] + frames[3:4] + frames[5:]):
        for result in analysed(subset)[1:]:
            usual = whole[result.frame.index]
            fast = float(np.percentile(result.speed, 99))
            assert fast == pytest.approx(SQUARE, rel=0.05)
            assert fast == pytest.approx(float(np.percentile(usual.speed, 99)), rel=0.05)


def test_frames_with_equal_times_count_as_a_25th_of_a_second(clip: list[Rgb]) -> None:
    stuck = [Frame(rgb, n, 3.0) for n, rgb in enumerate(clip)]
    for one, other in zip(analysed(stuck), analysed(frames_of(clip)), strict=True):
        assert one.speed == pytest.approx(other.speed, abs=1e-6)


@pytest.mark.parametrize("fusion", ["gain", "sum", "max", "static"])
@pytest.mark.parametrize("scale", PLAIN_WITH)
def test_identical_frames_show_the_static_map_alone(
    clip: list[Rgb], scale: str, fusion: Fusion
) -> None:
    settings = dataclasses.replace(PLAIN_WITH[scale], fusion=fusion, gain=50)
    for result in analysed(frames_of([clip[0]] * 4), settings):
        assert not result.motion.any()
        assert result.static is not None
        assert result.static.max() == 1 and np.median(result.static) < 0.9
        assert result.fused == pytest.approx(result.static, abs=1e-6)
        assert result.motion_share == 0
        assert result.fused_high == pytest.approx(result.static_high, rel=1e-6)


def test_black_frames_are_zeros() -> None:
    for result in analysed(frames_of([np.zeros((90, 160, 3), np.uint8)] * 3)):
        assert result.static is not None
        assert not result.static.any() and not result.motion.any() and not result.fused.any()


# Fusion


def test_without_a_network_the_result_is_the_motion_map(clip: list[Rgb]) -> None:
    for result in analysed(frames_of(clip), static=None):
        assert result.static is None and result.prediction is None
        assert np.array_equal(result.fused, result.motion)


@pytest.mark.parametrize(("smooth", "contrast"), [(0.05, 3.0), (0.02, 1.0), (0.0, 2.0)])
def test_motion_amplifies_the_filtered_map(clip: list[Rgb], smooth: float, contrast: float) -> None:
    """The guided filter has the reach of the smoothing, and comes before the contrast."""
    stage = Pattern([1.0] * 10)
    settings = dataclasses.replace(ONCE, scale="frame", gain=4.0, smooth=smooth, contrast=contrast)
    shown = stage.shown_with(smooth)
    on_scale = shown / np.float32(np.percentile(shown, 99.8))
    for result in analysed(frames_of(clip[:3]), settings, static=stage)[1:]:
        small = image_ops.shrink(result.frame.rgb, (90, 160))
        amplified = guided_filter(on_scale, small, smooth * 160) ** contrast
        both = on_scale**contrast + 4 * result.motion * amplified
        expected = np.clip(both / np.percentile(both, 99.8), 0, 1)
        assert result.fused == pytest.approx(expected, abs=1e-4)


# From static map s, amplified map t, motion map d and gain: the fused map, and the part that motion
# added.
FUSIONS: dict[Fusion, tuple[Callable[..., Map], Callable[..., Map] | None]] = {
    "gain": (lambda s, t, d, gain: s + gain * d * t, lambda s, t, d, gain: gain * d * t),
    "sum": (lambda s, t, d, gain: s + gain * d, lambda s, t, d, gain: gain * d),
    "max": (
        lambda s, t, d, gain: np.maximum(s, gain * d),
        lambda s, t, d, gain: np.maximum(0, gain * d - s),
    ),
    "static": (lambda s, t, d, gain: s, lambda s, t, d, gain: 0 * s),
    "motion": (lambda s, t, d, gain: d, None),
}


@pytest.mark.parametrize("gain", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("fusion", get_args(Fusion))
def test_fusion_in_closed_form(clip: list[Rgb], fusion: Fusion, gain: float) -> None:
    stage = Pattern([1.0] * 10)
    settings = dataclasses.replace(ONCE, scale="frame", fusion=fusion, gain=gain)
    results = analysed(frames_of(clip[:4]), settings, static=stage)[1:]
    static_map = stage.shown / np.percentile(stage.shown, 99.8)
    # The peaks exceed the scale, and are not clipped before the fusion.
    assert static_map.max() > 2
    fuse, added = FUSIONS[fusion]
    for result in results:
        assert result.motion.max() == 1
        amplified = sharp(static_map, result)
        both = fuse(static_map, amplified, result.motion, gain)
        # The motion map is on its scale already, whose end its clipped values do not show.
        end = 1 if fusion == "motion" else np.percentile(both, 99.8)
        expected = np.clip(both / end, 0, 1)
        assert result.static == pytest.approx(np.clip(static_map, 0, 1), abs=1e-5)
        assert result.fused == pytest.approx(expected, abs=1e-5)
        if added:
            share = added(static_map, amplified, result.motion, gain).sum() / both.sum()
            assert result.motion_share == pytest.approx(share, abs=1e-5)
            assert (result.motion_share > 0.01) == (gain > 0 and fusion != "static")


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_centre_prior_weights_the_fused_map(clip: list[Rgb], strength: float) -> None:
    flat = np.full(TEXTURE, 0.25, np.float32)
    settings = dataclasses.replace(BARE, scale="fixed:0,1", centre_prior=strength)
    # A Gaussian whose standard deviation is that of gaze in videos, as a share of each side.
    rows = (np.arange(90) + 0.5) / 90 - 0.5
    columns = (np.arange(160) + 0.5) / 160 - 0.5
    distance = np.hypot(*np.meshgrid(rows, columns, indexing="ij"))
    prior = 1 - strength + strength * np.exp(-0.5 * (distance / 0.17) ** 2)
    for result in analysed(frames_of(clip), settings, static=Placed(lambda _: flat)):
        both = 0.25 * (1 + 2 * result.motion)
        assert result.fused == pytest.approx(both * prior, abs=1e-5)
        assert result.static == pytest.approx(flat, abs=1e-6)
        # The share of motion refers to the shown map.
        share = (0.5 * result.motion * prior).sum() / (both * prior).sum()
        assert result.motion_share == pytest.approx(share, abs=1e-5)
    settings = dataclasses.replace(settings, scale="fixed:0,0.2")
    alone = analysed(frames_of(clip), settings, static=None)
    assert max(result.motion.max() for result in alone) > 0.5
    for result in alone:
        assert result.fused == pytest.approx(result.motion * prior, abs=1e-5)


def test_motion_alone_is_the_same_with_a_network_and_without(clip: list[Rgb]) -> None:
    # Sensor noise in a still scene is not amplified.
    rng = np.random.default_rng(0)
    noisy = [clip[0].astype(float) + rng.normal(0, 2, clip[0].shape) for _ in range(8)]
    grainy = frames_of([np.clip(one, 0, 255).astype(np.uint8) for one in noisy])
    for frames in (grainy, frames_of(clip)):
        for prior in (0.0, 1.0):
            settings = dataclasses.replace(PLAIN, fusion="motion", centre_prior=prior)
            pairs = zip(
                analysed(frames, settings), analysed(frames, settings, static=None), strict=True
            )
            for one, other in pairs:
                assert one.static is not None
                assert np.array_equal(one.fused, other.fused)
                assert (one.peak, one.marker, one.fused_high, one.motion_share) == (
                    other.peak, other.marker, other.fused_high, other.motion_share,
                )  # fmt: skip
    assert 0 < max(float(one.fused.max()) for one in analysed(grainy, static=None)) < 0.7


@pytest.mark.parametrize("options", [{"fusion": "static"}, {"gain": 0.0}])
def test_without_motion_in_the_fusion_motion_does_not_change_the_map(
    options: dict[str, Any], clip: list[Rgb]
) -> None:
    # The strength decreases, so that a scale that restarts would differ.
    stage = Pattern([0.8**n for n in range(16)])
    settings = dataclasses.replace(PLAIN, method="gradient", **options)
    moving = analysed(frames_of([clip[0]] * 6 + clip), settings, static=stage)
    still = analysed(frames_of([clip[0]] * 16), settings, static=stage)
    assert moving[-1].motion.any() and not still[-1].motion.any()
    for one, other in zip(moving, still, strict=True):
        assert one.fused_high == pytest.approx(other.fused_high, rel=1e-6)
        assert one.fused == pytest.approx(other.fused, abs=1e-6)


def test_huge_gradients_do_not_overflow(clip: list[Rgb]) -> None:
    stage = Placed(lambda _: np.full(TEXTURE, 3e38, np.float32))
    for scale in ("stable", "fixed:0,1"):
        settings = dataclasses.replace(PLAIN, scale=scale)
        for one in analysed(frames_of(clip[:3]), settings, static=stage):
            assert np.isfinite(one.fused).all() and one.fused.max() <= 1


# The peak and the marker

# Each frame has its own map, which is not scaled.
DRAWN = dataclasses.replace(BARE, scale="fixed:0,1", method="gradient")
LEFT, RIGHT = (30.5 / 90, 40.5 / 160), (60.5 / 90, 120.5 / 160)


def _two_bumps(left: float, right: float) -> Map:
    return np.asarray(left * bump(30, 40) + right * bump(60, 120), np.float32)


def test_the_peak_is_found_before_the_map_is_clipped(clip: list[Rgb]) -> None:
    heights = [(1.5, 2.0), (2.5, 1.2), (3.0, 3.5), (0.2, 0.1)]
    stage = Placed(lambda request: _two_bumps(*heights[request.frame]))
    results = analysed(frames_of([clip[0]] * 4), DRAWN, static=stage)
    for result, (left, right) in zip(results, heights, strict=True):
        # In the clipped map, both are 1.
        assert (result.fused == 1).sum() > 50 or left < 1
        assert result.peak == pytest.approx(LEFT if left > right else RIGHT)


def test_the_peak_of_motion_alone_is_the_fastest_place(clip: list[Rgb]) -> None:
    settings = dataclasses.replace(BARE, scale="fixed:0,0.05")
    results = analysed(frames_of(clip), settings, static=None)
    assert results[0].peak is None and results[0].marker is None
    for result in results[1:]:
        assert (result.fused == 1).sum() > 50
        row, column = np.unravel_index(result.speed.argmax(), result.speed.shape)
        assert result.peak == pytest.approx(((row + 0.5) / 90, (column + 0.5) / 160))


def test_the_marker_stays_while_places_are_nearly_as_bright(clip: list[Rgb]) -> None:
    heights = [(0.6, 0.5), (0.6, 0.7), (0.7, 0.6), (0.6, 0.7), (0.5, 0.8), (0.7, 0.8), (0.9, 0.8)]
    stage = Placed(lambda request: _two_bumps(*heights[request.frame]))
    results = analysed(frames_of([clip[0]] * 7), DRAWN, static=stage)
    peaks = [LEFT, RIGHT, LEFT, RIGHT, RIGHT, RIGHT, LEFT]
    markers = [LEFT] * 4 + [RIGHT] * 3
    assert [result.peak for result in results] == [pytest.approx(one) for one in peaks]
    assert [result.marker for result in results] == [pytest.approx(one) for one in markers]


def test_after_a_cut_the_marker_is_the_peak(clip: list[Rgb], other_clip: list[Rgb]) -> None:
    heights = [(0.6, 0.5), (0.6, 0.7), (0.6, 0.7), (0.7, 0.6)]
    stage = Placed(lambda request: _two_bumps(*heights[request.frame]))
    pictures = [clip[0]] * 2 + [other_clip[0]] * 2
    results = analysed(frames_of(pictures), DRAWN, static=stage)
    assert [result.is_cut for result in results] == [False, False, True, False]
    markers = [LEFT, LEFT, RIGHT, RIGHT]
    assert [result.marker for result in results] == [pytest.approx(one) for one in markers]


def test_a_flat_map_in_between_does_not_make_the_marker_jump(clip: list[Rgb]) -> None:
    heights = [(0.6, 0.5), (0.0, 0.0), (0.6, 0.7)]
    stage = Placed(lambda request: _two_bumps(*heights[request.frame]))
    results = analysed(frames_of([clip[0]] * 3), DRAWN, static=stage)
    assert [result.marker for result in results] == [pytest.approx(LEFT), None, pytest.approx(LEFT)]
