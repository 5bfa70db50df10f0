"""The stream from frames to saliency, with a small fake in the place of a network."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, get_args

import cv2
import numpy as np
import pytest
from conftest import BrightnessStage, LoadScript
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from vidsal import motion, stream
from vidsal.frames import Frame, Map, Request, Rgb, Saliency, StaticStage, Target
from vidsal.fusion import centroid
from vidsal.memory import Memory, frozen, thawed
from vidsal.settings import Flow, Fusion, Method, Settings
from vidsal.stream import analyse_frames, batched, network_size

FPS = 25
# What the fastest thing in `clip` does by itself, (-4, 2) pixels a frame, in diagonals a second.
SQUARE = float(np.hypot(4, 2) * FPS / np.hypot(90, 160))
BRIGHTNESS = BrightnessStage()
# Fixed scales below are of the map's energy; numbers were worked out for this contrast and gain.
PLAIN = Settings(working_width=160, short_side=64, contrast=2.0, gain=2.0)
PLAIN_WITH = {
    scale: dataclasses.replace(PLAIN, scale=scale)
    for scale in ("stable", "frame", "minmax", "fixed:0,140,0,0.5")
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
    assert np.array_equal(one.speed, other.speed)
    for name in ("flow", "backward", "known"):
        assert np.array_equal(getattr(one.movement, name), getattr(other.movement, name))
    for name in ("motion_share", "static_high", "motion_high", "fused_high"):
        assert getattr(one, name) == getattr(other, name)


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


@pytest.mark.parametrize("scale", PLAIN_WITH)
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


@pytest.mark.parametrize(
    ("static", "batch", "group"), [(BRIGHTNESS, 4, 4), (BRIGHTNESS, 1, 1), (None, 4, 1)]
)
def test_no_frame_is_read_before_it_is_needed(
    clip: list[Rgb], static: StaticStage | None, batch: int, group: int
) -> None:
    read = 0

    def counted() -> Iterator[Frame]:
        nonlocal read
        for frame in _frames(clip):
            read += 1
            yield frame

    results = analyse_frames(counted(), static, PLAIN, batch=batch)
    assert read == 0
    for n in range(10):
        next(results)
        # One frame beyond the batch: it tells a flash from a cut.
        assert read == min(10, (n // group + 1) * group + 1)


@pytest.mark.parametrize("batch", [1, 2, 4])
@pytest.mark.parametrize("static", [BRIGHTNESS, None], ids=["static", "motion only"])
def test_a_failure_of_the_source_comes_through_after_what_was_before_it(
    clip: list[Rgb], static: StaticStage | None, batch: int
) -> None:
    error = RuntimeError("broken")

    def breaking() -> Iterator[Frame]:
        yield from _frames(clip[:4])
        raise error

    results = analyse_frames(breaking(), static, PLAIN, batch=batch)
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
    assert not first.motion.any() and not first.movement.speed.any() and not first.speed.any()
    assert first.static is not None and first.static.max() == 1
    assert first.fused == pytest.approx(first.static, abs=1e-6)
    assert first.motion_share == 0
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
        for name in ("flow", "backward", "known", "speed"):
            found = getattr(results[n].movement, name)
            assert np.array_equal(found, getattr(expected, name)), name


@pytest.mark.parametrize("how", get_args(Flow))
def test_flow_is_of_the_kind_that_was_asked_for(clip: list[Rgb], how: Flow) -> None:
    grey = [motion.grey(rgb) for rgb in clip[:2]]
    expected = {one: motion.rough_flow(*grey, how=one) for one in get_args(Flow)}
    result = _analysed(_frames(clip[:2]), dataclasses.replace(PLAIN, flow=how))[1]
    assert [np.array_equal(result.movement.flow, one) for one in expected.values()] == [
        one == how for one in expected
    ]
    assert np.array_equal(result.movement.backward, motion.optical_flow(*grey[::-1], how=how))


def test_one_thread_helps_with_the_flow_and_goes_with_the_stream(clip: list[Rgb]) -> None:
    def helpers() -> list[threading.Thread]:
        return [one for one in threading.enumerate() if one.name.startswith("vidsal-flow")]

    results = analyse_frames(_frames(clip), None, PLAIN, batch=1)
    list(itertools.islice(results, 2))
    (first,) = helpers()
    list(itertools.islice(results, 3))
    assert helpers() == [first]
    assert isinstance(results, Generator)
    results.close()
    assert not first.is_alive() and not helpers()


def test_the_helping_thread_goes_when_fusion_fails(
    clip: list[Rgb], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> Map:
        raise ZeroDivisionError

    results = analyse_frames(_frames(clip), BRIGHTNESS, PLAIN, batch=4)
    next(results)
    monkeypatch.setattr(stream, "fuse", failing)
    # The error is kept, and with it all frames of the call.
    with pytest.raises(ZeroDivisionError) as error:
        list(results)
    assert error.tb is not None
    assert not [one for one in threading.enumerate() if one.name.startswith("vidsal-flow")]


def test_a_cut_on_the_last_frame_is_a_cut(clip: list[Rgb], other_clip: list[Rgb]) -> None:
    results = _analysed(_frames(clip[:4] + other_clip[:1]))
    assert [result.is_cut for result in results] == [False] * 4 + [True]


# Flashes


def _flash(kind: str) -> Rgb:
    """A picture with nothing in common with those of `clip`."""
    noise = np.random.default_rng(0).integers(0, 64, (90, 160, 3), np.uint8)
    return {"white": 255 - noise // 32, "black": noise // 32, "other": noise + np.uint8(192)}[kind]


@pytest.mark.parametrize("batch", [1, 3, 4, 16])
@pytest.mark.parametrize("kind", ["white", "black", "other"])
def test_a_flash_of_one_frame_ends_nothing(kind: str, batch: int, load_script: LoadScript) -> None:
    _, pictures = _scene(
        load_script, background_velocity=(0, 0), square_velocity=(-2, 1), frame_count=14
    )
    without = _analysed(_frames(pictures), batch=batch)
    pictures[5] = _flash(kind)
    # Somebody else may be seen in the flash: the class that is explained stays.
    stage = Voting([1] * 5 + [2] + [1] * 8, Target(is_locked=True))
    settings = dataclasses.replace(PLAIN, predict_every=0)
    results = _analysed(_frames(pictures), settings, static=stage, batch=batch)
    assert not any(result.is_cut for result in results)
    assert [one.frame for one in stage.asked] == [0, 1, 2, 3, 4, *range(6, 14)]
    assert [one.samples for one in stage.asked] == [16] + [1] * 12
    assert [one.class_id for one in stage.asked] == [1] * 13
    # During the flash things stand still, and have a past all the same ...
    flash = results[5].movement
    assert not flash.flow.any() and not flash.backward.any() and not flash.speed.any()
    assert (flash.known == 1).all()
    assert np.array_equal(results[5].speed, results[4].speed)
    # ... and the next frame is compared with the one before the flash, over the time between.
    expected = motion.measure(motion.grey(pictures[4]), motion.grey(pictures[6]))
    assert np.array_equal(results[6].movement.flow, expected.flow)
    assert np.array_equal(results[6].movement.backward, expected.backward)
    for n in range(6, 14):
        fast, usual = (float(np.percentile(r[n].speed, 99)) for r in (results, without))
        assert usual > 0.25 and fast == pytest.approx(usual, rel=0.05)


@pytest.mark.parametrize("kind", ["white", "black"])
def test_scales_go_on_across_a_flash(kind: str, clip: list[Rgb]) -> None:
    pictures = clip.copy()
    pictures[4] = _flash(kind)
    strengths = [1.0, 1.0, 4.0, 4.0, 9.0, 4.0, 4.0, 2.0, 2.0, 2.0]
    pattern = np.random.default_rng(0).random((90, 160)).astype(np.float32)
    stage = Placed(lambda one: pattern * np.float32(strengths[one.frame]))
    settings = dataclasses.replace(BARE, scale="stable", method="gradient")
    results = _analysed(_frames(pictures), settings, static=stage)
    kept = np.exp(-0.04 / 2.0)
    static_end, motion_end = strengths[0], None
    for n, result in enumerate(results):
        static_end = kept * static_end + (1 - kept) * strengths[n]
        assert result.static_high / results[0].static_high == pytest.approx(static_end, rel=1e-5)
        if n:
            fast = float(np.percentile(result.speed, 99.8))
            motion_end = fast if motion_end is None else kept * motion_end + (1 - kept) * fast
            assert result.motion_high == pytest.approx(motion_end, rel=1e-5)
            assert result.motion_high == pytest.approx(SQUARE, rel=0.05)


def test_what_was_drawn_before_a_flash_stays_on_its_texture(load_script: LoadScript) -> None:
    # As below, without a flash: all pans by (2, -1), and what the first frame drew is hot.
    _, pictures = _scene(load_script, square_velocity=(2, -1))
    pictures[4] = _flash("white")
    nothing = np.zeros(TEXTURE, np.float32)
    stage = Placed(lambda one: _bump(45, 60) if one.frame == 0 else nothing)
    settings = dataclasses.replace(BARE, scale="minmax")
    for n, result in enumerate(_analysed(_frames(pictures), settings, static=stage)):
        steps = 3 if n == 4 else n
        assert result.static is not None
        assert _place_px(result.static) == pytest.approx((45 - steps, 60 + 2 * steps), abs=1.5)


@pytest.mark.parametrize("static_every", [1, 4])
@pytest.mark.parametrize("method", get_args(Method))
@pytest.mark.parametrize(("kind", "length"), [("white", 2), ("black", 3), ("other", 12)])
def test_after_a_longer_flash_all_goes_on_as_it_was(
    kind: str, length: int, method: Method, static_every: int, clip: list[Rgb]
) -> None:
    settings = dataclasses.replace(PLAIN, method=method, static_every=static_every, predict_every=0)
    end = 3 + length
    pictures = clip[:3] + [_flash(kind)] * length + clip[3:]
    stage = Voting([1] * 3 + [2] * length + [0] * 7, Target(is_locked=True))
    results = _analysed(_frames(pictures), settings, static=stage)
    assert [result.frame.index for result in results if result.is_cut] == [3]
    targets = [result.prediction.target_id for result in results if result.prediction]
    assert targets == [1] * 3 + [2] * length + targets[end:] and targets[end] == 1
    before, flash, after = results[2], results[end - 1], results[end]
    assert after.static_high == pytest.approx(before.static_high, rel=0.1)
    assert after.motion_high == pytest.approx(before.motion_high, rel=0.1)
    assert abs(flash.static_high - before.static_high) > 0.3 * before.static_high
    # Nothing is drawn anew but what each frame draws.
    if method == "smoothgrad" and static_every == 1:
        assert [one.samples for one in stage.asked if one.frame >= end][:2] == [1, 1]


def test_what_stays_longer_than_half_a_second_is_a_scene(clip: list[Rgb]) -> None:
    pictures = clip[:3] + [_flash("white")] * 13 + clip[3:6]
    results = _analysed(_frames(pictures))
    assert [result.frame.index for result in results if result.is_cut] == [3, 16]


# Gathering samples along the flow

TEXTURE = (90, 160)


def _scene(load_script: LoadScript, **options: Any) -> tuple[Any, list[Rgb]]:
    """A synthetic scene of ten frames, the square's place in each, and its frames."""
    script = load_script("make_synthetic_clip")
    given_options = {
        "width": 160, "height": 90, "frame_count": 10, "square_size": 32, "square_start": (100, 20)
    }  # fmt: skip
    scene = script.Scene(**given_options | options)
    return functools.partial(script.square_box, scene=scene), list(script.frames(scene))


class Placed(BrightnessStage):
    """Its map of a frame is drawn by a function of the request, at the size of the maps."""

    def __init__(self, draw: Callable[[Request], Map], **options: Any) -> None:
        super().__init__(**options)
        self._draw = draw

    def maps(self, rgb: Rgb, requests: Sequence[Request]) -> Map:
        self.requests.append(list(requests))
        size = rgb.shape[1:3]
        return np.stack([motion.shrink(self._draw(one), size) for one in requests])


def _bump(row: float, column: float, sigma: float = 6.0) -> Map:
    """A hot spot; (row, column) in pixels of a 90 x 160 map, centres at whole numbers."""
    rows, columns = np.mgrid[: TEXTURE[0], : TEXTURE[1]]
    squares = (rows - row) ** 2 + (columns - column) ** 2
    return np.asarray(np.exp(-squares / (2 * sigma**2)), np.float32)


def _place_px(values: Map) -> tuple[float, float]:
    """The centroid of a map in pixels (row, column), centres at whole numbers."""
    found = centroid(values)
    assert found is not None
    return found[0] * values.shape[0] - 0.5, found[1] * values.shape[1] - 0.5


BARE = Settings(working_width=160, short_side=64, smooth=0, contrast=1, scale="frame", gain=2.0)


def test_a_cold_start_draws_all_samples_and_later_frames_the_fresh(clip: list[Rgb]) -> None:
    for samples, fresh in ((16, 1), (24, 6), (1, 1), (5, 5)):
        stage = BrightnessStage()
        settings = dataclasses.replace(PLAIN, samples=samples, fresh=fresh)
        _analysed(_frames([clip[0]] * 6), settings, static=stage)
        assert [one.samples for one in stage.asked] == [samples] + [fresh] * 5
    # Of a gentle pan and a small square, a little is always new; seldom an eighth of the picture.
    stage = BrightnessStage()
    _analysed(_frames(clip), static=stage)
    drawn = [one.samples for one in stage.asked]
    assert drawn[0] == 16 and set(drawn[1:]) <= {1, 2} and drawn.count(1) >= 7
    assert [one.class_id for one in stage.asked] == [None] * 10


def test_a_cut_is_a_cold_start(clip: list[Rgb], other_clip: list[Rgb]) -> None:
    stage = BrightnessStage()
    _analysed(_frames(clip[:4] + other_clip[:3]), static=stage)
    assert [one.samples for one in stage.asked] == [16, 1, 1, 1, 16, 1, 1]


def test_a_still_draws_all_samples_once(clip: list[Rgb]) -> None:
    stage = BrightnessStage()
    _analysed(_frames(clip[3:4]), static=stage)
    assert stage.requests == [[Request(0, 16)]]


@pytest.mark.parametrize(("method", "samples"), [("gradient", 1), ("integrated", 16)])
def test_only_smoothgrad_remembers(method: Method, samples: int, clip: list[Rgb]) -> None:
    stage = BrightnessStage()
    settings = dataclasses.replace(BARE, method=method)
    results = _analysed(_frames(clip), settings, static=stage)
    assert [one.samples for one in stage.asked] == [samples] * 10
    alone = [_analysed([frame], settings)[0] for frame in _frames(clip)]
    for one, other in zip(results, alone, strict=True):
        assert one.static is not None and other.static is not None
        assert np.array_equal(one.static, other.static)


def test_what_is_new_in_the_picture_gets_more_samples(
    clip: list[Rgb], load_script: LoadScript
) -> None:
    _, others = _scene(load_script, seed=5)

    def drawn(share: float) -> list[int]:
        # From the third frame on, a part of the picture shows something else of the same colours.
        mixed = [rgb.copy() for rgb in clip[:2]]
        width = round(share * 160)
        for _ in range(3):
            mixed.append(clip[1].copy())
            mixed[-1][:, :width] = others[1][:, :width]
        stage = BrightnessStage()
        results = _analysed(_frames(mixed), static=stage)
        assert not any(result.is_cut for result in results)
        return [one.samples for one in stage.asked]

    assert drawn(0.0) == [16, 1, 1, 1, 1]
    some, most = drawn(0.3), drawn(1.0)
    # Flow finds a way back for some of it by chance.
    assert some[:2] == [16, 1] and 2 <= some[2] <= 4
    assert most[2] == 4
    # The gap is filled by and by.
    assert some[4] <= some[2]


@pytest.mark.parametrize("batch", [1, 4, 16])
def test_static_every_draws_on_every_third_frame(clip: list[Rgb], batch: int) -> None:
    stage = BrightnessStage()
    settings = dataclasses.replace(PLAIN, static_every=3)
    results = _analysed(_frames(clip), settings, static=stage, batch=batch)
    assert [one.frame for one in stage.asked] == [0, 3, 6, 9]
    assert stage.asked[0].samples == 16 and {one.samples for one in stage.asked[1:]} <= {1, 2}
    for one, picture in zip(stage.asked, np.concatenate(stage.pictures), strict=True):
        assert np.array_equal(picture, motion.shrink(clip[one.frame], (64, 128)))
    assert len(results) == 10
    for result in results:
        assert result.static is not None and result.static.any()


@pytest.mark.parametrize(
    ("lost", "drawn"),
    [(0.4, [(0, 16), (5, 4)]), (0.6, [(0, 16), (2, 4), (7, 4)])],
)
def test_what_is_lost_does_not_wait_for_its_turn(
    lost: float, drawn: list[tuple[int, int]], clip: list[Rgb], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = itertools.count(1)

    def returns(backward: Map, forward: Map) -> Map:
        known = np.ones(TEXTURE, np.float32)
        # The second flow there is leads to frame 2.
        if next(calls) == 2:
            known[:, : round(lost * TEXTURE[1])] = 0
        return known

    monkeypatch.setattr(motion, "returns", returns)
    stage = BrightnessStage()
    settings = dataclasses.replace(PLAIN, static_every=5)
    _analysed(_frames([clip[0]] * 10), settings, static=stage)
    # More than half is too much; the turns are counted from then on.
    assert [(one.frame, one.samples) for one in stage.asked] == drawn


@pytest.mark.parametrize("method", get_args(Method))
def test_a_cut_does_not_wait_for_its_turn(
    method: Method, clip: list[Rgb], other_clip: list[Rgb]
) -> None:
    stage = BrightnessStage()
    settings = dataclasses.replace(PLAIN, static_every=3, method=method)
    _analysed(_frames(clip[:5] + other_clip[:5]), settings, static=stage)
    # The turns are counted from the cut on.
    assert [one.frame for one in stage.asked] == [0, 3, 5, 8]


def test_between_two_draws_the_map_moves_with_the_square(load_script: LoadScript) -> None:
    box, pictures = _scene(load_script, background_velocity=(0, 0), square_velocity=(3, 2))

    def middle(frame: int) -> tuple[float, float]:
        left, top, right, bottom = box(frame)
        return (top + bottom - 1) / 2, (left + right - 1) / 2

    stage = Placed(lambda one: _bump(*middle(one.frame), sigma=4))
    settings = dataclasses.replace(BARE, static_every=3)
    for n, result in enumerate(_analysed(_frames(pictures), settings, static=stage)):
        assert result.static is not None
        assert _place_px(result.static) == pytest.approx(middle(n), abs=1.0)
    assert [one.frame for one in stage.asked] == [0, 3, 6, 9]


def test_what_was_drawn_once_stays_on_its_texture(load_script: LoadScript) -> None:
    # All of the picture pans by (2, -1); what the first frame drew is all that is ever hot.
    _, pictures = _scene(load_script, square_velocity=(2, -1))
    nothing = np.zeros(TEXTURE, np.float32)
    stage = Placed(lambda one: _bump(45, 60) if one.frame == 0 else nothing)
    settings = dataclasses.replace(BARE, scale="minmax")
    for n, result in enumerate(_analysed(_frames(pictures), settings, static=stage)):
        assert result.static is not None
        assert _place_px(result.static) == pytest.approx((45 - n, 60 + 2 * n), abs=1.5)
        # Half as wide again would be a smear, not a spot.
        hot = int((result.static > 0.5 * result.static.max()).sum())
        assert hot < 1.5 * (_bump(45, 60) > 0.5).sum()


def _noisy(sigma: float, size: tuple[int, int]) -> tuple[Map, Callable[[Request], Map]]:
    """A true map and its noisy samples, seeded by the frame.

    Two noiseless pixels, 0 and 10, hold the scale of a map from its minimum to its maximum.
    """
    rows, columns = np.mgrid[: size[0], : size[1]]
    truth = (5 + np.sin(rows / 9) + np.cos(columns / 13)).astype(np.float32)
    truth[0, :2] = 0, 10

    def draw(one: Request) -> Map:
        noise = np.random.default_rng(one.frame).normal(0, sigma / np.sqrt(one.samples), size)
        noise[0, :2] = 0
        return np.asarray(truth + noise, np.float32)

    return truth, draw


@pytest.mark.parametrize("fresh", [1, 4])
def test_accumulated_maps_are_as_steady_as_their_samples_promise(fresh: int) -> None:
    size, sigma = (64, 128), 0.5
    truth, draw = _noisy(sigma, size)
    rgb = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    settings = Settings(
        working_width=128, short_side=64, smooth=0, contrast=1, scale="minmax", fresh=fresh
    )
    errors = [
        float((10 * result.static - truth)[1:].std())
        for result in _analysed(_frames([rgb] * 50), settings, static=Placed(draw))
        if result.static is not None
    ]
    assert len(errors) == 50
    # The plain mean of 16 to begin with, the same from a memory of 16 later, and in between the
    # mixture of both: with f the fading, a + b f^2n of the closed form for weights.
    fading = (16 - fresh) / (16 + fresh)
    for n, error in enumerate(errors):
        weights = np.array([16.0] + [fresh] * n) * fading ** np.arange(n, -1, -1)
        counts = np.array([16.0] + [fresh] * n)
        expected = sigma * np.sqrt((weights**2 / counts).sum()) / weights.sum()
        assert error == pytest.approx(expected, rel=0.05)
    assert errors[-1] == pytest.approx(sigma / 4, rel=0.05)
    assert max(errors) < sigma / 3


def test_accumulated_maps_are_steady_along_a_pan(load_script: LoadScript) -> None:
    _, pictures = _scene(load_script, square_velocity=(2, -1), frame_count=30)
    _, draw = _noisy(0.5, TEXTURE)
    flat = np.full(TEXTURE, 5, np.float32)

    def even(one: Request) -> Map:
        noise = draw(one) - draw(Request(one.frame, 10**12))
        return np.asarray(flat + noise, np.float32)

    # The map goes through the network's 64 x 128 and back, so it is measured by itself, too.
    settings = dataclasses.replace(BARE, short_side=96)
    gathered = _analysed(_frames(pictures), settings, static=Placed(even))[20:]
    single = _analysed(
        _frames(pictures), dataclasses.replace(settings, method="gradient"), static=Placed(even)
    )[20:]
    for one, other in zip(gathered, single, strict=True):
        assert one.static is not None and other.static is not None
        inner = np.s_[20:-20, 50:-20]
        relative = [float(m[inner].std() / m[inner].mean()) for m in (one.static, other.static)]
        assert relative[0] < relative[1] / 3


@pytest.mark.parametrize("static_every", [1, 2])
@pytest.mark.parametrize("batch", [1, 3])
def test_batches_do_not_matter_to_what_is_gathered(
    clip: list[Rgb], other_clip: list[Rgb], batch: int, static_every: int
) -> None:
    _, draw = _noisy(1.0, TEXTURE)
    frames = _frames(clip[:7] + other_clip[:6])
    settings = dataclasses.replace(PLAIN, static_every=static_every)
    whole = _analysed(frames, settings, static=Placed(draw), batch=16)
    parts = _analysed(frames, settings, static=Placed(draw), batch=batch)
    for one, other in zip(parts, whole, strict=True):
        _assert_same(one, other)


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
    (result,) = _analysed(_frames([rgb]), settings, static=stage)
    assert result.static == pytest.approx(((values - low) / (1 - low)) ** contrast, abs=1e-5)
    # The ends of the scale are of the gradient, whatever the contrast.
    assert result.static_high == pytest.approx(unit)


# Keeping up


class Clock:
    """A clock that goes only when it is told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Slow(BrightnessStage):
    """Takes its time over each picture."""

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
                # A camera has its next frame when it has it.
                clock.now_s = max(clock.now_s, n / FPS)
            yield Frame(rgb, n, n / FPS)

    settings = Settings(working_width=64, short_side=32, static_every="auto")
    late_s = []
    for result in analyse_frames(frames(), stage, settings, batch=1, fps=FPS, clock=clock):
        clock.now_s += 0.010
        late_s.append(clock.now_s - result.frame.time_s)
    drawn = [one.frame for one in stage.asked]
    # 0.1 s in a pace of 0.04 s, of which 0.01 s is taken: every fourth.
    assert np.diff(drawn[-20:]).tolist() == [4] * 19
    assert late_s[-1] < 0.2


# Looking


@pytest.mark.parametrize(
    ("rate", "every_s", "step"),
    [(25, 0.25, 7), (20, 0.25, 5), (20, 0.1, 2), (30, 0.1, 3), (25, 0.0, 1), (10, 0.04, 1)],
)
@pytest.mark.parametrize("batch", [1, 4, 16])
def test_the_network_looks_now_and_then(rate: int, every_s: float, step: int, batch: int) -> None:
    pictures = [np.full((32, 64, 3), n, np.uint8) for n in range(40)]
    frames = [Frame(rgb, n, n / rate) for n, rgb in enumerate(pictures)]
    stage = BrightnessStage()
    settings = Settings(working_width=64, short_side=32, predict_every=every_s)
    results = _analysed(frames, settings, static=stage, batch=batch)
    assert [int(rgb[0, 0, 0]) for rgb in stage.looked_at] == list(range(0, 40, step))
    assert all(result.prediction is not None for result in results)


def test_the_network_looks_at_each_new_scene(clip: list[Rgb], other_clip: list[Rgb]) -> None:
    stage = BrightnessStage()
    _analysed(_frames(clip[:5] + other_clip[:5]), static=stage)
    assert len(stage.looked_at) == 2
    for picture, rgb in zip(stage.looked_at, (clip[0], other_clip[0]), strict=True):
        assert np.array_equal(picture, motion.shrink(rgb, (64, 128)))


class Voting(BrightnessStage):
    """Sees in the n-th picture that it is shown the n-th class of a list."""

    def __init__(self, votes: Sequence[int], target: Target) -> None:
        super().__init__(("a", "b", "c"), target=target)
        self._votes = votes

    def predict(self, rgb: Rgb) -> Map:
        votes = self._votes[len(self.looked_at) :][: len(rgb)]
        self.looked_at.extend(rgb)
        return 0.2 + 0.4 * np.eye(3, dtype=np.float32)[list(votes)]


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_a_locked_class_is_what_is_asked_for(batch: int) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (32, 64, 3), np.uint8)
    votes = [1] * 25 + [2] + [1] * 20 + [0] * 30
    stage = Voting(votes, Target(is_locked=True))
    settings = Settings(working_width=64, short_side=32, predict_every=0)
    results = _analysed(_frames([rgb] * len(votes)), settings, static=stage, batch=batch)
    # One frame of class 2 changes nothing; class 0 is explained once it was seen for a second.
    change = 46 + 25
    expected = [1] * change + [0] * (len(votes) - change)
    assert [one.class_id for one in stage.asked] == expected
    seen = [result.prediction for result in results if result.prediction]
    assert [one.target_id for one in seen] == expected
    assert [one.class_ids[0] for one in seen] == votes
    assert [one.target_name for one in seen] == ["abc"[n] for n in expected]


def test_a_lock_ends_with_its_scene(clip: list[Rgb], other_clip: list[Rgb]) -> None:
    stage = Voting([1] * 5 + [2] * 5, Target(is_locked=True))
    settings = dataclasses.replace(PLAIN, predict_every=0)
    _analysed(_frames(clip[:5] + other_clip[:5]), settings, static=stage)
    assert [one.class_id for one in stage.asked] == [1] * 5 + [2] * 5


@pytest.mark.parametrize("target", [Target(top=2), Target(class_id=2)])
def test_other_targets_the_stage_knows_by_itself(clip: list[Rgb], target: Target) -> None:
    stage = Voting([0] * 10, target)
    results = _analysed(_frames(clip), static=stage)
    assert {one.class_id for one in stage.asked} == {None}
    for result in results:
        assert result.prediction is not None
        assert result.prediction.target_id == target.class_id
        assert result.prediction.target_name == ("top 2" if target.top else "c")
        probability = result.prediction.target_probability
        assert probability == pytest.approx(0.8 if target.top else 0.2)


@pytest.mark.parametrize("size", [(32, 32), (64, 96)])
def test_a_network_of_one_size_is_fed_that_size(clip: list[Rgb], size: tuple[int, int]) -> None:
    stage = BrightnessStage(input_size=size)
    results = _analysed(_frames(clip), static=stage)
    assert {pictures.shape[1:3] for pictures in stage.pictures} == {size}
    assert {rgb.shape[:2] for rgb in stage.looked_at} == {size}
    for result in results:
        assert result.static is not None and result.static.shape == (90, 160)


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


class Pattern(BrightnessStage):
    """Its map is the same random pattern in each frame, of a strength that depends on the frame."""

    def __init__(self, strengths: Sequence[float], shape: tuple[int, int] = (64, 128)) -> None:
        super().__init__()
        self.strengths = strengths
        self._pattern = np.random.default_rng(0).random(shape).astype(np.float32)
        # A speck, less than what a scale heeds, stands out from the rest by far.
        self._pattern[10:12, 10:12] = 5

    def maps(self, rgb: Rgb, requests: Sequence[Request]) -> Map:
        return np.stack([self._pattern * np.float32(self.strengths[r.frame]) for r in requests])

    @property
    def shown(self) -> Map:
        """The pattern at working size, smoothed as `ONCE` has it."""
        return motion.smoothed(motion.shrink(self._pattern, (90, 160)), 0.01)


# Without a memory of earlier maps, of which the scale's own could not be told.
ONCE = dataclasses.replace(PLAIN, method="gradient", smooth=0.01, contrast=1.0)


def test_scales_are_remembered_over_the_frames_own_times(clip: list[Rgb]) -> None:
    times_s = [0.0, 0.04, 0.5, 2.5, 2.6, 9.0]
    strengths = [1.0, 3.0, 0.2, 5.0, 1.0, 2.0]
    # Now and then two frames on, so that the speed changes too.
    pictures = [clip[n] for n in (0, 1, 3, 4, 4, 7)]
    frames = [Frame(rgb, n, times_s[n]) for n, rgb in enumerate(pictures)]
    stage = Pattern(strengths)
    results = _analysed(frames, ONCE, static=stage)
    static_end, motion_end, fused_end = 0.0, 0.0, 0.0
    for n, result in enumerate(results):
        fast = max(0.03, float(np.percentile(result.speed, 99.8)))
        kept = float(np.exp(-(times_s[n] - times_s[n - 1]) / 2.0)) if n else 0.0
        bright = strengths[n] * float(np.percentile(stage.shown, 99.8))
        static_end = kept * static_end + (1 - kept) * bright
        # That and the fused map's memory begin one frame later, with the first motion there is.
        motion_end = kept * motion_end + (1 - kept) * fast if n > 1 else fast
        assert result.motion == pytest.approx(np.clip(result.speed / motion_end, 0, 1), abs=1e-5)
        assert result.static_high == pytest.approx(static_end, rel=1e-5)
        assert result.motion_high == pytest.approx(motion_end, rel=1e-5)
        on_scale = strengths[n] * stage.shown / static_end
        assert result.static == pytest.approx(np.clip(on_scale, 0, 1), abs=1e-5)
        # What is fused is not clipped before, and has a scale and a memory of its own.
        both = on_scale * (1 + 2 * result.motion)
        high = float(np.percentile(both, 99.8))
        fused_end = kept * fused_end + (1 - kept) * high if n > 1 else high
        assert result.fused == pytest.approx(np.clip(both / fused_end, 0, 1), abs=1e-5)
        assert result.fused_high == pytest.approx(static_end * fused_end, rel=1e-5)


def test_a_fixed_scale_knows_no_past(clip: list[Rgb]) -> None:
    stage = Pattern([9.0, 8.0, 9.0, 8.0, 1.0, 2.0, 0.5, 1.0, 3.0, 1.0])
    settings = dataclasses.replace(ONCE, scale="fixed:0.25,1.5,0.1,0.5", fusion="sum")
    whole = _analysed(_frames(clip), settings, static=stage)
    late = _analysed(_frames(clip[4:], first=4), settings, static=stage)
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
    # A scale with a memory shows the same frame in another way after another past.
    stable = dataclasses.replace(settings, scale="stable")
    one = _analysed(_frames(clip), stable, static=stage)[5]
    other = _analysed(_frames(clip[4:], first=4), stable, static=stage)[1]
    assert one.static is not None and other.static is not None
    assert one.static.mean() < 0.5 * other.static.mean()


def test_a_fixed_scale_without_a_network_is_of_the_speed(clip: list[Rgb]) -> None:
    settings = dataclasses.replace(PLAIN, scale="fixed:0.1,0.5")
    results = _analysed(_frames(clip), settings, static=None)
    for n, result in enumerate(results):
        assert (result.motion_high, result.fused_high) == (0.5, 0.5)
        assert (result.motion.max() == 1) == (n > 0)
        assert result.motion == pytest.approx(np.clip((result.speed - 0.1) / 0.4, 0, 1), abs=1e-6)
        assert np.array_equal(result.fused, result.motion)


def test_two_fixed_numbers_are_of_the_static_map(clip: list[Rgb]) -> None:
    fixed, stable = (
        _analysed(_frames(clip), dataclasses.replace(PLAIN, scale=scale, contrast=contrast))
        for scale, contrast in (("fixed:30,170", 2.0), ("stable", 1.0))
    )
    for one, other in zip(fixed, stable, strict=True):
        assert np.array_equal(one.motion, other.motion)
        assert (one.static_high, one.motion_high) == (170, other.motion_high)
        assert one.static is not None and other.static is not None
        dim = other.static < 1
        assert 0.1 < np.median(one.static) < 0.9
        # The numbers are of the gradient, before its square is shown.
        expected = (other.static * other.static_high - 30) / 140
        assert one.static[dim] == pytest.approx(np.clip(expected, 0, 1)[dim] ** 2, abs=1e-5)


def test_stillness_is_not_blown_up(clip: list[Rgb]) -> None:
    rng = np.random.default_rng(0)
    noisy = [
        np.clip(clip[0] + rng.normal(0, 1.0, clip[0].shape), 0, 255).astype(np.uint8)
        for _ in range(5)
    ]
    for result in _analysed(_frames(noisy))[1:]:
        assert result.speed.max() > 0
        assert result.motion == pytest.approx(np.clip(result.speed / 0.03, 0, 1), abs=1e-6)
        assert result.motion_high == 0.03
        assert np.percentile(result.motion, 90) < 0.5


# Speed


def _speeds(load_script: LoadScript, fps: int, longer_px: int = 160) -> list[Saliency]:
    """The first 0.6 s of a square that moves at (-100, 50) pixels a second over a pan at (50, 0).

    Then all stands still for 0.2 s.
    """
    step = 50 // fps
    count = round(0.6 * fps)
    _, pictures = _scene(
        load_script, background_velocity=(step, 0), square_velocity=(-step, step),
        square_start=(110, 20), frame_count=count,
    )  # fmt: skip
    pictures += [pictures[-1]] * round(0.2 * fps)
    frames = [Frame(rgb, n, n / fps) for n, rgb in enumerate(pictures)]
    settings = Settings(working_width=longer_px, short_side=64)
    return _analysed(frames, settings, static=None)


@pytest.mark.parametrize(("fps", "longer_px"), [(25, 160), (50, 160), (25, 120)])
def test_speed_is_in_diagonals_a_second_at_every_rate_and_size(
    load_script: LoadScript, fps: int, longer_px: int
) -> None:
    results = _speeds(load_script, fps, longer_px)
    moving = round(0.6 * fps)
    # Both move: what is left of the square is (-100, 50), in a picture of 90 x 160.
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
    # Of a movement that is over, a third is left after 0.12 s.
    fading = np.exp(-1 / fps / 0.12)
    for n in range(moving, len(results)):
        later = n - moving + 1
        left_over = fading**later * (1 - fading ** (moving - 1)) / (1 - fading**n)
        assert results[n].speed == pytest.approx(left_over * speed, abs=1e-5)
        assert not results[n].movement.speed.any()
    assert left_over == pytest.approx(np.exp(-0.2 / 0.12), rel=0.02)


def test_frames_left_out_leave_the_speed_as_it_is(clip: list[Rgb]) -> None:
    whole = _analysed(_frames(clip))
    frames = _frames(clip)
    for part in (frames[::2], frames[:2] + frames[3:4] + frames[5:]):
        for result in _analysed(part)[1:]:
            usual = whole[result.frame.index]
            fast = float(np.percentile(result.speed, 99))
            assert fast == pytest.approx(SQUARE, rel=0.05)
            assert fast == pytest.approx(float(np.percentile(usual.speed, 99)), rel=0.05)


def test_frames_whose_times_do_not_tell_are_taken_for_a_25th(clip: list[Rgb]) -> None:
    stuck = [Frame(rgb, n, 3.0) for n, rgb in enumerate(clip)]
    for one, other in zip(_analysed(stuck), _analysed(_frames(clip)), strict=True):
        assert one.speed == pytest.approx(other.speed, abs=1e-6)


@pytest.mark.parametrize("fusion", ["gain", "sum", "max", "static"])
@pytest.mark.parametrize("scale", PLAIN_WITH)
def test_identical_frames_are_static_alone(clip: list[Rgb], scale: str, fusion: Fusion) -> None:
    settings = dataclasses.replace(PLAIN_WITH[scale], fusion=fusion, gain=50)
    for result in _analysed(_frames([clip[0]] * 4), settings):
        assert not result.motion.any()
        assert result.static is not None
        assert result.static.max() == 1 and np.median(result.static) < 0.9
        assert result.fused == pytest.approx(result.static, abs=1e-6)
        assert result.motion_share == 0
        assert result.fused_high == pytest.approx(result.static_high, rel=1e-6)


def test_black_frames_are_zeros() -> None:
    for result in _analysed(_frames([np.zeros((90, 160, 3), np.uint8)] * 3)):
        assert result.static is not None
        assert not result.static.any() and not result.motion.any() and not result.fused.any()


# Settings


def test_without_a_network_motion_is_all_there_is(clip: list[Rgb]) -> None:
    for result in _analysed(_frames(clip), static=None):
        assert result.static is None and result.prediction is None
        assert np.array_equal(result.fused, result.motion)


# Static map S, motion map D and gain to the fused map, and to what motion brought in.
FUSIONS: dict[Fusion, tuple[Callable[..., Map], Callable[..., Map] | None]] = {
    "gain": (lambda s, d, gain: s * (1 + gain * d), lambda s, d, gain: s * gain * d),
    "sum": (lambda s, d, gain: s + gain * d, lambda s, d, gain: gain * d),
    "max": (
        lambda s, d, gain: np.maximum(s, gain * d),
        lambda s, d, gain: np.maximum(0, gain * d - s),
    ),
    "static": (lambda s, d, gain: s, lambda s, d, gain: 0 * s),
    "motion": (lambda s, d, gain: d, None),
}


@pytest.mark.parametrize("gain", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("fusion", get_args(Fusion))
def test_fusion_in_closed_form(clip: list[Rgb], fusion: Fusion, gain: float) -> None:
    stage = Pattern([1.0] * 10)
    settings = dataclasses.replace(ONCE, scale="frame", fusion=fusion, gain=gain)
    results = _analysed(_frames(clip[:4]), settings, static=stage)[1:]
    static_map = stage.shown / np.percentile(stage.shown, 99.8)
    # The peaks are above the scale, and are fused as they are.
    assert static_map.max() > 2
    fuse, brought = FUSIONS[fusion]
    for result in results:
        assert result.motion.max() == 1
        both = fuse(static_map, result.motion, gain)
        expected = np.clip(both / np.percentile(both, 99.8), 0, 1)
        assert result.static == pytest.approx(np.clip(static_map, 0, 1), abs=1e-5)
        assert result.fused == pytest.approx(expected, abs=1e-5)
        if brought:
            share = brought(static_map, result.motion, gain).sum() / both.sum()
            assert result.motion_share == pytest.approx(share, abs=1e-5)
            assert (result.motion_share > 0.01) == (gain > 0 and fusion != "static")


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_centre_prior_weights_the_fused_map(clip: list[Rgb], strength: float) -> None:
    flat = np.full(TEXTURE, 0.25, np.float32)
    settings = dataclasses.replace(BARE, scale="fixed:0,1", centre_prior=strength)
    # A Gaussian whose standard deviation is a fifth of each side.
    rows = (np.arange(90) + 0.5) / 90 - 0.5
    columns = (np.arange(160) + 0.5) / 160 - 0.5
    distance = np.hypot(*np.meshgrid(rows, columns, indexing="ij"))
    prior = 1 - strength + strength * np.exp(-0.5 * (distance / 0.2) ** 2)
    for result in _analysed(_frames(clip), settings, static=Placed(lambda _: flat)):
        both = 0.25 * (1 + 2 * result.motion)
        assert result.fused == pytest.approx(both * prior, abs=1e-5)
        assert result.static == pytest.approx(flat, abs=1e-6)
        # Motion's share is of what was fused, wherever it lies.
        assert result.motion_share == pytest.approx(1 - 0.25 * both.size / both.sum(), abs=1e-5)


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


# Going on


def _eventful(clip: list[Rgb], other_clip: list[Rgb]) -> list[Rgb]:
    """A flash of one frame, one of two, a cut, a cut soon after another, and a last flash."""
    pictures = clip[:3] + [_flash("white")] + clip[4:6] + [_flash("black")] * 2 + clip[6:9]
    return pictures + other_clip[:6] + [_flash("other")] + clip[:3] + [_flash("white")]


GOING_ON = {
    "plain": PLAIN,
    "every second": dataclasses.replace(PLAIN, static_every=2, predict_every=0.1),
    "many fresh": dataclasses.replace(PLAIN, fresh=4, predict_every=0, scale="frame"),
    "one gradient": dataclasses.replace(PLAIN, method="gradient", fusion="max"),
}


def _voting() -> BrightnessStage:
    """A stage whose top class depends on the picture, explained with a lock."""

    class ByBrightness(BrightnessStage):
        def predict(self, rgb: Rgb) -> Map:
            self.looked_at.extend(rgb)
            classes = rgb.sum(axis=(1, 2, 3)) // 1000 % 5
            return np.asarray(np.eye(5)[classes], np.float32)

        def maps(self, rgb: Rgb, requests: Sequence[Request]) -> Map:
            noise = [np.random.default_rng((one.frame, one.samples)) for one in requests]
            drawn = np.stack([one.random(rgb.shape[1:3], np.float32) for one in noise])
            return np.asarray(super().maps(rgb, requests) * (0.5 + drawn), np.float32)

    return ByBrightness(tuple("abcde"), target=Target(is_locked=True))


@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("how", GOING_ON)
def test_an_analysis_that_goes_on_gives_what_one_in_one_go_gives(
    how: str, batch: int, clip: list[Rgb], other_clip: list[Rgb]
) -> None:
    frames, settings = _frames(_eventful(clip, other_clip)), GOING_ON[how]
    whole_stage = _voting()
    whole, memories, memory = [], {}, Memory()
    for one in analyse_frames(iter(frames), whole_stage, settings, batch=batch, memory=memory):
        whole.append(one)
        if len(whole) % batch == 0:
            memories[len(whole)] = frozen(memory)
    assert [one.is_cut for one in whole].count(True) >= 3
    assert len({one.class_id for one in whole_stage.asked}) > 1
    for done, remembered in memories.items():
        stage = _voting()
        rest = list(
            analyse_frames(
                iter(frames[done:]), stage, settings, batch=batch, memory=thawed(remembered, Memory)
            )
        )
        assert len(rest) == len(frames) - done
        for one, other in zip(rest, whole[done:], strict=True):
            _assert_same(one, other)
            assert one.prediction == other.prediction and one.is_cut == other.is_cut
        # The network is asked for the same, in the same groups.
        assert stage.requests == [call for call in whole_stage.requests if call[0].frame >= done]


def test_motion_alone_goes_on_after_any_frame(clip: list[Rgb], other_clip: list[Rgb]) -> None:
    frames, memory, memories = _frames(_eventful(clip, other_clip)), Memory(), []
    whole = []
    for one in analyse_frames(iter(frames), None, PLAIN, batch=4, memory=memory):
        whole.append(one)
        memories.append(frozen(memory))
    for done, remembered in enumerate(memories, start=1):
        rest = analyse_frames(
            iter(frames[done:]), None, PLAIN, batch=4, memory=thawed(remembered, Memory)
        )
        for one, other in zip(rest, whole[done:], strict=True):
            assert np.array_equal(one.fused, other.fused)
            assert one.motion_high == other.motion_high and one.is_cut == other.is_cut


def test_without_its_memory_an_analysis_gives_something_else(clip: list[Rgb]) -> None:
    frames = _frames(clip)
    whole, rest = _analysed(frames)[4:], _analysed(frames[4:])
    assert not np.array_equal(whole[0].fused, rest[0].fused)
    assert whole[-1].fused_high != rest[-1].fused_high
