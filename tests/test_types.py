"""The words of every layer: arrays are checked, frozen, and never printed."""

from __future__ import annotations

import dataclasses
import math
import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from vidsal.motion.camera import steady
from vidsal.motion.compensated import still
from vidsal.types import (
    CameraMotion,
    Frame,
    Motion,
    Prediction,
    Request,
    Saliency,
    SourceInfo,
    Target,
)

RGB = np.zeros((4, 6, 3), np.uint8)
MAP = np.zeros((4, 6), np.float32)
FLOW = np.zeros((4, 6, 2), np.float32)
SEEN = Prediction((0,), ("tench",), (1.0,), 0, "tench", 1.0)


def _frame(rgb: Any) -> Frame:
    return Frame(rgb, 0, 0.0)


def _saliency(**maps: Any) -> Saliency:
    given_maps: dict[str, Any] = {"static": MAP, "motion": MAP, "fused": MAP, "speed": MAP} | maps
    return Saliency(
        frame=_frame(RGB), movement=still((4, 6)), prediction=None, is_cut=False, motion_share=0.0,
        static_high=1.0, motion_high=2.0, fused_high=3.0, peak=None, marker=None, **given_maps,
    )  # fmt: skip


def _moved(**arrays: Any) -> Motion:
    given_arrays: dict[str, Any] = {"flow": FLOW, "backward": FLOW, "known": MAP, "speed": MAP}
    return Motion(**(given_arrays | arrays), camera=steady())


@pytest.mark.parametrize(
    "wrong",
    [
        RGB.astype(np.float32),
        RGB.astype(np.int8),
        RGB[..., 0],
        RGB[..., :2],
        RGB[None],
        np.zeros((4, 6, 4), np.uint8),
        np.zeros((3, 4, 6), np.uint8),
        RGB.tolist(),
        None,
    ],
)
def test_frame_wants_rgb(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"^Frame\.rgb must be uint8 with 3 axes, the last of 3"):
        _frame(wrong)


@pytest.mark.parametrize(
    "wrong", [MAP.astype(np.float64), MAP.astype(np.uint8), MAP[0], FLOW, "map"]
)
def test_maps_are_float32_with_two_axes(wrong: Any) -> None:
    for name in ("static", "motion", "fused", "speed"):
        with pytest.raises(ValueError, match=rf"^Saliency\.{name} must be float32 with 2 axes"):
            _saliency(**{name: wrong})
    for name in ("known", "speed"):
        with pytest.raises(ValueError, match=rf"^Motion\.{name} must be float32 with 2 axes"):
            _moved(**{name: wrong})


@pytest.mark.parametrize("name", ["motion", "fused"])
def test_only_the_static_map_may_be_missing(name: str) -> None:
    assert _saliency(static=None).static is None
    with pytest.raises(AttributeError):
        _ = _saliency(**{name: None}).fused.shape, _saliency(**{name: None}).motion.shape


@pytest.mark.parametrize("wrong", [FLOW.astype(np.float64), FLOW[..., :1], MAP, RGB])
def test_flow_has_two_components(wrong: Any) -> None:
    for name in ("flow", "backward"):
        match = rf"^Motion\.{name} must be float32 with 3 axes, the last of 2, got"
        with pytest.raises(ValueError, match=match):
            _moved(**{name: wrong})


@pytest.mark.parametrize("wrong", [np.eye(3), np.eye(2, dtype=np.float32), [[1, 0, 0]]])
def test_camera_is_a_matrix(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"^CameraMotion\.matrix must be float32"):
        CameraMotion(wrong, "none", None)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"top": 5, "class_id": 3},
        {"top": 1, "is_locked": True},
        {"class_id": 0, "is_locked": True},
        {"top": 2, "class_id": 0, "is_locked": True},
    ],
)
def test_exactly_one_thing_is_the_target(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^set exactly one of top, class_id and is_locked, got"):
        Target(**wrong)


def test_class_0_is_a_target_as_any_other() -> None:
    assert Target(class_id=0).class_id == 0
    assert Target(class_id=0) != Target(top=1) != Target(is_locked=True)


def test_message_says_what_came() -> None:
    with pytest.raises(ValueError, match=re.escape("got float32 (4, 6, 2)")):
        _frame(FLOW)
    with pytest.raises(ValueError, match=re.escape("got NoneType None")):
        _frame(None)


def test_representation_shows_shapes_not_pixels() -> None:
    frame = "Frame(rgb=uint8[4, 6, 3], index=3, time_s=0.12, has_time=True)"
    assert repr(Frame(RGB, 3, 0.12)) == frame
    moved = (
        "Motion(flow=float32[4, 6, 2], backward=float32[4, 6, 2], known=float32[4, 6], "
        "speed=float32[4, 6], camera=CameraMotion(matrix=float32[3, 3], model='none', "
    )
    assert repr(still((4, 6))).startswith(moved)
    assert repr(_saliency(static=None)) == (
        "Saliency(frame 0, 0.00 s, 6x4, 0% by motion, maps 6x4)"
    )


@pytest.mark.parametrize(
    "thing",
    [
        _frame(RGB),
        still((4, 6)),
        steady(),
        SEEN,
        _saliency(),
        Target(top=1),
        Request(0, 1),
        SourceInfo("x", 4, 6, Fraction(25)),
    ],
)
def test_words_are_frozen_and_take_no_more(thing: Any) -> None:
    name = dataclasses.fields(thing)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(thing, name, None)
    assert not hasattr(thing, "__dict__")


def test_camera_in_words() -> None:
    turn = math.radians(30)
    cosine, sine = 2 * math.cos(turn), 2 * math.sin(turn)
    matrix = np.array([[cosine, -sine, 5], [sine, cosine, -7], [0, 0, 1]], np.float32)
    camera = CameraMotion(matrix, "similarity", 0.5)
    # The origin, and the middle of a picture of one pixel, is shifted alone.
    assert camera.at_centre((1, 1)) == pytest.approx((-7.0, 5.0, 2.0, 30.0), abs=1e-5)
    # (10, 20), column and row, is turned and stretched as well.
    there = (cosine * 10 - sine * 20 + 5 - 10, sine * 10 + cosine * 20 - 7 - 20)
    assert camera.at_centre((41, 21))[:2] == pytest.approx(there[::-1], abs=1e-4)


def test_a_camera_is_three_by_three() -> None:
    with pytest.raises(ValueError, match=r"3 x 3, got \(2, 3\)"):
        CameraMotion(np.eye(2, 3, dtype=np.float32), "affine", None)
