"""Scene cuts are found; motion, pan, noise, changing light and flashes are not cuts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import LoadScript

from vidsal import image_ops
from vidsal.saliency.scenes import (
    PerScene,
    SceneDetector,
    SceneEvent,
    changed_share,
    has_changed,
    histogram,
    scene_numbers,
)
from vidsal.types import Rgb


def _photo(folder: Path, name: str) -> Rgb:
    bgr = cv2.imread(str(folder / name))
    assert bgr is not None
    return image_ops.shrink(np.ascontiguousarray(bgr[..., ::-1], np.uint8), (180, 240))


@pytest.fixture(scope="module")
def cat(sample_media: Path) -> Rgb:
    return _photo(sample_media, "cat.jpg")


@pytest.fixture(scope="module")
def coffee(sample_media: Path) -> Rgb:
    return _photo(sample_media, "coffee.jpg")


def _cut(before: Rgb, after: Rgb) -> bool:
    return has_changed(histogram(before), histogram(after))


def _events(
    pictures: Sequence[Rgb], fps: float = 25, *, looks_ahead: bool = True
) -> list[SceneEvent]:
    """Return the event of each picture, with or without reading one ahead."""
    scenes, seen = SceneDetector(), [histogram(one) for one in pictures]
    return [
        scenes.event(now, following if looks_ahead else None, index / fps)
        for index, (now, following) in enumerate(zip(seen, [*seen[1:], None], strict=True))
    ]


def _blend(before: Rgb, after: Rgb, steps: int) -> list[Rgb]:
    """Return a dissolve in even steps, without its first and last picture."""
    shares = np.arange(1, steps)[:, None, None, None] / steps
    return list(np.rint((1 - shares) * before + shares * after).astype(np.uint8))


def test_share_in_closed_form() -> None:
    red = np.zeros((10, 10, 3), np.uint8)
    red[..., 0] = 255
    part_blue = red.copy()
    part_blue[:3] = (0, 0, 255)
    assert changed_share(histogram(red), histogram(part_blue)) == pytest.approx(0.3, abs=1e-6)
    assert changed_share(histogram(red), histogram(red)) == 0
    blue = np.zeros_like(red) + np.array((0, 0, 255), np.uint8)
    assert changed_share(histogram(red), histogram(blue)) == pytest.approx(1.0, abs=1e-6)


def test_histogram_counts_every_pixel_once() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    counts = histogram(rgb)
    assert counts.dtype == np.float32
    for one in counts:
        assert one.sum() == pytest.approx(1, abs=1e-5)
    # The first grid is the plain one: 32 levels a bin, red on the first axis.
    expected = np.zeros((8, 8, 8))
    np.add.at(expected, tuple((rgb // 32).reshape(-1, 3).T), 1 / 3500)
    assert counts[0][:8, :8, :8] == pytest.approx(expected, abs=1e-6)


def test_other_scene_is_a_cut(cat: Rgb, coffee: Rgb) -> None:
    assert _cut(cat, coffee) and _cut(coffee, cat)
    assert _cut(cat, 255 - cat)
    assert _cut(np.zeros_like(cat), cat)


def test_first_frame_is_no_cut(cat: Rgb, coffee: Rgb) -> None:
    assert _events([cat]) == ["first"]
    assert _events([cat, cat]) == ["first", "same"]
    # The second frame does not change this.
    assert _events([cat, coffee, coffee]) == ["first", "cut", "same"]


def test_same_picture_is_no_cut(cat: Rgb) -> None:
    assert not _cut(cat, cat.copy())


def test_motion_is_no_cut(load_script: LoadScript) -> None:
    script = load_script("make_synthetic_clip")
    made = list(script.frames(script.Scene(frame_count=20, square_velocity=(-9, 4))))
    assert not any(_cut(before, after) for before, after in pairwise(made))


@pytest.mark.parametrize("step_px", [4, 16, 40])
def test_pan_that_shows_new_ground_is_no_cut(cat: Rgb, step_px: int) -> None:
    views = [cat[:, left : left + 120] for left in range(0, 120, step_px)]
    whole = [np.ascontiguousarray(view) for view in views]
    assert not any(_cut(before, after) for before, after in pairwise(whole))


@pytest.mark.parametrize("sigma", [2, 10, 20])
def test_noise_is_no_cut(cat: Rgb, sigma: float) -> None:
    rng = np.random.default_rng(0)
    noisy = [
        np.clip(cat + rng.normal(0, sigma, cat.shape), 0, 255).astype(np.uint8) for _ in range(4)
    ]
    assert not any(_cut(before, after) for before, after in pairwise(noisy))


@pytest.mark.parametrize("step", [1, 3, 8])
def test_changing_light_is_no_cut(cat: Rgb, step: int) -> None:
    lit = [np.clip(cat.astype(int) + d, 0, 255).astype(np.uint8) for d in range(-60, 60, step)]
    assert not any(_cut(before, after) for before, after in pairwise(lit))


@pytest.mark.parametrize("step", [1, 5, 12])
def test_even_ground_that_brightens_is_no_cut(step: int) -> None:
    # All its pixels cross the border between two bins at once.
    grounds = [np.full((18, 32, 3), level, np.uint8) for level in range(0, 256, step)]
    assert not any(_cut(a, b) for a, b in pairwise(grounds))


@pytest.mark.parametrize("size", [(1, 1), (2, 3)])
def test_tiny_pictures(size: tuple[int, int]) -> None:
    black, white = np.zeros((*size, 3), np.uint8), np.full((*size, 3), 255, np.uint8)
    assert _cut(black, white)
    assert not _cut(white, white)


def test_a_hard_cut_is_one_and_so_is_the_next(cat: Rgb, coffee: Rgb) -> None:
    there = ["first", *["same"] * 4, "cut", *["same"] * 19]
    assert _events([cat] * 5 + [coffee] * 20) == there
    assert _events([cat] * 5 + [coffee] * 20 + [cat] * 2) == [*there, "cut", "same"]
    third = 255 - cat
    assert _events([cat] * 2 + [coffee] * 2 + [third] * 2)[2::2] == ["cut", "recut"]


def test_a_flash_of_one_frame_is_no_cut(cat: Rgb) -> None:
    white = np.full_like(cat, 255)
    pictures = [cat, cat, white, cat, cat, cat, white, cat]
    expected = ["first", "same", "flash", "same", "same", "same", "flash", "same"]
    assert _events(pictures) == expected
    assert _events([cat, white] * 4 + [cat]) == ["first", "flash", *["same", "flash"] * 3, "same"]


@pytest.mark.parametrize(
    ("fps", "frames"), [(25, 2), (25, 4), (25, 12), (60, 12), (60, 29), (5, 2)]
)
def test_a_longer_flash_is_one_cut_and_then_the_scene_returns(
    cat: Rgb, coffee: Rgb, fps: float, frames: int
) -> None:
    for flash in (np.full_like(cat, 255), coffee):
        found = _events([cat] * 3 + [flash] * frames + [cat] * 3, fps)
        expected = [
            "first", "same", "same", "cut", *["same"] * (frames - 1), "return", "same", "same",
        ]  # fmt: skip
        assert found == expected


@pytest.mark.parametrize(("fps", "frames"), [(25, 13), (25, 40), (60, 31), (5, 3)])
def test_a_picture_of_more_than_half_a_second_is_a_scene(
    cat: Rgb, coffee: Rgb, fps: float, frames: int
) -> None:
    found = _events([cat] * 3 + [coffee] * frames + [cat] * 3, fps)
    assert [index for index, one in enumerate(found) if one == "cut"] == [3, 3 + frames]
    assert set(found) == {"first", "same", "cut"}


def test_each_of_two_longer_flashes_is_one_cut(cat: Rgb, coffee: Rgb) -> None:
    found = _events(([cat] * 4 + [coffee] * 3) * 2 + [cat] * 2)
    one = ["cut", "same", "same", "return", "same"]
    assert found == ["first", "same", "same", "same", *one, "same", "same", *one]


def test_a_third_scene_after_a_short_one_is_a_cut(cat: Rgb, coffee: Rgb) -> None:
    found = _events([cat] * 3 + [coffee] * 3 + [255 - cat] * 3)
    assert found == ["first", "same", "same", "cut", "same", "same", "recut", "same", "same"]
    # The same holds when the second scene is a single frame.
    assert _events([cat, coffee, 255 - cat, 255 - cat]) == ["first", "cut", "recut", "same"]


def test_the_last_frame_is_classified_without_a_next_one(cat: Rgb, coffee: Rgb) -> None:
    assert _events([cat, cat, coffee]) == ["first", "same", "cut"]
    assert _events([cat, cat, cat])[-1] == "same"
    assert _events([cat, coffee, coffee, cat])[-1] == "return"


def test_a_flash_that_fades_is_over_when_the_scene_is_back(cat: Rgb) -> None:
    brighter = np.clip(cat.astype(int) + 75, 0, 255).astype(np.uint8)
    pictures = [cat, cat, np.full_like(cat, 255), brighter, cat, cat]
    assert _events(pictures) == ["first", "same", "cut", "recut", "return", "same"]


@pytest.mark.parametrize("looks_ahead", [True, False])
@pytest.mark.parametrize("frames", [2, 4])
@pytest.mark.parametrize("gap", [2, 5, 10, 11, 12, 13, 20])
def test_a_flash_soon_after_a_cut_does_not_end_the_scene(
    cat: Rgb, coffee: Rgb, gap: int, frames: int, looks_ahead: bool
) -> None:
    white = np.full_like(cat, 255)
    pictures = [cat] * 20 + [coffee] * gap + [white] * frames + [coffee] * 20
    found = _events(pictures, looks_ahead=looks_ahead)
    assert found[20] == "cut"
    begins, ends = 20 + gap, 20 + gap + frames
    assert found[begins] in ("cut", "recut") and found[ends] in ("return", "rejoin")
    assert set(found[21:begins] + found[begins + 1 : ends] + found[ends + 1 :]) <= {"same"}
    # The scene gets its state back.
    states: PerScene[int] = PerScene()
    scene_starts: list[int] = []
    for n, event in enumerate(found):
        states.now = states.at(event, lambda n=n: n)  # type: ignore[misc]
        scene_starts.append(states.now)
    assert scene_starts == [0] * 20 + [20] * gap + [begins] * frames + [20] * 20


def test_a_state_is_new_in_each_scene_and_comes_back_after_a_flash() -> None:
    states: PerScene[list[str]] = PerScene()
    course: list[SceneEvent] = ["first", "same", "cut", "recut", "same", "return", "cut", "return"]
    found = []
    for n, event in enumerate(course):
        state = states.at(event, list)
        states.now = [*state, str(n)]
        found.append("".join(states.now))
    assert found == ["0", "01", "2", "3", "34", "015", "6", "0157"]


@pytest.mark.parametrize("fps", [25, 50])
def test_a_fade_of_a_second_is_no_cut(cat: Rgb, coffee: Rgb, fps: int) -> None:
    for other in (coffee, np.zeros_like(cat), np.full_like(cat, 255)):
        assert _cut(cat, other)
        fade = _blend(cat, other, fps)
        found = _events([cat] * 3 + fade + [other] * 3 + fade[::-1] + [cat] * 3, fps)
        assert found == ["first"] + ["same"] * (len(found) - 1)


def test_motion_and_pan_are_one_scene(cat: Rgb, load_script: LoadScript) -> None:
    script = load_script("make_synthetic_clip")
    made = list(script.frames(script.Scene(frame_count=20, square_velocity=(-9, 4))))
    assert _events(made) == ["first"] + ["same"] * 19
    views = [np.ascontiguousarray(cat[:, left : left + 120]) for left in range(0, 120, 16)]
    assert _events(views) == ["first"] + ["same"] * 7


@pytest.mark.parametrize(
    ("events", "scenes"),
    [
        ("first same same", [0, 0, 0]),
        ("first cut same cut", [0, 1, 1, 2]),
        # A flash of one frame, and a longer one, belong to the scene around them.
        ("first flash same", [0, 0, 0]),
        ("first same cut same return same", [0, 0, 0, 0, 0, 0]),
        ("first cut recut return cut", [0, 0, 0, 0, 1]),
        ("first cut recut same rejoin cut", [0, 1, 1, 1, 1, 2]),
        ("first cut same cut same return", [0, 1, 1, 1, 1, 1]),
        ("first", [0]),
        ("", []),
    ],
)
def test_the_scene_of_each_frame(events: str, scenes: list[int]) -> None:
    assert scene_numbers(events.split()).tolist() == scenes


@pytest.mark.parametrize(
    ("events", "starts"),
    [
        ("first", [0]), ("first same same", [0]), ("first same cut same cut", [0, 2, 4]),
        # A flash of one frame is no scene, and neither is a longer one after which all goes on.
        ("first flash same", [0]), ("first same cut same return same", [0]),
        ("first same cut recut same return same cut", [0, 7]),
        ("first cut recut rejoin same", [0, 1]), ("first cut same same recut same", [0, 1, 4]),
        ("first cut same same return same cut recut return", [0]),
    ],
)  # fmt: skip
def test_the_frames_with_which_scenes_begin(events: str, starts: list[int]) -> None:
    numbers = scene_numbers(events.split())
    assert np.flatnonzero(np.diff(numbers, prepend=-1)).tolist() == starts
