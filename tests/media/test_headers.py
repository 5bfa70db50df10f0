"""Parsers of the headers that ffmpeg's bitstream filter logs."""

from fractions import Fraction

import pytest

from vidsal.media import headers as parsers


def test_fields_in_h264_headers() -> None:
    line = "[trace_headers @ 0x55e1] 59          frame_mbs_only_flag                     {0} = {0}"
    assert parsers.allows_fields(f"{line.format(0)}\n[trace_headers @ 0x55e1] Picture")
    assert not parsers.allows_fields(line.format(1))
    assert not parsers.allows_fields("")


def test_fields_in_hevc_headers() -> None:
    line = "[trace_headers @ 0x55e1] 209         field_seq_flag                    {0} = {0}"
    assert parsers.allows_fields(f"{line.format(1)}\n[trace_headers @ 0x55e1] Picture")
    assert not parsers.allows_fields(line.format(0))


@pytest.mark.parametrize(
    ("prefixes", "ticks", "scale", "expected"),
    [
        # H.264 counts fields.
        ([""], 1, 50, 25),
        ([""], 1001, 60000, Fraction(30000, 1001)),
        (["vui_"], 1, 25, 25),
        (["vps_", "vui_"], 1001, 24000, Fraction(24000, 1001)),
        ([""], 0, 50, None),
        ([], 1, 50, None),
    ],
)
def test_coded_rate(
    prefixes: list[str], ticks: int, scale: int, expected: Fraction | int | None
) -> None:
    lines = [
        f"[trace_headers @ 0x55e1] 76          {prefix}{name}            0001 = {value}"
        for prefix in prefixes
        for name, value in (("num_units_in_tick", ticks), ("time_scale", scale))
    ]
    assert parsers.coded_fps("\n".join(lines)) == expected


@pytest.mark.parametrize(
    ("cancels", "flips", "rotation", "expected"),
    [
        (0, (0, 0), 16384, (90, False, False)),
        (0, (0, 0), 49152, (270, False, False)),
        (0, (1, 0), 0, (0, True, False)),
        (0, (1, 1), 16384, (90, True, True)),
        (0, (0, 0), 0, None),
        (1, (1, 0), 16384, None),
    ],
)
def test_display_orientation(
    cancels: int, flips: tuple[int, int], rotation: int, expected: tuple[int, bool, bool] | None
) -> None:
    fields = {
        "display_orientation_cancel_flag": cancels, "hor_flip": flips[0], "ver_flip": flips[1],
        "anticlockwise_rotation": rotation,
    }  # fmt: skip
    lines = [f"[trace_headers @ 0x5] 5 {name}   {one:b} = {one}" for name, one in fields.items()]
    text = "\n".join(["[trace_headers @ 0x5] Display Orientation", *lines])
    assert parsers.display_orientation(text) == expected
    assert parsers.display_orientation("[trace_headers @ 0x5] Slice Header") is None
    # HEVC's name of the header.
    for slice_header in ("Slice Header", "Slice Segment Header"):
        first = f"[trace_headers @ 0x5] {slice_header}"
        assert parsers.late_orientation(f"{first}\n{text}\n{first}") == expected
        assert parsers.late_orientation(f"{text}\n{first}") is None
        if expected:
            assert parsers.late_orientation(f"{text}\n{first}\n{text}") is None


@pytest.mark.parametrize(
    ("headers", "count"),
    [
        ("211  max_num_reorder_frames      011 = 2", 2),
        ("40  sps_max_num_reorder_pics[0]   1 = 0\n44  sps_max_num_reorder_pics[1]   011 = 3", 3),
        ("8  profile_idc   01000010 = 66", 0),
        ("41  pic_order_cnt_type   011 = 2", 0),
        ("41  pic_order_cnt_type   1 = 0", None),
        ("", None),
    ],
)
def test_the_number_of_reordered_frames_is_in_the_headers(headers: str, count: int | None) -> None:
    assert parsers.reordered_frames(headers) == count
