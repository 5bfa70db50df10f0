"""The stream from frames to saliency, with a small fake in place of a network."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import BrightnessStage, until
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from stream_help import (
    BRIGHTNESS,
    PLAIN,
    PLAIN_WITH,
    analyse_frames,
    analysed,
    assert_same,
    frames_of,
)

from vidsal.image_ops import sampled
from vidsal.runtime.prefetch import prefetch
from vidsal.saliency.regions import centroid
from vidsal.saliency.static_stage import network_size
from vidsal.saliency.stream import grouped
from vidsal.settings import Settings
from vidsal.types import Frame, Map, Request, Rgb, StaticStage

# One result per frame


@pytest.mark.parametrize("batch", [1, 3, 10, 64])
def test_one_result_per_frame_in_order(clip: list[Rgb], batch: int) -> None:
    frames = frames_of(clip)
    results = analysed(frames, batch=batch)
    assert [result.frame.index for result in results] == list(range(10))
    for frame, result in zip(frames, results, strict=True):
        assert result.frame is frame
        assert result.static is not None and result.prediction is not None
        assert result.prediction.names == ("bright", "dark")
        assert result.prediction.probabilities == pytest.approx((0.6, 0.4))
        for values in (result.static, result.motion, result.fused):
            assert values.shape == (90, 160) and values.dtype == np.float32
            assert values.min() >= 0 and values.max() <= 1


def test_no_frames_give_no_results() -> None:
    assert analysed([]) == []


@pytest.mark.parametrize("scale", PLAIN_WITH)
@pytest.mark.parametrize("batch", [1, 3])
def test_batches_do_not_matter(clip: list[Rgb], batch: int, scale: str) -> None:
    settings = PLAIN_WITH[scale]
    whole = analysed(frames_of(clip), settings, batch=16)
    assert max(float(result.motion.max()) for result in whole) == 1
    for one, other in zip(analysed(frames_of(clip), settings, batch=batch), whole, strict=True):
        assert_same(one, other)


def test_static_stage_gets_batches_of_network_size_in_order(clip: list[Rgb]) -> None:
    stage = BrightnessStage()
    analysed(frames_of(clip), static=stage, batch=4)
    assert [len(batch) for batch in stage.pictures] == [1, 4, 4, 1]
    assert [one.frame for one in stage.asked] == list(range(10))
    size = network_size(90, 160, 64)
    assert size == (64, 128)
    sent = np.concatenate(stage.pictures)
    assert sent.dtype == np.uint8 and sent.shape == (10, *size, 3)
    for rgb, picture in zip(clip, sent, strict=True):
        assert np.array_equal(picture, sampled(rgb, (64, 128)))


def test_predictions_stay_with_their_frames(clip: list[Rgb]) -> None:
    class Counting(BrightnessStage):
        """Predicts class n for the n-th picture."""

        def predict(self, rgb: Rgb) -> Map:
            classes = np.eye(10, dtype=np.float32)[len(self.looked_at) :][: len(rgb)]
            self.looked_at.extend(rgb)
            return classes

    stage = Counting(tuple(f"class {n}" for n in range(10)))
    settings = Settings(working_width=160, short_side=64, predict_every=0)
    results = analysed(frames_of(clip), settings, static=stage, batch=3)
    assert [r.prediction.target_id for r in results if r.prediction] == list(range(10))
    for rgb, picture in zip(clip, stage.looked_at, strict=True):
        assert np.array_equal(picture, sampled(rgb, (64, 128)))


@pytest.mark.parametrize(
    ("static", "batch", "ends"),
    # The first frame needs a full set of gradients, which is one call.
    [(BRIGHTNESS, 4, (1, 5, 9, 10)), (BRIGHTNESS, 1, range(1, 11)), (None, 4, range(1, 11))],
)
def test_no_frame_is_read_before_it_is_needed(
    clip: list[Rgb], static: StaticStage | None, batch: int, ends: Sequence[int]
) -> None:
    read = 0

    def counted() -> Iterator[Frame]:
        nonlocal read
        for frame in frames_of(clip):
            read += 1
            yield frame

    results = analyse_frames(counted(), static, PLAIN, batch=batch)
    assert read == 0
    for n in range(10):
        next(results)
        # One frame beyond the group is read to tell a flash from a cut.
        assert read == min(10, next(end for end in ends if end > n) + 1)


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 16])
@pytest.mark.parametrize("static", [BRIGHTNESS, None], ids=["static", "motion only"])
def test_an_error_of_the_source_is_raised_after_the_frames_before_it(
    clip: list[Rgb], static: StaticStage | None, batch: int
) -> None:
    error = RuntimeError("broken")

    def breaking() -> Iterator[Frame]:
        yield from frames_of(clip[:4])
        raise error

    results = analyse_frames(breaking(), static, PLAIN, batch=batch)
    assert [next(results).frame.index for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(RuntimeError) as caught:
        next(results)
    assert caught.value is error


@pytest.mark.parametrize("segment", [None, 4])
def test_motion_is_computed_while_the_network_works(clip: list[Rgb], segment: int | None) -> None:
    read: list[int] = []

    class Waits(BrightnessStage):
        """Waits until as many frames are read ahead as allowed."""

        def maps(self, rgb: Rgb, requests: Sequence[Request]) -> Map:
            last = requests[-1].frame
            # One frame beyond the segment is read to tell a flash from a cut.
            most = 10 if segment is None else min(10, (last // segment + 1) * segment + 1)
            until(lambda: len(read) >= min(most, last + 4))
            assert len(read) <= most
            return super().maps(rgb, requests)

    def frames() -> Iterator[Frame]:
        for frame in frames_of(clip):
            read.append(frame.index)
            yield frame

    read_ahead = functools.partial(prefetch, depth=3)
    results = analyse_frames(
        frames(), Waits(), PLAIN, batch=2, segment=segment, read_ahead=read_ahead
    )
    for one, other in zip(results, analysed(frames_of(clip)), strict=True):
        assert_same(one, other)


@given(
    st.lists(st.tuples(st.integers(0, 20), st.booleans()), max_size=60), st.integers(1, 16),
    st.none() | st.integers(1, 20),
)  # fmt: skip
@examples(deadline=None)
def test_groups_fill_a_call_and_end_with_each_scene_and_segment(
    frames: list[tuple[int, bool]], size: int, segment: int | None
) -> None:
    motions: list[Any] = [SimpleNamespace(samples=n, is_cut=is_cut) for n, is_cut in frames]
    groups = list(grouped(motions, size, segment))
    assert [motion for group in groups for motion in group] == motions
    assert all(1 <= len(group) <= size for group in groups)
    ends = list(itertools.accumulate(len(group) for group in groups))
    for group, end in zip(groups[:-1], ends, strict=False):
        needed = [motion.samples for motion in group]
        is_border = (segment is not None and end % segment == 0) or motions[end].is_cut
        assert sum(needed) >= size or len(group) == size or is_border
        # Without its last frame the group is not full.
        assert sum(needed[:-1]) < size
    assert segment is None or set(range(segment, len(motions) + 1, segment)) <= set(ends)
    assert {n for n, motion in enumerate(motions) if n and motion.is_cut} <= set(ends)


# Settings


def test_camera(clip: list[Rgb]) -> None:
    raw, clean = (
        analysed(frames_of(clip), Settings(working_width=160, short_side=64, camera=camera))[-1]
        for camera in ("none", "auto")
    )
    pan = float(np.hypot(2, 1))
    assert np.median(raw.movement.speed) == pytest.approx(pan, abs=0.15)
    assert np.median(clean.movement.speed) < 0.2


@pytest.mark.parametrize(
    ("gap_s", "counts_as_s"), [(1e-4, 1 / 240), (1 / 200, 1 / 200), (0, 1 / 25)]
)
def test_frames_with_nearly_equal_times_do_not_give_huge_speeds(
    gap_s: float, counts_as_s: float, clip: list[Rgb]
) -> None:
    speeds = [
        analysed([Frame(clip[0], 0, 0.0), Frame(clip[1], 1, time_s)])[1].speed
        for time_s in (gap_s, counts_as_s)
    ]
    assert speeds[0].max() > 0
    np.testing.assert_allclose(speeds[0], speeds[1], rtol=1e-5)


def test_working_width(clip: list[Rgb]) -> None:
    half = analysed(frames_of(clip), Settings(working_width=80, short_side=64))[-1]
    assert half.fused.shape == (45, 80)
    # Flow is in working pixels: half the size, half the flow.
    assert np.median(half.movement.flow[..., 0]) == pytest.approx(1.0, abs=0.15)


# Places


@pytest.mark.parametrize("working_width", [160, 320, 640])
@pytest.mark.parametrize("size", [(360, 640), (640, 360), (300, 300), (120, 900), (241, 387)])
@pytest.mark.parametrize(("row", "column"), [(0.1, 0.2), (0.5, 0.5), (0.85, 0.66)])
def test_one_hot_pixel_stays_in_its_place(
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
    (result,) = analysed(frames_of([rgb]), settings, static=OnePixel())
    height, width = result.fused.shape
    found = centroid(result.fused)
    assert found is not None
    assert abs(found[0] - hot[0]) * height < 1
    assert abs(found[1] - hot[1]) * width < 1
    # All other places are zero.
    rows, columns = np.nonzero(result.fused)
    assert abs((rows + 0.5) / height - hot[0]).max() * height < 2 + height / 200
    assert abs((columns + 0.5) / width - hot[1]).max() * width < 2 + width / 200


@pytest.mark.parametrize("size", [(360, 640), (640, 360), (241, 387)])
def test_a_bright_area_is_hot_at_its_place(size: tuple[int, int]) -> None:
    rgb = np.zeros((*size, 3), np.uint8)
    top, left = size[0] // 5, size[1] // 2
    rgb[top : top + 24, left : left + 24] = 255
    (result,) = analysed(frames_of([rgb]), Settings(smooth=0))
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
        (result,) = analysed(frames_of([rgb]), settings)
        found = centroid(result.fused)
        assert found == pytest.approx((32 / 90, 102 / 160), abs=1 / 160)
        weights = result.fused.sum(axis=0)
        columns = np.arange(160) + 0.5 - 102
        spreads.append(float((weights * columns**2).sum() / weights.sum()))
    # Variances of Gaussians add.
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
        # Each side is exact to within half a stride, or the longest allowed.
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
