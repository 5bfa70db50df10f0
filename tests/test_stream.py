"""The stream from frames to saliency, with a small fake in the place of a network."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, get_args

import cv2
import numpy as np
import pytest
from conftest import BrightnessStage, LoadScript
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from vidsal import motion
from vidsal.frames import Frame, Map, Request, Rgb, Saliency, StaticStage
from vidsal.fusion import centroid, fuse
from vidsal.settings import Scale, Settings
from vidsal.stream import analyse_frames, batched, network_size

FPS = 25
BRIGHTNESS = BrightnessStage()
PLAIN = Settings(working_width=160, short_side=64)
PLAIN_WITH = {
    scale: Settings(working_width=160, short_side=64, scale=scale) for scale in get_args(Scale)
}


def _frames(pictures: Sequence[Rgb], first: int = 0) -> list[Frame]:
    return [Frame(rgb, first + n, (first + n) / FPS) for n, rgb in enumerate(pictures)]


def _analysed(
    frames: Sequence[Frame],
    settings: Settings = PLAIN,
    *,
    static: StaticStage | None = BRIGHTNESS,
    batch: int = 4,
) -> list[Saliency]:
    return list(analyse_frames(iter(frames), static, settings, batch=batch))


def _assert_same(one: Saliency, other: Saliency) -> None:
    assert one.static is not None and other.static is not None
    assert np.array_equal(one.static, other.static)
    assert np.array_equal(one.motion, other.motion)
    assert np.array_equal(one.fused, other.fused)
    assert np.array_equal(one.movement.flow, other.movement.flow)


@pytest.fixture(scope="module")
def clip(load_script: LoadScript) -> list[Rgb]:
    """Ten frames of a square that moves over a pan, both evenly."""
    script = load_script("make_synthetic_clip")
    scene = script.Scene(
        width=160, height=90, frame_count=10, square_size=32, square_start=(100, 20)
    )
    return list(script.frames(scene))


@pytest.fixture(scope="module")
def other_clip(clip: list[Rgb]) -> list[Rgb]:
    """Ten frames of another scene: the same motion in other colours."""
    return [np.ascontiguousarray(255 - rgb[..., ::-1]) for rgb in clip]


# One result a frame


@pytest.mark.parametrize("batch", [1, 3, 10, 64])
def test_one_result_a_frame_in_order(clip: list[Rgb], batch: int) -> None:
    frames = _frames(clip)
    results = _analysed(frames, batch=batch)
    assert [result.frame.index for result in results] == list(range(10))
    for frame, result in zip(frames, results, strict=True):
        assert result.frame is frame
        assert result.static is not None and result.prediction is not None
        assert result.prediction.names == ("bright", "dark")
        assert result.prediction.probabilities == pytest.approx((0.6, 0.4))
        for values in (result.static, result.motion, result.fused):
            assert values.shape == (90, 160) and values.dtype == np.float32
            assert values.min() >= 0 and values.max() <= 1


def test_nothing_in_nothing_out() -> None:
    assert _analysed([]) == []


@pytest.mark.parametrize("scale", ["stable", "frame", "minmax"])
@pytest.mark.parametrize("batch", [1, 3])
def test_batches_do_not_matter(clip: list[Rgb], batch: int, scale: str) -> None:
    settings = PLAIN_WITH[scale]
    whole = _analysed(_frames(clip), settings, batch=16)
    assert max(float(result.motion.max()) for result in whole) == 1
    for one, other in zip(_analysed(_frames(clip), settings, batch=batch), whole, strict=True):
        _assert_same(one, other)


def test_static_stage_gets_batches_of_network_size_in_order(clip: list[Rgb]) -> None:
    stage = BrightnessStage()
    _analysed(_frames(clip), static=stage, batch=4)
    assert [len(batch) for batch in stage.pictures] == [4, 4, 2]
    assert [one.frame for one in stage.asked] == list(range(10))
    size = network_size(90, 160, 64)
    assert size == (64, 128)
    sent = np.concatenate(stage.pictures)
    assert sent.dtype == np.uint8 and sent.shape == (10, *size, 3)
    for rgb, picture in zip(clip, sent, strict=True):
        area = cv2.resize(rgb, (128, 64), interpolation=cv2.INTER_AREA)
        assert np.array_equal(picture, area)


def test_predictions_stay_with_their_frames(clip: list[Rgb]) -> None:
    class Counting(BrightnessStage):
        """Sees class n in the n-th picture that it is shown."""

        def predict(self, rgb: Rgb) -> Map:
            seen = np.eye(10, dtype=np.float32)[len(self.looked_at) :][: len(rgb)]
            self.looked_at.extend(rgb)
            return seen

    stage = Counting(tuple(f"class {n}" for n in range(10)))
    settings = Settings(working_width=160, short_side=64, predict_every=0)
    results = _analysed(_frames(clip), settings, static=stage, batch=3)
    assert [r.prediction.target_id for r in results if r.prediction] == list(range(10))
    for rgb, picture in zip(clip, stage.looked_at, strict=True):
        area = cv2.resize(rgb, (128, 64), interpolation=cv2.INTER_AREA)
        assert np.array_equal(picture, area)


def test_no_frame_is_read_before_it_is_needed(clip: list[Rgb]) -> None:
    read = 0

    def counted() -> Iterator[Frame]:
        nonlocal read
        for frame in _frames(clip):
            read += 1
            yield frame

    results = analyse_frames(counted(), BRIGHTNESS, PLAIN, batch=4)
    assert read == 0
    for n in range(10):
        next(results)
        assert read == min(10, (n // 4 + 1) * 4)


def test_a_failure_of_the_source_comes_through(clip: list[Rgb]) -> None:
    error = RuntimeError("broken")

    def breaking() -> Iterator[Frame]:
        yield from _frames(clip[:4])
        raise error

    results = analyse_frames(breaking(), BRIGHTNESS, PLAIN, batch=2)
    assert [next(results).frame.index for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(RuntimeError) as caught:
        next(results)
    assert caught.value is error


@given(st.lists(st.integers(), max_size=40), st.integers(1, 12))
@examples(deadline=None)
def test_batched(items: list[Any], size: int) -> None:
    groups = list(batched(items, size))
    assert [item for group in groups for item in group] == items
    assert all(len(group) == size for group in groups[:-1])
    assert all(1 <= len(group) <= size for group in groups)


# First frames, stills and cuts


def test_first_frame_has_no_motion(clip: list[Rgb]) -> None:
    first, second = _analysed(_frames(clip[:2]))
    assert not first.motion.any() and not first.movement.speed.any()
    assert first.static is not None and first.static.max() == 1
    assert np.array_equal(first.fused, first.static)
    assert not first.is_cut
    assert second.motion.max() == 1


@pytest.mark.parametrize("static", [BRIGHTNESS, None], ids=["static", "motion only"])
def test_a_still_is_a_stream_of_one(clip: list[Rgb], static: StaticStage | None) -> None:
    (still,) = _analysed(_frames(clip[:1]), static=static)
    first = _analysed(_frames(clip), static=static)[0]
    assert np.array_equal(still.fused, first.fused)
    assert still.fused.any() == (static is not None)


def test_a_new_scene_begins_with_nothing_remembered(clip: list[Rgb], other_clip: list[Rgb]) -> None:
    both = _analysed(_frames(clip[:5] + other_clip[:5]))
    assert [result.is_cut for result in both] == [n == 5 for n in range(10)]
    assert not both[5].motion.any()
    for one, other in zip(both[5:], _analysed(_frames(other_clip[:5], first=5)), strict=True):
        _assert_same(one, other)
    # The other way round, a memory would show: the second scene's scale is not the first's.
    joined = _analysed(_frames(clip[:5] + [rgb // 2 for rgb in clip[5:]]))
    assert joined[5].is_cut


def test_motion_goes_on_across_batches(clip: list[Rgb]) -> None:
    results = _analysed(_frames(clip), batch=3)
    for result in results[1:]:
        assert result.movement.speed.max() > 2
        assert not result.is_cut


def test_motion_is_measured_against_the_frame_before(clip: list[Rgb]) -> None:
    results = _analysed(_frames(clip))
    for n in range(1, 10):
        expected = motion.measure(motion.grey(clip[n - 1]), motion.grey(clip[n]))
        assert np.array_equal(results[n].movement.flow, expected.flow)
        assert np.array_equal(results[n].movement.speed, expected.speed)


# Scale


def test_the_scale_of_motion_begins_with_the_first_motion(
    clip: list[Rgb], other_clip: list[Rgb]
) -> None:
    # Of a scene's first frame nothing is known; were its zero remembered, all that moves in the
    # next seconds would be shown as fast.
    pictures = _frames(clip[:4] + other_clip[:4])
    stable = _analysed(pictures, PLAIN_WITH["stable"])
    alone = _analysed(pictures, PLAIN_WITH["frame"])
    for n in (1, 5):
        assert np.array_equal(stable[n].motion, alone[n].motion)
    # Even motion, even scale.
    for n in (2, 3, 6, 7):
        assert stable[n].motion == pytest.approx(alone[n].motion, abs=0.05)


def test_scales_are_remembered_over_the_frames_own_times(clip: list[Rgb]) -> None:
    times_s = [0.0, 0.04, 0.5, 2.5, 2.6, 9.0]
    strengths = [1.0, 3.0, 0.2, 5.0, 1.0, 2.0]
    # Now and then two frames on, so that the speed changes too.
    pictures = [clip[n] for n in (0, 1, 3, 4, 4, 7)]
    pattern = np.random.default_rng(0).random((64, 128)).astype(np.float32)
    frames = [Frame(rgb, n, times_s[n]) for n, rgb in enumerate(pictures)]

    class Pattern(BrightnessStage):
        def maps(self, rgb: Rgb, requests: Sequence[Request]) -> Map:
            return np.stack([pattern * np.float32(strengths[one.frame]) for one in requests])

    def analysed(scale: str) -> list[Saliency]:
        # Without a memory of earlier maps, of which the scale's own could not be told.
        settings = dataclasses.replace(
            PLAIN_WITH[scale], method="gradient", smooth=0.02, contrast=1.0
        )
        return _analysed(frames, settings, static=Pattern())

    static_end, motion_end = 0.0, 0.0
    for n, (stable, alone) in enumerate(zip(analysed("stable"), analysed("frame"), strict=True)):
        speed = stable.movement.speed
        fast = max(0.5, float(np.percentile(speed, 99)))
        kept = float(np.exp(-(times_s[n] - times_s[n - 1]) / 2.0)) if n else 0.0
        static_end = kept * static_end + (1 - kept) * strengths[n]
        # The motion's memory begins one frame later, with the first motion there is.
        motion_end = kept * motion_end + (1 - kept) * fast if n > 1 else fast
        assert stable.motion == pytest.approx(np.clip(speed / motion_end, 0, 1), abs=1e-5)
        assert stable.static is not None and alone.static is not None
        dim = (stable.static < 1) & (alone.static < 1) & (alone.static > 0.1)
        ratio = stable.static[dim] / alone.static[dim]
        assert dim.any() or strengths[n] > static_end
        assert ratio == pytest.approx(strengths[n] / static_end, rel=1e-4)


def test_stillness_is_not_blown_up(clip: list[Rgb]) -> None:
    rng = np.random.default_rng(0)
    noisy = [
        np.clip(clip[0] + rng.normal(0, 1.0, clip[0].shape), 0, 255).astype(np.uint8)
        for _ in range(5)
    ]
    for result in _analysed(_frames(noisy))[1:]:
        assert result.movement.speed.max() > 0
        assert np.array_equal(result.motion, np.clip(result.movement.speed / np.float32(0.5), 0, 1))
        assert np.percentile(result.motion, 90) < 0.5


def test_identical_frames_are_static_alone(clip: list[Rgb]) -> None:
    for result in _analysed(_frames([clip[0]] * 4)):
        assert not result.motion.any()
        assert result.static is not None
        assert np.array_equal(result.fused, result.static)


def test_black_frames_are_zeros() -> None:
    for result in _analysed(_frames([np.zeros((90, 160, 3), np.uint8)] * 3)):
        assert result.static is not None
        assert not result.static.any() and not result.motion.any() and not result.fused.any()


# Settings


def test_without_a_network_motion_is_all_there_is(clip: list[Rgb]) -> None:
    for result in _analysed(_frames(clip), static=None):
        assert result.static is None and result.prediction is None
        assert np.array_equal(result.fused, result.motion)


@pytest.mark.parametrize("gain", [0.0, 1.0, 4.0])
def test_gain(clip: list[Rgb], gain: float) -> None:
    settings = Settings(working_width=160, short_side=64, gain=gain)
    for result in _analysed(_frames(clip), settings):
        assert result.static is not None
        assert np.array_equal(result.fused, fuse(result.static, result.motion, gain=gain))
    last = _analysed(_frames(clip), settings)[-1]
    assert last.static is not None
    assert np.array_equal(last.fused, last.static) == (gain == 0)


def test_camera(clip: list[Rgb]) -> None:
    raw, clean = (
        _analysed(_frames(clip), Settings(working_width=160, short_side=64, camera=camera))[-1]
        for camera in ("none", "auto")
    )
    pan = float(np.hypot(2, 1))
    assert np.median(raw.movement.speed) == pytest.approx(pan, abs=0.15)
    assert np.median(clean.movement.speed) < 0.2


def test_working_width(clip: list[Rgb]) -> None:
    half = _analysed(_frames(clip), Settings(working_width=80, short_side=64))[-1]
    assert half.fused.shape == (45, 80)
    # Flow is counted in working pixels: half the size, half the flow.
    assert np.median(half.movement.flow[..., 0]) == pytest.approx(1.0, abs=0.15)


# Places


@pytest.mark.parametrize("working_width", [160, 320, 640])
@pytest.mark.parametrize("size", [(360, 640), (640, 360), (300, 300), (120, 900), (241, 387)])
@pytest.mark.parametrize(("row", "column"), [(0.1, 0.2), (0.5, 0.5), (0.85, 0.66)])
def test_one_hot_pixel_comes_back_in_its_place(
    size: tuple[int, int], working_width: int, row: float, column: float
) -> None:
    hot: tuple[float, float] = (0.0, 0.0)

    class OnePixel(BrightnessStage):
        def maps(self, rgb: Rgb, requests: Sequence[Request]) -> Map:
            nonlocal hot
            height, width = rgb.shape[1:3]
            place = int(row * height), int(column * width)
            hot = (place[0] + 0.5) / height, (place[1] + 0.5) / width
            maps = np.zeros(rgb.shape[:3], np.float32)
            maps[:, place[0], place[1]] = 1
            return maps

    rgb = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    settings = Settings(working_width=working_width, smooth=0, scale="minmax")
    (result,) = _analysed(_frames([rgb]), settings, static=OnePixel())
    height, width = result.fused.shape
    found = centroid(result.fused)
    assert found is not None
    assert abs(found[0] - hot[0]) * height < 1
    assert abs(found[1] - hot[1]) * width < 1
    # Nothing of it is anywhere else.
    rows, columns = np.nonzero(result.fused)
    assert abs((rows + 0.5) / height - hot[0]).max() * height < 2 + height / 200
    assert abs((columns + 0.5) / width - hot[1]).max() * width < 2 + width / 200


@pytest.mark.parametrize("size", [(360, 640), (640, 360), (241, 387)])
def test_what_is_bright_in_the_picture_is_hot_at_its_place(size: tuple[int, int]) -> None:
    rgb = np.zeros((*size, 3), np.uint8)
    top, left = size[0] // 5, size[1] // 2
    rgb[top : top + 24, left : left + 24] = 255
    (result,) = _analysed(_frames([rgb]), Settings(smooth=0))
    height, width = result.fused.shape
    found = centroid(result.fused)
    assert found is not None
    assert abs(found[0] - (top + 12) / size[0]) * height < 1
    assert abs(found[1] - (left + 12) / size[1]) * width < 1


def test_smoothing_keeps_the_place_and_widens(clip: list[Rgb]) -> None:
    rgb = np.zeros((90, 160, 3), np.uint8)
    rgb[30:34, 100:104] = 255
    spreads = []
    for smooth in (0.0, 0.02, 0.05):
        settings = Settings(
            working_width=160, short_side=64, smooth=smooth, scale="minmax", contrast=1.0
        )
        (result,) = _analysed(_frames([rgb]), settings)
        found = centroid(result.fused)
        assert found == pytest.approx((32 / 90, 102 / 160), abs=1 / 160)
        weights = result.fused.sum(axis=0)
        columns = np.arange(160) + 0.5 - 102
        spreads.append(float((weights * columns**2).sum() / weights.sum()))
    # Variances of Gaussians add up.
    assert spreads[1] - spreads[0] == pytest.approx((0.02 * 160) ** 2, rel=0.1)
    assert spreads[2] - spreads[0] == pytest.approx((0.05 * 160) ** 2, rel=0.1)


# The network's input


@given(height=st.integers(1, 10000), width=st.integers(1, 10000), short=st.integers(32, 1024))
@examples(deadline=None)
def test_network_size(height: int, width: int, short: int) -> None:
    size = network_size(height, width, short)
    assert size[0] % 32 == 0 and size[1] % 32 == 0
    assert network_size(width, height, short) == size[::-1]
    assert abs(min(size) - short) <= 16
    factor = short / min(height, width)
    for side, pixels in zip(size, (height, width), strict=True):
        # Each side is the exact one to within half a stride, or the longest that there is.
        assert abs(side - min(pixels * factor, 4 * short)) <= 16


@pytest.mark.parametrize(
    ("size", "short", "expected"),
    [
        ((224, 224), 224, (224, 224)),
        ((1080, 1920), 224, (224, 384)),
        ((1920, 1080), 224, (384, 224)),
        ((480, 640), 224, (224, 288)),
        ((1, 1), 224, (224, 224)),
        ((10, 10000), 224, (224, 896)),
        ((10000, 10), 64, (256, 64)),
    ],
)
def test_network_size_of_known_pictures(
    size: tuple[int, int], short: int, expected: tuple[int, int]
) -> None:
    assert network_size(*size, short) == expected
