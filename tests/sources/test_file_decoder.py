"""One decoder that wraps two: frames are in order and have the right times with each."""

import math
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from conftest import MakeClip
from file_help import EndsEarly

from vidsal.media import probe
from vidsal.media.probe import VideoStream
from vidsal.runtime.opencv import cv2
from vidsal.sources.file_decoder import FileDecoder
from vidsal.yuv import as_rgb


def _stream(path: Path) -> VideoStream:
    stream = probe.inspect(path).picture
    assert stream is not None
    return stream


@pytest.mark.parametrize(("is_strict", "name"), [(False, "OpenCV"), (True, "ffmpeg")])
def test_frames_come_in_order_with_their_times(
    is_strict: bool, name: str, make_clip: MakeClip
) -> None:
    path = make_clip(frames=10)
    with closing(FileDecoder(path, _stream(path), is_strict=is_strict)) as decoder:
        assert (decoder.name, decoder.index, decoder.time_s) == ("", -1, -math.inf)
        for number in range(10):
            assert decoder.grab() == pytest.approx(number / 25)
            assert (decoder.name, decoder.index) == (name, number)
            rgb = decoder.picture()
            assert rgb is not None and rgb.shape == (48, 64, 3)
        assert decoder.grab() is None
        assert decoder.corrupt_frames() == 0


@pytest.mark.parametrize("after", [1, 5, 12])
def test_the_change_of_decoder_loses_and_repeats_no_frame(
    after: int, make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_clip(frames=20)
    with closing(FileDecoder(path, _stream(path))) as decoder:
        expected = []
        while decoder.grab() is not None:
            expected.append((decoder.time_s, decoder.picture()))
    monkeypatch.setattr(cv2, "VideoCapture", partial(EndsEarly, cv2.VideoCapture, after))
    with closing(FileDecoder(path, _stream(path))) as decoder:
        for number, (time_s, rgb) in enumerate(expected):
            assert decoder.grab() == pytest.approx(time_s)
            assert decoder.name == ("OpenCV" if number < after else "ffmpeg")
            picture = decoder.picture()
            assert rgb is not None and picture is not None
            assert np.abs(as_rgb(picture).astype(float) - as_rgb(rgb)).mean() < 3
        assert decoder.grab() is None
    assert len(expected) == 20


@pytest.mark.parametrize("is_strict", [False, True])
def test_a_seek_ends_shortly_before_its_aim(is_strict: bool, make_clip: MakeClip) -> None:
    path = make_clip(frames=120, options=["-g", "10"])
    with closing(FileDecoder(path, _stream(path), is_strict=is_strict)) as decoder:
        decoder.grab()
        decoder.seek(4.0)
        assert 1.0 < decoder.time_s <= 4.0
        assert decoder.time_s == pytest.approx(decoder.index / 25)
        index = decoder.index
        assert decoder.grab() == pytest.approx((index + 1) / 25)


@pytest.mark.parametrize("is_strict", [False, True])
@pytest.mark.parametrize("way", ["begin", "list"])
def test_frames_outside_the_edit_list_are_hidden_and_counted(
    way: str, is_strict: bool, make_clip: MakeClip
) -> None:
    path = make_clip(frames=20)
    stream = _stream(path)
    hidden_s, times_s = stream.times_s[:4], stream.times_s[4:]
    if way == "begin":
        edited = replace(stream, times_s=times_s, shown_from_s=float(times_s[0]))
    else:
        edited = replace(stream, times_s=times_s, hidden_s=hidden_s)
    with closing(FileDecoder(path, edited, is_strict=is_strict)) as decoder:
        for number in range(16):
            assert decoder.grab() == pytest.approx(number / 25)
            assert decoder.index == number
        assert decoder.grab() is None
        assert (decoder.decoded, decoder.hidden) == (20, 4)
