"""Sampling stage: how many gradients each frame draws, and their average along the flow."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import get_args

import numpy as np
import pytest
from conftest import BrightnessStage, LoadScript, scene_of
from stream_help import (
    BARE,
    FPS,
    PLAIN,
    TEXTURE,
    Placed,
    analyse_frames,
    analysed,
    assert_same,
    bump,
    frames_of,
    place_px,
)

from vidsal import image_ops
from vidsal.motion import compensated
from vidsal.saliency.schedule import GradientSchedule
from vidsal.settings import Method, Settings
from vidsal.types import Frame, Map, Request, Rgb


def test_a_scene_starts_with_a_full_set_and_continues_with_fresh_samples(clip: list[Rgb]) -> None:
    for samples, fresh in ((16, 1), (24, 6), (1, 1), (5, 5)):
        stage = BrightnessStage()
        settings = dataclasses.replace(PLAIN, samples=samples, fresh=fresh)
        analysed(frames_of([clip[0]] * 6), settings, static=stage)
        assert [one.samples for one in stage.asked] == [samples] + [fresh] * 5
    # A gentle pan and a small square uncover a small part of the picture, seldom an eighth.
    stage = BrightnessStage()
    analysed(frames_of(clip), static=stage)
    drawn = [one.samples for one in stage.asked]
    assert drawn[0] == 16 and set(drawn[1:]) <= {1, 2} and drawn.count(1) >= 7
    # The predicted class is the explained one.
    assert [one.class_id for one in stage.asked] == [1] * 10


def test_a_cut_starts_with_a_full_set(clip: list[Rgb], other_clip: list[Rgb]) -> None:
    stage = BrightnessStage()
    analysed(frames_of(clip[:4] + other_clip[:3]), static=stage)
    assert [one.samples for one in stage.asked] == [16, 1, 1, 1, 16, 1, 1]


def test_a_photo_draws_a_full_set(clip: list[Rgb]) -> None:
    stage = BrightnessStage()
    analysed(frames_of(clip[3:4]), static=stage)
    assert stage.requests == [[Request(0, 16, 1)]]


@pytest.mark.parametrize(("method", "samples"), [("gradient", 1), ("integrated", 16)])
def test_only_smoothgrad_accumulates(method: Method, samples: int, clip: list[Rgb]) -> None:
    stage = BrightnessStage()
    settings = dataclasses.replace(BARE, method=method)
    results = analysed(frames_of(clip), settings, static=stage)
    assert [one.samples for one in stage.asked] == [samples] * 10
    alone = [analysed([frame], settings)[0] for frame in frames_of(clip)]
    for one, other in zip(results, alone, strict=True):
        assert one.static is not None and other.static is not None
        assert np.array_equal(one.static, other.static)


def test_uncovered_areas_get_more_samples(clip: list[Rgb], load_script: LoadScript) -> None:
    _, others = scene_of(load_script, seed=5)

    def drawn(share: float) -> list[int]:
        # From the third frame on, a part of the picture shows another texture in the same colours.
        mixed = [rgb.copy() for rgb in clip[:2]]
        width = round(share * 160)
        for _ in range(3):
            mixed.append(clip[1].copy())
            mixed[-1][:, :width] = others[1][:, :width]
        stage = BrightnessStage()
        results = analysed(frames_of(mixed), static=stage)
        assert not any(result.is_cut for result in results)
        return [one.samples for one in stage.asked]

    assert drawn(0.0) == [16, 1, 1, 1, 1]
    some, most = drawn(0.3), drawn(1.0)
    # Some of its flow is consistent by chance.
    assert some[:2] == [16, 1] and 2 <= some[2] <= 4
    assert most[2] == 4
    # The gap is filled over several frames.
    assert some[4] <= some[2]


@pytest.mark.parametrize("batch", [1, 4, 16])
def test_static_every_draws_on_every_third_frame(clip: list[Rgb], batch: int) -> None:
    stage = BrightnessStage()
    settings = dataclasses.replace(PLAIN, static_every=3)
    results = analysed(frames_of(clip), settings, static=stage, batch=batch)
    assert [one.frame for one in stage.asked] == [0, 3, 6, 9]
    assert stage.asked[0].samples == 16 and {one.samples for one in stage.asked[1:]} <= {1, 2}
    for one, picture in zip(stage.asked, np.concatenate(stage.pictures), strict=True):
        assert np.array_equal(picture, image_ops.sampled(clip[one.frame], (64, 128)))
    assert len(results) == 10
    for result in results:
        assert result.static is not None and result.static.any()


@pytest.mark.parametrize(
    ("lost", "drawn"),
    [(0.4, [(0, 16), (5, 4)]), (0.6, [(0, 16), (2, 4), (5, 3)])],
)
def test_a_large_loss_is_sampled_out_of_turn(
    lost: float, drawn: list[tuple[int, int]], clip: list[Rgb], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = itertools.count(1)

    def consistent(backward: Map, forward: Map) -> Map:
        known = np.ones(TEXTURE, np.float32)
        # The second flow leads to frame 2.
        if next(calls) == 2:
            known[:, : round(lost * TEXTURE[1])] = 0
        return known

    monkeypatch.setattr(compensated, "forward_backward_consistent", consistent)
    stage = BrightnessStage()
    settings = dataclasses.replace(PLAIN, static_every=5)
    analysed(frames_of([clip[0]] * 10), settings, static=stage)
    # More than half is sampled at once; the schedule stays.
    assert [(one.frame, one.samples) for one in stage.asked] == drawn


@pytest.mark.parametrize("method", get_args(Method))
def test_a_cut_is_sampled_out_of_turn(
    method: Method, clip: list[Rgb], other_clip: list[Rgb]
) -> None:
    stage = BrightnessStage()
    settings = dataclasses.replace(PLAIN, static_every=3, method=method)
    analysed(frames_of(clip[:5] + other_clip[:5]), settings, static=stage)
    # The schedule stays: a part of a stream that begins at a multiple draws at the same frames.
    assert [one.frame for one in stage.asked] == [0, 3, 5, 6, 9]


def test_between_samples_the_map_moves_with_the_square(load_script: LoadScript) -> None:
    box, pictures = scene_of(load_script, background_velocity=(0, 0), square_velocity=(3, 2))

    def middle(frame: int) -> tuple[float, float]:
        left, top, right, bottom = box(frame)
        return (top + bottom - 1) / 2, (left + right - 1) / 2

    stage = Placed(lambda one: bump(*middle(one.frame), sigma=4))
    settings = dataclasses.replace(BARE, static_every=3)
    for n, result in enumerate(analysed(frames_of(pictures), settings, static=stage)):
        assert result.static is not None
        assert place_px(result.static) == pytest.approx(middle(n), abs=1.0)
    assert [one.frame for one in stage.asked] == [0, 3, 6, 9]


def test_a_sampled_spot_stays_on_its_texture(load_script: LoadScript) -> None:
    # The whole picture pans by (2, -1). Only the map of the first frame has a hot spot.
    _, pictures = scene_of(load_script, square_velocity=(2, -1))
    nothing = np.zeros(TEXTURE, np.float32)
    stage = Placed(lambda one: bump(45, 60) if one.frame == 0 else nothing)
    settings = dataclasses.replace(BARE, scale="minmax")
    for n, result in enumerate(analysed(frames_of(pictures), settings, static=stage)):
        assert result.static is not None
        assert place_px(result.static) == pytest.approx((45 - n, 60 + 2 * n), abs=1.5)
        # The spot does not smear to more than 1.5 times its area.
        hot = int((result.static > 0.5 * result.static.max()).sum())
        assert hot < 1.5 * (bump(45, 60) > 0.5).sum()


def _noisy(sigma: float, size: tuple[int, int]) -> tuple[Map, Callable[[Request], Map]]:
    """Return a true map, and a function that draws noisy samples seeded by the frame.

    Two pixels without noise, 0 and 10, fix the "minmax" scale.
    """
    rows, columns = np.mgrid[: size[0], : size[1]]
    truth = (5 + np.sin(rows / 9) + np.cos(columns / 13)).astype(np.float32)
    truth[0, :2] = 0, 10

    def draw(one: Request) -> Map:
        noise = np.random.default_rng(one.frame).normal(0, sigma / np.sqrt(one.samples), size)
        noise[0, :2] = 0
        return np.asarray(truth + noise, np.float32)

    return truth, draw


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_do_not_stay_in_the_average(odd: float, clip: list[Rgb]) -> None:
    def drawn(request: Request) -> Map:
        values = bump(45, 80)
        if request.frame == 2:
            values[:10, :10] = odd
        return values

    settings = Settings(batch=1)
    with np.errstate(over="raise", invalid="raise"):
        found = list(analyse_frames(frames_of(clip), Placed(drawn), settings, batch=1))
    for one in found[2:]:
        assert one.static is not None and np.isfinite(one.static).all()
        assert np.isfinite(one.static_high)
        row, column = place_px(one.static)
        assert abs(row - 45) < 4 and abs(column - 80) < 4


@pytest.mark.parametrize("fresh", [1, 4])
def test_noise_of_accumulated_maps_in_closed_form(fresh: int) -> None:
    size, sigma = (64, 128), 0.5
    truth, draw = _noisy(sigma, size)
    rgb = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    settings = Settings(
        working_width=128,
        short_side=64,
        smooth=0,
        contrast=1,
        scale="minmax",
        fresh=fresh,
        samples=16,
        static_every=1,
    )
    errors = [
        float((10 * result.static - truth)[1:].std())
        for result in analysed(frames_of([rgb] * 50), settings, static=Placed(draw))
        if result.static is not None
    ]
    assert len(errors) == 50
    # The first map is a plain mean of 16. Later maps approach the variance of 16 samples; between
    # them it follows from the weights, which decay by a constant factor.
    decay = (16 - fresh) / (16 + fresh)
    for n, error in enumerate(errors):
        weights = np.array([16.0] + [fresh] * n) * decay ** np.arange(n, -1, -1)
        counts = np.array([16.0] + [fresh] * n)
        expected = sigma * np.sqrt((weights**2 / counts).sum()) / weights.sum()
        assert error == pytest.approx(expected, rel=0.05)
    assert errors[-1] == pytest.approx(sigma / 4, rel=0.05)
    assert max(errors) < sigma / 3


def test_accumulated_maps_have_less_noise_along_a_pan(load_script: LoadScript) -> None:
    _, pictures = scene_of(load_script, square_velocity=(2, -1), frame_count=30)
    _, draw = _noisy(0.5, TEXTURE)
    flat = np.full(TEXTURE, 5, np.float32)

    def even(one: Request) -> Map:
        noise = draw(one) - draw(Request(one.frame, 10**12))
        return np.asarray(flat + noise, np.float32)

    # Resizing to the network's input and back also smooths, so compare with single gradients.
    settings = dataclasses.replace(BARE, short_side=96)
    accumulated = analysed(frames_of(pictures), settings, static=Placed(even))[20:]
    single = analysed(
        frames_of(pictures), dataclasses.replace(settings, method="gradient"), static=Placed(even)
    )[20:]
    for one, other in zip(accumulated, single, strict=True):
        assert one.static is not None and other.static is not None
        inner = np.s_[20:-20, 50:-20]
        relative = [float(m[inner].std() / m[inner].mean()) for m in (one.static, other.static)]
        assert relative[0] < relative[1] / 3


@pytest.mark.parametrize("static_every", [1, 2])
@pytest.mark.parametrize("batch", [1, 3])
def test_batches_do_not_change_accumulated_maps(
    clip: list[Rgb], other_clip: list[Rgb], batch: int, static_every: int
) -> None:
    _, draw = _noisy(1.0, TEXTURE)
    frames = frames_of(clip[:7] + other_clip[:6])
    settings = dataclasses.replace(PLAIN, static_every=static_every)
    whole = analysed(frames, settings, static=Placed(draw), batch=16)
    parts = analysed(frames, settings, static=Placed(draw), batch=batch)
    for one, other in zip(parts, whole, strict=True):
        assert_same(one, other)


@pytest.mark.parametrize("contrast", [0.5, 1.0, 2.0, 3.0, 10.0])
@pytest.mark.parametrize("unit", [1e-14, 1e-6, 1.0, 1e20])
@pytest.mark.parametrize("low", [-1, 0])
def test_contrast_is_a_power_of_the_map_on_its_scale(
    contrast: float, unit: float, low: float
) -> None:
    rows, columns = np.mgrid[:64, :128]
    values = np.asarray(np.sin(rows / 9) * np.cos(columns / 13), np.float32)
    values[0, :2] = -1, 1
    values = np.maximum(values, np.float32(low))
    rgb = np.random.default_rng(0).integers(0, 256, (64, 128, 3), np.uint8)
    settings = Settings(
        working_width=128, short_side=64, smooth=0, contrast=contrast, scale="minmax"
    )
    stage = Placed(lambda _: values * np.float32(unit))
    (result,) = analysed(frames_of([rgb]), settings, static=stage)
    assert result.static == pytest.approx(((values - low) / (1 - low)) ** contrast, abs=1e-5)
    # The upper end is that of the gradient map, at any contrast.
    assert result.static_high == pytest.approx(unit)


# Schedule


class Clock:
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Slow(BrightnessStage):
    """Takes a fixed time for each picture."""

    def __init__(self, clock: Clock, drawing_s: float) -> None:
        super().__init__()
        self._clock, self._drawing_s = clock, drawing_s

    def maps(self, rgb: Rgb, requests: Sequence[Request]) -> Map:
        self._clock.now_s += self._drawing_s * len(requests)
        return super().maps(rgb, requests)


@pytest.mark.parametrize("is_live", [True, False])
def test_auto_draws_as_often_as_the_rate_allows(is_live: bool) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (32, 64, 3), np.uint8)
    clock = Clock()
    stage = Slow(clock, 0.100)

    def frames() -> Iterator[Frame]:
        for n in range(200):
            if is_live:
                # A camera delivers each frame at its time.
                clock.now_s = max(clock.now_s, n / FPS)
            yield Frame(rgb, n, n / FPS)

    settings = Settings(working_width=64, short_side=32, static_every="auto")
    late_s, schedule = [], GradientSchedule("auto", FPS)
    for result in analyse_frames(
        frames(), stage, settings, batch=1, schedule=schedule, clock=clock
    ):
        clock.now_s += 0.010
        late_s.append(clock.now_s - result.frame.time_s)
    drawn = [one.frame for one in stage.asked]
    # A gradient takes 0.1 s, and each frame has 0.04 - 0.01 s to spare: every fourth frame.
    assert np.diff(drawn[-20:]).tolist() == [4] * 19
    assert late_s[-1] < 0.2
