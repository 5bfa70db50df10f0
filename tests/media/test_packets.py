"""Packet lists, and the decisions made from their timestamps."""

import math

import numpy as np
import pytest

from vidsal.media.packets import Packets, without_leaps

HEADERS = """\
#software: Lavf63.1.102
#tb 0: 1/25
#media_type 0: video
#codec_id 0: h264
#tb 1: 1/1000
#media_type 1: audio
#codec_id 1: aac
"""


def collect(*rows: str) -> Packets:
    """Return the packets of a list with a video stream (0) and an audio stream (1)."""
    packets = Packets()
    for line in [*HEADERS.splitlines(), *rows]:
        packets.add_line(line + "\n")
    return packets


def row(stream: int, decode: object, show: object, flags: int = 1, duration: int = 1) -> str:
    """Return a line of ffmpeg's list."""
    return f"{stream}, {decode}, {show}, {duration}, 100, 0x002da202, F=0x{flags}"


def test_headers_and_packets_are_collected_by_stream() -> None:
    packets = collect(row(0, 0, 2), row(1, 0, 0, duration=-1), row(0, 1, "NOPTS", 0))
    assert packets.headers[0] == {"tb": "1/25", "media_type": "video", "codec_id": "h264"}
    assert packets.audio_codec == "aac"
    video, audio = packets.streams[0], packets.streams[1]
    assert list(video.decode_ticks) == [0, 1]
    assert video.show_ticks[0] == 2 and math.isnan(video.show_ticks[1])
    assert list(audio.duration_ticks) == [0]
    assert list(video.is_key) == [1, 0]


def test_discarded_packets_are_left_out() -> None:
    packets = collect(row(0, 0, 0, 5), row(0, 1, 1))
    assert list(packets.streams[0].show_ticks) == [1]


def test_without_packets_there_is_no_audio_codec() -> None:
    assert collect(row(0, 0, 0)).audio_codec == ""


@pytest.mark.parametrize(("equal", "has_restart"), [(8, False), (9, True)])
@pytest.mark.parametrize("stream", [0, 1])
def test_many_equal_times_are_a_restart(equal: int, has_restart: bool, stream: int) -> None:
    rows = [row(stream, n, n) for n in range(5)] + [row(stream, 5, 5)] * equal
    assert collect(*rows).has_restart == has_restart


@pytest.mark.parametrize(
    ("video_s", "audio_s", "has_jump"),
    [
        ([0, 1, 2], [0, 1, 2], False),
        # Both jump at 1 s, and 0.5 s apart.
        ([0, 1, 21], [0, 1, 21], True),
        ([0, 1, 21], [0, 0.5, 21], True),
        # Only one of them jumps, or they jump at other times.
        ([0, 1, 21], [0, 1, 10, 19, 21], False),
        ([0, 1, 21], [0, 10, 19, 40], False),
        # Hours are too long for any stream.
        ([0, 1, 22_000], [0, 1, 2], True),
    ],
)
def test_jumps(video_s: list[float], audio_s: list[float], has_jump: bool) -> None:
    rows = [row(0, round(25 * s), round(25 * s)) for s in video_s]
    rows += [row(1, round(1000 * s), round(1000 * s)) for s in audio_s]
    assert collect(*rows).has_jump == has_jump


def test_frames_are_put_in_display_order() -> None:
    rows = [row(0, d, s, duration=n) for n, (d, s) in enumerate([(0, 2), (1, 5), (2, 3), (3, 4)])]
    times, durations, are_given = collect(*rows).streams[0].in_display_order(1 / 25)
    assert times is not None and times.tolist() == [2, 3, 4, 5]
    assert (durations.tolist(), are_given) == ([0, 2, 3, 1], True)


def test_decoding_times_replace_missing_ones() -> None:
    rows = [row(0, 10, 12), row(0, 11, "NOPTS"), row(0, 12, "NOPTS")]
    times, _, are_given = collect(*rows).streams[0].in_display_order(1 / 25)
    assert times is not None and times.tolist() == [12, 13, 14]
    assert not are_given


def test_without_any_time_there_is_none() -> None:
    rows = [row(0, "NOPTS", "NOPTS")] * 3
    times, durations, are_given = collect(*rows).streams[0].in_display_order(1 / 25)
    assert (times, durations.tolist(), are_given) == (None, [0, 0, 0], False)


def test_an_impossible_time_is_replaced() -> None:
    # Frame 5 would be shown an hour late.
    shows = [n + 2 for n in range(40)]
    rows = [row(0, n, 90_000 if n == 5 else show) for n, show in enumerate(shows)]
    times, _, are_given = collect(*rows).streams[0].in_display_order(1 / 25)
    assert are_given and np.array_equal(np.asarray(times), shows)


@pytest.mark.parametrize(("is_joined", "corrupt"), [(False, 3), (True, 1)])
def test_the_seams_of_joined_recordings_are_not_corrupt(is_joined: bool, corrupt: int) -> None:
    # Packets 1 and 4 lie one and two packets before a key frame, packet 8 does not.
    flags = [1, 2, 1, 0, 2, 0, 1, 0, 2, 0, 0]
    rows = [row(0, n, n, flag) for n, flag in enumerate(flags)]
    assert collect(*rows).streams[0].count_corrupt(is_joined=is_joined) == corrupt


def test_leaps_of_hours_are_taken_out() -> None:
    times, leaps = without_leaps(np.array([0.0, 40, np.nan, 80, 9e7, 9e7 + 40]), 1e-3)
    assert leaps[0] == pytest.approx((9e4, 9e4 - 0.12)) and len(leaps) == 1
    assert times == pytest.approx([0, 40, np.nan, 80, 120, 160], nan_ok=True)
    pause = np.array([0.0, 40, 3.6e6])
    times, leaps = without_leaps(pause, 1e-3)
    assert times.tolist() == pause.tolist() and not leaps
